//! A number in every frame, as eight blocks of black and white: none is lost, doubled or out of order.

use std::path::{Path, PathBuf};

use super::{at, plays};
use crate::support::clip;

/// So that what fits is copied.
const TAGS: &str = "-color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range tv";

fn counted(name: &str, frames: u32, args: &str) -> PathBuf {
    clip(
        &format!("counted_{name}"),
        &format!(
            "-f lavfi -i color=black:s=320x240:r=25,format=yuv420p,\
             geq=lum=16+219*mod(floor(N/pow(2\\,floor(X/40)))\\,2):cb=128:cr=128 -frames:v {frames} -pix_fmt yuv420p {TAGS} {args}"
        ),
    )
}

fn numbers(pictures: &[Vec<f32>]) -> Vec<u32> {
    let bit =
        |picture: &Vec<f32>, place: u8| u32::from(at(picture, (f32::from(place) + 0.5) / 8.0, 0.5)[0] > 128.0) << place;
    pictures
        .iter()
        .map(|picture| (0..8).map(|place| bit(picture, place)).sum())
        .collect()
}

#[track_caller]
fn check(source: &Path, frames: u32) {
    let seen = numbers(&plays(source).pictures());
    assert_eq!(seen, (0..frames).collect::<Vec<u32>>(), "{}", source.display());
}

#[test]
fn every_frame_is_kept_in_its_order() {
    check(&counted("h264.mkv", 100, "-c:v libx264 -bf 3"), 100);
    check(&counted("mpeg2.ts", 100, "-c:v mpeg2video -bf 2 -q:v 2"), 100);
    check(&counted("vp9.webm", 100, "-c:v libvpx-vp9 -cpu-used 8"), 100);
    check(
        &counted("hevc.mp4", 100, "-c:v libx265 -x265-params log-level=none"),
        100,
    );
    check(
        &counted("open_gop.mkv", 100, "-c:v libx264 -x264-params open-gop=1:keyint=20"),
        100,
    );
}

#[test]
fn an_avi_with_b_frames_keeps_every_frame() {
    check(&counted("mpeg4_bf.avi", 100, "-c:v mpeg4 -bf 2 -q:v 2"), 100);
    check(&counted("h264_bf.avi", 100, "-c:v libx264 -bf 3"), 100);
}

#[test]
fn a_variable_frame_rate_keeps_every_frame() {
    check(
        &counted(
            "vfr.mkv",
            60,
            "-vf setpts=(N+mod(N\\,3)*0.3)/25/TB -fps_mode vfr -enc_time_base 1:1000 -c:v libx264",
        ),
        60,
    );
    check(
        &counted(
            "vfr_vp9.webm",
            60,
            "-vf setpts=(N+mod(N\\,3)*0.3)/25/TB -fps_mode vfr -enc_time_base 1:1000 -c:v libvpx-vp9 -cpu-used 8",
        ),
        60,
    );
}

#[test]
fn a_single_frame_is_kept() {
    check(&counted("one.mp4", 1, "-c:v libx264"), 1);
    check(&counted("one.webm", 1, "-c:v libvpx-vp9"), 1);
    check(&counted("one.mpg", 1, "-c:v mpeg2video -q:v 2"), 1);
    check(&counted("two.mpg", 2, "-c:v mpeg2video -q:v 2"), 2);
}

#[test]
fn a_fragmented_file_keeps_every_frame() {
    check(
        &counted(
            "fragmented.mp4",
            100,
            "-c:v libx264 -g 25 -movflags frag_keyframe+empty_moov",
        ),
        100,
    );
}
