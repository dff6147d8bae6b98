//! Typed plan -> the text of a filter chain. Pure; only numbers and names of ours get in.

mod gpu;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::media::error::MediaError;
use crate::media::ffi::{FrameShape, PixelFacts};
use crate::media::info::Orientation;
use crate::media::plan::{Alpha, Picture};
use crate::media::preset::AudioCodec;
use crate::media::recipe::Trim;
use crate::media::tone;

pub(in crate::media) use self::gpu::{Target, video_by_gpu};

/// Two shapes whose proportions differ by less than this are the same picture, rounded.
const PROPORTION_SLACK: f64 = 0.02;

/// The chain for frames of this shape; `first` is the shape that the stream began with, which the plan was made for, `table` where
/// the colours of a picture that is mapped lie.
pub(in crate::media) fn video(
    picture: &Picture,
    table: Option<&Path>,
    first: &FrameShape,
    shape: &FrameShape,
    pixel: PixelFacts,
) -> String {
    let mut filters: Vec<String> = Vec::new();
    if picture.deinterlace {
        filters.push("bwdif=mode=send_frame:deint=interlaced".to_owned());
    }
    filters.extend(fewer_frames(picture));
    let alpha = if pixel.alpha { picture.alpha } else { Alpha::None };
    if alpha == Alpha::OnBlack {
        // Multiplying by alpha is compositing on black.
        filters.push(format!("format={}", if pixel.rgb { "gbrap" } else { "yuva444p" }));
        filters.push("premultiply=inplace=1".to_owned());
    }
    let target = scaled_target(picture);
    let (width, height) = inner(first, shape, target);
    let full_range = shape.full_range || pixel.jpeg_range || picture.source.full_range;
    let range = if full_range { "pc" } else { "tv" };
    let scale = format!("scale={width}:{height}:flags=bicubic");
    let pixels = match picture.alpha {
        Alpha::Kept => "yuva420p",
        Alpha::None | Alpha::OnBlack => "yuv420p",
    };
    let to_yuv = format!(":out_range=tv:out_color_matrix={}", matrix_name(picture.colour.matrix));
    match (table, pixel.rgb) {
        (Some(table), rgb) => {
            let from = if rgb {
                String::new()
            } else {
                format!(
                    ":in_range={range}:in_color_matrix={}",
                    matrix_name(picture.source.matrix)
                )
            };
            filters.push(format!("{scale}{from}"));
            filters.push(format!("format=gbrp16le,lut3d=file='{}'", table.display()));
            filters.push(format!("scale={}", &to_yuv[1..]));
        }
        (None, true) => filters.push(format!("{scale}{to_yuv}")),
        (None, false) => filters.push(format!("{scale}:in_range={range}:out_range=tv")),
    }
    filters.push(format!("format={pixels}"));
    if (width, height) != target {
        let (target_width, target_height) = target;
        filters.push(format!("pad={target_width}:{target_height}:-1:-1"));
    }
    filters.extend(turn(picture.orientation).iter().map(|&filter| filter.to_owned()));
    if picture.scaled != (picture.width, picture.height) {
        filters.push(format!("crop={}:{}", picture.width, picture.height));
    }
    filters.push("setsar=1".to_owned());
    filters.join(",")
}

/// The size that is scaled to, before anything is turned.
fn scaled_target(picture: &Picture) -> (u32, u32) {
    let (width, height) = picture.scaled;
    if picture.orientation.swaps_sides() {
        (height, width)
    } else {
        (width, height)
    }
}

/// The file of colours for a picture that is mapped; it must live until the filters are built.
pub(in crate::media) fn table(picture: &Picture) -> Result<Option<NamedTempFile>, MediaError> {
    if !picture.to_bt709 {
        return Ok(None);
    }
    let cube = tone::cube(tone::Source {
        colour: picture.source,
        peak_nits: picture.peak_nits,
    });
    let write = || {
        let mut file = tempfile::Builder::new().prefix("kadr-").suffix(".cube").tempfile()?;
        file.write_all(cube.as_bytes())?;
        // The name stands between quotes in the chain; the folder is the operator's.
        if file.path().to_str().is_none_or(|path| path.contains(['\'', '\\'])) {
            return Err(io::Error::other(
                "the folder for temporary files has a quote in its name",
            ));
        }
        Ok(file)
    };
    write()
        .map(Some)
        .map_err(|source| crate::media::convert::io("write the table of colours", source))
}

/// Of each picture's time the nearest frame of the source. `fps` alone takes the last one that rounds to that time, which
/// is late by half of what lies between two pictures, less half of what lies between two frames.
fn fewer_frames(picture: &Picture) -> Option<String> {
    let fps = f64::from(picture.fps_max?);
    let late_s = if picture.source_fps > fps {
        0.5 / fps - 0.5 / picture.source_fps
    } else {
        0.0
    };
    // The shift is smaller than what `fps` rounds to, and coarser time bases would swallow it.
    Some(format!("settb=AVTB,setpts=PTS+{late_s:.6}/TB,fps={fps}"))
}

/// The size that frames of this shape are scaled to: the target, or less where their proportions are others than those
/// that the stream began with, as when the size changes in mid-stream.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are far below 2^31"
)]
fn inner(first: &FrameShape, shape: &FrameShape, (width, height): (u32, u32)) -> (u32, u32) {
    let proportion = |shape: &FrameShape| {
        let sar = if shape.sar.0 > 0 && shape.sar.1 > 0 {
            f64::from(shape.sar.0) / f64::from(shape.sar.1)
        } else {
            1.0
        };
        f64::from(shape.width) * sar / f64::from(shape.height.max(1))
    };
    let ratio = proportion(shape) / proportion(first);
    if (ratio - 1.0).abs() < PROPORTION_SLACK || !ratio.is_finite() {
        return (width, height);
    }
    let even = |side: f64, max: u32| (((side / 2.0).round() as u32) * 2).clamp(2, max.max(2));
    if ratio > 1.0 {
        (width, even(f64::from(height) / ratio, height))
    } else {
        (even(f64::from(width) * ratio, width), height)
    }
}

pub(in crate::media) fn turn(orientation: Orientation) -> &'static [&'static str] {
    match orientation {
        Orientation::Upright => &[],
        Orientation::Clockwise => &["transpose=clock"],
        Orientation::HalfTurn => &["hflip", "vflip"],
        Orientation::CounterClockwise => &["transpose=cclock"],
        Orientation::MirrorHorizontal => &["hflip"],
        Orientation::MirrorVertical => &["vflip"],
        Orientation::Transpose => &["transpose=cclock_flip"],
        Orientation::AntiTranspose => &["transpose=clock_flip"],
    }
}

/// H.273 matrix coefficients in the words of the scaler.
fn matrix_name(matrix: i32) -> &'static str {
    match matrix {
        4 => "fcc",
        5 | 6 => "smpte170m",
        7 => "smpte240m",
        9 | 10 => "bt2020",
        _ => "bt709",
    }
}

/// What sound becomes.
#[derive(Clone, Copy, Debug)]
pub(in crate::media) struct Sound {
    pub(in crate::media) codec: AudioCodec,
    pub(in crate::media) sample_rate: u32,
    pub(in crate::media) channels: u32,
}

/// Samples that an encoder takes at once: AAC-LC 1024, Opus 20 ms at 48 kHz.
pub(in crate::media) fn frame_samples(codec: AudioCodec) -> u32 {
    match codec {
        AudioCodec::Aac => 1024,
        AudioCodec::Opus => 960,
    }
}

/// The first chain for sound: from whatever arrives to the rate and layout that the plan names.
pub(in crate::media) fn sound_shape(sound: Sound, channels_in: i32) -> String {
    let Sound {
        codec,
        sample_rate,
        channels,
    } = sound;
    let layout = if channels == 1 { "mono" } else { "stereo" };
    let format = match codec {
        AudioCodec::Aac => "fltp",
        AudioCodec::Opus => "flt",
    };
    // No mixing is defined for so many: the first two are the front.
    let front = if channels_in > 8 { "pan=stereo|c0=c0|c1=c1," } else { "" };
    format!(
        "{front}aresample={sample_rate},aformat=sample_fmts={format}:sample_rates={sample_rate}:channel_layouts={layout}"
    )
}

/// The second chain for sound, which outlives changes of what arrives: gaps filled, overlaps cut, only the part
/// kept. `starts_before` says that the first sound lies before 0 and is cut there.
pub(in crate::media) fn sound_time(sample_rate: u32, starts_before: bool, cut: Option<Trim>) -> String {
    let start = if starts_before || cut.is_some() {
        ":first_pts=0"
    } else {
        ""
    };
    let mut chain = format!("aresample={sample_rate}:async=1:min_hard_comp=0.03{start}");
    if let Some(Trim {
        from_us,
        to_us: Some(to_us),
    }) = cut
    {
        let kept_us = to_us - from_us;
        let (seconds, micros) = (kept_us / 1_000_000, kept_us % 1_000_000);
        let _ = write!(chain, ",atrim=end={seconds}.{micros:06}");
    }
    chain
}
