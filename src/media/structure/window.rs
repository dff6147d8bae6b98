//! Small reads at ascending places of a large file, each counted.

use std::io::{Read, Seek, SeekFrom};

use super::{Cost, over};
use crate::media::error::Refusal;

/// What is read at once: little after a leap, more while reading goes on where it stopped.
const READ_BYTES_MIN: usize = 512;
const READ_BYTES_MAX: usize = 64 << 10;
/// Of one walk: a film of 4 h in fragments of a second takes a tenth of it.
const WALK_BYTES_MAX: u64 = 256 << 20;
/// Of one walk. A film of 4 h in fragments of a second has 160 000.
const BOXES_MAX: u64 = 600_000;

/// Why a walk ended before its end.
#[derive(Debug)]
pub(super) enum Halt {
    /// The file is cut off, or does not read: no reason to refuse it here.
    Ended,
    Refused(Refusal),
}

/// A file and the part of it that was read last.
pub(super) struct Window<'a, R> {
    input: &'a mut R,
    pub(super) length: u64,
    buffer: Box<[u8]>,
    start: u64,
    filled: usize,
    next_bytes: usize,
    cost: Cost,
}

impl<'a, R: Read + Seek> Window<'a, R> {
    pub(super) fn over(input: &'a mut R) -> std::io::Result<Self> {
        let length = input.seek(SeekFrom::End(0))?;
        Ok(Self {
            input,
            length,
            buffer: vec![0; READ_BYTES_MAX].into(),
            start: 0,
            filled: 0,
            next_bytes: READ_BYTES_MIN,
            cost: Cost::default(),
        })
    }

    pub(super) fn cost(&self) -> Cost {
        self.cost
    }

    /// One box or element more.
    pub(super) fn count(&mut self) -> Result<(), Halt> {
        self.cost.boxes += 1;
        if self.cost.boxes > BOXES_MAX {
            return Err(over(format!("more than {BOXES_MAX} boxes or elements")));
        }
        Ok(())
    }

    /// So many bytes from there, at most 32.
    pub(super) fn bytes<const N: usize>(&mut self, at: u64) -> Result<[u8; N], Halt> {
        let from = match self.place(at) {
            Some(from) if from + N <= self.filled => from,
            place => {
                self.fill(at, N, place.is_some())?;
                0
            }
        };
        self.buffer
            .get(from..from + N)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(Halt::Ended)
    }

    pub(super) fn u32(&mut self, at: u64) -> Result<u32, Halt> {
        self.bytes(at).map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self, at: u64) -> Result<u64, Halt> {
        self.bytes(at).map(u64::from_be_bytes)
    }

    /// Where in the buffer a place is, if it is there or right behind.
    fn place(&self, at: u64) -> Option<usize> {
        let from = usize::try_from(at.checked_sub(self.start)?).ok()?;
        (from <= self.filled).then_some(from)
    }

    fn fill(&mut self, at: u64, wanted: usize, goes_on: bool) -> Result<(), Halt> {
        if at.checked_add(wanted as u64).is_none_or(|end| end > self.length) {
            return Err(Halt::Ended);
        }
        self.next_bytes = if goes_on {
            (self.next_bytes * 2).min(READ_BYTES_MAX)
        } else {
            READ_BYTES_MIN
        };
        (self.start, self.filled) = (at, 0);
        self.input.seek(SeekFrom::Start(at)).map_err(|_| Halt::Ended)?;
        while self.filled < wanted {
            let room = &mut self.buffer[self.filled..self.next_bytes];
            match self.input.read(room) {
                Ok(0) => return Err(Halt::Ended),
                Ok(got) => {
                    self.filled += got;
                    self.cost.bytes_read += got as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Halt::Ended),
            }
        }
        if self.cost.bytes_read > WALK_BYTES_MAX {
            return Err(over(format!("headers of more than {WALK_BYTES_MAX} bytes")));
        }
        Ok(())
    }
}
