//! What is alive: counted at every birth and death, and told at exit to whoever asked by `FAKE_REPORT`.

use std::ffi::c_int;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Once;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::faults::faults;

/// Kinds of things that a caller must give back, and, at the end, kinds of work that only add up.
#[derive(Clone, Copy)]
#[repr(usize)]
pub(crate) enum Kind {
    Context,
    Allocation,
    Module,
    Texture,
    Stream,
    Event,
    Session,
    InputBuffer,
    Bitstream,
    Resource,
    Mapping,
    Decoder,
    DecoderFrame,
    Launch,
    Copy,
    EncodedPicture,
    DecodedPicture,
    Orphan,
}

const NAMES: [&str; 18] = [
    "contexts",
    "allocations",
    "modules",
    "textures",
    "streams",
    "events",
    "sessions",
    "input_buffers",
    "bitstreams",
    "resources",
    "mappings",
    "decoders",
    "decoder_frames",
    "launches",
    "copies",
    "encoded_pictures",
    "decoded_pictures",
    "orphans",
];
/// Of `NAMES`, those that live and die.
const MORTAL: usize = Kind::Launch as usize;

static LIVE: [AtomicI64; NAMES.len()] = [const { AtomicI64::new(0) }; NAMES.len()];
static PEAK: [AtomicI64; NAMES.len()] = [const { AtomicI64::new(0) }; NAMES.len()];
static TOTAL: [AtomicI64; NAMES.len()] = [const { AtomicI64::new(0) }; NAMES.len()];

unsafe extern "C" {
    fn atexit(function: extern "C" fn()) -> c_int;
}

/// The driver was loaded and asked something: from now on there is something to report.
pub(crate) fn awake() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if faults().report.is_some() {
            // SAFETY: `report` is a function of this object, which is never unloaded (build.rs).
            unsafe { atexit(report) };
        }
    });
}

/// One more; returns how many there have been.
pub(crate) fn born(kind: Kind) -> u64 {
    awake();
    let live = LIVE[kind as usize].fetch_add(1, Ordering::Relaxed) + 1;
    PEAK[kind as usize].fetch_max(live, Ordering::Relaxed);
    (TOTAL[kind as usize].fetch_add(1, Ordering::Relaxed) + 1) as u64
}

pub(crate) fn died(kind: Kind) {
    LIVE[kind as usize].fetch_sub(1, Ordering::Relaxed);
}

/// How many are alive.
pub(crate) fn live(kind: Kind) -> u64 {
    LIVE[kind as usize].load(Ordering::Relaxed).max(0) as u64
}

fn counts(counts: &[AtomicI64]) -> String {
    let mut text = String::new();
    for (name, count) in NAMES.iter().zip(counts) {
        let comma = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{comma}\"{name}\":{}", count.load(Ordering::Relaxed));
    }
    text
}

extern "C" fn report() {
    let Some(path) = &faults().report else { return };
    let line = format!(
        "{{\"note\":\"fake driver: control flow only\",\"pid\":{},\"live\":{{{}}},\"peak\":{{{}}},\"total\":{{{}}}}}\n",
        std::process::id(),
        counts(&LIVE[..MORTAL]),
        counts(&PEAK[..MORTAL]),
        counts(&TOTAL),
    );
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    // One write, so that the lines of two processes do not mix. Nobody is left to be told of a failure.
    let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
}

/// How many things of a kind are alive, by its place in `NAMES`; of all kinds for -1. Returns -1 of no such kind.
#[unsafe(no_mangle)]
extern "C" fn fake_driver_live(kind: c_int) -> i64 {
    if kind == -1 {
        return LIVE[..MORTAL].iter().map(|count| count.load(Ordering::Relaxed)).sum();
    }
    let kind = usize::try_from(kind).unwrap_or(usize::MAX);
    LIVE[..MORTAL]
        .get(kind)
        .map_or(-1, |count| count.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::{Kind, born, died, fake_driver_live};

    #[test]
    fn what_is_alive_is_counted_by_kind_and_in_all() {
        born(Kind::Session);
        born(Kind::Session);
        born(Kind::Context);
        died(Kind::Session);
        assert_eq!(fake_driver_live(Kind::Session as i32), 1);
        assert_eq!(fake_driver_live(-1), 2);
        assert_eq!(fake_driver_live(Kind::Launch as i32), -1);
    }
}
