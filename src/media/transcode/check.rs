//! Copied video is decoded on the side, as much of it as is cheap: packets that do not decode are not worth copying.
//!
//! Nothing but a decoder finds bits that flipped within a picture. Small files are decoded whole; of larger ones whole
//! runs from one IDR picture to the next, spread over the film, until the budget is spent.

use crate::media::error::MediaError;
use crate::media::ffi::{AvError, Decoder, Packet, StreamParams};
use crate::media::info::MediaInfo;
use crate::media::limits::Limits;
use crate::media::nal::Header;

use super::engine;

/// Decoding H.264 takes about a second for 300 million pixels on one core; half a second is spent at most.
const PIXELS_MAX: f64 = 150e6;

/// Decodes some of the packets that pass.
pub(super) struct Check {
    decoder: Decoder,
    params: StreamParams,
    /// Share of the film that the budget pays for, 0..=1.
    share: f64,
    pixels: f64,
    seen: f64,
    checked: f64,
    active: bool,
}

impl Check {
    pub(super) fn new(params: &StreamParams, info: &MediaInfo, limits: &Limits) -> Result<Self, MediaError> {
        let params = params.copy().map_err(engine("read the stream's parameters"))?;
        let decoder = Decoder::open(&params, limits, 0, false).map_err(engine("open the decoder"))?;
        let (pixels, frames) = info.video().map_or((0.0, 0.0), |video| {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let duration_s = info.duration_us.unwrap_or(0) as f64 / 1e6;
            (f64::from(video.width) * f64::from(video.height), duration_s * video.fps)
        });
        Ok(Self {
            decoder,
            params,
            share: (PIXELS_MAX / (pixels * frames).max(1.0)).min(1.0),
            pixels,
            seen: 0.0,
            checked: 0.0,
            active: true,
        })
    }

    /// Whether the packet, if it was looked at, decodes. Pictures come out late, so a fault may be told some packets on.
    pub(super) fn passes(&mut self, packet: &Packet, header: &Header, limits: &Limits) -> Result<bool, MediaError> {
        self.seen += self.pixels;
        if header.starts_anew(packet.bytes()) {
            let wanted = self.share >= 1.0 || self.checked <= self.seen * self.share;
            if wanted && !self.active {
                self.decoder = Decoder::open(&self.params, limits, 0, false).map_err(engine("open the decoder"))?;
            } else if !wanted && self.active && !self.ends() {
                return Ok(false);
            }
            self.active = wanted;
        }
        if !self.active {
            return Ok(true);
        }
        self.checked += self.pixels;
        match self.decoder.send(Some(packet)) {
            Ok(()) | Err(AvError::AGAIN) => Ok(self.drain()),
            Err(_) => Ok(false),
        }
    }

    /// Whether what is still in the decoder is whole.
    pub(super) fn ends(&mut self) -> bool {
        if !self.active {
            return true;
        }
        self.active = false;
        match self.decoder.send(None) {
            Ok(()) | Err(AvError::EOF) => self.drain(),
            Err(_) => false,
        }
    }

    fn drain(&mut self) -> bool {
        loop {
            match self.decoder.receive() {
                Ok(frame) if frame.is_corrupt() => return false,
                Ok(_) => {}
                Err(AvError::AGAIN | AvError::EOF) => return true,
                Err(_) => return false,
            }
        }
    }
}
