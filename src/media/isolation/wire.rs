//! What bot, nursery and engine say to each other, one JSON object a line.

use std::io::{self, BufRead, Read};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::media::confine::Confine;
use crate::media::control::Progress;
use crate::media::error::{MediaError, Refusal};

/// The longest line of either side, bytes; an answer to a file of 16 streams has some thousands.
pub(super) const LINE_BYTES_MAX: usize = 256 << 10;

/// What an engine is told: what it may touch, and its work.
#[derive(Serialize, Deserialize)]
pub(super) struct Envelope<W> {
    pub(super) source: PathBuf,
    pub(super) folder: Option<PathBuf>,
    pub(super) gpu: bool,
    pub(super) confine: Confine,
    pub(super) limit: Duration,
    pub(super) work: W,
}

/// What an engine says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Line<A> {
    Progress(Progress),
    Log { level: String, text: String },
    Answer(A),
    Failure(Failure),
}

/// How an engine ended, as the nursery says it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fate {
    Exited(i32),
    Killed(i32),
    NotStarted(String),
}

/// A [`MediaError`] on its way between processes: what the caller branches on, and the words.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Failure {
    Refused(Refusal),
    Canceled,
    TimeLimit { limit_s: u64 },
    Device { device: String, what: String },
    Unfit(String),
    DiskFull,
    Io(String),
    Engine(String),
    Unverified(String),
}

impl From<MediaError> for Failure {
    fn from(error: MediaError) -> Self {
        match error {
            MediaError::Refused(why) => Self::Refused(why),
            MediaError::Canceled => Self::Canceled,
            MediaError::TimeLimit { limit_s } => Self::TimeLimit { limit_s },
            MediaError::Device { device, what, .. } => Self::Device { device, what },
            MediaError::Unfit(why) => Self::Unfit(why),
            MediaError::DiskFull => Self::DiskFull,
            MediaError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => Self::DiskFull,
            MediaError::Io { .. } => Self::Io(error.to_string()),
            MediaError::Engine { .. }
            | MediaError::Crashed { .. }
            | MediaError::NotStarted(_)
            | MediaError::Orphaned => Self::Engine(error.to_string()),
            MediaError::Unverified(what) => Self::Unverified(what),
        }
    }
}

impl From<Failure> for MediaError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(why) => Self::Refused(why),
            Failure::Canceled => Self::Canceled,
            Failure::TimeLimit { limit_s } => Self::TimeLimit { limit_s },
            Failure::Device { device, what } => Self::Device {
                device,
                cause: None,
                what,
            },
            Failure::Unfit(why) => Self::Unfit(why),
            Failure::DiskFull => Self::DiskFull,
            Failure::Io(what) => Self::Io {
                doing: "in the engine's process",
                source: io::Error::other(what),
            },
            Failure::Engine(what) => fault(what),
            Failure::Unverified(what) => Self::Unverified(what),
        }
    }
}

/// A fault of ours around an engine.
pub(super) fn fault(what: impl Into<String>) -> MediaError {
    MediaError::Engine {
        doing: "in the engine's process",
        what: what.into(),
    }
}

/// One line without its end; `None` where there is none. A line that does not end in time is an error.
pub(super) fn read_line(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    from.take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line)?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) => Err(io::Error::other(format!(
            "a line has no end within {} bytes (limit {LINE_BYTES_MAX})",
            line.len() + 1
        ))),
    }
}

/// A whole line, to be written at once.
pub(super) fn line_of(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    if line.len() > LINE_BYTES_MAX {
        return Err(io::Error::other(format!(
            "a line has {} bytes (limit {LINE_BYTES_MAX})",
            line.len()
        )));
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::{Failure, LINE_BYTES_MAX, Line, read_line};
    use crate::media::error::{MediaError, Refusal};

    #[test]
    fn a_line_that_does_not_end_is_no_line() {
        let mut two = &b"one\ntwo"[..];
        assert_eq!(read_line(&mut two).ok().flatten().as_deref(), Some(&b"one"[..]));
        assert!(read_line(&mut two).is_err());
        assert!(read_line(&mut vec![b'x'; LINE_BYTES_MAX + 9].as_slice()).is_err());
        assert!(matches!(read_line(&mut &b""[..]), Ok(None)));
    }

    #[test]
    fn what_is_not_known_is_not_read() {
        let read = |text: &str| serde_json::from_str::<Line<u32>>(text).is_ok();
        assert!(read(r#"{"answer":7}"#) && read(r#"{"failure":"canceled"}"#));
        assert!(!read(r#"{"answer":"seven"}"#) && !read(r#"{"order":7}"#) && !read("{}") && !read("7"));
    }

    #[test]
    fn an_error_says_the_same_on_both_sides() {
        for error in [
            MediaError::Refused(Refusal::TooLong {
                duration_s: 2,
                limit_s: 1,
            }),
            MediaError::TimeLimit { limit_s: 3 },
            MediaError::DiskFull,
            MediaError::Unverified("no picture".to_owned()),
        ] {
            let words = error.to_string();
            assert_eq!(MediaError::from(Failure::from(error)).to_string(), words);
        }
    }
}
