//! Boxes of ISO 14496-12 and QuickTime: how many samples the tables and fragments claim, of what size pictures are, and
//! how many tracks there are.
//!
//! A constant sample size and a run-length table claim billions of samples in a few bytes; libav makes 24 bytes and more of
//! each. Sound that it indexes by chunk (one time a sample, as PCM has) is counted as it does.

use std::io::{Read, Seek};

use super::window::{Halt, Window};
use super::{CLAIM_FREE, check_pixels, over};
use crate::media::error::Refusal;
use crate::media::limits::Limits;

/// libav gives up at ten levels inside a `moov`.
const DEPTH_MAX: u32 = 16;
/// Boxes that libav walks into, wherever they stand.
const PARENTS: [&[u8; 4]; 19] = [
    b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"mvex", b"edts", b"udta", b"dinf", b"tref",
    b"gmhd", b"sinf", b"schi", b"wave", b"avss", b"ilst", b"mfra",
];
/// A film at the limits with two tracks of sound: each sample takes 40 bytes of libav's.
const TRACKS_AT_FPS_MAX: u64 = 3;
/// Run-length entries that are added up, of the times and of the chunks.
const TIMES_READ_MAX: u64 = 65_536;
const CHUNK_RUNS_READ_MAX: u64 = 262_144;
/// The least samples that libav puts into one piece of a chunk of sound: 1024, less what does not divide by the frame.
const PIECE_SAMPLES: u64 = 512;
/// libav's own limit of descriptions in a track.
const DESCRIPTIONS_MAX: u32 = 1_024;
/// Edits times samples: each edit may walk the whole index.
const EDIT_STEPS_MAX: u64 = 50_000_000;

#[derive(Default)]
struct Track {
    /// A handler said so; sound only where no other did.
    is_video: bool,
    is_sound: bool,
    samples: u64,
    /// Picture, of the first description.
    size: Option<(u32, u32)>,
    /// Units a second, and the length in these by the header and by the table of times.
    timescale: u32,
    header_ticks: u64,
    times: Option<Times>,
    /// A table that makes libav index sample by sample.
    is_per_sample: bool,
    chunks: u64,
    chunk_runs: ChunkRuns,
    edits: u64,
}

struct Times {
    entries: u64,
    first_delta: u32,
    /// `None` where there are too many entries to add up.
    ticks: Option<u64>,
}

/// Pieces of sound by all runs of chunks but the last, which is open.
#[derive(Default)]
struct ChunkRuns {
    pieces: u64,
    last: Option<(u64, u64)>,
}

struct Walk<'w, 'i, R> {
    window: &'w mut Window<'i, R>,
    limits: &'w Limits,
    tracks: Vec<Track>,
    /// Samples of all fragments.
    in_fragments: u64,
}

pub(super) fn walk<R: Read + Seek>(window: &mut Window<'_, R>, limits: &Limits) -> Result<(), Halt> {
    let length = window.length;
    let mut walk = Walk {
        window,
        limits,
        tracks: Vec::new(),
        in_fragments: 0,
    };
    match walk.boxes(0, length, 0) {
        Err(halt @ Halt::Refused(_)) => Err(halt),
        // What a file that is cut off has said until there counts.
        Ok(()) | Err(Halt::Ended) => walk.judge(),
    }
}

impl<R: Read + Seek> Walk<'_, '_, R> {
    fn boxes(&mut self, mut at: u64, end: u64, depth: u32) -> Result<(), Halt> {
        if depth > DEPTH_MAX {
            return Err(over(format!("boxes nested deeper than {DEPTH_MAX}")));
        }
        while at.saturating_add(8) <= end {
            self.window.count()?;
            let [a, b, c, d, kind @ ..] = self.window.bytes::<8>(at)?;
            let (size, header) = match u32::from_be_bytes([a, b, c, d]) {
                0 => (end - at, 8),
                1 => (self.window.u64(at + 8)?, 16),
                size => (u64::from(size), 8),
            };
            if size < header {
                break;
            }
            // A box that is longer than its parent ends with it.
            let stop = at.saturating_add(size).min(end);
            self.visit(kind, at + header, stop, depth)?;
            at = stop;
        }
        Ok(())
    }

    fn visit(&mut self, kind: [u8; 4], at: u64, end: u64, depth: u32) -> Result<(), Halt> {
        if &kind == b"trak" {
            if self.tracks.len() >= self.limits.streams_max as usize {
                return Err(Halt::Refused(Refusal::TooManyStreams {
                    limit: self.limits.streams_max,
                }));
            }
            self.tracks.push(Track::default());
        }
        match &kind {
            // A full box in MP4, a plain one in QuickTime: there the size of the first child comes first.
            b"meta" => {
                let is_full = self.window.u32(at).is_ok_and(|first| first == 0);
                self.boxes(at + if is_full { 4 } else { 0 }, end, depth + 1)
            }
            b"trun" => self.run(at, end),
            kind if PARENTS.contains(&kind) => self.boxes(at, end, depth + 1),
            _ => {
                // As in libav, a table belongs to the track that came last, wherever it stands.
                let Some(mut track) = self.tracks.pop() else {
                    return Ok(());
                };
                let outcome = self.table(kind, &mut track, at, end, depth);
                self.tracks.push(track);
                outcome
            }
        }
    }

    /// What a track's box says; payload from `at` to `end`.
    fn table(&mut self, kind: [u8; 4], track: &mut Track, at: u64, end: u64, depth: u32) -> Result<(), Halt> {
        match &kind {
            b"hdlr" => {
                let handler: [u8; 4] = self.window.bytes(at + 8)?;
                track.is_video |= &handler == b"vide";
                track.is_sound |= &handler == b"soun";
            }
            b"mdhd" => self.media_header(track, at)?,
            b"stsd" => self.descriptions(track, at, end, depth)?,
            b"stsz" | b"stz2" => self.sizes(kind, track, at, end)?,
            b"stts" => self.times(track, at, end)?,
            b"stsc" => self.chunk_runs(track, at, end)?,
            b"stco" => track.chunks = track.chunks.max(self.entries("chunk offsets", 4, at, end)?),
            b"co64" => track.chunks = track.chunks.max(self.entries("chunk offsets", 8, at, end)?),
            b"ctts" => track.is_per_sample |= self.entries("time offsets", 8, at, end)? > 0,
            b"stss" | b"stps" => drop(self.entries("key frames", 4, at, end)?),
            b"sbgp" => {
                let version = self.window.bytes::<1>(at)?[0];
                self.entries("sample groups", 8, at + if version == 1 { 8 } else { 4 }, end)?;
            }
            b"saio" => drop(self.entries("auxiliary offsets", 4, at, end)?),
            b"elst" => {
                let version = self.window.bytes::<1>(at)?[0];
                let entry_bytes = if version == 1 { 20 } else { 12 };
                track.edits = track.edits.max(self.entries("edits", entry_bytes, at, end)?);
            }
            _ => {}
        }
        Ok(())
    }

    /// The count of a table behind version and flags.
    fn entries(&mut self, what: &str, entry_bytes: u64, at: u64, end: u64) -> Result<u64, Halt> {
        let entries = u64::from(self.window.u32(at + 4)?);
        check_table(what, entries, entry_bytes, at + 8, end)?;
        Ok(entries)
    }

    /// What claims entries without having bytes for them must be in proportion to the whole file.
    fn check_claim(&self, what: &str, claimed: u64) -> Result<(), Halt> {
        let limit = CLAIM_FREE + self.window.length;
        if claimed > limit {
            return Err(over(format!(
                "{claimed} {what} in a file of {} bytes (limit {limit})",
                self.window.length
            )));
        }
        Ok(())
    }

    fn media_header(&mut self, track: &mut Track, at: u64) -> Result<(), Halt> {
        let version = self.window.bytes::<1>(at)?[0];
        let (timescale, ticks) = if version == 1 {
            (self.window.u32(at + 20)?, self.window.u64(at + 24)?)
        } else {
            let ticks = self.window.u32(at + 16)?;
            (self.window.u32(at + 12)?, u64::from(ticks))
        };
        track.timescale = timescale;
        // All ones: not known.
        let unknown = [u64::from(u32::MAX), u64::MAX];
        track.header_ticks = if unknown.contains(&ticks) { 0 } else { ticks };
        Ok(())
    }

    /// Sample descriptions: the size of pictures, and the boxes at the end of each, which libav walks too.
    fn descriptions(&mut self, track: &mut Track, at: u64, end: u64, depth: u32) -> Result<(), Halt> {
        let count = self.window.u32(at + 4)?.min(DESCRIPTIONS_MAX);
        let mut at = at + 8;
        for _ in 0..count {
            if at.saturating_add(16) > end {
                break;
            }
            let size = u64::from(self.window.u32(at)?);
            let stop = at.saturating_add(size).min(end);
            if size < 16 {
                break;
            }
            if track.is_video && track.size.is_none() && at + 36 <= stop {
                let [a, b, c, d] = self.window.bytes(at + 32)?;
                let side = |high, low| u32::from(u16::from_be_bytes([high, low]));
                track.size = Some((side(a, b), side(c, d))).filter(|&(width, height)| width > 0 && height > 0);
            }
            let version = self.window.bytes::<2>(at + 16).map_or(0, u16::from_be_bytes);
            let fixed = match (track.is_video, version) {
                (true, _) => 86,
                (false, 1) => 52,
                (false, 2) => 72,
                (false, _) => 36,
            };
            // Their tables count for this track.
            let index = self.tracks.len();
            self.tracks.push(std::mem::take(track));
            let outcome = self.boxes(at + fixed, stop, depth + 1);
            *track = self.tracks.swap_remove(index);
            outcome?;
            at = stop;
        }
        Ok(())
    }

    fn sizes(&mut self, kind: [u8; 4], track: &mut Track, at: u64, end: u64) -> Result<(), Halt> {
        let (size, samples) = (self.window.u32(at + 4)?, u64::from(self.window.u32(at + 8)?));
        match (&kind, size) {
            (b"stz2", bits) => {
                let bits = u64::from(bits & 0xff).clamp(1, 32);
                check_table("sample sizes", samples * bits / 8, 1, at + 12, end)?;
            }
            (_, 0) => check_table("sample sizes", samples, 4, at + 12, end)?,
            // One size for all.
            _ => {}
        }
        track.samples = track.samples.max(samples);
        Ok(())
    }

    fn times(&mut self, track: &mut Track, at: u64, end: u64) -> Result<(), Halt> {
        let entries = self.entries("times", 8, at, end)?;
        // A second table: which of them counts is libav's secret.
        track.is_per_sample |= track.times.is_some();
        let mut times = Times {
            entries,
            first_delta: 0,
            ticks: (entries <= TIMES_READ_MAX).then_some(0),
        };
        for index in 0..entries.min(TIMES_READ_MAX) {
            let entry = at + 8 + 8 * index;
            if entry + 8 > end {
                break;
            }
            let (count, delta) = (self.window.u32(entry)?, self.window.u32(entry + 4)?);
            if index == 0 {
                times.first_delta = delta;
            }
            times.ticks = times
                .ticks
                .and_then(|ticks| ticks.checked_add(u64::from(count) * u64::from(delta)));
        }
        track.times = Some(times);
        Ok(())
    }

    fn chunk_runs(&mut self, track: &mut Track, at: u64, end: u64) -> Result<(), Halt> {
        let entries = self.entries("runs of chunks", 12, at, end)?;
        track.is_per_sample |= track.chunk_runs.last.is_some() || entries > CHUNK_RUNS_READ_MAX;
        let runs = &mut track.chunk_runs;
        for index in 0..entries.min(CHUNK_RUNS_READ_MAX) {
            let entry = at + 8 + 12 * index;
            if entry + 12 > end {
                break;
            }
            let first = u64::from(self.window.u32(entry)?);
            let pieces = u64::from(self.window.u32(entry + 4)?).div_ceil(PIECE_SAMPLES);
            runs.close(first);
            runs.last = Some((first, pieces));
        }
        Ok(())
    }

    /// A run of samples of a fragment.
    fn run(&mut self, at: u64, end: u64) -> Result<(), Halt> {
        let flags = self.window.u32(at)?;
        let samples = u64::from(self.window.u32(at + 4)?);
        let has = |flag: u32| flags & flag != 0;
        let optional = 4 * (u64::from(has(0x1)) + u64::from(has(0x4)));
        let entry_bytes = 4 * [0x100, 0x200, 0x400, 0x800]
            .into_iter()
            .filter(|&flag| has(flag))
            .count() as u64;
        if entry_bytes > 0 {
            check_table("samples of a fragment", samples, entry_bytes, at + 8 + optional, end)?;
        }
        self.in_fragments = self.in_fragments.saturating_add(samples);
        self.check_claim("samples of fragments", self.in_fragments)
    }

    fn judge(&self) -> Result<(), Halt> {
        let mut all = self.in_fragments;
        for track in &self.tracks {
            let indexed = track.indexed();
            self.check_claim("samples", indexed)?;
            if track.edits > 1 && track.edits.saturating_mul(indexed) > EDIT_STEPS_MAX {
                return Err(over(format!(
                    "{} edits of {indexed} samples (limit {EDIT_STEPS_MAX} steps)",
                    track.edits
                )));
            }
            if let (true, Some(duration_us)) = (track.is_video, track.duration_us()) {
                let limit = self.limits.frames_max(duration_us);
                if track.samples > limit {
                    return Err(Halt::Refused(Refusal::TooManyFrames {
                        frames: track.samples,
                        limit,
                    }));
                }
            }
            all = all.saturating_add(indexed);
        }
        let limit = TRACKS_AT_FPS_MAX * u64::from(self.limits.fps_max) * self.limits.duration_max.as_secs();
        if all > limit.max(CLAIM_FREE) {
            return Err(over(format!("an index of {all} samples (limit {limit})")));
        }
        let sizes: Vec<(u32, u32)> = self.tracks.iter().filter_map(|track| track.size).collect();
        check_pixels(&sizes, self.limits)
    }
}

/// Entries must be there: a table that is a little short is libav's business.
fn check_table(what: &str, entries: u64, entry_bytes: u64, at: u64, end: u64) -> Result<(), Halt> {
    let room = end.saturating_sub(at);
    if entries > CLAIM_FREE && entries.saturating_mul(entry_bytes) > room {
        return Err(over(format!(
            "{entries} {what} in a table of {room} bytes (limit {})",
            (room / entry_bytes).max(CLAIM_FREE)
        )));
    }
    Ok(())
}

impl ChunkRuns {
    /// The open run ends before this chunk.
    fn close(&mut self, before: u64) {
        if let Some((first, pieces)) = self.last.take() {
            self.pieces = self
                .pieces
                .saturating_add(before.saturating_sub(first).saturating_mul(pieces));
        }
    }

    fn total(&self, chunks: u64) -> u64 {
        let open = self.last.map_or(0, |(first, pieces)| {
            (chunks + 1).saturating_sub(first).saturating_mul(pieces)
        });
        self.pieces.saturating_add(open)
    }
}

impl Track {
    /// Entries of the index that libav makes.
    fn indexed(&self) -> u64 {
        let one_tick_each = self
            .times
            .as_ref()
            .is_some_and(|times| times.entries == 1 && times.first_delta == 1);
        if self.is_sound && !self.is_video && !self.is_per_sample && one_tick_each {
            self.chunk_runs.total(self.chunks)
        } else {
            self.samples
        }
    }

    /// The longer of what header and table say, microseconds; `None` where neither does.
    fn duration_us(&self) -> Option<u64> {
        let by_times = match &self.times {
            Some(times) => times.ticks?,
            None => 0,
        };
        let ticks = by_times.max(self.header_ticks);
        let us = u128::from(ticks) * 1_000_000 / u128::from(self.timescale.max(1));
        (ticks > 0).then(|| u64::try_from(us).unwrap_or(u64::MAX))
    }
}
