//! Handlers: record in the store, answer in the chat, never wait for work.
//!
//! A handler may run twice for one update (the process died before it was marked): the store knows the update by its
//! number, so the second run finds its work done.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use teloxide::types::InlineKeyboardMarkup;

use super::access::{Access, Verdict};
use super::api::Api;
use super::errors::{CallError, classify};
use super::intake::{Command, Intake, Sender};
use super::keyboard::{self, message_body, reply_to};
use super::text;
use super::wish::Reading;
use crate::courier::{CourierError, Notice};
use crate::job::{ChatId, Job, JobId, Lang, MessageId, Origin, Reason, Request, Source, Status, Wish};
use crate::media::ENGINE_VERSION;
use crate::store::{CancelAnswer, Enqueued, QueueLimits, Store, StoreError};

/// Cards of one person that may wait for a choice.
const CARDS_MAX: usize = 10;

/// Where a conversation stands; kept in the store.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum Dialogue {
    /// Nothing is open.
    #[default]
    Idle,
    /// It was chosen what to make, the file is to come.
    WaitingForVideo {
        wish: Wish,
        /// Files that came before and still wait for a choice.
        #[serde(default)]
        cards: Vec<Card>,
    },
    /// Files came, their presets are to be chosen.
    Choosing { cards: Vec<Card> },
}

impl Dialogue {
    pub(super) fn cards(self) -> Vec<Card> {
        match self {
            Self::Idle => Vec::new(),
            Self::WaitingForVideo { cards, .. } | Self::Choosing { cards } => cards,
        }
    }

    /// What was chosen for the file to come.
    pub(super) fn waiting(&self) -> Option<Wish> {
        match self {
            Self::WaitingForVideo { wish, .. } => Some(*wish),
            Self::Idle | Self::Choosing { .. } => None,
        }
    }

    /// The same choice for the file to come, with these cards.
    pub(super) fn with(waiting: Option<Wish>, cards: Vec<Card>) -> Self {
        match waiting {
            Some(wish) => Self::WaitingForVideo { wish, cards },
            None => Self::of_cards(cards),
        }
    }

    /// What is left when a choice was made.
    pub(super) fn of_cards(cards: Vec<Card>) -> Self {
        if cards.is_empty() {
            Self::Idle
        } else {
            Self::Choosing { cards }
        }
    }
}

/// A file that waits for a choice.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Card {
    pub(super) card: MessageId,
    pub(super) message: MessageId,
    pub(super) source: Source,
    /// The update that asked: a second delivery of it asks no second time.
    #[serde(default)]
    pub(super) update_id: i64,
}

/// What a person set.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Settings {
    /// What to do without asking; `None` asks.
    pub(super) default: Option<Wish>,
    /// `None` follows Telegram.
    pub(super) language: Option<Lang>,
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
}

/// One conversation while one update is handled.
pub(super) struct Talk<'a, S> {
    pub(super) desk: &'a Desk<S>,
    pub(super) sender: Sender,
    pub(super) settings: Settings,
    pub(super) lang: Lang,
    pub(super) update_id: i64,
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
        let standing = self.store.standing(sender.user).await?;
        let verdict = self.access.decide(&sender, standing);
        let talk = Talk {
            desk: self,
            sender,
            settings,
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
    async fn edit_in(
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

    pub(super) async fn dialogue(&self) -> Result<Dialogue, HandlerError> {
        let state = self.desk.store.dialogue(self.sender.chat, self.sender.user).await?;
        Ok(state
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default())
    }

    pub(super) async fn set_dialogue(&self, dialogue: &Dialogue) -> Handled {
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
        self.say(&text::say(self.lang, "start"), Some(keyboard::next(self.lang)))
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
            Command::Cancel(None) => self.cancel_all().await,
            Command::Cancel(Some(job)) => self.cancel_one(job).await,
            Command::Convert => self.say(&text::say(self.lang, "convert-what"), None).await.map(drop),
            Command::Auto(wish) => self.auto(wish).await,
            Command::Info => self.info_of_last().await,
            Command::Again => self.again().await,
            Command::ForgetMe => self.forget_me().await,
            Command::Stats
            | Command::Jobs
            | Command::Ban(_)
            | Command::Allow(_)
            | Command::Drain(_)
            | Command::Quarantine { .. } => self.administer(command).await,
            Command::Queue => self.queue().await,
            Command::Settings => self
                .say(&self.settings_words(), Some(keyboard::settings(self.lang)))
                .await
                .map(drop),
        }
    }

    /// A file: what was said with it, what was chosen before, the default of the person's settings, or a question.
    pub(super) async fn file(&self, source: Source, said: Reading) -> Handled {
        let message = self.sender.message;
        let dialogue = self.dialogue().await?;
        let mut refused = None;
        let wish = match (said, &dialogue) {
            (Reading::Wrong { given, fault }, _) => {
                refused = Some(text::fault(self.lang, fault, given));
                None
            }
            (Reading::Wish(wish), _) => Some(wish),
            (Reading::Other, Dialogue::WaitingForVideo { wish, .. }) => Some(*wish),
            (Reading::Other, _) => self.settings.default,
        };
        if let Some(wish) = wish {
            let answer = self.ask(source, message, wish).await?;
            // The choice is used up only when the store has the job: a crash in between asks nothing twice.
            if matches!(dialogue, Dialogue::WaitingForVideo { .. }) && self.refusal(&answer).await?.is_none() {
                self.set_dialogue(&Dialogue::of_cards(dialogue.cards())).await?;
            }
            return self.answer(answer, message, None).await;
        }
        let waiting = dialogue.waiting();
        let mut cards = dialogue.cards();
        if let Some(place) = cards.iter().position(|card| card.message == message) {
            if cards[place].update_id == self.update_id {
                return Ok(());
            }
            // Asked again, it is asked where its reader looks now.
            let old = cards.remove(place);
            let body = json!({ "chat_id": self.sender.chat.0, "message_id": old.card.0 });
            if let Err(error) = self.desk.api.call_patiently("deleteMessage", &body).await {
                tracing::debug!(?error, "an old question stays");
            }
        }
        // Words that cannot be followed lose nobody the file: the buttons are under the refusal.
        let card = match refused {
            Some(words) => self.card_saying(&words, source, message).await?,
            None => self.card(source, message).await?,
        };
        cards.push(card);
        let excess = cards.len().saturating_sub(CARDS_MAX);
        cards.drain(..excess);
        self.set_dialogue(&Dialogue::with(waiting, cards)).await
    }

    /// Asks what shall become of a file.
    pub(super) async fn card(&self, source: Source, message: MessageId) -> Result<Card, HandlerError> {
        let words = match text::about(self.lang, &source) {
            Some(about) => text::tell(self.lang, "choose-about", &[("about", about.into())]),
            None => text::say(self.lang, "choose"),
        };
        self.card_saying(&words, source, message).await
    }

    async fn card_saying(&self, words: &str, source: Source, message: MessageId) -> Result<Card, HandlerError> {
        let card = self
            .reply(message, words, Some(keyboard::choices(self.lang, false)))
            .await?;
        Ok(Card {
            card,
            message,
            source,
            update_id: self.update_id,
        })
    }

    pub(super) fn is_admin(&self) -> bool {
        self.desk.access.is_admin(self.sender.user)
    }

    /// The newest file of this person in this chat once more, if it is still known.
    async fn again(&self) -> Handled {
        let last = self.desk.store.last_job(self.sender.chat, self.sender.user).await?;
        match last {
            None => self.say(&text::say(self.lang, "again-none"), None).await.map(drop),
            Some(job) => {
                let Request { origin, source, wish } = job.request;
                let answer = self.ask(source, origin.message, wish).await?;
                self.answer(answer, origin.message, None).await
            }
        }
    }

    async fn forget_me(&self) -> Handled {
        for card in self.dialogue().await?.cards() {
            self.edit(card.card, &text::say(self.lang, "canceled"), None).await?;
        }
        for job in self.desk.store.forget(self.sender.user).await? {
            self.show_canceled(CancelAnswer::Canceled(job), None).await?;
        }
        self.say(&text::say(self.lang, "forgotten"), None).await.map(drop)
    }

    async fn cancel_one(&self, job: JobId) -> Handled {
        let answer = self.desk.store.cancel(job, Some(self.sender.user)).await?;
        let words = match &answer {
            CancelAnswer::Canceled(_) | CancelAnswer::Asked(_) => {
                text::tell(self.lang, "cancel-all", &[("count", 1_u32.into())])
            }
            CancelAnswer::AlreadyOver(_) | CancelAnswer::NotYours => text::say(self.lang, "cancel-none"),
        };
        self.show_canceled(answer, None).await?;
        self.say(&words, None).await.map(drop)
    }

    /// Asks the store for a job.
    pub(super) async fn ask(&self, source: Source, message: MessageId, wish: Wish) -> Result<Enqueued, HandlerError> {
        let sender = &self.sender;
        let origin = Origin {
            chat: sender.chat,
            user: sender.user,
            message,
            group: sender.group,
            lang: self.lang,
        };
        let request = Request { origin, source, wish };
        let answer = self
            .desk
            .store
            .enqueue(self.update_id, request, self.desk.limits, ENGINE_VERSION)
            .await?;
        Ok(answer)
    }

    /// Answers what the store said. `card` is a message of ours that becomes the status message.
    pub(super) async fn answer(&self, answer: Enqueued, message: MessageId, card: Option<MessageId>) -> Handled {
        if let Some(words) = self.refusal(&answer).await? {
            return self.reply(message, &words, None).await.map(drop);
        }
        match answer {
            Enqueued::New { job, position } => self.announce(&job, position, card).await,
            Enqueued::Cached { job } => {
                let words = text::say(self.lang, "cached");
                self.announce_words(&job, &words, card).await
            }
            Enqueued::Replayed { job } if job.status_message.is_none() && !job.status.is_terminal() => {
                let position = self.position(job.id).await?.unwrap_or(1);
                self.announce(&job, position, card).await
            }
            _ => Ok(()),
        }
    }

    /// Why there is no new job; `None` where there is one.
    pub(super) async fn refusal(&self, answer: &Enqueued) -> Result<Option<String>, HandlerError> {
        let tell = |key: &str, limit: u32| text::tell(self.lang, key, &[("limit", limit.into())]);
        Ok(match answer {
            Enqueued::New { .. } | Enqueued::Replayed { .. } | Enqueued::Cached { .. } => None,
            Enqueued::Duplicate { job } => Some(match self.position(job.id).await? {
                Some(position) => text::tell(self.lang, "duplicate-queued", &[("position", position.into())]),
                None => text::say(self.lang, "duplicate-running"),
            }),
            Enqueued::UserQueueFull { limit } => Some(tell("user-queue-full", *limit)),
            Enqueued::QueueFull { limit } => Some(tell("queue-full", *limit)),
            Enqueued::DayFull { limit, wait_s } => {
                let values = [("limit", (*limit).into()), ("hours", wait_s.div_ceil(3600).into())];
                Some(text::tell(self.lang, "day-full", &values))
            }
            Enqueued::Quarantined => Some(text::say(self.lang, "quarantined")),
        })
    }

    /// The place of a waiting job.
    async fn position(&self, job: JobId) -> Result<Option<u32>, HandlerError> {
        let queue = self.desk.store.queue(Some(self.sender.user)).await?;
        Ok(queue
            .iter()
            .find(|entry| entry.job.id == job)
            .and_then(|entry| entry.position))
    }

    async fn announce(&self, job: &Job, position: u32, card: Option<MessageId>) -> Handled {
        let words = text::notice(self.lang, &Notice::Queued { position });
        self.announce_words(job, &words, card).await
    }

    /// The status message: the card becomes it, or a new one is sent. First the words, then its number, for the courier
    /// edits it as soon as it has the number. Where we were so slow that the courier sent one of its own, ours goes.
    async fn announce_words(&self, job: &Job, words: &str, card: Option<MessageId>) -> Handled {
        let keyboard = || Some(keyboard::cancel(self.lang, job.id));
        let message = match card {
            Some(card) if self.edit(card, words, keyboard()).await? => card,
            _ => self.reply(job.request.origin.message, words, keyboard()).await?,
        };
        let now = self.desk.store.job(job.id).await?;
        if let Some(now) = &now
            && now.status_message.is_some_and(|other| other != message)
        {
            let body = json!({ "chat_id": self.sender.chat.0, "message_id": message.0 });
            self.desk.api.call_patiently("deleteMessage", &body).await?;
            return Ok(());
        }
        self.desk.store.set_status_message(job.id, message).await?;
        // Cancel overtakes: its word may have come before ours.
        if now.is_some_and(|job| job.status == Status::Canceled) {
            self.edit(message, &text::say(self.lang, "canceled"), None).await?;
        }
        Ok(())
    }

    async fn queue(&self) -> Handled {
        let entries = self.desk.store.queue(Some(self.sender.user)).await?;
        if entries.is_empty() {
            return self.say(&text::say(self.lang, "queue-empty"), None).await.map(drop);
        }
        let mut lines = vec![text::say(self.lang, "queue-title")];
        for entry in entries {
            let preset = ("preset", text::wish(self.lang, entry.job.request.wish).into());
            let job = ("job", entry.job.id.0.to_string().into());
            lines.push(match entry.position {
                None => text::tell(self.lang, "queue-running", &[preset, job]),
                Some(position) => text::tell(
                    self.lang,
                    "queue-waiting",
                    &[preset, job, ("position", position.into())],
                ),
            });
        }
        self.say(&lines.join("\n"), None).await.map(drop)
    }

    /// Ends the person's jobs and open questions.
    async fn cancel_all(&self) -> Handled {
        let dialogue = self.dialogue().await?;
        let was_open = !matches!(dialogue, Dialogue::Idle);
        self.set_dialogue(&Dialogue::Idle).await?;
        for card in dialogue.cards() {
            self.edit(card.card, &text::say(self.lang, "canceled"), None).await?;
        }
        let mut count = 0_u32;
        for entry in self.desk.store.queue(Some(self.sender.user)).await? {
            let answer = self.desk.store.cancel(entry.job.id, Some(self.sender.user)).await?;
            let ended = matches!(answer, CancelAnswer::Canceled(_) | CancelAnswer::Asked(_));
            count += u32::from(ended);
            self.show_canceled(answer, None).await?;
        }
        let words = match count {
            0 if was_open => text::say(self.lang, "cancel-choice"),
            0 => text::say(self.lang, "cancel-none"),
            count => text::tell(self.lang, "cancel-all", &[("count", count.into())]),
        };
        self.say(&words, None).await.map(drop)
    }

    /// A waiting job ends here; of a running one its worker tells. `pressed` is the message with the button.
    pub(super) async fn show_canceled(&self, answer: CancelAnswer, pressed: Option<MessageId>) -> Handled {
        if let CancelAnswer::Canceled(job) = answer
            && let Some(message) = job.status_message.or(pressed)
        {
            let origin = &job.request.origin;
            let words = text::say(origin.lang, "canceled");
            self.edit_in(origin.chat, message, &words, None).await?;
        }
        Ok(())
    }

    pub(super) fn settings_words(&self) -> String {
        let default = match self.settings.default {
            None => text::say(self.lang, "settings-ask"),
            Some(wish) => text::wish(self.lang, wish),
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
