//! What a process of one's own cost when it has ended: for measuring from outside.

use std::fs;
use std::io;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use super::ffi;

/// The account of a process that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// How it ended.
    pub status: ExitStatus,
    /// Processor time, its own and the system's for it.
    pub cpu: Duration,
    /// The most memory that was resident at once, bytes; `None` where that cannot be told from the parent's.
    pub memory_bytes_max: Option<u64>,
}

/// Before a child is started: memory that this process once had must not count as the child's.
///
/// The kernel takes the parent's peak over at `exec` (`signal->maxrss` in Linux's `fs/exec.c`); writing 5 to `clear_refs`
/// (proc(5)) sets the peak back to what is resident now. Returns that, bytes.
#[must_use]
pub fn forget_peak() -> u64 {
    // Where it is not allowed, the peak below is larger and more is left unknown.
    let _ = fs::write("/proc/self/clear_refs", "5");
    of_status("VmHWM:").unwrap_or(u64::MAX)
}

/// Memory of this process that is resident now, bytes; 0 where the kernel does not say.
#[must_use]
pub fn resident_bytes() -> u64 {
    of_status("VmRSS:").unwrap_or(0)
}

fn of_status(key: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().ok()?;
    Some(kib * 1024)
}

/// Waits for a child; `own_peak_bytes` is what [`forget_peak`] said before it was started.
///
/// # Errors
/// Where there is no such child, as when somebody else waited for it.
pub fn wait(child: &Child, own_peak_bytes: u64) -> io::Result<Usage> {
    let (status, cpu, memory_bytes_max) = ffi::wait(child)?;
    Ok(Usage {
        status,
        cpu,
        memory_bytes_max: Some(memory_bytes_max).filter(|&bytes| bytes > own_peak_bytes),
    })
}
