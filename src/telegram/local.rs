//! A Bot API server of one's own, whose disk this process shares.
//!
//! Such a server hands out no bytes over HTTP: `getFile` answers when the file lies on its disk, with the path as the server
//! sees it. [`Shared::take`] makes that file ours, by a second name where the file system allows it, else by a copy; the
//! server's own name may go at once then. Results go the other way by a `file://` address where the server sees the work
//! folder. A path that leads out of the server's folder, by its words or by a link, is refused. Every link is resolved
//! first; then the way is walked again from the folder down, by handles that follow no link, so that nothing that is
//! swapped meanwhile leads elsewhere: what is read, linked and removed is the one file that was judged.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::courier::{CourierError, Meter};
use crate::job::Reason;

const COPY_BLOCK_BYTES: usize = 1 << 20;
/// Its half-made files lie there: none of it is ever removed.
const TEMP_FOLDER: &str = "temp";

/// A folder that both processes see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Where this process sees it.
    pub here: PathBuf,
    /// Where the server sees it.
    pub there: PathBuf,
}

/// What is shared with the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// The server's files.
    pub files: Folder,
    /// Whether a file is removed there once it is ours.
    pub delete: bool,
    /// Our results, where the server can read them.
    pub results: Option<Folder>,
}

/// Moves a path from one root to another; `None` where it does not lie under the first, or climbs.
fn moved(path: &Path, from: &Path, to: &Path) -> Option<PathBuf> {
    let rest = path.strip_prefix(from).ok()?;
    let plain = rest.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && rest != Path::new("")).then(|| to.join(rest))
}

impl Shared {
    /// The address of a result for the server, where it sees the file.
    pub(super) fn address(&self, result: &Path) -> Option<String> {
        let Folder { here, there } = self.results.as_ref()?;
        let path = moved(result, here, there)?;
        Some(format!("file://{}", path.to_str()?))
    }

    /// Makes a file of the server ours, under a name that does not exist yet; gives its size, bytes. Dropped halfway, it
    /// leaves what it copied so far, and the server's file as it was.
    pub(super) async fn take(&self, path: &str, into: &Path, meter: &Meter) -> std::result::Result<u64, CourierError> {
        let source = Source::open(&self.files, path).map_err(|error| explain(&error))?;
        let taken = match source.link(into) {
            Ok(()) => Ok(source.bytes),
            // Over file systems, or over users, only a copy will do.
            Err(error) if error.kind() != ErrorKind::InvalidInput => source.copy(into, meter).await,
            Err(error) => Err(error),
        };
        let bytes = taken.map_err(|error| {
            let _ = std::fs::remove_file(into);
            if self.delete && error.kind() == ErrorKind::StorageFull {
                // It takes the room itself, and comes again when it is asked for again.
                source.remove();
            }
            explain(&error)
        })?;
        meter.reset();
        meter.add(bytes);
        if self.delete {
            source.remove();
        }
        Ok(bytes)
    }
}

/// A plain file within the server's folder, held open with the folder that it lies in.
struct Source {
    folder: OwnedFd,
    name: OsString,
    file: File,
    bytes: u64,
    temporary: bool,
}

impl Source {
    fn open(files: &Folder, path: &str) -> Result<Self> {
        let outside = || Error::new(ErrorKind::InvalidInput, "the path lies outside of the server's folder");
        let path = moved(Path::new(path), &files.there, &files.here).ok_or_else(outside)?;
        let (root, path) = (files.here.canonicalize()?, path.canonicalize()?);
        let way = path.strip_prefix(&root).map_err(|_| outside())?;
        let name = way.file_name().ok_or_else(outside)?.to_owned();
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut folder = rustix::fs::open(&root, step, Mode::empty())?;
        let mut temporary = false;
        for part in way.parent().into_iter().flat_map(Path::components) {
            folder = rustix::fs::openat(&folder, part.as_os_str(), step, Mode::empty())?;
            temporary |= part.as_os_str() == TEMP_FOLDER;
        }
        // Without waiting: a pipe would wait for a writer.
        let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&folder, &name, read, Mode::empty())?);
        let facts = file.metadata()?;
        if !facts.is_file() {
            return Err(Error::new(ErrorKind::InvalidInput, "it is no file"));
        }
        Ok(Self {
            folder,
            name,
            file,
            bytes: facts.len(),
            temporary,
        })
    }

    /// Whether a name stands for this very file.
    fn is(&self, facts: &rustix::fs::Stat) -> Result<bool> {
        let own = self.file.metadata()?;
        Ok((facts.st_dev, facts.st_ino) == (own.dev(), own.ino()))
    }

    /// Two names of one file cost no space.
    fn link(&self, into: &Path) -> Result<()> {
        rustix::fs::linkat(&self.folder, &self.name, CWD, into, AtFlags::empty())?;
        if self.is(&rustix::fs::lstat(into)?)? {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidInput, "the file was swapped for another"))
    }

    async fn copy(&self, into: &Path, meter: &Meter) -> Result<u64> {
        let source = tokio::fs::File::from_std(self.file.try_clone()?);
        let mut source = BufReader::with_capacity(COPY_BLOCK_BYTES, source);
        let mut copy = tokio::fs::File::create_new(into).await?;
        let mut bytes = 0;
        loop {
            let block = source.fill_buf().await?;
            if block.is_empty() {
                break;
            }
            let length = block.len();
            copy.write_all(block).await?;
            source.consume(length);
            bytes += length as u64;
            meter.add(length as u64);
        }
        copy.flush().await?;
        copy.sync_all().await?;
        Ok(bytes)
    }

    /// Takes the server's name of it away, if it still stands for it.
    fn remove(&self) {
        if self.temporary {
            return;
        }
        let removed = rustix::fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Error::from)
            .and_then(|facts| self.is(&facts))
            .and_then(|same| {
                if same {
                    rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty())?;
                }
                Ok(())
            });
        if let Err(error) = removed {
            tracing::warn!(%error, "a source was not removed from the Bot API server's disk");
        }
    }
}

/// What a failed access means; the log names no path, for it holds the token.
fn explain(error: &Error) -> CourierError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => CourierError::Hopeless(Reason::DiskFull),
        // The server clears away what is old, and fetches it again when it is asked again.
        ErrorKind::NotFound => CourierError::Transient {
            after_s: None,
            what: "the file is not on the Bot API server's disk, as KADR_API_LOCAL_ROOT has it".to_owned(),
        },
        ErrorKind::PermissionDenied => {
            tracing::error!(
                "the Bot API server's files cannot be read: run both under one user id, or let kadr read them"
            );
            CourierError::Hopeless(Reason::Internal)
        }
        _ => {
            tracing::error!(%error, "a file of the Bot API server is not taken: check KADR_API_LOCAL_ROOT");
            CourierError::Hopeless(Reason::Internal)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};

    use super::{Folder, Shared, Source, moved};
    use crate::courier::{CourierError, Meter};
    use crate::job::Reason;

    #[test]
    fn a_path_moves_from_root_to_root_and_never_out() {
        let to = |path: &str| moved(Path::new(path), Path::new("/srv/api"), Path::new("/mnt"));
        assert_eq!(
            to("/srv/api/1:A/videos/f.mp4"),
            Some(PathBuf::from("/mnt/1:A/videos/f.mp4"))
        );
        for path in [
            "/srv/api",
            "/srv/api/",
            "/srv/apis/f",
            "/etc/passwd",
            "/srv/api/../secret",
            "videos/f",
            "",
        ] {
            assert_eq!(to(path), None, "{path}");
        }
    }

    async fn take(shared: &Shared, path: &str, into: &Path) -> Result<u64, CourierError> {
        shared.take(path, into, &Meter::default()).await
    }

    /// A folder of a server with one file in it, and a secret beside it.
    fn server() -> (tempfile::TempDir, Shared) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("server")).unwrap();
        std::fs::write(folder.path().join("server/f.mp4"), "film").unwrap();
        std::fs::write(folder.path().join("secret"), "secret").unwrap();
        let shared = Shared {
            files: Folder {
                here: folder.path().join("server"),
                there: PathBuf::from("/there"),
            },
            delete: true,
            results: None,
        };
        (folder, shared)
    }

    #[tokio::test]
    async fn what_is_taken_is_ours_and_goes_there() {
        let (folder, shared) = server();
        let into = folder.path().join("source");
        assert_eq!(take(&shared, "/there/f.mp4", &into).await.unwrap(), 4);
        assert_eq!(std::fs::read_to_string(&into).unwrap(), "film");
        assert!(!folder.path().join("server/f.mp4").exists());
    }

    #[tokio::test]
    async fn nothing_outside_is_taken_or_removed() {
        let (folder, shared) = server();
        std::os::unix::fs::symlink(folder.path().join("secret"), folder.path().join("server/link.mp4")).unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("server/up")).unwrap();
        let into = folder.path().join("source");
        let absolute = folder.path().join("secret").display().to_string();
        for path in [
            "/there/link.mp4",
            "/there/up/secret",
            "/there/../secret",
            &absolute,
            "/there/up",
            "f.mp4",
        ] {
            let error = take(&shared, path, &into).await.unwrap_err();
            assert!(
                matches!(error, CourierError::Hopeless(Reason::Internal)),
                "{path}: {error}"
            );
            assert!(!into.exists(), "{path}");
        }
        assert_eq!(std::fs::read_to_string(folder.path().join("secret")).unwrap(), "secret");
        let gone = take(&shared, "/there/gone.mp4", &into).await.unwrap_err();
        assert!(matches!(gone, CourierError::Transient { .. }), "{gone}");
    }

    #[tokio::test]
    async fn one_file_gets_a_second_name_and_a_copy_is_another() {
        let (folder, shared) = server();
        let shared = Shared {
            delete: false,
            ..shared
        };
        let (into, there) = (folder.path().join("source"), folder.path().join("server/f.mp4"));
        let inode = |path: &Path| std::fs::metadata(path).unwrap().ino();
        assert_eq!(take(&shared, "/there/f.mp4", &into).await.unwrap(), 4);
        assert_eq!(inode(&into), inode(&there));
        let meter = Meter::default();
        let source = Source::open(&shared.files, "/there/f.mp4").unwrap();
        let copy = folder.path().join("copy");
        assert_eq!(source.copy(&copy, &meter).await.unwrap(), 4);
        assert_eq!(
            (std::fs::read_to_string(&copy).unwrap().as_str(), meter.read()),
            ("film", 4)
        );
        assert_ne!(inode(&copy), inode(&there));
    }

    #[tokio::test]
    async fn a_name_that_stands_for_another_file_by_now_stays() {
        let (folder, shared) = server();
        let there = folder.path().join("server/f.mp4");
        let source = Source::open(&shared.files, "/there/f.mp4").unwrap();
        std::fs::remove_file(&there).unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret"), &there).unwrap();
        let into = folder.path().join("source");
        let error = source.link(&into).unwrap_err();
        assert_eq!(error.to_string(), "the file was swapped for another");
        source.remove();
        assert!(there.is_symlink() && folder.path().join("secret").exists());
    }

    #[tokio::test]
    async fn nothing_is_removed_from_the_folder_of_half_made_files() {
        let (folder, shared) = server();
        std::fs::create_dir_all(folder.path().join("server/1:A/temp")).unwrap();
        let half_made = folder.path().join("server/1:A/temp/7");
        std::fs::write(&half_made, "half").unwrap();
        let into = folder.path().join("source");
        assert_eq!(take(&shared, "/there/1:A/temp/7", &into).await.unwrap(), 4);
        assert!(half_made.exists());
    }

    #[test]
    fn only_results_under_the_shared_folder_have_an_address() {
        let folder = |here: &str, there: &str| Folder {
            here: PathBuf::from(here),
            there: PathBuf::from(there),
        };
        let mut shared = Shared {
            files: folder("/a", "/a"),
            delete: false,
            results: Some(folder("/data/work", "/kadr")),
        };
        let address = shared.address(Path::new("/data/work/j7/output.mp4"));
        assert_eq!(address.as_deref(), Some("file:///kadr/j7/output.mp4"));
        assert_eq!(shared.address(Path::new("/data/kadr.db")), None);
        shared.results = None;
        assert_eq!(shared.address(Path::new("/data/work/j7/output.mp4")), None);
    }
}
