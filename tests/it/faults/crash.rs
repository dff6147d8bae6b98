//! Crashes that a file causes, and ends that came from outside.

use std::os::unix::process::ExitStatusExt;

use super::{Served, ask, has_result, lines, says, until};
use crate::support::bot::playground_in;
use crate::support::{long_clip, playable_mkv};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_aborts_the_process_costs_two_crashes_and_its_neighbours_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    playground.add_user(2, "Boris", "en");
    // The first conversion of each start aborts the process: with one job at a time it is the oldest file's.
    let poisoned = [("KADR_KILL_AT", "converting"), ("KADR_JOBS", "1")];
    let mut bot = Served::start(&playground, folder.path(), &poisoned);
    ask(&playground, 1, &long_clip(), "play");
    until(&playground, 1, "the queue", says("#1")).await;
    ask(&playground, 2, &playable_mkv(), "play");
    assert_eq!(bot.ended().await.signal(), Some(6), "SIGABRT");
    let note = std::fs::read(folder.path().join("data/kadr.crash")).unwrap();
    assert_eq!(note, 1_i64.to_ne_bytes(), "the last words name the job");

    let mut bot = Served::start(&playground, folder.path(), &poisoned);
    assert_eq!(bot.ended().await.signal(), Some(6), "SIGABRT");

    let mut bot = Served::start(&playground, folder.path(), &[("KADR_JOBS", "1")]);
    until(&playground, 1, "the sentence", says("made the converter crash")).await;
    until(&playground, 2, "the neighbour's video", has_result).await;
    assert!(playground.chat(1).iter().all(|m| !m.from_bot || m.media.is_none()));
    assert!(bot.is_alive());
    assert_eq!(std::fs::read(folder.path().join("data/kadr.crash")).unwrap(), b"");
    assert_eq!(lines(folder.path(), "error.log", "crashed while it converted"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_from_outside_do_not_make_a_file_guilty() {
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    ask(&playground, 1, &long_clip(), "trim:0-20");
    for round in 0..3 {
        let mut bot = Served::start(&playground, folder.path(), &[]);
        let log = folder.path();
        let is_converting = async {
            while lines(log, "bot.log", "plan") <= round {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(crate::support::bot::WAIT, is_converting)
            .await
            .expect("it converts");
        bot.signal("KILL");
        assert_eq!(bot.ended().await.signal(), Some(9));
        assert_eq!(
            std::fs::read(folder.path().join("data/kadr.crash")).unwrap(),
            b"",
            "nobody is named"
        );
    }
    let _bot = Served::start(&playground, folder.path(), &[]);
    until(&playground, 1, "the video", has_result).await;
}

/// Not through our handler alone: the signal still ends the process, as a supervisor must see it.
#[tokio::test(flavor = "multi_thread")]
async fn a_fatal_signal_ends_the_process_and_names_what_ran() {
    for (name, number) in [("SEGV", 11), ("BUS", 7), ("FPE", 8), ("ILL", 4)] {
        let folder = tempfile::tempdir().unwrap();
        let playground = playground_in(folder.path()).await;
        let mut bot = Served::start(&playground, folder.path(), &[]);
        ask(&playground, 1, &long_clip(), "play");
        until(&playground, 1, "the conversion", says("Converting")).await;
        bot.signal(name);
        assert_eq!(bot.ended().await.signal(), Some(number), "SIG{name}");
        let note = std::fs::read(folder.path().join("data/kadr.crash")).unwrap();
        assert_eq!(note, 1_i64.to_ne_bytes(), "SIG{name}");
    }
}
