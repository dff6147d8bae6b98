//! Frames -> frames as the encoder wants them, on the output's clock. The graph is built from the frames that really
//! arrive, and anew where their shape changes; the old one gives up what it holds first.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender};

use tempfile::NamedTempFile;

use super::{Filtered, Halt, Job, Stage, engine, receive};
use crate::media::chain::{self, Target};
use crate::media::error::MediaError;
use crate::media::ffi::{self, AvError, Frame, FrameShape, Graph, Source};
use crate::media::info::Rational;
use crate::media::plan::{AudioWay, VideoEncode};
use crate::media::recipe::Trim;

/// Rebases times and keeps them strictly ascending.
struct Clock {
    shift: i64,
    last: Option<i64>,
    /// As the source says it.
    last_raw: Option<i64>,
    step: i64,
    /// Between frames whose times are equal: half a frame, but no less than the contract's frame rate.
    squeezed: i64,
    /// The first frame is to be 0: for streams whose container has no presentation times, or that are alone.
    anchored: bool,
    /// Times that are kept, in the stream's base.
    kept: Option<i64>,
    cut: bool,
}

impl Clock {
    fn new(job: &Job<'_>, encode: &VideoEncode, time_base: Rational) -> Self {
        // The source's own rate: a cap on the frame rate comes after the clock.
        let fps = job.info.video().map_or(0.0, |video| video.fps);
        #[expect(clippy::cast_possible_truncation, reason = "a frame lasts less than a day")]
        let frame_us = (1e6
            / if fps > 0.0 {
                fps
            } else {
                encode.frame_rate.value().max(1.0)
            }) as i64;
        let step = Rational::MICROS.rescale(frame_us, time_base).max(1);
        let fastest = Rational { num: 1, den: 60 }.rescale(1, time_base);
        Self {
            shift: Rational::MICROS.rescale(job.zero_us, time_base),
            last: None,
            last_raw: None,
            step,
            squeezed: (step / 2).max(fastest).max(1),
            anchored: job.info.video().is_some_and(|video| !video.has_pts)
                || job.info.is_container(&["avi"])
                || job.plan.audio.is_none(),
            kept: job.kept_us().map(|us| Rational::MICROS.rescale(us, time_base)),
            cut: job.plan.cut.is_some_and(|cut| cut.from_us > 0),
        }
    }

    /// Whether the frame lies in the part that is kept.
    fn place(&mut self, job: &Job<'_>, frame: &mut Frame) -> bool {
        let raw = frame.best_effort().or(frame.pts());
        if self.cut && raw.is_some_and(|raw| raw < self.shift) {
            return false;
        }
        if let (None, Some(first), true) = (self.last, raw, self.anchored) {
            self.kept = self
                .kept
                .map(|kept| if self.cut { kept - (first - self.shift) } else { kept });
            self.shift = first;
        }
        let guess = self.last.map_or(0, |last| last + self.step);
        let mut pts = raw.map_or(guess, |pts| pts - self.shift);
        // A frame that would outlast the part by more than a tenth of itself is not begun.
        if self.kept.is_some_and(|kept| pts + self.step > kept + self.step / 10) {
            return false;
        }
        if let Some(last) = self.last
            && pts <= last
        {
            job.tally.clamped.fetch_add(1, Relaxed);
            // Frames with one time are spread; a clock that goes back is waited for, lest all that follows be late.
            pts = last + if raw == self.last_raw { self.squeezed } else { 1 };
        }
        self.last = Some(pts);
        self.last_raw = raw;
        frame.set_pts(Some(pts));
        true
    }
}

pub(super) fn video(job: &Job<'_>, time_base: Rational, from: &Receiver<Frame>, to: &SyncSender<Filtered>) -> Stage {
    let Some(encode) = job.plan.encode() else { return Ok(()) };
    let mut clock = Clock::new(job, encode, time_base);
    let mut first: Option<FrameShape> = None;
    let mut graph: Option<(FrameShape, Graph)> = None;
    while let Some(mut frame) = receive(job, from)? {
        if !clock.place(job, &mut frame) {
            continue;
        }
        frame.forget_picture_type();
        let shape = frame.shape();
        if graph.as_ref().is_none_or(|(built_for, _)| *built_for != shape) {
            if let Some((_, old)) = &mut graph {
                end(old, to)?;
            }
            let first = first.get_or_insert_with(|| shape.clone());
            graph = Some((
                shape.clone(),
                open_video(job, encode, (first, &shape), &frame, time_base)?,
            ));
        }
        let Some((_, graph)) = &mut graph else { continue };
        graph.send(Some(frame)).map_err(engine("filter the video"))?;
        drain(graph, to)?;
    }
    graph.map_or(Ok(()), |(_, mut graph)| end(&mut graph, to))
}

fn open_video(
    job: &Job<'_>,
    encode: &VideoEncode,
    (first, shape): (&FrameShape, &FrameShape),
    frame: &Frame,
    time_base: Rational,
) -> Result<Graph, Halt> {
    let pixel = ffi::pixel_facts(shape.format).unwrap_or_default();
    let table = chain::table(&encode.picture)?;
    let table = table.as_ref().map(NamedTempFile::path);
    let source = Source {
        shape,
        time_base,
        frame_rate: encode.frame_rate,
    };
    let picture = &encode.picture;
    let (built, chain) = match job.device {
        None => {
            let chain = chain::video(picture, table, first, shape, pixel);
            (Graph::video(&source, &chain, job.threads), chain)
        }
        Some(device) => {
            let target = if job.plan.rung.encodes_on_gpu() {
                Target::Gpu
            } else {
                Target::Memory
            };
            let chain = chain::video_by_gpu((picture, job.plan.filters), table, (first, shape), pixel, target);
            (Graph::video_on(device, frame, &source, &chain, job.threads), chain)
        }
    };
    built.map_err(|error| {
        Halt::Failed(MediaError::Engine {
            doing: "build the video filters",
            what: format!("{error} ({chain})"),
        })
    })
}

pub(super) fn audio(job: &Job<'_>, time_base: Rational, from: &Receiver<Frame>, to: &SyncSender<Filtered>) -> Stage {
    let Some((
        _,
        AudioWay::Encode {
            codec,
            sample_rate,
            channels,
            ..
        },
    )) = &job.plan.audio
    else {
        return Ok(());
    };
    let shift = Rational::MICROS.rescale(job.zero_us, time_base);
    let alone = job.plan.video.is_none() && job.plan.cut.is_none();
    let target = chain::Sound {
        codec: *codec,
        sample_rate: *sample_rate,
        channels: *channels,
    };
    let mut sound = Sound {
        target,
        cut: job.plan.cut,
        time_base,
        shaping: None,
        timing: None,
    };
    let mut first: Option<i64> = None;
    while let Some(mut frame) = receive(job, from)? {
        if frame.samples() <= 0 {
            continue;
        }
        let raw = frame.best_effort().or(frame.pts());
        let first_pts = *first.get_or_insert(raw.unwrap_or(0));
        frame.set_pts(raw.map(|pts| pts - if alone { first_pts } else { shift }));
        if !sound.take(frame, to)? {
            return Ok(());
        }
    }
    sound.end(to)
}

/// Two graphs in a row: one for the shape of what arrives, rebuilt where that changes, and one that keeps the time.
struct Sound {
    target: chain::Sound,
    cut: Option<Trim>,
    time_base: Rational,
    shaping: Option<(FrameShape, Graph)>,
    timing: Option<Graph>,
}

impl Sound {
    /// Whether more is wanted: nothing is after the end of the part.
    fn take(&mut self, frame: Frame, to: &SyncSender<Filtered>) -> Result<bool, Halt> {
        let mut shape = frame.shape();
        shape.full_range = false;
        if self.shaping.as_ref().is_none_or(|(built_for, _)| *built_for != shape) {
            if let Some((_, old)) = &mut self.shaping {
                old.send(None).map_err(engine("end the filters"))?;
                self.pass_on(to)?;
            }
            let chain = chain::sound_shape(self.target, shape.channels);
            let graph = Graph::audio(&shape, self.time_base, &chain).map_err(engine("build the audio filters"))?;
            self.shaping = Some((shape, graph));
        }
        if let Some((_, graph)) = &mut self.shaping {
            graph.send(Some(frame)).map_err(engine("filter the audio"))?;
        }
        self.pass_on(to)
    }

    /// From the first graph through the second.
    fn pass_on(&mut self, to: &SyncSender<Filtered>) -> Result<bool, Halt> {
        let Some((_, shaping)) = &mut self.shaping else {
            return Ok(true);
        };
        loop {
            let frame = match shaping.receive() {
                Ok(frame) => frame,
                Err(AvError::AGAIN | AvError::EOF) => return Ok(true),
                Err(error) => return Err(Halt::Failed(engine("filter the audio")(error))),
            };
            let timing = match &mut self.timing {
                Some(timing) => timing,
                None => {
                    let chain = chain::sound_time(
                        self.target.sample_rate,
                        frame.pts().is_some_and(|pts| pts < 0),
                        self.cut,
                    );
                    let mut graph = Graph::audio(&frame.shape(), shaping.time_base(), &chain)
                        .map_err(engine("build the audio filters"))?;
                    graph.set_frame_samples(chain::frame_samples(self.target.codec));
                    self.timing.insert(graph)
                }
            };
            match timing.send(Some(frame)) {
                Ok(()) => drain(timing, to)?,
                // The end of the part was reached.
                Err(AvError::EOF) => {
                    drain(timing, to)?;
                    return Ok(false);
                }
                Err(error) => return Err(Halt::Failed(engine("filter the audio")(error))),
            }
        }
    }

    fn end(&mut self, to: &SyncSender<Filtered>) -> Stage {
        if let Some((_, shaping)) = &mut self.shaping {
            shaping.send(None).map_err(engine("end the filters"))?;
            self.pass_on(to)?;
        }
        self.timing.as_mut().map_or(Ok(()), |timing| end(timing, to))
    }
}

fn end(graph: &mut Graph, to: &SyncSender<Filtered>) -> Stage {
    graph.send(None).map_err(engine("end the filters"))?;
    drain(graph, to)
}

fn drain(graph: &mut Graph, to: &SyncSender<Filtered>) -> Stage {
    let time_base = graph.time_base();
    loop {
        match graph.receive() {
            Ok(frame) => to.send(Filtered { frame, time_base }).map_err(|_| Halt::Hungup)?,
            Err(AvError::AGAIN | AvError::EOF) => return Ok(()),
            Err(error) => return Err(Halt::Failed(engine("filter")(error))),
        }
    }
}
