//! Carries one job down the line: fetch, convert, deliver, finish, clean up.
//!
//! ```text
//! run      recover, sweep, then two lanes; each takes a permit first and claims second
//!   lane   convert lane: `jobs_max` permits · express lane: remembered results, which need no conversion
//!   watch  store.changes() -> cancel_requests() -> the job's token and the engine's cancel flag; and the files of jobs
//!          that ended while they waited; and last words that are still owed
//! carry    one job, phase by phase; each phase is recorded before the next begins, so a crash resumes there
//! batch    the last phase of files that came together: one delivery for all, one summary
//! engine   the one door from async to blocking, and the engine's report in the job's words
//! isolated the engine in a process of its own: what it is asked, and what is believed of its answer
//! peek     files of questions that are still open, one at a time: what they are, for the card
//! sweep    every ten minutes: files whose job is over or gone, and rows that are past their day
//! teller   every second: one look at each running job's gauge, and at the places in the queue -> Courier::notify
//! ```
//!
//! While the platform is away nothing is claimed, and what its outage cut short costs no try. Deaths of the process are held
//! against the jobs that its last words name.
//!
//! A slot is free only when the engine has let go of it: the permit rides in the engine's closure. An engine that does not
//! come back is given up two seconds after its time limit: its job ends, its slot stays taken. A cancel that meets a
//! delivery in flight abandons the call and ends the job as canceled; a delivery that was confirmed before stays
//! delivered.

mod batch;
mod carry;
mod engine;
mod heap;
mod isolated;
mod peek;
mod sweep;
mod teller;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::engine::Lost;
pub use self::isolated::work;
use self::peek::Peeks;
use self::teller::Stand;
pub use self::teller::View;
use crate::courier::{Courier, Notice};
use crate::crash::point;
use crate::job::{Job, JobId, Reason};
use crate::media::{Limits, Machine, isolation::Nursery, last_words};
use crate::metrics::{Organ, moved};
use crate::store::{ClaimLimits, Store, StoreError};
use crate::workdir::Workdir;

const EXPRESS_JOBS_MAX: usize = 4;
/// A claim is tried this often even when nothing ticked: jobs that wait for their back-off tick nobody.
const CLAIM_EVERY: Duration = Duration::from_secs(1);

/// How the worker works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether it takes jobs; who does not only tells how they stand.
    pub takes_jobs: bool,
    /// Conversions at once.
    pub jobs_max: usize,
    /// A conversion that takes longer is given up.
    pub time_limit: Duration,
    /// What inputs are held to.
    pub limits: Limits,
    /// Has strangers' files read in processes of their own; `None` reads them on threads of this one.
    pub nursery: Option<Arc<Nursery>>,
    /// The devices.
    pub machine: Arc<Machine>,
    /// Running jobs of one user.
    pub running_per_user_max: u32,
    /// Claims of one job before a passing fault counts as lasting.
    pub attempts_max: u32,
    /// Time that running jobs get to end at shutdown.
    pub grace: Duration,
    /// Below this much free space no source is fetched.
    pub disk_free_bytes_min: u64,
    /// How often files without a job and rows past their day are looked for.
    pub sweep_every: Duration,
    /// Rows of jobs that are over are kept for so many days.
    pub keep_days: u32,
}

/// What the teller and the canceller know of a running job.
struct Running {
    job: Job,
    /// Those of its batch that are delivered with it.
    rest: Vec<JobId>,
    cancel: CancellationToken,
    stand: Arc<Stand>,
}

type Table = Arc<Mutex<HashMap<JobId, Running>>>;

/// Runs jobs until it is told to stop.
pub struct Worker<S, C> {
    store: S,
    courier: Arc<C>,
    workdir: Workdir,
    options: Arc<Options>,
    running: Table,
    peeks: Arc<Peeks>,
    lost: Lost,
    /// Raised at shutdown once the grace time is over.
    interrupt: CancellationToken,
    /// Raised once no job runs any more.
    over: CancellationToken,
    /// What the process before this one was at when it crashed.
    named: Arc<[i64]>,
    /// Whether it is this process that says in the chats what concerns no running job of its own.
    leads: Arc<AtomicBool>,
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
            peeks: Arc::clone(&self.peeks),
            lost: self.lost.clone(),
            interrupt: self.interrupt.clone(),
            over: self.over.clone(),
            named: Arc::clone(&self.named),
            leads: Arc::clone(&self.leads),
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
            peeks: Arc::default(),
            lost: Lost::default(),
            interrupt: CancellationToken::new(),
            over: CancellationToken::new(),
            named: Arc::default(),
            leads: Arc::new(AtomicBool::new(true)),
        }
    }

    /// The running jobs, for who watches.
    pub fn view(&self) -> View {
        View(Arc::clone(&self.running))
    }

    /// Knows which jobs the process before this one was converting when it crashed.
    #[must_use]
    pub fn after_crash_of(self, named: Vec<i64>) -> Self {
        Self {
            named: named.into(),
            ..self
        }
    }

    /// Says in the chats only while this is true what concerns no running job of its own: places in the queue, and ends that
    /// nobody said.
    #[must_use]
    pub fn led_by(self, leads: Arc<AtomicBool>) -> Self {
        Self { leads, ..self }
    }

    /// Works until `shutdown`, then gives running jobs the grace time and puts the rest back.
    ///
    /// # Errors
    /// Only where the store fails at start; later errors are logged and tried again.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), StoreError> {
        let named = self.named.iter().copied().map(JobId).collect();
        for job in self.store.recover(named).await? {
            tracing::warn!(job = %job.id, "quarantined: its file is to blame for crashes");
            self.tell_end(
                &job,
                Notice::Failed {
                    reason: Reason::Quarantined,
                },
            )
            .await;
        }
        if let Err(error) = last_words::forget() {
            tracing::warn!(%error, "the last words of the process before stay");
        }
        point("recovered");
        let live = self.store.open_jobs().await?;
        if let Err(error) = self.workdir.sweep(&live) {
            tracing::warn!(%error, "the scratch space could not be swept");
        }
        point("swept");
        let canceller = tokio::spawn(self.clone().watch(self.over.clone()));
        let teller = tokio::spawn(self.clone().tell_all(self.over.clone()));
        let sweeper = tokio::spawn(self.clone().sweep(self.over.clone()));
        let handed = tokio::spawn(self.clone().show_handed(self.over.clone()));
        if self.options.takes_jobs {
            self.take_jobs(&shutdown).await;
        } else {
            shutdown.cancelled().await;
        }
        self.over.cancel();
        for task in [canceller, teller, sweeper, handed] {
            let _ = task.await;
        }
        Ok(())
    }

    async fn take_jobs(&self, shutdown: &CancellationToken) {
        let looks = tokio::spawn(self.clone().peek(shutdown.clone()));
        let express = tokio::spawn(self.clone().lane(true, EXPRESS_JOBS_MAX, shutdown.clone()));
        self.clone()
            .lane(false, self.options.jobs_max.max(1), shutdown.clone())
            .await;
        if let Err(error) = express.await {
            tracing::error!(%error, "the express lane broke");
        }
        let _ = looks.await;
    }

    /// Permit first, then claim: what cannot run yet stays in the store.
    async fn lane(self, deliver_only: bool, permits: usize, shutdown: CancellationToken) {
        let slots = Arc::new(Semaphore::new(permits));
        let mut changes = self.store.changes();
        let mut jobs = JoinSet::new();
        while !shutdown.is_cancelled() {
            if !deliver_only {
                moved(Organ::Lane);
            }
            let permit = tokio::select! {
                permit = Arc::clone(&slots).acquire_owned() => permit,
                // Every slot may be taken for long.
                () = tokio::time::sleep(CLAIM_EVERY) => continue,
                () = shutdown.cancelled() => break,
            };
            let Ok(permit) = permit else { break };
            if self.courier.is_away() {
                drop(permit);
                tokio::select! {
                    () = tokio::time::sleep(CLAIM_EVERY) => {}
                    () = shutdown.cancelled() => {}
                }
                continue;
            }
            while jobs.try_join_next().is_some() {}
            changes.mark_unchanged();
            let limits = ClaimLimits {
                running_per_user_max: self.options.running_per_user_max,
                deliver_only,
            };
            match self.store.claim(limits).await {
                Ok(Some(claim)) => {
                    point("claimed");
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
    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn watch(self, stop: CancellationToken) {
        let mut changes = self.store.changes();
        loop {
            if self.leads.load(Ordering::Relaxed) {
                tokio::spawn(self.clone().tell_owed());
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = stop.cancelled() => return,
            }
            let Ok(asked) = self.store.cancel_requests().await else {
                continue;
            };
            for id in asked {
                let table = self.table();
                let asked = |running: &&Running| running.job.id == id || running.rest.contains(&id);
                if let Some(running) = table.values().find(asked) {
                    running.cancel.cancel();
                }
            }
            self.remove_ended().await;
        }
    }
}
