//! Too large, too fast, changing in mid-stream, interlaced, not square, and names that say nothing.

use std::path::PathBuf;

use super::{joined, plays, plays_or_is_refused, refused};
use crate::corpus::facts::Facts;
use crate::support::{clip, decoded_frames};

#[test]
fn eight_k_is_refused_with_the_size_and_the_limit() {
    let source = clip(
        "size_8k.mp4",
        "-f lavfi -i color=gray:s=7680x4320:r=1:d=1 -frames:v 1 -c:v libx264 -preset ultrafast -pix_fmt yuv420p",
    );
    let words = refused(&source);
    assert!(words.contains("7680x4320") && words.contains("8912896"), "{words}");
}

#[test]
fn four_k_is_made_smaller() {
    plays(&clip(
        "size_4k.mp4",
        "-f lavfi -i testsrc2=s=3840x2160:r=5:d=1 -c:v libx264 -preset ultrafast -pix_fmt yuv420p",
    ));
}

#[test]
fn a_hundred_and_twenty_frames_a_second_become_sixty() {
    let rate = |name: &str, codec: &str| {
        let source = clip(
            &format!("rate_{name}"),
            &format!("-f lavfi -i testsrc2=s=320x240:r=120:d=2 -pix_fmt yuv420p {codec}"),
        );
        let frames = decoded_frames(&plays(&source).output);
        assert!((119..=121).contains(&frames), "{frames} frames of 240");
    };
    rate("120.mp4", "-c:v libx264");
    rate("120.webm", "-c:v libvpx-vp9 -cpu-used 8");
}

#[test]
fn interlaced_h264_and_dv_are_deinterlaced() {
    let fields = "-f lavfi -i smptebars=s=720x576:r=50:d=2 -vf scroll=h=0.004,tinterlace=interleave_top,fieldorder=tff";
    plays(&clip(
        "fields_h264.ts",
        &format!("{fields} -pix_fmt yuv420p -c:v libx264 -flags +ildct+ilme -x264-params tff=1"),
    ));
    plays(&clip(
        "fields_h264.mp4",
        &format!("{fields} -pix_fmt yuv420p -c:v libx264 -flags +ildct+ilme -x264-params tff=1"),
    ));
    plays(&clip(
        "fields_mpeg2.mkv",
        &format!("{fields} -pix_fmt yuv420p -c:v mpeg2video -q:v 2 -flags +ildct+ilme"),
    ));
}

/// So that what fits is copied.
const TAGS: &str = "-color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range tv";

fn part(name: &str, size: &str, more: &str) -> PathBuf {
    clip(
        &format!("part_{name}.ts"),
        &format!(
            "-f lavfi -i testsrc2=s={size}:r=25:d=2 {more} -c:v libx264 -preset veryfast -pix_fmt yuv420p {TAGS} -f mpegts"
        ),
    )
}

#[test]
fn a_size_that_changes_in_mid_stream_loses_no_frame() {
    let (small, large) = (
        part("small", "320x240", ""),
        part("large", "640x480", "-output_ts_offset 2.2"),
    );
    let grows = joined("change_grows.ts", &[small, large]);
    plays(&grows);
    plays(&clip("change_grows.mkv", &format!("-i {} -c copy", grows.display())));
}

#[test]
fn a_shape_that_changes_in_mid_stream_loses_no_frame() {
    let (square, wide) = (
        part("square", "320x240", ""),
        part("wide", "320x240", "-vf setsar=2 -output_ts_offset 2.2"),
    );
    let source = joined("change_shape.ts", &[square, wide]);
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.mp4");
    let run = crate::corpus::tools::Tool::Kadr.convert(&source, &output);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let facts = Facts::of(&output).unwrap();
    let video = facts.of_kind("video")[0];
    assert_eq!((decoded_frames(&output), video.sar.0), (100, video.sar.1));
}

#[test]
fn pixels_that_are_not_square_are_made_square() {
    plays(&clip(
        "sar_16_15.mkv",
        "-f lavfi -i testsrc2=s=720x576:r=10:d=1 -vf setsar=16/15 -c:v libx264 -pix_fmt yuv420p",
    ));
    plays(&clip(
        "sar_8_9.mp4",
        "-f lavfi -i testsrc2=s=720x480:r=10:d=1 -vf setsar=8/9 -c:v libx264 -pix_fmt yuv420p",
    ));
    plays(&clip(
        "sar_4_3.mp4",
        "-f lavfi -i testsrc2=s=1440x1080:r=10:d=1 -vf setsar=4/3 -c:v libx264 -preset ultrafast -pix_fmt yuv420p",
    ));
}

#[test]
fn odd_and_tiny_sizes_become_even() {
    for size in ["321x241", "17x33", "3x3", "1x1"] {
        // The ends of the gradient are given: without them the filter throws dice, and on so few pixels a steep one
        // loses contrast by 4:2:0 alone.
        let (width, height) = size.split_once('x').unwrap();
        plays_or_is_refused(&clip(
            &format!("odd_{size}.mkv"),
            &format!(
                "-f lavfi -i gradients=s={size}:r=10:d=1:c0=red:c1=blue:n=2:x0=0:y0=0:x1={width}:y1={height}:seed=1 \
                 -c:v ffv1 -pix_fmt yuv444p"
            ),
        ));
    }
    plays(&clip(
        "odd_even.mkv",
        "-f lavfi -i testsrc2=s=321x241:r=10:d=1 -c:v ffv1 -pix_fmt yuv444p",
    ));
}

#[test]
fn a_name_without_or_with_a_wrong_extension_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let film = part("name", "320x240", "");
    for name in ["film", "film.jpg", "film.txt", "фильм 1 (копия).MP4", "-i.mkv"] {
        let path = folder.path().join(name);
        std::fs::copy(&film, &path).unwrap();
        plays(&path);
    }
}

#[test]
fn a_single_image_is_refused_or_one_frame() {
    for (name, args) in [
        ("still.png", ""),
        ("still.jpg", "-pix_fmt yuvj420p"),
        ("still.gif", ""),
        ("still.bmp", ""),
    ] {
        plays_or_is_refused(&clip(
            &format!("image_{name}"),
            &format!("-f lavfi -i testsrc2=s=320x240 -frames:v 1 {args}"),
        ));
    }
}
