//! Packets of one stream in a file without a name, until their turn in the output comes.
//!
//! Each packet is written as it is, its length before it; what is kept in memory of one is its presentation time. The file
//! goes with its handle, so nothing is left behind whatever happens.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use super::queue::Receiver;
use super::{Halt, Job, Stage, ToMux, receive};
use crate::media::control::Gauge;
use crate::media::convert::io as io_error;
use crate::media::error::MediaError;
use crate::media::ffi::{Packet, StreamParams};
use crate::media::info::Rational;

/// Marks a time that is not known.
const UNKNOWN: i64 = i64::MIN;

/// A stream, or one segment of it, that was encoded and waits.
pub(in crate::media) struct Spool {
    file: BufWriter<File>,
    /// `None` where nothing came.
    pub(in crate::media) params: Option<StreamParams>,
    /// Presentation times in the order of decoding; the stream's base.
    pub(in crate::media) pts: Vec<i64>,
    /// How many packets come before the first frame's own time, whether they have to or not.
    pub(in crate::media) reserved: usize,
    /// Whether the first packet is a key frame.
    pub(in crate::media) begins_with_key: bool,
}

impl Spool {
    pub(in crate::media) fn create(folder: &Path) -> Result<Self, MediaError> {
        let file = tempfile::tempfile_in(folder).map_err(|source| io_error("create a temporary file", source))?;
        Ok(Self {
            file: BufWriter::with_capacity(1 << 18, file),
            params: None,
            pts: Vec::new(),
            reserved: 0,
            begins_with_key: false,
        })
    }

    fn write(&mut self, packet: &Packet) -> io::Result<()> {
        if self.pts.is_empty() {
            self.begins_with_key = packet.is_key();
        }
        self.pts.push(packet.pts().unwrap_or(UNKNOWN));
        self.reserved += usize::from(packet.dts().is_some_and(|dts| dts < self.pts[0]));
        let side: Vec<(i32, &[u8])> = packet.side_data().collect();
        for number in [
            packet.pts().unwrap_or(UNKNOWN),
            packet.dts().unwrap_or(UNKNOWN),
            packet.duration(),
            i64::from(packet.flags()),
            length(packet.bytes().len()),
            length(side.len()),
        ] {
            self.file.write_all(&number.to_le_bytes())?;
        }
        self.file.write_all(packet.bytes())?;
        for (kind, bytes) in side {
            self.file.write_all(&i64::from(kind).to_le_bytes())?;
            self.file.write_all(&length(bytes.len()).to_le_bytes())?;
            self.file.write_all(bytes)?;
        }
        Ok(())
    }

    /// The base of its times.
    pub(in crate::media) fn time_base(&self) -> Rational {
        self.params.as_ref().map_or(Rational::MICROS, |params| params.time_base)
    }

    /// From the first packet on.
    pub(in crate::media) fn read(self) -> Result<Packets, MediaError> {
        let left = self.pts.len();
        let reread = |source| io_error("re-read a temporary file", source);
        let mut file = self.file.into_inner().map_err(|error| reread(error.into_error()))?;
        file.seek(SeekFrom::Start(0)).map_err(reread)?;
        Ok(Packets {
            file: BufReader::with_capacity(1 << 18, file),
            left,
        })
    }
}

fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The packets of a spool, one after another.
pub(in crate::media) struct Packets {
    file: BufReader<File>,
    left: usize,
}

impl Packets {
    /// `None` after the last.
    pub(in crate::media) fn next(&mut self) -> Result<Option<Packet>, MediaError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.read()
            .map(Some)
            .map_err(|source| io_error("re-read a temporary file", source))
    }

    fn read(&mut self) -> io::Result<Packet> {
        let known = |time: i64| (time != UNKNOWN).then_some(time);
        let (pts, dts, duration) = (self.number()?, self.number()?, self.number()?);
        let flags = i32::try_from(self.number()?).map_err(io::Error::other)?;
        let (size, sides) = (self.number()?, self.number()?);
        let bytes = self.bytes(size)?;
        let no_memory = |error| io::Error::other(format!("{error}"));
        let mut packet = Packet::of(&bytes, flags).map_err(no_memory)?;
        for _ in 0..sides {
            let kind = i32::try_from(self.number()?).map_err(io::Error::other)?;
            let size = self.number()?;
            let bytes = self.bytes(size)?;
            packet.add_side_data(kind, &bytes).map_err(no_memory)?;
        }
        packet.set_times(known(pts), known(dts));
        packet.default_duration(duration);
        Ok(packet)
    }

    fn number(&mut self) -> io::Result<i64> {
        let mut bytes = [0; 8];
        self.file.read_exact(&mut bytes)?;
        Ok(i64::from_le_bytes(bytes))
    }

    fn bytes(&mut self, size: i64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// The end of a line that makes a part: packets into a spool. `pace` is the film's gauge and how
/// far a picture moves it, microseconds.
pub(super) fn spool(job: &Job<'_>, spool: &mut Spool, pace: Option<(&Gauge, u64)>, from: &Receiver<ToMux>) -> Stage {
    let mut ended = false;
    let full = |source| Halt::Failed(io_error("write a temporary file", source));
    while let Some(message) = receive(job, from)? {
        match message {
            ToMux::Ready(_, params) => spool.params = Some(params),
            ToMux::Packet(_, packet) => {
                spool.write(&packet).map_err(full)?;
                if let Some((gauge, step_us)) = pace {
                    gauge.advance(step_us);
                    gauge.count_frame();
                    gauge.count_bytes(packet.size());
                    job.tally.video_out.fetch_add(1, Relaxed);
                }
            }
            ToMux::End(_) => ended = true,
        }
    }
    spool.file.flush().map_err(full)?;
    if ended { Ok(()) } else { Err(Halt::Hungup) }
}
