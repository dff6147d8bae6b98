//! The command line: data on stdout, one line and a hint on stderr, exit codes.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::{ffprobe, playable_mkv};

fn kadr(args: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kadr"))
        .args(args)
        .current_dir(folder)
        .env_remove("TELEGRAM_BOT_TOKEN")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn convert_prints_a_report_as_the_last_line_of_json() {
    let folder = tempfile::tempdir().unwrap();
    let source = playable_mkv();
    let output = kadr(
        &["convert", source.to_str().unwrap(), "-o", "out.mp4", "--json"],
        folder.path(),
    );
    assert_eq!(output.status.code(), Some(0));
    let report: serde_json::Value = serde_json::from_str(text(&output.stdout).lines().last().unwrap()).unwrap();
    assert_eq!((&report["type"], &report["mode"]), (&"report".into(), &"remux".into()));
    assert!(report["cpu_s"].as_f64().unwrap() < 1.0);
    let duration = ffprobe(&folder.path().join("out.mp4"), "format=duration");
    assert!(duration.starts_with("duration=3.0"), "{duration}");
}

#[test]
fn what_is_no_video_ends_with_3_and_one_line_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.mp4"), "no film").unwrap();
    let output = kadr(&["convert", "a.mp4", "-o", "b.mp4"], folder.path());
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        text(&output.stderr),
        "error: not a video or audio file\n\
         hint: give a video or audio file; playlists, images and documents are not converted\n"
    );
    assert!(!folder.path().join("b.mp4").exists());
}

#[test]
fn wrong_usage_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let missing = kadr(&["convert", "none.mp4"], folder.path());
    assert_eq!(
        text(&missing.stderr),
        "error: `none.mp4` is not a file\nhint: give the path of a video file\n"
    );
    std::fs::write(folder.path().join("a.mkv"), "x").unwrap();
    std::fs::write(folder.path().join("a.mp4"), "x").unwrap();
    let taken = kadr(&["convert", "a.mkv"], folder.path());
    let no_token = kadr(&["serve"], folder.path());
    assert!(text(&no_token.stderr).starts_with("error: no bot token is set\nhint: "));
    for output in [missing, taken, no_token] {
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    }
}

#[test]
fn probe_says_what_each_preset_would_do() {
    let folder = tempfile::tempdir().unwrap();
    let source = playable_mkv();
    let output = text(&kadr(&["probe", source.to_str().unwrap()], folder.path()).stdout);
    assert!(output.contains("play: video copied: H.264 High"), "{output}");
    assert!(output.contains("audio: audio copied: AAC-LC 48000 Hz"), "{output}");
}

#[test]
fn the_printed_configuration_hides_the_token() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("kadr.toml"), "jobs = 5\nconversion_timeout_s = 60\n").unwrap();
    let token = "123456:CANARY-canary-canary-canary-canary";
    let args = ["serve", "--print-config", "--token", token, "--jobs", "2"];
    let output = text(&kadr(&args, folder.path()).stdout);
    assert!(
        output.contains("jobs = 2\ndevice = \"auto\"\nconversion_timeout_s = 60\n"),
        "{output}"
    );
    assert!(!output.contains("CANARY"));
}

/// `ci/pkg-config` as Cargo calls it.
fn pkg_config(library: &str, name: &str, value: &str) -> Output {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("ci/pkg-config"))
        .args(["--libs", library])
        .env(name, value)
        .output()
        .unwrap()
}

#[test]
fn a_build_without_ffmpeg_says_in_a_sentence_what_to_install() {
    let found = pkg_config("libavutil", "UNUSED", "");
    assert!(found.status.success() && text(&found.stdout).contains("-lavutil"));
    let missing = pkg_config("libavutil", "PKG_CONFIG_LIBDIR", "/nonexistent");
    let words = text(&missing.stderr);
    let sentence = "kadr cannot be built: libavutil (part of FFmpeg 5.1 to 9) with its headers was not found\n";
    assert!(!missing.status.success() && words.contains(sentence), "{words}");
    let nothing = pkg_config("libavutil", "PATH", "/nonexistent");
    let words = text(&nothing.stderr);
    assert!(!nothing.status.success() && words.starts_with("kadr cannot be built: pkg-config is not installed\n"));
    let other = pkg_config("nonesuch", "PKG_CONFIG_LIBDIR", "/nonexistent");
    assert!(!other.status.success() && !text(&other.stderr).contains("kadr"));

    let (_, packages) = words.split_once("apt-get install ").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["build.rs", "ci/install"] {
        let other = std::fs::read_to_string(root.join(file)).unwrap();
        for package in packages.split_whitespace() {
            assert!(other.contains(package), "{file} does not name {package}");
        }
    }
}

#[test]
fn each_command_has_its_page_and_shells_complete_it() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let made = Command::new(env!("CARGO_BIN_EXE_kadr"))
        .arg("manual")
        .arg(&pages)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let mut names: Vec<String> = std::fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let commands = [
        "bench",
        "completions",
        "convert",
        "demo",
        "doctor",
        "health",
        "jobs",
        "log-out",
        "manual",
        "probe",
        "serve",
    ];
    for command in commands {
        assert!(names.contains(&format!("kadr-{command}.1")), "{command}: {names:?}");
    }
    assert!(
        !names
            .iter()
            .any(|name| name.contains("engine") || name.contains("nursery")),
        "{names:?}"
    );
    let page = std::fs::read_to_string(pages.join("kadr-serve.1")).unwrap();
    assert!(
        page.contains("conversion\\-timeout\\-s") && page.contains("CONVERSION_TIMEOUT"),
        "{page}"
    );
    for shell in ["bash", "zsh", "fish"] {
        let script = Command::new(env!("CARGO_BIN_EXE_kadr"))
            .args(["completions", shell])
            .output()
            .unwrap();
        let text = String::from_utf8(script.stdout).unwrap();
        assert!(commands.iter().all(|command| text.contains(command)), "{shell}: {text}");
    }
    // Bash reads its own.
    let script = format!(
        "eval \"$('{}' completions bash)\"; complete -p kadr",
        env!("CARGO_BIN_EXE_kadr")
    );
    let read = Command::new("bash").args(["-euc", &script]).output().unwrap();
    assert!(read.status.success(), "{read:?}");
}

/// `docs/kadr.toml` has each key once, and what it says is what kadr decides.
#[test]
fn the_example_has_every_key_with_its_default() {
    let folder = tempfile::tempdir().unwrap();
    let example = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/kadr.toml")).unwrap();
    let mut keys: Vec<&str> = example
        .lines()
        .filter_map(|line| line.strip_prefix("# ")?.split_once(" = "))
        .map(|(key, _)| key)
        .collect();
    keys.sort_unstable();
    let help = text(&kadr(&["serve", "--help"], folder.path()).stdout);
    let mut flags: Vec<String> = help
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("--"))
        .map(|flag| flag.replace('-', "_"))
        .filter(|flag| !["config", "print_config", "help", "version"].contains(&flag.as_str()))
        .collect();
    flags.sort_unstable();
    flags.dedup();
    assert_eq!(keys, flags);
    for readme in ["README.md", "README.ru.md"] {
        let told = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(readme)).unwrap();
        for flag in &flags {
            let row = format!("| `--{}` | `", flag.replace('_', "-"));
            assert!(told.contains(&row), "{readme} does not say {row}");
        }
    }
    // With examples for what has no default left out, both decide the same.
    let examples = ["token", "api_local", "watch", "webhook", "fetch_max", "send_max"];
    let defaults: String = example
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| line.contains(" = ") && !examples.iter().any(|key| line.starts_with(key)))
        .fold(String::new(), |all, line| all + line + "\n");
    let decided = |toml: &str| {
        std::fs::write(folder.path().join("kadr.toml"), toml).unwrap();
        let token = "123456:CANARY-canary-canary-canary-canary";
        let args = ["serve", "--print-config", "--device", "cpu", "--token", token];
        let output = kadr(&args, folder.path());
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    assert_eq!(decided(&defaults), decided(""));
}
