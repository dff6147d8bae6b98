//! How `fit:SIZE` divides its bytes: sound, container, and a picture small enough to be watched at what is left. Pure.
//!
//! What is planned here is a start: the engine measures the file and corrects the video's rate until it lies within 97
//! to 100 % of the size.

use super::video::within;
use super::{AudioWay, Draft, Rate, VideoEncode};
use crate::media::error::Refusal;
use crate::media::info::Audio;

/// Where between 97 and 100 % the first attempt aims.
pub(in crate::media) const AIM: f64 = 0.985;
/// Below this many bits a pixel x264 falls apart into blocks, above it people watch (seen on the natural samples).
const BITS_PER_PIXEL_WATCHABLE: f64 = 0.035;
/// The steps down: short edge in pixels and frames a second, largest first.
const STEPS: [(f64, f64); 8] = [
    (1920.0, 60.0),
    (1080.0, 60.0),
    (720.0, 60.0),
    (480.0, 60.0),
    (360.0, 30.0),
    (240.0, 30.0),
    (240.0, 15.0),
    (144.0, 12.0),
];
/// Bits a second for sound, best first, with channels; the last may take any share.
const SOUND: [(u64, u32); 5] = [(128_000, 2), (96_000, 2), (64_000, 2), (40_000, 1), (24_000, 1)];
/// Sound gets at most this share of the whole, if something dearer than the last step.
const SOUND_SHARE: f64 = 0.15;
/// Bytes of MP4 tables for each frame of video and of sound, and for the file.
const FRAME_BYTES: f64 = 14.0;
const SOUND_FRAME_BYTES: f64 = 6.0;
const FILE_BYTES: f64 = 2_000.0;

/// What a size is spent on.
pub(super) struct Budget {
    video_bps: u64,
    size: (u32, u32),
    fps_max: Option<u32>,
    audio: Option<(u64, u32)>,
}

/// More is never asked for, bits a second: it would buy nothing that can be seen at 1080 lines, and level 5.1, which is
/// promised, ends at 240 Mbit/s (H.264, table A-1).
pub(in crate::media) const RATE_BPS_MAX: u64 = 100_000_000;

/// Divides `size_bytes`; refuses where even the last step would not be watched.
pub(super) fn budget(
    draft: &Draft<'_>,
    size_bytes: u64,
    encode: &VideoEncode,
    audio: Option<&Audio>,
) -> Result<Budget, Refusal> {
    let duration_s = duration_s(draft);
    let picture = &encode.picture;
    let full = (f64::from(picture.width), f64::from(picture.height));
    let source_fps = encode.frame_rate.value().max(1.0);
    let rate_bps = |size_bytes: u64| size_bytes_f64(size_bytes) * AIM * 8.0 / duration_s;
    let sound = audio.map(|audio| sound(rate_bps(size_bytes), audio));
    let sound_bps = sound.map_or(0.0, |(bps, _)| precise(bps));
    // What must be spent besides pictures, bits a second.
    let overhead_bps = |fps: f64, sound: bool| {
        let sound_frames = if sound { 47.0 } else { 0.0 };
        8.0 * (fps * FRAME_BYTES + sound_frames * SOUND_FRAME_BYTES) + 8.0 * FILE_BYTES / duration_s
    };
    let mut floor_bps = f64::INFINITY;
    for (short, fps_max) in STEPS {
        let fps = source_fps.min(fps_max);
        let size = within(full, (f64::INFINITY, short), f64::INFINITY, 0.0);
        let left_bps = rate_bps(size_bytes) - sound_bps - overhead_bps(fps, sound.is_some());
        let watchable_bps = f64::from(size.0) * f64::from(size.1) * fps * BITS_PER_PIXEL_WATCHABLE;
        if left_bps >= watchable_bps {
            return Ok(Budget {
                video_bps: whole(left_bps).min(RATE_BPS_MAX),
                size,
                fps_max: (source_fps > fps_max + 0.5).then_some(whole32(fps_max)),
                audio: sound,
            });
        }
        let least_sound_bps = if sound.is_some() {
            precise(SOUND[SOUND.len() - 1].0)
        } else {
            0.0
        };
        floor_bps = floor_bps.min(watchable_bps + least_sound_bps + overhead_bps(fps, sound.is_some()));
    }
    Err(Refusal::SizeUnreachable {
        size_bytes,
        size_bytes_min: round_up(floor_bps * duration_s / 8.0 / AIM),
        duration_s: whole(duration_s.round().max(1.0)),
        // A second less than fits, for the tables.
        duration_s_max: whole((size_bytes_f64(size_bytes) * AIM * 8.0 / floor_bps - 1.0).max(0.0)),
    })
}

impl Budget {
    /// Puts the budget into the plan.
    pub(super) fn apply(
        self,
        encode: &mut VideoEncode,
        audio: &mut Option<(usize, AudioWay)>,
        reasons: &mut Vec<String>,
    ) {
        encode.rate = Rate::Bits { bps: self.video_bps };
        let picture = &mut encode.picture;
        if self.size != (picture.width, picture.height) {
            reasons.push(format!(
                "{}x{} instead of {}x{}, to be watchable in that size",
                self.size.0, self.size.1, picture.width, picture.height
            ));
            (picture.width, picture.height) = self.size;
            picture.scaled = self.size;
        }
        if let Some(fps) = self.fps_max {
            picture.fps_max = Some(picture.fps_max.map_or(fps, |already| already.min(fps)));
            encode.frame_rate.num = i32::try_from(fps * 1000).unwrap_or(i32::MAX);
            encode.frame_rate.den = 1000;
        }
        if let (
            Some((bps, most_channels)),
            Some((
                _,
                AudioWay::Encode {
                    channels, bit_rate_bps, ..
                },
            )),
        ) = (self.audio, audio)
        {
            *channels = (*channels).min(most_channels);
            *bit_rate_bps = bps;
        }
    }
}

/// The best sound that takes no more than its share.
fn sound(rate_bps: f64, audio: &Audio) -> (u64, u32) {
    let of_channels = |(bps, channels): (u64, u32)| {
        let channels = channels.min(audio.channels.max(1));
        // One channel needs a little over half of what two need.
        (if channels == 1 { bps.min(72_000) } else { bps }, channels)
    };
    SOUND
        .into_iter()
        .map(of_channels)
        .find(|&(bps, _)| precise(bps) <= rate_bps * SOUND_SHARE)
        .unwrap_or_else(|| of_channels(SOUND[SOUND.len() - 1]))
}

#[expect(clippy::cast_precision_loss, reason = "hours in microseconds are exact in 53 bits")]
fn duration_s(draft: &Draft<'_>) -> f64 {
    let (from_us, wanted_us) = draft.cut.map_or((0, None), |cut| (cut.from_us, cut.to_us));
    // A minute where nothing says how long: what comes out is measured.
    let to_us = [wanted_us, draft.info.duration_us]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(from_us + 60_000_000);
    ((to_us - from_us) as f64 / 1e6).max(0.04)
}

#[expect(clippy::cast_precision_loss, reason = "sizes and rates are far below 2^53")]
fn size_bytes_f64(bytes: u64) -> f64 {
    bytes as f64
}

#[expect(clippy::cast_precision_loss, reason = "rates are far below 2^53")]
fn precise(bps: u64) -> f64 {
    bps as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive and far below 2^63"
)]
fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "one of the steps"
)]
fn whole32(value: f64) -> u32 {
    value as u32
}

/// To two digits, so that it reads as a size to ask for.
fn round_up(bytes: f64) -> u64 {
    let step = 10_f64.powf((bytes.max(1.0).log10() - 1.0).floor().max(3.0));
    whole((bytes / step).ceil() * step)
}
