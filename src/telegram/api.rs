//! Raw calls where teloxide's own would lose something: getUpdates (the raw JSON goes to the inbox), uploads (counted,
//! never whole in memory) and downloads. No error carries a URL: it would hold the token.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use super::Options;
use super::errors::CallError;
use super::pulse::Pulse;
use super::throttle::Throttle;
use crate::courier::Meter;
use crate::crash::point;
use crate::metrics::metrics;

/// A connection that nobody needs is closed after this.
const IDLE: Duration = Duration::from_secs(30);
const CONNECT_S: u64 = 5;
/// A transfer that moves nothing for so long is given up.
const STALL: Duration = Duration::from_secs(60);
/// A small call; getUpdates and getFile bring their own.
const CALL_S: u64 = 10;
/// Tries of a patient call, and the longest wait between two.
const TRIES_MAX: u32 = 6;
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Calls to one Bot API server with one token.
#[derive(Clone)]
pub(super) struct Api {
    base: String,
    files: String,
    /// Without a time limit of its own: every use brings one.
    calls: reqwest::Client,
    downloads: reqwest::Client,
    throttle: Arc<Throttle>,
    pulse: Arc<Pulse>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Api")
    }
}

/// One part of an upload.
pub(super) struct Part<'a> {
    pub(super) name: Cow<'static, str>,
    pub(super) path: &'a Path,
    pub(super) file_name: &'static str,
    pub(super) meter: Option<Meter>,
}

impl Api {
    pub(super) fn of(options: &Options) -> reqwest::Result<Self> {
        let (throttle, pulse) = (Arc::clone(&options.throttle), Arc::clone(&options.pulse));
        Self::new(&options.api_url, &options.token, throttle, pulse)
    }

    pub(super) fn new(api_url: &str, token: &str, throttle: Arc<Throttle>, pulse: Arc<Pulse>) -> reqwest::Result<Self> {
        let api_url = api_url.trim_end_matches('/');
        let client = || {
            reqwest::Client::builder()
                .connect_timeout(Duration::from_secs(CONNECT_S))
                .pool_idle_timeout(IDLE)
        };
        Ok(Self {
            base: format!("{api_url}/bot{token}"),
            files: format!("{api_url}/file/bot{token}"),
            calls: client().build()?,
            downloads: client().read_timeout(STALL).build()?,
            throttle,
            pulse,
        })
    }

    /// Whether the platform answers nobody.
    pub(super) fn is_away(&self) -> bool {
        self.pulse.is_away(Instant::now())
    }

    /// Takes note of whether there was an answer at all.
    fn heard<T>(&self, method: &str, outcome: Result<T, CallError>) -> Result<T, CallError> {
        metrics().called(method, outcome.as_ref().err().map_or("ok", CallError::kind));
        match &outcome {
            Err(error) if error.is_silence() => self.pulse.missed(Instant::now()),
            Err(CallError::Disk(_)) => {}
            _ => self.pulse.answered(),
        }
        outcome
    }

    /// Whether a message may go out to a chat right now.
    pub(super) fn is_free(&self, chat: i64) -> bool {
        self.throttle.is_free(chat, Instant::now())
    }

    /// Waits for a message's turn; other calls have no limit that is known.
    async fn turn(&self, method: &str, chat: Option<i64>) {
        let counts = (method.starts_with("send") && method != "sendChatAction") || method.starts_with("edit");
        if let (true, Some(chat)) = (counts, chat) {
            let wait = self.throttle.reserve(chat, Instant::now());
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Waits for so many turns of a chat, for a call that shows more messages than one.
    pub(super) async fn turns(&self, chat: i64, count: usize) {
        let waits = (0..count).map(|_| self.throttle.reserve(chat, Instant::now()));
        if let Some(wait) = waits.max() {
            tokio::time::sleep(wait).await;
        }
    }

    /// A small call with JSON.
    pub(super) async fn call(&self, method: &str, body: &Value, timeout_s: u64) -> Result<Value, CallError> {
        self.turn(method, body["chat_id"].as_i64()).await;
        let request = self
            .calls
            .post(format!("{}/{method}", self.base))
            .timeout(Duration::from_secs(timeout_s))
            .json(body);
        self.heard(method, answer(request).await)
    }

    /// A small call that outlasts flood limits and passing faults. For what may be done twice without harm.
    pub(super) async fn call_patiently(&self, method: &str, body: &Value) -> Result<Value, CallError> {
        for attempt in 1..TRIES_MAX {
            let error = match self.call(method, body, CALL_S).await {
                Ok(result) => return Ok(result),
                Err(error) => error,
            };
            let Some(wait) = error.wait() else {
                return Err(error);
            };
            tracing::warn!(method, ?error, "tried again later");
            tokio::time::sleep((wait * attempt).min(WAIT_MAX)).await;
        }
        self.call(method, body, CALL_S).await
    }

    /// A call that carries files, streamed from disk, or names them. The server passes all on before it answers: it gets
    /// `answer_within` for that once it has everything. (reqwest's own read timeout would not do: it runs from the start
    /// of a request to its answer, however much moves meanwhile.)
    pub(super) async fn upload(
        &self,
        method: &str,
        fields: Vec<(&'static str, String)>,
        parts: &[Part<'_>],
        answer_within: Duration,
    ) -> Result<Value, CallError> {
        let chat = fields.iter().find(|(name, _)| *name == "chat_id");
        self.turn(method, chat.and_then(|(_, chat)| chat.parse().ok())).await;
        let (moved, mut total_bytes) = (Meter::default(), 0);
        let mut form = reqwest::multipart::Form::new();
        for (name, value) in fields {
            form = form.text(name, value);
        }
        for part in parts {
            let file = tokio::fs::File::open(part.path).await.map_err(CallError::Disk)?;
            let size = file.metadata().await.map_err(CallError::Disk)?.len();
            total_bytes += size;
            let meters: Vec<Meter> = part.meter.iter().chain([&moved]).cloned().collect();
            let stream = ReaderStream::with_capacity(file, 128 << 10).inspect(move |chunk| {
                point("uploading");
                for meter in &meters {
                    meter.add(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64));
                }
            });
            let body = reqwest::Body::wrap_stream(stream);
            let piece = reqwest::multipart::Part::stream_with_length(body, size).file_name(part.file_name);
            form = form.part(part.name.clone(), piece);
        }
        let request = self.calls.post(format!("{}/{method}", self.base)).multipart(form);
        let outcome = tokio::select! {
            answer = answer(request) => answer,
            what = stalled(&moved, total_bytes, STALL, answer_within) => Err(CallError::Lost(what)),
        };
        self.heard(method, outcome)
    }

    /// Streams a file of the server to disk; checks the status and the length.
    pub(super) async fn download(&self, file_path: &str, into: &Path, meter: &Meter) -> Result<u64, CallError> {
        self.heard("download", self.download_once(file_path, into, meter).await)
    }

    async fn download_once(&self, file_path: &str, into: &Path, meter: &Meter) -> Result<u64, CallError> {
        let response = self
            .downloads
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
            point("fetching");
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

/// Ends when nothing moves, or when the answer does not come.
async fn stalled(moved: &Meter, total_bytes: u64, stall: Duration, answer_within: Duration) -> String {
    let mut seen = 0;
    loop {
        let all = seen >= total_bytes;
        tokio::time::sleep(if all { answer_within } else { stall }).await;
        let now = moved.read();
        if all {
            return format!("no answer within {} s", answer_within.as_secs());
        }
        if now == seen {
            return format!(
                "upload stopped at {now} of {total_bytes} bytes for {} s",
                stall.as_secs()
            );
        }
        seen = now;
    }
}

fn lost(error: reqwest::Error) -> CallError {
    let unsent = error.is_connect();
    let what = error.without_url().to_string();
    if unsent {
        CallError::Unsent(what)
    } else {
        CallError::Lost(what)
    }
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::stalled;
    use crate::courier::Meter;

    const STALL: Duration = Duration::from_millis(400);
    const ANSWER: Duration = Duration::from_secs(1);

    /// How long an upload is left alone that moves so many bytes, one each 20 ms, and what is said then.
    async fn patience(bytes: u32, total_bytes: u64) -> (Duration, String) {
        let (meter, began) = (Meter::default(), Instant::now());
        let moving = async {
            for _ in 0..bytes {
                tokio::time::sleep(Duration::from_millis(20)).await;
                meter.add(1);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            what = stalled(&meter, total_bytes, STALL, ANSWER) => (began.elapsed(), what),
            () = moving => unreachable!("it waits for ever"),
        }
    }

    #[tokio::test]
    async fn an_upload_that_moves_is_never_given_up_and_its_answer_is_waited_for() {
        let (nothing, some, all, by_name) =
            tokio::join!(patience(0, 100), patience(50, 2000), patience(50, 50), patience(0, 0));
        assert!(nothing.0 >= STALL && nothing.0 < ANSWER, "{nothing:?}");
        assert_eq!(nothing.1, "upload stopped at 0 of 100 bytes for 0 s");
        // Longer than the stall while it moves.
        assert!(some.0 >= Duration::from_secs(1) + STALL, "{some:?}");
        assert!(some.1.starts_with("upload stopped at 50 of 2000 bytes"), "{some:?}");
        // All is there, or was handed over by name: only the answer is missing.
        assert!(all.0 >= Duration::from_secs(1) + ANSWER, "{all:?}");
        assert!(by_name.0 >= ANSWER, "{by_name:?}");
        for (_, what) in [all, by_name] {
            assert_eq!(what, "no answer within 1 s");
        }
    }
}
