//! Trimming: to the frame, from 0, sound cut alike, whatever the container.

use std::path::Path;

use super::{about, beeps, counted, make, numbers, times};

const LONG_GOP: &str = "-c:v libx264 -pix_fmt yuv420p -g 250 -bf 3 -c:a aac";

/// How the counter and the beeps of a source lie on its own clock.
struct Source {
    /// Of each picture, seconds, from the earliest stream on; sound that is ahead by less than a picture is priming, which
    /// is no beginning.
    pictures: Vec<f64>,
    /// How much later a beep is than the picture of its second.
    late_s: f64,
}

impl Source {
    fn of(path: &Path) -> Self {
        let starts = about(path, "", "stream=start_time");
        let zero = starts
            .iter()
            .map(|line| line.parse().expect(line))
            .fold(f64::MAX, f64::min);
        let times = times(path);
        let zero = if times[0] - zero < 0.04 { times[0] } else { zero };
        let pictures: Vec<f64> = times.iter().map(|time| time - zero).collect();
        Self {
            late_s: late_s(path, &numbers(path), &times),
            pictures,
        }
    }
}

/// How much later the beeps are than the pictures whose number is a multiple of 25.
fn late_s(path: &Path, numbers: &[u32], times: &[f64]) -> f64 {
    // `beeps` tells times from 0 on where the file begins there, else from its first stream on.
    let begin = about(path, "", "format=start_time")[0].parse().unwrap_or(0.0_f64);
    let seconds: Vec<f64> = numbers
        .iter()
        .zip(times)
        .filter(|(number, time)| **number % 25 == 0 && **time > times[0] + 0.2)
        .map(|(_, time)| time - begin)
        .collect();
    let beeps = beeps(path);
    assert!(seconds.len() >= 2, "{seconds:?}");
    let late: Vec<f64> = seconds
        .iter()
        .map(|second| {
            let nearest = beeps
                .iter()
                .map(|beep| beep - second)
                .min_by(|a, b| a.abs().total_cmp(&b.abs()));
            nearest.expect("beeps are heard")
        })
        .collect();
    let (least, most) = (
        late.iter().copied().fold(f64::MAX, f64::min),
        late.iter().copied().fold(f64::MIN, f64::max),
    );
    assert!(most - least < 0.02, "beeps lie at {late:?} s from their pictures");
    late.iter().sum::<f64>() / late.len() as f64
}

#[track_caller]
fn is_cut(source: &Path, preset: &str, from: f64, to: f64) {
    let known = Source::of(source);
    let recipe = format!("{preset} trim:{from}-{to}");
    let made = make(source, &recipe);
    // A picture belongs to the part that it begins in, unless it would outlast it.
    let wanted: Vec<u32> = known
        .pictures
        .iter()
        .enumerate()
        .filter(|(_, time)| **time >= from - 0.0005 && **time + 0.04 <= to + 0.0045)
        .map(|(number, _)| u32::try_from(number).unwrap())
        .collect();
    let numbers = numbers(&made.output);
    assert_eq!(numbers, wanted, "{recipe} of {}", source.display());
    let times = times(&made.output);
    assert!(times[0].abs() < 0.041, "begins at {} s", times[0]);
    let late = late_s(&made.output, &numbers, &times);
    assert!(
        (late - known.late_s).abs() < 0.04,
        "sound {late} s late, in the source {} s",
        known.late_s
    );
    let length = |stream: &str| {
        about(&made.output, stream, "stream=duration")[0]
            .parse::<f64>()
            .unwrap()
    };
    let (video, audio) = (length("v:0"), length("a:0"));
    assert!((video - (to - from)).abs() < 0.06, "{video} s of pictures");
    assert!((audio - (to - from)).abs() < 0.06, "{audio} s of sound");
}

#[test]
fn a_part_from_the_middle_of_a_long_group_of_pictures_is_cut_to_the_frame() {
    let source = counted("counted_gop.mp4", LONG_GOP);
    is_cut(&source, "play", 2.48, 5.2);
    is_cut(&source, "small", 3.01, 6.33);
}

#[test]
fn a_part_of_a_transport_stream_is_cut_to_the_frame() {
    is_cut(&counted("counted.ts", LONG_GOP), "play", 2.47, 5.21);
}

#[test]
fn a_part_of_an_avi_is_cut_to_the_frame() {
    is_cut(
        &counted("counted.avi", "-c:v mpeg4 -q:v 3 -g 250 -c:a mp3"),
        "play",
        2.48,
        5.2,
    );
}

/// AVI has no presentation times, so where a reordered picture belongs is known to one frame only.
#[test]
fn a_part_of_an_avi_with_reordered_pictures_is_cut_to_within_a_frame() {
    let source = counted("counted_b.avi", "-c:v mpeg4 -q:v 3 -bf 2 -g 50 -c:a mp3");
    let made = make(&source, "play trim:2.48-5.2");
    let (numbers, times) = (numbers(&made.output), times(&made.output));
    assert!((61..=63).contains(&numbers[0]), "begins with picture {}", numbers[0]);
    assert!((67..=69).contains(&numbers.len()), "{} pictures", numbers.len());
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    let late = late_s(&made.output, &numbers, &times);
    assert!(late.abs() < 0.06, "sound {late} s late");
}

#[test]
fn a_part_of_a_program_stream_is_cut_to_the_frame() {
    is_cut(
        &counted("counted.mpg", "-c:v mpeg2video -q:v 3 -bf 2 -c:a mp2"),
        "play",
        2.47,
        5.21,
    );
}

#[test]
fn a_part_of_a_matroska_is_cut_to_the_frame_in_other_codecs() {
    let source = counted("counted.mkv", LONG_GOP);
    is_cut(&source, "hevc", 2.48, 5.2);
    is_cut(&source, "av1", 2.48, 5.2);
}

#[test]
fn a_part_up_to_a_time_and_a_part_from_a_time_on() {
    let source = counted("counted_gop.mp4", LONG_GOP);
    let first = make(&source, "play trim:-1.2");
    assert_eq!(numbers(&first.output), (0..30).collect::<Vec<u32>>());
    let last = make(&source, "play trim:6.8-");
    assert_eq!(numbers(&last.output), (170..200).collect::<Vec<u32>>());
}

#[test]
fn a_part_that_ends_after_the_file_ends_with_it() {
    let source = counted("counted_gop.mp4", LONG_GOP);
    let made = make(&source, "play trim:6-60");
    assert_eq!(numbers(&made.output), (150..200).collect::<Vec<u32>>());
}

#[test]
fn the_sound_alone_is_cut_too() {
    let source = counted("counted_gop.mp4", LONG_GOP);
    for recipe in ["audio trim:2.5-6", "voice trim:2.5-6"] {
        let made = make(&source, recipe);
        let begins = beeps(&made.output);
        assert_eq!(begins.len(), 3, "{recipe}: {begins:?}");
        for (beep, wanted) in begins.iter().zip([0.5, 1.5, 2.5]) {
            assert!((beep - wanted).abs() < 0.03, "{recipe}: {begins:?}");
        }
    }
}
