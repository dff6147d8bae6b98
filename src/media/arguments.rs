//! Plan -> what the ffmpeg command must be told to do the same work: encoder, options, filters, threads. Pure.
//!
//! `kadr bench --against` runs it, and then compares the packets: equal ones prove that nothing was left out here. Absent:
//! plans that the command line cannot say (several passes to a size, a sheet) or that no card was at hand for (GPUs).

use std::path::Path;

use super::chain::{self, Sound};
use super::device::{audio_encoder, software_encoder};
use super::ffi::{FrameShape, PixelFacts};
use super::info::{MediaInfo, Video};
use super::plan::{AudioWay, Plan, Rate, Rung, VideoEncode, VideoWay};
use super::preset::{Container, VideoCodec};
use super::threads::Threads;
use super::transcode::encoder_options;

/// The release in which a time base taken from the input became a word.
const DEMUX_WORD_SINCE: u32 = 7;

/// Whom the arguments are for.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// FFmpeg's release: 5 for 5.1.9.
    pub major: u32,
    /// Threads of the decoder, the filters and the encoder, each. 0 gives the encoder as many as kadr's own has, for they
    /// change its packets, and leaves the rest to the program.
    pub threads: u32,
    /// Cores that kadr's own threads were balanced for.
    pub cores: u32,
    /// Where the colours of a picture that is mapped lie.
    pub table: Option<&'a Path>,
}

/// The file of colours that a plan needs, for [`Peer::table`]; it is removed when dropped.
///
/// # Errors
/// [`MediaError::Io`](super::MediaError::Io) where it cannot be written.
pub fn table(plan: &Plan) -> Result<Option<tempfile::NamedTempFile>, super::MediaError> {
    plan.encode().map_or(Ok(None), |encode| chain::table(&encode.picture))
}

/// The arguments between the program and the end of the line.
///
/// # Errors
/// Why there are none, in words.
pub fn arguments(
    plan: &Plan,
    info: &MediaInfo,
    peer: Peer<'_>,
    (input, output): (&str, &str),
) -> Result<Vec<String>, &'static str> {
    possible(plan)?;
    let threads = peer.threads.to_string();
    let mut args = Words::default();
    args.say(["-nostdin", "-v", "error", "-y", "-noautorotate"]);
    args.say(["-threads", &threads, "-filter_threads", &threads]);
    if let Some(decoder) = info.video().and_then(decoder_by_name) {
        args.say(["-c:v", decoder]);
    }
    args.say(["-i", input]);
    let streams = [
        plan.video.as_ref().map(|one| one.0),
        plan.audio.as_ref().map(|one| one.0),
    ];
    for index in streams.into_iter().flatten() {
        args.say(["-map", &format!("0:{index}")]);
    }
    args.say(["-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact"]);
    match &plan.video {
        None => {}
        Some((_, VideoWay::Copy { .. })) => args.say(["-c:v", "copy"]),
        Some((_, VideoWay::Encode(encode))) => {
            let threads = match peer.threads {
                0 => Threads::balanced(peer.cores, plan, info).encoder,
                threads => threads,
            };
            video(&mut args, encode, info, (peer, threads))?;
        }
    }
    match &plan.audio {
        None => {}
        Some((_, AudioWay::Copy)) => args.say(["-c:a", "copy"]),
        Some((_, way)) => sound(&mut args, way, info),
    }
    match plan.contract.container {
        Container::Mp4 => args.say(["-movflags", "+faststart", "-f", "mp4"]),
        Container::M4a => args.say(["-movflags", "+faststart", "-f", "ipod"]),
        Container::Ogg => args.say(["-f", "ogg"]),
        Container::WebM => args.say(["-f", "webm"]),
        Container::Jpeg => return Err("a sheet is no stream"),
    }
    args.say([output]);
    Ok(args.0)
}

#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn say<'a>(&mut self, words: impl IntoIterator<Item = &'a str>) {
        self.0.extend(words.into_iter().map(str::to_owned));
    }
}

fn possible(plan: &Plan) -> Result<(), &'static str> {
    match plan.encode().map(|encode| encode.rate) {
        Some(Rate::Bits { .. }) => return Err("a size takes several passes"),
        Some(Rate::Quality { .. }) | None => {}
    }
    match plan.rung {
        Rung::None | Rung::Cpu => {}
        Rung::Cuda { .. } | Rung::Upload { .. } | Rung::Hybrid { .. } => return Err("a GPU takes part"),
    }
    if plan.cut.is_some() {
        return Err("only a part is kept");
    }
    Ok(())
}

/// The decoder where libav's first choice is another one.
fn decoder_by_name(video: &Video) -> Option<&'static str> {
    match video.codec.as_str() {
        "vp9" if video.alpha_side_stream => Some("libvpx-vp9"),
        "vp8" if video.alpha_side_stream => Some("libvpx"),
        _ => None,
    }
}

fn video(
    args: &mut Words,
    encode: &VideoEncode,
    info: &MediaInfo,
    (peer, threads): (Peer<'_>, u32),
) -> Result<(), &'static str> {
    let Some(video) = info.video() else {
        return Err("there is no video");
    };
    if encode.picture.to_bt709 && peer.table.is_none() {
        return Err("the table of colours is missing");
    }
    let (shape, pixel) = first_frame(video);
    let table = peer.table.filter(|_| encode.picture.to_bt709);
    let chain = chain::video(&encode.picture, table, &shape, &shape, pixel);
    args.say(["-vf", &chain, "-fps_mode", "passthrough"]);
    // The encoder's clock steers its rate control: the input's, as in the engine, not one over the frame rate.
    let base = match encode.picture.fps_max {
        Some(fps) => format!("1/{fps}"),
        None if peer.major >= DEMUX_WORD_SINCE => "demux".to_owned(),
        None => "-1".to_owned(),
    };
    args.say(["-enc_time_base", &base, "-c:v", software_encoder(encode.codec)]);
    for (option, value) in encoder_options(encode) {
        args.say([&*format!("-{option}:v"), &value]);
    }
    let colour = encode.picture.colour;
    args.say(["-g:v", &encode.gop.to_string(), "-flags:v", "+bitexact"]);
    args.say(["-threads:v", &threads.to_string()]);
    args.say(["-color_range:v", if colour.full_range { "pc" } else { "tv" }]);
    args.say(["-colorspace:v", &colour.matrix.to_string()]);
    args.say(["-color_trc:v", &colour.transfer.to_string()]);
    args.say(["-color_primaries:v", &colour.primaries.to_string()]);
    if encode.codec == VideoCodec::Hevc {
        args.say(["-tag:v", "hvc1"]);
    }
    Ok(())
}

/// What a decoder will give, as far as the chain asks.
fn first_frame(video: &Video) -> (FrameShape, PixelFacts) {
    let side = |pixels: u32| i32::try_from(pixels).unwrap_or(i32::MAX);
    let shape = FrameShape {
        width: side(video.width),
        height: side(video.height),
        sar: (video.sar.num, video.sar.den),
        full_range: video.colour.full_range,
        ..FrameShape::default()
    };
    let pixel = PixelFacts {
        bits: video.bits,
        chroma_420: video.chroma_420,
        rgb: video.rgb,
        alpha: video.alpha,
        jpeg_range: video.pixel_format.starts_with("yuvj"),
    };
    (shape, pixel)
}

fn sound(args: &mut Words, way: &AudioWay, info: &MediaInfo) {
    let AudioWay::Encode {
        codec,
        sample_rate,
        channels,
        bit_rate_bps,
    } = *way
    else {
        return;
    };
    let target = Sound {
        codec,
        sample_rate,
        channels,
    };
    let channels_in = info
        .audio()
        .map_or(2, |audio| i32::try_from(audio.channels).unwrap_or(i32::MAX));
    let shape = chain::sound_shape(target, channels_in);
    let time = chain::sound_time(sample_rate, false, None);
    args.say(["-af", &format!("{shape},{time}"), "-c:a", audio_encoder(codec)]);
    args.say(["-b:a", &bit_rate_bps.to_string(), "-flags:a", "+bitexact"]);
}

/// The same for HandBrake's command line, as near as it comes: encoder, preset, quality, size, sound. Its filters and its
/// clock are its own, so its packets are others.
///
/// # Errors
/// Why there are none, in words.
pub fn handbrake(plan: &Plan, (input, output): (&str, &str)) -> Result<Vec<String>, &'static str> {
    possible(plan)?;
    let Some(encode) = plan.encode() else {
        return Err("it always encodes the picture");
    };
    let encoder = match encode.codec {
        VideoCodec::H264 => "x264",
        VideoCodec::Hevc => "x265",
        VideoCodec::Av1 | VideoCodec::Vp9 => return Err("only H.264 and HEVC are said to it"),
    };
    let Rate::Quality { crf } = encode.rate else {
        return Err("a size takes several passes");
    };
    let picture = &encode.picture;
    let mut args = Words::default();
    args.say(["-i", input, "-o", output, "-f", "av_mp4", "--optimize", "--vfr"]);
    args.say(["-e", encoder, "--encoder-preset", encode.speed, "-q", &crf.to_string()]);
    args.say(["-w", &picture.width.to_string(), "-l", &picture.height.to_string()]);
    args.say(["--crop", "0:0:0:0", "--non-anamorphic", "--no-markers"]);
    match &plan.audio {
        None => args.say(["-a", "none"]),
        Some((_, AudioWay::Copy)) => args.say(["-a", "1", "-E", "copy"]),
        Some((_, AudioWay::Encode { bit_rate_bps, .. })) => {
            let kbps = (bit_rate_bps / 1000).to_string();
            args.say(["-a", "1", "-E", "av_aac", "-B", &kbps, "--mixdown", "stereo"]);
        }
    }
    Ok(args.0)
}

/// How the source of a comparison is shown for an outside judge: the filters, and the size that both are brought to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// A chain of FFmpeg's filters for frames as they are decoded, not turned.
    pub chain: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// As [`score`](super::score::score) shows the source.
///
/// # Errors
/// [`MediaError::Refused`](super::MediaError::Refused) where it has no video, or the recipe makes none of it;
/// [`MediaError::Unfit`](super::MediaError::Unfit) where its colours are mapped: the chain names a file then.
pub fn shown(info: &MediaInfo, recipe: &super::Recipe) -> Result<Shown, super::MediaError> {
    let picture = super::score::as_shown(info, recipe)?;
    if picture.to_bt709 {
        return Err(super::MediaError::Unfit("its colours are mapped".to_owned()));
    }
    let (shape, pixel) = info.video().map(first_frame).unwrap_or_default();
    Ok(Shown {
        chain: chain::video(&picture, None, &shape, &shape, pixel),
        width: picture.width,
        height: picture.height,
    })
}
