//! The card of a file: what the file is, and what each button would do with it.

use kadr::config::Settings;
use kadr::job::{ChatId, Lang, MessageId, Origin, Question, UserId};
use kadr::media::forecast::Experience;
use kadr::media::report::Action;
use kadr::media::{self, Caps, Control, Limits, Recipe};
use kadr::playground::{Fault, Message, SendAs};
use kadr::store::Store;

use crate::store::{open, request};
use crate::support::bot::Bot;
use crate::support::{clip, playable_mkv};

fn to_encode() -> std::path::PathBuf {
    clip(
        "look.avi",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=2 -c:v mpeg4 -q:v 5 -an",
    )
}

/// Looks at what it is sent, as it does where nobody forbids it.
async fn bot() -> Bot {
    Bot::start_with(Settings {
        look_max_bytes: Some(20 << 20),
        ..Settings::default()
    })
    .await
}

fn calls(bot: &Bot, method: &str) -> usize {
    let calls = bot.playground.transcript();
    calls.iter().filter(|call| call.method == method).count()
}

fn line<'a>(card: &'a Message, button: &str) -> &'a str {
    let found = card.text.lines().find(|line| line.starts_with(button));
    found.unwrap_or_else(|| panic!("no line of {button} in {}", card.text))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_says_what_the_file_is_and_what_each_button_would_do() {
    let mut bot = bot().await;
    bot.playground.send_file(1, &playable_mkv(), SendAs::Document).unwrap();
    let card = bot.until_says(1, "copied without loss").await;
    assert!(card.text.starts_with("H.264"), "{}", card.text);
    assert!(
        card.text.contains("AAC-LC") && card.text.contains(" MB"),
        "{}",
        card.text
    );
    assert!(line(&card, "▶️ Play").contains("copied without loss, about 1 s"));
    assert!(line(&card, "⚪ Round").contains("picture converted, about"));
    bot.press(1, "More…").await;
    let more = bot.until_says(1, "HEVC: ").await;
    assert_eq!(more.id, card.id);
    assert!(line(&more, "🎙 Voice").contains("converted"));
    bot.press(1, "‹ Back").await;
    bot.until_says(1, "▶️ Play: copied").await;

    bot.playground.send_file(2, &to_encode(), SendAs::Document).unwrap();
    let card = bot.until_says(2, "конвертирую").await;
    assert!(
        line(&card, "▶️ Видео").contains("конвертирую, около 1 с"),
        "{}",
        card.text
    );
    assert!(line(&card, "🎵 Звук").contains("звука нет"), "{}", card.text);
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_looked_at_is_fetched_once_and_remembered() {
    let mut bot = bot().await;
    bot.playground.send_file(1, &playable_mkv(), SendAs::Document).unwrap();
    bot.until_says(1, "copied without loss").await;
    bot.press(1, "▶️ Play").await;
    bot.until_results(1, 1).await;
    bot.until_clean().await;
    assert_eq!(calls(&bot, "getfile"), 1);
    // Asked about once more it is known at once.
    bot.press(1, "Something else").await;
    let card = bot.until_says(1, "What should I make").await;
    assert!(line(&card, "▶️ Play").contains("copied without loss"));
    assert_eq!(calls(&bot, "getfile"), 1);
    bot.playground.send_text(1, "/info");
    bot.until_says(1, "Inside, as I saw it").await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_film_is_told_before_anything_is_pressed() {
    let mut bot = bot().await;
    let words = bot.folder.path().join("words.mkv");
    std::fs::write(&words, "only words\n").unwrap();
    bot.playground.send_file(1, &words, SendAs::Document).unwrap();
    let card = bot.until_says(1, "This is not a video").await;
    assert!(card.buttons.is_empty(), "{card:?}");
    bot.until_clean().await;
    bot.playground.send_text(1, "/cancel");
    bot.until_says(1, "nothing").await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_look_changes_nothing_that_was_pressed() {
    let mut bot = bot().await;
    bot.playground.plan("getfile", 1, Fault::Stall(3_000));
    bot.playground.send_file(1, &to_encode(), SendAs::Document).unwrap();
    let card = bot.until_says(1, "What should I make").await;
    bot.press(1, "▶️ Play").await;
    let result = bot.until_results(1, 1).await.remove(0);
    assert_eq!(result.id, card.id);
    bot.until_clean().await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let chat = bot.playground.chat(1);
    let last = chat.iter().find(|message| message.id == card.id).unwrap();
    assert_eq!((last.edits, &last.text), (result.edits, &result.text));
    bot.stop().await;
}

#[tokio::test]
async fn looks_are_wanted_in_order_and_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let question = |user: i64, card: i64| Question {
        origin: Origin {
            chat: ChatId(user),
            user: UserId(user),
            message: MessageId(1),
            group: false,
            lang: Lang::En,
        },
        card: MessageId(card),
        source: request(user, "a").source,
        wishes: vec![media::Preset::Play.into()],
    };
    for card in 0..5 {
        store.want_look(question(1, card)).await.unwrap();
    }
    store.want_look(question(2, 9)).await.unwrap();
    let mut taken = Vec::new();
    while let Some(question) = store.take_question().await.unwrap() {
        taken.push((question.origin.user.0, question.card.0));
    }
    assert_eq!(taken, [(1, 0), (1, 1), (1, 2), (2, 9)], "three of one person at most");
    store.want_look(question(1, 7)).await.unwrap();
    drop(store);
    let store = open(folder.path()).await;
    assert_eq!(
        store.take_question().await.unwrap(),
        None,
        "nobody waits after a restart"
    );
}

#[test]
fn a_forecast_does_as_the_plan_and_learns_from_what_was_made() {
    let (limits, control) = (Limits::default(), Control::new(None));
    let caps = Caps::without_gpus();
    let experience = Experience::default();
    let info = media::probe(&to_encode(), &limits, &control).unwrap();
    let of = |words: &str, experience: &Experience| {
        let recipe: Recipe = words.parse().unwrap();
        media::forecast(&info, &recipe, &caps, experience).unwrap()
    };
    let play = of("play", &experience);
    assert_eq!((play.video, play.audio), (Action::Encode, Action::None));
    let half = of("play trim:0-1", &experience);
    assert!(half.about_s < play.about_s, "{half:?} {play:?}");
    assert!(of("hevc", &experience).about_s > play.about_s);

    // A machine that is four times as fast says so after some films.
    let recipe: Recipe = "play".parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut report = media::convert(
        &to_encode(),
        &folder.path().join("out.mp4"),
        &recipe,
        &caps,
        &limits,
        &control,
    )
    .unwrap();
    assert!(report.expected_s > 0.0);
    report.expected_s = 40.0;
    report.wall_s = 10.0;
    experience.learn(&recipe, &report);
    let after = of("play", &experience).about_s;
    assert!((after / play.about_s - 0.25).abs() < 0.01, "{after} after {play:?}");
    assert_eq!(
        of("hevc", &experience),
        of("hevc", &Experience::default()),
        "each preset for itself"
    );
    let copied = media::probe(&playable_mkv(), &limits, &control).unwrap();
    let copy = media::forecast(&copied, &recipe, &caps, &experience).unwrap();
    assert_eq!((copy.video, copy.audio), (Action::Copy, Action::Copy));
}
