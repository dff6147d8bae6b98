//! What is counted of this process for who watches it, in Prometheus' terms. Who does something counts it here, and `watch`
//! shows it.
//!
//! Counters begin at 0 with the process. Label values are words of ours, never a stranger's: a fixed set each. Absent: what
//! the store knows better (how many wait, since when), which is asked at each scrape.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder, core::Collector,
};

/// From a tenth of a second to an hour: a copy, and the longest conversion.
const PHASE_BUCKETS_S: [f64; 13] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0,
];

/// The counters of this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    jobs: IntCounterVec,
    phases: HistogramVec,
    conversions: IntCounterVec,
    calls: IntCounterVec,
    updates: IntCounter,
    recent: Mutex<Recent>,
}

/// A job that failed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Failure {
    /// Its number.
    pub job: i64,
    /// Its kind.
    pub reason: &'static str,
    /// Unix seconds.
    pub at_s: u64,
}

/// What came of the jobs of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Hour {
    /// Its beginning, Unix seconds.
    pub from_s: u64,
    /// Delivered.
    pub succeeded: u64,
    /// Ended without a result.
    pub failed: u64,
}

const FAILURES_MAX: usize = 20;
const HOURS_MAX: usize = 24;
const HOUR_S: u64 = 3600;

/// The last of what happened, newest last.
#[derive(Debug, Default)]
struct Recent {
    failures: VecDeque<Failure>,
    hours: VecDeque<Hour>,
}

impl Recent {
    fn end(&mut self, job: i64, failed: Option<&'static str>, at_s: u64) {
        let from_s = at_s / HOUR_S * HOUR_S;
        if self.hours.back().is_none_or(|hour| hour.from_s != from_s) {
            self.hours.push_back(Hour {
                from_s,
                succeeded: 0,
                failed: 0,
            });
        }
        if self.hours.len() > HOURS_MAX {
            self.hours.pop_front();
        }
        if let Some(hour) = self.hours.back_mut() {
            *(if failed.is_some() {
                &mut hour.failed
            } else {
                &mut hour.succeeded
            }) += 1;
        }
        if let Some(reason) = failed {
            self.failures.push_back(Failure { job, reason, at_s });
        }
        if self.failures.len() > FAILURES_MAX {
            self.failures.pop_front();
        }
    }
}

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// The counters.
#[must_use]
pub fn metrics() -> &'static Metrics {
    &METRICS
}

impl Metrics {
    fn new() -> Self {
        let registry = Registry::new();
        let counters =
            |name, help, labels: &[&str]| registered(&registry, IntCounterVec::new(Opts::new(name, help), labels));
        let histograms = |name, help, buckets: &[f64], labels: &[&str]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            registered(&registry, HistogramVec::new(options, labels))
        };
        let metrics = Self {
            jobs: counters(
                "kadr_jobs_total",
                "Runs of jobs by how they ended; a job that goes back to the queue ends more than once.",
                &["outcome", "reason"],
            ),
            phases: histograms(
                "kadr_phase_seconds",
                "How long the phases of jobs took that came to their end.",
                &PHASE_BUCKETS_S,
                &["phase"],
            ),
            conversions: counters(
                "kadr_conversions_total",
                "Conversions by the device that made them and by what was done with picture and sound.",
                &["device", "video", "audio"],
            ),
            calls: counters(
                "kadr_telegram_calls_total",
                "Calls of the Bot API by method and result.",
                &["method", "result"],
            ),
            updates: registered(
                &registry,
                IntCounter::new("kadr_updates_total", "Updates that were written down."),
            ),
            registry,
            recent: Mutex::default(),
        };
        // A rate needs a zero to begin at.
        for outcome in ["succeeded", "failed", "canceled"] {
            metrics.jobs.with_label_values(&[outcome, ""]);
        }
        for phase in ["fetch", "convert", "deliver"] {
            metrics.phases.with_label_values(&[phase]);
        }
        metrics
    }

    /// A run of a job ended.
    pub fn job_ended(&self, job: i64, outcome: &'static str, reason: &'static str) {
        self.jobs.with_label_values(&[outcome, reason]).inc();
        let failed = match outcome {
            "succeeded" => None,
            "failed" => Some(reason),
            _ => return,
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        self.recent().end(job, failed, now.map_or(0, |now| now.as_secs()));
    }

    /// The last jobs that failed since the process began, the newest last.
    #[must_use]
    pub fn failures(&self) -> Vec<Failure> {
        self.recent().failures.iter().cloned().collect()
    }

    /// What came of the jobs of each hour in which one ended, the newest last.
    #[must_use]
    pub fn hours(&self) -> Vec<Hour> {
        self.recent().hours.iter().copied().collect()
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A phase of a job came to its end.
    pub fn phase_took(&self, phase: &str, took: Duration) {
        self.phases.with_label_values(&[phase]).observe(took.as_secs_f64());
    }

    /// A conversion succeeded.
    pub fn converted(&self, device: &str, video: &str, audio: &str) {
        self.conversions.with_label_values(&[device, video, audio]).inc();
    }

    /// A call of the platform came to its end.
    pub fn called(&self, method: &str, result: &str) {
        self.calls.with_label_values(&[method, result]).inc();
    }

    /// Updates were written down.
    pub fn recorded(&self, updates: usize) {
        self.updates.inc_by(updates as u64);
    }

    /// All of it in the text format of Prometheus, version 0.0.4, and before it what else is given.
    ///
    /// # Errors
    /// Where a family has no name: never.
    pub fn text(&self, more: &Registry) -> prometheus::Result<String> {
        let mut families = more.gather();
        families.extend(self.registry.gather());
        TextEncoder::new().encode_to_string(&families)
    }
}

/// Names and labels are constants of ours: what a registry could refuse is a mistake that every start would show.
#[expect(clippy::expect_used, reason = "constants")]
fn registered<T: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<T>) -> T {
    let collector = made.expect("a valid name");
    registry
        .register(Box::new(collector.clone()))
        .expect("a name of its own");
    collector
}

/// What has to move for the process to be alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Organ {
    /// Asks the platform for updates, or how the webhook is that it sends them to.
    Poller,
    /// Claims jobs that are to be converted.
    Lane,
}

/// When each moved last, milliseconds since [`BEGAN`]; 0 for not yet.
static MOVED_MS: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// It moves.
pub fn moved(organ: Organ) {
    let now_ms = u64::try_from(BEGAN.elapsed().as_millis()).unwrap_or(u64::MAX);
    MOVED_MS[organ as usize].store(now_ms.max(1), Relaxed);
}

/// How long ago it moved; `None` for never.
#[must_use]
pub fn rested(organ: Organ) -> Option<Duration> {
    match MOVED_MS[organ as usize].load(Relaxed) {
        0 => None,
        at_ms => Some(BEGAN.elapsed().saturating_sub(Duration::from_millis(at_ms))),
    }
}

#[cfg(test)]
mod tests {
    use super::{FAILURES_MAX, HOUR_S, HOURS_MAX, Recent};

    #[test]
    fn the_last_failures_and_a_day_of_hours_are_kept() {
        let mut recent = Recent::default();
        for hour in 0..30 {
            recent.end(hour, None, hour.unsigned_abs() * HOUR_S + 5);
            recent.end(hour, Some("network"), hour.unsigned_abs() * HOUR_S + 3599);
        }
        assert_eq!((recent.hours.len(), recent.failures.len()), (HOURS_MAX, FAILURES_MAX));
        let last = recent.hours.back().expect("there are some");
        assert_eq!((last.from_s, last.succeeded, last.failed), (29 * HOUR_S, 1, 1));
        assert_eq!(recent.failures.front().map(|failure| failure.job), Some(10));
    }
}
