//! Typed plan -> the text of a filter chain. Pure; only numbers and names of ours get in.

use super::ffi::{FrameShape, PixelFacts};
use super::info::{Colour, Orientation};
use super::plan::Picture;

/// The chain for frames of this shape.
pub(super) fn video(picture: &Picture, shape: &FrameShape, pixel: PixelFacts) -> String {
    let mut filters: Vec<String> = Vec::new();
    if let Some(fps) = picture.fps_max {
        filters.push(format!("fps={fps}"));
    }
    if picture.deinterlace {
        filters.push("bwdif=mode=send_frame:deint=interlaced".to_owned());
    }
    if pixel.alpha {
        // Multiplying by alpha is compositing on black.
        filters.push(format!("format={}", if pixel.rgb { "gbrap" } else { "yuva444p" }));
        filters.push("premultiply=inplace=1".to_owned());
    }
    let (width, height) = if picture.orientation.swaps_sides() {
        (picture.height, picture.width)
    } else {
        (picture.width, picture.height)
    };
    let full_range = shape.full_range || pixel.jpeg_range || picture.source.full_range;
    let range = if full_range { "pc" } else { "tv" };
    if picture.to_bt709 {
        filters.push(format!("scale={width}:{height}:flags=bicubic"));
        filters.extend(tone_map(picture.source, range));
    } else {
        let colours = if pixel.rgb {
            format!(":out_color_matrix={}", matrix_name(picture.colour.matrix))
        } else {
            format!(":in_range={range}")
        };
        filters.push(format!("scale={width}:{height}:flags=bicubic:out_range=tv{colours}"));
        filters.push("format=yuv420p".to_owned());
    }
    filters.extend(turn(picture.orientation).iter().map(|&filter| filter.to_owned()));
    filters.push("setsar=1".to_owned());
    filters.join(",")
}

/// Scaling comes before this: the mapping works on floats and is the dearest step.
fn tone_map(source: Colour, range: &str) -> Vec<String> {
    let input = format!(
        "zscale=min={}:tin={}:pin={}:rin={range}",
        matrix_name(source.matrix),
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

/// The chain for sound: gaps filled, the rate and layout that the plan names.
pub(super) fn audio(sample_rate: u32, channels: u32) -> String {
    let layout = if channels == 1 { "mono" } else { "stereo" };
    format!(
        "aresample={sample_rate}:async=1,aformat=sample_fmts=fltp:sample_rates={sample_rate}:channel_layouts={layout}"
    )
}
