//! Hostile files against each layer of protection: nothing that they name is opened, whichever one layer is missing.
//!
//! `ci/hostile` runs all of it under strace; the check runs a part of it, watched by inotify. That the watch can fail is
//! shown in the same run: without any layer the lures are opened. Layers go by `KADR_TEST_WITHOUT=formats,landlock`, which
//! only builds with debug assertions know (`src/media/layers.rs`).

mod containers;
mod corpus;
mod names;
mod playlists;
mod tags;
mod texts;
mod watch;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use corpus::{Hostile, Lure};
use kadr::media::{Control, Limits, probe};
use watch::{By, Seen, run};

/// All layers, by the words of `KADR_TEST_WITHOUT`.
const LAYERS: [&str; 8] = [
    "structure",
    "formats",
    "protocols",
    "codecs",
    "handle",
    "references",
    "landlock",
    "seccomp",
];
/// At once: the machine of the check has two cores.
const AT_ONCE: usize = 2;

/// Which layers stand, and what they promise by themselves.
struct Setting {
    name: String,
    without: String,
    /// No foreign file is opened.
    files: bool,
    /// No socket is made.
    sockets: bool,
    /// Nobody comes to the listener.
    reach: bool,
}

impl Setting {
    /// Everything is promised.
    fn without(layers: &[&str]) -> Self {
        let name = if layers.is_empty() {
            "all layers".to_owned()
        } else {
            format!("without {}", layers.join(", "))
        };
        Self {
            name,
            without: layers.join(","),
            files: true,
            sockets: true,
            reach: true,
        }
    }

    fn only(layers: &[&str]) -> Self {
        let gone: Vec<&str> = LAYERS.into_iter().filter(|layer| !layers.contains(layer)).collect();
        let name = if layers.is_empty() {
            "no layer".to_owned()
        } else {
            format!("only {}", layers.join(", "))
        };
        Self {
            name,
            ..Self::without(&gone)
        }
    }

    fn promises(self, files: bool, sockets: bool, reach: bool) -> Self {
        Self {
            files,
            sockets,
            reach,
            ..self
        }
    }

    /// What broke a promise.
    fn broken(&self, seen: &Seen) -> Option<String> {
        let mut words = Vec::new();
        if self.files && !seen.opened.is_empty() {
            words.push(format!("opened {:?}", seen.opened));
        }
        if self.sockets && seen.sockets > 0 {
            words.push(format!("made {} sockets", seen.sockets));
        }
        if self.reach && seen.reached > 0 {
            words.push(format!("reached the listener {} times", seen.reached));
        }
        if seen.programs > 0 {
            words.push(format!("started {} programs", seen.programs));
        }
        // What libav does with any decoder and any demuxer is not promised.
        if let (Some(died), true) = (&seen.died, self.files && self.sockets) {
            words.push(died.clone());
        }
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// Every layer away in turn, and alone where it is a wall by itself.
fn settings() -> Vec<Setting> {
    let mut all = vec![Setting::without(&[])];
    all.extend(LAYERS.map(|layer| Setting::without(&[layer])));
    all.extend([
        // The lists belong to an open file: by a name libav opens what the name says before it asks any list.
        Setting::only(&["formats", "references", "handle"]),
        Setting::only(&["protocols", "handle"]),
        // Landlock knows files and TCP; a socket may be made, and datagrams leave.
        Setting::only(&["landlock"]).promises(true, false, false),
        Setting::only(&["seccomp"]).promises(false, true, true),
        Setting::only(&["landlock", "seccomp"]),
    ]);
    all
}

/// Where the lures must be taken, or the watch proves nothing: by name and by handle other files are dangerous.
fn controls() -> [Setting; 2] {
    [
        Setting::only(&[]).promises(false, false, false),
        Setting::only(&["handle"]).promises(false, false, false),
    ]
}

fn listed() -> Vec<Hostile> {
    corpus::all(&Lure {
        file: "/canary".to_owned(),
        tcp: 1,
        udp: 1,
    })
}

/// The sum over the files of one setting.
#[derive(Default)]
struct Sum {
    files: usize,
    opened: Vec<String>,
    sockets: usize,
    reached: Vec<String>,
    refused: usize,
    broken: Vec<String>,
}

fn sum(program: &Path, setting: &Setting, files: &[usize], by: By) -> Sum {
    let list = listed();
    let next = AtomicUsize::new(0);
    let sum = Mutex::new(Sum::default());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(&index) = files.get(next.fetch_add(1, Relaxed)) {
                    let seen = run(program, index, &setting.without, by);
                    let name = list[index]
                        .name
                        .replace("127.0.0.1:1", "127.0.0.1:PORT")
                        .replace('\n', "\\n");
                    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    sum.files += 1;
                    sum.sockets += seen.sockets;
                    sum.refused += seen.refused;
                    if let Some(words) = setting.broken(&seen) {
                        sum.broken
                            .push(format!("{}: {name} ({}) {words}", setting.name, list[index].tries));
                    }
                    if seen.reached > 0 {
                        sum.reached.push(name.clone());
                    }
                    if !seen.opened.is_empty() {
                        sum.opened.push(name);
                    }
                }
            });
        }
    });
    let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    sum.opened.sort();
    sum.reached.sort();
    sum
}

#[expect(clippy::print_stdout, reason = "the figures, seen with --nocapture")]
fn print(setting: &Setting, sum: &Sum) {
    println!(
        "{:<33} {:>4} files {:>4} opened a foreign one {:>4} sockets {:>4} reached the listener {:>4} refused",
        setting.name,
        sum.files,
        sum.opened.len(),
        sum.sockets,
        sum.reached.len(),
        sum.refused
    );
}

fn debug_binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_kadr"))
}

#[test]
fn the_corpus_is_large_and_no_two_files_are_the_same() {
    let list = listed();
    assert!(list.len() >= 60, "{}", list.len());
    let names: BTreeSet<&str> = list.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names.len(), list.len());
    let mut contents: Vec<(&str, &[u8])> = list.iter().map(|one| (one.tries, one.bytes.as_slice())).collect();
    contents.sort_unstable();
    contents.dedup();
    assert_eq!(contents.len(), list.len());
}

/// What is refused for its looks carries nothing anywhere.
#[test]
fn films_among_them_are_read_as_films() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for one in listed() {
        let is_film = ["mkv", "avi", "mp3"]
            .iter()
            .any(|end| one.name.ends_with(&format!(".{end}")));
        if !is_film || one.name.starts_with("hls_") {
            continue;
        }
        let path = folder.path().join(&one.name);
        std::fs::write(&path, &one.bytes).unwrap();
        if let Err(error) = probe(&path, &Limits::default(), &Control::new(None)) {
            wrong.push(format!("{}: {error}", one.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All of it: `ci/hostile`.
#[expect(clippy::print_stdout, reason = "the figures, seen with --nocapture")]
#[test]
#[ignore = "takes minutes, and strace"]
fn no_file_opens_anything_whichever_layer_is_missing() {
    let program = debug_binary();
    let files: Vec<usize> = (0..listed().len()).collect();
    let (mut broken, mut runs) = (Vec::new(), 0);
    let settings = settings();
    for setting in &settings {
        let sum = sum(&program, setting, &files, By::Calls);
        print(setting, &sum);
        runs += sum.files;
        broken.extend(sum.broken);
    }
    let mut bait = Vec::new();
    for control in controls() {
        let sum = sum(&program, &control, &files, By::Calls);
        print(&control, &sum);
        println!("  opened a foreign file: {}", sum.opened.join(" "));
        println!("  reached the listener: {}", sum.reached.join(" "));
        broken.extend(sum.broken);
        if sum.opened.is_empty() || sum.reached.is_empty() {
            broken.push(format!(
                "{}: no lure was taken, so the watch proves nothing",
                control.name
            ));
        }
        bait.push(format!("{} and {}", sum.opened.len(), sum.reached.len()));
    }
    println!(
        "corpus: {} hostile files, {} settings, {runs} runs, {} broke a promise; without layers {} open a foreign file and reach the listener, over a handle {}",
        files.len(),
        settings.len(),
        broken.len(),
        bait[0],
        bait[1]
    );
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Those that a libav without protection is known to fall for.
const DANGEROUS: [&str; 9] = [
    "hls_file.m3u8",
    "hls_master_http.m3u8",
    "hls_key.m3u8",
    "dash_http.mpd",
    "dash_relative.mpd",
    "concat_relative.mp4",
    "concat_folder.txt",
    "alias.mov",
    "concat:beside.ts|canary/canary.ts",
];

#[test]
fn a_third_of_the_files_open_nothing_and_the_worst_of_them_with_no_layer_missing_either() {
    let program = debug_binary();
    let list = listed();
    let mut broken = Vec::new();
    let third: Vec<usize> = (0..list.len()).step_by(3).collect();
    broken.extend(sum(&program, &Setting::without(&[]), &third, By::Files).broken);
    let worst: Vec<usize> = (0..list.len())
        .filter(|&index| DANGEROUS.contains(&list[index].name.as_str()))
        .collect();
    assert_eq!(worst.len(), DANGEROUS.len());
    for setting in settings() {
        broken.extend(sum(&program, &setting, &worst, By::Files).broken);
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let (mut opened, mut reached) = (0, 0);
    for control in controls() {
        let sum = sum(&program, &control, &worst, By::Files);
        opened += sum.opened.len();
        reached += sum.reached.len();
    }
    assert!(
        opened > 0 && reached > 0,
        "the watch proves nothing: {opened} opened, {reached} reached"
    );
}

/// Compiled by itself, with and without debug assertions.
#[test]
fn a_release_build_has_no_switch_for_its_layers() {
    let folder = tempfile::tempdir().unwrap();
    let layers = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/media/layers.rs");
    let main = folder.path().join("main.rs");
    let text = r#"#![allow(dead_code)]
        #[path = "LAYERS"]
        mod layers;
        fn main() {
            let file = std::fs::File::open(file!()).unwrap();
            layers::opened(std::path::Path::new(file!()), &file);
            let stands = layers::Layer::Formats.stands();
            println!("{stands} {} {}", layers::name_of(&file).is_some(), layers::names().len());
        }"#;
    std::fs::write(&main, text.replace("LAYERS", layers.to_str().unwrap())).unwrap();
    for (assertions, expected) in [("off", "true false 0\n"), ("on", "false true 1\n")] {
        let program = folder.path().join(assertions);
        let compiled = Command::new("rustc")
            .args([
                "--edition",
                "2024",
                "-C",
                &format!("debug-assertions={assertions}"),
                "-o",
            ])
            .args([&program, &main])
            .output()
            .expect("rustc runs");
        assert!(
            compiled.status.success(),
            "{}",
            String::from_utf8_lossy(&compiled.stderr)
        );
        let output = Command::new(&program)
            .env("KADR_TEST_WITHOUT", LAYERS.join(","))
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            expected,
            "debug assertions {assertions}"
        );
        let named = std::fs::read(&program)
            .unwrap()
            .windows(17)
            .any(|bytes| bytes == b"KADR_TEST_WITHOUT");
        assert_eq!(named, assertions == "on");
    }
}
