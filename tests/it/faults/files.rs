//! Too few descriptors, and a stderr that takes nothing.

use std::fs::{self, File};
use std::process::Command;
use std::time::Duration;

use super::{Served, ask, has_result, says, until};
use crate::support::bot::playground_in;
use crate::support::{playable_mkv, shipped_clip};

/// Lets a running process open so many more descriptors and none beyond: the limit is about their numbers.
fn leave(pid: u32, more: usize) {
    let taken: std::collections::BTreeSet<usize> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .collect();
    let limit = (0..).filter(|number| !taken.contains(number)).nth(more).unwrap();
    let limit = format!("--nofile={limit}:");
    let limited = Command::new("prlimit")
        .args(["--pid", &pid.to_string(), &limit])
        .status();
    assert!(limited.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_too_few_descriptors_nothing_is_lost_and_more_of_them_heal_it() {
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    for user in 2..8 {
        playground.add_user(user, "Other", "en");
    }
    let mut bot = Served::start(&playground, folder.path(), &[]);
    playground.send_text(1, "/help");
    until(&playground, 1, "the help", |chat| {
        chat.iter().any(|m| m.from_bot).then_some(())
    })
    .await;
    // A poll and an answer are open by now: what a job needs is what is missing.
    for (user, more) in (2..8).zip([0, 1, 2, 3, 5, 8]) {
        leave(bot.0.id(), more);
        let file = if user % 2 == 0 { playable_mkv() } else { shipped_clip() };
        ask(&playground, user, &file, "play");
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(bot.is_alive(), "with {more} left");
    }
    leave(bot.0.id(), 400);
    for user in 2..8 {
        // A conversion that could not open its files has ended and says so; all else goes on.
        let ended = |chat: &[kadr::playground::Message]| {
            has_result(chat)
                .map(drop)
                .or_else(|| says("Something went wrong")(chat).map(drop))
        };
        until(&playground, user, "an end", ended).await;
    }
    ask(&playground, 1, &playable_mkv(), "small");
    until(&playground, 1, "the next video", has_result).await;
    assert!(bot.is_alive());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stderr_that_is_full_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut bot = Served::start_with(&playground, folder.path(), &[], full.into());
    ask(&playground, 1, &playable_mkv(), "play");
    until(&playground, 1, "the video", has_result).await;
    assert!(bot.is_alive());
    bot.signal("TERM");
    assert_eq!(bot.ended().await.code(), Some(0));
}
