//! How the kernel shares the cores among threads. Nothing of libav.

use std::io;

/// Asks for long turns rather than early ones, for this thread and those that it starts: a thread that becomes ready does not
/// take the core from another that has work in its caches. `SCHED_BATCH`, which every process may choose; how nice a thread
/// is stays as it was, and so does a policy that an operator gave the service.
///
/// # Errors
/// The kernel's, where a filter of calls forbids it.
pub(crate) fn take_long_turns() -> io::Result<()> {
    // SAFETY: a call without pointers; 0 names the calling thread.
    if unsafe { libc::sched_getscheduler(0) } != libc::SCHED_OTHER {
        return Ok(());
    }
    choose(libc::SCHED_BATCH)
}

/// For this thread, a policy without priorities.
fn choose(policy: i32) -> io::Result<()> {
    // SAFETY: plain numbers, for which all zeros are valid: such a policy has no other priority.
    let parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a local that outlives the call; 0 names the calling thread.
    if unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::{choose, take_long_turns};

    fn policy() -> i32 {
        // SAFETY: a call without pointers.
        unsafe { libc::sched_getscheduler(0) }
    }

    #[test]
    fn a_policy_that_was_chosen_stays() {
        let own = std::thread::spawn(|| {
            choose(libc::SCHED_IDLE).unwrap();
            take_long_turns().unwrap();
            policy()
        });
        assert_eq!(own.join().unwrap(), libc::SCHED_IDLE);
    }

    #[test]
    fn long_turns_are_for_this_thread_and_those_that_it_starts() {
        let before = policy();
        let (own, started) = std::thread::spawn(|| {
            take_long_turns().unwrap();
            (policy(), std::thread::spawn(policy).join().unwrap())
        })
        .join()
        .unwrap();
        assert_eq!((own, started), (libc::SCHED_BATCH, libc::SCHED_BATCH));
        assert_eq!(policy(), before);
    }
}
