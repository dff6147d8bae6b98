//! The port to a chat platform: fetch a source, tell how a job stands, deliver the result.
//!
//! The worker calls it; `telegram` implements it, and the tests have a fake. The worker calls [`Courier::notify`] as
//! often as it likes: pacing edits, skipping equal ones and obeying flood limits are the platform's knowledge.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::job::{Job, Parcel, Question, Reason, Seen, Source};
use crate::media::{Progress, Refusal};

/// How a job stands, as its requester should see it.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// Waiting; `position` 1 is next.
    Queued {
        /// Place in the queue.
        position: u32,
    },
    /// Coming down.
    Fetching {
        /// Bytes so far.
        done_bytes: u64,
        /// Bytes in all; 0 while unknown.
        total_bytes: u64,
    },
    /// Being converted.
    Converting {
        /// The engine's gauge.
        progress: Progress,
        /// Since the conversion began, seconds.
        elapsed_s: f64,
    },
    /// Going up.
    Sending {
        /// Bytes so far.
        done_bytes: u64,
        /// Bytes in all.
        total_bytes: u64,
    },
    /// Put back by a shutdown; goes on by itself after the restart.
    Paused,
    /// Over without a result.
    Failed {
        /// Why.
        reason: Reason,
    },
    /// Over by request.
    Canceled,
    /// A batch on its way.
    Batch {
        /// Files in all.
        files: u32,
        /// Of them ready or delivered.
        done: u32,
        /// Of them given up.
        failed: u32,
        /// What is being done.
        now: Option<Box<Notice>>,
    },
    /// A batch is over.
    BatchOver {
        /// What was delivered.
        results: Vec<Parcel>,
        /// What was not: the file's place in the batch, from 1, and why.
        failures: Vec<(u32, Reason)>,
    },
}

/// Bytes moved by a transfer; written by the courier, polled by the worker.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    done_bytes: Arc<AtomicU64>,
    /// Of transfers that are complete.
    kept_bytes: Arc<AtomicU64>,
}

impl Meter {
    /// Counts bytes.
    pub fn add(&self, bytes: u64) {
        self.done_bytes.fetch_add(bytes, Relaxed);
    }

    /// Starts the transfer again that is under way.
    pub fn reset(&self) {
        self.done_bytes.store(self.kept_bytes.load(Relaxed), Relaxed);
    }

    /// A transfer is complete, another may follow.
    pub fn mark(&self) {
        self.kept_bytes.store(self.read(), Relaxed);
    }

    /// Bytes so far.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.done_bytes.load(Relaxed)
    }
}

/// The files of a result in the job's scratch folder.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// The media file.
    pub media: &'a Path,
    /// The JPEG thumbnail, where there is one.
    pub thumbnail: Option<&'a Path>,
}

/// One result of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// Its job.
    pub job: &'a Job,
    /// What it is.
    pub parcel: &'a Parcel,
    /// `None` where `parcel.file_id` is set.
    pub files: Option<Files<'a>>,
}

/// The platform's answer to a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Sends the same result again without bytes.
    pub file_id: String,
}

/// Why a call to the platform failed, by what the worker must do.
#[derive(Clone, Debug)]
pub enum CourierError {
    /// Passing: try again later, at the earliest after `after_s` where the platform said so.
    Transient {
        /// Seconds the platform asked to wait.
        after_s: Option<u64>,
        /// For the log; no token, name or URL in it.
        what: String,
    },
    /// The chat, the message or the right to write is gone: end the job without a word.
    Unreachable {
        /// For the log.
        what: String,
    },
    /// The remembered file id no longer works: forget it and convert.
    StaleFileId,
    /// The job cannot be done, and the user should know why.
    Hopeless(Reason),
}

impl fmt::Display for CourierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transient { what, .. } => write!(f, "transient: {what}"),
            Self::Unreachable { what } => write!(f, "unreachable: {what}"),
            Self::StaleFileId => write!(f, "stale file id"),
            Self::Hopeless(reason) => write!(f, "hopeless: {reason:?}"),
        }
    }
}

impl std::error::Error for CourierError {}

/// A chat platform, seen from a worker. Dropping a returned future abandons the call.
pub trait Courier: Send + Sync + 'static {
    /// Whether the platform answers nobody: then no job is begun, and none loses a try.
    fn is_away(&self) -> bool {
        false
    }

    /// Streams a source into `into`, which does not exist yet; `attempt` counts from 1. Never holds the file in memory.
    fn fetch(
        &self,
        source: &Source,
        attempt: u32,
        into: &Path,
        meter: &Meter,
    ) -> impl Future<Output = Result<u64, CourierError>> + Send;

    /// Says in a question, where it is still open, what its file is and what each choice would do; or why nothing can be
    /// done with it, and then it is no question any more. False where it was not open any more.
    fn show_look(
        &self,
        question: &Question,
        seen: Result<Seen, Refusal>,
    ) -> impl Future<Output = Result<bool, CourierError>> + Send;

    /// Shows how a job stands: edits its status message, or sends one where there is none yet. Best effort; may skip.
    /// [`Notice::Failed`] and [`Notice::Canceled`] are never skipped.
    fn notify(&self, job: &Job, notice: Notice) -> impl Future<Output = Result<(), CourierError>> + Send;

    /// Turns the status message into the result. Repeating it cannot show the result twice.
    /// `files` is `None` where `parcel.file_id` is set.
    fn deliver(
        &self,
        job: &Job,
        parcel: &Parcel,
        files: Option<Files<'_>>,
        meter: &Meter,
    ) -> impl Future<Output = Result<Receipt, CourierError>> + Send;

    /// Sends the results of a batch together, each at most once, and says of each how it went. The status message stays
    /// what it is.
    fn deliver_batch(
        &self,
        items: &[Item<'_>],
        meter: &Meter,
    ) -> impl Future<Output = Vec<Result<Receipt, CourierError>>> + Send;
}
