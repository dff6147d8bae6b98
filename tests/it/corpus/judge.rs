//! The contract of the preset `play`, held against an output and its source by ffprobe and ffmpeg alone.
//!
//! Every check gives its reason in words, and none knows how the output was made or what the file is called.

use std::path::Path;
use std::process::Command;

use super::boxes;
use super::colour;
use super::decode::{self, Frames, Sound};
use super::facts::{Facts, Stream};
use super::picture;
use super::privacy;
use super::source::{self, Source, VideoTruth};
use super::time;

/// Long edge of an output, pixels.
const EDGE_MAX: f64 = 1920.0;
/// Frames a second, with room for rounding.
const FPS_MAX: f64 = 60.5;

/// An output as it is decoded.
pub(crate) struct Output {
    pub(crate) facts: Facts,
    pub(crate) video: Option<(Stream, Frames)>,
    pub(crate) audio: Option<(Stream, Sound)>,
}

/// Why the output does not meet the contract; empty where it does.
pub(crate) fn judge(source: &Source, path: &Path) -> Vec<String> {
    let facts = match Facts::of(path) {
        Ok(facts) => facts,
        Err(words) => return vec![format!("it does not open: {words}")],
    };
    let mut wrong = container(&facts, path);
    wrong.extend(streams(source, &facts));
    let video = facts.of_kind("video").first().map(|&stream| {
        let frames = decode::frames(&source::request(path, stream, false));
        (stream.clone(), frames)
    });
    let audio = facts
        .of_kind("audio")
        .first()
        .map(|&stream| (stream.clone(), decode::sound(path, stream.index, false, false)));
    let output = Output { facts, video, audio };
    if let Some(reason) = decodes(&output) {
        // What was not decoded cannot be judged.
        wrong.push(reason);
        wrong.extend(privacy::judge(source, &output.facts, path));
        return wrong;
    }
    if let (Some(truth), Some((stream, frames))) = (&source.video, &output.video) {
        wrong.extend(codec(stream));
        wrong.extend(shape(truth, stream));
        wrong.extend(tags(truth, stream));
        wrong.extend(rate(frames));
        wrong.extend(matrix(source, truth, stream, path));
        wrong.extend(fields(truth, stream, path));
        wrong.extend(picture::judge(source, truth, stream, frames));
    }
    if let Some((stream, _)) = &output.audio {
        wrong.extend(sound_codec(stream));
    }
    wrong.extend(time::judge(source, &output));
    wrong.extend(privacy::judge(source, &output.facts, path));
    wrong
}

fn container(facts: &Facts, path: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    if !facts.format.split(',').any(|name| name == "mp4") {
        return vec![format!("it is {}, not MP4", facts.format)];
    }
    wrong.extend(boxes::why_not_fast_start(path));
    if !facts.chapters.is_empty() {
        wrong.push(format!("{} chapters", facts.chapters.len()));
    }
    wrong
}

/// One video stream where the source has a film, one audio stream where it has sound, nothing else.
fn streams(source: &Source, facts: &Facts) -> Vec<String> {
    let mut wrong = Vec::new();
    let wanted = [("video", source.video.is_some()), ("audio", source.audio.is_some())];
    for (kind, is_wanted) in wanted {
        let found = facts.of_kind(kind).len();
        if found != usize::from(is_wanted) {
            wrong.push(format!("{found} {kind} streams, {} wanted", usize::from(is_wanted)));
        }
    }
    for stream in &facts.streams {
        if !matches!(stream.kind.as_str(), "video" | "audio") {
            wrong.push(format!("a {} stream ({})", stream.kind, stream.codec));
        }
        if stream.attached_pic {
            wrong.push("cover art".to_owned());
        }
    }
    wrong
}

/// Every stream to the end, without one error.
fn decodes(output: &Output) -> Option<String> {
    let of_video = output.video.iter().flat_map(|(_, frames)| &frames.errors);
    let of_audio = output.audio.iter().flat_map(|(_, sound)| &sound.errors);
    let first = of_video.chain(of_audio).next()?;
    Some(format!("it does not decode to the end: {first}"))
}

fn codec(stream: &Stream) -> Vec<String> {
    let mut wrong = Vec::new();
    if stream.codec != "h264" {
        return vec![format!("video is {}, not H.264", stream.codec)];
    }
    if !matches!(
        stream.profile.as_str(),
        "Baseline" | "Constrained Baseline" | "Main" | "High"
    ) {
        wrong.push(format!("H.264 profile is {}", stream.profile));
    }
    if !matches!(stream.pixel_format.as_str(), "yuv420p" | "yuvj420p") {
        wrong.push(format!("pixel format is {}", stream.pixel_format));
    }
    if stream.level > 51 {
        wrong.push(format!("level is {} (limit 51)", stream.level));
    }
    wrong
}

/// Even, square pixels, not larger than 1920, not larger than the source and not needlessly smaller, the same shape.
fn shape(truth: &VideoTruth, stream: &Stream) -> Vec<String> {
    let mut wrong = Vec::new();
    if stream.width % 2 == 1 || stream.height % 2 == 1 {
        wrong.push(format!("size is {}x{}, not even", stream.width, stream.height));
    }
    if stream.sar.0 != stream.sar.1 {
        wrong.push(format!("pixels are not square ({}:{})", stream.sar.0, stream.sar.1));
    }
    let (width, height) = stream.displayed()[0];
    let fits = truth.stream.displayed().into_iter().any(|(wide, high)| {
        let factor = (EDGE_MAX / wide.max(high)).min(1.0);
        let (wide, high) = (wide * factor, high * factor);
        // An odd side may be cut or scaled by one pixel, and an even one rounds by less than two.
        (-1.999..=1.0).contains(&(width - wide.max(2.0))) && (-1.999..=1.0).contains(&(height - high.max(2.0)))
    });
    if !fits {
        let [(wide, high), _] = truth.stream.displayed();
        wrong.push(format!(
            "shown as {width}x{height}, the source as {wide:.1}x{high:.1} (long edge at most {EDGE_MAX}, same shape)"
        ));
    }
    wrong
}

fn is_bt709_curve(transfer: &str) -> bool {
    matches!(transfer, "bt709" | "smpte170m" | "bt2020-10" | "bt2020-12")
}

/// Explicit, and the source's own unless the picture was mapped to BT.709.
fn tags(truth: &VideoTruth, stream: &Stream) -> Vec<String> {
    let mut wrong = Vec::new();
    let from = &truth.stream;
    let named = [
        ("primaries", &stream.primaries),
        ("transfer", &stream.transfer),
        ("matrix", &stream.matrix),
        ("range", &stream.range),
    ];
    let missing: Vec<&str> = named
        .iter()
        .filter(|(_, value)| value.is_empty())
        .map(|(name, _)| *name)
        .collect();
    if !missing.is_empty() {
        wrong.push(format!("colour tags missing: {}", missing.join(", ")));
    }
    if stream.is_full_range() {
        wrong.push("range is full, not tv".to_owned());
    }
    let mapped = from.is_hdr() || from.primaries == "bt2020" || from.matrix.starts_with("bt2020") || from.is_rgb();
    let bt709 = [&stream.primaries, &stream.transfer, &stream.matrix]
        .iter()
        .all(|tag| *tag == "bt709");
    if from.is_hdr() && !bt709 {
        wrong.push(format!(
            "high dynamic range is tagged {}/{}/{}, not bt709",
            stream.primaries, stream.transfer, stream.matrix
        ));
    }
    if !(mapped && bt709) && missing.is_empty() {
        if !from.primaries.is_empty() && from.primaries != stream.primaries {
            wrong.push(format!(
                "primaries are {}, the source's {}",
                stream.primaries, from.primaries
            ));
        }
        let same_curve =
            from.transfer == stream.transfer || (is_bt709_curve(&from.transfer) && is_bt709_curve(&stream.transfer));
        if !from.transfer.is_empty() && !same_curve {
            wrong.push(format!(
                "transfer is {}, the source's {}",
                stream.transfer, from.transfer
            ));
        }
    }
    wrong
}

fn rate(frames: &Frames) -> Option<String> {
    let fps = source::fps(&frames.pts_us);
    (fps > FPS_MAX).then(|| format!("{fps:.1} fps (limit 60)"))
}

/// A matrix is the source's, and only on frames that are the source's bit by bit.
fn matrix(source: &Source, truth: &VideoTruth, stream: &Stream, path: &Path) -> Vec<String> {
    let is_identity = |m: [i64; 9]| m[0] > 0 && m[1] == 0 && m[3] == 0 && m[4] > 0;
    let Some(found) = stream.matrix_display.filter(|&m| !is_identity(m)) else {
        return Vec::new();
    };
    let mut wrong = Vec::new();
    let turn = |m: [i64; 9]| [m[0], m[1], m[3], m[4]].map(i64::signum);
    if truth.stream.matrix_display.map(turn) != Some(turn(found)) {
        wrong.push("the display matrix is not the source's".to_owned());
    }
    let first = |path: &Path, index: usize| hashes(path, index);
    if first(&source.path, truth.stream.index) != first(path, stream.index) {
        wrong.push("re-encoded pictures have a display matrix".to_owned());
    }
    wrong
}

/// Hashes of the first decoded frames, as they are in the stream.
fn hashes(path: &Path, index: usize) -> Vec<String> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "quiet", "-noautorotate", "-i"])
        .arg(path)
        .args([
            "-map",
            &format!("0:{index}"),
            "-fps_mode",
            "passthrough",
            "-frames:v",
            "5",
            "-f",
            "framemd5",
            "-",
        ])
        .output()
        .expect("ffmpeg runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit(',').next().map(|hash| hash.trim().to_owned()))
        .collect()
}

/// No field coding in the output; where the source had it, no combing either.
fn fields(truth: &VideoTruth, stream: &Stream, path: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    if stream.is_interlaced() {
        wrong.push(format!("it is interlaced ({})", stream.field_order));
    }
    if truth.stream.is_interlaced() {
        let (combed, progressive) = idet(path);
        if combed * 4 > progressive {
            wrong.push(format!(
                "combing: idet finds {combed} interlaced and {progressive} progressive frames"
            ));
        }
    }
    wrong
}

/// Frames that ffmpeg's detector takes for interlaced and for progressive.
fn idet(path: &Path) -> (u64, u64) {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-i"])
        .arg(path)
        .args(["-map", "0:v:0", "-vf", "idet", "-f", "null", "-"])
        .output()
        .expect("ffmpeg runs");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let Some((_, line)) = words.split_once("Multi frame detection:") else {
        return (0, 0);
    };
    let numbers: Vec<u64> = line
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    match numbers[..] {
        [top, bottom, progressive, ..] => (top + bottom, progressive),
        _ => (0, 0),
    }
}

fn sound_codec(stream: &Stream) -> Vec<String> {
    let mut wrong = Vec::new();
    if stream.codec != "aac" || stream.profile != "LC" {
        wrong.push(format!("audio is {} {}, not AAC-LC", stream.codec, stream.profile));
    }
    if stream.channels > 2 || stream.channels == 0 {
        wrong.push(format!("{} audio channels (limit 2)", stream.channels));
    }
    if stream.sample_rate > 48_000 {
        wrong.push(format!("audio at {} Hz (limit 48000)", stream.sample_rate));
    }
    wrong
}

/// What a reading needs of the output's stream; the tags decide, or the size where they are missing.
pub(crate) fn reading(stream: &Stream) -> colour::Reading {
    colour::readings(stream)[0]
}
