//! A call's parameters, however they came: query, JSON, urlencoded, multipart. Files are streamed to disk.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use axum::body::Body;
use axum::extract::multipart::Field;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::files::{self, Digest, Upload};
use super::world::{Refusal, bad};

/// All that is not a file.
const FIELDS_BYTES_MAX: usize = 1 << 20;
const FILES_MAX: usize = 50;
/// What names a file on a local server's disk.
const FILE_SCHEME: &str = "file://";
/// A body that is read only to be thrown away is read so far.
const DRAIN_BYTES_MAX: u64 = 4 << 30;
/// A sender that is silent for so long is given up.
const IDLE: Duration = Duration::from_secs(60);

/// How uploads are taken.
pub(super) struct Intake {
    pub(super) folder: PathBuf,
    pub(super) file_bytes_max: u64,
    /// Whether files may be named by `file://`.
    pub(super) reads_disk: bool,
    /// A planned fault.
    pub(super) bytes_per_s: Option<u64>,
}

#[derive(Default)]
pub(super) struct Params {
    pub(super) fields: HashMap<String, Value>,
    pub(super) uploads: HashMap<String, Upload>,
}

impl Params {
    pub(super) fn text(&self, name: &str) -> String {
        match self.fields.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        }
    }

    pub(super) fn number(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or(0)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.text(name).as_str(), "true" | "1" | "True")
    }

    /// An object or array that came as JSON or as text of it.
    pub(super) fn object(&self, name: &str) -> Value {
        match self.fields.get(name) {
            Some(Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
            Some(value) => value.clone(),
            None => Value::Null,
        }
    }

    /// For the transcript: files by name and size, ids as numbers whatever the encoding was.
    pub(super) fn shown(&self) -> Value {
        let mut shown = serde_json::Map::new();
        for (name, value) in &self.fields {
            let numeric = matches!(
                name.as_str(),
                "chat_id" | "message_id" | "offset" | "width" | "height" | "duration"
            );
            let value = match value {
                Value::String(text) if numeric => text.parse::<i64>().map_or_else(|_| value.clone(), |id| json!(id)),
                other => other.clone(),
            };
            shown.insert(name.clone(), value);
        }
        for (name, upload) in &self.uploads {
            shown.insert(
                name.clone(),
                json!({ "name": upload.name, "size_bytes": upload.size_bytes }),
            );
        }
        Value::Object(shown)
    }
}

pub(super) async fn read(intake: &Intake, request: Request) -> Result<Params, Refusal> {
    let mut params = Params::default();
    add_pairs(&mut params, request.uri().query().unwrap_or_default());
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().to_owned();
    if kind.starts_with("multipart/") {
        read_form(intake, request, &mut params).await?;
        return Ok(params);
    }
    let bytes = tokio::time::timeout(IDLE, axum::body::to_bytes(request.into_body(), FIELDS_BYTES_MAX));
    let bytes = bytes.await.map_err(|_| bad("the body did not come"))?;
    let bytes = bytes.map_err(|_| Refusal(413, "Request Entity Too Large".to_owned(), None))?;
    if kind.starts_with("application/x-www-form-urlencoded") {
        add_pairs(&mut params, &String::from_utf8_lossy(&bytes));
    } else if !bytes.is_empty() {
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(fields)) => params.fields.extend(fields),
            _ => return Err(bad("can't parse JSON object")),
        }
    }
    Ok(params)
}

fn add_pairs(params: &mut Params, query: &str) {
    if let Ok(url) = reqwest::Url::parse(&format!("http://localhost/?{query}")) {
        for (name, value) in url.query_pairs() {
            params
                .fields
                .insert(name.into_owned(), Value::String(value.into_owned()));
        }
    }
}

async fn read_form(intake: &Intake, request: Request, params: &mut Params) -> Result<(), Refusal> {
    let broken = || bad("can't parse multipart/form-data");
    let mut form = Multipart::from_request(request, &()).await.map_err(|_| broken())?;
    let (mut too_big, mut fields_bytes) = (false, 0);
    while let Some(mut field) = next(form.next_field()).await?.map_err(|_| broken())? {
        let name = field.name().unwrap_or_default().to_owned();
        if field.file_name().is_some() {
            match keep(intake, &mut field).await? {
                Some(upload) if params.uploads.len() < FILES_MAX => {
                    params.uploads.insert(name, upload);
                }
                _ => too_big = true,
            }
            continue;
        }
        let mut text = Vec::new();
        while let Some(chunk) = next(field.chunk()).await?.map_err(|_| broken())? {
            fields_bytes += chunk.len();
            if fields_bytes <= FIELDS_BYTES_MAX {
                text.extend_from_slice(&chunk);
            }
        }
        let text = String::from_utf8(text).map_err(|_| bad("strings must be encoded in UTF-8"))?;
        params.fields.insert(name, Value::String(text));
    }
    if too_big || fields_bytes > FIELDS_BYTES_MAX {
        return Err(Refusal(413, "Request Entity Too Large".to_owned(), None));
    }
    Ok(())
}

async fn next<T>(coming: impl Future<Output = T>) -> Result<T, Refusal> {
    tokio::time::timeout(IDLE, coming)
        .await
        .map_err(|_| Refusal(408, "Request Timeout".to_owned(), None))
}

/// Streams a file to disk. One over the limit is read to its end and thrown away (`None`): a client that is still
/// sending would see a broken connection instead of the answer.
async fn keep(intake: &Intake, field: &mut Field<'_>) -> Result<Option<Upload>, Refusal> {
    let disk = |_| Refusal(500, "Internal Server Error".to_owned(), None);
    let (file, path) = files::create(&intake.folder).map_err(disk)?;
    let mut file = tokio::fs::File::from_std(file);
    let name = field.file_name().map(str::to_owned);
    let (mut size_bytes, mut digest) = (0, Digest::default());
    while let Some(chunk) = next(field.chunk())
        .await?
        .map_err(|_| bad("can't parse multipart/form-data"))?
    {
        let length = chunk.len() as u64;
        size_bytes += length;
        if size_bytes > DRAIN_BYTES_MAX {
            break;
        }
        if size_bytes <= intake.file_bytes_max {
            digest.add(&chunk);
            file.write_all(&chunk).await.map_err(disk)?;
        }
        if let Some(rate) = intake.bytes_per_s {
            tokio::time::sleep(Duration::from_millis(length * 1000 / rate.max(1))).await;
        }
    }
    file.flush().await.map_err(disk)?;
    Ok((size_bytes <= intake.file_bytes_max).then(|| Upload {
        path,
        name,
        size_bytes,
        digest: digest.finish(),
    }))
}

/// Reads what the parameters name by `file://`, in the words of the real server where that fails (tdlib,
/// `FileLoaderUtils.cpp`). Kept under the whole name.
pub(super) async fn read_named(intake: &Intake, params: &mut Params) -> Result<(), Refusal> {
    if !intake.reads_disk {
        return Ok(());
    }
    let mut names = Vec::new();
    for field in params.fields.keys() {
        names.extend(named(&params.object(field)));
        names.extend(named(&Value::String(params.text(field))));
    }
    for name in names {
        let upload = read_one(intake, name.trim_start_matches(FILE_SCHEME)).await?;
        params.uploads.insert(name, upload);
    }
    Ok(())
}

/// The files that a value names: itself, or as the `media` of an item or of each item.
fn named(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(named).collect(),
        Value::Object(item) => item.get("media").map(named).unwrap_or_default(),
        Value::String(name) if name.starts_with(FILE_SCHEME) => vec![name.clone()],
        _ => Vec::new(),
    }
}

async fn read_one(intake: &Intake, path: &str) -> Result<Upload, Refusal> {
    let path = tokio::fs::canonicalize(path)
        .await
        .map_err(|_| bad("can't find real file path"))?;
    let facts = tokio::fs::metadata(&path)
        .await
        .map_err(|_| bad("can't get stat about the file"))?;
    match facts.len() {
        _ if !facts.is_file() => Err(bad("file must be a regular file")),
        0 => Err(bad("file must be non-empty")),
        size if size > intake.file_bytes_max => Err(bad("file is too big")),
        _ => files::copy_slowly(&intake.folder, &path)
            .await
            .map_err(|_| bad("can't get stat about the file")),
    }
}

/// Reads a body to its end, for an answer that does not need it.
pub(super) async fn drain(body: Body) {
    let (mut stream, mut size_bytes) = (body.into_data_stream(), 0);
    while let Ok(Some(Ok(chunk))) = tokio::time::timeout(IDLE, stream.next()).await {
        size_bytes += chunk.len() as u64;
        if size_bytes > DRAIN_BYTES_MAX {
            return;
        }
    }
}
