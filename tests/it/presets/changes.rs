//! What is changed within a preset: height, frame rate, turning, silence, and several at once.

use kadr::media::report::{Action, Mode};

use super::{about, cornered, corners, counted, make, number, numbers, shown_s, times};
use crate::support::playable_mkv;

const H264: &str = "-c:v libx264 -pix_fmt yuv420p -c:a aac";
const CORNERED: &str = "-vf scale=out_color_matrix=bt709:flags=accurate_rnd,format=yuv420p -c:v libx264 -crf 10 \
                        -colorspace bt709 -color_primaries bt709 -color_trc bt709";

#[track_caller]
fn check_size(recipe: &str, size: (u32, u32)) {
    let made = make(&playable_mkv(), recipe);
    let fact = |entry: &str| number(&made.output, "v:0", entry);
    assert_eq!(
        (fact("stream=width"), fact("stream=height")),
        (f64::from(size.0), f64::from(size.1)),
        "{recipe}"
    );
}

#[test]
fn height_holds_the_lines_of_the_upright_picture() {
    check_size("play height:120", (160, 120));
    // No more lines than asked for, though sizes are even.
    check_size("play height:121", (160, 120));
    check_size("play rotate:90 height:120", (90, 120));
    check_size("hevc height:100", (134, 100));
    check_size("best height:64", (86, 64));
}

#[test]
fn a_height_that_the_source_has_already_changes_nothing() {
    let made = make(&playable_mkv(), "play height:240");
    assert_eq!(made.report.mode, Mode::Remux, "{:?}", made.report.reasons);
}

#[test]
fn fps_drops_pictures_evenly_and_keeps_the_length() {
    let source = counted("counted.mp4", H264);
    let made = make(&source, "play fps:10");
    let (shown, count) = (shown_s(&made.output), times(&made.output).len());
    assert!((79..=81).contains(&count), "{count} pictures in 8 s");
    assert!((shown - 8.0).abs() < 0.11, "{shown} s");
    for (pair, kept) in times(&made.output).windows(2).zip(numbers(&made.output).windows(2)) {
        assert!((pair[1] - pair[0] - 0.1).abs() < 0.001, "{pair:?}");
        assert!((2..=3).contains(&(kept[1] - kept[0])), "{kept:?}");
    }
}

#[test]
fn of_each_time_the_nearest_picture_is_kept() {
    let source = counted("counted.mp4", H264);
    for fps in [10, 17, 24] {
        let made = make(&source, &format!("play fps:{fps}"));
        let (times, numbers) = (times(&made.output), numbers(&made.output));
        assert_eq!(times.len(), numbers.len());
        for (time, kept) in times.iter().zip(numbers) {
            // Half a frame of the source's 25 a second, and a millisecond.
            let apart_s = (time - f64::from(kept) / 25.0).abs();
            assert!(apart_s <= 0.021, "{fps} fps: number {kept} at {time} s");
        }
    }
}

#[test]
fn fps_above_the_source_invents_no_picture() {
    let source = counted("counted.mp4", H264);
    let made = make(&source, "play fps:50");
    assert_eq!(made.report.mode, Mode::Remux, "{:?}", made.report.reasons);
    assert_eq!(times(&made.output).len(), 200);
}

#[test]
fn rotate_turns_clockwise() {
    let source = cornered("cornered.mp4", "160x96", CORNERED);
    assert_eq!(corners(&source), ["red", "green", "blue", "yellow"]);
    for (recipe, size, turned) in [
        ("play rotate:90", "96|160", ["blue", "red", "yellow", "green"]),
        ("play rotate:180", "160|96", ["yellow", "blue", "green", "red"]),
        ("play rotate:270", "96|160", ["green", "yellow", "red", "blue"]),
        ("gif rotate:-90", "96|160", ["green", "yellow", "red", "blue"]),
    ] {
        let made = make(&source, recipe);
        assert_eq!(corners(&made.output), turned, "{recipe}");
        assert_eq!(about(&made.output, "v:0", "stream=width,height"), [size], "{recipe}");
    }
}

#[test]
fn rotate_comes_after_the_turn_that_the_file_asks_for() {
    let flat = cornered("cornered.mp4", "160x96", CORNERED);
    let turned = crate::support::clip(
        "cornered_turned.mp4",
        &format!("-i {} -c copy -metadata:s:v:0 rotate=90", flat.display()),
    );
    let shown = corners(&turned);
    assert_ne!(shown, corners(&flat), "ffmpeg turns it by itself");
    let upright = make(&turned, "play");
    assert_eq!(corners(&upright.output), shown);
    let [a, b, c, d] = shown;
    let made = make(&turned, "play rotate:90");
    assert_eq!(corners(&made.output), [c, a, d, b]);
}

#[test]
fn mute_leaves_no_sound_and_copies_the_picture() {
    let made = make(&playable_mkv(), "play mute");
    assert_eq!((made.report.video, made.report.audio), (Action::Copy, Action::None));
    assert_eq!(about(&made.output, "a", "stream=codec_name"), [""; 0]);
}

#[test]
fn a_turn_square_pixels_and_a_height_go_together() {
    // 96 columns of twice their height: shown as 192x96; turned, 96x192; held to 100 lines, 50x100.
    let wide = CORNERED.replace("format=yuv420p", "format=yuv420p,setsar=2");
    let source = cornered("cornered_wide.mkv", "96x96", &wide);
    let made = make(&source, "play rotate:90 height:100");
    assert_eq!(
        about(&made.output, "v:0", "stream=width,height,sample_aspect_ratio"),
        ["50|100|1:1"]
    );
    assert_eq!(corners(&made.output), ["blue", "red", "yellow", "green"]);
}

#[test]
fn a_part_a_rate_a_turn_and_silence_go_together() {
    let source = counted("counted.mp4", H264);
    let made = make(&source, "play trim:2-6 fps:5 rotate:180 mute height:32");
    assert_eq!(about(&made.output, "v:0", "stream=width,height"), ["128|32"]);
    assert_eq!(about(&made.output, "a", "stream=codec_name"), [""; 0]);
    let times = times(&made.output);
    assert_eq!((times.len(), times[0]), (20, 0.0));
    assert!((shown_s(&made.output) - 4.0).abs() < 0.05);
}
