//! What a file does not have cannot be asked of it: exit code 3, one line, one hint, no file.

use crate::support::{clip, playable_mkv};

use super::kadr;

#[track_caller]
fn is_refused(source: &std::path::Path, args: &[&str], error: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut all = vec!["convert", source.to_str().unwrap(), "-o", "out"];
    all.extend(args);
    let output = kadr(&all, folder.path());
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{args:?}: {words}");
    let lines: Vec<&str> = words.lines().collect();
    assert_eq!(lines.len(), 2, "{args:?}: {words}");
    assert_eq!(lines[0], format!("error: {error}"), "{args:?}");
    assert!(lines[1].starts_with("hint: "), "{args:?}: {words}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{args:?}");
}

#[test]
fn sound_of_a_silent_film_is_refused() {
    let source = clip(
        "silent.mkv",
        "-f lavfi -i testsrc2=s=160x120:r=25:d=1 -c:v libx264 -pix_fmt yuv420p",
    );
    for preset in ["audio", "voice"] {
        is_refused(&source, &["--preset", preset], "no audio stream in the file");
    }
}

#[test]
fn pictures_of_sound_are_refused() {
    let source = clip("tone.m4a", "-f lavfi -i sine=r=48000:d=1 -c:a aac");
    for preset in ["note", "gif", "sticker", "sheet"] {
        is_refused(&source, &["--preset", preset], "no video stream in the file");
    }
    is_refused(&source, &["--mute"], "no video stream in the file");
}

#[test]
fn a_part_beyond_the_end_is_refused_with_both_times() {
    let source = playable_mkv();
    let error = "the part begins at 10 s (the file has 3 s)";
    is_refused(&source, &["--trim", "10-12"], error);
    is_refused(&source, &["--trim", "10-", "--preset", "sheet"], error);
}

#[test]
fn a_track_that_is_not_there_is_refused() {
    let source = playable_mkv();
    is_refused(
        &source,
        &["--track", "2"],
        "no usable audio track 2 (of 1) stream in the file",
    );
}
