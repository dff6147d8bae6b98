//! What one run may read and decode, whatever the headers said: in proportion to its length, and never more than the
//! longest input that the limits allow.
//!
//! The demuxer counts packets and says how far their times reach; the decoder counts pictures. A header that says too
//! little does no harm, for the times that were met count as well; one that says nothing is taken for the longest input.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI64, AtomicU64};

use super::Job;
use crate::media::error::{MediaError, Refusal};

/// Counts of one run.
#[derive(Debug)]
pub(super) struct Budget {
    packets: AtomicU64,
    frames: AtomicU64,
    pixels: AtomicU64,
    /// Times of packets that were met, microseconds.
    first_us: AtomicI64,
    last_us: AtomicI64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            packets: AtomicU64::default(),
            frames: AtomicU64::default(),
            pixels: AtomicU64::default(),
            first_us: AtomicI64::new(i64::MAX),
            last_us: AtomicI64::new(i64::MIN),
        }
    }
}

impl Budget {
    /// A packet was read; `time_us` where it has a time.
    ///
    /// # Errors
    /// [`Refusal::OverLimit`] where they are more than any film of this length has.
    pub(super) fn packet(&self, job: &Job<'_>, time_us: Option<i64>) -> Result<(), MediaError> {
        if let Some(time_us) = time_us {
            self.first_us.fetch_min(time_us, Relaxed);
            self.last_us.fetch_max(time_us, Relaxed);
        }
        let packets = self.packets.fetch_add(1, Relaxed) + 1;
        let limit = job.limits.packets_max(self.length_us(job));
        if packets <= limit {
            return Ok(());
        }
        Err(over(format!("more than {limit} packets for its length")))
    }

    /// A picture of so many pixels was decoded.
    ///
    /// # Errors
    /// [`Refusal::TooManyFrames`], and [`Refusal::OverLimit`] where all pixels together are too many.
    pub(super) fn picture(&self, job: &Job<'_>, pixels: u64) -> Result<(), MediaError> {
        let frames = self.frames.fetch_add(1, Relaxed) + 1;
        let pixels = self.pixels.fetch_add(pixels, Relaxed).saturating_add(pixels);
        let length_us = self.length_us(job);
        let limit = job.limits.frames_max(length_us);
        if frames > limit {
            return Err(Refusal::TooManyFrames { frames, limit }.into());
        }
        let limit = job.limits.decoded_pixels_max(length_us);
        if pixels > limit {
            return Err(over(format!("more than {limit} pixels to decode for its length")));
        }
        Ok(())
    }

    /// The longer of what the header says and what was met, microseconds.
    fn length_us(&self, job: &Job<'_>) -> u64 {
        let said = job.info.duration_us.map_or(u64::MAX, i64::unsigned_abs);
        let (first, last) = (self.first_us.load(Relaxed), self.last_us.load(Relaxed));
        let met = if last > first { last.abs_diff(first) } else { 0 };
        said.max(met)
    }
}

fn over(what: String) -> MediaError {
    Refusal::OverLimit { what }.into()
}
