//! What the real server makes of an upload: what was asked for, something else, or a refusal.
//!
//! Documented: photos, voice messages, the sizes of stickers and round videos. The words for stickers are those of sticker
//! sets; what `sendSticker` itself says of a film that breaks the rules is not documented.

use std::path::Path;

use super::files::{self, Upload};
use super::webm::{self, Webm};
use super::world::{Refusal, bad};

const PHOTO_BYTES_MAX: u64 = 10 << 20;
const PHOTO_SIDES_MAX: u64 = 10_000;
const PHOTO_RATIO_MAX: u64 = 20;
const STICKER_BYTES_MAX: u64 = 256 << 10;
const STICKER_SIDE: u64 = 512;
/// A film's header counts its last frame too.
const STICKER_S_MAX: f64 = 3.05;
const NOTE_S_MAX: u64 = 60;

/// The kind that an upload of this kind ends as.
pub(super) fn judged<'kind>(kind: &'kind str, upload: &Upload) -> Result<&'kind str, Refusal> {
    let path: &Path = &upload.path;
    match kind {
        "photo" => photo(path, upload.size_bytes).map(|()| kind),
        "sticker" => sticker(path, upload.size_bytes),
        "voice" if !is_voice(path) => Ok("document"),
        "video_note" if !is_note(path) => Ok("video"),
        _ => Ok(kind),
    }
}

fn photo(path: &Path, size_bytes: u64) -> Result<(), Refusal> {
    if size_bytes > PHOTO_BYTES_MAX {
        return Err(bad(&format!(
            "file of size {size_bytes} bytes is too big for a photo; the maximum size is {PHOTO_BYTES_MAX} bytes"
        )));
    }
    let facts = webm::picture_facts(path).ok_or_else(|| bad("IMAGE_PROCESS_FAILED"))?;
    let (long, short) = (facts.width.max(facts.height), facts.width.min(facts.height));
    if short == 0 || long + short > PHOTO_SIDES_MAX || long > short * PHOTO_RATIO_MAX {
        return Err(bad("PHOTO_INVALID_DIMENSIONS"));
    }
    Ok(())
}

/// A film by the rules for video stickers, or a WebP picture; all else becomes a document.
fn sticker(path: &Path, size_bytes: u64) -> Result<&'static str, Refusal> {
    let head = webm::head(path).unwrap_or_default();
    let Some(film) = webm::webm(&head) else {
        return Ok(if webm::is_webp(&head) { "sticker" } else { "document" });
    };
    let Webm {
        width,
        height,
        duration_s,
        codecs,
    } = film;
    let longest = width.max(height);
    match () {
        () if size_bytes > STICKER_BYTES_MAX => Err(bad("STICKER_VIDEO_BIG")),
        () if codecs != ["V_VP9"] => Err(bad("STICKER_VIDEO_NOWEBM")),
        () if longest != STICKER_SIDE => Err(bad("STICKER_VIDEO_DIMENSIONS")),
        () if duration_s > STICKER_S_MAX => Err(bad("STICKER_VIDEO_LONG")),
        () => Ok("sticker"),
    }
}

/// OGG, MP3 or M4A; the real server sends other formats "as Audio or Document".
fn is_voice(path: &Path) -> bool {
    let head = webm::head(path).unwrap_or_default();
    let mp3 =
        head.starts_with(b"ID3") || (head.first() == Some(&0xff) && head.get(1).is_some_and(|byte| byte >> 5 == 7));
    head.starts_with(b"OggS") || mp3 || head.get(4..8) == Some(b"ftyp")
}

/// Round videos are square and last a minute at most; what cannot be measured is believed.
fn is_note(path: &Path) -> bool {
    files::mp4_facts(path).is_none_or(|facts| facts.width == facts.height && facts.duration_s <= NOTE_S_MAX)
}
