//! Every method of the Bot API that the bot calls × everything that a network does to a call: the conversation goes on, and
//! there is one video.
//!
//! What cannot be repeated safely, a message that holds a file, may end with the word that it has perhaps arrived: then too
//! there is never a second one. In the check each method meets one fault, `ci/faults network` plays all of them.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use futures::StreamExt;
use kadr::config::Settings;
use kadr::playground::{Fault, SendAs};

use crate::support::bot::{Bot, WAIT};
use crate::support::{clip, playable_mkv};

/// Conversations at once: they wait more than they work.
const AT_ONCE: usize = 6;

/// The conversation in which a method is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The bot starts.
    Start,
    /// A file, a question, a press, a video.
    Card,
    /// The same, with more choices asked for first.
    More,
    /// The same, asked about once more: the first question goes.
    Twice,
    /// Results that no message of words can become, by their wish.
    Beside(&'static str),
    /// The status message is deleted, so the result is sent anew, by its wish.
    Gone(&'static str),
    /// Two films together.
    Album,
    /// Settings of a group, asked for by one who may.
    Group,
    /// The bot starts, as one that updates are sent to.
    Hook,
    /// The same, and starts again as one that asks for them.
    Unhook,
}

const METHODS: [(&str, Way); 25] = [
    ("getme", Way::Start),
    ("setmycommands", Way::Start),
    ("getupdates", Way::Card),
    ("sendmessage", Way::Card),
    ("answercallbackquery", Way::Card),
    ("editmessagetext", Way::Card),
    ("sendchataction", Way::Card),
    ("getfile", Way::Card),
    ("download", Way::Card),
    ("editmessagemedia", Way::Card),
    ("editmessagereplymarkup", Way::More),
    ("deletemessage", Way::Twice),
    ("sendvideonote", Way::Beside("note")),
    ("sendvoice", Way::Beside("voice")),
    ("sendsticker", Way::Beside("sticker")),
    ("sendvideo", Way::Gone("play")),
    ("sendanimation", Way::Gone("gif")),
    ("sendaudio", Way::Gone("audio")),
    ("sendphoto", Way::Gone("sheet")),
    ("senddocument", Way::Gone("play file")),
    ("sendmediagroup", Way::Album),
    ("getchatmember", Way::Group),
    ("getwebhookinfo", Way::Hook),
    ("setwebhook", Way::Hook),
    ("deletewebhook", Way::Unhook),
];

const TROUBLES: [&str; 7] = ["reset", "flood", "500", "502 page", "lost answer", "cut answer", "hang"];

fn fault(trouble: &str) -> Fault {
    match trouble {
        "reset" => Fault::Reset,
        "flood" => Fault::TooManyRequests(1),
        "500" => Fault::ServerError,
        "502 page" => Fault::BadGateway,
        "lost answer" => Fault::LostAnswer,
        "cut answer" => Fault::CutAnswer,
        // Longer than any call waits here.
        _ => Fault::Stall(120_000),
    }
}

/// A message that holds a file is sent at most once: after these troubles nobody knows whether it was.
fn may_be_unconfirmed(method: &str, trouble: &str) -> bool {
    let sends_a_file = method.starts_with("send") && !["sendmessage", "sendchataction"].contains(&method);
    sends_a_file && trouble != "flood"
}

/// Whether a hanging call is given up soon enough for the check: those that move a file have a minute and more.
fn hangs_shortly(method: &str) -> bool {
    matches!(
        method,
        "sendmessage"
            | "editmessagetext"
            | "answercallbackquery"
            | "sendchataction"
            | "editmessagereplymarkup"
            | "deletemessage"
            | "getchatmember"
    )
}

const GROUP: i64 = -100_500;

/// A film of so many seconds, as an album takes it.
fn film(seconds: u32) -> PathBuf {
    clip(
        &format!("network-{seconds}.mkv"),
        &format!(
            "-f lavfi -i testsrc2=s=160x120:r=25:d={seconds} -f lavfi -i sine=d={seconds}:r=48000 -c:v libx264 \
             -preset ultrafast -pix_fmt yuv420p -c:a aac"
        ),
    )
}

/// The conversation up to where the result is on its way, with the fault due in it.
#[expect(clippy::too_many_lines, reason = "one arm a way reads better than a function a way")]
async fn talk(bot: &mut Bot, method: &str, way: Way, fault: Fault) {
    let plan = |bot: &Bot| bot.playground.plan(method, 1, fault.clone());
    let send = |bot: &Bot, words: &str| {
        let file = playable_mkv();
        let sent = bot.playground.send_file_in(1, 1, &file, SendAs::Document, words);
        sent.unwrap()
    };
    match way {
        Way::Start => {
            bot.stop().await;
            plan(bot);
            bot.resume().await;
            send(bot, "play");
        }
        Way::Hook | Way::Unhook => {
            bot.stop().await;
            bot.playground.set_server(kadr::playground::Server::Web);
            crate::webhook::hook(&mut bot.settings);
            if way == Way::Unhook {
                bot.resume().await;
                bot.until(1, |_| (bot.playground.count("setwebhook") > 0).then_some(()))
                    .await;
                bot.stop().await;
                bot.settings.webhook_url = None;
            }
            plan(bot);
            bot.resume().await;
            send(bot, "play");
        }
        Way::Card => {
            plan(bot);
            if method == "sendchataction" {
                // Work that takes a moment is shown.
                bot.playground.plan("download", 1, Fault::Stall(2500));
            }
            send(bot, "");
            if method == "sendmessage" && matches!(fault, Fault::LostAnswer | Fault::CutAnswer) {
                // It is asked twice, for nobody knows of the first question; who presses that one is told so.
                let asks = |m: &&kadr::playground::Message| m.from_bot && !m.buttons.is_empty();
                bot.until(1, |chat| (chat.iter().filter(asks).count() == 2).then_some(()))
                    .await;
            }
            bot.press(1, "c:play").await;
        }
        Way::More => {
            plan(bot);
            send(bot, "");
            bot.press(1, "m:1").await;
            bot.press(1, "c:small").await;
        }
        Way::Twice => {
            plan(bot);
            let message = send(bot, "");
            bot.until_says(1, "What should I make").await;
            let again = bot.playground.write(1, 1, "/convert", Some(message)).unwrap();
            let asked = |m: &kadr::playground::Message| m.from_bot && m.id > again && !m.buttons.is_empty();
            bot.until(1, |chat| chat.iter().any(asked).then_some(())).await;
            bot.press(1, "c:play").await;
        }
        Way::Beside(wish) => {
            plan(bot);
            send(bot, wish);
        }
        Way::Gone(wish) => {
            plan(bot);
            // The file comes slowly, so that there is time to delete the message.
            bot.playground.plan("download", 1, Fault::Stall(1500));
            send(bot, wish);
            let status = bot
                .until(1, |chat| chat.iter().find(|m| m.from_bot).map(|m| m.id))
                .await;
            bot.playground.delete(1, status);
        }
        Way::Album => {
            plan(bot);
            let films = [film(1), film(2)];
            let paths: Vec<_> = films.iter().map(PathBuf::as_path).collect();
            bot.playground
                .send_album(1, 1, &paths, SendAs::Document, "play")
                .unwrap();
        }
        Way::Group => {
            bot.playground.add_group(GROUP, "All", &[1, 2]);
            bot.playground.promote(GROUP, 1);
            plan(bot);
            let command = format!("/auto@{} small", bot.playground.bot_name());
            bot.playground.write(1, GROUP, &command, None).unwrap();
            let answered = |chat: &[kadr::playground::Message]| chat.iter().any(|m| m.from_bot).then_some(());
            bot.until(GROUP, answered).await;
            send(bot, "play");
        }
    }
}

/// Plays one conversation; says what was wrong with it.
async fn play(method: &'static str, way: Way, trouble: &'static str) -> Option<String> {
    let outcome = tokio::spawn(async move {
        let mut bot = Bot::start_with(Settings {
            device: Some("cpu".to_owned()),
            ..Settings::default()
        })
        .await;
        talk(&mut bot, method, way, fault(trouble)).await;
        let wanted = if way == Way::Album { 2 } else { 1 };
        let unsure = may_be_unconfirmed(method, trouble);
        let over = |chat: &[kadr::playground::Message]| {
            let media = chat.iter().filter(|m| m.from_bot && m.media.is_some()).count();
            let words = |m: &kadr::playground::Message| {
                ["may have arrived", "did not confirm"]
                    .iter()
                    .any(|words| m.text.contains(words))
            };
            let is_unsure = chat.iter().any(|m| m.from_bot && words(m));
            (is_unsure || media >= wanted).then_some(is_unsure)
        };
        let Some(is_unsure) = bot.playground.wait(1, WAIT * 3, over).await else {
            panic!("no end: {:#?}", bot.playground.chat(1))
        };
        assert!(
            unsure || !is_unsure,
            "it was surely not sent: {:#?}",
            bot.playground.chat(1)
        );
        bot.until_clean().await;
        assert_eq!(bot.playground.faults_due(), 0, "the call was made");
        // The bot serves on, and what came once stays one.
        bot.playground
            .send_file_in(2, 2, &playable_mkv(), SendAs::Document, "small")
            .unwrap();
        bot.until_results(2, 1).await;
        let media = bot.playground.counts(1).media;
        assert!(
            media == wanted || is_unsure && media == 0,
            "{media} of {wanted}: {:#?}",
            bot.playground.chat(1)
        );
        bot.stop().await;
    });
    match outcome.await {
        Ok(()) => None,
        Err(error) => {
            let panic = error.into_panic();
            let words = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| Some((*panic.downcast_ref::<&str>()?).to_owned()));
            Some(format!("{method} × {trouble}: {}", words.unwrap_or_default()))
        }
    }
}

/// Each method once, the faults in turn; or all of them.
fn cases(all: bool) -> Vec<(&'static str, Way, &'static str)> {
    let mut cases = Vec::new();
    for (at, (method, way)) in METHODS.into_iter().enumerate() {
        if all {
            cases.extend(TROUBLES.map(|trouble| (method, way, trouble)));
            continue;
        }
        let mut trouble = TROUBLES[at % TROUBLES.len()];
        if trouble == "hang" && !hangs_shortly(method) {
            trouble = "cut answer";
        }
        cases.push((method, way, trouble));
    }
    cases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_trouble_at_any_call_loses_a_job_or_sends_a_video_twice() {
    let mode = std::env::var("KADR_NETWORK").ok();
    let mut cases = cases(mode.is_some());
    if let Some(only) = mode.filter(|mode| mode != "all") {
        cases.retain(|(method, _, trouble)| format!("{method} {trouble}").contains(&only));
    }
    let count = cases.len();
    let began = std::time::Instant::now();
    let wrong: Vec<String> = futures::stream::iter(cases)
        .map(|(method, way, trouble)| play(method, way, trouble))
        .buffer_unordered(AT_ONCE)
        .filter_map(|outcome| async move { outcome })
        .collect()
        .await;
    let took = Duration::as_secs(&began.elapsed());
    let verdict = if wrong.is_empty() { "ok" } else { "fell short" };
    let line = format!(
        "faults: {verdict}, {count} calls in trouble ({} methods), {} conversations that did not end as they should, {took} s",
        METHODS.len(),
        wrong.len()
    );
    writeln!(std::io::stderr(), "{line}").unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// A method that is new must come into the table: what the source calls and what is played is the same.
#[test]
fn every_method_that_the_bot_calls_is_in_the_table() {
    let mut called = BTreeSet::new();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/telegram");
    let entries = [folder.clone(), folder.join("webhook")].map(|folder| std::fs::read_dir(folder).unwrap());
    for entry in entries.into_iter().flatten() {
        let path = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        for word in text.split('"').skip(1).step_by(2) {
            let is_method = [
                "get", "set", "send", "edit", "delete", "answer", "pin", "copy", "forward",
            ]
            .iter()
            .any(|verb| {
                word.strip_prefix(verb)
                    .is_some_and(|rest| rest.starts_with(char::is_uppercase))
            });
            if is_method && word.chars().all(char::is_alphabetic) {
                called.insert(word.to_lowercase());
            }
        }
    }
    called.insert("download".to_owned());
    let played: BTreeSet<String> = METHODS.iter().map(|(method, _)| (*method).to_owned()).collect();
    assert_eq!(called, played);
}
