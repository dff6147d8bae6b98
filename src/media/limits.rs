//! What an input may cost before it is refused. Every refusal names the value and the limit.

use std::time::Duration;

use super::confine::Confine;
use super::segment::Split;

/// The limits that every input is held to.
#[derive(Clone, Debug)]
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
        }
    }
}
