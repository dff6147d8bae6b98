//! A Bot API server of one's own, whose disk this process shares.
//!
//! Such a server hands out no bytes over HTTP: `getFile` answers when the file lies on its disk, with the path as the server
//! sees it. [`Shared::take`] makes that file ours, by a second name where the file system allows it, else by a copy; the
//! server's own name may go at once then. Results go the other way by a `file://` address where the server sees the work
//! folder. Paths are only ever cut and joined here, and one that leads out of the server's folder, by its words or by a
//! link, is refused.

use std::ffi::OsStr;
use std::io::{Error, ErrorKind};
use std::path::{Component, Path, PathBuf};

use crate::courier::CourierError;
use crate::job::Reason;

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

    /// Makes a file of the server ours, under a name that does not exist yet; gives its size, bytes.
    pub(super) async fn take(&self, path: &str, into: &Path) -> Result<u64, CourierError> {
        let source = self.find(path).await.map_err(|error| explain(&error))?;
        let _ = tokio::fs::remove_file(into).await;
        // Two names of one file cost no space; over file systems, or over users, only a copy will do.
        if tokio::fs::hard_link(&source, into).await.is_err() {
            let copied = tokio::fs::copy(&source, into).await;
            if let Err(error) = copied {
                let _ = tokio::fs::remove_file(into).await;
                return Err(explain(&error));
            }
        }
        let bytes = tokio::fs::metadata(into).await.map_err(|error| explain(&error))?.len();
        if self.delete
            && let Err(error) = tokio::fs::remove_file(&source).await
        {
            tracing::warn!(%error, "a source was not removed from the Bot API server's disk");
        }
        Ok(bytes)
    }

    /// The file behind the server's path: a plain one, within its folder after every link is followed.
    async fn find(&self, path: &str) -> Result<PathBuf, Error> {
        let outside = || Error::new(ErrorKind::InvalidInput, "the path lies outside of the server's folder");
        let Folder { here, there } = &self.files;
        let path = moved(Path::new(OsStr::new(path)), there, here).ok_or_else(outside)?;
        let (root, path) = (
            tokio::fs::canonicalize(here).await?,
            tokio::fs::canonicalize(path).await?,
        );
        if !path.starts_with(&root) {
            return Err(outside());
        }
        if !tokio::fs::metadata(&path).await?.is_file() {
            return Err(Error::new(ErrorKind::InvalidInput, "it is no file"));
        }
        Ok(path)
    }
}

/// What a failed access means; the log names no path, for it holds the token.
fn explain(error: &Error) -> CourierError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => CourierError::Hopeless(Reason::DiskFull),
        // The server clears away what is old, and fetches it again when it is asked again.
        ErrorKind::NotFound => CourierError::Transient {
            after_s: None,
            what: "the file is not on the Bot API server's disk".to_owned(),
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
    use std::path::{Path, PathBuf};

    use super::{Folder, Shared, moved};
    use crate::courier::CourierError;
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
        assert_eq!(shared.take("/there/f.mp4", &into).await.unwrap(), 4);
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
            let error = shared.take(path, &into).await.unwrap_err();
            assert!(
                matches!(error, CourierError::Hopeless(Reason::Internal)),
                "{path}: {error}"
            );
            assert!(!into.exists(), "{path}");
        }
        assert_eq!(std::fs::read_to_string(folder.path().join("secret")).unwrap(), "secret");
        let gone = shared.take("/there/gone.mp4", &into).await.unwrap_err();
        assert!(matches!(gone, CourierError::Transient { .. }), "{gone}");
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
