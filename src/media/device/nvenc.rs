//! What NVENC is asked for, in the words of libav's encoders. Pure.
//!
//! Every capability of a card that is asked for and not there makes the whole open fail, so the settings come as a row of
//! sets, each asking for less than the one before. Sources: NVIDIA's NVENC programming guide (SDK 13.1) for the settings,
//! libavcodec's `nvenc.c` for what cancels what (`cq` zeroes the bit rate but honours `maxrate`).

use crate::media::plan::{Rate, VideoEncode};
use crate::media::preset::VideoCodec;

/// Options of an encoder, by libav's names.
pub(in crate::media) type Options = Vec<(&'static str, String)>;

/// H.264 on the GPUs of today is at most this large, HEVC and AV1 twice, pixels an edge.
const H264_EDGE_MAX: u32 = 4096;
/// The smallest that every generation takes, with room: H.264 145x49, HEVC 129x33, AV1 192x128.
const EDGE_MIN: u32 = 192;

/// libav's name of the encoder.
pub(in crate::media) fn encoder(codec: VideoCodec) -> Option<&'static str> {
    match codec {
        VideoCodec::H264 => Some("h264_nvenc"),
        VideoCodec::Hevc => Some("hevc_nvenc"),
        VideoCodec::Av1 => Some("av1_nvenc"),
        VideoCodec::Vp9 => None,
    }
}

/// Whether pictures of this size are in its range.
pub(in crate::media) fn takes_size(codec: VideoCodec, width: u32, height: u32) -> bool {
    let max = match codec {
        VideoCodec::H264 => H264_EDGE_MAX,
        VideoCodec::Hevc | VideoCodec::Av1 => 2 * H264_EDGE_MAX,
        VideoCodec::Vp9 => 0,
    };
    width.min(height) >= EDGE_MIN && width.max(height) <= max
}

/// The sets of options, the fullest first, the plainest last.
pub(in crate::media) fn option_sets(way: &VideoEncode) -> Vec<Options> {
    let full = full(way);
    let without = |set: &Options, name: &str| -> Options {
        let kept = set.iter().filter(|(option, _)| *option != name);
        kept.cloned().collect()
    };
    let no_references = without(&full, "b_ref_mode");
    let no_lookahead = without(&no_references, "rc-lookahead");
    let mut no_b_frames = without(&no_lookahead, "bf");
    no_b_frames.push(("bf", "0".to_owned()));
    let mut plain = rate(way);
    plain.push(("preset", "p4".to_owned()));
    plain.push(("bf", "0".to_owned()));
    vec![full, no_references, no_lookahead, no_b_frames, plain]
}

fn full(way: &VideoEncode) -> Options {
    let multipass = if way.speed == "p7" { "fullres" } else { "qres" };
    let mut options: Options = vec![
        ("preset", way.speed.to_owned()),
        ("tune", "hq".to_owned()),
        ("multipass", multipass.to_owned()),
        // Spatial or temporal, not both (NVIDIA's guide); this is the one that every generation has.
        ("spatial-aq", "1".to_owned()),
        ("aq-strength", "8".to_owned()),
        ("rc-lookahead", "20".to_owned()),
        ("bf", "3".to_owned()),
        ("b_ref_mode", "middle".to_owned()),
    ];
    options.append(&mut rate(way));
    options
}

fn rate(way: &VideoEncode) -> Options {
    let mut options: Options = vec![("rc", "vbr".to_owned())];
    // Left alone libav asks for Main.
    match way.codec {
        VideoCodec::H264 => options.push(("profile", "high".to_owned())),
        VideoCodec::Hevc => options.push(("profile", "main".to_owned())),
        VideoCodec::Av1 | VideoCodec::Vp9 => {}
    }
    let max_bps = match way.rate {
        Rate::Quality { crf } => {
            options.push(("cq", crf.to_string()));
            ceiling_bps(way)
        }
        Rate::Bits { bps } => bps + bps / 2,
    };
    options.push(("maxrate", max_bps.to_string()));
    options.push(("bufsize", (2 * max_bps).to_string()));
    options
}

/// A quarter of a bit a pixel: far above what a picture needs, and a bound on noise.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "within the bounds that it is held to"
)]
fn ceiling_bps(way: &VideoEncode) -> u64 {
    let pixels = f64::from(way.picture.width) * f64::from(way.picture.height);
    (pixels * way.frame_rate.value() * 0.25).clamp(2e6, 60e6) as u64
}
