//! `kadr jobs`: what a bot has in work, and an operator's orders, beside a bot that runs or without one.
//!
//! Each order is done in the database when the command returns; a bot that runs sees it within a second and says it in
//! the chat, one that does not says it at its next start. Absent: names and captions, which the database does not hold.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::serve::no_server;
use super::{Exit, UsageError, print_error, print_json, print_line};
use crate::config::{Config, Settings};
use crate::job::{JobId, Reason};
use crate::media::ENGINE_VERSION;
use crate::store::journal::operator::{Listed, Operator, RetryAnswer};
use crate::store::{CancelAnswer, StoreError};

/// Arguments of `kadr jobs`
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    order: Order,
    /// Database of the bot that is asked about: sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME
    #[arg(long, env = "KADR_DATABASE", value_name = "URL", global = true)]
    database: Option<String>,
    /// Configuration file; `kadr.toml` in this folder is read where there is one
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// One JSON object a line
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Order {
    /// List the jobs that are not over
    List {
        /// Those that are over too
        #[arg(long)]
        all: bool,
    },
    /// Say all that is known of a job
    Show {
        /// Its number, as `7` or `j7`
        #[arg(value_parser = number)]
        job: JobId,
    },
    /// Do a job that failed or was cancelled once more
    Retry {
        /// Its number, as `7` or `j7`
        #[arg(value_parser = number)]
        job: JobId,
    },
    /// End a job
    Cancel {
        /// Its number, as `7` or `j7`
        #[arg(value_parser = number)]
        job: JobId,
    },
    /// Files that are refused because they crashed the process
    Quarantine {
        #[command(subcommand)]
        what: Quarantine,
    },
}

#[derive(Debug, clap::Subcommand)]
enum Quarantine {
    /// List them
    List,
    /// Let one in again, or all
    Lift {
        /// As `quarantine list` shows it
        file: Option<String>,
    },
}

fn number(text: &str) -> Result<JobId, String> {
    let digits = text.strip_prefix('j').unwrap_or(text);
    digits
        .parse()
        .map(JobId)
        .map_err(|_| format!("`{text}` is no number of a job, such as 7 or j7"))
}

pub(super) fn run(args: Args) -> Result<Exit> {
    let settings = Settings {
        database: args.database,
        ..Settings::default()
    };
    let database = Config::database(&settings, args.config.as_deref()).map_err(UsageError::from)?;
    if let Some(path) = database.file().filter(|path| !path.is_file()) {
        return Err(UsageError::new(
            format!("no database in `{}`", path.display()),
            "name the one of your bot with `--database`, or start `kadr serve` once",
        )
        .into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the async runtime")?;
    runtime.block_on(async {
        let operator = match Operator::open(&database).await {
            Err(error @ StoreError::Version { .. }) => {
                let hint = "use the kadr that the bot runs, or start it once with this one";
                return Err(UsageError::new(error.to_string(), hint).into());
            }
            Err(StoreError::Database(error)) if database.file().is_none() => return Err(no_server(&error).into()),
            opened => opened.context("open the database")?,
        };
        obey(&operator, args.order, args.json).await
    })
}

async fn obey(operator: &Operator, order: Order, json: bool) -> Result<Exit> {
    match order {
        Order::List { all } => {
            let jobs = operator.list(all).await?;
            if json {
                for listed in &jobs {
                    print_json(&line_of(listed))?;
                }
            } else {
                print_line(&table(&jobs))?;
            }
            Ok(Exit::Done)
        }
        Order::Show { job } => match operator.job(job).await? {
            None => unknown(job),
            Some(listed) if json => print_json(&line_of(&listed)).map(|()| Exit::Done),
            Some(listed) => print_line(&page(&listed)).map(|()| Exit::Done),
        },
        Order::Retry { job } => retry(operator, job, json).await,
        Order::Cancel { job } => cancel(operator, job, json).await,
        Order::Quarantine { what } => quarantine(operator, what, json).await,
    }
}

fn unknown(job: JobId) -> Result<Exit> {
    Err(UsageError::new(format!("there is no job {job}"), "see `kadr jobs list --all`").into())
}

/// An order that cannot be obeyed.
fn refused(message: &str, hint: &str) -> Exit {
    print_error(message, hint);
    Exit::Failed
}

/// What was done, in words or as an object.
fn done(words: &str, kind: &str, job: JobId, json: bool) -> Result<Exit> {
    if json {
        print_json(&json!({ "type": kind, "job": job.0 }))?;
    } else {
        print_line(words)?;
    }
    Ok(Exit::Done)
}

async fn retry(operator: &Operator, id: JobId, json: bool) -> Result<Exit> {
    Ok(match operator.retry(id, ENGINE_VERSION).await? {
        RetryAnswer::Queued(new) => done(
            &format!("{id} is done once more, as {}", new.id),
            "queued",
            new.id,
            json,
        )?,
        RetryAnswer::Already(other) => refused(
            &format!("{id} is done once more already, as {}", other.id),
            &format!("`kadr jobs show {}` says how it stands", other.id),
        ),
        RetryAnswer::NotFailed(job) => refused(
            &format!(
                "{id} is {} (only what failed or was cancelled is done once more)",
                word(&job.status)
            ),
            "wait for its end, or cancel it",
        ),
        RetryAnswer::SourceForgotten => refused(
            &format!("nothing is known any more that could fetch the file of {id}"),
            "its sender must send it again: sources are kept for a day, of cancelled jobs not at all",
        ),
        RetryAnswer::Quarantined => refused(
            &format!("the file of {id} is in quarantine"),
            "`kadr jobs quarantine lift` lets it in again",
        ),
        RetryAnswer::Unknown => return unknown(id),
    })
}

async fn cancel(operator: &Operator, id: JobId, json: bool) -> Result<Exit> {
    Ok(match operator.cancel(id).await? {
        CancelAnswer::Canceled(_) => done(&format!("{id} is cancelled"), "canceled", id, json)?,
        CancelAnswer::Asked(_) => done(&format!("{id} is running and was asked to end"), "asked", id, json)?,
        CancelAnswer::AlreadyOver(job) => refused(
            &format!("{id} is over: {}", word(&job.status)),
            "`kadr jobs list` shows what can be cancelled",
        ),
        CancelAnswer::NotYours => return unknown(id),
    })
}

async fn quarantine(operator: &Operator, what: Quarantine, json: bool) -> Result<Exit> {
    match what {
        Quarantine::List => {
            let files = operator.quarantine().await?;
            for file in &files {
                if json {
                    let line = json!({ "type": "quarantined", "file": file.file_unique_id, "left_s": file.left_s });
                    print_json(&line)?;
                } else {
                    print_line(&format!(
                        "{}  refused for another {}",
                        file.file_unique_id,
                        span(file.left_s)
                    ))?;
                }
            }
            if files.is_empty() && !json {
                print_line("no file is in quarantine")?;
            }
            Ok(Exit::Done)
        }
        Quarantine::Lift { file } => {
            let count = operator.lift(file.as_deref()).await?;
            if let (0, Some(file)) = (count, &file) {
                return Ok(refused(
                    &format!("`{file}` is not in quarantine"),
                    "`kadr jobs quarantine list` shows what is",
                ));
            }
            if json {
                print_json(&json!({ "type": "lifted", "files": count }))?;
            } else {
                print_line(&format!("files let in again: {count}"))?;
            }
            Ok(Exit::Done)
        }
    }
}

/// The word of a status or phase, as the database and the JSON have it.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

fn reason_word(reason: Option<&Reason>) -> String {
    let tagged = reason.and_then(|reason| serde_json::to_value(reason).ok());
    tagged
        .and_then(|value| value["reason"].as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn line_of(listed: &Listed) -> Value {
    let job = &listed.job;
    json!({
        "type": "job",
        "job": job.id.0,
        "user": job.request.origin.user.0,
        "chat": job.request.origin.chat.0,
        "status": job.status,
        "phase": job.phase,
        "age_s": listed.age_s,
        "attempts": job.attempt,
        "blame": job.blame,
        "wish": job.request.wish.to_string(),
        "size_bytes": job.request.source.size_bytes,
        "reason": job.reason,
        "batch": job.batch.map(|first| first.0),
        "cancel_asked": listed.cancel_asked,
        "has_source": listed.has_source,
    })
}

/// Seconds as an operator reads them.
fn span(s: u64) -> String {
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min", s / 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3600),
    }
}

fn table(jobs: &[Listed]) -> String {
    if jobs.is_empty() {
        return "no jobs".to_owned();
    }
    let head = ["JOB", "USER", "STATUS", "PHASE", "AGE", "ATTEMPTS", "WISH", "REASON"].map(str::to_owned);
    let row = |listed: &Listed| {
        let job = &listed.job;
        [
            job.id.to_string(),
            job.request.origin.user.0.to_string(),
            word(&job.status),
            word(&job.phase),
            span(listed.age_s),
            job.attempt.to_string(),
            job.request.wish.to_string(),
            reason_word(job.reason.as_ref()),
        ]
    };
    let rows: Vec<[String; 8]> = std::iter::once(head).chain(jobs.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..8).map(width).collect();
    let line = |row: &[String; 8]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Everything of one job, a line each; what there is not is left out.
fn page(listed: &Listed) -> String {
    let Value::Object(fields) = line_of(listed) else {
        return String::new();
    };
    let shown = fields
        .iter()
        .filter(|(name, value)| *name != "type" && !value.is_null());
    let line = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name:12}  {value}")
    };
    shown.map(line).collect::<Vec<_>>().join("\n")
}
