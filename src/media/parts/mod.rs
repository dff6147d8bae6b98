//! A finished file -> parts that play alone, each within a size, nothing encoded.
//!
//! ```text
//! index   every packet, none decoded -> the places where the file may be cut
//! choose  pure: as few parts as the size allows, as even as that allows
//! write   one reading, each packet into its part
//! verify  each part re-opened; only when all are right do they get their names
//! ```
//!
//! Every picture is in exactly one part. Each part begins with a key frame at zero, and with it the nearest packet of the
//! sound. Absent on purpose: encoding of what lies between two key frames; where that is too large, the caller is told and
//! offers another size.

mod choose;
mod index;
mod write;

use std::fs::File;
use std::path::{Path, PathBuf};

use self::choose::choose;
use self::index::{Index, Place, index};
use self::write::{Source, Written, write};
use super::confine::{Confined, Openings, alone};
use super::control::Control;
use super::convert::{io, keep};
use super::error::{MediaError, Refusal};
use super::ffi::Input;
use super::info::{MediaInfo, Rational};
use super::limits::Limits;
use super::preset::Container;
use super::probe::{open_file, patience, probe, refuse};
use super::verify::{Verdict, verify_part};

/// Bytes of a part that do not grow with it: boxes, names of codecs, parameter sets.
const FIXED_BYTES: u64 = 3_000;
/// Times that parts are written until all keep the size.
const ATTEMPTS_MAX: u32 = 4;

/// One part, under its final name.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Part {
    /// `NAME.part1.mp4`, `.m4a` for sound alone, counted from 1.
    pub path: PathBuf,
    /// Bytes of the file.
    pub bytes: u64,
    /// Seconds.
    pub duration_s: f64,
    /// Pixels as shown; 0 without pictures.
    pub width: u32,
    /// Pixels as shown; 0 without pictures.
    pub height: u32,
    /// Where it begins in the whole, seconds.
    pub from_s: f64,
}

/// The name of a part of a file, counted from 1: `film.part2.mp4` of `film.mp4`.
#[must_use]
pub fn name(whole: &Path, number: usize) -> PathBuf {
    let stem = whole.file_stem().unwrap_or_default().to_string_lossy();
    let extension = whole.extension().unwrap_or_default().to_string_lossy();
    PathBuf::from(format!("{stem}.part{number}.{extension}"))
}

/// Splits an output of [`convert`](super::convert()) (MP4 or M4A) into parts in `folder`, named by [`name`], each of at most
/// `part_bytes_max` bytes: at least one, at most [`Limits::parts_max`]. Replaces files of those names; leaves none where it
/// fails.
///
/// # Errors
/// [`Refusal::PieceTooLarge`] where a run of pictures that cannot be cut is larger than a part may be,
/// [`Refusal::TooManyParts`] where more would be needed, [`Refusal::Unsupported`] for a file that is no such output;
/// else see [`MediaError`].
pub fn split(
    input: &Path,
    folder: &Path,
    part_bytes_max: u64,
    limits: &Limits,
    control: &Control,
) -> Result<Vec<Part>, MediaError> {
    let limits = &Limits {
        size_bytes_max: None,
        ..limits.clone()
    };
    let info = probe(input, limits, control)?;
    let container = container_of(&info)?;
    control.gauge().restart();
    control.gauge().start(info.duration_us.map_or(0, i64::unsigned_abs));
    let (file, _) = open_file(input, limits)?;
    let index = alone(limits.confine, Openings::default(), |confined| {
        index(open(file, &info, limits, control, confined)?, &info, control)
    })?;
    let places = index.places();
    let source = Source {
        input,
        folder,
        info: &info,
        index: &index,
        container,
        limits,
        control,
    };
    let ready = within(&source, &places, part_bytes_max)?;
    finish(&source, ready)
}

/// What outputs of ours are.
fn container_of(info: &MediaInfo) -> Result<Container, Refusal> {
    let unsupported = |what: String| Refusal::Unsupported { what };
    if !info.is_container(&["mov"]) {
        return Err(unsupported(format!("parts of {}", info.container)));
    }
    if let Some(audio) = info.audio().filter(|audio| audio.codec != "aac") {
        return Err(unsupported(format!("parts with {}", audio.codec)));
    }
    match info.video() {
        None => Ok(Container::M4a),
        Some(video) if matches!(video.codec.as_str(), "h264" | "hevc" | "av1") => Ok(Container::Mp4),
        Some(video) => Err(unsupported(format!("parts with {}", video.codec))),
    }
}

fn open(
    file: File,
    info: &MediaInfo,
    limits: &Limits,
    control: &Control,
    confined: &Confined,
) -> Result<Input, MediaError> {
    Input::open_patiently(file, patience(info), limits, control, confined).map_err(|error| refuse(error, control))
}

/// A part that only lacks its name.
struct Ready {
    from: Place,
    part: Written,
    verdict: Verdict,
}

/// Writes parts that keep the size. What their tables take is known of the whole file only; a part that came out larger
/// for them makes all be written again with more room.
fn within(source: &Source<'_>, places: &[Place], part_bytes_max: u64) -> Result<Vec<Ready>, MediaError> {
    let packets = |place: &Place| (place.video + place.audio) as u64;
    let of_packets = places.last().map_or(0, |end| end.bytes);
    let tables = source.info.size_bytes.saturating_sub(of_packets);
    let mut per_packet = tables / source.index.packets().max(1) + 1;
    for _ in 0..ATTEMPTS_MAX {
        let at: Vec<u64> = places
            .iter()
            .map(|place| place.bytes + packets(place) * per_packet)
            .collect();
        let chosen = choose(&at, FIXED_BYTES, part_bytes_max).map_err(|size_bytes| Refusal::PieceTooLarge {
            size_bytes,
            limit_bytes: part_bytes_max,
        })?;
        let parts = u32::try_from(chosen.len() - 1).unwrap_or(u32::MAX);
        if parts > source.limits.parts_max {
            return Err(Refusal::TooManyParts {
                parts,
                parts_max: source.limits.parts_max,
                part_bytes_max,
            }
            .into());
        }
        let begins: Vec<Place> = chosen.iter().map(|&place| places[place]).collect();
        let mut ready = Vec::new();
        let mut lacking = 0;
        for (part, pair) in write(source, &begins)?.into_iter().zip(begins.windows(2)) {
            let made = part.file.reopen().map_err(|source| io("re-read a part", source))?;
            let verdict = alone(source.limits.confine, Openings::default(), |confined| {
                verify_part(made, source.info, &part.tally, source.limits, source.control, confined)
            })?;
            let over = verdict.size_bytes.saturating_sub(part_bytes_max);
            let count = (packets(&pair[1]) - packets(&pair[0])).max(1);
            lacking = lacking.max(over.div_ceil(count));
            ready.push(Ready {
                from: pair[0],
                part,
                verdict,
            });
        }
        if lacking == 0 {
            return Ok(ready);
        }
        tracing::debug!(per_packet, lacking, "parts came out too large");
        per_packet += lacking;
    }
    Err(MediaError::Engine {
        doing: "keep parts within their size",
        what: format!("not in {ATTEMPTS_MAX} attempts"),
    })
}

/// Gives the parts their names, all or none.
fn finish(source: &Source<'_>, ready: Vec<Ready>) -> Result<Vec<Part>, MediaError> {
    source.control.check()?;
    let mut parts: Vec<Part> = Vec::new();
    for (number, Ready { from, part, verdict }) in ready.into_iter().enumerate() {
        let path = source.folder.join(name(source.input, number + 1));
        if let Err(error) = keep(part.file, &path) {
            for part in &parts {
                let _ = std::fs::remove_file(&part.path);
            }
            return Err(error);
        }
        parts.push(Part {
            path,
            bytes: verdict.size_bytes,
            duration_s: seconds(verdict.duration_us),
            width: verdict.width,
            height: verdict.height,
            from_s: seconds(begin_us(source.index, &from)),
        });
    }
    Ok(parts)
}

fn begin_us(index: &Index, from: &Place) -> i64 {
    match (&index.video, &index.audio) {
        (Some(video), _) => video.base.rescale(from.video_zero, Rational::MICROS),
        (None, Some(audio)) => audio.base.rescale(from.audio_zero, Rational::MICROS),
        (None, None) => 0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds for people")]
fn seconds(time_us: i64) -> f64 {
    time_us as f64 / 1e6
}
