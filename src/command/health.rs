//! `kadr health`: whether the bot on this machine is alive, for a container's health check.
//!
//! `kadr serve` writes its heartbeat beside the database, each time only after the database answered. A process that
//! hangs, a disk that is full or gone and a database that does not answer all let the heartbeat grow old.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;

use super::{Exit, UsageError, print_error, print_line};
use crate::config::{Config, Settings};
use crate::store::{Database, Store};

const EVERY: Duration = Duration::from_secs(10);
const AGE_MAX_S: u64 = 60;

/// Arguments of `kadr health`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Database of the bot that is asked about: sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME
    #[arg(long, env = "KADR_DATABASE", value_name = "URL")]
    database: Option<String>,
    /// Folder for files in work of that bot, where its database is no file
    #[arg(long, env = "KADR_WORK_DIR", value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// Configuration file; `kadr.toml` in this folder is read where there is one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> Result<Exit> {
    let settings = Settings {
        database: args.database,
        work_dir: args.work_dir,
        ..Settings::default()
    };
    let database = Config::database(&settings, args.config.as_deref()).map_err(UsageError::from)?;
    let path = database.beside("-heartbeat");
    match age_s(&path) {
        Ok(age_s) if age_s <= AGE_MAX_S => {
            print_line(&format!("healthy: last heartbeat {age_s} s ago"))?;
            return Ok(Exit::Done);
        }
        Ok(age_s) => print_error(
            &format!("last heartbeat {age_s} s ago (limit {AGE_MAX_S} s)"),
            "`kadr serve` hangs, was killed, or cannot use its database: see its log",
        ),
        Err(error) => print_error(
            &format!("no heartbeat in `{}`: {error}", path.display()),
            "start `kadr serve` with this database, or name another one with `--database`",
        ),
    }
    Ok(Exit::Failed)
}

fn age_s(path: &Path) -> io::Result<u64> {
    let text = std::fs::read_to_string(path)?;
    let beat_s: u64 = text.trim().parse().map_err(io::Error::other)?;
    // A clock that was set back: until the next beat nobody knows.
    Ok(now_s().abs_diff(beat_s))
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

/// Beats until it is dropped; a beat that fails is logged, and tried again. The last one is taken away then: a bot
/// that was stopped is not healthy.
pub(super) async fn beat(store: impl Store, database: &Database) -> Infallible {
    let heart = Heart(database.beside("-heartbeat"));
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        if let Err(error) = store.cancel_requests().await {
            tracing::error!(%error, "no heartbeat: the database does not answer");
        } else if let Err(error) = heart.beat().await {
            tracing::error!(%error, "no heartbeat: it cannot be written");
        }
    }
}

struct Heart(PathBuf);

impl Heart {
    /// By rename: a reader never meets half of it, and a full disk leaves the old one.
    async fn beat(&self) -> io::Result<()> {
        let part = self.0.with_extension("part");
        tokio::fs::write(&part, now_s().to_string()).await?;
        tokio::fs::rename(&part, &self.0).await
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
