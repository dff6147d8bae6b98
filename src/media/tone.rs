//! High dynamic range and wide colour -> BT.709: a table of colours that the filters look each pixel up in.
//!
//! ```text
//! R'G'B' of the source --(PQ | HLG + OOTF | gamma)--> light in cd/m2
//!   --(BT.2390 knee on the strongest part)--> --(BT.2020 -> BT.709, too bright or too vivid goes towards grey)-->
//!   --(gamma of a phone)--> R'G'B' of the output
//! ```
//!
//! The way through is pure arithmetic on one colour, so it is walked once for each point of a cube; `lut3d` does the
//! rest on integers: 54 ms of processor time a 1080p frame where a chain of filters on floats takes 106 ms (FFmpeg
//! 5.1.9, one core). `haldclut`, which would need no file, mixes up the planes of planar pictures in that version.

use std::fmt::Write;

use super::info::Colour;

/// Diffuse white of HDR (ITU-R BT.2408, table 1), which becomes the white of the output, cd/m2.
const WHITE_NITS: f64 = 203.0;
/// What a film is taken to reach where it does not say: the usual mastering display, cd/m2.
const PEAK_NITS_DEFAULT: f64 = 1_000.0;
/// What phones and desktop screens show a signal by (sRGB is close to it); a television's is 2.4.
const SCREEN_GAMMA: f64 = 2.2;
/// Points of the cube along each side, as the usual tables have.
const CUBE_POINTS: u32 = 33;

/// What the table is made for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Source {
    pub(super) colour: Colour,
    /// Brightest light of the film, cd/m2, where it says so.
    pub(super) peak_nits: Option<u32>,
}

/// The table as a `.cube` file (Adobe Cube LUT 1.0): red fastest, then green, then blue.
pub(super) fn cube(source: Source) -> String {
    let points = || (0..CUBE_POINTS).map(|point| f64::from(point) / f64::from(CUBE_POINTS - 1));
    let mut text = format!("LUT_3D_SIZE {CUBE_POINTS}\n");
    for blue in points() {
        for green in points() {
            for red in points() {
                let [red, green, blue] = map(source, [red, green, blue]);
                let _ = writeln!(text, "{red:.5} {green:.5} {blue:.5}");
            }
        }
    }
    text
}

/// One colour, R'G'B' of the source to R'G'B' of BT.709, both 0..=1.
fn map(source: Source, rgb: [f64; 3]) -> [f64; 3] {
    let light = light_of(source, rgb);
    let light = if source.colour.is_wide() || source.colour.primaries == 2 {
        to_bt709_primaries(light)
    } else {
        light
    };
    if source.colour.is_hdr() {
        return into_gamut(light).map(|part| part.powf(1.0 / SCREEN_GAMMA));
    }
    // Without a wide range the look stays as it was: shown by 2.4 as before, and what BT.709 lacks is cut (BT.2087).
    light.map(|part| part.clamp(0.0, 1.0).powf(1.0 / 2.4))
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
    // By the strongest part: a blue sky stays blue, where its luminance would let it through to white.
    let strongest = nits[0].max(nits[1]).max(nits[2]);
    let factor = if strongest > 0.0 {
        knee(strongest, peak_nits) / strongest
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

/// How much of what is too bright is made darker; the rest moves towards the grey of its luminance, as film does.
const DARKER_SHARE: f64 = 0.75;

/// Colours that BT.709 does not have: too vivid ones move towards grey, too bright ones get darker and a little paler.
fn into_gamut(light: [f64; 3]) -> [f64; 3] {
    let brightest = light[0].max(light[1]).max(light[2]).max(1.0);
    let light = light.map(|part| part / brightest.powf(DARKER_SHARE));
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

    fn grey(nits: f64) -> [f64; 3] {
        map(PQ, [nits_to_pq(nits); 3])
    }

    #[test]
    fn black_stays_black_and_the_peak_becomes_white() {
        assert!(grey(0.0)[0] < 0.002, "{:?}", grey(0.0));
        assert!(grey(1_000.0)[0] > 0.998, "{:?}", grey(1_000.0));
    }

    #[test]
    fn lights_below_the_knee_keep_their_brightness() {
        // 50 cd/m2 of a white of 203, shown by a phone.
        let expected = (50.0_f64 / WHITE_NITS).powf(1.0 / SCREEN_GAMMA);
        assert!((grey(50.0)[0] - expected).abs() < 0.005, "{:?} {expected}", grey(50.0));
    }

    #[test]
    fn brighter_light_never_gets_darker_and_grey_stays_grey() {
        let greys: Vec<[f64; 3]> = (0..=1_000).map(|nits| grey(f64::from(nits))).collect();
        assert!(greys.windows(2).all(|pair| pair[0][1] <= pair[1][1] + 1e-9));
        assert!(
            greys
                .iter()
                .all(|[red, green, blue]| (red - green).abs() < 1e-3 && (blue - green).abs() < 1e-3)
        );
    }

    #[test]
    fn a_bright_blue_stays_blue() {
        let [red, green, blue] = map(PQ, [nits_to_pq(150.0), nits_to_pq(250.0), nits_to_pq(500.0)]);
        assert!(blue > green + 0.1 && green > red, "{red} {green} {blue}");
    }

    #[test]
    fn the_white_of_hlg_is_bright_and_not_clipped() {
        let source = Source {
            colour: Colour {
                transfer: Colour::HLG,
                ..PQ.colour
            },
            peak_nits: None,
        };
        // BT.2408: reference white is a signal of 75 %.
        let [_, green, _] = map(source, [0.75; 3]);
        assert!((0.85..0.97).contains(&green), "{green}");
    }

    #[test]
    fn the_cube_has_all_its_points_in_range() {
        let text = cube(PQ);
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(lines.len(), (CUBE_POINTS * CUBE_POINTS * CUBE_POINTS) as usize);
        assert_eq!(lines.first(), Some(&"0.00000 0.00000 0.00000"));
        let mut parts = lines.iter().flat_map(|line| line.split(' '));
        assert!(parts.all(|part| part.parse::<f64>().is_ok_and(|part| (0.0..=1.0).contains(&part))));
    }
}
