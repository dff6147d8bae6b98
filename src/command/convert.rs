//! `kadr convert`: files in, playable files out, one after another or some at once.
//!
//! Each engine runs on a thread of its own; the thread that started it polls its gauge for the bar. With `--json` stdout
//! is NDJSON: `progress` lines while it runs, then one `report` or `error` line a file; with `--parts` a `part` line each
//! after the report.

use std::collections::HashSet;
use std::io::IsTerminal;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Exit, UsageError, check_inputs, print_failure, print_json, print_line};
use crate::media::parts::{self, Part};
use crate::media::preset::Container;
use crate::media::recipe::{UnknownWord, parse_size};
use crate::media::{
    self, Choice, Confine, Control, Limits, Machine, MediaError, Preset, Progress, Recipe, Report, Split,
};

const POLL: Duration = Duration::from_millis(100);
/// What the engine gets beyond its time limit or a cancel before the program goes on without it.
const BEYOND: Duration = Duration::from_secs(2);

/// Arguments of `kadr convert`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files to convert
    #[arg(required = true, value_name = "IN")]
    inputs: Vec<PathBuf>,
    /// Write to this file (one input only)
    #[arg(short, long, value_name = "OUT", conflicts_with = "out_dir")]
    output: Option<PathBuf>,
    /// Write into this folder
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
    /// What the output should be: play, small, fit:SIZE, best, hevc, av1, audio, voice, note, gif, sticker, sheet
    #[arg(short, long, value_name = "P", default_value = "play")]
    preset: Preset,
    #[command(flatten)]
    changes: Changes,
    /// Where to convert: auto, cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: String,
    /// Files at once
    #[arg(short, long, value_name = "N", default_value = "1")]
    jobs: NonZeroUsize,
    /// Encode a film in so many segments at once: auto, off, or a number
    #[arg(long, value_name = "N", default_value = "auto")]
    segments: String,
    /// Also cut the output into files of at most this size, at key frames, without encoding: 50M, 800k
    #[arg(long, value_name = "SIZE", value_parser = part_size)]
    parts: Option<u64>,
    /// Threads of the decoder, the filters and the encoder of a file, each; as many as are right by default
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroU32>,
    /// Give up on a file after this many seconds
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Refuse pictures with more pixels
    #[arg(long, value_name = "PIXELS", env = "KADR_PIXELS_MAX", default_value_t = Limits::default().pixels_max)]
    pixels_max: u64,
    /// Close files, sockets and system calls to what reads the file: auto, off, or require
    #[arg(long, value_name = "MODE", env = "KADR_CONFINE", default_value = "auto")]
    confine: Confine,
    /// Replace files that exist
    #[arg(short, long)]
    force: bool,
    /// Print NDJSON instead of words
    #[arg(long)]
    json: bool,
}

/// What is changed within the preset
#[derive(Debug, clap::Args)]
struct Changes {
    /// At most so many lines
    #[arg(long, value_name = "LINES")]
    height: Option<u32>,
    /// At most so many frames a second
    #[arg(long, value_name = "RATE")]
    fps: Option<u32>,
    /// Only this part: FROM-TO, FROM- or -TO, each in seconds or H:M:S
    #[arg(long, value_name = "FROM-TO", allow_hyphen_values = true)]
    trim: Option<String>,
    /// This audio track, counted from 1
    #[arg(long, value_name = "N")]
    track: Option<u32>,
    /// The language wanted where no audio track is the default: rus, eng, …
    #[arg(long, value_name = "CODE")]
    lang: Option<String>,
    /// Without sound
    #[arg(long)]
    mute: bool,
    /// Turn clockwise: 90, 180 or 270
    #[arg(long, value_name = "DEGREES", allow_hyphen_values = true)]
    rotate: Option<String>,
}

impl Changes {
    /// Said in the words of a recipe, so that there is one reader and one set of errors.
    fn recipe(&self, preset: Preset) -> Result<Recipe, UnknownWord> {
        let Self {
            height,
            fps,
            trim,
            track,
            lang,
            mute,
            rotate,
        } = self;
        let mut recipe = Recipe::from(preset);
        let words = [
            height.map(|value| format!("height:{value}")),
            fps.map(|value| format!("fps:{value}")),
            trim.as_ref().map(|value| format!("trim:{value}")),
            track.map(|value| format!("track:{value}")),
            lang.as_ref().map(|value| format!("lang:{value}")),
            mute.then(|| "mute".to_owned()),
            rotate.as_ref().map(|value| format!("rotate:{value}")),
        ];
        words.into_iter().flatten().try_for_each(|word| recipe.read(&word))?;
        Ok(recipe)
    }
}

fn part_size(text: &str) -> Result<u64, String> {
    parse_size(text).ok_or_else(|| "a size such as 50M or 800k, at least 10k".to_owned())
}

pub(super) fn run(args: &Args) -> Result<Exit> {
    check_inputs(&args.inputs)?;
    let recipe = args
        .changes
        .recipe(args.preset)
        .map_err(|error| UsageError::new(error.to_string(), "see `kadr convert --help`"))?;
    let machine = machine_of(&args.device)?;
    let outputs = outputs_of(args)?;
    let split: Split = args
        .segments
        .parse()
        .map_err(|what: String| UsageError::new(what, "use `--segments auto`"))?;
    let limits = Limits {
        pixels_max: args.pixels_max,
        split,
        threads_max: args.threads.map(NonZeroU32::get),
        confine: args.confine,
        ..Limits::default()
    };
    let batch = Batch {
        args,
        files: args.inputs.iter().zip(&outputs).collect(),
        next: AtomicUsize::new(0),
        recipe,
        machine,
        limits,
        running: Running::default(),
        bars: MultiProgress::new(),
        exit: Mutex::new(Exit::Done),
        abandoned: Mutex::default(),
    };
    cancel_on_signal(&batch.running)?;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..args.jobs.get().min(batch.files.len()))
            .map(|_| scope.spawn(|| batch.work()))
            .collect();
        let outcomes = workers.into_iter().map(|worker| match worker.join() {
            Ok(outcome) => outcome,
            Err(_) => Err(anyhow::anyhow!("the engine panicked")),
        });
        outcomes.collect::<Result<()>>()
    })?;
    // Now that nothing else is being written.
    for output in batch.abandoned.into_inner().unwrap_or_else(PoisonError::into_inner) {
        media::convert::sweep(&output);
    }
    Ok(batch.exit.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// All files of one call, taken by one worker after another.
struct Batch<'a> {
    args: &'a Args,
    files: Vec<(&'a PathBuf, &'a PathBuf)>,
    next: AtomicUsize,
    recipe: Recipe,
    machine: Machine,
    limits: Limits,
    running: Running,
    bars: MultiProgress,
    /// Of the last file that failed.
    exit: Mutex<Exit>,
    /// Outputs whose engine did not come back.
    abandoned: Mutex<Vec<PathBuf>>,
}

impl Batch<'_> {
    fn work(&self) -> Result<()> {
        while let Some((input, output)) = self.files.get(self.next.fetch_add(1, Relaxed)) {
            let control = Control::new(self.args.timeout.map(Duration::from_secs));
            if !self.running.add(&control) {
                *self.exit.lock().unwrap_or_else(PoisonError::into_inner) = Exit::Canceled;
                return Ok(());
            }
            let outcome = match self.convert(input, output, &control) {
                Ok(report) => {
                    print_report(&report, self.args.json)?;
                    self.split(output, &control)
                }
                Err(error) => Err(error),
            };
            match outcome {
                Ok(parts) => parts
                    .iter()
                    .try_for_each(|part| print_part(output, part, self.args.json))?,
                Err(error) => {
                    print_failure(input, &error, self.args.json)?;
                    *self.exit.lock().unwrap_or_else(PoisonError::into_inner) = Exit::of(&error);
                }
            }
        }
        Ok(())
    }

    /// Parts beside the output, which stays; none where none are asked for.
    fn split(&self, output: &Path, control: &Control) -> Result<Vec<Part>, MediaError> {
        match self.args.parts {
            Some(part_bytes_max) => {
                let folder = output.parent().unwrap_or(Path::new(""));
                parts::split(output, folder, part_bytes_max, &self.limits, control)
            }
            None => Ok(Vec::new()),
        }
    }

    /// Runs the engine beside its bar.
    fn convert(&self, input: &Path, output: &Path, control: &Control) -> Result<Report, MediaError> {
        let bar = std::io::stderr().is_terminal().then(|| self.bars.add(new_bar(input)));
        let began = Instant::now();
        let caps = self.machine.caps();
        let (done, at_end) = mpsc::channel();
        let (source, target) = (input.to_owned(), output.to_owned());
        let (recipe, limits, held) = (self.recipe, self.limits.clone(), control.clone());
        // Not joined: one whose decoder does not come back must not hold the others, nor the end.
        let engine = thread::spawn(move || {
            // Dropped at the end, whatever the end is: that is what ends the wait below.
            let _done: mpsc::Sender<()> = done;
            media::convert(&source, &target, &recipe, &caps, &limits, &held)
        });
        let mut said = Instant::now();
        let mut over: Option<Instant> = None;
        while at_end.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
            if let Err(error) = control.check()
                && over.get_or_insert_with(Instant::now).elapsed() > BEYOND
            {
                let mut abandoned = self.abandoned.lock().unwrap_or_else(PoisonError::into_inner);
                abandoned.push(output.to_owned());
                bar.iter().for_each(ProgressBar::finish_and_clear);
                return Err(error);
            }
            let progress = control.gauge().read();
            if let Some(bar) = &bar {
                move_bar(bar, progress, began.elapsed());
            }
            if self.args.json && said.elapsed() >= Duration::from_secs(1) {
                said = Instant::now();
                // A closed pipe must not stop the conversion; the report at the end will say so.
                let _ = print_json(&json!({
                    "type": "progress",
                    "input": input,
                    "fraction": progress.fraction(),
                    "frames": progress.frames,
                    "out_bytes": progress.out_bytes,
                }));
            }
        }
        let outcome = engine.join();
        if let Some(bar) = &bar {
            bar.finish_and_clear();
        }
        let outcome = outcome.unwrap_or_else(|_| {
            Err(MediaError::Engine {
                doing: "convert",
                what: "the engine panicked".to_owned(),
            })
        });
        for fallback in outcome.iter().flat_map(|report| &report.fallbacks) {
            self.machine.doubt(fallback.gpu);
        }
        outcome
    }
}

/// The conversions in work, for a signal to cancel.
#[derive(Clone, Default)]
struct Running(Arc<Mutex<(bool, Vec<Control>)>>);

impl Running {
    /// Whether it may begin: nothing does after a signal.
    fn add(&self, control: &Control) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.1.push(control.clone());
        !state.0
    }

    fn cancel(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = true;
        state.1.iter().for_each(Control::cancel);
    }
}

/// The devices that a plan may use.
fn machine_of(device: &str) -> Result<Machine, UsageError> {
    let choice: Choice = device
        .parse()
        .map_err(|what: String| UsageError::new(what, "use `--device auto`"))?;
    let machine = Machine::new(choice);
    match machine.lacking() {
        None => Ok(machine),
        Some(fault) => Err(UsageError::new(
            format!("device {choice} cannot be used: {}", fault.sentence()),
            fault.hint(),
        )),
    }
}

/// One output a input; refuses to write over an input, or over anything without `--force`.
fn outputs_of(args: &Args) -> Result<Vec<PathBuf>, UsageError> {
    let outputs: Vec<PathBuf> = match &args.output {
        Some(_) if args.inputs.len() > 1 => {
            return Err(UsageError::new(
                format!("{} inputs but one `-o`", args.inputs.len()),
                "name a folder with `--out-dir` instead",
            ));
        }
        Some(output) => vec![output.clone()],
        None => args
            .inputs
            .iter()
            .map(|input| default_output(input, args.out_dir.as_deref(), args.preset))
            .collect(),
    };
    if args.parts.is_some() {
        check_parts(args, &outputs)?;
    }
    let inputs: HashSet<PathBuf> = args.inputs.iter().map(|input| real(input)).collect();
    for (position, output) in outputs.iter().enumerate() {
        let taken = output.exists() && !args.force;
        let own_input = inputs.contains(&real(output));
        if own_input || taken || outputs[..position].contains(output) {
            return Err(UsageError::new(
                format!("`{}` exists already", output.display()),
                if own_input {
                    "choose another name with `-o`"
                } else {
                    "choose another name, or `--force`"
                },
            ));
        }
        let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            return Err(UsageError::new(
                format!("the folder of `{}` does not exist", output.display()),
                "create it first",
            ));
        }
    }
    Ok(outputs)
}

/// Parts must be possible, and free to be written, before any work starts.
fn check_parts(args: &Args, outputs: &[PathBuf]) -> Result<(), UsageError> {
    let container = args.preset.contract().container;
    if !matches!(container, Container::Mp4 | Container::M4a) {
        return Err(UsageError::new(
            format!(
                "`{}` has no parts (only presets that give MP4 or M4A have)",
                args.preset
            ),
            "leave out `--parts`",
        ));
    }
    let inputs: HashSet<PathBuf> = args.inputs.iter().map(|input| real(input)).collect();
    for output in outputs {
        let names = (1..=Limits::default().parts_max).map(|number| parts::name(output, number as usize));
        for part in names.map(|name| output.with_file_name(name)) {
            let own_input = inputs.contains(&real(&part));
            if own_input || (part.exists() && !args.force) {
                return Err(UsageError::new(
                    format!("`{}` exists already", part.display()),
                    "choose another name with `-o`",
                ));
            }
        }
    }
    Ok(())
}

fn default_output(input: &Path, out_dir: Option<&Path>, preset: Preset) -> PathBuf {
    let extension = preset.extension();
    let folder = out_dir.or_else(|| input.parent()).unwrap_or(Path::new("."));
    let stem = input.file_stem().unwrap_or(input.as_os_str()).to_string_lossy();
    let plain = folder.join(format!("{stem}.{extension}"));
    if real(input) == real(&plain) {
        folder.join(format!("{stem}.kadr.{extension}"))
    } else {
        plain
    }
}

/// Its name without links, as it is where it does not exist.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// A signal cancels the files in work and removes what they wrote.
fn cancel_on_signal(running: &Running) -> Result<()> {
    let running = running.clone();
    ctrlc::set_handler(move || running.cancel()).context("listen for signals")
}

fn new_bar(input: &Path) -> ProgressBar {
    let bar = ProgressBar::new(1000);
    let style =
        ProgressStyle::with_template("{prefix} {bar:30} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    bar.set_prefix(input.file_name().unwrap_or_default().to_string_lossy().into_owned());
    bar
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 1000")]
fn move_bar(bar: &ProgressBar, progress: Progress, elapsed: Duration) {
    let Some(fraction) = progress.fraction() else {
        bar.set_message(format!("{} frames", progress.frames));
        return;
    };
    bar.set_position((fraction * 1000.0) as u64);
    let elapsed_s = elapsed.as_secs_f64().max(0.001);
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let speed = progress.done_us as f64 / 1e6 / elapsed_s;
    let left_s = if fraction > 0.01 {
        elapsed_s * (1.0 - fraction) / fraction
    } else {
        0.0
    };
    bar.set_message(format!("{:.0} % · {speed:.1}× · {left_s:.0} s left", fraction * 100.0));
}

fn print_part(whole: &Path, part: &Part, json: bool) -> Result<()> {
    if json {
        let mut line = serde_json::to_value(part)?;
        line["type"] = json!("part");
        line["whole"] = json!(whole);
        return print_json(&line);
    }
    print_line(&format!(
        "{}: {} bytes, {:.2} s from {:.2} s on",
        part.path.display(),
        part.bytes,
        part.duration_s,
        part.from_s
    ))
}

fn print_report(report: &Report, json: bool) -> Result<()> {
    if json {
        let mut line = serde_json::to_value(report)?;
        line["type"] = json!("report");
        return print_json(&line);
    }
    for reason in &report.reasons {
        print_line(reason)?;
    }
    for warning in &report.warnings {
        print_line(&format!("warning: {warning}"))?;
    }
    print_line(&format!(
        "{}: {} -> {} bytes, {:.2} s of video in {:.2} s",
        report.output.display(),
        report.in_bytes,
        report.out_bytes,
        report.duration_s,
        report.wall_s
    ))
}
