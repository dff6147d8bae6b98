//! Handlers: record in the store, answer in the chat, never wait for work.
//!
//! A handler may run twice for one update (the process died before it was marked): the store knows the update by its
//! number, so the second run finds its work done.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use teloxide::types::InlineKeyboardMarkup;

use super::access::{Access, Verdict};
use super::api::Api;
use super::ask::Told;
use super::errors::{CallError, classify};
use super::intake::{Intake, Press, Sender};
use super::keyboard::{message_body, reply_to};
use super::text;
use super::turns::Turns;
use crate::courier::CourierError;
use crate::job::{ChatId, Lang, MessageId, Reason, UserId, Wish};
use crate::store::{QueueLimits, Store, StoreError};

/// What a person set, or the admins of a group.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Settings {
    /// What a file becomes that comes, or in a group is asked for, without words; `None` asks.
    pub(super) default: Option<Wish>,
    /// `None` follows Telegram, and in a group each person's own.
    pub(super) language: Option<Lang>,
    /// What every file of a group becomes, whoever asks or not.
    #[serde(default)]
    pub(super) auto: Option<Wish>,
}

/// A handler could not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandlerError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the platform did not take an answer: {what}")]
    Call { what: CourierError },
}

impl From<CallError> for HandlerError {
    fn from(error: CallError) -> Self {
        Self::Call { what: classify(error) }
    }
}

impl HandlerError {
    /// Whether the same update may succeed later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Store(_) => true,
            Self::Call { what } => matches!(what, CourierError::Transient { .. }),
        }
    }
}

pub(super) type Handled = Result<(), HandlerError>;

/// What handlers work with.
#[derive(Clone, Debug)]
pub(super) struct Desk<S> {
    pub(super) store: S,
    pub(super) api: Api,
    /// The bot's user name.
    pub(super) me: String,
    pub(super) limits: QueueLimits,
    pub(super) fetch_bytes_max: u64,
    pub(super) send_bytes_max: u64,
    pub(super) access: Access,
    pub(super) turns: Arc<Turns>,
    pub(super) look_bytes_max: u64,
    pub(super) told: Told,
}

/// One conversation while one update is handled.
pub(super) struct Talk<'a, S> {
    pub(super) desk: &'a Desk<S>,
    pub(super) sender: Sender,
    pub(super) settings: Settings,
    /// What its admins set for a group; nothing in a private chat.
    pub(super) of_chat: Settings,
    pub(super) lang: Lang,
    pub(super) update_id: i64,
}

impl<S: Store> Desk<S> {
    pub(super) async fn handle(&self, update_id: i64, sender: Sender, intake: Intake) -> Handled {
        let settings = self.settings(sender.user).await?;
        // Cancel waits for nobody, and concerns no question.
        let is_cancel = matches!(
            intake,
            Intake::Press {
                press: Some(Press::Cancel(_)),
                ..
            }
        );
        let _turn = if is_cancel {
            None
        } else {
            Some(self.turns.take(sender.chat).await)
        };
        let of_chat = if sender.group {
            self.settings(number_of(sender.chat)).await?
        } else {
            Settings::default()
        };
        let lang = lang_of(&sender, of_chat, settings);
        let standing = self.store.standing(sender.user).await?;
        let verdict = self.access.decide(&sender, standing);
        let talk = Talk {
            desk: self,
            sender,
            settings,
            of_chat,
            lang,
            update_id,
        };
        if verdict != Verdict::Served {
            return talk.turn_away(verdict, intake).await;
        }
        match intake {
            Intake::File(source, said) => talk.file(source, said).await,
            Intake::Info(source) => talk.info(&source).await,
            Intake::Overheard(source) => talk.overheard(source).await,
            Intake::TooLarge { size_bytes } => {
                let reason = Reason::TooLargeToFetch {
                    size_bytes,
                    limit_bytes: self.fetch_bytes_max,
                };
                talk.say(&text::reason(talk.lang, &reason), None).await.map(drop)
            }
            Intake::NotMedia => talk.say(&text::say(talk.lang, "not-media"), None).await.map(drop),
            Intake::Command(command) => talk.command(command).await,
            Intake::Press { query, press } => talk.press(&query, press).await,
            Intake::Words => talk.start().await,
            Intake::Ignore => Ok(()),
        }
    }

    pub(super) async fn settings(&self, whose: UserId) -> Result<Settings, StoreError> {
        let text = self.store.settings(whose).await?;
        Ok(text
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default())
    }
}

/// Settings of a group lie beside those of people: groups have numbers below zero.
pub(super) fn number_of(chat: ChatId) -> UserId {
    UserId(chat.0)
}

/// A group's own language, else the person's, else that of their Telegram.
pub(super) fn lang_of(sender: &Sender, of_chat: Settings, settings: Settings) -> Lang {
    of_chat
        .language
        .or(settings.language)
        .unwrap_or_else(|| text::lang_of(sender.language_code.as_deref()))
}

impl<S: Store> Talk<'_, S> {
    /// Sends a message and returns its number.
    pub(super) async fn say(
        &self,
        words: &str,
        keyboard: Option<InlineKeyboardMarkup>,
    ) -> Result<MessageId, HandlerError> {
        self.send(message_body(self.sender.chat.0, words, keyboard)).await
    }

    /// The same, under the message that it belongs to.
    pub(super) async fn reply(
        &self,
        to: MessageId,
        words: &str,
        keyboard: Option<InlineKeyboardMarkup>,
    ) -> Result<MessageId, HandlerError> {
        let mut body = message_body(self.sender.chat.0, words, keyboard);
        body["reply_parameters"] = reply_to(to);
        self.send(body).await
    }

    async fn send(&self, body: Value) -> Result<MessageId, HandlerError> {
        let sent = self.desk.api.call_patiently("sendMessage", &body).await?;
        Ok(MessageId(sent["message_id"].as_i64().unwrap_or_default()))
    }

    /// False where the message is no longer there to edit.
    pub(super) async fn edit(
        &self,
        message: MessageId,
        words: &str,
        keyboard: Option<InlineKeyboardMarkup>,
    ) -> Result<bool, HandlerError> {
        self.edit_in(self.sender.chat, message, words, keyboard).await
    }

    /// The same in any chat: a person's jobs may be in several.
    pub(super) async fn edit_in(
        &self,
        chat: ChatId,
        message: MessageId,
        words: &str,
        keyboard: Option<InlineKeyboardMarkup>,
    ) -> Result<bool, HandlerError> {
        let mut body = message_body(chat.0, words, keyboard);
        body["message_id"] = json!(message.0);
        match self.desk.api.call_patiently("editMessageText", &body).await {
            Err(error) if error.is_message_gone() => Ok(false),
            Err(error) if !error.is_not_modified() => Err(error.into()),
            _ => Ok(true),
        }
    }

    pub(super) fn is_admin(&self) -> bool {
        self.desk.access.is_admin(self.sender.user)
    }

    /// What becomes of a file without words: the chat's choice, else the person's.
    pub(super) fn default_wish(&self) -> Option<Wish> {
        self.of_chat.default.or(self.settings.default)
    }
}
