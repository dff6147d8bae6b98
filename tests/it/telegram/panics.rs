//! A handler that panics: other chats, the chat itself and the next start go on.

use kadr::job::{ChatId, Job, JobId, MessageId, Parcel, Phase, Question, Request, Seen, UserId, Wish};
use kadr::media::{Look, Refusal};
use kadr::store::Journal;
use kadr::store::{
    CancelAnswer, Claim, ClaimLimits, Day, Enqueued, Fence, Host, InboxUpdate, Lead, Outcome, Presence, QueueEntry,
    QueueLimits, Result, Standing, Store, Totals,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::support::bot::{WAIT, playground_in};

/// The first handler for one user meets a panic; everything else is the real store's.
#[derive(Clone, Debug)]
struct Trapped {
    store: Journal,
    panics: Arc<AtomicUsize>,
}

const UNLUCKY: UserId = UserId(13);

/// Methods that go through as they are.
macro_rules! pass {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(async fn $name(&self, $($argument: $type),*) -> Result<$answer> {
            self.store.$name($($argument),*).await
        })*
    };
}

impl Store for Trapped {
    async fn settings(&self, user: UserId) -> Result<Option<String>> {
        let lucky = user != UNLUCKY || self.panics.fetch_add(1, SeqCst) > 0;
        assert!(lucky, "planned by the test");
        self.store.settings(user).await
    }

    async fn lead(&self) -> Lead {
        self.store.lead().await
    }

    async fn hand_look(&self, question: Question, seen: std::result::Result<Seen, Refusal>) -> Result<()> {
        self.store.hand_look(question, seen).await
    }

    async fn take_look(&self) -> Result<Option<(Question, std::result::Result<Seen, Refusal>)>> {
        self.store.take_look().await
    }

    async fn day(&self) -> Result<Day> {
        self.store.day().await
    }

    async fn announce(&self, presence: Presence) -> Result<()> {
        self.store.announce(presence).await
    }

    async fn show_stand(&self, stand: String) -> Result<()> {
        self.store.show_stand(stand).await
    }

    async fn hosts(&self) -> Result<Vec<Host>> {
        self.store.hosts().await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.store.changes()
    }

    pass! {
        record_updates(updates: Vec<InboxUpdate>) -> Vec<InboxUpdate>;
        unhandled_updates() -> Vec<InboxUpdate>;
        mark_handled(update: i64) -> ();
        enqueue(update: i64, request: Request, limits: QueueLimits, engine: &str) -> Enqueued;
        set_status_message(job: JobId, message: MessageId) -> ();
        record_send_intent(job: JobId) -> bool;
        record_send_intents(jobs: Vec<JobId>) -> bool;
        withdraw_send_intent(job: JobId) -> ();
        hold(fence: Fence, parcel: Parcel) -> ();
        batch(first: JobId) -> Vec<Job>;
        batch_wish(chat: ChatId, user: UserId, key: &str) -> Option<Wish>;
        job(job: JobId) -> Option<Job>;
        queue(waiting_max: u32) -> Vec<QueueEntry>;
        queue_of(user: UserId) -> Vec<QueueEntry>;
        open_jobs() -> Vec<JobId>;
        cancel(job: JobId, by: Option<UserId>) -> CancelAnswer;
        claim(limits: ClaimLimits) -> Option<Claim>;
        advance(fence: Fence, phase: Phase, parcel: Option<Parcel>) -> ();
        finish(fence: Fence, outcome: Outcome, engine: &str) -> ();
        release(fence: Fence, phase: Phase, not_before_s: u64, count: bool) -> ();
        cancel_requests() -> Vec<JobId>;
        crash(fence: Fence, blame: u32, not_before_s: u64) -> Vec<Job>;
        crash_of_look(file_unique_id: &str, blame: u32) -> Vec<Job>;
        recover(named: Vec<JobId>) -> Vec<Job>;
        take_owed() -> Vec<Job>;
        set_told(job: JobId, of_all: bool) -> ();
        forget_result(request: &Request, engine: &str) -> ();
        dialogue(chat: ChatId, user: UserId) -> Option<String>;
        set_dialogue(chat: ChatId, user: UserId, state: Option<String>) -> ();
        set_settings(user: UserId, settings: String) -> ();
        forget(user: UserId) -> Vec<Job>;
        standing(user: UserId) -> Option<Standing>;
        set_standing(user: UserId, standing: Option<Standing>) -> ();
        purge(keep_days: u32) -> u64;
        totals() -> Totals;
        set_draining(draining: bool) -> ();
        lift_quarantine() -> u64;
        last_job(chat: ChatId, user: UserId) -> Option<Job>;
        look(file: &str) -> Option<Look>;
        want_look(question: Question) -> ();
        take_question() -> Option<Question>;
        remember_look(file: &str, seen: Seen, engine: &str) -> ();
        seen(file: &str, engine: &str) -> Option<Seen>;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_one_chat_harms_no_other_and_is_not_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    playground.add_user(UNLUCKY.0, "Bela", "en");
    let options = kadr::telegram::Options {
        token: playground.token().to_owned(),
        api_url: playground.api_url(),
        shared: None,
        access: kadr::telegram::access::Access::default(),
        throttle: std::sync::Arc::default(),
        turns: std::sync::Arc::default(),
        pulse: std::sync::Arc::default(),
        fetch_bytes_max: kadr::telegram::FETCH_BYTES_MAX,
        send_bytes_max: kadr::telegram::SEND_BYTES_MAX,
        look_bytes_max: 0,
        webhook: None,
        limits: QueueLimits {
            per_user_max: 5,
            total_max: 5,
            per_day_max: None,
        },
    };
    let store = Trapped {
        store: Journal::in_file(&folder.path().join("kadr.db")).await.unwrap(),
        panics: Arc::default(),
    };
    let start = || {
        let stop = CancellationToken::new();
        let running = tokio::spawn(kadr::telegram::run(options.clone(), store.clone(), stop.clone()));
        (stop, running)
    };
    let said = async |user: i64, words: &'static str| {
        let found = |chat: &[kadr::playground::Message]| {
            chat.iter()
                .any(|message| message.from_bot && message.text.contains(words))
                .then_some(())
        };
        playground.wait(user, WAIT, found).await.expect(words);
    };

    let (stop, running) = start();
    playground.send_text(UNLUCKY.0, "/settings");
    while store.panics.load(SeqCst) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    playground.send_text(1, "/help");
    said(1, "up to 20 MB").await;
    // The chat of the panic is served as well.
    playground.send_text(UNLUCKY.0, "/help");
    said(UNLUCKY.0, "up to 20 MB").await;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(store.unhandled_updates().await.unwrap(), []);

    let (stop, running) = start();
    playground.send_text(1, "/queue");
    said(1, "no files in progress").await;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(
        store.panics.load(SeqCst),
        2,
        "the update of the panic and /help, once each"
    );
    assert!(
        playground
            .chat(UNLUCKY.0)
            .iter()
            .all(|message| !message.text.contains("Language")),
        "the update of the panic is not tried again"
    );
}
