//! SQLite: one writing connection, WAL, `synchronous=FULL`: a call that returned has its commit on disk.
//!
//! The connection is behind an async mutex, so every method is a transaction of its own kind and nothing waits inside
//! SQLite. A lock file keeps a second process out. Times are Unix seconds of the wall clock; a clock that jumps can
//! delay a retry, nothing else.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard, watch};

use super::{
    CancelAnswer, Claim, ClaimLimits, Enqueued, Fence, InboxUpdate, Outcome, QueueEntry, QueueLimits, Result, Store,
    StoreError,
};
use crate::job::{ChatId, Event, Job, JobId, MessageId, Parcel, Phase, Reason, Request, Status, UserId};

const SCHEMA_VERSION: i64 = 1;
const SCHEMA: &str = include_str!("schema.sql");
/// A file that crashed the process twice is refused for a week.
const QUARANTINE_S: i64 = 7 * 24 * 3600;
/// Crashes in conversion that put a file there.
const CRASHES_MAX: u32 = 2;
/// Handled updates are remembered twice as long as the platform keeps undelivered ones.
const INBOX_KEPT_S: i64 = 48 * 3600;
const COLUMNS: &str = "id, request, status, phase, attempt, crashes, status_message, parcel, reason";

/// The embedded store. Clones share it.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    connection: Arc<Mutex<SqliteConnection>>,
    changes: Arc<watch::Sender<u64>>,
    boot: i64,
    _lock: Arc<File>,
}

impl SqliteStore {
    /// Opens or creates the database at `path`; its folder is made where it is missing.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while another process has it.
    pub async fn open(path: &Path) -> Result<Self> {
        let lock = lock(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true);
        let mut connection = options.connect().await?;
        migrate(&mut connection).await?;
        let boot = sqlx::query("INSERT INTO boots (began) VALUES (?) RETURNING id")
            .bind(now())
            .fetch_one(&mut connection)
            .await?
            .get(0);
        sqlx::query("DELETE FROM inbox WHERE payload IS NULL AND received < ?")
            .bind(now() - INBOX_KEPT_S)
            .execute(&mut connection)
            .await?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            changes: Arc::new(watch::Sender::new(0)),
            boot,
            _lock: Arc::new(lock),
        })
    }

    async fn connection(&self) -> MutexGuard<'_, SqliteConnection> {
        self.connection.lock().await
    }

    fn tick(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

fn lock(path: &Path) -> Result<File> {
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
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(path.display().to_string())),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

async fn migrate(connection: &mut SqliteConnection) -> Result<()> {
    let version: i64 = sqlx::query("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await?
        .get(0);
    if version > SCHEMA_VERSION {
        return Err(StoreError::Corrupt(format!(
            "schema is {version} (this kadr knows {SCHEMA_VERSION})"
        )));
    }
    if version == 0 {
        let mut transaction = connection.begin().await?;
        sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
        sqlx::raw_sql("PRAGMA user_version = 1")
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
    }
    Ok(())
}

fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs().cast_signed())
}

/// The word of a status or phase in the database: serde's own.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn parse_word<T: serde::de::DeserializeOwned>(text: String) -> Result<T> {
    serde_json::from_value(serde_json::Value::String(text)).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn job_of(row: &SqliteRow) -> Result<Job> {
    let optional = |name: &str| row.get::<Option<String>, _>(name);
    Ok(Job {
        id: JobId(row.get("id")),
        request: parse(row.get("request"))?,
        status: parse_word(row.get("status"))?,
        phase: parse_word(row.get("phase"))?,
        attempt: row.get("attempt"),
        crashes: row.get("crashes"),
        status_message: row.get::<Option<i64>, _>("status_message").map(MessageId),
        parcel: optional("parcel").map(|text| parse::<Parcel>(&text)).transpose()?,
        reason: optional("reason").map(|text| parse::<Reason>(&text)).transpose()?,
    })
}

async fn load(connection: &mut SqliteConnection, id: JobId) -> Result<Option<Job>> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM jobs WHERE id = ?")))
        .bind(id.0)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(job_of).transpose()
}

/// How many waiting jobs will be claimed before this one, itself counted.
async fn position_of(connection: &mut SqliteConnection, id: JobId) -> Result<u32> {
    let count = sqlx::query(
        "SELECT COUNT(*) FROM jobs q, jobs j WHERE j.id = ? AND q.status = 'queued' AND q.cached = 0 \
         AND (q.turn, q.id) <= (j.turn, j.id)",
    )
    .bind(id.0)
    .fetch_one(connection)
    .await?
    .get(0);
    Ok(count)
}

/// The turn of a new job: after the user's own last, and not before the turn that is being served. So a newcomer waits
/// for one job of each user at most, however many a heavy user has waiting.
async fn turn_of(connection: &mut SqliteConnection, user: UserId) -> Result<i64> {
    let turn = sqlx::query(
        "SELECT 1 + MAX(COALESCE((SELECT MAX(turn) FROM jobs WHERE user = ? AND status = 'queued'), 0), \
         COALESCE((SELECT MAX(turn) FROM jobs WHERE claims > 0), 0))",
    )
    .bind(user.0)
    .fetch_one(connection)
    .await?
    .get(0);
    Ok(turn)
}

async fn count(connection: &mut SqliteConnection, user: Option<UserId>) -> Result<u32> {
    let row = match user {
        None => {
            sqlx::query("SELECT COUNT(*) FROM jobs WHERE status = 'queued'")
                .fetch_one(connection)
                .await?
        }
        Some(user) => {
            sqlx::query("SELECT COUNT(*) FROM jobs WHERE status = 'queued' AND user = ?")
                .bind(user.0)
                .fetch_one(connection)
                .await?
        }
    };
    Ok(row.get(0))
}

/// A terminal status, checked by the state machine, written only under the fence.
async fn end(connection: &mut SqliteConnection, fence: Fence, event: Event, reason: Option<&Reason>) -> Result<()> {
    let status = Status::Running
        .on(event)
        .map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let written = sqlx::query(
        "UPDATE jobs SET status = ?, reason = ?, parcel = NULL, boot = NULL, ended = ? \
         WHERE id = ? AND claims = ? AND boot = ? AND status = 'running'",
    )
    .bind(word(&status))
    .bind(reason.map(json).transpose()?)
    .bind(now())
    .bind(fence.job.0)
    .bind(fence.attempt)
    .bind(fence.boot)
    .execute(connection)
    .await?;
    fenced(written.rows_affected(), fence)
}

fn fenced(rows: u64, fence: Fence) -> Result<()> {
    if rows == 1 {
        Ok(())
    } else {
        Err(StoreError::Fenced {
            job: fence.job,
            attempt: fence.attempt,
        })
    }
}

/// After the end a row keeps no id that could fetch the file.
async fn scrub(connection: &mut SqliteConnection, id: JobId) -> Result<()> {
    sqlx::query("UPDATE jobs SET request = json_set(request, '$.source.file_id', ''), unique_id = '' WHERE id = ?")
        .bind(id.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Why a request is not accepted, if it is not: quarantine, the same on its way, a full queue.
async fn turn_away(
    transaction: &mut SqliteConnection,
    request: &Request,
    limits: QueueLimits,
) -> Result<Option<Enqueued>> {
    let (user, unique_id) = (request.origin.user, &request.source.file_unique_id);
    let quarantined = sqlx::query("SELECT 1 FROM quarantine WHERE unique_id = ? AND until > ?")
        .bind(unique_id)
        .bind(now())
        .fetch_optional(&mut *transaction)
        .await?;
    if quarantined.is_some() {
        return Ok(Some(Enqueued::Quarantined));
    }
    let same = sqlx::query(
        "SELECT id FROM jobs WHERE user = ? AND chat = ? AND unique_id = ? AND preset = ? \
             AND status IN ('queued', 'running')",
    )
    .bind(user.0)
    .bind(request.origin.chat.0)
    .bind(unique_id)
    .bind(request.preset.to_string())
    .fetch_optional(&mut *transaction)
    .await?;
    if let Some(row) = same
        && let Some(job) = load(transaction, JobId(row.get(0))).await?
    {
        return Ok(Some(Enqueued::Duplicate { job }));
    }
    if count(transaction, Some(user)).await? >= limits.per_user_max {
        return Ok(Some(Enqueued::UserQueueFull {
            limit: limits.per_user_max,
        }));
    }
    if count(transaction, None).await? >= limits.total_max {
        return Ok(Some(Enqueued::QueueFull {
            limit: limits.total_max,
        }));
    }
    Ok(None)
}

impl Store for SqliteStore {
    async fn record_updates(&self, updates: Vec<InboxUpdate>) -> Result<Vec<InboxUpdate>> {
        let mut connection = self.connection().await;
        let mut transaction = connection.begin().await?;
        let mut new = Vec::new();
        for update in updates {
            let written =
                sqlx::query("INSERT INTO inbox (update_id, payload, received) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
                    .bind(update.update_id)
                    .bind(&update.payload)
                    .bind(now())
                    .execute(&mut *transaction)
                    .await?;
            if written.rows_affected() == 1 {
                new.push(update);
            }
        }
        transaction.commit().await?;
        Ok(new)
    }

    async fn unhandled_updates(&self) -> Result<Vec<InboxUpdate>> {
        let rows = sqlx::query("SELECT update_id, payload FROM inbox WHERE payload IS NOT NULL ORDER BY update_id")
            .fetch_all(&mut *self.connection().await)
            .await?;
        Ok(rows
            .iter()
            .map(|row| InboxUpdate {
                update_id: row.get(0),
                payload: row.get(1),
            })
            .collect())
    }

    async fn mark_handled(&self, update_id: i64) -> Result<()> {
        sqlx::query("UPDATE inbox SET payload = NULL WHERE update_id = ?")
            .bind(update_id)
            .execute(&mut *self.connection().await)
            .await?;
        Ok(())
    }

    async fn enqueue(&self, update_id: i64, request: Request, limits: QueueLimits, engine: &str) -> Result<Enqueued> {
        let mut connection = self.connection().await;
        let mut transaction = connection.begin().await?;
        let before = sqlx::query("SELECT id FROM jobs WHERE update_id = ?")
            .bind(update_id)
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(row) = before
            && let Some(job) = load(&mut transaction, JobId(row.get(0))).await?
        {
            return Ok(Enqueued::Replayed { job });
        }
        if let Some(answer) = turn_away(&mut transaction, &request, limits).await? {
            return Ok(answer);
        }
        let (user, unique_id) = (request.origin.user, &request.source.file_unique_id);
        let remembered: Option<String> =
            sqlx::query("SELECT parcel FROM results WHERE unique_id = ? AND preset = ? AND engine = ?")
                .bind(unique_id)
                .bind(request.preset.to_string())
                .bind(engine)
                .fetch_optional(&mut *transaction)
                .await?
                .map(|row| row.get(0));
        let phase = if remembered.is_some() {
            Phase::Deliver
        } else {
            Phase::Fetch
        };
        let turn = turn_of(&mut transaction, user).await?;
        let id: i64 = sqlx::query(
            "INSERT INTO jobs (update_id, turn, chat, user, unique_id, preset, request, status, phase, cached, parcel, \
             created) VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?) RETURNING id",
        )
        .bind(update_id)
        .bind(turn)
        .bind(request.origin.chat.0)
        .bind(user.0)
        .bind(unique_id)
        .bind(request.preset.to_string())
        .bind(json(&request)?)
        .bind(word(&phase))
        .bind(remembered.is_some())
        .bind(&remembered)
        .bind(now())
        .fetch_one(&mut *transaction)
        .await?
        .get(0);
        let position = position_of(&mut transaction, JobId(id)).await?;
        let job = load(&mut transaction, JobId(id)).await?;
        transaction.commit().await?;
        self.tick();
        let job = job.ok_or_else(|| StoreError::Corrupt(format!("j{id} is gone")))?;
        Ok(if remembered.is_some() {
            Enqueued::Cached { job }
        } else {
            Enqueued::New { job, position }
        })
    }

    async fn set_status_message(&self, job: JobId, message: MessageId) -> Result<()> {
        sqlx::query("UPDATE jobs SET status_message = ? WHERE id = ?")
            .bind(message.0)
            .bind(job.0)
            .execute(&mut *self.connection().await)
            .await?;
        Ok(())
    }

    async fn record_send_intent(&self, job: JobId) -> Result<bool> {
        let written = sqlx::query("UPDATE jobs SET send_intent = 1 WHERE id = ? AND send_intent = 0")
            .bind(job.0)
            .execute(&mut *self.connection().await)
            .await?;
        Ok(written.rows_affected() == 1)
    }

    async fn job(&self, job: JobId) -> Result<Option<Job>> {
        load(&mut *self.connection().await, job).await
    }

    async fn queue(&self, user: Option<UserId>) -> Result<Vec<QueueEntry>> {
        let mut connection = self.connection().await;
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS}, cached FROM jobs WHERE status IN ('queued', 'running') ORDER BY status = 'queued', turn, id"
        )))
        .fetch_all(&mut *connection)
        .await?;
        let mut position = 0;
        let mut entries = Vec::new();
        for row in &rows {
            let job = job_of(row)?;
            // A remembered result has its own lane: nobody waits behind it.
            let waiting = job.status == Status::Queued && !row.get::<bool, _>("cached");
            position += u32::from(waiting);
            if user.is_none_or(|user| job.request.origin.user == user) {
                entries.push(QueueEntry {
                    job,
                    position: waiting.then_some(position),
                });
            }
        }
        Ok(entries)
    }

    async fn cancel(&self, job: JobId, by: Option<UserId>) -> Result<CancelAnswer> {
        let mut connection = self.connection().await;
        let mut transaction = connection.begin().await?;
        let Some(mut found) = load(&mut transaction, job).await? else {
            return Ok(CancelAnswer::NotYours);
        };
        if by.is_some_and(|user| user != found.request.origin.user) {
            return Ok(CancelAnswer::NotYours);
        }
        if found.status.is_terminal() {
            return Ok(CancelAnswer::AlreadyOver(found));
        }
        let running = found.status == Status::Running;
        if running {
            sqlx::query("UPDATE jobs SET cancel_asked = 1 WHERE id = ?")
                .bind(job.0)
                .execute(&mut *transaction)
                .await?;
        } else {
            found.status = found
                .status
                .on(Event::Canceled)
                .map_err(|error| StoreError::Corrupt(error.to_string()))?;
            sqlx::query("UPDATE jobs SET status = ?, parcel = NULL, ended = ? WHERE id = ?")
                .bind(word(&found.status))
                .bind(now())
                .bind(job.0)
                .execute(&mut *transaction)
                .await?;
            scrub(&mut transaction, job).await?;
        }
        transaction.commit().await?;
        self.tick();
        Ok(if running {
            CancelAnswer::Asked(found)
        } else {
            CancelAnswer::Canceled(found)
        })
    }

    async fn claim(&self, limits: ClaimLimits) -> Result<Option<Claim>> {
        let mut connection = self.connection().await;
        let mut transaction = connection.begin().await?;
        // Fewest running jobs first, then the turn, then age: round robin over users. A suspect runs alone; the others
        // hold back from when it waits, or it would never find the house empty.
        let row = sqlx::query(
            "WITH alone AS (SELECT id, status FROM jobs WHERE status IN ('queued', 'running') AND cached = 0 \
                 AND crashes > 0 AND (status = 'running' OR not_before <= ?2)) \
             SELECT j.id, (SELECT COUNT(*) FROM jobs r WHERE r.user = j.user AND r.status = 'running' AND r.cached = 0) \
                 AS busy FROM jobs j \
             WHERE j.status = 'queued' AND j.cached = ?1 AND j.not_before <= ?2 AND (?1 = 1 OR busy < ?3) \
             AND (?1 = 1 OR NOT EXISTS (SELECT 1 FROM alone) OR (j.crashes > 0 \
                 AND NOT EXISTS (SELECT 1 FROM jobs r WHERE r.status = 'running' AND r.cached = 0))) \
             ORDER BY busy, j.turn, j.id LIMIT 1",
        )
        .bind(limits.deliver_only)
        .bind(now())
        .bind(limits.running_per_user_max)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let id = JobId(row.get(0));
        let claims: u32 = sqlx::query(
            "UPDATE jobs SET status = 'running', claims = claims + 1, attempt = attempt + 1, boot = ? WHERE id = ? \
             RETURNING claims",
        )
        .bind(self.boot)
        .bind(id.0)
        .fetch_one(&mut *transaction)
        .await?
        .get(0);
        let job = load(&mut transaction, id).await?;
        transaction.commit().await?;
        Ok(job.map(|job| Claim {
            fence: Fence {
                job: job.id,
                attempt: claims,
                boot: self.boot,
            },
            suspect: job.crashes > 0,
            job,
        }))
    }

    async fn advance(&self, fence: Fence, phase: Phase, parcel: Option<Parcel>) -> Result<()> {
        let written = sqlx::query(
            "UPDATE jobs SET phase = ?, parcel = ? WHERE id = ? AND claims = ? AND boot = ? AND status = 'running'",
        )
        .bind(word(&phase))
        .bind(parcel.as_ref().map(json).transpose()?)
        .bind(fence.job.0)
        .bind(fence.attempt)
        .bind(fence.boot)
        .execute(&mut *self.connection().await)
        .await?;
        fenced(written.rows_affected(), fence)
    }

    async fn finish(&self, fence: Fence, outcome: Outcome, engine: &str) -> Result<()> {
        let mut connection = self.connection().await;
        let mut transaction = connection.begin().await?;
        let job = load(&mut transaction, fence.job).await?;
        match &outcome {
            Outcome::Succeeded { .. } => end(&mut transaction, fence, Event::Delivered, None).await?,
            Outcome::Failed { reason } => end(&mut transaction, fence, Event::Failed, Some(reason)).await?,
            Outcome::Canceled => end(&mut transaction, fence, Event::Canceled, None).await?,
        }
        // A Retry button needs the source once more.
        let keep_source = matches!(&outcome, Outcome::Failed { reason } if reason.may_retry());
        if let (
            Outcome::Succeeded { file_id: Some(file_id) },
            Some(Job {
                request,
                parcel: Some(parcel),
                ..
            }),
        ) = (outcome, job)
        {
            let parcel = Parcel {
                file_id: Some(file_id),
                ..parcel
            };
            sqlx::query("INSERT OR REPLACE INTO results (unique_id, preset, engine, parcel) VALUES (?, ?, ?, ?)")
                .bind(&request.source.file_unique_id)
                .bind(request.preset.to_string())
                .bind(engine)
                .bind(json(&parcel)?)
                .execute(&mut *transaction)
                .await?;
        }
        if !keep_source {
            scrub(&mut transaction, fence.job).await?;
        }
        transaction.commit().await?;
        self.tick();
        Ok(())
    }

    async fn release(&self, fence: Fence, phase: Phase, not_before_s: u64, count: bool) -> Result<()> {
        let written = sqlx::query(
            "UPDATE jobs SET status = 'queued', boot = NULL, phase = ?1, not_before = ?2, attempt = attempt - ?3, \
             cached = (cached = 1 AND ?1 = 'deliver'), parcel = CASE WHEN ?1 = 'deliver' THEN parcel END \
             WHERE id = ?4 AND claims = ?5 AND boot = ?6 AND status = 'running'",
        )
        .bind(word(&phase))
        .bind(now() + not_before_s.cast_signed())
        .bind(i64::from(!count))
        .bind(fence.job.0)
        .bind(fence.attempt)
        .bind(fence.boot)
        .execute(&mut *self.connection().await)
        .await?;
        self.tick();
        fenced(written.rows_affected(), fence)
    }

    async fn cancel_requests(&self) -> Result<Vec<JobId>> {
        let rows = sqlx::query("SELECT id FROM jobs WHERE status = 'running' AND boot = ? AND cancel_asked = 1")
            .bind(self.boot)
            .fetch_all(&mut *self.connection().await)
            .await?;
        Ok(rows.iter().map(|row| JobId(row.get(0))).collect())
    }

    async fn recover(&self) -> Result<Vec<Job>> {
        let mut connection = self.connection().await;
        let mut transaction = connection.begin().await?;
        sqlx::query(
            "UPDATE jobs SET crashes = crashes + (phase = 'convert'), status = 'queued', boot = NULL \
             WHERE status = 'running' AND boot != ?",
        )
        .bind(self.boot)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "INSERT OR REPLACE INTO quarantine (unique_id, until) \
             SELECT unique_id, ? FROM jobs WHERE status = 'queued' AND crashes >= ?",
        )
        .bind(now() + QUARANTINE_S)
        .bind(CRASHES_MAX)
        .execute(&mut *transaction)
        .await?;
        // Others wait with the same file, and it would crash the process again.
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM jobs WHERE status = 'queued' AND cached = 0 \
             AND unique_id IN (SELECT unique_id FROM quarantine WHERE until > ?) ORDER BY id"
        )))
        .bind(now())
        .fetch_all(&mut *transaction)
        .await?;
        let mut quarantined = Vec::new();
        for row in &rows {
            let mut job = job_of(row)?;
            job.status = job
                .status
                .on(Event::Quarantined)
                .map_err(|error| StoreError::Corrupt(error.to_string()))?;
            sqlx::query("UPDATE jobs SET status = ?, reason = ?, ended = ? WHERE id = ?")
                .bind(word(&job.status))
                .bind(json(&Reason::Quarantined)?)
                .bind(now())
                .bind(job.id.0)
                .execute(&mut *transaction)
                .await?;
            scrub(&mut transaction, job.id).await?;
            quarantined.push(job);
        }
        transaction.commit().await?;
        Ok(quarantined)
    }

    async fn forget_result(&self, request: &Request, engine: &str) -> Result<()> {
        sqlx::query("DELETE FROM results WHERE unique_id = ? AND preset = ? AND engine = ?")
            .bind(&request.source.file_unique_id)
            .bind(request.preset.to_string())
            .bind(engine)
            .execute(&mut *self.connection().await)
            .await?;
        Ok(())
    }

    async fn dialogue(&self, chat: ChatId, user: UserId) -> Result<Option<String>> {
        let row = sqlx::query("SELECT state FROM dialogues WHERE chat = ? AND user = ?")
            .bind(chat.0)
            .bind(user.0)
            .fetch_optional(&mut *self.connection().await)
            .await?;
        Ok(row.map(|row| row.get(0)))
    }

    async fn set_dialogue(&self, chat: ChatId, user: UserId, state: Option<String>) -> Result<()> {
        let query = match &state {
            Some(state) => sqlx::query("INSERT OR REPLACE INTO dialogues (chat, user, state) VALUES (?, ?, ?)")
                .bind(chat.0)
                .bind(user.0)
                .bind(state),
            None => sqlx::query("DELETE FROM dialogues WHERE chat = ? AND user = ?")
                .bind(chat.0)
                .bind(user.0),
        };
        query.execute(&mut *self.connection().await).await?;
        Ok(())
    }

    async fn settings(&self, user: UserId) -> Result<Option<String>> {
        let row = sqlx::query("SELECT settings FROM settings WHERE user = ?")
            .bind(user.0)
            .fetch_optional(&mut *self.connection().await)
            .await?;
        Ok(row.map(|row| row.get(0)))
    }

    async fn set_settings(&self, user: UserId, settings: String) -> Result<()> {
        sqlx::query("INSERT OR REPLACE INTO settings (user, settings) VALUES (?, ?)")
            .bind(user.0)
            .bind(settings)
            .execute(&mut *self.connection().await)
            .await?;
        Ok(())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
