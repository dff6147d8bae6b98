//! Several processes on one database, and an operator beside them: who takes what, what they say of themselves, and what one
//! hands to another. On SQLite the others are rows that a test writes.

use kadr::job::{BLAME_NAMED, JobId, MessageId, Phase, Question, Reason, UserId};
use kadr::media::{Preset, Refusal};
use kadr::store::journal::operator::{Listed, Operator, RetryAnswer};
use kadr::store::{CancelAnswer, Outcome, Presence, Store};

use super::{ENGINE, ONE_EACH, WIDE, add, database, open, request, take, write};

#[tokio::test]
async fn a_codec_dear_to_a_cpu_waits_a_while_for_a_gpu_that_lives() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let mut wanted = request(1, "film");
    wanted.wish = Preset::Av1.into();
    store.enqueue(1, wanted, WIDE, ENGINE).await.unwrap();
    let insert = "INSERT INTO boots (began, place, encodes) VALUES (0, 'elsewhere', ',hevc,av1,')";
    write(folder.path(), insert).await;
    assert_eq!(
        store.claim(ONE_EACH).await.unwrap(),
        None,
        "another host does it better"
    );
    write(folder.path(), "UPDATE boots SET ended = 1 WHERE place = 'elsewhere'").await;
    let claim = take(&store).await;
    store.release(claim.fence, Phase::Fetch, 0, false).await.unwrap();
    write(folder.path(), "UPDATE boots SET ended = 0 WHERE place = 'elsewhere'").await;
    assert_eq!(store.claim(ONE_EACH).await.unwrap(), None);
    write(folder.path(), "UPDATE jobs SET created = created - 61").await;
    let claim = take(&store).await;
    store.release(claim.fence, Phase::Fetch, 0, false).await.unwrap();
    // One that can itself waits for nobody.
    write(folder.path(), "UPDATE jobs SET created = created + 61").await;
    let presence = Presence {
        encodes: vec!["av1"],
        ..Presence::default()
    };
    store.announce(presence).await.unwrap();
    take(&store).await;
}

#[tokio::test]
async fn files_on_the_disk_of_a_host_that_lives_are_left_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    add(&store, 1, "film", 1).await;
    let claim = take(&store).await;
    store.advance(claim.fence, Phase::Convert, None).await.unwrap();
    store.release(claim.fence, Phase::Convert, 0, false).await.unwrap();
    write(folder.path(), "UPDATE jobs SET place = 'elsewhere'").await;
    write(
        folder.path(),
        "INSERT INTO boots (began, place) VALUES (0, 'elsewhere')",
    )
    .await;
    assert_eq!(store.claim(ONE_EACH).await.unwrap(), None);
    write(folder.path(), "UPDATE boots SET ended = 1 WHERE place = 'elsewhere'").await;
    take(&store).await;
}

#[tokio::test]
async fn processes_say_what_they_are_and_are_told_while_they_live() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let presence = Presence {
        host: "gpu-1".to_owned(),
        role: "worker",
        version: "9.9.9",
        slots: 3,
        encodes: vec![],
        device: "NVIDIA L4".to_owned(),
    };
    store.announce(presence).await.unwrap();
    add(&store, 1, "film", 1).await;
    take(&store).await;
    let hosts = store.hosts().await.unwrap();
    let told: Vec<_> = hosts
        .iter()
        .map(|host| {
            (
                host.name.as_str(),
                host.role.as_str(),
                host.device.as_str(),
                host.slots,
                host.running,
            )
        })
        .collect();
    assert_eq!(told, [("gpu-1", "worker", "NVIDIA L4", 3, 1)]);
    store.end_cleanly().await.unwrap();
    assert_eq!(store.hosts().await.unwrap(), []);
}

#[tokio::test]
async fn looks_of_another_process_are_handed_over_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    assert_eq!(store.take_look().await.unwrap(), None);
    let question = |file: &str| Question {
        origin: request(1, file).origin,
        source: request(1, file).source,
        card: MessageId(7),
        wishes: vec![],
    };
    for file in ["first", "second"] {
        store.hand_look(question(file), Err(Refusal::NotMedia)).await.unwrap();
    }
    for file in ["first", "second"] {
        let taken = store.take_look().await.unwrap();
        assert_eq!(taken, Some((question(file), Err(Refusal::NotMedia))));
    }
    assert_eq!(store.take_look().await.unwrap(), None);
    store
        .hand_look(question("third"), Err(Refusal::NotMedia))
        .await
        .unwrap();
    store.forget(UserId(1)).await.unwrap();
    assert_eq!(
        store.take_look().await.unwrap(),
        None,
        "of somebody who wants to be forgotten"
    );
}

#[tokio::test]
async fn an_operator_lists_ends_and_repeats_jobs_beside_the_bot() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let (one, two) = (add(&store, 1, "one", 1).await, add(&store, 2, "two", 2).await);
    let operator = Operator::open(&database(folder.path())).await.unwrap();
    let ids = |listed: Vec<Listed>| listed.into_iter().map(|one| one.job.id).collect::<Vec<JobId>>();
    assert_eq!(ids(operator.list(false).await.unwrap()), [one.id, two.id]);
    let claim = take(&store).await;
    let reason = Reason::Network;
    store
        .finish(claim.fence, Outcome::Failed { reason }, ENGINE)
        .await
        .unwrap();
    assert!(matches!(
        operator.cancel(two.id).await.unwrap(),
        CancelAnswer::Canceled(_)
    ));
    assert_eq!(ids(operator.list(false).await.unwrap()), []);
    assert_eq!(ids(operator.list(true).await.unwrap()), [one.id, two.id]);
    let again = operator.retry(one.id, ENGINE).await.unwrap();
    assert!(
        matches!(&again, RetryAnswer::Queued(job) if job.id.0 > two.id.0),
        "{again:?}"
    );
    assert!(matches!(
        operator.retry(one.id, ENGINE).await.unwrap(),
        RetryAnswer::Already(_)
    ));
    // What it ended is said by the bot.
    let owed = store.take_owed().await.unwrap();
    assert_eq!(owed.iter().map(|job| job.id).collect::<Vec<_>>(), [two.id]);
    assert_eq!(operator.quarantine().await.unwrap(), []);
    store.crash_of_look("bad", BLAME_NAMED).await.unwrap();
    store.crash_of_look("bad", BLAME_NAMED).await.unwrap();
    assert_eq!(operator.quarantine().await.unwrap()[0].file_unique_id, "bad");
    assert_eq!(operator.lift(Some("good")).await.unwrap(), 0);
    assert_eq!(operator.lift(Some("bad")).await.unwrap(), 1);
}
