//! What a GPU can do, found out by doing it once: a clip of each codec is decoded, a picture scaled, a frame encoded.
//!
//! That an encoder is listed proves nothing, nor does a GPU that answers: data-centre GPUs have NVDEC and no NVENC, and
//! containers are started without either library. Each proof is on its own, so one failure hides nothing else.

use std::io::{Seek, Write};

use super::diagnosis::diagnose;
use super::{Decode, Fault, Filters, Gpu, nvenc, open};
use crate::media::confine::Confined;
use crate::media::control::Control;
use crate::media::ffi::{self, AvError, Decoder, Device, Frame, Graph, Input, Packet, Source, StreamParams, log};
use crate::media::info::{Colour, Orientation, Rational};
use crate::media::limits::Limits;
use crate::media::plan::{Alpha, Picture, Rate, VideoEncode};
use crate::media::preset::VideoCodec;

/// Two grey pictures of 256x256 in each codec (`ci/clips` makes them). Smaller ones are refused by GPUs that decode and
/// encode well.
const CLIPS: [(&str, u8, &[u8]); 10] = [
    ("h264", 8, include_bytes!("clips/h264.mkv")),
    ("hevc", 8, include_bytes!("clips/hevc.mkv")),
    ("hevc", 10, include_bytes!("clips/hevc_10.mkv")),
    ("vp8", 8, include_bytes!("clips/vp8.mkv")),
    ("vp9", 8, include_bytes!("clips/vp9.mkv")),
    ("vp9", 10, include_bytes!("clips/vp9_10.mkv")),
    ("av1", 8, include_bytes!("clips/av1.mkv")),
    ("av1", 10, include_bytes!("clips/av1_10.mkv")),
    ("mpeg2video", 8, include_bytes!("clips/mpeg2video.mkv")),
    ("mpeg4", 8, include_bytes!("clips/mpeg4.mkv")),
];

/// CUDA filters that deinterlace, the better one first.
const DEINTERLACERS: [&str; 2] = ["bwdif_cuda", "yadif_cuda"];

/// The name of a codec that is tried, as another process writes it.
pub(super) fn codec<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
    let name = <String as serde::Deserialize>::deserialize(deserializer)?;
    let known = CLIPS.iter().map(|(codec, ..)| *codec).find(|codec| *codec == name);
    known.ok_or_else(|| serde::de::Error::custom("no codec that is tried"))
}

/// The same for a filter.
pub(super) fn deinterlacer<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'static str>, D::Error> {
    let name = <Option<String> as serde::Deserialize>::deserialize(deserializer)?;
    Ok(name.and_then(|name| DEINTERLACERS.into_iter().find(|filter| *filter == name)))
}

/// Edge of the pictures, pixels.
const EDGE: u32 = 256;

/// Proves one GPU, whose context is open.
pub(super) fn prove(index: u32, name: String, device: &Device) -> Gpu {
    let decode = CLIPS
        .iter()
        .map(|&(codec, bits, clip)| Decode {
            codec,
            bits,
            outcome: attempt(|| decodes(device, clip)),
        })
        .collect();
    let filter = attempt(|| filters(device));
    let encode = [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1]
        .into_iter()
        .filter(|&codec| nvenc::encoder(codec).is_some_and(ffi::has_encoder))
        .map(|codec| (codec, attempt(|| encodes(device, codec))))
        .collect();
    Gpu {
        index,
        name,
        encode_engines: None,
        decode,
        filter,
        encode,
    }
}

/// Why something did not work, by what libav complained of meanwhile.
pub(super) fn attempt<T>(work: impl FnOnce() -> Result<T, AvError>) -> Result<T, Fault> {
    let mark = log::mark();
    work().map_err(|error| Fault {
        cause: diagnose(&log::since(mark)),
        said: error.to_string(),
    })
}

struct Clip {
    params: StreamParams,
    packets: Vec<Packet>,
}

fn read(clip: &[u8]) -> Result<Clip, AvError> {
    let mut file = tempfile::tempfile().map_err(|_| AvError::NO_MEMORY)?;
    let written = file.write_all(clip).and_then(|()| file.rewind());
    written.map_err(|_| AvError::NO_MEMORY)?;
    let mut input = Input::open(
        file,
        &Limits::default(),
        &Control::new(None),
        &Confined::not_for_own_files(),
    )?;
    let params = input.params(0)?;
    let mut packets = Vec::new();
    while let Some(packet) = input.read()? {
        packets.push(packet);
    }
    Ok(Clip { params, packets })
}

fn first_frame(mut decoder: Decoder, packets: &[Packet]) -> Result<Frame, AvError> {
    for packet in packets {
        decoder.send(Some(packet))?;
        match decoder.receive() {
            Ok(frame) => return Ok(frame),
            Err(AvError::AGAIN) => {}
            Err(error) => return Err(error),
        }
    }
    decoder.send(None)?;
    decoder.receive()
}

fn decodes(device: &Device, clip: &[u8]) -> Result<(), AvError> {
    let Clip { params, packets } = read(clip)?;
    let decoder = Decoder::open_on(device, &params, &Limits::default())?;
    let frame = first_frame(decoder, &packets)?;
    // libav goes on in memory, without a word, where NVDEC refused.
    if frame.shape().pool.is_none() {
        return Err(AvError::NOT_SUPPORTED);
    }
    Ok(())
}

/// A picture in memory, whatever the GPU decodes.
fn picture() -> Result<Frame, AvError> {
    let Clip { params, packets } = read(CLIPS[0].2)?;
    first_frame(Decoder::open(&params, &Limits::default(), 1, false)?, &packets)
}

fn through(device: &Device, chain: &str) -> Result<Frame, AvError> {
    let frame = picture()?;
    let source = Source {
        shape: &frame.shape(),
        time_base: Rational::MICROS,
        frame_rate: Rational { num: 25, den: 1 },
    };
    let mut graph = Graph::video_on(device, &frame, &source, chain, 1)?;
    graph.send(Some(frame))?;
    graph.send(None)?;
    graph.receive()
}

fn filters(device: &Device) -> Result<Filters, AvError> {
    let half = EDGE / 2;
    let scaled = through(
        device,
        &format!("format=nv12,hwupload,scale_cuda={half}:{half}:format=nv12,hwdownload,format=nv12"),
    )?;
    let edge = i32::try_from(half).unwrap_or(0);
    if (scaled.shape().width, scaled.shape().height) != (edge, edge) {
        return Err(AvError::NOT_SUPPORTED);
    }
    let runs = |filter: &str| {
        ffi::has_filter(filter)
            && through(device, &format!("format=nv12,hwupload,{filter},hwdownload,format=nv12")).is_ok()
    };
    Ok(Filters {
        deinterlace: DEINTERLACERS.into_iter().find(|filter| runs(filter)),
        transpose: runs("transpose_cuda"),
    })
}

fn encodes(device: &Device, codec: VideoCodec) -> Result<(), AvError> {
    let frame = through(device, "format=nv12,hwupload")?;
    let mut encoder = open::encoder(&plain(codec), &frame, Rational { num: 1, den: 25 })?;
    encoder.send(Some(&frame))?;
    encoder.send(None)?;
    encoder.receive().map(drop)
}

/// The plainest request: a small picture, as it is.
pub(in crate::media) fn plain(codec: VideoCodec) -> VideoEncode {
    VideoEncode {
        picture: Picture {
            width: EDGE,
            height: EDGE,
            scaled: (EDGE, EDGE),
            orientation: Orientation::Upright,
            deinterlace: false,
            to_bt709: false,
            peak_nits: None,
            alpha: Alpha::None,
            alpha_side_stream: false,
            source_fps: 0.0,
            fps_max: None,
            source: Colour::BT709,
            colour: Colour::BT709,
        },
        codec,
        rate: Rate::Quality { crf: 24 },
        speed: "p5",
        gop: 25,
        frame_rate: Rational { num: 25, den: 1 },
    }
}
