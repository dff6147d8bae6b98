//! Memory between jobs. What one has freed stays for the next, which would else ask the kernel for as many pages and wait
//! until each is cleared. The kernel has it back when no job has begun for a while, or at the end of one where much is free:
//! jobs of all sizes leave pieces that fit no other.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;
use std::time::Duration;

use crate::media;

/// So long freed memory waits for the next job.
const KEPT_FOR: Duration = Duration::from_secs(2);
/// More than this is given back even where others follow, bytes: what one of 1080p has freed.
const KEPT_BYTES_MAX: usize = 256 << 20;

/// Jobs that were begun in this process.
static BEGUN: AtomicUsize = AtomicUsize::new(0);
/// Whether somebody waits until none begins any more.
static AWAITED: AtomicBool = AtomicBool::new(false);

/// A job that uses memory.
pub(super) struct InUse(());

/// From here on, until it is dropped.
pub(super) fn in_use() -> InUse {
    BEGUN.fetch_add(1, Relaxed);
    InUse(())
}

impl Drop for InUse {
    fn drop(&mut self) {
        if media::freed_bytes() > KEPT_BYTES_MAX {
            media::shrink();
        }
        if AWAITED.swap(true, Relaxed) {
            return;
        }
        if let Err(error) = thread::Builder::new().name("heap".to_owned()).spawn(shrink_later) {
            tracing::debug!(%error, "freed memory is not kept");
            AWAITED.store(false, Relaxed);
            media::shrink();
        }
    }
}

/// Gives back what is free once no job has begun for a while. One may still run, or never come back: what is in use stays.
fn shrink_later() {
    let mut before = BEGUN.load(Relaxed);
    loop {
        thread::sleep(KEPT_FOR);
        let begun = BEGUN.load(Relaxed);
        if begun == before {
            break;
        }
        before = begun;
    }
    // First, so that a job which ends from here on waits anew.
    AWAITED.store(false, Relaxed);
    media::shrink();
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::in_use;
    use crate::media;

    fn resident_bytes() -> usize {
        let pages = fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = pages.split_whitespace().nth(1).unwrap().parse().unwrap();
        pages * rustix::param::page_size()
    }

    #[test]
    fn what_a_job_freed_is_given_back_when_none_follows() {
        // Brings the engine up, and with it how memory is kept.
        let _caps = media::Caps::without_gpus();
        let job = in_use();
        let pictures: Vec<Vec<u8>> = (0..128).map(|_| vec![1; 1 << 20]).collect();
        let most = resident_bytes();
        drop(pictures);
        drop(job);
        let began = Instant::now();
        while resident_bytes() > most - (64 << 20) {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "{} bytes stay",
                resident_bytes()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
}
