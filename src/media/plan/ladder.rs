//! The engines that can make an encoded way, best first, the CPU last. Pure.
//!
//! A frame that was decoded on a GPU stays there until it is a packet again, unless a filter that it needs has no form in
//! CUDA: then it passes through memory after it was scaled down, and the plan says for what.

use super::{Alpha, Picture, Plan, Rate, Rung, VideoEncode, VideoWay};
use crate::media::device::{Caps, Filters, Gpu, nvenc};
use crate::media::info::{Orientation, Video};
use crate::media::preset::Preset;

/// NVDEC has a smallest size too, another for each codec (48 to 144 pixels); below this one the CPU is done before a GPU has
/// begun.
const EDGE_MIN: u32 = 192;

/// The same way on every engine that this machine has for it.
pub(super) fn climb(way: &Plan, video: &Video, preset: Preset, caps: &Caps) -> Vec<Plan> {
    let Some(encode) = way.encode() else {
        return vec![way.clone()];
    };
    let settings = nvenc_settings(preset);
    let encodes = |gpu: &Gpu| settings.is_some() && encodes(gpu, encode);
    let mut ways = Vec::new();
    let mut offer = |rung: fn(u32) -> Rung, fits: &dyn Fn(&Gpu) -> bool| {
        for gpu in caps.gpus.iter().filter(|gpu| fits(gpu)) {
            ways.push(on(way, rung(gpu.index), gpu, settings));
        }
    };
    offer(|gpu| Rung::Cuda { gpu }, &|gpu| decodes(gpu, video) && encodes(gpu));
    offer(|gpu| Rung::Upload { gpu }, &|gpu| encodes(gpu));
    offer(|gpu| Rung::Hybrid { gpu }, &|gpu| decodes(gpu, video));
    if caps.software.video(encode.codec) {
        ways.push(way.clone());
    }
    ways
}

/// Whether a codec can be written at all.
pub(super) fn can_encode(caps: &Caps, preset: Preset) -> bool {
    let Some(terms) = preset.contract().video else {
        return true;
    };
    caps.software.video(terms.codec)
        || (nvenc_settings(preset).is_some() && caps.gpus.iter().any(|gpu| gpu.encodes(terms.codec)))
}

fn decodes(gpu: &Gpu, video: &Video) -> bool {
    gpu.filter.is_ok()
        && gpu.decodes(&video.codec, video.bits)
        && video.chroma_420
        && !video.rgb
        && !video.alpha
        && video.width.min(video.height) >= EDGE_MIN
}

fn encodes(gpu: &Gpu, encode: &VideoEncode) -> bool {
    let picture = &encode.picture;
    gpu.filter.is_ok()
        && gpu.encodes(encode.codec)
        && picture.alpha != Alpha::Kept
        && nvenc::takes_size(encode.codec, picture.width, picture.height)
}

/// Constant quality and preset of NVENC, on its own scale; `None` where the CPU's rate control is needed: for a size to
/// the per cent (two passes) and for VP9. The quality is x264's of the same preset plus three, a start that no curve was
/// measured for.
fn nvenc_settings(preset: Preset) -> Option<(Rate, &'static str)> {
    let quality = |cq, speed| Some((Rate::Quality { crf: cq }, speed));
    match preset {
        Preset::Play | Preset::Gif => quality(24, "p5"),
        Preset::Note => quality(27, "p5"),
        Preset::Small => quality(30, "p5"),
        Preset::Best => quality(20, "p7"),
        Preset::Hevc => quality(28, "p5"),
        Preset::Av1 => quality(34, "p5"),
        Preset::Fit { .. } | Preset::Sticker | Preset::Audio | Preset::Voice | Preset::Sheet => None,
    }
}

fn on(way: &Plan, rung: Rung, gpu: &Gpu, settings: Option<(Rate, &'static str)>) -> Plan {
    let mut way = way.clone();
    way.rung = rung;
    way.filters = gpu.filter.clone().unwrap_or_default();
    way.encode_engines = gpu.encode_engines;
    let detour = way.encode().and_then(|encode| detour(&encode.picture, way.filters));
    if let (Some((_, VideoWay::Encode(encode))), Some((rate, speed)), true) =
        (&mut way.video, settings, rung.encodes_on_gpu())
    {
        encode.rate = rate;
        encode.speed = speed;
    }
    if let (Rung::Cuda { .. }, Some(what)) = (rung, detour) {
        way.reasons.push(format!("frames pass through memory: {what}"));
    }
    way
}

/// The first thing that a picture needs and CUDA has no filter for.
pub(in crate::media) fn detour(picture: &Picture, filters: Filters) -> Option<&'static str> {
    if picture.to_bt709 {
        Some("their colours are mapped")
    } else if picture.alpha != Alpha::None {
        Some("they are transparent in places")
    } else if picture.source.full_range {
        Some("their range is narrowed")
    } else if picture.orientation != Orientation::Upright && !filters.transpose {
        Some("they are turned")
    } else if picture.scaled != (picture.width, picture.height) {
        Some("a square is cut out of them")
    } else if picture.deinterlace && filters.deinterlace.is_none() {
        Some("they are deinterlaced")
    } else {
        None
    }
}
