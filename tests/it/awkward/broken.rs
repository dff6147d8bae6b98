//! Cut off, damaged, encrypted, and clocks that jump: what can be decoded comes out with a warning, or nothing does.

use std::path::{Path, PathBuf};

use super::{Made, joined, judged, plays, plays_or_is_refused, refused, write};
use crate::corpus::verdict::{Expect, Verdict};
use crate::support::{clip, ffprobe};

/// So that what fits is copied.
const TAGS: &str = "-color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range tv";
const BEEPS: &str = "-f lavfi -i aevalsrc=0.4*sin(2764*t)*lt(mod(t+0.3\\,1)\\,0.3):s=48000";

fn whole(name: &str, codecs: &str) -> PathBuf {
    clip(
        &format!("broken_{name}"),
        &format!(
            "-f lavfi -i testsrc2=s=320x240:r=25:d=8 {BEEPS}:d=8 -pix_fmt yuv420p {TAGS} {codecs} -g 25 -movflags +faststart"
        ),
    )
}

fn cut(source: &Path, percent: usize) -> PathBuf {
    let bytes = std::fs::read(source).unwrap();
    let name = source.file_name().unwrap().to_string_lossy().into_owned();
    let path = source.with_file_name(format!("cut_{percent}_{name}"));
    write(&path, &bytes[..bytes.len() * percent / 100]);
    path
}

fn warns_of_damage(made: &Made) -> bool {
    let report = made.run.report.as_ref().unwrap();
    report["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .any(|warning| warning["warning"] == "damaged")
}

#[test]
fn a_file_that_is_cut_off_gives_what_is_there_and_says_so() {
    for (name, codecs) in [
        ("h264.mp4", "-c:v libx264 -preset veryfast -c:a aac"),
        ("mpeg4.mp4", "-c:v mpeg4 -q:v 2 -c:a libmp3lame"),
    ] {
        let source = whole(name, codecs);
        for percent in [60, 90] {
            let made = plays_or_is_refused(&cut(&source, percent));
            assert!(
                made.run.code == Some(3) || warns_of_damage(&made),
                "{name} {percent} %: no warning"
            );
        }
        let made = plays_or_is_refused(&cut(&source, 90));
        assert_eq!(
            made.run.code,
            Some(0),
            "{name}: nine tenths are enough: {}",
            made.run.stderr
        );
        refused(&cut(&source, 30));
    }
}

/// One flipped bit about every fortieth of the file; the first fifth, where the headers are, stays whole. What is hit
/// differs with the machine, because encoders do: `KADR_FLIPS` asks for more rounds than the two of the check.
#[test]
fn bits_that_flipped_do_not_break_the_output() {
    let rounds = std::env::var("KADR_FLIPS").map_or(2, |rounds| rounds.parse::<usize>().unwrap());
    let mut wrong = Vec::new();
    for (name, codecs) in [
        ("h264.mp4", "-c:v libx264 -preset veryfast -c:a aac"),
        ("mpeg2.ts", "-c:v mpeg2video -q:v 4 -c:a mp2"),
        ("vp9.webm", "-c:v libvpx-vp9 -cpu-used 8 -c:a libopus"),
    ] {
        let source = whole(name, codecs);
        let clean = std::fs::read(&source).unwrap();
        for round in 0..rounds {
            let mut bytes = clean.clone();
            let start = bytes.len() / 5 + round * 37;
            for at in (start..bytes.len()).step_by(bytes.len() / 40) {
                bytes[at] ^= 1 << ((4 + round) % 8);
            }
            let path = source.with_file_name(format!("flipped_{round}_{name}"));
            write(&path, &bytes);
            if let (_, Verdict::Wrong(words)) = judged(&path, Expect::Either) {
                wrong.push(format!("{}: {words:?}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_encrypted_film_is_refused_as_such() {
    let source = clip(
        "encrypted.mp4",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=2 -pix_fmt yuv420p -c:v libx264 -encryption_scheme cenc-aes-ctr \
         -encryption_key 76a6c65c5ea762046bd749a2e632ccbb -encryption_kid a7e61c373e219033c21091fa607bf3b8",
    );
    let words = refused(&source);
    assert!(words.contains("encrypted"), "{words}");
}

fn transport(name: &str, codecs: &str, offset_s: u32) -> PathBuf {
    clip(
        &format!("clock_{name}.ts"),
        &format!(
            "-f lavfi -i testsrc2=s=320x240:r=25:d=3 {BEEPS}:d=3 -pix_fmt yuv420p {TAGS} {codecs} -output_ts_offset {offset_s} -f mpegts"
        ),
    )
}

#[test]
fn a_clock_that_jumps_forward_or_back_loses_no_frame() {
    for (kind, codecs) in [
        ("h264", "-c:v libx264 -preset veryfast -c:a aac"),
        ("mpeg2", "-c:v mpeg2video -q:v 2 -c:a mp2"),
    ] {
        let early = transport(&format!("{kind}_early"), codecs, 10);
        let late = transport(&format!("{kind}_late"), codecs, 500);
        plays(&joined(
            &format!("jump_forward_{kind}.ts"),
            &[early.clone(), late.clone()],
        ));
        plays(&joined(&format!("jump_back_{kind}.ts"), &[late, early]));
    }
}

#[test]
fn a_clock_that_wraps_at_33_bits_goes_on() {
    plays(&transport(
        "wrap_h264",
        "-c:v libx264 -preset veryfast -c:a aac",
        95_442,
    ));
    plays(&transport("wrap_mpeg2", "-c:v mpeg2video -q:v 2 -c:a mp2", 95_442));
}

/// A film whose codec headers are overwritten from some bytes after a mark.
fn headers_damaged(name: &str, mark: &[u8], at: std::ops::Range<usize>) -> PathBuf {
    let source = whole("headers.mkv", "-c:v libtheora -c:a libvorbis");
    let mut bytes = std::fs::read(&source).unwrap();
    let found = bytes.windows(mark.len()).position(|window| window == mark).unwrap();
    for byte in bytes[found + at.start..found + at.end].iter_mut().step_by(7) {
        *byte ^= 0xff;
    }
    let path = source.with_file_name(name);
    write(&path, &bytes);
    path
}

#[test]
fn pictures_whose_codec_headers_are_damaged_are_refused() {
    let words = refused(&headers_damaged("headers_pictures.mkv", b"\x82theora", 40..200));
    assert!(words.contains("damaged: 0 % could be decoded"), "{words}");
}

/// Tools that must decode such a track do not open it, so it is compared with the whole film.
#[test]
fn sound_whose_codec_headers_are_damaged_is_left_out() {
    let (made, _) = judged(
        &headers_damaged("headers_sound.mkv", b"\x05vorbis", 20..400),
        Expect::Either,
    );
    assert!(warns_of_damage(&made), "{}", made.run.stderr);
    let streams = ffprobe(&made.output, "stream=codec_type,nb_frames");
    assert_eq!(streams, "codec_type=video|nb_frames=200\n");
}
