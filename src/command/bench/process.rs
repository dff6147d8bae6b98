//! One measurement: processes are started, waited for and accounted. Each is a process of its own, kadr's too, so that
//! its peak of memory is its own and nothing is warm that would not be.
//!
//! The one place where kadr starts a program: for measuring, never for converting.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::cores;
use crate::media::device::nvml;
use crate::media::usage::{forget_peak, wait};

/// How often a GPU is asked.
const LOOK_AT_GPU: Duration = Duration::from_millis(100);
/// How much of an error is told.
const ERROR_BYTES_MAX: usize = 400;

/// One run of one piece of work.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    pub(super) wall_s: f64,
    pub(super) cpu_s: f64,
    pub(super) memory_bytes: Option<u64>,
    pub(super) first_packet_s: Option<f64>,
    pub(super) encode_cores_busy: Option<f64>,
    pub(super) encode_cores_idle: Option<f64>,
    /// Each job's own time, where there are several.
    pub(super) jobs_s: Vec<f64>,
    pub(super) gpu: Option<GpuLoad>,
    /// kadr's last lines, one a job.
    pub(super) reports: Vec<Value>,
}

/// The most that a GPU was asked for meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GpuLoad {
    pub(super) memory_bytes: u64,
    pub(super) encoder_percent: Option<u32>,
    pub(super) decoder_percent: Option<u32>,
}

/// A program and what it is told.
#[expect(
    clippy::disallowed_methods,
    reason = "what is measured must be run; the engine itself starts no process"
)]
pub(super) fn command(program: &Path, args: &[String], folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).stdin(Stdio::null());
    command
}

/// What a program prints on stdout, for versions and scores.
pub(super) fn output(program: &Path, args: &[String], folder: &Path) -> Result<String> {
    let said = command(program, args, folder)
        .output()
        .with_context(|| format!("run `{}`", program.display()))?;
    if !said.status.success() {
        bail!(
            "`{}` failed: {}",
            program.display(),
            tail(&String::from_utf8_lossy(&said.stderr))
        );
    }
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}

/// kadr, with all jobs in one process. `args` are those of `kadr convert`.
pub(super) fn kadr(args: &[String], folder: &Path, gpus: bool) -> Result<Sample> {
    let program = std::env::current_exe().context("find kadr's own program")?;
    let stderr = folder.join("kadr.err");
    let mut command = command(&program, args, folder);
    command.stdout(Stdio::piped()).stderr(File::create(&stderr)?);
    let (mut sample, heard) = measured(vec![command], gpus, reports)?;
    let heard: Vec<(f64, Value)> = heard.into_iter().flatten().collect();
    if !sample.succeeded {
        bail!("kadr failed: {}", tail(&std::fs::read_to_string(&stderr)?));
    }
    if let [(said_s, report)] = heard.as_slice() {
        sample.value.encode_cores_busy = report["encode_cores_busy"].as_f64();
        // A report is said when its job is over: that tells when on this clock the job began.
        let began_s = report["wall_s"].as_f64().map(|wall_s| said_s - wall_s);
        let at = |of_job_s: &Value| Some(began_s? + of_job_s.as_f64()?);
        let encoded = &report["encoded_s"];
        sample.value.first_packet_s = at(&report["first_packet_s"]);
        sample.value.encode_cores_idle = at(&encoded[0])
            .zip(at(&encoded[1]))
            .and_then(|(from_s, to_s)| cores::idle(&sample.idle, from_s, to_s));
    }
    sample.value.reports = heard.into_iter().map(|(_, report)| report).collect();
    let times_s = sample.value.reports.iter().map(|report| report["wall_s"].as_f64());
    sample.value.jobs_s = times_s.flatten().collect();
    Ok(sample.value)
}

/// kadr's reports, and when each was said, seconds.
fn reports(child: &mut Child, began: Instant) -> Vec<(f64, Value)> {
    let Some(stdout) = child.stdout.take() else {
        return Vec::new();
    };
    let lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let said = lines.map(|line| (began.elapsed().as_secs_f64(), serde_json::from_str::<Value>(&line)));
    said.filter_map(|(at_s, line)| Some((at_s, line.ok()?)))
        .filter(|(_, line)| line["type"] == "report")
        .collect()
}

/// A peer, a process a job. `watch` asks for its first packet, which costs it a little: not in rounds that count.
pub(super) fn peer(program: &Path, jobs: &[Vec<String>], folder: &Path, gpus: bool, watch: bool) -> Result<Sample> {
    let stderr = folder.join("peer.err");
    let errors = File::create(&stderr)?;
    let mut commands = Vec::new();
    for args in jobs {
        let mut args = args.clone();
        if watch {
            let progress = ["-progress", "pipe:1", "-stats_period", "0.02"].map(str::to_owned);
            args.splice(0..0, progress);
        }
        let mut command = command(program, &args, folder);
        command.stdout(if watch { Stdio::piped() } else { Stdio::null() });
        command.stderr(errors.try_clone()?);
        commands.push(command);
    }
    let (mut sample, first_s) = measured(commands, gpus, first_progress)?;
    if !sample.succeeded {
        let what = tail(&std::fs::read_to_string(&stderr)?);
        bail!("`{}` failed: {what}", program.display());
    }
    if let [first_s] = first_s.as_slice() {
        sample.value.first_packet_s = *first_s;
    }
    Ok(sample.value)
}

struct Measured {
    value: Sample,
    /// How long the cores of the machine had stood idle.
    idle: Vec<cores::Look>,
    succeeded: bool,
}

/// Runs all at once and waits for each on a thread of its own, so that each one's end is seen when it comes. `watch` hears what
/// one says; its times count from the start of all.
fn measured<T: Send>(
    mut commands: Vec<Command>,
    gpus: bool,
    watch: fn(&mut Child, Instant) -> T,
) -> Result<(Measured, Vec<T>)> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let gpu = gpus.then(|| scope.spawn(|| watch_gpu(&stop)));
        let own_peak = forget_peak();
        let began = Instant::now();
        let watched = &stop;
        let cores = scope.spawn(move || cores::watch(watched, began));
        let mut running = Vec::new();
        for command in &mut commands {
            let mut child = command
                .spawn()
                .with_context(|| format!("start `{}`", command.get_program().to_string_lossy()))?;
            let started = Instant::now();
            running.push(scope.spawn(move || {
                let heard = watch(&mut child, began);
                let usage = wait(&child, own_peak);
                (usage, heard, started.elapsed())
            }));
        }
        let mut ended = Vec::new();
        for thread in running {
            ended.push(thread.join().map_err(|_| anyhow::anyhow!("a watcher panicked"))?);
        }
        let mut sample = Sample {
            wall_s: began.elapsed().as_secs_f64(),
            memory_bytes: Some(0),
            ..Sample::default()
        };
        stop.store(true, Relaxed);
        let idle = cores.join().unwrap_or_default();
        sample.gpu = gpu.and_then(|thread| thread.join().ok().flatten());
        let mut succeeded = true;
        let mut all_heard = Vec::new();
        for (usage, heard, took) in ended {
            let usage = usage.context("wait for what is measured")?;
            succeeded &= usage.status.success();
            sample.cpu_s += usage.cpu.as_secs_f64();
            sample.memory_bytes = sample
                .memory_bytes
                .zip(usage.memory_bytes_max)
                .map(|(sum, one)| sum + one);
            sample.jobs_s.push(took.as_secs_f64());
            all_heard.push(heard);
        }
        let measured = Measured {
            value: sample,
            idle,
            succeeded,
        };
        Ok((measured, all_heard))
    })
}

/// When ffmpeg says that a packet was written, seconds; reads to the end of what it says. Its `frame` counts what went into the
/// encoder, and its time of the output stands at 0 before the first packet, or is not said.
fn first_progress(child: &mut Child, began: Instant) -> Option<f64> {
    let stdout = child.stdout.take()?;
    let mut lines = BufReader::new(stdout).lines();
    let first = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let written_us: i64 = line.strip_prefix("out_time_us=")?.trim().parse().ok()?;
        (written_us != 0).then(|| began.elapsed().as_secs_f64())
    });
    // It must not block on a full pipe.
    lines.for_each(drop);
    first
}

/// The most of what NVML tells until it is over; `None` without an answer.
fn watch_gpu(stop: &AtomicBool) -> Option<GpuLoad> {
    let used = |facts: &nvml::Facts| facts.gpus.iter().filter_map(|gpu| gpu.memory_used_bytes).sum::<u64>();
    let idle = used(&nvml::facts().ok()?);
    let mut most = GpuLoad::default();
    while !stop.load(Relaxed) {
        let facts = nvml::facts().ok()?;
        most.memory_bytes = most.memory_bytes.max(used(&facts).saturating_sub(idle));
        for gpu in &facts.gpus {
            most.encoder_percent = most.encoder_percent.max(gpu.encoder_percent);
            most.decoder_percent = most.decoder_percent.max(gpu.decoder_percent);
        }
        thread::sleep(LOOK_AT_GPU);
    }
    Some(most)
}

/// Brings a file into the page cache, for all rounds alike.
pub(super) fn warm(path: &Path) -> Result<()> {
    let mut file = File::open(path).with_context(|| format!("open `{}`", path.display()))?;
    let mut buffer = vec![0; 1 << 16];
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}

/// The last words of an error.
fn tail(text: &str) -> String {
    let text = text.trim();
    let from = text.len().saturating_sub(ERROR_BYTES_MAX);
    let from = (from..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text[from..].replace('\n', " / ")
}
