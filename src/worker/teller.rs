//! Tells the chats how their jobs stand: gauges of running jobs, places of waiting ones.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::engine::Watch;
use super::{Table, Worker};
use crate::courier::{Courier, CourierError, Meter, Notice};
use crate::job::{Job, JobId, Reason, Status};
use crate::media::Control;
use crate::store::Store;

const TELL_EVERY: Duration = Duration::from_secs(1);
/// A last word that the platform did not take is said again: first after this, then after twice as long each time, so
/// often. While the platform is away for all nothing is counted.
const TOLD_REST: Duration = Duration::from_secs(5);
const TOLD_REST_MAX: Duration = Duration::from_secs(300);
const TOLD_TRIES_MAX: u32 = 20;
/// Waiting jobs that are told a changed place, a round.
const TOLD_MAX: usize = 20;
/// Who waits farther back is told the place when it comes nearer.
const PLACES_TOLD_MAX: u32 = 200;

/// Where a running job stands; written by its own task, read by the teller.
#[derive(Default)]
pub(super) struct Stand {
    now: Mutex<Now>,
    /// Held while the chat is told: the last word waits for a word about progress that is still on its way.
    pub(super) telling: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
pub(super) enum Now {
    #[default]
    Nothing,
    Fetching {
        meter: Meter,
        total_bytes: u64,
    },
    Converting {
        control: Control,
        began: Instant,
        watch: Watch,
    },
    Sending {
        meter: Meter,
        total_bytes: u64,
    },
}

impl Stand {
    pub(super) fn set(&self, now: Now) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    pub(super) fn get(&self) -> Now {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<S: Store, C: Courier> Worker<S, C> {
    async fn tell(&self, job: &Job, notice: Notice) -> Result<(), CourierError> {
        let notice = self.as_it_is_said(job, notice).await;
        self.say(job, notice).await
    }

    /// What one job says, as its batch says it.
    async fn as_it_is_said(&self, job: &Job, notice: Notice) -> Notice {
        match job.batch {
            None => notice,
            Some(first) => self.notice_of_batch(first, notice).await,
        }
    }

    async fn say(&self, job: &Job, notice: Notice) -> Result<(), CourierError> {
        let told = self.courier.notify(job, notice).await;
        if let Err(error) = &told {
            tracing::debug!(job = %job.id, %error, "not told");
        }
        told
    }

    /// The last word. Until it was said it is owed, and the next start says it.
    pub(super) async fn tell_end(&self, job: &Job, notice: Notice) {
        if notice == Notice::Paused {
            let _ = self.tell(job, notice).await;
            return;
        }
        if !self.is_told(job, notice.clone()).await {
            tokio::spawn(self.clone().tell_later(job.clone(), notice));
        }
    }

    /// Says it, and forgets that it was owed; false where it has to be said again.
    async fn is_told(&self, job: &Job, notice: Notice) -> bool {
        let notice = self.as_it_is_said(job, notice).await;
        // How a batch stands is no last word of it: others may end while it is said.
        let of_all = !matches!(notice, Notice::Batch { .. });
        if let Err(CourierError::Transient { .. }) = self.say(job, notice).await {
            return false;
        }
        if let Err(error) = self.store.set_told(job.id, of_all).await {
            tracing::warn!(job = %job.id, %error, "the last word will be said again");
        }
        true
    }

    /// Says it once the platform takes it. It stays owed meanwhile, so a restart loses nothing.
    async fn tell_later(self, job: Job, notice: Notice) {
        let mut rest = TOLD_REST;
        let mut tries = 0;
        while tries < TOLD_TRIES_MAX {
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = self.over.cancelled() => return,
            }
            if self.courier.is_away() {
                rest = TOLD_REST;
                continue;
            }
            if self.is_told(&job, notice.clone()).await {
                return;
            }
            tries += 1;
            rest = (rest * 2).min(TOLD_REST_MAX);
        }
        tracing::error!(job = %job.id, "the platform does not take the last word; the next start says it");
    }

    /// Says what nobody said yet: of jobs that ended just before a crash, and of those that an operator ended.
    pub(super) async fn tell_owed(self) {
        let owed = match self.store.take_owed().await {
            Ok(owed) => owed,
            Err(error) => {
                tracing::warn!(%error, "nobody knows whom a last word is owed");
                return;
            }
        };
        let mut heads = HashSet::new();
        for job in owed {
            // A batch has one last word.
            if !heads.insert(job.head()) {
                continue;
            }
            let notice = match job.status {
                Status::Canceled => Notice::Canceled,
                Status::Succeeded => self.results_of(&job).await,
                _ => Notice::Failed {
                    reason: job.reason.clone().unwrap_or(Reason::Internal),
                },
            };
            self.tell_end(&job, notice).await;
        }
    }

    /// Polls the gauges; the courier decides what is worth an edit.
    pub(super) async fn tell_all(self, stop: CancellationToken) {
        let mut places = HashMap::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(TELL_EVERY) => {}
                () = stop.cancelled() => return,
            }
            if self.courier.is_away() {
                continue;
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
                telling.spawn(async move {
                    let _ = worker.tell(&job, Notice::Queued { position }).await;
                });
            }
            while telling.join_next().await.is_some() {}
        }
    }

    async fn tell_progress(self, job: Job, stand: Arc<Stand>) {
        let _turn = stand.telling.lock().await;
        let running = self.table().contains_key(&job.id);
        if let (true, Some(notice)) = (running, notice_of(&stand.get())) {
            let _ = self.tell(&job, notice).await;
        }
    }

    /// Waiting jobs whose place changed since they were told. One seen for the first time counts: its place may have
    /// changed since the answer to the request told it.
    async fn moved_up(&self, places: &mut HashMap<JobId, u32>) -> Vec<(Job, u32)> {
        if !self.leads.load(Ordering::Relaxed) {
            places.clear();
            return Vec::new();
        }
        let Ok(queue) = self.store.queue(PLACES_TOLD_MAX).await else {
            return Vec::new();
        };
        let waiting: Vec<(Job, u32)> = queue
            .into_iter()
            .filter_map(|entry| entry.position.map(|position| (entry.job, position)))
            .collect();
        let ids: HashSet<JobId> = waiting.iter().map(|(job, _)| job.id).collect();
        places.retain(|id, _| ids.contains(id));
        // Of a batch the first that waits speaks, unless one is in work.
        let mut heads: HashSet<JobId> = self.table().values().map(|running| running.job.head()).collect();
        let mut moved = Vec::new();
        for (job, position) in waiting {
            if heads.insert(job.head()) && moved.len() < TOLD_MAX && places.get(&job.id) != Some(&position) {
                places.insert(job.id, position);
                moved.push((job, position));
            }
        }
        moved
    }
}

/// The running jobs, for who watches.
#[derive(Clone)]
pub struct View(pub(super) Table);

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("View")
    }
}

impl View {
    /// Each with where it stands; none of those that are between two phases.
    #[must_use]
    pub fn running(&self) -> Vec<(JobId, Option<Notice>)> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stands = table.iter().map(|(id, running)| (*id, notice_of(&running.stand.get())));
        let mut stands: Vec<_> = stands.collect();
        stands.sort_by_key(|(id, _)| *id);
        stands
    }
}

fn notice_of(now: &Now) -> Option<Notice> {
    Some(match now {
        Now::Nothing => return None,
        Now::Fetching { meter, total_bytes } => Notice::Fetching {
            done_bytes: meter.read(),
            total_bytes: *total_bytes,
        },
        Now::Converting { control, began, .. } => Notice::Converting {
            progress: control.gauge().read(),
            elapsed_s: began.elapsed().as_secs_f64(),
        },
        Now::Sending { meter, total_bytes } => Notice::Sending {
            done_bytes: meter.read(),
            total_bytes: *total_bytes,
        },
    })
}
