//! libFuzzer on kadr: `KADR_FUZZ_TARGET` names what is fed, the rest of the command line is libFuzzer's own. `ci/fuzz`
//! builds this with coverage and AddressSanitizer over an FFmpeg of the same kind, and judges.
//!
//! ```text
//! open       a stranger's file: structure, opener, probe, then some packets and pictures through the engine
//! structure  what headers claim
//! words      captions and wishes
//! update     what the Bot API sends, buttons among it
//! settings   `kadr.toml` and the lists in it
//! ```

#![no_main]

mod open;
#[path = "../../it/fuzz/parsers.rs"]
mod parsers;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

type Target = fn(&[u8]);

fn target() -> Target {
    let name = std::env::var("KADR_FUZZ_TARGET").unwrap_or_default();
    match name.as_str() {
        "open" => open::open,
        "structure" => parsers::structure,
        "words" => parsers::words,
        "update" => parsers::update,
        "settings" => parsers::settings,
        _ => panic!("KADR_FUZZ_TARGET is `{name}` (allowed: open, structure, words, update, settings)"),
    }
}

fuzz_target!(|data: &[u8]| {
    static TARGET: OnceLock<Target> = OnceLock::new();
    TARGET.get_or_init(target)(data);
});
