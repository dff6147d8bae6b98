//! The end of the line: packets of all streams into one file, on the thread that called the engine.
//!
//! The header needs every encoder's parameters, so packets wait here until each stream is ready or has ended with
//! nothing. This stage always receives, whatever the order of packets: no other stage can lock up behind it.

use std::fs::File;
use std::sync::atomic::Ordering::Relaxed;

use super::queue::Receiver;
use super::{Halt, Job, Stage, ToMux, engine, receive};
use crate::media::error::{MediaError, Refusal};
use crate::media::ffi::{AvError, Output, Packet, StreamParams};
use crate::media::info::Rational;
use crate::media::plan::{AudioWay, VideoWay};
use crate::media::preset::VideoCodec;
use crate::media::verify::DECODED_PERCENT_MIN;

/// One stream of the output as the muxer knows it.
struct Track {
    input: usize,
    output: usize,
    time_base: Rational,
    video: bool,
}

pub(super) fn mux(job: &Job<'_>, file: File, expected: usize, from: &Receiver<ToMux>) -> Stage {
    let mut output = Output::create(file, job.plan.contract.container).map_err(engine("open the muxer"))?;
    let mut ready: Vec<(usize, StreamParams)> = Vec::new();
    let mut waiting: Vec<(usize, Packet)> = Vec::new();
    let mut ended = 0;
    let mut empty = 0;
    let mut tracks: Vec<Track> = Vec::new();
    // It does not wait for all senders to go away: an encoder takes its time to close.
    while ended < expected {
        let Some(message) = receive(job, from)? else {
            return Err(Halt::Hungup);
        };
        match message {
            ToMux::Ready(index, params) => ready.push((index, params)),
            ToMux::Packet(index, packet) if tracks.is_empty() => waiting.push((index, packet)),
            ToMux::Packet(index, packet) => write(job, &mut output, &tracks, index, packet)?,
            ToMux::End(index) => {
                ended += 1;
                // A stream that ends before it gave anything has no place in the output.
                empty += usize::from(tracks.is_empty() && !ready.iter().any(|(one, _)| *one == index));
            }
        }
        if tracks.is_empty() && !ready.is_empty() && ready.len() + empty == expected {
            tracks = start(job, &mut output, &mut ready)?;
            for (index, packet) in waiting.drain(..) {
                write(job, &mut output, &tracks, index, packet)?;
            }
        }
    }
    if tracks.is_empty() {
        return Err(Halt::Failed(nothing_decoded()));
    }
    let outcome = output.write_trailer();
    outcome.map_err(|error| write_error(&mut output, error))?;
    output.flush().map_err(|error| Halt::Failed(io_error(error)))
}

/// A first pass has no output: its packets are counted, for the gauge and the limits.
pub(super) fn count(job: &Job<'_>, from: &Receiver<ToMux>) -> Stage {
    let mut time_base = Rational::MICROS;
    let mut ended = false;
    while let Some(message) = receive(job, from)? {
        match message {
            ToMux::Ready(_, params) => time_base = params.time_base,
            ToMux::Packet(_, packet) => {
                let end = packet.pts().unwrap_or(0) + packet.duration();
                let end_us = time_base.rescale(end, Rational::MICROS);
                check_length(job, end_us)?;
                job.control.gauge().reach(u64::try_from(end_us).unwrap_or(0));
                job.tally.video_out.fetch_add(1, Relaxed);
            }
            ToMux::End(_) => ended = true,
        }
    }
    if !ended {
        return Err(Halt::Hungup);
    }
    if job.tally.video_out.load(Relaxed) == 0 {
        return Err(Halt::Failed(nothing_decoded()));
    }
    Ok(())
}

/// Headers lie about durations; what is written does not.
fn check_length(job: &Job<'_>, end_us: i64) -> Stage {
    if end_us <= i64::try_from(job.limits.duration_max.as_micros()).unwrap_or(i64::MAX) {
        return Ok(());
    }
    Err(Halt::Failed(
        Refusal::TooLong {
            duration_s: end_us.unsigned_abs() / 1_000_000,
            limit_s: job.limits.duration_max.as_secs(),
        }
        .into(),
    ))
}

fn nothing_decoded() -> MediaError {
    Refusal::Damaged {
        decoded_percent: 0,
        percent_min: DECODED_PERCENT_MIN,
    }
    .into()
}

/// Adds the streams, video first, and writes the header.
fn start(job: &Job<'_>, output: &mut Output, ready: &mut [(usize, StreamParams)]) -> Result<Vec<Track>, Halt> {
    let video = job.plan.video.as_ref().map(|(index, _)| *index);
    ready.sort_by_key(|(index, _)| Some(*index) != video);
    let mut tracks = Vec::new();
    for (input, params) in ready.iter() {
        let is_video = Some(*input) == video;
        let copied = match (&job.plan.video, &job.plan.audio) {
            (Some((_, VideoWay::Copy { .. })), _) if is_video => true,
            (_, Some((_, AudioWay::Copy))) => !is_video,
            _ => false,
        };
        // Apple's players take HEVC by this tag alone.
        let hevc = is_video
            && job
                .plan
                .contract
                .video
                .is_some_and(|terms| terms.codec == VideoCodec::Hevc);
        let tag = hevc.then_some(*b"hvc1");
        let index = output.add(params, copied, tag).map_err(engine("add a stream"))?;
        tracks.push(Track {
            input: *input,
            output: index,
            time_base: params.time_base,
            video: is_video,
        });
    }
    let outcome = output.write_header();
    outcome.map_err(|error| write_error(output, error))?;
    Ok(tracks)
}

fn write(job: &Job<'_>, output: &mut Output, tracks: &[Track], index: usize, mut packet: Packet) -> Stage {
    let Some(track) = tracks.iter().find(|track| track.input == index) else {
        return Ok(());
    };
    let end = packet.pts().unwrap_or(0) + packet.duration();
    let end_us = track.time_base.rescale(end, Rational::MICROS);
    check_length(job, end_us)?;
    let gauge = job.control.gauge();
    gauge.count_bytes(packet.size());
    gauge.reach(u64::try_from(end_us).unwrap_or(0));
    let start_us = packet
        .pts()
        .map_or(i64::MAX, |pts| track.time_base.rescale(pts, Rational::MICROS));
    job.tally.out_bytes.fetch_add(packet.size(), Relaxed);
    if track.video {
        gauge.count_frame();
        job.tally.video_out.fetch_add(1, Relaxed);
        job.tally.video_bytes.fetch_add(packet.size(), Relaxed);
        job.tally.video_start_us.fetch_min(start_us, Relaxed);
    } else {
        job.tally.audio_out.fetch_add(1, Relaxed);
        job.tally.audio_start_us.fetch_min(start_us, Relaxed);
    }
    job.tally.out_end_us.fetch_max(end_us, Relaxed);
    packet.set_stream(track.output);
    packet.rescale(track.time_base, output.time_base(track.output));
    let outcome = output.write(&mut packet);
    outcome.map_err(|error| write_error(output, error))?;
    job.control.packet_written();
    Ok(())
}

/// The cause is what the disk said, where it said something.
fn write_error(output: &mut Output, error: AvError) -> Halt {
    Halt::Failed(match output.take_io_error() {
        Some(source) => io_error(source),
        None => engine("write the output")(error),
    })
}

fn io_error(source: std::io::Error) -> MediaError {
    use std::io::ErrorKind as Kind;
    match source.kind() {
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => MediaError::DiskFull,
        _ => MediaError::Io {
            doing: "write the output",
            source,
        },
    }
}
