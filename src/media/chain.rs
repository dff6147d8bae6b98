//! Typed plan -> the text of a filter chain. Pure; only numbers and names of ours get in.

use super::ffi::{FrameShape, PixelFacts};
use super::info::{Colour, Orientation, Rational};
use super::plan::{Alpha, Cut, Picture};
use super::preset::AudioCodec;

/// Two shapes whose proportions differ by less than this are the same picture, rounded.
const PROPORTION_SLACK: f64 = 0.02;

/// The chain for frames of this shape.
pub(super) fn video(picture: &Picture, shape: &FrameShape, pixel: PixelFacts) -> String {
    let mut filters: Vec<String> = Vec::new();
    if picture.deinterlace {
        filters.push("bwdif=mode=send_frame:deint=interlaced".to_owned());
    }
    if let Some(fps) = picture.fps_max {
        filters.push(format!("fps={fps}"));
    }
    let alpha = if pixel.alpha { picture.alpha } else { Alpha::None };
    if alpha == Alpha::OnBlack {
        // Multiplying by alpha is compositing on black.
        filters.push(format!("format={}", if pixel.rgb { "gbrap" } else { "yuva444p" }));
        filters.push("premultiply=inplace=1".to_owned());
    }
    let swaps = picture.orientation.swaps_sides();
    let turned = |(width, height): (u32, u32)| if swaps { (height, width) } else { (width, height) };
    let target = turned(picture.scaled);
    let (width, height) = inner(picture, shape, target);
    let full_range = shape.full_range || pixel.jpeg_range || picture.source.full_range;
    let range = if full_range { "pc" } else { "tv" };
    let pixels = if picture.alpha == Alpha::Kept {
        "yuva420p"
    } else {
        "yuv420p"
    };
    if picture.to_bt709 {
        filters.push(format!("scale={width}:{height}:flags=bicubic"));
        filters.extend(tone_map(picture.source, range, pixel.rgb));
    } else {
        let colours = if pixel.rgb {
            format!(":out_color_matrix={}", matrix_name(picture.colour.matrix))
        } else {
            format!(":in_range={range}")
        };
        filters.push(format!("scale={width}:{height}:flags=bicubic:out_range=tv{colours}"));
        filters.push(format!("format={pixels}"));
    }
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

/// The size that frames of this shape are scaled to: the target, or less where their proportions are others than the
/// plan knew, as when the size changes in mid-stream.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are far below 2^31"
)]
fn inner(picture: &Picture, shape: &FrameShape, (width, height): (u32, u32)) -> (u32, u32) {
    let proportion = |width: f64, height: f64, sar: Rational| {
        let sar = if sar.value() > 0.0 { sar.value() } else { 1.0 };
        width * sar / height.max(1.0)
    };
    let (coded_width, coded_height, sar) = picture.coded;
    let planned = proportion(f64::from(coded_width), f64::from(coded_height), sar);
    let own_sar = Rational {
        num: shape.sar.0,
        den: shape.sar.1,
    };
    // A stream's frames often leave out what its container says.
    let same_size = (i64::from(shape.width), i64::from(shape.height)) == (coded_width.into(), coded_height.into());
    let arrived_sar = if own_sar.value() > 0.0 && !(same_size && own_sar.num == own_sar.den) {
        own_sar
    } else if same_size {
        sar
    } else {
        Rational { num: 1, den: 1 }
    };
    let arrived = proportion(f64::from(shape.width), f64::from(shape.height), arrived_sar);
    let ratio = arrived / planned;
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

/// Scaling comes before this: the mapping works on floats and is the dearest step.
fn tone_map(source: Colour, range: &str, rgb: bool) -> Vec<String> {
    let input = format!(
        "zscale=min={}:tin={}:pin={}:rin={range}",
        if rgb { "gbr" } else { matrix_name(source.matrix) },
        match source.transfer {
            Colour::PQ => "smpte2084",
            Colour::HLG => "arib-std-b67",
            _ => "bt709",
        },
        if source.primaries == 9 { "bt2020" } else { "bt709" },
    );
    if !source.is_hdr() {
        return vec![
            format!("{input}:t=bt709:m=bt709:p=bt709:r=tv"),
            "format=yuv420p".to_owned(),
        ];
    }
    vec![
        format!("{input}:t=linear:npl=100"),
        "format=gbrpf32le".to_owned(),
        "zscale=p=bt709".to_owned(),
        "tonemap=hable:desat=0".to_owned(),
        "zscale=t=bt709:m=bt709:r=tv".to_owned(),
        "format=yuv420p".to_owned(),
    ]
}

pub(super) fn turn(orientation: Orientation) -> &'static [&'static str] {
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

/// H.273 matrix coefficients in the words of the scalers.
fn matrix_name(matrix: i32) -> &'static str {
    match matrix {
        5 => "bt470bg",
        6 => "smpte170m",
        9 => "bt2020nc",
        10 => "bt2020c",
        _ => "bt709",
    }
}

/// What sound becomes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sound {
    pub(super) codec: AudioCodec,
    pub(super) sample_rate: u32,
    pub(super) channels: u32,
}

/// Samples that an encoder takes at once: AAC-LC 1024, Opus 20 ms at 48 kHz.
pub(super) fn frame_samples(codec: AudioCodec) -> u32 {
    match codec {
        AudioCodec::Aac => 1024,
        AudioCodec::Opus => 960,
    }
}

/// The chain for sound: gaps filled, the rate and layout that the plan names. `cut` is the part that is kept,
/// `anew` is set where the sound changed its shape in mid-stream.
pub(super) fn audio(sound: Sound, channels_in: i32, cut: Option<Cut>, anew: bool) -> String {
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
    let mut filters = Vec::new();
    if channels_in > 8 {
        // No mixing is defined for so many: the first two are the front.
        filters.push("pan=stereo|c0=c0|c1=c1".to_owned());
    }
    let start = if cut.is_some() && !anew { ":first_pts=0" } else { "" };
    filters.push(format!("aresample={sample_rate}:async=1{start}"));
    filters.push(format!(
        "aformat=sample_fmts={format}:sample_rates={sample_rate}:channel_layouts={layout}"
    ));
    if let Some(Cut {
        from_us,
        to_us: Some(to_us),
    }) = cut
    {
        let kept_us = to_us - from_us;
        let (seconds, micros) = (kept_us / 1_000_000, kept_us % 1_000_000);
        filters.push(format!("atrim=end={seconds}.{micros:06}"));
    }
    filters.join(",")
}
