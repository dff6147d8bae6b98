//! Opens NVENC: for the proof and for jobs alike, so that what was proven is what is used.

use super::diagnosis::{Cause, diagnose};
use super::nvenc;
use crate::media::ffi::{self, AvError, Encoder, Frame, VideoTarget, log};
use crate::media::info::Rational;
use crate::media::plan::{Rate, VideoEncode};

/// Opens NVENC for frames like this one with as much as this build knows and the card takes.
///
/// # Errors
/// Of the plainest set, where the card refuses that too.
pub(in crate::media) fn encoder(way: &VideoEncode, like: &Frame, time_base: Rational) -> Result<Encoder, AvError> {
    let Some(name) = nvenc::encoder(way.codec) else {
        return Err(AvError::NOT_SUPPORTED);
    };
    let colour = way.picture.colour;
    let mut last = AvError::NOT_SUPPORTED;
    for mut options in nvenc::option_sets(way) {
        options.retain(|(option, value)| {
            let known = ffi::takes_option(name, option, value);
            if !known {
                tracing::debug!(encoder = name, option, %value, "this FFmpeg does not know the option");
            }
            known
        });
        let target = VideoTarget {
            codec: name,
            options,
            bit_rate_bps: match way.rate {
                Rate::Bits { bps } => Some(bps),
                Rate::Quality { .. } => None,
            },
            pass: None,
            frame_rate: way.frame_rate,
            gop: way.gop,
            threads: 1,
            matrix: colour.matrix,
            transfer: colour.transfer,
            primaries: colour.primaries,
        };
        let mark = log::mark();
        match Encoder::open_video(&target, like, time_base, colour.full_range) {
            Ok(encoder) => return Ok(encoder),
            Err(error) => {
                last = error;
                // The card refused one of the settings, rather than to work at all: less may do.
                let asked_too_much = matches!(
                    diagnose(&log::since(mark)),
                    Some(Cause::EncodeOption { .. } | Cause::EncodeSettings)
                );
                if !asked_too_much {
                    break;
                }
                tracing::debug!(encoder = name, %error, "the card has less than was asked for");
            }
        }
    }
    Err(last)
}
