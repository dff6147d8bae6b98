//! High dynamic range and wide colour -> BT.709: one table for a film, applied to each frame.
//!
//! ```text
//! Y'CbCr 10 bit --(matrix, range)--> R'G'B' --(PQ | HLG + OOTF | gamma)--> light in cd/m2
//!   --(BT.2390 knee on luminance)--> --(BT.2020 -> BT.709, too bright or too vivid goes towards grey)-->
//!   --(BT.1886)--> R'G'B' --> Y'CbCr 8 bit, limited range
//! ```
//!
//! The way through is pure arithmetic on one colour, so it is walked once for each point of a grid, and frames are
//! looked up in it: a 1080p frame takes some 10 ms instead of the 200 ms of a chain of filters on floats (docs/tone.md).
//! Chroma is looked up at its own resolution with the mean of its four lumas.

use super::info::Colour;

/// Diffuse white of HDR (ITU-R BT.2408, table 1), which becomes the white of the output, cd/m2.
const WHITE_NITS: f64 = 203.0;
/// What a film is taken to reach where it does not say: the usual mastering display, cd/m2.
const PEAK_NITS_DEFAULT: f64 = 1_000.0;

/// Grid points along luma and along each chroma, one more than a power of two.
const LUMA_POINTS: usize = 65;
const CHROMA_POINTS: usize = 33;
/// 10-bit steps between grid points.
const LUMA_SHIFT: u32 = 4;
const CHROMA_SHIFT: u32 = 5;
/// Fractional bits of the table's values.
const FRACTION_BITS: u32 = 6;

/// Ordered dither of what 8 bits cannot hold, in 64ths of a step.
const DITHER: [[i32; 4]; 4] = [[2, 34, 10, 42], [50, 18, 58, 26], [14, 46, 6, 38], [62, 30, 54, 22]];

/// What the table is made for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Source {
    pub(super) colour: Colour,
    /// Brightest light of the film, cd/m2, where it says so.
    pub(super) peak_nits: Option<u32>,
}

/// Colours of a film -> colours of BT.709.
pub(super) struct ToneMap {
    /// `[cb][cr][y]`, each output value with [`FRACTION_BITS`] of fraction.
    luma: Vec<u16>,
    /// `[cb][cr][y]`: Cb and Cr.
    chroma: Vec<[u16; 2]>,
}

/// A plane of 16-bit samples, its rows `stride` samples apart.
#[derive(Clone, Copy)]
pub(super) struct Wide<'a> {
    pub(super) samples: &'a [u16],
    pub(super) stride: usize,
}

/// A plane of bytes, its rows `stride` bytes apart.
pub(super) struct Narrow<'a> {
    pub(super) samples: &'a mut [u8],
    pub(super) stride: usize,
}

impl ToneMap {
    /// Walks the grid.
    pub(super) fn new(source: Source) -> Self {
        let count = CHROMA_POINTS * CHROMA_POINTS * LUMA_POINTS;
        let (mut luma, mut chroma) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for cb in 0..CHROMA_POINTS {
            for cr in 0..CHROMA_POINTS {
                for y in 0..LUMA_POINTS {
                    let code = [y << LUMA_SHIFT, cb << CHROMA_SHIFT, cr << CHROMA_SHIFT];
                    let [y, cb, cr] = map(source, code.map(precise));
                    luma.push(fixed(y));
                    chroma.push([fixed(cb), fixed(cr)]);
                }
            }
        }
        Self { luma, chroma }
    }

    /// Maps a 4:2:0 picture of 10 bits; sizes are even.
    pub(super) fn apply(&self, from: [Wide<'_>; 3], to: [Narrow<'_>; 3], width: usize, height: usize) {
        let [to_y, to_cb, to_cr] = to;
        for row in 0..height / 2 {
            let chroma_from = |plane: &Wide<'_>| row * plane.stride..row * plane.stride + width / 2;
            let cbs = &from[1].samples[chroma_from(&from[1])];
            let crs = &from[2].samples[chroma_from(&from[2])];
            let at = 2 * row * from[0].stride;
            let upper = &from[0].samples[at..at + width];
            let lower = &from[0].samples[at + from[0].stride..at + from[0].stride + width];
            let (out_upper, out_lower) = to_y.samples[2 * row * to_y.stride..].split_at_mut(to_y.stride);
            let out_cbs = &mut to_cb.samples[row * to_cb.stride..][..width / 2];
            let out_crs = &mut to_cr.samples[row * to_cr.stride..][..width / 2];
            let dithers = (&DITHER[2 * row % 4], &DITHER[(2 * row + 1) % 4]);
            for column in 0..width / 2 {
                let cell = Cell::of(cbs[column], crs[column]);
                let (left, right) = (2 * column, 2 * column + 1);
                let lumas = [upper[left], upper[right], lower[left], lower[right]];
                let noise = 2 * column % 4;
                out_upper[left] = self.luma_at(&cell, lumas[0], dithers.0[noise]);
                out_upper[right] = self.luma_at(&cell, lumas[1], dithers.0[noise + 1]);
                out_lower[left] = self.luma_at(&cell, lumas[2], dithers.1[noise]);
                out_lower[right] = self.luma_at(&cell, lumas[3], dithers.1[noise + 1]);
                let mean = (lumas.iter().map(|&luma| u32::from(luma)).sum::<u32>() + 2) / 4;
                let dither = DITHER[row % 4][column % 4];
                [out_cbs[column], out_crs[column]] = self.chroma_at(&cell, mean, dither);
            }
        }
    }

    fn luma_at(&self, cell: &Cell, luma: u16, dither: i32) -> u8 {
        let (index, part) = split(u32::from(luma), LUMA_SHIFT, LUMA_POINTS);
        let mut sum = 0;
        for (base, weight) in cell.bases.iter().zip(cell.weights) {
            let pair = &self.luma[base + index..base + index + 2];
            let value = i32::from(pair[0]) * (16 - part) + i32::from(pair[1]) * part;
            sum += (value >> LUMA_SHIFT) * weight;
        }
        round(sum, dither)
    }

    fn chroma_at(&self, cell: &Cell, luma: u32, dither: i32) -> [u8; 2] {
        let (index, part) = split(luma, LUMA_SHIFT, LUMA_POINTS);
        let mut sums = [0; 2];
        for (base, weight) in cell.bases.iter().zip(cell.weights) {
            let pair = &self.chroma[base + index..base + index + 2];
            for (channel, sum) in sums.iter_mut().enumerate() {
                let value = i32::from(pair[0][channel]) * (16 - part) + i32::from(pair[1][channel]) * part;
                *sum += (value >> LUMA_SHIFT) * weight;
            }
        }
        sums.map(|sum| round(sum, dither))
    }
}

/// The four columns of the table around a chroma, and their weights, which add up to 1024.
struct Cell {
    bases: [usize; 4],
    weights: [i32; 4],
}

impl Cell {
    fn of(cb: u16, cr: u16) -> Self {
        let (cb, cb_part) = split(u32::from(cb), CHROMA_SHIFT, CHROMA_POINTS);
        let (cr, cr_part) = split(u32::from(cr), CHROMA_SHIFT, CHROMA_POINTS);
        let base = (cb * CHROMA_POINTS + cr) * LUMA_POINTS;
        let across = CHROMA_POINTS * LUMA_POINTS;
        Self {
            bases: [base, base + LUMA_POINTS, base + across, base + across + LUMA_POINTS],
            weights: [
                (32 - cb_part) * (32 - cr_part),
                (32 - cb_part) * cr_part,
                cb_part * (32 - cr_part),
                cb_part * cr_part,
            ],
        }
    }
}

/// Grid point below a 10-bit value, and how far beyond it.
fn split(value: u32, shift: u32, points: usize) -> (usize, i32) {
    let value = value.min(1023);
    let index = (value >> shift) as usize;
    debug_assert!(index + 1 < points);
    #[expect(clippy::cast_possible_wrap, reason = "below 32")]
    let part = (value & ((1 << shift) - 1)) as i32;
    (index, part)
}

#[expect(clippy::cast_sign_loss, reason = "clamped to a byte")]
fn round(sum: i32, dither: i32) -> u8 {
    // Weights add up to 1024.
    (((sum >> 10) + dither) >> FRACTION_BITS).clamp(0, 255) as u8
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range before"
)]
fn fixed(value: f64) -> u16 {
    (value * f64::from(1 << FRACTION_BITS)).round().clamp(0.0, 16_383.0) as u16
}

#[expect(clippy::cast_precision_loss, reason = "at most 1024")]
fn precise(value: usize) -> f64 {
    value as f64
}

/// One colour: 10-bit Y'CbCr -> 8-bit Y'CbCr of BT.709, both unrounded.
fn map(source: Source, code: [f64; 3]) -> [f64; 3] {
    let rgb = rgb_of(source.colour, code);
    let light = light_of(source, rgb);
    let light = if source.colour.is_wide() || source.colour.primaries == 2 {
        to_bt709_primaries(light)
    } else {
        light
    };
    let rgb = into_gamut(light).map(|part| part.powf(1.0 / 2.4));
    let luma = 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2];
    [
        16.0 + 219.0 * luma,
        128.0 + 224.0 * (rgb[2] - luma) / 1.8556,
        128.0 + 224.0 * (rgb[0] - luma) / 1.5748,
    ]
}

/// Y'CbCr of 10 bits -> R'G'B', 0..=1 (ITU-T H.273, equations 41 to 46).
fn rgb_of(colour: Colour, [y, cb, cr]: [f64; 3]) -> [f64; 3] {
    let (y, cb, cr) = if colour.full_range {
        (y / 1023.0, (cb - 512.0) / 1023.0, (cr - 512.0) / 1023.0)
    } else {
        ((y - 64.0) / 876.0, (cb - 512.0) / 896.0, (cr - 512.0) / 896.0)
    };
    let (kr, kb) = match colour.matrix {
        1 => (0.2126, 0.0722),
        5 | 6 => (0.299, 0.114),
        _ => (0.2627, 0.0593),
    };
    let (red, blue) = (y + 2.0 * (1.0 - kr) * cr, y + 2.0 * (1.0 - kb) * cb);
    let green = (y - kr * red - kb * blue) / (1.0 - kr - kb);
    [red, green, blue].map(|part| part.clamp(0.0, 1.0))
}

/// R'G'B' -> light relative to the output's white, its highlights under the knee.
fn light_of(source: Source, rgb: [f64; 3]) -> [f64; 3] {
    let (nits, peak_nits) = match source.colour.transfer {
        Colour::PQ => {
            let peak_nits = source.peak_nits.map_or(PEAK_NITS_DEFAULT, f64::from);
            (rgb.map(pq_to_nits), peak_nits.clamp(WHITE_NITS, 10_000.0))
        }
        Colour::HLG => (hlg_to_nits(rgb), PEAK_NITS_DEFAULT),
        // Wide colour without a wide range: display light is what BT.1886 says.
        _ => return rgb.map(|part| part.powf(2.4)),
    };
    let luminance = 0.2627 * nits[0] + 0.6780 * nits[1] + 0.0593 * nits[2];
    let factor = if luminance > 0.0 {
        knee(luminance, peak_nits) / luminance
    } else {
        0.0
    };
    nits.map(|part| part * factor / WHITE_NITS)
}

/// SMPTE ST 2084, equation 4.1.
fn pq_to_nits(signal: f64) -> f64 {
    let root = signal.powf(1.0 / PQ_M2);
    10_000.0 * ((root - PQ_C1).max(0.0) / (PQ_C2 - PQ_C3 * root)).powf(1.0 / PQ_M1)
}

fn nits_to_pq(nits: f64) -> f64 {
    let root = (nits / 10_000.0).clamp(0.0, 1.0).powf(PQ_M1);
    ((PQ_C1 + PQ_C2 * root) / (1.0 + PQ_C3 * root)).powf(PQ_M2)
}

const PQ_M1: f64 = 2610.0 / 16384.0;
const PQ_M2: f64 = 2523.0 / 4096.0 * 128.0;
const PQ_C1: f64 = 3424.0 / 4096.0;
const PQ_C2: f64 = 2413.0 / 4096.0 * 32.0;
const PQ_C3: f64 = 2392.0 / 4096.0 * 32.0;

/// ITU-R BT.2100, table 5: inverse OETF, and the OOTF of a 1000 cd/m2 display (gamma 1.2).
fn hlg_to_nits(rgb: [f64; 3]) -> [f64; 3] {
    const A: f64 = 0.178_832_77;
    const B: f64 = 0.284_668_92;
    const C: f64 = 0.559_910_73;
    let scene = rgb.map(|part| {
        if part <= 0.5 {
            part * part / 3.0
        } else {
            (((part - C) / A).exp() + B) / 12.0
        }
    });
    let luminance = 0.2627 * scene[0] + 0.6780 * scene[1] + 0.0593 * scene[2];
    scene.map(|part| PEAK_NITS_DEFAULT * luminance.max(0.0).powf(0.2) * part)
}

/// ITU-R BT.2390, 5.4.1: what lies below the knee stays, what lies above bends under the white.
fn knee(nits: f64, peak_nits: f64) -> f64 {
    let peak = nits_to_pq(peak_nits);
    let white = nits_to_pq(WHITE_NITS) / peak;
    let signal = (nits_to_pq(nits) / peak).min(1.0);
    let start = 1.5 * white - 0.5;
    let bent = if signal < start || white >= 1.0 {
        signal
    } else {
        let t = (signal - start) / (1.0 - start);
        (2.0 * t.powi(3) - 3.0 * t.powi(2) + 1.0) * start
            + (t.powi(3) - 2.0 * t.powi(2) + t) * (1.0 - start)
            + (-2.0 * t.powi(3) + 3.0 * t.powi(2)) * white
    };
    pq_to_nits(bent * peak)
}

/// ITU-R BT.2087, annex 1, inverted: BT.2020 light -> BT.709 light, which may leave 0..=1.
fn to_bt709_primaries([red, green, blue]: [f64; 3]) -> [f64; 3] {
    [
        1.660_491 * red - 0.587_641 * green - 0.072_850 * blue,
        -0.124_550 * red + 1.132_900 * green - 0.008_349 * blue,
        -0.018_151 * red - 0.100_579 * green + 1.118_730 * blue,
    ]
}

/// Colours that BT.709 does not have move towards the grey of their own luminance until they fit.
fn into_gamut(light: [f64; 3]) -> [f64; 3] {
    let grey = (0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2]).clamp(0.0, 1.0);
    let mut share: f64 = 1.0;
    for part in light {
        let away = part - grey;
        if part > 1.0 && away > 0.0 {
            share = share.min((1.0 - grey) / away);
        } else if part < 0.0 && away < 0.0 {
            share = share.min(-grey / away);
        }
    }
    light.map(|part| (grey + (part - grey) * share).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PQ: Source = Source {
        colour: Colour {
            matrix: 9,
            transfer: Colour::PQ,
            primaries: 9,
            full_range: false,
        },
        peak_nits: None,
    };

    /// 10-bit limited-range luma of a light.
    fn code(nits: f64) -> f64 {
        64.0 + 876.0 * nits_to_pq(nits)
    }

    fn luma_of(nits: f64) -> f64 {
        map(PQ, [code(nits), 512.0, 512.0])[0]
    }

    #[test]
    fn black_stays_black_and_the_peak_becomes_white() {
        assert!((luma_of(0.0) - 16.0).abs() < 0.5, "{}", luma_of(0.0));
        assert!((luma_of(1_000.0) - 235.0).abs() < 1.5, "{}", luma_of(1_000.0));
    }

    #[test]
    fn lights_below_the_knee_keep_their_brightness() {
        // 50 cd/m2 of a white of 203, shown by BT.1886.
        let expected = 16.0 + 219.0 * (50.0_f64 / WHITE_NITS).powf(1.0 / 2.4);
        assert!((luma_of(50.0) - expected).abs() < 1.0, "{} {expected}", luma_of(50.0));
    }

    #[test]
    fn brighter_light_never_gets_darker() {
        let lumas: Vec<f64> = (0..=1_000).map(|nits| luma_of(f64::from(nits))).collect();
        assert!(lumas.windows(2).all(|pair| pair[0] <= pair[1] + 1e-9));
    }

    #[test]
    fn grey_stays_grey() {
        for nits in [1.0, 20.0, 200.0, 900.0] {
            let [_, cb, cr] = map(PQ, [code(nits), 512.0, 512.0]);
            assert!(
                (cb - 128.0).abs() < 0.2 && (cr - 128.0).abs() < 0.2,
                "{nits}: {cb} {cr}"
            );
        }
    }

    #[test]
    fn the_table_gives_what_the_way_through_gives() {
        let table = ToneMap::new(PQ);
        let (cb, cr) = (600_u16, 470_u16);
        let lumas: Vec<u16> = (64..940).step_by(2).collect();
        let width = lumas.len() / 2 * 2;
        let from = |samples, stride| Wide { samples, stride };
        let (cbs, crs) = (vec![cb; width / 2], vec![cr; width / 2]);
        let both: Vec<u16> = [&lumas[..width], &lumas[..width]].concat();
        let (mut y, mut u, mut v) = (vec![0; 2 * width], vec![0; width / 2], vec![0; width / 2]);
        table.apply(
            [from(&both, width), from(&cbs, width / 2), from(&crs, width / 2)],
            [
                Narrow {
                    samples: &mut y,
                    stride: width,
                },
                Narrow {
                    samples: &mut u,
                    stride: width / 2,
                },
                Narrow {
                    samples: &mut v,
                    stride: width / 2,
                },
            ],
            width,
            2,
        );
        for (at, &luma) in lumas[..width].iter().enumerate() {
            let exact = map(PQ, [f64::from(luma), f64::from(cb), f64::from(cr)])[0];
            assert!((f64::from(y[at]) - exact).abs() < 2.0, "{luma}: {} {exact}", y[at]);
        }
    }
}
