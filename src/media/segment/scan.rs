//! Every packet of the video stream, none decoded -> its key frames and the time in the output of each frame.
//!
//! The times are found by the same clock that an undivided run has, fed in the order of showing; so a segment knows the
//! times of its frames without those before it.

use std::fs::File;

use super::Work;
use crate::media::confine::{Confined, Openings, alone};
use crate::media::error::MediaError;
use crate::media::ffi::{Input, Packet};
use crate::media::info::Rational;
use crate::media::probe::{patience, refuse};
use crate::media::timeline::Timeline;
use crate::media::transcode::{Clock, Span, zero_us};

/// More than 4 h at 120 frames a second, the limits' defaults; of each packet 40 bytes are kept.
const PACKETS_MAX: usize = 2_000_000;

/// One packet, as far as it matters. Times are in the stream's base.
#[derive(Clone, Copy)]
struct Seen {
    pts: i64,
    dts: i64,
    key: bool,
}

/// The video stream.
pub(super) struct Film {
    stream: usize,
    base: Rational,
    packets: Vec<Seen>,
    /// Places of the packets that a segment may begin with: all that is shown from there on comes after it.
    keys: Vec<usize>,
    /// Frames as they are shown: time in the source, time in the output.
    times: Vec<(i64, i64)>,
    /// Times that had to be moved.
    pub(super) clamped: u64,
    whole: bool,
}

/// Reads the stream to its end.
pub(super) fn scan(work: &Work<'_>) -> Result<Film, MediaError> {
    let file = (work.open)()?;
    alone(work.limits.confine, Openings::default(), |confined| {
        read(work, file, confined)
    })
}

fn read(work: &Work<'_>, file: File, confined: &Confined) -> Result<Film, MediaError> {
    let unfit = |why: &str| MediaError::Unfit(why.to_owned());
    let Some((stream, _)) = work.plan.video else {
        return Err(unfit("there is no video"));
    };
    let mut demuxer = Input::open_patiently(file, patience(work.info), work.limits, work.control, confined)
        .map_err(|error| refuse(error, work.control))?;
    demuxer.keep_only(&[stream]);
    let base = demuxer.facts(stream).time_base;
    let hides = work.info.video().is_some_and(|video| video.codec == "vp8");
    let mut timeline = Timeline::default();
    let (mut packets, mut hidden) = (Vec::new(), Vec::new());
    loop {
        work.control.check()?;
        let packet = match demuxer.read() {
            Ok(Some(packet)) if packet.stream() == stream => packet,
            Ok(Some(_)) => continue,
            Ok(None) => break,
            Err(_) => {
                work.control.check()?;
                return Err(unfit("it does not read to its end"));
            }
        };
        let seen = look(&packet).map_err(unfit)?;
        if work.info.discontinuous {
            let us = |time| base.rescale(time, Rational::MICROS);
            timeline.place(stream, us(seen.dts), us(packet.duration()));
        }
        hidden.push(hides && is_hidden(packet.bytes()));
        packets.push(seen);
        if packets.len() > PACKETS_MAX {
            return Err(unfit("it has too many frames"));
        }
    }
    if timeline.jumps() > 0 {
        return Err(unfit("its clock starts anew in the middle"));
    }
    let mut shown: Vec<i64> = packets
        .iter()
        .zip(&hidden)
        .filter(|&(_, hidden)| !hidden)
        .map(|(seen, _)| seen.pts)
        .collect();
    shown.sort_unstable();
    let (times, clamped) = place(work, base, &shown);
    Ok(Film {
        stream,
        base,
        keys: keys(&packets),
        packets,
        times,
        clamped,
        whole: work.plan.cut.is_none(),
    })
}

fn look(packet: &Packet) -> Result<Seen, &'static str> {
    let pts = packet.pts().ok_or("its packets do not say when they are shown")?;
    if packet.is_discard() {
        return Err("its edit list hides pictures");
    }
    if packet.is_corrupt() {
        return Err("its packets are damaged");
    }
    Ok(Seen {
        pts,
        dts: packet.dts().map_or(pts, |dts| dts.min(pts)),
        key: packet.is_key(),
    })
}

/// VP8 says in its first byte whether a frame is shown (RFC 6386, section 9.1).
fn is_hidden(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first & 0x10 == 0)
}

fn place(work: &Work<'_>, base: Rational, shown: &[i64]) -> (Vec<(i64, i64)>, u64) {
    let Some(encode) = work.plan.encode() else {
        return (Vec::new(), 0);
    };
    let zero_us = zero_us(work.plan, work.info);
    let mut clock = Clock::new(work.plan, work.info, encode, zero_us, base);
    let mut moved = 0;
    let times = shown
        .iter()
        .filter_map(|&raw| {
            let (pts, clamped) = clock.place(Some(raw))?;
            moved += u64::from(clamped);
            Some((raw, pts))
        })
        .collect();
    (times, moved)
}

fn keys(packets: &[Seen]) -> Vec<usize> {
    let mut latest = i64::MIN;
    let mut keys = Vec::new();
    for (place, seen) in packets.iter().enumerate() {
        if seen.key && seen.pts > latest {
            keys.push(place);
        }
        latest = latest.max(seen.pts);
    }
    keys
}

impl Film {
    pub(super) fn frames(&self) -> u64 {
        self.times.len() as u64
    }

    pub(super) fn packets(&self) -> u64 {
        self.packets.len() as u64
    }

    fn us(&self, time: i64) -> i64 {
        self.base.rescale(time, Rational::MICROS)
    }

    /// Times of the key frames, microseconds on the container's clock.
    pub(super) fn keys_us(&self) -> Vec<i64> {
        self.keys
            .iter()
            .map(|&place| self.us(self.packets[place].pts))
            .collect()
    }

    /// First and last frame that is kept, microseconds on the container's clock.
    pub(super) fn range_us(&self) -> (i64, i64) {
        match (self.times.first(), self.times.last()) {
            (Some(&(first, _)), Some(&(last, _))) => (self.us(first), self.us(last)),
            _ => (0, 0),
        }
    }

    /// The segments that begin with these key frames, by their place in [`Film::keys_us`].
    pub(super) fn spans(&self, firsts: &[usize]) -> Result<Vec<Span<'_>>, &'static str> {
        let begin = |first: usize| -> (usize, Seen) { (self.keys[first], self.packets[self.keys[first]]) };
        let mut spans = Vec::new();
        for (number, &first) in firsts.iter().enumerate() {
            let (place, seen) = begin(first);
            let before = |first: usize| self.times.partition_point(|&(raw, _)| raw < begin(first).1.pts);
            let from = if number == 0 { 0 } else { before(first) };
            let to = firsts.get(number + 1).map_or(self.times.len(), |&next| before(next));
            let times = &self.times[from..to];
            let (Some(&(shown_first, _)), Some(&(shown_last, _))) = (times.first(), times.last()) else {
                return Err("a segment has no frames");
            };
            if shown_first < seen.pts {
                return Err("it does not begin with a key frame");
            }
            let wanted = shown_first..=shown_last;
            let last = self.packets.iter().rposition(|seen| wanted.contains(&seen.pts));
            spans.push(Span {
                stream: self.stream,
                key: seen.pts,
                // A little before, for it is rounded: the nearest key frame at or before is found.
                seek_us: (number > 0 || !self.whole).then(|| self.us(seen.dts) - 1),
                packets: last.map_or(0, |last| last + 1 - place),
                times,
                shape: std::sync::OnceLock::new(),
            });
        }
        Ok(spans)
    }
}
