//! When things happen in an output, against the source: every frame, the start, the offset of sound, the end.

use super::decode::{LEVELS_A_SECOND, Sound};
use super::judge::Output;
use super::picture::correlate;
use super::source::{self, Source, VideoTruth};

/// Where the source is faster, frames may be dropped down to this rate.
const FPS_MAX: f64 = 60.5;
/// Of the frames that are left at 60 a second, so many must be there.
const THINNED_SHARE_MIN: f64 = 0.9;
/// Of a damaged source so much must be there, per cent.
const DAMAGED_PERCENT_MIN: usize = 50;
/// The end may lie apart by so much beside one frame, microseconds: AAC ends on a whole frame.
const END_SLACK_US: i64 = 150_000;
/// One AAC frame at 48 kHz: packets of sound begin no finer where they are copied.
const SOUND_STEP_US: i64 = 22_000;
/// An MP4 rounds its times to its own clock, microseconds.
const ROUNDING_US: i64 = 2_000;
/// RMS of full scale: below it is silence (-60 dB), above it is sound (-50 dB).
const SILENCE: f32 = 0.001;
const SOUND: f32 = 0.003;
/// A level curve must rise and fall by so much against its mean to be laid over another.
const UNEVENNESS_MIN: f32 = 0.2;
/// How far apart sound is looked for, points of the level curve: 0.5 s.
const LAG_MAX: i64 = LEVELS_A_SECOND / 2;

pub(crate) fn judge(source: &Source, output: &Output) -> Vec<String> {
    let mut wrong = Vec::new();
    let damaged = source.is_damaged();
    if let (Some(truth), Some((_, frames))) = (&source.video, &output.video) {
        wrong.extend(count(truth, frames.pts_us.len(), damaged));
        if !damaged && truth.frames.pts_us.len() == frames.pts_us.len() {
            wrong.extend(timeline(truth, &frames.pts_us));
        }
    }
    wrong.extend(starts(source, output));
    wrong.extend(ends(source, output));
    if let (Some(truth), Some((_, sound))) = (&source.audio, &output.audio) {
        wrong.extend(loudness(&truth.sound, sound, truth.stream.channels > 2));
        wrong.extend(lag(source, &truth.sound, sound));
    }
    wrong
}

/// One frame, or one packet of sound where that is longer.
fn tolerance_us(source: &Source) -> i64 {
    let frame = source.video.as_ref().map_or(0, VideoTruth::frame_us).min(100_000);
    frame.max(SOUND_STEP_US)
}

/// Every frame, unless the source is too fast or damaged.
fn count(truth: &VideoTruth, got: usize, damaged: bool) -> Option<String> {
    let all = truth.frames.pts_us.len();
    let fps = truth.fps();
    if fps > FPS_MAX {
        let kept = all as f64 * 60.0 / fps;
        let enough = got as f64 >= kept * THINNED_SHARE_MIN && got <= all;
        return (!enough).then(|| format!("{got} frames of {all} at {fps:.1} fps, about {kept:.0} wanted"));
    }
    if damaged {
        let packets = usize::try_from(truth.stream.packets).unwrap_or(all);
        let enough = got * 100 >= packets * DAMAGED_PERCENT_MIN;
        return (!enough).then(|| format!("{got} frames of {packets} packets, under half is an error"));
    }
    (got != all).then(|| format!("{got} frames, the source has {all}"))
}

/// Each frame at its time, one frame's time apart at most.
fn timeline(truth: &VideoTruth, got_us: &[i64]) -> Option<String> {
    let from = &truth.frames.pts_us;
    let slack = truth.frame_us().clamp(10_000, 50_000);
    let late = |at: usize| (got_us[at] - got_us[0]) - (from[at] - from[0]);
    // Frames that share one time in the source have none of their own.
    let shared = |at: usize| {
        from[at.saturating_sub(1)..from.len().min(at + 2)]
            .iter()
            .filter(|&&pts| pts == from[at])
            .count()
            > 1
    };
    let worst = (0..from.len())
        .filter(|&at| !shared(at))
        .max_by_key(|&at| late(at).abs())?;
    (late(worst).abs() > slack).then(|| {
        format!(
            "frame {worst} is {:+.3} s off its time (limit one frame, {:.3})",
            late(worst) as f64 / 1e6,
            slack as f64 / 1e6
        )
    })
}

/// The first stream starts at 0, and the other one where it started in the source.
fn starts(source: &Source, output: &Output) -> Vec<String> {
    let mut wrong = Vec::new();
    let s = |us: i64| us as f64 / 1e6;
    let video = output
        .video
        .as_ref()
        .and_then(|(_, frames)| frames.pts_us.first().copied());
    let audio = output
        .audio
        .as_ref()
        .filter(|(_, sound)| !sound.levels.is_empty())
        .map(|(_, sound)| sound.start_us);
    if video.is_none() && audio.is_none() {
        return vec!["nothing in it decodes".to_owned()];
    }
    // A decoder of AAC gives nothing for the first packet: the container says where sound starts.
    let said = output.facts.streams.iter().filter_map(|stream| stream.start_s);
    let start = said.fold(f64::INFINITY, f64::min);
    if start.abs() > s(ROUNDING_US) {
        wrong.push(format!("it starts at {start:.3} s, not at 0"));
    }
    let (Some(video), Some(audio)) = (video, audio) else {
        return wrong;
    };
    let truth = (
        source.video.as_ref().map(|truth| truth.frames.pts_us[0]),
        source.audio.as_ref().map(|truth| truth.sound.start_us),
    );
    let (Some(video_was), Some(audio_was)) = truth else {
        return wrong;
    };
    if video_was <= audio_was && video > ROUNDING_US {
        wrong.push(format!("video starts at {:.3} s, not at 0", s(video)));
    }
    let (was, is) = (audio_was - video_was, audio - video);
    if (was - is).abs() > tolerance_us(source) {
        wrong.push(format!(
            "sound starts {:+.3} s after the picture, in the source {:+.3} s",
            s(is),
            s(was)
        ));
    }
    wrong
}

/// The file says how long it is, and that is how long the decoded source is.
fn ends(source: &Source, output: &Output) -> Option<String> {
    if source.is_damaged() {
        return None;
    }
    let video = source
        .video
        .as_ref()
        .map(|truth| truth.frames.pts_us.last().unwrap_or(&0) + truth.frame_us());
    let audio = source.audio.as_ref().map(|truth| truth.sound.end_us);
    let wanted = video.into_iter().chain(audio).max()? - source.start_us();
    let slack = END_SLACK_US + source.video.as_ref().map_or(0, VideoTruth::frame_us);
    let apart = |got: f64| (got - wanted as f64 / 1e6).abs() > slack as f64 / 1e6;
    let said = output.facts.duration_s.unwrap_or(0.0);
    if apart(said) {
        return Some(format!(
            "it says {said:.3} s, the source has {:.3} s",
            wanted as f64 / 1e6
        ));
    }
    let video = output
        .video
        .as_ref()
        .and_then(|(_, frames)| Some(frames.pts_us.last()? + source::median_step(&frames.pts_us)));
    let audio = output.audio.as_ref().map(|(_, sound)| sound.end_us);
    let got = video.into_iter().chain(audio).max()? as f64 / 1e6;
    apart(got).then(|| format!("it ends at {got:.3} s, the source at {:.3} s", wanted as f64 / 1e6))
}

fn loudness(from: &Sound, to: &Sound, surround: bool) -> Option<String> {
    let rms = |sound: &Sound| {
        let sum: f32 = sound.levels.iter().map(|level| level * level).sum();
        (sum / sound.levels.len().max(1) as f32).sqrt()
    };
    let (was, is) = (rms(from), rms(to));
    if was > SOUND && is < SILENCE {
        return Some("it is silent, the source is not".to_owned());
    }
    // Mixing down may scale by the number of channels; stereo and mono may not change.
    let factor = if surround { 5.0 } else { 2.0 };
    (was > SOUND && !(was / factor..was * factor).contains(&is))
        .then(|| format!("sound is {:+.1} dB against the source", 20.0 * (is / was).log10()))
}

/// Sound lies where it lay, at the beginning and at the end: the level curves are laid over each other.
fn lag(source: &Source, from: &Sound, to: &Sound) -> Option<String> {
    let points = |us: i64| usize::try_from(us * LEVELS_A_SECOND / 1_000_000).unwrap_or(0);
    let line = |sound: &Sound, start: i64| -> Vec<f32> {
        let mut line = vec![0.0; points(sound.start_us - start)];
        line.extend(&sound.levels);
        line
    };
    let (from, to) = (line(from, source.start_us()), line(to, 0));
    let length = from.len().min(to.len());
    let window = usize::try_from(LEVELS_A_SECOND * 20).unwrap().min(length);
    let allowed = tolerance_us(source) + 10_000;
    for (place, at) in [("beginning", 0), ("end", length - window)] {
        // An even tone looks the same wherever it is laid.
        if unevenness(&from[at..at + window]) < UNEVENNESS_MIN {
            continue;
        }
        let Some((best, lag, still)) = best_lag(&from[at..at + window], &to[at..at + window]) else {
            continue;
        };
        let lag_us = lag * 1_000_000 / LEVELS_A_SECOND;
        if best > 0.6 && best - still > 0.1 && lag_us.abs() > allowed {
            return Some(format!("sound is {:+.3} s off at the {place}", lag_us as f64 / 1e6));
        }
    }
    None
}

/// Standard deviation of a curve against its mean.
fn unevenness(levels: &[f32]) -> f32 {
    let mean = levels.iter().sum::<f32>() / levels.len().max(1) as f32;
    let variance = levels.iter().map(|level| (level - mean).powi(2)).sum::<f32>() / levels.len().max(1) as f32;
    if mean > 0.0 { variance.sqrt() / mean } else { 0.0 }
}

/// The best likeness, its lag in points (positive: late), and the likeness without lag.
fn best_lag(from: &[f32], to: &[f32]) -> Option<(f32, i64, f32)> {
    let still = correlate(from, to)?;
    let limit = LAG_MAX.min(i64::try_from(from.len() / 3).unwrap());
    (-limit..=limit)
        .filter_map(|lag| {
            let shift = usize::try_from(lag.abs()).ok()?;
            let (a, b) = if lag >= 0 {
                (&from[..from.len() - shift], &to[shift..])
            } else {
                (&from[shift..], &to[..to.len() - shift])
            };
            Some((correlate(a, b)?, lag, still))
        })
        .max_by(|one, other| one.0.total_cmp(&other.0))
}
