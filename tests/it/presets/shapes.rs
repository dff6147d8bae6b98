//! Presets that promise a shape: note, gif, sticker and sheet.

use std::path::Path;

use kadr::media::report::Action;

use super::{about, colour, make, number, pictures, shown_s, size_bytes, times};
use crate::support::{clip, decoded_frames, playable_mkv};

/// Green with a red side, a blue side and a white middle, all symmetric.
fn sided(name: &str, size: &str, rate: u32, length_s: u32) -> std::path::PathBuf {
    let long = "max(W,H)";
    let along = "if(gt(W,H),X,Y)";
    let side = format!("lt({along},({long}-min(W,H))/2-2)");
    let other = format!("gt({along},({long}+min(W,H))/2+1)");
    let middle = "lt(hypot(X-W/2,Y-H/2),min(W,H)/8)";
    clip(
        name,
        &format!(
            "-f lavfi -i color=black:s={size}:r={rate}:d={length_s},format=gbrp,\
             geq=r='255*min(1,{side}+{middle})':g='255*(1-{side}-{other})':b='255*min(1,{other}+{middle})' \
             -f lavfi -i sine=r=48000:d={length_s} -c:v libvpx -b:v 1M -deadline realtime -cpu-used 8 -c:a libopus"
        ),
    )
}

/// A square of this edge with the middle of the picture and nothing of its sides.
#[track_caller]
fn is_round_video(source: &Path, edge: u32) {
    let made = make(source, "note");
    let fact = |entry: &str| number(&made.output, "v:0", entry);
    assert_eq!(
        (fact("stream=width"), fact("stream=height")),
        (f64::from(edge), f64::from(edge))
    );
    assert_eq!(
        about(&made.output, "v:0", "stream=codec_name,pix_fmt"),
        ["h264|yuv420p"]
    );
    assert_eq!(about(&made.output, "a:0", "stream=codec_name"), ["aac"]);
    let picture = &pictures(&made.output, (32, 32), "rgb24", &[])[0];
    let at = |x: usize, y: usize| colour(&picture[(y * 32 + x) * 3..][..3]);
    assert_eq!(at(16, 16), "white", "the middle stays the middle");
    for (x, y) in [(1, 16), (30, 16), (16, 1), (16, 30), (1, 1), (30, 30)] {
        assert_eq!(at(x, y), "green", "at {x},{y} of 32: neither side is seen");
    }
}

#[test]
fn note_is_a_square_cut_from_the_middle() {
    is_round_video(&sided("sided_small.webm", "320x180", 10, 1), 384);
    is_round_video(&sided("sided_tall.webm", "500x900", 10, 1), 500);
    is_round_video(&sided("sided_large.webm", "1280x720", 10, 1), 640);
}

#[test]
fn note_ends_after_a_minute() {
    let source = clip(
        "over_a_minute.mkv",
        "-f lavfi -i testsrc2=s=128x96:r=10:d=64 -f lavfi -i sine=r=48000:d=64 -c:v mpeg4 -c:a mp3",
    );
    let made = make(&source, "note");
    let length = number(&made.output, "v:0", "format=duration");
    assert!((59.8..=60.0).contains(&length), "{length} s");
    let frames = decoded_frames(&made.output);
    assert!((599..=600).contains(&frames), "{frames} frames");
}

#[test]
fn gif_is_a_silent_mp4() {
    let copied = make(&playable_mkv(), "gif");
    assert_eq!((copied.report.video, copied.report.audio), (Action::Copy, Action::None));
    let source = clip(
        "turning.gif",
        "-f lavfi -i testsrc2=s=161x121:r=10:d=2 -filter_complex split[a][b];[a]palettegen[p];[b][p]paletteuse",
    );
    let encoded = make(&source, "gif");
    for (made, frames) in [(&copied, 75), (&encoded, 20)] {
        assert_eq!(about(&made.output, "a", "stream=codec_name"), [""; 0]);
        assert_eq!(
            about(&made.output, "v:0", "stream=codec_name,pix_fmt"),
            ["h264|yuv420p"]
        );
        assert_eq!(
            about(&made.output, "v:0", "format=format_name"),
            ["mov,mp4,m4a,3gp,3g2,mj2"]
        );
        assert_eq!(decoded_frames(&made.output), frames);
    }
    assert!((shown_s(&encoded.output) - 2.0).abs() < 0.05);
}

/// The terms of core.telegram.org/stickers.
#[track_caller]
fn is_sticker(path: &Path, size: (f64, f64)) {
    let fact = |entry: &str| number(path, "v:0", entry);
    assert_eq!((fact("stream=width"), fact("stream=height")), size);
    assert_eq!(about(path, "v:0", "format=format_name"), ["matroska,webm"]);
    assert_eq!(about(path, "v:0", "stream=codec_name,profile"), ["vp9|Profile 0"]);
    assert_eq!(about(path, "a", "stream=codec_name"), [""; 0]);
    let bytes = size_bytes(path);
    assert!(bytes <= 262_144, "{bytes} bytes");
    let length = fact("format=duration");
    assert!(length <= 3.0, "{length} s");
    let times = times(path);
    let closest = times.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::MAX, f64::min);
    // WebM counts milliseconds.
    assert!(closest >= 0.032, "{closest} s between pictures");
    let shown = shown_s(path);
    assert!(shown <= 3.002, "{shown} s");
}

#[test]
fn sticker_keeps_what_is_transparent() {
    let source = clip(
        "cut_out.mov",
        "-f lavfi -i color=red:s=600x400:r=25:d=1,format=rgba,geq=r=255:g=0:b=0:a='if(lt(X,300),0,255)' -c:v qtrle",
    );
    let made = make(&source, "sticker");
    is_sticker(&made.output, (512.0, 342.0));
    let picture = &pictures(&made.output, (8, 8), "rgba", &["-c:v", "libvpx-vp9"])[0];
    let at = |x: usize| &picture[(4 * 8 + x) * 4..][..4];
    assert!(at(1)[3] < 16, "{:?}", at(1));
    assert!(at(6)[3] > 239, "{:?}", at(6));
    assert_eq!(colour(&at(6)[..3]), "red");
}

#[test]
fn sticker_holds_a_long_fast_noisy_film_within_its_limits() {
    let source = clip(
        "wild.mkv",
        "-f lavfi -i testsrc2=s=270x480:r=60:d=4,noise=alls=60:allf=t -f lavfi -i sine=r=48000:d=4 -c:v mpeg4 -q:v 4 -c:a mp3",
    );
    let made = make(&source, "sticker");
    is_sticker(&made.output, (288.0, 512.0));
    let frames = decoded_frames(&made.output);
    assert!((89..=90).contains(&frames), "{frames} frames of 3 s at 30");
}

#[test]
fn sticker_scales_a_small_picture_up() {
    let source = clip(
        "dot.webm",
        "-f lavfi -i testsrc2=s=100x100:r=15:d=1 -c:v libvpx -b:v 1M",
    );
    is_sticker(&make(&source, "sticker").output, (512.0, 512.0));
}

#[test]
fn sheet_shows_16_pictures_in_the_order_of_their_times() {
    let source = clip(
        "steps.mkv",
        "-f lavfi -i color=black:s=320x180:r=10:d=16,format=yuv420p,geq=lum='24+12*floor(T)':cb=128:cr=128 \
         -c:v libx264 -pix_fmt yuv420p -g 40 -bf 2",
    );
    let made = make(&source, "sheet");
    assert_eq!(about(&made.output, "v:0", "stream=codec_name"), ["mjpeg"]);
    let sheet = pictures(&made.output, (16, 16), "gray", &[]);
    let [sheet] = &sheet[..] else {
        panic!("{} pictures", sheet.len())
    };
    for cell in 0..16 {
        let (column, row) = (cell % 4, cell / 4);
        let found = f64::from(sheet[(row * 4 + 2) * 16 + column * 4 + 2]);
        let wanted = (24.0 + 12.0 * cell as f64 - 16.0) * 255.0 / 219.0;
        assert!(
            (found - wanted).abs() < 5.0,
            "picture {cell} is {found}, its second is {wanted}"
        );
    }
}

#[test]
fn sheet_of_a_part_shows_that_part() {
    let source = clip(
        "steps.mkv",
        "-f lavfi -i color=black:s=320x180:r=10:d=16,format=yuv420p,geq=lum='24+12*floor(T)':cb=128:cr=128 \
         -c:v libx264 -pix_fmt yuv420p -g 40 -bf 2",
    );
    let made = make(&source, "sheet trim:8-12");
    let sheet = &pictures(&made.output, (16, 16), "gray", &[])[0];
    for cell in 0..16 {
        let found = f64::from(sheet[(cell / 4 * 4 + 2) * 16 + cell % 4 * 4 + 2]);
        let wanted = (24.0 + 12.0 * (8 + cell / 4) as f64 - 16.0) * 255.0 / 219.0;
        assert!(
            (found - wanted).abs() < 5.0,
            "picture {cell} is {found}, its second is {wanted}"
        );
    }
}
