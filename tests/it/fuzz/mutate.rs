//! Bytes -> other bytes, by a seed: what transport, disks and malice do to files.

/// SplitMix64: small, and the same everywhere, so that a seed names a file.
pub(super) struct Dice(u64);

impl Dice {
    /// Of one file of one run.
    pub(super) fn of(seed: u64, number: u64) -> Self {
        let mut dice = Self(seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
        dice.roll();
        dice
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// Below `end`; 0 where there is nothing below it.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % (end.max(1) as u64)).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.roll().to_le_bytes()[0]
    }

    /// A place in so many bytes. Headers are small and decide the most, so half of the places are near the start.
    fn place(&mut self, length: usize) -> usize {
        let end = if self.below(2) == 0 { length.min(2_048) } else { length };
        self.below(end)
    }
}

/// Elements of Matroska whose length is worth a lie.
const ELEMENTS: [&[u8]; 8] = [
    b"\x1a\x45\xdf\xa3",
    b"\x18\x53\x80\x67",
    b"\x16\x54\xae\x6b",
    b"\x1f\x43\xb6\x75",
    b"\x1c\x53\xbb\x6b",
    b"\x63\xa2",
    b"\xae",
    b"\xa3",
];
const EDITS_MAX: usize = 4;
const BLOCK_MAX: usize = 4_096;

/// One to four edits; `other` is what a splice takes its tail from.
pub(super) fn mutate(bytes: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.below(EDITS_MAX) {
        edit(&mut bytes, other, dice);
    }
    bytes
}

fn edit(bytes: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let length = bytes.len();
    let from = dice.place(length);
    let block = from..(from + 1 + dice.below(BLOCK_MAX)).min(length);
    match dice.below(10) {
        0 | 1 => flip(bytes, dice),
        2 => overwrite(bytes, dice),
        3..=5 => lie(bytes, dice),
        6 => bytes.truncate(from),
        7 => drop(bytes.drain(block)),
        8 => {
            let moved: Vec<u8> = bytes[block.clone()].to_vec();
            if dice.below(2) == 0 {
                bytes.drain(block);
            }
            let to = dice.place(bytes.len() + 1);
            bytes.splice(to..to, moved);
        }
        _ => {
            bytes.truncate(from);
            bytes.extend_from_slice(&other[dice.place(other.len())..]);
        }
    }
}

fn flip(bytes: &mut [u8], dice: &mut Dice) {
    for _ in 0..=dice.below(16) {
        let (at, bit) = (dice.place(bytes.len()), dice.below(8));
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << bit;
        }
    }
}

/// Some bytes in a row, all the same or any.
fn overwrite(bytes: &mut [u8], dice: &mut Dice) {
    let at = dice.place(bytes.len());
    let same = [Some(0), Some(0xff), Some(0x7f), Some(0x80), None][dice.below(5)];
    let length = 1 + dice.below(8);
    for byte in bytes.iter_mut().skip(at).take(length) {
        *byte = same.unwrap_or_else(|| dice.byte());
    }
}

/// Changes a length field: of a box, a RIFF chunk, or an element. Any bytes where there is none.
fn lie(bytes: &mut [u8], dice: &mut Dice) {
    let fields = lengths(bytes);
    let Some(field) = fields.get(dice.below(fields.len())) else {
        return overwrite(bytes, dice);
    };
    match *field {
        Length::Big(at) => {
            let now = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
            bytes[at..at + 4].copy_from_slice(&another(now, dice).to_be_bytes());
        }
        Length::Little(at) => {
            let now = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            bytes[at..at + 4].copy_from_slice(&another(now, dice).to_le_bytes());
        }
        // The highest bit set says how long the length is: another one changes that as well.
        Length::Element(at) => bytes[at] = [0xff, 0x01, 0x80, 0x81, 0x40, 0x10][dice.below(6)],
    }
}

fn another(now: u32, dice: &mut Dice) -> u32 {
    match dice.below(10) {
        0 => 0,
        1 => 1,
        2 => 7,
        3 => u32::MAX,
        4 => i32::MAX.cast_unsigned(),
        5 => now.wrapping_add(1),
        6 => now.wrapping_sub(1),
        7 => now.wrapping_mul(2),
        8 => now / 2,
        _ => 1 << dice.below(32),
    }
}

/// Where a length stands.
enum Length {
    /// Before the name of a box.
    Big(usize),
    /// Behind the name of a chunk.
    Little(usize),
    /// Behind an element's name.
    Element(usize),
}

/// Every place that looks like a length field; some are none, which does no harm.
fn lengths(bytes: &[u8]) -> Vec<Length> {
    let riff = bytes.starts_with(b"RIFF");
    let matroska = bytes.starts_with(ELEMENTS[0]);
    let is_name = |four: &[u8]| {
        four.iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | 0xa9))
    };
    let mut found = Vec::new();
    for at in 0..bytes.len().saturating_sub(8) {
        if matroska {
            let name = ELEMENTS.iter().find(|name| bytes[at..].starts_with(name));
            found.extend(name.map(|name| Length::Element(at + name.len())));
        } else if riff && is_name(&bytes[at..at + 4]) {
            found.push(Length::Little(at + 4));
        } else if !riff && is_name(&bytes[at + 4..at + 8]) && !is_name(&bytes[at..at + 4]) {
            found.push(Length::Big(at));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Dice, Length, lengths, mutate};

    #[test]
    fn a_seed_names_a_file() {
        let source: Vec<u8> = (0..=255).cycle().take(5_000).collect();
        let made = |number| mutate(&source, &source, &mut Dice::of(7, number));
        assert!((0..200).all(|number| made(number) == made(number)));
        let changed = (0..200).filter(|&number| made(number) != source).count();
        assert!(changed > 190, "{changed} of 200 changed");
    }

    #[test]
    fn lengths_of_boxes_chunks_and_elements_are_found() {
        let mut mp4 = vec![0; 64];
        mp4[20..28].copy_from_slice(b"\0\0\0\x10moov");
        assert!(matches!(lengths(&mp4)[..], [Length::Big(20)]));
        let mut avi = vec![0; 64];
        avi[..4].copy_from_slice(b"RIFF");
        assert!(matches!(lengths(&avi)[..], [Length::Little(4)]));
        let mut mkv = vec![0; 64];
        mkv[..4].copy_from_slice(b"\x1a\x45\xdf\xa3");
        mkv[30] = 0xae;
        // The first name ends as another one is: its length is found twice.
        let found = lengths(&mkv);
        assert!(matches!(
            found[..],
            [Length::Element(4), Length::Element(4), Length::Element(31)]
        ));
    }
}
