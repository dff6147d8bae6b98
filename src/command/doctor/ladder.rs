//! What each preset would take on a machine: the plan of an everyday film, shown rung by rung. Pure.

use std::fmt::Write;

use crate::media::info::{Audio, Colour, Kind, MediaInfo, Orientation, Rational, Stream, Video};
use crate::media::plan::Rung;
use crate::media::{Caps, Preset, plan};

/// The ways of one preset, best first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    /// Which.
    pub preset: Preset,
    /// Its rungs, or why it cannot be had here.
    pub rungs: Result<Vec<Rung>, String>,
}

/// One ladder a preset, in the order in which presets are explained.
#[must_use]
pub fn ladders(caps: &Caps) -> Vec<Ladder> {
    Preset::EACH
        .iter()
        .map(|&preset| {
            // A film that the preset would copy shows nothing of the machine.
            let codec = if preset == Preset::Hevc { "h264" } else { "hevc" };
            let rungs = plan(&film(codec), &preset.into(), caps)
                .map(|ways| ways.iter().map(|way| way.rung).collect())
                .map_err(|refusal| refusal.to_string());
            Ladder { preset, rungs }
        })
        .collect()
}

/// A rung in words.
#[must_use]
pub fn rung_words(rung: Rung) -> String {
    match rung {
        Rung::None => "copied".to_owned(),
        Rung::Cuda { gpu } => format!("GPU {gpu} decodes, filters and encodes"),
        Rung::Upload { gpu } => format!("GPU {gpu} encodes"),
        Rung::Hybrid { gpu } => format!("GPU {gpu} decodes and scales"),
        Rung::Cpu => "CPU".to_owned(),
    }
}

/// A ladder in words.
#[must_use]
pub fn words(rungs: &[Rung]) -> String {
    let mut words = String::new();
    for (position, &rung) in rungs.iter().enumerate() {
        let before = if position > 0 { "; else " } else { "" };
        let _ = write!(words, "{before}{}", rung_words(rung));
    }
    words
}

/// Ten minutes of 1920x1080 at 25 fps, 8-bit 4:2:0, with AAC stereo, in Matroska.
fn film(codec: &str) -> MediaInfo {
    let video = Video {
        codec: codec.to_owned(),
        profile: if codec == "hevc" { "Main" } else { "High" }.to_owned(),
        level: if codec == "hevc" { 120 } else { 40 },
        width: 1920,
        height: 1080,
        sar: Rational { num: 1, den: 1 },
        orientation: Orientation::Upright,
        fps: 25.0,
        pixel_format: "yuv420p".to_owned(),
        bits: 8,
        chroma_420: true,
        alpha: false,
        alpha_side_stream: false,
        rgb: false,
        colour: Colour::BT709,
        colour_range_said: true,
        maybe_interlaced: false,
        interlaced: false,
        peak_nits: None,
        dolby_vision: None,
        frames: 15_000,
        starts_on_key: true,
        has_pts: true,
    };
    let audio = Audio {
        codec: "aac".to_owned(),
        profile: "LC".to_owned(),
        sample_rate: 48_000,
        channels: 2,
        bit_rate_bps: 128_000,
    };
    let stream = |index, codec: &str, kind| Stream {
        index,
        codec: codec.to_owned(),
        kind,
        default: true,
        decodable: true,
        language: None,
        start_us: 0,
    };
    MediaInfo {
        container: "matroska,webm".to_owned(),
        size_bytes: 300_000_000,
        duration_us: Some(600_000_000),
        discontinuous: false,
        late_streams: false,
        streams: vec![
            stream(0, codec, Kind::Video(video)),
            stream(1, "aac", Kind::Audio(audio)),
        ],
        video: Some(0),
        audio: Some(1),
    }
}
