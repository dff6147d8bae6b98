//! Which of several audio tracks is heard.

use std::path::PathBuf;

use super::{about, level_db, make};
use crate::support::clip;

const HERTZ: [u32; 3] = [300, 1000, 3000];

/// English at 300 Hz, Russian at 1000, German at 3000, none of them the default.
fn many(name: &str, codec: &str) -> PathBuf {
    clip(
        name,
        &format!(
            "-f lavfi -i testsrc2=s=160x120:r=25:d=2 -f lavfi -i sine=f=300:r=48000:d=2 -f lavfi -i sine=f=1000:r=48000:d=2 \
             -f lavfi -i sine=f=3000:r=48000:d=2 -map 0 -map 1 -map 2 -map 3 -c:v libx264 -pix_fmt yuv420p -c:a {codec} -ac 2 \
             -metadata:s:a:0 language=eng -metadata:s:a:1 language=rus -metadata:s:a:2 language=ger \
             -disposition:a 0 -default_mode passthrough"
        ),
    )
}

#[track_caller]
fn is_heard(source: &std::path::Path, recipe: &str, wanted: u32) {
    let made = make(source, recipe);
    assert_eq!(about(&made.output, "a", "stream=codec_type").len(), 1, "{recipe}");
    for hertz in HERTZ {
        let level = level_db(&made.output, hertz);
        let heard = level > -35.0;
        assert!(heard || level < -50.0, "{recipe}: {level} dB at {hertz} Hz");
        assert_eq!(heard, hertz == wanted, "{recipe}: {level} dB at {hertz} Hz");
    }
}

#[test]
fn the_track_that_is_asked_for_is_heard_copied_or_encoded() {
    for (name, codec) in [("tracks_aac.mkv", "aac"), ("tracks_mp3.mkv", "mp3")] {
        let source = many(name, codec);
        for (number, hertz) in (1..).zip(HERTZ) {
            is_heard(&source, &format!("play track:{number}"), hertz);
        }
    }
}

#[test]
fn the_language_decides_where_no_track_is_the_default() {
    let source = many("tracks_aac.mkv", "aac");
    is_heard(&source, "play", 300);
    is_heard(&source, "play lang:rus", 1000);
    is_heard(&source, "audio lang:ger", 3000);
    is_heard(&source, "play lang:fra", 300);
}

#[test]
fn a_track_comes_before_a_language() {
    is_heard(&many("tracks_aac.mkv", "aac"), "voice track:3 lang:rus", 3000);
}
