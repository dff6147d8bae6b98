//! The door of `ci/fuzz`, absent from every other build: a stranger's file on the way that every file takes, without an
//! encoder, which is no stranger's and slow.

use std::fs::File;
use std::path::Path;

use super::confine::{Confined, Openings, alone};
use super::control::Control;
use super::error::MediaError;
use super::ffi::{AvError, Decoder, Input};
use super::info::MediaInfo;
use super::limits::Limits;
use super::probe::{open_file, patience, probe, refuse};
use super::transcode::engine;

/// Packets of one file; more would only be slow.
const PACKETS_MAX: u32 = 60;

/// Probes, decodes the streams that a conversion would, and goes on after a leap to the middle.
///
/// # Errors
/// As [`probe`]'s.
pub fn read(input: &Path, limits: &Limits, control: &Control) -> Result<(), MediaError> {
    let info = probe(input, limits, control)?;
    let (file, _) = open_file(input, limits)?;
    alone(limits.confine, Openings::default(), |confined| {
        decode(file, &info, limits, control, confined)
    })
}

fn decode(
    file: File,
    info: &MediaInfo,
    limits: &Limits,
    control: &Control,
    confined: &Confined,
) -> Result<(), MediaError> {
    let mut demuxer = Input::open_patiently(file, patience(info), limits, control, confined)
        .map_err(|error| refuse(error, control))?;
    let wanted: Vec<usize> = [info.video, info.audio].into_iter().flatten().collect();
    demuxer.keep_only(&wanted);
    let mut decoders = Vec::new();
    for &index in wanted.iter().filter(|&&index| index < demuxer.stream_count()) {
        let params = demuxer.params(index).map_err(engine("read the stream's parameters"))?;
        decoders.push((
            index,
            Decoder::open(&params, limits, 1, false).map_err(engine("open the decoder"))?,
        ));
    }
    some(&mut demuxer, &mut decoders, control)?;
    if demuxer.seek(info.duration_us.unwrap_or(0) / 2).is_ok() {
        some(&mut demuxer, &mut decoders, control)?;
    }
    for (_, decoder) in &mut decoders {
        if decoder.send(None).is_ok() {
            while decoder.receive().is_ok() {
                control.check()?;
            }
        }
    }
    Ok(())
}

fn some(demuxer: &mut Input, decoders: &mut [(usize, Decoder)], control: &Control) -> Result<(), MediaError> {
    for _ in 0..PACKETS_MAX {
        control.check()?;
        let Ok(Some(packet)) = demuxer.read() else { break };
        let Some((_, decoder)) = decoders.iter_mut().find(|(index, _)| *index == packet.stream()) else {
            continue;
        };
        while decoder.send(Some(&packet)) == Err(AvError::AGAIN) {
            if decoder.receive().is_err() {
                break;
            }
        }
        while decoder.receive().is_ok() {}
    }
    Ok(())
}
