//! Handlers: record in the store, answer in the chat, never wait for work.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use teloxide::types::{InlineKeyboardButton, InlineKeyboardMarkup};

use super::api::{Api, CallError};
use super::intake::{Command, Intake, Press, Sender};
use super::text;
use crate::courier::Notice;
use crate::job::{Job, JobId, Lang, MessageId, Origin, Reason, Request, Source, Status};
use crate::media::{ENGINE_VERSION, Preset};
use crate::store::{CancelAnswer, Enqueued, QueueLimits, Store, StoreError};

/// Cards of one person that may wait for a choice.
const CARDS_MAX: usize = 10;
const CALL_S: u64 = 10;

/// Where a conversation stands; kept in the store.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum Dialogue {
    /// Nothing is open.
    #[default]
    Idle,
    /// A preset was chosen, the file is to come.
    WaitingForVideo { preset: Preset },
    /// Files came, their presets are to be chosen.
    Choosing { cards: Vec<Card> },
}

/// A file that waits for a choice.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Card {
    card: MessageId,
    message: MessageId,
    source: Source,
}

/// What a person set.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Settings {
    /// What to do without asking; `None` asks.
    default: Option<Preset>,
    /// `None` follows Telegram.
    language: Option<Lang>,
}

/// A handler could not do its work; the update stays in the inbox.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandlerError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the platform did not take an answer: {0}")]
    Call(String),
}

impl From<CallError> for HandlerError {
    fn from(error: CallError) -> Self {
        Self::Call(super::api::classify(error).to_string())
    }
}

type Handled = Result<(), HandlerError>;

/// What handlers work with.
#[derive(Clone, Debug)]
pub(super) struct Desk<S> {
    pub(super) store: S,
    pub(super) api: Api,
    pub(super) limits: QueueLimits,
    pub(super) fetch_bytes_max: u64,
}

/// One conversation while one update is handled.
struct Talk<'a, S> {
    desk: &'a Desk<S>,
    sender: Sender,
    settings: Settings,
    lang: Lang,
    update_id: i64,
}

impl<S: Store> Desk<S> {
    pub(super) async fn handle(&self, update_id: i64, sender: Sender, intake: Intake) -> Handled {
        let settings: Settings = self
            .store
            .settings(sender.user)
            .await?
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        let lang = settings
            .language
            .unwrap_or_else(|| text::lang_of(sender.language_code.as_deref()));
        let talk = Talk {
            desk: self,
            sender,
            settings,
            lang,
            update_id,
        };
        match intake {
            Intake::File(source) => talk.file(source).await,
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
}

impl<S: Store> Talk<'_, S> {
    /// Sends a message and returns its number.
    async fn say(&self, words: &str, keyboard: Option<InlineKeyboardMarkup>) -> Result<MessageId, HandlerError> {
        let body = message_body(self.sender.chat.0, words, keyboard);
        let sent = self.desk.api.call("sendMessage", &body, CALL_S).await?;
        Ok(MessageId(sent["message_id"].as_i64().unwrap_or_default()))
    }

    async fn edit(&self, message: MessageId, words: &str, keyboard: Option<InlineKeyboardMarkup>) -> Handled {
        let mut body = message_body(self.sender.chat.0, words, keyboard);
        body["message_id"] = json!(message.0);
        match self.desk.api.call("editMessageText", &body, CALL_S).await {
            Err(error) if !super::api::is_not_modified(&error) && !super::api::is_message_gone(&error) => {
                Err(error.into())
            }
            _ => Ok(()),
        }
    }

    async fn dialogue(&self) -> Result<Dialogue, HandlerError> {
        let state = self.desk.store.dialogue(self.sender.chat, self.sender.user).await?;
        Ok(state
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default())
    }

    async fn set_dialogue(&self, dialogue: &Dialogue) -> Handled {
        let state = match dialogue {
            Dialogue::Idle => None,
            state => serde_json::to_string(state).ok(),
        };
        Ok(self
            .desk
            .store
            .set_dialogue(self.sender.chat, self.sender.user, state)
            .await?)
    }

    async fn start(&self) -> Handled {
        self.say(&text::say(self.lang, "start"), Some(presets(self.lang, Press::Next)))
            .await
            .map(drop)
    }

    async fn command(&self, command: Command) -> Handled {
        match command {
            Command::Start => self.start().await,
            Command::Help => {
                let limit = (self.desk.fetch_bytes_max >> 20).into();
                self.say(&text::tell(self.lang, "help", &[("limit", limit)]), None)
                    .await
                    .map(drop)
            }
            Command::Cancel => self.cancel_all().await,
            Command::Queue => self.queue().await,
            Command::Settings => self
                .say(&self.settings_words(), Some(settings_keyboard(self.lang)))
                .await
                .map(drop),
        }
    }

    /// A file: the preset chosen before, the default of the person's settings, or a question.
    async fn file(&self, source: Source) -> Handled {
        let dialogue = self.dialogue().await?;
        if let Dialogue::WaitingForVideo { preset } = dialogue {
            self.set_dialogue(&Dialogue::Idle).await?;
            return self.enqueue(source, self.sender.message, preset, None).await;
        }
        if let Some(preset) = self.settings.default {
            return self.enqueue(source, self.sender.message, preset, None).await;
        }
        let keyboard = presets(self.lang, Press::Choose);
        let card = self.say(&text::say(self.lang, "choose"), Some(keyboard)).await?;
        let mut cards = match dialogue {
            Dialogue::Choosing { cards } => cards,
            _ => Vec::new(),
        };
        cards.push(Card {
            card,
            message: self.sender.message,
            source,
        });
        let excess = cards.len().saturating_sub(CARDS_MAX);
        cards.drain(..excess);
        self.set_dialogue(&Dialogue::Choosing { cards }).await
    }

    /// Asks the store, and answers what it said. `card` is a message of ours that the answer may replace.
    async fn enqueue(&self, source: Source, message: MessageId, preset: Preset, card: Option<MessageId>) -> Handled {
        let sender = &self.sender;
        let origin = Origin {
            chat: sender.chat,
            user: sender.user,
            message,
            group: sender.group,
            lang: self.lang,
        };
        let request = Request { origin, source, preset };
        let answer = self
            .desk
            .store
            .enqueue(self.update_id, request, self.desk.limits, ENGINE_VERSION)
            .await?;
        let tell = |key: &str, limit: u32| text::tell(self.lang, key, &[("limit", limit.into())]);
        let words = match answer {
            Enqueued::New { job, position } => {
                return self.announce(&job, &Notice::Queued { position }, card).await;
            }
            Enqueued::Replayed { job } if job.status_message.is_none() && !job.status.is_terminal() => {
                return self.announce(&job, &Notice::Queued { position: 1 }, card).await;
            }
            Enqueued::Replayed { .. } => return Ok(()),
            Enqueued::Cached { job } => return self.announce_words(&job, &text::say(self.lang, "cached"), card).await,
            Enqueued::Duplicate { job } => self.duplicate(&job).await?,
            Enqueued::UserQueueFull { limit } => tell("user-queue-full", limit),
            Enqueued::QueueFull { limit } => tell("queue-full", limit),
            Enqueued::Quarantined => text::say(self.lang, "quarantined"),
        };
        match card {
            Some(card) => self.edit(card, &words, None).await,
            None => self.say(&words, None).await.map(drop),
        }
    }

    async fn duplicate(&self, job: &Job) -> Result<String, HandlerError> {
        if job.status == Status::Running {
            return Ok(text::say(self.lang, "duplicate-running"));
        }
        let queue = self.desk.store.queue(Some(self.sender.user)).await?;
        let position = queue
            .iter()
            .find(|entry| entry.job.id == job.id)
            .and_then(|entry| entry.position);
        Ok(text::tell(
            self.lang,
            "duplicate-queued",
            &[("position", position.unwrap_or(1).into())],
        ))
    }

    async fn announce(&self, job: &Job, notice: &Notice, card: Option<MessageId>) -> Handled {
        self.announce_words(job, &text::notice(self.lang, notice), card).await
    }

    /// The status message: the card becomes it, or a new one is sent. A worker may have been quicker with its own.
    async fn announce_words(&self, job: &Job, words: &str, card: Option<MessageId>) -> Handled {
        let message = match card {
            Some(card) => {
                // First the number, then the words: the worker edits the same message from now on.
                self.desk.store.set_status_message(job.id, card).await?;
                return self.edit(card, words, Some(cancel_keyboard(self.lang, job.id))).await;
            }
            None => self.say(words, Some(cancel_keyboard(self.lang, job.id))).await?,
        };
        Ok(self.desk.store.set_status_message(job.id, message).await?)
    }

    async fn queue(&self) -> Handled {
        let entries = self.desk.store.queue(Some(self.sender.user)).await?;
        if entries.is_empty() {
            return self.say(&text::say(self.lang, "queue-empty"), None).await.map(drop);
        }
        let mut lines = vec![text::say(self.lang, "queue-title")];
        for entry in entries {
            let job = ("job", entry.job.id.to_string().into());
            lines.push(match entry.position {
                None => text::tell(self.lang, "queue-running", &[job]),
                Some(position) => text::tell(self.lang, "queue-waiting", &[job, ("position", position.into())]),
            });
        }
        self.say(&lines.join("\n"), None).await.map(drop)
    }

    async fn cancel_all(&self) -> Handled {
        self.set_dialogue(&Dialogue::Idle).await?;
        let mut count = 0_u32;
        for entry in self.desk.store.queue(Some(self.sender.user)).await? {
            count += u32::from(self.cancel_one(entry.job.id).await?.is_some());
        }
        let words = if count == 0 {
            text::say(self.lang, "cancel-none")
        } else {
            text::tell(self.lang, "cancel-all", &[("count", count.into())])
        };
        self.say(&words, None).await.map(drop)
    }

    /// Ends a job; `Some` with the key of the answer where there was something to end.
    async fn cancel_one(&self, job: JobId) -> Result<Option<&'static str>, HandlerError> {
        match self.desk.store.cancel(job, Some(self.sender.user)).await? {
            CancelAnswer::Canceled(job) => {
                if let Some(message) = job.status_message {
                    self.edit(message, &text::say(self.lang, "canceled"), None).await?;
                }
                Ok(Some("alert-cancel"))
            }
            CancelAnswer::Asked(_) => Ok(Some("alert-cancel")),
            CancelAnswer::AlreadyOver(_) | CancelAnswer::NotYours => Ok(None),
        }
    }

    /// A button: acted on and answered, whatever it was.
    async fn press(&self, query: &str, press: Option<Press>) -> Handled {
        let alert = match press {
            None => Some("alert-expired"),
            Some(Press::Next(preset)) => {
                self.set_dialogue(&Dialogue::WaitingForVideo { preset }).await?;
                let name = text::preset(self.lang, preset);
                self.say(&text::tell(self.lang, "waiting", &[("preset", name.into())]), None)
                    .await?;
                None
            }
            Some(Press::Choose(preset)) => self.choose(preset).await?,
            Some(Press::Cancel(job)) => match self.desk.store.job(job).await? {
                Some(found) if found.request.origin.user != self.sender.user => Some("alert-not-yours"),
                Some(_) => Some(self.cancel_one(job).await?.unwrap_or("alert-over")),
                None => Some("alert-expired"),
            },
            Some(Press::Retry(job)) => self.retry(job).await?,
            Some(Press::Default(default)) => {
                self.set(Settings {
                    default,
                    ..self.settings
                })
                .await?
            }
            Some(Press::Language(language)) => {
                self.set(Settings {
                    language,
                    ..self.settings
                })
                .await?
            }
        };
        let mut body = json!({ "callback_query_id": query });
        if let Some(alert) = alert {
            body["text"] = json!(text::say(self.lang, alert));
        }
        // Too late or twice: nobody waits for the answer any more.
        let _ = self.desk.api.call("answerCallbackQuery", &body, CALL_S).await;
        Ok(())
    }

    async fn choose(&self, preset: Preset) -> Result<Option<&'static str>, HandlerError> {
        let Dialogue::Choosing { mut cards } = self.dialogue().await? else {
            return Ok(Some("alert-expired"));
        };
        let Some(position) = cards.iter().position(|card| card.card == self.sender.message) else {
            return Ok(Some("alert-expired"));
        };
        let card = cards.remove(position);
        self.enqueue(card.source, card.message, preset, Some(card.card)).await?;
        let left = if cards.is_empty() {
            Dialogue::Idle
        } else {
            Dialogue::Choosing { cards }
        };
        self.set_dialogue(&left).await?;
        Ok(None)
    }

    async fn retry(&self, job: JobId) -> Result<Option<&'static str>, HandlerError> {
        let Some(job) = self.desk.store.job(job).await? else {
            return Ok(Some("alert-expired"));
        };
        let Request { origin, source, preset } = job.request;
        if origin.user != self.sender.user {
            return Ok(Some("alert-not-yours"));
        }
        if source.file_id.is_empty() {
            return Ok(Some("alert-expired"));
        }
        self.enqueue(source, origin.message, preset, Some(self.sender.message))
            .await?;
        Ok(None)
    }

    async fn set(&self, settings: Settings) -> Result<Option<&'static str>, HandlerError> {
        let text = serde_json::to_string(&settings).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        self.desk.store.set_settings(self.sender.user, text).await?;
        let lang = settings
            .language
            .unwrap_or_else(|| text::lang_of(self.sender.language_code.as_deref()));
        let talk = Talk {
            desk: self.desk,
            sender: self.sender.clone(),
            settings,
            lang,
            update_id: self.update_id,
        };
        talk.edit(
            self.sender.message,
            &talk.settings_words(),
            Some(settings_keyboard(lang)),
        )
        .await?;
        Ok(None)
    }

    fn settings_words(&self) -> String {
        let default = match self.settings.default {
            None => text::say(self.lang, "settings-ask"),
            Some(preset) => text::preset(self.lang, preset),
        };
        let language = text::say(
            self.lang,
            match self.settings.language {
                None => "settings-auto",
                Some(Lang::En) => "settings-en",
                Some(Lang::Ru) => "settings-ru",
            },
        );
        text::tell(
            self.lang,
            "settings",
            &[("default", default.into()), ("language", language.into())],
        )
    }
}

pub(super) fn message_body(chat: i64, words: &str, keyboard: Option<InlineKeyboardMarkup>) -> Value {
    let mut body = json!({ "chat_id": chat, "text": words });
    if let Some(keyboard) = keyboard {
        body["reply_markup"] = json!(keyboard);
    }
    body
}

fn button(words: String, press: &Press) -> InlineKeyboardButton {
    InlineKeyboardButton::callback(words, press.data())
}

fn presets(lang: Lang, press: fn(Preset) -> Press) -> InlineKeyboardMarkup {
    InlineKeyboardMarkup::new([Preset::ALL.map(|preset| button(text::preset(lang, preset), &press(preset)))])
}

pub(super) fn cancel_keyboard(lang: Lang, job: JobId) -> InlineKeyboardMarkup {
    InlineKeyboardMarkup::new([[button(text::say(lang, "button-cancel"), &Press::Cancel(job))]])
}

pub(super) fn retry_keyboard(lang: Lang, job: JobId) -> InlineKeyboardMarkup {
    InlineKeyboardMarkup::new([[button(text::say(lang, "button-retry"), &Press::Retry(job))]])
}

fn settings_keyboard(lang: Lang) -> InlineKeyboardMarkup {
    let mut defaults = vec![button(text::say(lang, "settings-ask"), &Press::Default(None))];
    defaults.extend(Preset::ALL.map(|preset| button(text::preset(lang, preset), &Press::Default(Some(preset)))));
    let languages = [
        ("settings-auto", None),
        ("settings-en", Some(Lang::En)),
        ("settings-ru", Some(Lang::Ru)),
    ]
    .map(|(key, language)| button(text::say(lang, key), &Press::Language(language)));
    InlineKeyboardMarkup::new([defaults, languages.to_vec()])
}
