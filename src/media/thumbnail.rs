//! A JPEG for the chat: at most 320 pixels a side and under 200 kB, as the Bot API asks.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::confine::Confine;
use super::control::Control;
use super::error::{MediaError, Refusal};
use super::ffi::{AvError, Decoder, Frame, Graph, Input, Source};
use super::info::Rational;
use super::jpeg;
use super::limits::Limits;
use super::probe::{probe_and, refuse};
use super::transcode::engine;

const EDGE_MAX: u32 = 320;
const BYTES_MAX: usize = 200_000;

/// Writes a thumbnail of an output that was already verified: its first picture.
///
/// # Errors
/// See [`MediaError`]; a caller may go on without a thumbnail.
pub fn thumbnail(video: &Path, jpeg: &Path, confine: Confine, control: &Control) -> Result<(), MediaError> {
    let limits = Limits {
        confine,
        ..Limits::default()
    };
    let (_, bytes) = probe_and(video, &limits, control, |unread, info, confined| {
        let (Some(index), Some(stream)) = (info.video, info.video()) else {
            return Err(Refusal::NoStream {
                wanted: "video".to_owned(),
            }
            .into());
        };
        let turn = super::chain::turn(stream.orientation).join(",");
        let input = unread
            .open(info, &limits, control, confined)
            .map_err(|error| refuse(error, control))?;
        draw(input, index, &turn, &limits, control)
    })?;
    File::create(jpeg)
        .and_then(|mut file| file.write_all(&bytes))
        .map_err(|source| {
            // Half a picture would be sent, and the platform refuses the whole video for it.
            let _ = std::fs::remove_file(jpeg);
            MediaError::Io {
                doing: "write the thumbnail",
                source,
            }
        })
}

fn draw(mut input: Input, index: usize, turn: &str, limits: &Limits, control: &Control) -> Result<Vec<u8>, MediaError> {
    input.keep_only(&[index]);
    let frame = first_frame(&mut input, index, limits, control)?;
    let chain = format!(
        "scale={EDGE_MAX}:{EDGE_MAX}:force_original_aspect_ratio=decrease:force_divisible_by=2:out_range=pc,\
         format=yuvj420p{}{turn}",
        if turn.is_empty() { "" } else { "," }
    );
    let source = Source {
        shape: &frame.shape(),
        time_base: Rational::MICROS,
        frame_rate: Rational { num: 25, den: 1 },
    };
    let mut graph = Graph::video(&source, &chain, 1).map_err(engine("build the thumbnail filters"))?;
    graph.send(Some(frame)).map_err(engine("filter the thumbnail"))?;
    graph.send(None).map_err(engine("filter the thumbnail"))?;
    let small = graph.receive().map_err(engine("filter the thumbnail"))?;
    let bytes = jpeg::encode(&small, 4)?;
    if bytes.len() >= BYTES_MAX {
        return Err(MediaError::Unverified(format!(
            "thumbnail has {} bytes (limit {BYTES_MAX})",
            bytes.len()
        )));
    }
    Ok(bytes)
}

fn first_frame(input: &mut Input, index: usize, limits: &Limits, control: &Control) -> Result<Frame, MediaError> {
    let params = input.params(index).map_err(engine("read the stream's parameters"))?;
    let mut decoder = Decoder::open(&params, limits, 1, false).map_err(engine("open the decoder"))?;
    loop {
        control.check()?;
        let packet = input.read().map_err(engine("read the output"))?;
        // Probing may have queued packets of streams that were left out after it.
        if packet.as_ref().is_some_and(|packet| packet.stream() != index) {
            continue;
        }
        match decoder.send(packet.as_ref()) {
            Ok(()) | Err(AvError::AGAIN) => {}
            Err(error) => return Err(engine("decode the thumbnail")(error)),
        }
        match decoder.receive() {
            Ok(frame) => return Ok(frame),
            Err(AvError::AGAIN) if packet.is_some() => {}
            Err(error) => return Err(engine("decode the thumbnail")(error)),
        }
    }
}
