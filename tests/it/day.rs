//! A day of the bot: many people, files of all kinds, wrong ones among them, presses by strangers and repeated ones, a share
//! of the calls failing, the platform's flood limits on. Every request must come to exactly one visible end.
//!
//! `ci/day` plays it at full size and holds fairness and flood answers against their limits; here it is short.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kadr::config::{Jobs, Settings};
use kadr::playground::{Fault, Message, Playground, SendAs};

use crate::support::bot::Bot;
use crate::support::{clip, playable_mkv};

const GROUP: i64 = -100;
/// The first of the day's people; the bot's own test users come before.
const FIRST: i64 = 100;
/// Share of calls that fail.
const FAULTS: f64 = 0.05;
const JAIN_MIN: f64 = 0.95;
const FLOOD_SHARE_MAX: f64 = 0.01;
/// Clients give an answer to a button no longer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Longest wait for the rest of the day, once all was sent.
const REST: Duration = Duration::from_secs(1200);

/// One request: who asked, where, with which message.
struct Asked {
    user: i64,
    chat: i64,
    message: i64,
    /// Its card was pressed: until it moves on, it is no end. A refusal that offers buttons is one.
    pressed: bool,
}

/// What is sent: a file, and the caption that chooses; by its number, so that each day is the same.
fn errand(number: usize) -> (PathBuf, &'static str) {
    let short = |name: &str, args: &str| clip(&format!("day-{name}"), args);
    let picture = "-f lavfi -i testsrc2=s=192x144:r=25:d=1 -f lavfi -i sine=r=48000:d=1";
    match number % 9 {
        0 => (short("a.avi", &format!("{picture} -c:v mpeg4 -q:v 5 -c:a mp3")), "play"),
        1 => (playable_mkv(), "play"),
        2 => (
            short("b.webm", &format!("{picture} -c:v libvpx -b:v 300k -c:a libopus")),
            "small",
        ),
        3 => (
            short("c.mkv", &format!("{picture} -c:v mpeg2video -q:v 5 -c:a ac3")),
            "note",
        ),
        4 => (short("d.wav", "-f lavfi -i sine=r=44100:d=2"), "audio"),
        5 => (
            short("e.mov", &format!("{picture} -c:v mjpeg -q:v 6 -c:a pcm_s16le")),
            "gif",
        ),
        6 => (
            text("day-words.mp4", "this is no video at all, whatever its name says\n"),
            "play",
        ),
        7 => (
            short("f.3gp", "-f lavfi -i testsrc2=s=176x144:r=15:d=1 -c:v h263 -an"),
            "fit 0",
        ),
        _ => (
            short("g.flv", &format!("{picture} -c:v flv -q:v 5 -ar 44100 -c:a mp3")),
            "voice",
        ),
    }
}

fn text(name: &str, words: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, words).unwrap();
    path
}

/// A copy that no other request has, so that no result is remembered.
fn own(folder: &Path, number: usize, from: &Path) -> PathBuf {
    let extension = from.extension().unwrap().to_string_lossy().into_owned();
    let path = folder.join(format!("day-{number}.{extension}"));
    let mut bytes = std::fs::read(from).unwrap();
    bytes.extend_from_slice(&number.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    path
}

/// How often a request was answered for good, as its requester sees it.
fn ends(chat: &[Message], asked: &Asked) -> usize {
    let answers = chat
        .iter()
        .filter(|message| message.from_bot && message.reply_to == Some(asked.message));
    let (media, words): (Vec<&Message>, Vec<&Message>) = answers.partition(|message| message.media.is_some());
    if !media.is_empty() {
        // What words cannot become has its caption beside it.
        return media.len();
    }
    let open = |data: &str| data.starts_with("x:") || asked.pressed && data.starts_with("c:");
    let over = |message: &&&Message| !message.buttons.iter().flatten().any(|(_, data)| open(data));
    words.iter().filter(over).count()
}

/// Jain's index over what was done for each: 1 where all have the same.
fn fairness(done: &HashMap<i64, usize>, people: &[i64]) -> f64 {
    let shares: Vec<f64> = people
        .iter()
        .map(|user| done.get(user).copied().unwrap_or(0) as f64)
        .collect();
    let (sum, squares) = (
        shares.iter().sum::<f64>(),
        shares.iter().map(|share| share * share).sum::<f64>(),
    );
    sum * sum / (people.len() as f64 * squares.max(1e-9))
}

fn plan_faults(playground: &Playground) {
    for method in [
        "sendMessage",
        "editMessageText",
        "editMessageMedia",
        "getFile",
        "download",
        "answerCallbackQuery",
        "sendVoice",
        "sendVideoNote",
    ] {
        let faults = match method {
            // After a lost answer to a send nobody knows; the requester decides, which is an end too.
            "sendVoice" | "sendVideoNote" | "sendMessage" => vec![Fault::ServerError],
            "getFile" | "download" | "answerCallbackQuery" => vec![Fault::ServerError, Fault::Reset],
            _ => vec![Fault::ServerError, Fault::Reset, Fault::LostAnswer],
        };
        let share = FAULTS / faults.len() as f64;
        for fault in faults {
            playground.plan_by_chance(method, u32::MAX, share, fault);
        }
    }
}

/// Presses the same button twice, and lets a stranger press it; gives how long the first answer took.
async fn presses(playground: &Playground, asked: &Asked, stranger: i64) -> Option<Duration> {
    let chat = playground.chat(asked.chat);
    let card = chat.iter().rev().find(|message| {
        message.from_bot && message.reply_to == Some(asked.message) && message.buttons.iter().flatten().count() > 1
    })?;
    let answers = || {
        let calls = playground.transcript();
        calls.iter().filter(|call| call.method == "answercallbackquery").count()
    };
    if asked.chat == GROUP {
        let _ = playground.press_on(stranger, asked.chat, card.id, "c:play");
    }
    let before = answers();
    let began = Instant::now();
    let _ = playground.press_on(asked.user, asked.chat, card.id, "c:play");
    let _ = playground.press_on(asked.user, asked.chat, card.id, "c:play");
    while answers() == before {
        if began.elapsed() > ANSWER_MAX {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Some(began.elapsed())
}

/// How the day is played: by `KADR_DAY="USERS FILES"`, else short.
fn size() -> (usize, usize, bool) {
    let Ok(text) = std::env::var("KADR_DAY") else {
        return (4, 18, false);
    };
    let numbers: Vec<usize> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    (numbers[0], numbers[1], true)
}

/// Everybody sends their files; gives what was asked and the slowest answer to a button.
async fn send_all(bot: &Bot, people: &[i64], files: usize) -> (Vec<Asked>, Duration) {
    let mut asked = Vec::new();
    let mut slowest = Duration::ZERO;
    for number in 0..files {
        let user = people[number % people.len()];
        let (file, caption) = errand(number);
        let file = own(bot.folder.path(), number, &file);
        // Every tenth is asked for in the group, some by a button.
        let in_group = number % 10 == 9;
        let by_button = !in_group && number % 12 == 5;
        let (chat, words) = match (in_group, by_button) {
            (true, _) => (GROUP, format!("@{} {caption}", bot.playground.bot_name())),
            (false, true) => (user, String::new()),
            (false, false) => (user, caption.to_owned()),
        };
        let message = bot
            .playground
            .send_file_in(user, chat, &file, SendAs::Document, &words)
            .unwrap();
        let one = Asked {
            user,
            chat,
            message,
            pressed: by_button,
        };
        if by_button {
            slowest = slowest.max(press_soon(bot, &one, people[(number + 1) % people.len()]).await);
        }
        asked.push(one);
        // People do not send all at the same moment.
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
    (asked, slowest)
}

async fn press_soon(bot: &Bot, one: &Asked, stranger: i64) -> Duration {
    for _ in 0..200 {
        if let Some(took) = presses(&bot.playground, one, stranger).await {
            return took;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("there was no card to press: {:#?}", bot.playground.chat(one.chat));
}

/// Waits until every request has its end; gives the fairness when half of them had.
async fn all_ended(bot: &Bot, people: &[i64], asked: &[Asked]) -> f64 {
    let began = Instant::now();
    let mut jain = None;
    loop {
        let mut done: HashMap<i64, usize> = HashMap::new();
        let mut open = None;
        for one in asked {
            let chat = bot.playground.chat(one.chat);
            let count = ends(&chat, one);
            assert!(count <= 1, "{count} ends of one request of {}: {chat:#?}", one.user);
            *done.entry(one.user).or_default() += count;
            if count == 0 {
                open = Some(chat);
            }
        }
        let all: usize = done.values().sum();
        if all * 2 >= asked.len() {
            jain.get_or_insert_with(|| fairness(&done, people));
        }
        let Some(open) = open else {
            return jain.unwrap_or_default();
        };
        assert!(
            began.elapsed() < REST,
            "{all} of {} ended; open: {open:#?}",
            asked.len()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_day_brings_every_request_to_exactly_one_end() {
    let (users, files, full) = size();
    let mut bot = Bot::start_with(Settings {
        jobs: Some(Jobs::Number(2)),
        queue_per_user: Some(1000),
        look_max_bytes: Some(20 << 20),
        ..Settings::default()
    })
    .await;
    let people: Vec<i64> = (FIRST..).take(users).collect();
    for (at, &user) in people.iter().enumerate() {
        let language = if at % 2 == 0 { "en" } else { "ru" };
        bot.playground.add_user(user, &format!("P{user}"), language);
    }
    bot.playground.add_group(GROUP, "All", &people);
    bot.playground.set_rates(true);
    plan_faults(&bot.playground);
    let (asked, slowest) = send_all(&bot, &people, files).await;
    let jain = all_ended(&bot, &people, &asked).await;
    bot.until_clean().await;
    let calls = bot.playground.transcript();
    let floods = calls.iter().filter(|call| call.status == 429).count();
    let share = floods as f64 / calls.len() as f64;
    let right = jain > JAIN_MIN && share < FLOOD_SHARE_MAX;
    let line = format!(
        "day: {}, {files} requests of {users} people, each with one end, Jain index {jain:.3}, {:.2} % of {} calls answered \
         429, slowest answer to a button {} ms",
        if right { "ok" } else { "fell short" },
        share * 100.0,
        calls.len(),
        slowest.as_millis()
    );
    // In the check only the ends are held: so few people cannot be served evenly.
    if full {
        writeln!(std::io::stderr(), "{line}").unwrap();
        assert!(right, "{line}");
    }
    bot.stop().await;
}
