//! Handlers of buttons. A press is answered right after the store was asked, before messages are edited; one that
//! comes too early for the queue leaves its buttons where they are. One press may arrive twice as two updates: the
//! second changes nothing.

use serde_json::json;

use super::cards::{Dialogue, Item};
use super::dialogue::{Handled, HandlerError, Settings, Talk};
use super::intake::Press;
use super::{keyboard, looks, text};
use crate::job::{Job, JobId, Request, Wish};
use crate::store::{CancelAnswer, Enqueued, Store};

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
            Some(Press::Default(default)) => self.set(query, |settings| Settings { default, ..settings }).await?,
            Some(Press::Language(language)) => self.set(query, |settings| Settings { language, ..settings }).await?,
        }
        Ok(())
    }

    pub(super) async fn alert(&self, query: &str, key: &str) {
        self.answer_press(query, Some(&text::say(self.lang, key))).await;
    }

    /// Ends the spinner on a button, with words where there are any.
    pub(super) async fn answer_press(&self, query: &str, words: Option<&str>) {
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

    /// The other choices of one's own card, with what they would do where it is known.
    async fn more(&self, query: &str, more: bool) -> Handled {
        let dialogue = self.dialogue().await?;
        let waiting = dialogue.waiting();
        let mut cards = dialogue.cards();
        let Some(card) = cards.iter_mut().find(|card| card.card == self.sender.message) else {
            self.alert(query, self.no_card()).await;
            return Ok(());
        };
        card.more = more;
        let card = card.clone();
        self.set_dialogue(&Dialogue::with(waiting, cards)).await?;
        self.answer_press(query, None).await;
        let keys = keyboard::choices(self.lang, more);
        if let (Some(seen), false) = (self.seen(&card.items).await, card.refused) {
            let words = looks::words(self.lang, &card.items[0].source, &seen, more);
            return self.edit(card.card, &words, Some(keys)).await.map(drop);
        }
        let body = json!({
            "chat_id": self.sender.chat.0,
            "message_id": card.card.0,
            "reply_markup": keys,
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
        let items = self.files_of(&job).await?;
        // Pressed twice it asks once.
        let is_asked = |message| {
            dialogue
                .clone()
                .cards()
                .iter()
                .any(|card| card.items[0].message == message)
        };
        match items.first() {
            Some(first) if !is_asked(first.message) => self.ask_again(items, dialogue).await,
            _ => Ok(()),
        }
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
        let key = card.batch_key();
        if self.do_pressed(query, &card.items, key, wish).await? {
            self.set_dialogue(&Dialogue::with(waiting, cards)).await?;
        }
        Ok(())
    }

    /// Makes the pressed message the status message of a new job, or says in its place why there is none. False where
    /// its buttons stay.
    async fn do_pressed(
        &self,
        query: &str,
        items: &[Item],
        key: Option<String>,
        wish: Wish,
    ) -> Result<bool, HandlerError> {
        let asked = self.ask_all(items, wish, key).await?;
        let first = asked.first();
        let refusal = self.refusal(first).await?;
        match (first, refusal) {
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
        self.answer_all(asked, items, Some(self.sender.message)).await?;
        Ok(true)
    }

    async fn is_own_job_message(&self) -> Result<bool, HandlerError> {
        let queue = self.desk.store.queue_of(self.sender.user).await?;
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
        let job = match self.own_job(job).await? {
            Ok(job) => job,
            Err(key) => {
                self.alert(query, key).await;
                return Ok(());
            }
        };
        let by = (!self.is_admin()).then_some(self.sender.user);
        let answers = self.cancel_with_batch(&job, by).await?;
        let is_ended = |answer: &CancelAnswer| matches!(answer, CancelAnswer::Canceled(_) | CancelAnswer::Asked(_));
        let ended = answers.iter().any(is_ended);
        self.alert(query, if ended { "alert-cancel" } else { "alert-over" })
            .await;
        // One word is enough for a message that all of them share.
        match answers
            .into_iter()
            .find(|answer| matches!(answer, CancelAnswer::Canceled(_)))
        {
            Some(answer) => self.show_canceled(answer, Some(self.sender.message)).await,
            None => Ok(()),
        }
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
                let Request {
                    origin, source, wish, ..
                } = job.request;
                let wish = if fit {
                    keyboard::fitting(wish, self.desk.send_bytes_max)
                } else {
                    wish
                };
                let items = [Item {
                    message: origin.message,
                    source,
                    update_id: self.update_id,
                }];
                self.do_pressed(query, &items, None, wish).await?;
            }
        }
        Ok(())
    }
}
