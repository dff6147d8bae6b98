//! SQLite: one writing connection, WAL, `synchronous=FULL`: a call that returned has its commit on disk.
//!
//! ```text
//! mod    the lock, the connection, the schema, and whether an operator's command wrote
//! backup copies, and the check after an unclean end
//! checkpoint  the log moved into the database, beside the writer
//! clock  times that an earlier boot left in the future
//! ```
//!
//! A lock file keeps a second bot out. What is written and read is the [`journal`](super::journal)'s.

pub mod backup;
mod checkpoint;
mod clock;

use std::fmt::Write;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::{Arc, Mutex as StdMutex, Weak};
use std::time::{Duration, Instant};

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions, Connection, Row};
use tokio::sync::{Mutex, watch};

use self::backup::Backup;
use super::journal::door::{Door, Single};
use super::journal::{self, Journal, Me, hosts, tick};
use super::{Result, StoreError};

const SCHEMA_VERSION: i64 = 7;
const SCHEMA: &str = include_str!("schema.sql");
/// From each version to the next, from 1 on.
const STEPS: [&str; 6] = [
    include_str!("to_2.sql"),
    include_str!("to_3.sql"),
    include_str!("to_4.sql"),
    include_str!("to_5.sql"),
    include_str!("to_6.sql"),
    include_str!("to_7.sql"),
];

/// How long a lock that is taken is waited for, and how often it is asked for meanwhile.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_POLL: Duration = Duration::from_millis(20);
/// How often it is looked whether an operator's command wrote something.
const OTHERS_POLL: Duration = Duration::from_millis(500);

/// How a connection keeps what it writes.
const KEEPING: [&str; 7] = [
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 5000",
    // What is deleted is overwritten: names in an update's payload would stand in free pages for long.
    "PRAGMA secure_delete = ON",
    // KiB, negative by SQLite's rule. By default it keeps 2 MiB, which fill up over thousands of jobs; a claim reads a few
    // pages.
    "PRAGMA cache_size = -512",
    // Pages of 4 KiB. A commit that finds the log this long moves it after all, see `checkpoint`: the disk must not fill.
    "PRAGMA wal_autocheckpoint = 8000",
];

impl Journal {
    /// Opens or creates the database at `path`; its folder is made where it is missing.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while another process has it, after 2 s; [`StoreError::Damaged`] where it ended uncleanly and
    /// is no longer sound.
    pub async fn in_file(path: &Path) -> Result<Self> {
        let lock = lock(path).await?;
        let connected = connect(path, "rwc").await;
        let mut connection = connected.map_err(|error| backup::explain(error, path))?;
        for pragma in KEEPING {
            let kept = sqlx::raw_sql(pragma).execute(&mut connection).await;
            kept.map_err(|error| backup::explain(error, path))?;
        }
        backup::check(&mut connection, path).await?;
        copy_before_a_change(&mut connection, path).await?;
        migrate(&mut connection).await?;
        clock::settle(&mut connection).await?;
        let me = Me {
            boot: hosts::enter(&mut connection, "").await?,
            ..Me::default()
        };
        journal::begin(&mut connection).await?;
        journal::begin_alone(&mut connection).await?;
        let door = Door::of(connection);
        let changes = Arc::new(watch::Sender::new(0));
        if let Door::File(single) = &door {
            tokio::spawn(notice_others(Arc::downgrade(single), Arc::clone(&changes)));
            tokio::spawn(checkpoint::beside(path.to_owned(), Arc::downgrade(single)));
        }
        let me = Arc::new(StdMutex::new(me));
        Ok(Self::new(door, changes, me, Arc::new(lock)))
    }
}

/// Opens a file in one of SQLite's modes: `rwc` makes it where it is missing, `rw` does not.
async fn connect(path: &Path, mode: &str) -> sqlx::Result<AnyConnection> {
    sqlx::any::install_default_drivers();
    // A path is no URL: what has a meaning there is written as its byte.
    let mut url = String::from("sqlite://");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => url.push(char::from(*byte)),
            byte => {
                let _ = write!(url, "%{byte:02X}");
            }
        }
    }
    url.push_str("?mode=");
    url.push_str(mode);
    url.parse::<AnyConnectOptions>()?.connect().await
}

/// Opens the file of a bot beside it, for an operator's command.
pub(super) async fn open_beside(path: &Path) -> Result<Door> {
    let mut connection = connect(path, "rw").await?;
    sqlx::raw_sql("PRAGMA busy_timeout = 5000")
        .execute(&mut connection)
        .await?;
    let found: i64 = sqlx::query("PRAGMA user_version")
        .fetch_one(&mut connection)
        .await?
        .get(0);
    if found != SCHEMA_VERSION {
        return Err(StoreError::Version {
            found,
            known: SCHEMA_VERSION,
        });
    }
    Ok(Door::of(connection))
}

/// Waits a moment for a lock that is taken: a process that is about to end still has it, and so has a child between
/// its fork and its exec.
async fn lock(path: &Path) -> Result<File> {
    let io = |error| StoreError::Database(sqlx::Error::Io(error));
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(io)?;
    }
    let name = path.with_extension("lock");
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&name)
        .map_err(io)?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_WAIT => tokio::time::sleep(LOCK_POLL).await,
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked(path.display().to_string())),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
    }
}

/// Ticks where another connection wrote, which is an operator's command; ends with the store.
async fn notice_others(single: Weak<Mutex<Single>>, changes: Arc<watch::Sender<u64>>) {
    let mut seen = None;
    loop {
        let version = match single.upgrade() {
            None => return,
            Some(single) => sqlx::query("PRAGMA data_version")
                .fetch_one(single.lock().await.connection())
                .await
                .map(|row| row.get::<i64, _>(0)),
        };
        if let Ok(version) = version
            && seen.replace(version).is_some_and(|before| before != version)
        {
            tick(&changes);
        }
        tokio::time::sleep(OTHERS_POLL).await;
    }
}

/// A schema that is about to change is copied first: the version before does not read what becomes of it.
async fn copy_before_a_change(connection: &mut AnyConnection, path: &Path) -> Result<()> {
    let version: i64 = sqlx::query("PRAGMA user_version").fetch_one(connection).await?.get(0);
    if !(1..SCHEMA_VERSION).contains(&version) {
        return Ok(());
    }
    match backup::back_up(path, 0).await? {
        Backup::Made(copy) => {
            tracing::info!(from = version, to = SCHEMA_VERSION, copy = %copy.display(), "the schema changes; copied before");
        }
        Backup::NoRoom { free, wanted } => {
            tracing::warn!(free, wanted, "the schema changes without a copy: too little disk space");
        }
    }
    Ok(())
}

async fn migrate(connection: &mut AnyConnection) -> Result<()> {
    let version: i64 = sqlx::query("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await?
        .get(0);
    if version > SCHEMA_VERSION {
        return Err(StoreError::Version {
            found: version,
            known: SCHEMA_VERSION,
        });
    }
    if version == SCHEMA_VERSION {
        return Ok(());
    }
    let steps = match usize::try_from(version - 1) {
        Ok(known) => &STEPS[known..],
        Err(_) => &[SCHEMA],
    };
    let mut transaction = connection.begin().await?;
    for step in steps {
        sqlx::raw_sql(*step).execute(&mut *transaction).await?;
    }
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("PRAGMA user_version = {SCHEMA_VERSION}")))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}
