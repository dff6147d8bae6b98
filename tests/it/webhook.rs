//! Updates by webhook: the bot's door, with the stand-in knocking on it, and the way from polls to a webhook and back.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use kadr::config::Settings;
use kadr::playground::{Delivery, Fault, Message, Playground, SendAs, Server};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row, SqliteConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::playground::call;
use crate::support::bot::{Bot, WAIT, playground_in};
use crate::support::served::{Served, serve_on};
use crate::support::{decoded_frames, ffprobe, free_address, playable_mkv, shipped_clip, until};

const SECRET: &str = "open-Sesame_7";
const PATH: &str = "/hidden-door/of-kadr";
const HEADER: &str = "X-Telegram-Bot-Api-Secret-Token";

/// Has the bot start with a webhook of its own the next time.
pub(crate) fn hook(settings: &mut Settings) {
    let address = free_address();
    settings.webhook_url = Some(format!("http://{address}{PATH}"));
    settings.webhook_listen = Some(address);
    settings.webhook_secret = Some(SECRET.to_owned());
}

async fn hooked() -> Bot {
    let mut settings = Settings::default();
    hook(&mut settings);
    let bot = Bot::start_with(settings).await;
    until_set(&bot.playground).await;
    bot
}

async fn until_set(playground: &Playground) {
    until("the webhook is set", || playground.count("setwebhook") > 0).await;
}

/// How often an update was sent, and what it was answered.
fn answers(deliveries: &[Delivery], update: i64) -> Vec<u16> {
    let of_it = deliveries.iter().filter(|delivery| delivery.update == update);
    of_it.map(|delivery| delivery.status).collect()
}

fn texts_of_bot(chat: &[Message]) -> Vec<&str> {
    let of_bot = chat.iter().filter(|message| message.from_bot);
    of_bot.map(|message| message.text.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_sent_to_a_webhook_bot_comes_back_playable() {
    let mut bot = hooked().await;
    bot.playground.send_file(1, &shipped_clip(), SendAs::Document).unwrap();
    bot.press(1, "▶️ Play").await;
    let result = bot.until_results(1, 1).await.remove(0);
    let path = result.path.unwrap();
    assert_eq!(
        ffprobe(&path, "stream=codec_name,pix_fmt"),
        "codec_name=h264|pix_fmt=yuv420p\ncodec_name=aac\n"
    );
    assert_eq!(decoded_frames(&path), 249);
    bot.until_clean().await;
    assert_eq!(bot.playground.polls(), [], "nothing is asked for");
    let deliveries = bot.playground.deliveries();
    assert_eq!(deliveries.len(), 2, "the file and the press: {deliveries:?}");
    assert!(
        deliveries.iter().all(|delivery| delivery.status == 200),
        "{deliveries:?}"
    );
    until("both are acknowledged", || bot.playground.pending() == 0).await;
    let calls = bot.playground.transcript();
    let set = calls.iter().find(|call| call.method == "setwebhook").unwrap();
    assert_eq!(set.params["secret_token"], SECRET);
    assert_eq!(set.params["allowed_updates"], json!(["message", "callback_query"]));
    assert_eq!(set.params["max_connections"], 40);
    assert_eq!(set.params["drop_pending_updates"], Value::Null);
    bot.stop().await;
    assert!(
        bot.playground
            .transcript()
            .iter()
            .all(|call| call.method != "deletewebhook"),
        "updates wait at the platform until the next start"
    );
}

/// Status of a request that says what it likes; `body` may be shorter than the head announces.
async fn raw(address: &str, head: &str, body: &str) -> u16 {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("{head}\r\nHost: {address}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut answer)).await;
    let length = read.expect("an answer at once").unwrap();
    let line = String::from_utf8_lossy(&answer[..length]).into_owned();
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_refused_and_changes_nothing() {
    let mut bot = hooked().await;
    let url = bot.settings.webhook_url.clone().unwrap();
    let address = bot.settings.webhook_listen.clone().unwrap();
    let client = reqwest::Client::new();
    let update = |id: i64| {
        json!({ "update_id": id, "message": {
            "message_id": 900, "date": 1_700_000_000, "text": "/help",
            "chat": { "id": 1, "type": "private", "first_name": "Anna" },
            "from": { "id": 1, "is_bot": false, "first_name": "Anna", "language_code": "en" },
        } })
    };
    let post = async |url: &str, secret: Option<&str>, body: Vec<u8>| {
        let mut request = client.post(url).body(body);
        if let Some(secret) = secret {
            request = request.header(HEADER, secret);
        }
        request.send().await.unwrap().status().as_u16()
    };
    let bytes = |id| update(id).to_string().into_bytes();
    for wrong in [
        None,
        Some(""),
        Some("open-Sesame_"),
        Some("open-Sesame_77"),
        Some("OPEN-SESAME_7"),
    ] {
        assert_eq!(post(&url, wrong, bytes(5)).await, 401, "{wrong:?}");
    }
    let root = url.strip_suffix(PATH).unwrap();
    for path in ["/", "/hidden-door", "/hidden-door/of-kadr/", "/healthz"] {
        assert_eq!(
            post(&format!("{root}{path}"), Some(SECRET), bytes(5)).await,
            404,
            "{path}"
        );
    }
    // The body is not waited for where the head decides.
    let head = |method: &str, secret: &str, length: usize| {
        format!("{method} {PATH} HTTP/1.1\r\n{HEADER}: {secret}\r\nContent-Length: {length}")
    };
    assert_eq!(raw(&address, &head("POST", "wrong", 1000), "").await, 401);
    assert_eq!(raw(&address, &head("POST", SECRET, (1 << 20) + 1), "").await, 413);
    assert_eq!(raw(&address, &head("GET", SECRET, 0), "").await, 405);
    // Without a length it is counted.
    let endless = reqwest::Body::wrap_stream(futures::stream::repeat_with(|| {
        Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 8192]))
    }));
    let long = client.post(&url).header(HEADER, SECRET).body(endless).send().await;
    assert!(
        long.as_ref()
            .map_or(true, |answer| answer.status() == StatusCode::PAYLOAD_TOO_LARGE),
        "{long:?}"
    );
    for no_update in ["", "{", "[]", "{\"update_id\":\"7\"}", "not JSON"] {
        assert_eq!(post(&url, Some(SECRET), no_update.into()).await, 400, "{no_update}");
    }
    assert_eq!(inbox(&bot).await, 0, "nothing was written down");
    assert_eq!(bot.playground.chat(1), []);
    // And the right one is let in.
    assert_eq!(post(&url, Some(SECRET), bytes(5)).await, 200);
    bot.until(1, |chat| (!texts_of_bot(chat).is_empty()).then_some(()))
        .await;
    assert_eq!(post(&url, Some(SECRET), bytes(5)).await, 200, "known");
    assert_eq!(inbox(&bot).await, 1);
    bot.stop().await;
}

async fn database(bot: &Bot) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(bot.folder.path().join("kadr.db"));
    options.busy_timeout(WAIT).connect().await.unwrap()
}

/// Rows of the inbox.
async fn inbox(bot: &Bot) -> i64 {
    let mut database = database(bot).await;
    let row = sqlx::query("SELECT count(*) FROM inbox").fetch_one(&mut database);
    row.await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_whose_commit_failed_is_delivered_again_and_handled_once() {
    let mut bot = hooked().await;
    let mut database = database(&bot).await;
    let trap = "CREATE TRIGGER trap BEFORE INSERT ON inbox BEGIN SELECT RAISE(ABORT, 'planned by the test'); END";
    sqlx::query(trap).execute(&mut database).await.unwrap();
    bot.playground
        .send_file_in(1, 1, &playable_mkv(), SendAs::Document, "play")
        .unwrap();
    until("it was refused", || !bot.playground.deliveries().is_empty()).await;
    assert_eq!(bot.playground.deliveries()[0].status, 503);
    assert_eq!(bot.playground.pending(), 1, "it is kept at the platform");
    assert_eq!(texts_of_bot(&bot.playground.chat(1)), [""; 0]);
    sqlx::query("DROP TRIGGER trap").execute(&mut database).await.unwrap();
    bot.until_results(1, 1).await;
    bot.until_clean().await;
    until("it is acknowledged", || bot.playground.pending() == 0).await;
    let deliveries = bot.playground.deliveries();
    let answers = answers(&deliveries, deliveries[0].update);
    assert_eq!(answers.last(), Some(&200), "{answers:?}");
    assert!(
        answers.iter().filter(|status| **status == 200).count() == 1,
        "{answers:?}"
    );
    assert_eq!(bot.playground.count("getfile"), 1, "once");
    assert_eq!(bot.playground.counts(1).media, 1);
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_whose_answer_was_lost_comes_twice_and_is_handled_once() {
    let mut bot = hooked().await;
    bot.playground.plan("webhook", 1, Fault::LostAnswer);
    bot.playground
        .send_file_in(1, 1, &playable_mkv(), SendAs::Document, "play")
        .unwrap();
    bot.until_results(1, 1).await;
    until("it is acknowledged", || bot.playground.pending() == 0).await;
    let deliveries = bot.playground.deliveries();
    assert_eq!(answers(&deliveries, deliveries[0].update), [200, 200]);
    bot.until_clean().await;
    assert_eq!(bot.playground.count("getfile"), 1);
    assert_eq!(bot.playground.counts(1).media, 1);
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_chat_are_answered_in_order_however_the_platform_stumbles() {
    let mut bot = hooked().await;
    bot.playground.plan("webhook", 1, Fault::Reset);
    for user in [1, 2, 3] {
        for text in ["/start", "/queue", "/help"] {
            bot.playground.send_text(user, text);
        }
    }
    for user in [1, 2, 3] {
        bot.until(user, |chat| (texts_of_bot(chat).len() == 3).then_some(()))
            .await;
    }
    // Anna and Chen read the same words.
    let said = |user| -> Vec<String> {
        let chat = bot.playground.chat(user);
        texts_of_bot(&chat).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(said(1), said(3));
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn switching_from_polls_to_a_webhook_and_back_loses_nothing() {
    let mut bot = Bot::start().await;
    bot.playground.set_server(Server::Web);
    let send = |bot: &Bot| {
        let sent = bot
            .playground
            .send_file_in(1, 1, &playable_mkv(), SendAs::Document, "play");
        sent.unwrap();
    };
    send(&bot);
    bot.until_results(1, 1).await;
    bot.until_clean().await;
    bot.stop().await;
    // Nobody listens, and no webhook is set: it waits.
    send(&bot);
    hook(&mut bot.settings);
    bot.resume().await;
    bot.until_results(1, 2).await;
    bot.until_clean().await;
    let polls = bot.playground.polls().len();
    send(&bot);
    bot.until_results(1, 3).await;
    bot.until_clean().await;
    bot.stop().await;
    assert_eq!(bot.playground.polls().len(), polls, "nothing was asked for");
    // The webhook stays, and what is sent there finds nobody.
    send(&bot);
    until("it was tried", || {
        bot.playground
            .deliveries()
            .last()
            .is_some_and(|delivery| delivery.status == 0)
    })
    .await;
    assert_eq!(bot.playground.pending(), 1);
    bot.settings.webhook_url = None;
    bot.resume().await;
    bot.until_results(1, 4).await;
    bot.until_clean().await;
    assert_eq!(bot.playground.count("deletewebhook"), 1);
    assert!(bot.playground.polls().iter().all(|poll| poll.status == 200));
    send(&bot);
    bot.until_results(1, 5).await;
    bot.stop().await;
    assert_eq!(bot.playground.counts(1).media, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_stops_takes_no_more_updates_and_ends_what_it_took() {
    let mut bot = hooked().await;
    let url = bot.settings.webhook_url.clone().unwrap();
    bot.playground.plan("sendmessage", 1, Fault::Stall(3000));
    bot.playground.send_text(1, "/help");
    until("it is taken", || {
        bot.playground.deliveries().len() == 1 && bot.playground.faults_due() == 0
    })
    .await;
    let asked = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let request = reqwest::Client::new().post(&url).header(HEADER, SECRET);
        request.body("{\"update_id\":1}").send().await.unwrap()
    };
    let ((), answer) = tokio::join!(bot.stop(), asked);
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "5");
    assert_eq!(
        texts_of_bot(&bot.playground.chat(1)).len(),
        1,
        "who was taken was answered"
    );
    assert!(reqwest::get(&url).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_was_opened_once_serves_one_run_after_another() {
    let mut bot = Bot::start().await;
    bot.stop().await;
    bot.playground.set_server(Server::Web);
    hook(&mut bot.settings);
    let address = bot.settings.webhook_listen.clone().unwrap();
    bot.listener = Some(Arc::new(TcpListener::bind(address).unwrap()));
    for run in 1..=2 {
        bot.resume().await;
        let sent = bot
            .playground
            .send_file_in(1, 1, &playable_mkv(), SendAs::Document, "play");
        sent.unwrap();
        bot.until_results(1, run).await;
        bot.until_clean().await;
        bot.stop().await;
    }
    assert!(
        bot.playground
            .deliveries()
            .iter()
            .all(|delivery| delivery.status == 200)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_polling_bot_ends_in_clear_words_where_another_process_sets_a_webhook() {
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    playground.set_server(Server::Web);
    let mut bot = Served::spawn(serve_on(&playground, folder.path()).stderr(std::process::Stdio::piped()));
    playground.send_text(1, "/help");
    until("it polls", || !playground.polls().is_empty()).await;
    let set = json!({ "url": format!("http://{}/", free_address()) });
    let set = call(&playground, &reqwest::Client::new(), "setWebhook", set).await;
    assert_eq!(set["ok"], true);
    assert_eq!(bot.wait().unwrap().code(), Some(1));
    let words = std::io::read_to_string(bot.stderr.take().unwrap()).unwrap();
    assert!(
        words.contains("another process set a webhook for this bot; stop it first"),
        "{words}"
    );
}

/// As an operator runs it: behind its walls, watched, by flags and environment; and then with polls again.
#[tokio::test(flavor = "multi_thread")]
async fn a_served_webhook_bot_is_ready_and_alive_and_its_log_holds_neither_url_nor_secret() {
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    playground.set_server(Server::Web);
    let (watched, hooked) = (free_address(), free_address());
    let mut bot = Served::spawn(
        serve_on(&playground, folder.path())
            .env("KADR_WATCH", &watched)
            .env("KADR_WEBHOOK_URL", format!("http://{hooked}{PATH}"))
            .env("KADR_WEBHOOK_SECRET", SECRET)
            .args(["--webhook-listen", &hooked]),
    );
    let get = async |path: &str| match reqwest::get(format!("http://{watched}{path}")).await {
        Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap()),
        Err(_) => (0, String::new()),
    };
    let well = (200, "ok\n".to_owned());
    for _ in 0..300 {
        if get("/readyz").await == well {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!((get("/readyz").await, get("/healthz").await), (well.clone(), well));
    playground
        .send_file_in(1, 1, &playable_mkv(), SendAs::Document, "play")
        .unwrap();
    let came = |count: usize| {
        move |chat: &[Message]| {
            let media = chat.iter().filter(|m| m.from_bot && m.media.is_some()).count();
            (media >= count).then_some(())
        }
    };
    playground.wait(1, WAIT, came(1)).await.expect("it is delivered");
    assert_eq!(playground.polls(), []);
    terminate(&mut bot);
    playground
        .send_file_in(1, 1, &playable_mkv(), SendAs::Document, "play")
        .unwrap();
    let mut bot = Served::spawn(&mut serve_on(&playground, folder.path()));
    playground.wait(1, WAIT, came(2)).await.expect("it was kept");
    terminate(&mut bot);
    let log = std::fs::read_to_string(folder.path().join("logs/bot.log")).unwrap();
    assert!(log.contains("the webhook is set"), "{log}");
    assert!(
        log.contains("a webhook was set; it is removed, for this bot polls"),
        "{log}"
    );
    for private in [SECRET, PATH, &hooked] {
        assert!(!log.contains(private), "{private} in {log}");
    }
}

fn terminate(bot: &mut Served) {
    let pid = bot.id().to_string();
    let told = std::process::Command::new("kill").args(["-TERM", &pid]).status();
    assert!(told.unwrap().success());
    assert!(bot.wait().unwrap().success());
}

/// `kadr serve --print-config` with these arguments: exit code, stdout and stderr.
fn print_config(args: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_kadr"))
        .current_dir(folder.path())
        .env_remove("TELEGRAM_API_URL")
        .args(["serve", "--print-config", "--device", "cpu"])
        .args(["--token", "123456:CANARY-canary-canary-canary-canary"])
        .args(args)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn bad_urls_and_secrets_are_refused_in_words() {
    let good = "https://bot.example.org/canary-path";
    for (args, what, hint) in [
        (
            vec!["--webhook-url", "http://bot.example.org/canary-path"],
            "error: the webhook URL begins with http (allowed https; http with a Bot API server of one's own)\n",
            "hint: put a TLS proxy before kadr",
        ),
        (
            vec!["--webhook-url", "canary-path"],
            "error: the webhook URL is malformed (https://HOST/PATH expected)\n",
            "hint: such as https://bot.example.org/kadr",
        ),
        (
            vec!["--webhook-url", "https://bot.example.org:9000/canary-path"],
            "error: the webhook URL has port 9000 (allowed 443, 80, 88 or 8443)\n",
            "hint: the cloud Bot API sends to no other",
        ),
        (
            vec!["--webhook-url", good, "--webhook-secret", "canary path"],
            "error: the webhook secret holds other characters than A-Z, a-z, 0-9, _ and -\n",
            "hint: `openssl rand -hex 32` makes one",
        ),
        (
            vec!["--webhook-url", good, "--webhook-listen", "8443"],
            "error: webhook_listen is `8443`, which is no address with a port\n",
            "hint: such as 127.0.0.1:8443",
        ),
    ] {
        let (code, _, words) = print_config(&args);
        assert_eq!(code, Some(2), "{words}");
        assert!(words.starts_with(what) && words.contains(hint), "{words}");
        assert!(!words.contains("canary"), "{words}");
    }
    let own = [
        "--api-url",
        "http://127.0.0.1:8081",
        "--webhook-url",
        "http://127.0.0.1:9000/a",
    ];
    assert_eq!(print_config(&own).0, Some(0), "a server of one's own takes it");
}

#[test]
fn the_printed_configuration_hides_the_secret() {
    let url = "https://bot.example.org/kadr";
    let (code, shown, _) = print_config(&["--webhook-url", url, "--webhook-secret", SECRET]);
    assert_eq!(code, Some(0));
    for line in [
        "webhook_url = \"https://bot.example.org/kadr\"\n",
        "webhook_listen = \"127.0.0.1:8443\"\n",
        "webhook_secret = \"(hidden)\"\n",
    ] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    assert!(!shown.contains(SECRET), "{shown}");
    let (_, polling, _) = print_config(&["--webhook-secret", SECRET]);
    assert!(!polling.contains("webhook") && !polling.contains(SECRET), "{polling}");
}

#[test]
fn an_address_that_is_taken_is_told_with_a_hint() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_kadr"))
        .current_dir(folder.path())
        .args(["serve", "--token", "123456:CANARY-canary-canary-canary-canary"])
        .args([
            "--webhook-url",
            "https://bot.example.org/kadr",
            "--webhook-listen",
            &address,
        ])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(
        words.starts_with(&format!(
            "error: updates cannot be awaited on {address}: Address already in use"
        )) && words.contains("hint: choose another address with `--webhook-listen`"),
        "{words}"
    );
}
