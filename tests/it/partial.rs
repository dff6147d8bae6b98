//! `kadr convert` leaves a whole file under the final name, or what was there before: killed, cancelled, on a full disk,
//! or refused.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{clip, long_clip, playable_mkv};

const PATIENCE: Duration = Duration::from_secs(30);
/// What somebody has under the final name already.
const KEPT: &[u8] = b"what was there before";

/// A conversion of tens of seconds to `out.mp4` in a folder, seen to write.
fn begin(folder: &Path, more: &[&str]) -> Child {
    let child = Command::new(env!("CARGO_BIN_EXE_kadr"))
        .arg("convert")
        .arg(long_clip())
        .args(["-o", "out.mp4"])
        .args(more)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !parts(folder).iter().any(|size| *size > 10_000) {
        assert!(began.elapsed() < PATIENCE, "nothing is written: {:?}", names(folder));
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

/// Sizes of the files that are being written.
fn parts(folder: &Path) -> Vec<u64> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let parts = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".part"));
    parts.filter_map(|entry| Some(entry.metadata().ok()?.len())).collect()
}

fn names(folder: &Path) -> Vec<OsString> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{name} {}", child.id())])
        .status()
        .unwrap();
    assert!(sent.success());
}

#[test]
fn killed_in_the_middle_it_leaves_nothing_under_the_final_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = begin(folder.path(), &[]);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), None, "it was killed while it worked");
    assert!(!folder.path().join("out.mp4").exists(), "{:?}", names(folder.path()));
}

#[test]
fn killed_in_the_middle_it_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.mp4");
    std::fs::write(&output, KEPT).unwrap();
    let mut child = begin(folder.path(), &["--force"]);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "it was killed while it worked");
    assert_eq!(std::fs::read(&output).unwrap(), KEPT);
}

#[track_caller]
fn is_cancelled(name: &str, more: &[&str], before: Option<&[u8]>) {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.mp4");
    if let Some(bytes) = before {
        std::fs::write(&output, bytes).unwrap();
    }
    let child = begin(folder.path(), more);
    signal(&child, name);
    let ended = child.wait_with_output().unwrap();
    let words = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(130), "{words}");
    assert_eq!(words, "error: cancelled\nhint: nothing was left behind\n");
    assert_eq!(std::fs::read(&output).ok().as_deref(), before);
    assert_eq!(
        names(folder.path()).len(),
        usize::from(before.is_some()),
        "{:?}",
        names(folder.path())
    );
}

#[test]
fn cancelled_by_a_signal_it_leaves_nothing_at_all() {
    is_cancelled("INT", &[], None);
    is_cancelled("TERM", &[], None);
}

#[test]
fn cancelled_by_a_signal_it_leaves_what_was_there() {
    is_cancelled("INT", &["--force"], Some(KEPT));
}

#[test]
fn cancelled_in_the_middle_of_a_size_it_leaves_nothing_at_all() {
    is_cancelled("INT", &["--preset", "fit:3M"], None);
}

/// What a shell prints that converts in a folder of 1 MB of its own, and then lists it; `None`, and a line that says so,
/// where this machine gives no namespace with a tmpfs.
fn on_a_small_disk(test: &str, script: &str) -> Option<String> {
    let mount = "mount -t tmpfs -o size=1m kadr small && cd small";
    let unshare = |script: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("small")).unwrap();
        Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
            .arg(format!("{mount} && {{ {script}; }} 2>&1"))
            .current_dir(folder.path())
            .env("KADR", env!("CARGO_BIN_EXE_kadr"))
            .env("IN", noisy())
            .output()
    };
    if !unshare("true").is_ok_and(|output| output.status.success()) {
        let line = format!("skipped {test}: no mount namespace of our own on this machine\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return None;
    }
    Some(String::from_utf8(unshare(script).unwrap().stdout).unwrap())
}

/// More than a megabyte as H.264.
fn noisy() -> std::path::PathBuf {
    clip(
        "noisy_3s.webm",
        "-f lavfi -i testsrc2=s=640x480:r=25:d=3,noise=alls=60:allf=t -c:v libvpx -b:v 3M -deadline realtime",
    )
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing_at_all() {
    for preset in ["play", "fit:5M", "sheet"] {
        // For the sheet, which is small, the disk is full before.
        let fill = if preset == "sheet" {
            "head -c 2000000 /dev/zero >filler 2>&- ;"
        } else {
            ""
        };
        let script = format!(
            "{fill} \"$KADR\" convert \"$IN\" -o out.mp4 --preset {preset}; echo \"exit $?\"; rm -f filler; ls -A"
        );
        let Some(said) = on_a_small_disk("a_full_disk_is_told_and_leaves_nothing_at_all", &script) else {
            return;
        };
        assert_eq!(
            said,
            "error: disk full while writing the output\nhint: free some space, or choose another output folder\nexit 1\n",
            "{preset}"
        );
    }
}

#[test]
fn a_full_disk_leaves_what_was_there() {
    let script =
        "printf kept >out.mp4; \"$KADR\" convert \"$IN\" -o out.mp4 --force; echo \"exit $?\"; ls -A; cat out.mp4";
    let Some(said) = on_a_small_disk("a_full_disk_leaves_what_was_there", script) else {
        return;
    };
    assert!(said.ends_with("exit 1\nout.mp4\nkept"), "{said}");
}

/// Converts over a file that is there; it fails with this code.
#[track_caller]
fn is_kept(input: &Path, more: &[&str], code: i32) {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.mp4");
    std::fs::write(&output, KEPT).unwrap();
    let ended = Command::new(env!("CARGO_BIN_EXE_kadr"))
        .arg("convert")
        .arg(input)
        .args(["-o", "out.mp4"])
        .args(more)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let words = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(code), "{words}");
    assert_eq!(std::fs::read(&output).unwrap(), KEPT, "{words}");
    assert_eq!(names(folder.path()), ["out.mp4"], "{words}");
}

#[test]
fn a_conversion_that_fails_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("a.mp4");
    std::fs::write(&text, "no film").unwrap();
    is_kept(&text, &["--force"], 3);
    is_kept(&playable_mkv(), &["--force", "--trim", "10-"], 3);
    is_kept(&long_clip(), &["--force", "--preset", "fit:20k"], 3);
    is_kept(&long_clip(), &["--force", "--timeout", "1"], 4);
}

#[test]
fn without_force_what_is_there_stays() {
    is_kept(&playable_mkv(), &[], 2);
}

#[test]
fn an_engine_that_does_not_come_back_does_not_hold_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let stuck = folder.path().join("stuck.mkv");
    std::fs::copy(playable_mkv(), &stuck).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_kadr"))
        .args(["convert", "--json", "--preset", "note"])
        .args([
            &clip(
                "stuck-first.mpg",
                "-f lavfi -i testsrc2=s=640x480:r=25:d=20 -c:v mpeg2video",
            ),
            &stuck,
        ])
        .current_dir(folder.path())
        .args(["--out-dir", "."])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    // The names were looked at when it began. A pipe that nobody writes to keeps whoever opens it for ever.
    while parts(folder.path()).is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::remove_file(&stuck).unwrap();
    assert!(Command::new("mkfifo").arg(&stuck).status().unwrap().success());
    assert!(
        lines.any(|line| line.contains(r#""type":"report""#)),
        "the first file is converted"
    );
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, "INT");
    let began = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "it hung: {:?}",
        began.elapsed()
    );
    assert!(began.elapsed() < PATIENCE);
    let mut left = names(folder.path());
    left.sort();
    assert_eq!(left, ["stuck-first.mp4", "stuck.mkv"]);
}
