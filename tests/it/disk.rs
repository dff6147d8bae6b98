//! A disk that is really full: `kadr serve` on a tmpfs of 4 MiB in a mount namespace of its own, which ends with it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use kadr::playground::{Message, Playground, SendAs};

use crate::support::bot::{WAIT, playground_in};
use crate::support::{clip, long_clip, playable_mkv};

/// The bot in its namespace; stopped when dropped.
struct Small {
    playground: Playground,
    folder: tempfile::TempDir,
    bot: Child,
}

/// `None`, and a line that says so, where this machine gives no namespace with a tmpfs.
async fn small(test: &str) -> Option<Small> {
    small_with(test, "logs").await
}

async fn small_with(test: &str, log_dir: &str) -> Option<Small> {
    let allowed = unshare("mount -t tmpfs -o size=4m kadr /tmp").output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        // Past the test harness, which would keep it to itself.
        let line = format!("skipped {test}: no mount namespace of our own on this machine\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    fs::create_dir(folder.path().join("data")).unwrap();
    let bot = unshare("mount -t tmpfs -o size=4m kadr data && exec \"$KADR\" serve")
        .current_dir(folder.path())
        .env("KADR", env!("CARGO_BIN_EXE_kadr"))
        .env("TELEGRAM_BOT_TOKEN", playground.token())
        .env("TELEGRAM_API_URL", playground.api_url())
        .env("KADR_DISK_FREE_MIN", "1")
        .env("KADR_GRACE", "0")
        .env("KADR_LOG_DIR", log_dir)
        .stderr(fs::File::create(folder.path().join("stderr")).unwrap())
        .spawn()
        .unwrap();
    Some(Small {
        playground,
        folder,
        bot,
    })
}

fn unshare(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
    command
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = self.bot.kill();
        let _ = self.bot.wait();
    }
}

impl Small {
    /// The full disk, seen from outside.
    fn data(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.bot.id()));
        root.join(self.folder.path().strip_prefix("/").unwrap()).join("data")
    }

    async fn until<T>(&self, what: &str, done: impl FnMut(&[Message]) -> Option<T>) -> T {
        match self.playground.wait(1, WAIT, done).await {
            Some(value) => value,
            None => panic!(
                "never came: {what}; the chat is {:#?}; the log is {}",
                self.playground.chat(1),
                fs::read_to_string(self.folder.path().join("stderr")).unwrap()
            ),
        }
    }

    /// Takes all the room that is left; gives what takes it.
    fn fill(&self) -> PathBuf {
        let filler = self.data().join("filler");
        let mut file = fs::File::create(&filler).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        while file.write_all(&[0]).is_ok() {}
        filler
    }

    async fn send(&self, file: &std::path::Path) {
        self.playground.send_file(1, file, SendAs::Document).unwrap();
        self.until("the question", |_| self.playground.press(1, "c:play").then_some(()))
            .await;
    }

    async fn until_result(&self) -> Message {
        self.until("the video", |chat| {
            chat.iter().find(|m| m.from_bot && m.media.is_some()).cloned()
        })
        .await
    }

    /// The user is told in a sentence with a button, no file is left, and the next video is served.
    async fn is_told_and_the_bot_goes_on(&self) {
        let told = |chat: &[Message]| chat.iter().find(|m| m.text.contains("no space left")).cloned();
        let answer = self.until("the sentence", told).await;
        assert_eq!(answer.buttons[0][0].0, "Try again");
        let left: Vec<_> = fs::read_dir(self.data().join("work")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        self.send(&playable_mkv()).await;
        self.until_result().await;
        assert_eq!(self.playground.counts(1).messages, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_fills_the_disk_is_told_and_the_bot_goes_on() {
    let Some(small) = small("a_download_that_fills_the_disk_is_told_and_the_bot_goes_on").await else {
        return;
    };
    small.send(&long_clip()).await;
    small.is_told_and_the_bot_goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversion_that_fills_the_disk_is_told_and_the_bot_goes_on() {
    let Some(small) = small("a_conversion_that_fills_the_disk_is_told_and_the_bot_goes_on").await else {
        return;
    };
    let source = clip(
        "noisy.webm",
        "-f lavfi -i testsrc2=s=640x480:r=25:d=6,noise=alls=60:allf=t -c:v libvpx -b:v 3M -deadline realtime",
    );
    let size = fs::metadata(&source).unwrap().len();
    assert!(
        (1_000_000..3_000_000).contains(&size),
        "the source fits, the result does not: {size}"
    );
    small.send(&source).await;
    small.is_told_and_the_bot_goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_on_a_full_disk_loses_no_request() {
    let Some(small) = small("a_database_on_a_full_disk_loses_no_request").await else {
        return;
    };
    small.playground.send_text(1, "/help");
    small
        .until("the help", |chat| chat.iter().any(|m| m.from_bot).then_some(()))
        .await;
    let filler = small.fill();
    small
        .playground
        .send_file(1, &playable_mkv(), SendAs::Document)
        .unwrap();
    let log = small.folder.path().join("logs/error.log");
    tokio::time::timeout(WAIT, async {
        while !fs::read_to_string(&log).unwrap_or_default().contains("disk") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("the log names the disk");
    fs::remove_file(&filler).unwrap();
    small
        .until("the question", |_| small.playground.press(1, "c:play").then_some(()))
        .await;
    small.until_result().await;
}

/// Database, its log, heartbeat, files in work and the bot's own logs: nothing can be written.
#[tokio::test(flavor = "multi_thread")]
async fn with_no_room_for_anything_the_bot_waits_and_goes_on_without_a_restart() {
    let Some(mut small) = small_with(
        "with_no_room_for_anything_the_bot_waits_and_goes_on_without_a_restart",
        "data/logs",
    )
    .await
    else {
        return;
    };
    small.playground.send_text(1, "/help");
    small
        .until("the help", |chat| chat.iter().any(|m| m.from_bot).then_some(()))
        .await;
    for (round, wish) in [(1, "play"), (2, "small")] {
        let filler = small.fill();
        let sent = small
            .playground
            .send_file_in(1, 1, &playable_mkv(), SendAs::Document, wish);
        sent.unwrap();
        // Several beats, polls and tries.
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert!(small.bot.try_wait().unwrap().is_none(), "it runs on");
        fs::remove_file(filler).unwrap();
        let results = |chat: &[Message]| chat.iter().filter(|m| m.from_bot && m.media.is_some()).count();
        let is_told = |chat: &[Message]| chat.iter().any(|m| m.text.contains("no space left"));
        let ended = |chat: &[Message]| (results(chat) == round || is_told(chat)).then_some(is_told(chat));
        if small.until("an end", ended).await {
            // The database found its room before the files did.
            assert!(small.playground.press(1, "Try again"));
        }
        let came = |chat: &[Message]| (results(chat) == round).then_some(());
        small.until("the video", came).await;
    }
    let log = fs::read_to_string(small.data().join("logs/bot.log")).unwrap();
    assert!(log.contains("delivered"), "the log goes on too");
}

/// `kadr convert` into a tmpfs of so many bytes; its exit code, what it said, and what lies there afterwards.
fn convert_with_room(source: &Path, words: &[&str], room_bytes: u64) -> (Option<i32>, String, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=$ROOM kadr . && cd \"$PWD\" && \
                  TMPDIR=\"$PWD\" \"$KADR\" convert \"$SOURCE\" --device cpu --out-dir . \"$@\" >/dev/null; code=$?; ls -A; exit $code";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .args(words)
        .current_dir(folder.path())
        .env("KADR", env!("CARGO_BIN_EXE_kadr"))
        .env("SOURCE", source)
        .env("ROOM", room_bytes.to_string())
        .output()
        .unwrap();
    let left = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said, left.lines().map(str::to_owned).collect())
}

/// Outputs, statistics of a first pass, tables of colours, segments: wherever the disk ends, it is said and nothing is left.
#[test]
fn wherever_in_a_conversion_the_disk_ends_nothing_is_left() {
    let allowed = unshare("mount -t tmpfs -o size=4m kadr /tmp").output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        let line = "skipped wherever_in_a_conversion_the_disk_ends_nothing_is_left: no mount namespace of our own\n";
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return;
    }
    let plain = clip(
        "room.mkv",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=4 -f lavfi -i sine=d=4:r=48000 -c:v mpeg4 -g 25 -b:v 600k -c:a mp3",
    );
    let bright = clip(
        "room-hdr.mkv",
        "-f lavfi -i testsrc2=s=160x120:r=10:d=1 -vf format=yuv420p10le -c:v libx265 -x265-params \
         colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:log-level=none \
         -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc",
    );
    let ways: [(&Path, &[&str]); 6] = [
        (&plain, &["--segments", "off"]),
        (&plain, &["--segments", "2"]),
        (&plain, &["--preset", "fit:100k"]),
        (&plain, &["--preset", "sheet"]),
        (&plain, &["--preset", "audio"]),
        (&bright, &["--segments", "off"]),
    ];
    for (source, words) in ways {
        let (mut room_bytes, mut full) = (4096, 0);
        loop {
            let (code, said, left) = convert_with_room(source, words, room_bytes);
            let case = format!("{words:?} in {room_bytes} bytes: {code:?} {said} {left:?}");
            if code == Some(0) {
                assert_eq!(left.len(), 1, "{case}");
                break;
            }
            assert_eq!(code, Some(1), "{case}");
            assert!(said.contains("hint: free some space"), "{case}");
            assert_eq!(left, [""; 0], "{case}");
            full += 1;
            room_bytes += 4096.max(room_bytes / 16384 * 4096);
            assert!(room_bytes < 16 << 20, "{case}");
        }
        assert!(full > 2, "{words:?}: the disk was full {full} times");
    }
}
