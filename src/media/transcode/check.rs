//! What is copied is decoded on the side, as much of it as is cheap: packets that do not decode are not worth copying.
//!
//! Nothing but a decoder finds bits that flipped within a picture or a sound. Small files are decoded whole; of the
//! pictures of larger ones whole runs from one IDR picture to the next, spread over the film, until the budget is spent,
//! of the sound a run in so many, and all that follows a fault. A film with a faulty picture is encoded; a faulty packet
//! of sound stays out of the copy, as it would stay unheard.

use crate::media::error::MediaError;
use crate::media::ffi::{AvError, Decoder, Packet, StreamParams};
use crate::media::info::MediaInfo;
use crate::media::limits::Limits;
use crate::media::nal::Header;

use super::engine;

/// Decoding H.264 takes about a second for 300 million pixels on one core; half a second is spent at most.
const PIXELS_MAX: f64 = 150e6;

/// Up to here threads take longer to begin than they save.
const PIXELS_ALONE_MAX: f64 = 3e6;

/// Decoding AAC takes about a second for 900 s of sound on one core: half a second is spent where nothing is encoded.
const SOUND_S_MAX: f64 = 450.0;
/// Packets of sound that are looked at together.
const RUN: u32 = 256;
/// Packets that a decoder may need before it speaks truth, after those before were skipped: layer III looks back.
const SETTLING: u32 = 4;

/// Decodes some of the pictures that pass.
pub(super) struct Check {
    decoder: Decoder,
    params: StreamParams,
    threads: u32,
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
        let (pixels, frames) = info.video().map_or((0.0, 0.0), |video| {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let duration_s = info.duration_us.unwrap_or(0) as f64 / 1e6;
            (f64::from(video.width) * f64::from(video.height), duration_s * video.fps)
        });
        let threads = u32::from(frames > 0.0 && pixels * frames <= PIXELS_ALONE_MAX);
        let decoder = Decoder::open(&params, limits, threads, false).map_err(engine("open the decoder"))?;
        Ok(Self {
            decoder,
            params,
            threads,
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
                let decoder = Decoder::open(&self.params, limits, self.threads, false);
                self.decoder = decoder.map_err(engine("open the decoder"))?;
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
        drain(&mut self.decoder)
    }
}

/// Decodes some of the sound that passes.
pub(super) struct SoundCheck {
    decoder: Decoder,
    params: StreamParams,
    /// Of so many runs one is looked at.
    one_in: u32,
    packets: u32,
    active: bool,
    settling: u32,
}

impl SoundCheck {
    /// `whole` where a decoder of pictures takes far longer anyway.
    pub(super) fn new(
        params: &StreamParams,
        info: &MediaInfo,
        limits: &Limits,
        whole: bool,
    ) -> Result<Self, MediaError> {
        let params = params.copy().map_err(engine("read the stream's parameters"))?;
        let decoder = Decoder::open(&params, limits, 1, false).map_err(engine("open the decoder"))?;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let duration_s = info.duration_us.unwrap_or(0) as f64 / 1e6;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small positive number, saturating"
        )]
        let one_in = if whole {
            1
        } else {
            (duration_s / SOUND_S_MAX).ceil().max(1.0) as u32
        };
        Ok(Self {
            decoder,
            params,
            one_in,
            packets: 0,
            active: true,
            settling: 0,
        })
    }

    /// Whether the packet, if it was looked at, decodes.
    pub(super) fn passes(&mut self, packet: &Packet, limits: &Limits) -> Result<bool, MediaError> {
        if self.packets.is_multiple_of(RUN) {
            let wanted = (self.packets / RUN).is_multiple_of(self.one_in);
            if wanted && !self.active {
                self.decoder = Decoder::open(&self.params, limits, 1, false).map_err(engine("open the decoder"))?;
                self.settling = SETTLING;
            }
            self.active = wanted;
        }
        self.packets = self.packets.wrapping_add(1);
        if !self.active {
            return Ok(true);
        }
        let whole = match self.decoder.send(Some(packet)) {
            Ok(()) | Err(AvError::AGAIN) => drain(&mut self.decoder),
            Err(_) => false,
        };
        if self.settling > 0 {
            self.settling -= 1;
            return Ok(true);
        }
        if !whole {
            self.one_in = 1;
        }
        Ok(whole)
    }
}

/// Takes what the decoder has; whether all of it is whole.
fn drain(decoder: &mut Decoder) -> bool {
    loop {
        match decoder.receive() {
            Ok(frame) if frame.is_corrupt() => return false,
            Ok(_) => {}
            Err(AvError::AGAIN | AvError::EOF) => return true,
            Err(_) => return false,
        }
    }
}
