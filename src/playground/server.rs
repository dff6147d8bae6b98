//! `/bot<token>/<method>` and `/file/bot<token>/<path>`: planned faults, long polls, downloads, and the answers' frame.

use std::io::SeekFrom;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::door::Cut;
use super::fault::Fault;
use super::files::Stored;
use super::message::Poll;
use super::methods;
use super::mode::Server;
use super::params::{self, Intake, Params};
use super::webhook;
use super::world::{Refusal, Shared, TOKEN};

const POLL_S_MAX: u64 = 50;
const UPDATES_MAX: usize = 100;
/// Pieces that a slow body comes in, per second.
const PIECES_PER_S: u64 = 10;
const CUT_AFTER: Duration = Duration::from_millis(50);

pub(super) async fn call(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    Path((bot, method)): Path<(String, String)>,
    request: Request,
) -> Response {
    let method = method.to_lowercase();
    if bot.strip_prefix("bot") != Some(TOKEN) {
        params::drain(request.into_body()).await;
        return refusal(&Refusal(401, "Unauthorized".to_owned(), None));
    }
    let fault = shared.read(|world| world.faults.due(&method));
    let mut bytes_per_s = None;
    match &fault {
        Some(Fault::Stall(milliseconds)) => tokio::time::sleep(Duration::from_millis(*milliseconds)).await,
        Some(Fault::Slow(rate)) => bytes_per_s = Some(*rate),
        Some(Fault::Reset) => {
            let broken = Refusal(0, "connection reset".to_owned(), None);
            shared.change(|world| world.record(&method, Value::Null, Err(&broken)));
            return hang_up(&cut);
        }
        Some(Fault::BadGateway) => {
            params::drain(request.into_body()).await;
            let refused = Refusal(502, "Bad Gateway".to_owned(), None);
            shared.change(|world| world.record(&method, Value::Null, Err(&refused)));
            return bad_gateway();
        }
        Some(Fault::LostAnswer | Fault::CutAnswer | Fault::LateAnswer(_)) | None => {}
        Some(refusing) => {
            params::drain(request.into_body()).await;
            let refused = refusal_of(refusing);
            return finish(&shared, &method, Value::Null, Err(refused));
        }
    }
    let intake = shared.read(|world| Intake {
        folder: world.data_dir.clone(),
        file_bytes_max: world.server.send_bytes_max(),
        reads_disk: world.server == Server::Local,
        bytes_per_s,
    });
    let mut params = match params::read(&intake, request).await {
        Ok(params) => params,
        Err(refused) => return finish(&shared, &method, Value::Null, Err(refused)),
    };
    if method == "getupdates" {
        return spoil(poll(&shared, &params).await, fault.as_ref(), &cut).await;
    }
    let shown = params.shown();
    if let Err(refused) = params::read_named(&intake, &mut params).await {
        return finish(&shared, &method, shown, Err(refused));
    }
    let outcome = shared.change(|world| methods::call(world, &method, &mut params));
    spoil(finish(&shared, &method, shown, outcome), fault.as_ref(), &cut).await
}

/// What takes effect and is not heard of.
async fn spoil(response: Response, fault: Option<&Fault>, cut: &Cut) -> Response {
    match fault {
        Some(Fault::LostAnswer) => hang_up(cut),
        Some(Fault::LateAnswer(milliseconds)) => {
            tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
            response
        }
        Some(Fault::CutAnswer) => {
            let (head, body) = response.into_parts();
            let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
            let half = whole.slice(..whole.len() / 2);
            let cut = cut.clone();
            let rest = futures::stream::once(async move {
                // What was written before reaches the client first.
                tokio::time::sleep(CUT_AFTER).await;
                cut.0.cancel();
                Ok(Bytes::new())
            });
            let body = futures::stream::iter([Ok::<_, std::io::Error>(half)]).chain(rest);
            let mut response = Response::from_parts(head, Body::from_stream(body));
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, header::HeaderValue::from(whole.len()));
            response
        }
        _ => response,
    }
}

fn bad_gateway() -> Response {
    let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>nginx</body>\r\n</html>\r\n";
    (StatusCode::BAD_GATEWAY, axum::response::Html(page)).into_response()
}

fn refusal_of(fault: &Fault) -> Refusal {
    match fault {
        Fault::TooManyRequests(after_s) => {
            let words = format!("Too Many Requests: retry after {after_s}");
            Refusal(429, words, Some(*after_s))
        }
        Fault::Conflict => conflict(),
        Fault::NotFound => Refusal(404, "Not Found".to_owned(), None),
        Fault::Refuse(status, words) => Refusal(*status, words.clone(), None),
        _ => Refusal(500, "Internal Server Error".to_owned(), None),
    }
}

fn conflict() -> Refusal {
    let words = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running";
    Refusal(409, words.to_owned(), None)
}

/// Nothing of the answer reaches the client.
fn hang_up(cut: &Cut) -> Response {
    cut.0.cancel();
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

fn finish(shared: &Shared, method: &str, shown: Value, outcome: Result<Value, Refusal>) -> Response {
    shared.change(|world| world.record(method, shown, outcome.as_ref().map(|_| ())));
    answer(outcome)
}

fn answer(outcome: Result<Value, Refusal>) -> Response {
    match outcome {
        Ok(result) => axum::Json(json!({ "ok": true, "result": result })).into_response(),
        Err(refused) => refusal(&refused),
    }
}

fn refusal(Refusal(code, description, retry_after): &Refusal) -> Response {
    let mut body = json!({ "ok": false, "error_code": code, "description": description });
    if let Some(after_s) = retry_after {
        body["parameters"] = json!({ "retry_after": after_s });
    }
    let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = (status, axum::Json(body)).into_response();
    if let Some(after_s) = retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, header::HeaderValue::from(*after_s));
    }
    response
}

/// Long polling: an offset confirms all before it; a second poller turns the first away, and so does a webhook.
async fn poll(shared: &Shared, params: &Params) -> Response {
    let offset = params.number("offset");
    let timeout_s = params.number("timeout").unsigned_abs().min(POLL_S_MAX);
    let limit = match usize::try_from(params.number("limit")) {
        Ok(limit @ 1..=UPDATES_MAX) => limit,
        _ => UPDATES_MAX,
    };
    let turn = shared.read(|world| {
        if world.webhook.is_some() {
            return None;
        }
        world.polling += 1;
        world.confirm(offset);
        world.allow(params);
        Some(world.polling)
    });
    let Some(turn) = turn else {
        let refused = webhook::conflict();
        let (given, status) = (Vec::new(), refused.0);
        shared.read(|world| world.record_poll(Poll { offset, given, status }));
        return refusal(&refused);
    };
    shared.changed.notify_waiters();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(timeout_s);
    let outcome = loop {
        let changed = shared.changed.notified();
        let (updates, mine, hooked) =
            shared.read(|world| (world.pending(limit), world.polling == turn, world.webhook.is_some()));
        if !mine {
            break Err(if hooked { webhook::taken_over() } else { conflict() });
        }
        if shared.read(|world| world.logged_out) {
            break Err(Refusal(400, "Logged out".to_owned(), None));
        }
        if !updates.is_empty() {
            break Ok(updates);
        }
        if tokio::time::timeout_at(deadline, changed).await.is_err() {
            break Ok(Vec::new());
        }
    };
    let poll = Poll {
        offset,
        given: outcome
            .iter()
            .flatten()
            .filter_map(|update| update["update_id"].as_i64())
            .collect(),
        status: outcome.as_ref().err().map_or(200, |refused| refused.0),
    };
    shared.read(|world| world.record_poll(poll));
    answer(outcome.map(Value::Array))
}

/// A file of the bot's, by the path that `getFile` gave.
pub(super) async fn download(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    Path((bot, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let name = path.rsplit('/').next().unwrap_or_default();
    let file_id = name.split('.').next().unwrap_or_default();
    // A local server routes nothing but methods: its files are read from its disk.
    let (stored, fault) = shared.read(|world| {
        let stored = world
            .files
            .get(file_id)
            .filter(|_| world.server != Server::Local)
            .cloned();
        (stored, world.faults.due("download"))
    });
    let (Some(stored), Some(TOKEN)) = (stored, bot.strip_prefix("bot")) else {
        return refusal(&Refusal(404, "Not Found".to_owned(), None));
    };
    let fault = match fault {
        Some(Fault::CutAnswer) => Some(Fault::ShortRead(stored.size / 2)),
        fault => fault,
    };
    match &fault {
        Some(Fault::BadGateway) => return bad_gateway(),
        Some(Fault::Reset | Fault::LostAnswer) => return hang_up(&cut),
        Some(Fault::Stall(_) | Fault::LateAnswer(_) | Fault::Slow(_) | Fault::ShortRead(_)) | None => {}
        Some(refusing) => return refusal(&refusal_of(refusing)),
    }
    match serve(&stored, &headers, fault.as_ref(), &cut).await {
        Ok(response) => response,
        Err(status) => refusal(&Refusal(status.as_u16(), "Not Found".to_owned(), None)),
    }
}

/// A file's bytes, or one range of them (RFC 9110, section 14.2): players seek by it.
pub(super) async fn serve(
    stored: &Stored,
    headers: &HeaderMap,
    fault: Option<&Fault>,
    cut: &Cut,
) -> Result<Response, StatusCode> {
    let size = stored.size;
    let wanted = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok())
        .and_then(range);
    let (from, to, status) = match wanted {
        None => (0, size, StatusCode::OK),
        Some((Some(from), to)) if from < size => {
            let to = to.map_or(size, |last| last.saturating_add(1).min(size));
            (from, to.max(from), StatusCode::PARTIAL_CONTENT)
        }
        Some((None, Some(last))) if last > 0 => (size.saturating_sub(last), size, StatusCode::PARTIAL_CONTENT),
        Some(_) => return Err(StatusCode::RANGE_NOT_SATISFIABLE),
    };
    let mut file = tokio::fs::File::open(&stored.path)
        .await
        .map_err(|_| StatusCode::NOT_FOUND)?;
    file.seek(SeekFrom::Start(from))
        .await
        .map_err(|_| StatusCode::NOT_FOUND)?;
    let block = match fault {
        Some(Fault::Slow(rate)) => usize::try_from(rate / PIECES_PER_S).unwrap_or(1).max(1),
        _ => 64 << 10,
    };
    let body = faulty(
        ReaderStream::with_capacity(file.take(to - from), block),
        fault.cloned(),
        to - from,
        cut,
    );
    let mut response = Body::from_stream(body).into_response();
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, header::HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, header::HeaderValue::from(to - from));
    let range = format!("bytes {from}-{}/{size}", to.saturating_sub(1));
    if let (StatusCode::PARTIAL_CONTENT, Ok(range)) = (status, range.parse()) {
        headers.insert(header::CONTENT_RANGE, range);
    }
    Ok(response)
}

/// First and last byte of a `Range` header; a suffix has no first.
fn range(header: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (from, to) = header.strip_prefix("bytes=")?.split_once('-')?;
    let bounds = (from.trim().parse().ok(), to.trim().parse().ok());
    (bounds != (None, None)).then_some(bounds)
}

fn faulty(
    body: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    fault: Option<Fault>,
    size: u64,
    cut: &Cut,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    let ended = cut.0.clone().cancelled_owned();
    let cut = cut.clone();
    body.scan((0_u64, false), move |(sent, paused), chunk| {
        let length = chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        *sent += length;
        let pause = match fault {
            Some(Fault::Slow(rate)) => Duration::from_millis(length * 1000 / rate.max(1)),
            Some(Fault::Stall(milliseconds)) if !*paused && *sent * 2 >= size => {
                *paused = true;
                Duration::from_millis(milliseconds)
            }
            _ => Duration::ZERO,
        };
        let broken = matches!(fault, Some(Fault::ShortRead(bytes)) if *sent > bytes);
        let cut = cut.clone();
        async move {
            tokio::time::sleep(pause).await;
            if broken {
                cut.0.cancel();
            }
            Some(chunk)
        }
    })
    .take_until(ended)
}
