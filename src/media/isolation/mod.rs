//! A process for each piece of work that reads a stranger's file: the same program, executed anew, with walls around all of
//! it before libav sees a byte.
//!
//! ```text
//! bot      walled in: executes nothing, reads no stranger's file
//!   |  one socket, two descriptors for each piece of work
//! nursery  started before the bot's walls and its first thread: executes engines, waits for them, kills them when told;
//!   |      has neither token nor environment, and reads nothing but descriptors from the bot
//! engine   one line with the work in, lines with progress, log and one answer out; then it ends
//! ```
//!
//! The nursery is there because the bot's walls forbid programs, and are not to be opened for this: a fault in the bot can
//! start engines, which can do nothing, and no other program. An engine ends with the nursery, and the nursery with the bot;
//! the bot ends when the nursery does, for it can start no other one.
//! What an engine says is believed as little as the file that it reads: lines have a greatest length and a known shape, and
//! the caller looks at what was made. It is alone in its process: it starts no other, and sends no signal but to itself.
//! Absent: seats of GPUs between processes (a driver that has no session left sends the job another way), and walls that
//! this kernel does not have.

mod ask;
mod engine;
mod nursery;
mod wire;

use std::fmt;
use std::str::FromStr;

pub use self::ask::Errand;
pub use self::engine::{Voice, engine};
pub use self::nursery::{Nursery, nurse};

/// Where strangers' files are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum Isolation {
    /// On threads of this process, each walled in.
    #[default]
    Thread,
    /// In a process for each piece of work.
    Process,
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Thread => "thread",
            Self::Process => "process",
        })
    }
}

impl FromStr for Isolation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "thread" => Ok(Self::Thread),
            "process" => Ok(Self::Process),
            _ => Err(format!("isolation is `{text}` (allowed: thread, process)")),
        }
    }
}

impl TryFrom<String> for Isolation {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}
