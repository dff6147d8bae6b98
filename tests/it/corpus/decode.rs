//! One decode of a stream by ffmpeg: the time of each frame and a small picture of it, or the sound as a level curve.
//!
//! Pictures are kept as 32x32 in the file's own YCbCr or RGB, so that matrix, range and orientation are applied here, in
//! plain arithmetic, and not by the library that kadr uses too. A decode of a source is kept beside the test's files.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Sides of a small picture, pixels.
pub(crate) const SIDE: usize = 32;
/// Bytes of a small picture.
pub(crate) const PICTURE_BYTES: usize = SIDE * SIDE * 3;
/// A jump of the clock in a transport stream, microseconds: as ffmpeg's `dts_delta_threshold`.
pub(crate) const JUMP_US: i64 = 10_000_000;
/// Samples a second of the sound that is compared.
const SOUND_RATE: i64 = 8000;
/// Samples a point of the level curve: 5 ms.
const WINDOW: usize = 40;
/// Points a second of the level curve.
pub(crate) const LEVELS_A_SECOND: i64 = 200;

/// The frames of a video stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frames {
    pub(crate) pts_us: Vec<i64>,
    /// `PICTURE_BYTES` a frame: planes where it is YCbCr, packed where it is RGB.
    pub(crate) pictures: Vec<u8>,
    /// Width to height as shown before it is turned: what decoder and container say together.
    pub(crate) aspect: Option<(u64, u64)>,
    /// What ffmpeg complained of.
    pub(crate) errors: Vec<String>,
}

impl Frames {
    pub(crate) fn picture(&self, index: usize) -> Option<&[u8]> {
        self.pictures.get(index * PICTURE_BYTES..(index + 1) * PICTURE_BYTES)
    }
}

/// The sound of an audio stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sound {
    pub(crate) start_us: i64,
    pub(crate) end_us: i64,
    /// RMS of full scale, a point each 5 ms, from `start_us` on; gaps are silent.
    pub(crate) levels: Vec<f32>,
    pub(crate) errors: Vec<String>,
}

/// What is decoded and how.
pub(crate) struct Request<'a> {
    pub(crate) path: &'a Path,
    pub(crate) stream: usize,
    /// Options before `-i`.
    pub(crate) decoder: Vec<String>,
    pub(crate) chain: String,
    /// Of a source: the answer is kept, for it is asked again for each tool. Of an output: the first error ends it.
    pub(crate) keep: bool,
}

pub(crate) fn frames(request: &Request<'_>) -> Frames {
    let options = "-enc_time_base 1:90000 -fps_mode passthrough";
    let (text, pictures, errors) = run(request, "split", options, "rawvideo");
    // The small picture is square, so its sample aspect ratio is the shape of the whole.
    let aspect = text
        .lines()
        .find_map(|line| line.strip_prefix("#sar 0: ")?.split_once('/'))
        .and_then(|(num, den)| Some((num.parse().ok()?, den.parse().ok()?)))
        .filter(|&(num, den)| num > 0 && den > 0);
    Frames {
        pts_us: text.lines().filter_map(line_of).map(|(pts, _)| pts * 100 / 9).collect(),
        pictures,
        aspect,
        errors,
    }
}

/// `jumps` where a clock that leaps by more than `JUMP_US` goes on at once instead.
pub(crate) fn sound(path: &Path, stream: usize, jumps: bool, keep: bool) -> Sound {
    let request = Request {
        path,
        stream,
        decoder: Vec::new(),
        chain: format!("aresample={SOUND_RATE},aformat=sample_fmts=s16:channel_layouts=mono"),
        keep,
    };
    let (text, bytes, errors) = run(&request, "asplit", "", "s16le");
    let mut times: Vec<(i64, usize)> = text.lines().filter_map(line_of).collect();
    if jumps {
        close_leaps(&mut times);
    }
    let samples: Vec<i16> = bytes
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    let us = |at: i64| at * 1_000_000 / SOUND_RATE;
    let Some(&(first, _)) = times.first() else {
        return Sound {
            errors,
            ..Sound::default()
        };
    };
    let mut line: Vec<i16> = Vec::new();
    let mut taken = 0;
    for &(pts, size) in &times {
        let (count, at) = (size / 2, usize::try_from(pts - first).unwrap_or(0));
        let next = (taken + count).min(samples.len());
        if at + count > line.len() {
            line.resize(at + count, 0);
        }
        line[at..at + (next - taken)].copy_from_slice(&samples[taken..next]);
        taken = next;
    }
    Sound {
        start_us: us(first),
        end_us: us(first + i64::try_from(line.len()).unwrap()),
        levels: line.chunks(WINDOW).map(rms).collect(),
        errors,
    }
}

fn close_leaps(times: &mut [(i64, usize)]) {
    let (mut shift, mut next) = (0, None);
    for (pts, size) in times.iter_mut() {
        let wanted = next.unwrap_or(*pts);
        if (*pts + shift - wanted).abs() > JUMP_US * SOUND_RATE / 1_000_000 {
            shift = wanted - *pts;
        }
        *pts += shift;
        next = Some(*pts + i64::try_from(*size / 2).unwrap());
    }
}

fn rms(window: &[i16]) -> f32 {
    let sum: f32 = window.iter().map(|&sample| (f32::from(sample) / 32768.0).powi(2)).sum();
    (sum / window.len() as f32).sqrt()
}

/// What is cut off a picture's left is cut off to the pixel, as newer releases do by themselves.
const EXACT: [&str; 2] = ["-flags", "unaligned"];

/// A line a frame, the raw bytes, and the words of ffmpeg.
fn run(request: &Request<'_>, split: &str, options: &str, raw: &str) -> (String, Vec<u8>, Vec<String>) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("decoded");
    std::fs::create_dir_all(&folder).unwrap();
    let name = folder.join(name_of(request));
    let (times, bytes, words) = (with(&name, "txt"), with(&name, "raw"), with(&name, "err"));
    if !(request.keep && words.exists()) {
        let output = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-y", "-noautorotate", "-copyts"])
            .args((!request.keep).then_some("-xerror"))
            .args(EXACT)
            .args(&request.decoder)
            .arg("-i")
            .arg(request.path)
            .arg("-filter_complex")
            .arg(format!("[0:{}]{},{split}[a][b]", request.stream, request.chain))
            .args(["-map", "[a]"])
            .args(options.split_whitespace())
            .args(["-f", "framecrc"])
            .arg(&times)
            .args(["-map", "[b]"])
            .args(options.split_whitespace())
            .args(["-f", raw])
            .arg(&bytes)
            .output()
            .expect("ffmpeg runs");
        let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() && text.trim().is_empty() {
            text = format!("ffmpeg ended with {}", output.status);
        }
        std::fs::write(&words, text).unwrap();
    }
    let answer = (
        std::fs::read_to_string(&times).unwrap_or_default(),
        std::fs::read(&bytes).unwrap_or_default(),
        std::fs::read_to_string(&words)
            .unwrap()
            .lines()
            .filter(|line| is_of_source(line))
            .map(str::to_owned)
            .collect(),
    );
    if !request.keep {
        for file in [&times, &bytes, &words] {
            let _ = std::fs::remove_file(file);
        }
    }
    answer
}

/// Time and size of a frame, from `0, dts, pts, duration, size, crc`.
fn line_of(line: &str) -> Option<(i64, usize)> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    if line.starts_with('#') || fields.len() < 6 {
        return None;
    }
    Some((fields[2].parse().ok()?, fields[4].parse().ok()?))
}

/// The two writers of this command complain of repeated times; that says nothing of the file.
fn is_of_source(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty()
        && !["[framecrc @", "[rawvideo @", "[s16le @"]
            .iter()
            .any(|start| line.starts_with(start))
}

fn name_of(request: &Request<'_>) -> String {
    let about = std::fs::metadata(request.path).unwrap();
    let mut hasher = DefaultHasher::new();
    (
        request.path,
        about.len(),
        about.modified().ok(),
        request.stream,
        EXACT,
        &request.decoder,
        &request.chain,
    )
        .hash(&mut hasher);
    if !request.keep {
        (std::process::id(), std::thread::current().id()).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

fn with(name: &Path, extension: &str) -> PathBuf {
    name.with_extension(extension)
}
