//! Rows and words: how jobs, statuses and phases stand in the database.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use crate::job::{Job, JobId, MessageId, Parcel, Reason};
use crate::store::{Result, StoreError};

pub(super) const COLUMNS: &str = "id, request, status, phase, attempt, crashes, status_message, parcel, reason, batch";

pub(in crate::store) const DAY_S: i64 = 24 * 3600;

/// By how much the clock of a database that several hosts share is ahead of this one's, milliseconds.
static AHEAD_MS: AtomicI64 = AtomicI64::new(0);
/// Clocks that are kept differ by less; to follow that would only make ours jump.
const APART_MS: i64 = 500;

/// Follows the clock of a database that several hosts share, Unix milliseconds, as it stands now: what one host writes, the
/// others compare.
pub(in crate::store) fn follow(clock_ms: i64) {
    let apart_ms = clock_ms - now_ms();
    if apart_ms.abs() >= APART_MS {
        AHEAD_MS.fetch_add(apart_ms, Ordering::Relaxed);
    }
}

/// Unix seconds of a clock that does not jump: the wall clock as it stood when it was first asked, and what passed since,
/// sleep counted. Who sets the wall clock moves no retry, no purge and no quarantine of a process that runs.
pub(in crate::store) fn now() -> i64 {
    now_ms().div_euclid(1000)
}

fn now_ms() -> i64 {
    static BEGAN: OnceLock<(Duration, Duration)> = OnceLock::new();
    let wall = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (began, uptime_then) = *BEGAN.get_or_init(|| (wall(), uptime()));
    let now = began + uptime().saturating_sub(uptime_then);
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX) + AHEAD_MS.load(Ordering::Relaxed)
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

/// Names an index to SQLite, which without figures about the tables takes one that knows nothing of the kind and walks the
/// whole queue; PostgreSQL has figures, and no words for it.
pub(super) fn indexed(connection: &AnyConnection, index: &str) -> String {
    if is_file(connection) {
        format!(" INDEXED BY {index}")
    } else {
        String::new()
    }
}

/// Whether it is SQLite's.
pub(super) fn is_file(connection: &AnyConnection) -> bool {
    connection.backend_name() == "SQLite"
}

/// A number of the database that counts.
pub(super) fn count(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

pub(super) fn job_of(row: &AnyRow) -> Result<Job> {
    let optional = |name: &str| row.get::<Option<String>, _>(name);
    Ok(Job {
        id: JobId(row.get("id")),
        request: parse(row.get("request"))?,
        status: parse_word(row.get("status"))?,
        phase: parse_word(row.get("phase"))?,
        attempt: count(row.get("attempt")),
        blame: count(row.get("crashes")),
        status_message: row.get::<Option<i64>, _>("status_message").map(MessageId),
        parcel: optional("parcel").map(|text| parse::<Parcel>(&text)).transpose()?,
        reason: optional("reason").map(|text| parse::<Reason>(&text)).transpose()?,
        batch: row.get::<Option<i64>, _>("batch").map(JobId),
    })
}

pub(super) async fn load(connection: &mut AnyConnection, id: JobId) -> Result<Option<Job>> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM jobs WHERE id = $1")))
        .bind(id.0)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(job_of).transpose()
}

/// After the end a row keeps no id that could fetch the file.
pub(super) async fn scrub(connection: &mut AnyConnection, id: JobId) -> Result<()> {
    sqlx::query("UPDATE jobs SET request = json_set(request, '$.source.file_id', ''), unique_id = '' WHERE id = $1")
        .bind(id.0)
        .execute(connection)
        .await?;
    Ok(())
}
