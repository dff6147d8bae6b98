//! The door to the database, and calls through it: one transaction each, done once and only once.
//!
//! ```text
//! SQLite      one connection behind a mutex: a call waits for the one before it, and for nothing inside the database but an
//!             operator's command
//! PostgreSQL  a pool; a call that decides by what other rows say (`Kind::Alone`) takes the one lock of the schema first, so
//!             that such calls of all hosts happen one after the other, as they do in SQLite
//! ```
//!
//! A server that is away, restarts or breaks a deadlock costs a call nothing but time: it is done again, up to [`PATIENCE`].
//! A commit whose answer was lost is looked up by the number of its transaction (`pg_xact_status`): what was committed is not
//! done twice. Absent: savepoints; a function that fails leaves nothing of its call.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::any::Any;
use sqlx::pool::PoolConnection;
use sqlx::{AnyConnection, AnyPool, Row, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::store::{Result, StoreError};

/// A call waits so long for a server that is away.
const PATIENCE: Duration = Duration::from_secs(30);
const REST: Duration = Duration::from_millis(100);
/// Classes and codes of PostgreSQL after which the same call may go well: a connection that broke, a server that stops or
/// starts, too many clients, a serialization that failed, a deadlock (appendix A of its manual).
const PASSING: [&str; 7] = ["08", "57P01", "57P02", "57P03", "53300", "40001", "40P01"];

/// What a call does to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    /// Reads.
    Read,
    /// Writes to rows that it names.
    Write,
    /// Writes what other rows allow.
    Alone,
}

/// The one connection of a file.
#[derive(Debug)]
pub(in crate::store) struct Single {
    connection: AnyConnection,
    /// A transaction was begun: where nobody ended it, its call was dropped, and the next one rolls it back.
    open: bool,
}

/// The way in.
#[derive(Clone, Debug)]
pub(in crate::store) enum Door {
    /// A file of this process.
    File(Arc<Mutex<Single>>),
    /// A server that others use too.
    Server {
        /// Its connections.
        pool: AnyPool,
        /// How to reach it.
        url: Arc<str>,
        /// The channel that tells the others, and the name of the lock.
        channel: Arc<str>,
    },
}

impl Door {
    /// Of a connection to a file.
    pub(in crate::store) fn of(connection: AnyConnection) -> Self {
        Self::File(Arc::new(Mutex::new(Single {
            connection,
            open: false,
        })))
    }

    /// Whether other processes work on the same jobs.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Server { .. })
    }

    async fn hold(&self, writes: bool) -> Result<Held> {
        match self {
            Self::Server { pool, .. } if writes => Ok(Held::Write(pool.begin().await?)),
            Self::Server { pool, .. } => Ok(Held::Read(pool.acquire().await?)),
            Self::File(single) => {
                let mut single = Arc::clone(single).lock_owned().await;
                if single.open {
                    // After a full disk SQLite has rolled back by itself, and refuses.
                    let _ = single.say("ROLLBACK").await;
                    single.open = false;
                }
                if writes {
                    // It takes the write lock at its first word: a transaction that read first could not go on where an
                    // operator's command wrote in between (`SQLITE_BUSY_SNAPSHOT`, which no time limit helps against).
                    single.open = true;
                    if let Err(error) = single.say("BEGIN IMMEDIATE").await {
                        single.open = false;
                        return Err(error);
                    }
                }
                Ok(Held::File(single))
            }
        }
    }
}

impl Single {
    async fn say(&mut self, words: &'static str) -> Result<()> {
        sqlx::raw_sql(words).execute(&mut self.connection).await?;
        Ok(())
    }

    /// The connection, between calls.
    pub(in crate::store) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }
}

/// A connection that is one call's.
pub(in crate::store) enum Held {
    /// Of a file, in a transaction or not.
    File(OwnedMutexGuard<Single>),
    /// Of a server, to read.
    Read(PoolConnection<Any>),
    /// Of a server, in a transaction.
    Write(Transaction<'static, Any>),
}

impl Deref for Held {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        match self {
            Self::File(single) => &single.connection,
            Self::Read(connection) => connection,
            Self::Write(transaction) => transaction,
        }
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        match self {
            Self::File(single) => &mut single.connection,
            Self::Read(connection) => connection,
            Self::Write(transaction) => transaction,
        }
    }
}

impl Held {
    async fn commit(self) -> Result<()> {
        match self {
            Self::File(mut single) => {
                single.say("COMMIT").await?;
                single.open = false;
                Ok(())
            }
            Self::Read(_) => Ok(()),
            Self::Write(transaction) => Ok(transaction.commit().await?),
        }
    }
}

/// One call.
pub(in crate::store) struct Call<'d> {
    door: &'d Door,
    kind: Kind,
    /// Whether the others should hear of it.
    ticks: bool,
    began: Instant,
}

impl<'d> Call<'d> {
    pub(in crate::store) fn new(door: &'d Door, kind: Kind, ticks: bool) -> Self {
        Self {
            door,
            kind,
            ticks,
            began: Instant::now(),
        }
    }

    /// A connection, in a transaction where the call writes.
    pub(in crate::store) async fn begin(&self) -> Result<Held> {
        loop {
            match self.try_begin().await {
                Err(error) if self.goes_on_after(&error) => tokio::time::sleep(REST).await,
                begun => return begun,
            }
        }
    }

    async fn try_begin(&self) -> Result<Held> {
        let mut held = self.door.hold(self.kind != Kind::Read).await?;
        if let (Kind::Alone, Door::Server { channel, .. }) = (self.kind, self.door) {
            sqlx::query("SELECT 1 FROM pg_advisory_xact_lock(hashtextextended($1, 0))")
                .bind(channel.to_string())
                .execute(&mut *held)
                .await?;
        }
        Ok(held)
    }

    /// The answer, once it is on disk; `None` where the call must be done again.
    pub(in crate::store) async fn end<T>(&self, mut held: Held, answer: Result<T>) -> Option<Result<T>> {
        let answer = match answer {
            Err(error) if self.goes_on_after(&error) => {
                drop(held);
                tokio::time::sleep(REST).await;
                return None;
            }
            Err(error) => return Some(Err(error)),
            Ok(answer) if self.kind == Kind::Read => return Some(Ok(answer)),
            Ok(answer) => answer,
        };
        let Door::Server { channel, .. } = self.door else {
            return Some(held.commit().await.map(|()| answer));
        };
        // The others hear of it with the commit.
        let number = if self.ticks {
            sqlx::query("SELECT CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT) FROM pg_notify($1, '')")
                .bind(channel.to_string())
        } else {
            sqlx::query("SELECT CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)")
        };
        let number = number.fetch_one(&mut *held).await;
        let number: i64 = match number.map_err(StoreError::from) {
            Ok(row) => row.get(0),
            Err(error) if self.goes_on_after(&error) => return None,
            Err(error) => return Some(Err(error)),
        };
        match held.commit().await {
            Ok(()) => Some(Ok(answer)),
            Err(error) if is_passing(&error) => match self.was_committed(number).await {
                Ok(true) => Some(Ok(answer)),
                Ok(false) => None,
                Err(error) => Some(Err(error)),
            },
            Err(error) => Some(Err(error)),
        }
    }

    /// What became of a transaction whose end nobody heard.
    async fn was_committed(&self, number: i64) -> Result<bool> {
        loop {
            let read = async {
                let mut held = self.door.hold(false).await?;
                let row = sqlx::query("SELECT pg_xact_status(CAST(CAST($1 AS TEXT) AS xid8))")
                    .bind(number)
                    .fetch_one(&mut *held)
                    .await?;
                Ok(row.get::<Option<String>, _>(0))
            };
            match read.await {
                Ok(Some(status)) if status == "in progress" => {}
                Ok(status) => return Ok(status.as_deref() == Some("committed")),
                Err(error) if self.goes_on_after(&error) => {}
                Err(error) => return Err(error),
            }
            tokio::time::sleep(REST).await;
        }
    }

    fn goes_on_after(&self, error: &StoreError) -> bool {
        self.door.is_shared() && is_passing(error) && self.began.elapsed() < PATIENCE
    }
}

/// Whether the same call may go well a moment later.
pub(in crate::store) fn is_passing(error: &StoreError) -> bool {
    let StoreError::Database(error) = error else {
        return false;
    };
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| PASSING.iter().any(|passing| code.starts_with(passing))),
        _ => false,
    }
}

/// Runs `$work` on a connection, as often as it takes to have it done once.
macro_rules! call {
    ($door:expr, $kind:expr, $ticks:expr, |$connection:ident| $work:expr) => {{
        let call = $crate::store::journal::door::Call::new($door, $kind, $ticks);
        loop {
            let mut held = call.begin().await?;
            let answer = {
                let $connection = &mut *held;
                $work.await
            };
            if let Some(answer) = call.end(held, answer).await {
                break answer;
            }
        }
    }};
}
pub(in crate::store) use call;
