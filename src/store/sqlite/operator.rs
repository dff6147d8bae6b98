//! An operator's second door to the database, beside the bot that has the lock or without one.
//!
//! It writes itself, in transactions of milliseconds: SQLite lets one writer at a time in and the other waits up to 5 s,
//! and the bot sees within half a second that somebody wrote (`notice_others`). So an order is done when the command
//! returns, whether a bot runs or not; an inbox of orders would leave it open whether anybody obeys.
//!
//! Absent: claims and every other write of a running job, which are its worker's. What should be said in a chat is owed
//! there, and the bot says it.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row, SqliteConnection};

use super::SCHEMA_VERSION;
use super::queue;
use super::rows::{COLUMNS, job_of, now, write};
use crate::job::{Job, JobId, Request, Status};
use crate::store::{CancelAnswer, Enqueued, QueueLimits, Result, StoreError};

const BUSY_WAIT: Duration = Duration::from_secs(5);
/// An operator is not turned away.
const NO_LIMITS: QueueLimits = QueueLimits {
    per_user_max: u32::MAX,
    total_max: u32::MAX,
    per_day_max: None,
};

/// A job as an operator sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The job.
    pub job: Job,
    /// Since it was accepted, seconds.
    pub age_s: u64,
    /// Whether its source is still known, so that it can be asked for again.
    pub has_source: bool,
    /// Whether its end was asked for.
    pub cancel_asked: bool,
}

/// What became of a wish to do a job again.
#[derive(Clone, Debug, PartialEq)]
pub enum RetryAnswer {
    /// A new job of the same request.
    Queued(Job),
    /// It was done again before, by this job; or the same is on its way for the same person.
    Already(Job),
    /// It is not over, or ended well.
    NotFailed(Job),
    /// What could fetch the file is forgotten: a day after the end, and at once where it was cancelled.
    SourceForgotten,
    /// The file crashed the process and is refused.
    Quarantined,
    /// No such job.
    Unknown,
}

/// A file that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The platform's name of its content.
    pub file_unique_id: String,
    /// So long it is refused, seconds.
    pub left_s: u64,
}

/// The database, opened beside its bot.
#[derive(Debug)]
pub struct Operator {
    connection: SqliteConnection,
}

impl Operator {
    /// Opens the database of a bot; it must be there and of this version.
    ///
    /// # Errors
    /// [`StoreError::Version`] where another kadr made it, [`StoreError::Database`] where there is none.
    pub async fn open(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_WAIT);
        let mut connection = options.connect().await?;
        let version: i64 = sqlx::query("PRAGMA user_version")
            .fetch_one(&mut connection)
            .await?
            .get(0);
        if version != SCHEMA_VERSION {
            return Err(StoreError::Version {
                found: version,
                known: SCHEMA_VERSION,
            });
        }
        Ok(Self { connection })
    }

    /// Jobs, oldest first: those that are not over, or all.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn list(&mut self, all: bool) -> Result<Vec<Listed>> {
        self.listed("(?1 OR status IN ('queued', 'running'))", i64::from(all))
            .await
    }

    /// One job.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn job(&mut self, id: JobId) -> Result<Option<Listed>> {
        Ok(self.listed("id = ?1", id.0).await?.pop())
    }

    async fn listed(&mut self, which: &str, value: i64) -> Result<Vec<Listed>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS}, created, unique_id, cancel_asked FROM jobs WHERE {which} ORDER BY id"
        )))
        .bind(value)
        .fetch_all(&mut self.connection)
        .await?;
        let listed = |row| {
            Ok(Listed {
                job: job_of(row)?,
                age_s: (now() - row.get::<i64, _>("created")).max(0).unsigned_abs(),
                has_source: !row.get::<String, _>("unique_id").is_empty(),
                cancel_asked: row.get("cancel_asked"),
            })
        };
        rows.iter().map(listed).collect()
    }

    /// Ends a waiting job, or asks for the end of a running one; the bot says it in the chat.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn cancel(&mut self, id: JobId) -> Result<CancelAnswer> {
        let mut transaction = write(&mut self.connection).await?;
        let answer = queue::cancel(&mut transaction, id, None).await?;
        if matches!(answer, CancelAnswer::Canceled(_)) {
            sqlx::query("UPDATE jobs SET owed = 0 WHERE id = ?")
                .bind(id.0)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(answer)
    }

    /// Asks once more for what a job that failed or was cancelled was asked for, in its status message. `engine` is the
    /// engine version that a remembered result must have.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn retry(&mut self, id: JobId, engine: &str) -> Result<RetryAnswer> {
        let Some(before) = self.job(id).await? else {
            return Ok(RetryAnswer::Unknown);
        };
        let job = before.job;
        if !job.status.is_terminal() || job.status == Status::Succeeded {
            return Ok(RetryAnswer::NotFailed(job));
        }
        if !before.has_source {
            return Ok(RetryAnswer::SourceForgotten);
        }
        let request = Request {
            batch: None,
            ..job.request
        };
        let mut transaction = write(&mut self.connection).await?;
        // Updates have numbers above zero: below it each job has one for its next try.
        let answer = match queue::enqueue(&mut transaction, -id.0, request, NO_LIMITS, engine).await? {
            Enqueued::New { job: new, .. } | Enqueued::Cached { job: new } => {
                // The last word of a batch is about all of it: there the new job has a message of its own.
                sqlx::query(
                    "UPDATE jobs SET status_message = (SELECT status_message FROM jobs WHERE id = ?1 AND batch IS NULL) \
                     WHERE id = ?2",
                )
                .bind(id.0)
                .bind(new.id.0)
                .execute(&mut *transaction)
                .await?;
                // Its own last word would come over the new job's.
                sqlx::query("UPDATE jobs SET owed = NULL WHERE id = ?")
                    .bind(id.0)
                    .execute(&mut *transaction)
                    .await?;
                RetryAnswer::Queued(new)
            }
            Enqueued::Replayed { job } | Enqueued::Duplicate { job } => RetryAnswer::Already(job),
            Enqueued::Quarantined => RetryAnswer::Quarantined,
            Enqueued::UserQueueFull { .. } | Enqueued::QueueFull { .. } | Enqueued::DayFull { .. } => {
                return Err(StoreError::Corrupt("a limit where there is none".to_owned()));
            }
        };
        transaction.commit().await?;
        Ok(answer)
    }

    /// Files that are refused because they crashed the process, the longest refused first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn quarantine(&mut self) -> Result<Vec<Refused>> {
        let rows = sqlx::query("SELECT unique_id, until FROM quarantine WHERE until > ? ORDER BY until, unique_id")
            .bind(now())
            .fetch_all(&mut self.connection)
            .await?;
        let refused = |row: &sqlx::sqlite::SqliteRow| Refused {
            file_unique_id: row.get("unique_id"),
            left_s: (row.get::<i64, _>("until") - now()).max(0).unsigned_abs(),
        };
        Ok(rows.iter().map(refused).collect())
    }

    /// Lets a file in again, or all of them. Returns how many they were.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn lift(&mut self, file_unique_id: Option<&str>) -> Result<u64> {
        sqlx::query("DELETE FROM suspects WHERE ?1 IS NULL OR unique_id = ?1")
            .bind(file_unique_id)
            .execute(&mut self.connection)
            .await?;
        let lifted = sqlx::query("DELETE FROM quarantine WHERE until > ?1 AND (?2 IS NULL OR unique_id = ?2)")
            .bind(now())
            .bind(file_unique_id)
            .execute(&mut self.connection)
            .await?;
        Ok(lifted.rows_affected())
    }
}
