//! Parts of a finished file against the whole, judged by ffprobe and ffmpeg: no picture and no sample is lost or twice.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kadr::media::parts::{Part, split};
use kadr::media::{Caps, Control, Limits, MediaError, Recipe, Refusal, convert};

use crate::support::{clip, ffprobe, md5s};

/// Noise, so that pictures have bytes, and a tone.
const PICTURE: &str = "-f lavfi -i testsrc2=s=192x108:r=25:d=20,noise=alls=8:allf=t";
const SOUND: &str = "-f lavfi -i aevalsrc=0.3*sin(2*PI*t*(300+20*t)):s=48000";
/// Without noise substitution, which decoders fill with numbers of their own.
const AAC: &str = "-c:a aac -aac_pns 0";
const H264: &str = "-pix_fmt yuv420p -c:v libx264 -preset veryfast -crf 26";

fn split_all(whole: &Path, folder: &Path, part_bytes_max: u64) -> Result<Vec<Part>, MediaError> {
    split(whole, folder, part_bytes_max, &Limits::default(), &Control::new(None))
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

fn has(path: &Path, kind: &str) -> bool {
    ffprobe(path, "stream=codec_type").contains(kind)
}

fn number(path: &Path, entries: &str) -> f64 {
    let said = ffprobe(path, entries);
    let mut values = said.lines().filter_map(|line| line.split('=').nth(1));
    values
        .find_map(|value| value.trim_end_matches('|').parse().ok())
        .unwrap()
}

/// Every sample that is heard, 16 bits each, all channels.
fn samples(path: &Path) -> Vec<i16> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(path)
        .args(["-map", "0:a:0", "-c:a", "pcm_s16le", "-f", "s16le", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let pairs = output.stdout.chunks_exact(2);
    pairs.map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

fn times(path: &Path, stream: &str) -> Vec<f64> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", stream])
        .args(["-show_entries", "frame=best_effort_timestamp_time", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.trim_end_matches(',').parse().ok())
        .collect()
}

/// Pictures: all, once, in order, at their times.
#[track_caller]
fn check_pictures(whole: &Path, parts: &[Part]) {
    let pictures = |path: &Path| md5s(path, "0:v:0", &["-fps_mode", "passthrough"]);
    let of_parts: Vec<String> = parts.iter().flat_map(|part| pictures(&part.path)).collect();
    assert!(of_parts == pictures(whole), "{} pictures", of_parts.len());
    let of_parts = parts.iter().flat_map(|part| {
        let from_s = part.from_s;
        times(&part.path, "v:0").into_iter().map(move |time| time + from_s)
    });
    let of_parts: Vec<f64> = of_parts.collect();
    let of_whole = times(whole, "v:0");
    assert_eq!(of_parts.len(), of_whole.len());
    let worst = of_parts.iter().zip(&of_whole).map(|(one, other)| (one - other).abs());
    let worst = worst.fold(0.0, f64::max);
    assert!(worst < 0.002, "a picture is {worst} s from its time");
    for part in parts {
        let first = ffprobe(&part.path, "packet=flags,stream_index");
        let first = first.lines().find(|line| line.starts_with("stream_index=0")).unwrap();
        assert!(first.contains("flags=K"), "{first}");
        let begin = times(&part.path, "v:0")[0];
        assert!(begin.abs() < 0.001 || part.from_s == 0.0, "it begins at {begin} s");
    }
}

/// Sound: every sample once, the same as in the whole, and beside its picture.
#[track_caller]
fn check_sound(whole: &Path, parts: &[Part], exact: bool) {
    let of_whole = samples(whole);
    let with_sound: Vec<&Part> = parts.iter().filter(|part| has(&part.path, "audio")).collect();
    let of_parts: Vec<i16> = with_sound.iter().flat_map(|part| samples(&part.path)).collect();
    assert_eq!(of_parts.len(), of_whole.len(), "samples");
    // Noise substitution, which encoders of the world use, is the decoder's own.
    if exact {
        let pairs = of_parts.iter().zip(&of_whole);
        let different = pairs.filter(|(one, other)| one.abs_diff(**other) > 1).count();
        assert_eq!(different, 0, "samples differ");
    }
    // Where the sound of a part begins on the clock of the whole, against the samples before it.
    let (rate, channels) = (number(whole, "stream=sample_rate"), number(whole, "stream=channels"));
    let begin = times(whole, "a:0")[0];
    let mut before = 0;
    for part in &with_sound {
        let heard = times(&part.path, "a:0")[0] + part.from_s;
        let expected = begin + before as f64 / channels / rate;
        assert!(
            (heard - expected).abs() < 0.5 * 1024.0 / rate + 0.002,
            "{heard} {expected}"
        );
        before += samples(&part.path).len();
    }
}

#[track_caller]
fn check_files(whole: &Path, parts: &[Part], part_bytes_max: u64) {
    for (number_of, part) in parts.iter().enumerate() {
        let name = part.path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.contains(&format!(".part{}.", number_of + 1)), "{name}");
        assert!(
            part.bytes == size(&part.path) && part.bytes <= part_bytes_max,
            "{part:?}"
        );
        let bytes = std::fs::read(&part.path).unwrap();
        let at = |name: &[u8]| bytes.windows(4).position(|four| four == name).unwrap();
        assert!(at(b"moov") < at(b"mdat"));
        let told_s = number(&part.path, "format=duration");
        assert!((part.duration_s - told_s).abs() < 0.002, "{part:?} {told_s}");
        let next = parts.get(number_of + 1);
        let end_s = next.map_or(number(whole, "format=duration"), |next| next.from_s);
        let lasts_s = end_s - part.from_s;
        // Sound ends on a whole packet.
        assert!((part.duration_s - lasts_s).abs() < 0.06, "{part:?} lasts {lasts_s}");
    }
    let sum: u64 = parts.iter().map(|part| part.bytes).sum();
    let at_least = usize::try_from(size(whole).div_ceil(part_bytes_max)).unwrap();
    assert!(parts.len() >= at_least && sum < size(whole) + 8_000 * parts.len() as u64);
}

/// A finished file in about so many parts.
#[track_caller]
fn check(source: &Path, recipe: &str, about: u64) -> Vec<u64> {
    check_parts(source, recipe, about, true)
}

/// `exact` where the sound of the source has no noise of the decoder's.
#[track_caller]
fn check_parts(source: &Path, recipe: &str, about: u64, exact: bool) -> Vec<u64> {
    let folder = tempfile::tempdir().unwrap();
    let recipe: Recipe = recipe.parse().unwrap();
    let whole = folder.path().join("whole").with_extension(recipe.preset.extension());
    convert(
        source,
        &whole,
        &recipe,
        &Caps::without_gpus(),
        &Limits::default(),
        &Control::new(None),
    )
    .unwrap();
    let part_bytes_max = size(&whole) / about + size(&whole) / 10;
    let parts = split_all(&whole, folder.path(), part_bytes_max).unwrap();
    assert!(parts.len() >= 2, "{parts:?}");
    check_files(&whole, &parts, part_bytes_max);
    if has(&whole, "video") {
        check_pictures(&whole, &parts);
    }
    if has(&whole, "audio") {
        check_sound(&whole, &parts, exact);
    }
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, parts.len() + 1, "the whole and its parts");
    parts.iter().map(|part| part.bytes).collect()
}

#[test]
fn gops_of_any_length_with_and_without_b_frames_lose_nothing() {
    for (gop, b_frames) in [(10, 0), (25, 3), (50, 2)] {
        let source = clip(
            &format!("parts-{gop}-{b_frames}.mp4"),
            &format!("{PICTURE} {SOUND}:d=20 {H264} -g {gop} -bf {b_frames} {AAC} -ac 2"),
        );
        let sizes = check(&source, "play", 3);
        let (most, least) = (sizes.iter().max().unwrap(), sizes.iter().min().unwrap());
        // One GOP is a tenth of the whole at most.
        assert!(most - least < sizes.iter().sum::<u64>() / 8, "uneven: {sizes:?}");
    }
}

#[test]
fn frames_of_uneven_length_keep_their_times() {
    let source = clip(
        "parts-vfr.mp4",
        &format!(
            "{PICTURE} {SOUND}:d=20 -vf select='not(eq(mod(n\\,7)\\,3))*not(eq(mod(n\\,11)\\,5))' -fps_mode vfr {H264} \
             -g 40 {AAC}"
        ),
    );
    check(&source, "play", 3);
}

#[test]
fn sound_that_is_longer_or_shorter_than_the_pictures_stays_whole() {
    for (name, length) in [("longer", 23), ("shorter", 7)] {
        let source = clip(
            &format!("parts-{name}.mp4"),
            &format!("{PICTURE} {SOUND}:d={length} {H264} -g 25 {AAC}"),
        );
        check(&source, "play", 3);
    }
}

#[test]
fn gops_that_are_not_closed_stay_together() {
    // Open ones of a second each, closed ones at 7 s and 13 s.
    let open = format!("{PICTURE} {SOUND}:d=20 {H264} -bf 3 {AAC} -x264-params open-gop=1:keyint=25:scenecut=0");
    let source = clip(
        "parts-open.mp4",
        &format!("{open} -forced-idr 1 -force_key_frames 7,13"),
    );
    let keys = ffprobe(&source, "packet=flags,stream_index");
    let keys = keys
        .lines()
        .filter(|line| line.contains("flags=K") && line.contains("stream_index=0"));
    assert!(keys.count() >= 15, "it has open GOPs");
    let folder = tempfile::tempdir().unwrap();
    let parts = split_all(&source, folder.path(), size(&source) * 42 / 100).unwrap();
    let begins: Vec<f64> = parts.iter().map(|part| part.from_s).collect();
    assert_eq!(begins, [0.0, 7.0, 13.0]);
    check_pictures(&source, &parts);
    check_sound(&source, &parts, true);
    let refused = split_all(&source, folder.path(), size(&source) / 4).unwrap_err();
    assert!(
        matches!(refused, MediaError::Refused(Refusal::PieceTooLarge { .. })),
        "{refused}"
    );
}

#[test]
fn pictures_alone_sound_alone_and_hevc_are_split_as_well() {
    let source = clip(
        "parts-25-3.mp4",
        &format!("{PICTURE} {SOUND}:d=20 {H264} -g 25 -bf 3 {AAC} -ac 2"),
    );
    check(&source, "play mute", 3);
    check(&source, "audio", 4);
    let hevc = clip(
        "parts-hevc.mp4",
        &format!(
            "{PICTURE} {SOUND}:d=20 -pix_fmt yuv420p -c:v libx265 -preset ultrafast -x265-params \
             log-level=none:keyint=25:min-keyint=25:open-gop=0 -tag:v hvc1 {AAC}"
        ),
    );
    check(&hevc, "hevc", 3);
}

#[test]
#[expect(clippy::print_stdout, reason = "says why it did not run")]
fn samples_from_the_world_lose_nothing() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples/natural");
    for name in ["bbb_trailer_720p_55s.mp4", "bottle_40s.mp4"] {
        let sample: PathBuf = samples.join(name);
        if sample.exists() {
            check_parts(&sample, "play", 2, false);
        } else {
            println!("{name} is not here");
        }
    }
}

#[test]
fn what_cannot_be_had_is_refused_with_value_and_limit_and_leaves_nothing() {
    let source = clip(
        "parts-25-3.mp4",
        &format!("{PICTURE} {SOUND}:d=20 {H264} -g 25 -bf 3 {AAC} -ac 2"),
    );
    let folder = tempfile::tempdir().unwrap();
    let piece = split_all(&source, folder.path(), 10_000).unwrap_err();
    let limit = 10_000;
    assert!(
        matches!(piece, MediaError::Refused(Refusal::PieceTooLarge { size_bytes, limit_bytes })
            if size_bytes > limit && limit_bytes == limit),
        "{piece}"
    );
    let many = split_all(&source, folder.path(), size(&source) / 13).unwrap_err();
    assert!(
        matches!(many, MediaError::Refused(Refusal::TooManyParts { parts, parts_max: 10, .. }) if parts > 10),
        "{many}"
    );
    let control = Control::new(None);
    control.cancel();
    let canceled = split(&source, folder.path(), size(&source) / 2, &Limits::default(), &control);
    assert!(matches!(canceled, Err(MediaError::Canceled)), "{canceled:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A film of some hundred megabytes, so that splitting it takes a while.
fn large() -> PathBuf {
    clip(
        "parts-large.mp4",
        "-f lavfi -i testsrc2=s=1280x720:r=25:d=12,noise=alls=60:allf=t -pix_fmt yuv420p -c:v libx264 -preset ultrafast \
         -b:v 80M -maxrate 80M -bufsize 80M -g 25",
    )
}

#[test]
fn cancelled_or_killed_in_mid_way_no_part_has_its_name() {
    let source = large();
    let part_bytes_max = size(&source) / 2;
    for kill in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(&source, folder.path().join("in.mp4")).unwrap();
        let size = format!("{part_bytes_max}B");
        let mut child = Command::new(env!("CARGO_BIN_EXE_kadr"))
            .args(["convert", "in.mp4", "-o", "out.mp4", "--parts", &size])
            .current_dir(folder.path())
            .stderr(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let names = || -> Vec<String> {
            let entries = std::fs::read_dir(folder.path()).unwrap();
            entries
                .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                .collect()
        };
        let writing = |names: &[String]| {
            names
                .iter()
                .filter(|name| name.rsplit('.').next() == Some("part"))
                .count()
        };
        let began = Instant::now();
        // More than one file being written: those are the parts.
        while writing(&names()) < 2 {
            assert!(began.elapsed() < Duration::from_secs(100) && child.try_wait().unwrap().is_none());
            std::thread::sleep(Duration::from_millis(2));
        }
        if kill {
            child.kill().unwrap();
        } else {
            let sent = Command::new("sh")
                .args(["-c", &format!("kill -INT {}", child.id())])
                .status()
                .unwrap();
            assert!(sent.success());
        }
        let code = child.wait().unwrap().code();
        assert_eq!(code, if kill { None } else { Some(130) });
        let left = names();
        assert!(!left.iter().any(|name| name.starts_with("out.part")), "{left:?}");
        assert!(kill || left.len() == 2, "{left:?}");
    }
}

#[test]
fn the_command_line_names_each_part_in_words_and_in_json() {
    let source = clip(
        "parts-25-3.mp4",
        &format!("{PICTURE} {SOUND}:d=20 {H264} -g 25 -bf 3 {AAC} -ac 2"),
    );
    let folder = tempfile::tempdir().unwrap();
    let half = format!("{}B", size(&source) * 6 / 10);
    let kadr = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_kadr"))
            .arg("convert")
            .arg(&source)
            .args(["-o", "out.mp4", "--parts", &half])
            .args(more)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, said, _) = kadr(&["--json"]);
    assert_eq!(code, Some(0));
    let lines: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds.iter().filter(|kind| **kind != "progress").collect::<Vec<_>>(),
        [&"report", &"part", &"part"]
    );
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["path"], &last["whole"]),
        (&"out.part2.mp4".into(), &"out.mp4".into())
    );
    assert_eq!(
        last["bytes"].as_u64().unwrap(),
        size(&folder.path().join("out.part2.mp4"))
    );

    std::fs::remove_file(folder.path().join("out.mp4")).unwrap();
    let (code, _, words) = kadr(&[]);
    assert_eq!(code, Some(2));
    assert!(words.starts_with("error: `out.part1.mp4` exists already"), "{words}");
    let (code, said, _) = kadr(&["--force"]);
    assert_eq!((code, said.lines().count()), (Some(0), 5), "{said}");
    assert!(said.lines().last().unwrap().starts_with("out.part2.mp4: "), "{said}");
    let (code, _, words) = kadr(&["--force", "--preset", "voice"]);
    assert_eq!(code, Some(2));
    assert!(words.starts_with("error: `voice` has no parts"), "{words}");
}
