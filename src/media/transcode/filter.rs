//! Frames -> frames as the encoder wants them, on the output's clock. The graph is built from the frames that really
//! arrive, and anew where their shape changes; the old one gives up what it holds first.
//!
//! A line that makes one segment of a film has its frames listed: it takes those and no others, and gives up where one
//! differs, for its neighbours could not know.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender};

use tempfile::NamedTempFile;

use super::clock::Clock;
use super::share::{Cursor, Share};
use super::{Filtered, Halt, Job, Stage, engine, receive, unfit};
use crate::media::chain::{self, Target};
use crate::media::error::MediaError;
use crate::media::ffi::{self, AvError, Frame, FrameShape, Graph, Source};
use crate::media::info::Rational;
use crate::media::plan::{AudioWay, VideoEncode};
use crate::media::recipe::Trim;

pub(super) fn video(job: &Job<'_>, time_base: Rational, from: &Receiver<Frame>, to: &SyncSender<Filtered>) -> Stage {
    let Some(encode) = job.plan.encode() else { return Ok(()) };
    let mut places = Places::new(job, encode, time_base);
    let mut first: Option<FrameShape> = None;
    let mut graph: Option<(FrameShape, Graph)> = None;
    while let Some(mut frame) = receive(job, from)? {
        if !places.place(job, &mut frame)? {
            continue;
        }
        frame.forget_picture_type();
        let shape = frame.shape();
        if let Share::Pictures(span) = job.share {
            span.admit(&frame, &shape, encode.picture.deinterlace).map_err(unfit)?;
        }
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
    places.end()?;
    graph.map_or(Ok(()), |(_, mut graph)| end(&mut graph, to))
}

/// Where frames get their times from: the clock, or the list of a segment.
enum Places<'a> {
    Clock(Clock),
    List(Cursor<'a>),
}

impl<'a> Places<'a> {
    fn new(job: &Job<'a>, encode: &VideoEncode, time_base: Rational) -> Self {
        match job.share {
            Share::Pictures(span) => Self::List(Cursor::new(span.times)),
            Share::All | Share::Sound => Self::Clock(Clock::new(job.plan, job.info, encode, job.zero_us, time_base)),
        }
    }

    /// Whether the frame is wanted; sets its time.
    fn place(&mut self, job: &Job<'_>, frame: &mut Frame) -> Result<bool, Halt> {
        let raw = frame.best_effort().or(frame.pts());
        let pts = match self {
            Self::Clock(clock) => clock.place(raw).map(|(pts, clamped)| {
                job.tally.clamped.fetch_add(u64::from(clamped), Relaxed);
                pts
            }),
            Self::List(cursor) => cursor.place(raw).map_err(unfit)?,
        };
        if pts.is_some() {
            frame.set_pts(pts);
        }
        Ok(pts.is_some())
    }

    fn end(&self) -> Stage {
        match self {
            Self::Clock(_) => Ok(()),
            Self::List(cursor) => cursor.end().map_err(unfit),
        }
    }
}

fn open_video(
    job: &Job<'_>,
    encode: &VideoEncode,
    (first, shape): (&FrameShape, &FrameShape),
    frame: &Frame,
    time_base: Rational,
) -> Result<Graph, Halt> {
    let pixel = ffi::pixel_facts(shape.format).unwrap_or_default();
    let table = job.table.as_ref().map(NamedTempFile::path);
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
