//! Updates that the platform sends, instead of being asked for them.
//!
//! ```text
//! platform -> TLS proxy -> door   a POST on the webhook's path: secret, size and JSON are judged
//!             door -> hand        a bounded queue, each update with the way back for its answer
//!             hand -> store       record_updates (commit), then the lanes; only then the door answers 200, else 503
//!             watch -> platform   setWebhook until it stands, then getWebhookInfo: the sign of life, and what the platform
//!                                 says of the door
//! ```
//!
//! The platform sends the updates of one chat one after another, each once the one before it was answered 200, and sends
//! again what was not; so order within a chat is its order, and what comes twice the inbox drops. What the hand took it
//! carries to its end, whether the connection that brought it still stands or not.
//!
//! Absent: TLS, which a proxy before the door ends; removing the webhook at the end, so that updates wait at the platform
//! until the next start; limits on connections that send nothing, which the proxy has. No line of the log holds the
//! webhook's URL or its secret.

mod door;
mod words;

use std::convert::Infallible;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use reqwest::Url;
use rustix::rand::{GetRandomFlags, getrandom};
use serde_json::json;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::door::{Door, Incoming};
use self::words::{News, Private};
use super::api::Api;
use super::errors::CallError;
use super::pulse::Patience;
use super::{ALLOWED_UPDATES, LOGGED_OUT, Lanes, Rival, START_S, insist, rest_of, take};
use crate::metrics::{Organ, moved};
use crate::store::Store;

/// Updates that the platform may send at once, of different chats: its own default. Each is one commit at most.
const CONNECTIONS_MAX: usize = 40;
/// Less than the silence after which the platform is held to be away (`pulse`), for in a quiet hour nothing else is called.
const ASK_EVERY: Duration = Duration::from_secs(30);
/// Of a secret that is made here, bytes.
const SECRET_BYTES: usize = 32;

/// Where the platform sends updates to.
#[derive(Clone)]
pub struct Webhook {
    /// As the platform reaches it. Never logged.
    pub url: Url,
    /// Where that arrives, on this machine.
    pub listen: SocketAddr,
    /// Proves that the platform sends, 1 to 256 of `A-Z a-z 0-9 _ -`; `None` for a new one at each start. Never logged.
    pub secret: Option<String>,
    /// The address, listened on before walls stood; `None` to listen now.
    pub listener: Option<Arc<TcpListener>>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// An open door with what comes through it. Until it is dropped the door answers, after shutdown that it takes nothing.
pub(super) struct Hook {
    url: Url,
    secret: String,
    private: Private,
    incoming: Receiver<Incoming>,
    served: JoinHandle<std::io::Result<()>>,
    _open: DropGuard,
}

impl Hook {
    pub(super) fn open(webhook: &Webhook, shutdown: &CancellationToken) -> anyhow::Result<Self> {
        let listener = match &webhook.listener {
            Some(listener) => listener.try_clone(),
            None => TcpListener::bind(webhook.listen),
        };
        let listener = listener.with_context(|| format!("listen on {} for the webhook", webhook.listen))?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let secret = match &webhook.secret {
            Some(secret) => secret.clone(),
            None => random_secret()?,
        };
        let (to_hand, incoming) = channel(CONNECTIONS_MAX);
        let door = Door::new(webhook.url.path(), &secret, to_hand, shutdown.clone());
        let closed = CancellationToken::new();
        let served = axum::serve(listener, door.routes()).with_graceful_shutdown(closed.clone().cancelled_owned());
        let served = tokio::spawn(served.into_future());
        Ok(Self {
            url: webhook.url.clone(),
            private: Private::of(&webhook.url, &secret),
            secret,
            incoming,
            served,
            _open: closed.drop_guard(),
        })
    }

    /// Takes updates until `shutdown`.
    pub(super) async fn listen<S: Store>(
        &mut self,
        api: &Api,
        store: &S,
        lanes: &mut Lanes<S>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        let body = json!({
            "url": self.url.as_str(),
            "secret_token": self.secret,
            "allowed_updates": ALLOWED_UPDATES,
            "max_connections": CONNECTIONS_MAX,
        });
        let (private, incoming) = (&self.private, &mut self.incoming);
        let watched = async {
            let hide = |words: String| private.hidden(&words);
            if insist(api, "setWebhook", &body, shutdown, hide).await?.is_none() {
                return Ok(());
            }
            tracing::info!("the webhook is set");
            match watch(api, private).await? {}
        };
        let outcome = tokio::select! {
            () = carry(incoming, store, lanes, shutdown) => Ok(()),
            outcome = watched => outcome,
            ended = &mut self.served => Err(anyhow!("the webhook's door closed: {ended:?}")),
        };
        // What waits is answered 503: its way back ends.
        incoming.close();
        while incoming.try_recv().is_ok() {}
        outcome
    }
}

/// The hand: several updates that wait are one commit.
async fn carry<S: Store>(
    incoming: &mut Receiver<Incoming>,
    store: &S,
    lanes: &mut Lanes<S>,
    shutdown: &CancellationToken,
) {
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            count = incoming.recv_many(&mut batch, CONNECTIONS_MAX) => if count == 0 { return },
        }
        batch.sort_by_key(|one| one.update.update_id);
        let (updates, answers): (Vec<_>, Vec<_>) = batch.into_iter().map(|one| (one.update, one.answer)).unzip();
        let is_stored = take(store, lanes, updates).await.is_ok();
        for answer in answers {
            // A connection that is gone needs none: the update comes again and is known.
            let _ = answer.send(is_stored);
        }
    }
}

/// Asks how the webhook is, which is the sign of life of a bot that nobody writes to. Ends only by an error.
async fn watch(api: &Api, private: &Private) -> anyhow::Result<Infallible> {
    let (mut patience, mut news) = (Patience::default(), News::default());
    // As the platform writes it.
    let mut url = None;
    loop {
        moved(Organ::Poller);
        let rest = match api.call("getWebhookInfo", &json!({}), START_S).await {
            Ok(info) => {
                if let Some(silent) = patience.succeeded(Instant::now()) {
                    tracing::info!(silent_s = silent.as_secs(), "Telegram answers again");
                }
                let now = info["url"].as_str().unwrap_or_default().to_owned();
                if now.is_empty() || url.as_ref().is_some_and(|url| *url != now) {
                    return Err(Rival::TookWebhook.into());
                }
                url = Some(now);
                if let Some(what) = news.read(&info, Instant::now()) {
                    let pending = info["pending_update_count"].as_u64().unwrap_or_default();
                    tracing::warn!(pending, error = %private.hidden(&what), "Telegram could not deliver an update");
                }
                ASK_EVERY
            }
            Err(CallError::Refused { code: 401, .. }) => bail!("Telegram no longer knows this token"),
            Err(error) if error.is_logged_out() => bail!(LOGGED_OUT),
            Err(error) => {
                let (rest, is_told) = patience.failed(Instant::now());
                if is_told {
                    let words = private.hidden(&format!("{error:?}"));
                    tracing::warn!(error = %words, "no word of the webhook; it is asked on, and told every 10 minutes");
                }
                rest_of(&error, rest)
            }
        };
        tokio::time::sleep(rest).await;
    }
}

/// From the kernel's generator, in hexadecimal.
fn random_secret() -> anyhow::Result<String> {
    let mut bytes = [0_u8; SECRET_BYTES];
    let count = getrandom(&mut bytes, GetRandomFlags::empty()).context("make a secret for the webhook")?;
    anyhow::ensure!(
        count == SECRET_BYTES,
        "the kernel gave {count} of {SECRET_BYTES} random bytes"
    );
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    Ok(nibbles
        .filter_map(|nibble| char::from_digit(nibble.into(), 16))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::random_secret;

    #[test]
    fn a_secret_of_ours_is_one_that_the_platform_takes_and_never_the_same() {
        let (one, other) = (random_secret().expect("random"), random_secret().expect("random"));
        assert_eq!(one.len(), 64);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{one}");
        assert_ne!(one, other);
    }
}
