//! The start of the line: packets of the chosen streams, on one clock, each to its decoder or straight to the muxer.

use std::sync::atomic::Ordering::Relaxed;

use super::check::{Check, SoundCheck};
use super::queue::Sender;
use super::share::{Share, Span};
use super::{Halt, Job, Stage, ToMux, engine, unfit};
use crate::media::error::MediaError;
use crate::media::ffi::{AvError, ColourTagger, Input, Packet, StreamParams};
use crate::media::info::{Colour, Rational};
use crate::media::nal::Header;
use crate::media::sei::{Syntax, without_user_data};
use crate::media::timeline::Timeline;

/// How far beyond the end of a part packets are read: pictures come in decoding order, microseconds.
const BEYOND_CUT_US: i64 = 2_000_000;

/// The longest that a picture may wait between decoding and being shown, microseconds.
const REORDER_US_MAX: i64 = 10_000_000;

/// Where the demuxer sends the packets of one stream.
pub(super) enum Route {
    Decode { index: usize, to: Sender<Packet> },
    Copy(Box<Copy>),
}

/// A stream whose packets go to the muxer as they are.
pub(super) struct Copy {
    index: usize,
    params: Option<StreamParams>,
    to: Sender<ToMux>,
    last_dts: Option<i64>,
    time_base: Rational,
    /// One frame, for packets that say no duration.
    step: i64,
    /// Video only: the header that the output will have.
    header: Option<Header>,
    /// Of what may carry user data: how, and the bytes of a unit's length.
    syntax: Option<(Syntax, usize)>,
    check: Option<Check>,
    sound_check: Option<SoundCheck>,
    /// A packet was left out: fine at the end, but nothing may follow it.
    ended: Option<&'static str>,
    tagger: Option<ColourTagger>,
}

impl Route {
    pub(super) fn copy(
        job: &Job<'_>,
        index: usize,
        params: StreamParams,
        tags: Option<Colour>,
        to_mux: &Sender<ToMux>,
    ) -> Result<Self, MediaError> {
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
        let header = params.is_h264().then(|| Header::of(params.extradata()));
        let syntax = match (params.is_h264(), params.is_hevc()) {
            (true, _) => Some(Syntax::H264),
            (_, true) => Some(Syntax::Hevc),
            _ => None,
        };
        let syntax = syntax.map(|syntax| (syntax, syntax.length_bytes(params.extradata())));
        let check = match &header {
            Some(_) => Some(Check::new(&params, job.info, job.limits)?),
            None => None,
        };
        let sound_check = if params.is_audio() {
            let whole = job.plan.encode().is_some();
            Some(SoundCheck::new(&params, job.info, job.limits, whole)?)
        } else {
            None
        };
        let (tagger, params) = match tags {
            None => (None, params),
            Some(colour) => {
                let unfit = |error: AvError| MediaError::Unfit(format!("its header cannot be rewritten: {error}"));
                let tagger = ColourTagger::open(&params, colour).map_err(unfit)?;
                let mut params = tagger.params(&params).map_err(unfit)?;
                params.set_colour(colour);
                (Some(tagger), params)
            }
        };
        Ok(Self::Copy(Box::new(Copy {
            index,
            params: Some(params),
            to: to_mux.clone(),
            last_dts: None,
            time_base,
            step,
            header,
            syntax,
            check,
            sound_check,
            ended: None,
            tagger,
        })))
    }

    fn index(&self) -> usize {
        match self {
            Self::Decode { index, .. } => *index,
            Self::Copy(copy) => copy.index,
        }
    }
}

pub(super) fn demux(job: &Job<'_>, mut demuxer: Input, mut routes: Vec<Route>) -> Stage {
    for route in &mut routes {
        if let Route::Copy(copy) = route
            && let Some(params) = copy.params.take()
        {
            copy.to
                .send_urgent(ToMux::Ready(copy.index, params))
                .map_err(|_| Halt::Hungup)?;
        }
    }
    if let (Share::Pictures(span), [Route::Decode { to, .. }]) = (job.share, routes.as_slice()) {
        return demux_span(job, demuxer, span, to);
    }
    seek(job, &mut demuxer);
    let bases: Vec<Rational> = (0..demuxer.stream_count())
        .map(|index| demuxer.facts(index).time_base)
        .collect();
    let mut timeline = job.info.discontinuous.then(Timeline::default);
    let mut beyond: Vec<usize> = Vec::new();
    loop {
        job.control.check()?;
        let mut packet = match demuxer.read() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            Err(AvError::EXIT) => return Err(stop_reason(job)),
            // A damaged tail: what came before it is the video.
            Err(_) => {
                job.tally.decode_errors.fetch_add(1, Relaxed);
                break;
            }
        };
        let index = packet.stream();
        let time = packet.dts().or(packet.pts());
        let time_us = time.and_then(|time| Some(bases.get(index)?.rescale(time, Rational::MICROS)));
        job.budget.packet(job, time_us)?;
        let (Some(route), Some(&base)) = (routes.iter_mut().find(|route| route.index() == index), bases.get(index))
        else {
            continue;
        };
        if let Some(timeline) = &mut timeline {
            place(timeline, &mut packet, base);
        }
        if is_beyond(job, &packet, base) {
            if !beyond.contains(&index) {
                beyond.push(index);
            }
            if beyond.len() == routes.len() {
                break;
            }
            continue;
        }
        count_input(job, &packet);
        match route {
            Route::Decode { to, .. } => to.send(packet).map_err(|_| Halt::Hungup)?,
            Route::Copy(copy) => copy.send(job, packet)?,
        }
    }
    if let Some(jumps) = timeline.map(|timeline| timeline.jumps()).filter(|&jumps| jumps > 0) {
        tracing::debug!(jumps, "the clock started anew");
    }
    for route in &mut routes {
        if let Route::Copy(copy) = route {
            if let Some(check) = &mut copy.check
                && !check.ends()
            {
                return Err(unfit("its packets do not decode"));
            }
            copy.to.send_urgent(ToMux::End(copy.index)).map_err(|_| Halt::Hungup)?;
        }
    }
    Ok(())
}

/// The packets of one segment, from its key frame to the last that one of its frames needs.
fn demux_span(job: &Job<'_>, mut demuxer: Input, span: &Span<'_>, to: &Sender<Packet>) -> Stage {
    let exact = job.info.is_container(&["mov", "matroska"]);
    if let (true, Some(from_us)) = (exact, span.seek_us)
        && let Err(error) = demuxer.seek(from_us)
    {
        tracing::debug!(%error, "no seeking, reading up to the segment");
    }
    let mut begun = false;
    let mut left = span.packets;
    while left > 0 {
        job.control.check()?;
        let packet = match demuxer.read() {
            Ok(Some(packet)) => packet,
            Err(AvError::EXIT) => return Err(stop_reason(job)),
            Ok(None) | Err(_) => return Err(unfit("its key frames are not found again")),
        };
        if packet.stream() != span.stream {
            continue;
        }
        begun = begun || (packet.is_key() && packet.pts() == Some(span.key));
        if begun {
            left -= 1;
            count_input(job, &packet);
            to.send(packet).map_err(|_| Halt::Hungup)?;
        }
    }
    Ok(())
}

/// Only indexes that are exact are trusted: elsewhere a part is found by reading up to it.
fn seek(job: &Job<'_>, demuxer: &mut Input) {
    let wanted = job.plan.cut.is_some_and(|cut| cut.from_us > 0);
    if wanted
        && job.info.is_container(&["mov", "matroska"])
        && let Err(error) = demuxer.seek(job.zero_us)
    {
        tracing::debug!(%error, "no seeking, reading up to the part");
    }
}

fn place(timeline: &mut Timeline, packet: &mut Packet, base: Rational) {
    let Some(dts) = packet.dts().or(packet.pts()) else {
        return;
    };
    // A presentation time so far from its decoding time is a flipped bit, not a reordering.
    if let Some(pts) = packet.pts()
        && base.rescale((pts - dts).abs(), Rational::MICROS) > REORDER_US_MAX
    {
        packet.set_times(Some(dts), Some(dts));
    }
    let offset_us = timeline.place(
        packet.stream(),
        base.rescale(dts, Rational::MICROS),
        base.rescale(packet.duration(), Rational::MICROS),
    );
    if offset_us != 0 {
        let offset = Rational::MICROS.rescale(offset_us, base);
        packet.set_times(
            packet.pts().map(|pts| pts + offset),
            packet.dts().map(|dts| dts + offset),
        );
    }
}

fn is_beyond(job: &Job<'_>, packet: &Packet, base: Rational) -> bool {
    match (job.kept_us(), packet.dts().or(packet.pts())) {
        (Some(kept_us), Some(dts)) => {
            base.rescale(dts, Rational::MICROS) - job.zero_us > kept_us.saturating_add(BEYOND_CUT_US)
        }
        _ => false,
    }
}

fn stop_reason(job: &Job<'_>) -> Halt {
    Halt::Failed(job.control.check().err().unwrap_or(MediaError::Canceled))
}

fn count_input(job: &Job<'_>, packet: &Packet) {
    if job
        .plan
        .video
        .as_ref()
        .is_some_and(|(index, _)| *index == packet.stream())
    {
        job.tally.video_packets_in.fetch_add(1, Relaxed);
        job.tally
            .decode_errors
            .fetch_add(u64::from(packet.is_corrupt()), Relaxed);
    }
}

impl Copy {
    fn send(&mut self, job: &Job<'_>, packet: Packet) -> Stage {
        if let Some(header) = &self.header
            && (packet.has_new_parameters() || header.is_left_by(packet.bytes()))
        {
            return Err(unfit("the picture's parameters change in mid-stream"));
        }
        let video = job.plan.video.as_ref().is_some_and(|(index, _)| *index == self.index);
        if packet.is_corrupt() {
            self.ended = Some("its packets are damaged");
            return Ok(());
        }
        if video && packet.is_discard() {
            self.ended = Some("its edit list hides pictures");
            return Ok(());
        }
        if let (Some(why), true) = (self.ended, video) {
            return Err(unfit(why));
        }
        if let (Some(check), Some(header)) = (&mut self.check, &self.header)
            && !check.passes(&packet, header, job.limits)?
        {
            return Err(unfit("its packets do not decode"));
        }
        if let Some(check) = &mut self.sound_check
            && !check.passes(&packet, job.limits)?
        {
            job.tally.decode_errors.fetch_add(1, Relaxed);
            return Ok(());
        }
        let (pts, dts) = self.times(job, &packet);
        let packet = self.strip(packet)?;
        let mut packet = match &mut self.tagger {
            None => packet,
            Some(tagger) => tagger
                .pass(packet)
                .map_err(|error| MediaError::Unfit(format!("its packets cannot be rewritten: {error}")))?,
        };
        // Matroska leaves the first decoding times of a reordered stream open: the muxer derives them from the
        // presentation times and the reordering delay, for which it needs a duration.
        packet.default_duration(self.step);
        packet.set_times(pts, dts);
        self.to
            .send(ToMux::Packet(self.index, packet))
            .map_err(|_| Halt::Hungup)
    }

    /// Without what a camera wrote into the pictures.
    fn strip(&self, packet: Packet) -> Result<Packet, Halt> {
        let Some((syntax, length_bytes)) = self.syntax else {
            return Ok(packet);
        };
        match without_user_data(packet.bytes(), length_bytes, syntax) {
            None => Ok(packet),
            Some(bytes) if bytes.is_empty() => Err(unfit("a packet of it is no picture")),
            Some(bytes) => Ok(packet.with_bytes(&bytes)?),
        }
    }

    /// From the output's zero, decoding times strictly ascending.
    fn times(&mut self, job: &Job<'_>, packet: &Packet) -> (Option<i64>, Option<i64>) {
        let shift = Rational::MICROS.rescale(job.zero_us, self.time_base);
        let pts = packet.pts().map(|pts| pts - shift);
        let mut dts = packet.dts().map(|dts| dts - shift);
        if let (Some(now), Some(last)) = (dts, self.last_dts)
            && now <= last
        {
            job.tally.clamped.fetch_add(1, Relaxed);
            dts = Some(last + 1);
        }
        self.last_dts = dts.or(self.last_dts);
        let pts = match (pts, dts) {
            (Some(pts), Some(dts)) => Some(pts.max(dts)),
            (pts, dts) => pts.or(dts),
        };
        (pts, dts)
    }
}

/// Opening failed before the line ran: a fault of ours.
impl From<AvError> for Halt {
    fn from(error: AvError) -> Self {
        Self::Failed(engine("run libav")(error))
    }
}
