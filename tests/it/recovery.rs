//! Restarts: gentle ones in this process, and `kill -9` of the real binary.

use std::process::{Child, Command};
use std::time::Duration;

use kadr::playground::{Playground, SendAs};

use crate::support::bot::{Bot, WAIT, playground_in};
use crate::support::served::{Served, serve_on};
use crate::support::{clip, ffprobe, long_clip, shipped_clip};

/// Takes the engine a few seconds: long enough to be met in the middle.
fn middling_clip() -> std::path::PathBuf {
    clip(
        "middling.mpg",
        "-f lavfi -i testsrc2=s=1280x720:r=25:d=24 -c:v mpeg2video -q:v 31 -g 12",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialogue_survives_a_restart() {
    let mut bot = Bot::start().await;
    bot.playground.send_file(1, &shipped_clip(), SendAs::Document).unwrap();
    bot.until_says(1, "What should I make").await;
    bot.stop().await;
    bot.playground.press(1, "c:play").then_some(()).unwrap();
    bot.resume().await;
    bot.until_results(1, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_cut_short_by_shutdown_goes_on_after_the_start() {
    let mut bot = Bot::start().await;
    bot.playground.send_file(1, &middling_clip(), SendAs::Document).unwrap();
    bot.press(1, "c:play").await;
    bot.until_says(1, "Converting").await;
    bot.stop().await;
    bot.until_says(1, "Paused").await;
    bot.resume().await;
    bot.until_results(1, 1).await;
    bot.until_clean().await;
}

/// `kadr serve` as an operator runs it.
fn serve(playground: &Playground, folder: &std::path::Path, grace_s: &str) -> Served {
    Served::spawn(serve_on(playground, folder).env("KADR_GRACE", grace_s))
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_the_video_comes_without_sending_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    let mut bot = serve(&playground, folder.path(), "0");
    playground.send_file(1, &middling_clip(), SendAs::Document).unwrap();
    playground
        .wait(1, WAIT, |_| playground.press(1, "c:play").then_some(()))
        .await
        .unwrap();
    let converting =
        |chat: &[kadr::playground::Message]| chat.iter().any(|m| m.text.contains("Converting")).then_some(());
    playground.wait(1, WAIT, converting).await.unwrap();
    bot.kill().unwrap();
    bot.wait().unwrap();

    let mut bot = serve(&playground, folder.path(), "0");
    let result = playground
        .wait(1, WAIT, |chat| {
            chat.iter().find(|m| m.from_bot && m.media.is_some()).cloned()
        })
        .await
        .expect("the video comes");
    let facts = ffprobe(&result.path.unwrap(), "stream=codec_name,nb_frames");
    assert_eq!(facts, "codec_name=h264|nb_frames=600\n");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(std::fs::read_dir(folder.path().join("data/work")).unwrap().count(), 0);
    assert!(folder.path().join("logs/bot.log").exists() && folder.path().join("logs/error.log").exists());

    let second = Command::new(env!("CARGO_BIN_EXE_kadr"))
        .arg("serve")
        .current_dir(folder.path())
        .env("TELEGRAM_BOT_TOKEN", playground.token())
        .env("TELEGRAM_API_URL", playground.api_url())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another kadr uses"));
    bot.kill().unwrap();
    bot.wait().unwrap();
}

/// Sends a signal by its name.
fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([format!("-{name}"), child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_leaves_at_once_and_without_a_core() {
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let folder = tempfile::tempdir().unwrap();
        let playground = playground_in(folder.path()).await;
        let mut bot = serve(&playground, folder.path(), "600");
        playground.send_file(1, &long_clip(), SendAs::Document).unwrap();
        playground
            .wait(1, WAIT, |_| playground.press(1, "c:play").then_some(()))
            .await
            .unwrap();
        let converting =
            |chat: &[kadr::playground::Message]| chat.iter().any(|m| m.text.contains("Converting")).then_some(());
        playground.wait(1, WAIT, converting).await.unwrap();
        signal(&bot, name);
        let log = folder.path().join("logs/bot.log");
        tokio::time::timeout(WAIT, async {
            while !std::fs::read_to_string(&log).unwrap().contains("stopping") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .expect("it stops gently first");
        assert!(bot.try_wait().unwrap().is_none(), "the job may end");
        signal(&bot, name);
        let began = std::time::Instant::now();
        let status = loop {
            if let Some(status) = bot.try_wait().unwrap() {
                break status;
            }
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "it stays after the second SIG{name}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(status.code(), Some(code), "{status:?}");
    }
}
