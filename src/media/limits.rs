//! What an input may cost before it is refused. Every refusal names the value and the limit.

use std::time::Duration;

use super::confine::Confine;
use super::segment::Split;

/// Frames that a file of any length may have: slow motion is short.
const FRAMES_FREE: u64 = 20_000;
/// Frames may come this much faster than is believed: the phones' 240 a second.
const FPS_SLACK: u64 = 2;
/// Packets of one stream that is no picture: 2.5 ms of Opus are 400 a second, TrueHD has 1200.
const PACKETS_PER_S_MAX: u64 = 2_400;
/// Packets that a file of any length may have.
const PACKETS_FREE: u64 = 200_000;

/// The limits that every input is held to.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// Longest input.
    pub duration_max: Duration,
    /// Most pixels a decoded frame may have.
    pub pixels_max: u64,
    /// Highest frame rate that is believed, frames a second.
    pub fps_max: u32,
    /// Most streams a file may have.
    pub streams_max: u32,
    /// Largest input, bytes; `None` for none.
    pub size_bytes_max: Option<u64>,
    /// Most threads that decoders and encoders of one job may use; `None` for one a core.
    pub threads_max: Option<u32>,
    /// Into how many segments a film may be split, each with an encoder of its own.
    pub split: Split,
    /// Whether the job's threads are walled in.
    pub confine: Confine,
    /// Into how many parts a finished file may be cut; the default is what an album holds.
    pub parts_max: u32,
}

impl Default for Limits {
    /// The defaults of the service: 4 h, 4096x2176 pixels, 120 fps, 16 streams.
    fn default() -> Self {
        Self {
            duration_max: Duration::from_secs(4 * 3600),
            pixels_max: 4096 * 2176,
            fps_max: 120,
            streams_max: 16,
            size_bytes_max: None,
            threads_max: None,
            split: Split::Auto,
            confine: Confine::Auto,
            parts_max: 10,
        }
    }
}

impl Limits {
    /// Most frames of a film of so many microseconds; what is beyond the longest input does not add to it.
    #[must_use]
    pub fn frames_max(&self, duration_us: u64) -> u64 {
        FRAMES_FREE + self.times_at(duration_us, FPS_SLACK * u64::from(self.fps_max))
    }

    /// Most packets of all streams of a file of so many microseconds.
    pub(super) fn packets_max(&self, duration_us: u64) -> u64 {
        let per_s = 2 * FPS_SLACK * u64::from(self.fps_max) + PACKETS_PER_S_MAX * u64::from(self.streams_max);
        PACKETS_FREE + self.times_at(duration_us, per_s)
    }

    /// Most pixels that are decoded of a film of so many microseconds.
    pub(super) fn decoded_pixels_max(&self, duration_us: u64) -> u64 {
        let frames = FRAMES_FREE / 2 + self.times_at(duration_us, u64::from(self.fps_max));
        frames.saturating_mul(self.pixels_max)
    }

    /// At so many a second, up to the longest input.
    fn times_at(&self, duration_us: u64, per_s: u64) -> u64 {
        let us = u128::from(duration_us).min(self.duration_max.as_micros());
        u64::try_from(us * u128::from(per_s) / 1_000_000).unwrap_or(u64::MAX)
    }
}
