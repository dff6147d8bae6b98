//! The bot dies, again and again: by `kill -9` at random moments and at every named point, under load, while a share of
//! the platform's answers is lost or late. The platform outlives it and keeps the truth: every request must come to an
//! end, and no video may come twice.
//!
//! `ci/soak` plays it at full size; here it is short.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kadr::crash::POINTS;
use kadr::playground::{Fault, Message, Playground, SendAs};

use crate::support::bot::playground_in;
use crate::support::{clip, playable_mkv};

/// The one who asks whether the bot listens; the others send files.
const PROBE: i64 = 1;
const PEOPLE: std::ops::Range<i64> = 100..116;
/// Share of calls whose answer is lost or late.
const FAULTS: f64 = 0.05;
const LATE_MS: u64 = 700;
/// From a start to the next update handled.
const START_MAX: Duration = Duration::from_secs(5);
/// A start that did not handle anything for so long is given up.
const DEAF: Duration = Duration::from_secs(20);
/// Longest wait for a point to be reached.
const POINT_MAX: Duration = Duration::from_secs(25);
/// Longest wait for the rest, once nobody kills any more.
const REST: Duration = Duration::from_secs(180);
const SIGABRT: i32 = 6;
/// Of the files that can be converted so many must come: a bot that gives everything up loses nothing either.
const DELIVERED_MIN: f64 = 0.5;

/// One request: the messages that it was, and how many videos may come of it.
struct Asked {
    chat: i64,
    messages: Vec<i64>,
    /// It cannot be converted.
    wrong: bool,
}

/// How a request stands in its chat.
#[derive(Debug, PartialEq)]
enum Stands {
    Open,
    Told,
    Delivered,
    Twice(usize),
}

fn stands(chat: &[Message], asked: &Asked) -> Stands {
    let ours: Vec<&Message> = chat
        .iter()
        .filter(|message| message.from_bot && message.reply_to.is_some_and(|to| asked.messages.contains(&to)))
        .collect();
    let videos = ours.iter().filter(|message| message.media.is_some()).count();
    let moves = |message: &&&Message| message.buttons.iter().flatten().any(|(_, data)| data.starts_with("x:"));
    match videos {
        more if more > asked.messages.len() => Stands::Twice(more),
        all if all == asked.messages.len() => Stands::Delivered,
        _ if ours.iter().any(|message| message.media.is_none() && !moves(&message)) => Stands::Told,
        _ => Stands::Open,
    }
}

/// What was seen.
#[derive(Default)]
struct Seen {
    random: usize,
    points: usize,
    /// Points that were never reached.
    missed: Vec<&'static str>,
    starts: Vec<Duration>,
    deaf: usize,
}

struct Soak {
    playground: Playground,
    folder: tempfile::TempDir,
    asked: Vec<Asked>,
    sent: usize,
    draws: u64,
    seen: Seen,
}

impl Soak {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let playground = playground_in(folder.path()).await;
        for user in PEOPLE {
            playground.add_user(user, &format!("P{user}"), "en");
        }
        playground.plan_by_chance("*", u32::MAX, FAULTS / 2.0, Fault::LostAnswer);
        playground.plan_by_chance("*", u32::MAX, FAULTS / 2.0, Fault::Stall(LATE_MS));
        Self {
            playground,
            folder,
            asked: Vec::new(),
            sent: 0,
            draws: 0,
            seen: Seen::default(),
        }
    }

    /// 0 to `below`, the same series in every run (splitmix64).
    fn draw(&mut self, below: u64) -> u64 {
        self.draws = self.draws.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.draws;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    fn serve(&self, kill_at: Option<&str>) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kadr"));
        command
            .arg("serve")
            .current_dir(self.folder.path())
            .env("TELEGRAM_BOT_TOKEN", self.playground.token())
            .env("TELEGRAM_API_URL", self.playground.api_url())
            .env("KADR_DISK_FREE_MIN", "1")
            .env("KADR_DEVICE", "cpu")
            .env("KADR_QUEUE_PER_USER", "1000")
            .env("KADR_QUEUE_TOTAL", "100000")
            .env("KADR_LOOK_MAX", "0")
            .stderr(Stdio::piped());
        if let Some(point) = kill_at {
            command.env("KADR_KILL_AT", point);
        }
        let mut child = command.spawn().unwrap();
        // A full pipe would stop it.
        let log = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            std::io::BufReader::new(log)
                .lines()
                .map_while(Result::ok)
                .for_each(drop);
        });
        child
    }

    /// A file like no other, so that no result is remembered.
    fn own(&self, from: &Path) -> PathBuf {
        let extension = from.extension().unwrap().to_string_lossy().into_owned();
        let path = self.folder.path().join(format!("own-{}.{extension}", self.sent));
        let mut bytes = std::fs::read(from).unwrap();
        bytes.extend_from_slice(&self.sent.to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// One request; every kind of delivery in its turn.
    fn send(&mut self) {
        self.sent += 1;
        let number = self.asked.len();
        let user = PEOPLE.start + i64::try_from(number).unwrap() % (PEOPLE.end - PEOPLE.start);
        let kind = number % 6;
        let (files, caption) = match kind {
            0 => (vec![self.own(&tiny_film())], "note"),
            1 => (vec![self.own(&tiny_sound())], "voice"),
            2 => (vec![self.own(&tiny_film()), self.own(&tiny_sound())], "play"),
            3 => (vec![self.own(&no_film(self.folder.path()))], "play"),
            // The same for all: its result is remembered.
            4 => (vec![playable_mkv()], "play"),
            _ => (vec![self.own(&playable_mkv())], "play"),
        };
        let mut files = files;
        if kind == 2 {
            self.sent += 1;
            files[1] = self.own(&tiny_film());
        }
        let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        let messages = self
            .playground
            .send_album(user, user, &paths, SendAs::Document, caption)
            .unwrap();
        self.asked.push(Asked {
            chat: user,
            messages,
            wrong: kind == 3,
        });
        for file in files.iter().filter(|file| file.starts_with(self.folder.path())) {
            let _ = std::fs::remove_file(file);
        }
    }

    fn open(&self) -> Vec<&Asked> {
        let is_open = |one: &&Asked| stands(&self.playground.chat(one.chat), one) == Stands::Open;
        self.asked.iter().filter(is_open).collect()
    }

    /// How many words of the bot's the probe has.
    fn heard(&self) -> usize {
        self.playground
            .chat(PROBE)
            .iter()
            .filter(|message| message.from_bot)
            .count()
    }

    /// Waits until an update that came after this start was handled.
    async fn until_it_answers(&mut self, bot: &mut Child, began: Instant) {
        let before = self.heard();
        self.playground.send_text(PROBE, "/help");
        while self.heard() == before && bot.try_wait().unwrap().is_none() {
            if began.elapsed() > DEAF {
                self.seen.deaf += 1;
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.seen.starts.push(began.elapsed());
    }

    async fn kill_at_random(&mut self) {
        self.send();
        let began = Instant::now();
        let mut bot = self.serve(None);
        // One in four dies while it starts.
        if self.draw(4) > 0 {
            self.until_it_answers(&mut bot, began).await;
        }
        let moment = Duration::from_millis(self.draw(1500));
        tokio::time::sleep(moment).await;
        bot.kill().unwrap();
        bot.wait().unwrap();
        self.seen.random += 1;
    }

    /// Sends until the bot has died there.
    async fn kill_at(&mut self, point: &'static str) {
        let mut bot = self.serve(Some(point));
        let began = Instant::now();
        let mut fed = None;
        loop {
            if let Some(status) = bot.try_wait().unwrap() {
                assert_eq!(status.signal(), Some(SIGABRT), "{point}: {status:?}");
                self.seen.points += 1;
                return;
            }
            if began.elapsed() > POINT_MAX {
                self.seen.missed.push(point);
                bot.kill().unwrap();
                bot.wait().unwrap();
                return;
            }
            if fed.is_none_or(|fed: Instant| fed.elapsed() > Duration::from_secs(1)) && self.open().len() < 8 {
                fed = Some(Instant::now());
                self.send();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Nobody kills any more: everything that is open must come to its end.
    async fn rest(&mut self) {
        self.playground.clear_faults();
        let mut bot = self.serve(None);
        let began = Instant::now();
        while !self.open().is_empty() && began.elapsed() < REST {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bot.kill().unwrap();
        bot.wait().unwrap();
    }

    fn verdict(&self, full: bool) -> (bool, String) {
        let count = |is: &dyn Fn(&Asked, &Stands) -> bool| {
            let stands = self
                .asked
                .iter()
                .map(|one| (one, stands(&self.playground.chat(one.chat), one)));
            stands.filter(|(one, stands)| is(one, stands)).count()
        };
        let stuck = count(&|_, stands| *stands == Stands::Open);
        let twice = count(&|_, stands| matches!(stands, Stands::Twice(_)));
        let right = count(&|one, _| !one.wrong);
        let delivered = count(&|one, stands| !one.wrong && *stands == Stands::Delivered);
        let told = count(&|one, stands| !one.wrong && *stands == Stands::Told);
        let unacknowledged = self.acknowledged_early();
        let mut starts = self.seen.starts.clone();
        starts.sort();
        let p99 = starts
            .get((starts.len() * 99).div_ceil(100).saturating_sub(1))
            .copied()
            .unwrap_or_default();
        let kept = stuck == 0 && twice == 0 && unacknowledged == 0;
        // How fast, and how many of all, is for `ci/soak` on a machine that does nothing else.
        let in_time = self.seen.missed.is_empty()
            && self.seen.deaf == 0
            && p99 < START_MAX
            && delivered as f64 >= DELIVERED_MIN * right as f64;
        let ok = kept && if full { in_time } else { delivered > 0 };
        let line = format!(
            "soak: {}, {} random kills and {} at named points, {} requests: {stuck} lost or stuck, {twice} videos twice, \
             {delivered} of {right} delivered and {told} told otherwise; {} starts, next update handled within {} ms \
             (p99; {} ms median); points never reached: {:?}",
            if ok { "ok" } else { "fell short" },
            self.seen.random,
            self.seen.points,
            self.asked.len(),
            starts.len(),
            p99.as_millis(),
            starts.get(starts.len() / 2).copied().unwrap_or_default().as_millis(),
            self.seen.missed,
        );
        (ok, line)
    }

    /// Polls that confirmed an update which no answer had given: none, or an update was lost.
    fn acknowledged_early(&self) -> usize {
        let mut given = 0;
        let mut early = 0;
        for poll in self.playground.polls() {
            early += usize::from(poll.offset > given + 1 && given > 0);
            given = poll.given.iter().copied().fold(given, i64::max);
        }
        early
    }

    /// What was said instead of a video, how often.
    fn print_words(&self) {
        let mut words = BTreeMap::<String, usize>::new();
        for one in self.asked.iter().filter(|one| !one.wrong) {
            let chat = self.playground.chat(one.chat);
            if stands(&chat, one) == Stands::Told {
                let ours = chat.iter().filter(|m| {
                    m.from_bot && m.media.is_none() && m.reply_to.is_some_and(|to| one.messages.contains(&to))
                });
                for message in ours {
                    *words.entry(message.text.replace('\n', " / ")).or_default() += 1;
                }
            }
        }
        for (words, count) in words {
            say(&format!("{count:4} x {words}"));
        }
    }

    fn print_open(&self) {
        for one in &self.asked {
            let chat = self.playground.chat(one.chat);
            let how = stands(&chat, one);
            if matches!(how, Stands::Open | Stands::Twice(_)) {
                let of_it = |message: &&Message| {
                    one.messages.contains(&message.id) || message.reply_to.is_some_and(|to| one.messages.contains(&to))
                };
                let part: Vec<&Message> = chat.iter().filter(of_it).collect();
                say(&format!("{how:?} {:?}: {part:#?}", one.messages));
            }
        }
    }
}

fn tiny_film() -> PathBuf {
    clip(
        "soak.mkv",
        "-f lavfi -i testsrc2=s=64x64:r=10:d=1 -f lavfi -i sine=r=48000:d=1 -c:v mpeg2video -c:a ac3",
    )
}

fn tiny_sound() -> PathBuf {
    clip("soak.wav", "-f lavfi -i sine=r=44100:d=1")
}

fn no_film(folder: &Path) -> PathBuf {
    let path = folder.join("words.mp4");
    std::fs::write(&path, "this is no video at all, whatever its name says\n").unwrap();
    path
}

fn say(line: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "{line}").unwrap();
}

/// How it is played: by `KADR_SOAK="KILLS ROUNDS MINUTES"`, else short.
fn size() -> (usize, usize, Duration, bool) {
    let Ok(text) = std::env::var("KADR_SOAK") else {
        return (6, 1, Duration::from_secs(600), false);
    };
    let numbers: Vec<u64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let count = |at: usize| usize::try_from(numbers[at]).unwrap();
    (count(0), count(1), Duration::from_secs(60 * numbers[2]), true)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_sent_twice_however_the_bot_dies() {
    let (kills, rounds, time_max, full) = size();
    let began = Instant::now();
    let mut soak = Soak::new().await;
    for round in 0..rounds {
        for (at, point) in POINTS.iter().enumerate() {
            // A third of them in the check: those that stand between a deed and its record.
            if began.elapsed() < time_max && (full || IN_CHECK.contains(point)) {
                soak.kill_at(point).await;
            }
            let share =
                kills / (rounds * POINTS.len()) + usize::from(at < 1 && round < 1) * (kills % (rounds * POINTS.len()));
            for _ in 0..share {
                if began.elapsed() < time_max {
                    soak.kill_at_random().await;
                }
            }
        }
    }
    soak.rest().await;
    let (ok, line) = soak.verdict(full);
    if full || !ok {
        soak.print_open();
        soak.print_words();
        say(&line);
    }
    assert!(ok, "{line}");
}

const IN_CHECK: [&str; 10] = [
    "recorded",
    "enqueued",
    "announced",
    "fetched",
    "renamed",
    "edited",
    "intended",
    "sent",
    "ended",
    "album-sent",
];
