//! Walls: what a confined job, and a confined `kadr serve`, can no longer do, and that they still do their work.
//!
//! The canaries run in a child: this test binary again with one ignored test, for walls stay on a process for good.

use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use kadr::media::confine::{self, Rooms};
use kadr::playground::SendAs;

use crate::support::bot::{WAIT, playground_in};
use crate::support::{clip, ffprobe, shipped_clip};

/// Whether this kernel has what closes everything; a line that says so where it has not. That it was not put in place is no
/// reason to skip.
fn can_close(test: &str) -> bool {
    let walls = confine::trial();
    let has_none = walls.files.as_ref().is_err_and(|why| {
        ["this kernel has no Landlock", "Landlock is not enabled in this kernel"].contains(&why.as_str())
    });
    if !has_none && !(1..4).contains(&walls.abi) {
        assert_eq!(walls.lacking(), None);
        return true;
    }
    let line = format!(
        "skipped {test}: this kernel's Landlock has ABI {} (4 needed)\n",
        walls.abi
    );
    // Past the test harness, which would keep it to itself.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    false
}

/// One ignored test of this binary, in a process of its own.
fn child(test: &str, canary: &Path, port: u16) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("confine::{test}"), "--ignored", "--nocapture"])
        .env("KADR_TEST_CANARY", canary)
        // Temporary files stay open: they are elsewhere, wherever this repository lies.
        .env("TMPDIR", canary.parent().unwrap().join("temporary"))
        .env("KADR_TEST_PORT", port.to_string())
        .output()
        .unwrap()
}

fn canary() -> (std::path::PathBuf, u16) {
    let port = std::env::var("KADR_TEST_PORT").expect("started by its parent");
    (
        std::env::var_os("KADR_TEST_CANARY").unwrap().into(),
        port.parse().unwrap(),
    )
}

fn refusal<T>(outcome: std::io::Result<T>) -> Option<i32> {
    outcome.err().and_then(|error| error.raw_os_error())
}

const EPERM: Option<i32> = Some(1);
const EACCES: Option<i32> = Some(13);

#[test]
fn a_confined_process_opens_no_canary_reaches_no_port_and_starts_no_program() {
    if !can_close("a_confined_process_opens_no_canary_reaches_no_port_and_starts_no_program") {
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::create_dir(folder.path().join("temporary")).unwrap();
    let file = folder.path().join("canary");
    std::fs::write(&file, "canary").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let output = child("inside_a_process", &file, listener.local_addr().unwrap().port());
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{words}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(words.contains("1 passed"), "{words}");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody came");
}

#[test]
#[ignore = "started by its parent"]
fn inside_a_process() {
    let (file, port) = canary();
    let reached = || TcpStream::connect(("127.0.0.1", port));
    let listening = || TcpListener::bind("127.0.0.1:0");
    let program = || Command::new("/bin/true").status();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "canary");
    assert!(listening().is_ok() && program().unwrap().success());
    let open = tempfile::tempdir_in(file.parent().unwrap()).unwrap();
    let rooms = Rooms {
        write: vec![open.path().to_owned()],
        ..Rooms::default()
    };
    // On a thread that the harness does not use again; seccomp is on all of them then.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let walls = confine::process(&rooms);
            assert_eq!(walls.lacking(), None);
            assert_eq!(refusal(File::open(&file)), EACCES);
            assert_eq!(refusal(std::fs::remove_file(&file)), EACCES);
            assert_eq!(refusal(std::fs::write(file.with_extension("new"), "x")), EACCES);
            assert_eq!(refusal(reached()), EACCES);
            assert_eq!(refusal(listening()), EACCES);
            std::fs::write(open.path().join("mine"), "x").unwrap();
            assert_eq!(std::fs::read_to_string(open.path().join("mine")).unwrap(), "x");
            assert!(File::open("/etc/passwd").is_ok() && UdpSocket::bind("127.0.0.1:0").is_ok());
        });
    });
    assert_eq!(refusal(program()), EPERM, "seccomp is on every thread");
}

/// What strace saw of a conversion: each thread's calls after its walls stood.
fn calls_behind_walls(folder: &Path, args: &[&str]) -> Option<Vec<String>> {
    let trace = folder.join("trace");
    let traced = Command::new("strace")
        .args(["-f", "-e", "trace=openat,open,socket,execve,clone,clone3,seccomp", "-o"])
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_kadr"))
        .args(args)
        .stderr(Stdio::null())
        .output();
    if !traced.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let mut walled: Vec<String> = Vec::new();
    let mut behind = Vec::new();
    for line in std::fs::read_to_string(trace).unwrap().lines() {
        let (thread, call) = line.split_once(char::is_whitespace).unwrap();
        let call = call.trim_start();
        if call.starts_with("seccomp(SECCOMP_SET_MODE_FILTER") && call.ends_with("= 0") {
            walled.push(thread.to_owned());
        } else if walled.iter().any(|one| one == thread) {
            // A thread that a walled one starts is walled too.
            if let (true, Some((_, child))) = (call.contains("clone"), call.rsplit_once("= ")) {
                walled.push(child.to_owned());
            }
            behind.push(call.to_owned());
        }
    }
    Some(behind)
}

#[test]
fn behind_its_walls_a_conversion_opens_no_file_of_ours_and_no_socket() {
    let name = "behind_its_walls_a_conversion_opens_no_file_of_ours_and_no_socket";
    if !can_close(name) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (source, result) = (shipped_clip(), folder.path().join("out.mp4"));
    let args = [
        "convert",
        source.to_str().unwrap(),
        "-o",
        result.to_str().unwrap(),
        "--confine",
        "require",
    ];
    let Some(calls) = calls_behind_walls(folder.path(), &args) else {
        std::io::stderr()
            .write_all(format!("skipped {name}: strace does not run here\n").as_bytes())
            .unwrap();
        return;
    };
    let opened: Vec<&String> = calls
        .iter()
        .filter(|call| call.starts_with("open") && !call.contains("= -1"))
        .collect();
    let canaries = calls
        .iter()
        .filter(|call| call.contains("\"/\"") && call.contains("EACCES"))
        .count();
    let sockets: Vec<&String> = calls.iter().filter(|call| call.starts_with("socket(")).collect();
    // The probe; the conversion with the check of its output: each tried both canaries.
    assert_eq!((canaries, sockets.len()), (2, 2), "{calls:#?}");
    assert!(sockets.iter().all(|call| call.contains("EPERM")), "{sockets:#?}");
    let harmless = ["/proc/", "/sys/", "/dev/"];
    assert!(
        opened
            .iter()
            .all(|call| harmless.iter().any(|path| call.contains(path))),
        "{opened:#?}"
    );
    assert!(ffprobe(&result, "stream=codec_name").contains("h264"));
}

#[test]
fn what_has_to_be_opened_by_name_is_open_behind_walls() {
    if !can_close("what_has_to_be_opened_by_name_is_open_behind_walls") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let hdr = clip(
        "confine_hdr.mkv",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=2 -vf format=yuv420p10le -c:v libx265 -x265-params log-level=error \
         -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc",
    );
    // The table of colours; the statistics of two passes; both; spools.
    for (number, words) in [
        vec!["--preset", "play"],
        vec!["--preset", "fit:60k"],
        vec!["--preset", "sheet"],
        vec!["--preset", "play", "--segments", "2"],
    ]
    .into_iter()
    .enumerate()
    {
        let result = folder.path().join(format!("{number}.out"));
        let output = Command::new(env!("CARGO_BIN_EXE_kadr"))
            .arg("convert")
            .arg(&hdr)
            .arg("-o")
            .arg(&result)
            .args(["--device", "cpu", "--confine", "require"])
            .args(&words)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// `kadr serve`, all walls required.
fn serve(token: &str, api_url: &str, folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_kadr"))
        .arg("serve")
        .current_dir(folder)
        .env("TELEGRAM_BOT_TOKEN", token)
        .env("TELEGRAM_API_URL", api_url)
        .env("KADR_DISK_FREE_MIN", "1")
        .env("KADR_GRACE", "0")
        .env("KADR_CONFINE", "require")
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confined_bot_sends_a_video() {
    if !can_close("a_confined_bot_sends_a_video") {
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let playground = playground_in(folder.path()).await;
    let mut bot = serve(playground.token(), &playground.api_url(), folder.path());
    playground.send_file(1, &shipped_clip(), SendAs::Document).unwrap();
    playground
        .wait(1, WAIT, |_| playground.press(1, "c:play").then_some(()))
        .await
        .expect("the question comes");
    let result = playground
        .wait(1, WAIT, |chat| {
            chat.iter().find(|m| m.from_bot && m.media.is_some()).cloned()
        })
        .await
        .expect("the video comes");
    assert!(ffprobe(&result.path.unwrap(), "stream=codec_name").contains("h264"));
    let status = std::fs::read_to_string(format!("/proc/{}/status", bot.id())).unwrap();
    assert!(
        status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"),
        "{status}"
    );
    let log = std::fs::read_to_string(folder.path().join("logs/bot.log")).unwrap();
    assert!(log.contains("confined closed=\"files, TCP, system calls\""), "{log}");
    bot.kill().unwrap();
    bot.wait().unwrap();
}

#[test]
fn a_mode_that_is_not_known_is_refused_with_those_that_are() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kadr"))
        .args(["serve", "--print-config", "--confine", "maybe"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        words.contains("confine is `maybe` (allowed: off, auto, require)"),
        "{words}"
    );
}
