//! What nobody needs any more: files of jobs that ended where no task would remove them, files whose job is gone, looks that
//! nobody came for, and rows that are past their day.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Worker;
use crate::courier::Courier;
use crate::store::Store;

/// A look keeps its file for half of this.
const LOOK_AGE_MAX: Duration = Duration::from_secs(1200);

impl<S: Store, C: Courier> Worker<S, C> {
    /// Sweeps until `stop`, the first time at once.
    pub(super) async fn sweep(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(self.options.sweep_every);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            self.remove_ended().await;
            if let Err(error) = self.workdir.forget_looks(LOOK_AGE_MAX) {
                tracing::warn!(%error, "the scratch space could not be swept");
            }
            match self.store.purge(self.options.keep_days).await {
                Ok(0) => {}
                Ok(jobs) => tracing::info!(jobs, "rows past their day were forgotten"),
                Err(error) => tracing::warn!(%error, "old rows stay until the next sweep"),
            }
        }
    }

    /// A job that was put back kept its files; cancelled while it waited, it has no task that would remove them. Folders
    /// first, rows second: a folder is made after its row, so one without a row is nobody's.
    pub(super) async fn remove_ended(&self) {
        let Ok(mut held) = self.workdir.jobs() else { return };
        {
            let running = self.table();
            held.retain(|id| !running.values().any(|one| one.job.id == *id || one.rest.contains(id)));
        }
        for id in held {
            if let Ok(job) = self.store.job(id).await
                && job.is_none_or(|job| job.status.is_terminal())
            {
                self.workdir.remove(id);
            }
        }
    }
}
