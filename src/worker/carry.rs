//! One job, phase by phase, from its claim to its end.

use std::io::ErrorKind as Kind;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::engine::{Watch, convert_blocking, parcel_of, reason_of, wait_for_engine};
use super::isolated::blame_of;
use super::teller::{Now, Stand};
use super::{Running, Worker};
use crate::courier::{Courier, CourierError, Files, Meter, Notice};
use crate::crash::point;
use crate::job::{BLAME_NAMED, Job, JobId, Parcel, Phase, Reason};
use crate::media::{Control, ENGINE_VERSION, MediaError};
use crate::metrics::metrics;
use crate::store::{Claim, Fence, Outcome, Store, StoreError};
use crate::workdir::Scratch;

const BACK_OFF_S: [u64; 5] = [2, 5, 15, 45, 120];
/// Once the platform answers again, a job that met its outage waits so long, seconds.
const AWAY_REST_S: u64 = 2;
/// So long until a write that the store refused is tried again.
const STORE_REST: Duration = Duration::from_secs(2);

/// How one run of a job ended, if not by an error of the store.
pub(super) enum End {
    Finished(Outcome),
    /// Back to the queue.
    Released {
        phase: Phase,
        not_before_s: u64,
        count: bool,
    },
    /// Back to the queue until the platform answers again; costs no try, and nobody could be told.
    Waiting(Phase),
    /// Converted; waits for the others of its batch.
    Held(Parcel),
    /// The user is gone: over without a word.
    Silent(Reason),
    /// The process of its engine died, which says so much against its file.
    Crashed {
        blame: u32,
        not_before_s: u64,
    },
}

impl End {
    /// How the run ended and why, in words for counters.
    pub(super) fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::Finished(Outcome::Succeeded { .. }) => ("succeeded", ""),
            Self::Finished(Outcome::Failed { reason }) | Self::Silent(reason) => ("failed", reason.kind()),
            Self::Finished(Outcome::Canceled) => ("canceled", ""),
            Self::Released { count: true, .. } => ("put_back", "fault"),
            Self::Released { count: false, .. } => ("put_back", "shutdown"),
            Self::Waiting(_) => ("put_back", "platform_away"),
            Self::Held(_) => ("held", ""),
            Self::Crashed { .. } => ("crashed", ""),
        }
    }

    /// Whether the job will be claimed again, and needs its files.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self, Self::Released { .. } | Self::Waiting(_) | Self::Held(_))
    }
}

/// The rest after so many tries that were in vain.
fn back_off_s(tries: u32) -> u64 {
    let last = BACK_OFF_S.len() - 1;
    BACK_OFF_S[usize::try_from(tries).unwrap_or(last).min(last)]
}

/// A panic ends the job and nothing else: left as it is, it would bar its user until the next start.
pub(super) fn panicked() -> End {
    tracing::error!("the job panicked");
    End::Finished(Outcome::Failed {
        reason: Reason::Internal,
    })
}

impl<S: Store, C: Courier> Worker<S, C> {
    /// Runs one claimed job to an end, and records it before anything is cleaned up.
    pub(super) async fn carry(self, claim: Claim, permit: OwnedSemaphorePermit) {
        if claim.job.phase == Phase::Deliver && self.is_of_several(&claim.job).await {
            return self.carry_batch(claim, permit).await;
        }
        let Claim {
            job, fence, suspect, ..
        } = claim;
        tracing::info!(phase = ?job.phase, attempt = job.attempt, suspect, "claimed");
        let cancel = CancellationToken::new();
        let stand = Arc::<Stand>::default();
        let running = Running {
            job: job.clone(),
            rest: Vec::new(),
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
                end = AssertUnwindSafe(self.steps(&job, fence, &stand, &permit)).catch_unwind() => end.unwrap_or_else(|_| Ok(panicked())),
                () = cancel.cancelled() => Ok(End::Finished(Outcome::Canceled)),
                () = self.interrupt.cancelled() => Ok(self.put_back(&job, false).await),
            }
        };
        // A conversion that was abandoned stops within half a second; its permit is held until then.
        if let Now::Converting { control, watch, .. } = stand.get() {
            control.cancel();
            wait_for_engine(&permit, &watch).await;
        }
        self.table().remove(&job.id);
        let end = match end {
            Ok(end) => end,
            Err(error @ StoreError::Fenced { .. }) => {
                tracing::warn!(%error, "another claim owns the job now");
                return;
            }
            Err(StoreError::DiskFull) => End::Finished(Outcome::Failed {
                reason: Reason::DiskFull,
            }),
            Err(error) => {
                tracing::error!(%error, "the store failed");
                self.put_back(&job, true).await
            }
        };
        self.close(&job, fence, end, permit, &stand).await;
    }

    pub(super) async fn asked_to_cancel(&self, job: JobId) -> bool {
        self.store
            .cancel_requests()
            .await
            .is_ok_and(|asked| asked.contains(&job))
    }

    /// Back to the queue, to go on at the phase that was recorded last. A fault is counted and waits a little.
    async fn put_back(&self, job: &Job, fault: bool) -> End {
        let recorded = self.store.job(job.id).await.ok().flatten();
        End::Released {
            phase: recorded.map_or(Phase::Fetch, |job| job.phase),
            not_before_s: if fault { BACK_OFF_S[0] } else { 0 },
            count: fault,
        }
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
        let scratch = match self.workdir.scratch(job.id, job.request.wish.recipe.preset) {
            Ok(scratch) => scratch,
            Err(error) => {
                tracing::error!(%error, "no scratch folder");
                let reason = match error.kind() {
                    Kind::StorageFull | Kind::QuotaExceeded => Reason::DiskFull,
                    _ => Reason::Internal,
                };
                return Ok(End::Finished(Outcome::Failed { reason }));
            }
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
        point("convert-recorded");
        let parcel = match self.convert(job, &scratch, stand, permit).await {
            Ok(parcel) => parcel,
            Err(MediaError::Canceled) => return Ok(End::Finished(Outcome::Canceled)),
            Err(error) => return Ok(self.end_without(job, error)),
        };
        point("converted");
        if job.batch.is_some() {
            return Ok(End::Held(parcel));
        }
        self.store.advance(fence, Phase::Deliver, Some(parcel.clone())).await?;
        point("deliver-recorded");
        self.deliver(job, &parcel, Some(&scratch), stand).await
    }

    /// What an engine's error means for the job.
    fn end_without(&self, job: &Job, error: MediaError) -> End {
        match error {
            MediaError::Crashed { signal } => {
                tracing::error!(%error, blame = job.blame, "not converted");
                let blame = blame_of(signal);
                End::Crashed {
                    blame,
                    // Memory that is out now may be there later.
                    not_before_s: if blame == BLAME_NAMED { 0 } else { back_off_s(job.blame) },
                }
            }
            // This bot ends now, and the next one has engines.
            MediaError::Orphaned => End::Released {
                phase: Phase::Convert,
                not_before_s: back_off_s(0),
                count: false,
            },
            MediaError::NotStarted(_) if job.attempt < self.options.attempts_max => {
                tracing::error!(%error, "not converted, tried again");
                End::Released {
                    phase: Phase::Convert,
                    not_before_s: back_off_s(job.attempt.saturating_sub(1)),
                    count: true,
                }
            }
            error => {
                tracing::warn!(%error, "not converted");
                let reason = reason_of(error);
                End::Finished(Outcome::Failed { reason })
            }
        }
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
        if self.peeks.take(&job.request.source.file_unique_id, &scratch.source) {
            tracing::info!("fetched before, for a look");
            return None;
        }
        let (meter, began) = (Meter::default(), Instant::now());
        stand.set(Now::Fetching {
            meter: meter.clone(),
            total_bytes: job.request.source.size_bytes.unwrap_or(0),
        });
        match self
            .courier
            .fetch(&job.request.source, job.attempt, &scratch.source, &meter)
            .await
        {
            Ok(bytes) => {
                tracing::info!(bytes, "fetched");
                metrics().phase_took("fetch", began.elapsed());
                point("fetched");
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
        let (watch, began) = (Watch::new(&self.lost), Instant::now());
        stand.set(Now::Converting {
            control: control.clone(),
            began,
            watch: watch.clone(),
        });
        let report = convert_blocking(
            job.id,
            scratch.clone(),
            job.request.wish.recipe,
            Arc::clone(&self.options),
            control,
            Arc::clone(permit),
            watch,
        )
        .await;
        stand.set(Now::Nothing);
        if let Ok(report) = &report {
            metrics().phase_took("convert", began.elapsed());
            metrics().converted(&report.device, report.video.name(), report.audio.name());
        }
        report.map(|report| parcel_of(&report, job.request.wish))
    }

    async fn deliver(
        &self,
        job: &Job,
        parcel: &Parcel,
        scratch: Option<&Scratch>,
        stand: &Stand,
    ) -> Result<End, StoreError> {
        let (meter, began) = (Meter::default(), Instant::now());
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
                metrics().phase_took("deliver", began.elapsed());
                point("delivered");
                Ok(End::Finished(Outcome::Succeeded {
                    file_id: Some(receipt.file_id).filter(|id| !id.is_empty()),
                }))
            }
            // No remembered file was sent: to convert anew would end here again.
            Err(CourierError::StaleFileId) if scratch.is_some() => Ok(End::Finished(Outcome::Failed {
                reason: Reason::Internal,
            })),
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
    pub(super) fn end_of(&self, job: &Job, error: CourierError, phase: Phase) -> End {
        tracing::warn!(%error, ?phase, "the platform failed");
        match error {
            CourierError::Transient { .. } if self.courier.is_away() => End::Waiting(phase),
            CourierError::Transient { after_s, .. } if job.attempt < self.options.attempts_max => {
                let rest_s = back_off_s(job.attempt.saturating_sub(1));
                End::Released {
                    phase,
                    not_before_s: after_s.unwrap_or(0).max(rest_s),
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
        let Some(quarantined) = self.record(job, fence, &end).await else {
            return;
        };
        let goes_on = match end {
            End::Crashed { .. } => quarantined.iter().all(|one| one.id != job.id),
            _ => end.goes_on(),
        };
        if !goes_on {
            point("ended");
            self.workdir.remove(job.id);
            self.peeks.forget(&job.request.source.file_unique_id);
            point("cleaned");
        }
        drop(permit);
        let notice = match end {
            End::Finished(Outcome::Failed { reason }) => Notice::Failed { reason },
            End::Finished(Outcome::Canceled) => Notice::Canceled,
            End::Released { count: false, .. } => Notice::Paused,
            End::Held(_) => return point("held"),
            End::Crashed { .. } => return self.tell_quarantined(quarantined, stand).await,
            End::Finished(Outcome::Succeeded { .. }) | End::Released { .. } | End::Waiting(_) | End::Silent(_) => {
                return;
            }
        };
        let _last = stand.telling.lock().await;
        self.tell_end(job, notice).await;
        point("told");
    }

    /// One that had the engine, and those that waited with the same file.
    async fn tell_quarantined(&self, quarantined: Vec<Job>, stand: &Stand) {
        let _last = stand.telling.lock().await;
        for job in quarantined {
            tracing::warn!(job = %job.id, "quarantined: its file is to blame for crashes");
            let reason = Reason::Quarantined;
            self.tell_end(&job, Notice::Failed { reason }).await;
        }
    }

    /// Writes until it is written: a full disk passes, and until then the slot had better wait. Jobs that are quarantined
    /// by it; `None` where another claim owns the job, or where a shutdown did not let it end: then it resumes after the
    /// start.
    pub(super) async fn record(&self, job: &Job, fence: Fence, end: &End) -> Option<Vec<Job>> {
        loop {
            match self.write(fence, end).await {
                Ok(quarantined) => {
                    let (outcome, why) = end.words();
                    metrics().job_ended(outcome, why);
                    return Some(quarantined);
                }
                Err(error @ StoreError::Fenced { .. }) => {
                    tracing::warn!(%error, "another claim owns the job now");
                    return None;
                }
                Err(error) => {
                    tracing::error!(%error, "the end of the run was not recorded, tried again");
                    if matches!((&error, end), (StoreError::DiskFull, End::Finished(_) | End::Silent(_))) {
                        // Perhaps it is they that fill it, and nobody needs them any more.
                        self.workdir.remove(job.id);
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(STORE_REST) => {}
                () = self.interrupt.cancelled() => return None,
            }
        }
    }

    async fn write(&self, fence: Fence, end: &End) -> Result<Vec<Job>, StoreError> {
        let failed = |reason: &Reason| Outcome::Failed { reason: reason.clone() };
        match end {
            End::Crashed { blame, not_before_s } => return self.store.crash(fence, *blame, *not_before_s).await,
            End::Released {
                phase,
                not_before_s,
                count,
            } => self.store.release(fence, *phase, *not_before_s, *count).await?,
            End::Waiting(phase) => self.store.release(fence, *phase, AWAY_REST_S, false).await?,
            End::Held(parcel) => self.store.hold(fence, parcel.clone()).await?,
            End::Finished(outcome) => self.store.finish(fence, outcome.clone(), ENGINE_VERSION).await?,
            End::Silent(reason) => self.store.finish(fence, failed(reason), ENGINE_VERSION).await?,
        }
        Ok(Vec::new())
    }
}
