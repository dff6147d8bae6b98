//! The operators' commands, and the words for those who are not served.

use super::access::Verdict;
use super::dialogue::{Handled, HandlerError, Talk};
use super::intake::{Command, Intake};
use super::text::{self, Value};
use crate::job::UserId;
use crate::store::{Standing, Store};

/// Jobs in one listing: a message has 4096 characters.
const LISTED_MAX: u32 = 30;

impl<S: Store> Talk<'_, S> {
    /// Who is not served is told so once they ask, in private or on a button; a group is not disturbed.
    pub(super) async fn turn_away(&self, verdict: Verdict, intake: Intake) -> Handled {
        let key = if verdict == Verdict::Banned {
            "not-served-banned"
        } else {
            "not-served"
        };
        match intake {
            Intake::Press { query, .. } => {
                self.alert(&query, "alert-not-served").await;
                Ok(())
            }
            Intake::Ignore => Ok(()),
            _ if self.sender.group => Ok(()),
            _ => {
                let id = ("id", self.sender.user.0.to_string().into());
                self.say(&text::tell(self.lang, key, &[id]), None).await.map(drop)
            }
        }
    }

    pub(super) async fn administer(&self, command: Command) -> Handled {
        if !self.is_admin() {
            return self.say(&text::say(self.lang, "admin-only"), None).await.map(drop);
        }
        let words = match command {
            Command::Stats => self.stats().await?,
            Command::Jobs => self.jobs().await?,
            Command::Ban(user) => self.decide(user, Standing::Banned, "admin-banned").await?,
            Command::Allow(user) => self.decide(user, Standing::Allowed, "admin-allowed").await?,
            Command::Drain(draining) => {
                self.desk.store.set_draining(draining).await?;
                text::say(self.lang, if draining { "admin-drain" } else { "admin-drain-off" })
            }
            Command::Quarantine { lift: true } => {
                let count = self.desk.store.lift_quarantine().await?;
                text::tell(self.lang, "admin-lifted", &[("count", count.into())])
            }
            Command::Quarantine { lift: false } => {
                let count = self.desk.store.totals().await?.quarantined;
                text::tell(self.lang, "admin-quarantined", &[("count", count.into())])
            }
            _ => return Ok(()),
        };
        self.say(&words, None).await.map(drop)
    }

    async fn stats(&self) -> Result<String, HandlerError> {
        let totals = self.desk.store.totals().await?;
        let mut values: Vec<(&'static str, Value)> = vec![
            ("running", totals.running.into()),
            ("queued", totals.queued.into()),
            ("succeeded", totals.succeeded.into()),
            ("failed", totals.failed.into()),
            ("canceled", totals.canceled.into()),
            ("users", totals.users.into()),
            ("quarantined", totals.quarantined.into()),
        ];
        values.push(("version", env!("CARGO_PKG_VERSION").to_owned().into()));
        let mut words = text::tell(self.lang, "admin-stats", &values);
        if totals.draining {
            words.push('\n');
            words.push_str(&text::say(self.lang, "admin-drain"));
        }
        Ok(words)
    }

    async fn jobs(&self) -> Result<String, HandlerError> {
        let entries = self.desk.store.queue(LISTED_MAX).await?;
        if entries.is_empty() {
            return Ok(text::say(self.lang, "admin-no-jobs"));
        }
        let lines = entries.iter().take(LISTED_MAX as usize).map(|entry| {
            let job = &entry.job;
            let values = [
                ("job", job.id.0.to_string().into()),
                ("user", job.request.origin.user.0.to_string().into()),
                ("preset", text::wish(self.lang, job.request.wish).into()),
                ("position", entry.position.unwrap_or(0).into()),
                ("attempt", job.attempt.into()),
            ];
            let key = if entry.position.is_some() {
                "admin-job-waiting"
            } else {
                "admin-job-running"
            };
            text::tell(self.lang, key, &values)
        });
        let mut lines: Vec<String> = lines.collect();
        let totals = self.desk.store.totals().await?;
        let more = (totals.running + totals.queued).saturating_sub(lines.len() as u64);
        if more > 0 {
            lines.push(text::tell(self.lang, "admin-jobs-more", &[("count", more.into())]));
        }
        Ok(lines.join("\n"))
    }

    async fn decide(&self, user: Option<UserId>, standing: Standing, key: &str) -> Result<String, HandlerError> {
        let Some(user) = user else {
            return Ok(text::say(self.lang, "admin-who"));
        };
        self.desk.store.set_standing(user, Some(standing)).await?;
        Ok(text::tell(self.lang, key, &[("id", user.0.to_string().into())]))
    }
}
