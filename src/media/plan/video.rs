//! Whether video is copied, and what its pictures become where it is not. Pure.

use super::{Alpha, Draft, Picture, Rate, VideoEncode, VideoWay};
use crate::media::info::{Colour, MediaInfo, Orientation, Rational, Video};
use crate::media::preset::{Container, Frame, Preset, VideoCodec, VideoTerms};

/// The tolerance for 60000/1001 and its like, frames a second.
const FPS_SLACK: f64 = 0.5;
/// H.264 level 5.1, ten times.
const LEVEL_MAX: i32 = 51;
/// What level 5.1 allows (ITU-T H.264, table A-1): macroblocks a second, and a frame.
const LEVEL_MACROBLOCKS_PER_S_MAX: f64 = 983_040.0;
const LEVEL_MACROBLOCKS_MAX: f64 = 36_864.0;

/// Codecs without interlaced pictures.
const PROGRESSIVE: [&str; 9] = ["vp8", "vp9", "av1", "theora", "gif", "apng", "png", "cinepak", "h263"];

/// Copied where it keeps the contract already, else encoded.
pub(super) fn way(draft: &Draft<'_>, video: &Video, may_copy: bool, reasons: &mut Vec<String>) -> VideoWay {
    let Some(terms) = draft.contract.video else {
        return VideoWay::Copy { tags: None };
    };
    let obstacle = if may_copy {
        why_not_copied(draft, video, terms)
    } else {
        Some("its packets cannot be used as they are".to_owned())
    };
    match obstacle {
        None => {
            let tags = tags_to_write(video);
            let said = if tags.is_some() { ", its colour now said" } else { "" };
            reasons.push(format!("video copied: {}, 8-bit 4:2:0{said}", video.title()));
            VideoWay::Copy { tags }
        }
        Some(obstacle) => {
            let verb = if draft.contract.container == Container::Jpeg {
                "drawn"
            } else {
                "encoded"
            };
            reasons.push(format!("video {verb}: {obstacle}"));
            VideoWay::Encode(Box::new(encode(draft, video, terms)))
        }
    }
}

/// The first thing that keeps a video stream from being copied.
fn why_not_copied(draft: &Draft<'_>, video: &Video, terms: VideoTerms) -> Option<String> {
    wish(draft, terms)
        .or_else(|| codec(video, terms))
        .or_else(|| shape(draft, video, terms))
        .or_else(|| timing(draft.info, video))
}

/// What was asked for, whatever the file is.
fn wish(draft: &Draft<'_>, terms: VideoTerms) -> Option<String> {
    let recipe = draft.recipe;
    let size_bytes = draft.info.size_bytes;
    match draft.contract.size_bytes_max {
        _ if draft.contract.container == Container::Jpeg => Some("a sheet of pictures was asked for".to_owned()),
        Some(limit) if size_bytes > limit && terms.copies => Some(format!("{size_bytes} bytes are more than {limit}")),
        _ if matches!(terms.frame, Frame::Square { .. }) => Some("a round video was asked for".to_owned()),
        _ if matches!(terms.frame, Frame::LongEdge { .. }) => Some("a sticker was asked for".to_owned()),
        _ if !terms.copies => Some("a smaller file was asked for".to_owned()),
        _ if draft.cut.is_some() => Some("a part was asked for, cut to the frame".to_owned()),
        _ if recipe.rotate.degrees() > 0 => Some(format!("turned by {} degrees as asked", recipe.rotate.degrees())),
        _ => None,
    }
}

fn codec(video: &Video, terms: VideoTerms) -> Option<String> {
    let (wanted, profiles): (&str, &[&str]) = match terms.codec {
        VideoCodec::H264 => ("h264", &["Baseline", "Constrained Baseline", "Main", "High"]),
        VideoCodec::Hevc => ("hevc", &["Main"]),
        VideoCodec::Av1 => ("av1", &["Main"]),
        VideoCodec::Vp9 => ("vp9", &["Profile 0"]),
    };
    if video.codec != wanted {
        Some(if terms.codec == VideoCodec::H264 {
            format!("{} does not play everywhere", video.title())
        } else {
            format!("it is {}", video.title())
        })
    } else if !profiles.contains(&video.profile.as_str()) {
        Some(format!("{} does not play everywhere", video.title()))
    } else if video.bits != 8 || !video.chroma_420 {
        Some(format!("{} is not 8-bit 4:2:0", video.pixel_format))
    } else if terms.codec == VideoCodec::H264 && video.level > LEVEL_MAX {
        Some(format!("level {:.1} is above 5.1", f64::from(video.level) / 10.0))
    } else if video.colour.is_hdr() || video.colour.is_wide() || video.dolby_vision.is_some() {
        Some("its range of colours looks washed out on most screens".to_owned())
    } else if video.interlaced {
        Some("it is interlaced".to_owned())
    } else if video.colour.full_range {
        Some("it uses the full range, which many players show wrong".to_owned())
    } else if video.alpha {
        Some("it is transparent in places".to_owned())
    } else {
        None
    }
}

fn shape(draft: &Draft<'_>, video: &Video, terms: VideoTerms) -> Option<String> {
    let square = video.sar.num <= 0 || video.sar.num == video.sar.den;
    let (width, height) = (video.width, video.height);
    let upright_height = if video.orientation.swaps_sides() { width } else { height };
    let fps_max = fps_max(draft, terms);
    let within = match terms.frame {
        Frame::Within {
            long_edge_max,
            short_edge_max,
        } => width.max(height) <= long_edge_max && width.min(height) <= short_edge_max,
        Frame::Square { .. } | Frame::LongEdge { .. } => false,
    };
    if !square {
        Some(format!(
            "its pixels are not square ({}:{})",
            video.sar.num, video.sar.den
        ))
    } else if width % 2 == 1 || height % 2 == 1 {
        Some(format!("{width}x{height} is not an even size"))
    } else if !within {
        Some(format!("{width}x{height} is larger than the preset allows"))
    } else if draft.recipe.height_max.is_some_and(|limit| upright_height > limit) {
        Some(format!("{upright_height} lines are more than were asked for"))
    } else if video.fps > f64::from(fps_max) + FPS_SLACK {
        Some(format!("{:.0} fps is more than {fps_max}", video.fps))
    } else {
        None
    }
}

fn timing(info: &MediaInfo, video: &Video) -> Option<String> {
    if info.is_container(&["avi"]) || !video.has_pts {
        Some("its container has no presentation times".to_owned())
    } else if info.discontinuous && info.is_container(&["mpeg"]) {
        Some("its clock may start anew in the middle".to_owned())
    } else if !video.starts_on_key {
        Some("it does not start on a key frame".to_owned())
    } else {
        None
    }
}

fn fps_max(draft: &Draft<'_>, terms: VideoTerms) -> u32 {
    draft.recipe.fps_max.unwrap_or(terms.fps_max).min(terms.fps_max)
}

/// Colour that a copied stream does not say of itself, as it will be shown anyway.
fn tags_to_write(video: &Video) -> Option<Colour> {
    let whole = complete(video);
    let said = video.codec != "h264"
        || (video.colour_range_said
            && (whole.matrix, whole.transfer, whole.primaries)
                == (video.colour.matrix, video.colour.transfer, video.colour.primaries));
    (!said).then_some(whole)
}

fn encode(draft: &Draft<'_>, video: &Video, terms: VideoTerms) -> VideoEncode {
    let fps_max = fps_max(draft, terms);
    let capped = video.fps > f64::from(fps_max) + FPS_SLACK;
    let fps = if video.fps > 0.0 {
        video.fps.min(f64::from(fps_max))
    } else {
        25.0_f64.min(f64::from(fps_max))
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
    let (rate, speed) = effort(draft.recipe.preset);
    VideoEncode {
        picture: picture(draft, video, terms, fps, capped.then_some(fps_max)),
        codec: terms.codec,
        rate,
        speed,
        gop,
        frame_rate,
    }
}

/// Quality and speed of each preset, by the usual scale of its encoder. That of `play` is the bend of the curve that
/// `ci/bench quality` draws (`docs/bench.md`); the others lean on it.
fn effort(preset: Preset) -> (Rate, &'static str) {
    let quality = |crf, speed| (Rate::Quality { crf }, speed);
    match preset {
        Preset::Small => quality(27, "faster"),
        Preset::Best => quality(17, "slow"),
        Preset::Hevc => quality(25, "fast"),
        Preset::Av1 => quality(35, "9"),
        Preset::Note => quality(24, "veryfast"),
        // The size decides, not the quality; `fit` replaces the rate.
        Preset::Fit { .. } => (Rate::Bits { bps: 1_000_000 }, "faster"),
        // 256 KiB in 3 s, sound and container left out.
        Preset::Sticker => (Rate::Bits { bps: 640_000 }, "good"),
        Preset::Play | Preset::Gif | Preset::Audio | Preset::Voice | Preset::Sheet => quality(22, "faster"),
    }
}

fn picture(draft: &Draft<'_>, video: &Video, terms: VideoTerms, fps: f64, fps_max: Option<u32>) -> Picture {
    let source = complete(video);
    let to_bt709 = source.is_hdr() || source.is_wide();
    let orientation = video.orientation.then(draft.recipe.rotate);
    let (scaled, (width, height)) = sizes(draft, video, terms, orientation, fps);
    Picture {
        width,
        height,
        scaled,
        orientation,
        deinterlace: video.maybe_interlaced && !PROGRESSIVE.contains(&video.codec.as_str()),
        to_bt709,
        peak_nits: video.peak_nits,
        alpha: match (video.alpha, terms.alpha) {
            (false, _) => Alpha::None,
            (true, false) => Alpha::OnBlack,
            (true, true) => Alpha::Kept,
        },
        alpha_side_stream: video.alpha_side_stream,
        source_fps: video.fps,
        fps_max,
        source,
        colour: Colour {
            full_range: false,
            ..if to_bt709 || video.rgb { Colour::BT709 } else { source }
        },
    }
}

/// Colour as tagged, or as players assume by the size: BT.709 from 720 lines or 1280 columns on, else BT.601.
fn complete(video: &Video) -> Colour {
    let hd = video.width >= 1280 || video.height >= 720;
    let sd_matrix = if matches!(video.height, 576 | 288) { 5 } else { 6 };
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

/// Upright sizes with square pixels, even: scaled, and what is kept of it.
fn sizes(
    draft: &Draft<'_>,
    video: &Video,
    terms: VideoTerms,
    orientation: Orientation,
    fps: f64,
) -> ((u32, u32), (u32, u32)) {
    let (width, height) = upright(video, orientation);
    // Sizes are even, and an odd cap must not be rounded up.
    let cap = draft
        .recipe
        .height_max
        .map_or(f64::INFINITY, |lines| f64::from(lines & !1));
    match terms.frame {
        Frame::Within {
            long_edge_max,
            short_edge_max,
        } => {
            let size = within(
                (width, height),
                (f64::from(long_edge_max), f64::from(short_edge_max)),
                cap,
                if terms.codec == VideoCodec::H264 { fps } else { 0.0 },
            );
            (size, size)
        }
        Frame::Square { edge_min, edge_max } => {
            let edge = even(
                width
                    .min(height)
                    .min(cap)
                    .clamp(f64::from(edge_min), f64::from(edge_max)),
            );
            let factor = f64::from(edge) / width.min(height);
            let scaled = (even(width * factor).max(edge), even(height * factor).max(edge));
            (scaled, (edge, edge))
        }
        Frame::LongEdge { edge } => {
            let factor = f64::from(edge) / width.max(height);
            let size = (even(width * factor).min(edge), even(height * factor).min(edge));
            (size, size)
        }
    }
}

/// As it is shown, with square pixels.
fn upright(video: &Video, orientation: Orientation) -> (f64, f64) {
    let sar = if video.sar.value() > 0.0 {
        video.sar.value()
    } else {
        1.0
    };
    let (width, height) = (f64::from(video.width) * sar, f64::from(video.height));
    if orientation.swaps_sides() {
        (height, width)
    } else {
        (width, height)
    }
}

/// Held to edges, lines and level 5.1, never larger than the source. `fps` 0 asks for no level.
pub(super) fn within((width, height): (f64, f64), (long, short): (f64, f64), lines: f64, fps: f64) -> (u32, u32) {
    let macroblocks = width * height / 256.0;
    let level = if fps > 0.0 {
        LEVEL_MACROBLOCKS_MAX.min(LEVEL_MACROBLOCKS_PER_S_MAX / fps)
    } else {
        f64::INFINITY
    };
    let factor = (long / width.max(height))
        .min(short / width.min(height))
        .min(lines / height)
        // A little below, for sizes are rounded up to whole macroblocks.
        .min((level * 0.98 / macroblocks).sqrt())
        .min(1.0);
    // Rounding up by one pixel would be upscaling of a source with an odd size.
    let hold = |side: f64| {
        if factor >= 1.0 {
            floor_even(side)
        } else {
            even(side * factor)
        }
    };
    (hold(width), hold(height))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are far below 2^31"
)]
fn even(side: f64) -> u32 {
    ((side / 2.0).round() as u32 * 2).max(2)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are far below 2^31"
)]
fn floor_even(side: f64) -> u32 {
    ((side / 2.0).floor() as u32 * 2).max(2)
}
