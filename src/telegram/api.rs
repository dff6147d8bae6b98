//! Raw calls where teloxide's own would lose something: getUpdates (the raw JSON goes to the inbox), uploads (counted,
//! never whole in memory) and downloads. No error carries a URL: it would hold the token.

use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use crate::courier::{CourierError, Meter};
use crate::job::Reason;

const CONNECT_S: u64 = 5;
/// A transfer that moves nothing for so long is given up.
const STALL_S: u64 = 60;

/// Calls to one Bot API server with one token.
#[derive(Clone)]
pub(super) struct Api {
    base: String,
    files: String,
    light: reqwest::Client,
    transfers: reqwest::Client,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Api")
    }
}

/// A call that did not succeed.
#[derive(Debug)]
pub(super) enum CallError {
    /// The server said no.
    Refused {
        code: u16,
        description: String,
        retry_after_s: Option<u64>,
    },
    /// No answer, or none that reads: for sends, maybe done.
    Lost(String),
    /// Our own disk.
    Disk(std::io::Error),
}

/// One part of an upload.
pub(super) struct Part<'a> {
    pub(super) name: &'static str,
    pub(super) path: &'a Path,
    pub(super) file_name: &'static str,
    pub(super) meter: Option<Meter>,
}

impl Api {
    pub(super) fn new(api_url: &str, token: &str) -> reqwest::Result<Self> {
        let api_url = api_url.trim_end_matches('/');
        let client = || reqwest::Client::builder().connect_timeout(Duration::from_secs(CONNECT_S));
        Ok(Self {
            base: format!("{api_url}/bot{token}"),
            files: format!("{api_url}/file/bot{token}"),
            light: client().timeout(Duration::from_secs(30)).build()?,
            transfers: client().read_timeout(Duration::from_secs(STALL_S)).build()?,
        })
    }

    /// A small call with JSON.
    pub(super) async fn call(&self, method: &str, body: &Value, timeout_s: u64) -> Result<Value, CallError> {
        let request = self
            .light
            .post(format!("{}/{method}", self.base))
            .timeout(Duration::from_secs(timeout_s))
            .json(body);
        answer(request).await
    }

    /// A call that carries files, streamed from disk.
    pub(super) async fn upload(
        &self,
        method: &str,
        fields: Vec<(&'static str, String)>,
        parts: &[Part<'_>],
    ) -> Result<Value, CallError> {
        let mut form = reqwest::multipart::Form::new();
        for (name, value) in fields {
            form = form.text(name, value);
        }
        for part in parts {
            let file = tokio::fs::File::open(part.path).await.map_err(CallError::Disk)?;
            let size = file.metadata().await.map_err(CallError::Disk)?.len();
            let meter = part.meter.clone();
            let stream = ReaderStream::with_capacity(file, 128 << 10).inspect(move |chunk| {
                if let (Some(meter), Ok(chunk)) = (&meter, chunk) {
                    meter.add(chunk.len() as u64);
                }
            });
            let body = reqwest::Body::wrap_stream(stream);
            let piece = reqwest::multipart::Part::stream_with_length(body, size).file_name(part.file_name);
            form = form.part(part.name, piece);
        }
        answer(self.transfers.post(format!("{}/{method}", self.base)).multipart(form)).await
    }

    /// Streams a file of the server to disk; checks the status and the length.
    pub(super) async fn download(&self, file_path: &str, into: &Path, meter: &Meter) -> Result<u64, CallError> {
        let response = self
            .transfers
            .get(format!("{}/{file_path}", self.files))
            .send()
            .await
            .map_err(lost)?;
        let status = response.status();
        if !status.is_success() {
            return Err(CallError::Refused {
                code: status.as_u16(),
                description: "the file was not handed out".to_owned(),
                retry_after_s: None,
            });
        }
        let promised = response.content_length();
        let mut file = tokio::fs::File::create(into).await.map_err(CallError::Disk)?;
        let mut stream = response.bytes_stream();
        let mut bytes = 0;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(lost)?;
            file.write_all(&chunk).await.map_err(CallError::Disk)?;
            bytes += chunk.len() as u64;
            meter.add(chunk.len() as u64);
        }
        file.flush().await.map_err(CallError::Disk)?;
        file.sync_all().await.map_err(CallError::Disk)?;
        match promised {
            Some(promised) if promised != bytes => Err(CallError::Lost(format!(
                "download ended at {bytes} of {promised} bytes"
            ))),
            _ => Ok(bytes),
        }
    }
}

fn lost(error: reqwest::Error) -> CallError {
    CallError::Lost(error.without_url().to_string())
}

/// Sends and unwraps `{"ok", "result" | "error_code", "description", "parameters"}`.
async fn answer(request: reqwest::RequestBuilder) -> Result<Value, CallError> {
    let response = request.send().await.map_err(lost)?;
    let status = response.status().as_u16();
    let mut answer: Value = match response.json().await {
        Ok(answer) => answer,
        Err(error) if status < 400 => return Err(lost(error)),
        Err(_) => Value::Null,
    };
    if answer["ok"] == Value::Bool(true) {
        return Ok(answer["result"].take());
    }
    Err(CallError::Refused {
        code: u16::try_from(answer["error_code"].as_u64().unwrap_or(status.into())).unwrap_or(status),
        description: answer["description"].as_str().unwrap_or("no description").to_owned(),
        retry_after_s: answer["parameters"]["retry_after"].as_u64(),
    })
}

/// Whether a repeated edit found its work done already.
pub(super) fn is_not_modified(error: &CallError) -> bool {
    matches!(error, CallError::Refused { description, .. } if description.contains("message is not modified"))
}

/// Whether the message to edit is gone.
pub(super) fn is_message_gone(error: &CallError) -> bool {
    matches!(error, CallError::Refused { description, .. }
        if description.contains("message to edit not found") || description.contains("MESSAGE_ID_INVALID")
            || description.contains("message can't be edited"))
}

/// What a failed call means for a job. Words and codes are the server's (facts: telegram-bot-api, Client.cpp).
pub(super) fn classify(error: CallError) -> CourierError {
    match error {
        CallError::Disk(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            CourierError::Hopeless(Reason::DiskFull)
        }
        CallError::Disk(error) => CourierError::Transient {
            after_s: None,
            what: error.to_string(),
        },
        CallError::Lost(what) => CourierError::Transient { after_s: None, what },
        CallError::Refused {
            code,
            description,
            retry_after_s,
        } => refused(code, description, retry_after_s),
    }
}

fn refused(code: u16, description: String, retry_after_s: Option<u64>) -> CourierError {
    let says = |words: &str| description.contains(words);
    match code {
        413 => CourierError::Hopeless(Reason::TooLargeToSend {
            size_bytes: 0,
            limit_bytes: 0,
        }),
        429 => CourierError::Transient {
            after_s: Some(retry_after_s.unwrap_or(5)),
            what: description,
        },
        403 => CourierError::Unreachable { what: description },
        400 if says("chat not found") || says("group chat was upgraded") => {
            CourierError::Unreachable { what: description }
        }
        400 if says("file is too big") => CourierError::Hopeless(Reason::TooLargeToFetch {
            size_bytes: 0,
            limit_bytes: super::FETCH_BYTES_MAX,
        }),
        400 if says("wrong file identifier") || says("wrong remote file") => CourierError::StaleFileId,
        404 => CourierError::Hopeless(Reason::SourceGone),
        400 if says("temporarily unavailable") => CourierError::Transient {
            after_s: None,
            what: description,
        },
        400..500 => {
            tracing::error!(code, description, "the platform refused a call of ours");
            CourierError::Hopeless(Reason::Internal)
        }
        _ => CourierError::Transient {
            after_s: None,
            what: description,
        },
    }
}
