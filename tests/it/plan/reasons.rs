//! Why a stream is not copied, in words, one change of a film that plays at a time.

use kadr::media::info::{Audio, Colour, Kind, MediaInfo, Orientation, Rational, Video};
use kadr::media::plan::plan;
use kadr::media::report::Action;
use kadr::media::{Caps, Recipe};

use super::film;

/// The reasons of the first way for a film that was changed.
fn reasons(recipe: &str, change: impl FnOnce(&mut MediaInfo)) -> (Action, Action, Vec<String>) {
    let mut info = film();
    change(&mut info);
    let recipe: Recipe = recipe.parse().unwrap();
    let ways = plan(&info, &recipe, &Caps::default()).unwrap();
    (ways[0].video_action(), ways[0].audio_action(), ways[0].reasons.clone())
}

fn picture(change: impl FnOnce(&mut Video)) -> impl FnOnce(&mut MediaInfo) {
    |info| {
        if let Kind::Video(video) = &mut info.streams[0].kind {
            change(video);
        }
    }
}

fn sound(change: impl FnOnce(&mut Audio)) -> impl FnOnce(&mut MediaInfo) {
    |info| {
        if let Kind::Audio(audio) = &mut info.streams[1].kind {
            change(audio);
        }
    }
}

/// The picture is encoded for this reason, and the sound is copied.
#[track_caller]
fn check(change: impl FnOnce(&mut Video), reason: &str) {
    let (video, audio, reasons) = reasons("play", picture(change));
    assert_eq!((video, audio), (Action::Encode, Action::Copy), "{reasons:?}");
    assert_eq!(reasons[0], format!("video encoded: {reason}"));
}

/// The sound is encoded for this reason, and the picture is copied.
#[track_caller]
fn check_sound(change: impl FnOnce(&mut Audio), reason: &str) {
    let (video, audio, reasons) = reasons("play", sound(change));
    assert_eq!((video, audio), (Action::Copy, Action::Encode), "{reasons:?}");
    assert_eq!(reasons[1], format!("audio encoded: {reason}"));
}

/// The picture is encoded for this wish, though it plays.
#[track_caller]
fn check_wish(recipe: &str, reason: &str) {
    let (video, _, reasons) = reasons(recipe, |_| ());
    assert_eq!(video, Action::Encode, "{reasons:?}");
    assert!(reasons[0].ends_with(reason), "{reasons:?}");
}

#[test]
fn a_film_that_plays_is_copied() {
    for recipe in [
        "play",
        "best",
        "fit:5M",
        "gif",
        "play height:720",
        "play fps:25",
        "play mute",
    ] {
        let (video, audio, reasons) = reasons(recipe, |_| ());
        assert_eq!(video, Action::Copy, "{recipe}: {reasons:?}");
        assert_ne!(audio, Action::Encode, "{recipe}: {reasons:?}");
        assert_eq!(reasons[0], "video copied: H.264 High 4.0, 8-bit 4:2:0");
    }
}

#[test]
fn a_turned_picture_is_copied_with_its_turn() {
    let (video, _, reasons) = reasons("play", picture(|video| video.orientation = Orientation::Clockwise));
    assert_eq!(video, Action::Copy, "{reasons:?}");
}

#[test]
fn a_codec_or_profile_that_does_not_play_everywhere_is_encoded() {
    check(
        |video| (video.codec, video.profile) = ("mpeg2video".to_owned(), "Main".to_owned()),
        "MPEG-2 Main does not play everywhere",
    );
    check(
        |video| video.profile = "High 10".to_owned(),
        "H.264 High 10 4.0 does not play everywhere",
    );
    check(
        |video| (video.profile, video.pixel_format, video.bits) = ("High".to_owned(), "yuv420p10le".to_owned(), 10),
        "yuv420p10le is not 8-bit 4:2:0",
    );
    check(
        |video| (video.chroma_420, video.pixel_format) = (false, "yuv444p".to_owned()),
        "yuv444p is not 8-bit 4:2:0",
    );
    check(|video| video.level = 52, "level 5.2 is above 5.1");
}

#[test]
fn colours_that_players_show_wrong_are_encoded() {
    let washed_out = "its range of colours looks washed out on most screens";
    check(|video| video.colour.transfer = Colour::PQ, washed_out);
    check(|video| video.colour.transfer = Colour::HLG, washed_out);
    check(|video| video.colour.primaries = 9, washed_out);
    check(|video| video.dolby_vision = Some(8), washed_out);
    check(
        |video| video.colour.full_range = true,
        "it uses the full range, which many players show wrong",
    );
    check(|video| video.interlaced = true, "it is interlaced");
    check(|video| video.alpha = true, "it is transparent in places");
}

#[test]
fn shapes_that_do_not_fit_are_encoded() {
    check(
        |video| video.sar = Rational { num: 64, den: 45 },
        "its pixels are not square (64:45)",
    );
    check(|video| video.width = 1279, "1279x720 is not an even size");
    check(
        |video| (video.width, video.height) = (2560, 1440),
        "2560x1440 is larger than the preset allows",
    );
    check(|video| video.fps = 120.0, "120 fps is more than 60");
}

#[test]
fn rates_a_little_above_the_limit_are_copied() {
    let (video, _, reasons) = reasons("play", picture(|video| video.fps = 60.2));
    assert_eq!(video, Action::Copy, "{reasons:?}");
}

#[test]
fn times_that_cannot_be_copied_are_encoded() {
    check(|video| video.has_pts = false, "its container has no presentation times");
    check(|video| video.starts_on_key = false, "it does not start on a key frame");
    let (_, _, reasons) = reasons("play", |info| info.container = "avi".to_owned());
    assert_eq!(reasons[0], "video encoded: its container has no presentation times");
    let (_, _, reasons) = self::reasons("play", |info| {
        (info.container, info.discontinuous) = ("mpeg".to_owned(), true);
    });
    assert_eq!(reasons[0], "video encoded: its clock may start anew in the middle");
}

#[test]
fn sound_that_does_not_play_everywhere_is_encoded() {
    check_sound(
        |audio| (audio.codec, audio.profile) = ("ac3".to_owned(), String::new()),
        "AC-3 does not play everywhere",
    );
    check_sound(
        |audio| audio.profile = "HE-AAC".to_owned(),
        "AAC HE-AAC does not play everywhere",
    );
    check_sound(|audio| audio.channels = 6, "6 channels are more than 2");
    check_sound(
        |audio| audio.sample_rate = 96_000,
        "96000 Hz is not within 8000 to 48000 Hz",
    );
}

#[test]
fn what_is_asked_for_is_said() {
    check_wish("small", "a smaller file was asked for");
    check_wish("note", "a round video was asked for");
    check_wish("sticker", "a sticker was asked for");
    check_wish("sheet", "a sheet of pictures was asked for");
    check_wish("hevc", "it is H.264 High 4.0");
    check_wish("av1", "it is H.264 High 4.0");
    check_wish("play trim:1-2", "a part was asked for, cut to the frame");
    check_wish("play rotate:90", "turned by 90 degrees as asked");
    check_wish("play height:480", "720 lines are more than were asked for");
    check_wish("play fps:15", "25 fps is more than 15");
    check_wish("fit:2M", "3000000 bytes are more than 2000000");
}
