//! The only module that knows Telegram.
//!
//! ```text
//! poll       getUpdates -> store.record_updates (commit) -> only then the next offset acknowledges them
//! webhook    the same updates as the platform sends them: POST -> store.record_updates (commit) -> only then 200
//! lanes      one ordered task a chat: a slow or panicking handler harms no other chat; a press on Cancel overtakes
//! intake     pure: update -> file | command | press | nothing
//! wish       pure: words of a caption or a command -> what is wanted
//! access     pure: who is served
//! admin      handlers of the operators' commands
//! dialogue   handlers: record in the store, answer, never wait for work; what they share
//! cards        questions: what shall become of a file, or of several that came together
//! ask          from files and a wish to jobs, and the answer
//! commands     what everybody may say
//! presses      buttons
//! settings     what is set for a person or a chat
//! info         what a file is, in words
//! looks        the same on a card, with what each button would do
//! delivery   the courier that the worker calls: status messages, results
//! album        results that go out together
//! parcel       pure: a result as fields of a call
//! fetch      its other half: from a file id to the source
//! pace       pure: which edit may go out now
//! keyboard   pure: messages and buttons as the Bot API takes them
//! turns      who may change a chat's questions
//! throttle   pure: how fast messages may go out
//! pulse      pure: whether the platform answers at all
//! errors     pure: what a failed call means
//! text       every word that users read (Fluent, Russian and English)
//! local      files of a Bot API server of one's own
//! api        raw calls where the raw JSON, the bytes moved or the secret in the URL matter
//! ```
//!
//! teloxide gives the types of updates and keyboards. Its dispatcher is not used: it acknowledges updates before their
//! handlers ran, and a panic in one handler takes the whole bot down with the chat's next update.

pub mod access;
mod admin;
mod album;
mod api;
mod ask;
mod cards;
mod commands;
pub mod delivery;
mod dialogue;
pub mod errors;
mod fetch;
pub mod info;
pub mod intake;
mod keyboard;
pub mod local;
pub mod looks;
pub mod pace;
mod parcel;
mod poll;
mod presses;
pub mod pulse;
mod settings;
pub mod text;
pub mod throttle;
pub mod turns;
pub mod webhook;
pub mod wish;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use teloxide::types::Update;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::access::Access;
use self::api::Api;
use self::dialogue::{Desk, Handled, HandlerError};
use self::errors::CallError;
use self::intake::Press;
use self::local::Shared;
use self::pulse::{Patience, Pulse};
use self::throttle::Throttle;
use self::turns::Turns;
use self::webhook::Webhook;
use crate::crash::point;
use crate::job::Lang;
use crate::metrics::metrics;
use crate::store::{InboxUpdate, QueueLimits, Store};

/// The cloud server hands out files up to here, bytes (telegram-bot-api: `20 << 20`).
pub const FETCH_BYTES_MAX: u64 = 20 << 20;
/// The cloud server takes files up to here, bytes.
pub const SEND_BYTES_MAX: u64 = 50_000_000;
/// A local server does both up to here, bytes: 4000 parts of 512 KiB (tdlib, `PartsManager.h`).
pub const LOCAL_BYTES_MAX: u64 = 4000 * (512 << 10);

const LOGGED_OUT: &str = "the bot is logged out of this Bot API server, which lets it back in 10 minutes after that";
const NO_TOKEN: &str = "Telegram does not know this token";
const LOG_OUT_S: u64 = 30;
/// How often it is looked whether a call was not answered.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// A call of the start.
const START_S: u64 = 15;
/// Kinds of updates that are handled, however they come.
const ALLOWED_UPDATES: [&str; 2] = ["message", "callback_query"];
const BACK_OFF: Duration = Duration::from_secs(2);
/// However long a flood limit is said to last, updates are asked for again after this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// The longest wait for a store that fails, or a platform that takes no answer; and tries of an answer that it does not
/// take while it answers others: half an hour and more.
const REST_MAX: Duration = Duration::from_secs(30);
const ANSWER_TRIES_MAX: u32 = 40;
/// Handlers get so long to end at shutdown; what they did not finish is replayed.
const HANDLERS_GRACE: Duration = Duration::from_secs(10);
/// Chats that may have a lane at once; beyond it idle ones are closed.
const LANES_MAX: usize = 10_000;

/// Another process takes the updates of this bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rival {
    /// It polls.
    #[error("another process polls with this token; stop it first")]
    Polls,
    /// It set a webhook while this one polled.
    #[error("another process set a webhook for this bot; stop it first")]
    SetWebhook,
    /// It removed or changed the webhook that this one had set.
    #[error("another process took this bot's updates: the webhook is no longer ours; stop it first")]
    TookWebhook,
}

/// How to reach Telegram.
#[derive(Clone)]
pub struct Options {
    /// The bot's token. Never logged.
    pub token: String,
    /// Base of the Bot API server.
    pub api_url: String,
    /// How many jobs may wait.
    pub limits: QueueLimits,
    /// What is shared with a server of one's own; `None` for the cloud.
    pub shared: Option<Shared>,
    /// Who is served.
    pub access: Access,
    /// Shared by all who write to the same chats.
    pub throttle: Arc<Throttle>,
    /// Shared by all who change a chat's questions.
    pub turns: Arc<Turns>,
    /// Shared by all who call the platform.
    pub pulse: Arc<Pulse>,
    /// The largest file that is fetched from the server, bytes.
    pub fetch_bytes_max: u64,
    /// The largest file that is sent to it, bytes.
    pub send_bytes_max: u64,
    /// The largest file that is looked at for a question, bytes; 0 for none.
    pub look_bytes_max: u64,
    /// Where the platform sends updates to; `None` to ask for them.
    pub webhook: Option<Webhook>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("limits", &self.limits)
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

/// Logs the bot out of a Bot API server, so that another one gets its updates.
///
/// # Errors
/// Where the server does not answer, or refuses; without the token.
pub async fn log_out(api_url: &str, token: &str) -> anyhow::Result<()> {
    match Api::new(api_url, token, Arc::default(), Arc::default())?
        .call("logOut", &json!({}), LOG_OUT_S)
        .await
    {
        Ok(_) => Ok(()),
        Err(CallError::Refused { code: 401 | 404, .. }) => anyhow::bail!(NO_TOKEN),
        Err(CallError::Refused { description, .. }) => anyhow::bail!("refused: {description}"),
        Err(CallError::Unsent(what) | CallError::Lost(what)) => anyhow::bail!("no answer: {what}"),
        Err(CallError::Disk(error)) => Err(error.into()),
    }
}

/// Listens and answers until `shutdown`.
///
/// # Errors
/// Where the token is refused, another process takes the updates, the webhook's address cannot be listened on, or the
/// store fails.
pub async fn run<S: Store>(options: Options, store: S, shutdown: CancellationToken) -> anyhow::Result<()> {
    let api = Api::of(&options)?;
    let mut hook = match &options.webhook {
        Some(webhook) => Some(webhook::Hook::open(webhook, &shutdown)?),
        None => None,
    };
    let Some(name) = introduce(&api, &shutdown).await? else {
        return Ok(());
    };
    tracing::info!(bot = %name, "listening");
    let desk = Desk {
        store: store.clone(),
        api: api.clone(),
        me: name,
        limits: options.limits,
        fetch_bytes_max: options.fetch_bytes_max,
        send_bytes_max: options.send_bytes_max,
        access: options.access,
        turns: options.turns,
        look_bytes_max: options.look_bytes_max,
        told: ask::Told::default(),
    };
    let mut lanes = Lanes {
        desk,
        lanes: HashMap::new(),
        tasks: TaskTracker::new(),
        stop: shutdown.clone(),
    };
    for update in store.unhandled_updates().await? {
        lanes.put(update);
    }
    let outcome = match &mut hook {
        Some(hook) => hook.listen(&api, &store, &mut lanes, &shutdown).await,
        None => poll::listen(&api, &store, &mut lanes, &shutdown).await,
    };
    let tasks = lanes.close();
    if tokio::time::timeout(HANDLERS_GRACE, tasks.wait()).await.is_err() {
        tracing::warn!("handlers were still busy; their updates come again after the restart");
    }
    // Until here the door of a webhook answered that the bot is stopping.
    drop(hook);
    outcome
}

/// In a process that does not answer the chats: asks once whether the platform knows the token, and again whenever a call was
/// not answered. A worker that has nothing to do would else never learn that an outage is over.
///
/// # Errors
/// Where the token is refused.
pub async fn probe(options: &Options, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let api = Api::of(options)?;
    if insist(&api, "getMe", &json!({}), shutdown, |words| words)
        .await?
        .is_none()
    {
        return Ok(());
    }
    loop {
        tokio::select! {
            () = tokio::time::sleep(PROBE_EVERY) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        if options.pulse.is_silent() {
            // Either outcome is told to the pulse.
            let _ = api.call("getMe", &json!({}), START_S).await;
        }
    }
}

/// Asks who we are until there is an answer, and sets the commands. `None` at shutdown.
async fn introduce(api: &Api, shutdown: &CancellationToken) -> anyhow::Result<Option<String>> {
    let Some(me) = insist(api, "getMe", &json!({}), shutdown, |words| words).await? else {
        return Ok(None);
    };
    for (lang, code) in [(Lang::En, ""), (Lang::Ru, "ru")] {
        let commands: Vec<Value> = ["start", "help", "convert", "auto", "info", "again", "queue", "cancel", "settings", "forget_me"]
            .iter()
            .map(|name| json!({ "command": name, "description": text::say(lang, &format!("command-{}", name.replace('_', "-"))) }))
            .collect();
        let body = json!({ "commands": commands, "language_code": code });
        if let Err(error) = api.call("setMyCommands", &body, START_S).await {
            tracing::warn!(?error, "the commands were not set");
        }
    }
    Ok(Some(me["username"].as_str().unwrap_or("bot").to_owned()))
}

/// A call without which nothing begins: made until it succeeds. `None` at shutdown. `hide` takes out of the platform's
/// words what the log must not hold.
async fn insist(
    api: &Api,
    method: &str,
    body: &Value,
    shutdown: &CancellationToken,
    hide: impl Fn(String) -> String,
) -> anyhow::Result<Option<Value>> {
    let mut patience = Patience::default();
    loop {
        let outcome = tokio::select! {
            outcome = api.call(method, body, START_S) => outcome,
            () = shutdown.cancelled() => return Ok(None),
        };
        let rest = match outcome {
            Ok(answer) => return Ok(Some(answer)),
            Err(CallError::Refused { code: 401 | 404, .. }) => anyhow::bail!(NO_TOKEN),
            Err(error) if error.is_logged_out() => anyhow::bail!(LOGGED_OUT),
            Err(error) => {
                let (rest, is_told) = patience.failed(Instant::now());
                if is_told {
                    let words = hide(format!("{error:?}"));
                    if error.is_silence() {
                        tracing::warn!(method, error = %words, "Telegram does not answer yet");
                    } else {
                        tracing::warn!(method, error = %words, "Telegram refuses what must be; it is asked on");
                    }
                }
                rest_of(&error, rest)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = shutdown.cancelled() => return Ok(None),
        }
    }
}

/// How long to rest after a failed call: as the platform wants it, within bounds.
fn rest_of(error: &CallError, rest: Duration) -> Duration {
    match error {
        CallError::Refused {
            retry_after_s: Some(seconds),
            ..
        } => Duration::from_secs(*seconds).clamp(rest, RETRY_AFTER_MAX),
        _ => rest,
    }
}

/// Writes updates down and hands those that are new to their lanes. Answers the store's refusal: then nothing was done, and
/// they must not be acknowledged.
async fn take<S: Store>(store: &S, lanes: &mut Lanes<S>, updates: Vec<InboxUpdate>) -> crate::store::Result<()> {
    point("polled");
    let new = store.record_updates(updates).await.inspect_err(|error| {
        tracing::error!(%error, "updates were not written down, so they are not acknowledged");
    })?;
    point("recorded");
    metrics().recorded(new.len());
    for update in new {
        lanes.put(update);
    }
    Ok(())
}

/// As it goes to the inbox; what has no number is nothing of the platform's.
fn numbered(update: &Value) -> Option<InboxUpdate> {
    Some(InboxUpdate {
        update_id: update["update_id"].as_i64()?,
        payload: update.to_string(),
    })
}

/// One ordered lane a chat.
struct Lanes<S> {
    desk: Desk<S>,
    lanes: HashMap<i64, UnboundedSender<InboxUpdate>>,
    tasks: TaskTracker,
    /// Ends waits, not answers.
    stop: CancellationToken,
}

impl<S: Store> Lanes<S> {
    fn put(&mut self, update: InboxUpdate) {
        let read: Value = serde_json::from_str(&update.payload).unwrap_or_default();
        if is_cancel(&read) {
            let (desk, stop) = (self.desk.clone(), self.stop.clone());
            self.tasks.spawn(async move { handle(&desk, update, &stop).await });
            return;
        }
        if self.lanes.len() >= LANES_MAX {
            // Closed lanes end after what they hold.
            self.lanes.clear();
        }
        let lane = self.lanes.entry(chat_of(&read)).or_insert_with(|| {
            let (sender, mut receiver) = unbounded_channel::<InboxUpdate>();
            let (desk, stop) = (self.desk.clone(), self.stop.clone());
            self.tasks.spawn(async move {
                while let Some(update) = receiver.recv().await {
                    handle(&desk, update, &stop).await;
                }
            });
            sender
        });
        if lane.send(update).is_err() {
            tracing::error!("a lane is closed; its update comes again after a restart");
        }
    }

    fn close(self) -> TaskTracker {
        self.tasks.close();
        self.tasks
    }
}

/// Handles one update in a task of its own: a panic ends that task and nothing else, and the update is not tried again.
/// A store that fails is waited for, and so is a platform that takes no answer; the chat's next updates wait with it.
/// `stop` ends the waiting: what is not marked comes again after the start.
async fn handle<S: Store>(desk: &Desk<S>, update: InboxUpdate, stop: &CancellationToken) {
    let InboxUpdate { update_id, payload } = update;
    let (mut rest, mut tries) = (BACK_OFF, 0);
    loop {
        match tokio::spawn(read_and_answer(desk.clone(), update_id, payload.clone())).await {
            Ok(Ok(())) => break,
            Ok(Err(HandlerError::Store(error))) => {
                tracing::error!(update_id, %error, "the store failed; the update is tried again");
            }
            // An outage of the platform costs no try.
            Ok(Err(error)) if error.is_passing() && (desk.api.is_away() || tries < ANSWER_TRIES_MAX) => {
                tries += u32::from(!desk.api.is_away());
                tracing::warn!(update_id, %error, "the update is tried again");
            }
            // Not marked: it comes again after a restart, when the platform works.
            Ok(Err(error)) if error.is_passing() => {
                tracing::error!(update_id, %error, "an update was not handled");
                return;
            }
            Ok(Err(error)) => {
                tracing::warn!(update_id, %error, "an update was not fully answered");
                break;
            }
            Err(error) => {
                tracing::error!(update_id, panicked = error.is_panic(), "a handler broke");
                break;
            }
        }
        tokio::select! {
            () = waited(desk, rest) => {}
            () = stop.cancelled() => return,
        }
        rest = (rest * 2).min(REST_MAX);
    }
    point("answered");
    if let Err(error) = desk.store.mark_handled(update_id).await {
        tracing::error!(update_id, %error, "an update was not marked handled");
    }
    point("marked");
}

/// A rest, and longer while the platform is away: nothing could be answered.
async fn waited<S: Store>(desk: &Desk<S>, rest: Duration) {
    tokio::time::sleep(rest).await;
    while desk.api.is_away() {
        tokio::time::sleep(BACK_OFF).await;
    }
}

async fn read_and_answer<S: Store>(desk: Desk<S>, update_id: i64, payload: String) -> Handled {
    let wanted = parse(&payload).and_then(|update| intake::read(&update, &desk.me, desk.fetch_bytes_max));
    match wanted {
        Some((sender, wanted)) => desk.handle(update_id, sender, wanted).await,
        None => Ok(()),
    }
}

/// teloxide 0.17 does not read files without a MIME type, which the Bot API may leave out: such a message would be
/// skipped in silence.
fn parse(payload: &str) -> Option<Update> {
    let mut update: Value = serde_json::from_str(payload).ok()?;
    for kind in ["video", "audio", "voice", "animation", "document"] {
        if let Some(file) = update["message"][kind].as_object_mut() {
            file.entry("mime_type")
                .or_insert_with(|| json!("application/octet-stream"));
        }
    }
    serde_json::from_str(&update.to_string()).ok()
}

/// A press on Cancel: it must not wait behind answers that a flood limit holds up, and may come in any order, for it only
/// ends a job.
fn is_cancel(update: &Value) -> bool {
    let data = update["callback_query"]["data"].as_str().unwrap_or_default();
    matches!(Press::parse(data), Some(Press::Cancel(_)))
}

/// The chat of an update, whatever its kind; 0 where it has none.
fn chat_of(update: &Value) -> i64 {
    let message = if update["message"].is_null() {
        &update["callback_query"]["message"]
    } else {
        &update["message"]
    };
    message["chat"]["id"].as_i64().unwrap_or_default()
}
