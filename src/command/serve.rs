//! `kadr serve`: the bot. Store, courier, worker and listener, and the signals that end them.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Exit, UsageError, logs, print_line};
use crate::config::{Config, ConfigError, Settings};
use crate::store::StoreError;
use crate::store::sqlite::SqliteStore;
use crate::telegram::{self, delivery::TelegramCourier};
use crate::workdir::Workdir;
use crate::worker::Worker;

/// Arguments of `kadr serve`
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: Settings,
    /// Configuration file; `kadr.toml` in this folder is read where there is one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print what was decided, without secrets, and stop
    #[arg(long)]
    print_config: bool,
}

impl From<ConfigError> for UsageError {
    fn from(ConfigError { what, hint }: ConfigError) -> Self {
        Self::new(what, hint)
    }
}

pub(super) fn run(args: Args) -> Result<Exit> {
    let config = Config::read(args.settings, args.config.as_deref()).map_err(UsageError::from)?;
    if args.print_config {
        print_line(&config.to_string())?;
        return Ok(Exit::Done);
    }
    let _guards = logs::start(&config.log_dir)?;
    runtime()?.block_on(async {
        let shutdown = CancellationToken::new();
        listen_for_signals(shutdown.clone())?;
        serve(&config, shutdown).await
    })?;
    Ok(Exit::Done)
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start the async runtime")
}

/// The first signal ends gently; the second leaves at once, for what is on disk is enough.
pub(super) fn listen_for_signals(shutdown: CancellationToken) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if shutdown.is_cancelled() {
                tracing::warn!("leaving at once");
                std::process::abort();
            }
            tracing::info!("stopping: running jobs may end, the rest goes on after the next start");
            shutdown.cancel();
        }
    });
    Ok(())
}

/// Runs listener and worker until `shutdown`, or until one of them cannot go on.
pub(super) async fn serve(config: &Config, shutdown: CancellationToken) -> Result<()> {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        running_on = crate::media::versions(),
        "starting"
    );
    let store = match SqliteStore::open(&config.database).await {
        Err(StoreError::Locked(path)) => {
            return Err(UsageError::new(
                format!("another kadr uses `{path}`"),
                "stop it first, or give this one a database of its own with `--database`",
            )
            .into());
        }
        opened => opened.context("open the database")?,
    };
    let courier = Arc::new(TelegramCourier::new(&config.telegram(), store.clone())?);
    let workdir = Workdir::open(&config.work_dir).context("make the work folder")?;
    let worker = Worker::new(store.clone(), courier, workdir, config.worker.clone());
    let working = tokio::spawn(worker.run(shutdown.clone()));
    let listened = telegram::run(config.telegram(), store, shutdown.clone()).await;
    shutdown.cancel();
    working
        .await
        .context("the worker broke")?
        .context("the worker stopped")?;
    listened
}
