//! A local stand-in of the Bot API, with a chat page: for `kadr demo` and for the tests.
//!
//! ```text
//! world   users, chats, messages, files, updates, faults: plain state behind one mutex
//! server  /bot<token>/<method>, /file/bot<token>/<path> as the real server words them
//! page    the chat page, its state as JSON, media with ranges, and what people do: send, press
//! ```
//!
//! [`Playground`] is also the control plane in Rust: what the page does by HTTP, tests do by method. Absent: accounts,
//! encryption, groups, anything beyond loopback.

mod page;
mod server;
mod world;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{any, get, post};
use tokio::task::JoinHandle;

pub use self::world::{Call, Fault, Message, SendAs};
use self::world::{Shared, World};

/// Where and with what a playground runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port on loopback; 0 takes a free one.
    pub port: u16,
    /// Folder for the files that go through it.
    pub data_dir: PathBuf,
}

/// A running playground; stops when dropped.
#[derive(Debug)]
pub struct Playground {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Playground {
    /// Starts on loopback.
    ///
    /// # Errors
    /// Where the port is taken or the folder cannot be made.
    pub async fn start(options: Options) -> std::io::Result<Self> {
        std::fs::create_dir_all(&options.data_dir)?;
        let shared = Arc::new(Shared::new(World::new(options.data_dir)));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", options.port)).await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/", get(page::index))
            .route("/page/state", get(page::state))
            .route("/page/text", post(page::text))
            .route("/page/file", post(page::file))
            .route("/page/press", post(page::press))
            .route("/media/{file}", get(page::media))
            .route("/file/{bot}/{*path}", get(server::download))
            .route("/{bot}/{method}", any(server::call))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the playground stopped");
            }
        });
        Ok(Self {
            shared,
            address,
            server,
        })
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

    /// The one token that it accepts.
    #[must_use]
    pub fn token(&self) -> &'static str {
        world::TOKEN
    }

    /// Someone new, with a private chat with the bot.
    pub fn add_user(&self, id: i64, name: &str, language_code: &str) {
        self.shared.change(|world| world.add_user(id, name, language_code));
    }

    /// A person writes.
    pub fn send_text(&self, user: i64, text: &str) {
        self.shared.change(|world| world.send_text(user, text));
    }

    /// A person sends a file; its bytes are copied.
    ///
    /// # Errors
    /// Where the file does not read.
    pub fn send_file(&self, user: i64, path: &Path, send_as: SendAs) -> std::io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let copy = self.shared.read(World::new_path);
        std::fs::copy(path, &copy)?;
        self.shared.change(|world| world.send_file(user, &copy, &name, send_as))
    }

    /// A person presses the newest button with this label or callback data. False where there is none.
    #[must_use]
    pub fn press(&self, user: i64, label: &str) -> bool {
        self.shared.change(|world| world.press(user, None, label))
    }

    /// The chat as it stands.
    #[must_use]
    pub fn chat(&self, user: i64) -> Vec<Message> {
        self.shared.read(|world| world.chat(user))
    }

    /// Every call so far, in order.
    #[must_use]
    pub fn transcript(&self) -> Vec<Call> {
        self.shared.read(|world| world.calls.clone())
    }

    /// Plans a fault for the next calls of a method.
    pub fn plan(&self, method: &str, times: u32, fault: Fault) {
        self.shared.change(|world| world.plan(method, times, fault));
    }

    /// Deletes a message as its reader would.
    pub fn delete(&self, user: i64, message: i64) {
        self.shared.change(|world| world.delete(user, message));
    }

    /// Waits until the chat satisfies `done`; `None` when the time is over.
    pub async fn wait<T>(
        &self,
        user: i64,
        timeout: Duration,
        mut done: impl FnMut(&[Message]) -> Option<T>,
    ) -> Option<T> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            let changed = self.shared.changed.notified();
            if let Some(value) = done(&self.chat(user)) {
                return Some(value);
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return done(&self.chat(user));
            }
        }
    }
}

impl Drop for Playground {
    fn drop(&mut self) {
        self.server.abort();
    }
}
