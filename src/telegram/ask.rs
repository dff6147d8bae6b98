//! From files and a wish to jobs, and the answer in chat: the status message, or why there is no job.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use super::cards::Item;
use super::dialogue::{Handled, HandlerError, Talk};
use super::{keyboard, text};
use crate::courier::Notice;
use crate::crash::point;
use crate::job::{Batch, ChatId, Job, JobId, MessageId, Origin, Request, Status, Wish};
use crate::media::ENGINE_VERSION;
use crate::store::{Enqueued, Store};

/// Albums that are remembered.
const ALBUMS_MAX: usize = 1_000;

/// Albums of which a file was refused already.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(Arc<Mutex<HashSet<(ChatId, String)>>>);

impl Told {
    fn is_first(&self, chat: ChatId, album: &str) -> bool {
        let mut albums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if albums.len() >= ALBUMS_MAX {
            albums.clear();
        }
        albums.insert((chat, album.to_owned()))
    }

    /// It did not arrive: it is said again.
    fn missed(&self, chat: ChatId, album: &str) {
        let mut albums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        albums.remove(&(chat, album.to_owned()));
    }
}

/// What the store said to each file.
pub(super) struct Asked(Vec<Enqueued>);

fn accepted(answer: &Enqueued) -> Option<&Job> {
    match answer {
        Enqueued::New { job, .. } | Enqueued::Cached { job } | Enqueued::Replayed { job } => Some(job),
        _ => None,
    }
}

impl Asked {
    /// Whether there is a job for any of them.
    pub(super) fn is_accepted(&self) -> bool {
        self.0.iter().any(|answer| accepted(answer).is_some())
    }

    /// The answer that stands for all: the first that is accepted, else the first.
    pub(super) fn first(&self) -> &Enqueued {
        self.0
            .iter()
            .find(|answer| accepted(answer).is_some())
            .unwrap_or(&self.0[0])
    }
}

impl<S: Store> Talk<'_, S> {
    /// Asks the store for a job for each file, which share a batch where they came together.
    pub(super) async fn ask_all(&self, items: &[Item], wish: Wish, key: Option<String>) -> Result<Asked, HandlerError> {
        let mut answers = Vec::new();
        for (place, item) in (0_u32..).zip(items) {
            let sender = &self.sender;
            let origin = Origin {
                chat: sender.chat,
                user: sender.user,
                message: item.message,
                group: sender.group,
                lang: self.lang,
            };
            let request = Request {
                origin,
                source: item.source.clone(),
                wish,
                batch: key.clone().map(|key| Batch { key, place }),
            };
            let limits = self.desk.limits;
            let store = &self.desk.store;
            answers.push(store.enqueue(self.update_id, request, limits, ENGINE_VERSION).await?);
        }
        point("enqueued");
        Ok(Asked(answers))
    }

    /// Answers what the store said. `card` is a message of ours that becomes the status message.
    pub(super) async fn answer_all(&self, asked: Asked, items: &[Item], card: Option<MessageId>) -> Handled {
        let is_accepted = asked.is_accepted();
        let place = asked
            .0
            .iter()
            .position(|answer| accepted(answer).is_some())
            .unwrap_or(0);
        for (at, (answer, item)) in asked.0.iter().zip(items).enumerate() {
            if at == place {
                self.answer(answer, item.message, card).await?;
                continue;
            }
            // One refusal is enough where it is the same for all; a file twice in a batch comes once.
            let is_told = !is_accepted || matches!(answer, Enqueued::Duplicate { .. });
            if let (false, Some(words)) = (is_told, self.refusal(answer).await?) {
                self.reply(item.message, &words, None).await?;
            }
        }
        Ok(())
    }

    async fn answer(&self, answer: &Enqueued, message: MessageId, card: Option<MessageId>) -> Handled {
        if let Some(words) = self.refusal(answer).await? {
            // Each file of an album comes by itself, and one refusal is enough for all.
            let album = self.sender.album.as_ref();
            if album.is_some_and(|album| !self.desk.told.is_first(self.sender.chat, album)) {
                return Ok(());
            }
            let replied = self.reply(message, &words, None).await;
            if let (Err(_), Some(album)) = (&replied, album) {
                self.desk.told.missed(self.sender.chat, album);
            }
            return replied.map(drop);
        }
        match answer {
            // The batch that it joined has its status message.
            Enqueued::New { job, .. } | Enqueued::Cached { job } if job.head() != job.id => Ok(()),
            Enqueued::New { job, position } => self.announce(job, *position, card).await,
            Enqueued::Cached { job } => {
                let words = text::say(self.lang, "cached");
                self.announce_words(job, &words, card).await
            }
            Enqueued::Replayed { job } if job.status_message.is_none() && !job.status.is_terminal() => {
                let position = self.position(job.id).await?.unwrap_or(1);
                self.announce(job, position, card).await
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
        let queue = self.desk.store.queue_of(self.sender.user).await?;
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
        let keyboard = || Some(keyboard::cancel(self.lang, job.head()));
        let message = match card {
            Some(card) if self.edit(card, words, keyboard()).await? => card,
            _ => self.reply(job.request.origin.message, words, keyboard()).await?,
        };
        point("announced");
        let now = self.desk.store.job(job.id).await?;
        if let Some(now) = &now
            && now.status_message.is_some_and(|other| other != message)
        {
            let body = json!({ "chat_id": self.sender.chat.0, "message_id": message.0 });
            self.desk.api.call_patiently("deleteMessage", &body).await?;
            return Ok(());
        }
        self.desk.store.set_status_message(job.id, message).await?;
        point("announcement-recorded");
        // Cancel overtakes: its word may have come before ours.
        if now.is_some_and(|job| job.status == Status::Canceled) {
            self.edit(message, &text::say(self.lang, "canceled"), None).await?;
        }
        Ok(())
    }
}
