//! One reading of the file, each packet into its part; all parts are open at once, under no final name.
//!
//! The thread that reads may open and remove no file: what it writes to is opened before, and removed by who asked.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use tempfile::NamedTempFile;

use super::index::{Index, Place, Track, unreadable};
use super::open;
use crate::media::confine::{Confined, Openings, alone};
use crate::media::control::Control;
use crate::media::convert::{io, temporary};
use crate::media::error::MediaError;
use crate::media::ffi::{AvError, Output, Packet};
use crate::media::info::{MediaInfo, Rational};
use crate::media::limits::Limits;
use crate::media::preset::Container;
use crate::media::probe::open_file;
use crate::media::transcode::{Tally, engine};

/// One part, whole, and what was counted.
pub(super) struct Written {
    pub(super) file: NamedTempFile,
    pub(super) tally: Tally,
}

/// One part while it is written.
struct Writing {
    tally: Tally,
    output: Output,
    from: Place,
    /// Of each stream, where it is in the output.
    video: Option<usize>,
    audio: Option<usize>,
}

/// What is read, and where it goes.
pub(super) struct Source<'a> {
    pub(super) input: &'a Path,
    pub(super) folder: &'a Path,
    pub(super) info: &'a MediaInfo,
    pub(super) index: &'a Index,
    pub(super) container: Container,
    pub(super) limits: &'a Limits,
    pub(super) control: &'a Control,
}

/// Writes the parts between these places.
pub(super) fn write(source: &Source<'_>, places: &[Place]) -> Result<Vec<Written>, MediaError> {
    let (mut files, mut writers) = (Vec::new(), Vec::new());
    for _ in 1..places.len() {
        let file = temporary(source.folder)?;
        writers.push(file.reopen().map_err(|source| io("create the output", source))?);
        files.push(file);
    }
    let (input, _) = open_file(source.input, source.limits)?;
    let tallies = alone(source.limits.confine, Openings::default(), |confined| {
        read(source, places, (input, writers), confined)
    })?;
    let written = files.into_iter().zip(tallies);
    Ok(written.map(|(file, tally)| Written { file, tally }).collect())
}

fn read(
    source: &Source<'_>,
    places: &[Place],
    (input, writers): (File, Vec<File>),
    confined: &Confined,
) -> Result<Vec<Tally>, MediaError> {
    let mut parts = writers
        .into_iter()
        .zip(places.windows(2))
        .map(|(writer, pair)| Writing::begin(source, writer, pair[0], pair[1]))
        .collect::<Result<Vec<_>, _>>()?;
    let mut demuxer = open(input, source.info, source.limits, source.control, confined)?;
    let (mut video_seen, mut audio_seen) = (0, 0);
    let gauge = source.control.gauge();
    while let Some(packet) = demuxer.read().map_err(|error| unreadable(error, source.control))? {
        source.control.check()?;
        gauge.count_bytes(packet.size());
        match (&source.index.video, &source.index.audio) {
            (Some(track), _) if track.stream == packet.stream() => {
                let part = part_of(places, |place| place.video, video_seen);
                video_seen += 1;
                gauge.count_frame();
                let end = packet.pts().unwrap_or(0) + packet.duration();
                gauge.reach(u64::try_from(track.base.rescale(end, Rational::MICROS)).unwrap_or(0));
                parts[part].video(track, packet)?;
            }
            (_, Some(track)) if track.stream == packet.stream() => {
                let part = part_of(places, |place| place.audio, audio_seen);
                audio_seen += 1;
                for next in parts.iter_mut().filter(|next| next.needs(audio_seen)) {
                    next.lead_in(track, &packet)?;
                }
                let last = places[part + 1].audio == audio_seen && audio_seen < track.len();
                parts[part].audio(track, packet, last)?;
            }
            _ => {}
        }
    }
    let promised = [&source.index.video, &source.index.audio].map(|track| track.as_ref().map_or(0, Track::len));
    if [video_seen, audio_seen] != promised {
        return Err(MediaError::Engine {
            doing: "read the file again",
            what: format!("{video_seen} and {audio_seen} packets, promised {promised:?}"),
        });
    }
    for part in &mut parts {
        part.end()?;
    }
    Ok(parts.into_iter().map(|part| part.tally).collect())
}

/// The part that the packet with this number is of; parts may have none.
fn part_of(places: &[Place], of: impl Fn(&Place) -> usize, number: usize) -> usize {
    let begun = places.partition_point(|place| of(place) <= number);
    begun.clamp(1, places.len() - 1) - 1
}

impl Writing {
    fn begin(source: &Source<'_>, writer: File, from: Place, to: Place) -> Result<Self, MediaError> {
        let mut output = Output::create(writer, source.container).map_err(engine("open the muxer"))?;
        // Apple's players take HEVC by this tag alone.
        let hevc = source.info.video().is_some_and(|video| video.codec == "hevc");
        let mut add = |track: &Option<Track>, packets: usize, tag| match track {
            Some(track) if packets > 0 => output
                .add(&track.params, true, tag)
                .map(Some)
                .map_err(engine("add a stream")),
            _ => Ok(None),
        };
        let video = add(&source.index.video, to.video - from.video, hevc.then_some(*b"hvc1"))?;
        let audio = add(&source.index.audio, to.audio - from.audio, None)?;
        let mut part = Self {
            tally: Tally::default(),
            output,
            from,
            video,
            audio,
        };
        let outcome = part.output.write_header();
        outcome.map_err(|error| part.error(error))?;
        Ok(part)
    }

    /// Whether this packet of sound, counted from 1, is the one before its first.
    fn needs(&self, number: usize) -> bool {
        self.from.leans && self.audio.is_some() && number == self.from.audio
    }

    /// The packet before the first, which the decoder needs and nobody hears: it lies before zero, and the muxer's edit
    /// list leaves it out. So the sound of all parts is that of the whole, sample for sample.
    fn lead_in(&mut self, track: &Track, packet: &Packet) -> Result<(), MediaError> {
        let mut copy = Packet::of(packet.bytes(), packet.flags()).map_err(engine("copy a packet"))?;
        copy.set_times(Some(-track.step()), Some(-track.step()));
        copy.default_duration(track.step());
        self.send(track, self.audio, copy)
    }

    fn video(&mut self, track: &Track, packet: Packet) -> Result<(), MediaError> {
        self.tally.video_out.fetch_add(1, Relaxed);
        let packet = shifted(packet, self.from.video_zero);
        note(&self.tally.video_start_us, track, &packet);
        self.send(track, self.video, packet)
    }

    /// `cut` where the sound goes on in the next part.
    fn audio(&mut self, track: &Track, packet: Packet, cut: bool) -> Result<(), MediaError> {
        self.tally.audio_out.fetch_add(1, Relaxed);
        let mut packet = shifted(packet, self.from.audio_zero);
        if cut {
            // A gap after it is not of this part.
            packet.limit_duration(track.step());
        }
        self.send(track, self.audio, packet)
    }

    fn send(&mut self, track: &Track, to: Option<usize>, mut packet: Packet) -> Result<(), MediaError> {
        let Some(to) = to else { return Ok(()) };
        if track.params.is_audio() {
            note(&self.tally.audio_start_us, track, &packet);
        }
        let end = packet.pts().unwrap_or(0) + packet.duration();
        let end_us = track.base.rescale(end, Rational::MICROS);
        self.tally.out_end_us.fetch_max(end_us, Relaxed);
        packet.set_stream(to);
        packet.rescale(track.base, self.output.time_base(to));
        let outcome = self.output.write(&mut packet);
        outcome.map_err(|error| self.error(error))
    }

    fn end(&mut self) -> Result<(), MediaError> {
        let outcome = self.output.write_trailer();
        outcome.map_err(|error| self.error(error))?;
        self.output.sync().map_err(|source| io("write the output", source))
    }

    /// The cause is what the disk said, where it said something.
    fn error(&mut self, error: AvError) -> MediaError {
        match self.output.take_io_error() {
            Some(source) => io("write the output", source),
            None => engine("write the output")(error),
        }
    }
}

fn shifted(mut packet: Packet, zero: i64) -> Packet {
    packet.set_times(packet.pts().map(|pts| pts - zero), packet.dts().map(|dts| dts - zero));
    packet
}

fn note(start_us: &std::sync::atomic::AtomicI64, track: &Track, packet: &Packet) {
    if let Some(pts) = packet.pts() {
        start_us.fetch_min(track.base.rescale(pts, Rational::MICROS), Relaxed);
    }
}
