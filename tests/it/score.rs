//! PSNR and SSIM of our own against ffmpeg's filters, on the same two files.

use std::path::Path;
use std::process::Command;

use kadr::media::score::score;
use kadr::media::{Control, Limits, Preset, Recipe};

use crate::support::clip;

/// The number after a name on the line that begins with a word: `PSNR y:30.1 u:…`.
fn said(stderr: &str, measure: &str, name: &str) -> f64 {
    let line = stderr
        .lines()
        .rev()
        .find(|line| line.contains(&format!("] {measure} ")))
        .expect("ffmpeg said it");
    let from = line.find(&format!(" {name}:")).expect("a value") + name.len() + 2;
    let value = line[from..].split_whitespace().next().unwrap();
    if value == "inf" { 100.0 } else { value.parse().unwrap() }
}

/// Both measures by ffmpeg, the second file scaled to the first's size.
fn by_ffmpeg(reference: &Path, made: &Path, (width, height): (u32, u32)) -> ([f64; 3], [f64; 2]) {
    let graph = format!(
        "[0:v]setpts=PTS-STARTPTS,scale={width}:{height}:flags=bicubic,format=yuv420p,split[a][b];\
         [1:v]setpts=PTS-STARTPTS,format=yuv420p,split[c][d];[a][c]psnr;[b][d]ssim"
    );
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "info", "-i"])
        .arg(made)
        .arg("-i")
        .arg(reference)
        .args(["-lavfi", &graph, "-f", "null", "-"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    (
        ["y", "u", "v"].map(|name| said(&stderr, "PSNR", name)),
        ["Y", "All"].map(|name| said(&stderr, "SSIM", name)),
    )
}

fn check(reference: &Path, made: &Path) {
    let recipe = Recipe::from(Preset::Play);
    let score = score(reference, made, &recipe, &Limits::default(), &Control::new(None)).unwrap();
    let (psnr, ssim) = by_ffmpeg(reference, made, (score.width, score.height));
    for (ours, theirs) in [score.psnr_y, score.psnr_u, score.psnr_v].into_iter().zip(psnr) {
        assert!((ours - theirs).abs() < 0.01, "{score:?}, ffmpeg {psnr:?}");
    }
    for (ours, theirs) in [score.ssim_y, score.ssim].into_iter().zip(ssim) {
        assert!((ours - theirs).abs() < 0.0005, "{score:?}, ffmpeg {ssim:?}");
    }
    let weighted = (6.0 * psnr[0] + psnr[1] + psnr[2]) / 8.0;
    assert!((score.psnr - weighted).abs() < 0.01);
    assert_eq!(score.apart_us_max, 0, "each frame met its own");
}

#[test]
fn psnr_and_ssim_agree_with_ffmpeg_on_what_was_encoded_coarsely() {
    let source = "-f lavfi -i testsrc2=s=352x288:r=25:d=2,noise=alls=12:allf=t:all_seed=7";
    let reference = clip("score_ref.mpg", &format!("{source} -c:v mpeg2video -q:v 2"));
    for (name, crf) in [("score_40.mp4", 40), ("score_23.mp4", 23)] {
        let made = clip(
            name,
            &format!(
                "-i {} -c:v libx264 -preset ultrafast -pix_fmt yuv420p -crf {crf}",
                reference.display()
            ),
        );
        check(&reference, &made);
    }
}

#[test]
fn what_was_scaled_down_is_held_against_the_source_s_own_size() {
    let source = "-f lavfi -i mandelbrot=s=642x362:r=25:end_pts=50 -t 1";
    let reference = clip(
        "score_large.mkv",
        &format!("{source} -c:v libx264 -qp 8 -pix_fmt yuv420p"),
    );
    let made = clip(
        "score_small.mp4",
        &format!(
            "-i {} -vf scale=320:180 -c:v libx264 -crf 20 -pix_fmt yuv420p",
            reference.display()
        ),
    );
    check(&reference, &made);
}

#[test]
fn a_copy_is_equal() {
    let reference = clip(
        "score_same.mkv",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=1 -c:v libx264 -pix_fmt yuv420p",
    );
    let made = clip("score_same.mp4", &format!("-i {} -c copy", reference.display()));
    let recipe = Recipe::from(Preset::Play);
    let score = score(&reference, &made, &recipe, &Limits::default(), &Control::new(None)).unwrap();
    assert!(
        (score.psnr - 100.0).abs() < 1e-9 && (score.ssim - 1.0).abs() < 1e-9,
        "{score:?}"
    );
    assert_eq!(score.frames, 25);
}
