//! What can be asked on the command line. Each command takes only what it needs: `convert` and `probe` build no async
//! runtime, open no database and want no token.
//!
//! stdout is data, stderr is the progress bar, the log and the errors. Exit codes are one table: [`Exit`].

pub mod bench;
pub mod convert;
pub mod demo;
pub mod doctor;
pub mod engine;
pub mod health;
pub mod jobs;
mod lead;
pub mod log_out;
mod logs;
pub mod manual;
pub mod probe;
mod secrets;
pub mod serve;
mod supervise;
mod walls;

use std::borrow::Cow;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::media::{MediaError, Preset};

/// kadr turns any video into one that plays
#[derive(Debug, Parser)]
#[command(version = version(), about, propagate_version = false, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the bot
    Serve(Box<serve::Args>),
    /// Convert and deliver for a bot whose database is PostgreSQL's, beside others: `serve --role worker`
    Worker(Box<serve::Args>),
    /// Try the bot in a browser, without Telegram and without a token
    Demo(demo::Args),
    /// Convert files
    Convert(convert::Args),
    /// Say what files are and what would be done with them
    Probe(probe::Args),
    /// Measure how fast this machine converts, and against other programs
    Bench(bench::Args),
    /// Say what this machine can do and what is in the way
    Doctor(doctor::Args),
    /// List the bot's jobs, cancel them or do them once more, beside a bot that runs or without one
    Jobs(jobs::Args),
    /// Log the bot out of the cloud Bot API, before it moves to a server of one's own
    LogOut(Box<log_out::Args>),
    /// Say whether the bot on this machine is alive, for a container's health check
    Health(health::Args),
    /// Write the manual's pages into a folder
    Manual(manual::ManualArgs),
    /// Print the completions of a shell
    Completions(manual::CompletionsArgs),
    /// Convert one file for a bot that runs with `--isolation process`
    #[command(hide = true)]
    Engine,
    /// Start engines for such a bot
    #[command(hide = true)]
    Nursery,
}

/// Exit codes, the same for every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed: disk, network, or a fault of ours.
    Failed = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// The input was refused: not a video, unsupported, damaged, over a limit.
    Refused = 3,
    /// The time limit was reached.
    TimeLimit = 4,
    /// Cancelled by a signal: for services SIGINT, come a second time (128 + 2, as shells count).
    Canceled = 130,
    /// SIGTERM, come a second time (128 + 15).
    Terminated = 143,
}

impl Exit {
    /// The code for an engine's error.
    #[must_use]
    pub fn of(error: &MediaError) -> Self {
        match error {
            MediaError::Refused(_) => Self::Refused,
            MediaError::TimeLimit { .. } => Self::TimeLimit,
            MediaError::Canceled => Self::Canceled,
            MediaError::Device { .. }
            | MediaError::Unfit(_)
            | MediaError::DiskFull
            | MediaError::Io { .. }
            | MediaError::Engine { .. }
            | MediaError::Crashed { .. }
            | MediaError::NotStarted(_)
            | MediaError::Orphaned
            | MediaError::Unverified(_) => Self::Failed,
        }
    }
}

/// A mistake in how kadr was called or configured: exit code 2, with a hint.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct UsageError {
    message: String,
    hint: String,
    exit: Exit,
}

impl UsageError {
    /// `message` says the value and what is wrong with it, `hint` what to do.
    #[must_use]
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
            exit: Exit::Usage,
        }
    }

    /// The same for what is nobody's mistake: exit code 1.
    #[must_use]
    pub fn failed(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            exit: Exit::Failed,
            ..Self::new(message, hint)
        }
    }
}

/// Runs a command and returns its exit code; errors are printed here and nowhere else.
#[must_use]
pub fn run(cli: Cli) -> u8 {
    let outcome = match cli.command {
        Command::Serve(args) => serve::run(*args),
        Command::Worker(args) => serve::work(*args),
        Command::Demo(args) => demo::run(args),
        Command::Convert(args) => convert::run(&args),
        Command::Probe(args) => probe::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Jobs(args) => jobs::run(args),
        Command::LogOut(args) => log_out::run(*args),
        Command::Health(args) => health::run(args),
        Command::Manual(args) => manual::pages(&args),
        Command::Completions(args) => manual::completions(&args),
        Command::Engine => engine::run(),
        Command::Nursery => engine::nurse(),
    };
    match outcome {
        Ok(exit) => exit as u8,
        Err(error) => match error.downcast_ref::<UsageError>() {
            Some(usage) => {
                print_error(&usage.message, &usage.hint);
                usage.exit as u8
            }
            None => {
                print_error(&format!("{error:#}"), "");
                Exit::Failed as u8
            }
        },
    }
}

/// One line without tokens, then a hint where there is one.
#[expect(clippy::print_stderr, reason = "errors of a command go to stderr")]
fn print_error(message: &str, hint: &str) {
    eprintln!(
        "error: {}",
        String::from_utf8_lossy(&secrets::hidden(message.as_bytes()))
    );
    if !hint.is_empty() {
        eprintln!("hint: {hint}");
    }
}

/// One line of data.
fn print_line(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{line}").context("write to stdout")
}

/// One NDJSON line.
fn print_json(line: &serde_json::Value) -> anyhow::Result<()> {
    print_line(&line.to_string())
}

/// A file that was not done: an NDJSON line where they are wanted, and the words on stderr either way.
fn print_failure(input: &std::path::Path, error: &MediaError, json: bool) -> anyhow::Result<()> {
    if json {
        print_json(&serde_json::json!({
            "type": "error",
            "input": input,
            "message": error.to_string(),
            "exit": Exit::of(error) as u8,
        }))?;
    }
    print_error(&error.to_string(), &hint_for(error));
    Ok(())
}

/// What helps with an engine's error; the words of the error itself already hold value and limit.
fn hint_for(error: &MediaError) -> Cow<'static, str> {
    use crate::media::Refusal as R;
    let hint = match error {
        MediaError::Refused(refusal) => match refusal {
            R::NotMedia => "give a video or audio file; playlists, images and documents are not converted",
            R::NoStream { .. } => "another preset may fit this file, see `kadr probe`",
            R::Unsupported { .. } => "a newer FFmpeg may decode it, see `kadr --version`",
            R::Incomplete => "get a complete copy of the file: the recording or the download was cut short",
            R::NoEncoder { .. } => "install an FFmpeg with that encoder, or choose the preset `play`",
            R::CutOutside { .. } => "name a part that begins before the end",
            R::SizeUnreachable {
                size_bytes_min,
                duration_s_max,
                ..
            } => return unreachable_hint(*size_bytes_min, *duration_s_max).into(),
            R::Encrypted => "only a copy without protection can be converted",
            R::Damaged { .. } => "get a complete copy of the file",
            R::TooLong { .. } | R::TooLarge { .. } => "cut the file into shorter parts",
            R::TooManyPixels { .. } => "scale the file down first, or raise `--pixels-max`",
            R::TooManyStreams { .. } => "remux the file with fewer streams first",
            R::TooManyFrames { .. } => "lower its frame rate first: what comes so fast cannot be seen",
            R::PieceTooLarge { .. } => "allow larger parts, or make it fit: `--preset fit:SIZE`",
            R::TooManyParts { .. } => "allow larger parts, or choose the preset `small` or `fit:SIZE`",
            R::OverLimit { .. } => "the file asks for more than a video of its size should",
        },
        MediaError::TimeLimit { .. } => "raise `--timeout`, or choose the preset `small`",
        MediaError::Canceled => "nothing was left behind",
        MediaError::Device { .. } => "run with `--device cpu`",
        MediaError::DiskFull => "free some space, or choose another output folder",
        MediaError::Io { .. } => "check that the path exists and may be read and written",
        MediaError::NotStarted(_) | MediaError::Orphaned => "start kadr again",
        MediaError::Unfit(_) | MediaError::Engine { .. } | MediaError::Crashed { .. } | MediaError::Unverified(_) => {
            "this is a fault of kadr's: please report it with the output of `kadr probe`"
        }
    };
    hint.into()
}

/// What can be had instead of a size that cannot.
fn unreachable_hint(size_bytes_min: u64, duration_s_max: u64) -> String {
    let size = Preset::Fit {
        size_bytes: size_bytes_min.next_multiple_of(1_000),
    };
    if duration_s_max > 0 {
        format!("`--preset {size}` can be had, or a part: `--trim 0-{duration_s_max}`")
    } else {
        format!("`--preset {size}` can be had")
    }
}

/// Inputs named on the command line must be files; checked before any work starts.
fn check_inputs(inputs: &[PathBuf]) -> Result<(), UsageError> {
    match inputs.iter().find(|input| !input.is_file()) {
        None => Ok(()),
        Some(input) => Err(UsageError::new(
            format!("`{}` is not a file", input.display()),
            "give the path of a video file",
        )),
    }
}

/// kadr's version, its revision, and FFmpeg's as built and as running.
fn version() -> &'static str {
    static VERSION: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        format!(
            "{} ({})\nbuilt with: {}\nrunning on: {}",
            env!("CARGO_PKG_VERSION"),
            env!("KADR_REVISION"),
            env!("KADR_BUILT_WITH"),
            crate::media::versions(),
        )
    });
    &VERSION
}
