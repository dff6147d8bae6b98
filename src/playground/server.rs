//! The Bot API's methods, in the real server's words. Uploads are streamed to disk.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::multipart::Field;
use axum::extract::{FromRequest, Multipart, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use super::world::{BOT_ID, Call, Fault, Message, Refusal, Shared, Stored, TOKEN, World, bad};

const UPLOAD_BYTES_MAX: u64 = 50_000_000;
const DOWNLOAD_BYTES_MAX: u64 = 20 << 20;
const THUMBNAIL_BYTES_MAX: u64 = 200 * 1024 - 1;
const POLL_S_MAX: u64 = 50;

/// The parameters of a call: fields, and files that lie on disk already.
struct Params {
    fields: HashMap<String, Value>,
    files: HashMap<String, (String, Stored)>,
}

impl Params {
    fn text(&self, name: &str) -> String {
        match self.fields.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        }
    }

    fn number(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or(0)
    }

    /// An object that came as JSON or as text of it.
    fn object(&self, name: &str) -> Value {
        match self.fields.get(name) {
            Some(Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
            Some(value) => value.clone(),
            None => Value::Null,
        }
    }
}

/// `/bot<token>/<method>`
pub(super) async fn call(
    State(shared): State<Arc<Shared>>,
    Path((bot, method)): Path<(String, String)>,
    request: Request,
) -> Response {
    let method = method.to_lowercase();
    if bot.strip_prefix("bot") != Some(TOKEN) {
        return refusal(Refusal(401, "Unauthorized".to_owned(), None));
    }
    let fault = shared.read(|world| world.fault(&method));
    match &fault {
        Some(Fault::TooManyRequests(seconds)) => {
            let words = format!("Too Many Requests: retry after {seconds}");
            return finish(&shared, &method, Err(Refusal(429, words, Some(*seconds))));
        }
        Some(Fault::ServerError) => {
            return finish(
                &shared,
                &method,
                Err(Refusal(500, "Internal Server Error".to_owned(), None)),
            );
        }
        Some(Fault::Stall(milliseconds)) => tokio::time::sleep(Duration::from_millis(*milliseconds)).await,
        _ => {}
    }
    let params = match params_of(&shared, request).await {
        Ok(params) => params,
        Err(refused) => return finish(&shared, &method, Err(refused)),
    };
    let outcome = if method == "getupdates" {
        get_updates(&shared, &params).await
    } else {
        shared.change(|world| act(world, &method, &params))
    };
    let response = finish(&shared, &method, outcome);
    if fault == Some(Fault::LostAnswer) {
        return broken();
    }
    response
}

fn finish(shared: &Shared, method: &str, outcome: Result<Value, Refusal>) -> Response {
    let status = outcome.as_ref().err().map_or(200, |refused| refused.0);
    if method != "getupdates" {
        let call = Call {
            method: method.to_owned(),
            status,
        };
        shared.read(|world| world.calls.push(call));
    }
    match outcome {
        Ok(result) => axum::Json(json!({ "ok": true, "result": result })).into_response(),
        Err(refused) => refusal(refused),
    }
}

fn refusal(Refusal(code, description, retry_after): Refusal) -> Response {
    let mut body = json!({ "ok": false, "error_code": code, "description": description });
    if let Some(seconds) = retry_after {
        body["parameters"] = json!({ "retry_after": seconds });
    }
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST);
    (status, axum::Json(body)).into_response()
}

/// An answer that breaks off: its body fails after the headers went out.
fn broken() -> Response {
    let pieces = futures::stream::iter([Ok("{\"ok\":".to_owned()), Err(std::io::Error::other("reset"))]);
    Response::new(Body::from_stream(pieces))
}

async fn params_of(shared: &Shared, request: Request) -> Result<Params, Refusal> {
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let mut params = Params {
        fields: HashMap::new(),
        files: HashMap::new(),
    };
    if !kind.starts_with("multipart/") {
        let bytes = axum::body::to_bytes(request.into_body(), 1 << 20)
            .await
            .map_err(|_| bad("body"))?;
        if let Ok(Value::Object(fields)) = serde_json::from_slice(&bytes) {
            params.fields = fields.into_iter().collect();
        }
        return Ok(params);
    }
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|_| bad("multipart"))?;
    while let Some(field) = form.next_field().await.map_err(|_| bad("multipart"))? {
        let name = field.name().unwrap_or_default().to_owned();
        if field.file_name().is_some() {
            let kept = keep(shared, field).await?;
            params.files.insert(name, kept);
        } else {
            let text = field.text().await.map_err(|_| bad("multipart"))?;
            params.fields.insert(name, Value::String(text));
        }
    }
    Ok(params)
}

async fn keep(shared: &Shared, mut field: Field<'_>) -> Result<(String, Stored), Refusal> {
    let disk = |_| Refusal(500, "Internal Server Error".to_owned(), None);
    let path = shared.read(World::new_path);
    let mut file = tokio::fs::File::create(&path).await.map_err(disk)?;
    let mut size = 0;
    while let Some(chunk) = field.chunk().await.map_err(|_| bad("multipart"))? {
        size += chunk.len() as u64;
        if size > UPLOAD_BYTES_MAX {
            return Err(Refusal(413, "Request Entity Too Large".to_owned(), None));
        }
        file.write_all(&chunk).await.map_err(disk)?;
    }
    file.flush().await.map_err(disk)?;
    shared.change(|world| world.keep(&path)).map_err(disk)
}

/// Long polling: an offset confirms all before it; a second poller turns the first away.
async fn get_updates(shared: &Shared, params: &Params) -> Result<Value, Refusal> {
    let offset = params.number("offset");
    let timeout_s = params.number("timeout").unsigned_abs().min(POLL_S_MAX);
    let turn = shared.read(|world| {
        world.polling += 1;
        world
            .updates
            .retain(|update| update["update_id"].as_i64().unwrap_or(0) >= offset);
        world.polling
    });
    let deadline = tokio::time::Instant::now() + Duration::from_secs(timeout_s);
    loop {
        let changed = shared.changed.notified();
        let (updates, mine) = shared.read(|world| {
            (
                world.updates.iter().take(100).cloned().collect::<Vec<_>>(),
                world.polling == turn,
            )
        });
        if !mine {
            let words =
                "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running";
            return Err(Refusal(409, words.to_owned(), None));
        }
        if !updates.is_empty() {
            return Ok(Value::Array(updates));
        }
        if tokio::time::timeout_at(deadline, changed).await.is_err() {
            return Ok(json!([]));
        }
    }
}

fn act(world: &mut World, method: &str, params: &Params) -> Result<Value, Refusal> {
    let chat = params.number("chat_id");
    match method {
        "getme" => Ok(json!({
            "id": BOT_ID, "is_bot": true, "first_name": "kadr", "username": "kadr_bot", "can_join_groups": true,
            "can_read_all_group_messages": false, "supports_inline_queries": false, "has_main_web_app": false,
            "can_connect_to_business": false,
        })),
        "getwebhookinfo" => Ok(json!({ "url": "", "has_custom_certificate": false, "pending_update_count": 0 })),
        "deletewebhook" | "setmycommands" | "sendchataction" | "logout" | "close" => Ok(json!(true)),
        "sendmessage" => {
            let draft = text_draft(params)?;
            world.post(chat, draft)
        }
        "editmessagetext" => {
            let draft = text_draft(params)?;
            world.edit(chat, params.number("message_id"), draft)
        }
        "editmessagemedia" => {
            let media = params.object("media");
            let kind = media["type"].as_str().unwrap_or_default().to_owned();
            let draft = media_draft(world, params, &kind, &media)?;
            world.edit(chat, params.number("message_id"), draft)
        }
        "sendvideo" | "sendaudio" | "sendanimation" | "senddocument" | "sendvideonote" | "sendvoice" => {
            let kind = match method {
                "sendvideonote" => "video_note",
                other => &other["send".len()..],
            };
            let mut media = json!({ "media": params.text(kind) });
            for name in ["width", "height", "duration"] {
                media[name] = json!(params.number(name));
            }
            media["caption"] = json!(params.text("caption"));
            if params.files.contains_key(kind) {
                media["media"] = json!(format!("attach://{kind}"));
            }
            if params.files.contains_key("thumbnail") {
                media["thumbnail"] = json!("attach://thumbnail");
            }
            let draft = media_draft(world, params, kind, &media)?;
            world.post(chat, draft)
        }
        "deletemessage" => {
            world.delete(chat, params.number("message_id"));
            Ok(json!(true))
        }
        "answercallbackquery" => world.answer_query(&params.text("callback_query_id"), &params.text("text")),
        "getfile" => get_file(world, &params.text("file_id")),
        _ => Err(Refusal(404, "Not Found".to_owned(), None)),
    }
}

fn get_file(world: &World, file_id: &str) -> Result<Value, Refusal> {
    let stored = world
        .files
        .get(file_id)
        .ok_or_else(|| bad("wrong file_id or the file is temporarily unavailable"))?;
    if stored.size > DOWNLOAD_BYTES_MAX {
        return Err(bad("file is too big"));
    }
    Ok(json!({
        "file_id": file_id,
        "file_unique_id": stored.unique,
        "file_size": stored.size,
        "file_path": format!("files/{file_id}"),
    }))
}

fn text_draft(params: &Params) -> Result<Message, Refusal> {
    let text = params.text("text");
    match text.chars().count() {
        0 => Err(bad("message text is empty")),
        1..=4096 => Ok(Message {
            text,
            buttons: buttons_of(params)?,
            ..empty()
        }),
        _ => Err(bad("message is too long")),
    }
}

fn media_draft(world: &mut World, params: &Params, kind: &str, media: &Value) -> Result<Message, Refusal> {
    let reference = media["media"].as_str().unwrap_or_default();
    let (file_id, stored) = match reference.strip_prefix("attach://") {
        Some(part) => params
            .files
            .get(part)
            .cloned()
            .ok_or_else(|| bad("file must be non-empty"))?,
        None => {
            let stored = world.files.get(reference).cloned();
            (
                reference.to_owned(),
                stored.ok_or_else(|| bad("wrong file identifier/HTTP URL specified"))?,
            )
        }
    };
    if media["caption"].as_str().unwrap_or_default().chars().count() > 1024 {
        return Err(bad("message caption is too long"));
    }
    let thumbnail = media["thumbnail"]
        .as_str()
        .and_then(|name| params.files.get(name.strip_prefix("attach://")?));
    if thumbnail.is_some_and(|(_, stored)| stored.size > THUMBNAIL_BYTES_MAX) {
        return Err(bad("PHOTO_INVALID_DIMENSIONS"));
    }
    let number = |name: &str| media[name].as_u64().unwrap_or(0);
    Ok(Message {
        text: media["caption"].as_str().unwrap_or_default().to_owned(),
        media: Some(kind.to_owned()),
        path: Some(stored.path),
        file: Some(file_id),
        width: number("width"),
        height: number("height"),
        duration: number("duration"),
        size: stored.size,
        thumbnail: thumbnail.is_some(),
        buttons: buttons_of(params)?,
        ..empty()
    })
}

fn buttons_of(params: &Params) -> Result<Vec<Vec<(String, String)>>, Refusal> {
    let markup = params.object("reply_markup");
    let mut rows = Vec::new();
    for row in markup["inline_keyboard"].as_array().into_iter().flatten() {
        let mut buttons = Vec::new();
        for button in row.as_array().into_iter().flatten() {
            let word = |name: &str| button[name].as_str().unwrap_or_default().to_owned();
            if !(1..=64).contains(&word("callback_data").len()) {
                return Err(bad("BUTTON_DATA_INVALID"));
            }
            buttons.push((word("text"), word("callback_data")));
        }
        rows.push(buttons);
    }
    Ok(rows)
}

fn empty() -> Message {
    Message {
        id: 0,
        from_bot: true,
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

/// `/file/bot<token>/<path>`
pub(super) async fn download(State(shared): State<Arc<Shared>>, Path((bot, path)): Path<(String, String)>) -> Response {
    let file_id = path.rsplit('/').next().unwrap_or_default().to_owned();
    let (stored, fault) = shared.read(|world| (world.files.get(&file_id).cloned(), world.fault("download")));
    let (Some(stored), Some(TOKEN)) = (stored, bot.strip_prefix("bot")) else {
        return refusal(Refusal(404, "Not Found".to_owned(), None));
    };
    let Ok(file) = tokio::fs::File::open(&stored.path).await else {
        return refusal(Refusal(404, "Not Found".to_owned(), None));
    };
    let body = match fault {
        Some(Fault::Slow(bytes_a_second)) => {
            let block = usize::try_from(bytes_a_second / 10).unwrap_or(1).max(1);
            Body::from_stream(ReaderStream::with_capacity(file, block).then(|chunk| async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                chunk
            }))
        }
        _ => Body::from_stream(ReaderStream::new(file)),
    };
    ([(header::CONTENT_LENGTH, stored.size.to_string())], body).into_response()
}
