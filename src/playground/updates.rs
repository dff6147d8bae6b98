//! Updates for the bot, however it takes them, and what is remembered of all calls.

use std::time::Instant;

use serde_json::{Value, json};

use super::message::{Call, Counts, Delivery, Poll};
use super::params::Params;
use super::people::CALLBACK_KEPT;
use super::world::{Refusal, World};

const CALLS_MAX: usize = 100_000;

impl World {
    pub(super) fn push_update(&mut self, kind: &str, body: &Value) {
        if !self.allowed.is_empty() && !self.allowed.iter().any(|allowed| allowed == kind) {
            return;
        }
        self.update_next += 1;
        let update = json!({ "update_id": self.update_next, kind: body });
        self.updates.push_back((Instant::now(), update));
    }

    /// Takes note of the kinds of updates that are wanted, where a call says so.
    pub(super) fn allow(&mut self, params: &Params) {
        if let Value::Array(kinds) = params.object("allowed_updates") {
            self.allowed = kinds
                .iter()
                .filter_map(|kind| Some(kind.as_str()?.to_owned()))
                .collect();
        }
    }

    /// Confirms all updates before `offset`; a negative one keeps so many of the last.
    pub(super) fn confirm(&mut self, offset: i64) {
        if offset < 0 {
            let keep = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
            let gone = self.updates.len().saturating_sub(keep);
            self.updates.drain(..gone);
            return;
        }
        self.updates
            .retain(|(_, update)| update["update_id"].as_i64().unwrap_or(0) >= offset);
    }

    pub(super) fn pending(&mut self, limit: usize) -> Vec<Value> {
        self.updates
            .retain(|(born, update)| update.get("callback_query").is_none() || born.elapsed() < CALLBACK_KEPT);
        self.updates
            .iter()
            .take(limit)
            .map(|(_, update)| update.clone())
            .collect()
    }

    pub(super) fn pending_count(&self) -> usize {
        self.updates.len()
    }

    pub(super) fn record(&mut self, method: &str, params: Value, outcome: Result<(), &Refusal>) {
        if self.calls.len() >= CALLS_MAX {
            self.calls.pop_front();
        }
        self.calls.push_back(Call {
            method: method.to_owned(),
            status: outcome.err().map_or(200, |refused| refused.0),
            params,
            refusal: outcome.err().map(|refused| refused.1.clone()),
            at_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
    }

    pub(super) fn record_poll(&mut self, poll: Poll) {
        if self.polls.len() >= CALLS_MAX {
            self.polls.pop_front();
        }
        self.polls.push_back(poll);
    }

    pub(super) fn record_delivery(&mut self, delivery: Delivery) {
        if self.deliveries.len() >= CALLS_MAX {
            self.deliveries.pop_front();
        }
        self.deliveries.push_back(delivery);
    }

    pub(super) fn counts(&self, chat: i64) -> Counts {
        let mut counts = Counts::default();
        for message in self.chats.get(&chat).into_iter().flat_map(|chat| &chat.messages) {
            if message.from_bot {
                counts.messages += 1;
                counts.media += usize::from(message.media.is_some());
                counts.edits += message.edits;
                counts.deliveries.insert(message.id, message.deliveries);
            }
        }
        counts
    }
}
