//! (MediaInfo, Preset, Caps) -> ways to do it, best first, each with its reasons. Pure.
//!
//! Copy before convert: each stream that already meets the preset's contract is copied on its own. The CPU way is last
//! and always there. A `Plan` is data; `transcode` does what it says, `verify` holds the output against it.

use std::fmt;

use super::device::Caps;
use super::error::Refusal;
use super::info::{Audio, Colour, Kind, MediaInfo, Orientation, Rational, Video};
use super::preset::Preset;
use super::report::{Action, Mode, Warning};

/// Long edge of a `play` output, pixels.
const EDGE_MAX: u32 = 1920;
/// Short edge of a `small` output, pixels.
const SMALL_EDGE_MAX: u32 = 720;
/// Highest frame rate of an output, frames a second, and the tolerance for 60000/1001 and its like.
const FPS_MAX: u32 = 60;
const FPS_SLACK: f64 = 0.5;
/// H.264 level 5.1, ten times.
const LEVEL_MAX: i32 = 51;

/// Which engine does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// Nothing is decoded.
    None,
    /// Everything on the GPU: NVDEC, CUDA filters, NVENC.
    Cuda {
        /// CUDA ordinal.
        gpu: u32,
    },
    /// Decoded in software, uploaded, NVENC.
    Upload {
        /// CUDA ordinal.
        gpu: u32,
    },
    /// NVDEC and scaling on the GPU, encoded on the CPU.
    Hybrid {
        /// CUDA ordinal.
        gpu: u32,
    },
    /// Everything on the CPU.
    Cpu,
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "none"),
            Self::Cuda { gpu } | Self::Upload { gpu } => write!(f, "cuda:{gpu}"),
            Self::Hybrid { gpu } => write!(f, "hybrid:{gpu}"),
            Self::Cpu => write!(f, "cpu"),
        }
    }
}

/// What happens to the pictures between decoder and encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Upright output size, pixels, even.
    pub width: u32,
    /// Upright output size, pixels, even.
    pub height: u32,
    /// How they are turned, after scaling.
    pub orientation: Orientation,
    /// Deinterlace the frames that are flagged.
    pub deinterlace: bool,
    /// Map high dynamic range, or wide colour, to BT.709.
    pub to_bt709: bool,
    /// Composite on black.
    pub alpha: bool,
    /// Whether that alpha is a second stream, which only one decoder reads.
    pub alpha_side_stream: bool,
    /// Frames a second are held to this.
    pub fps_max: Option<u32>,
    /// Colour of the source, completed where it was not tagged.
    pub source: Colour,
    /// Colour of the output; its tags.
    pub colour: Colour,
}

/// What becomes of the video stream.
#[derive(Clone, Debug, PartialEq)]
pub enum VideoWay {
    /// Copied.
    Copy,
    /// Encoded to H.264.
    Encode {
        /// The pictures.
        picture: Picture,
        /// x264's constant rate factor.
        crf: u8,
        /// x264's speed preset.
        speed: &'static str,
        /// Key frames are at most so many frames apart.
        gop: u32,
        /// For rate control and the last frame's duration.
        frame_rate: Rational,
    },
}

/// What becomes of the audio stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioWay {
    /// Copied.
    Copy,
    /// Encoded to AAC-LC.
    Encode {
        /// Hertz.
        sample_rate: u32,
        /// 1 or 2.
        channels: u32,
        /// Bits a second.
        bit_rate_bps: u64,
    },
}

/// The file that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// MP4.
    Mp4,
    /// MP4 for sound alone, with the brand `M4A `.
    M4a,
}

/// One way to make the output.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Which engine.
    pub rung: Rung,
    /// The file.
    pub container: Container,
    /// Stream of the input and what becomes of it.
    pub video: Option<(usize, VideoWay)>,
    /// Stream of the input and what becomes of it.
    pub audio: Option<(usize, AudioWay)>,
    /// Why it is this way, in words.
    pub reasons: Vec<String>,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

impl Plan {
    /// How much is copied.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match (self.video_action(), self.audio_action()) {
            (Action::Encode, Action::Copy) | (Action::Copy, Action::Encode) => Mode::Partial,
            (Action::Encode, _) | (_, Action::Encode) => Mode::Transcode,
            _ => Mode::Remux,
        }
    }

    /// What happens to the video stream.
    #[must_use]
    pub fn video_action(&self) -> Action {
        match &self.video {
            None => Action::None,
            Some((_, VideoWay::Copy)) => Action::Copy,
            Some((_, VideoWay::Encode { .. })) => Action::Encode,
        }
    }

    /// What happens to the audio stream.
    #[must_use]
    pub fn audio_action(&self) -> Action {
        match &self.audio {
            None => Action::None,
            Some((_, AudioWay::Copy)) => Action::Copy,
            Some((_, AudioWay::Encode { .. })) => Action::Encode,
        }
    }
}

/// The ways, best first, the CPU last, never empty.
///
/// # Errors
/// [`Refusal::NoStream`] where the preset wants a stream that the file does not have.
pub fn plan(info: &MediaInfo, preset: Preset, _caps: &Caps) -> Result<Vec<Plan>, Refusal> {
    let mut reasons = Vec::new();
    let video = match preset {
        Preset::Audio => None,
        Preset::Play | Preset::Small => info.video.zip(info.video()),
    };
    let video = video.map(|(index, video)| (index, video_way(info, video, preset, &mut reasons)));
    let audio = info
        .audio
        .zip(info.audio())
        .map(|(index, audio)| (index, audio_way(audio, preset, &mut reasons)));
    if preset == Preset::Audio && audio.is_none() {
        return Err(Refusal::NoStream {
            wanted: "audio".to_owned(),
        });
    }
    let copied =
        !matches!(video, Some((_, VideoWay::Encode { .. }))) && !matches!(audio, Some((_, AudioWay::Encode { .. })));
    let mut warnings = dropped(info, video.is_some(), audio.is_some());
    if let Some((_, VideoWay::Encode { picture, .. })) = &video
        && picture.source.is_hdr()
    {
        warnings.push(Warning::ToneMapped);
    }
    Ok(vec![Plan {
        rung: if copied { Rung::None } else { Rung::Cpu },
        container: if preset == Preset::Audio {
            Container::M4a
        } else {
            Container::Mp4
        },
        video,
        audio,
        reasons,
        warnings,
    }])
}

fn video_way(info: &MediaInfo, video: &Video, preset: Preset, reasons: &mut Vec<String>) -> VideoWay {
    let obstacle = if preset == Preset::Small {
        Some("a smaller file was asked for".to_owned())
    } else {
        why_not_copied(info, video)
    };
    match obstacle {
        None => {
            let level = f64::from(video.level) / 10.0;
            reasons.push(format!("video copied: H.264 {} {level:.1}, 8-bit 4:2:0", video.profile));
            VideoWay::Copy
        }
        Some(obstacle) => {
            reasons.push(format!("video encoded: {obstacle}"));
            encode(video, preset)
        }
    }
}

/// The first thing that keeps a video stream from being copied into a `play` output.
fn why_not_copied(info: &MediaInfo, video: &Video) -> Option<String> {
    let square = video.sar.num <= 0 || video.sar.num == video.sar.den;
    let obstacle = if video.codec != "h264" {
        format!("{} does not play everywhere", video.codec)
    } else if !matches!(
        video.profile.as_str(),
        "Baseline" | "Constrained Baseline" | "Main" | "High"
    ) {
        format!("H.264 {} does not play everywhere", video.profile)
    } else if video.bits != 8 || !video.chroma_420 {
        format!("{} is not 8-bit 4:2:0", video.pixel_format)
    } else if video.level > LEVEL_MAX {
        format!("level {:.1} is above 5.1", f64::from(video.level) / 10.0)
    } else if video.colour.is_hdr() || video.dolby_vision.is_some() {
        "high dynamic range looks washed out on most screens".to_owned()
    } else if video.interlaced {
        "it is interlaced".to_owned()
    } else if !square {
        format!("its pixels are not square ({}:{})", video.sar.num, video.sar.den)
    } else if video.colour.full_range {
        "it uses the full range, which many players show wrong".to_owned()
    } else if video.width.max(video.height) > EDGE_MAX {
        format!("{}x{} is larger than {EDGE_MAX} pixels", video.width, video.height)
    } else if video.width % 2 == 1 || video.height % 2 == 1 {
        format!("{}x{} is not an even size", video.width, video.height)
    } else if video.fps > f64::from(FPS_MAX) + FPS_SLACK {
        format!("{:.0} fps is more than {FPS_MAX}", video.fps)
    } else if info.is_container(&["avi"]) || !video.has_pts {
        "its container has no presentation times".to_owned()
    } else if !video.starts_on_key {
        "it does not start on a key frame".to_owned()
    } else {
        return None;
    };
    Some(obstacle)
}

fn encode(video: &Video, preset: Preset) -> VideoWay {
    let source = complete(video);
    let to_bt709 = source.is_hdr() || source.is_wide();
    let (width, height) = output_size(video, preset);
    let fps_max = (video.fps > f64::from(FPS_MAX) + FPS_SLACK).then_some(FPS_MAX);
    let fps = if video.fps > 0.0 {
        video.fps.min(f64::from(FPS_MAX))
    } else {
        25.0
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and 300"
    )]
    let gop = (fps * 5.0).round().clamp(24.0, 300.0) as u32;
    #[expect(clippy::cast_possible_truncation, reason = "at most 60000")]
    let frame_rate = Rational {
        num: (fps * 1000.0).round().max(1.0) as i32,
        den: 1000,
    };
    let (crf, speed) = match preset {
        Preset::Small => (27, "faster"),
        Preset::Play | Preset::Audio => (21, "veryfast"),
    };
    VideoWay::Encode {
        picture: Picture {
            width,
            height,
            orientation: video.orientation,
            deinterlace: video.maybe_interlaced,
            to_bt709,
            alpha: video.alpha,
            alpha_side_stream: video.alpha_side_stream,
            fps_max,
            source,
            colour: Colour {
                full_range: false,
                ..if to_bt709 || video.rgb { Colour::BT709 } else { source }
            },
        },
        crf,
        speed,
        gop,
        frame_rate,
    }
}

/// Colour as tagged, or as players assume by the size: BT.709 from 720 lines or 1280 columns on, else BT.601.
fn complete(video: &Video) -> Colour {
    let hd = video.width >= 1280 || video.height >= 720;
    let sd_matrix = if video.height == 576 { 5 } else { 6 };
    let tagged = video.colour;
    let matrix = match tagged.matrix {
        1 | 4..=7 | 9 | 10 => tagged.matrix,
        _ if tagged.is_hdr() => 9,
        _ if hd => 1,
        _ => sd_matrix,
    };
    let primaries = match tagged.primaries {
        1 | 4..=12 => tagged.primaries,
        _ if matches!(matrix, 5..=7 | 9) => matrix,
        _ => 1,
    };
    let transfer = match tagged.transfer {
        1 | 4..=8 | 11 | 13..=18 => tagged.transfer,
        _ if matrix == 6 => 6,
        _ => 1,
    };
    Colour {
        matrix,
        transfer,
        primaries,
        full_range: tagged.full_range,
    }
}

/// Upright size with square pixels, held to the preset's edges, even, never larger than the source.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are far below 2^31"
)]
fn output_size(video: &Video, preset: Preset) -> (u32, u32) {
    let sar = if video.sar.value() > 0.0 {
        video.sar.value()
    } else {
        1.0
    };
    let (mut width, mut height) = (f64::from(video.width) * sar, f64::from(video.height));
    if video.orientation.swaps_sides() {
        (width, height) = (height, width);
    }
    let mut factor = (f64::from(EDGE_MAX) / width.max(height)).min(1.0);
    if preset == Preset::Small {
        factor = factor.min(f64::from(SMALL_EDGE_MAX) / width.min(height));
    }
    let even = |side: f64| ((side * factor / 2.0).round() as u32 * 2).clamp(2, EDGE_MAX);
    // Rounding up by one pixel would be upscaling of a source with an odd size.
    let hold = |side: f64| {
        let floor = ((side * factor / 2.0).floor() as u32 * 2).max(2);
        if factor >= 1.0 { floor } else { even(side) }
    };
    (hold(width), hold(height))
}

fn audio_way(audio: &Audio, preset: Preset, reasons: &mut Vec<String>) -> AudioWay {
    let lc = audio.codec == "aac" && matches!(audio.profile.as_str(), "LC" | "");
    if lc && audio.channels <= 2 && matches!(audio.sample_rate, 44_100 | 48_000) {
        reasons.push(format!("audio copied: AAC-LC {} Hz", audio.sample_rate));
        return AudioWay::Copy;
    }
    reasons.push(if lc {
        format!("audio encoded: {} channels at {} Hz", audio.channels, audio.sample_rate)
    } else {
        format!("audio encoded: {} does not play everywhere", audio.codec)
    });
    let channels = audio.channels.min(2);
    let a_channel_bps = if preset == Preset::Small { 48_000 } else { 80_000 };
    AudioWay::Encode {
        sample_rate: if audio.sample_rate == 44_100 { 44_100 } else { 48_000 },
        channels,
        bit_rate_bps: a_channel_bps * u64::from(channels),
    }
}

/// Streams that the output will not have.
fn dropped(info: &MediaInfo, video_kept: bool, audio_kept: bool) -> Vec<Warning> {
    let count = |wanted: fn(&Kind) -> bool, kept: u32| {
        let all = info.streams.iter().filter(|stream| wanted(&stream.kind)).count();
        u32::try_from(all).unwrap_or(u32::MAX).saturating_sub(kept)
    };
    let kinds: [(&str, u32); 3] = [
        (
            "video",
            if video_kept {
                count(|kind| matches!(kind, Kind::Video(_)), 1)
            } else {
                0
            },
        ),
        (
            "audio",
            count(|kind| matches!(kind, Kind::Audio(_)), u32::from(audio_kept)),
        ),
        ("subtitle", count(|kind| matches!(kind, Kind::Subtitle), 0)),
    ];
    kinds
        .into_iter()
        .filter(|&(_, count)| count > 0)
        .map(|(kind, count)| Warning::Dropped {
            kind: kind.to_owned(),
            count,
        })
        .collect()
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reasons.join("; "))?;
        if let Some((
            _,
            VideoWay::Encode {
                picture, crf, speed, ..
            },
        )) = &self.video
        {
            write!(
                f,
                "; to {}x{} crf {crf} {speed} on {}",
                picture.width, picture.height, self.rung
            )?;
            if picture.to_bt709 {
                write!(f, ", tone-mapped")?;
            }
            if let Some(fps) = picture.fps_max {
                write!(f, ", at most {fps} fps")?;
            }
        }
        Ok(())
    }
}
