//! SQLite: one writing connection, WAL, `synchronous=FULL`: a call that returned has its commit on disk.
//!
//! ```text
//! mod    the lock, the connection, the schema; each call takes the connection and ticks where a worker may care
//! inbox  updates, dialogues, settings
//! queue  requests: accepted, turned away, listed, cancelled while they wait
//! batch  files that came together: who belongs to whom, and when their results may go out
//! claim  running jobs: claimed, moved on, ended, put back, recovered
//! people who may use the bot, who wants to be forgotten, how the work stands
//! looks  questions that want a look at their file, and what was seen
//! operator  beside a bot: listed, ended, asked for again
//! backup copies, and the check after an unclean end
//! purge  what is past its day
//! clock  times that an earlier boot left in the future
//! rows   how a job stands in a row
//! ```
//!
//! The connection is behind an async mutex, so every method is a transaction of its own kind and nothing waits inside
//! SQLite but for an operator's command. A lock file keeps a second bot out. Times are Unix seconds of a clock that does not
//! jump while the process runs (`rows::now`); what an earlier one left in the future is brought back at the start (`clock`).

pub mod backup;
mod batch;
mod claim;
mod clock;
mod inbox;
mod looks;
pub mod operator;
mod people;
mod purge;
mod queue;
mod rows;

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard, watch};

use self::rows::now;
use super::{
    CancelAnswer, Claim, ClaimLimits, Enqueued, Fence, InboxUpdate, Outcome, QueueEntry, QueueLimits, Result, Standing,
    Store, StoreError, Totals,
};
use crate::job::{ChatId, Job, JobId, MessageId, Parcel, Phase, Question, Request, Seen, UserId, Wish};
use crate::media::Look;

const SCHEMA_VERSION: i64 = 6;
const SCHEMA: &str = include_str!("schema.sql");
/// From each version to the next, from 1 on.
const STEPS: [&str; 5] = [
    include_str!("to_2.sql"),
    include_str!("to_3.sql"),
    include_str!("to_4.sql"),
    include_str!("to_5.sql"),
    include_str!("to_6.sql"),
];

/// How long a lock that is taken is waited for, and how often it is asked for meanwhile.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_POLL: Duration = Duration::from_millis(20);
/// How often it is looked whether an operator's command wrote something.
const OTHERS_POLL: Duration = Duration::from_millis(500);

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
    /// [`StoreError::Locked`] while another process has it, after 2 s; [`StoreError::Damaged`] where it ended uncleanly and
    /// is no longer sound.
    pub async fn open(path: &Path) -> Result<Self> {
        let lock = lock(path).await?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // What is deleted is overwritten: names in an update's payload would stand in free pages for long.
            .pragma("secure_delete", "ON")
            // KiB, negative by SQLite's rule. By default it keeps 2 MiB, which fill up over thousands of jobs; a claim
            // reads a few pages.
            .pragma("cache_size", "-512");
        let connected = options.connect().await;
        let mut connection = connected.map_err(|error| backup::explain(error, path))?;
        backup::check(&mut connection, path).await?;
        migrate(&mut connection).await?;
        clock::settle(&mut connection).await?;
        let boot = sqlx::query("INSERT INTO boots (began) VALUES (?) RETURNING id")
            .bind(now())
            .fetch_one(&mut connection)
            .await?
            .get(0);
        inbox::forget_handled(&mut connection).await?;
        queue::forget_sources(&mut connection).await?;
        looks::forget(&mut connection).await?;
        // Somebody drained the process before this one.
        people::set_draining(&mut connection, false).await?;
        let connection = Arc::new(Mutex::new(connection));
        let changes = Arc::new(watch::Sender::new(0));
        tokio::spawn(notice_others(Arc::downgrade(&connection), Arc::clone(&changes)));
        Ok(Self {
            connection,
            changes,
            boot,
            _lock: Arc::new(lock),
        })
    }

    async fn connection(&self) -> MutexGuard<'_, SqliteConnection> {
        self.connection.lock().await
    }

    /// A worker may care about what was done.
    fn ticked<T>(&self, done: Result<T>) -> Result<T> {
        if done.is_ok() {
            self.changes.send_modify(|count| *count += 1);
        }
        done
    }
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
async fn notice_others(connection: Weak<Mutex<SqliteConnection>>, changes: Arc<watch::Sender<u64>>) {
    let mut seen = None;
    loop {
        let version = match connection.upgrade() {
            None => return,
            Some(connection) => sqlx::query("PRAGMA data_version")
                .fetch_one(&mut *connection.lock().await)
                .await
                .map(|row| row.get::<i64, _>(0)),
        };
        if let Ok(version) = version
            && seen.replace(version).is_some_and(|before| before != version)
        {
            changes.send_modify(|count| *count += 1);
        }
        tokio::time::sleep(OTHERS_POLL).await;
    }
}

async fn migrate(connection: &mut SqliteConnection) -> Result<()> {
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

impl Store for SqliteStore {
    async fn record_updates(&self, updates: Vec<InboxUpdate>) -> Result<Vec<InboxUpdate>> {
        inbox::record_updates(&mut *self.connection().await, updates).await
    }

    async fn unhandled_updates(&self) -> Result<Vec<InboxUpdate>> {
        inbox::unhandled_updates(&mut *self.connection().await).await
    }

    async fn mark_handled(&self, update_id: i64) -> Result<()> {
        inbox::mark_handled(&mut *self.connection().await, update_id).await
    }

    async fn enqueue(&self, update_id: i64, request: Request, limits: QueueLimits, engine: &str) -> Result<Enqueued> {
        self.ticked(queue::enqueue(&mut *self.connection().await, update_id, request, limits, engine).await)
    }

    async fn set_status_message(&self, job: JobId, message: MessageId) -> Result<()> {
        queue::set_status_message(&mut *self.connection().await, job, message).await
    }

    async fn record_send_intent(&self, job: JobId) -> Result<bool> {
        queue::record_send_intent(&mut *self.connection().await, job).await
    }

    async fn record_send_intents(&self, jobs: Vec<JobId>) -> Result<bool> {
        queue::record_send_intents(&mut *self.connection().await, &jobs).await
    }

    async fn withdraw_send_intent(&self, job: JobId) -> Result<()> {
        queue::withdraw_send_intent(&mut *self.connection().await, job).await
    }

    async fn job(&self, job: JobId) -> Result<Option<Job>> {
        queue::job(&mut *self.connection().await, job).await
    }

    async fn last_job(&self, chat: ChatId, user: UserId) -> Result<Option<Job>> {
        queue::last_job(&mut *self.connection().await, chat, user).await
    }

    async fn look(&self, file_unique_id: &str) -> Result<Option<Look>> {
        queue::look(&mut *self.connection().await, file_unique_id).await
    }

    async fn want_look(&self, question: Question) -> Result<()> {
        self.ticked(looks::want(&mut *self.connection().await, &question).await)
    }

    async fn take_question(&self) -> Result<Option<Question>> {
        looks::take(&mut *self.connection().await).await
    }

    async fn remember_look(&self, file_unique_id: &str, seen: Seen, engine: &str) -> Result<()> {
        looks::remember(&mut *self.connection().await, file_unique_id, &seen, engine).await
    }

    async fn seen(&self, file_unique_id: &str, engine: &str) -> Result<Option<Seen>> {
        looks::seen(&mut *self.connection().await, file_unique_id, engine).await
    }

    async fn queue(&self, waiting_max: u32) -> Result<Vec<QueueEntry>> {
        queue::queue(&mut *self.connection().await, waiting_max).await
    }

    async fn queue_of(&self, user: UserId) -> Result<Vec<QueueEntry>> {
        queue::queue_of(&mut *self.connection().await, user).await
    }

    async fn open_jobs(&self) -> Result<Vec<JobId>> {
        queue::open_jobs(&mut *self.connection().await).await
    }

    async fn cancel(&self, job: JobId, by: Option<UserId>) -> Result<CancelAnswer> {
        self.ticked(queue::cancel(&mut *self.connection().await, job, by).await)
    }

    async fn claim(&self, limits: ClaimLimits) -> Result<Option<Claim>> {
        claim::claim(&mut *self.connection().await, limits, self.boot).await
    }

    async fn hold(&self, fence: Fence, parcel: Parcel) -> Result<()> {
        self.ticked(batch::hold(&mut *self.connection().await, fence, &parcel).await)
    }

    async fn batch(&self, first: JobId) -> Result<Vec<Job>> {
        batch::members(&mut *self.connection().await, first).await
    }

    async fn batch_wish(&self, chat: ChatId, user: UserId, key: &str) -> Result<Option<Wish>> {
        batch::wish(&mut *self.connection().await, chat, user, key).await
    }

    async fn advance(&self, fence: Fence, phase: Phase, parcel: Option<Parcel>) -> Result<()> {
        claim::advance(&mut *self.connection().await, fence, phase, parcel).await
    }

    async fn finish(&self, fence: Fence, outcome: Outcome, engine: &str) -> Result<()> {
        self.ticked(claim::finish(&mut *self.connection().await, fence, outcome, engine).await)
    }

    async fn release(&self, fence: Fence, phase: Phase, not_before_s: u64, count: bool) -> Result<()> {
        self.ticked(claim::release(&mut *self.connection().await, fence, phase, not_before_s, count).await)
    }

    async fn cancel_requests(&self) -> Result<Vec<JobId>> {
        claim::cancel_requests(&mut *self.connection().await, self.boot).await
    }

    async fn crash(&self, fence: Fence, blame: u32, not_before_s: u64) -> Result<Vec<Job>> {
        self.ticked(claim::crash(&mut *self.connection().await, fence, blame, not_before_s).await)
    }

    async fn crash_of_look(&self, file_unique_id: &str, blame: u32) -> Result<Vec<Job>> {
        self.ticked(claim::crash_of_look(&mut *self.connection().await, file_unique_id, blame, self.boot).await)
    }

    async fn recover(&self, named: Vec<JobId>) -> Result<Vec<Job>> {
        claim::recover(&mut *self.connection().await, &named, self.boot).await
    }

    async fn take_owed(&self) -> Result<Vec<Job>> {
        claim::take_owed(&mut *self.connection().await, self.boot).await
    }

    async fn set_told(&self, job: JobId, of_all: bool) -> Result<()> {
        claim::set_told(&mut *self.connection().await, job, of_all).await
    }

    async fn forget_result(&self, request: &Request, engine: &str) -> Result<()> {
        claim::forget_result(&mut *self.connection().await, request, engine).await
    }

    async fn dialogue(&self, chat: ChatId, user: UserId) -> Result<Option<String>> {
        inbox::dialogue(&mut *self.connection().await, chat, user).await
    }

    async fn set_dialogue(&self, chat: ChatId, user: UserId, state: Option<String>) -> Result<()> {
        inbox::set_dialogue(&mut *self.connection().await, chat, user, state).await
    }

    async fn settings(&self, user: UserId) -> Result<Option<String>> {
        inbox::settings(&mut *self.connection().await, user).await
    }

    async fn set_settings(&self, user: UserId, settings: String) -> Result<()> {
        inbox::set_settings(&mut *self.connection().await, user, settings).await
    }

    async fn forget(&self, user: UserId) -> Result<Vec<Job>> {
        self.ticked(people::forget(&mut *self.connection().await, user).await)
    }

    async fn standing(&self, user: UserId) -> Result<Option<Standing>> {
        people::standing(&mut *self.connection().await, user).await
    }

    async fn set_standing(&self, user: UserId, standing: Option<Standing>) -> Result<()> {
        people::set_standing(&mut *self.connection().await, user, standing).await
    }

    async fn purge(&self, keep_days: u32) -> Result<u64> {
        purge::purge(&mut *self.connection().await, keep_days).await
    }

    async fn totals(&self) -> Result<Totals> {
        people::totals(&mut *self.connection().await).await
    }

    async fn set_draining(&self, draining: bool) -> Result<()> {
        self.ticked(people::set_draining(&mut *self.connection().await, draining).await)
    }

    async fn lift_quarantine(&self) -> Result<u64> {
        people::lift_quarantine(&mut *self.connection().await).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
