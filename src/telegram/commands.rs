//! Handlers of commands that everybody may use.

use super::cards::{Dialogue, Item};
use super::dialogue::{Handled, HandlerError, Talk};
use super::intake::Command;
use super::{keyboard, text};
use crate::job::{Job, JobId, MessageId, Status, UserId};
use crate::store::{CancelAnswer, Store};

impl<S: Store> Talk<'_, S> {
    pub(super) async fn start(&self) -> Handled {
        self.say(&text::say(self.lang, "start"), Some(keyboard::next(self.lang)))
            .await
            .map(drop)
    }

    pub(super) async fn command(&self, command: Command) -> Handled {
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
            Command::Settings => self.show_settings().await,
        }
    }

    /// The newest file of this person in this chat once more, with those it came with, if it is still known.
    async fn again(&self) -> Handled {
        let last = self.desk.store.last_job(self.sender.chat, self.sender.user).await?;
        let Some(job) = last else {
            return self.say(&text::say(self.lang, "again-none"), None).await.map(drop);
        };
        let items = self.files_of(&job).await?;
        let asked = self.ask_all(&items, job.request.wish, self.new_key(&items)).await?;
        self.answer_all(asked, &items, None).await
    }

    /// The files of a job and of those it came with, as far as they are known.
    pub(super) async fn files_of(&self, job: &Job) -> Result<Vec<Item>, HandlerError> {
        let batch = match job.batch {
            Some(first) => self.desk.store.batch(first).await?,
            None => vec![job.clone()],
        };
        Ok(batch
            .into_iter()
            .filter(|job| !job.request.source.file_id.is_empty())
            .map(|job| Item {
                message: job.request.origin.message,
                source: job.request.source,
                update_id: self.update_id,
            })
            .collect())
    }

    /// The name of a batch that this update asks for; a file alone needs none.
    pub(super) fn new_key(&self, items: &[Item]) -> Option<String> {
        (items.len() > 1).then(|| format!("u{}", self.update_id))
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

    async fn queue(&self) -> Handled {
        let entries = self.desk.store.queue_of(self.sender.user).await?;
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
        for entry in self.desk.store.queue_of(self.sender.user).await? {
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

    /// A waiting job ends here; of a running one its worker tells, and of a batch whoever ends last. `pressed` is the
    /// message with the button.
    pub(super) async fn show_canceled(&self, answer: CancelAnswer, pressed: Option<MessageId>) -> Handled {
        let CancelAnswer::Canceled(job) = answer else {
            return Ok(());
        };
        if let Some(first) = job.batch {
            let batch = self.desk.store.batch(first).await?;
            if batch.iter().any(|job| !job.status.is_terminal()) {
                return Ok(());
            }
        }
        if let Some(message) = job.status_message.or(pressed) {
            let origin = &job.request.origin;
            let words = text::say(origin.lang, "canceled");
            self.edit_in(origin.chat, message, &words, None).await?;
        }
        Ok(())
    }

    /// Ends a job and those it came with, the waiting ones first: the last word is that of the running one.
    pub(super) async fn cancel_with_batch(
        &self,
        job: &Job,
        by: Option<UserId>,
    ) -> Result<Vec<CancelAnswer>, HandlerError> {
        let mut batch = match job.batch {
            Some(first) => self.desk.store.batch(first).await?,
            None => vec![job.clone()],
        };
        batch.sort_by_key(|job| job.status == Status::Running);
        let mut answers = Vec::new();
        for job in batch {
            answers.push(self.desk.store.cancel(job.id, by).await?);
        }
        Ok(answers)
    }
}
