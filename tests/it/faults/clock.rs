//! A clock that is set: while the bot runs, through libfaketime, where that is installed; and between two starts.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kadr::job::{BLAME_NAMED, JobId, Phase, Status};
use kadr::playground::Fault;
use kadr::store::Journal;
use kadr::store::{ClaimLimits, Enqueued, Store};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row};

use super::{Served, ask, lines, until};
use crate::store::{ENGINE, WIDE, add, open, request};
use crate::support::bot::playground_in;
use crate::support::playable_mkv;

const YEAR_S: i64 = 365 * 24 * 3600;
const ONE: ClaimLimits = ClaimLimits {
    running_per_user_max: 9,
    deliver_only: false,
};

async fn sql(folder: &Path, sql: &'static str) -> Vec<i64> {
    let options = SqliteConnectOptions::new().filename(folder.join("kadr.db"));
    let mut connection = options.connect().await.unwrap();
    let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// A store as a boot left it whose clock was a year ahead.
#[tokio::test]
async fn what_was_written_by_a_clock_that_was_ahead_waits_for_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    let poison = add(&store, 1, "poison", 1).await;
    for _ in 0..2 {
        let claim = store.claim(ONE).await.unwrap().unwrap();
        store.advance(claim.fence, Phase::Convert, None).await.unwrap();
        drop(store);
        store = open(folder.path()).await;
        store.recover(vec![poison.id]).await.unwrap();
    }
    let job = add(&store, 1, "a", 2).await;
    let claim = store.claim(ONE).await.unwrap().unwrap();
    store.release(claim.fence, Phase::Fetch, 45, true).await.unwrap();
    drop(store);
    let ahead = "UPDATE jobs SET not_before = not_before + 31536000 WHERE not_before > 0 RETURNING id";
    assert_eq!(sql(folder.path(), ahead).await, [job.id.0]);
    for statement in [
        "UPDATE jobs SET created = created + 31536000, ended = ended + 31536000",
        "UPDATE quarantine SET until = until + 31536000",
        "UPDATE days SET day = day + 365",
    ] {
        sql(folder.path(), statement).await;
    }
    let store = open(folder.path()).await;
    let most = "SELECT MAX(not_before) - unixepoch() FROM jobs";
    assert!((3500..=3600).contains(&sql(folder.path(), most).await[0]));
    let until = "SELECT until - unixepoch() FROM quarantine";
    let week = 7 * 24 * 3600;
    assert!(
        (week - 60..=week).contains(&sql(folder.path(), until).await[0]),
        "still refused, for a week"
    );
    let ended = "SELECT MAX(MAX(created), MAX(ended)) - unixepoch() FROM jobs";
    assert!(
        (-60..=1).contains(&sql(folder.path(), ended).await[0]),
        "its source goes in a day"
    );
    let refused = store.enqueue(9, request(3, "poison"), WIDE, ENGINE).await.unwrap();
    assert_eq!(refused, Enqueued::Quarantined);
    assert_eq!(store.job(poison.id).await.unwrap().unwrap().blame, 2 * BLAME_NAMED);
    assert_eq!(store.job(JobId(2)).await.unwrap().unwrap().status, Status::Queued);
}

#[tokio::test]
async fn no_flood_limit_delays_a_job_for_longer_than_an_hour() {
    let folder = tempfile::tempdir().unwrap();
    let store: Journal = open(folder.path()).await;
    add(&store, 1, "a", 1).await;
    for wait_s in [100_000, u64::MAX] {
        sql(folder.path(), "UPDATE jobs SET not_before = 0").await;
        let claim = store.claim(ONE).await.unwrap().unwrap();
        store.release(claim.fence, Phase::Fetch, wait_s, true).await.unwrap();
        let wait = sql(folder.path(), "SELECT not_before - unixepoch() FROM jobs").await[0];
        assert!((3590..=3600).contains(&wait), "{wait}");
    }
}

fn libfaketime() -> Option<PathBuf> {
    let found = std::fs::read_dir("/usr/lib")
        .ok()?
        .flatten()
        .map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    found.into_iter().find(|path| path.exists())
}

/// A year forth and back while a job waits for its next try: it waits its seconds and no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_while_a_job_waits_delays_it_not() {
    let Some(library) = libfaketime() else {
        let line = "skipped a_clock_that_is_set_while_a_job_waits_delays_it_not: no libfaketime (ci/install check)\n";
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    let clock = folder.path().join("clock");
    let set = |offset_s: i64| std::fs::write(&clock, format!("{offset_s:+}s")).unwrap();
    set(0);
    let faked = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("KADR_CONFINE", "off"),
    ];
    let mut bot = Served::start(&playground, folder.path(), &faked);
    playground.send_text(1, "/help");
    until(&playground, 1, "the help", |chat| {
        chat.iter().any(|m| m.from_bot).then_some(())
    })
    .await;
    for (number, offset_s) in [YEAR_S, -YEAR_S, 0].into_iter().enumerate() {
        playground.plan("getfile", 1, Fault::TooManyRequests(4));
        ask(&playground, 1, &playable_mkv(), &format!("trim:0-{}", number + 1));
        let waits = async {
            while lines(folder.path(), "bot.log", "the platform failed") <= number {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(crate::support::bot::WAIT, waits)
            .await
            .expect("it waits");
        set(offset_s);
        let results = |chat: &[kadr::playground::Message]| {
            let count = chat.iter().filter(|m| m.from_bot && m.media.is_some()).count();
            (count > number).then_some(())
        };
        let came = playground.wait(1, Duration::from_secs(20), results).await;
        assert!(came.is_some(), "clock {offset_s:+} s: {:#?}", playground.chat(1));
    }
    // The log has the wall clock's time: it really was set.
    let log = std::fs::read_to_string(folder.path().join("logs/bot.log")).unwrap();
    let years: std::collections::BTreeSet<&str> = log.lines().filter_map(|line| line.get(..4)).collect();
    assert_eq!(years.len(), 3, "{years:?}");
    assert!(bot.is_alive());
}
