//! The parameter sets of copied H.264 packets: those of the header, or others. Pure.
//!
//! A copy keeps one header. Where a key frame in mid-stream brings a sequence parameter set that the header does not
//! have, players show garbage from there on, so such a stream is converted instead.

/// NAL unit type of a sequence parameter set (ITU-T H.264, table 7-1).
const SPS: u8 = 7;

/// NAL unit type of a slice of an IDR picture.
const IDR: u8 = 5;

/// NAL unit type of supplemental enhancement information: nothing that a picture is made of.
const SEI: u8 = 6;

/// The sequence parameter sets that a stream's header holds, and how its packets are framed.
#[derive(Debug)]
pub(super) struct Header {
    sets: Vec<Vec<u8>>,
    /// Bytes of the length before each unit; 0 for start codes.
    length_bytes: usize,
}

impl Header {
    /// Reads `avcC` (ISO 14496-15, 5.3.3.1) or start codes.
    pub(super) fn of(extradata: &[u8]) -> Self {
        if extradata.first() == Some(&1) && extradata.len() > 6 {
            return Self {
                sets: avcc_sets(extradata),
                length_bytes: usize::from(extradata[4] & 3) + 1,
            };
        }
        Self {
            sets: units(extradata, 0)
                .filter(|unit| is_sps(unit))
                .map(<[u8]>::to_vec)
                .collect(),
            length_bytes: 0,
        }
    }

    /// Whether a packet is an IDR picture: nothing before it is needed from here on.
    pub(super) fn starts_anew(&self, packet: &[u8]) -> bool {
        units(packet, self.length_bytes).any(|unit| unit.first().is_some_and(|header| header & 0x1f == IDR))
    }

    /// What a packet holds but supplemental enhancement information.
    pub(super) fn units_without_sei<'a>(&self, packet: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        units(packet, self.length_bytes).filter(|unit| unit.first().is_none_or(|header| header & 0x1f != SEI))
    }

    /// Whether a packet brings a sequence parameter set that is not of this header.
    pub(super) fn is_left_by(&self, packet: &[u8]) -> bool {
        !self.sets.is_empty()
            && units(packet, self.length_bytes)
                .filter(|unit| is_sps(unit))
                .any(|unit| !self.sets.iter().any(|set| trimmed(set) == trimmed(unit)))
    }
}

fn is_sps(unit: &[u8]) -> bool {
    unit.first().is_some_and(|header| header & 0x1f == SPS)
}

/// Zeros may follow a unit (trailing_zero_8bits).
fn trimmed(unit: &[u8]) -> &[u8] {
    let end = unit.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
    &unit[..end]
}

fn avcc_sets(extradata: &[u8]) -> Vec<Vec<u8>> {
    let count = usize::from(extradata[5] & 0x1f);
    let mut rest = &extradata[6..];
    let mut sets = Vec::new();
    for _ in 0..count {
        let Some((unit, after)) = split_length(rest, 2) else {
            break;
        };
        sets.push(unit.to_vec());
        rest = after;
    }
    sets
}

/// A unit with its length before it, and what follows.
fn split_length(bytes: &[u8], length_bytes: usize) -> Option<(&[u8], &[u8])> {
    let length = bytes
        .get(..length_bytes)?
        .iter()
        .fold(0_usize, |sum, &byte| (sum << 8) | usize::from(byte));
    let rest = bytes.get(length_bytes..)?;
    (length <= rest.len()).then(|| rest.split_at(length))
}

/// The units of a packet; `length_bytes` 0 means start codes.
pub(super) fn units(bytes: &[u8], length_bytes: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = if length_bytes == 0 {
        next_start(bytes).map_or(&[][..], |(_, after)| &bytes[after..])
    } else {
        bytes
    };
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if length_bytes == 0 {
            let (unit, after) = match next_start(rest) {
                Some((at, after)) => (&rest[..at], &rest[after..]),
                None => (rest, &[][..]),
            };
            rest = after;
            return Some(unit);
        }
        let (unit, after) = split_length(rest, length_bytes)?;
        rest = after;
        Some(unit)
    })
}

/// Where the next start code begins and ends.
fn next_start(bytes: &[u8]) -> Option<(usize, usize)> {
    bytes
        .windows(3)
        .position(|three| three == [0, 0, 1])
        .map(|at| (at, at + 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// avcC with one SPS (67 64 00 1f) and lengths of four bytes.
    const AVCC: [u8; 13] = [1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 4, 0x67, 0x64, 0, 0x1f, 0];

    #[test]
    fn the_same_parameter_set_in_a_packet_is_no_change() {
        let header = Header::of(&AVCC);
        assert!(!header.is_left_by(&[0, 0, 0, 4, 0x67, 0x64, 0, 0x1f, 0, 0, 0, 2, 0x65, 1]));
    }

    #[test]
    fn another_parameter_set_is_a_change_in_either_framing() {
        assert!(Header::of(&AVCC).is_left_by(&[0, 0, 0, 4, 0x67, 0x64, 0, 0x28]));
        let with_start_codes = Header::of(&[0, 0, 0, 1, 0x67, 0x64, 0, 0x1f, 0, 0, 0, 1, 0x68, 1]);
        assert!(!with_start_codes.is_left_by(&[0, 0, 1, 0x67, 0x64, 0, 0x1f, 0, 0, 1, 0x65, 1]));
        assert!(with_start_codes.is_left_by(&[0, 0, 1, 0x67, 0x64, 0, 0x28, 0, 0, 1, 0x65, 1]));
    }

    #[test]
    fn a_length_beyond_the_packet_ends_the_walk() {
        assert!(!Header::of(&AVCC).is_left_by(&[0xff, 0xff, 0xff, 0xff, 0x67]));
    }
}
