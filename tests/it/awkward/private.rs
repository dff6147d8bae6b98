//! Place, device, title, chapters and cover of a source stay with it, in a copy as in a conversion.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::plays;
use crate::support::clip;

/// What must not stand anywhere in an output.
const CANARIES: [&str; 8] = [
    "+12.3456+045.6789",
    "CanaryPhone",
    "CanaryModel",
    "CanaryTitle",
    "CanaryChapter",
    "CanaryComment",
    "CanaryCamera",
    "CanaryXmp",
];

const TAGS: &str = "-metadata location=+12.3456+045.6789/ -metadata make=CanaryPhone -metadata model=CanaryModel \
                    -metadata title=CanaryTitle -metadata comment=CanaryComment \
                    -metadata creation_time=2020-02-02T02:02:02Z";
const APPLE: &str = "-metadata com.apple.quicktime.location.ISO6709=+12.3456+045.6789+010/ \
                     -metadata com.apple.quicktime.make=CanaryPhone -metadata com.apple.quicktime.model=CanaryModel \
                     -metadata com.apple.quicktime.creationdate=2020-02-02T02:02:02+0300";
const H264: &str = "-c:v libx264 -color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range tv -c:a aac";

fn tagged(name: &str, args: &str) -> PathBuf {
    let chapters =
        clip("private_seed.mkv", "-f lavfi -i color=red:s=64x64:r=5:d=1").with_file_name("private_chapters.txt");
    std::fs::write(
        &chapters,
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=CanaryChapter\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=500\nEND=1000\ntitle=CanaryChapter\n",
    )
    .unwrap();
    clip(
        &format!("private_{name}"),
        &format!(
            "-f lavfi -i testsrc2=s=160x120:r=10:d=1 -f lavfi -i sine=r=48000:d=1 -f ffmetadata -i {} -map 0 -map 1 \
             -map_metadata 2 -map_chapters 2 -pix_fmt yuv420p {args}",
            chapters.display()
        ),
    )
}

fn kept(path: &Path) -> Vec<&'static str> {
    let bytes = std::fs::read(path).unwrap();
    let stands = |canary: &&str| bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
    CANARIES.into_iter().filter(stands).collect()
}

/// A phone's film with all that phones, cameras and editors leave: tags, a chapter, user data in the pictures, an XMP box.
fn told_all() -> PathBuf {
    let source = tagged(
        "all_seed.mov",
        &format!(
            "{H264} {APPLE} -metadata title=CanaryTitle -metadata comment=CanaryComment -movflags use_metadata_tags \
             -bsf:v h264_metadata=sei_user_data=086f3693b7b34f2c965321492feee5b8+CanaryCamera"
        ),
    );
    let mut bytes = std::fs::read(&source).unwrap();
    let xmp = b"<x:xmpmeta>CanaryXmp +12.3456+045.6789</x:xmpmeta>";
    bytes.extend_from_slice(&u32::try_from(8 + 16 + xmp.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(b"uuid");
    // Adobe's number of XMP in ISO files (XMP specification, part 3).
    bytes.extend_from_slice(&0xbe7a_cfcb_97a9_42e8_9c71_9994_91e3_afac_u128.to_be_bytes());
    bytes.extend_from_slice(xmp);
    let path = source.with_file_name("private_all.mov");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[track_caller]
fn check(source: &Path, mode: &str) {
    assert!(
        kept(source).len() >= 4,
        "the source has what must be dropped: {:?}",
        kept(source)
    );
    let made = plays(source);
    assert_eq!(kept(&made.output), Vec::<&str>::new());
    assert_eq!(made.mode(), mode);
}

#[test]
fn a_remux_drops_the_metadata() {
    check(
        &tagged("place.mp4", &format!("{H264} {TAGS} -movflags use_metadata_tags")),
        "remux",
    );
    check(&tagged("place.mov", &format!("{H264} {TAGS}")), "remux");
    check(
        &tagged(
            "apple.mov",
            &format!("{H264} {APPLE} -metadata title=CanaryTitle -movflags use_metadata_tags"),
        ),
        "remux",
    );
    check(
        &tagged(
            "place.mkv",
            &format!("{H264} {TAGS} -metadata:s:v title=CanaryTitle -metadata:s:a title=CanaryComment"),
        ),
        "remux",
    );
}

#[test]
fn no_preset_lets_anything_through() {
    let source = told_all();
    assert_eq!(
        kept(&source).len(),
        CANARIES.len(),
        "the source says all: {:?}",
        kept(&source)
    );
    check(&source, "remux");
    let folder = tempfile::tempdir().unwrap();
    for preset in [
        "play", "small", "best", "hevc", "fit:100K", "audio", "voice", "note", "gif", "sticker", "sheet",
    ] {
        let output = folder.path().join(preset.replace(':', ""));
        let run = Command::new(env!("CARGO_BIN_EXE_kadr"))
            .arg("convert")
            .arg(&source)
            .args(["--preset", preset, "--device", "cpu", "-o"])
            .arg(&output)
            .output()
            .unwrap();
        assert!(
            run.status.success(),
            "{preset}: {}",
            String::from_utf8_lossy(&run.stderr)
        );
        assert_eq!(kept(&output), Vec::<&str>::new(), "{preset}");
    }
}

#[test]
fn the_pictures_of_a_copy_are_those_of_the_source_without_what_a_camera_wrote_in() {
    let source = told_all();
    let made = plays(&source);
    let hashes = |path: &Path| {
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-i"])
            .arg(path)
            .args(["-map", "0:v:0", "-f", "framemd5", "-"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let of = |line: &str| line.rsplit(',').next().map(str::to_owned);
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(of)
            .collect::<Vec<_>>()
    };
    assert_eq!(hashes(&made.output), hashes(&source));
    assert_eq!(hashes(&source).len(), 10);
}

#[test]
fn a_conversion_drops_the_metadata() {
    let mpeg4 = "-c:v mpeg4 -c:a libmp3lame";
    check(&tagged("encode.mov", &format!("{mpeg4} {TAGS}")), "transcode");
    check(&tagged("encode.mkv", &format!("{mpeg4} {TAGS}")), "transcode");
    check(
        &tagged(
            "encode_apple.mov",
            &format!("{mpeg4} {APPLE} -metadata title=CanaryTitle -movflags use_metadata_tags"),
        ),
        "transcode",
    );
}
