//! What a process was at when a fatal signal ended it: a note on the disk, read by the next one.
//!
//! Who begins something that a file could crash holds a [`Named`] meanwhile; [`keep`] opens the note and has the signals write
//! into it. An end that no signal handler sees leaves an empty note: `kill -9`, a power cut, a thread of libav whose stack
//! overflowed. Absent: which of several was to blame; all that were going on are named.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Mutex, PoisonError};

use super::ffi::fatal;

static NOTE: Mutex<Option<File>> = Mutex::new(None);

/// Reads the note that the last process left, and has this one write there. It stays until [`forget`].
///
/// # Errors
/// Those of the file system and of `sigaction`.
pub fn keep(path: &Path) -> io::Result<Vec<i64>> {
    let mut note = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let mut bytes = Vec::new();
    note.read_to_end(&mut bytes)?;
    fatal::install(note.try_clone()?)?;
    *NOTE.lock().unwrap_or_else(PoisonError::into_inner) = Some(note);
    let (numbers, _half) = bytes.as_chunks();
    Ok(numbers.iter().map(|number| i64::from_ne_bytes(*number)).collect())
}

/// What the last process left was taken into account.
///
/// # Errors
/// Those of the file system.
pub fn forget() -> io::Result<()> {
    match &*NOTE.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(note) => note.set_len(0),
        None => Ok(()),
    }
}

/// Something that is going on; over when dropped.
#[derive(Debug)]
pub struct Named(Option<usize>);

/// Names what begins now; not 0. Where 64 are going on already the next has no name.
#[must_use]
pub fn name(number: i64) -> Named {
    let free = |slot: &usize| fatal::AT[*slot].compare_exchange(0, number, SeqCst, SeqCst).is_ok();
    Named((0..fatal::SLOTS).find(free))
}

impl Drop for Named {
    fn drop(&mut self) {
        if let Some(slot) = self.0 {
            fatal::AT[slot].store(0, SeqCst);
        }
    }
}
