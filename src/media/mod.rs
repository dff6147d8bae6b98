//! The engine: a file in, a file that plays out. Blocking; knows no tokio, no job, no chat.
//!
//! ```text
//! structure    what headers claim, held against the file before libav sees it
//! probe(file)  -> MediaInfo            reads the file under every safety limit (ffi::open)
//! plan(info, recipe, caps) -> [Plan]   pure; best way first, the CPU last, never empty
//! transcode(plan, input, part)         demux | decode | filter | encode | mux on scoped threads
//! segment                              the same for a film in segments, over several engines, where that is faster
//! verify(part, plan)  -> Verdict       re-opens the output: is it what was promised?
//! convert(..)                          all of the above, down the ladder, then `.part` -> the final name
//! isolation    any of it in a process of its own, where an operator wants that
//! parts::split(..)                     a finished file -> files within a size, cut at key frames
//! ```
//!
//! Whatever reads a stranger's bytes does it on a thread that can open nothing ([`confine`]): the file comes opened.
//! Callers hold a [`Control`]: they raise its cancel flag and poll its gauge; the engine never calls them back.
//! Absent on purpose: any string of a user's in a path, a filter or a muxer choice; any process but those of [`isolation`];
//! any global state but libav's own allocation limit and log callback, the handler of fatal signals ([`last_words`]), and
//! the context that each GPU has in this process.

pub mod arguments;
mod chain;
pub mod confine;
pub mod control;
pub mod convert;
pub mod device;
pub mod error;
mod ffi;
pub mod forecast;
#[cfg(fuzzing)]
pub mod fuzz;
pub mod info;
pub mod isolation;
mod jpeg;
pub mod last_words;
mod layers;
pub mod limits;
pub mod look;
mod nal;
pub mod packets;
pub mod parts;
pub mod plan;
pub mod preset;
pub mod probe;
pub mod recipe;
pub mod report;
pub mod score;
mod segment;
mod sei;
mod sheet;
mod sniff;
pub mod structure;
pub mod synthetic;
mod threads;
pub mod thumbnail;
mod timeline;
mod tone;
mod transcode;
pub mod usage;
mod verify;

pub use self::confine::Confine;
pub use self::control::{Control, Gauge, Progress};
pub use self::convert::convert;
pub use self::device::{Caps, Choice, Machine};
pub use self::error::{MediaError, Refusal};
pub use self::forecast::{Forecast, forecast};
pub use self::info::MediaInfo;
pub use self::isolation::Isolation;
pub use self::limits::Limits;
pub use self::look::Look;
pub use self::plan::{Plan, plan};
pub use self::preset::Preset;
pub use self::probe::probe;
pub use self::recipe::{Recipe, UnknownWord};
pub use self::report::{Report, Warning};
pub use self::segment::Split;
pub use self::threads::cores;

/// Part of the key of remembered results: raised whenever outputs change.
pub const ENGINE_VERSION: &str = "3";

/// Gives the memory that jobs have freed back to the system, which takes milliseconds. Until then it stays for the next one.
pub fn shrink() {
    ffi::shrink();
}

/// How much memory jobs have freed and not given back, bytes. Of what [`shrink`] gave back some still counts.
#[must_use]
pub fn freed_bytes() -> usize {
    ffi::freed_bytes()
}

/// The FFmpeg libraries that this process runs on.
#[must_use]
pub fn versions() -> String {
    ffi::versions()
}
