//! Frames -> frames as the encoder wants them, on the output's clock. The graph is built from the frames that really
//! arrive, and anew where their shape changes; the old one gives up what it holds first.
//!
//! A line that makes one segment of a film has its frames listed: it takes those and no others, and gives up where one
//! differs, for its neighbours could not know.

use std::sync::atomic::Ordering::Relaxed;

use tempfile::NamedTempFile;

use super::clock::Clock;
use super::share::{Cursor, Share};
use super::stage::Next;
use super::{Filtered, Halt, Job, Stage, engine, unfit};
use crate::media::chain::{self, Target};
use crate::media::error::MediaError;
use crate::media::ffi::{self, AvError, Frame, FrameShape, Graph, Source};
use crate::media::info::Rational;
use crate::media::plan::{AudioWay, VideoEncode};
use crate::media::recipe::Trim;

/// The pictures' filters, and where frames go.
pub(super) struct Pictures<'a, N> {
    job: &'a Job<'a>,
    encode: &'a VideoEncode,
    time_base: Rational,
    places: Places<'a>,
    first: Option<FrameShape>,
    graph: Option<(FrameShape, Graph)>,
    next: N,
}

impl<'a, N: Next<Filtered>> Pictures<'a, N> {
    /// `None` where the plan encodes no picture.
    pub(super) fn new(job: &'a Job<'_>, time_base: Rational, next: N) -> Option<Self> {
        let encode = job.plan.encode()?;
        Some(Self {
            job,
            encode,
            time_base,
            places: Places::new(job, encode, time_base),
            first: None,
            graph: None,
            next,
        })
    }
}

impl<N: Next<Filtered>> Next<Frame> for Pictures<'_, N> {
    fn take(&mut self, mut frame: Frame) -> Stage {
        if !self.places.place(self.job, &mut frame)? {
            return Ok(());
        }
        frame.forget_picture_type();
        let shape = frame.shape();
        if let Share::Pictures(span) = self.job.share {
            span.admit(&frame, &shape, self.encode.picture.deinterlace)
                .map_err(unfit)?;
        }
        if self.graph.as_ref().is_none_or(|(built_for, _)| *built_for != shape) {
            if let Some((_, old)) = &mut self.graph {
                finish(old, &mut self.next)?;
            }
            let first = self.first.get_or_insert_with(|| shape.clone());
            let graph = open_video(self.job, self.encode, (first, &shape), &frame, self.time_base)?;
            self.graph = Some((shape, graph));
        }
        let Some((_, graph)) = &mut self.graph else {
            return Ok(());
        };
        graph.send(Some(frame)).map_err(engine("filter the video"))?;
        drain(graph, &mut self.next)
    }

    fn end(&mut self) -> Stage {
        self.places.end()?;
        if let Some((_, graph)) = &mut self.graph {
            finish(graph, &mut self.next)?;
        }
        self.next.end()
    }
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
            (Graph::video(&source, &chain, job.threads.filters), chain)
        }
        Some(device) => {
            let target = if job.plan.rung.encodes_on_gpu() {
                Target::Gpu
            } else {
                Target::Memory
            };
            let chain = chain::video_by_gpu((picture, job.plan.filters), table, (first, shape), pixel, target);
            (
                Graph::video_on(device, frame, &source, &chain, job.threads.filters),
                chain,
            )
        }
    };
    built.map_err(|error| {
        Halt::Failed(MediaError::Engine {
            doing: "build the video filters",
            what: format!("{error} ({chain})"),
        })
    })
}

/// The sound's filters, and where frames go. Two graphs in a row: one for the shape of what arrives, rebuilt where that
/// changes, and one that keeps the time.
pub(super) struct Sound<N> {
    target: chain::Sound,
    cut: Option<Trim>,
    time_base: Rational,
    /// How far times are moved; `None` where the first frame begins at 0.
    shift: Option<i64>,
    first: Option<i64>,
    shaping: Option<(FrameShape, Graph)>,
    timing: Option<Graph>,
    /// The end of the part was reached: what still comes is not wanted.
    done: bool,
    next: N,
}

impl<N: Next<Filtered>> Sound<N> {
    /// `None` where the plan encodes no sound.
    pub(super) fn new(job: &Job<'_>, time_base: Rational, next: N) -> Option<Self> {
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
            return None;
        };
        let alone = job.plan.video.is_none() && job.plan.cut.is_none();
        Some(Self {
            target: chain::Sound {
                codec: *codec,
                sample_rate: *sample_rate,
                channels: *channels,
            },
            cut: job.plan.cut,
            time_base,
            shift: (!alone).then(|| Rational::MICROS.rescale(job.zero_us, time_base)),
            first: None,
            shaping: None,
            timing: None,
            done: false,
            next,
        })
    }

    /// From the first graph through the second.
    fn pass_on(&mut self) -> Stage {
        let Some((_, shaping)) = &mut self.shaping else {
            return Ok(());
        };
        while !self.done {
            let frame = match shaping.receive() {
                Ok(frame) => frame,
                Err(AvError::AGAIN | AvError::EOF) => break,
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
                Ok(()) => {}
                Err(AvError::EOF) => self.done = true,
                Err(error) => return Err(Halt::Failed(engine("filter the audio")(error))),
            }
            drain(timing, &mut self.next)?;
        }
        Ok(())
    }
}

impl<N: Next<Filtered>> Next<Frame> for Sound<N> {
    fn take(&mut self, mut frame: Frame) -> Stage {
        if self.done || frame.samples() <= 0 {
            return Ok(());
        }
        let raw = frame.best_effort().or(frame.pts());
        let first = *self.first.get_or_insert(raw.unwrap_or(0));
        frame.set_pts(raw.map(|pts| pts - self.shift.unwrap_or(first)));
        let mut shape = frame.shape();
        shape.full_range = false;
        if self.shaping.as_ref().is_none_or(|(built_for, _)| *built_for != shape) {
            if let Some((_, old)) = &mut self.shaping {
                old.send(None).map_err(engine("end the filters"))?;
                self.pass_on()?;
            }
            let chain = chain::sound_shape(self.target, shape.channels);
            let graph = Graph::audio(&shape, self.time_base, &chain).map_err(engine("build the audio filters"))?;
            self.shaping = Some((shape, graph));
        }
        if let Some((_, graph)) = &mut self.shaping {
            graph.send(Some(frame)).map_err(engine("filter the audio"))?;
        }
        self.pass_on()
    }

    fn end(&mut self) -> Stage {
        if !self.done {
            if let Some((_, shaping)) = &mut self.shaping {
                shaping.send(None).map_err(engine("end the filters"))?;
                self.pass_on()?;
            }
            if let Some(timing) = self.timing.as_mut().filter(|_| !self.done) {
                finish(timing, &mut self.next)?;
            }
        }
        self.next.end()
    }
}

/// Takes out of a graph what it still holds.
fn finish(graph: &mut Graph, next: &mut impl Next<Filtered>) -> Stage {
    graph.send(None).map_err(engine("end the filters"))?;
    drain(graph, next)
}

fn drain(graph: &mut Graph, next: &mut impl Next<Filtered>) -> Stage {
    let time_base = graph.time_base();
    loop {
        match graph.receive() {
            Ok(frame) => next.take(Filtered { frame, time_base })?,
            Err(AvError::AGAIN | AvError::EOF) => return Ok(()),
            Err(error) => return Err(Halt::Failed(engine("filter")(error))),
        }
    }
}
