//! Clips made in code for what breaks converters and no sample covers. Each is converted by the binary, judged by the
//! contract of `play` (`corpus`), and, where the clip says what must be seen or heard, by that.

mod broken;
mod colours;
mod counted;
mod orientation;
mod private;
mod sizes;
mod sound;
mod streams;
mod sync;

use std::path::{Path, PathBuf};

use crate::corpus::colour;
use crate::corpus::decode::{self, Frames, SIDE};
use crate::corpus::facts::{Facts, Stream};
use crate::corpus::source;
use crate::corpus::tools::{Run, Tool};
use crate::corpus::verdict::{Expect, Verdict, verdict};

/// A conversion that was judged; the folder holds the output.
struct Made {
    run: Run,
    output: PathBuf,
    _folder: tempfile::TempDir,
}

impl Made {
    fn mode(&self) -> String {
        let report = self.run.report.as_ref().unwrap();
        report["mode"].as_str().unwrap().to_owned()
    }

    /// The upright pictures, red, green and blue from 0 to 255.
    fn pictures(&self) -> Vec<Vec<f32>> {
        let (stream, frames) = video_of(&self.output);
        let reading = colour::readings(&stream)[0];
        (0..frames.pts_us.len())
            .map(|at| colour::upright(&frames, at, reading, stream.matrix_display).unwrap())
            .collect()
    }
}

fn video_of(path: &Path) -> (Stream, Frames) {
    let facts = Facts::of(path).unwrap();
    let stream = facts.of_kind("video")[0].clone();
    let frames = decode::frames(&source::request(path, &stream, false));
    (stream, frames)
}

/// The colour at a place from 0 to 1, as of an upright picture.
fn at(picture: &[f32], x: f32, y: f32) -> [f32; 3] {
    let steps = (0..SIDE).map(|step| (step, (step as f32 + 0.5) / SIDE as f32));
    let nearest = |to: f32| {
        let near = steps
            .clone()
            .min_by(|a, b| (a.1 - to).abs().total_cmp(&(b.1 - to).abs()));
        near.unwrap().0
    };
    let place = (nearest(y) * SIDE + nearest(x)) * 3;
    picture[place..place + 3].try_into().unwrap()
}

#[track_caller]
fn judged(input: &Path, expect: Expect) -> (Made, Verdict) {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.mp4");
    let run = Tool::Kadr.convert(input, &output);
    let names = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let left: Vec<String> = names
        .filter(|name| name != "out.mp4")
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let verdict = verdict(expect, Tool::Kadr, &run, input, &output, &left);
    let made = Made {
        run,
        output,
        _folder: folder,
    };
    (made, verdict)
}

/// Converts and holds the output against the contract.
#[track_caller]
fn plays(input: &Path) -> Made {
    let (made, verdict) = judged(input, Expect::Play);
    assert_eq!(verdict, Verdict::Plays, "{}", input.display());
    made
}

/// Meets the contract, or is refused in words.
#[track_caller]
fn plays_or_is_refused(input: &Path) -> Made {
    let (made, verdict) = judged(input, Expect::Either);
    assert!(
        !matches!(verdict, Verdict::Wrong(_)),
        "{}: {verdict:?}",
        input.display()
    );
    made
}

/// Refused cleanly; gives the words.
#[track_caller]
fn refused(input: &Path) -> String {
    let (made, verdict) = judged(input, Expect::Refuse);
    assert_eq!(verdict, Verdict::Refused, "{}", input.display());
    made.run.stderr
}

/// Pieces one after another, as a recorder does that was restarted.
fn joined(name: &str, parts: &[PathBuf]) -> PathBuf {
    let path = parts[0].with_file_name(name);
    let bytes: Vec<u8> = parts.iter().flat_map(|part| std::fs::read(part).unwrap()).collect();
    write(&path, &bytes);
    path
}

/// A file that is there already keeps its time, so that its decode is found again.
fn write(path: &Path, bytes: &[u8]) {
    if std::fs::read(path).ok().as_deref() != Some(bytes) {
        std::fs::write(path, bytes).unwrap();
    }
}
