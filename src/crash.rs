//! Points at which a test lets the process die: `KADR_KILL_AT=NAME[:N]` aborts it where it passes NAME for the Nth time;
//! with `KADR_KILL_SIZE=BYTES` points of the engine are passed by sources of that size alone.
//!
//! Everyone who does something that a crash could leave half done passes a point before and after it; `ci/soak` dies at
//! each of them and counts what was lost. Absent from builds without debug assertions: there a point is nothing.

use std::path::Path;

/// All points, in the order of the line.
pub const POINTS: [&str; 32] = [
    "recovered",
    "swept",
    "polled",
    "recorded",
    "enqueued",
    "announced",
    "announcement-recorded",
    "answered",
    "marked",
    "claimed",
    "fetching",
    "fetched",
    "convert-recorded",
    "converting",
    "renamed",
    "converted",
    "deliver-recorded",
    "editing",
    "uploading",
    "edited",
    "intending",
    "intended",
    "sent",
    "delivered",
    "ended",
    "cleaned",
    "told",
    "held",
    "album-intended",
    "album-sent",
    "batch-ended",
    "batch-told",
];

/// Passes a point.
#[cfg(debug_assertions)]
pub(crate) fn point(name: &'static str) {
    debug_assert!(POINTS.contains(&name), "{name} is not in the list of points");
    if armed::is_due(name) {
        std::process::abort();
    }
}

/// Passes a point.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn point(_name: &'static str) {}

/// Passes a point with this file.
#[cfg(debug_assertions)]
pub(crate) fn point_with(name: &'static str, file: &Path) {
    if armed::is_meant(file) {
        point(name);
    }
}

/// Passes a point with this file.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn point_with(_name: &'static str, _file: &Path) {}

/// Passes a point in the midst of what is begun now with this file and goes on elsewhere.
#[cfg(debug_assertions)]
pub(crate) fn point_soon(name: &'static str, file: &Path) {
    debug_assert!(POINTS.contains(&name), "{name} is not in the list of points");
    if armed::is_meant(file) && armed::is_due(name) {
        std::thread::spawn(|| {
            std::thread::sleep(armed::SOON);
            std::process::abort();
        });
    }
}

/// Passes a point in the midst of what is begun now with this file and goes on elsewhere.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn point_soon(_name: &'static str, _file: &Path) {}

#[cfg(debug_assertions)]
mod armed {
    use std::path::Path;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::time::Duration;

    pub(super) const SOON: Duration = Duration::from_millis(20);

    /// The point that kills, and how many passes are left until it does.
    struct Armed {
        name: String,
        passes_left: AtomicU32,
    }

    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

    fn read() -> Option<Armed> {
        let text = std::env::var("KADR_KILL_AT").ok()?;
        let (name, passes) = text.split_once(':').unwrap_or((&text, "1"));
        Some(Armed {
            name: name.to_owned(),
            passes_left: AtomicU32::new(passes.parse().unwrap_or(1)),
        })
    }

    pub(super) fn is_meant(file: &Path) -> bool {
        let Ok(size) = std::env::var("KADR_KILL_SIZE") else {
            return true;
        };
        std::fs::metadata(file).is_ok_and(|file| file.len().to_string() == size)
    }

    pub(super) fn is_due(name: &str) -> bool {
        match ARMED.get_or_init(read) {
            Some(armed) if armed.name == name => armed.passes_left.fetch_sub(1, Relaxed) == 1,
            _ => false,
        }
    }
}
