//! What people ask in other words than buttons: where the answer lands, and what a mistake costs them.

use kadr::config::{Jobs, Settings};
use kadr::playground::SendAs;

use super::chat::of_bot;
use crate::support::bot::Bot;
use crate::support::{clip, long_clip};

const GROUP: i64 = -70;

/// A second of picture and sound.
fn short() -> std::path::PathBuf {
    clip(
        "wish.mkv",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=1 -f lavfi -i sine=r=48000:d=1 -c:v mpeg4 -q:v 3 -c:a mp3",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_cannot_be_followed_leave_the_buttons() {
    let mut bot = Bot::start().await;
    bot.playground
        .send_file_in(1, 1, &short(), SendAs::Document, "best day ever")
        .unwrap();
    let refusal = bot.until_says(1, "I do not understand “day”").await;
    assert!(!refusal.buttons.is_empty(), "{refusal:?}");
    bot.press(1, "c:gif").await;
    let result = bot.until_results(1, 1).await.remove(0);
    assert_eq!((result.id, result.media.as_deref()), (refusal.id, Some("animation")));
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_out_of_range_is_told_with_what_is_allowed() {
    let mut bot = Bot::start().await;
    for (caption, words) in [
        ("fit 0", "a number of megabytes, from 0.01 on, such as: fit 25"),
        ("trim 5-1", "the later one second, such as: trim 0:10-0:40"),
        ("rotate 45", "90, 180 or 270"),
        ("note 9000p", "16 to 4320"),
    ] {
        bot.playground
            .send_file_in(1, 1, &short(), SendAs::Document, caption)
            .unwrap();
        bot.until_says(1, words).await;
    }
    assert_eq!(bot.files_in_work(), 0);
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_asked_about_twice_has_one_question() {
    let mut bot = Bot::start().await;
    bot.playground.add_group(GROUP, "Films", &[1, 2]);
    let film = bot
        .playground
        .send_file_in(2, GROUP, &short(), SendAs::Document, "")
        .unwrap();
    bot.playground.write(1, GROUP, "/convert", Some(film)).unwrap();
    let first = bot.until_says(GROUP, "What should I make").await;
    bot.playground.write(1, GROUP, "/convert", Some(film)).unwrap();
    let second = bot
        .until(GROUP, |chat| {
            let [only] = of_bot(chat)[..] else { return None };
            (only.id != first.id).then(|| only.clone())
        })
        .await;
    assert_eq!(second.reply_to, Some(film));
    assert!(bot.playground.press_on(1, GROUP, second.id, "c:audio"));
    let result = bot
        .until(GROUP, |chat| {
            chat.iter()
                .find(|message| message.from_bot && message.media.is_some())
                .cloned()
        })
        .await;
    assert_eq!(result.id, second.id);
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_from_another_chat_is_shown_where_the_job_is() {
    let mut bot = Bot::start_with(Settings {
        jobs: Some(Jobs::Number(1)),
        ..Settings::default()
    })
    .await;
    bot.playground.add_group(GROUP, "Films", &[1, 2]);
    bot.playground
        .send_file_in(3, 3, &long_clip(), SendAs::Document, "play")
        .unwrap();
    bot.until_says(3, "Converting").await;
    let film = bot
        .playground
        .send_file_in(1, GROUP, &short(), SendAs::Document, "")
        .unwrap();
    bot.playground.write(1, GROUP, "/convert note", Some(film)).unwrap();
    let waiting = bot.until_says(GROUP, "In the queue").await;
    bot.playground.send_text(1, "/cancel");
    bot.until_says(1, "1 file stopped").await;
    let over = bot.until_says(GROUP, "Cancelled").await;
    assert_eq!(over.id, waiting.id);
    let chat = bot.playground.chat(1);
    assert!(
        of_bot(&chat).iter().all(|message| !message.text.contains("Cancelled")),
        "no other message was touched: {chat:#?}"
    );
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn again_takes_the_last_file_that_is_still_known() {
    let mut bot = Bot::start().await;
    bot.playground
        .send_file_in(1, 1, &short(), SendAs::Document, "gif")
        .unwrap();
    bot.until_results(1, 1).await;
    bot.playground
        .send_file_in(1, 1, &long_clip(), SendAs::Document, "play")
        .unwrap();
    bot.until_says(1, "Converting").await;
    bot.playground.send_text(1, "/cancel");
    bot.until_says(1, "Cancelled").await;
    bot.playground.send_text(1, "/again");
    let results = bot.until_results(1, 2).await;
    assert_eq!(results[1].media.as_deref(), Some("animation"));
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn info_says_what_was_announced_and_later_what_was_seen() {
    let mut bot = Bot::start().await;
    bot.playground.send_text(1, "/info");
    bot.until_says(1, "Answer a file with /info").await;
    let film = bot
        .playground
        .send_file_in(1, 1, &short(), SendAs::Document, "")
        .unwrap();
    bot.until_says(1, "What should I make").await;
    bot.playground.send_text(1, "/info");
    let answer = bot.until_says(1, "I have not looked inside yet").await;
    assert!(answer.text.starts_with("Telegram says: "), "{answer:?}");
    assert_eq!(answer.reply_to, Some(film));
    assert!(
        bot.playground.transcript().iter().all(|call| call.method != "getfile"),
        "a question fetches nothing"
    );
    bot.press(1, "c:gif").await;
    bot.until_results(1, 1).await;
    bot.until_clean().await;
    bot.playground.write(1, 1, "/info", Some(film)).unwrap();
    let answer = bot.until_says(1, "as I saw it when I converted it: Matroska").await;
    for words in ["320×240 · 25 fps", "Sound 1: MP3 · mono · 48 kHz"] {
        assert!(answer.text.contains(words), "{}", answer.text);
    }
    bot.stop().await;
}
