//! When an edit may go out. Pure: the clock is an argument.
//!
//! Sends and edits share a chat's limit of about one a second, in groups of 20 a minute. So one message is edited at most
//! every 3 s (groups 6 s), one chat at most every 1 s (groups 3 s) whatever the number of its jobs, and a flood answer
//! silences progress in the whole chat. What is not due is dropped, never queued.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::job::{ChatId, Job, JobId};

const MESSAGE_REST: Duration = Duration::from_secs(3);
const MESSAGE_REST_GROUP: Duration = Duration::from_secs(6);
const CHAT_REST: Duration = Duration::from_secs(1);
/// Clients show an action for 5 s at most (Bot API).
const ACTION_REST: Duration = Duration::from_millis(4_500);
const CHAT_REST_GROUP: Duration = Duration::from_secs(3);
/// The handler that accepted a job is about to send its status message: so long nobody else sends one.
pub(super) const HANDLER_GRACE: Duration = Duration::from_secs(5);
/// Chats kept in mind; the quiet ones are forgotten beyond.
const CHATS_MAX: usize = 1_000;

/// What was shown when.
#[derive(Debug, Default)]
pub struct Pace {
    jobs: HashMap<JobId, Shown>,
    quiet_until: HashMap<ChatId, Instant>,
    acted: HashMap<ChatId, Instant>,
}

#[derive(Debug)]
struct Shown {
    first_seen: Instant,
    words: String,
    quiet_until: Instant,
}

impl Pace {
    /// Whether these words about this job may go out now: they are new, and message and chat had their rest.
    pub fn is_due(&mut self, job: &Job, words: &str, now: Instant) -> bool {
        let chat_rests = self
            .quiet_until
            .get(&job.request.origin.chat)
            .is_some_and(|until| now < *until);
        let shown = self.seen(job.head(), now);
        !chat_rests && now >= shown.quiet_until && shown.words != words
    }

    /// Whether the job is so fresh that its status message may be on its way.
    pub fn is_fresh(&mut self, job: &Job, now: Instant) -> bool {
        now < self.seen(job.head(), now).first_seen + HANDLER_GRACE
    }

    /// These words go out now.
    pub fn note(&mut self, job: &Job, words: &str, now: Instant) {
        let (message_rest, chat_rest) = if job.request.origin.group {
            (MESSAGE_REST_GROUP, CHAT_REST_GROUP)
        } else {
            (MESSAGE_REST, CHAT_REST)
        };
        let shown = self.seen(job.head(), now);
        words.clone_into(&mut shown.words);
        shown.quiet_until = now + message_rest;
        self.silence(job.request.origin.chat, chat_rest, now);
    }

    /// Whether the chat may be shown now that work is going on; it is taken as shown.
    pub fn takes_action(&mut self, chat: ChatId, now: Instant) -> bool {
        if self.acted.len() >= CHATS_MAX {
            self.acted.retain(|_, last| now < *last + ACTION_REST);
        }
        let is_silenced = self
            .quiet_until
            .get(&chat)
            .is_some_and(|until| *until > now + CHAT_REST_GROUP);
        let is_shown = self.acted.get(&chat).is_some_and(|last| now < *last + ACTION_REST);
        if is_silenced || is_shown {
            return false;
        }
        self.acted.insert(chat, now);
        true
    }

    /// They did not arrive: the same words may go out again.
    pub fn missed(&mut self, job: &Job) {
        if let Some(shown) = self.jobs.get_mut(&job.head()) {
            shown.words.clear();
        }
    }

    /// The platform wants silence in this chat.
    pub fn silence(&mut self, chat: ChatId, wait: Duration, now: Instant) {
        if self.quiet_until.len() >= CHATS_MAX {
            self.quiet_until.retain(|_, until| *until > now);
        }
        let until = self.quiet_until.entry(chat).or_insert(now);
        *until = (*until).max(now + wait);
    }

    /// The job is over.
    pub fn forget(&mut self, job: JobId) {
        self.jobs.remove(&job);
    }

    fn seen(&mut self, job: JobId, now: Instant) -> &mut Shown {
        self.jobs.entry(job).or_insert_with(|| Shown {
            first_seen: now,
            words: String::new(),
            quiet_until: now,
        })
    }
}
