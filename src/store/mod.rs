//! What must survive a crash: inbox, jobs, dialogues, settings, results.
//!
//! Telegram's side records updates, enqueues and cancels; the worker claims, advances and finishes. They meet here and
//! nowhere else. Every write of a running job carries its [`Fence`]: a late writer of an older attempt or another boot
//! changes nothing. Every call returns after its commit is on disk.
//!
//! Absent: file names, captions, text of users. After a job's end its row keeps ids, times, sizes and the outcome.

pub mod journal;
pub mod postgres;
pub mod sqlite;

use std::future::Future;
use std::path::{Path, PathBuf};

use tokio::sync::watch;

pub use self::journal::Journal;
pub use self::postgres::lead::Lead;

use crate::job::{ChatId, Job, JobId, MessageId, Parcel, Phase, Question, Reason, Request, Seen, UserId, Wish};
use crate::media::{Look, Refusal};

/// Which database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// A file, of one process.
    Sqlite(PathBuf),
    /// A server, for as many as there are.
    Postgres {
        /// With the password.
        url: String,
        /// The folder that this process has for itself.
        place: PathBuf,
    },
}

impl Database {
    /// Where a process leaves what is about itself and the database alone, such as its last words: beside the file, or in
    /// its folder.
    #[must_use]
    pub fn beside(&self, suffix: &str) -> PathBuf {
        let base = match self {
            Self::Sqlite(path) => path.clone(),
            Self::Postgres { place, .. } => place.join("kadr"),
        };
        let mut name = base.into_os_string();
        name.push(suffix);
        name.into()
    }

    /// The file, where it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres { .. } => None,
        }
    }
}

/// An update as the platform sent it, before anyone acted on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxUpdate {
    /// The platform's number; ascending, the key of de-duplication.
    pub update_id: i64,
    /// The raw JSON.
    pub payload: String,
}

/// The right to write to a running job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The job.
    pub job: JobId,
    /// The claim it belongs to.
    pub attempt: u32,
    /// The run of the process it belongs to.
    pub boot: i64,
}

/// How many jobs may wait.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Queued jobs of one user.
    pub per_user_max: u32,
    /// Queued jobs in all.
    pub total_max: u32,
    /// Files of one user on one day (UTC), but for those whose result was there already; `None` counts none.
    pub per_day_max: Option<u32>,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Enqueued {
    /// Accepted; `position` 1 is next.
    New {
        /// The job.
        job: Job,
        /// Its place in the queue.
        position: u32,
    },
    /// This very message asked for this before (its update was delivered again): the job as it stands.
    Replayed {
        /// The job.
        job: Job,
    },
    /// The same user has the same file and wish on its way in this chat: the job as it stands.
    Duplicate {
        /// The job.
        job: Job,
    },
    /// Done before: a new job that only delivers, with the remembered parcel.
    Cached {
        /// The job, in [`Phase::Deliver`].
        job: Job,
    },
    /// The user has too many waiting.
    UserQueueFull {
        /// The limit.
        limit: u32,
    },
    /// Too many are waiting in all.
    QueueFull {
        /// The limit.
        limit: u32,
    },
    /// The user has asked for too many today.
    DayFull {
        /// The limit.
        limit: u32,
        /// Until the next day, seconds.
        wait_s: u64,
    },
    /// The file is quarantined.
    Quarantined,
}

/// What may be claimed.
#[derive(Clone, Copy, Debug)]
pub struct ClaimLimits {
    /// Running jobs of one user.
    pub running_per_user_max: u32,
    /// Only jobs that need no conversion: those with a remembered result.
    pub deliver_only: bool,
}

/// A claimed job.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The job, its attempt counted.
    pub job: Job,
    /// The right to write to it.
    pub fence: Fence,
    /// It was in conversion when the process died: run it alone.
    pub suspect: bool,
    /// The others of its batch whose results go out with this one's, each with the right to write to it.
    pub rest: Vec<(Job, Fence)>,
}

/// How a run ended, terminally.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Delivered; the file id is remembered for (file_unique_id, wish, engine).
    Succeeded {
        /// Sends the result again without bytes.
        file_id: Option<String>,
    },
    /// Ended without a result.
    Failed {
        /// Why.
        reason: Reason,
    },
    /// Ended by request.
    Canceled,
}

/// What became of a wish to cancel.
#[derive(Clone, Debug, PartialEq)]
pub enum CancelAnswer {
    /// It was waiting and is over now.
    Canceled(Job),
    /// It is running; its worker was told.
    Asked(Job),
    /// It was over already.
    AlreadyOver(Job),
    /// No such job, or not the asker's.
    NotYours,
}

/// What an operator decided of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// May not use the bot.
    Banned,
    /// May use it, whoever else may.
    Allowed,
}

/// How the work stands, for operators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Waiting jobs.
    pub queued: u64,
    /// Running jobs.
    pub running: u64,
    /// Jobs that ended well in the last 24 h.
    pub succeeded: u64,
    /// Jobs that ended without a result in the last 24 h.
    pub failed: u64,
    /// Jobs that were cancelled in the last 24 h.
    pub canceled: u64,
    /// Files that are refused now because they crashed the process.
    pub quarantined: u64,
    /// People who asked for something today.
    pub users: u64,
    /// How long the job has waited that is next in line, seconds; 0 where none waits.
    pub next_waits_s: u64,
    /// No further job is started.
    pub draining: bool,
}

/// What came of the jobs of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Hour {
    /// Its beginning, Unix seconds.
    pub from_s: i64,
    /// Delivered.
    pub succeeded: u64,
    /// Ended without a result.
    pub failed: u64,
}

/// A job that failed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Failure {
    /// Its number.
    pub job: i64,
    /// Its kind.
    pub reason: &'static str,
    /// Unix seconds.
    pub at_s: i64,
}

/// The last 24 hours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// Hours in which a job ended, the newest last.
    pub hours: Vec<Hour>,
    /// The last jobs that failed, the newest first.
    pub failures: Vec<Failure>,
}

/// What a process says of itself to those that share its database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// The machine's name.
    pub host: String,
    /// `all`, `chat` or `worker`.
    pub role: &'static str,
    /// Of kadr.
    pub version: &'static str,
    /// Conversions at once.
    pub slots: usize,
    /// Codecs that it encodes on a GPU, as FFmpeg names them.
    pub encodes: Vec<&'static str>,
    /// What it converts on, for people.
    pub device: String,
}

/// A process that lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// The machine's name.
    pub name: String,
    /// `all`, `chat` or `worker`.
    pub role: String,
    /// Of kadr.
    pub version: String,
    /// What it converts on.
    pub device: String,
    /// Conversions at once.
    pub slots: u32,
    /// Jobs that it has in work.
    pub running: u32,
    /// How far its jobs are, as it wrote it.
    pub stand: String,
    /// Since it started, seconds.
    pub age_s: u64,
}

/// A remark about one job in a listing.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueEntry {
    /// The job.
    pub job: Job,
    /// Its place among the queued; `None` once running.
    pub position: Option<u32>,
}

/// SQLite's code for a full disk (`SQLITE_FULL`).
const SQLITE_FULL: &str = "13";

/// The store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The fence no longer holds: somebody else owns the job, or it is over.
    #[error("{job} is no longer ours (attempt {attempt})")]
    Fenced {
        /// The job.
        job: JobId,
        /// Of the late writer.
        attempt: u32,
    },
    /// Another process has this store.
    #[error("another kadr uses {0}")]
    Locked(String),
    /// No room for the database to write.
    #[error("the disk of the database is full")]
    DiskFull,
    /// The database refused.
    #[error("database: {0}")]
    Database(sqlx::Error),
    /// The database is damaged.
    #[error("the database `{path}` is damaged: {what}")]
    Damaged {
        /// Where it lies.
        path: String,
        /// In SQLite's words.
        what: String,
        /// The newest copy of it.
        backup: Option<String>,
    },
    /// The database is of another version of kadr.
    #[error("the database's schema is {found} (this kadr knows {known})")]
    Version {
        /// Of the database.
        found: i64,
        /// Of this kadr.
        known: i64,
    },
    /// A row does not read.
    #[error("database row does not read: {0}")]
    Corrupt(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let full = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .as_deref()
            == Some(SQLITE_FULL);
        if full { Self::DiskFull } else { Self::Database(error) }
    }
}

/// Shorthand of this floor.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Durable state. One implementation a database; clones share it.
pub trait Store: Clone + Send + Sync + 'static {
    /// Writes updates down; those known already are skipped. Returns the ones that are new, in order.
    fn record_updates(&self, updates: Vec<InboxUpdate>) -> impl Future<Output = Result<Vec<InboxUpdate>>> + Send;
    /// Updates that were written down but not marked handled, oldest first.
    fn unhandled_updates(&self) -> impl Future<Output = Result<Vec<InboxUpdate>>> + Send;
    /// Marks an update handled and drops its payload; its number stays, against a second delivery.
    fn mark_handled(&self, update_id: i64) -> impl Future<Output = Result<()>> + Send;

    /// Accepts a request; one transaction. One of a batch joins those of it that are on their way, as long as they are
    /// fewer than [`BATCH_MAX`](crate::job::BATCH_MAX) and wait for what comes. `update_id` is the update that asked, the key against a second delivery of
    /// it; `engine` is the engine version that a remembered result must have.
    fn enqueue(
        &self,
        update_id: i64,
        request: Request,
        limits: QueueLimits,
        engine: &str,
    ) -> impl Future<Output = Result<Enqueued>> + Send;
    /// Remembers the message that shows how a job, or its batch, stands.
    fn set_status_message(&self, job: JobId, message: MessageId) -> impl Future<Output = Result<()>> + Send;
    /// Records the intent to send a result as a new message. True the first time only.
    fn record_send_intent(&self, job: JobId) -> impl Future<Output = Result<bool>> + Send;
    /// The same for results that go out together: all of them or, where one was recorded before, none.
    fn record_send_intents(&self, jobs: Vec<JobId>) -> impl Future<Output = Result<bool>> + Send;
    /// Takes the intent back, where the platform surely did nothing.
    fn withdraw_send_intent(&self, job: JobId) -> impl Future<Output = Result<()>> + Send;
    /// A job by number.
    fn job(&self, job: JobId) -> impl Future<Output = Result<Option<Job>>> + Send;
    /// The newest job of a person in a chat among those whose source is still known.
    fn last_job(&self, chat: ChatId, user: UserId) -> impl Future<Output = Result<Option<Job>>> + Send;
    /// What a file was, where it was converted or looked at before.
    fn look(&self, file_unique_id: &str) -> impl Future<Output = Result<Option<Look>>> + Send;
    /// Wants a look at the file of a question. Best effort: none where many are wanted, and none after a restart.
    fn want_look(&self, question: Question) -> impl Future<Output = Result<()>> + Send;
    /// The oldest of the looks that are wanted.
    fn take_question(&self) -> impl Future<Output = Result<Option<Question>>> + Send;
    /// Hands what a look came to over to the process that answers the chats.
    fn hand_look(
        &self,
        question: Question,
        seen: std::result::Result<Seen, Refusal>,
    ) -> impl Future<Output = Result<()>> + Send;
    /// The oldest of the looks that were handed over.
    fn take_look(&self) -> impl Future<Output = Result<Option<(Question, std::result::Result<Seen, Refusal>)>>> + Send;
    /// Remembers for a day what a file is, and what could be made of it by this engine.
    fn remember_look(&self, file_unique_id: &str, seen: Seen, engine: &str) -> impl Future<Output = Result<()>> + Send;
    /// What is remembered of it.
    fn seen(&self, file_unique_id: &str, engine: &str) -> impl Future<Output = Result<Option<Seen>>> + Send;
    /// Jobs that are not over: running first, then remembered results, then in the order of claiming, of these last no more
    /// than so many.
    fn queue(&self, waiting_max: u32) -> impl Future<Output = Result<Vec<QueueEntry>>> + Send;
    /// The same of one user, all of them.
    fn queue_of(&self, user: UserId) -> impl Future<Output = Result<Vec<QueueEntry>>> + Send;
    /// All jobs that are not over.
    fn open_jobs(&self) -> impl Future<Output = Result<Vec<JobId>>> + Send;
    /// Ends a waiting job or asks for the end of a running one. `by` must be its user, or `None` for an admin.
    fn cancel(&self, job: JobId, by: Option<UserId>) -> impl Future<Output = Result<CancelAnswer>> + Send;

    /// Takes the next job: fair over users, capped per user, suspects only while nothing else runs. Converted jobs of a
    /// batch wait for the others of it, and are taken together.
    fn claim(&self, limits: ClaimLimits) -> impl Future<Output = Result<Option<Claim>>> + Send;
    /// Puts a converted job of a batch back until the whole batch can be delivered: then a claim gives all of it.
    fn hold(&self, fence: Fence, parcel: Parcel) -> impl Future<Output = Result<()>> + Send;
    /// All jobs of a batch, also those that are over, in the order in which they were asked for.
    fn batch(&self, first: JobId) -> impl Future<Output = Result<Vec<Job>>> + Send;
    /// What was asked for the files of a batch that came before.
    fn batch_wish(&self, chat: ChatId, user: UserId, key: &str) -> impl Future<Output = Result<Option<Wish>>> + Send;
    /// Moves a running job to its next phase; into `Deliver` with the parcel.
    fn advance(&self, fence: Fence, phase: Phase, parcel: Option<Parcel>) -> impl Future<Output = Result<()>> + Send;
    /// Ends a running job, and remembers its result for the engine version where there is one.
    fn finish(&self, fence: Fence, outcome: Outcome, engine: &str) -> impl Future<Output = Result<()>> + Send;
    /// Puts a running job back at `phase`. `not_before_s` delays the next claim; `count` keeps the attempt counted.
    fn release(
        &self,
        fence: Fence,
        phase: Phase,
        not_before_s: u64,
        count: bool,
    ) -> impl Future<Output = Result<()>> + Send;
    /// Puts a running job back whose engine's process died in [`Phase::Convert`]: counted as a crash that named it, it
    /// runs alone from now on, after `not_before_s` seconds, and enough `blame` quarantines its file
    /// ([`BLAME_MAX`](crate::job::BLAME_MAX)). Returns the jobs that were quarantined by it.
    fn crash(&self, fence: Fence, blame: u32, not_before_s: u64) -> impl Future<Output = Result<Vec<Job>>> + Send;
    /// An engine died while it looked at a file that has no job yet, or one that waits: for a week this is held against its
    /// jobs as their own crashes are, and enough of it quarantines the file at once. Returns the jobs that were quarantined
    /// by it.
    fn crash_of_look(&self, file_unique_id: &str, blame: u32) -> impl Future<Output = Result<Vec<Job>>> + Send;
    /// Running jobs of this boot whose end was asked for.
    fn cancel_requests(&self) -> impl Future<Output = Result<Vec<JobId>>> + Send;
    /// At start: running jobs of other boots go back to the queue; those in conversion become suspects, and what
    /// is to blame for enough ([`BLAME_MAX`](crate::job::BLAME_MAX)) is quarantined. `named` are those that the last words
    /// of the process named; a death that named nobody weighs less. Returns the jobs that were quarantined now, for telling their users.
    fn recover(&self, named: Vec<JobId>) -> impl Future<Output = Result<Vec<Job>>> + Send;
    /// Jobs that are over without anybody having said so in their chat: of other boots, and ended by an operator. Whoever
    /// takes one says it, and then calls [`Store::set_told`].
    fn take_owed(&self) -> impl Future<Output = Result<Vec<Job>>> + Send;
    /// The end of a job was said, or with `of_all` that of its batch.
    fn set_told(&self, job: JobId, of_all: bool) -> impl Future<Output = Result<()>> + Send;
    /// Forgets a remembered result.
    fn forget_result(&self, request: &Request, engine: &str) -> impl Future<Output = Result<()>> + Send;

    /// A dialogue's state, as its owner wrote it.
    fn dialogue(&self, chat: ChatId, user: UserId) -> impl Future<Output = Result<Option<String>>> + Send;
    /// Replaces a dialogue's state; `None` ends it.
    fn set_dialogue(
        &self,
        chat: ChatId,
        user: UserId,
        state: Option<String>,
    ) -> impl Future<Output = Result<()>> + Send;
    /// A user's settings, as their owner wrote them.
    fn settings(&self, user: UserId) -> impl Future<Output = Result<Option<String>>> + Send;
    /// Replaces a user's settings.
    fn set_settings(&self, user: UserId, settings: String) -> impl Future<Output = Result<()>> + Send;

    /// Forgets a person: what waits is cancelled and what runs is asked to end, and nothing of either is kept after that;
    /// ended jobs, settings and dialogues go now. What stays is a ban, and how many files were asked for today. Returns the
    /// jobs that were cancelled here.
    fn forget(&self, user: UserId) -> impl Future<Output = Result<Vec<Job>>> + Send;
    /// What an operator decided of a person.
    fn standing(&self, user: UserId) -> impl Future<Output = Result<Option<Standing>>> + Send;
    /// Decides it; `None` takes the decision back.
    fn set_standing(&self, user: UserId, standing: Option<Standing>) -> impl Future<Output = Result<()>> + Send;
    /// Forgets what is past its day: rows of jobs that ended more than `keep_days` ago, handled updates, sources, looks. What
    /// was deleted so far cannot be read from the disk any more. Returns how many jobs were forgotten.
    fn purge(&self, keep_days: u32) -> impl Future<Output = Result<u64>> + Send;
    /// How the work stands.
    fn totals(&self) -> impl Future<Output = Result<Totals>> + Send;
    /// What ended in the last 24 hours.
    fn day(&self) -> impl Future<Output = Result<Day>> + Send;
    /// Whether further jobs are started: not from `true` on, until `false` or, with a database of one process, the next start.
    fn set_draining(&self, draining: bool) -> impl Future<Output = Result<()>> + Send;
    /// Lets all quarantined files in again. Returns how many they were.
    fn lift_quarantine(&self) -> impl Future<Output = Result<u64>> + Send;

    /// Waits until this process is the one that answers the chats.
    fn lead(&self) -> impl Future<Output = Lead> + Send;
    /// Says what this process is and can do.
    fn announce(&self, presence: Presence) -> impl Future<Output = Result<()>> + Send;
    /// Says how far the jobs of this process are, for who watches another one.
    fn show_stand(&self, stand: String) -> impl Future<Output = Result<()>> + Send;
    /// The processes that share the database and live.
    fn hosts(&self) -> impl Future<Output = Result<Vec<Host>>> + Send;

    /// Ticks after every change that a worker may care about: a new job, a cancel, a release.
    fn changes(&self) -> watch::Receiver<u64>;
}
