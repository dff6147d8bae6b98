//! Updates that are sent to a webhook, as the real server sends them (telegram-bot-api, `WebhookActor.cpp`).
//!
//! ```text
//! due      pure: which updates may go out now: the first of each queue, one at a time in each, so many in all
//! send     POST with the secret; anything but 2xx is a failure
//! settle   an update that arrived is gone; one that did not rests, and its queue with it
//! ```
//! A queue is a chat, and for presses a person: a press may overtake a message of its chat. The first failure is tried
//! again at once, later ones after 2, 4, 8 up to 60 seconds, or after what `Retry-After` says. Absent: methods in the
//! answer, the 23 hours after which the real server gives an update up, certificates, resolving the host beforehand.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{StatusCode, header};
use reqwest::Url;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::fault::Fault;
use super::message::Delivery;
use super::mode::Server;
use super::params::Params;
use super::world::{Refusal, Shared, World, bad, now_s};

const SECRET_LETTERS_MAX: usize = 256;
const CONNECTIONS: i64 = 40;
const CONNECTIONS_MAX: i64 = 100;
const PORTS: [u16; 4] = [443, 80, 88, 8443];
/// An answer that takes longer is none.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
const REST_S_MAX: u64 = 60;
const RETRY_AFTER_S_MAX: u64 = 3600;
/// Nothing is due: the bell wakes sooner.
const IDLE: Duration = Duration::from_secs(3600);

/// A webhook as it was set.
#[derive(Clone, Debug)]
pub(super) struct Webhook {
    url: Url,
    secret: String,
    connections_max: usize,
    /// When, Unix seconds, and what.
    last_error: Option<(u64, String)>,
    /// Tells one setting from the next.
    number: i64,
}

pub(super) fn set(world: &mut World, params: &Params) -> Result<Value, Refusal> {
    let url = params.text("url");
    if url.is_empty() {
        return Ok(delete(world, params));
    }
    let url = Url::parse(&url).ok().filter(Url::has_host);
    let url = url.ok_or_else(|| bad("invalid webhook URL specified"))?;
    let is_cloud = world.server == Server::Cloud;
    match url.scheme() {
        "https" => {}
        "http" if !is_cloud => {}
        _ => return Err(bad("bad webhook: An HTTPS URL must be provided for webhook")),
    }
    if is_cloud && !url.port_or_known_default().is_some_and(|port| PORTS.contains(&port)) {
        return Err(bad(
            "bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443",
        ));
    }
    let secret = params.text("secret_token");
    if secret.len() > SECRET_LETTERS_MAX {
        return Err(bad("secret token is too long"));
    }
    if !secret
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    {
        return Err(bad("secret token contains unallowed characters"));
    }
    let connections_max = match params.number("max_connections") {
        0 => CONNECTIONS,
        asked => asked.clamp(1, CONNECTIONS_MAX),
    };
    world.allow(params);
    if params.flag("drop_pending_updates") {
        world.confirm(i64::MAX);
    }
    // Who polls is turned away.
    world.polling += 1;
    world.webhook = Some(Webhook {
        url,
        secret,
        connections_max: usize::try_from(connections_max).unwrap_or(1),
        last_error: None,
        number: world.number(),
    });
    Ok(json!(true))
}

pub(super) fn delete(world: &mut World, params: &Params) -> Value {
    if params.flag("drop_pending_updates") {
        world.confirm(i64::MAX);
    }
    world.webhook = None;
    json!(true)
}

/// `getWebhookInfo`
pub(super) fn info(world: &mut World) -> Value {
    let mut info = json!({
        "url": "",
        "has_custom_certificate": false,
        "pending_update_count": world.pending_count(),
    });
    if !world.allowed.is_empty() {
        info["allowed_updates"] = json!(world.allowed);
    }
    if let Some(webhook) = &world.webhook {
        info["url"] = json!(webhook.url.as_str());
        info["max_connections"] = json!(webhook.connections_max);
        if let Some((at_s, words)) = &webhook.last_error {
            info["last_error_date"] = json!(at_s);
            info["last_error_message"] = json!(words);
        }
    }
    info
}

/// What getUpdates is answered while a webhook is set.
pub(super) fn conflict() -> Refusal {
    let words =
        "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first";
    Refusal(409, words.to_owned(), None)
}

/// What a poll is answered that a new webhook ends.
pub(super) fn taken_over() -> Refusal {
    Refusal(409, "Conflict: terminated by setWebhook request".to_owned(), None)
}

/// Of an update: where it must not overtake, nor be overtaken.
fn queue_of(update: &Value) -> (bool, i64) {
    match update["callback_query"]["from"]["id"].as_i64() {
        Some(person) => (true, person),
        None => (false, update["message"]["chat"]["id"].as_i64().unwrap_or_default()),
    }
}

type Queue = (bool, i64);

/// A queue whose first update did not arrive.
#[derive(Clone, Copy, Debug)]
struct Rest {
    fails: u32,
    until: Instant,
}

/// How long to rest before an update is sent again that failed so often.
fn rest(fails: u32, retry_after_s: u64) -> Duration {
    Duration::from_secs(match (retry_after_s, fails) {
        (0, 0 | 1) => 0,
        (0, fails) => 1_u64.checked_shl(fails - 1).unwrap_or(REST_S_MAX).min(REST_S_MAX),
        (after_s, _) => after_s.min(RETRY_AFTER_S_MAX),
    })
}

/// The updates that may go out now, at most `free` of them, and when the next one may.
fn due(
    pending: Vec<Value>,
    busy: &HashSet<Queue>,
    resting: &HashMap<Queue, Rest>,
    free: usize,
    now: Instant,
) -> (Vec<Value>, Instant) {
    let (mut due, mut seen, mut next) = (Vec::new(), HashSet::new(), now + IDLE);
    for update in pending {
        let queue = queue_of(&update);
        if !seen.insert(queue) || busy.contains(&queue) {
            continue;
        }
        match resting.get(&queue) {
            Some(rest) if rest.until > now => next = next.min(rest.until),
            _ if due.len() < free => due.push(update),
            _ => {}
        }
    }
    (due, next)
}

/// Sends what waits, as long as a webhook is set; never ends.
pub(super) async fn deliver(shared: Arc<Shared>) {
    let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_WAIT).build();
    let Ok(client) = client else { return };
    let (mut busy, mut resting, mut number) = (HashSet::new(), HashMap::<Queue, Rest>::new(), 0);
    let mut sending = JoinSet::new();
    loop {
        let changed = shared.changed.notified();
        let now = Instant::now();
        let (webhook, pending) = shared.read(|world| {
            let webhook = world.webhook.clone();
            let pending = if webhook.is_some() {
                world.pending(usize::MAX)
            } else {
                Vec::new()
            };
            (webhook, pending)
        });
        let mut next = now + IDLE;
        if let Some(webhook) = webhook {
            if std::mem::replace(&mut number, webhook.number) != webhook.number {
                resting.clear();
            }
            let free = webhook.connections_max.saturating_sub(busy.len());
            let (updates, later) = due(pending, &busy, &resting, free, now);
            next = later;
            for update in updates {
                busy.insert(queue_of(&update));
                sending.spawn(send(Arc::clone(&shared), client.clone(), webhook.clone(), update));
            }
        }
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep_until(next) => {}
            Some(Ok((update, outcome))) = sending.join_next() => {
                let queue = queue_of(&update);
                busy.remove(&queue);
                if let Err((_, retry_after_s)) = &outcome {
                    let fails = resting.get(&queue).map_or(1, |rest| rest.fails + 1);
                    let until = Instant::now() + rest(fails, *retry_after_s);
                    resting.insert(queue, Rest { fails, until });
                } else {
                    resting.remove(&queue);
                }
                settle(&shared, &update, outcome);
            }
        }
    }
}

/// Status; or what the real server says of it, and seconds that the other side wants to be left alone.
type Outcome = Result<(), (String, u64)>;

async fn send(shared: Arc<Shared>, client: reqwest::Client, webhook: Webhook, update: Value) -> (Value, Outcome) {
    let fault = shared.read(|world| world.faults.due("webhook"));
    let closed = || ("Webhook connection closed".to_owned(), 0);
    let mut status = 0;
    let outcome = match fault {
        Some(Fault::LostAnswer) | None => {
            let mut request = client.post(webhook.url.clone()).json(&update);
            if !webhook.secret.is_empty() {
                request = request.header("X-Telegram-Bot-Api-Secret-Token", &webhook.secret);
            }
            match request.send().await {
                Ok(answer) => {
                    status = answer.status().as_u16();
                    if fault.is_some() {
                        Err(closed())
                    } else {
                        judged(&answer)
                    }
                }
                Err(error) if error.is_timeout() => Err(("Read timeout expired".to_owned(), 0)),
                Err(error) if error.is_connect() => Err(("Connection refused".to_owned(), 0)),
                Err(_) => Err(closed()),
            }
        }
        Some(_) => Err(closed()),
    };
    let delivery = Delivery {
        update: update["update_id"].as_i64().unwrap_or_default(),
        status,
    };
    shared.read(|world| world.record_delivery(delivery));
    (update, outcome)
}

fn judged(answer: &reqwest::Response) -> Outcome {
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let retry_after = answer.headers().get(header::RETRY_AFTER);
    let retry_after_s = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
    let reason = StatusCode::canonical_reason(&status).unwrap_or_default();
    let words = format!("Wrong response from the webhook: {} {reason}", status.as_u16());
    Err((words, retry_after_s.unwrap_or_default()))
}

fn settle(shared: &Shared, update: &Value, outcome: Outcome) {
    shared.change(|world| match outcome {
        Ok(()) => world.updates.retain(|(_, one)| one["update_id"] != update["update_id"]),
        Err((words, _)) => {
            if let Some(webhook) = &mut world.webhook {
                webhook.last_error = Some((now_s(), words));
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};
    use std::time::Duration;

    use serde_json::{Value, json};
    use tokio::time::Instant;

    use super::{Rest, due, rest};

    fn message(id: i64, chat: i64) -> Value {
        json!({ "update_id": id, "message": { "chat": { "id": chat } } })
    }

    fn press(id: i64, person: i64) -> Value {
        json!({ "update_id": id, "callback_query": { "from": { "id": person } } })
    }

    #[test]
    fn each_queue_sends_its_first_and_one_at_a_time() {
        let pending = || vec![message(1, 7), message(2, 7), message(3, 8), press(4, 7), message(5, 9)];
        let now = Instant::now();
        let ids = |busy: &[(bool, i64)], resting: &HashMap<_, _>, free| {
            let busy: HashSet<_> = busy.iter().copied().collect();
            let (due, next) = due(pending(), &busy, resting, free, now);
            let ids: Vec<i64> = due.iter().filter_map(|update| update["update_id"].as_i64()).collect();
            (ids, next)
        };
        let none = HashMap::new();
        assert_eq!(ids(&[], &none, 40).0, [1, 3, 4, 5]);
        assert_eq!(ids(&[], &none, 2).0, [1, 3]);
        assert_eq!(ids(&[(false, 7), (true, 7)], &none, 40).0, [3, 5]);
        let until = now + Duration::from_secs(4);
        let resting = HashMap::from([((false, 7), Rest { fails: 2, until })]);
        assert_eq!(
            ids(&[], &resting, 40),
            (vec![3, 4, 5], until),
            "none of that chat overtakes"
        );
        let over = HashMap::from([((false, 7), Rest { fails: 2, until: now })]);
        assert_eq!(ids(&[], &over, 40).0, [1, 3, 4, 5]);
    }

    #[test]
    fn rests_double_up_to_a_minute_unless_the_other_side_says_how_long() {
        let seconds: Vec<u64> = (1..9).map(|fails| rest(fails, 0).as_secs()).collect();
        assert_eq!(seconds, [0, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(rest(1000, 0).as_secs(), 60);
        assert_eq!((rest(1, 5).as_secs(), rest(9, 5).as_secs()), (5, 5));
    }
}
