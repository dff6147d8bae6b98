//! Rates, channels and gaps of sound.

use std::path::PathBuf;

use super::{plays, refused};
use crate::corpus::facts::Facts;
use crate::support::clip;

const H264: &str =
    "-pix_fmt yuv420p -c:v libx264 -color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range tv";

/// A film of 4 s with a beep each second, at a rate and with a layout.
fn film(name: &str, rate: u32, layout: &str, args: &str) -> PathBuf {
    clip(
        &format!("sound_{name}"),
        &format!(
            "-f lavfi -i testsrc2=s=160x120:r=25:d=4 -f lavfi -i aevalsrc=0.4*sin(2764*t)*lt(mod(t+0.3\\,1)\\,0.3):s={rate}:d=4 \
             -af aformat=channel_layouts={layout} {H264} {args}"
        ),
    )
}

fn shape(path: &std::path::Path) -> (u32, u32) {
    let facts = Facts::of(path).unwrap();
    let audio = facts.of_kind("audio")[0];
    (audio.channels, audio.sample_rate)
}

#[test]
fn every_rate_becomes_one_that_plays() {
    assert_eq!(
        shape(&plays(&film("96k.mkv", 96_000, "stereo", "-c:a flac")).output).1,
        48_000
    );
    assert_eq!(
        shape(&plays(&film("96k_aac.mp4", 96_000, "stereo", "-c:a aac")).output).1,
        48_000
    );
    for (name, rate, codec) in [
        ("8k.mov", 8_000, "pcm_mulaw"),
        ("22k.avi", 22_050, "libmp3lame"),
        ("16k.mkv", 16_000, "libopus"),
        ("44k.mkv", 44_100, "libvorbis"),
        ("11k.mov", 11_025, "pcm_u8"),
    ] {
        plays(&film(name, rate, "mono", &format!("-c:a {codec}")));
    }
}

#[test]
fn low_rates_of_aac_are_kept_or_raised() {
    for rate in [8_000, 22_050, 32_000] {
        plays(&film(&format!("aac_{rate}.mp4"), rate, "mono", "-c:a aac"));
    }
}

#[test]
fn surround_becomes_stereo() {
    for (name, layout, codec) in [
        ("71.mkv", "7.1", "flac"),
        ("51.mp4", "5.1", "aac"),
        ("51_ac3.mkv", "5.1", "ac3"),
        ("quad.mov", "quad", "pcm_s24le"),
        ("21.mkv", "2.1", "flac"),
    ] {
        assert_eq!(
            shape(&plays(&film(name, 48_000, layout, &format!("-c:a {codec}"))).output).0,
            2,
            "{name}"
        );
    }
}

#[test]
fn a_gap_in_the_middle_stays_a_gap() {
    let drop = "-bsf:a noise=drop=between(n\\,60\\,90)";
    plays(&film("gap_copied.mkv", 48_000, "stereo", &format!("-c:a aac {drop}")));
    plays(&film("gap_encoded.mkv", 48_000, "stereo", &format!("-c:a mp2 {drop}")));
    plays(&film("gap.ts", 48_000, "stereo", &format!("-c:a mp2 {drop}")));
}

#[test]
fn sound_that_ends_early_or_late_keeps_its_end() {
    let ends = |name: &str, picture_s: u32, sound_s: u32| {
        plays(&clip(
            &format!("ends_{name}"),
            &format!(
                "-f lavfi -i testsrc2=s=160x120:r=25:d={picture_s} -f lavfi -i sine=r=48000:d={sound_s} {H264} -c:a libmp3lame"
            ),
        ));
    };
    ends("early.mkv", 4, 1);
    ends("late.mkv", 1, 4);
}

#[test]
fn a_track_of_sound_without_a_packet_is_left_out() {
    plays(&film("empty.mkv", 48_000, "stereo", "-c:a aac -bsf:a noise=drop=1"));
}

#[test]
fn sound_alone_with_a_cover_has_no_picture() {
    let cover = clip("sound_cover.png", "-f lavfi -i color=red:s=64x64 -frames:v 1");
    let args = format!(
        "-f lavfi -i sine=r=44100:d=2 -i {} -map 0 -map 1 -c:v copy -disposition:v:0 attached_pic",
        cover.display()
    );
    plays(&clip(
        "sound_cover.mp3",
        &format!("{args} -c:a libmp3lame -id3v2_version 3"),
    ));
    plays(&clip("sound_cover.flac", &format!("{args} -c:a flac")));
}

#[test]
fn a_cover_alone_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("words.mp4");
    std::fs::write(&path, "the cover of a book").unwrap();
    refused(&path);
}

#[test]
fn sound_far_beyond_full_scale_and_no_numbers_end_as_sound() {
    for (name, samples) in [
        ("loud.mkv", "2e7*random(0)"),
        ("gusts.mkv", "2e7*(random(0)-0.5)*lt(mod(t\\,0.1)\\,0.02)"),
        ("nan.mkv", "if(lt(mod(t\\,0.1)\\,0.02)\\,0/0\\,0.5*sin(2764*t))"),
        ("infinite.mkv", "1/lt(mod(t\\,0.1)\\,0.02)"),
    ] {
        let film = clip(
            &format!("sound_{name}"),
            &format!(
                "-f lavfi -i testsrc2=s=160x120:r=25:d=1 -f lavfi -i aevalsrc={samples}:s=48000:d=1 -af aformat=sample_fmts=flt \
                 -c:a pcm_f32le {H264}"
            ),
        );
        plays(&film);
    }
}
