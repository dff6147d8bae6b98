//! What a container's headers claim, held against the file's size and the limits before libav sees it. Pure over `Read`
//! and `Seek`.
//!
//! libav believes an index before it has read it: 750 bytes that claim 67 million samples cost gigabytes. The walk reads
//! headers and counts, no media, and allocates nothing but its window, whatever a length field says.
//! It refuses what is out of all proportion and nothing else: a box that is longer than its parent, a file that is cut
//! off and a table that is a little short are libav's business, for real files have them. It walks as libav does (a known
//! box counts wherever it stands), or a bomb would hide where only one of the two looks.
//! Absent on purpose: MP4 headers that are themselves compressed (`cmov`), which `av_max_alloc` alone bounds.

mod matroska;
mod mp4;
mod window;

use std::io::{Read, Seek};

use self::window::{Halt, Window};
use super::error::Refusal;
use super::limits::Limits;

/// Entries that any file may claim: more cost memory, and must be paid for in bytes of the file.
const CLAIM_FREE: u64 = 100_000;

/// What a walk cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Bytes that were read, at most 256 MiB.
    pub bytes_read: u64,
    /// Boxes or elements that were looked at, at most 600 000.
    pub boxes: u64,
}

/// Walks MP4's boxes or Matroska's elements. What is neither, and what cannot be read, is left to libav.
///
/// # Errors
/// [`Refusal::TooManyStreams`], [`Refusal::TooManyPixels`] where no picture is within the limit,
/// [`Refusal::TooManyFrames`] and, for everything that would only cost memory, [`Refusal::OverLimit`].
pub fn check(input: &mut (impl Read + Seek), limits: &Limits) -> Result<Cost, Refusal> {
    let Ok(mut window) = Window::over(input) else {
        return Ok(Cost::default());
    };
    let outcome = match window.bytes::<4>(0) {
        Ok(matroska::MAGIC) => matroska::walk(&mut window, limits),
        // libav looks for a `moov` behind boxes of any name, so whatever is no Matroska is walked.
        Ok(_) => mp4::walk(&mut window, limits),
        Err(halt) => Err(halt),
    };
    match outcome {
        Err(Halt::Refused(refusal)) => Err(refusal),
        Ok(()) | Err(Halt::Ended) => Ok(window.cost()),
    }
}

fn over(what: String) -> Halt {
    Halt::Refused(Refusal::OverLimit { what })
}

/// The first picture's size where all are over the limit. A still of many pixels beside a film is left to the decoder's
/// own limit.
fn check_pixels(sizes: &[(u32, u32)], limits: &Limits) -> Result<(), Halt> {
    let is_over = |&(width, height): &(u32, u32)| u64::from(width) * u64::from(height) > limits.pixels_max;
    match sizes.first() {
        Some(&(width, height)) if sizes.iter().all(is_over) => Err(Halt::Refused(Refusal::TooManyPixels {
            width,
            height,
            limit_px: limits.pixels_max,
        })),
        _ => Ok(()),
    }
}
