//! What a failed call to the Bot API means: for the job, for the call that failed, and for a handler. Pure.
//!
//! Words and codes are the server's own (telegram-bot-api, `Client.cpp`). They are matched here and nowhere else.

use std::io::ErrorKind as Kind;
use std::time::Duration;

use crate::courier::CourierError;
use crate::job::Reason;

/// A server that is down or lost: so long until the next try where it named no time.
const BREATH: Duration = Duration::from_secs(2);
/// A flood limit without `retry_after`, seconds.
const FLOOD_S: u64 = 5;

/// Of a file that a local server is still fetching, and of one that it will never have.
const UNAVAILABLE: &str = "temporarily unavailable";

/// A call that did not succeed.
#[derive(Debug)]
pub enum CallError {
    /// The server said no.
    Refused {
        /// The server's `error_code`, or the HTTP status.
        code: u16,
        /// The server's words; never shown to users.
        description: String,
        /// Seconds that the server wants us to wait.
        retry_after_s: Option<u64>,
    },
    /// It never reached the server.
    Unsent(String),
    /// No answer, or none that reads: maybe done.
    Lost(String),
    /// Our own disk.
    Disk(std::io::Error),
}

impl CallError {
    /// What it was, in a word for counters.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refused {
                retry_after_s: Some(_), ..
            } => "flood",
            Self::Refused { code: 500.., .. } => "server_fault",
            Self::Refused { .. } => "refused",
            Self::Unsent(_) => "unsent",
            Self::Lost(_) => "lost",
            Self::Disk(_) => "disk",
        }
    }

    /// Whether a repeated edit found its work done already.
    #[must_use]
    pub fn is_not_modified(&self) -> bool {
        self.says(&["message is not modified"])
    }

    /// Whether the message to edit is gone, or is none of those that can be edited.
    #[must_use]
    pub fn is_message_gone(&self) -> bool {
        self.says(&[
            "message to edit not found",
            "MESSAGE_ID_INVALID",
            "message can't be edited",
            "message identifier is not specified",
        ])
    }

    /// Whether the receiver wants no voice messages, nor round videos.
    #[must_use]
    pub fn is_voice_forbidden(&self) -> bool {
        self.says(&["VOICE_MESSAGES_FORBIDDEN"])
    }

    /// Whether a server of one's own could not read a file that was handed over by name (tdlib, `FileLoaderUtils.cpp`:
    /// "can't get stat about the file"; a server that runs without `--local`: "wrong file identifier").
    #[must_use]
    pub fn is_unread(&self) -> bool {
        let refused = matches!(self, Self::Refused { code: 400, .. });
        refused && self.says(&["file"]) && !self.says(&["too big", "file_id"])
    }

    /// Whether the server does not have the source, now or for ever.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.says(&[UNAVAILABLE])
    }

    /// Whether the server knows that the bot left it by `logOut`.
    #[must_use]
    pub fn is_logged_out(&self) -> bool {
        self.says(&["Logged out"])
    }

    /// Whether updates cannot be asked for because a webhook is set.
    #[must_use]
    pub fn is_webhook_set(&self) -> bool {
        matches!(self, Self::Refused { code: 409, .. }) && self.says(&["webhook", "Webhook"])
    }

    /// Whether the platform itself said nothing: no answer, or one of a gateway before it.
    #[must_use]
    pub fn is_silence(&self) -> bool {
        matches!(
            self,
            Self::Unsent(_) | Self::Lost(_) | Self::Refused { code: 500.., .. }
        )
    }

    /// Whether the call certainly had no effect, so that a send may be repeated.
    #[must_use]
    pub fn is_surely_undone(&self) -> bool {
        match self {
            Self::Refused { code, .. } => *code < 500,
            Self::Unsent(_) | Self::Disk(_) => true,
            Self::Lost(_) => false,
        }
    }

    /// How long to wait before the same call may succeed; `None` where it never will.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Refused {
                code: 429,
                retry_after_s,
                ..
            } => Some(Duration::from_secs(retry_after_s.unwrap_or(FLOOD_S))),
            Self::Refused { code: 500.., .. } | Self::Unsent(_) | Self::Lost(_) => Some(BREATH),
            Self::Refused { .. } | Self::Disk(_) => None,
        }
    }

    fn says(&self, any: &[&str]) -> bool {
        matches!(self, Self::Refused { description, .. } if any.iter().any(|words| description.contains(words)))
    }
}

/// What a failed call means for a job. Sizes are unknown here: the caller knows them.
#[must_use]
pub fn classify(error: CallError) -> CourierError {
    match error {
        CallError::Disk(error)
            if matches!(
                error.kind(),
                Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge
            ) =>
        {
            CourierError::Hopeless(Reason::DiskFull)
        }
        CallError::Disk(error) => CourierError::Transient {
            after_s: None,
            what: error.to_string(),
        },
        CallError::Unsent(what) | CallError::Lost(what) => CourierError::Transient { after_s: None, what },
        CallError::Refused {
            code,
            description,
            retry_after_s,
        } => refused(code, description, retry_after_s),
    }
}

fn refused(code: u16, description: String, retry_after_s: Option<u64>) -> CourierError {
    let says = |any: &[&str]| any.iter().any(|words| description.contains(words));
    match code {
        413 => CourierError::Hopeless(Reason::TooLargeToSend {
            size_bytes: 0,
            limit_bytes: super::SEND_BYTES_MAX,
        }),
        429 => CourierError::Transient {
            after_s: Some(retry_after_s.unwrap_or(FLOOD_S)),
            what: description,
        },
        403 => CourierError::Unreachable { what: description },
        400 if says(&[
            "chat not found",
            "group chat was upgraded",
            "not enough rights",
            "have no rights",
            "CHAT_WRITE_FORBIDDEN",
            "CHAT_SEND_MEDIA_FORBIDDEN",
            "PEER_ID_INVALID",
            "user is deactivated",
        ]) =>
        {
            CourierError::Unreachable { what: description }
        }
        400 if says(&["file is too big"]) => CourierError::Hopeless(Reason::TooLargeToFetch {
            size_bytes: 0,
            limit_bytes: super::FETCH_BYTES_MAX,
        }),
        // The local server says this of a file that it is still fetching, too.
        400 if says(&[UNAVAILABLE]) => CourierError::Transient {
            after_s: None,
            what: description,
        },
        400 if says(&["wrong file identifier", "wrong remote file", "wrong file_id"]) => CourierError::StaleFileId,
        404 => CourierError::Hopeless(Reason::SourceGone),
        400..500 => {
            tracing::error!(code, description, "the platform refused a call of ours");
            CourierError::Hopeless(Reason::Internal)
        }
        _ => CourierError::Transient {
            after_s: None,
            what: description,
        },
    }
}
