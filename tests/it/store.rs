//! The store by itself: what is accepted, who comes first, who may write.

use kadr::job::{ChatId, Event, JobId, Lang, MessageId, Origin, Phase, Reason, Request, Source, Status, UserId};
use kadr::media::Preset;
use kadr::store::sqlite::SqliteStore;
use kadr::store::{ClaimLimits, Enqueued, InboxUpdate, Outcome, QueueLimits, Store, StoreError};

const LIMITS: QueueLimits = QueueLimits {
    per_user_max: 3,
    total_max: 5,
};
const CLAIM: ClaimLimits = ClaimLimits {
    running_per_user_max: 1,
    deliver_only: false,
};

fn request(user: i64, file: &str) -> Request {
    Request {
        origin: Origin {
            chat: ChatId(user),
            user: UserId(user),
            message: MessageId(1),
            group: false,
            lang: Lang::En,
        },
        source: Source {
            file_id: format!("id-{file}"),
            file_unique_id: file.to_owned(),
            size_bytes: Some(1),
        },
        preset: Preset::Play,
    }
}

async fn accept(store: &SqliteStore, update_id: i64, user: i64, file: &str) -> JobId {
    match store
        .enqueue(update_id, request(user, file), LIMITS, "1")
        .await
        .unwrap()
    {
        Enqueued::New { job, .. } => job.id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn terminal_states_accept_nothing_and_the_others_only_their_events() {
    use Event as E;
    use Status as S;
    let statuses = [
        S::Queued,
        S::Running,
        S::Succeeded,
        S::Failed,
        S::Canceled,
        S::Quarantined,
    ];
    let events = [
        E::Claimed,
        E::Delivered,
        E::Failed,
        E::Interrupted,
        E::Canceled,
        E::Quarantined,
    ];
    let accepted: Vec<(S, E, S)> = statuses
        .iter()
        .flat_map(|&status| {
            events
                .iter()
                .filter_map(move |&event| Some((status, event, status.on(event).ok()?)))
        })
        .collect();
    assert_eq!(
        accepted,
        [
            (S::Queued, E::Claimed, S::Running),
            (S::Queued, E::Failed, S::Failed),
            (S::Queued, E::Canceled, S::Canceled),
            (S::Queued, E::Quarantined, S::Quarantined),
            (S::Running, E::Delivered, S::Succeeded),
            (S::Running, E::Failed, S::Failed),
            (S::Running, E::Interrupted, S::Queued),
            (S::Running, E::Canceled, S::Canceled),
            (S::Running, E::Quarantined, S::Quarantined),
        ]
    );
}

#[tokio::test]
async fn an_update_is_new_once_and_stays_until_it_is_handled() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("k.db")).await.unwrap();
    let update = |update_id| InboxUpdate {
        update_id,
        payload: format!("{{\"update_id\":{update_id}}}"),
    };
    assert_eq!(store.record_updates(vec![update(7), update(8)]).await.unwrap().len(), 2);
    assert_eq!(
        store.record_updates(vec![update(8), update(9)]).await.unwrap(),
        vec![update(9)]
    );
    store.mark_handled(8).await.unwrap();
    assert_eq!(store.unhandled_updates().await.unwrap(), vec![update(7), update(9)]);
    assert_eq!(
        store.record_updates(vec![update(8)]).await.unwrap(),
        vec![],
        "handled is still known"
    );
}

#[tokio::test]
async fn a_replay_a_duplicate_and_a_full_queue_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("k.db")).await.unwrap();
    let first = accept(&store, 1, 1, "a").await;
    let replayed = store.enqueue(1, request(1, "a"), LIMITS, "1").await.unwrap();
    assert!(matches!(replayed, Enqueued::Replayed { job } if job.id == first));
    let duplicate = store.enqueue(2, request(1, "a"), LIMITS, "1").await.unwrap();
    assert!(matches!(duplicate, Enqueued::Duplicate { job } if job.id == first));
    accept(&store, 3, 1, "b").await;
    accept(&store, 4, 1, "c").await;
    assert_eq!(
        store.enqueue(5, request(1, "d"), LIMITS, "1").await.unwrap(),
        Enqueued::UserQueueFull { limit: 3 }
    );
    accept(&store, 6, 2, "a").await;
    accept(&store, 7, 2, "b").await;
    assert_eq!(
        store.enqueue(8, request(3, "a"), LIMITS, "1").await.unwrap(),
        Enqueued::QueueFull { limit: 5 }
    );
}

#[tokio::test]
async fn claims_go_round_over_users_and_stop_at_the_cap() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("k.db")).await.unwrap();
    accept(&store, 1, 1, "a").await;
    accept(&store, 2, 1, "b").await;
    accept(&store, 3, 2, "c").await;
    let first = store.claim(CLAIM).await.unwrap().unwrap();
    let second = store.claim(CLAIM).await.unwrap().unwrap();
    assert_eq!(
        (first.job.request.origin.user, second.job.request.origin.user),
        (UserId(1), UserId(2))
    );
    assert_eq!(store.claim(CLAIM).await.unwrap(), None, "one running job a user");
    store
        .finish(
            first.fence,
            Outcome::Failed {
                reason: Reason::Internal,
            },
            "1",
        )
        .await
        .unwrap();
    assert_eq!(
        store
            .claim(CLAIM)
            .await
            .unwrap()
            .unwrap()
            .job
            .request
            .source
            .file_unique_id,
        "b"
    );
}

#[tokio::test]
async fn a_late_writer_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("k.db")).await.unwrap();
    let id = accept(&store, 1, 1, "a").await;
    let old = store.claim(CLAIM).await.unwrap().unwrap();
    store.release(old.fence, Phase::Convert, 0, false).await.unwrap();
    let new = store.claim(CLAIM).await.unwrap().unwrap();
    assert_eq!(
        (new.job.attempt, new.job.phase),
        (1, Phase::Convert),
        "a shutdown gives the attempt back"
    );
    let late = store.finish(old.fence, Outcome::Canceled, "1").await;
    assert!(matches!(late, Err(StoreError::Fenced { .. })), "{late:?}");
    assert_eq!(store.job(id).await.unwrap().unwrap().status, Status::Running);
}

#[tokio::test]
async fn a_file_that_crashes_the_process_twice_is_quarantined() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k.db");
    let store = SqliteStore::open(&path).await.unwrap();
    accept(&store, 1, 1, "poison").await;
    accept(&store, 2, 2, "innocent").await;
    drop(store);
    for crash in 1..=2 {
        let store = SqliteStore::open(&path).await.unwrap();
        let told = store.recover().await.unwrap();
        assert_eq!(told.len(), 0, "crash {crash}");
        // The innocent one goes first the second time, for a suspect runs alone.
        while let Some(claim) = store.claim(CLAIM).await.unwrap() {
            if claim.job.request.source.file_unique_id == "innocent" {
                store
                    .finish(claim.fence, Outcome::Succeeded { file_id: None }, "1")
                    .await
                    .unwrap();
            } else {
                store.advance(claim.fence, Phase::Convert, None).await.unwrap();
                assert_eq!(claim.suspect, crash == 2);
            }
        }
    }
    let store = SqliteStore::open(&path).await.unwrap();
    let told = store.recover().await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].status, Status::Quarantined);
    assert_eq!(
        store.enqueue(9, request(3, "poison"), LIMITS, "1").await.unwrap(),
        Enqueued::Quarantined
    );
}

#[tokio::test]
async fn a_second_process_is_kept_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k.db");
    let _store = SqliteStore::open(&path).await.unwrap();
    assert!(matches!(SqliteStore::open(&path).await, Err(StoreError::Locked(_))));
}

#[tokio::test]
async fn after_the_end_no_row_can_fetch_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("k.db")).await.unwrap();
    let id = accept(&store, 1, 1, "a").await;
    let claim = store.claim(CLAIM).await.unwrap().unwrap();
    store
        .finish(claim.fence, Outcome::Succeeded { file_id: None }, "1")
        .await
        .unwrap();
    assert_eq!(store.job(id).await.unwrap().unwrap().request.source.file_id, "");
}
