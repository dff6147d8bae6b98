//! Headers of WebM, PNG and WebP: what a server asks of stickers and photos.
//!
//! Absent: other Matroska than WebM, clusters, lacing: the head of a file is read and no more.

use std::io::Read;
use std::path::Path;

use super::files::{Facts, jpeg_facts};

const HEAD_BYTES_MAX: u64 = 1 << 20;
/// Element ids of RFC 9559 (Matroska) and RFC 8794 (EBML).
const EBML: u64 = 0x1A45_DFA3;
const DOC_TYPE: u64 = 0x4282;
const SEGMENT: u64 = 0x1853_8067;
const INFO: u64 = 0x1549_A966;
const TIMESTAMP_SCALE: u64 = 0x002A_D7B1;
const DURATION: u64 = 0x4489;
const TRACKS: u64 = 0x1654_AE6B;
const TRACK_ENTRY: u64 = 0xAE;
const CODEC_ID: u64 = 0x86;
const VIDEO: u64 = 0xE0;
const PIXEL_WIDTH: u64 = 0xB0;
const PIXEL_HEIGHT: u64 = 0xBA;

/// What a WebM says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Webm {
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) duration_s: f64,
    /// `V_VP9`, `A_OPUS`, …
    pub(super) codecs: Vec<String>,
}

pub(super) fn head(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(HEAD_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// `None` for everything that is no WebM.
pub(super) fn webm(bytes: &[u8]) -> Option<Webm> {
    let (id, header, rest) = element(bytes)?;
    let is_webm = id == EBML && elements(header).any(|(id, body)| id == DOC_TYPE && body == b"webm");
    let (SEGMENT, segment, _) = element(rest)? else {
        return None;
    };
    let mut found = is_webm.then(Webm::default)?;
    for (id, body) in elements(segment) {
        if id == INFO {
            found.duration_s = duration_s(body);
        }
        if id == TRACKS {
            for (_, track) in elements(body).filter(|(id, _)| *id == TRACK_ENTRY) {
                read_track(track, &mut found);
            }
        }
    }
    Some(found)
}

fn duration_s(info: &[u8]) -> f64 {
    let (mut scale_ns, mut duration) = (1_000_000.0, 0.0);
    for (id, body) in elements(info) {
        if id == TIMESTAMP_SCALE {
            scale_ns = f64::from(u32::try_from(unsigned(body)).unwrap_or(u32::MAX));
        }
        if id == DURATION {
            duration = match body.len() {
                4 => body.try_into().map_or(0.0, |four| f64::from(f32::from_be_bytes(four))),
                _ => body.try_into().map_or(0.0, f64::from_be_bytes),
            };
        }
    }
    duration * scale_ns / 1e9
}

fn read_track(track: &[u8], found: &mut Webm) {
    for (id, body) in elements(track) {
        if id == CODEC_ID {
            let codec = String::from_utf8_lossy(body);
            found.codecs.push(codec.trim_end_matches('\0').to_owned());
        }
        if id == VIDEO {
            for (id, body) in elements(body) {
                match id {
                    PIXEL_WIDTH => found.width = unsigned(body),
                    PIXEL_HEIGHT => found.height = unsigned(body),
                    _ => {}
                }
            }
        }
    }
}

fn elements(mut bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let (id, body, rest) = element(bytes)?;
        bytes = rest;
        Some((id, body))
    })
}

/// Id, body and what follows. A body that is longer than what is at hand, or of unknown length, ends where that ends.
fn element(bytes: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let id_bytes = usize::try_from(bytes.first()?.leading_zeros() + 1).ok()?;
    let id = unsigned(bytes.get(..id_bytes.min(4))?);
    let bytes = bytes.get(id_bytes..)?;
    let length_bytes = usize::try_from(bytes.first()?.leading_zeros() + 1).ok()?;
    let mut length = unsigned(bytes.get(..length_bytes.min(8))?);
    let value_bits = 7 * u32::try_from(length_bytes.min(8)).ok()?;
    length &= (1 << value_bits) - 1;
    let body = bytes.get(length_bytes..)?;
    let unknown = length == (1 << value_bits) - 1;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let end = if unknown { body.len() } else { length.min(body.len()) };
    Some((id, &body[..end], &body[end..]))
}

fn unsigned(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Size of a JPEG, PNG (RFC 2083, 4.1.1) or WebP (RFC 9649, 2.5 to 2.7); `None` where it is none.
pub(super) fn picture_facts(path: &Path) -> Option<Facts> {
    let (width, height) = match jpeg_facts(path) {
        Some(facts) => return Some(facts),
        None => sides(&head(path)?)?,
    };
    Some(Facts {
        width,
        height,
        duration_s: 0,
    })
}

fn sides(bytes: &[u8]) -> Option<(u64, u64)> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some((unsigned(bytes.get(16..20)?), unsigned(bytes.get(20..24)?)));
    }
    if !is_webp(bytes) {
        return None;
    }
    let little = |at: usize, length: usize| {
        let bytes = bytes.get(at..at + length)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        )
    };
    match bytes.get(12..16)? {
        b"VP8X" => Some((little(24, 3)? + 1, little(27, 3)? + 1)),
        b"VP8L" => little(21, 4).map(|bits| ((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1)),
        _ => Some((little(26, 2)? & 0x3fff, little(28, 2)? & 0x3fff)),
    }
}

pub(super) fn is_webp(bytes: &[u8]) -> bool {
    bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP")
}
