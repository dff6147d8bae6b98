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

use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{Connection, Row, SqliteConnection};

use crate::support::bot::Bot;
use crate::support::{clip, playable_mkv};

const GROUP: i64 = -100;
const SLOTS: usize = 2;
/// The first of the day's people; the bot's own test users come before.
const FIRST: i64 = 100;
/// Share of calls that fail.
const FAULTS: f64 = 0.05;
const JAIN_MIN: f64 = 0.95;
const FLOOD_SHARE_MAX: f64 = 0.01;
/// Clients give an answer to a button no longer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// What a handler may take while every slot converts.
const HANDLER_MAX: Duration = Duration::from_millis(50);
/// Longest wait for the rest of the day, once all was sent.
const REST: Duration = Duration::from_secs(1200);

/// One request: who asked, where, with which message.
struct Asked {
    user: i64,
    chat: i64,
    message: i64,
    /// Its card was pressed: until it moves on, it is no end. A refusal that offers buttons is one.
    pressed: bool,
    /// Files that came with it, itself counted.
    files: usize,
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
    if asked.files > 1 {
        assert!(media.len() <= asked.files, "{media:#?}");
        // They have a summary beside them, once all is over.
        let is_open = |message: &&&Message| message.buttons.iter().flatten().any(|(_, data)| data.starts_with("x:"));
        return words.iter().filter(|message| !is_open(message)).count();
    }
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
        "sendMediaGroup",
    ] {
        let faults = match method {
            // After a lost answer to a send nobody knows; the requester decides, which is an end too.
            "sendVoice" | "sendVideoNote" | "sendMediaGroup" | "sendMessage" => vec![Fault::ServerError],
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
    let answers = || playground.count("answercallbackquery");
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

/// Everybody sends their files; gives what was asked and how long answers to buttons took, the shortest first.
async fn send_all(bot: &Bot, people: &[i64], files: usize) -> (Vec<Asked>, Vec<Duration>) {
    let mut asked = Vec::new();
    let mut answers = Vec::new();
    for number in 0..files {
        let user = people[number % people.len()];
        let (file, caption) = errand(number);
        let file = own(bot.folder.path(), number, &file);
        if number % 17 == 8 {
            let others = [1, 2].map(|at| own(bot.folder.path(), number + at * 1000, &errand(number + at).0));
            let album: Vec<&Path> = [&file, &others[0], &others[1]].map(PathBuf::as_path).to_vec();
            let sent = bot.playground.send_album(user, user, &album, SendAs::Document, "play");
            asked.push(Asked {
                user,
                chat: user,
                message: sent.unwrap()[0],
                pressed: false,
                files: album.len(),
            });
            continue;
        }
        // Some are asked for in the group, some by a button; by numbers that give everybody some of each.
        let in_group = number % 11 == 9;
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
            files: 1,
        };
        if by_button {
            answers.push(press_soon(bot, &one, people[(number + 1) % people.len()]).await);
        }
        asked.push(one);
        // People do not send all at the same moment, and yet faster than it is done.
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    answers.sort();
    (asked, answers)
}

/// Somebody comes new while all the others have files waiting: theirs is the next that starts.
async fn newcomer(bot: &Bot, user: i64, people: &[i64]) -> Asked {
    let (served, _) = served(bot).await;
    let as_new = people
        .iter()
        .filter(|one| served.get(one).is_none_or(|count| *count == 0))
        .count();
    bot.playground.add_user(user, "New", "en");
    let file = own(bot.folder.path(), 9999, &errand(0).0);
    let message = bot
        .playground
        .send_file_in(user, user, &file, SendAs::Document, "play")
        .unwrap();
    let first = bot
        .until(user, |chat| chat.iter().find(|message| message.from_bot).cloned())
        .await;
    // Before it come those only whose turn is overdue, as many as there are slots, and who have had nothing yet either.
    let place = first.text.split_once('#').map_or("1", |(_, place)| place.trim());
    assert!(
        place.parse::<usize>().unwrap() <= SLOTS + as_new,
        "{as_new} as new: {first:?}"
    );
    Asked {
        user,
        chat: user,
        message,
        pressed: false,
        files: 1,
    }
}

async fn press_soon(bot: &Bot, one: &Asked, stranger: i64) -> Duration {
    let began = Instant::now();
    while began.elapsed() < REST {
        if let Some(took) = presses(&bot.playground, one, stranger).await {
            return took;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("there was no card to press: {:#?}", bot.playground.chat(one.chat));
}

/// Jobs of each person that had their slot, and jobs in all: from the database, for what the chat sees is held up by the
/// platform's limits too.
async fn served(bot: &Bot) -> (HashMap<i64, usize>, usize) {
    let options = SqliteConnectOptions::new()
        .filename(bot.folder.path().join("kadr.db"))
        .read_only(true);
    let mut database = SqliteConnection::connect_with(&options).await.unwrap();
    let rows = sqlx::query(
        "SELECT person, SUM(status IN ('succeeded', 'failed') OR phase = 'deliver'), COUNT(*) FROM jobs GROUP BY person",
    )
    .fetch_all(&mut database)
    .await
    .unwrap();
    let count = |row: &SqliteRow, column| usize::try_from(row.get::<i64, _>(column)).unwrap();
    let served = rows.iter().map(|row| (row.get(0), count(row, 1))).collect();
    (served, rows.iter().map(|row| count(row, 2)).sum())
}

/// Waits until every request has its end; gives the fairness when half of the jobs had their slot.
async fn all_ended(bot: &Bot, people: &[i64], asked: &[Asked]) -> f64 {
    let began = Instant::now();
    let mut jain = None;
    loop {
        let (of_each, jobs) = served(bot).await;
        if jain.is_none() && of_each.values().sum::<usize>() * 2 >= jobs {
            jain = Some(fairness(&of_each, people));
        }
        let mut open = None;
        for one in asked {
            let chat = bot.playground.chat(one.chat);
            let count = ends(&chat, one);
            assert!(count <= 1, "{count} ends of one request of {}: {chat:#?}", one.user);
            if count == 0 {
                open = Some(chat);
            }
        }
        let Some(open) = open else {
            return jain.unwrap_or_default();
        };
        assert!(began.elapsed() < REST, "open: {open:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_day_brings_every_request_to_exactly_one_end() {
    let (users, files, full) = size();
    let mut bot = Bot::start_with(Settings {
        jobs: Some(Jobs::Number(SLOTS)),
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
    let (mut asked, answers) = send_all(&bot, &people, files).await;
    asked.push(newcomer(&bot, FIRST + 1000, &people).await);
    let jain = all_ended(&bot, &people, &asked).await;
    bot.until_clean().await;
    let calls = bot.playground.transcript();
    let floods = calls.iter().filter(|call| call.status == 429).count();
    let share = floods as f64 / calls.len() as f64;
    let (middle, slowest) = (answers[answers.len() / 2], answers[answers.len() - 1]);
    let right = jain > JAIN_MIN && share < FLOOD_SHARE_MAX && slowest < HANDLER_MAX;
    let line = format!(
        "day: {}, {files} requests of {users} people, each with one end, Jain index {jain:.3}, {:.2} % of {} calls answered \
         429, answers to buttons {} ms in the middle, {} ms at most",
        if right { "ok" } else { "fell short" },
        share * 100.0,
        calls.len(),
        middle.as_millis(),
        slowest.as_millis()
    );
    // In the check only the ends are held: so few people cannot be served evenly.
    if full {
        writeln!(std::io::stderr(), "{line}").unwrap();
        assert!(right, "{line}");
    }
    bot.stop().await;
}
