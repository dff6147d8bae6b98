//! Place, device, title, chapters and cover of a source stay with it, in a copy as in a conversion.

use std::path::PathBuf;

use super::plays;
use crate::support::clip;

/// What must not stand anywhere in an output.
const CANARIES: [&str; 6] = [
    "+12.3456+045.6789",
    "CanaryPhone",
    "CanaryModel",
    "CanaryTitle",
    "CanaryChapter",
    "CanaryComment",
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

#[track_caller]
fn check(source: &PathBuf, mode: &str) {
    let kept = |path: &PathBuf| -> Vec<&str> {
        let bytes = std::fs::read(path).unwrap();
        let stands = |canary: &&str| bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
        CANARIES.into_iter().filter(stands).collect()
    };
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
