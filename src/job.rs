//! The nouns of a job and its state machine. Pure: no clock, no database, no chat.
//!
//! A durable state exists only if a restart treats it differently: [`Status`] says whether a job is over, [`Phase`]
//! where it resumes. Everything finer is progress, kept in memory. [`Status::on`] is the one transition function.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::media::{Forecast, Look, Preset, Recipe, Refusal, UnknownWord, Warning};

/// A job's number, unique for ever in one store. Displayed as `j17`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId(pub i64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "j{}", self.0)
    }
}

/// A person on the chat platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UserId(pub i64);

/// A chat on the chat platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChatId(pub i64);

/// A message within its chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageId(pub i64);

/// A language that kadr speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Russian.
    Ru,
}

/// Who asked, and where the answer goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Where the request was made and the result goes.
    pub chat: ChatId,
    /// Who made it.
    pub user: UserId,
    /// The message that holds the source.
    pub message: MessageId,
    /// Whether the chat has more than two people: groups get slower edits.
    pub group: bool,
    /// The language of the answers.
    pub lang: Lang,
}

/// A file on the platform, as it can be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Fetches the file; belongs to one bot.
    pub file_id: String,
    /// The same for the same file always; cannot fetch.
    pub file_unique_id: String,
    /// As the platform announced it, bytes.
    pub size_bytes: Option<u64>,
    /// What else it announced.
    #[serde(default)]
    pub announced: Announced,
}

/// What a platform says of a film before anybody looked into it; 0 where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    /// Seconds.
    pub duration_s: u32,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// Into what, and how it is handed over. One spelling for buttons and database: the recipe's, with `file` after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Wish {
    /// What is made.
    pub recipe: Recipe,
    /// As a document, which no client touches or plays in the chat.
    pub as_file: bool,
}

const AS_FILE: &str = "file";

impl From<Preset> for Wish {
    fn from(preset: Preset) -> Self {
        Self {
            recipe: preset.into(),
            as_file: false,
        }
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.recipe)?;
        if self.as_file { write!(f, " {AS_FILE}") } else { Ok(()) }
    }
}

impl FromStr for Wish {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut wish = Self::default();
        for word in text.split_whitespace() {
            if word == AS_FILE {
                wish.as_file = true;
            } else {
                wish.recipe.read(word)?;
            }
        }
        Ok(wish)
    }
}

impl Serialize for Wish {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Wish {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str> as Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What someone wants done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Who and where.
    pub origin: Origin,
    /// Of what.
    pub source: Source,
    /// Into what.
    pub wish: Wish,
    /// With what other files it came, where it came with some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
}

/// Files that one person sent together: they have one status message, and their results come together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The same for all of them, within the chat and the person.
    pub key: String,
    /// Which of those that one update asks for, from 0; below [`BATCH_MAX`].
    pub place: u32,
}

/// Files of one batch at most: as many as an album holds.
pub const BATCH_MAX: u32 = 10;

/// A question about a file, which would be better with what the file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Where it was asked, and of whom.
    pub origin: Origin,
    /// The message that asks.
    pub card: MessageId,
    /// The file.
    pub source: Source,
    /// What is offered.
    pub wishes: Vec<Wish>,
}

/// What a file is, and what each wish would do with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The file.
    pub look: Look,
    /// In the order in which it was asked.
    pub outlooks: Vec<(Wish, Outlook)>,
}

/// What a wish would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outlook {
    /// This.
    Makes(Forecast),
    /// Nothing, for this reason.
    Refuses(Refusal),
}

/// Whether a job is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Waits to be claimed.
    Queued,
    /// Claimed by a worker of one boot.
    Running,
    /// Delivered.
    Succeeded,
    /// Ended without a result; the reason was told.
    Failed,
    /// Ended by its requester or an admin.
    Canceled,
    /// Its file took the process down twice; the file is refused for a while.
    Quarantined,
}

/// Where a job resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The source is to be fetched.
    Fetch,
    /// The source is in the scratch folder.
    Convert,
    /// The result is in the scratch folder, or is a remembered file of the platform.
    Deliver,
}

/// What can happen to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A worker took it.
    Claimed,
    /// The result reached the chat.
    Delivered,
    /// It ended without a result.
    Failed,
    /// Shutdown, crash or a passing fault: it goes back to the queue.
    Interrupted,
    /// Its requester or an admin ended it.
    Canceled,
    /// Its file crashed the process once too often.
    Quarantined,
}

/// A status met an event that it does not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {status:?} job does not accept {event:?}")]
pub struct IllegalTransition {
    /// The status.
    pub status: Status,
    /// The event.
    pub event: Event,
}

impl Status {
    /// The status after `event`.
    ///
    /// # Errors
    /// [`IllegalTransition`] where the status does not accept the event; terminal ones accept none.
    pub fn on(self, event: Event) -> Result<Self, IllegalTransition> {
        match (self, event) {
            (Self::Queued, Event::Claimed) => Ok(Self::Running),
            (Self::Running, Event::Interrupted) => Ok(Self::Queued),
            (Self::Running, Event::Delivered) => Ok(Self::Succeeded),
            (Self::Queued | Self::Running, Event::Failed) => Ok(Self::Failed),
            (Self::Queued | Self::Running, Event::Canceled) => Ok(Self::Canceled),
            (Self::Queued | Self::Running, Event::Quarantined) => Ok(Self::Quarantined),
            (status, event) => Err(IllegalTransition { status, event }),
        }
    }

    /// Whether nothing can change any more.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::Failed | Self::Canceled | Self::Quarantined
        )
    }
}

/// Why a job ended without a result: decides the words in chat, and whether a Retry button helps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// The input itself is at fault.
    Refused {
        /// How.
        why: Refusal,
    },
    /// The platform does not hand out a file of this size.
    TooLargeToFetch {
        /// Announced size, bytes; 0 where it was not announced.
        size_bytes: u64,
        /// The limit, bytes.
        limit_bytes: u64,
    },
    /// The platform does not take a result of this size.
    TooLargeToSend {
        /// Of the result, bytes.
        size_bytes: u64,
        /// The limit, bytes.
        limit_bytes: u64,
    },
    /// The source is no longer there to fetch.
    SourceGone,
    /// The conversion took too long.
    TimeLimit {
        /// The limit, seconds.
        limit_s: u64,
    },
    /// The network or the platform failed too often.
    Network,
    /// It was sent, and nobody knows whether it arrived: the answer was lost, or the process died before it.
    Unconfirmed,
    /// No disk space.
    DiskFull,
    /// The file crashed the process before and is refused for a while.
    Quarantined,
    /// Ours; the log has the cause.
    Internal,
}

impl Reason {
    /// Its kind, in a word for counters.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::TooLargeToFetch { .. } => "too_large_to_fetch",
            Self::TooLargeToSend { .. } => "too_large_to_send",
            Self::SourceGone => "source_gone",
            Self::TimeLimit { .. } => "time_limit",
            Self::Network => "network",
            Self::Unconfirmed => "unconfirmed",
            Self::DiskFull => "disk_full",
            Self::Quarantined => "quarantined",
            Self::Internal => "internal",
        }
    }

    /// Whether asking again may help.
    #[must_use]
    pub fn may_retry(&self) -> bool {
        match self {
            Self::TimeLimit { .. } | Self::Network | Self::Unconfirmed | Self::DiskFull | Self::Internal => true,
            Self::Refused { .. }
            | Self::TooLargeToFetch { .. }
            | Self::TooLargeToSend { .. }
            | Self::SourceGone
            | Self::Quarantined => false,
        }
    }
}

/// What kind of message a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParcelKind {
    /// A video that streams.
    Video,
    /// A silent video that loops.
    Animation,
    /// A round video.
    Note,
    /// A sound file.
    Audio,
    /// A voice message.
    Voice,
    /// A sticker that moves.
    Sticker,
    /// A picture.
    Photo,
    /// A file.
    Document,
}

/// A result ready for delivery: all that the message needs besides the bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parcel {
    /// The kind of message.
    pub kind: ParcelKind,
    /// Displayed, pixels; 0 for sound.
    pub width: u32,
    /// Displayed, pixels; 0 for sound.
    pub height: u32,
    /// Seconds, of the output.
    pub duration_s: f64,
    /// Bytes.
    pub in_bytes: u64,
    /// Bytes.
    pub out_bytes: u64,
    /// Whether no video had to be encoded: it was copied, or there is none.
    pub video_copied: bool,
    /// Whether no sound had to be encoded: it was copied, or there is none.
    pub audio_copied: bool,
    /// Whether there is no sound: an album takes no such film.
    #[serde(default)]
    pub silent: bool,
    /// Time the conversion took, seconds.
    pub wall_s: f64,
    /// What the user should know.
    pub warnings: Vec<Warning>,
    /// Set where the platform already has the result: sent again without bytes.
    pub file_id: Option<String>,
    /// What the source was, as the engine saw it.
    #[serde(default)]
    pub look: Option<Look>,
}

/// A crash whose last words named the job: two are the file's own fault.
pub const BLAME_NAMED: u32 = 3;
/// A death without last words (`kill -9`, a power cut, too little memory), which is seldom the file's: six are.
pub const BLAME_UNNAMED: u32 = 1;
/// Enough for quarantine.
pub const BLAME_MAX: u32 = 6;

/// One accepted request on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// What was asked.
    pub request: Request,
    /// Whether it is over.
    pub status: Status,
    /// Where it resumes.
    pub phase: Phase,
    /// How many times it was claimed, interruptions by shutdown not counted.
    pub attempt: u32,
    /// How much speaks against its file: for each death of the process, or of its engine's, while this job was in
    /// [`Phase::Convert`], [`BLAME_NAMED`] or [`BLAME_UNNAMED`]. At [`BLAME_MAX`] the file is quarantined.
    pub blame: u32,
    /// The message in chat that shows how it stands and becomes the result.
    pub status_message: Option<MessageId>,
    /// The result, once there is one.
    pub parcel: Option<Parcel>,
    /// Why it ended without one.
    pub reason: Option<Reason>,
    /// The first job of its batch, where it is of one.
    pub batch: Option<JobId>,
}

impl Job {
    /// The job that stands for all that share its status message.
    #[must_use]
    pub fn head(&self) -> JobId {
        self.batch.unwrap_or(self.id)
    }
}
