//! Files that went through the playground: their bytes on disk, their ids, and what the real server knows of them.
//!
//! Absent: decoding. A client or the server reads size and length of an MP4 from its boxes (ISO/IEC 14496-12), and so
//! do we, apart from the engine that this stand-in helps to test.

use std::hash::{DefaultHasher, Hasher};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tempfile::TempPath;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::TOKEN;

/// Files in `data_dir` that are ours carry it, so that a new run may remove those of the last.
pub(super) const PREFIX: &str = "telegram-";
/// Larger `moov` boxes are not read.
const MOOV_BYTES_MAX: u64 = 16 << 20;
const BOXES_MAX: usize = 1000;

/// A file that no message holds yet; its bytes go when it is dropped.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) path: TempPath,
    pub(super) name: Option<String>,
    pub(super) size_bytes: u64,
    pub(super) digest: u64,
}

/// A file that a message held.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) unique: String,
    /// `video`, `document`, `photo`, …: re-sending cannot change it.
    pub(super) kind: String,
    pub(super) name: Option<String>,
    pub(super) mime: String,
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) duration: u64,
    pub(super) supports_streaming: bool,
    /// File id of its thumbnail.
    pub(super) thumbnail: Option<String>,
}

/// A hash of content that does not depend on how the bytes were cut into chunks.
#[derive(Default)]
pub(super) struct Digest {
    hasher: DefaultHasher,
    rest: Vec<u8>,
}

impl Digest {
    const BLOCK: usize = 64 << 10;

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let whole = self.rest.len() / Self::BLOCK * Self::BLOCK;
        for block in self.rest[..whole].chunks_exact(Self::BLOCK) {
            self.hasher.write(block);
        }
        self.rest.drain(..whole);
    }

    pub(super) fn finish(mut self) -> u64 {
        self.hasher.write(&self.rest);
        self.hasher.finish()
    }
}

/// An empty file in the folder, that goes when it is dropped.
pub(super) fn create(folder: &Path) -> std::io::Result<(std::fs::File, TempPath)> {
    let file = tempfile::Builder::new().prefix(PREFIX).tempfile_in(folder)?;
    Ok(file.into_parts())
}

/// Copies a file in.
pub(super) fn copy(folder: &Path, from: &Path) -> std::io::Result<Upload> {
    let (mut source, (mut file, path)) = (std::fs::File::open(from)?, create(folder)?);
    let (mut digest, mut size_bytes, mut block) = (Digest::default(), 0, vec![0; 256 << 10]);
    loop {
        let got = source.read(&mut block)?;
        if got == 0 {
            break;
        }
        digest.add(&block[..got]);
        std::io::Write::write_all(&mut file, &block[..got])?;
        size_bytes += got as u64;
    }
    Ok(Upload {
        path,
        name: from.file_name().map(|name| name.to_string_lossy().into_owned()),
        size_bytes,
        digest: digest.finish(),
    })
}

/// The same, letting others run meanwhile.
pub(super) async fn copy_slowly(folder: &Path, from: &Path) -> std::io::Result<Upload> {
    let (file, path) = create(folder)?;
    let (mut source, mut file) = (tokio::fs::File::open(from).await?, tokio::fs::File::from_std(file));
    let (mut digest, mut size_bytes, mut block) = (Digest::default(), 0, vec![0; 256 << 10]);
    loop {
        let got = source.read(&mut block).await?;
        if got == 0 {
            break;
        }
        digest.add(&block[..got]);
        file.write_all(&block[..got]).await?;
        size_bytes += got as u64;
    }
    file.flush().await?;
    Ok(Upload {
        path,
        name: from.file_name().map(|name| name.to_string_lossy().into_owned()),
        size_bytes,
        digest: digest.finish(),
    })
}

/// Removes what an earlier run left.
pub(super) fn sweep(folder: &Path) -> std::io::Result<()> {
    let _ = std::fs::remove_dir_all(folder.join(TOKEN));
    for entry in std::fs::read_dir(folder)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// A client's guess from the name.
pub(super) fn mime_of(name: Option<&str>, kind: &str) -> String {
    let extension = name
        .and_then(|name| name.rsplit_once('.'))
        .map(|(_, extension)| extension.to_lowercase())
        .unwrap_or_default();
    let mime = match (kind, extension.as_str()) {
        ("photo" | "thumbnail", _) | (_, "jpg" | "jpeg") => "image/jpeg",
        (_, "mp4" | "m4v") => "video/mp4",
        (_, "mkv") => "video/x-matroska",
        (_, "webm") => "video/webm",
        (_, "avi") => "video/x-msvideo",
        (_, "mov") => "video/quicktime",
        (_, "mpg" | "mpeg" | "vob") => "video/mpeg",
        (_, "ts" | "mts" | "m2ts") => "video/mp2t",
        (_, "wmv") => "video/x-ms-wmv",
        (_, "flv") => "video/x-flv",
        (_, "3gp") => "video/3gpp",
        (_, "ogv") => "video/ogg",
        (_, "mp3") => "audio/mpeg",
        (_, "m4a") => "audio/mp4",
        (_, "ogg" | "oga" | "opus") | ("voice", _) => "audio/ogg",
        (_, "wav") => "audio/x-wav",
        (_, "flac") => "audio/flac",
        (_, "gif") => "image/gif",
        (_, "png") => "image/png",
        (_, "webp") => "image/webp",
        (_, "pdf") => "application/pdf",
        (_, "txt") => "text/plain",
        (_, "zip") => "application/zip",
        ("video" | "animation" | "video_note", _) => "video/mp4",
        ("audio", _) => "audio/mpeg",
        _ => "application/octet-stream",
    };
    mime.to_owned()
}

/// Size and length of a picture or a film, as far as its headers tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) duration_s: u64,
}

/// Reads the headers of an MP4; `None` for everything else.
pub(super) fn mp4_facts(path: &Path) -> Option<Facts> {
    let mut file = std::fs::File::open(path).ok()?;
    let mut at = 0;
    for _ in 0..BOXES_MAX {
        file.seek(SeekFrom::Start(at)).ok()?;
        let mut head = [0; 16];
        file.read_exact(&mut head[..8]).ok()?;
        let mut length = u64::from(number(&head, 0)?);
        let mut head_bytes = 8;
        if length == 1 {
            file.read_exact(&mut head[8..]).ok()?;
            length = u64::from(number(&head, 8)?) << 32 | u64::from(number(&head, 12)?);
            head_bytes = 16;
        }
        if length < head_bytes {
            return None;
        }
        if &head[4..8] == b"moov" {
            let mut moov = vec![0; usize::try_from((length - head_bytes).min(MOOV_BYTES_MAX)).ok()?];
            file.read_exact(&mut moov).ok()?;
            return Some(moov_facts(&moov));
        }
        at = at.checked_add(length)?;
    }
    None
}

fn moov_facts(moov: &[u8]) -> Facts {
    let mut facts = Facts::default();
    for (kind, body) in boxes(moov) {
        if kind == b"mvhd" {
            facts.duration_s = mvhd_duration_s(body).unwrap_or(0);
        }
        if kind == b"trak" {
            for (_, header) in boxes(body).filter(|(kind, _)| *kind == b"tkhd") {
                let (width, height) = tkhd_size(header).unwrap_or((0, 0));
                if width > 0 && facts.width == 0 {
                    (facts.width, facts.height) = (width, height);
                }
            }
        }
    }
    facts
}

fn mvhd_duration_s(body: &[u8]) -> Option<u64> {
    let (scale, duration) = match body.first()? {
        1 => (
            number(body, 20)?,
            u64::from(number(body, 24)?) << 32 | u64::from(number(body, 28)?),
        ),
        _ => (number(body, 12)?, u64::from(number(body, 16)?)),
    };
    (duration + u64::from(scale) / 2).checked_div(u64::from(scale))
}

/// Whole pixels of the 16.16 numbers at the end, turned where the matrix turns by a right angle.
fn tkhd_size(body: &[u8]) -> Option<(u64, u64)> {
    let matrix = if body.first()? == &1 { 52 } else { 40 };
    let upright = number(body, matrix)? != 0;
    let width = u64::from(number(body, matrix + 36)? >> 16);
    let height = u64::from(number(body, matrix + 40)? >> 16);
    Some(if upright { (width, height) } else { (height, width) })
}

fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::try_from(number(bytes, 0)?).ok()?;
        let (this, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        Some((this.get(4..8)?, this.get(8..)?))
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Size of a JPEG from its frame header (ITU-T T.81, B.2.2); `None` where it is none.
pub(super) fn jpeg_facts(path: &Path) -> Option<Facts> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .ok()?
        .take(1 << 20)
        .read_to_end(&mut bytes)
        .ok()?;
    let mut at = bytes.starts_with(&[0xff, 0xd8]).then_some(2)?;
    loop {
        let marker = *bytes.get(at + 1)?;
        if bytes[at] != 0xff {
            return None;
        }
        // Start-of-frame markers, less the three of that range that mean tables.
        if (0xc0..=0xcf).contains(&marker) && ![0xc4, 0xc8, 0xcc].contains(&marker) {
            let side = |at| Some(u64::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?])));
            return Some(Facts {
                width: side(at + 7)?,
                height: side(at + 5)?,
                duration_s: 0,
            });
        }
        at += 2 + usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]));
    }
}
