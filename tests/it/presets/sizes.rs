//! Presets that promise bytes or quality: small, fit and best.

use std::path::{Path, PathBuf};

use kadr::media::report::{Action, Mode};
use kadr::media::{Caps, Control, Limits, convert};

use super::{ffmpeg, kadr, make, number, pictures, shown_s, size_bytes};
use crate::support::{clip, decoded_frames, ffprobe, playable_mkv};

/// A picture with detail everywhere that moves; MPEG-4, so that it is never copied.
fn natural(name: &str, size: &str, rate: u32, length_s: u32) -> PathBuf {
    clip(
        name,
        &format!(
            "-f lavfi -i mandelbrot=s={size}:r={rate}:start_scale=2:end_pts=100 -f lavfi -i sine=f=440:r=48000 \
             -t {length_s} -vf noise=alls=6:allf=t -c:v mpeg4 -q:v 3 -g 25 -c:a mp3 -ac 2"
        ),
    )
}

/// How near to a reference of the same size and rate, decibels.
fn psnr_db(path: &Path, reference: &Path) -> f64 {
    let reference = reference.to_str().unwrap();
    let filter = "[0:v]settb=1/1000,setpts=N*40[a];[1:v]settb=1/1000,setpts=N*40[b];[a][b]psnr";
    let output = ffmpeg(&[], path, &["-i", reference, "-lavfi", filter, "-f", "null", "-"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, rest) = text.rsplit_once("average:").expect("psnr speaks");
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn small_takes_about_two_fifths_of_the_bits() {
    let source = natural("natural_720.mkv", "1280x720", 25, 3);
    let (play, small) = (make(&source, "play"), make(&source, "small"));
    let share = size_bytes(&small.output) as f64 / size_bytes(&play.output) as f64;
    assert!((0.25..=0.60).contains(&share), "{share:.2}");
    assert_eq!((small.report.width, small.report.height), (1280, 720));
    assert_eq!(decoded_frames(&small.output), decoded_frames(&source));
}

#[test]
fn progress_never_goes_back_between_the_passes_of_a_size() {
    let source = natural("natural_progress.mkv", "640x360", 25, 4);
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.mp4");
    let (recipe, control) = ("fit:120k".parse().unwrap(), Control::new(None));
    let (mut seen, mut report) = (Vec::new(), None);
    std::thread::scope(|scope| {
        let work =
            scope.spawn(|| convert(&source, &output, &recipe, &Caps::detect(), &Limits::default(), &control).unwrap());
        while !work.is_finished() {
            seen.extend(control.gauge().read().fraction());
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        report = work.join().ok();
    });
    assert!(seen.is_sorted() && seen.len() > 10, "{seen:?}");
    assert!(seen.iter().all(|fraction| (0.0..=1.0).contains(fraction)));
    assert!(report.unwrap().attempts >= 1);
}

#[test]
fn small_is_never_larger_than_720_lines() {
    let source = natural("natural_1080.mkv", "1920x1080", 25, 1);
    let small = make(&source, "small");
    assert_eq!(
        (
            number(&small.output, "v:0", "stream=width"),
            number(&small.output, "v:0", "stream=height")
        ),
        (1280.0, 720.0)
    );
}

#[test]
fn small_makes_a_file_that_plays_already_smaller() {
    let small = make(&playable_mkv(), "small");
    assert_eq!(small.report.video, Action::Encode);
    assert!(size_bytes(&small.output) < size_bytes(&playable_mkv()));
}

#[test]
fn best_is_at_least_as_near_to_the_source_as_play() {
    let source = natural("natural_360.mkv", "640x360", 25, 2);
    let (play, best) = (make(&source, "play"), make(&source, "best"));
    let (play_db, best_db) = (psnr_db(&play.output, &source), psnr_db(&best.output, &source));
    assert!(best_db > play_db + 1.0, "play {play_db} dB, best {best_db} dB");
}

#[test]
fn best_keeps_four_thousand_columns_within_level_5_1() {
    let source = clip(
        "wide.mkv",
        "-f lavfi -i testsrc2=s=4800x1600:r=30:d=0.2 -c:v mpeg4 -q:v 5",
    );
    let best = make(&source, "best");
    let fact = |entry: &str| number(&best.output, "v:0", entry);
    assert_eq!((fact("stream=width"), fact("stream=height")), (3840.0, 1280.0));
    assert!(fact("stream=level") <= 51.0, "{}", fact("stream=level"));
    assert_eq!(decoded_frames(&best.output), 6);
    let play = make(&source, "play");
    assert_eq!(play.report.width, 1920);
}

/// Holds one clip to one size.
#[track_caller]
fn fits(source: &Path, size: u64) {
    let made = make(source, &format!("fit:{size}B"));
    let got = size_bytes(&made.output);
    let percent = got as f64 * 100.0 / size as f64;
    assert!(
        got <= size && percent >= 97.0,
        "{}: {got} of {size} bytes, {percent:.2} %",
        source.display()
    );
    let (shown, source_s) = (shown_s(&made.output), shown_s(source));
    assert!((shown - source_s).abs() < 0.2, "{shown} s, the source {source_s} s");
    assert!(!pictures(&made.output, (1, 1), "gray", &[]).is_empty());
}

#[test]
fn fit_meets_the_size_of_a_picture_with_detail() {
    let source = natural("natural_360_6s.mkv", "640x360", 25, 6);
    fits(&source, 300_000);
    fits(&source, 700_000);
}

/// More bytes than the film could use: the level stays what is promised.
#[test]
fn fit_of_far_more_than_a_short_film_needs_is_a_film_that_plays() {
    let source = clip(
        "noise_1s.mkv",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=1,noise=alls=40:allf=t -f lavfi -i sine=r=48000:d=1 -c:v mpeg4 -q:v 3 -c:a mp3",
    );
    let made = make(&source, "fit:500M");
    let facts = ffprobe(&made.output, "stream=codec_name,level");
    let level = facts.split(['|', '\n']).find_map(|field| field.strip_prefix("level="));
    let level: u32 = level.unwrap().parse().unwrap();
    assert!(level <= 51, "{facts}");
    assert_eq!(decoded_frames(&made.output), 25);
}

#[test]
fn fit_meets_the_size_of_noise() {
    let source = clip(
        "noise_8s.webm",
        "-f lavfi -i testsrc2=s=320x180:r=30:d=8,noise=alls=40:allf=t -f lavfi -i sine=r=48000:d=8 -c:v libvpx -b:v 4M \
         -deadline realtime -cpu-used 8 -c:a libopus",
    );
    fits(&source, 400_000);
    fits(&source, 1_000_000);
}

#[test]
fn fit_meets_the_size_of_a_portrait_without_sound() {
    let source = clip(
        "portrait_5s.mkv",
        "-f lavfi -i mandelbrot=s=360x640:r=50 -t 5 -c:v mpeg4 -q:v 3",
    );
    fits(&source, 250_000);
    fits(&source, 600_000);
}

#[test]
fn fit_meets_the_size_of_a_part() {
    let source = natural("natural_360_6s.mkv", "640x360", 25, 6);
    let made = make(&source, "fit:300k trim:2-5");
    let got = size_bytes(&made.output);
    assert!((291_000..=300_000).contains(&got), "{got}");
    assert!((shown_s(&made.output) - 3.0).abs() < 0.1);
}

#[test]
fn fit_copies_what_fits_already() {
    let source = playable_mkv();
    let made = make(&source, "fit:10M");
    assert_eq!(made.report.mode, Mode::Remux, "{:?}", made.report.reasons);
}

#[test]
fn a_size_that_cannot_be_reached_is_refused_with_offers_that_can() {
    let source = clip(
        "minute.mkv",
        "-f lavfi -i testsrc2=s=640x360:r=25:d=60 -f lavfi -i sine=r=48000:d=60 -c:v mpeg4 -q:v 8 -c:a mp3",
    );
    let folder = tempfile::tempdir().unwrap();
    let source = source.to_str().unwrap();
    let refused = kadr(
        &["convert", source, "-o", "a.mp4", "--preset", "fit:60k"],
        folder.path(),
    );
    assert_eq!(refused.status.code(), Some(3));
    let words = String::from_utf8(refused.stderr).unwrap();
    let lines: Vec<&str> = words.lines().collect();
    assert_eq!(lines.len(), 2, "{words}");
    assert!(
        lines[0].contains(" s do not fit 60000 bytes at a watchable quality"),
        "{words}"
    );
    let offers: Vec<&str> = lines[1].split('`').skip(1).step_by(2).collect();
    assert!(matches!(offers[..], [_, _]), "{words}");
    let size: u64 = {
        let text = offers[0].strip_prefix("--preset fit:").unwrap().trim_end_matches('k');
        text.parse::<u64>().unwrap() * 1000
    };
    for (name, offer, limit) in [("size.mp4", offers[0], size), ("part.mp4", offers[1], 60_000)] {
        let mut args = vec!["convert", source, "-o", name, "--preset", "fit:60k"];
        if offer.starts_with("--preset") {
            args.truncate(4);
        }
        args.extend(offer.split_whitespace());
        let taken = kadr(&args, folder.path());
        assert_eq!(
            taken.status.code(),
            Some(0),
            "{offer}: {}",
            String::from_utf8_lossy(&taken.stderr)
        );
        let got = size_bytes(&folder.path().join(name));
        assert!(got <= limit && got >= limit * 97 / 100, "{offer}: {got} of {limit}");
    }
}
