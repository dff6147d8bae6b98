//! A local stand-in of the Bot API, with a chat page: for `kadr demo` and for the tests.
//!
//! ```text
//! door     accepts; can cut a connection, and cuts all at the end
//! server   /bot<token>/<method> and /file/bot<token>/<path>: planned faults, long polls, downloads
//! params   a call's parameters; files go to disk as they come
//! methods  what each method does, in the real server's words; send, edit, commands: those with more to say
//! draft    what a message will hold; html, entities: formatted words; kinds, webm: what an upload ends as
//! mode     which server it behaves as: the cloud's, or one's own
//! world    users, chats, messages, files, updates: plain state behind one mutex with a bell
//! people   what is done to it by people, bot: by the bot; updates: what waits for it and what is remembered; rates: flood
//!          control
//! webhook  updates that are sent instead of being asked for
//! wire     the state in the shapes of the Bot API
//! page     the chat page, and the control plane by HTTP
//! ```
//!
//! [`Playground`] is the control plane in Rust: what the page does by HTTP, tests do by method. Absent: accounts,
//! encryption, anything beyond loopback but webhooks.

mod bot;
mod commands;
mod door;
mod draft;
mod edit;
mod entities;
mod fault;
mod files;
mod html;
mod kinds;
mod message;
mod methods;
mod mode;
mod page;
mod params;
mod people;
mod rates;
mod send;
mod server;
mod updates;
mod webhook;
mod webm;
mod wire;
mod world;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{any, get, post};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::door::{Cut, Door};
pub use self::fault::Fault;
pub use self::message::{Call, Counts, Delivery, Message, Poll, SendAs};
pub use self::mode::Server;
use self::world::{Shared, World};

/// Where and with what a playground runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port on loopback; 0 takes a free one.
    pub port: u16,
    /// Folder for the files that go through it; those of an earlier run are removed.
    pub data_dir: PathBuf,
}

/// A running playground; stops when dropped.
#[derive(Debug)]
pub struct Playground {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: JoinHandle<()>,
    /// Sends updates to a webhook.
    sender: JoinHandle<()>,
    stop: CancellationToken,
    open: TaskTracker,
}

impl Playground {
    /// Starts on loopback.
    ///
    /// # Errors
    /// Where the port is taken or the folder cannot be made.
    pub async fn start(options: Options) -> std::io::Result<Self> {
        let Options { port, data_dir } = options;
        std::fs::create_dir_all(&data_dir)?;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        files::sweep(&data_dir)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(World::new(std::path::absolute(data_dir)?)));
        let (stop, open) = (CancellationToken::new(), TaskTracker::new());
        let door = Door {
            listener,
            stop: stop.clone(),
            open: open.clone(),
        };
        let service = routes(Arc::clone(&shared)).into_make_service_with_connect_info::<Cut>();
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(door, service).await {
                tracing::error!(%error, "the playground stopped");
            }
        });
        let sender = tokio::spawn(webhook::deliver(Arc::clone(&shared)));
        Ok(Self {
            shared,
            address,
            server,
            sender,
            stop,
            open,
        })
    }

    /// Ends all connections and waits until none is left.
    pub async fn stop(mut self) {
        self.stop.cancel();
        self.server.abort();
        self.sender.abort();
        let _ = (&mut self.server).await;
        self.open.close();
        self.open.wait().await;
    }

    /// Base URL for a bot.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The chat page.
    #[must_use]
    pub fn page_url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The bot's number.
    #[must_use]
    pub fn bot_id(&self) -> i64 {
        world::BOT_ID
    }

    /// The bot's user name, as people mention it.
    #[must_use]
    pub fn bot_name(&self) -> &'static str {
        world::BOT_NAME
    }

    /// The one token that it accepts.
    #[must_use]
    pub fn token(&self) -> &'static str {
        world::TOKEN
    }
}

fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/page/{name}", get(page::part))
        .route("/control/state", get(page::state))
        .route("/control/transcript", get(page::transcript))
        .route("/control/act", post(page::act))
        .route("/control/file", post(page::file))
        .route("/media/{file}", get(page::media))
        .route("/file/{bot}/{*path}", get(server::download))
        .route("/{bot}/{method}", any(server::call))
        .layer(axum::middleware::from_fn(page::guard))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(shared)
}

/// What people do.
impl Playground {
    /// Someone new, with a private chat with the bot; the chat has the person's id.
    pub fn add_user(&self, id: i64, name: &str, language_code: &str) {
        self.shared.change(|world| world.add_user(id, name, language_code));
    }

    /// A group with the bot in it; its id is negative and its first member owns it. The bot hears what privacy mode
    /// lets through: commands, replies to it, mentions.
    pub fn add_group(&self, id: i64, title: &str, members: &[i64]) {
        self.shared.change(|world| world.add_group(id, title, members));
    }

    /// Makes somebody an admin of a group: a member, or the bot by [`Playground::bot_id`].
    pub fn promote(&self, chat: i64, user: i64) {
        self.shared.change(|world| {
            if let Some(chat) = world.chats.get_mut(&chat) {
                chat.admins.insert(user);
            }
        });
    }

    /// Opens a topic in a group, which makes it a forum.
    pub fn add_topic(&self, chat: i64, id: i64, title: &str) {
        self.shared.change(|world| {
            if let Some(chat) = world.chats.get_mut(&chat) {
                chat.topics.insert(id, title.to_owned());
            }
        });
    }

    /// Throws the bot out of a group, or takes it in again.
    pub fn kick(&self, chat: i64, kicked: bool) {
        self.shared.change(|world| {
            if let Some(chat) = world.chats.get_mut(&chat) {
                chat.kicked = kicked;
            }
        });
    }

    /// A person writes to the bot.
    pub fn send_text(&self, user: i64, text: &str) {
        let _ = self.write(user, user, text, None);
    }

    /// A person writes in a chat, perhaps in answer to a message. `None` where there is no such chat or person.
    #[must_use]
    pub fn write(&self, user: i64, chat: i64, text: &str, reply_to: Option<i64>) -> Option<i64> {
        let draft = Message {
            from: user,
            text: text.to_owned(),
            reply_to,
            ..Message::default()
        };
        self.shared.change(|world| world.say(chat, draft))
    }

    /// A person writes in a topic of a group. `None` where there is no such chat or person.
    #[must_use]
    pub fn write_in_topic(&self, user: i64, chat: i64, topic: i64, text: &str, reply_to: Option<i64>) -> Option<i64> {
        let draft = Message {
            from: user,
            text: text.to_owned(),
            reply_to,
            thread: Some(topic),
            ..Message::default()
        };
        self.shared.change(|world| world.say(chat, draft))
    }

    /// A person sends the bot a file; its bytes are copied.
    ///
    /// # Errors
    /// Where the file does not read.
    pub fn send_file(&self, user: i64, path: &Path, send_as: SendAs) -> std::io::Result<()> {
        self.send_file_in(user, user, path, send_as, "").map(|_| ())
    }

    /// A person sends a file with a caption in a chat. Answers the message's id.
    ///
    /// # Errors
    /// Where the file does not read, or there is no such chat or person.
    pub fn send_file_in(
        &self,
        user: i64,
        chat: i64,
        path: &Path,
        send_as: SendAs,
        caption: &str,
    ) -> std::io::Result<i64> {
        self.send_album(user, chat, &[path], send_as, caption).map(|ids| ids[0])
    }

    /// A person sends several files at once, the caption under the first. Answers the messages' ids.
    ///
    /// # Errors
    /// Where a file does not read, there is none, or there is no such chat or person.
    pub fn send_album(
        &self,
        user: i64,
        chat: i64,
        paths: &[&Path],
        send_as: SendAs,
        caption: &str,
    ) -> std::io::Result<Vec<i64>> {
        let folder = self.shared.read(|world| world.data_dir.clone());
        let uploads: Vec<_> = paths
            .iter()
            .map(|path| files::copy(&folder, path).map(|upload| (upload, send_as)))
            .collect::<Result<_, _>>()?;
        let draft = Message {
            from: user,
            text: caption.to_owned(),
            ..Message::default()
        };
        let said = self.shared.change(|world| page::send(world, chat, uploads, &draft))?;
        said.filter(|ids| !ids.is_empty()).ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::NotFound, format!("no chat {chat} with user {user}"))
        })
    }

    /// A person forwards a message to a chat. `None` where there is none.
    #[must_use]
    pub fn forward(&self, user: i64, from_chat: i64, message: i64, into: i64) -> Option<i64> {
        self.shared
            .change(|world| world.forward(user, (from_chat, message), into))
    }

    /// A person presses the newest button with this label or callback data. False where there is none.
    #[must_use]
    pub fn press(&self, user: i64, label: &str) -> bool {
        self.press_where(|world| world.press(user, user, None, label))
    }

    /// Any person presses a button of one message. False where there is none.
    #[must_use]
    pub fn press_on(&self, user: i64, chat: i64, message: i64, label: &str) -> bool {
        self.press_where(|world| world.press(user, chat, Some(message), label))
    }

    /// A press that met no button changed nothing, so nobody is woken: whoever waits for the button would spin.
    fn press_where(&self, press: impl FnOnce(&mut World) -> bool) -> bool {
        let pressed = self.shared.read(press);
        if pressed {
            self.shared.change(|_| ());
        }
        pressed
    }

    /// Deletes a message as its reader would.
    pub fn delete(&self, chat: i64, message: i64) {
        self.shared.change(|world| world.delete(chat, message));
    }

    /// A person blocks the bot, or lets it write again.
    pub fn block(&self, user: i64, blocked: bool) {
        self.shared.change(|world| {
            if let Some(user) = world.users.get_mut(&user) {
                user.blocked = blocked;
            }
        });
    }
}

/// What goes wrong, and under which rules.
impl Playground {
    /// Plans a fault for the next calls of a method; `*` means every method, `download` the files, `webhook` the updates
    /// that are sent: of those [`Fault::LostAnswer`] arrives, and nothing else does.
    pub fn plan(&self, method: &str, times: u32, fault: Fault) {
        self.plan_by_chance(method, times, 1.0, fault);
    }

    /// Plans a fault that hits by chance, 0 to 1, at most so many times.
    pub fn plan_by_chance(&self, method: &str, times: u32, chance: f64, fault: Fault) {
        self.shared
            .read(|world| world.faults.plan(method, times, chance, fault));
    }

    /// How many planned faults nothing has met yet.
    #[must_use]
    pub fn faults_due(&self) -> u32 {
        self.shared.read(|world| world.faults.left())
    }

    /// Forgets all planned faults.
    pub fn clear_faults(&self) {
        self.shared.read(|world| world.faults.clear());
    }

    /// How long a pressed button can be answered.
    pub fn set_callback_deadline(&self, deadline: Duration) {
        self.shared.read(|world| world.callback_deadline = deadline);
    }

    /// Refuses what comes faster than the real server takes it: about 1 a second in a chat, 20 a minute in a group, edits
    /// counted. Off at first, so that tests need not wait.
    pub fn set_rates(&self, on: bool) {
        self.shared.read(|world| world.rates.on = on);
    }

    /// Behaves as another Bot API server than the cloud's.
    pub fn set_server(&self, server: Server) {
        self.shared.read(|world| world.server = server);
    }
}

/// What there is to see.
impl Playground {
    /// The chat as it stands.
    #[must_use]
    pub fn chat(&self, chat: i64) -> Vec<Message> {
        self.shared.read(|world| {
            world
                .chats
                .get(&chat)
                .map(|chat| chat.messages.clone())
                .unwrap_or_default()
        })
    }

    /// What the bot showed in a chat, counted.
    #[must_use]
    pub fn counts(&self, chat: i64) -> Counts {
        self.shared.read(|world| world.counts(chat))
    }

    /// Texts that pressed buttons were answered with, in order: who pressed, and the words.
    #[must_use]
    pub fn toasts(&self) -> Vec<(i64, String)> {
        self.shared.read(|world| {
            world
                .toasts
                .iter()
                .map(|toast| (toast.user, toast.text.clone()))
                .collect()
        })
    }

    /// Every call so far but polls, in order.
    #[must_use]
    pub fn transcript(&self) -> Vec<Call> {
        self.shared.read(|world| world.calls.iter().cloned().collect())
    }

    /// How many calls of a method there were, in lower case.
    #[must_use]
    pub fn count(&self, method: &str) -> usize {
        self.shared
            .read(|world| world.calls.iter().filter(|call| call.method == method).count())
    }

    /// Every poll for updates that ended so far, in order.
    #[must_use]
    pub fn polls(&self) -> Vec<Poll> {
        self.shared.read(|world| world.polls.iter().cloned().collect())
    }

    /// Every update that was sent to a webhook so far, each time that it was, in the order in which they ended.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.read(|world| world.deliveries.iter().cloned().collect())
    }

    /// How many updates wait for the bot.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.shared.read(|world| world.pending_count())
    }

    /// Waits until the chat satisfies `done`; `None` when the time is over.
    pub async fn wait<T>(
        &self,
        chat: i64,
        timeout: Duration,
        mut done: impl FnMut(&[Message]) -> Option<T>,
    ) -> Option<T> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            let changed = self.shared.changed.notified();
            if let Some(value) = done(&self.chat(chat)) {
                return Some(value);
            }
            // A condition that itself acts wakes this loop: the deadline counts on that way too.
            let late = tokio::time::timeout_at(deadline, changed).await.is_err();
            if late || tokio::time::Instant::now() >= deadline {
                return done(&self.chat(chat));
            }
        }
    }
}

impl Drop for Playground {
    fn drop(&mut self) {
        self.stop.cancel();
        self.server.abort();
        self.sender.abort();
    }
}
