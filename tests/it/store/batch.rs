//! Files that came together: who joins whom, what they count for, and that their results go out at once.

use kadr::job::{Batch, Job, JobId, Parcel, Phase, Reason, Status};
use kadr::store::Journal;
use kadr::store::{Claim, Enqueued, Outcome, QueueLimits, Store};
use std::time::Duration;

use super::{ENGINE, EXPRESS, ONE_EACH, WIDE, open, parcel, request};

async fn ask(store: &Journal, file: &str, key: &str, update: i64, place: u32, limits: QueueLimits) -> Enqueued {
    let mut request = request(1, file);
    request.batch = Some(Batch {
        key: key.to_owned(),
        place,
    });
    store.enqueue(update, request, limits, ENGINE).await.unwrap()
}

async fn add(store: &Journal, file: &str, key: &str, update: i64, place: u32) -> Job {
    match ask(store, file, key, update, place, WIDE).await {
        Enqueued::New { job, .. } | Enqueued::Cached { job } => job,
        other => panic!("not accepted: {other:?}"),
    }
}

/// Long enough after the last file of a batch.
async fn until_quiet() {
    tokio::time::sleep(Duration::from_millis(2_100)).await;
}

async fn convert(store: &Journal) -> Claim {
    let claim = store.claim(ONE_EACH).await.unwrap().expect("a job to convert");
    store.advance(claim.fence, Phase::Convert, None).await.unwrap();
    store.hold(claim.fence, parcel()).await.unwrap();
    claim
}

#[tokio::test]
async fn results_of_a_batch_are_claimed_at_once_when_all_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let first = add(&store, "a", "k", 1, 0).await;
    let second = add(&store, "b", "k", 2, 0).await;
    assert_eq!((first.batch, second.batch), (Some(first.id), Some(first.id)));
    until_quiet().await;
    assert_eq!(convert(&store).await.job.id, first.id);
    let other = store.claim(ONE_EACH).await.unwrap().expect("the second");
    assert_eq!((other.job.id, other.rest.len()), (second.id, 0));
    assert_eq!(store.claim(ONE_EACH).await.unwrap(), None, "the first waits for it");
    store.advance(other.fence, Phase::Convert, None).await.unwrap();
    store.hold(other.fence, parcel()).await.unwrap();

    let both = store.claim(ONE_EACH).await.unwrap().expect("both");
    let rest: Vec<JobId> = both.rest.iter().map(|(job, _)| job.id).collect();
    assert_eq!((both.job.id, rest), (first.id, vec![second.id]));
    assert_eq!(
        (both.job.phase, &both.rest[0].0.parcel),
        (Phase::Deliver, &Some(parcel()))
    );
    for fence in [both.fence, both.rest[0].1] {
        let outcome = Outcome::Succeeded {
            file_id: Some("sent".to_owned()),
        };
        store.finish(fence, outcome, ENGINE).await.unwrap();
    }
    let statuses: Vec<Status> = store
        .batch(first.id)
        .await
        .unwrap()
        .iter()
        .map(|job| job.status)
        .collect();
    assert_eq!(statuses, [Status::Succeeded; 2]);
}

#[tokio::test]
async fn a_batch_does_not_wait_for_files_that_failed_or_were_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let first = add(&store, "a", "k", 1, 0).await;
    for (update, file) in [(2, "b"), (3, "c")] {
        add(&store, file, "k", update, 0).await;
    }
    until_quiet().await;
    convert(&store).await;
    let bad = store.claim(ONE_EACH).await.unwrap().unwrap();
    let outcome = Outcome::Failed {
        reason: Reason::Internal,
    };
    store.finish(bad.fence, outcome, ENGINE).await.unwrap();
    let third = store.batch(first.id).await.unwrap()[2].id;
    store.cancel(third, None).await.unwrap();
    let claim = store.claim(ONE_EACH).await.unwrap().expect("what is left");
    assert_eq!((claim.job.id, claim.rest.len()), (first.id, 0));
}

#[tokio::test]
async fn a_remembered_result_waits_for_its_batch_and_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    super::add(&store, 5, "known", 1).await;
    let claim = store.claim(ONE_EACH).await.unwrap().unwrap();
    super::succeed(&store, &claim).await;
    let known = add(&store, "known", "k", 2, 0).await;
    let new = add(&store, "new", "k", 3, 0).await;
    assert_eq!((known.phase, new.batch), (Phase::Deliver, Some(known.id)));
    until_quiet().await;
    assert_eq!(store.claim(EXPRESS).await.unwrap(), None, "it is not alone");
    assert_eq!(convert(&store).await.job.id, new.id);
    let both = store.claim(EXPRESS).await.unwrap().expect("both");
    let remembered = |parcel: &Option<Parcel>| parcel.as_ref().unwrap().file_id.is_some();
    assert!(remembered(&both.job.parcel) && !remembered(&both.rest[0].0.parcel));
}

#[tokio::test]
async fn a_batch_counts_as_one_and_takes_ten() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let one = QueueLimits {
        per_user_max: 1,
        ..WIDE
    };
    for place in 0..10_u32 {
        let answer = ask(&store, &format!("f{place}"), "k", 7, place, one).await;
        assert!(matches!(answer, Enqueued::New { .. }), "{place}: {answer:?}");
        let again = ask(&store, &format!("f{place}"), "k", 7, place, one).await;
        assert!(matches!(again, Enqueued::Replayed { .. }), "{place}: {again:?}");
    }
    let eleventh = ask(&store, "f10", "k", 8, 0, one).await;
    assert_eq!(eleventh, Enqueued::UserQueueFull { limit: 1 });
}

#[tokio::test]
async fn what_comes_after_the_delivery_began_is_a_batch_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let first = add(&store, "a", "k", 1, 0).await;
    until_quiet().await;
    convert(&store).await;
    let claim = store.claim(ONE_EACH).await.unwrap().unwrap();
    assert_eq!((claim.job.id, claim.job.phase), (first.id, Phase::Deliver));
    let late = add(&store, "b", "k", 2, 0).await;
    assert_eq!(late.batch, Some(late.id));
}

#[tokio::test]
async fn a_crash_in_a_batch_holds_nobody_up_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let first = add(&store, "a", "k", 1, 0).await;
    add(&store, "b", "k", 2, 0).await;
    let claim = store.claim(ONE_EACH).await.unwrap().unwrap();
    store.advance(claim.fence, Phase::Convert, None).await.unwrap();
    drop(store);
    let store = open(folder.path()).await;
    store.recover(Vec::new()).await.unwrap();
    let suspect = convert(&store).await;
    assert_eq!((suspect.job.id, suspect.suspect), (first.id, true));
    // It is converted and waits; it bars nobody while it does.
    let other = store.claim(ONE_EACH).await.unwrap().expect("the other of its batch");
    assert_ne!(other.job.id, first.id);
}

#[tokio::test]
async fn the_last_word_of_a_batch_is_owed_while_only_its_progress_was_said() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let first = add(&store, "a", "k", 1, 0).await;
    let second = add(&store, "b", "k", 2, 0).await;
    until_quiet().await;
    let failing = store.claim(ONE_EACH).await.unwrap().expect("the first");
    let failed = Outcome::Failed {
        reason: Reason::Internal,
    };
    store.finish(failing.fence, failed, ENGINE).await.unwrap();
    // While the chat is told how the batch stands now, the second ends.
    convert(&store).await;
    let sending = store.claim(ONE_EACH).await.unwrap().expect("the second");
    assert_eq!(sending.job.id, second.id);
    let sent = Outcome::Succeeded { file_id: None };
    store.finish(sending.fence, sent, ENGINE).await.unwrap();
    store.set_told(first.id, false).await.unwrap();
    drop(store);

    let store = open(folder.path()).await;
    let owed: Vec<JobId> = store.take_owed().await.unwrap().iter().map(|job| job.id).collect();
    assert_eq!(owed, [second.id], "the summary was not said");
    store.set_told(second.id, true).await.unwrap();
    drop(store);
    assert_eq!(open(folder.path()).await.take_owed().await.unwrap(), []);
}
