//! libav's log -> its last complaints, kept in memory for the diagnosis of a device.
//!
//! Lines carry names and metadata of strangers, so none is ever printed or stored: they are matched against the table of
//! known causes, and that is all. libav's threads do not say whose job they work for: a reader gets all lines since a
//! mark, those of its neighbours too.

use std::collections::VecDeque;
use std::ffi::{c_char, c_int, c_void};
use std::sync::{Mutex, PoisonError};

use ffmpeg_next::ffi;

use super::av::text_of;

/// Lines that are remembered.
const LINES_MAX: usize = 256;
/// Longer beginnings are taken for lines.
const BEGUN_BYTES_MAX: usize = 2048;

static RING: Mutex<Ring> = Mutex::new(Ring {
    lines: VecDeque::new(),
    begun: String::new(),
    written: 0,
});

struct Ring {
    lines: VecDeque<String>,
    /// The start of a line: libav writes some of them, CUDA's above all, in pieces.
    begun: String,
    written: u64,
}

/// A place in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(u64);

/// Now.
pub(crate) fn mark() -> Mark {
    Mark(RING.lock().unwrap_or_else(PoisonError::into_inner).written)
}

/// What was complained of since, oldest first, as far as it is remembered.
pub(crate) fn since(Mark(mark): Mark) -> Vec<String> {
    let ring = RING.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = usize::try_from(ring.written - mark).unwrap_or(usize::MAX);
    let skipped = ring.lines.len().saturating_sub(wanted);
    ring.lines.iter().skip(skipped).cloned().collect()
}

fn remember(text: &str) {
    let mut ring = RING.lock().unwrap_or_else(PoisonError::into_inner);
    ring.begun.push_str(text);
    if !text.ends_with('\n') && ring.begun.len() < BEGUN_BYTES_MAX {
        return;
    }
    let line = std::mem::take(&mut ring.begun);
    let line = line.trim_end();
    if line.is_empty() {
        return;
    }
    if ring.lines.len() == LINES_MAX {
        ring.lines.pop_front();
    }
    ring.lines.push_back(line.to_owned());
    ring.written += 1;
}

/// Takes libav's log away from stderr.
#[cfg(target_arch = "x86_64")]
pub(super) fn listen() {
    // SAFETY: the callback lives as long as the process and may be called from any thread.
    unsafe { ffi::av_log_set_callback(Some(on_line)) };
}

/// The list of arguments is another type elsewhere; there the log is silenced, and devices are not diagnosed.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn listen() {
    // SAFETY: a plain global.
    unsafe { ffi::av_log_set_level(ffi::AV_LOG_QUIET) };
}

#[cfg(target_arch = "x86_64")]
unsafe extern "C" fn on_line(
    class: *mut c_void,
    level: c_int,
    format: *const c_char,
    arguments: *mut ffi::__va_list_tag,
) {
    // The high bits are a tint.
    if level & 0xff > ffi::AV_LOG_WARNING as c_int {
        return;
    }
    let mut line = [0 as c_char; 512];
    let mut prefix: c_int = 0;
    // SAFETY: libav's own arguments of this call are passed on; the buffer is as long as said and gets terminated.
    unsafe {
        ffi::av_log_format_line2(
            class,
            level,
            format,
            arguments,
            line.as_mut_ptr(),
            line.len() as c_int,
            &raw mut prefix,
        );
    }
    // Nothing below panics but an allocation that fails, which aborts.
    remember(&text_of(line.as_ptr()));
}

#[cfg(test)]
mod tests {
    use super::{LINES_MAX, mark, remember, since};

    #[test]
    fn what_was_said_since_a_mark_is_remembered_up_to_a_bound() {
        let start = mark();
        remember("one\n");
        let middle = mark();
        remember("tw");
        remember("o\n");
        assert!(since(start).ends_with(&["one".to_owned(), "two".to_owned()]));
        assert!(since(middle).contains(&"two".to_owned()));
        assert!(!since(middle).contains(&"one".to_owned()));
        for number in 0..2 * LINES_MAX {
            remember(&format!("{number}\n"));
        }
        assert_eq!(since(start).len(), LINES_MAX);
    }
}
