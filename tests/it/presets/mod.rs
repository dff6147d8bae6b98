//! Each preset and each modifier by its contract: clips made in code, outputs judged by ffprobe and ffmpeg alone.
//!
//! `sizes` holds the presets that promise bytes or quality, `codecs` those that promise a codec, `shapes` those that
//! promise a shape, `changes` the modifiers, `parts` trimming, `sound` tracks, and `refused` what cannot be had.

mod changes;
mod codecs;
mod parts;
mod refused;
mod shapes;
mod sizes;
mod sound;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kadr::media::{Caps, Control, Limits, Recipe, Report, convert};

use crate::support::clip;

/// An output; its folder goes with it.
struct Made {
    report: Report,
    output: PathBuf,
    _folder: tempfile::TempDir,
}

/// Converts by a recipe as people write it.
#[track_caller]
fn make(input: &Path, recipe: &str) -> Made {
    let recipe: Recipe = recipe.parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out").with_extension(recipe.preset.extension());
    let (caps, limits, control) = (Caps::detect(), Limits::default(), Control::new(None));
    let report = convert(input, &output, &recipe, &caps, &limits, &control).unwrap();
    Made {
        report,
        output,
        _folder: folder,
    }
}

/// The command line, in a folder.
fn kadr(args: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kadr"))
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// What ffmpeg writes to stdout and stderr, having ended well.
#[track_caller]
fn ffmpeg(before: &[&str], input: &Path, after: &[&str]) -> Output {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner"])
        .args(before)
        .arg("-i")
        .arg(input)
        .args(after)
        .output()
        .expect("ffmpeg runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// ffprobe's answer about one stream, a line an entry, values only.
#[track_caller]
fn about(path: &Path, stream: &str, entries: &str) -> Vec<String> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", stream, "-show_entries", entries])
        .args(["-of", "compact=p=0:nk=1"])
        .arg(path)
        .output()
        .expect("ffprobe runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    // Side data leaves a separator or an empty line behind.
    text.lines()
        .map(|line| line.trim_end_matches('|').to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

/// One number that ffprobe tells.
#[track_caller]
fn number(path: &Path, stream: &str, entry: &str) -> f64 {
    let lines = about(path, stream, entry);
    let line = lines.first().unwrap_or_else(|| panic!("no {entry} of {stream}"));
    line.parse().unwrap_or_else(|_| panic!("{entry} is {line}"))
}

/// When each picture is shown, seconds; where the container does not say, a twenty-fifth after the one before.
fn times(path: &Path) -> Vec<f64> {
    let mut times: Vec<f64> = Vec::new();
    for line in about(path, "v:0", "frame=best_effort_timestamp_time") {
        let guess = times.last().map_or(0.0, |last| last + 0.04);
        times.push(if line == "N/A" {
            guess
        } else {
            line.parse().expect("a time")
        });
    }
    times
}

/// How long the pictures are shown in all, seconds, with the last one as long as the one before.
fn shown_s(path: &Path) -> f64 {
    let times = times(path);
    let (last, before) = (times[times.len() - 1], times[times.len() - 2]);
    last + (last - before) - times[0]
}

fn size_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

/// Every picture, scaled to a size, as ffmpeg's bytes of that pixel format.
fn pictures(path: &Path, (width, height): (u32, u32), format: &str, decoder: &[&str]) -> Vec<Vec<u8>> {
    let scale = format!("scale={width}:{height}:flags=area");
    let mut before = vec!["-v", "error", "-xerror"];
    before.extend(decoder);
    let after = [
        "-map",
        "0:v:0",
        "-fps_mode",
        "passthrough",
        "-vf",
        &scale,
        "-pix_fmt",
        format,
        "-f",
        "rawvideo",
        "-",
    ];
    let bytes = ffmpeg(&before, path, &after).stdout;
    let pixels = (width * height) as usize;
    let each = match format {
        "gray" => pixels,
        "rgb24" => pixels * 3,
        "rgba" => pixels * 4,
        other => panic!("{other}"),
    };
    bytes.chunks(each).map(<[u8]>::to_vec).collect()
}

/// Colours of the corners of the first picture: top left, top right, bottom left, bottom right.
fn corners(path: &Path) -> [&'static str; 4] {
    let picture = &pictures(path, (8, 8), "rgb24", &[])[0];
    [(1, 1), (6, 1), (1, 6), (6, 6)].map(|(x, y)| {
        let at = (y * 8 + x) * 3;
        colour(&picture[at..at + 3])
    })
}

/// The plain colour that a pixel is near.
fn colour(pixel: &[u8]) -> &'static str {
    let lit: Vec<bool> = pixel.iter().map(|&value| value > 127).collect();
    assert!(pixel.iter().all(|value| !(96..=160).contains(value)), "{pixel:?}");
    match lit[..] {
        [false, false, false] => "black",
        [true, false, false] => "red",
        [false, true, false] => "green",
        [false, false, true] => "blue",
        [true, true, false] => "yellow",
        [true, true, true] => "white",
        _ => "other",
    }
}

/// Red and green above blue and yellow; `more` are filters and encoders.
fn cornered(name: &str, size: &str, more: &str) -> PathBuf {
    let quarters =
        "geq=r='255*(lt(X,W/2)*lt(Y,H/2)+gte(X,W/2)*gte(Y,H/2))':g='255*gte(X,W/2)':b='255*lt(X,W/2)*gte(Y,H/2)'";
    clip(
        name,
        &format!("-f lavfi -i color=black:s={size}:r=10:d=1,format=gbrp,{quarters} {more}"),
    )
}

/// Eight seconds at 25 frames a second, each picture with its number in eight bars, each second with a beep at its
/// beginning; `encoders` are ffmpeg's.
fn counted(name: &str, encoders: &str) -> PathBuf {
    let bars = "geq=lum='if(mod(floor(N/pow(2,floor(X/32))),2),235,16)':cb=128:cr=128";
    let beeps = "aevalsrc='if(lt(mod(t,1),0.1),0.5*sin(2*PI*1000*t),0)':s=48000:d=8";
    clip(
        name,
        &format!("-f lavfi -i color=black:s=256x64:r=25:d=8,format=yuv420p,{bars} -f lavfi -i {beeps} {encoders}"),
    )
}

/// The numbers that the pictures carry.
fn numbers(path: &Path) -> Vec<u32> {
    pictures(path, (8, 1), "gray", &[])
        .iter()
        .map(|bars| (0..8).map(|bit| u32::from(bars[bit] > 127) << bit).sum())
        .collect()
}

/// When beeps begin, seconds on the file's clock.
fn beeps(path: &Path) -> Vec<f64> {
    let after = [
        "-map",
        "0:a:0",
        "-af",
        "aresample=async=1:first_pts=0",
        "-ac",
        "1",
        "-ar",
        "8000",
        "-f",
        "s16le",
        "-",
    ];
    let bytes = ffmpeg(&["-v", "error"], path, &after).stdout;
    let loud = |pair: &[u8]| i16::from_le_bytes([pair[0], pair[1]]).unsigned_abs() > 3_000;
    let (mut begins, mut quiet) = (Vec::new(), usize::MAX);
    for (at, sample) in bytes.chunks_exact(2).enumerate() {
        if loud(sample) {
            if quiet > 2_400 {
                begins.push(at as f64 / 8000.0);
            }
            quiet = 0;
        } else {
            quiet = quiet.saturating_add(1);
        }
    }
    begins
}

/// How loud a file is around a frequency, decibels of full scale.
fn level_db(path: &Path, hertz: u32) -> f64 {
    let band = format!("bandpass=f={hertz}:width_type=h:w=100");
    let filter = format!("{band},{band},{band},volumedetect");
    let output = ffmpeg(&[], path, &["-map", "0:a:0", "-af", &filter, "-f", "null", "-"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, rest) = text.split_once("mean_volume: ").expect("volumedetect speaks");
    rest.split_whitespace().next().unwrap().parse().unwrap()
}
