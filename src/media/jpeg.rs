//! One picture -> the bytes of a JPEG.

use super::error::MediaError;
use super::ffi::{Encoder, Frame, VideoTarget};
use super::info::{Colour, Rational};
use super::transcode::engine;

/// Encodes a full-range picture; `quality` is the quantiser, 2 (best) to 31.
pub(super) fn encode(frame: &Frame, quality: u8) -> Result<Vec<u8>, MediaError> {
    let colour = Colour::BT709;
    let target = VideoTarget {
        codec: "mjpeg",
        options: vec![("qmin", quality.to_string()), ("qmax", (quality + 2).to_string())],
        bit_rate_bps: None,
        pass: None,
        frame_rate: Rational { num: 25, den: 1 },
        gop: 1,
        threads: 1,
        matrix: colour.matrix,
        transfer: colour.transfer,
        primaries: colour.primaries,
    };
    let mut encoder = Encoder::open_video(&target, frame, Rational { num: 1, den: 25 }, true)
        .map_err(engine("open the JPEG encoder"))?;
    encoder.send(Some(frame)).map_err(engine("encode a JPEG"))?;
    encoder.send(None).map_err(engine("encode a JPEG"))?;
    let packet = encoder.receive().map_err(engine("encode a JPEG"))?;
    Ok(packet.bytes().to_vec())
}
