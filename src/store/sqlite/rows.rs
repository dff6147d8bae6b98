//! Rows and words: how jobs, statuses and phases stand in the database.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row, Sqlite, SqliteConnection, Transaction};

use crate::job::{Job, JobId, MessageId, Parcel, Reason};
use crate::store::{Result, StoreError};

pub(super) const COLUMNS: &str = "id, request, status, phase, attempt, crashes, status_message, parcel, reason, batch";

pub(super) const DAY_S: i64 = 24 * 3600;

/// A transaction that writes. It takes the write lock at its first word: one that read first could not go on where an
/// operator's command wrote in between (`SQLITE_BUSY_SNAPSHOT`, which no time limit helps against).
pub(super) async fn write(connection: &mut SqliteConnection) -> Result<Transaction<'_, Sqlite>> {
    Ok(if connection.is_in_transaction() {
        connection.begin().await?
    } else {
        connection.begin_with("BEGIN IMMEDIATE").await?
    })
}

/// Unix seconds of a clock that does not jump: the wall clock as it stood when it was first asked, and what passed since,
/// sleep counted. Who sets the wall clock moves no retry, no purge and no quarantine of a process that runs.
pub(super) fn now() -> i64 {
    static BEGAN: OnceLock<(Duration, Duration)> = OnceLock::new();
    let wall = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (began, uptime_then) = *BEGAN.get_or_init(|| (wall(), uptime()));
    let now = began + uptime().saturating_sub(uptime_then);
    now.as_secs().cast_signed()
}

fn uptime() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The word of a status or phase in the database: serde's own.
pub(super) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(super) fn parse_word<T: serde::de::DeserializeOwned>(text: String) -> Result<T> {
    serde_json::from_value(serde_json::Value::String(text)).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(super) fn parse_text<T: std::str::FromStr>(text: &str) -> Result<T> {
    let wrong = || StoreError::Corrupt(format!("`{text}` is none of ours"));
    text.parse().map_err(|_| wrong())
}

pub(super) fn job_of(row: &SqliteRow) -> Result<Job> {
    let optional = |name: &str| row.get::<Option<String>, _>(name);
    Ok(Job {
        id: JobId(row.get("id")),
        request: parse(row.get("request"))?,
        status: parse_word(row.get("status"))?,
        phase: parse_word(row.get("phase"))?,
        attempt: row.get("attempt"),
        blame: row.get("crashes"),
        status_message: row.get::<Option<i64>, _>("status_message").map(MessageId),
        parcel: optional("parcel").map(|text| parse::<Parcel>(&text)).transpose()?,
        reason: optional("reason").map(|text| parse::<Reason>(&text)).transpose()?,
        batch: row.get::<Option<i64>, _>("batch").map(JobId),
    })
}

pub(super) async fn load(connection: &mut SqliteConnection, id: JobId) -> Result<Option<Job>> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM jobs WHERE id = ?")))
        .bind(id.0)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(job_of).transpose()
}

/// After the end a row keeps no id that could fetch the file.
pub(super) async fn scrub(connection: &mut SqliteConnection, id: JobId) -> Result<()> {
    sqlx::query("UPDATE jobs SET request = json_set(request, '$.source.file_id', ''), unique_id = '' WHERE id = ?")
        .bind(id.0)
        .execute(connection)
        .await?;
    Ok(())
}
