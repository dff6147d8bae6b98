//! What is counted of this process for who watches it, in Prometheus' terms. Who does something counts it here, and `watch`
//! shows it.
//!
//! Counters begin at 0 with the process. Label values are words of ours, never a stranger's: a fixed set each. Absent: what
//! the store knows better (how many wait, since when), which is asked at each scrape.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

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
    pub fn job_ended(&self, outcome: &'static str, reason: &'static str) {
        self.jobs.with_label_values(&[outcome, reason]).inc();
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
