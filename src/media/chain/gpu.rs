//! The chain where a GPU takes part: scaled there first, and through memory only for what CUDA has no filter for. Pure.

use std::path::Path;

use super::{fewer_frames, inner, scaled_target, turn, video};
use crate::media::device::Filters;
use crate::media::ffi::{FrameShape, PixelFacts};
use crate::media::info::Orientation;
use crate::media::plan::{Picture, detour};

/// Where the encoder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::media) enum Target {
    Gpu,
    Memory,
}

/// The chain for frames of this shape, which lie in a pool of the GPU or in memory.
pub(in crate::media) fn video_by_gpu(
    (picture, filters): (&Picture, Filters),
    table: Option<&Path>,
    (first, shape): (&FrameShape, &FrameShape),
    pixel: PixelFacts,
    target: Target,
) -> String {
    let on_gpu = shape.pool.is_some();
    let size = inner(first, shape, scaled_target(picture));
    // A picture of another shape in mid-stream is framed in black, which CUDA has no filter for either.
    let framed = size != scaled_target(picture);
    let by_cpu = framed || detour(picture, filters).is_some() || !on_gpu && unlike_surfaces(pixel, shape);
    let up = "format=nv12|yuv420p,hwupload";
    match (on_gpu, target) {
        (true, Target::Gpu) if !by_cpu => format!("{},{}", on_surfaces(picture, filters, size, "nv12"), last(picture)),
        // What was uploaded is not NVDEC's to reuse: it goes to NVENC as it is where nothing is to be done to it.
        (false, Target::Gpu) if !by_cpu && is_done(picture, shape, size) => {
            format!("format=nv12,hwupload,{}", last(picture))
        }
        (false, Target::Gpu) if !by_cpu => {
            format!("{up},{},{}", on_surfaces(picture, filters, size, "nv12"), last(picture))
        }
        (true, target) => {
            let deep = pixel.bits > 8 && picture.to_bt709;
            let format = if deep { "p010le" } else { "nv12" };
            let scaled = on_surfaces(picture, filters, size, format);
            let rest = Picture {
                deinterlace: picture.deinterlace && filters.deinterlace.is_none(),
                fps_max: None,
                ..picture.clone()
            };
            let rest = video(&rest, table, first, shape, pixel);
            let up = if target == Target::Gpu {
                ",format=nv12,hwupload"
            } else {
                ""
            };
            format!("{scaled},hwdownload,format={format},{rest}{up}")
        }
        (false, Target::Gpu) => {
            let chain = video(picture, table, first, shape, pixel);
            format!("{chain},format=nv12,hwupload")
        }
        (false, Target::Memory) => video(picture, table, first, shape, pixel),
    }
}

/// Whether nothing is to be done but turning.
fn is_done(picture: &Picture, shape: &FrameShape, (width, height): (u32, u32)) -> bool {
    let same = (u32::try_from(shape.width), u32::try_from(shape.height)) == (Ok(width), Ok(height));
    same && !picture.deinterlace && picture.fps_max.is_none()
}

/// What is done on the GPU, whoever goes on.
fn on_surfaces(picture: &Picture, filters: Filters, (width, height): (u32, u32), format: &str) -> String {
    let mut parts = Vec::new();
    if let (true, Some(filter)) = (picture.deinterlace, filters.deinterlace) {
        parts.push(format!("{filter}=mode=send_frame:deint=interlaced"));
    }
    parts.extend(fewer_frames(picture));
    // Passed through, a surface of NVDEC's would wait in NVENC's look-ahead, which is longer than NVDEC has surfaces.
    parts.push(format!(
        "scale_cuda={width}:{height}:interp_algo=bicubic:format={format}:passthrough=0"
    ));
    parts.join(",")
}

/// What comes last where frames stay on the GPU.
fn last(picture: &Picture) -> String {
    let mut parts: Vec<String> = match picture.orientation {
        Orientation::Upright => Vec::new(),
        // `hflip` and `vflip` have no form in CUDA, but the same filter turns and mirrors.
        Orientation::HalfTurn => vec!["transpose_cuda=dir=reversal".to_owned()],
        Orientation::MirrorHorizontal => vec!["transpose_cuda=dir=hflip".to_owned()],
        Orientation::MirrorVertical => vec!["transpose_cuda=dir=vflip".to_owned()],
        other => turn(other)
            .iter()
            .map(|filter| filter.replace("transpose=", "transpose_cuda=dir="))
            .collect(),
    };
    parts.push("setsar=1".to_owned());
    parts.join(",")
}

/// Frames in memory that would lose something on the way up: only 8-bit 4:2:0 goes up as it is.
fn unlike_surfaces(pixel: PixelFacts, shape: &FrameShape) -> bool {
    pixel.bits != 8 || !pixel.chroma_420 || pixel.rgb || pixel.alpha || pixel.jpeg_range || shape.full_range
}
