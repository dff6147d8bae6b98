//! A Bot API server of one's own: sources are taken from its disk, results are handed over by name.

use std::os::unix::fs::symlink;
use std::path::Path;

use kadr::config::{Config, Settings};
use kadr::playground::SendAs;

use crate::support::bot::Bot;
use crate::support::{decoded_frames, playable_mkv, shipped_clip};

/// Settings for a server whose files this process sees under `root` in the folder.
fn settings(folder: &Path, root: &str) -> Settings {
    Settings {
        api_local_root: Some(folder.join(root)),
        api_local_root_there: Some(folder.join("telegram")),
        ..Settings::default()
    }
}

fn server_files(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("telegram")).unwrap().count()
}

#[tokio::test]
async fn source_and_result_pass_over_the_shared_disk_alone() {
    let folder = tempfile::tempdir().unwrap();
    // The server's folder under another name, as a container sees it.
    std::fs::create_dir(folder.path().join("telegram")).unwrap();
    symlink(folder.path().join("telegram"), folder.path().join("mounted")).unwrap();
    let settings = Settings {
        api_local_work_there: Some(folder.path().join("work")),
        api_local_delete: Some(true),
        ..settings(folder.path(), "mounted")
    };
    let bot = Bot::start_in(folder, settings, true).await;
    bot.playground.send_file(1, &shipped_clip(), SendAs::Document).unwrap();
    bot.press(1, "c:play").await;
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
    // The source as the chat has it, the result and its thumbnail, and the folder of what was fetched.
    assert_eq!(server_files(bot.folder.path()), 4);
}

#[tokio::test]
async fn source_that_may_not_be_deleted_stays_on_the_server() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("telegram")).unwrap();
    let settings = settings(folder.path(), "telegram");
    let bot = Bot::start_in(folder, settings, true).await;
    bot.playground.send_file(1, &playable_mkv(), SendAs::Document).unwrap();
    bot.press(1, "c:play").await;
    bot.until_results(1, 1).await;
    bot.until_clean().await;
    assert_eq!(server_files(bot.folder.path()), 4);
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
    assert_eq!(config.telegram().fetch_bytes_max(), 2_097_152_000);
    assert_eq!(config.telegram().send_bytes_max(), 2_097_152_000);
    assert!(config.to_string().contains("api_local_delete = false"));
}
