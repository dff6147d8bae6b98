//! What a camera or a service wrote into the pictures of a copied stream: SEI messages of user data, dropped. Pure.
//!
//! Drones, dash cameras and recorders put place, time and device there, beside the picture and in no tag. Everything else of
//! SEI says how the pictures are shown, and stays; so does the banner of x264, which decoders read to know its old faults.

use super::nal::units;

/// SEI payload type of unregistered user data (ITU-T H.264, D.1.1; H.265, D.2.1).
const USER_DATA: usize = 5;
/// The UUID before x264's banner.
const X264: [u8; 16] = [
    0xdc, 0x45, 0xe9, 0xbd, 0xe6, 0xd9, 0x48, 0xb7, 0x96, 0x2c, 0xd8, 0x20, 0xd9, 0x23, 0xee, 0xef,
];

/// The syntax of a stream's units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Syntax {
    H264,
    Hevc,
}

impl Syntax {
    fn header_bytes(self) -> usize {
        match self {
            Self::H264 => 1,
            Self::Hevc => 2,
        }
    }

    fn is_sei(self, unit: &[u8]) -> bool {
        let Some(first) = unit.first() else {
            return false;
        };
        match self {
            Self::H264 => first & 0x1f == 6,
            Self::Hevc => matches!((first >> 1) & 0x3f, 39 | 40),
        }
    }

    /// Bytes of the length before each unit of a packet; 0 for start codes (ISO 14496-15, 5.3.3.1 and 8.3.3.1).
    pub(super) fn length_bytes(self, extradata: &[u8]) -> usize {
        let at = match self {
            Self::H264 => 4,
            Self::Hevc => 21,
        };
        match (extradata.first(), extradata.get(at)) {
            (Some(1), Some(byte)) => usize::from(byte & 3) + 1,
            _ => 0,
        }
    }
}

/// The packet without user data; none where it has none, or does not read.
pub(super) fn without_user_data(packet: &[u8], length_bytes: usize, syntax: Syntax) -> Option<Vec<u8>> {
    if !units(packet, length_bytes).any(|unit| syntax.is_sei(unit) && stripped(unit, syntax).is_some()) {
        return None;
    }
    let mut out = Vec::with_capacity(packet.len());
    for unit in units(packet, length_bytes) {
        let kept = if syntax.is_sei(unit) {
            stripped(unit, syntax)
        } else {
            None
        };
        let unit = kept.as_deref().unwrap_or(unit);
        if unit.is_empty() {
            continue;
        }
        if length_bytes == 0 {
            out.extend_from_slice(&[0, 0, 0, 1]);
        } else {
            // It is no longer than a unit whose length stood there.
            out.extend_from_slice(&unit.len().to_be_bytes()[size_of::<usize>() - length_bytes..]);
        }
        out.extend_from_slice(unit);
    }
    Some(out)
}

/// A unit of SEI without its user data, empty where nothing else is in it; none where it has none, or does not read.
fn stripped(unit: &[u8], syntax: Syntax) -> Option<Vec<u8>> {
    let (header, payload) = unit.split_at_checked(syntax.header_bytes())?;
    let bytes = unescaped(payload);
    // rbsp_trailing_bits is a byte of 0x80; zeros may follow.
    let end = bytes.iter().rposition(|byte| *byte != 0)?;
    let (mut rest, trailing) = bytes.split_at(end);
    if trailing[0] != 0x80 {
        return None;
    }
    let (mut kept, mut dropped) = (Vec::new(), false);
    while !rest.is_empty() {
        let (kind, after) = number(rest)?;
        let (size, after) = number(after)?;
        let (message, after) = after.split_at_checked(size)?;
        if kind == USER_DATA && !message.starts_with(&X264) {
            dropped = true;
        } else {
            kept.extend_from_slice(&rest[..rest.len() - after.len()]);
        }
        rest = after;
    }
    if !dropped {
        return None;
    }
    if kept.is_empty() {
        return Some(kept);
    }
    kept.push(0x80);
    let mut out = header.to_vec();
    escape(&kept, &mut out);
    Some(out)
}

/// A type or a size: bytes of 255, and one that ends it.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let full = bytes.iter().take_while(|byte| **byte == 0xff).count();
    let last = bytes.get(full)?;
    Some((full * 255 + usize::from(*last), &bytes[full + 1..]))
}

/// Without the emulation prevention: a 3 after two zeros (ITU-T H.264, 7.4.1).
fn unescaped(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len());
    let mut zeros = 0;
    for &byte in payload {
        if zeros == 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { (zeros + 1).min(2) } else { 0 };
        out.push(byte);
    }
    out
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    let mut zeros = 0;
    for &byte in bytes {
        if zeros == 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAMERA: [u8; 20] = *b"0123456789abcdefhere";
    const PICTURE: [u8; 7] = [0, 0, 0, 3, 0x65, 0x88, 0x84];

    fn framed(unit: &[u8]) -> Vec<u8> {
        let mut out = u32::try_from(unit.len()).unwrap().to_be_bytes().to_vec();
        out.extend_from_slice(unit);
        out
    }

    /// A unit of SEI with these messages.
    fn sei(header: &[u8], messages: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, payload) in messages {
            bytes.extend_from_slice(&[*kind, u8::try_from(payload.len()).unwrap()]);
            bytes.extend_from_slice(payload);
        }
        bytes.push(0x80);
        let mut unit = header.to_vec();
        escape(&bytes, &mut unit);
        unit
    }

    #[test]
    fn a_unit_of_nothing_but_user_data_goes() {
        let packet = [framed(&sei(&[6], &[(5, &CAMERA)])), PICTURE.to_vec()].concat();
        assert_eq!(without_user_data(&packet, 4, Syntax::H264), Some(PICTURE.to_vec()));
        let hevc = [framed(&sei(&[39 << 1, 1], &[(5, &CAMERA)])), PICTURE.to_vec()].concat();
        assert_eq!(without_user_data(&hevc, 4, Syntax::Hevc), Some(PICTURE.to_vec()));
    }

    #[test]
    fn what_says_how_pictures_are_shown_stays_and_is_escaped_again() {
        let timing: (u8, &[u8]) = (1, &[0, 0, 1, 0, 0, 0]);
        let both = sei(&[6], &[timing, (5, &CAMERA), (6, &[0x85])]);
        let packet = [framed(&both), PICTURE.to_vec()].concat();
        let kept = [framed(&sei(&[6], &[timing, (6, &[0x85])])), PICTURE.to_vec()].concat();
        assert_eq!(without_user_data(&packet, 4, Syntax::H264), Some(kept));
    }

    #[test]
    fn start_codes_are_written_where_they_were_read() {
        let packet = [&[0, 0, 1][..], &sei(&[6], &[(5, &CAMERA)]), &[0, 0, 1, 0x65, 0x88]].concat();
        assert_eq!(
            without_user_data(&packet, 0, Syntax::H264),
            Some(vec![0, 0, 0, 1, 0x65, 0x88])
        );
    }

    #[test]
    fn a_banner_that_decoders_read_stays() {
        let banner = [&X264[..], b"x264 - core 164"].concat();
        let packet = [framed(&sei(&[6], &[(5, &banner)])), PICTURE.to_vec()].concat();
        assert_eq!(without_user_data(&packet, 4, Syntax::H264), None);
    }

    #[test]
    fn what_does_not_read_stays_as_it_is() {
        for unit in [&[6][..], &[6, 5], &[6, 5, 200, 1, 2, 0x80], &[6, 0xff, 0xff]] {
            assert_eq!(without_user_data(&framed(unit), 4, Syntax::H264), None, "{unit:?}");
        }
        assert_eq!(without_user_data(&[0, 0], 4, Syntax::H264), None);
    }
}
