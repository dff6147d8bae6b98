//! Copies of the database beside it, and whether it is sound after an end that nobody planned.
//!
//! The engine's C code shares our memory: what a bad file does to it could reach a page of the database. So after an
//! unclean end the database is checked before anything is written, and copies of earlier hours are kept.
//!
//! Absent: putting a copy back. That loses what was accepted since, so an operator decides it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AnyConnection, ConnectOptions, Row, SqliteConnection};

use super::SCHEMA_VERSION;
use crate::store::{Result, StoreError};

/// Copies that are kept.
const KEPT: usize = 24;
const MARK: &str = "-backup-";
const PART: &str = ".part";
/// SQLite's codes for a damaged database and for a file that is none (`SQLITE_CORRUPT`, `SQLITE_NOTADB`).
const DAMAGED: [&str; 2] = ["11", "26"];

/// What became of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backup {
    /// It lies here.
    Made(PathBuf),
    /// There is too little room, bytes.
    NoRoom {
        /// Free.
        free: u64,
        /// Wanted.
        wanted: u64,
    },
}

fn io_error(error: io::Error) -> StoreError {
    StoreError::Database(sqlx::Error::Io(error))
}

/// The database's own folder and the beginning of its backups' names.
fn beside(database: &Path) -> (PathBuf, String) {
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty());
    let name = database.file_name().unwrap_or_default().to_string_lossy();
    (folder.unwrap_or(Path::new(".")).to_owned(), format!("{name}{MARK}"))
}

/// Backups of a database, oldest first: their names hold the time.
///
/// # Errors
/// Those of the file system.
pub fn backups(database: &Path) -> io::Result<Vec<PathBuf>> {
    let (folder, prefix) = beside(database);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(&prefix) && !name.ends_with(PART) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Copies the database while it is in use, and removes all but the last 24 copies. None is made where less than
/// `free_bytes_min` would be left on the disk.
///
/// # Errors
/// Those of the database and of the file system.
pub async fn back_up(database: &Path, free_bytes_min: u64) -> Result<Backup> {
    let (folder, prefix) = beside(database);
    let stat = rustix::fs::statvfs(&folder).map_err(|error| io_error(error.into()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let size = fs::metadata(database).map_err(io_error)?.len();
    let wanted = free_bytes_min.saturating_add(size);
    if free < wanted {
        return Ok(Backup::NoRoom { free, wanted });
    }
    // A connection of its own reads: nobody waits for it.
    let mut reader = SqliteConnectOptions::new().filename(database).connect().await?;
    remove_parts(&folder, &prefix).map_err(io_error)?;
    let time = time_of_next(&mut reader, database, &prefix).await?;
    let part = folder.join(format!("{prefix}{time}{PART}"));
    let written = sqlx::query("VACUUM INTO ?")
        .bind(part.display().to_string())
        .execute(&mut reader)
        .await;
    let made = folder.join(format!("{prefix}{time}"));
    let kept = match written {
        Ok(_) => keep(&part, &made, &folder).map_err(io_error),
        Err(error) => Err(error.into()),
    };
    if kept.is_err() {
        // Of a disk that is full it holds the last room.
        let _ = fs::remove_file(&part);
    }
    kept?;
    let all = backups(database).map_err(io_error)?;
    for old in all.iter().rev().skip(KEPT) {
        fs::remove_file(old).map_err(io_error)?;
    }
    Ok(Backup::Made(made))
}

/// What a backup left that did not live to have its name.
fn remove_parts(folder: &Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(prefix) && name.ends_with(PART) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Now, and later than all before: of a clock that was set back the newest copy would pass for the oldest, and go.
async fn time_of_next(reader: &mut SqliteConnection, database: &Path, prefix: &str) -> Result<String> {
    let newest = backups(database).map_err(io_error)?.pop();
    let newest = newest.and_then(|path| {
        let time = path
            .file_name()?
            .to_str()?
            .strip_prefix(prefix)?
            .trim_end_matches('Z')
            .to_owned();
        let (day, hour) = time.split_once('T')?;
        Some(format!("{day} {}", hour.replace('-', ":")))
    });
    let next = sqlx::query(
        "SELECT strftime('%Y-%m-%dT%H-%M-%SZ', MAX(unixepoch('now'), COALESCE(unixepoch(?) + 1, 0)), 'unixepoch')",
    )
    .bind(newest)
    .fetch_one(reader)
    .await?;
    Ok(next.get(0))
}

/// On the disk with its name, or not there.
fn keep(part: &Path, made: &Path, folder: &Path) -> io::Result<()> {
    fs::File::open(part)?.sync_all()?;
    fs::rename(part, made)?;
    fs::File::open(folder)?.sync_all()
}

/// Looks at a database whose last boot did not end as planned.
pub(super) async fn check(connection: &mut AnyConnection, path: &Path) -> Result<()> {
    let checked = quick_check(connection).await;
    let what = match checked {
        Ok(None) => return Ok(()),
        Ok(Some(what)) => what,
        Err(StoreError::Database(error)) if is_damage(&error) => error.to_string(),
        Err(error) => return Err(error),
    };
    Err(damaged(path, what))
}

/// The same word for a database that does not even open.
pub(super) fn explain(error: sqlx::Error, path: &Path) -> StoreError {
    if is_damage(&error) {
        damaged(path, error.to_string())
    } else {
        error.into()
    }
}

fn damaged(path: &Path, what: String) -> StoreError {
    StoreError::Damaged {
        path: path.display().to_string(),
        what,
        backup: backups(path)
            .ok()
            .and_then(|all| Some(all.last()?.display().to_string())),
    }
}

fn is_damage(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| DAMAGED.contains(&code.as_ref()))
}

async fn quick_check(connection: &mut AnyConnection) -> Result<Option<String>> {
    let version: i64 = sqlx::query("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await?
        .get(0);
    if version == SCHEMA_VERSION {
        let last = sqlx::query("SELECT clean FROM boots ORDER BY id DESC LIMIT 1")
            .fetch_optional(&mut *connection)
            .await?;
        if last.is_none_or(|row| row.get::<i64, _>(0) != 0) {
            return Ok(None);
        }
    }
    let verdict: String = sqlx::query("PRAGMA quick_check(1)").fetch_one(connection).await?.get(0);
    Ok((verdict != "ok").then_some(verdict))
}
