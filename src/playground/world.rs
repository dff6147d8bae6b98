//! The state of the stand-in: what the real server would keep, what people do to it and what the bot does.
//!
//! Plain state behind one mutex with a bell; no waiting in here. Absent: accounts, rights, anything that expires but
//! callback queries and updates about them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::fault::Faults;
use super::files::{self, Stored, Upload};
use super::message::{Call, Counts, Message, Poll};
use super::mode::Server;
use super::wire;

pub(super) const TOKEN: &str = "1000001:playground-token-of-no-value-0000000";
pub(super) const BOT_ID: i64 = 1_000_001;
pub(super) const BOT_NAME: &str = "kadr_bot";

/// A callback query can be answered so long; users of the real server saw failures after 10 to 20 s.
const CALLBACK_DEADLINE: Duration = Duration::from_secs(15);
/// The real server drops the update about a button that nobody fetched after so long.
const CALLBACK_KEPT: Duration = Duration::from_secs(150);
const CALLS_MAX: usize = 100_000;
const TOASTS_MAX: usize = 100;
const ACTION: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) language_code: String,
    pub(super) blocked: bool,
}

#[derive(Debug, Default)]
pub(super) struct Chat {
    /// A group's; private chats have none.
    pub(super) title: Option<String>,
    pub(super) members: Vec<i64>,
    pub(super) messages: Vec<Message>,
    action: Option<(String, Instant)>,
}

/// The answer to a pressed button, shown to who pressed it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Toast {
    pub(super) id: i64,
    pub(super) user: i64,
    pub(super) text: String,
    pub(super) alert: bool,
}

#[derive(Debug)]
struct Query {
    user: i64,
    chat: i64,
    message: i64,
    data: String,
    asked: Instant,
}

/// A refusal in the server's words.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) u16, pub(super) String, pub(super) Option<u64>);

pub(super) fn bad(words: &str) -> Refusal {
    Refusal(400, format!("Bad Request: {words}"), None)
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) data_dir: PathBuf,
    pub(super) users: BTreeMap<i64, User>,
    pub(super) chats: BTreeMap<i64, Chat>,
    pub(super) files: HashMap<String, Stored>,
    pub(super) commands: Value,
    pub(super) toasts: VecDeque<Toast>,
    pub(super) faults: Faults,
    pub(super) calls: VecDeque<Call>,
    pub(super) polls: VecDeque<Poll>,
    pub(super) callback_deadline: Duration,
    /// Which Bot API server it behaves as.
    pub(super) server: Server,
    /// Left by `logOut`: it answers nothing more.
    pub(super) logged_out: bool,
    /// Kinds of updates that the last poll asked for; empty for all.
    pub(super) allowed: Vec<String>,
    /// The newest poller's turn; an older one is turned away.
    pub(super) polling: u64,
    pub(super) version: u64,
    updates: VecDeque<(Instant, Value)>,
    queries: HashMap<String, Query>,
    started: Instant,
    message_next: i64,
    update_next: i64,
    next: i64,
}

/// The world and its bell.
#[derive(Debug)]
pub(super) struct Shared {
    world: Mutex<World>,
    pub(super) changed: Notify,
}

impl Shared {
    pub(super) fn new(world: World) -> Self {
        Self {
            world: Mutex::new(world),
            changed: Notify::new(),
        }
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn change<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let outcome = self.read(|world| {
            world.version += 1;
            act(world)
        });
        self.changed.notify_waiters();
        outcome
    }
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl World {
    pub(super) fn new(data_dir: PathBuf) -> Self {
        // Numbers go on from run to run, since a bot remembers those that it has seen. They fit the 32 bits that
        // clients give them.
        let now = i64::try_from(now_s()).unwrap_or(0);
        Self {
            data_dir,
            users: BTreeMap::new(),
            chats: BTreeMap::new(),
            files: HashMap::new(),
            commands: json!([]),
            toasts: VecDeque::new(),
            faults: Faults::default(),
            calls: VecDeque::new(),
            polls: VecDeque::new(),
            callback_deadline: CALLBACK_DEADLINE,
            server: Server::Cloud,
            logged_out: false,
            allowed: Vec::new(),
            polling: 0,
            version: 1,
            updates: VecDeque::new(),
            queries: HashMap::new(),
            started: Instant::now(),
            message_next: now - 1_700_000_000,
            update_next: now,
            next: 0,
        }
    }

    pub(super) fn number(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    // What people do.

    pub(super) fn add_user(&mut self, id: i64, name: &str, language_code: &str) {
        let user = User {
            name: name.to_owned(),
            language_code: language_code.to_owned(),
            blocked: false,
        };
        self.users.insert(id, user);
        self.chats.entry(id).or_default();
    }

    pub(super) fn add_group(&mut self, id: i64, title: &str, members: &[i64]) {
        let chat = self.chats.entry(id).or_default();
        chat.title = Some(title.to_owned());
        chat.members = members.to_vec();
    }

    pub(super) fn message(&self, chat: i64, id: i64) -> Option<&Message> {
        self.chats.get(&chat)?.messages.iter().find(|message| message.id == id)
    }

    /// A person's message takes its place in the chat; the bot hears of it where it may.
    pub(super) fn say(&mut self, chat: i64, mut draft: Message) -> Option<i64> {
        if !self.chats.contains_key(&chat) || !self.users.contains_key(&draft.from) {
            return None;
        }
        if draft.text.starts_with('/') && draft.media.is_none() {
            let command = draft.text.split_whitespace().next().unwrap_or_default();
            let length = command.encode_utf16().count();
            draft.entities = vec![json!({ "type": "bot_command", "offset": 0, "length": length })];
        }
        let heard = self.heard(chat, &draft);
        let id = self.place(chat, draft);
        if heard && let Some(message) = self.message(chat, id) {
            let json = wire::message(self, chat, message);
            self.push_update("message", &json);
        }
        Some(id)
    }

    /// Privacy mode: in a group, commands for the bot, replies to it and mentions of it.
    fn heard(&self, chat: i64, draft: &Message) -> bool {
        if self.chats.get(&chat).is_none_or(|chat| chat.title.is_none()) {
            return true;
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

    fn place(&mut self, chat: i64, draft: Message) -> i64 {
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

    /// Buttons that were pressed and not answered yet: chat, message, callback data.
    pub(super) fn pressed(&self) -> Vec<(i64, i64, String)> {
        let waiting = self
            .queries
            .values()
            .filter(|query| query.asked.elapsed() < self.callback_deadline);
        waiting
            .map(|query| (query.chat, query.message, query.data.clone()))
            .collect()
    }

    // Updates.

    fn push_update(&mut self, kind: &str, body: &Value) {
        if !self.allowed.is_empty() && !self.allowed.iter().any(|allowed| allowed == kind) {
            return;
        }
        self.update_next += 1;
        let update = json!({ "update_id": self.update_next, kind: body });
        self.updates.push_back((Instant::now(), update));
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

    // What the bot does.

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
        self.chats.get_mut(&chat).ok_or_else(|| bad("chat not found"))
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

    // What is remembered of it.

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

/// What a client announces of a file that its user sends: it looked into it where it could.
pub(super) fn announced(path: &Path, name: Option<&str>, kind: &str) -> Stored {
    let facts = match kind {
        "photo" => files::jpeg_facts(path),
        "document" => None,
        _ => files::mp4_facts(path),
    };
    let facts = facts.unwrap_or_default();
    let film = matches!(kind, "video" | "animation" | "video_note" | "photo");
    // 320x320 is what the real server keeps for a film that nobody could measure.
    let side = |pixels| if film && pixels == 0 { 320 } else { pixels };
    Stored {
        path: path.to_owned(),
        size: 0,
        unique: String::new(),
        kind: kind.to_owned(),
        name: name.map(str::to_owned),
        mime: files::mime_of(name, kind),
        width: side(facts.width),
        height: side(facts.height),
        duration: facts.duration_s,
        supports_streaming: false,
        thumbnail: None,
    }
}
