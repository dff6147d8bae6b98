//! The contact sheet: 16 pictures from all over a video on one JPEG.
//!
//! Each picture is the first one at or after its time; the demuxer goes to the key frame before it, so the cost is that
//! of 16 stretches from a key frame, whatever the length of the video.

use std::io::Write;
use std::path::Path;

use tempfile::NamedTempFile;

use super::chain;
use super::confine::{Confined, Openings, alone};
use super::control::Control;
use super::convert::{io, keep, temporary};
use super::error::{MediaError, Refusal};
use super::ffi::{self, AvError, Decoder, Frame, Graph, Input, Source, StreamParams};
use super::info::{MediaInfo, Rational};
use super::jpeg;
use super::limits::Limits;
use super::plan::{Picture, Plan};
use super::probe::{Unread, refuse};
use super::transcode::engine;
use super::verify::{DECODED_PERCENT_MIN, Verdict};

const COLUMNS: u32 = 4;
const PICTURES: u32 = COLUMNS * COLUMNS;
/// Long edge of one picture, pixels.
const CELL_EDGE_MAX: u32 = 480;
const RATE: Rational = Rational { num: 25, den: 1 };

/// Draws the sheet of the plan's part of the video.
pub(super) fn draw(
    plan: &Plan,
    info: &MediaInfo,
    input: Unread,
    output: &Path,
    limits: &Limits,
    control: &Control,
) -> Result<Verdict, MediaError> {
    let (Some((index, _)), Some(encode)) = (&plan.video, plan.encode()) else {
        return Err(Refusal::NoStream {
            wanted: "video".to_owned(),
        }
        .into());
    };
    let picture = cell(&encode.picture);
    let table = chain::table(&picture)?;
    let look = Look {
        plan,
        info,
        index: *index,
        picture: &picture,
        table: table.as_ref().map(NamedTempFile::path),
        limits,
        control,
    };
    let openings = Openings {
        file: look.table,
        ..Openings::default()
    };
    let (bytes, shape) = alone(limits.confine, openings, |confined| {
        let sheet = tile(look.pictures(input, confined)?)?;
        Ok((jpeg::encode(&sheet, 3)?, sheet.shape()))
    })?;
    write(output, &bytes)?;
    Ok(Verdict {
        duration_us: 0,
        width: u32::try_from(shape.width).unwrap_or(0),
        height: u32::try_from(shape.height).unwrap_or(0),
        size_bytes: bytes.len() as u64,
        frames: 1,
        warnings: Vec::new(),
    })
}

/// The plan's picture, small.
fn cell(picture: &Picture) -> Picture {
    let edge = picture.width.max(picture.height);
    let small = |side: u32| {
        let side = if edge > CELL_EDGE_MAX {
            side * CELL_EDGE_MAX / edge
        } else {
            side
        };
        (side & !1).max(2)
    };
    let size = (small(picture.width), small(picture.height));
    Picture {
        width: size.0,
        height: size.1,
        scaled: size,
        source_fps: 0.0,
        fps_max: None,
        ..picture.clone()
    }
}

/// What is drawn of what.
struct Look<'a> {
    plan: &'a Plan,
    info: &'a MediaInfo,
    index: usize,
    picture: &'a Picture,
    /// The file of colours, where they are mapped.
    table: Option<&'a Path>,
    limits: &'a Limits,
    control: &'a Control,
}

impl Look<'_> {
    fn pictures(&self, input: Unread, confined: &Confined) -> Result<Vec<Frame>, MediaError> {
        let Self {
            plan,
            info,
            index,
            limits,
            control,
            ..
        } = *self;
        let mut demuxer = input
            .open(info, limits, control, confined)
            .map_err(|error| refuse(error, control))?;
        demuxer.keep_only(&[index]);
        let params = demuxer.params(index).map_err(engine("read the stream's parameters"))?;
        let start_us = info.streams.get(index).map_or(0, |stream| stream.start_us);
        let from_us = start_us + plan.cut.map_or(0, |cut| cut.from_us);
        let length_us = plan.duration_us(info).unwrap_or(0);
        let mut cells = Vec::new();
        control.gauge().start(length_us.unsigned_abs());
        for number in 0..PICTURES {
            let offset_us = length_us * i64::from(2 * number + 1) / i64::from(2 * PICTURES);
            // Without an index the pictures that follow are as good as any.
            let _ = demuxer.seek(from_us + offset_us);
            match next_frame(&mut demuxer, index, &params, from_us + offset_us, limits, control)? {
                Some(frame) => cells.push(small(frame, self.picture, self.table)?),
                None if length_us == 0 => break,
                None => {}
            }
            control.gauge().reach(offset_us.unsigned_abs());
        }
        if cells.is_empty() {
            return Err(Refusal::Damaged {
                decoded_percent: 0,
                percent_min: DECODED_PERCENT_MIN,
            }
            .into());
        }
        Ok(cells)
    }
}

/// The first picture at or after a time; the last one there is where the file ends before it.
fn next_frame(
    demuxer: &mut Input,
    index: usize,
    params: &StreamParams,
    wanted_us: i64,
    limits: &Limits,
    control: &Control,
) -> Result<Option<Frame>, MediaError> {
    let mut decoder =
        Decoder::open(params, limits, limits.threads_max.unwrap_or(0), false).map_err(engine("open the decoder"))?;
    let mut last = None;
    loop {
        control.check()?;
        let packet = demuxer.read().unwrap_or(None);
        let ended = packet.is_none();
        if packet.as_ref().is_some_and(|packet| packet.stream() != index) {
            continue;
        }
        // A damaged packet costs its own picture.
        let _ = decoder.send(packet.as_ref());
        loop {
            match decoder.receive() {
                Ok(frame) => {
                    let time = frame.best_effort().or(frame.pts()).unwrap_or(i64::MAX);
                    if time == i64::MAX || params.time_base.rescale(time, Rational::MICROS) >= wanted_us {
                        return Ok(Some(frame));
                    }
                    last = Some(frame);
                }
                Err(AvError::AGAIN) if !ended => break,
                Err(_) if !ended => break,
                Err(_) => return Ok(last),
            }
        }
    }
}

fn small(frame: Frame, picture: &Picture, table: Option<&Path>) -> Result<Frame, MediaError> {
    let shape = frame.shape();
    let pixel = ffi::pixel_facts(shape.format).unwrap_or_default();
    let chain = chain::video(picture, table, &shape, &shape, pixel);
    let source = Source {
        shape: &shape,
        time_base: Rational::MICROS,
        frame_rate: RATE,
    };
    let mut graph = Graph::video(&source, &chain, 1).map_err(engine("build the filters"))?;
    graph.send(Some(frame)).map_err(engine("scale a picture"))?;
    graph.send(None).map_err(engine("scale a picture"))?;
    graph.receive().map_err(engine("scale a picture"))
}

fn tile(cells: Vec<Frame>) -> Result<Frame, MediaError> {
    let Some(first) = cells.first() else {
        return Err(engine("draw the sheet")(AvError::EOF));
    };
    let rows = u32::try_from(cells.len()).unwrap_or(PICTURES).div_ceil(COLUMNS);
    let chain = format!("tile={COLUMNS}x{rows}:padding=4:margin=4,scale=out_range=pc,format=yuvj420p");
    let source = Source {
        shape: &first.shape(),
        time_base: Rational::MICROS,
        frame_rate: RATE,
    };
    let mut graph = Graph::video(&source, &chain, 1).map_err(engine("build the filters"))?;
    for (number, mut frame) in (0..).zip(cells) {
        frame.set_pts(Some(number));
        graph.send(Some(frame)).map_err(engine("draw the sheet"))?;
    }
    graph.send(None).map_err(engine("draw the sheet"))?;
    graph.receive().map_err(engine("draw the sheet"))
}

fn write(output: &Path, bytes: &[u8]) -> Result<(), MediaError> {
    let io = |source| io("write the sheet", source);
    let mut part = temporary(output.parent().unwrap_or(Path::new("")))?;
    part.write_all(bytes).map_err(io)?;
    part.as_file().sync_all().map_err(io)?;
    keep(part, output)
}
