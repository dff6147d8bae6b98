//! PostgreSQL: one database for as many processes as there are, on as many hosts.
//!
//! ```text
//! mod     the pool, the schema, the folder that is this process's alone, and what the others tell (LISTEN)
//! leases  signs of life: who is silent for too long is no more, and its jobs go back to the queue
//! lead    which of the processes that could answer the chats does it
//! ```
//!
//! What is written and read is the [`journal`](super::journal)'s. A schema may be newer than this kadr as long as it says
//! that this one can work with it (`about.reads_from`): so hosts are upgraded one after the other. Absent: clocks of hosts,
//! which all follow the server's; and disks that they share, for each fetches, converts and delivers by itself.

pub mod lead;
mod leases;

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex as StdMutex};
use std::time::{Duration, Instant};

use rustix::rand::{GetRandomFlags, getrandom};
use sqlx::any::AnyPoolOptions;
use sqlx::postgres::PgListener;
use sqlx::{AnyConnection, AnyPool, Row};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::journal::door::{Door, Kind, call, is_passing};
use super::journal::{self, Journal, Me, hosts, rows, tick};
use super::{Result, StoreError};

const SCHEMA_VERSION: i64 = 1;
const SCHEMA: &str = include_str!("schema.sql");
/// From each version to the next, from 1 on. A step adds and takes nothing away, for the version before works on beside it;
/// where it must, it says so in `about.reads_from`, and hosts of that version stop with a word.
const STEPS: &[&str] = &[];
/// Connections of one process: its calls are short.
const CONNECTIONS_MAX: u32 = 8;
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// A server that does not answer yet is waited for at the start so long.
const START_WAIT: Duration = Duration::from_secs(60);
const REST: Duration = Duration::from_millis(500);
/// The file that names a process's folder, and is its lock.
const INSTANCE: &str = "instance";

/// What ends with the store.
struct Keep {
    _instance: File,
    _tasks: JoinSet<()>,
}

impl Journal {
    /// Opens the database of a server and makes its tables where they are missing. `place` is a folder that this process has
    /// for itself.
    ///
    /// # Errors
    /// [`StoreError::Version`] where the tables are of another kadr that this one cannot work with, [`StoreError::Locked`]
    /// where another process has the folder, [`StoreError::Database`] where no server answers within a minute.
    pub async fn on_server(url: &str, place: &Path) -> Result<Self> {
        let (instance, place) = instance(place)?;
        let door = door(url).await?;
        call!(&door, Kind::Alone, false, |c| migrate(c))?;
        let clock_ms = call!(&door, Kind::Read, false, |c| clock_ms(c))?;
        rows::follow(clock_ms);
        let boot = call!(&door, Kind::Alone, true, |c| hosts::enter(c, &place))?;
        call!(&door, Kind::Alone, false, |c| journal::begin(c))?;
        let me = Arc::new(StdMutex::new(Me {
            boot,
            place,
            ..Me::default()
        }));
        let changes = Arc::new(watch::Sender::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(url.to_owned(), door.clone(), Arc::clone(&changes)));
        tasks.spawn(leases::keep(door.clone(), Arc::clone(&me), Arc::clone(&changes)));
        let keep = Keep {
            _instance: instance,
            _tasks: tasks,
        };
        Ok(Self::new(door, changes, me, Arc::new(StdMutex::new(keep))))
    }
}

/// The way in, once the server answers.
async fn door(url: &str) -> Result<Door> {
    let began = Instant::now();
    loop {
        let opened = try_door(url).await;
        match opened {
            Err(error) if is_passing(&error) && began.elapsed() < START_WAIT => {
                tracing::warn!(%error, "the database does not answer yet");
                tokio::time::sleep(REST).await;
            }
            opened => return opened,
        }
    }
}

async fn try_door(url: &str) -> Result<Door> {
    sqlx::any::install_default_drivers();
    let pool: AnyPool = AnyPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(CONNECT_WAIT)
        .connect(url)
        .await?;
    let schema: Option<String> = sqlx::query("SELECT CAST(current_schema() AS TEXT)")
        .fetch_one(&pool)
        .await?
        .get(0);
    let schema = schema.unwrap_or_default();
    Ok(Door::Server {
        pool,
        url: url.into(),
        channel: format!("kadr_{schema}").into(),
    })
}

/// Opens the database beside its bots, for an operator's command.
pub(super) async fn open_beside(url: &str) -> Result<Door> {
    let door = try_door(url).await?;
    let found = call!(&door, Kind::Read, false, |c| version(c))?;
    match found {
        Some((_, reads_from)) if reads_from <= SCHEMA_VERSION => {}
        found => {
            return Err(StoreError::Version {
                found: found.map_or(0, |(version, _)| version),
                known: SCHEMA_VERSION,
            });
        }
    }
    let clock_ms = call!(&door, Kind::Read, false, |c| clock_ms(c))?;
    rows::follow(clock_ms);
    Ok(door)
}

/// Which schema is there, and the oldest that can work with it.
async fn version(connection: &mut AnyConnection) -> Result<Option<(i64, i64)>> {
    let row = sqlx::query("SELECT CAST(to_regclass('about') AS TEXT)")
        .fetch_one(&mut *connection)
        .await?;
    if row.get::<Option<String>, _>(0).is_none() {
        return Ok(None);
    }
    let row = sqlx::query("SELECT version, reads_from FROM about")
        .fetch_one(connection)
        .await?;
    Ok(Some((row.get(0), row.get(1))))
}

async fn migrate(connection: &mut AnyConnection) -> Result<()> {
    match version(connection).await? {
        None => {
            sqlx::raw_sql(SCHEMA).execute(connection).await?;
            Ok(())
        }
        Some((found, reads_from)) if reads_from <= SCHEMA_VERSION => {
            let known = usize::try_from(found - 1).unwrap_or(0);
            for step in STEPS.iter().skip(known) {
                sqlx::raw_sql(*step).execute(&mut *connection).await?;
            }
            if found < SCHEMA_VERSION {
                sqlx::query("UPDATE about SET version = $1")
                    .bind(SCHEMA_VERSION)
                    .execute(connection)
                    .await?;
            }
            Ok(())
        }
        Some((found, _)) => Err(StoreError::Version {
            found,
            known: SCHEMA_VERSION,
        }),
    }
}

async fn clock_ms(connection: &mut AnyConnection) -> Result<i64> {
    let row = sqlx::query("SELECT CAST(1000 * EXTRACT(EPOCH FROM clock_timestamp()) AS BIGINT)")
        .fetch_one(connection)
        .await?;
    Ok(row.get(0))
}

/// Takes a folder for this process and gives its name, which is the same after a restart: so the others know at once that
/// the process before this one is no more.
fn instance(folder: &Path) -> Result<(File, String)> {
    let io = |error| StoreError::Database(sqlx::Error::Io(error));
    std::fs::create_dir_all(folder).map_err(io)?;
    let path = folder.join(INSTANCE);
    let mut file = File::options()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(io)?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => break,
            // A process that is about to end still has it.
            Err(TryLockError::WouldBlock) if began.elapsed() < CONNECT_WAIT => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked(folder.display().to_string())),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
    }
    let mut name = String::new();
    file.read_to_string(&mut name).map_err(io)?;
    if name.trim().is_empty() {
        name = fresh_name().map_err(io)?;
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        file.write_all(name.as_bytes()).map_err(io)?;
        file.sync_all().map_err(io)?;
    }
    Ok((file, name.trim().to_owned()))
}

fn fresh_name() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// Ticks where another process wrote, and after a silence that nobody heard through.
async fn listen(url: String, door: Door, changes: Arc<watch::Sender<u64>>) {
    let Door::Server { channel, .. } = &door else { return };
    loop {
        if let Ok(mut listener) = PgListener::connect(&url).await
            && listener.listen(channel).await.is_ok()
        {
            tick(&changes);
            // `None` where the connection broke and stands again.
            while let Ok(_told) = listener.try_recv().await {
                tick(&changes);
            }
        }
        tokio::time::sleep(REST).await;
    }
}
