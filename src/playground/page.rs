//! The chat page and the control plane by HTTP: the state as JSON, media, and what people do.
//!
//! Only this machine's own page may use it: a request from another origin, or by another host name, is refused, so
//! that a web page elsewhere cannot drive a playground that happens to run.

use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, Multipart, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::commands;
use super::door::Cut;
use super::fault::Fault;
use super::files::{self, Digest, Upload};
use super::message::{Message, SendAs};
use super::server;
use super::world::{BOT_ID, BOT_NAME, Shared, World, announced};

/// The page polls: so long a poll waits for a change.
const POLL_MS: u64 = 10_000;
/// What a person may send; Telegram's own limit for people.
const FILE_BYTES_MAX: u64 = 2_000 << 20;

/// Lets the end of the connection end its handler, and strangers outside.
pub(super) async fn guard(ConnectInfo(cut): ConnectInfo<Cut>, request: Request, next: Next) -> Response {
    if !from_own_page(request.headers()) {
        return StatusCode::FORBIDDEN.into_response();
    }
    tokio::select! {
        response = next.run(request) => response,
        () = cut.0.cancelled() => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

fn from_own_page(headers: &HeaderMap) -> bool {
    let word = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = word(header::HOST).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let own_host = matches!(name, "127.0.0.1" | "localhost");
    own_host && word(header::ORIGIN).is_none_or(|origin| origin.strip_prefix("http://") == Some(host))
}

pub(super) async fn index() -> impl IntoResponse {
    // Nothing from elsewhere; `blob:` is for files that a person is about to send.
    let policy = "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; frame-ancestors 'none'";
    (
        [(header::CONTENT_SECURITY_POLICY, policy)],
        Html(include_str!("page/index.html")),
    )
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// The page's parts.
pub(super) async fn part(Path(name): Path<String>) -> Response {
    let (kind, text) = match name.as_str() {
        "main.js" => (SCRIPT, include_str!("page/main.js")),
        "chat.js" => (SCRIPT, include_str!("page/chat.js")),
        "compose.js" => (SCRIPT, include_str!("page/compose.js")),
        "media.js" => (SCRIPT, include_str!("page/media.js")),
        "words.js" => (SCRIPT, include_str!("page/words.js")),
        "style.css" => (STYLE, include_str!("page/style.css")),
        "media.css" => (STYLE, include_str!("page/media.css")),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

#[derive(Deserialize)]
pub(super) struct Seen {
    #[serde(default)]
    version: u64,
}

/// Everything that the page shows; waits a moment for something new.
pub(super) async fn state(State(shared): State<Arc<Shared>>, Query(seen): Query<Seen>) -> Json<Value> {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_millis(POLL_MS);
    loop {
        let changed = shared.changed.notified();
        if shared.read(|world| world.version) != seen.version {
            break;
        }
        if tokio::time::timeout_at(deadline, changed).await.is_err() {
            break;
        }
    }
    Json(shared.read(|world| snapshot(world)))
}

fn snapshot(world: &World) -> Value {
    let users: Vec<Value> = world
        .users
        .iter()
        .map(|(id, user)| {
            let commands = |group| commands::shown(world, &user.language_code, group);
            json!({
                "id": id, "name": user.name, "language": user.language_code, "blocked": user.blocked,
                "commands": { "private": commands(false), "group": commands(true) },
            })
        })
        .collect();
    let chats: Vec<Value> = world
        .chats
        .iter()
        .map(|(id, chat)| {
            json!({
                "id": id, "title": chat.title, "members": chat.members, "topics": chat.topics,
                "messages": chat.messages, "action": world.action(*id),
            })
        })
        .collect();
    json!({
        "version": world.version, "bot": BOT_ID, "bot_name": BOT_NAME, "users": users, "chats": chats,
        "toasts": world.toasts, "pressed": world.pressed(),
    })
}

pub(super) async fn transcript(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(shared.read(|world| json!({ "calls": world.calls, "polls": world.polls })))
}

/// One thing that somebody does.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Act {
    AddUser {
        id: i64,
        name: String,
        language: String,
    },
    AddGroup {
        id: i64,
        title: String,
        members: Vec<i64>,
    },
    AddTopic {
        chat: i64,
        id: i64,
        title: String,
    },
    Promote {
        chat: i64,
        user: Option<i64>,
    },
    Kick {
        chat: i64,
        kicked: bool,
    },
    Rates {
        on: bool,
    },
    Language {
        user: i64,
        language: String,
    },
    Block {
        user: i64,
        blocked: bool,
    },
    Text {
        user: i64,
        chat: Option<i64>,
        text: String,
        reply_to: Option<i64>,
        thread: Option<i64>,
    },
    Press {
        user: i64,
        chat: Option<i64>,
        message: Option<i64>,
        button: String,
    },
    Forward {
        user: i64,
        from_chat: i64,
        message: i64,
        into: Option<i64>,
    },
    Delete {
        chat: i64,
        message: i64,
    },
    Fault {
        method: String,
        times: Option<u32>,
        chance: Option<f64>,
        fault: Fault,
    },
    ClearFaults {},
}

pub(super) async fn act(State(shared): State<Arc<Shared>>, Json(act): Json<Act>) -> Response {
    let done = shared.change(|world| perform(world, act));
    match done {
        Some(result) => Json(json!({ "ok": true, "result": result })).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({ "ok": false }))).into_response(),
    }
}

fn perform(world: &mut World, act: Act) -> Option<Value> {
    match act {
        Act::AddUser { id, name, language } => world.add_user(id, &name, &language),
        Act::AddGroup { id, title, members } => world.add_group(id, &title, &members),
        Act::AddTopic { chat, id, title } => {
            world.chats.get_mut(&chat)?.topics.insert(id, title);
        }
        Act::Promote { chat, user } => {
            world.chats.get_mut(&chat)?.admins.insert(user.unwrap_or(BOT_ID));
        }
        Act::Kick { chat, kicked } => world.chats.get_mut(&chat)?.kicked = kicked,
        Act::Rates { on } => world.rates.on = on,
        Act::Language { user, language } => world.users.get_mut(&user)?.language_code = language,
        Act::Block { user, blocked } => world.users.get_mut(&user)?.blocked = blocked,
        Act::Text {
            user,
            chat,
            text,
            reply_to,
            thread,
        } => {
            let draft = Message {
                from: user,
                text,
                reply_to,
                thread,
                ..Message::default()
            };
            return world.say(chat.unwrap_or(user), draft).map(Value::from);
        }
        Act::Press {
            user,
            chat,
            message,
            button,
        } => {
            return world
                .press(user, chat.unwrap_or(user), message, &button)
                .then_some(Value::Null);
        }
        Act::Forward {
            user,
            from_chat,
            message,
            into,
        } => {
            return world
                .forward(user, (from_chat, message), into.unwrap_or(user))
                .map(Value::from);
        }
        Act::Delete { chat, message } => return world.delete(chat, message).then_some(Value::Null),
        Act::Fault {
            method,
            times,
            chance,
            fault,
        } => world
            .faults
            .plan(&method, times.unwrap_or(1), chance.unwrap_or(1.0), fault),
        Act::ClearFaults {} => world.faults.clear(),
    }
    Some(Value::Null)
}

#[derive(Deserialize)]
pub(super) struct Sent {
    user: i64,
    chat: Option<i64>,
    #[serde(rename = "as")]
    send_as: SendAs,
    #[serde(default)]
    caption: String,
    reply_to: Option<i64>,
    thread: Option<i64>,
}

/// Files from the page, streamed to disk; several become an album. A part's name says how its file is sent.
pub(super) async fn file(
    State(shared): State<Arc<Shared>>,
    Query(sent): Query<Sent>,
    mut form: Multipart,
) -> Result<Json<Value>, StatusCode> {
    let disk = |_| StatusCode::INSUFFICIENT_STORAGE;
    let folder = shared.read(|world| world.data_dir.clone());
    let mut uploads = Vec::new();
    while let Some(mut field) = form.next_field().await.map_err(|_| StatusCode::BAD_REQUEST)? {
        let name = field.file_name().map(str::to_owned);
        let part = Value::from(field.name().unwrap_or_default());
        let send_as = serde_json::from_value(part).unwrap_or(sent.send_as);
        let (file, path) = files::create(&folder).map_err(disk)?;
        let mut file = tokio::fs::File::from_std(file);
        let (mut size_bytes, mut digest) = (0, Digest::default());
        while let Some(chunk) = field.chunk().await.map_err(|_| StatusCode::BAD_REQUEST)? {
            size_bytes += chunk.len() as u64;
            if size_bytes > FILE_BYTES_MAX {
                return Err(StatusCode::PAYLOAD_TOO_LARGE);
            }
            digest.add(&chunk);
            file.write_all(&chunk).await.map_err(disk)?;
        }
        file.flush().await.map_err(disk)?;
        let upload = Upload {
            path,
            name,
            size_bytes,
            digest: digest.finish(),
        };
        uploads.push((upload, send_as));
    }
    let draft = Message {
        from: sent.user,
        text: sent.caption,
        reply_to: sent.reply_to,
        thread: sent.thread,
        ..Message::default()
    };
    let said = shared.change(|world| send(world, sent.chat.unwrap_or(sent.user), uploads, &draft));
    let ids = said.map_err(disk)?.ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(json!({ "ok": true, "result": ids })))
}

/// A person's files take their place in a chat, several as an album with the words under the first. `None` where there is
/// no such chat or person.
pub(super) fn send(
    world: &mut World,
    chat: i64,
    uploads: Vec<(Upload, SendAs)>,
    words: &Message,
) -> std::io::Result<Option<Vec<i64>>> {
    let mut drafts = Vec::new();
    for (upload, send_as) in uploads {
        let stored = announced(&upload.path, upload.name.as_deref(), send_as.kind());
        let file_id = world.adopt(upload, stored)?;
        let Some(shown) = world.showing(&file_id) else {
            return Ok(None);
        };
        drafts.push(Message {
            from: words.from,
            text: if drafts.is_empty() {
                words.text.clone()
            } else {
                String::new()
            },
            reply_to: words.reply_to,
            thread: words.thread,
            ..shown
        });
    }
    Ok(world.say_album(chat, drafts))
}

/// A file for the page. Only sound and pictures are shown; all else is a download, whatever its name says.
pub(super) async fn media(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    Path(file_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, StatusCode> {
    let stored = shared
        .read(|world| world.files.get(&file_id).cloned())
        .ok_or(StatusCode::NOT_FOUND)?;
    let mut response = server::serve(&stored, &headers, None, &cut).await?;
    let shown = ["video/", "audio/", "image/jpeg", "image/png", "image/gif", "image/webp"];
    let mime = if shown.iter().any(|kind| stored.mime.starts_with(kind)) {
        stored.mime.as_str()
    } else {
        "application/octet-stream"
    };
    let head = response.headers_mut();
    head.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_str(mime).map_err(|_| StatusCode::NOT_FOUND)?,
    );
    head.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}
