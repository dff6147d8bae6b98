//! Luma steps, pixel formats, transparency and wide colour: the values that a viewer sees are the source's.

use std::path::{Path, PathBuf};

use super::{at, plays};
use crate::support::clip;

/// Sixteen grey bars, 0, 17 … 255, in the full range.
fn steps(name: &str, args: &str) -> PathBuf {
    clip(
        &format!("steps_{name}"),
        &format!("-f lavfi -i color=black:s=320x240:r=10:d=1,format=gray,geq=lum=floor(X/20)*17,setrange=pc {args}"),
    )
}

#[track_caller]
fn grey_is_kept(source: &Path) {
    let made = plays(source);
    let picture = &made.pictures()[5];
    for step in 0..16_u8 {
        let (wanted, seen) = (
            f32::from(step * 17),
            at(picture, (f32::from(step) + 0.4) / 16.0, 0.5)[1],
        );
        assert!((seen - wanted).abs() <= 4.0, "step {step}: {seen}, wanted {wanted}");
    }
}

#[test]
fn grey_steps_of_the_full_range_come_out_in_the_tv_range() {
    grey_is_kept(&steps("h264.mp4", "-c:v libx264 -pix_fmt yuvj420p"));
    grey_is_kept(&steps("mjpeg.avi", "-c:v mjpeg -pix_fmt yuvj420p -q:v 2"));
    grey_is_kept(&steps(
        "tagged.mkv",
        "-c:v libx264 -pix_fmt yuvj420p -color_range pc -colorspace bt709 -color_primaries bt709 -color_trc bt709",
    ));
    grey_is_kept(&steps("yuvj422.mov", "-c:v mjpeg -pix_fmt yuvj422p -q:v 2"));
}

#[test]
fn grey_steps_of_the_tv_range_stay_as_they_are() {
    grey_is_kept(&steps(
        "tv.mp4",
        "-vf scale=out_range=tv,format=yuv420p -c:v libx264 -color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range tv",
    ));
    grey_is_kept(&steps(
        "tv.mpg",
        "-vf scale=out_range=tv,format=yuv420p -c:v mpeg2video -q:v 2",
    ));
}

fn film(name: &str, args: &str) -> PathBuf {
    clip(
        &format!("format_{name}"),
        &format!("-f lavfi -i testsrc2=s=320x240:r=10:d=1 {args}"),
    )
}

#[test]
fn other_pixel_formats_become_8_bit_420() {
    plays(&film("444.mp4", "-c:v libx264 -pix_fmt yuv444p"));
    plays(&film("422_10.mkv", "-c:v libx264 -pix_fmt yuv422p10le"));
    plays(&film("422.mov", "-c:v prores_ks -profile:v 2"));
    plays(&film("rgb.mkv", "-c:v libx264rgb -pix_fmt rgb24"));
    plays(&film("gbrp.mkv", "-c:v ffv1 -pix_fmt gbrp"));
    plays(&film("rgb565.avi", "-c:v rawvideo -pix_fmt rgb555le"));
    plays(&film("grey.mkv", "-c:v ffv1 -pix_fmt gray"));
    plays(&film(
        "420_12.mkv",
        "-c:v libx265 -pix_fmt yuv420p12le -x265-params log-level=none",
    ));
    plays(&film(
        "411.avi",
        "-s 720x480 -r 30000/1001 -c:v dvvideo -pix_fmt yuv411p",
    ));
}

#[test]
fn untagged_sd_is_read_as_bt601_and_untagged_hd_as_bt709() {
    plays(&film("sd.avi", "-c:v mpeg4 -q:v 2 -pix_fmt yuv420p"));
    plays(&film(
        "sd576.mpg",
        "-s 720x576 -r 25 -c:v mpeg2video -q:v 2 -pix_fmt yuv420p",
    ));
    plays(&film("hd.mkv", "-s 1280x720 -c:v mpeg4 -q:v 2 -pix_fmt yuv420p"));
}

#[test]
fn wide_colour_without_high_dynamic_range_keeps_its_look() {
    plays(&film(
        "bt2020.mp4",
        "-vf hue=s=0.4,scale=out_color_matrix=bt2020,format=yuv420p10le -c:v libx265 -x265-params \
         colorprim=bt2020:transfer=bt2020-10:colormatrix=bt2020nc:log-level=none \
         -color_primaries bt2020 -color_trc bt2020-10 -colorspace bt2020nc -color_range tv",
    ));
}

/// Left half transparent red, right half opaque red.
#[track_caller]
fn left_is_black(name: &str, args: &str) {
    let source = clip(
        &format!("alpha_{name}"),
        &format!("-f lavfi -i color=red:s=160x120:r=10:d=1,format=rgba,geq=r=255:g=0:b=0:a=255*gte(X\\,80) {args}"),
    );
    let made = plays(&source);
    let picture = &made.pictures()[0];
    let (left, right) = (at(picture, 0.2, 0.5), at(picture, 0.8, 0.5));
    assert!(left.iter().all(|&value| value < 24.0), "{name}: left is {left:?}");
    assert!(
        right[0] > 200.0 && right[1] < 50.0 && right[2] < 50.0,
        "{name}: right is {right:?}"
    );
}

#[test]
fn what_is_transparent_is_black() {
    left_is_black(
        "prores.mov",
        "-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le -alpha_bits 16",
    );
    left_is_black("png.mov", "-c:v png -pix_fmt rgba");
    left_is_black("vp8.webm", "-c:v libvpx -pix_fmt yuva420p -auto-alt-ref 0");
    left_is_black("vp9.webm", "-c:v libvpx-vp9 -pix_fmt yuva420p");
    left_is_black("ffv1.mkv", "-c:v ffv1 -pix_fmt yuva420p");
    left_is_black(
        "palette.gif",
        "-vf split[a][b];[a]palettegen=reserve_transparent=1[p];[b][p]paletteuse",
    );
}

#[test]
fn an_animated_png_plays() {
    plays(&film("animated.png", "-f apng -plays 0 -pix_fmt rgb24"));
}

#[test]
fn a_copy_of_a_film_without_colour_tags_says_its_colours() {
    plays(&film("untagged.mkv", "-c:v libx264 -pix_fmt yuv420p"));
    plays(&film("untagged_hd.mp4", "-s 1280x720 -c:v libx264 -pix_fmt yuv420p"));
}
