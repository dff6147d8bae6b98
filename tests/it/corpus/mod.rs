//! The corpus: a folder of videos, converted by kadr or by another tool, each output judged by the contract of `play`.
//!
//! `tools` converts, `source` finds the truth about the input, `judge` holds the output against it (`picture`, `time`,
//! `privacy`, `boxes`), `verdict` sets that against what the sample's row expects, and the table is printed here. All of
//! it is told by ffprobe and ffmpeg: the engine's own prober has no say. `ci/corpus` runs the one test below with
//! `KADR_CORPUS_TOOL`; `proof` shows that the judge can fail.

mod boxes;
pub(crate) mod colour;
pub(crate) mod decode;
pub(crate) mod facts;
mod judge;
mod picture;
mod privacy;
mod proof;
pub(crate) mod source;
mod time;
pub(crate) mod tools;
pub(crate) mod verdict;

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};

use tools::Tool;
use verdict::{Expect, Verdict};

/// What one file may cost in the test suite, pixels to decode: about a minute of two cores. What costs more is left to
/// `ci/corpus`, which has no such bound.
const SUITE_PIXELS_MAX: u64 = 50_000_000_000;

/// Where the samples are: `KADR_SAMPLES`, or the folder beside the repository.
pub(crate) fn samples() -> PathBuf {
    match std::env::var_os("KADR_SAMPLES") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples"),
    }
}

#[test]
fn every_sample_meets_the_contract_or_is_refused_in_words() {
    let (folder, tool) = (samples(), Tool::chosen());
    if !folder.is_dir() {
        let mut stderr = std::io::stderr();
        writeln!(stderr, "skipped: no samples in {} (set KADR_SAMPLES)", folder.display()).unwrap();
        return;
    }
    let (right, all, wrong) = run(&folder, tool, std::env::var_os("KADR_CORPUS_TOOL").is_none());
    assert!(all > 0, "no file in {}", folder.display());
    if tool == Tool::Kadr {
        assert_eq!(right, all, "wrong:\n{}", wrong.join("\n"));
    }
}

#[expect(clippy::print_stdout, reason = "the table, seen live with --nocapture")]
/// Converts and judges every file; the table goes to stdout and beside the outputs.
fn run(folder: &Path, tool: Tool, in_suite: bool) -> (usize, usize, Vec<String>) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("corpus");
    let outputs = target.join(tool.name());
    let _ = std::fs::remove_dir_all(&outputs);
    std::fs::create_dir_all(&outputs).unwrap();
    let mut table = std::fs::File::create(target.join(format!("{}.txt", tool.name()))).unwrap();
    let mut say = |line: &str| {
        writeln!(table, "{line}").unwrap();
        println!("{line}");
    };
    say(&tool.caption());
    say(&format!(
        "{:<46} {:<7} {:<8} {:<9} {:>7}  reason",
        "file", "expect", "verdict", "mode", "seconds"
    ));
    let (expected, files) = (manifest(folder), files_of(folder));
    let (mut right, mut all, mut wrong) = (0, 0, Vec::new());
    for file in &files {
        let name = file.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
        if in_suite && pixels(file) > SUITE_PIXELS_MAX {
            writeln!(std::io::stderr(), "left to ci/corpus, for its cost: {name}").expect("stderr is there");
            continue;
        }
        all += 1;
        let expect = expected
            .get(&file.canonicalize().unwrap())
            .copied()
            .unwrap_or(Expect::Either);
        let output = outputs.join(format!("{}.mp4", name.replace('/', "_")));
        let before = names_in(&outputs);
        let run = tool.convert(file, &output);
        let own = output.file_name().unwrap().to_string_lossy().into_owned();
        let left: Vec<String> = names_in(&outputs)
            .difference(&before)
            .filter(|name| **name != own)
            .cloned()
            .collect();
        let verdict = verdict::verdict(expect, tool, &run, file, &output, &left);
        let mode = run
            .report
            .as_ref()
            .and_then(|report| report["mode"].as_str())
            .unwrap_or("-");
        let (word, reason) = match &verdict {
            Verdict::Plays => ("plays", String::new()),
            Verdict::Refused => ("refused", verdict::last_words(&run.stderr)),
            Verdict::Wrong(reasons) => ("WRONG", reasons.join("; ")),
        };
        let line = format!(
            "{name:<46} {:<7} {word:<8} {mode:<9} {:>7.1}  {reason}",
            expect.name(),
            run.seconds
        );
        say(line.trim_end());
        match verdict {
            Verdict::Wrong(_) => wrong.push(line),
            _ => right += 1,
        }
    }
    say(&format!("{right}/{all}"));
    (right, all, wrong)
}

/// `file` and `expect` of the manifest in the folder or above it; without one every file may be refused.
fn manifest(folder: &Path) -> HashMap<PathBuf, Expect> {
    let mut rows = HashMap::new();
    for home in [Some(folder), folder.parent()].into_iter().flatten() {
        let Ok(text) = std::fs::read_to_string(home.join("MANIFEST.tsv")) else {
            continue;
        };
        for row in text.lines().skip(1) {
            let mut fields = row.split('\t');
            if let (Some(file), Some(word)) = (fields.next(), fields.next())
                && let Ok(path) = home.join(file).canonicalize()
            {
                rows.insert(path, Expect::of(word));
            }
        }
        break;
    }
    rows
}

/// To be decoded for the whole file; 0 where it does not open.
fn pixels(file: &Path) -> u64 {
    let facts = facts::Facts::of(file).ok();
    let streams = facts.iter().flat_map(|facts| &facts.streams);
    streams
        .map(|stream| u64::from(stream.width) * u64::from(stream.height) * stream.packets)
        .sum()
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_of(&path));
        } else if path.file_name().is_some_and(|name| name != "MANIFEST.tsv") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}
