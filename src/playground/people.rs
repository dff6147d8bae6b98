//! What people do: write, send files and albums, forward, press buttons; and what of it the bot hears.

use std::time::{Duration, Instant};

use serde_json::json;

use super::entities;
use super::message::Message;
use super::wire;
use super::world::{BOT_ID, BOT_NAME, Query, World, now_s};

/// The real server drops the update about a button that nobody fetched after so long.
pub(super) const CALLBACK_KEPT: Duration = Duration::from_secs(150);

impl World {
    /// A person's message takes its place in the chat; the bot hears of it where it may.
    pub(super) fn say(&mut self, chat: i64, mut draft: Message) -> Option<i64> {
        if !self.chats.contains_key(&chat) || !self.users.contains_key(&draft.from) {
            return None;
        }
        if draft.thread.is_none() {
            draft.thread = draft.reply_to.and_then(|id| self.message(chat, id)?.thread);
        }
        if draft.entities.is_empty() {
            draft.entities = entities::found(&draft.text);
        }
        let heard = self.heard(chat, &draft);
        let id = self.place(chat, draft);
        if heard && let Some(message) = self.message(chat, id) {
            let json = wire::message(self, chat, message);
            self.push_update("message", &json);
        }
        Some(id)
    }

    /// Several files as one album, in order; each is a message and an update of its own.
    pub(super) fn say_album(&mut self, chat: i64, drafts: Vec<Message>) -> Option<Vec<i64>> {
        let album = (drafts.len() > 1).then(|| self.number().to_string());
        let mut ids = Vec::new();
        for draft in drafts {
            let draft = Message {
                album: album.clone(),
                ..draft
            };
            ids.push(self.say(chat, draft)?);
        }
        Some(ids)
    }

    /// Privacy mode: in a group, commands for the bot, replies to it and mentions of it; an admin hears all.
    fn heard(&self, chat: i64, draft: &Message) -> bool {
        let group = self.chats.get(&chat).filter(|chat| chat.title.is_some());
        let Some(group) = group.filter(|group| !group.admins.contains(&BOT_ID)) else {
            return true;
        };
        if group.kicked {
            return false;
        }
        let mention = format!("@{BOT_NAME}");
        let command = draft
            .text
            .split_whitespace()
            .next()
            .filter(|word| word.starts_with('/'));
        let for_us = command.is_some_and(|word| !word.contains('@') || word.ends_with(&mention));
        let reply = draft.reply_to.and_then(|id| self.message(chat, id));
        for_us || draft.text.contains(&mention) || reply.is_some_and(|message| message.from_bot)
    }

    pub(super) fn place(&mut self, chat: i64, draft: Message) -> i64 {
        self.message_next += 1;
        let message = Message {
            id: self.message_next,
            date_s: now_s(),
            deliveries: u32::from(draft.from_bot && draft.media.is_some()),
            ..draft
        };
        let id = message.id;
        self.chats.entry(chat).or_default().messages.push(message);
        id
    }

    /// Forwards a message into a person's own chat or a group.
    pub(super) fn forward(&mut self, from: i64, source: (i64, i64), into: i64) -> Option<i64> {
        let original = self.message(source.0, source.1)?.clone();
        let draft = Message {
            from,
            from_bot: false,
            forwarded_from: Some(original.from),
            buttons: Vec::new(),
            reply_to: None,
            thread: None,
            album: None,
            edits: 0,
            ..original
        };
        self.say(into, draft)
    }

    /// Presses the newest matching button, on one message or on any.
    pub(super) fn press(&mut self, user: i64, chat: i64, message: Option<i64>, label: &str) -> bool {
        let found = self
            .chats
            .get(&chat)
            .into_iter()
            .flat_map(|chat| chat.messages.iter().rev())
            .find_map(|one| {
                let wanted = message.is_none_or(|id| id == one.id);
                wanted
                    .then(|| one.button(label))
                    .flatten()
                    .map(|data| (one.clone(), data.to_owned()))
            });
        let Some((message, data)) = found else { return false };
        self.queries.retain(|_, query| query.asked.elapsed() < CALLBACK_KEPT);
        let number = self.number();
        let id = format!("{}{number:04}", self.update_next);
        let update = json!({
            "id": id,
            "from": wire::user(self, user),
            "chat_instance": chat.to_string(),
            "message": wire::message(self, chat, &message),
            "data": data,
        });
        let query = Query {
            user,
            chat,
            message: message.id,
            data,
            asked: Instant::now(),
        };
        self.queries.insert(id, query);
        self.push_update("callback_query", &update);
        true
    }

    /// Buttons that were pressed and not answered yet: chat, message, callback data, who.
    pub(super) fn pressed(&self) -> Vec<(i64, i64, String, i64)> {
        let waiting = self
            .queries
            .values()
            .filter(|query| query.asked.elapsed() < self.callback_deadline);
        waiting
            .map(|query| (query.chat, query.message, query.data.clone(), query.user))
            .collect()
    }
}
