//! A look at the file of a question that is still open: fetched and probed, not converted. One at a time, beside the
//! conversions; nobody waits for it.
//!
//! The file is kept for the job that the question may become, which then fetches nothing: for ten minutes at most.
//! An engine that dies of a look in a process of its own is held against the file, as one of its jobs' would be.
//! Absent: a record of anything else. After a restart the questions are as they were before the look; where a look on a thread
//! took the process along, nobody can say which file it was, and none is looked at twice.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Worker;
use super::engine::{Watch, look_blocking};
use super::isolated::blame_of;
use crate::courier::{Courier, Meter, Notice};
use crate::job::{Phase, Question, Reason, Seen};
use crate::media::{ENGINE_VERSION, MediaError, Refusal};
use crate::store::Store;

/// A look that takes longer is given up: fetching, and probing.
const FETCH_MAX: Duration = Duration::from_secs(60);
const PROBE_MAX: Duration = Duration::from_secs(10);
/// How long a file is kept for its job, and how much of all, bytes.
const KEPT: Duration = Duration::from_secs(600);
const KEPT_BYTES_MAX: u64 = 1 << 30;
/// How often old files are looked for.
const EVERY: Duration = Duration::from_secs(1);

/// Files that were fetched for a look, by their unique id.
#[derive(Debug, Default)]
pub(super) struct Peeks(Mutex<HashMap<String, Held>>);

#[derive(Debug)]
struct Held {
    folder: PathBuf,
    since: Instant,
    size_bytes: u64,
    /// It is complete; before that its fetch can be ended.
    there: bool,
    fetching: CancellationToken,
}

impl Peeks {
    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the file of a look to its job, where there is one. Whatever was fetched is gone from here afterwards.
    pub(super) fn take(&self, unique_id: &str, into: &Path) -> bool {
        let Some(held) = self.held().remove(unique_id) else {
            return false;
        };
        held.fetching.cancel();
        let taken = held.there && std::fs::rename(held.folder.join(SOURCE), into).is_ok();
        remove(&held.folder);
        taken
    }

    /// Removes what nobody came for.
    pub(super) fn forget(&self, unique_id: &str) {
        if let Some(held) = self.held().remove(unique_id) {
            held.fetching.cancel();
            remove(&held.folder);
        }
    }

    fn forget_old(&self) {
        let mut held = self.held();
        let old: Vec<String> = held
            .iter()
            .filter(|(_, one)| one.since.elapsed() > KEPT)
            .map(|(id, _)| id.clone())
            .collect();
        for id in old {
            if let Some(one) = held.remove(&id) {
                remove(&one.folder);
            }
        }
    }
}

const SOURCE: &str = "source";

fn remove(folder: &Path) {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, "the folder of a look could not be removed");
        }
        _ => {}
    }
}

impl<S: Store, C: Courier> Worker<S, C> {
    /// Looks at what is asked about until `shutdown`.
    pub(super) async fn peek(self, shutdown: CancellationToken) {
        let mut changes = self.store.changes();
        let mut number = 0_u64;
        while !shutdown.is_cancelled() {
            changes.mark_unchanged();
            self.peeks.forget_old();
            if self.courier.is_away() {
                tokio::select! {
                    () = tokio::time::sleep(EVERY) => {}
                    () = shutdown.cancelled() => {}
                }
                continue;
            }
            match self.store.take_question().await {
                Ok(Some(question)) => {
                    number += 1;
                    tokio::select! {
                        () = self.look(&question, number) => {}
                        () = shutdown.cancelled() => {}
                    }
                }
                Ok(None) => {
                    tokio::select! {
                        _ = changes.changed() => {}
                        () = tokio::time::sleep(EVERY) => {}
                        () = shutdown.cancelled() => {}
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "no question could be taken");
                    tokio::time::sleep(EVERY).await;
                }
            }
        }
    }

    async fn look(&self, question: &Question, number: u64) {
        let unique_id = &question.source.file_unique_id;
        let too_little = |free: u64| free < self.options.disk_free_bytes_min;
        let full = self.peeks.held().values().map(|held| held.size_bytes).sum::<u64>() > KEPT_BYTES_MAX;
        if full || self.workdir.free_bytes().is_ok_and(too_little) || self.peeks.held().contains_key(unique_id) {
            return;
        }
        let Ok(folder) = self.workdir.look(number) else { return };
        let fetching = CancellationToken::new();
        let held = Held {
            folder: folder.clone(),
            since: Instant::now(),
            size_bytes: question.source.size_bytes.unwrap_or(0),
            there: false,
            fetching: fetching.clone(),
        };
        self.peeks.held().insert(unique_id.clone(), held);
        let source = folder.join(SOURCE);
        let seen = tokio::select! {
            seen = self.fetch_and_look(question, &source) => seen,
            // Its job came first, and fetches it anew.
            () = fetching.cancelled() => None,
        };
        if fetching.is_cancelled() {
            return remove(&folder);
        }
        match seen {
            Some(Ok(seen)) => {
                if let Some(held) = self.peeks.held().get_mut(unique_id) {
                    held.there = true;
                }
                let remembered = self.store.remember_look(unique_id, seen.clone(), ENGINE_VERSION).await;
                if let Err(error) = remembered {
                    tracing::warn!(%error, "a look was not remembered");
                }
                self.show(question, Ok(seen)).await;
            }
            Some(Err(MediaError::Refused(why))) => {
                self.peeks.forget(unique_id);
                self.show(question, Err(why)).await;
            }
            Some(Err(error @ MediaError::Crashed { signal })) => {
                tracing::error!(%error, "a look was not taken");
                self.peeks.forget(unique_id);
                self.hold_against(unique_id, blame_of(signal)).await;
            }
            Some(Err(_)) | None => self.peeks.forget(unique_id),
        }
    }

    /// Shows looks that other processes took, while this one answers the chats.
    pub(super) async fn show_handed(self, stop: CancellationToken) {
        let mut changes = self.store.changes();
        loop {
            while self.leads.load(Ordering::Relaxed) && !self.courier.is_away() {
                match self.store.take_look().await {
                    Ok(Some((question, seen))) => {
                        if let Err(error) = self.courier.show_look(&question, seen).await {
                            tracing::debug!(%error, "a look was not shown");
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(%error, "no look could be taken over");
                        break;
                    }
                }
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// A file that kills who looks at it would kill who converts it.
    async fn hold_against(&self, unique_id: &str, blame: u32) {
        match self.store.crash_of_look(unique_id, blame).await {
            Ok(quarantined) => {
                for job in quarantined {
                    tracing::warn!(job = %job.id, "quarantined: its file is to blame for crashes");
                    let reason = Reason::Quarantined;
                    self.tell_end(&job, Notice::Failed { reason }).await;
                }
            }
            Err(error) => tracing::error!(%error, "a crash was not counted"),
        }
    }

    /// Shows what was seen, and keeps the file only for a question that is still open or the job that it became. Where another
    /// process answers the chats it shows it, and the file is kept its time.
    async fn show(&self, question: &Question, seen: Result<Seen, Refusal>) {
        if !self.leads.load(Ordering::Relaxed) {
            if let Err(error) = self.store.hand_look(question.clone(), seen).await {
                tracing::warn!(%error, "a look was not handed over");
            }
            return;
        }
        let is_open = self.courier.show_look(question, seen).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "a look was not shown");
            false
        });
        if !is_open && !self.is_to_fetch(question).await {
            self.peeks.forget(&question.source.file_unique_id);
        }
    }

    /// Whether a job of this person waits for the file.
    async fn is_to_fetch(&self, question: &Question) -> bool {
        let queue = self.store.queue_of(question.origin.user).await.unwrap_or_default();
        queue.iter().any(|entry| {
            entry.job.phase == Phase::Fetch && entry.job.request.source.file_unique_id == question.source.file_unique_id
        })
    }

    /// `None` where the file did not come: the job will say why.
    async fn fetch_and_look(&self, question: &Question, source: &Path) -> Option<Result<Seen, MediaError>> {
        let meter = Meter::default();
        let fetch = self.courier.fetch(&question.source, 1, source, &meter);
        tokio::time::timeout(FETCH_MAX, fetch).await.ok()?.ok()?;
        let (path, wishes) = (source.to_owned(), question.wishes.clone());
        let watch = Watch::new(&self.lost);
        Some(look_blocking(path, wishes, Arc::clone(&self.options), PROBE_MAX, watch).await)
    }
}
