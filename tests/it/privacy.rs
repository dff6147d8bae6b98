//! What is told of a user's file, and where: nowhere, once its job is over. Read from the bytes on the disk.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use kadr::playground::{Fault, Playground, SendAs};

use crate::support::bot::{WAIT, playground_in};
use crate::support::served::{Served, serve_on};
use crate::support::{clip, long_clip};

const SENDER: &str = "CanarySender";
const NAME: &str = "CanaryName";
const CAPTION: &str = "CanaryCaption";
const TITLE: &str = "CanaryTitle";
const PLACE: &str = "+12.3456+045.6789";
/// What follows the colon of the playground's token.
const TOKEN: &str = "playground-token-of-no-value";
const USER: i64 = 77;

/// Every canary that stands in a file of these folders, with the file.
fn found(places: &[PathBuf]) -> Vec<String> {
    let mut found = Vec::new();
    for place in places {
        if place.is_dir() {
            let entries = std::fs::read_dir(place).unwrap();
            let inside: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
            found.extend(self::found(&inside));
            continue;
        }
        let bytes = std::fs::read(place).unwrap_or_default();
        for canary in [SENDER, NAME, CAPTION, TITLE, PLACE, TOKEN] {
            if bytes.windows(canary.len()).any(|window| window == canary.as_bytes()) {
                found.push(format!("{canary} in {}", place.display()));
            }
        }
    }
    found
}

/// `kadr serve` that tells its log everything; stderr goes to a file.
fn serve(playground: &Playground, folder: &Path) -> Served {
    let token = folder.join("token");
    std::fs::write(&token, playground.token()).unwrap();
    std::fs::set_permissions(&token, PermissionsExt::from_mode(0o600)).unwrap();
    let mut command = serve_on(playground, folder);
    command
        .env("TELEGRAM_BOT_TOKEN_FILE", token)
        .env_remove("TELEGRAM_BOT_TOKEN")
        .env("KADR_LOOK_MAX", "0")
        .env("KADR_LOG", "debug")
        .stderr(File::create(folder.join("stderr.txt")).unwrap());
    Served::spawn(&mut command)
}

/// Sends a file under a name that says something, and asks for a video.
async fn ask(playground: &Playground, file: &Path, number: u32) {
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().join(format!("{NAME}{number}.mov"));
    std::fs::copy(file, &named).unwrap();
    playground
        .send_file_in(USER, USER, &named, SendAs::Document, CAPTION)
        .unwrap();
    playground
        .wait(USER, WAIT, |_| playground.press(USER, "c:play").then_some(()))
        .await
        .unwrap();
}

async fn until_says(playground: &Playground, words: &str) {
    let says = |chat: &[kadr::playground::Message]| chat.iter().any(|m| m.from_bot && m.text.contains(words));
    let said = playground.wait(USER, WAIT, |chat| says(chat).then_some(())).await;
    assert!(said.is_some(), "never said `{words}`: {:#?}", playground.chat(USER));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_end_nothing_on_the_disk_tells_of_a_user_or_of_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    playground.add_user(USER, SENDER, "en");
    let mut bot = serve(&playground, folder.path());
    let tagged = clip(
        "canary.mov",
        "-f lavfi -i testsrc2=s=160x120:r=10:d=1 -c:v libx264 -pix_fmt yuv420p \
         -metadata title=CanaryTitle -metadata location=+12.3456+045.6789/",
    );
    assert_eq!(found(std::slice::from_ref(&tagged)).len(), 2, "the source says both");

    ask(&playground, &tagged, 1).await;
    let result = playground
        .wait(USER, WAIT, |chat| {
            chat.iter().find(|m| m.from_bot && m.media.is_some()).cloned()
        })
        .await
        .expect("it is converted");
    assert_eq!(found(&[result.path.unwrap()]), Vec::<String>::new());

    let junk = folder.path().join("junk");
    std::fs::write(&junk, "this is not a film\n".repeat(100)).unwrap();
    ask(&playground, &junk, 2).await;
    until_says(&playground, "not a video or a sound file").await;

    // The server's own words go to the log.
    let words = format!("Bad Request: no bot {}", playground.token());
    playground.plan("editmessagemedia", 1, Fault::Refuse(400, words));
    ask(&playground, &long_clip(), 3).await;
    until_says(&playground, "Converting").await;
    playground.send_text(USER, "/cancel");
    until_says(&playground, "Cancelled").await;
    ask(
        &playground,
        &clip(
            "canary_other.mkv",
            "-f lavfi -i testsrc2=s=160x120:r=10:d=2 -c:v libx264",
        ),
        4,
    )
    .await;
    let log = folder.path().join("logs/bot.log");
    let refused = async {
        while !std::fs::read_to_string(&log).unwrap().contains("no bot (hidden)") {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(WAIT, refused)
        .await
        .expect("the refusal is logged");

    let limits = std::fs::read_to_string(format!("/proc/{}/limits", bot.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert!(
        core.split_whitespace()
            .nth(4)
            .is_some_and(|soft| ["0", "1"].contains(&soft)),
        "{core}"
    );
    let places = ["data", "logs", "stderr.txt"].map(|place| folder.path().join(place));
    assert!(
        found(&places[..1]).iter().any(|found| found.starts_with(NAME)),
        "what comes is written down before it is handled, so there is something to forget"
    );
    let id = bot.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(bot.wait().unwrap().success());
    assert_eq!(found(&places), Vec::<String>::new());
    let left = std::fs::read_dir(folder.path().join("data/work")).unwrap().count();
    assert_eq!(left, 0, "no media is left");
}

/// `kadr serve --print-config` with a token file of this mode.
fn print_config(mode: u32) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "1000001:playground-token-of-no-value-0000000\n").unwrap();
    std::fs::set_permissions(&token, PermissionsExt::from_mode(mode)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kadr"))
        .args(["serve", "--print-config", "--device", "cpu", "--token-file", "token"])
        .current_dir(folder.path())
        .env_remove("TELEGRAM_BOT_TOKEN")
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_token_file_that_everybody_may_read_is_refused() {
    assert_eq!(
        print_config(0o644),
        (
            Some(2),
            "error: token file `token` is open to everybody: mode 0644 (allowed 0640 or less)\n\
             hint: `chmod 600` it; of a secret in a container set the mode where it is mounted\n"
                .to_owned()
        )
    );
    assert_eq!(print_config(0o602).0, Some(2));
    assert_eq!(print_config(0o600), (Some(0), String::new()));
    assert_eq!(print_config(0o440), (Some(0), String::new()));
}

#[test]
fn a_commands_error_hides_what_looks_like_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("1000001:playground-token-of-no-value-0000000");
    std::fs::write(&token, "a file where a folder should be").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kadr"))
        .args(["serve", "--device", "cpu", "--log-dir"])
        .arg(token.join("logs"))
        .current_dir(folder.path())
        .env("TELEGRAM_BOT_TOKEN", "1000001:another-token-of-no-value-00000000000")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("/(hidden)/logs`"), "{said}");
    assert!(!said.contains(TOKEN), "{said}");
}
