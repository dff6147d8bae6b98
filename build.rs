//! Checks that a usable FFmpeg is there and says so in a sentence where it is not; records versions for `--version`.
//!
//! Where it is missing altogether, FFmpeg's own crate fails before this script runs; `ci/pkg-config` says the sentence then.

#![allow(
    clippy::exit,
    clippy::disallowed_methods,
    reason = "a build script ends and asks git in no other way"
)]

use std::process::{Command, exit};

/// The libraries, and the range of their major versions from FFmpeg 5.1 to 9.
const LIBRARIES: [(&str, &str, &str); 5] = [
    ("libavcodec", "59.37", "63.999"),
    ("libavformat", "59.27", "63.999"),
    ("libavutil", "57.28", "61.999"),
    ("libavfilter", "8.44", "12.999"),
    ("libswscale", "6.7", "10.999"),
];

const HINT: &str = "hint: on Debian or Ubuntu: apt-get install libavcodec-dev libavformat-dev libavutil-dev \
                    libavfilter-dev libavdevice-dev libswscale-dev libswresample-dev clang libclang-dev pkg-config";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-env-changed=PKG_CONFIG_PATH");
    println!("cargo::rerun-if-env-changed=KADR_REVISION");
    let mut built_with = Vec::new();
    for (name, lowest, highest) in LIBRARIES {
        let found = pkg_config::Config::new()
            .cargo_metadata(false)
            .range_version(lowest..=highest)
            .probe(name);
        match found {
            Ok(library) => {
                match name {
                    "libavcodec" => cfg_from("coded_side_data", 61, &library.version),
                    "libavfilter" => cfg_from("filter_segments", 9, &library.version),
                    _ => {}
                }
                built_with.push(format!("{name} {}", library.version));
            }
            Err(pkg_config::Error::ProbeFailure { .. } | pkg_config::Error::Command { .. }) => stop(&format!(
                "{name} between {lowest} and {highest} (FFmpeg 5.1 to 9) with its headers was not found"
            )),
            Err(error) => stop(&format!("{name} cannot be looked up: {error}")),
        }
    }
    println!("cargo::rustc-env=KADR_BUILT_WITH={}", built_with.join(", "));
    println!("cargo::rustc-env=KADR_REVISION={}", revision());
}

/// What came with a major version: FFmpeg 7 (libavcodec 61) moved a stream's side data into its codec parameters, and since
/// FFmpeg 6 (libavfilter 9) the filters of a chain can be had before they are initialised.
fn cfg_from(name: &str, major_min: u32, version: &str) {
    println!("cargo::rustc-check-cfg=cfg({name})");
    let major = version.split('.').next().and_then(|text| text.parse::<u32>().ok());
    if major.is_some_and(|major| major >= major_min) {
        println!("cargo::rustc-cfg={name}");
    }
}

fn stop(sentence: &str) -> ! {
    println!("cargo::error=kadr cannot be built: {sentence}");
    println!("cargo::error={HINT}");
    exit(1);
}

/// The commit: as said by whoever builds outside a checkout, else as git says it, else `unknown`.
fn revision() -> String {
    if let Some(revision) = std::env::var("KADR_REVISION").ok().filter(|text| !text.is_empty()) {
        return revision;
    }
    Command::new("git")
        .args(["rev-parse", "--short=10", "HEAD"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}
