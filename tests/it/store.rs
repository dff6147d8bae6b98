//! The store's promises: order, fairness, fences, recovery, and what it forgets.

mod batch;
mod hosts;
mod model;
pub(crate) mod place;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::{Connection, SqliteConnection};

use kadr::job::{
    BLAME_NAMED, BLAME_UNNAMED, ChatId, Event, Job, Lang, MessageId, Origin, Parcel, ParcelKind, Phase, Reason,
    Request, Source, Status, UserId,
};
use kadr::media::{Look, Preset};
use kadr::store::Journal;
use kadr::store::{
    CancelAnswer, Claim, ClaimLimits, Day, Enqueued, InboxUpdate, Outcome, QueueLimits, Standing, Store, StoreError,
};

pub(crate) use self::place::{database, is_file, open, write};

pub(crate) const ENGINE: &str = "test-engine";
pub(crate) const WIDE: QueueLimits = QueueLimits {
    per_user_max: 1000,
    total_max: 100_000,
    per_day_max: None,
};
pub(crate) const ONE_EACH: ClaimLimits = ClaimLimits {
    running_per_user_max: 1,
    deliver_only: false,
};
pub(crate) const EXPRESS: ClaimLimits = ClaimLimits {
    running_per_user_max: 1,
    deliver_only: true,
};

pub(crate) fn request(user: i64, file: &str) -> Request {
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
            size_bytes: Some(1000),
            announced: kadr::job::Announced::default(),
        },
        wish: Preset::Play.into(),
        batch: None,
    }
}

pub(crate) fn parcel() -> Parcel {
    Parcel {
        kind: ParcelKind::Video,
        width: 64,
        height: 48,
        duration_s: 1.0,
        in_bytes: 2,
        out_bytes: 1,
        video_copied: false,
        audio_copied: true,
        silent: false,
        wall_s: 0.5,
        warnings: vec![],
        file_id: None,
        look: None,
    }
}

pub(crate) async fn add(store: &Journal, user: i64, file: &str, update: i64) -> Job {
    match store.enqueue(update, request(user, file), WIDE, ENGINE).await.unwrap() {
        Enqueued::New { job, .. } | Enqueued::Cached { job } => job,
        other => panic!("not accepted: {other:?}"),
    }
}

async fn take(store: &Journal) -> Claim {
    store.claim(ONE_EACH).await.unwrap().expect("a job to claim")
}

async fn succeed(store: &Journal, claim: &Claim) {
    store
        .advance(claim.fence, Phase::Deliver, Some(parcel()))
        .await
        .unwrap();
    let outcome = Outcome::Succeeded {
        file_id: Some("remembered".to_owned()),
    };
    store.finish(claim.fence, outcome, ENGINE).await.unwrap();
}

#[test]
fn every_status_meets_every_event() {
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
    let queued = [
        Some(S::Running),
        None,
        Some(S::Failed),
        None,
        Some(S::Canceled),
        Some(S::Quarantined),
    ];
    let running = [
        None,
        Some(S::Succeeded),
        Some(S::Failed),
        Some(S::Queued),
        Some(S::Canceled),
        Some(S::Quarantined),
    ];
    let over = [None; 6];
    let table = [queued, running, over, over, over, over];
    for (status, row) in statuses.into_iter().zip(table) {
        for (event, expected) in events.into_iter().zip(row) {
            assert_eq!(status.on(event).ok(), expected, "{status:?} on {event:?}");
        }
    }
}

/// A child has the lock's handle from its fork to its exec.
#[tokio::test]
async fn store_opens_again_though_children_are_being_started() {
    if !is_file() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let spawners: [_; 2] = std::array::from_fn(|_| {
        let over = Arc::clone(&over);
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                std::process::Command::new("true").status().unwrap();
            }
        })
    });
    let mut opened = Ok(());
    for _ in 0..200 {
        match Journal::in_file(&folder.path().join("kadr.db")).await {
            Ok(store) => drop(store),
            Err(error) => opened = Err(error),
        }
    }
    over.store(true, Ordering::Relaxed);
    for spawner in spawners {
        spawner.join().unwrap();
    }
    opened.unwrap();
}

#[tokio::test]
async fn source_of_a_job_is_forgotten_after_a_day_and_after_a_cancel_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let (old, young) = (add(&store, 1, "old", 1).await, add(&store, 2, "young", 2).await);
    for _ in 0..2 {
        let claim = take(&store).await;
        succeed(&store, &claim).await;
    }
    let canceled = add(&store, 3, "canceled", 3).await;
    store.cancel(canceled.id, None).await.unwrap();
    drop(store);
    let sql = format!("UPDATE jobs SET ended = ended - 86401 WHERE id = {}", old.id.0);
    write(folder.path(), &sql).await;
    let store = open(folder.path()).await;
    let source = async |job: Job| store.job(job.id).await.unwrap().unwrap().request.source.file_id;
    assert_eq!(source(old).await, "");
    assert_eq!(source(young).await, "id-young");
    assert_eq!(source(canceled).await, "");
}

#[tokio::test]
async fn source_of_a_job_is_forgotten_after_a_day_while_nobody_asks_for_anything() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let job = add(&store, 1, "old", 1).await;
    succeed(&store, &take(&store).await).await;
    assert!(store.last_job(ChatId(1), UserId(1)).await.unwrap().is_some());
    write(folder.path(), "UPDATE jobs SET ended = ended - 86401").await;
    assert_eq!(store.claim(ONE_EACH).await.unwrap(), None);
    let old = store.job(job.id).await.unwrap().unwrap();
    assert_eq!(old.request.source.file_id, "");
    assert_eq!(store.last_job(ChatId(1), UserId(1)).await.unwrap(), None);
}

#[tokio::test]
async fn what_a_file_was_is_known_once_it_was_converted() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    add(&store, 1, "a", 1).await;
    let claim = take(&store).await;
    assert_eq!(store.look("a").await.unwrap(), None);
    let look = Look {
        container: "AVI".to_owned(),
        duration_s: Some(1.5),
        picture: None,
        sounds: vec![],
        subtitles: 1,
    };
    let parcel = Parcel {
        look: Some(look.clone()),
        ..parcel()
    };
    store.advance(claim.fence, Phase::Deliver, Some(parcel)).await.unwrap();
    let outcome = Outcome::Succeeded {
        file_id: Some("R".to_owned()),
    };
    store.finish(claim.fence, outcome, ENGINE).await.unwrap();
    assert_eq!(store.look("a").await.unwrap(), Some(look));
    assert_eq!(store.look("b").await.unwrap(), None);
}

#[tokio::test]
async fn a_store_of_the_first_version_goes_on() {
    if !is_file() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kadr.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let mut raw = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(include_str!("../data/schema_1.sql"))
        .execute(&mut raw)
        .await
        .unwrap();
    let mut old = serde_json::to_value(request(7, "a")).unwrap();
    old["preset"] = old.as_object_mut().unwrap().remove("wish").unwrap();
    old["source"].as_object_mut().unwrap().remove("announced");
    sqlx::query(
        "INSERT INTO jobs (update_id, chat, user, unique_id, preset, request, status, phase, turn, created) \
         VALUES (1, 7, 7, 'a', 'play', ?, 'queued', 'fetch', 1, 1)",
    )
    .bind(old.to_string())
    .execute(&mut raw)
    .await
    .unwrap();
    sqlx::raw_sql("PRAGMA user_version = 1")
        .execute(&mut raw)
        .await
        .unwrap();
    raw.close().await.unwrap();
    let store = open(folder.path()).await;
    assert_eq!(take(&store).await.job.request, request(7, "a"));
    drop(store);
    open(folder.path()).await;
}

#[tokio::test]
async fn what_several_want_is_made_once_and_sent_to_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    for user in 1..=3 {
        add(&store, user, "same", user).await;
    }
    add(&store, 4, "other", 4).await;
    let first = take(&store).await;
    assert_eq!(first.job.request.origin.user, UserId(1));
    let other = take(&store).await;
    assert_eq!(other.job.request.source.file_unique_id, "other", "the same file waits");
    assert!(store.claim(ONE_EACH).await.unwrap().is_none());
    succeed(&store, &first).await;
    for user in [2, 3] {
        let claim = store.claim(EXPRESS).await.unwrap().expect("only to be sent");
        assert_eq!(claim.job.request.origin.user, UserId(user));
        assert_eq!(claim.job.phase, Phase::Deliver);
        assert_eq!(claim.job.parcel.unwrap().file_id.as_deref(), Some("remembered"));
    }
}

#[tokio::test]
async fn a_file_that_fails_for_one_is_tried_for_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    add(&store, 1, "same", 1).await;
    add(&store, 2, "same", 2).await;
    let first = take(&store).await;
    let outcome = Outcome::Failed {
        reason: Reason::Network,
    };
    store.finish(first.fence, outcome, ENGINE).await.unwrap();
    assert_eq!(take(&store).await.job.request.origin.user, UserId(2));
}

#[tokio::test]
async fn a_day_has_its_limit_and_results_that_are_there_do_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let limits = QueueLimits {
        per_day_max: Some(2),
        ..WIDE
    };
    let ask = async |user, file: &str, update| {
        store
            .enqueue(update, request(user, file), limits, ENGINE)
            .await
            .unwrap()
    };
    assert!(matches!(ask(1, "a", 1).await, Enqueued::New { .. }));
    let claim = take(&store).await;
    succeed(&store, &claim).await;
    assert!(matches!(ask(1, "b", 2).await, Enqueued::New { .. }));
    match ask(1, "c", 3).await {
        Enqueued::DayFull { limit: 2, wait_s } => assert!((1..=86_400).contains(&wait_s)),
        other => panic!("{other:?}"),
    }
    assert!(matches!(ask(1, "a", 4).await, Enqueued::Cached { .. }));
    assert!(matches!(ask(2, "c", 5).await, Enqueued::New { .. }), "each has a day");
    store.forget(UserId(1)).await.unwrap();
    assert!(
        matches!(ask(1, "d", 6).await, Enqueued::DayFull { .. }),
        "forgetting gives no second day"
    );
}

#[tokio::test]
async fn nothing_is_kept_of_a_person_who_wants_to_be_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    add(&store, 1, "done", 1).await;
    let claim = take(&store).await;
    succeed(&store, &claim).await;
    add(&store, 1, "running", 2).await;
    let running = take(&store).await;
    let waiting = add(&store, 1, "waiting", 3).await;
    let stranger = add(&store, 2, "stranger", 4).await;
    store.set_settings(UserId(1), "{}".to_owned()).await.unwrap();
    store
        .set_dialogue(ChatId(1), UserId(1), Some("{}".to_owned()))
        .await
        .unwrap();
    let canceled = store.forget(UserId(1)).await.unwrap();
    assert_eq!(canceled.iter().map(|job| job.id).collect::<Vec<_>>(), [waiting.id]);
    assert_eq!(store.cancel_requests().await.unwrap(), [running.job.id]);
    store.finish(running.fence, Outcome::Canceled, ENGINE).await.unwrap();
    for job in [claim.job.id, running.job.id, waiting.id] {
        assert_eq!(store.job(job).await.unwrap(), None);
    }
    assert_eq!(store.settings(UserId(1)).await.unwrap(), None);
    assert_eq!(store.dialogue(ChatId(1), UserId(1)).await.unwrap(), None);
    assert!(store.job(stranger.id).await.unwrap().is_some());
}

#[tokio::test]
async fn standings_and_draining_are_kept_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    assert_eq!(store.standing(UserId(1)).await.unwrap(), None);
    for standing in [
        Some(Standing::Banned),
        Some(Standing::Allowed),
        None,
        Some(Standing::Banned),
    ] {
        store.set_standing(UserId(1), standing).await.unwrap();
        assert_eq!(store.standing(UserId(1)).await.unwrap(), standing);
    }
    add(&store, 1, "a", 1).await;
    store.set_draining(true).await.unwrap();
    assert!(store.claim(ONE_EACH).await.unwrap().is_none(), "nothing starts");
    let totals = store.totals().await.unwrap();
    assert_eq!((totals.queued, totals.users, totals.draining), (1, 1, true));
    drop(store);
    let store = open(folder.path()).await;
    assert_eq!(store.standing(UserId(1)).await.unwrap(), Some(Standing::Banned));
    if is_file() {
        assert!(!store.totals().await.unwrap().draining, "it ends with the process");
    } else {
        assert!(
            store.totals().await.unwrap().draining,
            "one of several processes lifts nothing"
        );
        store.set_draining(false).await.unwrap();
    }
    take(&store).await;
}

#[tokio::test]
async fn second_process_is_told_that_the_store_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let second = Journal::open(&database(folder.path())).await;
    assert!(matches!(second, Err(StoreError::Locked(_))), "{second:?}");
    add(&store, 1, "a", 1).await;
    let boot = take(&store).await.fence.boot;
    drop(store);
    let store = open(folder.path()).await;
    store.recover(Vec::new()).await.unwrap();
    assert_eq!(take(&store).await.fence.boot, boot + 1);
}

#[tokio::test]
async fn updates_are_kept_until_handled_and_known_ever_after() {
    let folder = tempfile::tempdir().unwrap();
    let update = |update_id| InboxUpdate {
        update_id,
        payload: format!("{{\"n\":{update_id}}}"),
    };
    let store = open(folder.path()).await;
    assert_eq!(store.record_updates(vec![update(7), update(8)]).await.unwrap().len(), 2);
    store.mark_handled(7).await.unwrap();
    drop(store);
    let store = open(folder.path()).await;
    assert_eq!(store.unhandled_updates().await.unwrap(), [update(8)]);
    assert_eq!(
        store
            .record_updates(vec![update(7), update(8), update(9)])
            .await
            .unwrap(),
        [update(9)]
    );
}

#[tokio::test]
async fn replay_is_known_by_its_update_and_retry_is_a_new_job() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let job = add(&store, 1, "a", 10).await;
    let again = store.enqueue(10, request(1, "a"), WIDE, ENGINE).await.unwrap();
    assert!(matches!(again, Enqueued::Replayed { job: known } if known.id == job.id));
    let twice = store.enqueue(11, request(1, "a"), WIDE, ENGINE).await.unwrap();
    assert!(matches!(twice, Enqueued::Duplicate { job: known } if known.id == job.id));
    let claim = take(&store).await;
    store
        .finish(
            claim.fence,
            Outcome::Failed {
                reason: Reason::Network,
            },
            ENGINE,
        )
        .await
        .unwrap();
    let replay = store.enqueue(10, request(1, "a"), WIDE, ENGINE).await.unwrap();
    assert!(matches!(replay, Enqueued::Replayed { job } if job.status == Status::Failed));
    assert_ne!(add(&store, 1, "a", 12).await.id, job.id);
}

#[tokio::test]
async fn full_queues_name_their_limit() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let narrow = QueueLimits {
        per_user_max: 1,
        total_max: 2,
        per_day_max: None,
    };
    add(&store, 1, "a", 1).await;
    let own = store.enqueue(2, request(1, "b"), narrow, ENGINE).await.unwrap();
    assert_eq!(own, Enqueued::UserQueueFull { limit: 1 });
    add(&store, 2, "c", 3).await;
    let all = store.enqueue(4, request(3, "d"), narrow, ENGINE).await.unwrap();
    assert_eq!(all, Enqueued::QueueFull { limit: 2 });
}

#[tokio::test]
async fn newcomer_comes_before_the_second_job_of_a_heavy_user() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    for (update, file) in ["a", "b", "c"].into_iter().enumerate() {
        add(&store, 1, file, i64::try_from(update).unwrap()).await;
    }
    let Enqueued::New {
        job: newcomer,
        position,
    } = store.enqueue(9, request(2, "n"), WIDE, ENGINE).await.unwrap()
    else {
        panic!("not accepted")
    };
    assert_eq!(position, 2);
    let first = take(&store).await;
    assert_eq!(first.job.request.origin.user, UserId(1));
    let second = take(&store).await;
    assert_eq!(second.job.id, newcomer.id);
    assert_eq!(store.claim(ONE_EACH).await.unwrap(), None, "user 1 has one running");
    let places: Vec<_> = store
        .queue(100)
        .await
        .unwrap()
        .into_iter()
        .map(|entry| entry.position)
        .collect();
    assert_eq!(places, [None, None, Some(1), Some(2)]);
}

#[tokio::test]
async fn late_writer_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    add(&store, 1, "a", 1).await;
    let old = take(&store).await;
    store.release(old.fence, Phase::Fetch, 0, false).await.unwrap();
    let new = take(&store).await;
    assert_eq!(new.job.attempt, 1, "an attempt that was not counted is given back");
    let late = store.finish(old.fence, Outcome::Canceled, ENGINE).await;
    assert!(matches!(late, Err(StoreError::Fenced { .. })), "{late:?}");
    assert!(matches!(
        store.advance(old.fence, Phase::Convert, None).await,
        Err(StoreError::Fenced { .. })
    ));
    assert!(matches!(
        store.release(old.fence, Phase::Fetch, 0, true).await,
        Err(StoreError::Fenced { .. })
    ));
    assert_eq!(store.job(new.job.id).await.unwrap(), Some(new.job.clone()));
    succeed(&store, &new).await;
    let twice = store.finish(new.fence, Outcome::Canceled, ENGINE).await;
    assert!(
        matches!(twice, Err(StoreError::Fenced { .. })),
        "an ended job accepts nothing"
    );
}

#[tokio::test]
async fn delayed_job_waits_and_others_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    add(&store, 1, "a", 1).await;
    let claim = take(&store).await;
    store.release(claim.fence, Phase::Fetch, 3600, true).await.unwrap();
    assert_eq!(store.claim(ONE_EACH).await.unwrap(), None);
    let other = add(&store, 2, "b", 2).await;
    assert_eq!(take(&store).await.job.id, other.id);
}

#[tokio::test]
async fn finished_job_keeps_its_source_for_a_day_and_its_result_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let job = add(&store, 1, "a", 1).await;
    succeed(&store, &take(&store).await).await;
    let over = store.job(job.id).await.unwrap().unwrap();
    assert_eq!(
        (over.status, over.request.source.file_id.as_str()),
        (Status::Succeeded, "id-a")
    );
    let last = store.last_job(ChatId(1), UserId(1)).await.unwrap().unwrap();
    assert_eq!(last.id, job.id, "it can be asked for again");

    add(&store, 2, "other", 2).await;
    let busy = take(&store).await;
    let Enqueued::Cached { job } = store.enqueue(3, request(2, "a"), WIDE, ENGINE).await.unwrap() else {
        panic!("the result was remembered")
    };
    assert_eq!(
        job.parcel.as_ref().and_then(|parcel| parcel.file_id.as_deref()),
        Some("remembered")
    );
    assert_eq!(store.claim(ONE_EACH).await.unwrap(), None, "lanes are apart");
    let express = store
        .claim(EXPRESS)
        .await
        .unwrap()
        .expect("not held back by its user's conversion");
    assert_eq!((express.job.id, busy.job.request.origin.user), (job.id, UserId(2)));
    store
        .finish(express.fence, Outcome::Succeeded { file_id: None }, ENGINE)
        .await
        .unwrap();
    assert_eq!(store.job(job.id).await.unwrap().unwrap().parcel, None);

    let other_engine = store.enqueue(4, request(3, "a"), WIDE, "newer").await.unwrap();
    assert!(matches!(other_engine, Enqueued::New { .. }));
    store.forget_result(&request(1, "a"), ENGINE).await.unwrap();
    assert!(matches!(
        store.enqueue(5, request(4, "a"), WIDE, ENGINE).await.unwrap(),
        Enqueued::New { .. }
    ));
}

#[tokio::test]
async fn only_its_user_or_an_admin_cancels_a_job() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let job = add(&store, 1, "a", 1).await;
    assert_eq!(
        store.cancel(job.id, Some(UserId(2))).await.unwrap(),
        CancelAnswer::NotYours
    );
    let claim = take(&store).await;
    assert!(matches!(
        store.cancel(job.id, Some(UserId(1))).await.unwrap(),
        CancelAnswer::Asked(_)
    ));
    assert_eq!(store.cancel_requests().await.unwrap(), [job.id]);
    store.finish(claim.fence, Outcome::Canceled, ENGINE).await.unwrap();
    assert!(matches!(
        store.cancel(job.id, None).await.unwrap(),
        CancelAnswer::AlreadyOver(_)
    ));
    assert_eq!(store.cancel_requests().await.unwrap(), []);
    let waiting = add(&store, 1, "b", 2).await;
    assert!(matches!(
        store.cancel(waiting.id, None).await.unwrap(),
        CancelAnswer::Canceled(_)
    ));
    assert_eq!(store.claim(ONE_EACH).await.unwrap(), None);
}

#[tokio::test]
async fn crashes_of_looks_and_of_jobs_are_one_account() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    assert_eq!(store.crash_of_look("poison", BLAME_NAMED).await.unwrap(), []);
    // The account is there before its job, and one more is enough.
    let poison = add(&store, 1, "poison", 1).await;
    let other = add(&store, 2, "other", 2).await;
    assert_eq!((poison.blame, other.blame), (BLAME_NAMED, 0));
    let claim = take(&store).await;
    assert_eq!((claim.job.id, claim.suspect), (poison.id, true));
    store.advance(claim.fence, Phase::Convert, None).await.unwrap();
    let quarantined = store.crash(claim.fence, BLAME_NAMED, 0).await.unwrap();
    assert_eq!(quarantined.iter().map(|job| job.id).collect::<Vec<_>>(), [poison.id]);
    let again = store.enqueue(3, request(3, "poison"), WIDE, ENGINE).await.unwrap();
    assert!(matches!(again, Enqueued::Quarantined), "{again:?}");
    // One that waits is taken along by two looks, and a killed one weighs less.
    store.crash_of_look("other", BLAME_UNNAMED).await.unwrap();
    assert_eq!(store.job(other.id).await.unwrap().unwrap().blame, BLAME_UNNAMED);
    store.crash_of_look("other", BLAME_NAMED).await.unwrap();
    let quarantined = store.crash_of_look("other", BLAME_NAMED).await.unwrap();
    assert_eq!(quarantined.iter().map(|job| job.id).collect::<Vec<_>>(), [other.id]);
    // Who lifts it begins anew.
    assert_eq!(store.lift_quarantine().await.unwrap(), 2);
    assert_eq!(add(&store, 4, "poison", 4).await.blame, 0);
}

#[tokio::test]
async fn suspects_run_alone_and_a_second_crash_quarantines_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let poison = add(&store, 1, "poison", 1).await;
    let fetching = add(&store, 2, "fetching", 2).await;
    let claim = take(&store).await;
    store.advance(claim.fence, Phase::Convert, None).await.unwrap();
    take(&store).await;
    drop(store);

    let store = open(folder.path()).await;
    assert_eq!(store.recover(vec![poison.id, fetching.id]).await.unwrap(), []);
    assert_eq!(store.claim(EXPRESS).await.unwrap(), None);
    let suspect = take(&store).await;
    assert_eq!(
        (suspect.job.id, suspect.suspect, suspect.job.blame),
        (poison.id, true, BLAME_NAMED)
    );
    assert_eq!(
        store.claim(ONE_EACH).await.unwrap(),
        None,
        "nothing runs beside a suspect"
    );
    let same = add(&store, 4, "poison", 4).await;
    drop(store);

    let store = open(folder.path()).await;
    let quarantined = store.recover(vec![poison.id]).await.unwrap();
    assert_eq!(
        quarantined.iter().map(|job| (job.id, job.status)).collect::<Vec<_>>(),
        [(poison.id, Status::Quarantined), (same.id, Status::Quarantined)]
    );
    assert_eq!(
        store.job(same.id).await.unwrap().unwrap().status,
        Status::Quarantined,
        "the same file of another user would crash it again"
    );
    let innocent = take(&store).await;
    assert_eq!((innocent.job.id, innocent.suspect), (fetching.id, false));
    assert_eq!(
        store.enqueue(9, request(3, "poison"), WIDE, ENGINE).await.unwrap(),
        Enqueued::Quarantined
    );
}

#[tokio::test]
async fn a_file_is_not_to_blame_for_a_few_ends_that_came_from_outside() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    let job = add(&store, 1, "long", 1).await;
    let mut ends = 0;
    let quarantined = loop {
        let claim = take(&store).await;
        assert_eq!((claim.job.id, claim.suspect), (job.id, ends > 0));
        store.advance(claim.fence, Phase::Convert, None).await.unwrap();
        drop(store);
        store = open(folder.path()).await;
        let quarantined = store.recover(Vec::new()).await.unwrap();
        ends += 1;
        if !quarantined.is_empty() {
            break quarantined;
        }
    };
    // A crash that it was named for weighs as much as three.
    assert_eq!((ends, quarantined[0].id), (6, job.id));
    let other = add(&store, 1, "other", 2).await;
    let mut claim = take(&store).await;
    for named in [vec![], vec![], vec![other.id], vec![]] {
        store.advance(claim.fence, Phase::Convert, None).await.unwrap();
        drop(store);
        store = open(folder.path()).await;
        let quarantined = store.recover(named).await.unwrap();
        match store.claim(ONE_EACH).await.unwrap() {
            Some(again) => claim = again,
            None => assert_eq!(quarantined[0].id, other.id),
        }
    }
    assert_eq!(store.job(other.id).await.unwrap().unwrap().status, Status::Quarantined);
}

#[tokio::test]
async fn waiting_suspect_is_not_starved_by_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let crashed = add(&store, 1, "a", 1).await;
    let claim = take(&store).await;
    store.advance(claim.fence, Phase::Convert, None).await.unwrap();
    drop(store);
    let store = open(folder.path()).await;
    // A new job is running before the suspect could come: the suspect waits for it, and nobody passes the suspect.
    store.recover(Vec::new()).await.unwrap();
    let suspect = take(&store).await;
    // Long enough for a busy machine to claim the other one first.
    store.release(suspect.fence, Phase::Convert, 10, true).await.unwrap();
    let running = add(&store, 2, "b", 2).await;
    let other = take(&store).await;
    assert_eq!(other.job.id, running.id);
    tokio::time::sleep(Duration::from_millis(11_100)).await;
    add(&store, 3, "c", 3).await;
    assert_eq!(store.claim(ONE_EACH).await.unwrap(), None);
    succeed(&store, &other).await;
    let next = take(&store).await;
    assert_eq!((next.job.id, next.suspect), (crashed.id, true));
}

#[tokio::test]
async fn users_take_turns_on_a_single_slot() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    for update in 0..4 {
        add(&store, 1, &format!("a{update}"), update).await;
    }
    let mut order = Vec::new();
    for round in 0..6 {
        if round == 1 {
            add(&store, 2, "b1", 10).await;
            add(&store, 2, "b2", 11).await;
        }
        let claim = take(&store).await;
        order.push(claim.job.request.origin.user.0);
        succeed(&store, &claim).await;
    }
    assert_eq!(order, [1, 2, 1, 2, 1, 1], "who comes new is next, and then one of each");
}

#[tokio::test]
async fn everyone_who_waits_is_told_of_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let mut changes = store.changes();
    changes.mark_unchanged();
    let job = add(&store, 1, "a", 1).await;
    assert!(changes.has_changed().unwrap(), "a new job");
    let claim = take(&store).await;
    changes.mark_unchanged();
    store.cancel(job.id, None).await.unwrap();
    assert!(changes.has_changed().unwrap(), "a cancel");
    changes.mark_unchanged();
    store.release(claim.fence, Phase::Fetch, 0, true).await.unwrap();
    assert!(changes.has_changed().unwrap(), "a release");
}

#[tokio::test]
async fn send_intent_is_recorded_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let job = add(&store, 1, "a", 1).await;
    assert!(store.record_send_intent(job.id).await.unwrap());
    assert!(!store.record_send_intent(job.id).await.unwrap());
    store.withdraw_send_intent(job.id).await.unwrap();
    assert!(store.record_send_intent(job.id).await.unwrap(), "nothing was sent");
}

#[tokio::test]
async fn dialogues_and_settings_are_replaced_and_ended() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let (chat, user) = (ChatId(1), UserId(2));
    store.set_dialogue(chat, user, Some("a".to_owned())).await.unwrap();
    store.set_dialogue(chat, user, Some("b".to_owned())).await.unwrap();
    assert_eq!(store.dialogue(chat, user).await.unwrap().as_deref(), Some("b"));
    store.set_dialogue(chat, user, None).await.unwrap();
    assert_eq!(store.dialogue(chat, user).await.unwrap(), None);
    store.set_settings(user, "s".to_owned()).await.unwrap();
    assert_eq!(store.settings(user).await.unwrap().as_deref(), Some("s"));
}

/// Whether these bytes stand anywhere in a database: the file, its log, free pages.
fn stands_on_disk(folder: &Path, wanted: &str) -> bool {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).any(|path| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(wanted.len()).any(|window| window == wanted.as_bytes())
    })
}

#[tokio::test]
async fn what_is_past_its_day_goes_and_leaves_no_trace_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let update = InboxUpdate {
        update_id: 500,
        payload: format!("{{\"caption\":\"Canary{}\"}}", "y".repeat(9000)),
    };
    store.record_updates(vec![update]).await.unwrap();
    store.mark_handled(500).await.unwrap();
    let old = add(&store, 1, "old", 1).await;
    succeed(&store, &take(&store).await).await;
    let young = add(&store, 1, "young", 2).await;
    succeed(&store, &take(&store).await).await;
    let waiting = add(&store, 1, "waiting", 3).await;
    for (id, days) in [(old.id, 31), (young.id, 29), (waiting.id, 31)] {
        let s = days * 86_400 + 60;
        let sql = format!(
            "UPDATE jobs SET ended = ended - {s}, created = created - {s} WHERE id = {}",
            id.0
        );
        write(folder.path(), &sql).await;
    }
    assert_eq!(
        stands_on_disk(folder.path(), "Canary"),
        is_file(),
        "the log holds pages as they were"
    );
    assert_eq!(store.purge(30).await.unwrap(), 1);
    assert!(store.job(old.id).await.unwrap().is_none());
    assert!(store.job(young.id).await.unwrap().is_some());
    assert!(store.job(waiting.id).await.unwrap().is_some(), "it is not over");
    assert!(!stands_on_disk(folder.path(), "Canary"));
    assert!(!stands_on_disk(folder.path(), &"y".repeat(16)), "nor in a free page");
}

#[tokio::test]
async fn a_day_is_told_by_the_hour_and_failures_with_their_reason() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    assert_eq!(store.day().await.unwrap(), Day::default());
    for (update, file) in ["good", "bad", "worse"].into_iter().enumerate() {
        add(&store, 1, file, i64::try_from(update).unwrap()).await;
        let claim = take(&store).await;
        if file == "good" {
            succeed(&store, &claim).await;
        } else {
            let reason = Reason::Network;
            store
                .finish(claim.fence, Outcome::Failed { reason }, ENGINE)
                .await
                .unwrap();
        }
    }
    let old = add(&store, 1, "old", 9).await;
    store.cancel(old.id, None).await.unwrap();
    // An hour ago, and more than a day ago.
    write(
        folder.path(),
        "UPDATE jobs SET ended = ended - 3600 WHERE status = 'failed' AND unique_id = 'bad'",
    )
    .await;
    write(
        folder.path(),
        "UPDATE jobs SET ended = ended - 90000 WHERE unique_id = 'good'",
    )
    .await;
    let day = store.day().await.unwrap();
    let counts: Vec<(u64, u64)> = day.hours.iter().map(|hour| (hour.succeeded, hour.failed)).collect();
    assert_eq!(counts, [(0, 1), (0, 1)]);
    assert_eq!(day.hours[1].from_s - day.hours[0].from_s, 3600);
    let failed: Vec<(i64, &str)> = day
        .failures
        .iter()
        .map(|failure| (failure.job, failure.reason))
        .collect();
    assert_eq!(failed, [(3, "network"), (2, "network")]);
}
