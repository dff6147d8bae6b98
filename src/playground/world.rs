//! The state of the stand-in: what the real server would keep. No I/O but reading a file's hash and size.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Notify;

pub(super) const TOKEN: &str = "1000001:playground-token-of-no-value-0000000";
pub(super) const BOT_ID: i64 = 1_000_001;

/// How a person sends a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendAs {
    /// As a video.
    Video,
    /// As a file.
    Document,
    /// As an animation.
    Animation,
    /// As a round video.
    VideoNote,
}

/// Something that goes wrong on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429 with `retry_after`, seconds.
    TooManyRequests(u64),
    /// 500.
    ServerError,
    /// The call takes effect, its answer is lost.
    LostAnswer,
    /// The answer takes so long, milliseconds.
    Stall(u64),
    /// Downloads: the body comes this slowly, bytes a second.
    Slow(u64),
}

/// One call of the bot's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Lower case.
    pub method: String,
    /// HTTP status.
    pub status: u16,
}

/// One message as a reader sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    /// Its number in the chat.
    pub id: i64,
    /// Whether the bot wrote it.
    pub from_bot: bool,
    /// Text or caption.
    pub text: String,
    /// `video`, `audio`, `document`, … where it holds a file.
    pub media: Option<String>,
    /// Where the file's bytes lie.
    pub path: Option<PathBuf>,
    /// For the page: the name under `/media/`.
    pub file: Option<String>,
    /// As announced.
    pub width: u64,
    /// As announced.
    pub height: u64,
    /// As announced, seconds.
    pub duration: u64,
    /// Name of a sent file.
    pub name: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Whether a thumbnail came with it.
    pub thumbnail: bool,
    /// Buttons: label and callback data.
    pub buttons: Vec<Vec<(String, String)>>,
    /// How often it was edited.
    pub edits: u32,
}

#[derive(Debug)]
struct User {
    name: String,
    language_code: String,
}

#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) unique: String,
}

/// A refusal in the server's words.
pub(super) struct Refusal(pub(super) u16, pub(super) String, pub(super) Option<u64>);

pub(super) fn bad(words: &str) -> Refusal {
    Refusal(400, format!("Bad Request: {words}"), None)
}

#[derive(Debug)]
pub(super) struct World {
    data_dir: PathBuf,
    users: BTreeMap<i64, User>,
    chats: BTreeMap<i64, Vec<Message>>,
    pub(super) updates: VecDeque<Value>,
    pub(super) files: HashMap<String, Stored>,
    queries: HashMap<String, Option<String>>,
    pub(super) toasts: Vec<(i64, String)>,
    faults: Vec<(String, u32, Fault)>,
    pub(super) calls: Vec<Call>,
    next: i64,
    pub(super) polling: u64,
    pub(super) version: u64,
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

impl World {
    pub(super) fn new(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            users: BTreeMap::new(),
            chats: BTreeMap::new(),
            updates: VecDeque::new(),
            files: HashMap::new(),
            queries: HashMap::new(),
            toasts: Vec::new(),
            faults: Vec::new(),
            calls: Vec::new(),
            next: 1,
            polling: 0,
            version: 0,
        }
    }

    pub(super) fn number(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    pub(super) fn new_path(&mut self) -> PathBuf {
        let number = self.number();
        self.data_dir.join(format!("file_{number}"))
    }

    pub(super) fn add_user(&mut self, id: i64, name: &str, language_code: &str) {
        self.users.insert(
            id,
            User {
                name: name.to_owned(),
                language_code: language_code.to_owned(),
            },
        );
        self.chats.entry(id).or_default();
    }

    pub(super) fn users(&self) -> Vec<(i64, String, String)> {
        self.users
            .iter()
            .map(|(id, user)| (*id, user.name.clone(), user.language_code.clone()))
            .collect()
    }

    pub(super) fn chat(&self, user: i64) -> Vec<Message> {
        self.chats.get(&user).cloned().unwrap_or_default()
    }

    fn user_json(&self, id: i64) -> Value {
        let user = self.users.get(&id);
        json!({
            "id": id,
            "is_bot": false,
            "first_name": user.map_or("?", |user| user.name.as_str()),
            "language_code": user.map_or("en", |user| user.language_code.as_str()),
        })
    }

    fn chat_json(&self, id: i64) -> Value {
        json!({ "id": id, "type": "private", "first_name": self.users.get(&id).map_or("?", |user| user.name.as_str()) })
    }

    fn push_update(&mut self, mut update: Value) {
        let number = self.number();
        update["update_id"] = json!(number);
        self.updates.push_back(update);
    }

    fn blank(&mut self, from_bot: bool) -> Message {
        Message {
            id: self.number(),
            from_bot,
            text: String::new(),
            media: None,
            path: None,
            file: None,
            width: 0,
            height: 0,
            duration: 0,
            name: None,
            size: 0,
            thumbnail: false,
            buttons: Vec::new(),
            edits: 0,
        }
    }

    pub(super) fn send_text(&mut self, user: i64, text: &str) {
        let message = Message {
            text: text.to_owned(),
            ..self.blank(false)
        };
        let mut json = self.message_json(user, &message);
        if text.starts_with('/') {
            let length = text
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .encode_utf16()
                .count();
            json["entities"] = json!([{ "type": "bot_command", "offset": 0, "length": length }]);
        }
        self.chats.entry(user).or_default().push(message);
        self.push_update(json!({ "message": json }));
    }

    pub(super) fn send_file(&mut self, user: i64, path: &Path, name: &str, send_as: SendAs) -> std::io::Result<()> {
        let (file_id, stored) = self.keep(path)?;
        let media = match send_as {
            SendAs::Video => "video",
            SendAs::Document => "document",
            SendAs::Animation => "animation",
            SendAs::VideoNote => "video_note",
        };
        let message = Message {
            media: Some(media.to_owned()),
            path: Some(stored.path),
            file: Some(file_id),
            width: 640,
            height: 480,
            duration: 1,
            name: Some(name.to_owned()),
            size: stored.size,
            ..self.blank(false)
        };
        let json = self.message_json(user, &message);
        self.chats.entry(user).or_default().push(message);
        self.push_update(json!({ "message": json }));
        Ok(())
    }

    /// Presses the newest matching button, on one message or on any.
    pub(super) fn press(&mut self, user: i64, message: Option<i64>, label: &str) -> bool {
        let found = self.chats.get(&user).into_iter().flatten().rev().find_map(|one| {
            if message.is_some_and(|id| id != one.id) {
                return None;
            }
            let button = one
                .buttons
                .iter()
                .flatten()
                .find(|(words, data)| words == label || data == label)?;
            Some((one.clone(), button.1.clone()))
        });
        let Some((message, data)) = found else { return false };
        let query = format!("q{}", self.number());
        self.queries.insert(query.clone(), None);
        let update = json!({ "callback_query": {
            "id": query,
            "from": self.user_json(user),
            "chat_instance": user.to_string(),
            "message": self.message_json(user, &message),
            "data": data,
        }});
        self.push_update(update);
        true
    }

    pub(super) fn answer_query(&mut self, query: &str, text: &str) -> Result<Value, Refusal> {
        match self.queries.remove(query) {
            None => Err(bad(
                "query is too old and response timeout expired or query ID is invalid",
            )),
            Some(_) => {
                if !text.is_empty() {
                    let number = self.number();
                    self.toasts.push((number, text.to_owned()));
                }
                Ok(json!(true))
            }
        }
    }

    /// Takes a file over: its id is of this world, its unique id of its bytes.
    pub(super) fn keep(&mut self, path: &Path) -> std::io::Result<(String, Stored)> {
        let mut hasher = DefaultHasher::new();
        let mut file = std::fs::File::open(path)?;
        let (mut size, mut block) = (0, vec![0; 256 << 10]);
        loop {
            let got = file.read(&mut block)?;
            if got == 0 {
                break;
            }
            block[..got].hash(&mut hasher);
            size += got as u64;
        }
        let file_id = format!("f{}", self.number());
        let stored = Stored {
            path: path.to_owned(),
            size,
            unique: format!("u{:016x}", hasher.finish()),
        };
        self.files.insert(file_id.clone(), stored.clone());
        Ok((file_id, stored))
    }

    pub(super) fn post(&mut self, chat: i64, draft: Message) -> Result<Value, Refusal> {
        if !self.chats.contains_key(&chat) {
            return Err(bad("chat not found"));
        }
        let message = Message {
            id: self.number(),
            from_bot: true,
            ..draft
        };
        let json = self.message_json(chat, &message);
        self.chats.entry(chat).or_default().push(message);
        Ok(json)
    }

    /// Replaces a message of the bot's.
    pub(super) fn edit(&mut self, chat: i64, id: i64, draft: Message) -> Result<Value, Refusal> {
        let messages = self.chats.get_mut(&chat).ok_or_else(|| bad("chat not found"))?;
        let message = messages
            .iter_mut()
            .find(|one| one.id == id)
            .ok_or_else(|| bad("message to edit not found"))?;
        if !message.from_bot {
            return Err(bad("message can't be edited"));
        }
        if message.media.is_some() && draft.media.is_none() {
            return Err(bad("there is no text in the message to edit"));
        }
        let edited = Message {
            id,
            from_bot: true,
            edits: message.edits,
            ..draft
        };
        if *message == edited {
            return Err(bad(
                "message is not modified: specified new message content and reply markup are exactly the same as a \
                 current content and reply markup of the message",
            ));
        }
        *message = Message {
            edits: edited.edits + 1,
            ..edited
        };
        let message = message.clone();
        Ok(self.message_json(chat, &message))
    }

    pub(super) fn delete(&mut self, chat: i64, id: i64) {
        if let Some(messages) = self.chats.get_mut(&chat) {
            messages.retain(|message| message.id != id);
        }
    }

    /// A message in the shape of the Bot API.
    fn message_json(&self, chat: i64, message: &Message) -> Value {
        let from = if message.from_bot {
            json!({ "id": BOT_ID, "is_bot": true, "first_name": "kadr", "username": "kadr_bot" })
        } else {
            self.user_json(chat)
        };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let mut json = json!({ "message_id": message.id, "date": now, "chat": self.chat_json(chat), "from": from });
        let Some(media) = &message.media else {
            json["text"] = json!(message.text);
            return json;
        };
        let file_id = message.file.clone().unwrap_or_default();
        let unique = self
            .files
            .get(&file_id)
            .map(|stored| stored.unique.clone())
            .unwrap_or_default();
        json[media] = json!({
            "file_id": file_id,
            "file_unique_id": unique,
            "file_size": message.size,
            "width": message.width,
            "height": message.height,
            "length": message.width.max(1),
            "duration": message.duration,
            "file_name": message.name,
        });
        if media == "animation" {
            json["document"] = json[media].clone();
        }
        if !message.text.is_empty() {
            json["caption"] = json!(message.text);
        }
        json
    }

    pub(super) fn plan(&mut self, method: &str, times: u32, fault: Fault) {
        self.faults.push((method.to_lowercase(), times, fault));
    }

    /// The fault that is due for a call, if one is.
    pub(super) fn fault(&mut self, method: &str) -> Option<Fault> {
        let due = self
            .faults
            .iter_mut()
            .find(|(name, times, _)| name == method && *times > 0)?;
        due.1 -= 1;
        Some(due.2.clone())
    }
}
