//! `kadr bench`: what a peer is told, and that it does the same work when it is told so.

use std::path::Path;
use std::process::{Command, Output};

use kadr::media::arguments::{Peer, arguments, handbrake};
use kadr::media::{self, Caps, Control, Limits, Preset, Recipe};
use serde_json::Value;

use crate::support::{clip, playable_mkv, shipped_clip};

/// What the best way on the CPU is told an ffmpeg of this release, a word and its value a line.
fn told(source: &Path, preset: Preset, major: u32) -> String {
    let info = media::probe(source, &Limits::default(), &Control::new(None)).unwrap();
    let ways = media::plan(&info, &Recipe::from(preset), &Caps::without_gpus()).unwrap();
    let peer = Peer {
        major,
        threads: 0,
        cores: 2,
        table: Some(Path::new("/tmp/table.cube")),
    };
    match arguments(&ways[0], &info, peer, ("IN", "OUT")) {
        Ok(words) => words.join(" ").replace(" -", "\n-"),
        Err(why) => format!("none: {why}"),
    }
}

#[test]
fn a_plan_is_told_to_ffmpeg_word_by_word() {
    let mpeg2 = shipped_clip();
    let copied = playable_mkv();
    let hdr = clip(
        "bench_hdr.mkv",
        "-f lavfi -i testsrc2=s=320x180:r=25:d=1 -pix_fmt yuv420p10le -c:v libx265 -x265-params log-level=none \
         -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc",
    );
    let cases = [
        ("MPEG-2, play", &mpeg2, Preset::Play, 5),
        ("MPEG-2, hevc, FFmpeg 9", &mpeg2, Preset::Hevc, 9),
        ("H.264 and AAC, play", &copied, Preset::Play, 5),
        ("H.264 and AAC, small", &copied, Preset::Small, 5),
        ("HDR10, play", &hdr, Preset::Play, 5),
        ("a size", &mpeg2, Preset::Fit { size_bytes: 200_000 }, 5),
        ("sound", &mpeg2, Preset::Audio, 5),
        ("a sheet", &mpeg2, Preset::Sheet, 5),
    ];
    let text: Vec<String> = cases
        .iter()
        .map(|(title, source, preset, major)| format!("== {title}\n{}", told(source, *preset, *major)))
        .collect();
    insta::assert_snapshot!(text.join("\n\n"));
}

#[test]
fn handbrake_is_told_what_it_can_be_told() {
    let info = media::probe(&shipped_clip(), &Limits::default(), &Control::new(None)).unwrap();
    let plan = |preset| {
        media::plan(&info, &Recipe::from(preset), &Caps::without_gpus())
            .unwrap()
            .remove(0)
    };
    let words = handbrake(&plan(Preset::Play), ("IN", "OUT")).unwrap().join(" ");
    insta::assert_snapshot!(words);
    assert!(handbrake(&plan(Preset::Audio), ("IN", "OUT")).is_err());
}

fn bench(args: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kadr"))
        .arg("bench")
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn ffmpeg_told_by_the_plan_makes_the_same_packets() {
    let folder = tempfile::tempdir().unwrap();
    let source = clip(
        "bench_320.mpg",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=4 -f lavfi -i sine=d=4 -c:v mpeg2video -q:v 3",
    );
    let common = [
        "--rounds",
        "1",
        "--warm-up",
        "0",
        "--against",
        "ffmpeg",
        "--device",
        "cpu",
        // With more, x264 164 does not repeat itself on processors that have AVX-512.
        "--threads",
        "1",
    ];
    let mut args = vec![
        source.to_str().unwrap(),
        "--save",
        "old.ndjson",
        "--svg",
        "it.svg",
        "--format",
        "ndjson",
    ];
    args.extend(common);
    let output = bench(&args, folder.path());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said, std::fs::read_to_string(folder.path().join("old.ndjson")).unwrap());
    let lines = rows(&said);
    let [header, ours, theirs] = &lines[..] else {
        panic!("{said}")
    };
    assert_eq!((&header["type"], &header["schema"]), (&"header".into(), &1.into()));
    assert_eq!(
        (&ours["by"], &theirs["same_packets"]),
        (&"kadr".into(), &"identical".into()),
        "{theirs}"
    );
    assert_eq!(ours["packets_sha256"], theirs["packets_sha256"]);
    assert_eq!(ours["quality"], theirs["quality"]);
    assert!(ours["quality"]["psnr"].as_f64().unwrap() > 30.0);
    assert!(ours["memory_bytes_max"].as_u64().unwrap() > 10 << 20);
    for row in [ours, theirs] {
        let (wall, cpu) = (
            row["wall_s"]["median"].as_f64().unwrap(),
            row["cpu_s"]["median"].as_f64().unwrap(),
        );
        assert!(wall > 0.0 && cpu > 0.0 && row["frames"].as_u64().unwrap() == 100);
    }
    assert!(ours["first_packet_s"].as_f64().unwrap() < ours["wall_s"]["median"].as_f64().unwrap());
    assert!(ours["encode_cores_busy"].as_f64().unwrap() > 0.0, "{ours}");
    assert!(ours["encode_cores_idle"].as_f64().unwrap() >= 0.0, "{ours}");
    assert!(theirs["encode_cores_busy"].is_null(), "{theirs}");
    assert!(theirs["encode_cores_idle"].is_null(), "{theirs}");
    let svg = std::fs::read_to_string(folder.path().join("it.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.contains("bench_320.mpg"));
    // The peer's point lies on kadr's: two marks, one name.
    assert_eq!(
        (
            svg.matches("<circle").count(),
            svg.matches("bench_320.mpg · play<").count()
        ),
        (2, 1)
    );
    let kept = ["--show", "old.ndjson", "--svg", "again.svg", "--format", "ndjson"];
    let shown = String::from_utf8(bench(&kept, folder.path()).stdout).unwrap();
    assert_eq!(rows(&shown).len(), 3, "{shown}");
    assert_eq!(std::fs::read_to_string(folder.path().join("again.svg")).unwrap(), svg);
}

#[test]
fn a_copy_is_compared_too_and_jobs_share_a_process() {
    let folder = tempfile::tempdir().unwrap();
    let source = playable_mkv();
    let args = [
        source.to_str().unwrap(),
        "--rounds",
        "1",
        "--warm-up",
        "0",
        "--jobs",
        "1,2",
        "--against",
        "ffmpeg",
    ];
    let output = bench(
        &[&args[..], &["--format", "ndjson", "--device", "cpu"]].concat(),
        folder.path(),
    );
    let lines = rows(&String::from_utf8(output.stdout).unwrap());
    let rungs: Vec<_> = lines[1..]
        .iter()
        .map(|row| (row["rung"].clone(), row["jobs"].clone()))
        .collect();
    assert_eq!(
        rungs,
        [
            ("copy".into(), 1.into()),
            ("copy".into(), 1.into()),
            ("copy".into(), 2.into()),
            ("copy".into(), 2.into())
        ]
    );
    assert!(lines[3]["job_p95_s"].as_f64().unwrap() > 0.0 && lines[1]["job_p95_s"].is_null());
    assert!(lines[1]["quality"].is_null(), "a copy is what it was");
}

#[test]
fn what_changed_is_told_by_the_file_of_an_older_run() {
    let folder = tempfile::tempdir().unwrap();
    let source = playable_mkv();
    let source = source.to_str().unwrap();
    let common = [source, "--rounds", "1", "--warm-up", "0", "--device", "cpu"];
    assert!(
        bench(&[&common[..], &["--save", "old"]].concat(), folder.path())
            .status
            .success()
    );
    let output = bench(
        &[&common[..], &["--compare", "old", "--format", "csv"]].concat(),
        folder.path(),
    );
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.lines().last().unwrap().contains("of 1 (more than 3 %"), "{said}");
    std::fs::write(folder.path().join("none"), "{}").unwrap();
    let output = bench(&[&common[..], &["--compare", "none"]].concat(), folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("is not a bench"));
}
