//! The bot, again and again and for long: killed, stopped, and left to work. The platform outlives it and keeps the truth.
//!
//! ```text
//! kill  `kill -9` at random moments and at every named point, under load, while answers are lost or late
//! cluster  several processes and their database, any of which dies
//! term  SIGTERM with jobs in flight: it leaves in time, and what it had begun comes to its end
//! jobs  one process and many jobs: what it takes of memory, descriptors and threads does not grow with them
//! ```
//!
//! `ci/soak` plays them at full size (`KADR_SOAK`); here they are short.

mod cluster;
mod jobs;
mod kill;
mod term;

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kadr::playground::{Message, Playground, SendAs};

use crate::support::bot::playground_in;
use crate::support::served::{Served, serve_on};
use crate::support::{clip, playable_mkv};

/// Those who ask whether the bot listens; the others send files.
const PROBES: std::ops::Range<i64> = 1..51;
const PEOPLE: std::ops::Range<i64> = 100..116;
/// A start that did not handle anything for so long is given up.
const DEAF: Duration = Duration::from_secs(20);
/// Longest wait for the rest, once nobody stops the bot any more.
const REST: Duration = Duration::from_secs(300);

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Note,
    Voice,
    Album,
    /// No film at all.
    Wrong,
    /// The same file for all: its result is remembered.
    Known,
    Remux,
    /// Takes the engine seconds.
    Long,
}

/// One request: the messages that it was, and how many videos may come of it.
struct Asked {
    chat: i64,
    messages: Vec<i64>,
    kind: Kind,
}

/// How a request stands in its chat.
#[derive(Debug, PartialEq)]
enum Stands {
    Open,
    Told,
    Delivered,
    Twice(usize),
}

fn stands(ours: &[&Message], asked: &Asked) -> Stands {
    let videos = ours.iter().filter(|message| message.media.is_some()).count();
    let moves = |message: &&&Message| message.buttons.iter().flatten().any(|(_, data)| data.starts_with("x:"));
    match videos {
        more if more > asked.messages.len() => Stands::Twice(more),
        all if all == asked.messages.len() => Stands::Delivered,
        _ if ours.iter().any(|message| message.media.is_none() && !moves(&message)) => Stands::Told,
        _ => Stands::Open,
    }
}

/// A playground with a crowd that sends files to one bot.
struct Crowd {
    playground: Playground,
    folder: tempfile::TempDir,
    asked: Vec<Asked>,
    /// Requests that were not over when last looked at.
    open: Vec<usize>,
    sent: usize,
    draws: u64,
    probe: i64,
}

impl Crowd {
    /// Draws differ from one `seed` to another, and are the same in every run of one.
    async fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let playground = playground_in(folder.path()).await;
        for user in PROBES.chain(PEOPLE) {
            playground.add_user(user, &format!("P{user}"), "en");
        }
        Self {
            playground,
            folder,
            asked: Vec::new(),
            open: Vec::new(),
            sent: 0,
            draws: seed << 32,
            probe: PROBES.start,
        }
    }

    /// 0 to `below` (splitmix64).
    fn draw(&mut self, below: u64) -> u64 {
        self.draws = self.draws.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.draws;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    fn serve(&self, more: &[(&str, &str)]) -> Served {
        let mut command = serve_on(&self.playground, self.folder.path());
        command
            .env("KADR_DEVICE", "cpu")
            .env("KADR_QUEUE_PER_USER", "1000")
            .env("KADR_QUEUE_TOTAL", "100000")
            .env("KADR_LOOK_MAX", "0")
            .envs(more.iter().copied());
        Served::spawn(&mut command)
    }

    /// A file like no other, so that no result is remembered.
    fn own(&mut self, from: &Path) -> PathBuf {
        self.sent += 1;
        let extension = from.extension().unwrap().to_string_lossy().into_owned();
        let path = self.folder.path().join(format!("own-{}.{extension}", self.sent));
        let mut bytes = std::fs::read(from).unwrap();
        bytes.extend_from_slice(&self.sent.to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// One request of the next of the crowd.
    fn send(&mut self, kind: Kind) {
        let number = self.asked.len();
        let user = PEOPLE.start + i64::try_from(number).unwrap() % (PEOPLE.end - PEOPLE.start);
        let (files, caption) = match kind {
            Kind::Note => (vec![self.own(&tiny_film())], "note"),
            Kind::Voice => (vec![self.own(&tiny_sound())], "voice"),
            Kind::Album => (vec![self.own(&tiny_film()), self.own(&tiny_film())], "play"),
            Kind::Wrong => (vec![self.own(&no_film(self.folder.path()))], "play"),
            Kind::Known => (vec![playable_mkv()], "play"),
            Kind::Remux => (vec![self.own(&playable_mkv())], "play"),
            Kind::Long => (vec![self.own(&longer_film())], "play"),
        };
        let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        let messages = self
            .playground
            .send_album(user, user, &paths, SendAs::Document, caption)
            .unwrap();
        self.open.push(number);
        self.asked.push(Asked {
            chat: user,
            messages,
            kind,
        });
        for file in files.iter().filter(|file| file.starts_with(self.folder.path())) {
            let _ = std::fs::remove_file(file);
        }
    }

    /// How each of these requests stands; a chat is looked at once.
    fn standings(&self, which: &[usize]) -> Vec<Stands> {
        let mut chats = HashMap::new();
        let mut answers: HashMap<(i64, i64), Vec<&Message>> = HashMap::new();
        for at in which {
            let chat = self.asked[*at].chat;
            chats.entry(chat).or_insert_with(|| self.playground.chat(chat));
        }
        for (chat, messages) in &chats {
            for message in messages.iter().filter(|message| message.from_bot) {
                if let Some(to) = message.reply_to {
                    answers.entry((*chat, to)).or_default().push(message);
                }
            }
        }
        let stands = which.iter().map(|at| {
            let asked = &self.asked[*at];
            let of = |id: &i64| answers.get(&(asked.chat, *id)).cloned().unwrap_or_default();
            let ours: Vec<&Message> = asked.messages.iter().flat_map(of).collect();
            stands(&ours, asked)
        });
        stands.collect()
    }

    fn all(&self) -> Vec<usize> {
        (0..self.asked.len()).collect()
    }

    /// Looks again at what was open.
    fn look(&mut self) -> usize {
        let stands = self.standings(&self.open);
        let mut stands = stands.iter();
        self.open.retain(|_| stands.next() == Some(&Stands::Open));
        self.open.len()
    }

    /// How many words of the bot's the probe has.
    fn heard(&self) -> usize {
        let chat = self.playground.chat(self.probe);
        chat.iter().filter(|message| message.from_bot).count()
    }

    /// Waits until an update that came after this start was handled; whether it was in 20 s.
    async fn until_it_answers(&mut self, bot: &mut Served) -> bool {
        self.probe = PROBES.start + (self.probe + 1 - PROBES.start) % (PROBES.end - PROBES.start);
        let (before, began) = (self.heard(), Instant::now());
        self.playground.send_text(self.probe, "/help");
        while self.heard() == before && bot.try_wait().unwrap().is_none() {
            if began.elapsed() > DEAF {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        true
    }

    /// Nobody stops the bot any more: everything that is open must come to its end.
    async fn rest(&mut self, more: &[(&str, &str)]) {
        self.playground.clear_faults();
        let mut bot = self.serve(more);
        let began = Instant::now();
        while self.look() > 0 && began.elapsed() < REST {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bot.kill().unwrap();
        bot.wait().unwrap();
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

    fn print_open(&self) {
        let all = self.all();
        for (at, how) in all.iter().zip(self.standings(&all)) {
            let one = &self.asked[*at];
            if matches!(how, Stands::Open | Stands::Twice(_)) {
                let chat = self.playground.chat(one.chat);
                let of_it = |message: &&Message| {
                    one.messages.contains(&message.id) || message.reply_to.is_some_and(|to| one.messages.contains(&to))
                };
                let part: Vec<&Message> = chat.iter().filter(of_it).collect();
                say(&format!("{how:?} {:?} {:?}: {part:#?}", one.kind, one.messages));
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

/// The engine takes seconds for it.
fn longer_film() -> PathBuf {
    clip(
        "soak-long.mpg",
        "-f lavfi -i testsrc2=s=1280x720:r=25:d=16 -c:v mpeg2video -q:v 31 -g 12",
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

/// What `ci/soak` asks of this one: `KADR_SOAK="WHICH COUNT MINUTES"`.
fn asked_for(which: &str) -> Option<(usize, Duration)> {
    let text = std::env::var("KADR_SOAK").ok()?;
    let mut words = text.split_whitespace();
    if words.next() != Some(which) {
        return None;
    }
    let mut number = || words.next().unwrap().parse::<u32>().unwrap();
    Some((number() as usize, Duration::from_secs(60) * number()))
}

/// The value that `share` of 100 are not above.
fn percentile(times: &mut [Duration], share: usize) -> Duration {
    times.sort_unstable();
    let at = (times.len() * share).div_ceil(100).saturating_sub(1);
    times.get(at).copied().unwrap_or_default()
}
