//! The state of the stand-in: what the real server would keep, what people do to it and what the bot does.
//!
//! Plain state behind one mutex with a bell; no waiting in here. What is done to it lies beside: `people`, `bot`, `updates`.
//! Absent: accounts, rights beyond owner and admin, anything that expires but callback queries and updates about them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::Notify;

use super::fault::Faults;
use super::files::{self, Stored};
use super::message::{Call, Delivery, Message, Poll};
use super::mode::Server;
use super::rates::Rates;
use super::webhook::Webhook;
use super::webm;

pub(super) const TOKEN: &str = "1000001:playground-token-of-no-value-0000000";
pub(super) const BOT_ID: i64 = 1_000_001;
pub(super) const BOT_NAME: &str = "kadr_bot";

/// A callback query can be answered so long; users of the real server saw failures after 10 to 20 s.
const CALLBACK_DEADLINE: Duration = Duration::from_secs(15);

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
    /// Beside the owner; perhaps the bot.
    pub(super) admins: BTreeSet<i64>,
    /// Topics of a forum, by number.
    pub(super) topics: BTreeMap<i64, String>,
    /// The bot was thrown out.
    pub(super) kicked: bool,
    pub(super) messages: Vec<Message>,
    pub(super) action: Option<(String, Instant)>,
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
pub(super) struct Query {
    pub(super) user: i64,
    pub(super) chat: i64,
    pub(super) message: i64,
    pub(super) data: String,
    pub(super) asked: Instant,
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
    /// By scope and language code.
    pub(super) commands: BTreeMap<(String, String), Value>,
    pub(super) toasts: VecDeque<Toast>,
    pub(super) faults: Faults,
    pub(super) rates: Rates,
    pub(super) calls: VecDeque<Call>,
    pub(super) polls: VecDeque<Poll>,
    pub(super) deliveries: VecDeque<Delivery>,
    pub(super) callback_deadline: Duration,
    /// Which Bot API server it behaves as.
    pub(super) server: Server,
    /// Left by `logOut`: it answers nothing more.
    pub(super) logged_out: bool,
    /// Where updates are sent to; `None` while they are asked for.
    pub(super) webhook: Option<Webhook>,
    /// Kinds of updates that the last poll or webhook asked for; empty for all.
    pub(super) allowed: Vec<String>,
    /// The newest poller's turn; an older one is turned away.
    pub(super) polling: u64,
    pub(super) version: u64,
    pub(super) updates: VecDeque<(Instant, Value)>,
    pub(super) queries: HashMap<String, Query>,
    pub(super) started: Instant,
    pub(super) message_next: i64,
    pub(super) update_next: i64,
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

pub(super) fn now_s() -> u64 {
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
            commands: BTreeMap::new(),
            toasts: VecDeque::new(),
            faults: Faults::default(),
            rates: Rates::default(),
            calls: VecDeque::new(),
            polls: VecDeque::new(),
            deliveries: VecDeque::new(),
            callback_deadline: CALLBACK_DEADLINE,
            server: Server::Cloud,
            logged_out: false,
            webhook: None,
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
}

/// What a client announces of a file that its user sends: it looked into it where it could.
pub(super) fn announced(path: &Path, name: Option<&str>, kind: &str) -> Stored {
    let facts = match kind {
        "photo" => webm::picture_facts(path),
        "document" => None,
        "sticker" => webm::head(path).and_then(|head| webm::webm(&head)).map_or_else(
            || webm::picture_facts(path),
            |film| {
                Some(files::Facts {
                    width: film.width,
                    height: film.height,
                    duration_s: 0,
                })
            },
        ),
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
