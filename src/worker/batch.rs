//! The last phase of files that came together: once each is converted or given up, one claim gives all that have a
//! result; they are sent together, and the status message, which every file of the batch shares, becomes the summary.
//!
//! Each job keeps a fence and an end of its own: what was sent stays sent, whatever becomes of its neighbours.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::carry::{End, panicked};
use super::teller::{Now, Stand};
use super::{Running, Worker};
use crate::courier::{Courier, CourierError, Files, Item, Meter, Notice};
use crate::crash::point;
use crate::job::{Job, JobId, Parcel, Phase, Reason, Status};
use crate::media::ENGINE_VERSION;
use crate::store::{Claim, Fence, Outcome, Store};
use crate::workdir::Scratch;

/// A batch as it is claimed: its jobs that have a result.
type Members = [(Job, Fence)];

fn released(phase: Phase, count: bool) -> End {
    End::Released {
        phase,
        not_before_s: 0,
        count,
    }
}

impl<S: Store, C: Courier> Worker<S, C> {
    /// Whether the job has, or had, others in its batch.
    pub(super) async fn is_of_several(&self, job: &Job) -> bool {
        let Some(first) = job.batch else { return false };
        self.store.batch(first).await.map_or(true, |members| members.len() > 1)
    }

    /// Delivers the jobs of a batch and records the end of each.
    pub(super) async fn carry_batch(self, claim: Claim, permit: OwnedSemaphorePermit) {
        let Claim { job, fence, rest, .. } = claim;
        let first = job.clone();
        let members: Vec<(Job, Fence)> = std::iter::once((job, fence)).chain(rest).collect();
        tracing::info!(files = members.len(), "a batch is delivered");
        let cancel = CancellationToken::new();
        let stand = Arc::<Stand>::default();
        let running = Running {
            job: first.clone(),
            rest: members.iter().skip(1).map(|(job, _)| job.id).collect(),
            cancel: cancel.clone(),
            stand: Arc::clone(&stand),
        };
        self.table().insert(first.id, running);
        for (job, _) in &members {
            if self.asked_to_cancel(job.id).await {
                cancel.cancel();
            }
        }
        let of_all = |end: fn() -> End| members.iter().map(|_| end()).collect::<Vec<End>>();
        let ends = if cancel.is_cancelled() {
            of_all(|| End::Finished(Outcome::Canceled))
        } else {
            // The sending first: what was sent a moment before a cancel stays sent.
            tokio::select! {
                biased;
                ends = AssertUnwindSafe(self.send(&members, &stand)).catch_unwind() => ends.unwrap_or_else(|_| of_all(panicked)),
                () = cancel.cancelled() => of_all(|| End::Finished(Outcome::Canceled)),
                () = self.interrupt.cancelled() => of_all(|| released(Phase::Deliver, false)),
            }
        };
        self.table().remove(&first.id);
        for ((job, fence), end) in members.iter().zip(&ends) {
            if self.record(job, *fence, end).await.is_some() && !end.goes_on() {
                self.workdir.remove(job.id);
                self.peeks.forget(&job.request.source.file_unique_id);
            }
        }
        drop(permit);
        point("batch-ended");
        let _last = stand.telling.lock().await;
        self.tell_ends(&first, &members, &ends).await;
        point("batch-told");
    }

    /// The last word: what was sent, and what was not.
    async fn tell_ends(&self, first: &Job, members: &Members, ends: &[End]) {
        if ends.iter().all(|end| matches!(end, End::Silent(_) | End::Waiting(_))) {
            return;
        }
        let paused = ends.iter().all(|end| matches!(end, End::Released { count: false, .. }));
        let notice = if paused {
            Notice::Paused
        } else {
            let sent = |((job, _), end): (&(Job, Fence), &End)| match end {
                End::Finished(Outcome::Succeeded { .. }) => job.parcel.clone(),
                _ => None,
            };
            Notice::BatchOver {
                results: members.iter().zip(ends).filter_map(sent).collect(),
                failures: Vec::new(),
            }
        };
        self.tell_end(first, notice).await;
    }

    /// What was sent of a batch, for a last word that comes late.
    pub(super) async fn results_of(&self, job: &Job) -> Notice {
        let members = self.store.batch(job.head()).await.unwrap_or_default();
        let sent = members.into_iter().filter(|job| job.status == Status::Succeeded);
        Notice::BatchOver {
            results: sent.filter_map(|job| job.parcel).collect(),
            failures: Vec::new(),
        }
    }

    /// Sends what there is to send, and gives the end of each job.
    async fn send(&self, members: &Members, stand: &Stand) -> Vec<End> {
        let scratches: Vec<Option<Scratch>> = members.iter().map(|(job, _)| self.result_of(job)).collect();
        let is_there = |(job, scratch): (&Job, &Option<Scratch>)| scratch.is_some() || is_remembered(job);
        let there: Vec<bool> = members
            .iter()
            .map(|(job, _)| job)
            .zip(&scratches)
            .map(is_there)
            .collect();
        if there.contains(&false) {
            // Somebody removed a result: it is made again, and the others wait.
            return there
                .into_iter()
                .map(|there| {
                    if there {
                        released(Phase::Deliver, false)
                    } else {
                        released(Phase::Fetch, true)
                    }
                })
                .collect();
        }
        let items: Vec<Item<'_>> = members
            .iter()
            .zip(&scratches)
            .filter_map(|((job, _), scratch)| {
                Some(Item {
                    job,
                    parcel: job.parcel.as_ref()?,
                    files: scratch.as_ref().map(files_of),
                })
            })
            .collect();
        let meter = Meter::default();
        let uploads = items.iter().filter(|item| item.files.is_some());
        stand.set(Now::Sending {
            meter: meter.clone(),
            total_bytes: uploads.map(|item| item.parcel.out_bytes).sum(),
        });
        let mut ends = Vec::new();
        for ((job, _), answer) in members.iter().zip(self.courier.deliver_batch(&items, &meter).await) {
            ends.push(match answer {
                Ok(receipt) => End::Finished(Outcome::Succeeded {
                    file_id: Some(receipt.file_id).filter(|id| !id.is_empty()),
                }),
                Err(CourierError::StaleFileId) if is_remembered(job) => {
                    if let Err(error) = self.store.forget_result(&job.request, ENGINE_VERSION).await {
                        tracing::warn!(%error, "a stale result was not forgotten");
                    }
                    released(Phase::Fetch, true)
                }
                Err(error) => self.end_of(job, error, Phase::Deliver),
            });
        }
        ends
    }

    /// Where the result of a job lies; `None` where it lies nowhere.
    fn result_of(&self, job: &Job) -> Option<Scratch> {
        if is_remembered(job) {
            return None;
        }
        let scratch = self.workdir.scratch(job.id, job.request.wish.recipe.preset).ok()?;
        (scratch.output.exists() && job.parcel.is_some()).then_some(scratch)
    }

    /// What one job of a batch says, as its batch says it.
    pub(super) async fn notice_of_batch(&self, first: JobId, notice: Notice) -> Notice {
        match self.store.batch(first).await {
            Ok(members) => of_batch(&members, notice),
            Err(_) => notice,
        }
    }
}

fn is_remembered(job: &Job) -> bool {
    job.parcel
        .as_ref()
        .is_some_and(|parcel: &Parcel| parcel.file_id.is_some())
}

fn files_of(scratch: &Scratch) -> Files<'_> {
    Files {
        media: &scratch.output,
        thumbnail: scratch.thumbnail.exists().then_some(scratch.thumbnail.as_path()),
    }
}

/// What a batch says where one of its jobs has something to say. A batch of one speaks for itself.
fn of_batch(members: &[Job], notice: Notice) -> Notice {
    if members.len() < 2 {
        return notice;
    }
    let count = |is: fn(&Job) -> bool| u32::try_from(members.iter().filter(|job| is(job)).count()).unwrap_or(u32::MAX);
    if members.iter().any(|job| !job.status.is_terminal()) {
        let now = match notice {
            Notice::Paused => return Notice::Paused,
            Notice::Failed { .. } | Notice::Canceled | Notice::BatchOver { .. } => None,
            notice => Some(Box::new(notice)),
        };
        return Notice::Batch {
            files: count(|_| true),
            done: count(|job| {
                job.status == Status::Succeeded || job.phase == Phase::Deliver && !job.status.is_terminal()
            }),
            failed: count(|job| matches!(job.status, Status::Failed | Status::Quarantined)),
            now,
        };
    }
    if members.iter().all(|job| job.status == Status::Canceled) {
        return Notice::Canceled;
    }
    let results = match notice {
        Notice::BatchOver { results, .. } => results,
        _ => Vec::new(),
    };
    let reason = |job: &Job| match job.status {
        Status::Failed | Status::Quarantined => Some(job.reason.clone().unwrap_or(Reason::Internal)),
        _ => None,
    };
    let failures = (1_u32..)
        .zip(members)
        .filter_map(|(place, job)| Some((place, reason(job)?)));
    Notice::BatchOver {
        results,
        failures: failures.collect(),
    }
}
