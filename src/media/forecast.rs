//! What a conversion would do and how long it would take, before anybody asked for it: from the plan itself, and from how
//! long others took in this process.
//!
//! The seeds were measured with `kadr convert --device cpu` on two cores of 2026: 280 frames of 1280x720 (VP9 and H.264),
//! 58 of 1920x1080 (MPEG-2) and 557 of 1024x768 (VP8), each preset once. GPUs begin with the same figures, for none was at
//! hand; the first conversion there corrects them.

use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};
use std::sync::{Mutex, PoisonError};

use super::device::Caps;
use super::error::Refusal;
use super::info::MediaInfo;
use super::plan::{Plan, Rate, VideoEncode, plan};
use super::preset::{Preset, VideoCodec};
use super::recipe::Recipe;
use super::report::{Action, Report};

/// Decoding, filters and the rest of the line, seconds a megapixel of the source: to x264 as 2.05 ms of one core (H.264 and
/// a scaler, seven samples) are to 18, for threads are divided by it.
const DECODE_S: f64 = 0.0032;
/// Opening, probing, verifying, the thumbnail: seconds.
const BASE_S: f64 = 0.4;
/// Copying, bytes a second.
const COPY_BPS: f64 = 150e6;
/// Encoding sound, of its duration.
const SOUND_SHARE: f64 = 0.012;
/// Two passes take so much longer than one.
const PASSES: f64 = 1.7;
/// How much the newest conversion counts.
const WEIGHT: f64 = 0.3;
/// A conversion shorter than this says nothing about the pace, seconds.
const LEARNT_FROM_S: f64 = 0.5;

/// What would be done.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Forecast {
    /// The picture.
    pub video: Action,
    /// The sound.
    pub audio: Action,
    /// How long it would take, seconds.
    pub about_s: f64,
}

/// How conversions went in this process, against what was expected of them: one factor for each preset and kind of device.
#[derive(Debug, Default)]
pub struct Experience(Mutex<HashMap<(Discriminant<Preset>, bool), f64>>);

impl Experience {
    /// Takes in how long a conversion took.
    pub fn learn(&self, recipe: &Recipe, report: &Report) {
        if report.video != Action::Encode || report.expected_s < LEARNT_FROM_S || report.wall_s <= 0.0 {
            return;
        }
        let key = (discriminant(&recipe.preset), report.device.contains("cuda"));
        let took = (report.wall_s / report.expected_s).clamp(0.02, 50.0);
        let mut factors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let factor = factors.entry(key).or_insert(took);
        *factor += (took - *factor) * WEIGHT;
    }

    /// A forecast that knew nothing of this process, with what was learnt here. `learnt` is what [`rough`] gave.
    #[must_use]
    pub fn correct(&self, recipe: &Recipe, (forecast, learnt): (Forecast, Option<bool>)) -> Forecast {
        Forecast {
            about_s: forecast.about_s * learnt.map_or(1.0, |on_gpu| self.factor(recipe, on_gpu)),
            ..forecast
        }
    }

    fn factor(&self, recipe: &Recipe, on_gpu: bool) -> f64 {
        let factors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        factors
            .get(&(discriminant(&recipe.preset), on_gpu))
            .copied()
            .unwrap_or(1.0)
    }
}

/// What a recipe would do with a file on this machine.
///
/// # Errors
/// As [`plan`]: why it would not be done.
pub fn forecast(info: &MediaInfo, recipe: &Recipe, caps: &Caps, experience: &Experience) -> Result<Forecast, Refusal> {
    Ok(experience.correct(recipe, rough(info, recipe, caps)?))
}

/// The same without experience; and, where something is encoded, whether a GPU would do it.
///
/// # Errors
/// As [`plan`].
pub fn rough(info: &MediaInfo, recipe: &Recipe, caps: &Caps) -> Result<(Forecast, Option<bool>), Refusal> {
    let ways = plan(info, recipe, caps)?;
    let way = &ways[0];
    let forecast = Forecast {
        video: way.video_action(),
        audio: way.audio_action(),
        about_s: expected_s(way, info),
    };
    Ok((forecast, way.encode().map(|_| way.rung.encodes_on_gpu())))
}

/// How long a way would take on the machine that the seeds come from, seconds.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub(super) fn expected_s(way: &Plan, info: &MediaInfo) -> f64 {
    let duration_s = way.duration_us(info).map_or(0.0, |us| us.max(0) as f64 / 1e6);
    let whole_s = info.duration_us.map_or(duration_s, |us| us.max(1) as f64 / 1e6);
    let share = if whole_s > 0.0 {
        (duration_s / whole_s).min(1.0)
    } else {
        1.0
    };
    let sound_s = match way.audio_action() {
        Action::Encode => duration_s * SOUND_SHARE,
        Action::Copy | Action::None => 0.0,
    };
    let copied_s = info.size_bytes as f64 * share / COPY_BPS;
    BASE_S + copied_s + sound_s + way.encode().map_or(0.0, |encode| pictures_s(encode, info, duration_s))
}

/// How much of the work on pictures is done before the encoder, 0..=1, one pass of it.
pub(super) fn share_before_encoder(encode: &VideoEncode, info: &MediaInfo) -> f64 {
    let (decode_s, encode_s) = stages_s(encode, info, 1.0);
    if decode_s > 0.0 {
        decode_s / (decode_s + encode_s)
    } else {
        0.0
    }
}

fn pictures_s(encode: &VideoEncode, info: &MediaInfo, duration_s: f64) -> f64 {
    let passes = match encode.rate {
        Rate::Quality { .. } => 1.0,
        Rate::Bits { .. } => PASSES,
    };
    let (decode_s, encode_s) = stages_s(encode, info, duration_s);
    passes * (decode_s + encode_s)
}

/// What comes before the encoder, and the encoder; seconds.
fn stages_s(encode: &VideoEncode, info: &MediaInfo, duration_s: f64) -> (f64, f64) {
    let Some(video) = info.video() else { return (0.0, 0.0) };
    let fps = if video.fps > 0.0 { video.fps } else { 25.0 };
    let out_fps = encode.picture.fps_max.map_or(fps, |most| fps.min(f64::from(most)));
    let megapixels = |width: u32, height: u32, fps: f64| f64::from(width) * f64::from(height) * fps * duration_s / 1e6;
    let encode_s = match (encode.codec, encode.speed) {
        (VideoCodec::H264, "slow" | "slower" | "veryslow") => 0.045,
        (VideoCodec::H264, _) => 0.028,
        (VideoCodec::Hevc, _) => 0.08,
        (VideoCodec::Av1, _) => 0.06,
        (VideoCodec::Vp9, _) => 0.28,
    };
    let out = megapixels(encode.picture.width, encode.picture.height, out_fps);
    (megapixels(video.width, video.height, fps) * DECODE_S, out * encode_s)
}
