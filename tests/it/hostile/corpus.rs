//! The hostile files: each of another kind, each with something that it would have opened.
//!
//! Two lures. A file: by its absolute path, and beside the hostile one. A listener on this machine: TCP and UDP.

use std::sync::LazyLock;

use crate::support::clip;

/// What the files of one run point at.
pub(super) struct Lure {
    /// The absolute path of a file that nobody but its owner has a reason to open.
    pub(super) file: String,
    /// A port of this machine where somebody counts connections.
    pub(super) tcp: u16,
    /// The same for datagrams.
    pub(super) udp: u16,
}

/// A hostile file, and what belongs to it.
pub(super) struct Hostile {
    /// Its path in the folder of a run, as `kadr` is given it.
    pub(super) name: String,
    /// What it tries.
    pub(super) tries: &'static str,
    pub(super) bytes: Vec<u8>,
    /// Files beside it that it refers to.
    pub(super) beside: Vec<(String, Vec<u8>)>,
}

impl Hostile {
    pub(super) fn new(name: impl Into<String>, tries: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            tries,
            bytes: bytes.into(),
            beside: Vec::new(),
        }
    }

    pub(super) fn with(mut self, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.beside.push((name.to_owned(), bytes.into()));
        self
    }
}

/// What lies beside each hostile file, under these names: a film that plays.
pub(super) const BESIDE: [&str; 4] = ["beside.ts", "beside.mkv", "beside.key", "beside.txt"];
/// A link to the lure.
pub(super) const LINK: &str = "link.ts";

/// All of them, in one order.
pub(super) fn all(lure: &Lure) -> Vec<Hostile> {
    [
        super::playlists::hls(lure),
        super::playlists::dash(lure),
        super::playlists::concat(lure),
        super::playlists::sessions(lure),
        super::texts::lists(lure),
        super::texts::subtitles(lure),
        super::texts::screens(lure),
        super::texts::packed(lure),
        super::containers::mov(lure),
        super::containers::avi(lure),
        super::containers::matroska(lure),
        super::tags::all(lure),
        super::names::all(lure),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A film of half a second, as MPEG-TS.
pub(super) fn film() -> Vec<u8> {
    static FILM: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let path = clip(
            "hostile.ts",
            "-f lavfi -i testsrc2=s=64x48:r=10:d=0.5 -c:v mpeg2video -q:v 20 -f mpegts",
        );
        std::fs::read(path).unwrap()
    });
    FILM.clone()
}

/// A picture for patterns of names.
pub(super) fn picture() -> Vec<u8> {
    static PICTURE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let path = clip("hostile.png", "-f lavfi -i testsrc2=s=64x48:d=0.04 -frames:v 1");
        std::fs::read(path).unwrap()
    });
    PICTURE.clone()
}

/// Lines of a text.
pub(super) fn lines(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| [*line, "\n"]).collect()
}
