//! What the bot does: files, messages, edits, answers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::files::{Stored, Upload};
use super::message::Message;
use super::wire;
use super::world::{BOT_ID, Chat, Refusal, Toast, World, bad};

const TOASTS_MAX: usize = 100;
const ACTION: Duration = Duration::from_secs(5);

impl World {
    /// Keeps an upload as a file of a kind; answers its id. Its unique id is of its bytes alone.
    pub(super) fn adopt(&mut self, upload: Upload, stored: Stored) -> std::io::Result<String> {
        let path = upload.path.keep().map_err(|error| error.error)?;
        let file_id = format!(
            "{}{:016x}-{}",
            &stored.kind[..2].to_uppercase(),
            upload.digest,
            self.number()
        );
        let stored = Stored {
            path,
            size: upload.size_bytes,
            unique: format!("AgAD{:016x}", upload.digest),
            ..stored
        };
        self.files.insert(file_id.clone(), stored);
        Ok(file_id)
    }

    /// A draft that shows a file.
    pub(super) fn showing(&self, file_id: &str) -> Option<Message> {
        let stored = self.files.get(file_id)?;
        Some(Message {
            media: Some(stored.kind.clone()),
            path: Some(stored.path.clone()),
            file: Some(file_id.to_owned()),
            width: stored.width,
            height: stored.height,
            duration: stored.duration,
            supports_streaming: stored.supports_streaming,
            name: stored.name.clone(),
            mime: Some(stored.mime.clone()),
            size: stored.size,
            thumbnail: stored.thumbnail.is_some(),
            thumbnail_file: stored.thumbnail.clone(),
            ..Message::default()
        })
    }

    /// Whether the bot may write there.
    pub(super) fn open_chat(&mut self, chat: i64) -> Result<&mut Chat, Refusal> {
        if self.users.get(&chat).is_some_and(|user| user.blocked) {
            let words = "Forbidden: bot was blocked by the user".to_owned();
            return Err(Refusal(403, words, None));
        }
        let chat = self.chats.get_mut(&chat).ok_or_else(|| bad("chat not found"))?;
        if chat.kicked {
            let words = "Forbidden: bot was kicked from the supergroup chat".to_owned();
            return Err(Refusal(403, words, None));
        }
        Ok(chat)
    }

    pub(super) fn post(&mut self, chat: i64, draft: Message) -> Result<Value, Refusal> {
        self.open_chat(chat)?.action = None;
        let draft = Message {
            from: BOT_ID,
            from_bot: true,
            ..draft
        };
        let id = self.place(chat, draft);
        let message = self.message(chat, id).ok_or_else(|| bad("message not found"))?;
        Ok(wire::message(self, chat, message))
    }

    /// Changes a message of the bot's by `change`, which sees it as it stands.
    pub(super) fn edit(
        &mut self,
        chat: i64,
        id: i64,
        change: impl FnOnce(&Message) -> Result<Message, Refusal>,
    ) -> Result<Value, Refusal> {
        let messages = &mut self.open_chat(chat)?.messages;
        let message = messages
            .iter_mut()
            .find(|one| one.id == id)
            .ok_or_else(|| bad("message to edit not found"))?;
        if !message.from_bot {
            return Err(bad("message can't be edited"));
        }
        let edited = change(message)?;
        if message.looks_like(&edited) {
            return Err(bad(
                "message is not modified: specified new message content and reply markup are exactly the same as a \
                 current content and reply markup of the message",
            ));
        }
        let delivered = edited.media.is_some() && edited.file != message.file;
        *message = Message {
            id,
            from: BOT_ID,
            from_bot: true,
            date_s: message.date_s,
            reply_to: message.reply_to,
            thread: message.thread,
            album: message.album.clone(),
            edits: message.edits + 1,
            deliveries: message.deliveries + u32::from(delivered),
            ..edited
        };
        let message = message.clone();
        Ok(wire::message(self, chat, &message))
    }

    pub(super) fn delete(&mut self, chat: i64, id: i64) -> bool {
        let Some(chat) = self.chats.get_mut(&chat) else {
            return false;
        };
        let before = chat.messages.len();
        chat.messages.retain(|message| message.id != id);
        chat.messages.len() < before
    }

    /// The bot deletes what it wrote, and what others wrote where it may.
    pub(super) fn delete_as_bot(&mut self, chat: i64, id: i64) -> Result<Value, Refusal> {
        let room = self.open_chat(chat)?;
        let may = room.title.is_none() || room.admins.contains(&BOT_ID);
        let message = room.messages.iter().find(|message| message.id == id);
        let message = message.ok_or_else(|| bad("message to delete not found"))?;
        if !message.from_bot && !may {
            return Err(bad("message can't be deleted"));
        }
        Ok(json!(self.delete(chat, id)))
    }

    pub(super) fn answer_query(&mut self, id: &str, text: &str, alert: bool) -> Result<Value, Refusal> {
        let deadline = self.callback_deadline;
        let query = self.queries.remove(id).filter(|query| query.asked.elapsed() < deadline);
        let query = query.ok_or_else(|| bad("query is too old and response timeout expired or query ID is invalid"))?;
        if !text.is_empty() {
            let toast = Toast {
                id: self.number(),
                user: query.user,
                text: text.to_owned(),
                alert,
            };
            if self.toasts.len() >= TOASTS_MAX {
                self.toasts.pop_front();
            }
            self.toasts.push_back(toast);
        }
        Ok(json!(true))
    }

    pub(super) fn act(&mut self, chat: i64, action: &str) -> Result<Value, Refusal> {
        self.open_chat(chat)?.action = Some((action.to_owned(), Instant::now() + ACTION));
        Ok(json!(true))
    }

    /// What the chat's head says that the bot is doing.
    pub(super) fn action(&self, chat: i64) -> Option<&str> {
        let (action, until) = self.chats.get(&chat)?.action.as_ref()?;
        (*until > Instant::now()).then_some(action)
    }
}
