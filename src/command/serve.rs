//! `kadr serve`: the bot. Store, courier, worker and listener, and the signals that end them.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::doctor::examine::known_bad;
use super::{Exit, UsageError, engine, health, lead, logs, print_line, secrets, supervise, walls};
use crate::config::{Config, ConfigError, Role, Settings};
use crate::media::{device::installed::Ffmpeg, last_words};
use crate::metrics::Organ;
use crate::store::sqlite::backup::{self, Backup, backups};
use crate::store::{Database, Journal, Presence, Store, StoreError};
use crate::telegram::delivery::TelegramCourier;
use crate::watch::{self, Watched};
use crate::workdir::Workdir;
use crate::worker::{View, Worker};

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

/// `kadr worker`: the same with the role of a worker.
pub(super) fn work(mut args: Args) -> Result<Exit> {
    args.settings.role = Some(Role::Worker);
    run(args)
}

pub(super) fn run(args: Args) -> Result<Exit> {
    let read = |settings| Config::read(settings, args.config.as_deref()).map_err(UsageError::from);
    if args.print_config {
        print_line(&read(args.settings)?.to_string())?;
        return Ok(Exit::Done);
    }
    // Before everything that starts a thread: the log, the driver of a GPU, the runtime.
    let (confine, rooms) = Config::rooms(&args.settings, args.config.as_deref()).map_err(UsageError::from)?;
    let isolation = Config::isolation(&args.settings, args.config.as_deref()).map_err(UsageError::from)?;
    let nursery = engine::nursery(isolation)?;
    let watch = Config::watch(&args.settings, args.config.as_deref()).map_err(UsageError::from)?;
    let watched_on = watch.map(|watch| listen(watch.address)).transpose()?;
    let hook = Config::webhook(&args.settings, args.config.as_deref()).map_err(UsageError::from)?;
    let hooked_on = hook.map(hook_on).transpose()?;
    let raised = walls::raise(confine, &rooms)?;
    let mut config = read(args.settings)?;
    config.worker.nursery = nursery;
    if let Some(webhook) = &mut config.webhook {
        webhook.listener = hooked_on.map(Arc::new);
    }
    let _guards = logs::start(&config.log_dir, config.log_format)?;
    walls::tell(raised.as_ref());
    secrets::dump_no_core();
    let shutdown = CancellationToken::new();
    run_until_signals(&shutdown, async {
        serve(&config, watched_on, shutdown.clone()).await?;
        Ok(Exit::Done)
    })
}

fn listen(address: SocketAddr) -> Result<TcpListener, UsageError> {
    watch::listen(address).map_err(|error| {
        UsageError::new(
            format!("{address} cannot be watched on: {error}"),
            "choose another port with `--watch`",
        )
    })
}

fn hook_on(address: SocketAddr) -> Result<TcpListener, UsageError> {
    watch::listen(address).map_err(|error| {
        UsageError::new(
            format!("updates cannot be awaited on {address}: {error}"),
            "choose another address with `--webhook-listen`, and have the proxy pass on to it",
        )
    })
}

/// Runs `work` to its end. The first signal asks it to stop; the second leaves it where it is, for what is on disk is
/// enough.
pub(super) fn run_until_signals(
    shutdown: &CancellationToken,
    work: impl Future<Output = Result<Exit>>,
) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start the async runtime")?;
    let exit = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
        let second = async {
            loop {
                let exit = tokio::select! {
                    _ = terminate.recv() => Exit::Terminated,
                    _ = interrupt.recv() => Exit::Canceled,
                };
                if shutdown.is_cancelled() {
                    return exit;
                }
                tracing::info!("stopping: running jobs may end, the rest goes on after the next start");
                shutdown.cancel();
            }
        };
        tokio::select! {
            exit = work => exit,
            exit = second => {
                tracing::warn!("leaving at once");
                Ok(exit)
            }
        }
    });
    // A conversion that still runs is not waited for.
    runtime.shutdown_background();
    exit
}

/// Runs listener and worker until `shutdown`, or until one of them cannot go on.
pub(super) async fn serve(config: &Config, watched_on: Option<TcpListener>, shutdown: CancellationToken) -> Result<()> {
    secrets::hide(&config.token);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        role = %config.role,
        running_on = crate::media::versions(),
        isolation = %config.isolation,
        "starting"
    );
    if let Some(words) = known_bad(&Ffmpeg::look().release) {
        tracing::warn!("{words}");
    }
    let store = open(&config.database).await?;
    let courier = Arc::new(TelegramCourier::new(&config.telegram(), store.clone())?);
    let workdir = Workdir::open(&config.work_dir).context("make the work folder")?;
    // After the lock: another bot's note is none of ours.
    let named = last_words::keep(&config.database.beside("").with_extension("crash")).context("keep last words")?;
    if !named.is_empty() {
        tracing::error!(jobs = ?named, "the process before this one crashed while it converted these");
    }
    store
        .announce(presence(config))
        .await
        .context("announce this process")?;
    let leads = Arc::new(AtomicBool::new(false));
    let worker = Worker::new(store.clone(), courier, workdir.clone(), config.worker.clone())
        .after_crash_of(named)
        .led_by(Arc::clone(&leads));
    let watching = Arc::new(watched(config, store.clone(), workdir, worker.view(), shutdown.clone()));
    let working = tokio::spawn(worker.run(shutdown.clone()));
    let (heart, last) = (store.clone(), store.clone());
    let carry = async {
        let listen = async {
            let listened = lead::answer(config, store, &leads, &shutdown).await;
            shutdown.cancel();
            listened
        };
        let (listened, orphaned) = tokio::join!(listen, engine::orphaned(config.worker.nursery.as_deref(), &shutdown));
        working
            .await
            .context("the worker broke")?
            .context("the worker stopped")?;
        // What the last handlers left goes too.
        if let Err(error) = last.purge(config.worker.keep_days).await {
            tracing::warn!(%error, "old rows stay until the next start");
        }
        last.end_cleanly().await.context("mark the end")?;
        listened?;
        orphaned
    };
    tokio::select! {
        outcome = carry => outcome,
        never = health::beat(heart, &config.database) => match never {},
        never = supervise::tell(&watching) => match never {},
        never = watch::share(&watching), if config.database.file().is_none() => match never {},
        ended = watch::serve(watched_on, Arc::clone(&watching)) => ended.context("be watched"),
        never = back_up(config) => match never {},
    }
}

/// Opens the database, or says what is in the way.
async fn open(database: &Database) -> Result<Journal> {
    let in_the_way = match Journal::open(database).await {
        Err(StoreError::Database(error)) if database.file().is_none() => no_server(&error),
        Err(StoreError::Locked(path)) => UsageError::new(
            format!("another kadr uses `{path}`"),
            match database {
                Database::Sqlite(_) => "stop it first, or give this one a database of its own with `--database`",
                Database::Postgres { .. } => "stop it first, or give this one a folder of its own with `--work-dir`",
            },
        ),
        Err(StoreError::Damaged { path, what, backup }) => {
            let hint = match backup {
                Some(backup) => format!(
                    "move `{path}` and its `-wal` and `-shm` away and copy `{backup}` there; jobs accepted since that copy are lost"
                ),
                None => format!("move `{path}` away, there is no backup of it: kadr starts with an empty one"),
            };
            UsageError::failed(format!("the database `{path}` is damaged: {what}"), hint)
        }
        Err(error @ StoreError::Version { .. }) => UsageError::failed(
            error.to_string(),
            "start the newer kadr that made it, or put back the copy from before the upgrade",
        ),
        opened => return opened.context("open the database"),
    };
    Err(in_the_way.into())
}

/// A database server that lets nobody in; the error never has the password.
pub(super) fn no_server(error: &impl std::fmt::Display) -> UsageError {
    UsageError::failed(
        format!("the database server does not let kadr in: {error}"),
        "check host, port, user, password and name in `KADR_DATABASE`; `psql` must get in with the same address",
    )
}

/// What whoever watches may see.
fn watched<S>(config: &Config, store: S, workdir: Workdir, view: View, shutdown: CancellationToken) -> Watched<S> {
    let pulse = Arc::clone(&config.pulse);
    Watched {
        store,
        workdir,
        disk_free_bytes_min: config.worker.disk_free_bytes_min,
        slots: if config.role.works() { config.worker.jobs_max } else { 0 },
        organs: organs(config.role),
        running: Arc::new(move || view.running()),
        is_away: Arc::new(move || pulse.is_away(std::time::Instant::now())),
        shutdown,
        token: config.watch.as_ref().and_then(|watch| watch.token.clone()),
    }
}

/// What of a process moves all the time while it is well.
fn organs(role: Role) -> Vec<Organ> {
    let of = |has: bool, organ| has.then_some(organ);
    [of(role.chats(), Organ::Poller), of(role.works(), Organ::Lane)]
        .into_iter()
        .flatten()
        .collect()
}

/// What this process says of itself to those that share its database.
fn presence(config: &Config) -> Presence {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let works = config.role.works();
    let caps = config.worker.machine.caps();
    Presence {
        host,
        role: config.role.name(),
        version: env!("CARGO_PKG_VERSION"),
        slots: if works { config.worker.jobs_max } else { 0 },
        encodes: if works { caps.spared() } else { Vec::new() },
        device: if works { caps.devices() } else { String::new() },
    }
}

/// Copies the database at each interval, counted from the newest copy: a bot that starts over and over does not push the
/// old ones out. What fails is logged, and tried again at the next. A server is not copied from here.
async fn back_up(config: &Config) -> Infallible {
    let (Some(file), Some(every)) = (config.database.file(), config.backup_every) else {
        return std::future::pending().await;
    };
    let newest = backups(file)
        .ok()
        .and_then(|all| all.last()?.metadata().ok()?.modified().ok());
    let age = newest.map_or(every, |made| made.elapsed().unwrap_or_default());
    let mut ticks = tokio::time::interval_at(Instant::now() + every.saturating_sub(age), every);
    loop {
        ticks.tick().await;
        match backup::back_up(file, config.worker.disk_free_bytes_min).await {
            Ok(Backup::Made(path)) => tracing::info!(path = %path.display(), "the database was backed up"),
            Ok(Backup::NoRoom { free, wanted }) => {
                tracing::warn!(free, wanted, "no backup of the database: too little disk space");
            }
            Err(error) => tracing::error!(%error, "no backup of the database"),
        }
    }
}
