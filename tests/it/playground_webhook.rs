//! Webhooks of the stand-in: it must send, repeat and refuse as the real server does.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use kadr::playground::Server;
use serde_json::{Value, json};

use crate::playground::{call, start};
use crate::support::{free_address, until};

const SECRET: &str = "open-Sesame_7";
const HEADER: &str = "X-Telegram-Bot-Api-Secret-Token";

/// What came to a webhook of the test's own: texts with the secret that came along. It refuses as often as it is told to.
#[derive(Clone, Default)]
struct Receiver {
    came: Arc<Mutex<Vec<(String, String)>>>,
    refuse: Arc<Mutex<u32>>,
}

impl Receiver {
    /// Answers its URL.
    async fn listen(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let own = self.clone();
        let routes = axum::Router::new().fallback(move |headers: HeaderMap, body: Bytes| {
            let own = own.clone();
            async move {
                let mut refuse = own.refuse.lock().unwrap();
                if *refuse > 0 {
                    *refuse -= 1;
                    return StatusCode::INTERNAL_SERVER_ERROR;
                }
                let update: Value = serde_json::from_slice(&body).unwrap();
                let text = update["message"]["text"].as_str().unwrap_or_default().to_owned();
                let secret = headers.get(HEADER).map(|value| value.to_str().unwrap().to_owned());
                own.came.lock().unwrap().push((text, secret.unwrap_or_default()));
                StatusCode::OK
            }
        });
        tokio::spawn(axum::serve(listener, routes).into_future());
        url
    }

    fn texts(&self) -> Vec<String> {
        self.came.lock().unwrap().iter().map(|(text, _)| text.clone()).collect()
    }
}

#[tokio::test]
async fn the_stand_in_sends_in_order_and_again_until_it_is_taken() {
    let (playground, client, _folder) = start().await;
    playground.set_server(Server::Web);
    let receiver = Receiver::default();
    *receiver.refuse.lock().unwrap() = 2;
    let url = receiver.listen().await;
    playground.send_text(1, "one");
    playground.send_text(1, "two");
    let set = json!({ "url": url, "secret_token": SECRET, "max_connections": 1 });
    assert_eq!(call(&playground, &client, "setWebhook", set).await["ok"], true);
    until("both came", || playground.pending() == 0).await;
    assert_eq!(receiver.texts(), ["one", "two"]);
    assert!(receiver.came.lock().unwrap().iter().all(|(_, secret)| secret == SECRET));
    let statuses: Vec<u16> = playground.deliveries().iter().map(|delivery| delivery.status).collect();
    assert_eq!(statuses, [500, 500, 200, 200]);
    let info = call(&playground, &client, "getWebhookInfo", json!({})).await["result"].clone();
    assert_eq!((&info["url"], &info["max_connections"]), (&json!(url), &json!(1)));
    assert_eq!(info["pending_update_count"], 0);
    assert_eq!(
        info["last_error_message"],
        "Wrong response from the webhook: 500 Internal Server Error"
    );
    assert!(info["last_error_date"].as_i64() > Some(1_700_000_000));
}

#[tokio::test]
async fn the_stand_in_answers_polls_409_while_a_webhook_is_set() {
    let (playground, client, _folder) = start().await;
    playground.set_server(Server::Web);
    let nobody = format!("http://{}/", free_address());
    let poll = call(&playground, &client, "getUpdates", json!({ "timeout": 20 }));
    let set = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let set = call(&playground, &client, "setWebhook", json!({ "url": nobody })).await;
        playground.send_text(1, "kept");
        set
    };
    let (polled, set) = tokio::join!(poll, set);
    assert_eq!((&polled["error_code"], &set["ok"]), (&409.into(), &true.into()));
    assert_eq!(polled["description"], "Conflict: terminated by setWebhook request");
    let refused = call(&playground, &client, "getUpdates", json!({})).await;
    assert_eq!(
        refused["description"],
        "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
    );
    let info = call(&playground, &client, "getWebhookInfo", json!({})).await["result"].clone();
    assert_eq!(info["pending_update_count"], 1);
    assert_eq!(call(&playground, &client, "deleteWebhook", json!({})).await["ok"], true);
    let polled = call(&playground, &client, "getUpdates", json!({})).await;
    assert_eq!(polled["result"][0]["message"]["text"], "kept");
    // Cleared by an empty URL too, and what waits with it where that is asked.
    call(&playground, &client, "setWebhook", json!({ "url": nobody })).await;
    let clear = json!({ "url": "", "drop_pending_updates": true });
    assert_eq!(call(&playground, &client, "setWebhook", clear).await["ok"], true);
    let polled = call(&playground, &client, "getUpdates", json!({})).await;
    assert_eq!(polled["result"], json!([]));
}

#[tokio::test]
async fn the_stand_in_refuses_webhooks_that_the_real_server_refuses() {
    let (playground, client, _folder) = start().await;
    let long = "a".repeat(257);
    for (body, words) in [
        (json!({ "url": "nowhere" }), "invalid webhook URL specified"),
        (
            json!({ "url": "http://bot.example.org/" }),
            "bad webhook: An HTTPS URL must be provided for webhook",
        ),
        (
            json!({ "url": "https://bot.example.org:9000/" }),
            "bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443",
        ),
        (
            json!({ "url": "https://bot.example.org/", "secret_token": "a b" }),
            "secret token contains unallowed characters",
        ),
        (
            json!({ "url": "https://bot.example.org/", "secret_token": long }),
            "secret token is too long",
        ),
    ] {
        let answer = call(&playground, &client, "setWebhook", body).await;
        assert_eq!(answer["description"], format!("Bad Request: {words}"));
    }
    let info = call(&playground, &client, "getWebhookInfo", json!({})).await;
    assert_eq!(info["result"]["url"], "", "none was set");
}
