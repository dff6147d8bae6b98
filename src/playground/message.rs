//! What a chat is made of: messages, as a reader sees them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a person sends a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendAs {
    /// As a video.
    Video,
    /// As a file.
    Document,
    /// As an animation.
    Animation,
    /// As a round video.
    VideoNote,
    /// As music.
    Audio,
    /// As a voice message.
    Voice,
    /// As a photo.
    Photo,
    /// As a sticker.
    Sticker,
}

impl SendAs {
    /// The field of a message that holds it.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Document => "document",
            Self::Animation => "animation",
            Self::VideoNote => "video_note",
            Self::Audio => "audio",
            Self::Voice => "voice",
            Self::Photo => "photo",
            Self::Sticker => "sticker",
        }
    }
}

/// One call of the bot's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Lower case.
    pub method: String,
    /// HTTP status; 0 where the connection was broken instead of an answer.
    pub status: u16,
    /// Parameters without the bytes of files; `null` where the call was turned away unread.
    pub params: Value,
    /// Why it was refused, in the server's words.
    pub refusal: Option<String>,
    /// Since the playground started, milliseconds.
    pub at_ms: u64,
}

/// One poll for updates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Poll {
    /// As asked: all updates before it are confirmed.
    pub offset: i64,
    /// Update ids that it was answered with.
    pub given: Vec<i64>,
    /// HTTP status.
    pub status: u16,
}

/// An update that was sent to the webhook, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its number.
    pub update: i64,
    /// HTTP status; 0 where no answer came.
    pub status: u16,
}

/// What the bot showed in one chat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Messages of the bot's that are there now.
    pub messages: usize,
    /// Of these, the ones that hold a file.
    pub media: usize,
    /// Edits that took effect.
    pub edits: u32,
    /// Per message of the bot's: how often a file was put in. More than 1 is a repeated delivery.
    pub deliveries: std::collections::BTreeMap<i64, u32>,
}

/// One message as a reader sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Message {
    /// Its number.
    pub id: i64,
    /// Who wrote it: a user, or the bot.
    pub from: i64,
    /// Whether the bot wrote it.
    pub from_bot: bool,
    /// Seconds since 1970.
    pub date_s: u64,
    /// Text or caption.
    pub text: String,
    /// Its formatting, as the Bot API says it.
    pub entities: Vec<Value>,
    /// `video`, `audio`, `document`, … where it holds a file.
    pub media: Option<String>,
    /// Where the file's bytes lie.
    pub path: Option<PathBuf>,
    /// The file's id, which is also its name under `/media/`.
    pub file: Option<String>,
    /// As announced.
    pub width: u64,
    /// As announced.
    pub height: u64,
    /// As announced, seconds.
    pub duration: u64,
    /// As announced.
    pub supports_streaming: bool,
    /// Name of a sent file.
    pub name: Option<String>,
    /// MIME type of the file.
    pub mime: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Whether a thumbnail came with it and was accepted.
    pub thumbnail: bool,
    /// The thumbnail's file id.
    pub thumbnail_file: Option<String>,
    /// Buttons: label and callback data.
    pub buttons: Vec<Vec<(String, String)>>,
    /// The message that it answers.
    pub reply_to: Option<i64>,
    /// Topic that it is in.
    pub thread: Option<i64>,
    /// Who wrote it first, where it was forwarded.
    pub forwarded_from: Option<i64>,
    /// Album that it belongs to.
    pub album: Option<String>,
    /// How often it was edited.
    pub edits: u32,
    /// How often a file was put in.
    pub deliveries: u32,
}

impl Message {
    /// What an edit has to change: two messages that agree here look the same to a reader.
    pub(super) fn looks_like(&self, other: &Self) -> bool {
        self.text == other.text
            && self.entities == other.entities
            && self.media == other.media
            && self.file == other.file
            && self.buttons == other.buttons
    }

    /// Finds a button by label or callback data; answers its data.
    pub(super) fn button(&self, label: &str) -> Option<&str> {
        self.buttons
            .iter()
            .flatten()
            .find(|(words, data)| words == label || data == label)
            .map(|(_, data)| data.as_str())
    }
}
