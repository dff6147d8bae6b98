//! Copies of the database, the check after an unclean end, and the sentence for a database that is damaged.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use kadr::job::JobId;
use kadr::playground::Fault;
use kadr::store::Journal;
use kadr::store::sqlite::backup::{Backup, back_up, backups};
use kadr::store::{Store, StoreError};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, Row, SqliteConnection};

use crate::store::{add, open};
use crate::support::bot::playground_in;

/// SQLite's default, bytes.
const PAGE: u64 = 4096;

/// A database of 200 jobs in one file, for what lies in a write-ahead log would hide what is done to it.
async fn one_file(folder: &Path, clean: bool) -> PathBuf {
    let elsewhere = tempfile::tempdir().unwrap();
    let store = open(elsewhere.path()).await;
    for update in 1..=200 {
        add(&store, update, &format!("file-{update}"), update).await;
    }
    if clean {
        store.end_cleanly().await.unwrap();
    }
    let database = elsewhere.path().join("kadr.db");
    let Backup::Made(made) = back_up(&database, 0).await.unwrap() else {
        panic!("there is room");
    };
    let database = folder.join("kadr.db");
    std::fs::copy(made, &database).unwrap();
    database
}

/// Overwrites the end of a database, from a page on, as a stray write would.
fn damage(database: &Path, from_page: u64) {
    let length = std::fs::metadata(database).unwrap().len();
    let mut file = std::fs::File::options().write(true).open(database).unwrap();
    file.seek(SeekFrom::Start(from_page * PAGE)).unwrap();
    let rest = usize::try_from(length - from_page * PAGE).unwrap();
    file.write_all(&vec![0x5a; rest]).unwrap();
}

fn pages(database: &Path) -> u64 {
    std::fs::metadata(database).unwrap().len() / PAGE
}

#[tokio::test]
async fn a_backup_is_a_whole_database_and_the_oldest_go() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("kadr.db");
    let store = open(folder.path()).await;
    add(&store, 1, "a", 1).await;
    for day in 1..=30 {
        std::fs::write(
            folder.path().join(format!("kadr.db-backup-2020-01-{day:02}T00-00-00Z")),
            "",
        )
        .unwrap();
    }
    let Backup::Made(made) = back_up(&database, 0).await.unwrap() else {
        panic!("there is room");
    };
    let kept = backups(&database).unwrap();
    assert_eq!((kept.len(), kept.last()), (24, Some(&made)));
    assert!(kept[0].ends_with("kadr.db-backup-2020-01-08T00-00-00Z"), "{kept:?}");
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::copy(&made, elsewhere.path().join("kadr.db")).unwrap();
    let copy = open(elsewhere.path()).await;
    assert!(copy.job(JobId(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_clock_that_was_set_back_costs_no_copy_and_a_half_one_goes() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("kadr.db");
    let _store = open(folder.path()).await;
    // Made while the clock was ahead: the last of them is the newest, whatever the clock says now.
    for second in 10..40 {
        let name = format!("kadr.db-backup-2999-12-31T23-59-{second}Z");
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let half = folder.path().join("kadr.db-backup-2020-01-01T00-00-00Z.part");
    std::fs::write(&half, "killed in the middle").unwrap();
    let Backup::Made(made) = back_up(&database, 0).await.unwrap() else {
        panic!("there is room");
    };
    assert!(made.ends_with("kadr.db-backup-2999-12-31T23-59-40Z"), "{made:?}");
    let kept = backups(&database).unwrap();
    assert_eq!((kept.len(), kept.last()), (24, Some(&made)));
    assert!(std::fs::metadata(&made).unwrap().len() > 0);
    assert!(!half.exists());
}

#[tokio::test]
async fn without_room_there_is_no_backup() {
    let folder = tempfile::tempdir().unwrap();
    let _store = open(folder.path()).await;
    let database = folder.path().join("kadr.db");
    let made = back_up(&database, u64::MAX / 2).await.unwrap();
    assert!(
        matches!(made, Backup::NoRoom { wanted, .. } if wanted > u64::MAX / 2),
        "{made:?}"
    );
    assert_eq!(backups(&database).unwrap(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn only_after_an_unclean_end_the_database_is_checked() {
    for clean in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let database = one_file(folder.path(), clean).await;
        // The last page holds rows that no statement of a start reads.
        damage(&database, pages(&database) - 1);
        let opened = Journal::in_file(&database).await;
        let found = matches!(opened, Err(StoreError::Damaged { .. }));
        assert_eq!(found, !clean, "{:?}", opened.err());
    }
}

fn serve(folder: &Path, url: &str, token: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kadr"))
        .arg("serve")
        .current_dir(folder)
        .env("TELEGRAM_BOT_TOKEN", token)
        .env("TELEGRAM_API_URL", url)
        .env("KADR_DATABASE", "sqlite:kadr.db")
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_is_told_with_its_newest_backup() {
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    let database = one_file(folder.path(), false).await;
    back_up(&database, 0).await.unwrap();
    damage(&database, 2);
    let output = serve(folder.path(), &playground.api_url(), playground.token());
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("error: the database `kadr.db` is damaged: "), "{words}");
    assert!(
        words.contains("hint: move `kadr.db` and its `-wal` and `-shm` away and copy `./kadr.db-backup-"),
        "{words}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_bot_with_the_same_token_is_told_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    playground.plan("getupdates", 1, Fault::Conflict);
    let output = serve(folder.path(), &playground.api_url(), playground.token());
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(
        words.contains("error: another process polls with this token"),
        "{words}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_reaches_the_database_while_it_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    add(&store, 1, "file-1", 1).await;
    let database = folder.path().join("kadr.db");
    let told = Duration::from_secs(20);
    let began = Instant::now();
    // A copy of the file alone, for beside its log it would be read with it.
    let alone = folder.path().join("alone.db");
    loop {
        std::fs::copy(&database, &alone).unwrap();
        let options = SqliteConnectOptions::new().filename(&alone).immutable(true);
        if let Ok(mut connection) = SqliteConnection::connect_with(&options).await
            && let Ok(row) = sqlx::query("SELECT COUNT(*) FROM jobs")
                .fetch_one(&mut connection)
                .await
            && row.get::<i64, _>(0) == 1
        {
            break;
        }
        assert!(began.elapsed() < told, "it stays in the log");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(store);
}
