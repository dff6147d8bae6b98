//! A Bot API server of one's own: sources are taken from its disk, results are handed over by name.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kadr::config::{Config, Settings};
use kadr::job::{JobId, Status};
use kadr::playground::{Fault, SendAs};

use crate::support::bot::{Bot, playground_in};
use crate::support::{decoded_frames, long_clip, playable_mkv, shipped_clip};

/// Generous beside what is promised, for the machine is busy with other tests; far below the stall.
const BOUND: Duration = Duration::from_secs(5);

/// Settings for a server whose files this process sees under `root` in the folder, and deletes.
fn settings(folder: &Path, root: &str) -> Settings {
    Settings {
        api_local_root: Some(folder.join(root)),
        api_local_root_there: Some(folder.join("telegram")),
        api_local_delete: Some(true),
        ..Settings::default()
    }
}

/// A folder that the settings may speak of before the server made its own in it.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("telegram")).unwrap();
    folder
}

/// A bot that deletes sources on a server of one's own.
async fn deleting() -> Bot {
    let folder = folder();
    let settings = settings(folder.path(), "telegram");
    Bot::start_in(folder, settings, true).await
}

/// What the server fetched for the bot and still has.
fn fetched(bot: &Bot) -> Vec<PathBuf> {
    let folder = bot.folder.path().join("telegram").join(bot.playground.token());
    let Ok(kinds) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    kinds
        .flat_map(|kind| std::fs::read_dir(kind.unwrap().path()).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect()
}

async fn ask(bot: &Bot, file: &Path) {
    bot.playground.send_file(1, file, SendAs::Document).unwrap();
    bot.press(1, "c:play").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn source_and_result_pass_over_the_shared_disk_alone() {
    let folder = folder();
    // The server's folder under another name, as a container sees it.
    symlink(folder.path().join("telegram"), folder.path().join("mounted")).unwrap();
    let settings = Settings {
        api_local_work_there: Some(folder.path().join("work")),
        ..settings(folder.path(), "mounted")
    };
    let mut bot = Bot::start_in(folder, settings, true).await;
    ask(&bot, &shipped_clip()).await;
    let result = bot.until_results(1, 1).await.remove(0);
    assert_eq!(
        decoded_frames(result.path.as_ref().unwrap()),
        decoded_frames(&shipped_clip())
    );
    let calls = bot.playground.transcript();
    let handed = calls.iter().find(|call| call.method == "editmessagemedia").unwrap();
    let media = handed.params["media"].to_string();
    assert!(media.contains("file://"), "{media}");
    let uploads = handed
        .params
        .as_object()
        .unwrap()
        .values()
        .filter(|value| value.get("size_bytes").is_some());
    assert_eq!(uploads.count(), 1, "the thumbnail alone is sent: {}", handed.params);
    bot.until_clean().await;
    assert_eq!(fetched(&bot), [] as [PathBuf; 0], "the source went when it was taken");
    // The server gets it again for another wish.
    bot.playground.send_file(1, &shipped_clip(), SendAs::Document).unwrap();
    bot.press(1, "c:small").await;
    bot.until_results(1, 2).await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn source_that_may_not_be_deleted_stays_on_the_server() {
    let folder = folder();
    let settings = Settings {
        api_local_delete: None,
        ..settings(folder.path(), "telegram")
    };
    let mut bot = Bot::start_in(folder, settings, true).await;
    ask(&bot, &playable_mkv()).await;
    bot.until_results(1, 1).await;
    bot.until_clean().await;
    let left = fetched(&bot);
    assert_eq!(std::fs::read(&left[0]).unwrap(), std::fs::read(playable_mkv()).unwrap());
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn source_of_a_failed_and_of_a_canceled_job_goes_too() {
    let mut bot = deleting().await;
    let words = bot.folder.path().join("words.mkv");
    std::fs::write(&words, "no film at all ".repeat(1000)).unwrap();
    ask(&bot, &words).await;
    bot.until_says(1, "not a video").await;
    assert_eq!(fetched(&bot), [] as [PathBuf; 0]);
    ask(&bot, &long_clip()).await;
    bot.until_says(1, "Converting").await;
    bot.press(1, "Cancel").await;
    bot.until_says(1, "Cancelled.").await;
    bot.until_clean().await;
    assert_eq!(fetched(&bot), [] as [PathBuf; 0]);
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn path_elsewhere_is_neither_read_nor_deleted() {
    let folder = folder();
    // The server's files lie elsewhere than the settings say.
    std::fs::create_dir(folder.path().join("other")).unwrap();
    let settings = Settings {
        api_local_root_there: None,
        ..settings(folder.path(), "other")
    };
    let mut bot = Bot::start_in(folder, settings, true).await;
    ask(&bot, &playable_mkv()).await;
    bot.until_says(1, "Something went wrong on my side").await;
    bot.until_clean().await;
    assert_eq!(fetched(&bot).len(), 1);
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn path_through_a_link_that_leads_out_is_neither_read_nor_deleted() {
    let mut bot = deleting().await;
    let (inside, outside) = (
        bot.folder.path().join("telegram").join(bot.playground.token()),
        bot.folder.path().join("outside"),
    );
    std::fs::create_dir_all(&inside).unwrap();
    std::fs::create_dir(&outside).unwrap();
    symlink(&outside, inside.join("documents")).unwrap();
    ask(&bot, &playable_mkv()).await;
    bot.until_says(1, "Something went wrong on my side").await;
    bot.until_clean().await;
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_does_not_wait_for_a_server_that_gets_the_file_ready() {
    let mut bot = deleting().await;
    bot.playground.plan("getfile", 1, Fault::Stall(60_000));
    ask(&bot, &shipped_clip()).await;
    let message = bot.until_says(1, "Downloading").await;
    let data = message
        .buttons
        .iter()
        .flatten()
        .find_map(|(_, data)| data.strip_prefix("x:"));
    let job = JobId(data.unwrap().parse().unwrap());
    let began = Instant::now();
    bot.press(1, "Cancel").await;
    while bot.job(job).await.status != Status::Canceled || bot.has_files(job) {
        assert!(began.elapsed() < BOUND, "it waits for the server");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bot.until_says(1, "Cancelled.").await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_the_server_cannot_read_are_streamed() {
    let folder = folder();
    let settings = Settings {
        api_local_work_there: Some(PathBuf::from("/nowhere/at/all")),
        ..settings(folder.path(), "telegram")
    };
    let mut bot = Bot::start_in(folder, settings, true).await;
    for count in 1..=2 {
        // Two wishes, for the same one comes from the cache.
        bot.playground.send_file(1, &playable_mkv(), SendAs::Document).unwrap();
        bot.press(1, if count == 1 { "c:play" } else { "c:audio" }).await;
        bot.until_results(1, count).await;
        // Only then the call is in the transcript.
        bot.until_clean().await;
    }
    let calls = bot.playground.transcript();
    let delivered: Vec<u16> = calls
        .iter()
        .filter(|call| call.method == "editmessagemedia")
        .map(|call| call.status)
        .collect();
    assert_eq!(delivered, [400, 200, 200], "one try by name is enough");
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_size_are_told_with_the_value() {
    let folder = folder();
    let settings = Settings {
        fetch_max_bytes: Some(1 << 20),
        send_max_bytes: Some(20_000),
        ..settings(folder.path(), "telegram")
    };
    let mut bot = Bot::start_in(folder, settings, true).await;
    let large = bot.folder.path().join("large.mkv");
    std::fs::File::create(&large).unwrap().set_len(3 << 20).unwrap();
    bot.playground.send_file(1, &large, SendAs::Document).unwrap();
    bot.until_says(1, "This file is 3 MB; I can take up to 1 MB.").await;
    ask(&bot, &playable_mkv()).await;
    bot.until_says(1, "and I can send").await;
    bot.until_clean().await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bot_that_is_logged_out_stops_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    let kadr = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_kadr"))
            .args(arguments)
            .current_dir(folder.path())
            .env("TELEGRAM_BOT_TOKEN", playground.token())
            .env("TELEGRAM_API_URL", playground.api_url())
            .env("KADR_DEVICE", "cpu")
            .output()
            .unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        (output.status.code(), said)
    };
    let (code, said) = kadr(&["log-out", "--from", &playground.api_url()]);
    assert!(code == Some(0) && said.contains("after 10 minutes"), "{said}");
    let (code, said) = kadr(&["serve"]);
    assert!(
        code == Some(1) && said.contains("logged out of this Bot API server"),
        "{said}"
    );
    let (code, said) = kadr(&["log-out", "--from", &playground.api_url()]);
    assert!(code == Some(1) && said.contains("Logged out"), "{said}");
    assert!(!said.contains(playground.token()), "{said}");
}

#[test]
fn a_folder_of_a_local_server_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let token = "1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let base = || Settings {
        token: Some(token.to_owned()),
        device: Some("cpu".to_owned()),
        api_url: Some("http://127.0.0.1:8081".to_owned()),
        ..Settings::default()
    };
    let error = |settings| Config::read(settings, None).unwrap_err().what;
    let cloud = Settings {
        api_url: None,
        api_local_root: Some(folder.path().to_owned()),
        ..base()
    };
    assert!(error(cloud).contains("https://api.telegram.org"));
    for wrong in ["relative", "/nowhere/at/all"] {
        let settings = Settings {
            api_local_root: Some(wrong.into()),
            ..base()
        };
        assert!(error(settings).contains(wrong));
    }
    let alone = Settings {
        api_local_delete: Some(true),
        ..base()
    };
    assert!(error(alone).contains("is not set"));
    let right = Settings {
        api_local_root: Some(folder.path().to_owned()),
        ..base()
    };
    let config = Config::read(right, None).unwrap();
    assert_eq!(config.telegram().fetch_bytes_max, 2_097_152_000);
    assert_eq!(config.telegram().send_bytes_max, 2_097_152_000);
    assert!(config.to_string().contains("api_local_delete = false"));
}

#[test]
fn limits_of_size_follow_the_server() {
    let read = |api_url: Option<&str>, fetch_max_bytes, send_max_bytes| {
        let settings = Settings {
            token: Some("1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_owned()),
            device: Some("cpu".to_owned()),
            api_url: api_url.map(str::to_owned),
            fetch_max_bytes,
            send_max_bytes,
            ..Settings::default()
        };
        let options = Config::read(settings, None).map(|config| config.telegram());
        options
            .map(|options| (options.fetch_bytes_max, options.send_bytes_max))
            .map_err(|error| error.what)
    };
    let own = Some("http://127.0.0.1:8081");
    assert_eq!(read(None, None, None), Ok((20_971_520, 50_000_000)));
    assert_eq!(read(None, Some(1 << 20), None), Ok((1 << 20, 50_000_000)));
    // Nobody knows whether it runs with `--local`.
    assert_eq!(read(own, None, None), Ok((20_971_520, 50_000_000)));
    assert_eq!(
        read(own, Some(2_097_152_000), Some(2_097_152_000)),
        Ok((2_097_152_000, 2_097_152_000))
    );
    assert_eq!(
        read(None, None, Some(50_000_001)),
        Err("the largest file to send is 50000001 bytes (allowed 1 to 50000000)".to_owned())
    );
    assert_eq!(
        read(own, Some(0), None),
        Err("the largest file to fetch is 0 bytes (allowed 1 to 2097152000)".to_owned())
    );
}
