//! `ci/ffmpeg` builds what the engine opens, no more and no less: its lists are held against the engine's.

use std::collections::BTreeSet;
use std::path::Path;

/// What another decoder of the lean build does, by the engine's name: libav takes the first of its list for a codec.
const DONE_BY_ANOTHER: [&str; 7] = [
    "libaom-av1",        // libdav1d
    "mp2",               // mp2float
    "mp3",               // mp3float
    "libopus",           // opus
    "libopencore_amrnb", // amrnb
    "libopencore_amrwb", // amrwb
    "libspeex",          // speex
];
/// Needed without being chosen: NVDEC decodes AV1 through it.
const FOR_HARDWARE: [&str; 1] = ["av1"];

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The words of an array of the script.
fn in_script(name: &str) -> BTreeSet<String> {
    let script = read("ci/ffmpeg");
    let (_, rest) = script.split_once(&format!("\n{name}=(")).expect(name);
    let (words, _) = rest.split_once(')').expect(name);
    words.split_whitespace().map(str::to_owned).collect()
}

/// The words of a constant of the engine's.
fn in_engine(name: &str) -> BTreeSet<String> {
    let source = read("src/media/ffi/input.rs");
    let (_, rest) = source.split_once(&format!("const {name}: &str = \"")).expect(name);
    let (words, _) = rest.split_once('"').expect(name);
    let words = words.replace("\\\n", "");
    words.split(',').map(|word| word.trim().to_owned()).collect()
}

/// The build's word for a component, from libav's.
fn built_as(name: &str) -> &str {
    match name {
        "webm" => "matroska",
        "mpeg" => "mpegps",
        "libvpx" => "libvpx_vp8",
        "libvpx-vp9" => "libvpx_vp9",
        "msmpeg4" => "msmpeg4v3",
        other => other,
    }
}

fn translated(names: &BTreeSet<String>) -> BTreeSet<String> {
    names.iter().map(|name| built_as(name).to_owned()).collect()
}

#[test]
fn the_lean_build_has_the_demuxers_that_the_engine_allows() {
    assert_eq!(in_script("demuxers"), translated(&in_engine("FORMATS")));
}

#[test]
fn the_lean_build_has_the_decoders_that_the_engine_allows() {
    let mut wanted = in_engine("DECODERS");
    for name in DONE_BY_ANOTHER {
        assert!(wanted.remove(name), "the engine no longer allows {name}");
    }
    wanted.extend(FOR_HARDWARE.map(str::to_owned));
    assert_eq!(in_script("decoders"), translated(&wanted));
}

#[test]
fn the_lean_build_has_the_encoders_that_the_engine_names() {
    let source = read("src/media/device.rs") + &read("src/media/jpeg.rs");
    let encoders = in_script("encoders");
    for name in [
        "libx264",
        "libx265",
        "libsvtav1",
        "libvpx-vp9",
        "aac",
        "libopus",
        "mjpeg",
    ] {
        assert!(
            source.contains(&format!("\"{name}\"")),
            "the engine no longer names {name}"
        );
        assert!(encoders.contains(built_as(name)), "{name} is not in the lean build");
    }
}
