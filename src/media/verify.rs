//! Output -> verdict: is it what was promised? The file is re-opened by the safe opener and read to its end.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use super::control::Control;
use super::error::{MediaError, Refusal};
use super::ffi::Input;
use super::info::{MediaInfo, Rational};
use super::plan::Plan;
use super::preset::Limits;
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
    output: &Path,
    plan: &Plan,
    source: &MediaInfo,
    tally: &Tally,
    limits: &Limits,
    control: &Control,
) -> Result<Verdict, MediaError> {
    let warnings = damage(plan, source, tally)?;
    let wrong = |what: String| MediaError::Unverified(what);
    let mut file = File::open(output).map_err(|source| MediaError::Io {
        doing: "re-open the output",
        source,
    })?;
    if !moov_comes_first(&mut file).map_err(|source| MediaError::Io {
        doing: "re-read the output",
        source,
    })? {
        return Err(wrong("moov does not come before mdat".to_owned()));
    }
    let own_limits = Limits {
        size_bytes_max: None,
        ..limits.clone()
    };
    let info = super::probe::probe(output, &own_limits, control)
        .map_err(|error| wrong(format!("it does not open: {error}")))?;
    let wanted = (
        plan.video.is_some() && tally.video_out.load(Relaxed) > 0,
        tally.audio_out.load(Relaxed) > 0,
    );
    if (info.video.is_some(), info.audio.is_some()) != wanted {
        return Err(wrong(format!(
            "streams are {:?}, promised {wanted:?}",
            (info.video.is_some(), info.audio.is_some())
        )));
    }
    let (frames, end_us) = read_through(file, &info, &own_limits, control)?;
    let written = tally.video_out.load(Relaxed);
    if wanted.0 && frames != written {
        return Err(wrong(format!("{frames} frames, {written} were written")));
    }
    let promised_us = tally.out_end_us.load(Relaxed);
    if (end_us - promised_us).abs() > END_SLACK_US + frame_us(&info) {
        return Err(wrong(format!("it ends at {end_us} us, promised {promised_us} us")));
    }
    let (width, height) = displayed(&info);
    check_video(&info, plan).map_err(wrong)?;
    Ok(Verdict {
        duration_us: info.duration_us.unwrap_or(end_us),
        width,
        height,
        size_bytes: info.size_bytes,
        frames,
        warnings,
    })
}

/// One frame: libav does not always tell the duration of the last one.
#[expect(clippy::cast_possible_truncation, reason = "at most a second")]
fn frame_us(info: &MediaInfo) -> i64 {
    let fps = info.video().map_or(25.0, |video| video.fps.max(1.0));
    (1e6 / fps) as i64
}

fn check_video(info: &MediaInfo, plan: &Plan) -> Result<(), String> {
    let Some(video) = info.video() else { return Ok(()) };
    if video.codec != "h264" || video.bits != 8 || !video.chroma_420 {
        return Err(format!("video is {} {}", video.codec, video.pixel_format));
    }
    if let Some((_, super::plan::VideoWay::Encode { picture, .. })) = &plan.video
        && (video.width, video.height) != (picture.width, picture.height)
    {
        return Err(format!(
            "size is {}x{}, promised {}x{}",
            video.width, video.height, picture.width, picture.height
        ));
    }
    Ok(())
}

/// Counts what the source lost on the way: a warning, or a refusal where under half is left.
fn damage(plan: &Plan, source: &MediaInfo, tally: &Tally) -> Result<Vec<Warning>, Refusal> {
    let errors = tally.decode_errors.load(Relaxed);
    let packets = tally.video_packets_in.load(Relaxed);
    let promised = source.video().map_or(0, |video| video.frames).max(packets);
    let encoded = matches!(plan.video, Some((_, super::plan::VideoWay::Encode { .. })));
    let got = if encoded {
        tally.video_decoded.load(Relaxed)
    } else {
        packets
    };
    if plan.video.is_none() || promised == 0 {
        return Ok(Vec::new());
    }
    let short_file = packets < promised;
    if errors == 0 && !short_file {
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

/// Reads every packet: video frames, and the end of the last packet in microseconds.
fn read_through(
    mut file: File,
    info: &MediaInfo,
    limits: &Limits,
    control: &Control,
) -> Result<(u64, i64), MediaError> {
    let unreadable = |error: super::ffi::AvError| MediaError::Unverified(format!("it does not read: {error}"));
    file.seek(SeekFrom::Start(0)).map_err(|source| MediaError::Io {
        doing: "re-read the output",
        source,
    })?;
    let mut demuxer = Input::open(file, limits, control).map_err(unreadable)?;
    let bases: Vec<Rational> = (0..demuxer.stream_count())
        .map(|index| demuxer.facts(index).time_base)
        .collect();
    let (mut frames, mut end_us) = (0, 0);
    while let Some(packet) = demuxer.read().map_err(unreadable)? {
        control.check()?;
        frames += u64::from(Some(packet.stream()) == info.video);
        if let (Some(pts), Some(base)) = (packet.pts(), bases.get(packet.stream())) {
            end_us = end_us.max(base.rescale(pts + packet.duration(), Rational::MICROS));
        }
    }
    Ok((frames, end_us))
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
