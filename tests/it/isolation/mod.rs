//! `KADR_ISOLATION=process`: what a job is to its user is the same, and what kills an engine kills nothing else.

mod cost;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kadr::config::{Config, Settings};
use kadr::job::{BLAME_UNNAMED, Job, JobId, Phase, Status};
use kadr::media::isolation::{Errand, Nursery};
use kadr::media::{Confine, Control, Isolation, MediaError};
use kadr::playground::{Message, Playground, SendAs};
use kadr::store::Journal;
use kadr::store::Store;

use crate::support::bot::{WAIT, playground_in};
use crate::support::fake_driver::FakeDriver;
use crate::support::{clip, ffprobe, long_clip, shipped_clip};

pub(crate) fn nursery() -> Arc<Nursery> {
    Arc::new(Nursery::start(Some(Path::new(env!("CARGO_BIN_EXE_kadr")))).unwrap())
}

/// The processes that one has started, by `/proc`.
fn children(of: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let after_name = stat.rsplit_once(')').unwrap().1;
        if after_name.split_whitespace().nth(1) == Some(&of.to_string()) {
            found.push(pid);
        }
    }
    found
}

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < WAIT, "never came: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn kill(signal: &str, pid: u32) {
    let sent = Command::new("kill").args([signal, &pid.to_string()]).status();
    assert!(sent.unwrap().success());
}

struct OnUnwind<'a>(&'a Control);

impl Drop for OnUnwind<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.cancel();
        }
    }
}

/// An engine that waits for the bytes of a pipe, in a thread of the caller's.
fn stuck_engine(nursery: &Nursery, control: &Control, then: impl FnOnce(u32)) -> (MediaError, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let order = serde_json::json!({
        "source": pipe,
        "what": {"Look": ["play"]},
        "caps": kadr::media::Caps::without_gpus(),
        "limits": kadr::media::Limits::default(),
    });
    let errand = Errand {
        source: &pipe,
        folder: None,
        gpu: false,
        confine: Confine::Auto,
        limit: WAIT,
    };
    std::thread::scope(|scope| {
        // Also where the test fails: else it would be waited for.
        let _canceled = OnUnwind(control);
        let asked = scope.spawn(|| {
            nursery
                .ask::<_, serde_json::Value>(&errand, &order, control)
                .unwrap_err()
        });
        let engine = until("an engine", || children(nursery.pid()).first().copied());
        // Until it is walled in: before, it is not yet what it will be.
        until("a walled engine", || {
            let status = std::fs::read_to_string(format!("/proc/{engine}/status")).unwrap_or_default();
            status.contains("Seccomp:\t2").then_some(())
        });
        then(engine);
        let began = Instant::now();
        (asked.join().unwrap(), began.elapsed())
    })
}

#[test]
fn a_cancel_kills_an_engine_that_does_not_listen() {
    let (nursery, control) = (nursery(), Control::new(None));
    let (error, took) = stuck_engine(&nursery, &control, |_| control.cancel());
    assert!(matches!(error, MediaError::Canceled), "{error}");
    // 200 ms are promised; the rest is for a busy machine.
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(children(nursery.pid()), [0_u32; 0], "nothing is left of it");
}

#[test]
fn the_time_limit_kills_it_too() {
    let (nursery, control) = (nursery(), Control::new(Some(Duration::from_secs(3))));
    let (error, _) = stuck_engine(&nursery, &control, |_| {});
    assert!(matches!(error, MediaError::TimeLimit { limit_s: 3 }), "{error}");
    assert_eq!(children(nursery.pid()), [0_u32; 0]);
}

#[test]
fn an_engine_that_dies_of_a_signal_is_a_crash_and_one_that_is_asked_to_stop_stays() {
    // Not SEGV: the first one that is sent, where there was no fault, Rust's handler of stack overflows takes for none.
    for (name, number) in [("-ABRT", 6), ("-KILL", 9)] {
        let (nursery, control) = (nursery(), Control::new(None));
        let (error, _) = stuck_engine(&nursery, &control, |engine| {
            // As a service manager asks a whole group.
            kill("-TERM", engine);
            kill("-TERM", nursery.pid());
            kill(name, engine);
        });
        assert!(
            matches!(error, MediaError::Crashed { signal } if signal == number),
            "{error}"
        );
    }
}

#[test]
fn an_engine_knows_nothing_of_the_bot_and_ends_with_it() {
    let (nursery, control) = (nursery(), Control::new(None));
    let mut seen = (String::new(), Vec::new());
    let _ = stuck_engine(&nursery, &control, |engine| {
        let of = |file: &str| std::fs::read(format!("/proc/{engine}/{file}")).unwrap();
        seen.0 = String::from_utf8_lossy(&of("status")).into_owned();
        seen.1 = std::fs::read(format!("/proc/{engine}/environ")).unwrap_or_default();
        let limits = String::from_utf8_lossy(&of("limits")).into_owned();
        assert!(
            limits.contains("Max core file size        0                    0"),
            "{limits}"
        );
        assert!(!limits.contains("Max address space         unlimited"), "{limits}");
        // Root alone may look there.
        if let Ok(descriptors) = std::fs::read_dir(format!("/proc/{engine}/fd")) {
            let descriptors = descriptors.count();
            assert!(
                descriptors <= 6,
                "stdin, stdout, stderr, its voice, its file, a rule: {descriptors}"
            );
        }
        kill("-KILL", nursery.pid());
    });
    let (status, environment) = seen;
    assert!(
        status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"),
        "{status}"
    );
    let environment = String::from_utf8_lossy(&environment);
    // Where libraries lie is what cargo says of it.
    let mut names = environment.split('\0').filter(|one| !one.is_empty());
    assert!(names.all(|one| one.starts_with("LD_LIBRARY_PATH=")), "{environment}");
    until("the end of all engines", || {
        children(nursery.pid()).is_empty().then_some(())
    });
}

/// `kadr serve` with engines of its own.
fn serve(playground: &Playground, folder: &Path, more: &[(&str, &str)]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_kadr"))
        .arg("serve")
        .current_dir(folder)
        .env("TELEGRAM_BOT_TOKEN", playground.token())
        .env("TELEGRAM_API_URL", playground.api_url())
        .env("KADR_DISK_FREE_MIN", "1")
        .env("KADR_DEVICE", "cpu")
        .env("KADR_GRACE", "0")
        .env("KADR_ISOLATION", "process")
        .envs(more.iter().copied())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The shipped clip with some bytes behind its end: another file, and of a size of its own.
fn lengthened(folder: &Path, by: usize) -> PathBuf {
    let mut bytes = std::fs::read(shipped_clip()).unwrap();
    bytes.extend(std::iter::repeat_n(0, by));
    let path = folder.join(format!("clip-{by}.mpeg"));
    std::fs::write(&path, bytes).unwrap();
    path
}

fn has_video(chat: &[Message]) -> Option<PathBuf> {
    let result = chat
        .iter()
        .find(|message| message.from_bot && message.media.is_some())?;
    result.path.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_aborts_its_engine_among_four_others_costs_nobody_but_its_sender() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let playground = playground_in(folder.path()).await;
    let poison = lengthened(folder.path(), 99);
    let size = std::fs::metadata(&poison).unwrap().len().to_string();
    let plan = [
        ("KADR_KILL_AT", "converting"),
        ("KADR_KILL_SIZE", size.as_str()),
        ("KADR_LOOK_MAX", "0"),
    ];
    let mut bot = serve(&playground, folder.path(), &plan);
    let people: Vec<i64> = (10..15).collect();
    for (number, person) in people.iter().enumerate() {
        playground.add_user(*person, &format!("P{person}"), "en");
        let file = match number {
            2 => poison.clone(),
            _ => lengthened(folder.path(), number + 1),
        };
        let sent = playground.send_album(*person, *person, &[&file], SendAs::Document, "play");
        sent.unwrap();
    }
    for (number, person) in people.iter().enumerate() {
        if number == 2 {
            let refused = |chat: &[Message]| {
                chat.iter()
                    .any(|m| m.from_bot && m.text.contains("crash"))
                    .then_some(())
            };
            let told = playground.wait(*person, WAIT * 2, refused).await;
            assert!(told.is_some(), "{:#?}", playground.chat(*person));
            assert_eq!(has_video(&playground.chat(*person)), None);
        } else {
            let result = playground
                .wait(*person, WAIT * 2, has_video)
                .await
                .expect("the video comes");
            assert!(ffprobe(&result, "stream=codec_name").contains("h264"));
        }
    }
    assert!(
        bot.try_wait().unwrap().is_none(),
        "the bot that was started is the one that runs"
    );
    let log = std::fs::read_to_string(folder.path().join("logs/bot.log")).unwrap();
    assert_eq!(log.matches("died of signal 6").count(), 2, "{log}");
    assert_eq!(log.matches("starting version").count(), 1, "{log}");
    // The plan of an engine is in the bot's log, with its job.
    assert!(log.contains("plan plan="), "{log}");
    // Another person's wish for the same file is turned away at once.
    let again = playground.send_album(10, 10, &[&poison], SendAs::Document, "play");
    again.unwrap();
    let refused = |chat: &[Message]| {
        chat.iter()
            .any(|m| m.from_bot && m.text.contains("crash"))
            .then_some(())
    };
    playground.wait(10, WAIT, refused).await.expect("it is refused");
    assert_eq!(children_named(bot.id(), "engine"), 0);
    bot.kill().unwrap();
    bot.wait().unwrap();
}

/// Grandchildren of the bot: the engines of its nursery.
fn children_named(bot: u32, name: &str) -> usize {
    let nurseries = children(bot);
    assert_eq!(nurseries.len(), 1, "one nursery");
    let engines = children(nurseries[0]);
    let is = |pid: &&u32| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains(name)
    };
    engines.iter().filter(is).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_all_walls_the_bot_looks_converts_and_takes_its_engines_along() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let playground = playground_in(folder.path()).await;
    let mut bot = serve(&playground, folder.path(), &[]);
    // A two-pass conversion of HDR: the table of colours and the statistics are files too.
    let hdr = clip(
        "confine_hdr.mkv",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=2 -vf format=yuv420p10le -c:v libx265 -x265-params log-level=error \
         -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc",
    );
    playground
        .send_album(1, 1, &[&hdr], SendAs::Document, "fit 60k")
        .unwrap();
    let result = playground.wait(1, WAIT * 2, has_video).await;
    let result = result.unwrap_or_else(|| panic!("{:#?}", playground.chat(1)));
    assert!(ffprobe(&result, "stream=codec_name").contains("h264"));

    playground.add_user(2, "Ben", "en");
    playground.send_file(2, &long_clip(), SendAs::Document).unwrap();
    let seen = |chat: &[Message]| chat.iter().any(|m| m.text.contains("1280")).then_some(());
    playground.wait(2, WAIT, seen).await.expect("the card says what it is");
    playground
        .wait(2, WAIT, |_| playground.press(2, "c:play").then_some(()))
        .await
        .unwrap();
    let moves = |chat: &[Message]| chat.iter().any(|m| m.text.contains("Converting")).then_some(());
    playground.wait(2, WAIT, moves).await.expect("progress comes");
    assert_eq!(children_named(bot.id(), "engine"), 1);
    let nursery = children(bot.id())[0];
    let both = [nursery, children(nursery)[0]];
    bot.kill().unwrap();
    bot.wait().unwrap();
    // Nobody may be left to reap them: what is dead has no command line.
    until("the end of nursery and engine", || {
        let line = |pid| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        both.into_iter().all(|pid| line(pid).is_empty()).then_some(())
    });
}

/// A bot whose engine converts a long film, for the person 1.
async fn converting(playground: &Playground, folder: &Path) -> (Child, u32) {
    let bot = serve(playground, folder, &[("KADR_LOOK_MAX", "0")]);
    // Some seconds, for it is converted twice.
    let film = clip(
        "some-seconds.mpg",
        "-f lavfi -i testsrc2=s=1280x720:r=25:d=20 -c:v mpeg2video -q:v 31 -g 12",
    );
    playground.send_album(1, 1, &[&film], SendAs::Document, "play").unwrap();
    let moves = |chat: &[Message]| chat.iter().any(|m| m.text.contains("Converting")).then_some(());
    playground.wait(1, WAIT, moves).await.expect("progress comes");
    let nursery = children(bot.id())[0];
    (bot, nursery)
}

/// What a bot that has ended left of its first job.
async fn left(folder: &Path) -> Job {
    let store = Journal::in_file(&folder.join("data/kadr.db")).await.unwrap();
    store.job(JobId(1)).await.unwrap().expect("it is there")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_loses_its_nursery_ends_and_the_next_one_goes_on() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let playground = playground_in(folder.path()).await;
    let (mut bot, nursery) = converting(&playground, folder.path()).await;
    kill("-KILL", nursery);
    let status = until("the end of the bot", || bot.try_wait().unwrap());
    assert_eq!(status.code(), Some(1));
    let log = std::fs::read_to_string(folder.path().join("logs/error.log")).unwrap();
    assert!(log.contains("the process that starts engines is gone"), "{log}");
    let job = left(folder.path()).await;
    assert_eq!((job.status, job.phase), (Status::Queued, Phase::Convert));
    assert_eq!((job.attempt, job.blame), (0, 0), "it was not the file's fault");
    let mut bot = serve(&playground, folder.path(), &[]);
    let result = playground.wait(1, WAIT * 2, has_video).await;
    bot.kill().unwrap();
    bot.wait().unwrap();
    let result = result.unwrap_or_else(|| panic!("{:#?}", playground.chat(1)));
    assert!(ffprobe(&result, "stream=codec_name").contains("h264"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_killed_from_outside_speaks_little_against_its_file() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let playground = playground_in(folder.path()).await;
    let (mut bot, nursery) = converting(&playground, folder.path()).await;
    kill("-KILL", until("an engine", || children(nursery).first().copied()));
    let log = || std::fs::read_to_string(folder.path().join("logs/bot.log")).unwrap();
    until("the death in the log", || {
        log().contains("died of signal 9").then_some(())
    });
    // After a rest, and not at once: what took the memory may be gone then.
    until("its next engine", || children(nursery).first().copied());
    bot.kill().unwrap();
    bot.wait().unwrap();
    let job = left(folder.path()).await;
    assert_eq!((job.status, job.blame), (Status::Running, BLAME_UNNAMED));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_aborts_two_looks_is_refused_before_it_has_a_job() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let playground = playground_in(folder.path()).await;
    let poison = lengthened(folder.path(), 99);
    let size = std::fs::metadata(&poison).unwrap().len().to_string();
    let plan = [("KADR_KILL_AT", "converting"), ("KADR_KILL_SIZE", size.as_str())];
    let mut bot = serve(&playground, folder.path(), &plan);
    let log = || std::fs::read_to_string(folder.path().join("logs/bot.log")).unwrap_or_default();
    for person in [1, 2] {
        playground.add_user(person, &format!("P{person}"), "en");
        playground.send_file(person, &poison, SendAs::Document).unwrap();
        let looks = usize::try_from(person).unwrap();
        until("the death of a look", || {
            (log().matches("a look was not taken").count() == looks).then_some(())
        });
    }
    playground.add_user(3, "P3", "en");
    playground
        .send_album(3, 3, &[&poison], SendAs::Document, "play")
        .unwrap();
    let refused = |chat: &[Message]| {
        chat.iter()
            .any(|m| m.from_bot && m.text.contains("crash"))
            .then_some(())
    };
    let told = playground.wait(3, WAIT, refused).await;
    let still = bot.try_wait().unwrap();
    bot.kill().unwrap();
    bot.wait().unwrap();
    assert!(told.is_some(), "{:#?}", playground.chat(3));
    assert_eq!(still, None, "the bot runs");
    assert!(!log().contains("claimed"), "{}", log());
}

#[test]
fn an_engine_for_which_there_is_no_room_costs_no_other() {
    let (nursery, control) = (nursery(), Control::new(None));
    let limit = |descriptors: &str| {
        let args = ["--pid", &nursery.pid().to_string(), &format!("--nofile={descriptors}:")];
        assert!(Command::new("prlimit").args(args).status().unwrap().success());
    };
    // Enough to hear of it, too few to execute it.
    limit("7");
    let folder = tempfile::tempdir().unwrap();
    let errand = Errand {
        source: folder.path(),
        folder: None,
        gpu: false,
        confine: Confine::Auto,
        limit: WAIT,
    };
    let error = nursery.ask::<_, ()>(&errand, &(), &control).unwrap_err();
    assert!(matches!(error, MediaError::NotStarted(_)), "{error}");
    limit("1024");
    let (error, _) = stuck_engine(&nursery, &control, |_| control.cancel());
    assert!(matches!(error, MediaError::Canceled), "{error}");
    kill("-KILL", nursery.pid());
    let error = nursery.ask::<_, ()>(&errand, &(), &Control::new(None)).unwrap_err();
    assert!(matches!(error, MediaError::Orphaned), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_fails_in_an_engine_costs_a_new_start_on_the_next_way() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let playground = playground_in(folder.path()).await;
    // The first pictures are those of the proof, in the bot; an engine counts from one again.
    let driver = FakeDriver::new().env("FAKE_NVENC_FAIL_AT", "20+");
    let mut bot = driver
        .command(env!("CARGO_BIN_EXE_kadr"))
        .arg("serve")
        .current_dir(folder.path())
        .env("TELEGRAM_BOT_TOKEN", playground.token())
        .env("TELEGRAM_API_URL", playground.api_url())
        .env("KADR_DISK_FREE_MIN", "1")
        .env("KADR_ISOLATION", "process")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    playground
        .send_album(1, 1, &[&shipped_clip()], SendAs::Document, "play")
        .unwrap();
    let result = playground.wait(1, WAIT, has_video).await;
    let log = std::fs::read_to_string(folder.path().join("logs/bot.log")).unwrap();
    bot.kill().unwrap();
    bot.wait().unwrap();
    let result = result.unwrap_or_else(|| panic!("{log}"));
    assert!(ffprobe(&result, "stream=codec_name").contains("h264"));
    assert!(log.contains("falling back"), "fake driver: control flow only: {log}");
}

#[test]
fn a_mode_that_is_not_known_is_refused_with_those_that_are() {
    let print = |mode: &str| {
        Command::new(env!("CARGO_BIN_EXE_kadr"))
            .args(["serve", "--print-config", "--isolation", mode])
            .env("TELEGRAM_BOT_TOKEN", format!("123456:{}", "x".repeat(35)))
            .current_dir(tempfile::tempdir().unwrap().path())
            .output()
            .unwrap()
    };
    let output = print("maybe");
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        words.contains("isolation is `maybe` (allowed: thread, process)"),
        "{words}"
    );
    let config = String::from_utf8(print("process").stdout).unwrap();
    assert!(config.contains("isolation = \"process\""), "{config}");
}

#[test]
fn the_mode_is_taken_from_the_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let print = |line: &str| {
        std::fs::write(folder.path().join("kadr.toml"), line).unwrap();
        Command::new(env!("CARGO_BIN_EXE_kadr"))
            .args(["serve", "--print-config"])
            .env("TELEGRAM_BOT_TOKEN", format!("123456:{}", "x".repeat(35)))
            .env_remove("KADR_ISOLATION")
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    let config = |line| String::from_utf8(print(line).stdout).unwrap();
    assert!(config("").contains("isolation = \"thread\""));
    assert!(config("isolation = \"process\"").contains("isolation = \"process\""));
    let file = folder.path().join("kadr.toml");
    assert_eq!(
        Config::isolation(&Settings::default(), Some(&file)).unwrap(),
        Isolation::Process,
        "what starts the nursery reads it before the rest"
    );
    let refused = print("isolation = \"maybe\"");
    assert_eq!(refused.status.code(), Some(2));
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        words.contains("isolation is `maybe` (allowed: thread, process)"),
        "{words}"
    );
}
