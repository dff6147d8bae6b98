//! What a source was, in the words of people: the part of a [`MediaInfo`] that is kept after a job, for answers in chat.
//! Plain data without names or tags.

use serde::{Deserialize, Serialize};

use super::info::{Kind, MediaInfo, Stream, Video};

/// A file that the engine looked into.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// The container by the name that people know: `Matroska`.
    pub container: String,
    /// Seconds, where they are known.
    pub duration_s: Option<f64>,
    /// The moving picture.
    pub picture: Option<Picture>,
    /// The sound tracks, in order: the first is `track:1`.
    pub sounds: Vec<Sound>,
    /// Subtitle tracks.
    pub subtitles: u32,
}

/// A moving picture, standing upright and with square pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// Codec, profile and level: `H.264 High 4.0`.
    pub title: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames a second; 0 where unknown.
    pub fps: f64,
    /// Bits a sample.
    pub bits: u8,
    /// Whether its dynamic range is high.
    pub hdr: bool,
    /// Whether it says that it is interlaced.
    pub interlaced: bool,
}

/// A sound track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sound {
    /// Codec: `AAC-LC`.
    pub title: String,
    /// How many.
    pub channels: u32,
    /// Hertz.
    pub sample_rate: u32,
    /// ISO 639-2 code, where the container says one.
    pub language: Option<String>,
}

impl From<&MediaInfo> for Look {
    #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
    fn from(info: &MediaInfo) -> Self {
        let subtitles = info.streams.iter().filter(|stream| stream.kind == Kind::Subtitle);
        Self {
            container: container_title(&info.container).to_owned(),
            duration_s: info.duration_us.map(|duration_us| duration_us as f64 / 1e6),
            picture: info.video().map(picture),
            sounds: info.streams.iter().filter_map(sound).collect(),
            subtitles: u32::try_from(subtitles.count()).unwrap_or(u32::MAX),
        }
    }
}

fn picture(video: &Video) -> Picture {
    let square = match video.sar.value() {
        ratio if ratio > 0.0 => f64::from(video.width) * ratio,
        _ => f64::from(video.width),
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size in pixels"
    )]
    let sides = (square.round() as u32, video.height);
    let (width, height) = if video.orientation.swaps_sides() {
        (sides.1, sides.0)
    } else {
        sides
    };
    Picture {
        title: video.title(),
        width,
        height,
        fps: video.fps,
        bits: video.bits,
        hdr: video.colour.is_hdr() || video.dolby_vision.is_some(),
        interlaced: video.interlaced,
    }
}

fn sound(stream: &Stream) -> Option<Sound> {
    let Kind::Audio(audio) = &stream.kind else { return None };
    Some(Sound {
        title: audio.title(),
        channels: audio.channels,
        sample_rate: audio.sample_rate,
        language: stream.language.clone().filter(|language| language != "und"),
    })
}

/// The name that people know a container by; libav's first one where it is that.
fn container_title(names: &str) -> &str {
    let first = names.split(',').next().unwrap_or_default();
    match first {
        "mov" => "MP4",
        "matroska" => "Matroska",
        "mpegts" => "MPEG-TS",
        "mpeg" => "MPEG-PS",
        "avi" => "AVI",
        "asf" => "WMV",
        "flv" => "FLV",
        "ogg" => "Ogg",
        "gif" => "GIF",
        "mp3" => "MP3",
        "wav" => "WAV",
        "flac" => "FLAC",
        first => first,
    }
}
