//! Mutated files through `kadr` processes, and what became of them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::mutate::{Dice, mutate};
use super::seeds::{Seed, clips, heads};

/// Files that one process takes.
const BATCH: u64 = 50;
/// Of the check; `ci/fuzz` says its own.
const COUNT: u64 = 600;
const SEED: u64 = 20_261_126;
const TIME_LIMIT_S: u64 = 5;
/// Who has not ended so long after the limit hangs.
const LATE: Duration = Duration::from_secs(2);
/// The machine may be busy with others, so it is the process's own time that counts; but a deadlock takes none.
const STANDSTILL: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(200);
/// What is asked of a batch: every way through the engine in turn.
const WISHES: [&[&str]; 6] = [
    &["--preset", "play"],
    &["--preset", "small", "--height", "120"],
    &["--preset", "sheet"],
    &["--preset", "audio"],
    &["--preset", "note"],
    &["--preset", "gif"],
];
/// Of samples, which are larger, no more than this is asked.
const BRIEF: [&str; 2] = ["--trim", "-1"];

/// What became of all files.
#[derive(Default)]
struct Tally {
    /// Files by how they ended: `done`, or by kadr's exit code.
    ends: BTreeMap<String, u64>,
    /// Findings: kind, and the file that shows it.
    found: Vec<(&'static str, PathBuf)>,
    /// Largest resident set of a process, bytes.
    peak: u64,
    slowest: Duration,
}

/// What a process says.
enum Said {
    /// Of one file, at its end.
    End(Value),
    Closed,
}

/// Where a run keeps its files.
struct Run {
    folder: PathBuf,
    findings: PathBuf,
    seed: u64,
    tally: Tally,
}

impl Run {
    /// One process over these files; the ones that it did not come to are given back.
    fn process(&mut self, files: &[PathBuf], wish: &[&str]) -> Vec<PathBuf> {
        let outputs = self.folder.join("out");
        let kadr = std::env::var("KADR_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_kadr").to_owned());
        let mut child = Command::new(kadr)
            .args(["convert", "--json", "--force", "--device", "cpu", "--timeout"])
            .arg(TIME_LIMIT_S.to_string())
            .arg("--out-dir")
            .arg(&outputs)
            .args(wish)
            .args(files)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = listen(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let words = thread::spawn(move || {
            let mut words = Vec::new();
            stderr.read_to_end(&mut words).map(|_| words)
        });
        let mut clock = Clock::start(child.id());
        let mut ended = 0;
        loop {
            match said.recv_timeout(POLL) {
                Ok(Said::End(line)) => {
                    self.tally.slowest = self.tally.slowest.max(clock.began.elapsed());
                    self.tally.peak = self.tally.peak.max(peak_of(child.id()));
                    self.count(&files[ended], &line);
                    ended += 1;
                    clock = Clock::start(child.id());
                }
                Ok(Said::Closed) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if ended < files.len() && clock.is_over() => {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    self.finding("hang", &files[ended]);
                    return files[ended + 1..].to_vec();
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        let status = child.wait().unwrap();
        let words = String::from_utf8_lossy(&words.join().unwrap().unwrap()).into_owned();
        if ended == files.len() && !is_crash(status) {
            return Vec::new();
        }
        let last = ended.min(files.len() - 1);
        self.finding("crash", &files[last]);
        let tail: Vec<&str> = words.lines().rev().take(5).collect();
        std::fs::write(
            self.findings.join("last-words"),
            format!("{status}\n{}\n", tail.join("\n")),
        )
        .unwrap();
        files[last + 1..].to_vec()
    }

    fn count(&mut self, file: &Path, line: &Value) {
        let message = line["message"].as_str().unwrap_or_default();
        if message.contains("panicked") {
            self.finding("panic", file);
        }
        let end = match line["exit"].as_u64() {
            None => "done",
            Some(3) => "refused",
            Some(4) => "out of time",
            Some(_) => "failed",
        };
        *self.tally.ends.entry(end.to_owned()).or_default() += 1;
    }

    /// Keeps a file that shows something.
    fn finding(&mut self, kind: &'static str, file: &Path) {
        let name = file.file_name().unwrap().to_string_lossy();
        let kept = self.findings.join(format!("{kind}-{}-{name}", self.seed));
        std::fs::copy(file, &kept).unwrap();
        self.tally.found.push((kind, kept));
    }

    /// Makes so many files of the run and has them taken.
    fn batch(&mut self, number: u64, seeds: &[Seed], count: u64, brief: bool) {
        let folder = self.folder.join("in");
        let outputs = self.folder.join("out");
        for folder in [&folder, &outputs] {
            let _ = std::fs::remove_dir_all(folder);
            std::fs::create_dir_all(folder).unwrap();
        }
        let files = (0..count).map(|place| {
            let number = number * BATCH + place;
            let mut dice = Dice::of(self.seed, number);
            let (one, other) = (&seeds[dice.below(seeds.len())], &seeds[dice.below(seeds.len())]);
            let name = one.name.replace(['/', '.'], "_");
            let path = folder.join(format!("{number:06}-{name}"));
            std::fs::write(&path, mutate(&one.bytes, &other.bytes, &mut dice)).unwrap();
            path
        });
        let mut files: Vec<PathBuf> = files.collect();
        let mut wish = WISHES[usize::try_from(number).unwrap() % WISHES.len()].to_vec();
        if brief {
            wish.extend(BRIEF);
        }
        while !files.is_empty() {
            files = self.process(&files, &wish);
        }
    }
}

/// One file's time in a process.
struct Clock {
    process: u32,
    began: Instant,
    cpu_began: Duration,
}

impl Clock {
    fn start(process: u32) -> Self {
        Self {
            process,
            began: Instant::now(),
            cpu_began: cpu_of(process),
        }
    }

    fn is_over(&self) -> bool {
        let limit = Duration::from_secs(TIME_LIMIT_S);
        let cores = thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap());
        let cpu = cpu_of(self.process).saturating_sub(self.cpu_began);
        let wall = self.began.elapsed();
        wall > limit + LATE && (cpu > (limit + LATE) * cores || wall > limit + STANDSTILL)
    }
}

/// Time that a process has spent, user and system, in ticks of 10 ms; none once it is gone.
fn cpu_of(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name may hold anything but ends with the last bracket; `utime` is the 12th field behind it.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

/// The lines that end a file, as they come.
fn listen(stdout: impl Read + Send + 'static) -> Receiver<Said> {
    let (to, from) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            if matches!(line["type"].as_str(), Some("report" | "error")) && to.send(Said::End(line)).is_err() {
                return;
            }
        }
        let _ = to.send(Said::Closed);
    });
    from
}

/// A signal, a panic of the main thread, or what a sanitizer leaves with.
fn is_crash(status: ExitStatus) -> bool {
    !matches!(status.code(), Some(0 | 1 | 3 | 4))
}

/// High-water mark of a process's resident set, bytes; 0 once it is gone.
fn peak_of(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = mark.and_then(|mark| mark.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map_or(0, |kib| kib * 1_024)
}

/// At full size, with figures: `ci/fuzz`. `KADR_FUZZ` is `COUNT SEED FOLDER`.
#[expect(clippy::print_stdout, reason = "the figures, seen with --nocapture")]
#[test]
fn every_mutant_ends_in_a_result_or_a_refusal() {
    let temporary = tempfile::tempdir().unwrap();
    let asked = std::env::var("KADR_FUZZ").ok();
    let words: Vec<&str> = asked.iter().flat_map(|asked| asked.splitn(3, ' ')).collect();
    let number = |at: usize, default| words.get(at).map_or(default, |word| word.parse().unwrap());
    let count: u64 = number(0, COUNT);
    let kept = words
        .get(2)
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants"), PathBuf::from);
    std::fs::create_dir_all(&kept).unwrap();
    let mut run = Run {
        folder: temporary.path().to_owned(),
        findings: kept,
        seed: number(1, SEED),
        tally: Tally::default(),
    };
    let (clips, heads) = (clips(), if asked.is_some() { heads() } else { Vec::new() });
    let began = Instant::now();
    for number in 0..count.div_ceil(BATCH) {
        let left = (count - number * BATCH).min(BATCH);
        let brief = number % 4 == 3 && !heads.is_empty();
        run.batch(number, if brief { &heads } else { &clips }, left, brief);
        if asked.is_some() && number % 20 == 19 {
            println!(
                "{} files, {:?}, {} found",
                (number + 1) * BATCH,
                run.tally.ends,
                run.tally.found.len()
            );
        }
    }
    let Tally {
        ends,
        found,
        peak,
        slowest,
    } = run.tally;
    let of = |end: &str| ends.get(end).copied().unwrap_or(0);
    println!(
        "mutants: {count} of {} seeds in {} s: {} done, {} refused, {} failed, {} out of time, {} findings, slowest {} ms, \
         peak {} MB, seed {}",
        clips.len() + heads.len(),
        began.elapsed().as_secs(),
        of("done"),
        of("refused"),
        of("failed"),
        of("out of time"),
        found.len(),
        slowest.as_millis(),
        peak / 1_000_000,
        run.seed
    );
    assert!(found.is_empty(), "{found:#?}");
    // Mutants that are all refused would prove nothing of the engine.
    assert!(
        count == 0 || of("done") * 10 > count,
        "{} of {count} were converted",
        of("done")
    );
    assert_eq!(ends.values().sum::<u64>(), count, "each file is said once");
}
