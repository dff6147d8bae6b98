//! Which Bot API server a playground behaves as: its limits, and where its files are to be had.

use std::path::{Path, PathBuf};

use super::files::Stored;
use super::world::TOKEN;

const CLOUD_FETCH_BYTES_MAX: u64 = 20 << 20;
const CLOUD_SEND_BYTES_MAX: u64 = 50_000_000;
/// 4000 parts of 512 KiB (tdlib, `PartsManager.h`).
const OWN_SEND_BYTES_MAX: u64 = 4000 * (512 << 10);

/// Which Bot API server a playground behaves as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Telegram's own: 20 MiB to fetch, over HTTP; 50 MB to send.
    Cloud,
    /// One's own with `--local`: 2000 MB both ways. It hands out no bytes; `getFile` gives absolute paths on its disk, and
    /// results may be named by `file://`.
    Local,
    /// One's own behind a web server that hands out its files: 2000 MB both ways, all over HTTP.
    Web,
}

impl Server {
    /// `None` for no limit.
    pub(super) fn fetch_bytes_max(self) -> Option<u64> {
        (self == Self::Cloud).then_some(CLOUD_FETCH_BYTES_MAX)
    }

    pub(super) fn send_bytes_max(self) -> u64 {
        match self {
            Self::Cloud => CLOUD_SEND_BYTES_MAX,
            Self::Local | Self::Web => OWN_SEND_BYTES_MAX,
        }
    }
}

/// A file as it lies on a local server's disk: there once it was asked for, and again where the bot deleted it.
pub(super) fn on_disk(data_dir: &Path, file_id: &str, stored: &Stored, extension: &str) -> std::io::Result<PathBuf> {
    let folder = data_dir.join(TOKEN).join(format!("{}s", stored.kind));
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{file_id}.{extension}"));
    if !path.exists() {
        std::fs::hard_link(&stored.path, &path)?;
    }
    Ok(path)
}
