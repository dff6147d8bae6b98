//! Presets that promise a codec: hevc, av1, audio and voice.

use kadr::media::report::{Action, Mode};

use super::{about, level_db, make, number};
use crate::support::{clip, decoded_frames, md5s, playable_mkv};

#[test]
fn hevc_is_main_with_8_bits_and_the_tag_that_apple_wants() {
    let source = clip(
        "deep.mkv",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=1 -f lavfi -i sine=r=44100:d=1 -c:v libx265 -x265-params log-level=1 \
         -pix_fmt yuv420p10le -c:a mp3",
    );
    let made = make(&source, "hevc");
    assert_eq!(
        about(
            &made.output,
            "v:0",
            "stream=codec_name,profile,codec_tag_string,pix_fmt"
        ),
        ["hevc|Main|hvc1|yuv420p"]
    );
    assert_eq!(about(&made.output, "a:0", "stream=codec_name,profile"), ["aac|LC"]);
    assert_eq!(decoded_frames(&made.output), 25);
}

#[test]
fn hevc_that_fits_is_copied_with_that_tag() {
    let source = clip(
        "hev1.mp4",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=1 -c:v libx265 -x265-params log-level=1 -pix_fmt yuv420p -tag:v hev1",
    );
    let made = make(&source, "hevc");
    assert_eq!(made.report.video, Action::Copy, "{:?}", made.report.reasons);
    assert_eq!(about(&made.output, "v:0", "stream=codec_tag_string"), ["hvc1"]);
    assert_eq!(decoded_frames(&made.output), 25);
}

#[test]
fn av1_is_main_with_8_bits() {
    let made = make(&playable_mkv(), "av1");
    assert_eq!(
        about(
            &made.output,
            "v:0",
            "stream=codec_name,profile,codec_tag_string,pix_fmt"
        ),
        ["av1|Main|av01|yuv420p"]
    );
    assert_eq!(decoded_frames(&made.output), 75);
}

#[test]
fn audio_copies_aac_packet_for_packet() {
    let source = playable_mkv();
    let made = make(&source, "audio");
    assert_eq!((made.report.mode, made.report.audio), (Mode::Remux, Action::Copy));
    let copied = md5s(&made.output, "0:a:0", &["-c", "copy"]);
    assert!(copied.len() > 100);
    assert_eq!(copied, md5s(&source, "0:a:0", &["-c", "copy"]));
    assert_eq!(about(&made.output, "v", "stream=codec_name"), [""; 0]);
    assert_eq!(about(&made.output, "a:0", "format_tags=major_brand"), ["M4A "]);
}

#[test]
fn audio_encodes_mp3_as_aac_of_the_same_length() {
    let source = clip(
        "sound.avi",
        "-f lavfi -i testsrc2=s=160x120:r=25:d=3 -f lavfi -i sine=f=1000:r=44100:d=3 -c:v mpeg4 -c:a mp3 -ac 2",
    );
    let made = make(&source, "audio");
    assert_eq!(made.report.audio, Action::Encode);
    assert_eq!(
        about(&made.output, "a:0", "stream=codec_name,profile,sample_rate,channels"),
        ["aac|LC|44100|2"]
    );
    let length = number(&made.output, "a:0", "stream=duration");
    assert!((length - 3.0).abs() < 0.1, "{length} s");
    assert!(level_db(&made.output, 1000) > -30.0);
}

#[test]
fn voice_is_opus_in_ogg_with_one_channel_at_48_khz() {
    let source = clip(
        "two_sides.mkv",
        "-f lavfi -i testsrc2=s=160x120:r=25:d=3 -f lavfi -i sine=f=300:r=44100:d=3 -f lavfi -i sine=f=3000:r=44100:d=3 \
         -filter_complex [1:a][2:a]amerge -c:v mpeg4 -c:a mp3",
    );
    let made = make(&source, "voice");
    assert_eq!(
        about(&made.output, "a:0", "stream=codec_name,sample_rate,channels"),
        ["opus|48000|1"]
    );
    assert_eq!(about(&made.output, "v", "stream=codec_name"), [""; 0]);
    assert_eq!(about(&made.output, "a:0", "format=format_name"), ["ogg"]);
    let length = number(&made.output, "a:0", "format=duration");
    assert!((length - 3.0).abs() < 0.1, "{length} s");
    for hertz in [300, 3000] {
        let level = level_db(&made.output, hertz);
        assert!(level > -35.0, "both sides are heard: {level} dB at {hertz} Hz");
    }
}
