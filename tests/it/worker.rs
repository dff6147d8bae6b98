//! The worker from the chat's side: a real store, the real engine, a courier in memory.

mod fake_courier;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use kadr::courier::CourierError;
use kadr::job::{Job, JobId, Phase, Reason, Status, UserId};
use kadr::media::{Choice, Limits, Machine};
use kadr::store::Journal;
use kadr::store::{CancelAnswer, Enqueued, Store, StoreError};
use kadr::workdir::Workdir;
use kadr::worker::{Options, Worker};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::fake_courier::FakeCourier;
use crate::isolation::nursery;
use crate::store::{ENGINE as OTHER_ENGINE, ONE_EACH, WIDE, add, open, parcel, request};

/// Generous: the machine may be busy with other tests.
const WAIT: Duration = Duration::from_secs(90);
const RESULT: &str = "result 640x480 8.3 s";

/// The bytes of a source: `junk…` is no video, everything else is the clip that the repository ships.
pub(crate) fn source_of(unique_id: &str) -> Vec<u8> {
    if unique_id.starts_with("junk") {
        return b"not a video at all".repeat(100);
    }
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/hello_mpeg2_mp2.mpeg")).unwrap()
}

fn options() -> Options {
    Options {
        takes_jobs: true,
        jobs_max: 1,
        time_limit: WAIT,
        limits: Limits::default(),
        nursery: None,
        machine: Arc::new(Machine::new(Choice::Cpu)),
        running_per_user_max: 1,
        attempts_max: 3,
        grace: Duration::ZERO,
        disk_free_bytes_min: 0,
        sweep_every: Duration::from_secs(600),
        keep_days: 30,
    }
}

/// What a job is to its user is the same wherever its file is read.
fn on_threads_and_in_processes() -> [Options; 2] {
    let isolated = Options {
        nursery: Some(nursery()),
        ..options()
    };
    [options(), isolated]
}

/// A folder, a store in it, and a worker at work.
struct House {
    folder: TempDir,
    store: Journal,
    courier: Arc<FakeCourier>,
    shutdown: CancellationToken,
    worker: JoinHandle<Result<(), StoreError>>,
}

impl House {
    async fn new() -> Self {
        Self::with(options()).await
    }

    async fn with(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        Self::over(folder, store, options)
    }

    /// A worker over what a former boot left behind.
    fn over(folder: TempDir, store: Journal, options: Options) -> Self {
        Self::after_crash(folder, store, options, Vec::new())
    }

    fn after_crash(folder: TempDir, store: Journal, options: Options, named: Vec<i64>) -> Self {
        let courier = Arc::new(FakeCourier::default());
        let shutdown = CancellationToken::new();
        let workdir = workdir(&folder);
        let worker = Worker::new(store.clone(), Arc::clone(&courier), workdir, options);
        let worker = tokio::spawn(worker.after_crash_of(named).run(shutdown.clone()));
        Self {
            folder,
            store,
            courier,
            shutdown,
            worker,
        }
    }

    async fn stop(self) -> (TempDir, Arc<FakeCourier>) {
        self.shutdown.cancel();
        tokio::time::timeout(WAIT, self.worker).await.unwrap().unwrap().unwrap();
        (self.folder, self.courier)
    }

    async fn until(&self, what: &str, reached: impl AsyncFn() -> bool) {
        let wait = async {
            while !reached().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(tokio::time::timeout(WAIT, wait).await.is_ok(), "never came: {what}");
    }

    async fn job(&self, id: JobId) -> Job {
        self.store.job(id).await.unwrap().unwrap()
    }

    async fn until_status(&self, id: JobId, status: Status) {
        self.until(&format!("{status:?}"), async || self.job(id).await.status == status)
            .await;
    }

    async fn until_fetched(&self, job: &Job) {
        self.until("a fetch", async || self.courier.fetches(job) > 0).await;
    }

    async fn until_said(&self, id: JobId, words: &str) {
        self.until(words, async || self.courier.count(id, words) > 0).await;
    }

    /// No scratch folder is left.
    async fn until_clean(&self) {
        self.until("a clean scratch space", async || {
            scratch_folders(&self.folder).is_empty()
        })
        .await;
    }
}

fn workdir(folder: &TempDir) -> Workdir {
    Workdir::open(&folder.path().join("work")).unwrap()
}

fn scratch_folders(folder: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path().join("work")).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

fn transient() -> CourierError {
    CourierError::Transient {
        after_s: None,
        what: "planned".to_owned(),
    }
}

#[tokio::test]
async fn video_comes_back_once_and_the_second_time_without_work() {
    for options in on_threads_and_in_processes() {
        once_and_without_work(options).await;
    }
}

async fn once_and_without_work(options: Options) {
    let house = House::with(options).await;
    let job = add(&house.store, 1, "clip", 1).await;
    house.until_status(job.id, Status::Succeeded).await;
    assert_eq!(house.courier.count(job.id, RESULT), 1);
    house.until_clean().await;

    let answer = house
        .store
        .enqueue(2, request(2, "clip"), WIDE, kadr::media::ENGINE_VERSION)
        .await
        .unwrap();
    let Enqueued::Cached { job } = answer else {
        panic!("the result was remembered: {answer:?}")
    };
    house.until_status(job.id, Status::Succeeded).await;
    assert_eq!(house.courier.transcript(job.id), ["deliver", "result sent-clip"]);
}

#[tokio::test]
async fn remembered_result_does_not_wait_for_a_slot_and_a_stale_one_is_made_again() {
    let house = House::new().await;
    let first = add(&house.store, 1, "clip", 1).await;
    house.until_status(first.id, Status::Succeeded).await;
    house.courier.stall_fetch.store(true, SeqCst);
    let busy = add(&house.store, 2, "other", 2).await;
    house.until_fetched(&busy).await;
    let engine = kadr::media::ENGINE_VERSION;
    let Ok(Enqueued::Cached { job: cached }) = house.store.enqueue(3, request(3, "clip"), WIDE, engine).await else {
        panic!("the result was remembered")
    };
    house.until_status(cached.id, Status::Succeeded).await;

    house
        .courier
        .deliver_faults
        .lock()
        .unwrap()
        .push_back(CourierError::StaleFileId);
    let Ok(Enqueued::Cached { job: stale }) = house.store.enqueue(4, request(4, "clip"), WIDE, engine).await else {
        panic!("the result was remembered")
    };
    house
        .until("back at the start", async || {
            house.job(stale.id).await.phase == Phase::Fetch
        })
        .await;
    house.courier.stall_fetch.store(false, SeqCst);
    house.until_status(stale.id, Status::Succeeded).await;
    assert_eq!(house.courier.count(stale.id, RESULT), 1);
}

#[tokio::test]
async fn upload_that_is_refused_as_a_stale_file_ends_the_job_and_is_not_made_for_ever() {
    let house = House::new().await;
    let faults = [CourierError::StaleFileId, CourierError::StaleFileId];
    house.courier.deliver_faults.lock().unwrap().extend(faults);
    let job = add(&house.store, 1, "clip", 1).await;
    house.until_status(job.id, Status::Failed).await;
    assert_eq!(house.job(job.id).await.reason, Some(Reason::Internal));
    assert_eq!(house.courier.count(job.id, "deliver"), 1);
    house.until_clean().await;
}

#[tokio::test]
async fn canceled_job_is_never_delivered() {
    let house = House::new().await;
    house.courier.stall_fetch.store(true, SeqCst);
    let fetching = add(&house.store, 1, "clip", 1).await;
    house.until_fetched(&fetching).await;
    let waiting = add(&house.store, 2, "clip", 2).await;
    let answer = house.store.cancel(waiting.id, Some(UserId(2))).await.unwrap();
    assert!(matches!(answer, CancelAnswer::Canceled(_)));
    house.store.cancel(fetching.id, Some(UserId(1))).await.unwrap();
    house.until_said(fetching.id, "canceled").await;
    assert_eq!(house.job(fetching.id).await.status, Status::Canceled);
    house.until_clean().await;

    house.courier.stall_fetch.store(false, SeqCst);
    house.courier.stall_deliver.store(true, SeqCst);
    let sending = add(&house.store, 3, "clip", 3).await;
    house.until_said(sending.id, "deliver").await;
    house.store.cancel(sending.id, Some(UserId(3))).await.unwrap();
    house.until_said(sending.id, "canceled").await;
    house.until_clean().await;

    // The only slot is free again.
    house.courier.stall_deliver.store(false, SeqCst);
    let next = add(&house.store, 4, "clip", 4).await;
    house.until_status(next.id, Status::Succeeded).await;
    for job in [fetching.id, waiting.id, sending.id] {
        let transcript = house.courier.transcript(job);
        assert!(
            !transcript.iter().any(|line| line.starts_with("result")),
            "{transcript:?}"
        );
        assert!(
            transcript.last().is_none_or(|line| line == "canceled"),
            "{transcript:?}"
        );
    }
}

#[tokio::test]
async fn cancel_that_the_last_boot_did_not_live_to_see_still_holds() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let job = add(&store, 1, "clip", 1).await;
    store.claim(ONE_EACH).await.unwrap().unwrap();
    assert!(matches!(
        store.cancel(job.id, None).await.unwrap(),
        CancelAnswer::Asked(_)
    ));
    drop(store);
    let store = open(folder.path()).await;
    let house = House::over(folder, store, options());
    house.until_said(job.id, "canceled").await;
    assert_eq!(house.courier.transcript(job.id), ["canceled"]);
}

#[tokio::test]
async fn passing_faults_are_tried_again_and_lasting_ones_told() {
    let house = House::new().await;
    house.courier.fetch_faults.lock().unwrap().push_back(transient());
    let job = add(&house.store, 1, "clip", 1).await;
    house.until_status(job.id, Status::Succeeded).await;
    assert_eq!(
        (house.courier.fetches(&job), house.courier.count(job.id, RESULT)),
        (2, 1)
    );

    house.courier.deliver_faults.lock().unwrap().push_back(transient());
    let job = add(&house.store, 2, "again", 2).await;
    house.until_status(job.id, Status::Succeeded).await;
    assert_eq!(
        (house.courier.fetches(&job), house.courier.count(job.id, "deliver")),
        (1, 2),
        "what was made is sent again, not made again"
    );
    let (folder, _) = house.stop().await;

    let store = open(folder.path()).await;
    let house = House::over(
        folder,
        store,
        Options {
            attempts_max: 1,
            ..options()
        },
    );
    house.courier.fetch_faults.lock().unwrap().push_back(transient());
    let job = add(&house.store, 3, "lost", 3).await;
    house.until_said(job.id, "failed Network").await;
    house.until_clean().await;
}

#[tokio::test]
async fn refused_file_and_lost_chat_end_the_job_and_leave_no_files() {
    for options in on_threads_and_in_processes() {
        refused_and_lost(options).await;
    }
}

async fn refused_and_lost(options: Options) {
    let house = House::with(options).await;
    let junk = add(&house.store, 1, "junk", 1).await;
    house.until_said(junk.id, "failed Refused { why: NotMedia }").await;
    let gone = CourierError::Unreachable {
        what: "planned".to_owned(),
    };
    house.courier.deliver_faults.lock().unwrap().push_back(gone);
    let job = add(&house.store, 2, "clip", 2).await;
    house.until_status(job.id, Status::Failed).await;
    house.until_clean().await;
    assert!(
        !house
            .courier
            .transcript(job.id)
            .iter()
            .any(|line| line.starts_with("failed"))
    );
}

#[tokio::test]
async fn a_panic_ends_its_job_and_its_user_is_served_again() {
    let house = House::new().await;
    house.courier.panic_deliver.store(true, SeqCst);
    let job = add(&house.store, 1, "clip", 1).await;
    house.until_said(job.id, "failed Internal").await;
    house.until_clean().await;
    let next = add(&house.store, 1, "other", 2).await;
    house.until_status(next.id, Status::Succeeded).await;
}

/// A pipe without a writer, in which the engine waits. It has one at the end, also where the test fails: else the thread
/// would be waited for.
struct Unplugged(PathBuf);

impl Drop for Unplugged {
    fn drop(&mut self) {
        let _ = std::fs::OpenOptions::new().read(true).write(true).open(&self.0);
    }
}

#[tokio::test]
async fn an_engine_that_does_not_come_back_costs_its_slot_and_not_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let pipe = folder.path().join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let unplugged = Unplugged(pipe.clone());
    let options = Options {
        time_limit: Duration::from_secs(1),
        ..options()
    };
    let house = House::over(folder, store, options);
    *house.courier.pipe.lock().unwrap() = Some(pipe);
    let began = std::time::Instant::now();
    let stuck = add(&house.store, 1, "stuck", 1).await;
    house.until_said(stuck.id, "failed TimeLimit { limit_s: 1 }").await;
    // The limit and two seconds; the rest is for a busy machine.
    let ended = began.elapsed();
    assert!(
        ended >= Duration::from_secs(3) && ended < Duration::from_secs(10),
        "{ended:?}"
    );
    house.until_clean().await;
    let next = add(&house.store, 2, "junk", 2).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(house.job(next.id).await.status, Status::Queued, "its slot is lost");
    drop(unplugged);
    house.until_said(next.id, "failed Refused { why: NotMedia }").await;
    house.stop().await;
}

#[tokio::test]
async fn an_engine_in_a_process_that_does_not_come_back_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let options = Options {
        time_limit: Duration::from_secs(5),
        nursery: Some(nursery()),
        ..options()
    };
    let house = House::over(folder, store, options);
    *house.courier.pipe.lock().unwrap() = Some(pipe);
    let stuck = add(&house.store, 1, "stuck", 1).await;
    house.until_said(stuck.id, "failed TimeLimit { limit_s: 5 }").await;
    // Its only slot is there at once, though nobody wrote into the pipe.
    let next = add(&house.store, 2, "junk", 2).await;
    house.until_said(next.id, "failed Refused { why: NotMedia }").await;
    house.until_clean().await;
    house.stop().await;
}

#[tokio::test]
async fn shutdown_puts_a_job_back_and_the_next_start_ends_it() {
    let house = House::new().await;
    house.courier.stall_fetch.store(true, SeqCst);
    let job = add(&house.store, 1, "clip", 1).await;
    house.until_fetched(&job).await;
    let (folder, courier) = house.stop().await;
    assert_eq!(courier.transcript(job.id).last().map(String::as_str), Some("paused"));

    let store = open(folder.path()).await;
    let left = store.job(job.id).await.unwrap().unwrap();
    assert_eq!(
        (left.status, left.phase, left.attempt),
        (Status::Queued, Phase::Fetch, 0)
    );
    let house = House::over(folder, store, options());
    house.until_status(job.id, Status::Succeeded).await;
    assert_eq!(house.courier.count(job.id, RESULT), 1);
}

#[tokio::test]
async fn crash_while_sending_sends_again_what_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let job = add(&store, 1, "clip", 1).await;
    let claim = store.claim(ONE_EACH).await.unwrap().unwrap();
    store
        .advance(claim.fence, Phase::Deliver, Some(parcel()))
        .await
        .unwrap();
    let scratch = workdir(&folder)
        .scratch(job.id, job.request.wish.recipe.preset)
        .unwrap();
    std::fs::write(&scratch.output, b"\0\0\0\x18ftypisom").unwrap();
    std::fs::create_dir(folder.path().join("work/j999")).unwrap();
    drop(store);

    let store = open(folder.path()).await;
    let house = House::over(folder, store, options());
    house.until_status(job.id, Status::Succeeded).await;
    assert_eq!(house.courier.fetches(&job), 0);
    assert_eq!(house.courier.count(job.id, "result 64x48 1.0 s"), 1);
    house.until_clean().await;
}

#[tokio::test]
async fn half_a_source_is_never_taken_for_a_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let job = add(&store, 1, "clip", 1).await;
    let claim = store.claim(ONE_EACH).await.unwrap().unwrap();
    store.advance(claim.fence, Phase::Convert, None).await.unwrap();
    drop(store);

    // The source is gone, so it is fetched again, and that is cut short.
    let store = open(folder.path()).await;
    let house = House::over(folder, store, options());
    house.courier.stall_fetch.store(true, SeqCst);
    house.until_fetched(&job).await;
    let (folder, _) = house.stop().await;
    assert_eq!(
        scratch_folders(&folder),
        [job.id.to_string()],
        "what resumes keeps its files"
    );

    let store = open(folder.path()).await;
    let house = House::over(folder, store, options());
    house.until_status(job.id, Status::Succeeded).await;
    assert_eq!(house.courier.count(job.id, RESULT), 1);
}

#[tokio::test]
async fn poison_file_is_told_to_its_user_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).await;
    let job = add(&store, 1, "poison", 1).await;
    for _ in 0..2 {
        let claim = store.claim(ONE_EACH).await.unwrap().unwrap();
        store.advance(claim.fence, Phase::Convert, None).await.unwrap();
        drop(store);
        store = open(folder.path()).await;
        if claim.job.blame == 0 {
            store.recover(vec![job.id]).await.unwrap();
        }
    }
    let house = House::after_crash(folder, store, options(), vec![job.id.0]);
    house.until_said(job.id, "failed Quarantined").await;
    let again = house
        .store
        .enqueue(2, request(2, "poison"), WIDE, OTHER_ENGINE)
        .await
        .unwrap();
    assert_eq!(again, Enqueued::Quarantined);
}

#[tokio::test]
async fn files_whose_job_is_gone_are_swept_while_the_bot_runs() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let often = Options {
        sweep_every: Duration::from_millis(50),
        ..options()
    };
    let house = House::over(folder, store, often);
    let job = add(&house.store, 1, "clip", 1).await;
    house.until_status(job.id, Status::Succeeded).await;
    house.until_clean().await;
    let work = house.folder.path().join("work");
    // Of a row that never was; of an old look and of a young one.
    for name in ["j999", "look-7", "look-8"] {
        std::fs::create_dir(work.join(name)).unwrap();
    }
    let old = std::time::SystemTime::now() - Duration::from_secs(1300);
    std::fs::File::open(work.join("look-7"))
        .unwrap()
        .set_modified(old)
        .unwrap();
    house
        .until("swept", async || scratch_folders(&house.folder) == ["look-8"])
        .await;
    house.stop().await;
}
