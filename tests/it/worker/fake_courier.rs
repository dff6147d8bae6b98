//! A chat platform in memory: serves sources, keeps a transcript, fails and stalls on request.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use kadr::courier::{Courier, CourierError, Files, Item, Meter, Notice, Receipt};
use kadr::job::{Job, JobId, Parcel, Question, Seen, Source};
use kadr::media::Refusal;

use crate::worker::source_of;

#[derive(Default)]
pub(crate) struct FakeCourier {
    said: Mutex<Vec<(JobId, String)>>,
    /// Sources by their unique id, each time that one was fetched.
    fetched: Mutex<Vec<String>>,
    pub(crate) fetch_faults: Mutex<VecDeque<CourierError>>,
    pub(crate) deliver_faults: Mutex<VecDeque<CourierError>>,
    pub(crate) stall_fetch: AtomicBool,
    pub(crate) stall_deliver: AtomicBool,
    pub(crate) panic_deliver: AtomicBool,
    /// What the next source is instead of a file: a pipe in which the engine waits for bytes that never come.
    pub(crate) pipe: Mutex<Option<PathBuf>>,
}

impl FakeCourier {
    /// What a job's chat saw, in order.
    pub(crate) fn transcript(&self, job: JobId) -> Vec<String> {
        let said = self.said.lock().unwrap();
        said.iter()
            .filter(|(id, _)| *id == job)
            .map(|(_, words)| words.clone())
            .collect()
    }

    pub(crate) fn count(&self, job: JobId, words: &str) -> usize {
        self.transcript(job).iter().filter(|line| *line == words).count()
    }

    /// How often a job's source was fetched.
    pub(crate) fn fetches(&self, job: &Job) -> usize {
        let fetched = self.fetched.lock().unwrap();
        fetched
            .iter()
            .filter(|source| **source == job.request.source.file_unique_id)
            .count()
    }

    fn say(&self, job: &Job, words: impl Into<String>) {
        self.said.lock().unwrap().push((job.id, words.into()));
    }
}

async fn stall(flag: &AtomicBool) {
    while flag.load(SeqCst) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Courier for FakeCourier {
    async fn show_look(&self, question: &Question, _: Result<Seen, Refusal>) -> Result<bool, CourierError> {
        panic!("nobody asked about {question:?}");
    }

    async fn fetch(&self, source: &Source, _: u32, into: &Path, meter: &Meter) -> Result<u64, CourierError> {
        self.fetched.lock().unwrap().push(source.file_unique_id.clone());
        assert!(!into.exists(), "the source goes into a file that does not exist yet");
        if let Some(pipe) = self.pipe.lock().unwrap().take() {
            std::fs::hard_link(pipe, into).unwrap();
            return Ok(0);
        }
        let bytes = source_of(&source.file_unique_id);
        // Half of it first: what a stalled or killed transfer leaves behind.
        std::fs::write(into, &bytes[..bytes.len() / 2]).unwrap();
        stall(&self.stall_fetch).await;
        if let Some(fault) = self.fetch_faults.lock().unwrap().pop_front() {
            return Err(fault);
        }
        std::fs::write(into, &bytes).unwrap();
        meter.add(bytes.len() as u64);
        Ok(bytes.len() as u64)
    }

    async fn notify(&self, job: &Job, notice: Notice) -> Result<(), CourierError> {
        let words = match notice {
            Notice::Queued { position } => format!("queued {position}"),
            Notice::Fetching { .. } => "fetching".to_owned(),
            Notice::Converting { .. } => "converting".to_owned(),
            Notice::Sending { .. } => "sending".to_owned(),
            Notice::Paused => "paused".to_owned(),
            Notice::Failed { reason } => format!("failed {reason:?}"),
            Notice::Canceled => "canceled".to_owned(),
            Notice::Batch {
                files, done, failed, ..
            } => format!("batch {files}: {done} done, {failed} failed"),
            Notice::BatchOver { results, failures } => {
                format!("batch over: {} results, {} failures", results.len(), failures.len())
            }
        };
        self.say(job, words);
        Ok(())
    }

    async fn deliver(
        &self,
        job: &Job,
        parcel: &Parcel,
        files: Option<Files<'_>>,
        _meter: &Meter,
    ) -> Result<Receipt, CourierError> {
        self.say(job, "deliver");
        assert!(!self.panic_deliver.swap(false, SeqCst), "planned by the test");
        stall(&self.stall_deliver).await;
        if let Some(fault) = self.deliver_faults.lock().unwrap().pop_front() {
            return Err(fault);
        }
        let what = match (&parcel.file_id, files) {
            (Some(file_id), None) => file_id.clone(),
            (None, Some(files)) => {
                let bytes = std::fs::read(files.media).unwrap();
                assert_eq!(&bytes[4..8], b"ftyp", "an MP4");
                format!("{}x{} {:.1} s", parcel.width, parcel.height, parcel.duration_s)
            }
            other => panic!("either bytes or a remembered file: {other:?}"),
        };
        self.say(job, format!("result {what}"));
        Ok(Receipt {
            file_id: format!("sent-{}", job.request.source.file_unique_id),
        })
    }

    async fn deliver_batch(&self, items: &[Item<'_>], meter: &Meter) -> Vec<Result<Receipt, CourierError>> {
        let mut answers = Vec::new();
        for item in items {
            answers.push(self.deliver(item.job, item.parcel, item.files, meter).await);
        }
        answers
    }
}
