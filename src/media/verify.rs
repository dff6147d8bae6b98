//! Output -> verdict: is it what was promised? The file is re-opened by the safe opener and read to its end.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::atomic::Ordering::Relaxed;

use super::confine::Confined;
use super::control::Control;
use super::error::{MediaError, Refusal};
use super::info::{MediaInfo, Orientation, Rational};
use super::limits::Limits;
use super::plan::Plan;
use super::preset::{AudioCodec, Container, VideoCodec};
use super::probe::{Unread, probe_file};
use super::report::Warning;
use super::transcode::Tally;

/// A source of which less can be decoded is refused.
pub(in crate::media) const DECODED_PERCENT_MIN: u8 = 50;
/// How far the end of the output may lie from the last packet that was written, microseconds: the muxer rounds to its
/// own time base, and AAC ends on a whole frame.
const END_SLACK_US: i64 = 150_000;

/// What the re-opened output holds.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) duration_us: i64,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) size_bytes: u64,
    pub(super) frames: u64,
    pub(super) warnings: Vec<Warning>,
}

/// Holds the output against the plan and the count of what was written.
pub(super) fn verify(
    output: File,
    (plan, source): (&Plan, &MediaInfo),
    tally: &Tally,
    limits: &Limits,
    control: &Control,
    confined: &Confined,
) -> Result<Verdict, MediaError> {
    let mut warnings = damage(plan, source, tally)?;
    let wrong = |what: String| MediaError::Unverified(what);
    let own_limits = Limits {
        size_bytes_max: None,
        ..limits.clone()
    };
    let boxes = matches!(plan.contract.container, Container::Mp4 | Container::M4a);
    let (info, read) = reopen(output, boxes, &own_limits, control, confined, |info| {
        check_streams(info, plan, tally)
    })?;
    if plan.audio.is_some() && tally.audio_out.load(Relaxed) == 0 {
        warnings.push(Warning::SilentTrack);
    }
    check_times(&read, &info, tally).map_err(wrong)?;
    check_video(&info, plan).map_err(wrong)?;
    check_audio(&info, plan).map_err(wrong)?;
    Ok(verdict(&info, &read, warnings))
}

/// Holds a part of a finished file against the whole and the count of what was written.
pub(super) fn verify_part(
    output: File,
    whole: &MediaInfo,
    tally: &Tally,
    limits: &Limits,
    control: &Control,
    confined: &Confined,
) -> Result<Verdict, MediaError> {
    let wrong = |what: String| MediaError::Unverified(what);
    let wanted = (tally.video_out.load(Relaxed) > 0, tally.audio_out.load(Relaxed) > 0);
    let (info, read) = reopen(output, true, limits, control, confined, |info| {
        check_kinds(info, wanted)?;
        check_alike(info, whole, wanted)
    })?;
    if wanted.0 && !read.begins_with_key {
        return Err(wrong("it does not begin with a key frame".to_owned()));
    }
    check_times(&read, &info, tally).map_err(wrong)?;
    Ok(verdict(&info, &read, Vec::new()))
}

/// The streams of the whole.
fn check_alike(info: &MediaInfo, whole: &MediaInfo, wanted: (bool, bool)) -> Result<(), String> {
    let picture = |info: &MediaInfo| {
        let video = info.video()?;
        Some((video.codec.clone(), video.width, video.height, video.orientation))
    };
    let sound = |info: &MediaInfo| {
        let audio = info.audio()?;
        Some((audio.codec.clone(), audio.sample_rate, audio.channels))
    };
    if wanted.0 && picture(info) != picture(whole) {
        return Err(format!(
            "video is {:?}, the whole has {:?}",
            picture(info),
            picture(whole)
        ));
    }
    if wanted.1 && sound(info) != sound(whole) {
        return Err(format!("sound is {:?}, the whole has {:?}", sound(info), sound(whole)));
    }
    Ok(())
}

fn verdict(info: &MediaInfo, read: &Contents, warnings: Vec<Warning>) -> Verdict {
    let (width, height) = displayed(info);
    Verdict {
        duration_us: info.duration_us.unwrap_or(read.end_us),
        width,
        height,
        size_bytes: info.size_bytes,
        frames: read.frames,
        warnings,
    }
}

/// Opens the output as anyone would, and reads it to its end if its streams are right. `boxes` where its index must come
/// first.
fn reopen(
    mut output: File,
    boxes: bool,
    limits: &Limits,
    control: &Control,
    confined: &Confined,
    check: impl FnOnce(&MediaInfo) -> Result<(), String>,
) -> Result<(MediaInfo, Contents), MediaError> {
    let unreadable = |source| MediaError::Io {
        doing: "re-read the output",
        source,
    };
    if boxes && !moov_comes_first(&mut output).map_err(unreadable)? {
        return Err(MediaError::Unverified("moov does not come before mdat".to_owned()));
    }
    let size_bytes = output.metadata().map_err(unreadable)?.len();
    let (info, unread) = probe_file(output, size_bytes, limits, control, confined).map_err(|error| match error {
        stopped @ (MediaError::Canceled | MediaError::TimeLimit { .. }) => stopped,
        error => MediaError::Unverified(format!("it does not open: {error}")),
    })?;
    check(&info).map_err(MediaError::Unverified)?;
    let read = read_through(unread, &info, limits, control, confined)?;
    Ok((info, read))
}

/// The promised container with the promised streams and no other.
fn check_streams(info: &MediaInfo, plan: &Plan, tally: &Tally) -> Result<(), String> {
    let container = match plan.contract.container {
        Container::Mp4 | Container::M4a => "mov",
        Container::Ogg => "ogg",
        Container::WebM => "webm",
        Container::Jpeg => "image2",
    };
    if !info.is_container(&[container]) {
        return Err(format!("its container is {}, promised {container}", info.container));
    }
    let wanted = (
        plan.video.is_some() && tally.video_out.load(Relaxed) > 0,
        tally.audio_out.load(Relaxed) > 0,
    );
    check_kinds(info, wanted)
}

/// Video and sound where they are wanted, and no other stream.
fn check_kinds(info: &MediaInfo, wanted: (bool, bool)) -> Result<(), String> {
    let found = (info.video.is_some(), info.audio.is_some());
    if found != wanted || info.streams.len() != usize::from(wanted.0) + usize::from(wanted.1) {
        return Err(format!(
            "{} streams, video and sound are {found:?}, promised {wanted:?}",
            info.streams.len()
        ));
    }
    Ok(())
}

/// Every frame is there, nothing starts late, nothing ends early.
fn check_times(read: &Contents, info: &MediaInfo, tally: &Tally) -> Result<(), String> {
    let written = tally.video_out.load(Relaxed);
    if info.video.is_some() && read.frames != written {
        return Err(format!("{} frames, {written} were written", read.frames));
    }
    let slack_us = END_SLACK_US + frame_us(info);
    let promised_us = tally.out_end_us.load(Relaxed);
    if (read.end_us - promised_us).abs() > slack_us {
        return Err(format!("it ends at {} us, promised {promised_us} us", read.end_us));
    }
    let (video_us, audio_us) = (tally.video_start_us.load(Relaxed), tally.audio_start_us.load(Relaxed));
    for (what, found_us, promised_us) in [
        ("video", read.video_start_us, video_us),
        ("sound", read.audio_start_us, audio_us),
    ] {
        if found_us != i64::MAX && (found_us - promised_us).abs() > slack_us {
            return Err(format!("{what} starts at {found_us} us, promised {promised_us} us"));
        }
    }
    Ok(())
}

/// One frame: libav does not always tell the duration of the last one.
#[expect(clippy::cast_possible_truncation, reason = "at most a second")]
fn frame_us(info: &MediaInfo) -> i64 {
    let fps = info.video().map_or(25.0, |video| video.fps.max(1.0));
    (1e6 / fps) as i64
}

fn check_video(info: &MediaInfo, plan: &Plan) -> Result<(), String> {
    let (Some(video), Some(terms)) = (info.video(), plan.contract.video) else {
        return Ok(());
    };
    let codec = match terms.codec {
        VideoCodec::H264 => "h264",
        VideoCodec::Hevc => "hevc",
        VideoCodec::Av1 => "av1",
        VideoCodec::Vp9 => "vp9",
    };
    let plays = match terms.codec {
        VideoCodec::H264 => {
            matches!(
                video.profile.as_str(),
                "Baseline" | "Constrained Baseline" | "Main" | "High"
            ) && video.level <= 51
        }
        VideoCodec::Hevc | VideoCodec::Av1 => video.profile == "Main",
        VideoCodec::Vp9 => video.profile == "Profile 0",
    };
    if video.codec != codec || !plays || video.bits != 8 || !video.chroma_420 {
        return Err(format!("video is {} {}", video.title(), video.pixel_format));
    }
    if video.interlaced {
        return Err("video is interlaced".to_owned());
    }
    if video.sar.num > 0 && video.sar.num != video.sar.den {
        return Err(format!("pixels are {}:{}", video.sar.num, video.sar.den));
    }
    let Some(encode) = plan.encode() else { return Ok(()) };
    let picture = &encode.picture;
    if (video.width, video.height) != (picture.width, picture.height) {
        return Err(format!(
            "size is {}x{}, promised {}x{}",
            video.width, video.height, picture.width, picture.height
        ));
    }
    if video.orientation != Orientation::Upright {
        return Err(format!("the picture is turned ({:?})", video.orientation));
    }
    if video.colour != picture.colour {
        return Err(format!("colour is {:?}, promised {:?}", video.colour, picture.colour));
    }
    Ok(())
}

fn check_audio(info: &MediaInfo, plan: &Plan) -> Result<(), String> {
    let (Some(audio), Some(terms)) = (info.audio(), plan.contract.audio) else {
        return Ok(());
    };
    let fits = match terms.codec {
        AudioCodec::Aac => audio.codec == "aac" && audio.profile == "LC" && audio.sample_rate <= 48_000,
        AudioCodec::Opus => audio.codec == "opus",
    };
    if !fits || audio.channels > terms.channels_max {
        return Err(format!(
            "sound is {} {} Hz {} ch",
            audio.title(),
            audio.sample_rate,
            audio.channels
        ));
    }
    Ok(())
}

/// Counts what the source lost on the way: a warning, or a refusal where under half is left.
fn damage(plan: &Plan, source: &MediaInfo, tally: &Tally) -> Result<Vec<Warning>, Refusal> {
    let errors = tally.decode_errors.load(Relaxed);
    let packets = tally.video_packets_in.load(Relaxed);
    // Of a part, only what was read can be counted.
    let header = match plan.cut {
        None => source.video().map_or(0, |video| video.frames),
        Some(_) => 0,
    };
    let promised = header.max(packets);
    let got = if plan.encode().is_some() {
        tally.video_decoded.load(Relaxed)
    } else {
        packets
    };
    if plan.video.is_none() || promised == 0 {
        return Ok(if errors == 0 {
            Vec::new()
        } else {
            vec![Warning::Damaged {
                lost_percent: 1,
                frames_lost: 0,
                decode_errors: errors,
            }]
        });
    }
    // In these codecs each packet is a picture: one that gives none was lost, whether or not the decoder says so.
    let whole_pictures = source
        .video()
        .is_some_and(|video| matches!(video.codec.as_str(), "h264" | "hevc") && !video.interlaced);
    let silent_loss = whole_pictures && got < packets;
    if errors == 0 && packets >= promised && !silent_loss {
        return Ok(Vec::new());
    }
    let percent = u8::try_from((got.min(promised) * 100) / promised).unwrap_or(100);
    if percent < DECODED_PERCENT_MIN {
        return Err(Refusal::Damaged {
            decoded_percent: percent,
            percent_min: DECODED_PERCENT_MIN,
        });
    }
    Ok(vec![Warning::Damaged {
        lost_percent: (100 - percent).max(1),
        frames_lost: promised.saturating_sub(got),
        decode_errors: errors,
    }])
}

/// Size as shown: turned by the display matrix that a copied stream keeps.
fn displayed(info: &MediaInfo) -> (u32, u32) {
    match info.video() {
        Some(video) if video.orientation.swaps_sides() => (video.height, video.width),
        Some(video) => (video.width, video.height),
        None => (0, 0),
    }
}

/// What reading the output to its end found.
struct Contents {
    frames: u64,
    /// Microseconds; `i64::MAX` without such a stream.
    video_start_us: i64,
    audio_start_us: i64,
    end_us: i64,
    /// Whether the first picture is a key frame.
    begins_with_key: bool,
}

/// Reads every packet.
fn read_through(
    output: Unread,
    info: &MediaInfo,
    limits: &Limits,
    control: &Control,
    confined: &Confined,
) -> Result<Contents, MediaError> {
    let unreadable = |error: super::ffi::AvError| MediaError::Unverified(format!("it does not read: {error}"));
    let mut demuxer = output.open(info, limits, control, confined).map_err(unreadable)?;
    let bases: Vec<Rational> = (0..demuxer.stream_count())
        .map(|index| demuxer.facts(index).time_base)
        .collect();
    let mut read = Contents {
        frames: 0,
        video_start_us: i64::MAX,
        audio_start_us: i64::MAX,
        end_us: 0,
        begins_with_key: false,
    };
    while let Some(packet) = demuxer.read().map_err(unreadable)? {
        control.check()?;
        let video = Some(packet.stream()) == info.video;
        read.begins_with_key |= video && read.frames == 0 && packet.is_key();
        read.frames += u64::from(video);
        if let (Some(pts), Some(base)) = (packet.pts(), bases.get(packet.stream())) {
            let start = if video {
                &mut read.video_start_us
            } else {
                &mut read.audio_start_us
            };
            *start = (*start).min(base.rescale(pts, Rational::MICROS));
            read.end_us = read.end_us.max(base.rescale(pts + packet.duration(), Rational::MICROS));
        }
    }
    Ok(read)
}

/// Walks the top-level boxes (ISO 14496-12, section 4.2).
fn moov_comes_first(file: &mut File) -> std::io::Result<bool> {
    let mut at = 0_u64;
    loop {
        file.seek(SeekFrom::Start(at))?;
        let mut header = [0_u8; 16];
        let got = file.read(&mut header)?;
        if got < 8 {
            return Ok(false);
        }
        match &header[4..8] {
            b"moov" => return Ok(true),
            b"mdat" => return Ok(false),
            _ => {}
        }
        let short = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
        let size = match short {
            1 => u64::from_be_bytes([
                header[8], header[9], header[10], header[11], header[12], header[13], header[14], header[15],
            ]),
            0 => return Ok(false),
            size => u64::from(size),
        };
        at += size.max(8);
    }
}
