//! Flash and beep at once: sound and picture stay together to one frame, whatever the container says of its start.

use std::path::{Path, PathBuf};

use super::{plays, video_of};
use crate::corpus::decode::{self, LEVELS_A_SECOND};
use crate::corpus::facts::Facts;
use crate::support::clip;

/// 40 ms, and 10 ms for the beep's attack in a lossy codec.
const FRAME_US: i64 = 50_000;

/// From 1 s on, each second, for 0.2 s.
fn flash_and_beep(name: &str, between: &str, args: &str) -> PathBuf {
    clip(
        &format!("sync_{name}"),
        &format!(
            "-f lavfi -i color=black:s=320x240:r=25:d=4,drawbox=c=white:t=fill:enable=lt(mod(t\\,1)\\,0.2)*gte(t\\,1) \
             {between} -f lavfi -i aevalsrc=0.5*sin(5529*t)*lt(mod(t\\,1)\\,0.2)*gte(t\\,1):s=48000:d=4 -pix_fmt yuv420p {args}"
        ),
    )
}

/// When it flashes and when it beeps, microseconds.
fn moments(path: &Path) -> (Vec<i64>, Vec<i64>) {
    let (_, frames) = video_of(path);
    let lumas: Vec<u8> = (0..frames.pts_us.len())
        .map(|at| frames.picture(at).unwrap()[600])
        .collect();
    let flashes = (1..lumas.len())
        .filter(|&at| lumas[at] > 128 && lumas[at - 1] <= 128)
        .map(|at| frames.pts_us[at])
        .collect();
    let stream = Facts::of(path).unwrap().of_kind("audio")[0].index;
    let sound = decode::sound(path, stream, false, false);
    let loud = |at: usize| sound.levels[at] > 0.05;
    let quiet_before = |at: usize| {
        sound.levels[at.saturating_sub(40)..at]
            .iter()
            .all(|&level| level <= 0.05)
    };
    let beeps = (1..sound.levels.len())
        .filter(|&at| loud(at) && quiet_before(at))
        .map(|at| sound.start_us + i64::try_from(at).unwrap() * 1_000_000 / LEVELS_A_SECOND)
        .collect();
    (flashes, beeps)
}

/// `offset_us`: how much later than the flash the beep is in the source, by how it was made.
#[track_caller]
fn check(source: &Path, mode: &str, offset_us: i64, count: usize) {
    let made = plays(source);
    let (flashes, beeps) = moments(&made.output);
    assert_eq!((flashes.len(), beeps.len()), (count, count), "{flashes:?} {beeps:?}");
    for (flash, beep) in flashes.iter().zip(&beeps) {
        assert!((beep - flash - offset_us).abs() <= FRAME_US, "{flashes:?} {beeps:?}");
    }
    assert_eq!(made.mode(), mode);
}

const H264: &str =
    "-c:v libx264 -preset veryfast -color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range tv";

#[test]
fn re_encoded_sound_and_picture_stay_together() {
    check(
        &flash_and_beep("mpeg2.mpg", "", "-c:v mpeg2video -c:a mp2"),
        "transcode",
        0,
        3,
    );
    check(
        &flash_and_beep("vp9.webm", "", "-c:v libvpx-vp9 -cpu-used 8 -c:a libopus"),
        "transcode",
        0,
        3,
    );
    check(
        &flash_and_beep("mpeg4.avi", "", "-c:v mpeg4 -bf 2 -c:a libmp3lame"),
        "transcode",
        0,
        3,
    );
}

#[test]
fn copied_picture_and_re_encoded_sound_stay_together() {
    check(
        &flash_and_beep("pcm.mov", "", &format!("{H264} -c:a pcm_s16le")),
        "partial",
        0,
        3,
    );
    check(
        &flash_and_beep("opus.mkv", "", &format!("{H264} -c:a libopus")),
        "partial",
        0,
        3,
    );
}

#[test]
fn copied_sound_and_re_encoded_picture_stay_together() {
    check(
        &flash_and_beep("mpeg4_aac.mp4", "", "-c:v mpeg4 -c:a aac"),
        "partial",
        0,
        3,
    );
}

#[test]
fn remuxed_sound_and_picture_stay_together() {
    for name in ["aac.mkv", "aac.mp4", "aac.ts", "aac.flv"] {
        check(&flash_and_beep(name, "", &format!("{H264} -c:a aac")), "remux", 0, 3);
    }
}

#[test]
fn a_later_picture_stays_later() {
    for (name, mode, codecs) in [
        ("later_picture.mkv", "remux", format!("{H264} -c:a aac")),
        ("later_picture.mp4", "remux", format!("{H264} -c:a aac")),
        (
            "later_picture_vp9.mkv",
            "transcode",
            "-c:v libvpx-vp9 -cpu-used 8 -c:a libopus".to_owned(),
        ),
    ] {
        // The first input of the clip is the picture: sound is set earlier against it.
        let source = flash_and_beep(
            name,
            "-itsoffset -0.5",
            &format!("{codecs} -avoid_negative_ts make_zero"),
        );
        check(&source, mode, -500_000, 3);
    }
}

#[test]
fn later_sound_stays_later() {
    for (name, mode, codecs) in [
        ("later_sound.mkv", "remux", format!("{H264} -c:a aac")),
        ("later_sound.mp4", "remux", format!("{H264} -c:a aac")),
        ("later_sound_pcm.mov", "partial", format!("{H264} -c:a pcm_s16le")),
        (
            "later_sound_vp9.mkv",
            "transcode",
            "-c:v libvpx-vp9 -cpu-used 8 -c:a libopus".to_owned(),
        ),
        ("later_sound.mpg", "transcode", "-c:v mpeg2video -c:a mp2".to_owned()),
    ] {
        check(&flash_and_beep(name, "-itsoffset 0.5", &codecs), mode, 500_000, 3);
    }
}

#[test]
fn an_edit_list_that_cuts_the_beginning_is_kept() {
    let whole = flash_and_beep("aac.mp4", "", &format!("{H264} -c:a aac"));
    let cut = clip("sync_cut.mp4", &format!("-ss 0.52 -i {} -c copy", whole.display()));
    let made = plays(&cut);
    let (flashes, beeps) = moments(&made.output);
    assert_eq!((flashes.len(), beeps.len()), (3, 3), "{flashes:?} {beeps:?}");
    assert!(
        (flashes[0] - 480_000).abs() <= FRAME_US && (beeps[0] - 480_000).abs() <= FRAME_US,
        "{flashes:?} {beeps:?}"
    );
}

#[test]
fn a_stream_that_starts_at_ten_seconds_starts_at_zero() {
    let copied = flash_and_beep("ten.ts", "", &format!("{H264} -c:a aac -output_ts_offset 10"));
    check(&copied, "remux", 0, 3);
    let encoded = flash_and_beep("ten_mpeg2.ts", "", "-c:v mpeg2video -c:a mp2 -output_ts_offset 10");
    check(&encoded, "transcode", 0, 3);
}
