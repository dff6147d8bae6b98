//! `kadr doctor`: findings and verdict of planned machines (pure), of this one, and of one with the fake driver.

mod driver;
mod machines;

use std::path::Path;
use std::process::{Command, Output};

/// kadr in a folder, with nothing of a bot set.
fn kadr(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kadr"));
    command.current_dir(folder);
    for name in ["TELEGRAM_BOT_TOKEN", "TELEGRAM_BOT_TOKEN_FILE", "TELEGRAM_API_URL"] {
        command.env_remove(name);
    }
    command
}

fn doctor(args: &[&str], folder: &Path) -> Output {
    kadr(folder).arg("doctor").args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Without what another FFmpeg, or another machine without a GPU, has otherwise.
fn masked(words: &str) -> String {
    const VARYING: [&str; 7] = [
        "FFmpeg that runs",
        "FFmpeg that kadr was built with",
        "FFmpeg's configuration",
        "encoders on a GPU",
        "filters on a GPU",
        "environment",
        "confinement",
    ];
    let mut masked = String::new();
    let mut is_hidden = false;
    for line in words.lines() {
        let is_hint = line.starts_with("      hint: ");
        let varying = VARYING
            .iter()
            .find(|what| line.get(6..).is_some_and(|line| line.starts_with(*what)));
        is_hidden = (is_hint && is_hidden) || varying.is_some() || line.contains("FFmpeg's safety");
        match varying {
            Some(what) => masked = format!("{masked}[mark]  {what}: [varies]\n"),
            None if is_hidden => {}
            None => masked = format!("{masked}{line}\n"),
        }
    }
    masked
}

#[expect(clippy::print_stderr, reason = "a test that does not run says so")]
fn skipped() {
    eprintln!("skipped: this machine has a GPU");
}

#[test]
fn a_machine_without_a_gpu_serves_by_its_cpu() {
    let folder = tempfile::tempdir().unwrap();
    if Path::new("/dev/nvidiactl").exists() {
        skipped();
        return;
    }
    let output = doctor(&[], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    insta::assert_snapshot!("this_machine", masked(&text(&output.stdout)));
}

#[test]
fn a_gpu_that_must_serve_and_does_not_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    if Path::new("/dev/nvidiactl").exists() {
        skipped();
        return;
    }
    let output = doctor(&["--device", "cuda"], folder.path());
    assert_eq!(output.status.code(), Some(1));
    let words = text(&output.stdout);
    assert!(
        words.contains("\nbad   GPUs: the NVIDIA driver is not installed here"),
        "{words}"
    );
    let wrong = doctor(&["--device", "gpu"], folder.path());
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn the_cpu_alone_touches_no_gpu() {
    let folder = tempfile::tempdir().unwrap();
    let words = text(&doctor(&["--device", "cpu"], folder.path()).stdout);
    assert!(words.ends_with("\nverdict: CPU only, as asked\n"), "{words}");
    assert!(!words.contains("libcuda") && !words.contains("NVIDIA"), "{words}");
}

#[test]
fn json_lines_keep_their_schema() {
    let folder = tempfile::tempdir().unwrap();
    let output = text(&doctor(&["--json"], folder.path()).stdout);
    let lines: Vec<serde_json::Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let keys = |kind: &str| -> Vec<String> {
        let mut keys: Vec<Vec<String>> = lines
            .iter()
            .filter(|line| line["type"] == kind)
            .map(|line| line.as_object().unwrap().keys().cloned().collect())
            .collect();
        keys.dedup();
        assert_eq!(keys.len(), 1, "{kind} lines are all of one shape");
        keys.remove(0)
    };
    assert_eq!(
        keys("ffmpeg"),
        ["built_with", "configuration", "release", "running", "type"]
    );
    assert_eq!(
        keys("finding"),
        ["cause", "found", "gpu", "hint", "mark", "type", "what"]
    );
    assert_eq!(keys("ladder"), ["preset", "refused", "rungs", "type"]);
    assert_eq!(
        keys("verdict"),
        ["cause", "device", "found", "hint", "mark", "serves", "type"]
    );
    assert_eq!(lines.last().unwrap()["type"], "verdict");
    assert_eq!(lines.iter().filter(|line| line["type"] == "ladder").count(), 12);
}

#[test]
fn the_bot_api_is_asked_without_a_token_where_a_bot_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("http://user:secret@127.0.0.1:{port}/bot-path");
    let token = "123456:CANARY-canary-canary-canary-canary";
    let server = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let length = stream.read(&mut request).unwrap();
        stream
            .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let run = |url: &str| {
        let mut command = kadr(folder.path());
        command.args(["doctor", "--device", "cpu", "--api-url", url]);
        for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(name);
        }
        text(&command.env("TELEGRAM_BOT_TOKEN", token).output().unwrap().stdout)
    };
    let words = run(&url);
    let answers = format!("ok    Bot API: http://127.0.0.1:{port} answers (404 after ");
    assert!(words.contains(&answers), "{words}");
    let request = server.join().unwrap();
    assert!(
        request.starts_with("GET / HTTP/1.1") && !request.contains("CANARY"),
        "{request}"
    );
    let gone = run(&url);
    let unreachable = format!("warn  Bot API: http://127.0.0.1:{port} cannot be reached: no connection\n      hint: ");
    assert!(gone.contains(&unreachable), "{gone}");
    assert!(!words.contains("secret") && !words.contains("CANARY") && !gone.contains("secret"));
}
