//! A film in segments against the same film in one piece, judged by ffprobe and ffmpeg.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use kadr::media::{Caps, Control, Limits, MediaError, Preset, Recipe, Report, Split, convert};

use crate::support::{clip, decoded_frames, ffprobe, long_clip, md5s};

/// A moving picture with noise in it, so that quality can be lost, and sound.
const SOURCE: &str = "-f lavfi -i testsrc2=s=192x108:r=25:d=24,noise=alls=8:allf=t -f lavfi -i sine=f=440:r=48000:d=24 \
                      -shortest -pix_fmt yuv420p";

fn run(input: &Path, recipe: &str, split: Split, folder: &Path) -> Report {
    let output = folder.join(format!("{split}.mp4"));
    let limits = Limits {
        split,
        ..Limits::default()
    };
    let recipe: Recipe = recipe.parse().unwrap();
    convert(
        input,
        &output,
        &recipe,
        &Caps::without_gpus(),
        &limits,
        &Control::new(None),
    )
    .unwrap()
}

/// Split and whole.
fn both(input: &Path, recipe: &str, segments: u32) -> (Report, Report, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let split = run(input, recipe, Split::Into(segments), folder.path());
    let whole = run(input, recipe, Split::Off, folder.path());
    assert_eq!(whole.segments, 1);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "{left:?}");
    (split, whole, folder)
}

/// Presentation and decoding time, and whether it is a key frame, of each packet.
fn packets(path: &Path, stream: &str) -> Vec<(i64, i64, bool)> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", stream])
        .args(["-show_entries", "packet=pts,dts,flags", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            (
                fields[0].parse().unwrap(),
                fields[1].parse().unwrap(),
                fields[2].starts_with('K'),
            )
        })
        .collect()
}

/// Likeness of each picture to the one of the source with the same number, dB.
fn psnr(report: &Report) -> Vec<f64> {
    let (width, height) = (report.width, report.height);
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(&report.output)
        .arg("-i")
        .arg(&report.input)
        .arg("-lavfi")
        .arg(format!(
            "[0:v]setpts=N/25/TB,settb=1/1000[a];[1:v]setpts=N/25/TB,settb=1/1000,scale={width}:{height}:flags=bicubic[b];\
             [a][b]psnr=stats_file=-"
        ))
        .args(["-fps_mode", "passthrough", "-f", "null", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split_whitespace().find_map(|word| word.strip_prefix("psnr_avg:")))
        .map(|value| value.parse::<f64>().unwrap().min(100.0))
        .collect()
}

/// All that must be the same, whatever the source was.
#[track_caller]
fn check_same(split: &Report, whole: &Report, segments: u32) {
    assert_eq!(split.segments, segments, "{:?}", split.reasons);
    let (ours, theirs) = (packets(&split.output, "v:0"), packets(&whole.output, "v:0"));
    let shown = |packets: &[(i64, i64, bool)]| {
        let mut times: Vec<i64> = packets.iter().map(|packet| packet.0).collect();
        times.sort_unstable();
        times
    };
    assert_eq!(shown(&ours), shown(&theirs), "presentation times");
    let decoded = |packets: &[(i64, i64, bool)]| packets.iter().map(|packet| packet.1).collect::<Vec<_>>();
    assert_eq!(decoded(&ours), decoded(&theirs), "decoding times");
    assert!(ours.windows(2).all(|pair| pair[0].1 < pair[1].1), "they ascend");
    assert!(ours.iter().all(|packet| packet.1 <= packet.0));
    assert_eq!(decoded_frames(&split.output), ours.len());
    assert_eq!(decoded_frames(&split.output), decoded_frames(&whole.output));
    // The sound does not know that the pictures were split.
    let sound = |report: &Report| {
        let said = ffprobe(&report.output, "stream=codec_type");
        said.contains("audio")
            .then(|| md5s(&report.output, "0:a:0", &["-c", "copy"]))
    };
    assert!(sound(split) == sound(whole), "the sound differs");
}

/// Beside a join pictures are as like to the source as the others are.
#[track_caller]
fn check_joins(split: &Report, whole: &Report) {
    let (ours, theirs) = (psnr(split), psnr(whole));
    assert_eq!((ours.len() as u64, theirs.len() as u64), (split.frames, whole.frames));
    let mean = |likeness: &[f64]| likeness.iter().sum::<f64>() / likeness.len() as f64;
    let least = |likeness: &[f64]| likeness.iter().copied().fold(f64::INFINITY, f64::min);
    let said = format!(
        "on average {:.2} and {:.2} dB, at least {:.2} and {:.2}",
        mean(&ours),
        mean(&theirs),
        least(&ours),
        least(&theirs)
    );
    assert!((mean(&ours) - mean(&theirs)).abs() < 0.2, "{said}");
    assert!(least(&ours) > least(&theirs) - 0.5, "{said}");
}

#[test]
fn a_split_film_has_the_frames_times_and_sound_of_an_undivided_one() {
    let source = clip(
        "segments.mkv",
        &format!("{SOURCE} -c:v libx264 -preset ultrafast -g 25 -c:a aac"),
    );
    let (split, whole, _folder) = both(&source, "small", 2);
    check_same(&split, &whole, 2);
    check_joins(&split, &whole);
    assert!(!split.reasons.iter().any(|reason| reason.starts_with("not split")));
    assert_eq!(split.duration_s.to_bits(), whole.duration_s.to_bits());
    // One header for the whole stream, in the container alone.
    let traced = Command::new("ffmpeg")
        .args(["-v", "verbose", "-i"])
        .arg(&split.output)
        .args(["-c:v", "copy", "-an", "-bsf:v", "trace_headers", "-f", "null", "-"])
        .output()
        .unwrap();
    let traced = String::from_utf8_lossy(&traced.stderr).into_owned();
    assert_eq!(traced.matches("Sequence Parameter Set").count(), 1);
    // The key frame that begins a segment is one that refers to nothing before it.
    let joins = packets(&split.output, "v:0").iter().filter(|packet| packet.2).count();
    let idr = traced
        .lines()
        .filter(|line| line.contains("nal_unit_type") && line.ends_with("= 5"))
        .count();
    assert!(
        joins >= 4 && idr >= joins,
        "{joins} key frames, {idr} slices of IDR pictures"
    );
}

#[test]
fn gops_that_are_not_closed_lose_nothing_at_a_join() {
    let source = clip(
        "segments-open.mkv",
        &format!(
            "{SOURCE} -c:v libx264 -preset veryfast -x264-params open-gop=1:keyint=50:bframes=3:scenecut=0 -c:a libopus"
        ),
    );
    let (split, whole, _folder) = both(&source, "small", 2);
    check_same(&split, &whole, 2);
    check_joins(&split, &whole);
}

#[test]
fn a_program_stream_of_mpeg2_is_split_as_well() {
    let source = clip(
        "segments.mpg",
        &format!("{SOURCE} -c:v mpeg2video -q:v 4 -g 15 -bf 2 -c:a mp2"),
    );
    let (split, whole, _folder) = both(&source, "play", 2);
    check_same(&split, &whole, 2);
    check_joins(&split, &whole);
}

#[test]
fn frames_of_uneven_length_keep_their_times() {
    let source = clip(
        "segments-vfr.mkv",
        &format!(
            "{SOURCE} -vf select='not(eq(mod(n\\,7)\\,3))*not(eq(mod(n\\,11)\\,5))' -fps_mode vfr -c:v libx264 \
             -preset veryfast -g 40 -c:a aac"
        ),
    );
    let (split, whole, _folder) = both(&source, "small", 2);
    check_same(&split, &whole, 2);
    check_joins(&split, &whole);
}

#[test]
fn a_late_start_and_a_film_without_sound_keep_their_zero() {
    let late = clip(
        "segments-late.ts",
        &format!("{SOURCE} -c:v libx264 -preset veryfast -g 25 -c:a aac -output_ts_offset 7.3"),
    );
    let (split, whole, _folder) = both(&late, "small", 2);
    check_same(&split, &whole, 2);
    check_joins(&split, &whole);
    let (split, whole, _folder) = both(&late, "gif height:80", 2);
    check_same(&split, &whole, 2);
    check_joins(&split, &whole);
}

#[test]
fn a_part_is_cut_to_the_frame_and_split() {
    let source = clip(
        "segments.mkv",
        &format!("{SOURCE} -c:v libx264 -preset ultrafast -g 25 -c:a aac"),
    );
    let (split, whole, _folder) = both(&source, "small trim:1.5-23.02", 2);
    check_same(&split, &whole, 2);
    assert_eq!(split.frames, 537);
}

#[test]
fn hevc_and_av1_are_joined_as_well() {
    let source = clip(
        "segments-tiny.mp4",
        "-f lavfi -i testsrc2=s=192x108:r=10:d=22 -c:v libx264 -preset veryfast -g 20 -pix_fmt yuv420p",
    );
    for preset in ["hevc", "av1"] {
        let (split, whole, _folder) = both(&source, preset, 2);
        check_same(&split, &whole, 2);
        check_joins(&split, &whole);
    }
}

#[test]
fn what_cannot_be_split_is_converted_in_one_piece_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let one_key = clip(
        "segments-one-key.mp4",
        "-f lavfi -i testsrc2=s=192x108:r=10:d=25 -c:v libx264 -preset veryfast -g 9999 -sc_threshold 0 -pix_fmt yuv420p",
    );
    let avi = clip(
        "segments.avi",
        "-f lavfi -i testsrc2=s=192x108:r=10:d=25 -c:v mpeg4 -g 20 -q:v 5",
    );
    for (source, recipe, why) in [
        (&one_key, "small", "not split: too few key frames"),
        (&avi, "play", "not split: its packets do not say when they are shown"),
        (&one_key, "small fps:5", "not split: its frame rate is lowered"),
        (&one_key, "play", "not split: no video is encoded"),
    ] {
        let report = run(source, recipe, Split::Into(2), folder.path());
        assert_eq!(report.segments, 1);
        let said = report.reasons.iter().any(|reason| reason.starts_with(why));
        assert!(said, "{why}: {:?}", report.reasons);
        assert_eq!(decoded_frames(&report.output) as u64, report.frames);
    }
}

#[test]
fn a_damaged_film_is_converted_in_one_piece() {
    let source = clip(
        "segments.mkv",
        &format!("{SOURCE} -c:v libx264 -preset ultrafast -g 25 -c:a aac"),
    );
    let folder = tempfile::tempdir().unwrap();
    let damaged = folder.path().join("damaged.mkv");
    let mut bytes = std::fs::read(&source).unwrap();
    // Within packets, so that none of them is lost.
    let places = (bytes.len() * 3 / 4..bytes.len() * 4 / 5).step_by(3_000);
    for at in places {
        bytes[at..at + 40].fill(0x5a);
    }
    std::fs::write(&damaged, bytes).unwrap();
    let report = run(&damaged, "small", Split::Into(2), folder.path());
    assert_eq!(report.segments, 1);
    assert!(!report.warnings.is_empty());
    assert!(report.reasons.iter().any(|reason| reason.starts_with("not split")));
}

#[test]
fn a_long_film_takes_the_same_space_within_half_a_per_cent() {
    let source = clip(
        "segments-long.mp4",
        "-f lavfi -i testsrc2=s=256x144:r=25 -t 150 -vf noise=alls=8:allf=t -c:v libx264 -preset ultrafast -crf 18 \
         -g 25 -pix_fmt yuv420p",
    );
    let (split, whole, _folder) = both(&source, "small", 2);
    assert_eq!((split.segments, split.frames), (2, whole.frames));
    let difference = split.out_bytes.abs_diff(whole.out_bytes) as f64 / whole.out_bytes as f64;
    assert!(difference < 0.005, "{} and {} bytes", split.out_bytes, whole.out_bytes);
}

#[test]
fn cancelled_in_mid_way_it_stops_at_once_and_leaves_no_files() {
    let source = long_clip();
    let folder = tempfile::tempdir().unwrap();
    let control = Control::new(None);
    let limits = Limits {
        split: Split::Into(2),
        ..Limits::default()
    };
    std::thread::scope(|scope| {
        let output = folder.path().join("out.mp4");
        let (control, limits) = (&control, &limits);
        let engine = scope.spawn(move || {
            convert(
                &source,
                &output,
                &Preset::Play.into(),
                &Caps::without_gpus(),
                limits,
                control,
            )
        });
        let began = Instant::now();
        while control.gauge().read().fraction().is_none_or(|share| share < 0.02) {
            assert!(began.elapsed() < Duration::from_secs(120) && !engine.is_finished());
            std::thread::sleep(Duration::from_millis(10));
        }
        control.cancel();
        let asked = Instant::now();
        let outcome = engine.join().unwrap();
        assert!(matches!(outcome, Err(MediaError::Canceled)), "{outcome:?}");
        // Half a second is promised; the machine is busy with other tests.
        assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    });
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_time_limit_ends_every_segment() {
    let source = long_clip();
    let folder = tempfile::tempdir().unwrap();
    let control = Control::new(Some(Duration::from_secs(3)));
    let limits = Limits {
        split: Split::Into(3),
        ..Limits::default()
    };
    let output = folder.path().join("out.mp4");
    let began = Instant::now();
    let outcome = convert(
        &source,
        &output,
        &Preset::Play.into(),
        &Caps::without_gpus(),
        &limits,
        &control,
    );
    assert!(
        matches!(outcome, Err(MediaError::TimeLimit { limit_s: 3 })),
        "{outcome:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(6));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
