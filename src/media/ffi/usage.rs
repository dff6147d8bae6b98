//! What a child process cost: the kernel tells it once, to whoever waits for that process. Nothing of libav.

use std::io;
use std::mem::MaybeUninit;
use std::process::{Child, ExitStatus};
use std::time::Duration;

/// Status, processor time and peak of memory, bytes.
pub(crate) fn wait(child: &Child) -> io::Result<(ExitStatus, Duration, u64)> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are to locals of the right type that outlive the call; the process is a child of ours
        // that nobody else waits for while it is borrowed.
        let waited = unsafe { libc::wait4(child.id() as i32, &raw mut status, 0, usage.as_mut_ptr()) };
        if waited >= 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: plain numbers, zeroed above and filled by the call.
    let usage = unsafe { usage.assume_init() };
    let time =
        |time: libc::timeval| Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64);
    Ok((
        std::os::unix::process::ExitStatusExt::from_raw(status),
        time(usage.ru_utime) + time(usage.ru_stime),
        usage.ru_maxrss as u64 * 1024,
    ))
}
