//! Plan -> file, as threads of this job with small bounded queues.
//!
//! ```text
//!            packets          frames           frames           packets
//!  demux ─┬─ video decode ──── video filter ─── video encode ─┬─ mux (the calling thread)
//!         └─ audio decode ──── audio filter ─── audio encode ─┘
//!         └─ copied streams go straight to mux ───────────────┘
//! ```
//!
//! Every stage owns its libav object; they share the [`Control`] and a [`Tally`]. A stage that fails or is told to stop
//! drops its ends of the queues: its neighbours wake and end too, so the whole line falls within one packet. The first
//! real error wins. Mux always receives, so the line cannot lock up whatever the order of packets is.
//!
//! Times: one common start is subtracted from all streams, so the offset between sound and picture stays.

mod mux;

use std::fs::File;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use self::mux::mux;
use super::chain;
use super::control::Control;
use super::error::MediaError;
use super::ffi::{
    self, AudioTarget, AvError, Decoder, Encoder, Frame, FrameShape, Graph, Input, Packet, StreamParams, VideoTarget,
};
use super::info::{MediaInfo, Rational};
use super::plan::{AudioWay, Picture, Plan, VideoWay};
use super::preset::Limits;

const PACKETS_MAX: usize = 32;
const FRAMES_MAX: usize = 4;
const LOOK_AT_CONTROL: Duration = Duration::from_millis(100);
/// What AAC-LC takes at once.
const AAC_SAMPLES: u32 = 1024;

/// What the stages counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) video_packets_in: AtomicU64,
    pub(super) video_decoded: AtomicU64,
    pub(super) decode_errors: AtomicU64,
    pub(super) video_out: AtomicU64,
    pub(super) audio_out: AtomicU64,
    pub(super) out_end_us: AtomicI64,
    pub(super) clamped: AtomicU64,
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

/// A filtered frame, or for sound and pictures alike the base of its time.
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
    common_start_us: i64,
    threads: u32,
}

/// Runs the plan. The output is complete and synced when this returns.
pub(super) fn transcode(
    plan: &Plan,
    info: &MediaInfo,
    input: File,
    output: File,
    limits: &Limits,
    control: &Control,
) -> Result<Tally, MediaError> {
    let tally = Tally::default();
    let mut demuxer = Input::open(input, limits, control).map_err(|error| super::probe::refuse(error, control))?;
    let video = plan.video.as_ref().map(|(index, _)| *index);
    let audio = plan.audio.as_ref().map(|(index, _)| *index);
    demuxer.keep_only(&[video, audio].into_iter().flatten().collect::<Vec<_>>());
    let job = Job {
        plan,
        info,
        limits,
        control,
        tally: &tally,
        common_start_us: common_start_us(info, video, audio),
        threads: limits.threads_max.unwrap_or(0),
    };
    control.gauge().start(info.duration_us.map_or(0, i64::unsigned_abs));
    run(&job, demuxer, output)?;
    Ok(tally)
}

fn common_start_us(info: &MediaInfo, video: Option<usize>, audio: Option<usize>) -> i64 {
    [video, audio]
        .into_iter()
        .flatten()
        .filter_map(|index| Some(info.streams.get(index)?.start_us))
        .min()
        .unwrap_or(0)
}

/// Builds the line on scoped threads and muxes on this one.
fn run(job: &Job<'_>, demuxer: Input, output: File) -> Result<(), MediaError> {
    let first_error = Mutex::new(None::<MediaError>);
    let keep = |outcome: Stage| {
        if let Err(Halt::Failed(error)) = outcome {
            first_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(error);
        }
    };
    let keep = &keep;
    let muxed = thread::scope(|scope| -> Result<(), MediaError> {
        let (to_mux, at_mux) = sync_channel::<ToMux>(PACKETS_MAX);
        let mut routes: Vec<Route> = Vec::new();
        if let Some((index, way)) = &job.plan.video {
            let params = demuxer.params(*index).map_err(engine("read the stream's parameters"))?;
            routes.push(match way {
                VideoWay::Copy => Route::copy(*index, params, &to_mux),
                VideoWay::Encode { .. } => {
                    let (to_decode, at_decode) = sync_channel(PACKETS_MAX);
                    let (to_filter, at_filter) = sync_channel(FRAMES_MAX);
                    let (to_encode, at_encode) = sync_channel(FRAMES_MAX);
                    let time_base = params.time_base;
                    scope.spawn(move || keep(decode(job, &params, true, &at_decode, &to_filter)));
                    scope.spawn(move || keep(filter_video(job, way, time_base, &at_filter, &to_encode)));
                    let (to_mux, index) = (to_mux.clone(), *index);
                    scope.spawn(move || keep(encode(job, index, Some(way), None, &at_encode, &to_mux)));
                    Route::Decode { index, to: to_decode }
                }
            });
        }
        if let Some((index, way)) = &job.plan.audio {
            let params = demuxer.params(*index).map_err(engine("read the stream's parameters"))?;
            routes.push(match way {
                AudioWay::Copy => Route::copy(*index, params, &to_mux),
                AudioWay::Encode { .. } => {
                    let (to_decode, at_decode) = sync_channel(PACKETS_MAX);
                    let (to_filter, at_filter) = sync_channel(FRAMES_MAX);
                    let (to_encode, at_encode) = sync_channel(FRAMES_MAX);
                    let time_base = params.time_base;
                    scope.spawn(move || keep(decode(job, &params, false, &at_decode, &to_filter)));
                    scope.spawn(move || keep(filter_audio(job, way, time_base, &at_filter, &to_encode)));
                    let (to_mux, index) = (to_mux.clone(), *index);
                    scope.spawn(move || keep(encode(job, index, None, Some(way), &at_encode, &to_mux)));
                    Route::Decode { index, to: to_decode }
                }
            });
        }
        let expected = routes.len();
        drop(to_mux);
        scope.spawn(move || keep(demux(job, demuxer, routes)));
        let outcome = mux(job, output, expected, &at_mux);
        drop(at_mux);
        if let Err(Halt::Failed(error)) = outcome {
            return Err(error);
        }
        Ok(())
    });
    let stopped = first_error.into_inner().unwrap_or_else(PoisonError::into_inner);
    job.control.check()?;
    match (stopped, muxed) {
        (Some(error), _) | (None, Err(error)) => Err(error),
        (None, Ok(())) => Ok(()),
    }
}

/// Where the demuxer sends the packets of one stream.
enum Route {
    Decode {
        index: usize,
        to: SyncSender<Packet>,
    },
    Copy {
        index: usize,
        params: Option<StreamParams>,
        to: SyncSender<ToMux>,
        last_dts: Option<i64>,
        time_base: Rational,
        /// One frame, for packets that say no duration.
        step: i64,
    },
}

impl Route {
    fn copy(index: usize, params: StreamParams, to_mux: &SyncSender<ToMux>) -> Self {
        let (time_base, rate) = (params.time_base, params.frame_rate);
        let step = if rate.num > 0 {
            Rational {
                num: rate.den,
                den: rate.num,
            }
            .rescale(1, time_base)
        } else {
            0
        };
        Self::Copy {
            step,
            index,
            params: Some(params),
            to: to_mux.clone(),
            last_dts: None,
            time_base,
        }
    }

    fn index(&self) -> usize {
        match self {
            Self::Decode { index, .. } | Self::Copy { index, .. } => *index,
        }
    }
}

fn demux(job: &Job<'_>, mut demuxer: Input, mut routes: Vec<Route>) -> Stage {
    for route in &mut routes {
        if let Route::Copy { index, params, to, .. } = route
            && let Some(params) = params.take()
        {
            to.send(ToMux::Ready(*index, params)).map_err(|_| Halt::Hungup)?;
        }
    }
    let video = job.plan.video.as_ref().map(|(index, _)| *index);
    loop {
        job.control.check()?;
        let packet = match demuxer.read() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            Err(AvError::EXIT) => return Err(stop_reason(job)),
            // A damaged tail: what came before it is the video.
            Err(_) => {
                job.tally.decode_errors.fetch_add(1, Relaxed);
                break;
            }
        };
        if Some(packet.stream()) == video {
            count_input(job, &packet);
        }
        let Some(route) = routes.iter_mut().find(|route| route.index() == packet.stream()) else {
            continue;
        };
        send_packet(job, route, packet)?;
    }
    for route in &routes {
        if let Route::Copy { index, to, .. } = route {
            to.send(ToMux::End(*index)).map_err(|_| Halt::Hungup)?;
        }
    }
    Ok(())
}

fn stop_reason(job: &Job<'_>) -> Halt {
    Halt::Failed(job.control.check().err().unwrap_or(MediaError::Canceled))
}

fn count_input(job: &Job<'_>, packet: &Packet) {
    job.tally.video_packets_in.fetch_add(1, Relaxed);
    if packet.is_corrupt() {
        job.tally.decode_errors.fetch_add(1, Relaxed);
    }
}

fn send_packet(job: &Job<'_>, route: &mut Route, mut packet: Packet) -> Stage {
    match route {
        Route::Decode { to, .. } => to.send(packet).map_err(|_| Halt::Hungup),
        Route::Copy {
            index,
            to,
            last_dts,
            time_base,
            step,
            ..
        } => {
            let shift = Rational::MICROS.rescale(job.common_start_us, *time_base);
            let pts = packet.pts().map(|pts| pts - shift);
            let mut dts = packet.dts().map(|dts| dts - shift);
            if let (Some(now), Some(last)) = (dts, *last_dts)
                && now <= last
            {
                job.tally.clamped.fetch_add(1, Relaxed);
                dts = Some(last + 1);
            }
            *last_dts = dts.or(*last_dts);
            // Matroska leaves the first decoding times of a reordered stream open: the muxer derives them from the
            // presentation times and the reordering delay, for which it needs a duration.
            packet.default_duration(*step);
            let pts = match (pts, dts) {
                (Some(pts), Some(dts)) => Some(pts.max(dts)),
                (pts, dts) => pts.or(dts),
            };
            packet.set_times(pts, dts);
            to.send(ToMux::Packet(*index, packet)).map_err(|_| Halt::Hungup)
        }
    }
}

/// Receives with an eye on the control; `None` when the sender is gone.
fn receive<T>(job: &Job<'_>, from: &Receiver<T>) -> Result<Option<T>, Halt> {
    loop {
        job.control.check()?;
        match from.recv_timeout(LOOK_AT_CONTROL) {
            Ok(item) => return Ok(Some(item)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn decode(job: &Job<'_>, params: &StreamParams, video: bool, from: &Receiver<Packet>, to: &SyncSender<Frame>) -> Stage {
    let alpha = match &job.plan.video {
        Some((_, VideoWay::Encode { picture, .. })) => video && picture.alpha_side_stream,
        _ => false,
    };
    let threads = if video { job.threads } else { 1 };
    let mut decoder = Decoder::open(params, job.limits, threads, alpha).map_err(engine("open the decoder"))?;
    let forward = |decoder: &mut Decoder| -> Stage {
        loop {
            match decoder.receive() {
                Ok(frame) => {
                    if video {
                        job.tally.video_decoded.fetch_add(1, Relaxed);
                        job.tally
                            .decode_errors
                            .fetch_add(u64::from(frame.is_corrupt()), Relaxed);
                    }
                    to.send(frame).map_err(|_| Halt::Hungup)?;
                }
                Err(AvError::AGAIN | AvError::EOF) => return Ok(()),
                // One bad picture must not cost the rest of the film.
                Err(_) => {
                    job.tally.decode_errors.fetch_add(1, Relaxed);
                    return Ok(());
                }
            }
        }
    };
    while let Some(packet) = receive(job, from)? {
        loop {
            match decoder.send(Some(&packet)) {
                Ok(()) => break,
                Err(AvError::AGAIN) => forward(&mut decoder)?,
                Err(_) => {
                    job.tally.decode_errors.fetch_add(u64::from(video), Relaxed);
                    break;
                }
            }
        }
        forward(&mut decoder)?;
    }
    // A decoder that refuses to flush has nothing left to give.
    if decoder.send(None).is_ok() {
        forward(&mut decoder)?;
    }
    Ok(())
}

/// Rebases times and keeps them strictly ascending.
struct Clock {
    shift: i64,
    last: Option<i64>,
    step: i64,
}

impl Clock {
    /// `anchor` makes the first frame 0: for streams whose container has no presentation times, or that are alone.
    fn new(job: &Job<'_>, time_base: Rational, step: i64) -> Self {
        Self {
            shift: Rational::MICROS.rescale(job.common_start_us, time_base),
            last: None,
            step,
        }
    }

    fn place(&mut self, job: &Job<'_>, frame: &mut Frame, anchor: bool) {
        let raw = frame.best_effort().or(frame.pts());
        if let (None, Some(first), true) = (self.last, raw, anchor) {
            self.shift = first;
        }
        let guess = self.last.map_or(0, |last| last + self.step);
        let mut pts = raw.map_or(guess, |pts| pts - self.shift);
        if let Some(last) = self.last
            && pts <= last
        {
            job.tally.clamped.fetch_add(1, Relaxed);
            pts = last + 1;
        }
        self.last = Some(pts);
        frame.set_pts(Some(pts));
    }
}

fn filter_video(
    job: &Job<'_>,
    way: &VideoWay,
    time_base: Rational,
    from: &Receiver<Frame>,
    to: &SyncSender<Filtered>,
) -> Stage {
    let VideoWay::Encode {
        picture, frame_rate, ..
    } = way
    else {
        return Ok(());
    };
    let step = Rational {
        num: frame_rate.den,
        den: frame_rate.num.max(1),
    }
    .rescale(1, time_base)
    .max(1);
    let mut clock = Clock::new(job, time_base, step);
    let anchor = job.info.video().is_some_and(|video| !video.has_pts)
        || job.info.is_container(&["avi"])
        || job.plan.audio.is_none();
    let mut graph: Option<(FrameShape, Graph)> = None;
    while let Some(mut frame) = receive(job, from)? {
        clock.place(job, &mut frame, anchor);
        frame.forget_picture_type();
        let shape = frame.shape();
        if graph.as_ref().is_none_or(|(built_for, _)| *built_for != shape) {
            if let Some((_, old)) = &mut graph {
                end_graph(old, to)?;
            }
            let new = open_video_graph(job, picture, &shape, time_base, *frame_rate)?;
            graph = Some((shape, new));
        }
        let Some((_, graph)) = &mut graph else { continue };
        graph.send(Some(frame)).map_err(engine("filter the video"))?;
        drain_graph(graph, to)?;
    }
    graph.map_or(Ok(()), |(_, mut graph)| end_graph(&mut graph, to))
}

fn open_video_graph(
    job: &Job<'_>,
    picture: &Picture,
    shape: &FrameShape,
    time_base: Rational,
    frame_rate: Rational,
) -> Result<Graph, Halt> {
    let pixel = ffi::pixel_facts(shape.format).unwrap_or_default();
    let chain = chain::video(picture, shape, pixel);
    Graph::video(shape, time_base, frame_rate, &chain, job.threads).map_err(|error| {
        Halt::Failed(MediaError::Engine {
            doing: "build the video filters",
            what: format!("{error} ({chain})"),
        })
    })
}

fn filter_audio(
    job: &Job<'_>,
    way: &AudioWay,
    time_base: Rational,
    from: &Receiver<Frame>,
    to: &SyncSender<Filtered>,
) -> Stage {
    let AudioWay::Encode {
        sample_rate, channels, ..
    } = way
    else {
        return Ok(());
    };
    let chain = chain::audio(*sample_rate, *channels);
    let shift = Rational::MICROS.rescale(job.common_start_us, time_base);
    let alone = job.plan.video.is_none();
    let (mut graph, mut first): (Option<(FrameShape, Graph)>, Option<i64>) = (None, None);
    while let Some(mut frame) = receive(job, from)? {
        if frame.samples() <= 0 {
            continue;
        }
        let raw = frame.best_effort().or(frame.pts());
        let first_pts = *first.get_or_insert(raw.unwrap_or(0));
        frame.set_pts(raw.map(|pts| pts - if alone { first_pts } else { shift }));
        let mut shape = frame.shape();
        shape.full_range = false;
        if graph.as_ref().is_none_or(|(built_for, _)| *built_for != shape) {
            if let Some((_, old)) = &mut graph {
                end_graph(old, to)?;
            }
            let mut new = Graph::audio(&shape, time_base, &chain).map_err(engine("build the audio filters"))?;
            new.set_frame_samples(AAC_SAMPLES);
            graph = Some((shape, new));
        }
        let Some((_, graph)) = &mut graph else { continue };
        graph.send(Some(frame)).map_err(engine("filter the audio"))?;
        drain_graph(graph, to)?;
    }
    graph.map_or(Ok(()), |(_, mut graph)| end_graph(&mut graph, to))
}

fn end_graph(graph: &mut Graph, to: &SyncSender<Filtered>) -> Stage {
    graph.send(None).map_err(engine("end the filters"))?;
    drain_graph(graph, to)
}

fn drain_graph(graph: &mut Graph, to: &SyncSender<Filtered>) -> Stage {
    let time_base = graph.time_base();
    loop {
        match graph.receive() {
            Ok(frame) => to.send(Filtered { frame, time_base }).map_err(|_| Halt::Hungup)?,
            Err(AvError::AGAIN | AvError::EOF) => return Ok(()),
            Err(error) => return Err(Halt::Failed(engine("filter")(error))),
        }
    }
}

/// Opens the encoder from the first filtered frame: only it knows the real format.
fn encode(
    job: &Job<'_>,
    index: usize,
    video: Option<&VideoWay>,
    audio: Option<&AudioWay>,
    from: &Receiver<Filtered>,
    to: &SyncSender<ToMux>,
) -> Stage {
    let mut open: Option<(Encoder, Rational, i64)> = None;
    while let Some(Filtered { mut frame, time_base }) = receive(job, from)? {
        frame.forget_picture_type();
        if open.is_none() {
            let (mut encoder, frame_rate) = open_encoder(job, video, audio, &frame, time_base)?;
            let mut params = encoder
                .params(time_base)
                .map_err(engine("read the encoder's parameters"))?;
            let step = match frame_rate {
                Some(rate) => {
                    params.frame_rate = rate;
                    Rational {
                        num: rate.den,
                        den: rate.num.max(1),
                    }
                    .rescale(1, time_base)
                    .max(1)
                }
                None => i64::from(encoder.frame_samples()),
            };
            to.send(ToMux::Ready(index, params)).map_err(|_| Halt::Hungup)?;
            open = Some((encoder, time_base, step));
        }
        let Some((encoder, base, step)) = &mut open else {
            continue;
        };
        if time_base != *base {
            frame.set_pts(frame.pts().map(|pts| time_base.rescale(pts, *base)));
        }
        encoder.send(Some(&frame)).map_err(engine("encode"))?;
        forward_packets(encoder, index, *step, to)?;
    }
    if let Some((encoder, _, step)) = &mut open {
        encoder.send(None).map_err(engine("end the encoder"))?;
        forward_packets(encoder, index, *step, to)?;
    }
    to.send(ToMux::End(index)).map_err(|_| Halt::Hungup)
}

fn open_encoder(
    job: &Job<'_>,
    video: Option<&VideoWay>,
    audio: Option<&AudioWay>,
    frame: &Frame,
    time_base: Rational,
) -> Result<(Encoder, Option<Rational>), Halt> {
    if let Some(VideoWay::Encode {
        picture,
        crf,
        speed,
        gop,
        frame_rate,
    }) = video
    {
        let target = VideoTarget {
            codec: "libx264",
            options: vec![
                ("preset", (*speed).to_owned()),
                ("crf", crf.to_string()),
                ("profile", "high".to_owned()),
            ],
            frame_rate: *frame_rate,
            gop: *gop,
            threads: job.threads,
            matrix: picture.colour.matrix,
            transfer: picture.colour.transfer,
            primaries: picture.colour.primaries,
        };
        let encoder = Encoder::open_video(&target, &frame.shape(), time_base, picture.colour.full_range)
            .map_err(engine("open the video encoder"))?;
        return Ok((encoder, Some(*frame_rate)));
    }
    let bit_rate_bps = match audio {
        Some(AudioWay::Encode { bit_rate_bps, .. }) => *bit_rate_bps,
        _ => 128_000,
    };
    let target = AudioTarget {
        codec: "aac",
        bit_rate_bps,
    };
    let encoder = Encoder::open_audio(&target, &frame.shape(), time_base).map_err(engine("open the audio encoder"))?;
    Ok((encoder, None))
}

fn forward_packets(encoder: &mut Encoder, index: usize, step: i64, to: &SyncSender<ToMux>) -> Stage {
    loop {
        match encoder.receive() {
            Ok(mut packet) => {
                // Older x264 wrappers say no duration, and the last frame would last no time at all.
                packet.default_duration(step);
                to.send(ToMux::Packet(index, packet)).map_err(|_| Halt::Hungup)?;
            }
            Err(AvError::AGAIN | AvError::EOF) => return Ok(()),
            Err(error) => return Err(Halt::Failed(engine("encode")(error))),
        }
    }
}

/// A fault of ours, or of this build of libav.
pub(super) fn engine(doing: &'static str) -> impl Fn(AvError) -> MediaError {
    move |error| MediaError::Engine {
        doing,
        what: error.to_string(),
    }
}

impl From<AvError> for Halt {
    fn from(error: AvError) -> Self {
        Self::Failed(engine("run libav")(error))
    }
}
