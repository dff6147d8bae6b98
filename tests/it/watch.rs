//! The door for who watches: what a supervisor, Prometheus and a person with a browser get of a bot that runs.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use kadr::playground::{Message, Playground, SendAs};
use serde_json::Value;

use crate::support::bot::{WAIT, playground_in};
use crate::support::fake_driver::FakeDriver;
use crate::support::playable_mkv;
use crate::support::served::{Served, serve_on};

const TOKEN: &str = "watchword";

struct Door {
    bot: Served,
    base: String,
    client: reqwest::Client,
}

impl Door {
    fn of(playground: &Playground, folder: &std::path::Path) -> Self {
        Self::with(playground, folder, |_| {})
    }

    fn with(playground: &Playground, folder: &std::path::Path, more: impl FnOnce(&mut Command)) -> Self {
        // Free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = serve_on(playground, folder);
        command
            .env("KADR_WATCH", address.to_string())
            .env("KADR_WATCH_TOKEN", TOKEN);
        more(&mut command);
        let bot = Served::spawn(&mut command);
        Self {
            bot,
            base: format!("http://{address}"),
            client: reqwest::Client::new(),
        }
    }

    /// Status and text; 0 where nobody answers.
    async fn get(&self, path: &str, token: Option<&str>) -> (u16, String) {
        let mut request = self.client.get(format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        match request.send().await {
            Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap()),
            Err(_) => (0, String::new()),
        }
    }

    async fn until_ready(&self) {
        for _ in 0..300 {
            if self.get("/readyz", None).await == (200, "ok\n".to_owned()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("never ready: {:?}", self.get("/readyz", None).await);
    }
}

/// The value of a sample, by its name and labels as they are written.
fn sample(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

async fn deliver(playground: &Playground) {
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().join("CanaryName.mkv");
    std::fs::copy(playable_mkv(), &named).unwrap();
    playground.send_file_in(1, 1, &named, SendAs::Document, "play").unwrap();
    let came = |chat: &[Message]| chat.iter().any(|m| m.from_bot && m.media.is_some()).then_some(());
    playground.wait(1, WAIT, came).await.expect("it is delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_runs_tells_who_watches_what_it_did_and_nothing_of_anybody() {
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    let mut door = Door::of(&playground, folder.path());
    door.until_ready().await;
    assert_eq!(door.get("/healthz", None).await, (200, "ok\n".to_owned()));
    deliver(&playground).await;
    // What is delivered is counted a moment later.
    let mut text = String::new();
    for _ in 0..100 {
        let (status, metrics) = door.get("/metrics", Some(TOKEN)).await;
        assert_eq!(status, 200);
        text = metrics;
        if sample(&text, "kadr_jobs_total{outcome=\"succeeded\",reason=\"\"}") == Some(1.0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for (name, value) in [
        ("kadr_jobs_total{outcome=\"succeeded\",reason=\"\"}", 1.0),
        ("kadr_jobs_total{outcome=\"failed\",reason=\"\"}", 0.0),
        ("kadr_phase_seconds_count{phase=\"fetch\"}", 1.0),
        ("kadr_phase_seconds_count{phase=\"convert\"}", 1.0),
        ("kadr_phase_seconds_count{phase=\"deliver\"}", 1.0),
        (
            "kadr_conversions_total{audio=\"copy\",device=\"none\",video=\"copy\"}",
            1.0,
        ),
        ("kadr_queued_jobs", 0.0),
        ("kadr_running_jobs", 0.0),
        ("kadr_users_today", 1.0),
        ("kadr_platform_away", 0.0),
    ] {
        assert_eq!(sample(&text, name), Some(value), "{name} in\n{text}");
    }
    assert!(sample(&text, "kadr_disk_free_bytes") > Some(0.0), "{text}");
    assert!(
        text.contains("kadr_telegram_calls_total{method=\"getUpdates\",result=\"ok\"}"),
        "{text}"
    );
    let (status, state) = door.get("/state.json", Some(TOKEN)).await;
    assert_eq!(status, 200);
    let known: Value = serde_json::from_str(&state).unwrap();
    assert_eq!(
        (&known["alive"], &known["ready"]),
        (&Value::from("ok"), &Value::from("ok"))
    );
    assert_eq!(known["day"]["succeeded"], 1);
    assert_eq!(known["hours"].as_array().map(Vec::len), Some(1));
    for canary in ["Canary", "Anna", playground.token()] {
        assert!(!text.contains(canary) && !state.contains(canary), "{canary}");
    }
    let pid = door.bot.id().to_string();
    let told = std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status()
        .unwrap();
    assert!(told.success());
    assert!(door.bot.wait().unwrap().success(), "it ends as without a door");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_know_the_token_sees_health_alone() {
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    let door = Door::of(&playground, folder.path());
    door.until_ready().await;
    for path in ["/", "/metrics", "/state.json"] {
        for token in [None, Some("watchwor"), Some("")] {
            let (status, text) = door.get(path, token).await;
            assert_eq!(
                (status, text.as_str()),
                (401, "the token is missing or wrong\n"),
                "{path} {token:?}"
            );
        }
        assert_eq!(door.get(path, Some(TOKEN)).await.0, 200, "{path}");
    }
    // A browser has no place for a header.
    assert_eq!(door.get("/?token=watchword", None).await.0, 200);
    assert_eq!(door.get("/?token=watchwort", None).await.0, 401);
    assert_eq!(door.get("/healthz", None).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_told_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = serve_on(&playground, folder.path())
        .args(["--watch", &address])
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        words.starts_with(&format!(
            "error: {address} cannot be watched on: Address already in use"
        )) && words.contains("hint: choose another port with `--watch`"),
        "{words}"
    );
}

/// As systemd is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_is_told_when_it_is_ready_that_it_lives_and_that_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    let path = folder.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let mut bot = Served::spawn(
        serve_on(&playground, folder.path())
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "400000"),
    );
    let next = async || {
        let mut bytes = [0; 256];
        let received = tokio::time::timeout(WAIT, socket.recv(&mut bytes)).await;
        let length = received.expect("it says something").unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    assert_eq!(next().await, "READY=1\n");
    for _ in 0..3 {
        assert_eq!(next().await, "WATCHDOG=1\n");
    }
    let pid = bot.id().to_string();
    let told = std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status()
        .unwrap();
    assert!(told.success());
    while next().await != "STOPPING=1\n" {}
    assert!(bot.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_json_is_an_object_a_line_with_its_job() {
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    let mut bot = Served::spawn(serve_on(&playground, folder.path()).args(["--log-format", "json"]));
    deliver(&playground).await;
    let pid = bot.id().to_string();
    std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status()
        .unwrap();
    assert!(bot.wait().unwrap().success());
    let log = std::fs::read_to_string(folder.path().join("logs/bot.log")).unwrap();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let delivered = lines.iter().find(|line| line["message"] == "delivered").expect(&log);
    assert_eq!(delivered["level"], "INFO");
    assert!(
        delivered["span"]["id"].as_str().is_some_and(|id| id.contains('1')),
        "{delivered}"
    );
    assert!(!log.contains("Canary"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_of_gpus_is_told_as_their_driver_tells_it() {
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    let driver = FakeDriver::new();
    let door = Door::with(&playground, folder.path(), |command| {
        command
            .env("LD_LIBRARY_PATH", driver.folder())
            .env("KADR_DEVICE", "auto");
    });
    door.until_ready().await;
    let (_, text) = door.get("/metrics", Some(TOKEN)).await;
    for name in [
        "kadr_gpu_encoder_sessions",
        "kadr_gpu_encoder_ratio",
        "kadr_gpu_decoder_ratio",
        "kadr_gpu_ratio",
        "kadr_gpu_memory_used_bytes",
        "kadr_gpu_memory_bytes",
    ] {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name}{{gpu=\"0\",name=")));
        let value = line.and_then(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        assert!(value.is_some_and(|value| value >= 0.0), "{name} in\n{text}");
    }
    let (_, state) = door.get("/state.json", Some(TOKEN)).await;
    let known: Value = serde_json::from_str(&state).unwrap();
    assert_eq!(known["hosts"][0]["role"], "all");
    assert!(
        known["hosts"][0]["device"].as_str().unwrap().contains("Fake GPU"),
        "{state}"
    );
}
