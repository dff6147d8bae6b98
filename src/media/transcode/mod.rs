//! Plan -> file, as threads of this job with small bounded queues.
//!
//! ```text
//!            packets                        frames           packets
//!  [demux] ─┬─ [decode ─ filter] of pictures ─── [encode] ─────┬─ [mux] (the calling thread)
//!           ├─ [decode ─ filter ─ encode] of sound ────────────┤
//!           └─ copied streams go straight to mux ──────────────┘
//! ```
//!
//! A pair of brackets is a thread. Where decoding and filtering are more than a small share of the work, each of the two has
//! its own: [`threads`](super::threads). Between threads is a [`queue`], which wakes nobody for a single packet.
//!
//! Every stage owns its libav object; they share the [`Control`] and a [`Tally`]. A stage that fails or is told to stop
//! drops its ends of the queues: its neighbours wake and end too, so the whole line falls within one packet. The first
//! real error wins. Mux always receives, so the line cannot lock up whatever the order of packets is.
//!
//! The same line makes parts of a film for [`segment`](super::segment): the pictures of one segment, or the sound, end in
//! a [`Spool`] instead of the muxer, and [`join`] lets only the muxer run.
//!
//! Times: one common start is subtracted from all streams, so the offset between sound and picture stays.

mod budget;
mod check;
mod clock;
mod decode;
mod decoding;
mod demux;
mod encode;
mod filter;
mod mux;
mod queue;
mod share;
mod spool;
mod stage;

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Scope};

use tempfile::NamedTempFile;

use self::budget::Budget;
pub(super) use self::clock::Clock;
use self::decode::Decode;
use self::demux::Route;
use self::encode::Encode;
pub(super) use self::encode::options as encoder_options;
use self::queue::{Receiver, Room, Sender, queue};
pub(super) use self::share::{Share, Span};
pub(super) use self::spool::{Packets, Spool};
use self::stage::{Next, drive, receive};
use super::chain;
use super::confine::{Confined, Openings, alone};
use super::control::{Control, Gauge};
use super::error::MediaError;
use super::ffi::{AvError, Device, Frame, Input, Packet, Pass, StreamParams, take_long_turns};
use super::info::{MediaInfo, Rational};
use super::limits::Limits;
use super::plan::{AudioWay, Plan, VideoWay};
use super::probe::{Unread, refuse};
use super::threads::{Threads, cores};

/// Packets on their way to a decoder.
const PACKETS: Room = Room {
    items_max: 32,
    refill_at: 16,
    wake_at: 1,
};
/// Packets on their way to the muxer.
const TO_MUX: Room = Room {
    items_max: 32,
    refill_at: 16,
    wake_at: 8,
};
/// One picture on its way while the next is made: more of them would only lie in memory.
const FRAMES: Room = Room {
    items_max: 1,
    refill_at: 0,
    wake_at: 1,
};
/// Pictures in memory on their way to an encoder. Its threads stand idle now and then, while one frame waits for rows of another;
/// with room for several pictures a decoder uses that time, with room for one it has nothing to do but wait for the encoder.
const TO_ENCODE: Room = Room {
    items_max: 8,
    refill_at: 7,
    wake_at: 1,
};

/// How much nicer encoders are than the rest of their line.
const ENCODER_NICE: i32 = 3;

/// What the stages counted.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) video_packets_in: AtomicU64,
    pub(super) video_decoded: AtomicU64,
    pub(super) decode_errors: AtomicU64,
    pub(super) video_out: AtomicU64,
    pub(super) audio_out: AtomicU64,
    pub(super) out_bytes: AtomicU64,
    pub(super) video_bytes: AtomicU64,
    /// First presentation times that were written, microseconds; `i64::MAX` before the first.
    pub(super) video_start_us: AtomicI64,
    pub(super) audio_start_us: AtomicI64,
    pub(super) out_end_us: AtomicI64,
    pub(super) clamped: AtomicU64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            video_packets_in: AtomicU64::default(),
            video_decoded: AtomicU64::default(),
            decode_errors: AtomicU64::default(),
            video_out: AtomicU64::default(),
            audio_out: AtomicU64::default(),
            out_bytes: AtomicU64::default(),
            video_bytes: AtomicU64::default(),
            video_start_us: AtomicI64::new(i64::MAX),
            audio_start_us: AtomicI64::new(i64::MAX),
            out_end_us: AtomicI64::default(),
            clamped: AtomicU64::default(),
        }
    }
}

/// Which run of the encoder this is, and where its statistics lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct PassOf<'a> {
    pub(super) pass: Pass,
    pub(super) statistics: &'a Path,
}

/// Why a stage ended early.
enum Halt {
    /// A neighbour went away first; it knows why.
    Hungup,
    Failed(MediaError),
}

impl From<MediaError> for Halt {
    fn from(error: MediaError) -> Self {
        Self::Failed(error)
    }
}

type Stage = Result<(), Halt>;

/// What arrives at the muxer.
enum ToMux {
    Ready(usize, StreamParams),
    Packet(usize, Packet),
    End(usize),
}

/// A filtered frame and the base of its time.
struct Filtered {
    frame: Frame,
    time_base: Rational,
}

/// What every stage may look at.
struct Job<'a> {
    plan: &'a Plan,
    info: &'a MediaInfo,
    limits: &'a Limits,
    control: &'a Control,
    tally: &'a Tally,
    budget: Budget,
    pass: Option<PassOf<'a>>,
    /// The GPU that takes part.
    device: Option<&'a Device>,
    share: Share<'a>,
    /// What is 0 in the output, microseconds on the source's clock.
    zero_us: i64,
    threads: Threads,
    /// The file of colours, where the picture is mapped: no stage can write one.
    table: Option<NamedTempFile>,
}

impl Job<'_> {
    /// Length of the part that is kept, microseconds; `None` for all of it.
    fn kept_us(&self) -> Option<i64> {
        self.plan.kept_us()
    }

    /// The GPU, for a stage that works on it.
    fn device_if(&self, works_there: bool) -> Option<&Device> {
        self.device.filter(|_| works_there)
    }

    fn takes_pictures(&self) -> bool {
        !matches!(self.share, Share::Sound)
    }

    fn takes_sound(&self) -> bool {
        !matches!(self.share, Share::Pictures(_))
    }

    fn only_statistics(&self) -> bool {
        self.pass.is_some_and(|of| of.pass == Pass::First)
    }

    /// What its stages open by name.
    fn openings(&self) -> Openings<'_> {
        Openings {
            file: self.table.as_ref().map(NamedTempFile::path),
            folder: self.pass.and_then(|of| of.statistics.parent()),
            gpu: self.device.is_some(),
        }
    }
}

/// Runs the plan, and goes on behind the same walls with the output, which is complete then, but not synced. A first pass
/// writes only statistics.
pub(super) fn transcode<T: Send>(
    (plan, info): (&Plan, &MediaInfo),
    (input, output): (Unread, File),
    (pass, device): (Option<PassOf<'_>>, Option<&Device>),
    limits: &Limits,
    control: &Control,
    go_on: impl FnOnce(&Tally, &Confined) -> Result<T, MediaError> + Send,
) -> Result<(Tally, T), MediaError> {
    let tally = Tally::default();
    let job = Job {
        plan,
        info,
        limits,
        control,
        tally: &tally,
        budget: Budget::default(),
        pass,
        device,
        share: Share::All,
        zero_us: zero_us(plan, info),
        threads: limits
            .threads_max
            .map_or_else(|| Threads::balanced(cores(), plan, info), Threads::each),
        table: table(plan)?,
    };
    control
        .gauge()
        .start(plan.duration_us(info).map_or(0, i64::unsigned_abs));
    let more = alone(limits.confine, job.openings(), |confined| {
        run(&job, open(&job, input, confined)?, |expected, at_mux| {
            if job.only_statistics() {
                mux::count(&job, at_mux)?;
            } else {
                mux::mux(&job, output, expected, at_mux)?;
            }
            // Beside the encoder, which takes its time to close.
            go_on(&tally, confined).map_err(Halt::Failed)
        })
    })?;
    Ok((tally, more))
}

/// A part of what a plan makes, and who makes it.
pub(super) struct Part<'a> {
    pub(super) plan: &'a Plan,
    pub(super) info: &'a MediaInfo,
    pub(super) share: Share<'a>,
    pub(super) device: Option<&'a Device>,
    /// So many cores are its share.
    pub(super) cores: u32,
    pub(super) limits: &'a Limits,
    pub(super) control: &'a Control,
}

/// Makes a part of the output; `pace` is the film's gauge and how far a picture moves it, microseconds.
pub(super) fn part(
    part: &Part<'_>,
    input: File,
    mut spool: Spool,
    pace: Option<(&Gauge, u64)>,
) -> Result<(Spool, Tally), MediaError> {
    let tally = Tally::default();
    let job = Job {
        plan: part.plan,
        info: part.info,
        limits: part.limits,
        control: part.control,
        tally: &tally,
        budget: Budget::default(),
        pass: None,
        device: part.device,
        share: part.share,
        zero_us: zero_us(part.plan, part.info),
        threads: Threads::of_part(part.cores, part.plan, part.info),
        table: table(part.plan)?,
    };
    alone(part.limits.confine, job.openings(), |confined| {
        run(&job, open(&job, Unread::File(input), confined)?, |_, at_mux| {
            spool::spool(&job, &mut spool, pace, at_mux)
        })
    })?;
    Ok((spool, tally))
}

/// Lets the muxer run alone: `feed` sends what parts have made.
pub(super) fn join(
    (plan, info): (&Plan, &MediaInfo),
    output: File,
    limits: &Limits,
    control: &Control,
    feed: impl FnOnce(&Feed) -> Result<(), MediaError> + Send,
) -> Result<Tally, MediaError> {
    let tally = Tally::default();
    let job = Job {
        plan,
        info,
        limits,
        control,
        tally: &tally,
        budget: Budget::default(),
        pass: None,
        device: None,
        share: Share::All,
        zero_us: zero_us(plan, info),
        threads: Threads::each(1),
        table: None,
    };
    let expected = usize::from(plan.video.is_some()) + usize::from(plan.audio.is_some());
    alone(limits.confine, Openings::default(), |_| {
        let first_error = FirstError::default();
        let keep = &first_error;
        let muxed = thread::scope(|scope| {
            let (to_mux, at_mux) = queue::<ToMux>(TO_MUX);
            scope.spawn(move || keep.keep(feed(&Feed(to_mux)).map_err(Halt::Failed)));
            mux::mux(&job, output, expected, &at_mux)
        });
        settle(&job, first_error, muxed)
    })?;
    Ok(tally)
}

/// The way into the muxer. A muxer that went away is no error here: it knows why.
pub(super) struct Feed(Sender<ToMux>);

impl Feed {
    pub(super) fn ready(&self, index: usize, params: StreamParams) {
        let _ = self.0.send_urgent(ToMux::Ready(index, params));
    }

    /// Whether there is still a muxer.
    pub(super) fn packet(&self, index: usize, packet: Packet) -> bool {
        self.0.send(ToMux::Packet(index, packet)).is_ok()
    }

    pub(super) fn end(&self, index: usize) {
        let _ = self.0.send_urgent(ToMux::End(index));
    }
}

/// The file of colours that a plan needs.
fn table(plan: &Plan) -> Result<Option<NamedTempFile>, MediaError> {
    plan.encode().map_or(Ok(None), |encode| chain::table(&encode.picture))
}

/// What is 0 in the output, microseconds on the source's clock.
pub(super) fn zero_us(plan: &Plan, info: &MediaInfo) -> i64 {
    let video = plan.video.as_ref().map(|(index, _)| *index);
    let audio = plan.audio.as_ref().map(|(index, _)| *index);
    common_start_us(info, video, audio) + plan.cut.map_or(0, |cut| cut.from_us)
}

/// A demuxer of the streams that the job's share takes.
fn open(job: &Job<'_>, input: Unread, confined: &Confined) -> Result<Input, MediaError> {
    let mut demuxer = input
        .open(job.info, job.limits, job.control, confined)
        .map_err(|error| refuse(error, job.control))?;
    // The sound of a part begins where the whole line would: at the key frame that seeking finds.
    let video = job
        .plan
        .video
        .as_ref()
        .filter(|_| job.takes_pictures() || job.plan.cut.is_some());
    let audio = job.plan.audio.as_ref().filter(|_| job.takes_sound());
    let streams = [video.map(|(index, _)| *index), audio.map(|(index, _)| *index)];
    demuxer.keep_only(&streams.into_iter().flatten().collect::<Vec<_>>());
    Ok(demuxer)
}

/// The earliest of the chosen streams; but sound that is ahead of the picture by less than a frame is a decoder's
/// priming, and the picture is what starts at 0.
fn common_start_us(info: &MediaInfo, video: Option<usize>, audio: Option<usize>) -> i64 {
    let start_us = |index: Option<usize>| Some(info.streams.get(index?)?.start_us);
    match (start_us(video), start_us(audio)) {
        (Some(video_us), Some(audio_us)) if audio_us < video_us => {
            let fps = info.video().map_or(25.0, |video| video.fps.clamp(20.0, 60.0));
            #[expect(clippy::cast_possible_truncation, reason = "at most 50 000")]
            let frame_us = (1e6 / fps) as i64;
            if video_us - audio_us < frame_us {
                video_us
            } else {
                audio_us
            }
        }
        (Some(video_us), _) => video_us,
        (None, Some(audio_us)) => audio_us,
        (None, None) => 0,
    }
}

/// Builds the line on scoped threads; its end, the muxer or what stands for it, runs on this one.
fn run<T>(
    job: &Job<'_>,
    demuxer: Input,
    end: impl FnOnce(usize, &Receiver<ToMux>) -> Result<T, Halt>,
) -> Result<T, MediaError> {
    // x264's threads wake each other for a few rows at a time, and each would take the core from another.
    if let Err(error) = take_long_turns() {
        tracing::debug!(%error, "turns are as short as ever");
    }
    let first_error = FirstError::default();
    let keep = &first_error;
    let ended = thread::scope(|scope| -> Result<T, Halt> {
        let (to_mux, at_mux) = queue::<ToMux>(TO_MUX);
        let mut routes: Vec<Route> = Vec::new();
        if let Some((index, way)) = job.plan.video.as_ref().filter(|_| job.takes_pictures()) {
            let params = demuxer.params(*index).map_err(engine("read the stream's parameters"))?;
            routes.push(match way {
                VideoWay::Copy { tags } => Route::copy(job, *index, params, *tags, &to_mux)?,
                VideoWay::Encode(_) => converted(scope, job, keep, *index, params, &to_mux)?,
            });
        }
        if let Some((index, way)) = job.plan.audio.as_ref().filter(|_| job.takes_sound())
            && !job.only_statistics()
        {
            let params = demuxer.params(*index).map_err(engine("read the stream's parameters"))?;
            routes.push(match way {
                AudioWay::Copy => Route::copy(job, *index, params, None, &to_mux)?,
                AudioWay::Encode { .. } => converted(scope, job, keep, *index, params, &to_mux)?,
            });
        }
        let expected = routes.len();
        drop(to_mux);
        start(scope, keep, "demux", move || demux::demux(job, demuxer, routes))?;
        let outcome = end(expected, &at_mux);
        drop(at_mux);
        outcome
    });
    settle(job, first_error, ended)
}

/// What a line came to: what stopped it counts before what its end made of that.
fn settle<T>(job: &Job<'_>, first_error: FirstError, ended: Result<T, Halt>) -> Result<T, MediaError> {
    let stopped = first_error.take();
    job.control.check()?;
    match (stopped, ended) {
        (Some(error), _) | (None, Err(Halt::Failed(error))) => Err(error),
        (None, Ok(made)) => Ok(made),
        (None, Err(Halt::Hungup)) => Err(MediaError::Engine {
            doing: "convert",
            what: "a stage went away and said nothing".to_owned(),
        }),
    }
}

/// Spawns the stages of a stream. Pictures are encoded on a thread of their own, for that is what takes time; sound is all
/// made on one.
fn converted<'scope>(
    scope: &'scope Scope<'scope, '_>,
    job: &'scope Job<'_>,
    keep: &'scope FirstError,
    index: usize,
    params: StreamParams,
    to_mux: &Sender<ToMux>,
) -> Result<Route, Halt> {
    let (to_decode, at_decode) = queue(PACKETS);
    let (time_base, to_mux) = (params.time_base, to_mux.clone());
    let video = job.plan.video.as_ref().is_some_and(|(one, _)| *one == index);
    if !video {
        let sound = move || {
            let Some(encode) = Encode::sound(job, index, to_mux) else {
                return Ok(());
            };
            let Some(filters) = filter::Sound::new(job, time_base, encode) else {
                return Ok(());
            };
            drive(job, &at_decode, Decode::open(job, &params, false, filters)?)
        };
        start(scope, keep, "sound", sound)?;
        return Ok(Route::Decode { index, to: to_decode });
    }
    // A card has only so many surfaces.
    let on_gpu = job.plan.rung.encodes_on_gpu();
    let (to_encode, at_encode) = queue(if on_gpu { FRAMES } else { TO_ENCODE });
    let encode = move || {
        if !on_gpu {
            give_way();
        }
        Encode::picture(job, index, to_mux).map_or(Ok(()), |encode| drive(job, &at_encode, encode))
    };
    start(scope, keep, "encode", encode)?;
    let filters = filter::Pictures::new(job, time_base, to_encode);
    if job.threads.apart {
        let (to_filter, at_filter) = queue(FRAMES);
        let filter = move || filters.map_or(Ok(()), |filters| drive(job, &at_filter, filters));
        start(scope, keep, "filter", filter)?;
        start(scope, keep, "decode", move || {
            decode(job, &params, &at_decode, to_filter)
        })?;
    } else {
        let decode = move || filters.map_or(Ok(()), |filters| decode(job, &params, &at_decode, filters));
        start(scope, keep, "decode", decode)?;
    }
    Ok(Route::Decode { index, to: to_decode })
}

/// Starts a stage on a thread with this name, which the threads that libav starts from it take over: `top -H` shows what a
/// conversion is busy with.
fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    keep: &'scope FirstError,
    name: &'static str,
    stage: impl FnOnce() -> Stage + Send + 'scope,
) -> Stage {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn_scoped(scope, move || keep.keep(stage()))
        .map(drop)
        .map_err(|error| {
            Halt::Failed(MediaError::Engine {
                doing: "start a thread",
                what: error.to_string(),
            })
        })
}

/// Puts this thread, and those that an encoder starts from it, behind what feeds them. As equals, six of an encoder's leave
/// a decoder a seventh of the cores; where decoding is most of the work they stand idle together until it has its next picture.
fn give_way() {
    if let Err(error) = rustix::process::nice(ENCODER_NICE) {
        tracing::debug!(%error, "the encoder goes first all the same");
    }
}

/// Decodes pictures on this thread.
fn decode(job: &Job<'_>, params: &StreamParams, from: &Receiver<Packet>, next: impl Next<Frame>) -> Stage {
    drive(job, from, Decode::open(job, params, true, next)?)
}

/// The first real error of the stages.
#[derive(Default)]
struct FirstError(Mutex<Option<MediaError>>);

impl FirstError {
    fn keep(&self, outcome: Stage) {
        if let Err(Halt::Failed(error)) = outcome {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(error);
        }
    }

    fn take(self) -> Option<MediaError> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was found on the way does not fit this way of working.
fn unfit(why: &str) -> Halt {
    Halt::Failed(MediaError::Unfit(why.to_owned()))
}

/// A fault of ours, or of this build of libav.
pub(super) fn engine(doing: &'static str) -> impl Fn(AvError) -> MediaError {
    move |error| MediaError::Engine {
        doing,
        what: error.to_string(),
    }
}
