//! Layers of protection that a test takes away, one or several: `KADR_TEST_WITHOUT=formats,landlock`.
//!
//! No layer is believed because another one holds: the hostile files of the tests meet each with the others gone. Who puts
//! up a layer asks here first, and nobody else reads the variable. Absent from builds without debug assertions: there every
//! layer stands, and no name is kept.

use std::fs::File;
use std::path::{Path, PathBuf};

/// What stands between a stranger's file and the rest of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// Headers are held against the file before libav sees it.
    Structure,
    /// The list of demuxers.
    Formats,
    /// The list of protocols, which is empty.
    Protocols,
    /// The list of decoders.
    Codecs,
    /// libav gets an open file; without this layer it gets the name. Asked for by this module alone.
    #[cfg(debug_assertions)]
    Handle,
    /// libav's own refusal of what an MP4 says lies in other files.
    References,
    /// No file by name, no TCP.
    Landlock,
    /// No socket, no program.
    Seccomp,
}

#[cfg(debug_assertions)]
impl Layer {
    fn word(self) -> &'static str {
        match self {
            Self::Structure => "structure",
            Self::Formats => "formats",
            Self::Protocols => "protocols",
            Self::Codecs => "codecs",
            Self::Handle => "handle",
            Self::References => "references",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
        }
    }

    /// Whether no test took it away.
    pub(crate) fn stands(self) -> bool {
        static GONE: std::sync::OnceLock<String> = std::sync::OnceLock::new();
        let gone = GONE.get_or_init(|| std::env::var("KADR_TEST_WITHOUT").unwrap_or_default());
        !gone.split(',').any(|word| word == self.word())
    }
}

#[cfg(not(debug_assertions))]
impl Layer {
    /// Always.
    #[expect(clippy::unused_self, reason = "asked in one way in all builds")]
    #[inline]
    pub(crate) const fn stands(self) -> bool {
        true
    }
}

#[cfg(debug_assertions)]
mod names {
    use std::fs::File;
    use std::os::unix::fs::MetadataExt;
    use std::path::PathBuf;
    use std::sync::{Mutex, PoisonError};

    /// Of strangers' files, as they were given.
    static NAMES: Mutex<Vec<((u64, u64), PathBuf)>> = Mutex::new(Vec::new());

    fn identity(file: &File) -> Option<(u64, u64)> {
        file.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
    }

    pub(super) fn keep(name: PathBuf, file: &File) {
        if let Some(identity) = identity(file) {
            let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
            names.push((identity, name));
        }
    }

    pub(super) fn of(file: &File) -> Option<PathBuf> {
        let wanted = identity(file)?;
        let names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        names
            .iter()
            .find(|(one, _)| *one == wanted)
            .map(|(_, name)| name.clone())
    }

    pub(super) fn all() -> Vec<PathBuf> {
        let names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        names.iter().map(|(_, name)| name.clone()).collect()
    }
}

/// A stranger's file was opened by this name.
#[cfg(debug_assertions)]
pub(crate) fn opened(name: &Path, file: &File) {
    if !Layer::Handle.stands() {
        names::keep(name.to_owned(), file);
    }
}

/// A stranger's file was opened by this name.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn opened(_name: &Path, _file: &File) {}

/// The name that libav is to open in place of this file; `None` as long as libav gets the handle.
#[cfg(debug_assertions)]
pub(crate) fn name_of(file: &File) -> Option<PathBuf> {
    names::of(file)
}

/// The name that libav is to open in place of this file: none.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn name_of(_file: &File) -> Option<PathBuf> {
    None
}

/// What libav opens by name and walls must leave open; empty as long as it gets handles.
#[cfg(debug_assertions)]
pub(crate) fn names() -> Vec<PathBuf> {
    names::all()
}

/// What libav opens by name and walls must leave open: nothing.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn names() -> Vec<PathBuf> {
    Vec::new()
}
