//! Handlers of buttons. A press is answered right after the store was asked, before messages are edited; one that
//! comes too early for the queue leaves its buttons where they are. One press may arrive twice as two updates: the
//! second changes nothing.

use serde_json::json;

use super::dialogue::{Dialogue, Handled, HandlerError, Settings, Talk};
use super::intake::Press;
use super::{keyboard, text};
use crate::job::{Job, JobId, MessageId, Request, Source, Wish};
use crate::store::{CancelAnswer, Enqueued, Store, StoreError};

/// A press is worth an answer for seconds only.
const ANSWER_S: u64 = 5;
/// Longer answers to a press need a window: a toast would cut them.
const TOAST_CHARS_MAX: usize = 60;

impl<S: Store> Talk<'_, S> {
    pub(super) async fn press(&self, query: &str, press: Option<Press>) -> Handled {
        match press {
            None => self.alert(query, "alert-expired").await,
            Some(Press::Next(wish)) => self.next(query, wish).await?,
            Some(Press::Choose(wish)) => self.choose(query, wish).await?,
            Some(Press::More(more)) => self.more(query, more).await?,
            Some(Press::Redo(job)) => self.redo(query, job).await?,
            Some(Press::Fit(job)) => self.retry(query, job, true).await?,
            Some(Press::Cancel(job)) => self.cancel(query, job).await?,
            Some(Press::Retry(job)) => self.retry(query, job, false).await?,
            Some(Press::Default(default)) => {
                let settings = Settings {
                    default,
                    ..self.settings
                };
                self.set(query, settings).await?;
            }
            Some(Press::Language(language)) => {
                let settings = Settings {
                    language,
                    ..self.settings
                };
                self.set(query, settings).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn alert(&self, query: &str, key: &str) {
        self.answer_press(query, Some(&text::say(self.lang, key))).await;
    }

    /// Ends the spinner on a button, with words where there are any.
    async fn answer_press(&self, query: &str, words: Option<&str>) {
        let mut body = json!({ "callback_query_id": query });
        if let Some(words) = words {
            body["text"] = json!(words);
            body["show_alert"] = json!(words.chars().count() > TOAST_CHARS_MAX);
        }
        // Too late or twice: nobody waits for the answer any more.
        let _ = self.desk.api.call("answerCallbackQuery", &body, ANSWER_S).await;
    }

    async fn next(&self, query: &str, wish: Wish) -> Handled {
        let cards = self.dialogue().await?.cards();
        self.set_dialogue(&Dialogue::WaitingForVideo { wish, cards }).await?;
        self.answer_press(query, None).await;
        let name = text::wish(self.lang, wish);
        self.say(&text::tell(self.lang, "waiting", &[("preset", name.into())]), None)
            .await
            .map(drop)
    }

    /// Why a card cannot be pressed: in a group it is somebody else's.
    fn no_card(&self) -> &'static str {
        if self.sender.group {
            "alert-not-yours"
        } else {
            "alert-expired"
        }
    }

    /// The other choices of one's own card.
    async fn more(&self, query: &str, more: bool) -> Handled {
        let cards = self.dialogue().await?.cards();
        let Some(card) = cards.into_iter().find(|card| card.card == self.sender.message) else {
            self.alert(query, self.no_card()).await;
            return Ok(());
        };
        self.answer_press(query, None).await;
        let body = json!({
            "chat_id": self.sender.chat.0,
            "message_id": card.card.0,
            "reply_markup": keyboard::choices(self.lang, more),
        });
        match self.desk.api.call_patiently("editMessageReplyMarkup", &body).await {
            Err(error) if !error.is_not_modified() && !error.is_message_gone() => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// A card for the source of a job that is over, as long as the source is known.
    async fn redo(&self, query: &str, job: JobId) -> Handled {
        let job = match self.own_job(job).await? {
            Ok(job) if job.request.source.file_id.is_empty() => Err("alert-expired"),
            found => found,
        };
        let job = match job {
            Ok(job) => job,
            Err(key) => {
                self.alert(query, key).await;
                return Ok(());
            }
        };
        self.answer_press(query, None).await;
        let dialogue = self.dialogue().await?;
        let waiting = dialogue.waiting();
        let mut cards = dialogue.cards();
        let Request { origin, source, .. } = job.request;
        // Pressed twice it asks once.
        if !cards.iter().any(|card| card.message == origin.message) {
            let card = self.card(source, origin.message).await?;
            cards.push(card);
            self.set_dialogue(&Dialogue::with(waiting, cards)).await?;
        }
        Ok(())
    }

    async fn choose(&self, query: &str, wish: Wish) -> Handled {
        let dialogue = self.dialogue().await?;
        let waiting = dialogue.waiting();
        let mut cards = dialogue.cards();
        let Some(place) = cards.iter().position(|card| card.card == self.sender.message) else {
            // The second half of a double press, or somebody else's card.
            if self.is_own_job_message().await? {
                self.answer_press(query, None).await;
            } else {
                self.alert(query, self.no_card()).await;
            }
            return Ok(());
        };
        let card = cards.remove(place);
        if self.do_pressed(query, card.source, card.message, wish).await? {
            self.set_dialogue(&Dialogue::with(waiting, cards)).await?;
        }
        Ok(())
    }

    /// Makes the pressed message the status message of a new job, or says in its place why there is none. False where
    /// its buttons stay.
    async fn do_pressed(
        &self,
        query: &str,
        source: Source,
        message: MessageId,
        wish: Wish,
    ) -> Result<bool, HandlerError> {
        let answer = self.ask(source, message, wish).await?;
        let refusal = self.refusal(&answer).await?;
        match (&answer, refusal) {
            (_, None) => {}
            (Enqueued::Duplicate { job }, _) if job.status_message == Some(self.sender.message) => {
                self.answer_press(query, None).await;
                return Ok(false);
            }
            // Room in the queue comes by itself: the same button works later.
            (Enqueued::UserQueueFull { .. } | Enqueued::QueueFull { .. } | Enqueued::DayFull { .. }, Some(words)) => {
                self.answer_press(query, Some(&words)).await;
                return Ok(false);
            }
            (_, Some(words)) => {
                self.answer_press(query, None).await;
                self.edit(self.sender.message, &words, None).await?;
                return Ok(true);
            }
        }
        self.answer_press(query, None).await;
        self.answer(answer, message, Some(self.sender.message)).await?;
        Ok(true)
    }

    async fn is_own_job_message(&self) -> Result<bool, HandlerError> {
        let queue = self.desk.store.queue(Some(self.sender.user)).await?;
        Ok(queue
            .iter()
            .any(|entry| entry.job.status_message == Some(self.sender.message)))
    }

    /// A job of the presser's, or any for an admin, else the key of the answer.
    async fn own_job(&self, job: JobId) -> Result<Result<Job, &'static str>, HandlerError> {
        Ok(match self.desk.store.job(job).await? {
            None => Err("alert-expired"),
            Some(job) if job.request.origin.user != self.sender.user && !self.is_admin() => Err("alert-not-yours"),
            Some(job) => Ok(job),
        })
    }

    async fn cancel(&self, query: &str, job: JobId) -> Handled {
        if let Err(key) = self.own_job(job).await? {
            self.alert(query, key).await;
            return Ok(());
        }
        let by = (!self.is_admin()).then_some(self.sender.user);
        let answer = self.desk.store.cancel(job, by).await?;
        let key = match &answer {
            CancelAnswer::Canceled(_) | CancelAnswer::Asked(_) => "alert-cancel",
            CancelAnswer::AlreadyOver(_) | CancelAnswer::NotYours => "alert-over",
        };
        self.alert(query, key).await;
        self.show_canceled(answer, Some(self.sender.message)).await
    }

    /// Once more; `fit` in as many bytes as the chat takes.
    async fn retry(&self, query: &str, job: JobId, fit: bool) -> Handled {
        let job = match self.own_job(job).await? {
            // After a while the store forgets what would fetch the file.
            Ok(job) if job.request.source.file_id.is_empty() => Err("alert-expired"),
            found => found,
        };
        match job {
            Err(key) => self.alert(query, key).await,
            Ok(job) => {
                let Request { origin, source, wish } = job.request;
                let wish = if fit {
                    keyboard::fitting(wish, self.desk.send_bytes_max)
                } else {
                    wish
                };
                self.do_pressed(query, source, origin.message, wish).await?;
            }
        }
        Ok(())
    }

    async fn set(&self, query: &str, settings: Settings) -> Handled {
        let text = serde_json::to_string(&settings).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        self.desk.store.set_settings(self.sender.user, text).await?;
        self.answer_press(query, None).await;
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
        let words = talk.settings_words();
        talk.edit(self.sender.message, &words, Some(keyboard::settings(lang)))
            .await
            .map(drop)
    }
}
