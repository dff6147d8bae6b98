//! An operator's second door to the database, beside the bot that has the lock or without one.
//!
//! It writes itself, in transactions of milliseconds: SQLite lets one writer at a time in and the other waits up to 5 s,
//! and the bot sees within half a second that somebody wrote (`notice_others`). So an order is done when the command
//! returns, whether a bot runs or not; an inbox of orders would leave it open whether anybody obeys.
//!
//! Absent: claims and every other write of a running job, which are its worker's. What should be said in a chat is owed
//! there, and the bot says it.

use sqlx::{AnyConnection, Row};

use super::door::{Door, Kind, call};
use super::queue;
use super::rows::{COLUMNS, job_of, now};
use crate::job::{Job, JobId, Request, Status};
use crate::store::{CancelAnswer, Database, Enqueued, QueueLimits, Result, StoreError, postgres, sqlite};

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
    door: Door,
}

impl Operator {
    /// Opens the database of a bot; it must be there and of this version.
    ///
    /// # Errors
    /// [`StoreError::Version`] where another kadr made it, [`StoreError::Database`] where there is none.
    pub async fn open(database: &Database) -> Result<Self> {
        let door = match database {
            Database::Sqlite(path) => sqlite::open_beside(path).await?,
            Database::Postgres { url, .. } => postgres::open_beside(url).await?,
        };
        Ok(Self { door })
    }

    /// Jobs, oldest first: those that are not over, or all.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn list(&self, all: bool) -> Result<Vec<Listed>> {
        let which = "($1 = 1 OR status IN ('queued', 'running'))";
        call!(&self.door, Kind::Read, false, |c| listed(c, which, i64::from(all)))
    }

    /// One job.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn job(&self, id: JobId) -> Result<Option<Listed>> {
        let found = call!(&self.door, Kind::Read, false, |c| listed(c, "id = $1", id.0));
        Ok(found?.pop())
    }

    /// Ends a waiting job, or asks for the end of a running one; the bot says it in the chat.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn cancel(&self, id: JobId) -> Result<CancelAnswer> {
        call!(&self.door, Kind::Alone, true, |c| cancel(c, id))
    }

    /// Asks once more for what a job that failed or was cancelled was asked for, in its status message. `engine` is the
    /// engine version that a remembered result must have.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn retry(&self, id: JobId, engine: &str) -> Result<RetryAnswer> {
        call!(&self.door, Kind::Alone, true, |c| retry(c, id, engine))
    }

    /// Files that are refused because they crashed the process, the longest refused first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn quarantine(&self) -> Result<Vec<Refused>> {
        call!(&self.door, Kind::Read, false, |c| refused(c))
    }

    /// Lets a file in again, or all of them. Returns how many they were.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn lift(&self, file_unique_id: Option<&str>) -> Result<u64> {
        call!(&self.door, Kind::Alone, true, |c| lift(c, file_unique_id))
    }
}

async fn listed(connection: &mut AnyConnection, which: &str, value: i64) -> Result<Vec<Listed>> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS}, created, unique_id, cancel_asked FROM jobs WHERE {which} ORDER BY id"
    )))
    .bind(value)
    .fetch_all(connection)
    .await?;
    let listed = |row| {
        Ok(Listed {
            job: job_of(row)?,
            age_s: (now() - row.get::<i64, _>("created")).max(0).unsigned_abs(),
            has_source: !row.get::<String, _>("unique_id").is_empty(),
            cancel_asked: row.get::<i64, _>("cancel_asked") != 0,
        })
    };
    rows.iter().map(listed).collect()
}

async fn cancel(connection: &mut AnyConnection, id: JobId) -> Result<CancelAnswer> {
    let answer = queue::cancel(connection, id, None).await?;
    if matches!(answer, CancelAnswer::Canceled(_)) {
        sqlx::query("UPDATE jobs SET owed = 0 WHERE id = $1")
            .bind(id.0)
            .execute(connection)
            .await?;
    }
    Ok(answer)
}

async fn retry(connection: &mut AnyConnection, id: JobId, engine: &str) -> Result<RetryAnswer> {
    let Some(before) = listed(connection, "id = $1", id.0).await?.pop() else {
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
    // Updates have numbers above zero: below it each job has one for its next try.
    match queue::enqueue(connection, -id.0, &request, NO_LIMITS, engine).await? {
        Enqueued::New { job: new, .. } | Enqueued::Cached { job: new } => {
            // The last word of a batch is about all of it: there the new job has a message of its own.
            sqlx::query(
                "UPDATE jobs SET status_message = (SELECT status_message FROM jobs WHERE id = $1 AND batch IS NULL) \
                 WHERE id = $2",
            )
            .bind(id.0)
            .bind(new.id.0)
            .execute(&mut *connection)
            .await?;
            // Its own last word would come over the new job's.
            sqlx::query("UPDATE jobs SET owed = NULL WHERE id = $1")
                .bind(id.0)
                .execute(connection)
                .await?;
            Ok(RetryAnswer::Queued(new))
        }
        Enqueued::Replayed { job } | Enqueued::Duplicate { job } => Ok(RetryAnswer::Already(job)),
        Enqueued::Quarantined => Ok(RetryAnswer::Quarantined),
        Enqueued::UserQueueFull { .. } | Enqueued::QueueFull { .. } | Enqueued::DayFull { .. } => {
            Err(StoreError::Corrupt("a limit where there is none".to_owned()))
        }
    }
}

async fn refused(connection: &mut AnyConnection) -> Result<Vec<Refused>> {
    let rows = sqlx::query("SELECT unique_id, until FROM quarantine WHERE until > $1 ORDER BY until, unique_id")
        .bind(now())
        .fetch_all(connection)
        .await?;
    let refused = |row: &sqlx::any::AnyRow| Refused {
        file_unique_id: row.get("unique_id"),
        left_s: (row.get::<i64, _>("until") - now()).max(0).unsigned_abs(),
    };
    Ok(rows.iter().map(refused).collect())
}

async fn lift(connection: &mut AnyConnection, file_unique_id: Option<&str>) -> Result<u64> {
    let file = file_unique_id.unwrap_or("").to_owned();
    sqlx::query("DELETE FROM suspects WHERE $1 = '' OR unique_id = $1")
        .bind(file.clone())
        .execute(&mut *connection)
        .await?;
    let lifted = sqlx::query("DELETE FROM quarantine WHERE until > $1 AND ($2 = '' OR unique_id = $2)")
        .bind(now())
        .bind(file)
        .execute(connection)
        .await?;
    Ok(lifted.rows_affected())
}
