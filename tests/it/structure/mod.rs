//! What headers claim, before libav sees them, and what a run may cost: bombs are refused at once, real files never.

pub(crate) mod bombs;

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kadr::media::{Caps, Control, Limits, MediaError, Preset, Refusal, convert, probe, structure};
use proptest::prelude::*;

use bombs::{Bomb, By, Track, boxed, ftyp, moov};

use crate::support::{clip, long_clip, playable_mkv};

/// A refusal within this, over what a harmless file takes; beside other tests the machine may be busy.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);
const REFUSED_WITHIN_BUSY: Duration = Duration::from_secs(5);
/// What is not refused ends by its limit of time, and so much later at most.
const LIMIT_S: u64 = 20;
const LATE_MAX: Duration = Duration::from_secs(2);
/// Memory over what a harmless file takes, bytes.
const MEMORY_RISE_MAX: u64 = 200_000_000;

fn check(bytes: &[u8]) -> Result<structure::Cost, Refusal> {
    structure::check(&mut Cursor::new(bytes), &Limits::default())
}

fn kadr(arguments: &[&str], file: &Path) -> Command {
    let mut command = Command::new(std::env::var("KADR_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_kadr").to_owned()));
    command
        .args(arguments)
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// What a process came to.
struct Outcome {
    code: Option<i32>,
    stderr: String,
    wall: Duration,
    /// Its largest resident set, bytes.
    peak: u64,
}

/// Runs `kadr` on a file and watches its memory: the kernel keeps the high-water mark, which is read until the end.
fn watched(arguments: &[&str], file: &Path) -> Outcome {
    let began = Instant::now();
    let mut child = kadr(arguments, file).stderr(Stdio::piped()).spawn().unwrap();
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(&status_file).unwrap_or_default();
        let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = mark.and_then(|mark| mark.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = kib.map_or(peak, |kib| peak.max(kib * 1_024));
        std::thread::sleep(Duration::from_millis(1));
    }
    let wall = began.elapsed();
    let output = child.wait_with_output().unwrap();
    Outcome {
        code: output.status.code(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        wall,
        peak,
    }
}

fn written(folder: &Path, bomb: &Bomb) -> PathBuf {
    let path = folder.join(bomb.name);
    std::fs::write(&path, &bomb.bytes).unwrap();
    path
}

#[test]
fn claims_out_of_proportion_are_refused_before_libav_sees_them() {
    for bomb in bombs::all() {
        let outcome = check(&bomb.bytes);
        match bomb.by {
            By::Structure => {
                let words = outcome.expect_err(bomb.name).to_string();
                assert!(words.contains(bomb.why), "{}: {words}", bomb.name);
            }
            By::Probe | By::Conversion => drop(outcome.expect(bomb.name)),
        }
    }
}

#[test]
fn the_index_bomb_is_no_larger_than_the_one_that_was_found() {
    let index = bombs::all().into_iter().find(|bomb| bomb.name == "index.mp4").unwrap();
    assert!(index.bytes.len() <= 750, "{} bytes", index.bytes.len());
}

/// In full, with figures: `ci/hostile`.
#[expect(clippy::print_stdout, reason = "the figures, seen with --nocapture")]
#[test]
fn every_bomb_is_refused_at_once_and_in_little_memory() {
    let temporary = tempfile::tempdir().unwrap();
    let alone = std::env::var_os("KADR_HOSTILE").map(PathBuf::from);
    let at_once = if alone.is_some() {
        REFUSED_WITHIN
    } else {
        REFUSED_WITHIN_BUSY
    };
    let folder = alone.unwrap_or_else(|| temporary.path().to_owned());
    let harmless = watched(&["probe"], &playable_mkv());
    assert_eq!(harmless.code, Some(0), "{}", harmless.stderr);
    let (mut refused, mut wrong) = (0, Vec::new());
    let (mut slowest, mut largest) = ((Duration::ZERO, ""), (0, ""));
    let all = bombs::all();
    for bomb in &all {
        let path = written(&folder, bomb);
        let output = temporary.path().join("out.mp4").to_string_lossy().into_owned();
        // What only a conversion finds out has the time of one.
        let (outcome, within) = if bomb.by == By::Conversion {
            let limit = LIMIT_S.to_string();
            let arguments = [
                "convert",
                "--device",
                "cpu",
                "--force",
                "--timeout",
                &limit,
                "-o",
                &output,
            ];
            (watched(&arguments, &path), Duration::from_secs(LIMIT_S) + LATE_MAX)
        } else {
            (watched(&["probe"], &path), at_once)
        };
        let wall = outcome.wall.saturating_sub(harmless.wall);
        let rise = outcome.peak.saturating_sub(harmless.peak);
        println!(
            "{:<32} {:>5} ms {:>4} MB  {}",
            bomb.name,
            wall.as_millis(),
            rise / 1_000_000,
            outcome.stderr.lines().next().unwrap_or_default()
        );
        if outcome.code != Some(3) || !outcome.stderr.contains(bomb.why) {
            wrong.push(format!("{}: code {:?}, {}", bomb.name, outcome.code, outcome.stderr));
        } else if wall > within || rise > MEMORY_RISE_MAX {
            wrong.push(format!("{}: {wall:?}, {rise} bytes", bomb.name));
        } else {
            refused += 1;
        }
        if bomb.by != By::Conversion {
            slowest = slowest.max((wall, bomb.name));
        }
        largest = largest.max((rise, bomb.name));
    }
    println!(
        "bombs: {refused} of {} refused, worst time {} ms ({}), worst memory rise {} MB ({})",
        all.len(),
        slowest.0.as_millis(),
        slowest.1,
        largest.0 / 1_000_000,
        largest.1
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// As exactly in `ci/hostile`; beside other tests with some patience.
#[expect(clippy::print_stdout, reason = "the figures, seen with --nocapture")]
#[test]
fn a_conversion_without_an_end_is_ended_at_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.mp4").to_string_lossy().into_owned();
    let arguments = [
        "convert",
        "--device",
        "cpu",
        "--preset",
        "best",
        "--timeout",
        "2",
        "-o",
        &output,
    ];
    let outcome = watched(&arguments, &long_clip());
    let late = outcome.wall.saturating_sub(Duration::from_secs(2));
    println!(
        "{:<32} {:>5} ms after its limit  {}",
        "best of 720p",
        late.as_millis(),
        outcome.stderr.trim_end()
    );
    assert_eq!(outcome.code, Some(4), "{}", outcome.stderr);
    let busy = if std::env::var_os("KADR_HOSTILE").is_some() {
        Duration::ZERO
    } else {
        REFUSED_WITHIN_BUSY
    };
    assert!(late <= LATE_MAX + busy, "{late:?}");
}

#[test]
fn a_thousand_frames_a_second_are_refused_by_name() {
    let bomb = bombs::all().into_iter().find(|bomb| bomb.name == "fps.mkv").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let input = written(folder.path(), &bomb);
    let outputs = tempfile::tempdir().unwrap();
    let error = convert(
        &input,
        &outputs.path().join("out.mp4"),
        &Preset::Small.into(),
        &Caps::default(),
        &Limits::default(),
        &Control::new(None),
    )
    .unwrap_err();
    // 20 000, and twice 120 for each of 60 s.
    let MediaError::Refused(Refusal::TooManyFrames { limit, .. }) = error else {
        panic!("{error:?}")
    };
    assert!((34_390..=34_410).contains(&limit), "{limit}");
    assert_eq!(
        std::fs::read_dir(outputs.path()).unwrap().count(),
        0,
        "nothing is left behind"
    );
}

#[test]
fn slow_motion_and_the_stills_beside_films_are_not_bombs() {
    let slow = Track {
        samples: 28_800,
        sample_bytes: 1,
        times: vec![(28_800, 4)],
        ..Track::default()
    };
    let still = Track {
        width: 8_000,
        height: 6_000,
        ..Track::default()
    };
    let traks = [slow.bytes(), still.bytes()].concat();
    check(&[ftyp(), moov(&traks)].concat()).unwrap();
    let only_still = check(&[ftyp(), moov(&still.bytes())].concat()).unwrap_err();
    assert!(
        matches!(only_still, Refusal::TooManyPixels { width: 8_000, .. }),
        "{only_still:?}"
    );
}

#[test]
fn an_hour_of_uncompressed_sound_is_counted_as_libav_does() {
    let sound = Track {
        handler: *b"soun",
        samples: 48_000 * 3_600,
        times: vec![(48_000 * 3_600, 1)],
        chunks: vec![(1, 24_000)],
        ..Track::default()
    };
    check(&[ftyp(), moov(&sound.bytes())].concat()).unwrap();
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_left_to_libav() {
    let source = clip(
        "structure_short.mp4",
        "-f lavfi -i testsrc2=s=160x120:r=25:d=1 -f lavfi -i sine=d=1 -c:v libx264 -pix_fmt yuv420p -c:a aac -movflags +faststart",
    );
    let bytes = std::fs::read(source).unwrap();
    for end in (0..bytes.len()).step_by(61) {
        check(&bytes[..end]).unwrap();
    }
}

#[expect(clippy::print_stdout, reason = "the figures, seen with --nocapture")]
#[test]
fn every_sample_that_must_play_is_let_through() {
    let folder = crate::corpus::samples();
    let Ok(manifest) = std::fs::read_to_string(folder.join("MANIFEST.tsv")) else {
        println!("skipped: no samples in {} (set KADR_SAMPLES)", folder.display());
        return;
    };
    let (mut passed, mut slowest, mut largest) = (0, (Duration::ZERO, ""), (0, ""));
    for row in manifest.lines().skip(1) {
        let mut fields = row.split('\t');
        let (Some(name), Some(expect)) = (fields.next(), fields.next()) else {
            continue;
        };
        if expect == "refuse" {
            continue;
        }
        let mut file = std::fs::File::open(folder.join(name)).unwrap();
        let length = file.metadata().unwrap().len();
        let began = Instant::now();
        let cost = structure::check(&mut file, &Limits::default()).unwrap_or_else(|why| panic!("{name}: {why}"));
        slowest = slowest.max((began.elapsed(), name));
        largest = largest.max((cost.bytes_read, name));
        assert!(
            cost.bytes_read < 1 << 20 && cost.bytes_read <= length,
            "{name}: {cost:?}"
        );
        passed += 1;
    }
    println!("{passed} samples, slowest {slowest:?}, most bytes {largest:?}");
    assert!(passed > 60, "{passed}");
}

fn small_files() -> [Vec<u8>; 3] {
    let mp4 = clip(
        "structure_small.mp4",
        "-f lavfi -i testsrc2=s=64x48:r=25:d=1 -f lavfi -i sine=d=1 -c:v libx264 -pix_fmt yuv420p -c:a aac",
    );
    let fragments = clip(
        "structure_fragments.mp4",
        "-f lavfi -i testsrc2=s=64x48:r=25:d=1 -f lavfi -i sine=d=1 -c:v libx264 -g 5 -pix_fmt yuv420p -c:a aac \
         -movflags +frag_keyframe+empty_moov",
    );
    let mkv = clip(
        "structure_small.mkv",
        "-f lavfi -i testsrc2=s=64x48:r=25:d=1 -f lavfi -i sine=d=1 -c:v libx264 -pix_fmt yuv420p -c:a aac",
    );
    [mp4, fragments, mkv].map(|path| std::fs::read(path).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_damage_makes_the_walk_panic_or_read_without_end(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u32>(), 1_usize..=4), 1..20),
        percent in 1_usize..=100,
    ) {
        static FILES: std::sync::LazyLock<[Vec<u8>; 3]> = std::sync::LazyLock::new(small_files);
        for clean in FILES.iter() {
            let mut bytes = clean.clone();
            for (place, value, count) in &flips {
                let at = place.index(bytes.len() - 4);
                bytes[at..at + count].copy_from_slice(&value.to_be_bytes()[..*count]);
            }
            bytes.truncate((bytes.len() * percent).div_ceil(100));
            // Each of 64 headers may be named once more by the index of headers.
            let most = 66 * bytes.len() as u64;
            if let Ok(cost) = check(&bytes) {
                prop_assert!(cost.bytes_read <= most, "{cost:?} of {}", bytes.len());
                prop_assert!(cost.boxes <= most, "{cost:?} of {}", bytes.len());
            }
        }
    }
}

#[test]
fn a_harmless_file_is_looked_at_in_no_time() {
    let path = playable_mkv();
    probe(&path, &Limits::default(), &Control::new(None)).unwrap();
    // The best of several: the machine may be busy.
    let once = |_| {
        let mut file = std::fs::File::open(&path).unwrap();
        let began = Instant::now();
        structure::check(&mut file, &Limits::default()).unwrap();
        began.elapsed()
    };
    let best = (0..20).map(once).min().unwrap();
    assert!(best < Duration::from_millis(5), "{best:?}");
    check(&boxed(*b"mdat", &[])).unwrap();
}
