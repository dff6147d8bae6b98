//! H.264 without compression: every picture is an IDR picture of I_PCM macroblocks, so its decoded pixels are the ones that
//! went in. Pure; sections and tables are those of ITU-T H.264.

/// The first picture of a stream says all of this; nothing changes after it.
#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// 66, 77 or 100: I_PCM with CAVLC is within all three.
    pub(crate) profile_idc: u8,
    /// 0 takes the level that size and rate ask for.
    pub(crate) level_idc: u8,
    pub(crate) sample_aspect_ratio: (u32, u32),
    /// Frames a second.
    pub(crate) rate: (u32, u32),
    pub(crate) signal: Option<Signal>,
}

/// `video_signal_type` of the VUI.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Signal {
    pub(crate) full_range: bool,
    /// Primaries, transfer characteristics, matrix.
    pub(crate) colour: Option<[u8; 3]>,
}

/// A plane of 8-bit samples; `step` lies between neighbours, 2 where two planes are interleaved.
#[derive(Clone, Copy)]
pub(crate) struct Plane<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) pitch: usize,
    pub(crate) step: usize,
}

impl Plane<'_> {
    /// The sample at a place, or the nearest one inside for a place beyond the picture's edge.
    fn sample(&self, x: usize, y: usize, width: usize, height: usize) -> u8 {
        let at = y.min(height - 1) * self.pitch + x.min(width - 1) * self.step;
        self.bytes.get(at).copied().unwrap_or(0)
    }
}

/// Table A-1: level, most macroblocks a second, most macroblocks a frame.
const LEVELS: [(u8, u32, u32); 15] = [
    (10, 1_485, 99),
    (11, 3_000, 396),
    (12, 6_000, 396),
    (13, 11_880, 396),
    (21, 19_800, 792),
    (22, 20_250, 1_620),
    (30, 40_500, 1_620),
    (31, 108_000, 3_600),
    (32, 216_000, 5_120),
    (40, 245_760, 8_192),
    (42, 522_240, 8_704),
    (50, 589_824, 22_080),
    (51, 983_040, 36_864),
    (52, 2_073_600, 36_864),
    (60, 4_177_920, 139_264),
];

const NAL_IDR: u8 = 0x65;
const NAL_SPS: u8 = 0x67;
const NAL_PPS: u8 = 0x68;

impl Sequence {
    fn width_mbs(&self) -> u32 {
        self.width.div_ceil(16)
    }

    fn height_mbs(&self) -> u32 {
        self.height.div_ceil(16)
    }

    fn level(&self) -> u8 {
        if self.level_idc != 0 {
            return self.level_idc;
        }
        let frame = u64::from(self.width_mbs() * self.height_mbs());
        let second = frame * u64::from(self.rate.0) / u64::from(self.rate.1.max(1));
        LEVELS
            .iter()
            .find(|(_, second_max, frame_max)| second <= u64::from(*second_max) && frame <= u64::from(*frame_max))
            .map_or(62, |(level, _, _)| *level)
    }
}

/// SPS and PPS (7.3.2.1, 7.3.2.2), with start codes.
pub(crate) fn parameter_sets(sequence: &Sequence) -> Vec<u8> {
    let mut sps = Bits::default();
    sps.put(u32::from(sequence.profile_idc), 8);
    // Of Baseline only the constrained part is used, of Main only what intra needs.
    let constraints = match sequence.profile_idc {
        66 => 0xc0,
        77 => 0x40,
        _ => 0,
    };
    sps.put(constraints, 8);
    sps.put(u32::from(sequence.level()), 8);
    sps.ue(0);
    if sequence.profile_idc == 100 {
        // 4:2:0, 8 bits, 8 bits, no lossless transform bypass, no scaling matrices.
        sps.ue(1);
        sps.ue(0);
        sps.ue(0);
        sps.put(0, 2);
    }
    // frame_num of 4 bits; pictures come out in the order in which they went in; one reference frame; no gaps.
    sps.ue(0);
    sps.ue(2);
    sps.ue(1);
    sps.put(0, 1);
    sps.ue(sequence.width_mbs() - 1);
    sps.ue(sequence.height_mbs() - 1);
    // Frames only, direct_8x8_inference.
    sps.put(0b11, 2);
    crop(&mut sps, sequence);
    sps.put(1, 1);
    vui(&mut sps, sequence);
    let mut out = Vec::new();
    nal(&mut out, NAL_SPS, &sps.finish());

    let mut pps = Bits::default();
    pps.ue(0);
    pps.ue(0);
    // CAVLC, no field order in slices.
    pps.put(0, 2);
    // One slice group; one reference each way; no weighted prediction.
    pps.ue(0);
    pps.ue(0);
    pps.ue(0);
    pps.put(0, 3);
    // Quantisers at 26, no chroma offset.
    pps.ue(0);
    pps.ue(0);
    pps.ue(0);
    // The slice says that nothing is deblocked; no constrained intra prediction, no redundant pictures.
    pps.put(0b100, 3);
    nal(&mut out, NAL_PPS, &pps.finish());
    out
}

/// Takes off what the picture was padded with, in units of two samples.
fn crop(sps: &mut Bits, sequence: &Sequence) {
    let right = (sequence.width_mbs() * 16 - sequence.width) / 2;
    let bottom = (sequence.height_mbs() * 16 - sequence.height) / 2;
    let cropped = right > 0 || bottom > 0;
    sps.put(u32::from(cropped), 1);
    if cropped {
        sps.ue(0);
        sps.ue(right);
        sps.ue(0);
        sps.ue(bottom);
    }
}

/// Annex E.
fn vui(sps: &mut Bits, sequence: &Sequence) {
    let (width, height) = sequence.sample_aspect_ratio;
    let odd = width != height && (1..65_536).contains(&width) && (1..65_536).contains(&height);
    sps.put(u32::from(odd), 1);
    if odd {
        sps.put(255, 8);
        sps.put(width, 16);
        sps.put(height, 16);
    }
    // No overscan information.
    sps.put(0, 1);
    sps.put(u32::from(sequence.signal.is_some()), 1);
    if let Some(signal) = sequence.signal {
        // Format unspecified.
        sps.put(5, 3);
        sps.put(u32::from(signal.full_range), 1);
        sps.put(u32::from(signal.colour.is_some()), 1);
        for number in signal.colour.into_iter().flatten() {
            sps.put(u32::from(number), 8);
        }
    }
    // No chroma location.
    sps.put(0, 1);
    let (rate, scale) = sequence.rate;
    let timed = rate > 0 && scale > 0 && rate < 1 << 30;
    sps.put(u32::from(timed), 1);
    if timed {
        sps.put(scale, 32);
        sps.put(rate * 2, 32);
        // Not said to be constant: the container knows.
        sps.put(0, 1);
    }
    // No HRD of either kind, no picture structure.
    sps.put(0, 3);
    // Restrictions: nothing is reordered, and one frame is all that a decoder keeps.
    sps.put(0b11, 2);
    sps.ue(0);
    sps.ue(0);
    sps.ue(10);
    sps.ue(10);
    sps.ue(0);
    sps.ue(1);
}

/// One IDR picture (7.3.3 to 7.3.5), with a start code. `number` only has to differ from the picture's before.
pub(crate) fn picture(sequence: &Sequence, number: u64, luma: Plane, colours: [Plane; 2]) -> Vec<u8> {
    let (width, height) = (sequence.width as usize, sequence.height as usize);
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    let mut slice = Bits::default();
    slice.ue(0);
    // All slices of the picture are I slices.
    slice.ue(7);
    slice.ue(0);
    slice.put(0, 4);
    slice.ue((number & 1) as u32);
    // Reference marking of an IDR picture, no change of the quantiser, no deblocking.
    slice.put(0, 2);
    slice.ue(0);
    slice.ue(1);
    for row in 0..sequence.height_mbs() as usize {
        for column in 0..sequence.width_mbs() as usize {
            // I_PCM, and then bytes.
            slice.ue(25);
            slice.align();
            block(&mut slice.bytes, luma, 16, (column, row), (width, height));
            for plane in colours {
                block(&mut slice.bytes, plane, 8, (column, row), (half_width, half_height));
            }
        }
    }
    let mut out = Vec::with_capacity(slice.bytes.len() + slice.bytes.len() / 64 + 16);
    nal(&mut out, NAL_IDR, &slice.finish());
    out
}

/// Samples of one macroblock of one plane, `edge` by `edge`.
fn block(out: &mut Vec<u8>, plane: Plane, edge: usize, at: (usize, usize), size: (usize, usize)) {
    let (left, top) = (at.0 * edge, at.1 * edge);
    let inside = left + edge <= size.0 && top + edge <= size.1;
    for y in top..top + edge {
        let start = y * plane.pitch + left * plane.step;
        let row = plane
            .bytes
            .get(start..start + edge)
            .filter(|_| inside && plane.step == 1);
        match row {
            Some(row) => out.extend_from_slice(row),
            None => out.extend((left..left + edge).map(|x| plane.sample(x, y, size.0, size.1))),
        }
    }
}

/// Annex B: start code, header, and the payload with emulation prevention (7.4.1).
fn nal(out: &mut Vec<u8>, header: u8, payload: &[u8]) {
    out.extend([0, 0, 0, 1, header]);
    let mut zeros = 0;
    for &byte in payload {
        if zeros == 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        out.push(byte);
        zeros = if byte == 0 { zeros + 1 } else { 0 };
    }
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// Bits of the last byte that are still free.
    free: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        for shift in (0..count).rev() {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            self.free -= 1;
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> shift & 1) as u8) << self.free;
            }
        }
    }

    /// Exp-Golomb (9.1).
    fn ue(&mut self, value: u32) {
        let length = 32 - (value + 1).leading_zeros();
        self.put(0, length - 1);
        self.put(value + 1, length);
    }

    /// Zeros up to the next byte.
    fn align(&mut self) {
        self.free = 0;
    }

    /// Ends a payload: a one, then zeros.
    fn finish(mut self) -> Vec<u8> {
        self.put(1, 1);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{Bits, Plane, Sequence, Signal, nal, parameter_sets, picture};

    fn sequence(width: u32, height: u32) -> Sequence {
        Sequence {
            width,
            height,
            profile_idc: 100,
            level_idc: 0,
            sample_aspect_ratio: (1, 1),
            rate: (25, 1),
            signal: None,
        }
    }

    #[test]
    fn numbers_are_written_as_exp_golomb_codes() {
        let mut bits = Bits::default();
        for value in [0, 1, 2, 3, 25] {
            bits.ue(value);
        }
        // 1 010 011 00100 000011010, and the closing one.
        assert_eq!(bits.finish(), [0b1010_0110, 0b0100_0000, 0b1101_0100]);
    }

    #[test]
    fn a_start_code_cannot_appear_inside_a_payload() {
        let mut out = Vec::new();
        nal(&mut out, 0x65, &[0, 0, 0, 0, 0, 3, 0, 0, 4]);
        assert_eq!(out[5..], [0, 0, 3, 0, 0, 3, 0, 3, 0, 0, 4]);
    }

    #[test]
    fn a_picture_holds_its_samples_in_macroblocks_and_repeats_its_edge() {
        let luma: Vec<u8> = (0..18 * 2).map(|n| n as u8 + 100).collect();
        let uv = [50u8, 60].repeat(9);
        let chroma = |from| Plane {
            bytes: &uv[from..],
            pitch: 18,
            step: 2,
        };
        let plane = Plane {
            bytes: &luma,
            pitch: 18,
            step: 1,
        };
        let bytes = picture(&sequence(18, 2), 0, plane, [chroma(0), chroma(1)]);
        // Start code and header, slice header to I_PCM: 7 bytes and 2, then two macroblocks of 384 with 2 bytes between.
        let first = bytes.len() - 1 - 384 * 2 - 2;
        assert_eq!(bytes[first..first + 16], luma[..16]);
        assert_eq!(bytes[first + 15 * 16..first + 16 * 16], luma[18..34]);
        assert_eq!(bytes[first + 256..first + 256 + 128], [[50u8; 64], [60; 64]].concat());
        let second = first + 384 + 2;
        assert_eq!(bytes[second - 2..second], [0b0000_1101, 0]);
        assert_eq!(bytes[second..second + 3], [116, 117, 117]);
    }

    #[test]
    fn the_level_is_the_one_that_size_and_rate_ask_for() {
        let level = |width, height, rate| {
            Sequence {
                rate: (rate, 1),
                ..sequence(width, height)
            }
            .level()
        };
        assert_eq!(level(176, 144, 15), 10);
        assert_eq!(level(1280, 720, 25), 31);
        assert_eq!(level(1920, 1080, 30), 40);
        assert_eq!(level(1920, 1080, 60), 42);
        assert_eq!(level(3840, 2160, 60), 52);
    }

    #[test]
    fn a_signal_changes_the_parameter_sets_and_nothing_is_said_without_one() {
        let plain = parameter_sets(&sequence(320, 240));
        let signal = Some(Signal {
            full_range: false,
            colour: Some([1, 1, 1]),
        });
        let tagged = parameter_sets(&Sequence {
            signal,
            ..sequence(320, 240)
        });
        assert_eq!(plain[..8], [0, 0, 0, 1, 0x67, 100, 0, 13]);
        assert!(tagged.len() > plain.len());
    }
}
