//! What a caller holds of a running conversion: a cancel flag, a deadline and a gauge.
//!
//! The engine looks at [`Control::check`] once per packet and in libav's I/O interrupt callback; the caller polls
//! [`Gauge::read`]. Nothing is pushed: the latest value wins.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::MediaError;

/// Cancel flag, deadline and gauge of one conversion. Clones share the same flag and gauge.
#[derive(Clone, Debug)]
pub struct Control {
    cancel: Arc<AtomicBool>,
    /// The flag of the conversion that this is a part of.
    above: Option<Arc<AtomicBool>>,
    gauge: Arc<Gauge>,
    born: Instant,
    deadline: Option<Instant>,
    limit: Duration,
}

impl Control {
    /// A control with a time limit counted from now; `None` means no limit.
    #[must_use]
    pub fn new(limit: Option<Duration>) -> Self {
        Self {
            cancel: Arc::default(),
            above: None,
            gauge: Arc::default(),
            born: Instant::now(),
            deadline: limit.map(|limit| Instant::now() + limit),
            limit: limit.unwrap_or_default(),
        }
    }

    /// For parts of this conversion: stops with it, and can be stopped alone; has a gauge of its own.
    pub(super) fn part(&self) -> Self {
        Self {
            cancel: Arc::default(),
            above: Some(Arc::clone(&self.cancel)),
            gauge: Arc::default(),
            ..self.clone()
        }
    }

    /// Asks the conversion to stop; it does within half a second. Cannot be taken back.
    pub fn cancel(&self) {
        self.cancel.store(true, Relaxed);
    }

    /// Notes that a packet was written: the first one counts.
    pub(super) fn packet_written(&self) {
        if self.gauge.first_packet_us.load(Relaxed) == 0 {
            let us = u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.gauge.first_packet_us.store(us.max(1), Relaxed);
        }
    }

    /// Notes that the first picture came to the encoder.
    pub(super) fn encoder_began(&self) {
        self.gauge.encoding(|encoding| {
            *encoding = Encoding {
                began: Some((Instant::now(), processor_time())),
                ..Encoding::default()
            };
        });
    }

    /// Notes that the encoder gave a packet: it has all the pictures that it looks ahead.
    pub(super) fn encoder_gave(&self) {
        self.gauge.encoding(|encoding| {
            encoding.gave.get_or_insert_with(Instant::now);
        });
    }

    /// Notes that the encoder has its last picture.
    pub(super) fn encoder_fed(&self) {
        self.gauge.encoding(|encoding| encoding.fed = Some(Instant::now()));
    }

    /// Notes that the encoder gave its last packet.
    pub(super) fn encoder_ended(&self) {
        self.gauge.encoding(|encoding| {
            let cpu = |since| processor_time().saturating_sub(since);
            encoding.ended = encoding.began.map(|(_, since)| (Instant::now(), cpu(since)));
        });
    }

    /// The gauge to poll.
    #[must_use]
    pub fn gauge(&self) -> &Gauge {
        &self.gauge
    }

    /// Whether the work may go on.
    ///
    /// # Errors
    /// [`MediaError::Canceled`] once cancelled, [`MediaError::TimeLimit`] once past the deadline.
    pub fn check(&self) -> Result<(), MediaError> {
        let above = self.above.as_ref().is_some_and(|above| above.load(Relaxed));
        if above || self.cancel.load(Relaxed) {
            return Err(MediaError::Canceled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(MediaError::TimeLimit {
                limit_s: self.limit.as_secs(),
            }),
            _ => Ok(()),
        }
    }
}

/// Where a conversion stands, written by the engine and read by anyone.
#[derive(Debug, Default)]
pub struct Gauge {
    /// The part of the whole that this pass is, millionths: how much lay behind it, and how much it adds.
    behind_ppm: AtomicU64,
    pass_ppm: AtomicU64,
    done_us: AtomicU64,
    total_us: AtomicU64,
    frames: AtomicU64,
    out_bytes: AtomicU64,
    /// Since the control was made; 0 before there is one.
    first_packet_us: AtomicU64,
    encoding: Mutex<Encoding>,
}

/// What the encoder of pictures went through.
#[derive(Clone, Copy, Debug, Default)]
struct Encoding {
    /// When its first picture came, and the processor time of the process then.
    began: Option<(Instant, Duration)>,
    /// When it gave its first packet.
    gave: Option<Instant>,
    /// When its last picture came.
    fed: Option<Instant>,
    /// When it gave its last packet, and the processor time of the process since the first picture.
    ended: Option<(Instant, Duration)>,
}

/// Processor time of this process so far.
pub(super) fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// One reading of a [`Gauge`].
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    /// The share of the whole that lay behind this pass, millionths; 0 where there is one pass.
    pub behind_ppm: u64,
    /// The share of the whole that this pass is, millionths; 0 means all of it.
    pub pass_ppm: u64,
    /// Media time written so far in this pass, microseconds.
    pub done_us: u64,
    /// Media time in all, microseconds; 0 while unknown.
    pub total_us: u64,
    /// Video frames written so far.
    pub frames: u64,
    /// Bytes written so far.
    pub out_bytes: u64,
}

impl Progress {
    /// The share done, 0..=1; `None` while the total is unknown.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share for people, not for arithmetic")]
    pub fn fraction(&self) -> Option<f64> {
        (self.total_us > 0).then(|| {
            let pass = (self.done_us as f64 / self.total_us as f64).clamp(0.0, 1.0);
            match self.pass_ppm {
                0 => pass,
                pass_ppm => (self.behind_ppm as f64 + pass * pass_ppm as f64) / 1e6,
            }
        })
    }
}

impl Gauge {
    /// The latest values.
    #[must_use]
    pub fn read(&self) -> Progress {
        Progress {
            behind_ppm: self.behind_ppm.load(Relaxed),
            pass_ppm: self.pass_ppm.load(Relaxed),
            done_us: self.done_us.load(Relaxed),
            total_us: self.total_us.load(Relaxed),
            frames: self.frames.load(Relaxed),
            out_bytes: self.out_bytes.load(Relaxed),
        }
    }

    /// What comes next is one pass of several: it takes the share so far to this much, millionths.
    pub(super) fn pass_until(&self, until_ppm: u64) {
        let behind_ppm = self.behind_ppm.load(Relaxed) + self.pass_ppm.load(Relaxed);
        self.total_us.store(0, Relaxed);
        self.behind_ppm.store(behind_ppm, Relaxed);
        self.pass_ppm.store(until_ppm.saturating_sub(behind_ppm), Relaxed);
    }

    /// A new way of the same work: nothing lies behind it.
    pub(super) fn restart(&self) {
        self.behind_ppm.store(0, Relaxed);
        self.pass_ppm.store(0, Relaxed);
    }

    /// How long after its control was made the first packet was written; `None` before.
    #[must_use]
    pub fn first_packet(&self) -> Option<Duration> {
        let us = self.first_packet_us.load(Relaxed);
        (us > 0).then(|| Duration::from_micros(us))
    }

    /// How many cores this process kept busy from the first picture at the encoder to its last packet; `None` where no
    /// picture was encoded. What else the process does meanwhile counts too.
    #[must_use]
    pub fn encode_cores_busy(&self) -> Option<f64> {
        let mut busy = None;
        self.encoding(|encoding| {
            if let (Some((began, _)), Some((ended, cpu))) = (encoding.began, encoding.ended) {
                let wall_s = (ended - began).as_secs_f64();
                busy = Some(cpu.as_secs_f64() / wall_s).filter(|busy| busy.is_finite());
            }
        });
        busy
    }

    /// When the first picture came to the encoder and when it gave its last packet; `None` before, and where no picture was
    /// encoded.
    #[must_use]
    pub fn encoded(&self) -> Option<(Instant, Instant)> {
        let mut took = None;
        self.encoding(|encoding| {
            let ends = encoding.began.zip(encoding.ended);
            took = ends.map(|((from, _), (to, _))| (from, to));
        });
        took
    }

    /// When the encoder gave its first packet and when its last picture came: it was full meanwhile. `None` before, and where
    /// all pictures came before a packet.
    #[must_use]
    pub fn encoder_full(&self) -> Option<(Instant, Instant)> {
        let mut full = None;
        self.encoding(|encoding| full = encoding.gave.zip(encoding.fed).filter(|(from, to)| from < to));
        full
    }

    fn encoding(&self, change: impl FnOnce(&mut Encoding)) {
        change(&mut self.encoding.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// As another process has it.
    pub(super) fn set(&self, progress: Progress) {
        self.behind_ppm.store(progress.behind_ppm, Relaxed);
        self.pass_ppm.store(progress.pass_ppm, Relaxed);
        self.done_us.store(progress.done_us, Relaxed);
        self.total_us.store(progress.total_us, Relaxed);
        self.frames.store(progress.frames, Relaxed);
        self.out_bytes.store(progress.out_bytes, Relaxed);
    }

    pub(super) fn start(&self, total_us: u64) {
        self.total_us.store(total_us, Relaxed);
        self.done_us.store(0, Relaxed);
        self.frames.store(0, Relaxed);
        self.out_bytes.store(0, Relaxed);
    }

    pub(super) fn reach(&self, done_us: u64) {
        self.done_us.fetch_max(done_us, Relaxed);
    }

    pub(super) fn advance(&self, by_us: u64) {
        self.done_us.fetch_add(by_us, Relaxed);
    }

    pub(super) fn count_frame(&self) {
        self.frames.fetch_add(1, Relaxed);
    }

    pub(super) fn count_bytes(&self, bytes: u64) {
        self.out_bytes.fetch_add(bytes, Relaxed);
    }
}
