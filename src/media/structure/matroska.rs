//! Elements of Matroska's headers: how many tracks there are, of what size pictures are, and how many elements libav would
//! make structures of.
//!
//! As libav does, the walk ends at the first cluster and then follows the index of headers (`SeekHead`). Blocks are not
//! looked at: what their lacing makes of them is bounded by the budget of packets.

use std::io::{Read, Seek};

use super::window::{Halt, Window};
use super::{CLAIM_FREE, check_pixels, over};
use crate::media::error::Refusal;
use crate::media::limits::Limits;

pub(super) const MAGIC: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];

const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1f43_b675;
const TRACK: u32 = 0xae;
const PIXEL_WIDTH: u32 = 0xb0;
const PIXEL_HEIGHT: u32 = 0xba;
const SEEK_POSITION: u32 = 0x53ac;
const VOID: u32 = 0xec;
/// Elements of elements; an identifier means the same at every level.
const PARENTS: [u32; 24] = [
    0x114d_9b74, // SeekHead
    0x4dbb,      // Seek
    0x1549_a966, // Info
    0x1654_ae6b, // Tracks
    TRACK,
    0xe0,        // Video
    0x55b0,      // Colour
    0x55d0,      // MasteringMetadata
    0xe1,        // Audio
    0x6d80,      // ContentEncodings
    0x6240,      // ContentEncoding
    0x5034,      // ContentCompression
    0x5035,      // ContentEncryption
    0x1c53_bb6b, // Cues
    0xbb,        // CuePoint
    0xb7,        // CueTrackPositions
    0x1254_c367, // Tags
    0x7373,      // Tag
    0x67c8,      // SimpleTag
    0x1043_a770, // Chapters
    0x45b9,      // EditionEntry
    0xb6,        // ChapterAtom
    0x1941_a469, // Attachments
    0x61a7,      // AttachedFile
];
/// libav's own limit.
const DEPTH_MAX: u32 = 16;
/// Headers that the index of headers may name, libav's own limit.
const TARGETS_MAX: usize = 64;
/// Elements before the segment: a header, and padding.
const BEFORE_SEGMENT_MAX: u32 = 64;
/// A film of 4 h with three index entries for each half second has an element for 64 bytes where it has 60 kbit/s.
const BYTES_PER_ELEMENT: u64 = 64;
/// The largest leaf that may say so and not be there, bytes: libav makes room before it reads.
const LEAF_BYTES_MAX: u64 = 16 << 20;

#[derive(Clone, Copy)]
struct Element {
    id: u32,
    /// Payload.
    at: u64,
    /// `None`: to the end of its parent.
    size: Option<u64>,
}

struct Walk<'w, 'i, R> {
    window: &'w mut Window<'i, R>,
    limits: &'w Limits,
    tracks: u32,
    width: Option<u32>,
    sizes: Vec<(u32, u32)>,
    /// Places of headers, from the start of the segment's payload.
    targets: Vec<u64>,
}

pub(super) fn walk<R: Read + Seek>(window: &mut Window<'_, R>, limits: &Limits) -> Result<(), Halt> {
    let mut walk = Walk {
        window,
        limits,
        tracks: 0,
        width: None,
        sizes: Vec::new(),
        targets: Vec::new(),
    };
    match walk.file() {
        Err(halt @ Halt::Refused(_)) => Err(halt),
        Ok(()) | Err(Halt::Ended) => check_pixels(&walk.sizes, limits),
    }
}

impl<R: Read + Seek> Walk<'_, '_, R> {
    fn file(&mut self) -> Result<(), Halt> {
        let length = self.window.length;
        let mut at = 0;
        for _ in 0..BEFORE_SEGMENT_MAX {
            let element = self.element(at)?;
            if element.id == SEGMENT {
                return self.segment(element.at, end_of(element, length));
            }
            at = end_of(element, length);
        }
        Ok(())
    }

    fn segment(&mut self, begin: u64, end: u64) -> Result<(), Halt> {
        let mut seen: Vec<u64> = Vec::new();
        let mut at = begin;
        while at < end {
            let element = self.element(at)?;
            if element.id == CLUSTER {
                break;
            }
            if seen.len() < TARGETS_MAX {
                seen.push(at);
            }
            self.visit(element, end, 0)?;
            at = end_of(element, end);
        }
        // An index of headers may name another one.
        let mut next = 0;
        while let Some(&target) = self.targets.get(next) {
            next += 1;
            let at = begin.saturating_add(target);
            if at >= end || seen.contains(&at) {
                continue;
            }
            seen.push(at);
            match self.element(at) {
                Ok(element) if element.id != CLUSTER => match self.visit(element, end, 0) {
                    Err(halt @ Halt::Refused(_)) => return Err(halt),
                    // It names a place where nothing is: the next one may be right.
                    Ok(()) | Err(Halt::Ended) => {}
                },
                Ok(_) | Err(Halt::Ended) => {}
                Err(halt) => return Err(halt),
            }
        }
        Ok(())
    }

    fn elements(&mut self, mut at: u64, end: u64, depth: u32) -> Result<(), Halt> {
        if depth > DEPTH_MAX {
            return Err(over(format!("elements nested deeper than {DEPTH_MAX}")));
        }
        while at < end {
            let element = self.element(at)?;
            self.visit(element, end, depth)?;
            at = end_of(element, end);
        }
        Ok(())
    }

    fn visit(&mut self, element: Element, end: u64, depth: u32) -> Result<(), Halt> {
        let stop = end_of(element, end);
        match element.id {
            TRACK => {
                self.tracks += 1;
                if self.tracks > self.limits.streams_max {
                    return Err(Halt::Refused(Refusal::TooManyStreams {
                        limit: self.limits.streams_max,
                    }));
                }
                self.width = None;
            }
            PIXEL_WIDTH => self.width = u32::try_from(self.number(element)?).ok(),
            PIXEL_HEIGHT => {
                let height = u32::try_from(self.number(element)?).ok();
                if let (Some(width @ 1..), Some(height @ 1..)) = (self.width.take(), height)
                    && self.sizes.len() < self.limits.streams_max as usize
                {
                    self.sizes.push((width, height));
                }
            }
            SEEK_POSITION if self.targets.len() < TARGETS_MAX => {
                let target = self.number(element)?;
                self.targets.push(target);
            }
            _ => {}
        }
        if PARENTS.contains(&element.id) {
            return self.elements(element.at, stop, depth + 1);
        }
        match element.size {
            Some(size) if size > LEAF_BYTES_MAX && size > self.window.length && element.id != VOID => Err(over(
                format!("an element of {size} bytes in a file of {} bytes", self.window.length),
            )),
            _ => Ok(()),
        }
    }

    /// An unsigned integer of up to eight bytes.
    fn number(&mut self, element: Element) -> Result<u64, Halt> {
        let mut value = 0;
        for place in 0..element.size.unwrap_or(0).min(8) {
            value = value << 8 | u64::from(self.window.bytes::<1>(element.at + place)?[0]);
        }
        Ok(value)
    }

    /// Identifier and size (RFC 8794, section 4).
    fn element(&mut self, at: u64) -> Result<Element, Halt> {
        self.window.count()?;
        let limit = CLAIM_FREE + self.window.length / BYTES_PER_ELEMENT;
        if self.window.cost().boxes > limit {
            return Err(over(format!(
                "more than {limit} header elements in a file of {} bytes",
                self.window.length
            )));
        }
        let id_bytes = length_of(self.window.bytes::<1>(at)?[0]).filter(|&bytes| bytes <= 4);
        let id_bytes = id_bytes.ok_or(Halt::Ended)?;
        let mut id = 0;
        for place in 0..id_bytes {
            id = id << 8 | u32::from(self.window.bytes::<1>(at + place)?[0]);
        }
        let first = self.window.bytes::<1>(at + id_bytes)?[0];
        let size_bytes = length_of(first).ok_or(Halt::Ended)?;
        let mut size = u64::from(first) & ((0x80 >> (size_bytes - 1)) - 1);
        for place in 1..size_bytes {
            size = size << 8 | u64::from(self.window.bytes::<1>(at + id_bytes + place)?[0]);
        }
        let unknown = (1 << (7 * size_bytes)) - 1;
        Ok(Element {
            id,
            at: at + id_bytes + size_bytes,
            size: (size != unknown).then_some(size),
        })
    }
}

/// Of a number of variable length, by its first byte.
fn length_of(first: u8) -> Option<u64> {
    (first != 0).then(|| u64::from(first.leading_zeros()) + 1)
}

/// An element that is longer than its parent ends with it.
fn end_of(element: Element, parent_end: u64) -> u64 {
    element
        .size
        .map_or(parent_end, |size| element.at.saturating_add(size).min(parent_end))
}
