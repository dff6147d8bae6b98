//! The judge can fail: for each promise of the contract an output that breaks it, and the words that say so.

use std::path::{Path, PathBuf};

use super::judge::judge;
use super::source::Source;
use super::tools::{Run, Tool};
use super::verdict::{Expect, Verdict, verdict};
use crate::support::clip;

const TAGS: &str = "-color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range tv";
const CLEAN: &str = "-map_metadata -1 -map_chapters -1 -movflags +faststart";
const BEEPS: &str = "-f lavfi -i aevalsrc=0.5*sin(5529*t)*lt(mod(t+0.3\\,1)\\,0.2):s=48000:d=3";

/// A colourful, moving film of 3 s with a beep each second, a title and a place.
fn film() -> PathBuf {
    clip(
        "proof_film.mov",
        &format!(
            "-f lavfi -i testsrc2=s=320x240:r=25:d=3 {BEEPS} -c:v libx264 -preset veryfast -pix_fmt yuv420p {TAGS} \
             -c:a aac -ac 2 -metadata location=+12.3456+045.6789/ -metadata title=CanaryTitle"
        ),
    )
}

/// Makes an output of `source` by ffmpeg and asks the judge; no `words` mean that it is right.
#[track_caller]
fn check(name: &str, source: &Path, args: &str, words: Option<&str>) {
    let output = clip(&format!("proof_{name}.mp4"), &format!("-i {} {args}", source.display()));
    check_file(source, &output, words);
}

#[track_caller]
fn check_file(source: &Path, output: &Path, words: Option<&str>) {
    let reasons = judge(&Source::of(source).unwrap(), output);
    match words {
        None => assert_eq!(reasons, Vec::<String>::new()),
        Some(words) => assert!(
            reasons.iter().any(|reason| reason.contains(words)),
            "`{words}` not in {reasons:?}"
        ),
    }
}

fn encode(more: &str) -> String {
    format!("-c:v libx264 -preset veryfast -pix_fmt yuv420p {TAGS} -fps_mode passthrough -c:a aac -ac 2 {CLEAN} {more}")
}

#[test]
fn a_right_output_is_right_whether_copied_or_encoded() {
    check("right_encoded", &film(), &encode(""), None);
    check("right_copied", &film(), &format!("-c copy {CLEAN}"), None);
}

/// As the camera held it, and no matrix that would say so.
fn encoded_without_turning(name: &str, source: &Path) -> PathBuf {
    let args = format!("-noautorotate -i {} {}", source.display(), encode(""));
    let encoded = clip(&format!("proof_{name}_encoded.mp4"), &args);
    let args = format!("-i {} -c copy -metadata:s:v rotate=0 {CLEAN}", encoded.display());
    clip(&format!("proof_{name}.mp4"), &args)
}

#[test]
fn pictures_that_are_turned_wrong_are_found() {
    let turned = clip(
        "proof_180.mov",
        &format!("-i {} -c copy -metadata:s:v:0 rotate=180", film().display()),
    );
    check("turned", &turned, &encode(""), None);
    let upside_down = encoded_without_turning("upside_down", &turned);
    check_file(&turned, &upside_down, Some("pictures differ"));
    check("mirrored", &film(), &encode("-vf hflip"), Some("pictures differ"));
    let quarter = clip(
        "proof_90.mov",
        &format!("-i {} -c copy -metadata:s:v:0 rotate=90", film().display()),
    );
    check("quarter", &quarter, &encode(""), None);
    let lying = encoded_without_turning("lying", &quarter);
    check_file(&quarter, &lying, Some("shown as"));
    let kept = clip(
        "proof_kept.mp4",
        &format!(
            "-noautorotate -i {} {}",
            quarter.display(),
            encode("-metadata:s:v rotate=90")
        ),
    );
    check_file(&quarter, &kept, Some("re-encoded pictures have a display matrix"));
}

#[test]
fn a_lost_range_a_wrong_matrix_and_missing_tags_are_found() {
    let full = clip(
        "proof_full.mp4",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=1 -c:v libx264 -pix_fmt yuvj420p \
         -color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range pc",
    );
    check("range_kept", &full, &encode("-vf scale=in_range=pc:out_range=tv"), None);
    let claimed = clip(
        "proof_range_claimed.mp4",
        &format!(
            "-i {} -c copy -bsf:v h264_metadata=video_full_range_flag=0 {CLEAN}",
            full.display()
        ),
    );
    check_file(&full, &claimed, Some("contrast is"));
    check(
        "matrix",
        &film(),
        &encode("-vf scale=in_color_matrix=bt709:out_color_matrix=bt601"),
        Some("pictures differ"),
    );
    let untagged = encode("").replace(
        TAGS,
        "-bsf:v h264_metadata=colour_primaries=2:transfer_characteristics=2:matrix_coefficients=2",
    );
    check(
        "untagged",
        &film(),
        &untagged,
        Some("colour tags missing: primaries, transfer, matrix"),
    );
}

#[test]
fn a_lost_frame_and_a_late_frame_are_found() {
    check(
        "lost",
        &film(),
        &encode("-vf select=not(eq(n\\,30))"),
        Some("74 frames, the source has 75"),
    );
    check(
        "late",
        &film(),
        &encode("-vf tpad=start=1:start_mode=clone,trim=end_frame=75"),
        Some("frames are one off"),
    );
    check("slow", &film(), &encode("-vf setpts=PTS*1.05"), Some("off its time"));
    check(
        "doubled",
        &film(),
        &encode("-r 50 -fps_mode cfr"),
        Some("frames, the source has 75"),
    );
}

#[test]
fn sound_that_is_shifted_silent_or_loud_is_found() {
    let source = film();
    let path = source.display();
    let late = clip(
        "proof_late_sound.mp4",
        &format!("-i {path} -itsoffset 0.2 -i {path} -map 0:v -map 1:a {}", encode("")),
    );
    check_file(&source, &late, Some("after the picture, in the source +0.000 s"));
    check(
        "padded",
        &source,
        &encode("-af adelay=200|200"),
        Some("sound is +0.200 s off at the beginning"),
    );
    check("silent", &source, &encode("-af volume=0"), Some("it is silent"));
    check(
        "loud",
        &source,
        &encode("-af volume=0.3"),
        Some("dB against the source"),
    );
    check("no_sound", &source, &encode("-an"), Some("0 audio streams, 1 wanted"));
}

#[test]
fn a_picture_that_starts_late_is_found() {
    let source = clip("proof_no_sound.mp4", &format!("-i {} -an -c copy", film().display()));
    let late = clip(
        "proof_starts_late.mp4",
        &format!("-itsoffset 0.5 -i {} {}", source.display(), encode("")),
    );
    check_file(&source, &late, Some("s, not at 0"));
}

#[test]
fn metadata_of_the_source_is_found() {
    let kept = encode("").replace(CLEAN, "-movflags +faststart");
    check("gps", &film(), &kept, Some("metadata kept: location"));
    check("title", &film(), &kept, Some("the source's title stands in the file"));
}

#[test]
fn moov_at_the_end_other_codecs_and_other_streams_are_found() {
    check(
        "moov",
        &film(),
        &encode("").replace("-movflags +faststart", ""),
        Some("moov does not come before mdat"),
    );
    check(
        "yuv444",
        &film(),
        &encode("").replace("yuv420p", "yuv444p"),
        Some("pixel format is yuv444p"),
    );
    check(
        "mpeg4",
        &film(),
        &encode("").replace("libx264", "mpeg4"),
        Some("video is mpeg4"),
    );
    check(
        "mp3",
        &film(),
        &encode("").replace("aac", "libmp3lame"),
        Some("audio is mp3"),
    );
    check("fast", &film(), &encode("-vf fps=120"), Some("fps (limit 60)"));
    let cover = clip("proof_cover.png", "-f lavfi -i color=red:s=64x64 -frames:v 1");
    let args = format!(
        "-i {} -map 0 -map 1 {} -c:v:1 png -disposition:v:1 attached_pic",
        cover.display(),
        encode("")
    );
    check("cover", &film(), &args, Some("cover art"));
}

#[test]
fn a_squashed_shape_and_a_needless_size_are_found() {
    let wide = clip(
        "proof_sar.mov",
        &format!("-f lavfi -i testsrc2=s=320x240:r=25:d=1 -vf setsar=2 -c:v libx264 -pix_fmt yuv420p {TAGS}"),
    );
    check("wide", &wide, &encode("-vf scale=640:240,setsar=1"), None);
    check(
        "squashed",
        &wide,
        &encode("-vf setsar=1"),
        Some("shown as 320x240, the source as 640.0x240.0"),
    );
    check("not_square", &wide, &encode(""), Some("pixels are not square (2:1)"));
    check("small", &film(), &encode("-vf scale=160:120"), Some("shown as 160x120"));
    check("large", &film(), &encode("-vf scale=640:480"), Some("shown as 640x480"));
}

#[test]
fn washed_out_high_dynamic_range_is_found() {
    let hdr = clip(
        "proof_hdr.mp4",
        "-f lavfi -i testsrc2=s=320x240:r=10:d=1 -vf format=yuv420p10le,lutyuv=y=64+(val-64)*0.6 -c:v libx265 \
         -x265-params colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:log-level=none \
         -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc -color_range tv",
    );
    let mapped = "-vf zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0,\
                  zscale=t=bt709:m=bt709:r=tv,format=yuv420p";
    check("mapped", &hdr, &encode(mapped), None);
    check(
        "washed_out",
        &hdr,
        &encode("-vf setparams=color_trc=bt709:color_primaries=bt709:colorspace=bt709"),
        Some("washed out"),
    );
}

#[test]
fn combing_is_found() {
    let interlaced = clip(
        "proof_interlaced.ts",
        "-f lavfi -i smptebars=s=720x576:r=50:d=2 -vf scroll=h=0.01,tinterlace=interleave_top,fieldorder=tff \
         -pix_fmt yuv420p -c:v mpeg2video -q:v 3 -flags +ildct+ilme -color_primaries bt709 -color_trc bt709 -colorspace bt709",
    );
    check("deinterlaced", &interlaced, &encode("-vf bwdif=send_frame"), None);
    check("combed", &interlaced, &encode("-vf setfield=prog"), Some("combing"));
}

#[test]
fn an_output_that_breaks_on_the_way_is_found() {
    let whole = clip("proof_whole.mp4", &format!("-i {} {}", film().display(), encode("")));
    let broken = whole.with_file_name("proof_broken.mp4");
    let mut bytes = std::fs::read(&whole).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 2000].fill(0xff);
    std::fs::write(&broken, bytes).unwrap();
    check_file(&film(), &broken, Some("it does not decode to the end"));
    std::fs::write(&broken, "no film").unwrap();
    check_file(&film(), &broken, Some("it does not open"));
}

#[test]
fn a_refusal_that_is_not_clean_is_found() {
    let none = Path::new("/nonexistent");
    let refused = |expect, code, stderr: &str, left: &[String]| {
        let run = Run {
            code: Some(code),
            stderr: stderr.to_owned(),
            seconds: 0.0,
            report: None,
        };
        verdict(expect, Tool::Kadr, &run, none, none, left)
    };
    let words = "error: encrypted content cannot be converted\nhint: only a copy without protection can be converted\n";
    assert_eq!(refused(Expect::Refuse, 3, words, &[]), Verdict::Refused);
    assert_eq!(refused(Expect::Either, 3, words, &[]), Verdict::Refused);
    for (expect, code, stderr, left) in [
        (Expect::Play, 3, words, vec![]),
        (Expect::Refuse, 1, words, vec![]),
        (Expect::Refuse, 101, "thread 'main' panicked\n", vec![]),
        (Expect::Refuse, 3, "", vec![]),
        (Expect::Refuse, 3, words, vec!["out.part".to_owned()]),
        (Expect::Either, 124, words, vec![]),
    ] {
        let found = refused(expect, code, stderr, &left);
        assert!(
            matches!(found, Verdict::Wrong(_)),
            "{expect:?} {code} {stderr:?} {left:?}"
        );
    }
}
