//! What an encoder can do, what its presets say, and what a caller's settings mean: structures of the encoder interface,
//! read by offset.

use crate::caller::{Guid, Record};
use crate::faults::faults;
use crate::h264::{Sequence, Signal};

pub(crate) const H264: Guid = Guid(
    0x6bc8_2762,
    0x4e63,
    0x4ca4,
    [0xaa, 0x85, 0x1e, 0x50, 0xf3, 0x21, 0xf6, 0xbf],
);
const HEVC: Guid = Guid(
    0x790c_dc88,
    0x4522,
    0x4d7b,
    [0x94, 0x25, 0xbd, 0xa9, 0x97, 0x5f, 0x76, 0x03],
);
const AV1: Guid = Guid(
    0x0a35_2289,
    0x0aa7,
    0x4759,
    [0x86, 0x2d, 0x5d, 0x15, 0xcd, 0x16, 0xd2, 0x54],
);
const BASELINE: Guid = Guid(
    0x0727_bcaa,
    0x78c4,
    0x4c83,
    [0x8c, 0x2f, 0xef, 0x3d, 0xff, 0x26, 0x7c, 0x6a],
);
const MAIN: Guid = Guid(
    0x60b5_c1d4,
    0x67fe,
    0x4790,
    [0x94, 0xd5, 0xc4, 0x72, 0x6d, 0x7b, 0x6e, 0x6d],
);

/// Codecs that the driver says it encodes.
pub(crate) fn codecs() -> Vec<Guid> {
    let guid = |codec: &String| match codec.as_str() {
        "hevc" => HEVC,
        "av1" => AV1,
        _ => H264,
    };
    faults().caps.codecs.iter().map(guid).collect()
}

/// The answer to a number of `NV_ENC_CAPS`.
pub(crate) fn capability(question: u32) -> u32 {
    let caps = &faults().caps;
    match question {
        0 => caps.bframes,
        // Rate control: constant QP, variable and constant rate.
        1 => 0b11,
        // Motion vectors of a quarter sample, direct modes, CABAC, 8x8 transform.
        5..=8 => 1,
        13 => 62,
        14 => 10,
        16 => caps.width_max,
        17 => caps.height_max,
        // Changes of the rate, constrained pictures, intra refresh, a VBV of one's own.
        20 | 24 | 25 | 26 => 1,
        31 => caps.width_max / 16 * (caps.height_max / 16),
        33 => caps.yuv444,
        34 => caps.lossless,
        37 => caps.lookahead,
        38 => caps.temporal_aq,
        39 => caps.ten_bit,
        41 => caps.weighted,
        42 => 100,
        43 => caps.bref,
        45 => caps.width_min,
        46 => caps.height_min,
        47 => caps.refs,
        49 => caps.engines,
        _ => 0,
    }
}

/// `NV_ENC_PRESET_CONFIG`: an `NV_ENC_CONFIG` at 8.
pub(crate) fn fill_preset(preset: Record) {
    let config = preset.within(8);
    // Group of pictures, no B pictures, whole frames, variable rate.
    config.set(20, 250u32);
    config.set(24, 1u32);
    config.set(32, 1u32);
    config.set(40 + 4, 1u32);
    let h264 = config.within(168);
    h264.set(8, 250u32);
    // Video format and colours unspecified, 4:2:0.
    let vui = h264.within(72);
    vui.set(12, 5u32);
    for offset in [24, 28, 32] {
        vui.set(offset, 2u32);
    }
    h264.set(192, 1u32);
}

/// `NV_ENC_INITIALIZE_PARAMS`, as a stream.
pub(crate) fn sequence(parameters: Record) -> Sequence {
    let (width, height): (u32, u32) = (parameters.get(36), parameters.get(40));
    let (dar_width, dar_height): (u32, u32) = (parameters.get(44), parameters.get(48));
    let config = parameters.through(88);
    let profile: Option<Guid> = config.map(|config| config.get(4));
    Sequence {
        width,
        height,
        profile_idc: match profile {
            Some(BASELINE) => 66,
            Some(MAIN) => 77,
            _ => 100,
        },
        level_idc: config.map_or(0, |config| config.get::<u32>(168 + 4) as u8),
        sample_aspect_ratio: sample_aspect_ratio((width, height), (dar_width, dar_height)),
        rate: (parameters.get(52), parameters.get(56)),
        signal: config.and_then(|config| signal(config.within(168 + 72))),
    }
}

fn sample_aspect_ratio(size: (u32, u32), display: (u32, u32)) -> (u32, u32) {
    let across = u64::from(display.0) * u64::from(size.1);
    let down = u64::from(display.1) * u64::from(size.0);
    let (mut a, mut b) = (across, down);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    let part = |number: u64| u32::try_from(number / a.max(1)).unwrap_or(0);
    (part(across), part(down))
}

/// `NV_ENC_CONFIG_H264_VUI_PARAMETERS`: present at 8, range at 16, colours present at 20, then the three.
fn signal(vui: Record) -> Option<Signal> {
    (vui.get::<u32>(8) != 0).then(|| Signal {
        full_range: vui.get::<u32>(16) != 0,
        colour: (vui.get::<u32>(20) != 0).then(|| [24, 28, 32].map(|offset| vui.get::<u32>(offset) as u8)),
    })
}
