//! The door that the platform knocks on. What a request is worth is judged from its head, and only the platform's are read
//! further.
//!
//! ```text
//! another path        404     nothing is read further
//! no or another secret 401    nothing is read further
//! no POST             405     nothing is read further
//! stopping            503     nothing is read further
//! over 1 MiB          413     too slow 408
//! no update in JSON   400
//! not on disk         503     the platform sends it again
//! on disk             200
//! ```

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header, request};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::store::InboxUpdate;
use crate::telegram::numbered;

const SECRET_HEADER: &str = "x-telegram-bot-api-secret-token";
/// An update is some kilobytes.
const BODY_BYTES_MAX: usize = 1 << 20;
const BODY_WAIT: Duration = Duration::from_secs(30);
/// A store that takes longer has failed.
const STORE_WAIT: Duration = Duration::from_secs(30);
/// The platform would send again at once, and later ever more rarely (telegram-bot-api, `WebhookActor.cpp`).
const AGAIN_S: u16 = 5;

/// An update with the way back for whether it is on disk.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) update: InboxUpdate,
    pub(super) answer: oneshot::Sender<bool>,
}

/// Who may come in, and to whom it is handed.
pub(super) struct Door {
    path: String,
    /// Of digests the time that comparing takes tells nothing of the secret.
    secret: [u8; 32],
    to_hand: Sender<Incoming>,
    stop: CancellationToken,
}

/// Why an update is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Elsewhere,
    Stranger,
    NotPost,
    Stopping,
    TooLarge,
    TooSlow,
    NoUpdate,
    NotStored,
}

impl Refused {
    fn status(self) -> StatusCode {
        match self {
            Self::Elsewhere => StatusCode::NOT_FOUND,
            Self::Stranger => StatusCode::UNAUTHORIZED,
            Self::NotPost => StatusCode::METHOD_NOT_ALLOWED,
            Self::Stopping | Self::NotStored => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NoUpdate => StatusCode::BAD_REQUEST,
        }
    }
}

impl IntoResponse for Refused {
    /// The connection ends with it: what was not read of its request never is, and after a stop none is kept.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(AGAIN_S));
        }
        response
    }
}

impl Door {
    pub(super) fn new(path: &str, secret: &str, to_hand: Sender<Incoming>, stop: CancellationToken) -> Self {
        Self {
            path: path.to_owned(),
            secret: Sha256::digest(secret).into(),
            to_hand,
            stop,
        }
    }

    pub(super) fn routes(self) -> Router {
        Router::new().fallback(answer).with_state(Arc::new(self))
    }

    /// By its head alone.
    fn judge(&self, head: &request::Parts) -> Result<(), Refused> {
        let given = head.headers.get(SECRET_HEADER).map(HeaderValue::as_bytes);
        if head.uri.path() != self.path {
            Err(Refused::Elsewhere)
        } else if given.is_none_or(|given| <[u8; 32]>::from(Sha256::digest(given)) != self.secret) {
            Err(Refused::Stranger)
        } else if head.method != Method::POST {
            Err(Refused::NotPost)
        } else if self.stop.is_cancelled() {
            Err(Refused::Stopping)
        } else if length(head).is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
            Err(Refused::TooLarge)
        } else {
            Ok(())
        }
    }

    async fn take(&self, request: Request) -> Result<(), Refused> {
        let (head, body) = request.into_parts();
        self.judge(&head)?;
        let body = tokio::time::timeout(BODY_WAIT, read(body))
            .await
            .map_err(|_| Refused::TooSlow)??;
        let update: Value = serde_json::from_slice(&body).map_err(|_| Refused::NoUpdate)?;
        let update = numbered(&update).ok_or(Refused::NoUpdate)?;
        let (answer, stored) = oneshot::channel();
        let handed = async {
            self.to_hand.send(Incoming { update, answer }).await.ok()?;
            stored.await.ok()
        };
        match tokio::time::timeout(STORE_WAIT, handed).await {
            Ok(Some(true)) => Ok(()),
            _ => Err(Refused::NotStored),
        }
    }
}

async fn answer(State(door): State<Arc<Door>>, request: Request) -> Response {
    match door.take(request).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refused) => refused.into_response(),
    }
}

fn length(head: &request::Parts) -> Option<usize> {
    head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn read(body: Body) -> Result<Vec<u8>, Refused> {
    let (mut stream, mut bytes) = (body.into_data_stream(), Vec::new());
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Refused::NoUpdate)?;
        if bytes.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(Refused::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use axum::http::{Method, Request};
    use tokio::sync::mpsc::channel;
    use tokio_util::sync::CancellationToken;

    use super::{BODY_BYTES_MAX, Door, Refused, SECRET_HEADER};

    #[track_caller]
    fn check(method: Method, path: &str, secret: Option<&str>, length: usize, expected: Result<(), Refused>) {
        let door = Door::new("/kadr", "open-sesame", channel(1).0, CancellationToken::new());
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-length", length);
        if let Some(secret) = secret {
            request = request.header(SECRET_HEADER, secret);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        assert_eq!(door.judge(&head), expected);
        door.stop.cancel();
        let stopped = expected.and(Err(Refused::Stopping));
        let stopped = if expected == Err(Refused::TooLarge) {
            Err(Refused::Stopping)
        } else {
            stopped
        };
        assert_eq!(door.judge(&head), stopped, "once it stops");
    }

    #[test]
    fn a_head_decides_who_is_read() {
        let own = Some("open-sesame");
        check(Method::POST, "/kadr", own, 10, Ok(()));
        check(Method::POST, "/kadr?a=b", own, BODY_BYTES_MAX, Ok(()));
        check(Method::POST, "/", own, 10, Err(Refused::Elsewhere));
        check(Method::POST, "/kadr/", own, 10, Err(Refused::Elsewhere));
        check(Method::GET, "/healthz", None, 0, Err(Refused::Elsewhere));
        for wrong in [
            None,
            Some(""),
            Some("open-sesam"),
            Some("open-sesame "),
            Some("OPEN-SESAME"),
        ] {
            check(Method::POST, "/kadr", wrong, BODY_BYTES_MAX + 1, Err(Refused::Stranger));
        }
        check(Method::GET, "/kadr", None, 0, Err(Refused::Stranger));
        check(Method::GET, "/kadr", own, 0, Err(Refused::NotPost));
        check(Method::POST, "/kadr", own, BODY_BYTES_MAX + 1, Err(Refused::TooLarge));
    }
}
