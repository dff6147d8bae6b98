//! kadr on a machine with the fake driver: which rung a job ends on, that its video is whole, and that nothing is left
//! behind. **Control flow only**: nothing here says anything about a card.
//!
//! The fake's kernels do nothing, so a scaled picture is grey; pictures are compared where none is scaled.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::fake_driver::FakeDriver;
use crate::support::{clip, decoded_frames, ffprobe, md5s};

/// Two seconds that must be encoded; NVENC takes the size as it is.
fn source() -> PathBuf {
    clip(
        "gpu-source.mkv",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=2 -f lavfi -i sine=r=48000:d=2 -c:v mpeg4 -q:v 3 -c:a mp3 -field_order progressive",
    )
}

const FRAMES: usize = 50;

/// Variables of the fake driver.
type Faults = &'static [(&'static str, &'static str)];

/// Converts on a machine with this driver; the last line is the report.
#[track_caller]
fn convert(driver: &FakeDriver, source: &Path, more: &[&str]) -> (Value, PathBuf) {
    let output = driver.folder().join("out.mp4");
    let run = driver
        .command(env!("CARGO_BIN_EXE_kadr"))
        .args(["convert", "--json", "--force", "-o"])
        .arg(&output)
        .args(more)
        .arg(source)
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&run.stdout).into_owned(),
        String::from_utf8_lossy(&run.stderr).into_owned(),
    );
    assert!(run.status.success(), "{out}{err}");
    let report = out.lines().last().map(|line| serde_json::from_str(line).unwrap());
    (report.unwrap(), output)
}

/// What a user gets, whatever happened on the way.
#[track_caller]
fn is_whole(output: &Path) {
    assert_eq!(decoded_frames(output), FRAMES);
    let facts = ffprobe(output, "stream=codec_name,pix_fmt,profile");
    assert!(
        facts.contains("codec_name=h264") && facts.contains("pix_fmt=yuv420p"),
        "{facts}"
    );
    assert!(facts.contains("codec_name=aac"), "{facts}");
}

fn causes(report: &Value) -> Vec<(String, String)> {
    let fallbacks = report["fallbacks"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    fallbacks
        .iter()
        .map(|one| (text(&one["rung"]), text(&one["cause"])))
        .collect()
}

#[test]
fn frames_stay_on_the_gpu_from_nvdec_to_nvenc() {
    let driver = FakeDriver::new().env("FAKE_NVDEC", "grey");
    let (report, output) = convert(&driver, &source(), &[]);
    assert_eq!(report["device"], "cuda:0");
    assert_eq!(causes(&report), []);
    is_whole(&output);
    assert_eq!(driver.count("/peak/contexts"), 1);
    driver.assert_nothing_left();
}

#[test]
fn what_nvdec_refuses_is_uploaded_pixel_by_pixel() {
    let driver = FakeDriver::new();
    let (report, output) = convert(&driver, &source(), &[]);
    assert_eq!(report["device"], "cuda:0");
    // Refused at the proof, so it is not even offered.
    assert_eq!(causes(&report), []);
    is_whole(&output);
    let pixels = |path: &Path| md5s(path, "0:v:0", &["-fps_mode", "passthrough", "-pix_fmt", "yuv420p"]);
    assert_eq!(pixels(&output), pixels(&source()));
    driver.assert_nothing_left();
}

#[test]
fn a_gpu_without_nvenc_decodes_for_the_cpu() {
    let driver = FakeDriver::new().env("FAKE_NVDEC", "grey").env("FAKE_NVENC_OPEN", "2");
    let (report, output) = convert(&driver, &source(), &[]);
    assert_eq!((&report["device"], causes(&report)), (&"hybrid:0".into(), vec![]));
    is_whole(&output);
    driver.assert_nothing_left();
}

/// A surface that goes on in memory keeps the colours that its tags speak of: nobody converts them from matrix to matrix.
#[test]
fn colours_of_surfaces_stay_what_their_tags_say() {
    const BYTE: u8 = 60;
    let film = clip(
        "gpu-colours.mkv",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=1 -c:v mpeg4 -q:v 3 -field_order progressive \
         -color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range tv",
    );
    let driver = FakeDriver::new()
        .env("FAKE_NVDEC", "grey")
        .env("FAKE_NVENC_OPEN", "2")
        .env("FAKE_CUDA_FRESH", &BYTE.to_string());
    let (report, output) = convert(&driver, &film, &[]);
    assert_eq!(report["device"], "hybrid:0", "{report}");
    assert_eq!(ffprobe(&output, "stream=color_space").trim(), "color_space=bt709");
    let first = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(&output)
        .args(["-frames:v", "1", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    let far = first.stdout.iter().find(|byte| byte.abs_diff(BYTE) > 2);
    assert_eq!((first.stdout.len(), far), (320 * 240 * 3 / 2, None));
}

#[test]
fn the_cpu_alone_never_touches_the_driver() {
    let driver = FakeDriver::new().env("FAKE_NVDEC", "grey");
    let (report, output) = convert(&driver, &source(), &["--device", "cpu"]);
    assert_eq!(report["device"], "cpu");
    is_whole(&output);
    assert_eq!(driver.reports(), Vec::<Value>::new());
}

#[test]
fn a_gpu_that_must_serve_and_cannot_is_told_in_words() {
    let driver = FakeDriver::new().env("FAKE_CUDA_INIT", "100");
    let run = driver
        .command(env!("CARGO_BIN_EXE_kadr"))
        .args(["convert", "--device", "cuda", "-o", "/nowhere/out.mp4"])
        .arg(source())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(2), "{said}");
    assert!(said.starts_with("error: device cuda cannot be used: "), "{said}");
    assert!(said.contains("\nhint: "), "{said}");
}

/// What fails from the start is never tried with a film: the proof found it.
#[test]
fn faults_at_open_are_found_by_the_proof() {
    let rows: [(Faults, &str); 21] = [
        (&[("FAKE_CUDA_INIT", "100")], "cpu"),
        (&[("FAKE_CUDA_INIT", "999")], "cpu"),
        (&[("FAKE_CUDA_INIT", "803")], "cpu"),
        (&[("FAKE_CUDA_INIT", "804")], "cpu"),
        (&[("FAKE_CUDA_INIT", "802")], "cpu"),
        (&[("FAKE_CUDA_INIT", "34")], "cpu"),
        (&[("FAKE_CUDA_DEVICES", "0")], "cpu"),
        (&[("FAKE_CUDA_CTX_CREATE", "2")], "cpu"),
        (&[("FAKE_CUDA_CTX_CREATE", "46")], "cpu"),
        // No filter of a card runs, so nothing that is decoded or encoded there is of use.
        (&[("FAKE_CUDA_MODULE_LOAD", "222")], "cpu"),
        (&[("FAKE_CUDA_MEM_MAX", "1000")], "cpu"),
        (&[("FAKE_NVENC_OPEN", "1")], "hybrid:0"),
        (&[("FAKE_NVENC_OPEN", "2")], "hybrid:0"),
        (&[("FAKE_NVENC_OPEN", "10")], "hybrid:0"),
        (&[("FAKE_NVENC_OPEN", "15")], "hybrid:0"),
        (&[("FAKE_NVENC_OPEN", "21")], "hybrid:0"),
        (&[("FAKE_NVENC_API", "9.0")], "hybrid:0"),
        (&[("FAKE_NVENC_INIT", "8")], "hybrid:0"),
        (&[("FAKE_NVENC_BITSTREAM", "10")], "hybrid:0"),
        (&[("FAKE_NVENC_CAPS", "codecs=none")], "hybrid:0"),
        (&[("FAKE_NVDEC", "fail_create")], "cuda:0"),
    ];
    for (faults, device) in rows {
        let mut driver = FakeDriver::new().env("FAKE_NVDEC", "grey");
        for (name, value) in faults {
            driver = driver.env(name, value);
        }
        let (report, output) = convert(&driver, &source(), &[]);
        assert_eq!(report["device"], device, "{faults:?}: {report}");
        assert_eq!(causes(&report), [], "{faults:?}");
        is_whole(&output);
        driver.assert_nothing_left();
    }
}

/// What a card lacks is left out, and the card still encodes.
#[test]
fn settings_that_a_card_lacks_are_dropped_one_by_one() {
    for caps in ["bref=0", "lookahead=0", "bframes=0", "bref=0,lookahead=0,bframes=0"] {
        let driver = FakeDriver::new().env("FAKE_NVENC_CAPS", caps);
        let (report, output) = convert(&driver, &source(), &[]);
        assert_eq!(
            (&report["device"], causes(&report)),
            (&"cuda:0".into(), vec![]),
            "{caps}"
        );
        is_whole(&output);
        driver.assert_nothing_left();
    }
}

/// A fault in mid-film: the next rung begins anew and the video is whole. The numbers lie beyond what the proof takes.
#[test]
fn faults_in_mid_film_end_on_a_lower_rung_with_a_whole_video() {
    let rows: [(Faults, &str, usize); 7] = [
        (&[("FAKE_NVENC_FAIL_AT", "20")], "cuda:0", 1),
        (&[("FAKE_NVENC_FAIL_AT", "20+")], "hybrid:0", 2),
        (&[("FAKE_NVDEC", "fail_at:40")], "cuda:0", 1),
        (
            &[("FAKE_NVDEC", "fail_at:40+"), ("FAKE_NVENC_FAIL_AT", "40+")],
            "cpu",
            3,
        ),
        // The context is broken for good: the next rung must get a new one.
        (&[("FAKE_CUDA_FAIL_AT", "60")], "cuda:0", 1),
        (
            &[("FAKE_CUDA_FAIL_AT", "60"), ("FAKE_CUDA_FAIL_CODE", "719")],
            "cuda:0",
            1,
        ),
        (&[("FAKE_CUDA_FAIL_AT", "60+")], "cpu", 3),
    ];
    for (faults, device, fallbacks) in rows {
        let mut driver = FakeDriver::new().env("FAKE_NVDEC", "grey");
        for (name, value) in faults {
            driver = driver.env(name, value);
        }
        let (report, output) = convert(&driver, &source(), &[]);
        assert_eq!(report["device"], device, "{faults:?}: {report}");
        let causes = causes(&report);
        assert_eq!(causes.len(), fallbacks, "{faults:?}: {report}");
        assert!(
            causes.iter().all(|(_, cause)| cause != "unknown"),
            "{faults:?}: {causes:?}"
        );
        is_whole(&output);
        driver.assert_nothing_left();
    }
}

/// Every preset that encodes video, by whatever rung it has here.
#[test]
fn every_preset_gives_what_it_promises_beside_a_gpu() {
    for preset in ["small", "best", "note", "gif", "fit:200k"] {
        let driver = FakeDriver::new().env("FAKE_NVDEC", "grey");
        let (report, output) = convert(&driver, &source(), &["--preset", preset]);
        let device = if preset.starts_with("fit") {
            "hybrid:0"
        } else {
            "cuda:0"
        };
        assert_eq!(report["device"], device, "{preset}: {report}");
        assert_eq!(decoded_frames(&output), FRAMES, "{preset}");
        driver.assert_nothing_left();
    }
}

/// Two hundred jobs in one process, four at once, with a fault now and then: one context, but for the one that is new
/// while a broken one goes, and nothing left.
#[test]
fn two_hundred_jobs_leave_nothing_behind() {
    const JOBS: usize = 200;
    let driver = FakeDriver::new()
        .env("FAKE_NVDEC", "fail_at:300")
        .env("FAKE_NVENC_FAIL_AT", "700");
    let short = clip(
        "gpu-short.mkv",
        "-f lavfi -i testsrc2=s=192x192:r=25:d=0.4 -c:v mpeg4 -q:v 3 -field_order progressive",
    );
    let inputs: Vec<PathBuf> = (0..JOBS)
        .map(|number| {
            let input = driver.folder().join(format!("in{number}.mkv"));
            std::os::unix::fs::symlink(&short, &input).unwrap();
            input
        })
        .collect();
    let outputs = driver.folder().join("out");
    std::fs::create_dir(&outputs).unwrap();
    let run = driver
        .command(env!("CARGO_BIN_EXE_kadr"))
        .args(["convert", "--json", "--jobs", "4", "--out-dir"])
        .arg(&outputs)
        .args(&inputs)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    let reports: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["type"] == "report")
        .collect();
    assert_eq!(reports.len(), JOBS);
    assert!(reports.iter().all(|report| report["frames"] == 10));
    // A fault strikes a neighbour in the same context too.
    let fallbacks: usize = reports.iter().map(|report| causes(report).len()).sum();
    assert!((2..=8).contains(&fallbacks), "{fallbacks}");
    assert!(driver.count("/peak/contexts") <= 2);
    driver.assert_nothing_left();
}

/// One film over several engines: a seat, a decoder and an encoder for each segment, one context for all.
#[test]
fn segments_on_a_gpu_take_a_seat_each() {
    let film = clip(
        "gpu-segments.mkv",
        "-f lavfi -i testsrc2=s=192x192:r=10:d=40 -f lavfi -i sine=r=48000:d=40 -c:v mpeg4 -g 20 -q:v 3 -c:a mp3 \
         -field_order progressive",
    );
    for (memory, segments, device) in [("8589934592", 3, "cuda:0"), ("805306368", 1, "cuda:0")] {
        let driver = FakeDriver::new()
            .env("FAKE_NVDEC", "grey")
            .env("FAKE_CUDA_NAME", "NVIDIA L40S")
            .env("FAKE_CUDA_MEM_MAX", memory);
        let (report, output) = convert(&driver, &film, &["--segments", "3"]);
        assert_eq!(
            (&report["device"], causes(&report)),
            (&device.into(), vec![]),
            "{report}"
        );
        assert_eq!(report["segments"], segments, "{report}");
        assert_eq!(decoded_frames(&output), 400);
        assert_eq!(driver.count("/peak/sessions"), segments);
        assert_eq!(driver.count("/peak/contexts"), 1);
        driver.assert_nothing_left();
        let reasons = report["reasons"].to_string();
        assert_eq!(reasons.contains("no other seat"), segments == 1, "{reasons}");
    }
}

/// Two cards, four files at once: both are used, each with one context.
#[test]
fn several_gpus_share_the_jobs() {
    let driver = FakeDriver::new()
        .env("FAKE_CUDA_DEVICES", "2")
        .env("FAKE_NVENC_SLEEP_MS", "10");
    let inputs: Vec<PathBuf> = (0..8)
        .map(|number| {
            let input = driver.folder().join(format!("in{number}.mkv"));
            std::os::unix::fs::symlink(source(), &input).unwrap();
            input
        })
        .collect();
    let run = driver
        .command(env!("CARGO_BIN_EXE_kadr"))
        .args(["convert", "--json", "--jobs", "4", "--out-dir"])
        .arg(driver.folder())
        .args(&inputs)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    let devices: std::collections::BTreeMap<String, usize> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["type"] == "report")
        .fold(std::collections::BTreeMap::default(), |mut counts, report| {
            *counts.entry(report["device"].as_str().unwrap().to_owned()).or_default() += 1;
            counts
        });
    assert_eq!(devices.values().sum::<usize>(), 8);
    assert!(
        devices.contains_key("cuda:0") && devices.contains_key("cuda:1"),
        "{devices:?}"
    );
    assert_eq!(driver.count("/peak/contexts"), 2);
    driver.assert_nothing_left();

    let (report, _) = convert(&driver, &source(), &["--device", "cuda:1"]);
    assert_eq!(report["device"], "cuda:1");
}
