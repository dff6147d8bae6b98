//! `kadr jobs` beside a bot that runs, and without one.

use std::path::Path;
use std::process::{Command, Output};

use kadr::job::{JobId, Phase, Reason, Status};
use kadr::playground::{Fault, SendAs};
use kadr::store::Journal;
use kadr::store::{Outcome, Store};

use crate::store::{ENGINE, ONE_EACH, add, open, request};
use crate::support::bot::Bot;
use crate::support::{long_clip, playable_mkv};

fn jobs(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kadr"))
        .arg("jobs")
        .args(args)
        .current_dir(folder)
        .env("KADR_DATABASE", format!("sqlite:{}", folder.join("kadr.db").display()))
        .env_remove("TELEGRAM_BOT_TOKEN")
        .output()
        .unwrap()
}

/// Standard output of an order that was obeyed.
fn obeyed(folder: &Path, args: &[&str]) -> String {
    let output = jobs(folder, args);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{args:?}: {words}");
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code and words of one that was not.
fn refused(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = jobs(folder, args);
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

async fn fail(store: &Journal, reason: Reason) -> JobId {
    let claim = store.claim(ONE_EACH).await.unwrap().unwrap();
    store
        .finish(claim.fence, Outcome::Failed { reason }, ENGINE)
        .await
        .unwrap();
    claim.job.id
}

#[tokio::test]
async fn the_list_says_of_each_job_how_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(refused(folder.path(), &["list"]).0, Some(2));
    let store = open(folder.path()).await;
    assert_eq!(obeyed(folder.path(), &["list"]), "no jobs\n");
    add(&store, 1, "a", 1).await;
    fail(&store, Reason::Network).await;
    add(&store, 2222, "b", 2).await;
    let listed = obeyed(folder.path(), &["list"]);
    assert!(listed.starts_with("JOB  USER  STATUS  PHASE  AGE"), "{listed}");
    assert!(
        listed.lines().nth(1).unwrap().starts_with("j2   2222  queued  fetch  "),
        "{listed}"
    );
    assert_eq!(listed.lines().count(), 2);
    let all = obeyed(folder.path(), &["list", "--all", "--json"]);
    let lines: Vec<serde_json::Value> = all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["type"], &lines[0]["job"]), (&"job".into(), &1.into()));
    assert_eq!(
        (&lines[0]["status"], &lines[0]["reason"]["reason"]),
        (&"failed".into(), &"network".into())
    );
    assert!(obeyed(folder.path(), &["show", "j1"]).contains("status        failed\n"));
    assert!(
        refused(folder.path(), &["show", "9"])
            .1
            .contains("there is no job j9\nhint: ")
    );
}

#[tokio::test]
async fn without_a_bot_orders_are_obeyed_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    add(&store, 1, "a", 1).await;
    fail(&store, Reason::Network).await;
    add(&store, 2, "b", 2).await;
    drop(store);
    assert_eq!(obeyed(folder.path(), &["cancel", "2"]), "j2 is cancelled\n");
    assert_eq!(refused(folder.path(), &["cancel", "2"]).0, Some(1));
    assert_eq!(obeyed(folder.path(), &["retry", "1"]), "j1 is done once more, as j3\n");
    assert!(refused(folder.path(), &["retry", "1"]).1.contains("already, as j3"));
    assert!(
        refused(folder.path(), &["retry", "2"])
            .1
            .contains("nothing is known any more")
    );
    assert!(refused(folder.path(), &["retry", "3"]).1.contains("j3 is queued"));
    let store = open(folder.path()).await;
    let owed: Vec<JobId> = store.take_owed().await.unwrap().iter().map(|job| job.id).collect();
    assert_eq!(owed, [JobId(2)], "the new job speaks for the one that failed");
    let claim = store.claim(ONE_EACH).await.unwrap().unwrap();
    assert_eq!(
        (claim.job.id, claim.job.attempt, claim.job.phase),
        (JobId(3), 1, Phase::Fetch)
    );
}

#[tokio::test]
async fn a_file_in_quarantine_is_listed_and_let_in_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    add(&store, 1, "poison", 1).await;
    for _ in 0..2 {
        let claim = store.claim(ONE_EACH).await.unwrap().unwrap();
        store.advance(claim.fence, Phase::Convert, None).await.unwrap();
        drop(store);
        store = open(folder.path()).await;
        store.recover(vec![JobId(1)]).await.unwrap();
    }
    assert_eq!(store.job(JobId(1)).await.unwrap().unwrap().status, Status::Quarantined);
    assert!(obeyed(folder.path(), &["quarantine", "list"]).starts_with("poison  refused for another "));
    assert_eq!(refused(folder.path(), &["quarantine", "lift", "other"]).0, Some(1));
    assert_eq!(
        obeyed(folder.path(), &["quarantine", "lift", "poison"]),
        "files let in again: 1\n"
    );
    assert_eq!(
        obeyed(folder.path(), &["quarantine", "list"]),
        "no file is in quarantine\n"
    );
    let again = store
        .enqueue(7, request(1, "poison"), crate::store::WIDE, ENGINE)
        .await
        .unwrap();
    assert!(matches!(again, kadr::store::Enqueued::New { .. }), "{again:?}");
}

#[tokio::test]
async fn an_end_that_nobody_said_is_owed_by_the_next_boot_until_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    add(&store, 1, "a", 1).await;
    let id = fail(&store, Reason::Network).await;
    assert_eq!(store.take_owed().await.unwrap(), [], "its own boot says it");
    drop(store);
    let store = open(folder.path()).await;
    assert_eq!(store.take_owed().await.unwrap()[0].id, id);
    assert_eq!(store.take_owed().await.unwrap(), [], "once a boot");
    drop(store);
    let store = open(folder.path()).await;
    assert_eq!(store.take_owed().await.unwrap()[0].id, id, "the boot that took it died");
    store.set_told(id, true).await.unwrap();
    drop(store);
    assert_eq!(open(folder.path()).await.take_owed().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_bot_obeys_and_says_it_in_the_chat() {
    let mut bot = Bot::start().await;
    let folder = bot.folder.path().to_owned();
    bot.playground.send_file(1, &long_clip(), SendAs::Document).unwrap();
    bot.press(1, "c:play").await;
    bot.until_says(1, "Converting").await;
    bot.playground
        .send_file_in(1, 1, &playable_mkv(), SendAs::Document, "play")
        .unwrap();
    bot.until_says(1, "In the queue").await;
    let began = std::time::Instant::now();
    assert_eq!(obeyed(&folder, &["cancel", "2"]), "j2 is cancelled\n");
    assert_eq!(
        obeyed(&folder, &["cancel", "1"]),
        "j1 is running and was asked to end\n"
    );
    let canceled = |chat: &[kadr::playground::Message]| {
        (chat.iter().filter(|message| message.text.contains("Cancelled")).count() == 2).then_some(())
    };
    bot.until(1, canceled).await;
    assert!(
        began.elapsed() < std::time::Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );

    // The source is gone for good, as the platform says; then it is there again.
    bot.playground.plan(
        "getfile",
        1,
        Fault::Refuse(400, "Bad Request: invalid file_id".to_owned()),
    );
    bot.playground
        .send_file_in(2, 2, &playable_mkv(), SendAs::Document, "play")
        .unwrap();
    let over = |message: &&kadr::playground::Message| {
        message.from_bot && !message.buttons.iter().flatten().any(|(_, data)| data.starts_with("x:"))
    };
    bot.until(2, |chat| chat.iter().find(over).cloned()).await;
    assert_eq!(obeyed(&folder, &["retry", "j3"]), "j3 is done once more, as j4\n");
    let result = bot.until_results(2, 1).await.remove(0);
    assert_eq!(result.media.as_deref(), Some("video"));
    assert_eq!(bot.playground.chat(2).len(), 2, "its status message became the result");
    bot.stop().await;
}
