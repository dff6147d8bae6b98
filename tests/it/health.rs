//! `kadr health` beside a bot that runs, that stopped, and that hangs.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use kadr::playground::{Options, Playground};

fn health(folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kadr"))
        .arg("health")
        .current_dir(folder)
        .env_remove("TELEGRAM_BOT_TOKEN")
        .output()
        .unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn without_a_bot_there_is_no_health() {
    let folder = tempfile::tempdir().unwrap();
    let output = health(folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).starts_with("error: no heartbeat in `data/kadr.db-heartbeat`: "));
}

#[test]
fn an_old_heartbeat_is_told_with_its_age() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::fs::write(folder.path().join("data/kadr.db-heartbeat"), "1000000000").unwrap();
    let output = health(folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(
        words(&output).contains("s ago (limit 60 s)\nhint: "),
        "{}",
        words(&output)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_bot_is_healthy_and_a_stopped_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        port: 0,
        data_dir: folder.path().join("telegram"),
    };
    let playground = Playground::start(options).await.unwrap();
    let mut bot = Command::new(env!("CARGO_BIN_EXE_kadr"))
        .arg("serve")
        .current_dir(folder.path())
        .env("TELEGRAM_BOT_TOKEN", playground.token())
        .env("TELEGRAM_API_URL", playground.api_url())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut healthy = false;
    for _ in 0..300 {
        healthy = health(folder.path()).status.success();
        if healthy {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let pid = bot.id().to_string();
    let stopped = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(stopped.success());
    assert!(bot.wait().unwrap().success());
    assert!(healthy, "the bot ran and was never healthy");
    assert_eq!(health(folder.path()).status.code(), Some(1));
}
