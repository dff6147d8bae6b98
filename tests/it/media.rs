//! The engine, judged by ffprobe and ffmpeg.

use std::path::Path;
use std::time::{Duration, Instant};

use kadr::media::report::{Action, Mode};
use kadr::media::{Caps, Control, Limits, MediaError, Preset, Refusal, Report, convert};

use crate::support::{clip, decoded_frames, ffprobe, long_clip, md5s, pixel, playable_mkv, shipped_clip};

fn run(input: &Path, preset: Preset) -> (Report, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.mp4");
    let report = convert(
        input,
        &output,
        &preset.into(),
        &Caps::default(),
        &Limits::default(),
        &Control::new(None),
    )
    .unwrap();
    (report, folder)
}

fn refuse(input: &Path) -> Refusal {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.mp4");
    let error = convert(
        input,
        &output,
        &Preset::Play.into(),
        &Caps::default(),
        &Limits::default(),
        &Control::new(None),
    )
    .unwrap_err();
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is left behind"
    );
    match error {
        MediaError::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_playable_matroska_is_remuxed_and_decodes_to_the_same_frames() {
    let source = playable_mkv();
    let (report, _folder) = run(&source, Preset::Play);
    assert_eq!(
        (report.mode, report.video, report.audio),
        (Mode::Remux, Action::Copy, Action::Copy)
    );
    let pictures = md5s(&report.output, "0:v:0", &[]);
    assert_eq!((pictures.len(), pictures), (75, md5s(&source, "0:v:0", &[])));
    // Packet by packet; beside the first one's data the hash has how much of it is priming, which is not played.
    let packets = md5s(&report.output, "0:a:0", &["-c", "copy"]);
    assert_eq!(packets.len(), 142);
    assert_eq!(packets[1..], md5s(&source, "0:a:0", &["-c", "copy"])[1..]);
}

#[test]
fn an_mpeg2_clip_becomes_h264_with_every_frame() {
    let (report, _folder) = run(&shipped_clip(), Preset::Play);
    assert_eq!(report.mode, Mode::Transcode);
    assert_eq!(decoded_frames(&report.output), 249);
    let facts = ffprobe(
        &report.output,
        "stream=codec_name,profile,pix_fmt,sample_aspect_ratio,color_range,color_space",
    );
    let lines: Vec<&str> = facts.lines().collect();
    assert_eq!(
        lines,
        [
            "codec_name=h264|profile=High|sample_aspect_ratio=1:1|pix_fmt=yuv420p|color_range=tv|color_space=smpte170m",
            "codec_name=aac|profile=LC"
        ]
    );
}

#[test]
fn sound_that_does_not_fit_is_converted_beside_copied_video() {
    let source = clip(
        "pcm.mov",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=2 -f lavfi -i sine=r=48000:d=2 -c:v libx264 -pix_fmt yuv420p -c:a pcm_s16le",
    );
    let (report, _folder) = run(&source, Preset::Play);
    assert_eq!(
        (report.mode, report.video, report.audio),
        (Mode::Partial, Action::Copy, Action::Encode)
    );
    assert_eq!(md5s(&report.output, "0:v:0", &[]), md5s(&source, "0:v:0", &[]));
}

#[test]
fn odd_sizes_become_even_and_a_film_without_sound_stays_without() {
    let source = clip(
        "odd.webm",
        "-f lavfi -i testsrc2=s=161x121:r=25:d=1 -c:v libvpx-vp9 -pix_fmt yuv420p",
    );
    let (report, _folder) = run(&source, Preset::Play);
    assert_eq!(
        ffprobe(&report.output, "stream=codec_name,width,height"),
        "codec_name=h264|width=160|height=120\n"
    );
}

#[test]
fn pixels_that_are_not_square_are_made_square() {
    let source = clip(
        "sar.mpg",
        "-f lavfi -i testsrc2=s=720x576:r=25:d=1 -vf setsar=64/45 -c:v mpeg2video -aspect 16:9",
    );
    let (report, _folder) = run(&source, Preset::Play);
    assert_eq!((report.width, report.height), (1024, 576));
}

#[test]
fn a_large_portrait_film_is_scaled_by_its_long_edge() {
    let source = clip(
        "portrait.webm",
        "-f lavfi -i testsrc2=s=1200x2160:r=5:d=1 -c:v libvpx -b:v 1M",
    );
    let (report, _folder) = run(&source, Preset::Play);
    assert_eq!((report.width, report.height), (1066, 1920));
    let (report, _folder) = run(&source, Preset::Small);
    assert_eq!(report.width, 720);
}

#[test]
fn transparent_parts_are_black_and_opaque_ones_keep_their_colour() {
    let source = clip(
        "alpha.mov",
        "-f lavfi -i color=red:s=160x120:r=10:d=1,format=rgba,geq=r=255:g=0:b=0:a='if(lt(X,80),0,255)' -c:v qtrle",
    );
    let (report, _folder) = run(&source, Preset::Play);
    let (left, right) = (pixel(&report.output, 20, 60), pixel(&report.output, 140, 60));
    assert!(left.iter().all(|&value| value < 24), "{left:?}");
    assert!(right[0] > 200 && right[1] < 50 && right[2] < 50, "{right:?}");
}

#[test]
fn no_metadata_of_the_source_comes_through() {
    let source = clip(
        "gps.mov",
        "-f lavfi -i testsrc2=s=160x120:r=10:d=1 -c:v libx264 -pix_fmt yuv420p \
         -metadata location=+12.3456+045.6789/ -metadata make=CanaryPhone -metadata title=CanaryTitle",
    );
    let (report, _folder) = run(&source, Preset::Play);
    let bytes = std::fs::read(&report.output).unwrap();
    for canary in ["+12.3456", "CanaryPhone", "CanaryTitle"] {
        assert!(
            !bytes.windows(canary.len()).any(|window| window == canary.as_bytes()),
            "{canary}"
        );
    }
}

#[test]
fn hostile_and_empty_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret.mkv");
    std::fs::copy(playable_mkv(), &secret).unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let concat = write(
        "concat.mp4",
        format!("ffconcat version 1.0\nfile '{}'\n", secret.display()),
    );
    let list = write(
        "list.mp4",
        format!("#EXTM3U\n#EXTINF:3,\nfile://{}\n#EXT-X-ENDLIST\n", secret.display()),
    );
    let empty = write("empty.mp4", String::new());
    for file in [concat, list, empty] {
        assert_eq!(refuse(&file), Refusal::NotMedia, "{}", file.display());
    }
}

#[test]
fn a_picture_over_the_limit_is_refused_with_both_values() {
    let source = playable_mkv();
    let limits = Limits {
        pixels_max: 1000,
        ..Limits::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let error = convert(
        &source,
        &folder.path().join("o.mp4"),
        &Preset::Play.into(),
        &Caps::default(),
        &limits,
        &Control::new(None),
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "picture is 320x240 (limit 1000 pixels)");
}

#[test]
fn a_cancel_is_heard_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let control = Control::new(None);
    let canceller = control.clone();
    let raised = std::thread::spawn(move || {
        while canceller.gauge().read().frames == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        canceller.cancel();
        Instant::now()
    });
    let output = folder.path().join("o.mp4");
    let error = convert(
        &long_clip(),
        &output,
        &Preset::Play.into(),
        &Caps::default(),
        &Limits::default(),
        &control,
    )
    .unwrap_err();
    assert!(matches!(error, MediaError::Canceled), "{error:?}");
    assert!(raised.join().unwrap().elapsed() < Duration::from_secs(5));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_time_limit_is_kept_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let control = Control::new(Some(Duration::from_secs(1)));
    let output = folder.path().join("o.mp4");
    let error = convert(
        &long_clip(),
        &output,
        &Preset::Play.into(),
        &Caps::default(),
        &Limits::default(),
        &control,
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "time limit of 1 s reached");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
