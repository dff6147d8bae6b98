//! From the small pictures of a stream to upright RGB, in plain arithmetic: matrix, range, primaries, orientation.

use super::decode::{Frames, PICTURE_BYTES, SIDE};
use super::facts::Stream;

/// How the bytes of a small picture are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reading {
    /// Weight of red and blue in luma; `None` where the bytes are RGB.
    pub(crate) weights: Option<(f32, f32)>,
    pub(crate) full_range: bool,
    pub(crate) wide: bool,
}

pub(crate) const BT709: (f32, f32) = (0.2126, 0.0722);
const BT601: (f32, f32) = (0.299, 0.114);
const BT2020: (f32, f32) = (0.2627, 0.0593);

/// The reading by the tags, or by what players assume where there are none: by the size, and either where they differ
/// (577 to 719 lines and narrower than 1280).
pub(crate) fn readings(stream: &Stream) -> Vec<Reading> {
    let base = Reading {
        weights: None,
        full_range: stream.is_full_range(),
        wide: stream.primaries == "bt2020" || (stream.primaries.is_empty() && stream.matrix.starts_with("bt2020")),
    };
    if stream.is_rgb() {
        return vec![base];
    }
    let by = |weights| Reading {
        weights: Some(weights),
        ..base
    };
    match stream.matrix.as_str() {
        "bt709" => vec![by(BT709)],
        "smpte170m" | "bt470bg" => vec![by(BT601)],
        "fcc" => vec![by((0.30, 0.11))],
        "smpte240m" => vec![by((0.212, 0.087))],
        "bt2020nc" | "bt2020c" => vec![by(BT2020)],
        _ if stream.is_hdr() => vec![by(BT2020)],
        _ if stream.width >= 1280 || stream.height >= 720 => vec![by(BT709)],
        _ if stream.height > 576 => vec![by(BT601), by(BT709)],
        _ => vec![by(BT601)],
    }
}

/// An upright picture of `SIDE` x `SIDE`, packed RGB, 0 to 255.
pub(crate) fn upright(frames: &Frames, index: usize, reading: Reading, matrix: Option<[i64; 9]>) -> Option<Vec<f32>> {
    let bytes = frames.picture(index)?;
    let mut picture = vec![0.0; PICTURE_BYTES];
    let area = SIDE * SIDE;
    for at in 0..area {
        let rgb = match reading.weights {
            None => [bytes[at * 3], bytes[at * 3 + 1], bytes[at * 3 + 2]].map(f32::from),
            Some(weights) => rgb_of(
                [bytes[at], bytes[area + at], bytes[2 * area + at]].map(f32::from),
                weights,
                reading.full_range,
            ),
        };
        let rgb = if reading.wide { narrow(rgb) } else { rgb };
        let to = turned(at % SIDE, at / SIDE, matrix);
        picture[to * 3..to * 3 + 3].copy_from_slice(&rgb);
    }
    Some(picture)
}

/// YCbCr to RGB (ITU-R BT.709 and BT.601, sections on digital representation).
fn rgb_of([luma, blue, red]: [f32; 3], (weight_red, weight_blue): (f32, f32), full_range: bool) -> [f32; 3] {
    let (luma, scale) = if full_range {
        (luma / 255.0, 255.0)
    } else {
        ((luma - 16.0) / 219.0, 224.0)
    };
    let (blue, red) = ((blue - 128.0) / scale, (red - 128.0) / scale);
    let weight_green = 1.0 - weight_red - weight_blue;
    let r = luma + 2.0 * (1.0 - weight_red) * red;
    let b = luma + 2.0 * (1.0 - weight_blue) * blue;
    let g = (luma - weight_red * r - weight_blue * b) / weight_green;
    [r, g, b].map(|value| (value * 255.0).clamp(0.0, 255.0))
}

/// BT.2020 primaries to BT.709 ones, in light (ITU-R BT.2407, with a display gamma of 2.4).
fn narrow(rgb: [f32; 3]) -> [f32; 3] {
    let [r, g, b] = rgb.map(|value| (value / 255.0).powf(2.4));
    [
        1.6605 * r - 0.5876 * g - 0.0728 * b,
        -0.1246 * r + 1.1329 * g - 0.0083 * b,
        -0.0182 * r - 0.1006 * g + 1.1187 * b,
    ]
    .map(|value| value.clamp(0.0, 1.0).powf(1.0 / 2.4) * 255.0)
}

/// Where a pixel goes when the display matrix is applied (ISO/IEC 14496-12, section 8.3.2): a point as a row vector
/// times the matrix, for the eight orientations.
fn turned(x: usize, y: usize, matrix: Option<[i64; 9]>) -> usize {
    let last = SIDE - 1;
    let Some(m) = matrix else {
        return y * SIDE + x;
    };
    let place = |from_x: i64, from_y: i64| {
        let (by, from) = if from_x.abs() >= from_y.abs() {
            (from_x, x)
        } else {
            (from_y, y)
        };
        if by < 0 { last - from } else { from }
    };
    place(m[1], m[4]) * SIDE + place(m[0], m[3])
}
