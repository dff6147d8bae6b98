//! Which streams are taken, and what is left.

use std::path::PathBuf;

use super::plays;
use crate::corpus::facts::Facts;
use crate::support::clip;

const H264: &str =
    "-pix_fmt yuv420p -c:v libx264 -color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range tv";
const BEEPS: &str = "-f lavfi -i aevalsrc=0.4*sin(2764*t)*lt(mod(t+0.3\\,1)\\,0.3):s=48000:d=2";
const PICTURE: &str = "-f lavfi -i testsrc2=s=160x120:r=25:d=2";

fn cover() -> PathBuf {
    clip("streams_cover.png", "-f lavfi -i color=red:s=64x64 -frames:v 1")
}

#[test]
fn the_default_track_of_sound_is_taken_though_it_is_not_the_first() {
    for (name, codec) in [("default_second.mkv", "aac"), ("default_second_ac3.mkv", "ac3")] {
        plays(&clip(
            name,
            &format!(
                "{PICTURE} -f lavfi -i anullsrc=r=48000:d=2 {BEEPS} -map 0 -map 1 -map 2 {H264} -c:a {codec} \
                 -disposition:a:0 0 -disposition:a:1 default"
            ),
        ));
    }
}

#[test]
fn attachments_and_cover_art_stay_behind() {
    let attached = format!(
        "{PICTURE} {BEEPS} -attach {} -metadata:s:t mimetype=image/png -metadata:s:t filename=cover.png {H264} -c:a aac",
        cover().display()
    );
    plays(&clip("attached.mkv", &attached));
    plays(&clip(
        "attached_encoded.mkv",
        &attached.replace("-c:v libx264", "-c:v mpeg4"),
    ));
    plays(&clip(
        "cover.mp4",
        &format!(
            "{PICTURE} {BEEPS} -i {} -map 0 -map 1 -map 2 {H264} -c:a aac -c:v:1 png -disposition:v:1 attached_pic",
            cover().display()
        ),
    ));
    // The cover is listed before the film.
    plays(&clip(
        "cover_first.mp4",
        &format!(
            "-i {} {PICTURE} {BEEPS} -map 0 -map 1 -map 2 {H264} -c:a aac -c:v:0 png -disposition:v:0 attached_pic -disposition:v:1 default",
            cover().display()
        ),
    ));
}

#[test]
fn subtitles_and_time_codes_stay_behind() {
    let words = cover().with_file_name("streams_words.srt");
    std::fs::write(&words, "1\n00:00:00,000 --> 00:00:01,500\nCanaryWords\n").unwrap();
    for (name, codec) in [
        ("words.mkv", "subrip"),
        ("words.mp4", "mov_text"),
        ("words_ass.mkv", "ass"),
    ] {
        plays(&clip(
            &format!("streams_{name}"),
            &format!(
                "{PICTURE} {BEEPS} -i {} -map 0 -map 1 -map 2 {H264} -c:a aac -c:s {codec}",
                words.display()
            ),
        ));
    }
    plays(&clip(
        "streams_tmcd.mov",
        &format!("{PICTURE} {BEEPS} {H264} -c:a aac -timecode 01:00:00:00"),
    ));
}

#[test]
fn of_two_films_the_larger_is_taken_and_a_still_beside_a_film_is_not() {
    let two = clip(
        "streams_two.mkv",
        &format!(
            "-f lavfi -i color=red:s=80x60:r=25:d=2 -f lavfi -i testsrc2=s=320x240:r=25:d=2 -map 0 -map 1 {H264} -disposition:v default"
        ),
    );
    let facts = Facts::of(&plays(&two).output).unwrap();
    assert_eq!(facts.of_kind("video")[0].width, 320);
    let still = clip(
        "streams_still.mp4",
        &format!(
            "-f lavfi -i testsrc2=s=640x480:r=25:d=0.04 -f lavfi -i testsrc2=s=320x240:r=25:d=2 -map 0 -map 1 {H264}"
        ),
    );
    let facts = Facts::of(&plays(&still).output).unwrap();
    assert_eq!(facts.of_kind("video")[0].width, 320);
}
