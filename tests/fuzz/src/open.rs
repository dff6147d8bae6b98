//! A stranger's file in memory, through the engine's own functions.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::Duration;

use kadr::media::{Confine, Control, Limits, fuzz};

/// One input's longest time, a tenth of what libFuzzer calls a hang.
const TIME_MAX: Duration = Duration::from_secs(2);

/// Opens, probes, decodes. The walls stay away: they do not go with a sanitizer, which opens files of its own, and
/// `ci/fuzz` tries them with its mutated files.
pub(crate) fn open(data: &[u8]) {
    thread_local! {
        static FILE: RefCell<Option<File>> = const { RefCell::new(None) };
    }
    FILE.with_borrow_mut(|kept| {
        let file = kept.get_or_insert_with(|| tempfile::tempfile_in("/dev/shm").expect("a file in memory"));
        file.set_len(0).expect("it is emptied");
        file.rewind().expect("it is rewound");
        file.write_all(data).expect("it is written");
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let limits = Limits {
            // More would only be slow.
            pixels_max: 1 << 20,
            threads_max: Some(1),
            confine: Confine::Off,
            ..Limits::default()
        };
        // A refusal is as good as a result.
        let _ = fuzz::read(&path, &limits, &Control::new(Some(TIME_MAX)));
    });
}
