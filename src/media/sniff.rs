//! Why a file does not open, where its first bytes or its boxes tell: the words of a refusal, nothing more. Reads at
//! most a few kilobytes and a bounded number of boxes.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::error::Refusal;

const BOXES_MAX: usize = 1_000;
/// How much of `moov` is searched for the marks of protection.
const MOOV_BYTES_MAX: u64 = 1 << 20;

/// What a file that libav refused really is.
pub(super) fn why(file: &File) -> Refusal {
    let mut head = [0_u8; 16];
    let got = file.read_at(&mut head, 0).unwrap_or(0);
    let head = &head[..got];
    let unsupported = |what: &str| Refusal::Unsupported { what: what.to_owned() };
    match head {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => unsupported("WebP"),
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', b'f' | b's', ..] => unsupported("AVIF"),
        [_, _, _, _, b'f', b't', b'y', b'p', b'h', b'e', b'i' | b'v', ..] => unsupported("HEIC"),
        [0x30, 0x26, 0xb2, 0x75, ..] => unsupported("ASF of this kind"),
        [b'.', b'R', b'M', b'F', ..] => unsupported("RealMedia"),
        [_, _, _, _, b'f', b't', b'y', b'p' | b'o', ..]
        | [_, _, _, _, b'm', b'd' | b'o', b'a' | b'o', b't' | b'v', ..]
        | [
            _,
            _,
            _,
            _,
            b'f' | b'w' | b's',
            b'r' | b'i' | b'k',
            b'e' | b'd' | b'i',
            b'e' | b'p',
            ..,
        ] => boxes(file),
        _ => Refusal::NotMedia,
    }
}

/// Walks the top-level boxes (ISO 14496-12, section 4.2).
fn boxes(file: &File) -> Refusal {
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut at = 0_u64;
    for _ in 0..BOXES_MAX {
        let mut header = [0_u8; 16];
        match file.read_at(&mut header, at) {
            Ok(got) if got >= 8 => {}
            _ => break,
        }
        let short = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
        let size = match short {
            0 => length.saturating_sub(at),
            1 => u64::from_be_bytes(header[8..16].try_into().unwrap_or_default()),
            size => u64::from(size),
        };
        if &header[4..8] == b"moov" {
            return moov(file, at, size, length);
        }
        if size < 8 {
            return Refusal::NotMedia;
        }
        at = at.saturating_add(size);
        if at >= length {
            break;
        }
    }
    Refusal::Incomplete
}

fn moov(file: &File, at: u64, size: u64, length: u64) -> Refusal {
    let size = size.min(MOOV_BYTES_MAX);
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    let got = file.read_at(&mut bytes, at).unwrap_or(0);
    let marked = |mark: &[u8; 4]| bytes[..got].windows(4).any(|four| four == mark);
    if [b"encv", b"enca", b"pssh", b"tenc", b"drmi", b"drms"]
        .into_iter()
        .any(marked)
    {
        Refusal::Encrypted
    } else if at + size > length {
        Refusal::Incomplete
    } else {
        Refusal::NotMedia
    }
}
