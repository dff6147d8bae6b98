//! Fatal signals: the process writes down what it was at, and dies of the signal all the same.
//!
//! A decoder that a file brought down raises one of these on its own thread, and only the kernel could end the process
//! otherwise: the note then tells a file's own crash from `kill -9` or a power cut, of which nothing can be noted. Absent:
//! going on after the signal, and anything in the handler that could wait: no allocation, no lock, no log.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::IntoRawFd;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering::SeqCst};

/// As many jobs as may run at once (`KADR_JOBS`).
pub(crate) const SLOTS: usize = 64;

/// What is being done; 0 is a free slot.
pub(crate) static AT: [AtomicI64; SLOTS] = [const { AtomicI64::new(0) }; SLOTS];

/// The open note; below zero there is none.
static NOTE: AtomicI32 = AtomicI32::new(-1);
/// Written once: threads may die together.
static WRITTEN: AtomicBool = AtomicBool::new(false);

const SIGNALS: [libc::c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT];
/// Who handled each before us: Rust's own handlers tell of a stack overflow.
static BEFORE: [OnceLock<libc::sigaction>; SIGNALS.len()] = [const { OnceLock::new() }; SIGNALS.len()];

/// From now on a fatal signal writes what is in [`AT`] into `note`, eight bytes each, in the byte order of the machine.
///
/// # Errors
/// Those of `sigaction`.
pub(crate) fn install(note: File) -> io::Result<()> {
    NOTE.store(note.into_raw_fd(), SeqCst);
    for (signal, before) in SIGNALS.into_iter().zip(&BEFORE) {
        // SAFETY: `sigaction` is plain old data, for which all zeroes is a value.
        let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_sigaction = on_fatal as *const () as usize;
        // On the alternate stack where the thread has one: its own may be what overflowed.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        let mut old = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: both pointers are to live `sigaction`s, and `on_fatal` has the signature that SA_SIGINFO asks for.
        if unsafe { libc::sigaction(signal, &action, old.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call above succeeded and filled it.
        before.get_or_init(|| unsafe { old.assume_init() });
    }
    Ok(())
}

extern "C" fn on_fatal(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    if !WRITTEN.swap(true, SeqCst) {
        let (mut note, mut length) = ([0_u8; SLOTS * 8], 0);
        for at in &AT {
            let number = at.load(SeqCst);
            if number != 0 {
                note[length..length + 8].copy_from_slice(&number.to_ne_bytes());
                length += 8;
            }
        }
        // SAFETY: `write` may be called in a signal handler; the buffer is ours and at least `length` bytes long.
        unsafe { libc::write(NOTE.load(SeqCst), note.as_ptr().cast(), length) };
    }
    // SAFETY: the kernel hands a valid `siginfo_t` to a handler that was installed with SA_SIGINFO.
    let is_fault = unsafe { (*info).si_code } > 0;
    let before = SIGNALS.iter().position(|one| *one == signal).map(|at| &BEFORE[at]);
    // SAFETY: `sigaction` and `raise` may be called in a signal handler, and `before` was filled by `sigaction`.
    unsafe {
        match before.and_then(OnceLock::get) {
            // The instruction faults once more, and whoever was there before us decides.
            Some(before) if is_fault => drop(libc::sigaction(signal, before, ptr::null_mut())),
            // Nothing comes again by itself: it is sent again, and taken when this returns.
            _ => {
                libc::signal(signal, libc::SIG_DFL);
                libc::raise(signal);
            }
        }
    }
}
