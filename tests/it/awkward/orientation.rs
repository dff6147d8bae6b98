//! The eight orientations of a display matrix, copied and re-encoded: each corner has its colour where a viewer sees it.

use std::path::{Path, PathBuf};

use super::{at, plays, write};
use crate::support::clip;

/// Red, green / blue, white.
const CORNERS: &str = "color=red:s=160x120:r=10:d=1[a];color=lime:s=160x120:r=10:d=1[b];color=blue:s=160x120:r=10:d=1[c];\
                       color=white:s=160x120:r=10:d=1[d];[a][b]hstack[e];[c][d]hstack[f];[e][f]vstack";

/// Matrix (a, b, c, d) of ISO/IEC 14496-12 and the corners as seen: top left, top right, bottom left, bottom right.
const ORIENTATIONS: [([i32; 4], &str); 8] = [
    ([1, 0, 0, 1], "RGBW"),
    ([-1, 0, 0, 1], "GRWB"),
    ([1, 0, 0, -1], "BWRG"),
    ([-1, 0, 0, -1], "WBGR"),
    ([0, 1, -1, 0], "BRWG"),
    ([0, -1, 1, 0], "GWRB"),
    ([0, 1, 1, 0], "RBGW"),
    ([0, -1, -1, 0], "WGBR"),
];

/// Writes the matrix into the first track header (`tkhd` version 0, ISO/IEC 14496-12, section 8.3.2).
fn with_matrix(source: &Path, name: &str, turn: [i32; 4]) -> PathBuf {
    let mut bytes = std::fs::read(source).unwrap();
    let header = bytes.windows(4).position(|word| word == b"tkhd").unwrap() + 4;
    assert_eq!(bytes[header], 0, "version of tkhd");
    let one = 0x1_0000;
    // What is turned out of the picture is moved back into it.
    let back =
        |by_width: i32, by_height: i32| i32::from(by_width < 0) * 320 * one + i32::from(by_height < 0) * 240 * one;
    let [a, b, c, d] = turn.map(|value| value * one);
    let matrix = [a, b, 0, c, d, 0, back(a, c), back(b, d), 0x4000_0000];
    let at = header + 40;
    for (place, value) in matrix.into_iter().enumerate() {
        bytes[at + place * 4..at + place * 4 + 4].copy_from_slice(&value.to_be_bytes());
    }
    let path = source.with_file_name(name);
    write(&path, &bytes);
    path
}

fn letter([red, green, blue]: [f32; 3]) -> char {
    match (red > 128.0, green > 128.0, blue > 128.0) {
        (true, false, false) => 'R',
        (false, true, false) => 'G',
        (false, false, true) => 'B',
        (true, true, true) => 'W',
        _ => '?',
    }
}

fn check(codec: &str, mode: &str, args: &str) {
    let plain = clip(
        &format!("corners_{codec}.mp4"),
        &format!("-f lavfi -i {CORNERS} -pix_fmt yuv420p {args}"),
    );
    for (number, (matrix, corners)) in ORIENTATIONS.into_iter().enumerate() {
        let source = with_matrix(&plain, &format!("corners_{codec}_{number}.mp4"), matrix);
        let made = plays(&source);
        let picture = &made.pictures()[0];
        let seen: String = [(0.2, 0.2), (0.8, 0.2), (0.2, 0.8), (0.8, 0.8)]
            .into_iter()
            .map(|(x, y)| letter(at(picture, x, y)))
            .collect();
        assert_eq!(seen, corners, "{codec} {matrix:?}");
        assert_eq!(made.mode(), mode, "{codec} {matrix:?}");
    }
}

#[test]
fn a_copied_picture_is_seen_upright_in_all_eight_orientations() {
    check(
        "h264",
        "remux",
        "-c:v libx264 -color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range tv -vf scale=out_color_matrix=bt709",
    );
}

#[test]
fn a_re_encoded_picture_is_seen_upright_in_all_eight_orientations() {
    check("mpeg4", "transcode", "-c:v mpeg4 -q:v 2");
}
