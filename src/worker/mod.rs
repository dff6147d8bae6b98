//! Carries one job down the line: fetch, convert, deliver, finish, clean up.
//!
//! ```text
//! run      recover, sweep, then two lanes; each takes a permit first and claims second
//!   lane   convert lane: `jobs_max` permits · express lane: remembered results, which need no conversion
//!   watch  store.changes() -> cancel_requests() -> the job's token and the engine's cancel flag
//!   tell   every second: one look at each running job's gauge, and at the places in the queue -> Courier::notify
//! job      phase by phase; each phase is recorded before the next begins, so a crash resumes there
//! ```
//!
//! The one door from async to blocking is [`convert_blocking`]; the permit rides in its closure, so a slot is free only
//! when the engine has let go of it. A cancel that meets a delivery in flight abandons the call and ends the job
//! as canceled; a delivery that was confirmed before stays delivered.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::courier::{Courier, CourierError, Files, Meter, Notice};
use crate::job::{Job, JobId, Parcel, ParcelKind, Phase, Reason};
use crate::media::{self, Caps, Control, ENGINE_VERSION, Limits, MediaError, Preset, Report};
use crate::store::{Claim, ClaimLimits, Fence, Outcome, Store, StoreError};
use crate::workdir::{Scratch, Workdir};

const EXPRESS_JOBS_MAX: usize = 4;
const TELL_EVERY: Duration = Duration::from_secs(1);
/// A claim is tried this often even when nothing ticked: jobs that wait for their back-off tick nobody.
const CLAIM_EVERY: Duration = Duration::from_secs(1);
/// Waiting jobs that are told a changed place, a round.
const TOLD_MAX: usize = 20;
const BACK_OFF_S: [u64; 5] = [2, 5, 15, 45, 120];

/// How the worker works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Conversions at once.
    pub jobs_max: usize,
    /// A conversion that takes longer is given up.
    pub time_limit: Duration,
    /// What inputs are held to.
    pub limits: Limits,
    /// Which devices there are.
    pub caps: Caps,
    /// Running jobs of one user.
    pub running_per_user_max: u32,
    /// Claims of one job before a passing fault counts as lasting.
    pub attempts_max: u32,
    /// Time that running jobs get to end at shutdown.
    pub grace: Duration,
    /// Below this much free space no source is fetched.
    pub disk_free_bytes_min: u64,
}

/// How one run of a job ended, if not by an error of the store.
enum End {
    Finished(Outcome),
    /// Back to the queue.
    Released {
        phase: Phase,
        not_before_s: u64,
        count: bool,
    },
    /// The user is gone: over without a word.
    Silent(Reason),
}

/// What the teller and the canceller know of a running job.
struct Running {
    job: Job,
    cancel: CancellationToken,
    stand: Arc<Stand>,
}

/// Where a running job stands; written by its own task, read by the teller.
#[derive(Default)]
struct Stand {
    now: Mutex<Now>,
    /// Held while the chat is told: the last word waits for a word about progress that is still on its way.
    telling: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
enum Now {
    #[default]
    Nothing,
    Fetching {
        meter: Meter,
        total_bytes: u64,
    },
    Converting {
        control: Control,
        began: Instant,
    },
    Sending {
        meter: Meter,
        total_bytes: u64,
    },
}

impl Stand {
    fn set(&self, now: Now) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn get(&self) -> Now {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

type Table = Arc<Mutex<HashMap<JobId, Running>>>;

/// Runs jobs until it is told to stop.
pub struct Worker<S, C> {
    store: S,
    courier: Arc<C>,
    workdir: Workdir,
    options: Arc<Options>,
    running: Table,
    /// Raised at shutdown once the grace time is over.
    interrupt: CancellationToken,
}

impl<S, C> std::fmt::Debug for Worker<S, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl<S: Clone, C> Clone for Worker<S, C> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            courier: Arc::clone(&self.courier),
            workdir: self.workdir.clone(),
            options: Arc::clone(&self.options),
            running: Arc::clone(&self.running),
            interrupt: self.interrupt.clone(),
        }
    }
}

impl<S: Store, C: Courier> Worker<S, C> {
    /// A worker over a store, a platform and a scratch space.
    pub fn new(store: S, courier: Arc<C>, workdir: Workdir, options: Options) -> Self {
        Self {
            store,
            courier,
            workdir,
            options: Arc::new(options),
            running: Table::default(),
            interrupt: CancellationToken::new(),
        }
    }

    /// Works until `shutdown`, then gives running jobs the grace time and puts the rest back.
    ///
    /// # Errors
    /// Only where the store fails at start; later errors are logged and tried again.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), StoreError> {
        for job in self.store.recover().await? {
            tracing::warn!(job = %job.id, "quarantined: its file crashed the process twice");
            self.tell(
                &job,
                Notice::Failed {
                    reason: Reason::Quarantined,
                },
            )
            .await;
        }
        let live: Vec<JobId> = self
            .store
            .queue(None)
            .await?
            .into_iter()
            .map(|entry| entry.job.id)
            .collect();
        if let Err(error) = self.workdir.sweep(&live) {
            tracing::warn!(%error, "the scratch space could not be swept");
        }
        let watching = CancellationToken::new();
        let canceller = tokio::spawn(self.clone().watch_cancels(watching.clone()));
        let teller = tokio::spawn(self.clone().tell_all(watching.clone()));
        let express = tokio::spawn(self.clone().lane(true, EXPRESS_JOBS_MAX, shutdown.clone()));
        self.clone()
            .lane(false, self.options.jobs_max.max(1), shutdown.clone())
            .await;
        if let Err(error) = express.await {
            tracing::error!(%error, "the express lane broke");
        }
        watching.cancel();
        for task in [canceller, teller] {
            let _ = task.await;
        }
        Ok(())
    }

    /// Permit first, then claim: what cannot run yet stays in the store.
    async fn lane(self, deliver_only: bool, permits: usize, shutdown: CancellationToken) {
        let slots = Arc::new(Semaphore::new(permits));
        let mut changes = self.store.changes();
        let mut jobs = JoinSet::new();
        while !shutdown.is_cancelled() {
            let permit = tokio::select! {
                permit = Arc::clone(&slots).acquire_owned() => permit,
                () = shutdown.cancelled() => break,
            };
            let Ok(permit) = permit else { break };
            while jobs.try_join_next().is_some() {}
            changes.mark_unchanged();
            let limits = ClaimLimits {
                running_per_user_max: self.options.running_per_user_max,
                deliver_only,
            };
            match self.store.claim(limits).await {
                Ok(Some(claim)) => {
                    let span = tracing::info_span!("job", id = %claim.job.id);
                    jobs.spawn(self.clone().carry(claim, permit).instrument(span));
                }
                Ok(None) => {
                    drop(permit);
                    tokio::select! {
                        _ = changes.changed() => {}
                        () = tokio::time::sleep(CLAIM_EVERY) => {}
                        () = shutdown.cancelled() => {}
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "no job could be claimed");
                    tokio::time::sleep(CLAIM_EVERY).await;
                }
            }
        }
        let all = async { while jobs.join_next().await.is_some() {} };
        if tokio::time::timeout(self.options.grace, all).await.is_err() {
            self.interrupt.cancel();
        }
        while jobs.join_next().await.is_some() {}
    }

    /// Runs one claimed job to an end, and records it before anything is cleaned up.
    async fn carry(self, claim: Claim, permit: OwnedSemaphorePermit) {
        let Claim { job, fence, suspect } = claim;
        tracing::info!(phase = ?job.phase, attempt = job.attempt, suspect, "claimed");
        let cancel = CancellationToken::new();
        let stand = Arc::<Stand>::default();
        let running = Running {
            job: job.clone(),
            cancel: cancel.clone(),
            stand: Arc::clone(&stand),
        };
        self.table().insert(job.id, running);
        // Asked before we were in the table: in a former boot, or just now.
        if self.asked_to_cancel(job.id).await {
            cancel.cancel();
        }
        let permit = Arc::new(permit);
        let end = if cancel.is_cancelled() {
            Ok(End::Finished(Outcome::Canceled))
        } else {
            // The steps first: what was delivered a moment before a cancel stays delivered.
            tokio::select! {
                biased;
                end = self.steps(&job, fence, &stand, &permit) => end,
                () = cancel.cancelled() => Ok(End::Finished(Outcome::Canceled)),
                () = self.interrupt.cancelled() => Ok(self.interrupted(&job).await),
            }
        };
        // A conversion that was abandoned stops within half a second; its permit is held until then.
        if let Now::Converting { control, .. } = stand.get() {
            control.cancel();
            wait_for_engine(&permit).await;
        }
        self.table().remove(&job.id);
        match end {
            Ok(end) => self.close(&job, fence, end, permit, &stand).await,
            Err(StoreError::Fenced { .. }) => tracing::warn!("another claim owns the job now"),
            Err(error) => tracing::error!(%error, "the store failed; the job resumes after a restart"),
        }
    }

    async fn asked_to_cancel(&self, job: JobId) -> bool {
        self.store
            .cancel_requests()
            .await
            .is_ok_and(|asked| asked.contains(&job))
    }

    /// Back to the queue, to go on at the phase that was recorded last.
    async fn interrupted(&self, job: &Job) -> End {
        let phase = self
            .store
            .job(job.id)
            .await
            .ok()
            .flatten()
            .map_or(Phase::Fetch, |job| job.phase);
        End::Released {
            phase,
            not_before_s: 0,
            count: false,
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The phases that are left. Files may be gone after a restart: then a phase earlier does them again.
    async fn steps(
        &self,
        job: &Job,
        fence: Fence,
        stand: &Stand,
        permit: &Arc<OwnedSemaphorePermit>,
    ) -> Result<End, StoreError> {
        if let (Phase::Deliver, Some(parcel)) = (job.phase, &job.parcel)
            && parcel.file_id.is_some()
        {
            return self.deliver(job, parcel, None, stand).await;
        }
        let Ok(scratch) = self.workdir.scratch(job.id, job.request.preset) else {
            return Ok(End::Finished(Outcome::Failed {
                reason: Reason::DiskFull,
            }));
        };
        if let (Phase::Deliver, Some(parcel), true) = (job.phase, &job.parcel, scratch.output.exists()) {
            return self.deliver(job, parcel, Some(&scratch), stand).await;
        }
        if job.phase == Phase::Fetch || !scratch.source.exists() {
            // Recorded, or a restart would take half a source for a whole one.
            self.store.advance(fence, Phase::Fetch, None).await?;
            if let Some(end) = self.fetch(job, &scratch, stand).await {
                return Ok(end);
            }
        }
        self.store.advance(fence, Phase::Convert, None).await?;
        let parcel = match self.convert(job, &scratch, stand, permit).await {
            Ok(parcel) => parcel,
            Err(MediaError::Canceled) => return Ok(End::Finished(Outcome::Canceled)),
            Err(error) => {
                tracing::warn!(%error, "not converted");
                return Ok(End::Finished(Outcome::Failed {
                    reason: reason_of(error),
                }));
            }
        };
        self.store.advance(fence, Phase::Deliver, Some(parcel.clone())).await?;
        self.deliver(job, &parcel, Some(&scratch), stand).await
    }

    /// `None` when the source is there.
    async fn fetch(&self, job: &Job, scratch: &Scratch, stand: &Stand) -> Option<End> {
        match self.workdir.free_bytes() {
            Ok(free) if free < self.options.disk_free_bytes_min => {
                tracing::error!(free, min = self.options.disk_free_bytes_min, "too little disk space");
                return Some(End::Finished(Outcome::Failed {
                    reason: Reason::DiskFull,
                }));
            }
            _ => {}
        }
        let _ = std::fs::remove_file(&scratch.source);
        let meter = Meter::default();
        stand.set(Now::Fetching {
            meter: meter.clone(),
            total_bytes: job.request.source.size_bytes.unwrap_or(0),
        });
        match self.courier.fetch(job, &scratch.source, &meter).await {
            Ok(bytes) => {
                tracing::info!(bytes, "fetched");
                None
            }
            Err(error) => Some(self.end_of(job, error, Phase::Fetch)),
        }
    }

    async fn convert(
        &self,
        job: &Job,
        scratch: &Scratch,
        stand: &Stand,
        permit: &Arc<OwnedSemaphorePermit>,
    ) -> Result<Parcel, MediaError> {
        let control = Control::new(Some(self.options.time_limit));
        stand.set(Now::Converting {
            control: control.clone(),
            began: Instant::now(),
        });
        let report = convert_blocking(
            scratch.clone(),
            job.request.preset,
            Arc::clone(&self.options),
            control,
            Arc::clone(permit),
        )
        .await;
        stand.set(Now::Nothing);
        report.map(|report| parcel_of(&report))
    }

    async fn deliver(
        &self,
        job: &Job,
        parcel: &Parcel,
        scratch: Option<&Scratch>,
        stand: &Stand,
    ) -> Result<End, StoreError> {
        let meter = Meter::default();
        if scratch.is_some() {
            stand.set(Now::Sending {
                meter: meter.clone(),
                total_bytes: parcel.out_bytes,
            });
        }
        let files = scratch.map(|scratch| Files {
            media: &scratch.output,
            thumbnail: scratch.thumbnail.exists().then_some(scratch.thumbnail.as_path()),
        });
        match self.courier.deliver(job, parcel, files, &meter).await {
            Ok(receipt) => {
                tracing::info!(bytes = parcel.out_bytes, "delivered");
                Ok(End::Finished(Outcome::Succeeded {
                    file_id: Some(receipt.file_id).filter(|id| !id.is_empty()),
                }))
            }
            Err(CourierError::StaleFileId) => {
                self.store.forget_result(&job.request, ENGINE_VERSION).await?;
                Ok(End::Released {
                    phase: Phase::Fetch,
                    not_before_s: 0,
                    count: true,
                })
            }
            Err(error) => Ok(self.end_of(job, error, Phase::Deliver)),
        }
    }

    /// What a platform's error means for the job.
    fn end_of(&self, job: &Job, error: CourierError, phase: Phase) -> End {
        tracing::warn!(%error, ?phase, "the platform failed");
        match error {
            CourierError::Transient { after_s, .. } if job.attempt < self.options.attempts_max => {
                let step = usize::try_from(job.attempt.saturating_sub(1))
                    .unwrap_or(0)
                    .min(BACK_OFF_S.len() - 1);
                End::Released {
                    phase,
                    not_before_s: after_s.unwrap_or(0).max(BACK_OFF_S[step]),
                    count: true,
                }
            }
            CourierError::Transient { .. } => End::Finished(Outcome::Failed {
                reason: Reason::Network,
            }),
            CourierError::Unreachable { .. } => End::Silent(Reason::Network),
            CourierError::StaleFileId => End::Finished(Outcome::Failed {
                reason: Reason::SourceGone,
            }),
            CourierError::Hopeless(reason) => End::Finished(Outcome::Failed { reason }),
        }
    }

    /// Records the end, then removes the files, then frees the slot, then tells: telling may wait for the platform.
    async fn close(&self, job: &Job, fence: Fence, end: End, permit: Arc<OwnedSemaphorePermit>, stand: &Stand) {
        let (outcome, notice) = match end {
            End::Finished(Outcome::Failed { reason }) => (
                Outcome::Failed { reason: reason.clone() },
                Some(Notice::Failed { reason }),
            ),
            End::Finished(Outcome::Canceled) => (Outcome::Canceled, Some(Notice::Canceled)),
            End::Finished(outcome) => (outcome, None),
            End::Silent(reason) => (Outcome::Failed { reason }, None),
            End::Released {
                phase,
                not_before_s,
                count,
            } => {
                if let Err(error) = self.store.release(fence, phase, not_before_s, count).await {
                    tracing::error!(%error, "the job could not be put back");
                } else if !count {
                    drop(permit);
                    let _last = stand.telling.lock().await;
                    self.tell(job, Notice::Paused).await;
                }
                return;
            }
        };
        if let Err(error) = self.store.finish(fence, outcome, ENGINE_VERSION).await {
            tracing::error!(%error, "the end could not be recorded; the job resumes after a restart");
            return;
        }
        self.workdir.remove(job.id);
        drop(permit);
        if let Some(notice) = notice {
            let _last = stand.telling.lock().await;
            self.tell(job, notice).await;
        }
    }

    async fn tell(&self, job: &Job, notice: Notice) {
        if let Err(error) = self.courier.notify(job, notice).await {
            tracing::debug!(job = %job.id, %error, "not told");
        }
    }

    async fn watch_cancels(self, stop: CancellationToken) {
        let mut changes = self.store.changes();
        loop {
            tokio::select! {
                _ = changes.changed() => {}
                () = stop.cancelled() => return,
            }
            let Ok(asked) = self.store.cancel_requests().await else {
                continue;
            };
            for id in asked {
                if let Some(running) = self.table().get(&id) {
                    running.cancel.cancel();
                }
            }
        }
    }

    /// Polls the gauges; the courier decides what is worth an edit.
    async fn tell_all(self, stop: CancellationToken) {
        let mut places = HashMap::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(TELL_EVERY) => {}
                () = stop.cancelled() => return,
            }
            let stands: Vec<(Job, Arc<Stand>)> = self
                .table()
                .values()
                .map(|running| (running.job.clone(), Arc::clone(&running.stand)))
                .collect();
            let mut telling = JoinSet::new();
            for (job, stand) in stands {
                telling.spawn(self.clone().tell_progress(job, stand));
            }
            for (job, position) in self.moved_up(&mut places).await {
                let worker = self.clone();
                telling.spawn(async move { worker.tell(&job, Notice::Queued { position }).await });
            }
            while telling.join_next().await.is_some() {}
        }
    }

    async fn tell_progress(self, job: Job, stand: Arc<Stand>) {
        let _turn = stand.telling.lock().await;
        let running = self.table().contains_key(&job.id);
        if let (true, Some(notice)) = (running, notice_of(&stand.get())) {
            self.tell(&job, notice).await;
        }
    }

    /// Waiting jobs whose place changed since they were told.
    async fn moved_up(&self, places: &mut HashMap<JobId, u32>) -> Vec<(Job, u32)> {
        let Ok(queue) = self.store.queue(None).await else {
            return Vec::new();
        };
        let waiting: Vec<(Job, u32)> = queue
            .into_iter()
            .filter_map(|entry| entry.position.map(|position| (entry.job, position)))
            .collect();
        places.retain(|id, _| waiting.iter().any(|(job, _)| job.id == *id));
        let mut moved = Vec::new();
        for (job, position) in waiting {
            // The first place was told with the answer to the request.
            match places.get(&job.id) {
                Some(told) if *told == position => {}
                Some(_) if moved.len() >= TOLD_MAX => {}
                Some(_) => {
                    places.insert(job.id, position);
                    moved.push((job, position));
                }
                None => {
                    places.insert(job.id, position);
                }
            }
        }
        moved
    }
}

fn notice_of(now: &Now) -> Option<Notice> {
    Some(match now {
        Now::Nothing => return None,
        Now::Fetching { meter, total_bytes } => Notice::Fetching {
            done_bytes: meter.read(),
            total_bytes: *total_bytes,
        },
        Now::Converting { control, began } => Notice::Converting {
            progress: control.gauge().read(),
            elapsed_s: began.elapsed().as_secs_f64(),
        },
        Now::Sending { meter, total_bytes } => Notice::Sending {
            done_bytes: meter.read(),
            total_bytes: *total_bytes,
        },
    })
}

/// The only holder besides us is the closure of the engine.
async fn wait_for_engine(permit: &Arc<OwnedSemaphorePermit>) {
    while Arc::strong_count(permit) > 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The one door to blocking code. The permit rides in the closure: a dropped future does not free the slot while the
/// engine still runs.
async fn convert_blocking(
    scratch: Scratch,
    preset: Preset,
    options: Arc<Options>,
    control: Control,
    permit: Arc<OwnedSemaphorePermit>,
) -> Result<Report, MediaError> {
    let span = tracing::Span::current();
    let work = move || {
        let _entered = span.entered();
        let report = convert_with_thumbnail(&scratch, preset, &options, &control);
        drop(permit);
        report
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(report) => report,
        Err(error) => Err(MediaError::Engine {
            doing: "convert",
            what: error.to_string(),
        }),
    }
}

fn convert_with_thumbnail(
    scratch: &Scratch,
    preset: Preset,
    options: &Options,
    control: &Control,
) -> Result<Report, MediaError> {
    let report = media::convert(
        &scratch.source,
        &scratch.output,
        preset,
        &options.caps,
        &options.limits,
        control,
    )?;
    if report.width > 0
        && let Err(error) = thumbnail(&scratch.output, &scratch.thumbnail, control)
    {
        tracing::warn!(%error, "no thumbnail");
    }
    Ok(report)
}

fn thumbnail(video: &Path, jpeg: &Path, control: &Control) -> Result<(), MediaError> {
    media::thumbnail::thumbnail(video, jpeg, control)
}

fn parcel_of(report: &Report) -> Parcel {
    Parcel {
        kind: if report.width > 0 {
            ParcelKind::Video
        } else {
            ParcelKind::Audio
        },
        width: report.width,
        height: report.height,
        duration_s: report.duration_s,
        in_bytes: report.in_bytes,
        out_bytes: report.out_bytes,
        video_copied: report.video != media::report::Action::Encode,
        audio_copied: report.audio != media::report::Action::Encode,
        wall_s: report.wall_s,
        warnings: report.warnings.clone(),
        file_id: None,
    }
}

/// What the user is told of an engine's error.
fn reason_of(error: MediaError) -> Reason {
    match error {
        MediaError::Refused(why) => Reason::Refused { why },
        MediaError::TimeLimit { limit_s } => Reason::TimeLimit { limit_s },
        MediaError::DiskFull => Reason::DiskFull,
        MediaError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => Reason::DiskFull,
        MediaError::Canceled
        | MediaError::Device { .. }
        | MediaError::Io { .. }
        | MediaError::Engine { .. }
        | MediaError::Unverified(_) => Reason::Internal,
    }
}
