//! `kadr bench`: the same work by kadr and by its peers, round by round, and a report that says on what.
//!
//! ```text
//! files × presets × rungs × jobs ── work     pieces, each with its plan and what each program is told
//!   rounds, programs by turns ───── process  one measurement, a process of its own, kadr's too
//!   then, once ──────────────────── packets and score of what was made, VMAF by a peer that has it
//! header and rows ───────────────── table | ndjson | csv | markdown, an SVG, what changed since an older run
//! ```
//!
//! Nothing but measuring happens before the last round is over: scores would warm one program's caches and raise the peak
//! of memory that a child inherits.

mod clips;
mod compare;
mod cores;
mod header;
mod judge;
mod process;
mod render;
mod row;
mod svg;
mod vmaf;
mod work;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

use self::judge::{Judging, Measured};
use self::row::{Header, PeerFacts, Row};
use self::work::{RungName, Subject, Wanted, Work};
use super::{Exit, UsageError, check_inputs, print_line};
use crate::media::{Caps, Choice, Machine, Recipe};

/// Arguments of `kadr bench`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files to measure with; without any a small set is made
    #[arg(value_name = "FILES")]
    files: Vec<PathBuf>,
    /// Presets, as `kadr convert` has them; with changes where wanted: `small height:480`
    #[arg(short, long, value_name = "P", value_delimiter = ',', default_value = "play")]
    preset: Vec<Recipe>,
    /// Only work that is done this way
    #[arg(
        long,
        value_name = "RUNG",
        value_delimiter = ',',
        default_value = "copy,partial,cpu,hybrid,nvenc"
    )]
    rung: Vec<RungName>,
    /// So many of the same at once
    #[arg(short, long, value_name = "N", value_delimiter = ',', default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..=64))]
    jobs: Vec<u32>,
    /// Rounds that count
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Rounds before them that do not
    #[arg(long, value_name = "N", default_value = "1")]
    warm_up: u32,
    /// Threads of the decoder, the filters and the encoder, each, for every program; 0 leaves it to them
    #[arg(long, value_name = "N", default_value = "0")]
    threads: u32,
    /// Where kadr may convert: auto, cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: Choice,
    /// The same work by this ffmpeg too, or by `handbrake`; may be said several times
    #[arg(long, value_name = "FFMPEG")]
    against: Vec<String>,
    /// Judge by this ffmpeg's libvmaf too
    #[arg(long, value_name = "FFMPEG")]
    vmaf: Option<PathBuf>,
    /// Do not judge the pictures
    #[arg(long, conflicts_with = "vmaf")]
    no_quality: bool,
    /// What stdout gets
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "table")]
    format: Format,
    /// Keep header and rows in this file, as NDJSON
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Draw the rows
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Say what changed since the run that was kept in this file
    #[arg(long, value_name = "OLD")]
    compare: Option<PathBuf>,
    /// Measure nothing: print, and draw, the run that was kept in this file
    #[arg(long, value_name = "OLD", conflicts_with_all = ["files", "against", "vmaf", "save", "compare"])]
    show: Option<PathBuf>,
    /// Only make the set of clips, in this folder
    #[arg(long, value_name = "DIR", hide = true)]
    make_clips: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Ndjson,
    Csv,
    Markdown,
}

pub(super) fn run(args: &Args) -> Result<Exit> {
    if let Some(folder) = &args.make_clips {
        clips::make(folder)?;
        return Ok(Exit::Done);
    }
    if let Some(kept) = &args.show {
        let (header, rows) = compare::read(kept)?;
        publish(args, &header, &rows)?;
        return Ok(Exit::Done);
    }
    check_inputs(&args.files)?;
    let old = args.compare.as_deref().map(compare::read).transpose()?;
    let made = tempfile::tempdir().context("create a folder for the clips")?;
    let files = if args.files.is_empty() {
        clips::made_by_a_process_of_its_own(made.path())?
    } else {
        args.files.clone()
    };
    let (subjects, peers) = subjects(&args.against)?;
    let caps = caps(args.device)?;
    let wanted = Wanted {
        recipes: &args.preset,
        rungs: &args.rung,
        jobs: &args.jobs,
        threads: args.threads,
        caps: &caps,
    };
    let mut work = Vec::new();
    for file in &files {
        work.extend(work::of_file(file, &wanted).with_context(|| format!("plan `{}`", file.display()))?);
    }
    if work.is_empty() {
        let message = "none of the files is done this way on this machine";
        return Err(UsageError::new(message, "leave out `--rung`, see `kadr probe` and `kadr doctor`").into());
    }
    let header = header::header(peers, args.rounds, args.warm_up, args.threads);
    let canceled = cancel_on_signal()?;
    let Some(measured) = measure(args, &work, &subjects, &canceled)? else {
        return Ok(Exit::Canceled);
    };
    let judging = Judging {
        quality: !args.no_quality,
        vmaf: args.vmaf.as_deref(),
        lowest_jobs: args.jobs.iter().copied().min().unwrap_or(1),
    };
    let rows = judging.rows(&work, &subjects, &measured, &canceled);
    publish(args, &header, &rows)?;
    if let Some((_, old)) = old {
        print_line(&compare::words(&old, &rows))?;
    }
    Ok(if canceled.load(Relaxed) {
        Exit::Canceled
    } else if rows.iter().any(|row| row.by == "kadr" && row.wall_s.is_none()) {
        Exit::Failed
    } else {
        Exit::Done
    })
}

/// kadr first, then the peers, each asked for its version.
fn subjects(against: &[String]) -> Result<(Vec<Subject>, Vec<PeerFacts>), UsageError> {
    let mut subjects = vec![Subject::Kadr];
    let mut peers: Vec<PeerFacts> = Vec::new();
    for wanted in against {
        let handbrake = wanted == "handbrake";
        let program = PathBuf::from(if handbrake { "HandBrakeCLI" } else { wanted });
        let version = header::version(&program, if handbrake { "--version" } else { "-version" }).map_err(|error| {
            UsageError::new(
                format!("`{}` cannot be measured against: {error:#}", program.display()),
                "install it, or name another ffmpeg",
            )
        })?;
        let major = header::major(&version);
        let name = match (handbrake, major) {
            (true, _) => "handbrake".to_owned(),
            (false, u32::MAX) => "ffmpeg".to_owned(),
            (false, major) => format!("ffmpeg-{major}"),
        };
        let before = peers
            .iter()
            .filter(|peer| peer.name.split('#').next() == Some(&name))
            .count();
        let name = if before == 0 {
            name
        } else {
            format!("{name}#{}", before + 1)
        };
        subjects.push(if handbrake {
            Subject::HandBrake {
                program: program.clone(),
            }
        } else {
            Subject::Ffmpeg {
                name: name.clone(),
                program: program.clone(),
                major,
            }
        });
        peers.push(PeerFacts {
            name,
            program: program.display().to_string(),
            version,
        });
    }
    Ok((subjects, peers))
}

fn caps(choice: Choice) -> Result<Caps, UsageError> {
    if choice == Choice::Cpu {
        return Ok(Caps::without_gpus());
    }
    let machine = Machine::new(choice);
    match machine.lacking() {
        None => Ok(machine.caps()),
        Some(fault) => Err(UsageError::new(
            format!("device {choice} cannot be used: {}", fault.sentence()),
            fault.hint(),
        )),
    }
}

/// All rounds; `None` once a signal came. Programs take turns in going first.
fn measure(
    args: &Args,
    work: &[Work],
    subjects: &[Subject],
    canceled: &AtomicBool,
) -> Result<Option<Vec<Vec<Measured>>>> {
    let mut measured = vec![vec![Measured::default(); subjects.len()]; work.len()];
    let steps = u64::from(args.warm_up + args.rounds) * (work.len() * subjects.len()) as u64;
    let bar = bar(steps);
    work.iter().try_for_each(Work::prepare)?;
    for round in 0..args.warm_up + args.rounds {
        let counts = round >= args.warm_up;
        for (piece, measured) in work.iter().zip(&mut measured) {
            let mut turns: Vec<usize> = (0..subjects.len()).collect();
            if round % 2 == 1 {
                turns.reverse();
            }
            for turn in turns {
                if canceled.load(Relaxed) {
                    return Ok(None);
                }
                let subject = &subjects[turn];
                bar.set_message(format!("{} · {}", piece.title(), subject.name()));
                // What failed once is not run again.
                if measured[turn].failed.is_none() {
                    measured[turn].take(piece.run(subject, !counts), counts);
                }
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    Ok(Some(measured))
}

fn bar(steps: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(steps);
    if let Ok(style) = ProgressStyle::with_template("{pos}/{len} {bar:30} {eta} {msg}") {
        bar.set_style(style);
    }
    bar
}

/// The first signal ends the bench after what runs now, which gets the signal too; its folders are removed.
fn cancel_on_signal() -> Result<Arc<AtomicBool>> {
    let canceled = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&canceled);
    ctrlc::set_handler(move || raised.store(true, Relaxed)).context("listen for signals")?;
    Ok(canceled)
}

fn publish(args: &Args, header: &Header, rows: &[Row]) -> Result<()> {
    let write =
        |path: &Path, text: &str| std::fs::write(path, text).with_context(|| format!("write `{}`", path.display()));
    if let Some(path) = &args.save {
        write(path, &(render::ndjson(header, rows)? + "\n"))?;
    }
    if let Some(path) = &args.svg {
        write(path, &svg::draw(header, rows))?;
    }
    print_line(&match args.format {
        Format::Table => render::table(header, rows),
        Format::Ndjson => render::ndjson(header, rows)?,
        Format::Csv => render::csv(rows),
        Format::Markdown => render::markdown(header, rows),
    })
}
