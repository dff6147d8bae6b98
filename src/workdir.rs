//! One scratch folder per job, named by its number alone: no name of a user's ever becomes a path.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::job::JobId;
use crate::media::Preset;

/// The root of all scratch folders.
#[derive(Clone, Debug)]
pub struct Workdir {
    root: PathBuf,
}

/// The files of one job.
#[derive(Clone, Debug)]
pub struct Scratch {
    /// The folder, readable by kadr alone.
    pub folder: PathBuf,
    /// What was fetched.
    pub source: PathBuf,
    /// What was made of it.
    pub output: PathBuf,
    /// A picture of it.
    pub thumbnail: PathBuf,
}

impl Workdir {
    /// Makes the root where it is missing.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        Ok(Self { root: root.to_owned() })
    }

    /// The paths of a job; its folder is made where it is missing.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn scratch(&self, job: JobId, preset: Preset) -> io::Result<Scratch> {
        let folder = self.root.join(job.to_string());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let extension = preset.extension();
        Ok(Scratch {
            source: folder.join("source"),
            output: folder.join(format!("output.{extension}")),
            thumbnail: folder.join("thumbnail.jpg"),
            folder,
        })
    }

    /// A folder for a look at a file that no job wants yet; gone at the next start.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn look(&self, number: u64) -> io::Result<PathBuf> {
        let folder = self.root.join(format!("look-{number}"));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(folder)
    }

    /// Removes a job's folder and all that is in it.
    pub fn remove(&self, job: JobId) {
        let folder = self.root.join(job.to_string());
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%job, %error, "the scratch folder could not be removed");
            }
            _ => {}
        }
    }

    /// The jobs that have a folder.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn jobs(&self) -> io::Result<Vec<JobId>> {
        let entries: Vec<fs::DirEntry> = fs::read_dir(&self.root)?.collect::<io::Result<_>>()?;
        Ok(entries
            .iter()
            .filter_map(|entry| entry.file_name().to_str()?.strip_prefix('j')?.parse().ok().map(JobId))
            .collect())
    }

    /// Removes the folders of looks that nobody came for in so long. Returns how many.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn forget_looks(&self, older_than: Duration) -> io::Result<usize> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let is_look = entry.file_name().to_str().is_some_and(|name| name.starts_with("look-"));
            // A clock that was set back makes it young: then it goes at the next start.
            let is_old = |entry: &fs::DirEntry| -> io::Result<bool> {
                let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
                Ok(age > older_than)
            };
            if is_look && is_old(&entry).unwrap_or(false) {
                fs::remove_dir_all(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes the folders of jobs that are not among the live ones. Returns how many.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn sweep(&self, live: &[JobId]) -> io::Result<usize> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let alive = live
                .iter()
                .any(|job| entry.file_name().to_str() == Some(&job.to_string()));
            if !alive && entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Bytes that this process may still write here.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}
