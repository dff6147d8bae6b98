//! The chat page: one static file, the state as JSON, media with ranges, and what people do.

use std::io::SeekFrom;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Multipart, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;

use super::world::{SendAs, Shared, World};

/// The page polls: so long a poll waits for a change.
const POLL_MS: u64 = 2000;

pub(super) async fn index() -> Html<&'static str> {
    Html(include_str!("page.html"))
}

#[derive(Deserialize)]
pub(super) struct Seen {
    version: u64,
}

/// Everything that the page shows; waits a moment for something new.
pub(super) async fn state(State(shared): State<Arc<Shared>>, Query(seen): Query<Seen>) -> Json<Value> {
    let changed = shared.changed.notified();
    if shared.read(|world| world.version) == seen.version {
        let _ = tokio::time::timeout(std::time::Duration::from_millis(POLL_MS), changed).await;
    }
    Json(shared.read(|world| {
        let users: Vec<Value> = world
            .users()
            .into_iter()
            .map(|(id, name, language)| json!({ "id": id, "name": name, "language": language, "chat": world.chat(id) }))
            .collect();
        json!({ "version": world.version, "users": users, "toasts": world.toasts })
    }))
}

#[derive(Deserialize)]
pub(super) struct Text {
    user: i64,
    text: String,
}

pub(super) async fn text(State(shared): State<Arc<Shared>>, Json(Text { user, text }): Json<Text>) {
    shared.change(|world| world.send_text(user, &text));
}

#[derive(Deserialize)]
pub(super) struct Press {
    user: i64,
    message: i64,
    data: String,
}

pub(super) async fn press(State(shared): State<Arc<Shared>>, Json(press): Json<Press>) {
    shared.change(|world| world.press(press.user, Some(press.message), &press.data));
}

#[derive(Deserialize)]
pub(super) struct Upload {
    user: i64,
    #[serde(rename = "as")]
    send_as: String,
}

pub(super) async fn file(
    State(shared): State<Arc<Shared>>,
    Query(upload): Query<Upload>,
    mut form: Multipart,
) -> Result<(), StatusCode> {
    let send_as = match upload.send_as.as_str() {
        "video" => SendAs::Video,
        "animation" => SendAs::Animation,
        "video_note" => SendAs::VideoNote,
        _ => SendAs::Document,
    };
    while let Ok(Some(mut field)) = form.next_field().await {
        let name = field.file_name().unwrap_or("file").to_owned();
        let path = shared.read(World::new_path);
        let mut file = tokio::fs::File::create(&path)
            .await
            .map_err(|_| StatusCode::INSUFFICIENT_STORAGE)?;
        while let Some(chunk) = field.chunk().await.map_err(|_| StatusCode::BAD_REQUEST)? {
            file.write_all(&chunk)
                .await
                .map_err(|_| StatusCode::INSUFFICIENT_STORAGE)?;
        }
        file.flush().await.map_err(|_| StatusCode::INSUFFICIENT_STORAGE)?;
        shared
            .change(|world| world.send_file(upload.user, &path, &name, send_as))
            .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    }
    Ok(())
}

/// A file for `<video>`, with one range (RFC 9110, section 14.2): players seek by it.
pub(super) async fn media(
    State(shared): State<Arc<Shared>>,
    Path(file_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, StatusCode> {
    let stored = shared
        .read(|world| world.files.get(&file_id).cloned())
        .ok_or(StatusCode::NOT_FOUND)?;
    let mut file = tokio::fs::File::open(&stored.path)
        .await
        .map_err(|_| StatusCode::NOT_FOUND)?;
    let range = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.strip_prefix("bytes="))
        .and_then(|text| text.split_once('-'))
        .and_then(|(from, to)| Some((from.parse::<u64>().ok()?, to.parse::<u64>().unwrap_or(stored.size - 1))));
    let (from, to, status) = match range {
        Some((from, to)) if from < stored.size => (from, to.min(stored.size - 1), StatusCode::PARTIAL_CONTENT),
        Some(_) => return Err(StatusCode::RANGE_NOT_SATISFIABLE),
        None => (0, stored.size.saturating_sub(1), StatusCode::OK),
    };
    file.seek(SeekFrom::Start(from))
        .await
        .map_err(|_| StatusCode::NOT_FOUND)?;
    let length = (to + 1).saturating_sub(from).min(stored.size);
    let body = Body::from_stream(ReaderStream::new(file.take(length)));
    let headers = [
        (header::CONTENT_TYPE, "video/mp4".to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_RANGE, format!("bytes {from}-{to}/{}", stored.size)),
    ];
    Ok((status, headers, body).into_response())
}
