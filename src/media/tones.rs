//! Frames that come out of the filters, and what becomes of their colours.

use super::ffi::{AvError, Frame};
use super::plan::Picture;
use super::tone::{Narrow, Source, ToneMap, Wide};

/// What follows the filters: nothing, or the way down to BT.709.
pub(super) enum Tones {
    AsTheyAre,
    Mapped(Box<ToneMap>),
}

impl Tones {
    pub(super) fn of(picture: &Picture) -> Self {
        if picture.to_bt709 {
            Self::Mapped(Box::new(ToneMap::new(Source {
                colour: picture.source,
                peak_nits: picture.peak_nits,
            })))
        } else {
            Self::AsTheyAre
        }
    }

    pub(super) fn pass(&self, frame: Frame) -> Result<Frame, AvError> {
        let Self::Mapped(map) = self else { return Ok(frame) };
        let mut mapped = Frame::yuv420p_like(&frame)?;
        let (width, height) = frame.size();
        let from = frame.wide_planes().map(|(samples, stride)| Wide { samples, stride });
        let to = mapped
            .narrow_planes()
            .map(|(samples, stride)| Narrow { samples, stride });
        map.apply(from, to, width, height);
        Ok(mapped)
    }
}
