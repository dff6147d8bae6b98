//! Files that come together: one question, one status message, one album; and what becomes of it when things go wrong.

use std::path::PathBuf;

use kadr::config::Settings;
use kadr::playground::{Fault, Message, SendAs};

use crate::support::bot::Bot;
use crate::support::{clip, ffprobe};

const GROUP: i64 = -300;

/// Half a second of picture, with sound or without, that must be encoded; each of its own.
fn film(number: usize, sound: bool) -> PathBuf {
    let tone = format!("-f lavfi -i sine=f={}:r=48000:d=0.5 -c:a mp3", 300 + number * 50);
    let (input, codec) = tone.split_once(" -c:a").unwrap();
    let size = 160 + number * 16;
    let (input, codec) = if sound {
        (input.to_owned(), format!("-c:a{codec}"))
    } else {
        (String::new(), "-an".to_owned())
    };
    clip(
        &format!("album-{number}-{sound}.mkv"),
        &format!("-f lavfi -i testsrc2=s={size}x128:r=25:d=0.5 {input} -c:v mpeg4 -q:v 4 {codec}"),
    )
}

fn no_film(number: usize) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("album-words-{number}.mkv"));
    std::fs::write(&path, format!("{number}: words, whatever the name says\n")).unwrap();
    path
}

fn send(bot: &Bot, chat: i64, files: &[PathBuf], caption: &str) -> Vec<i64> {
    let paths: Vec<&std::path::Path> = files.iter().map(PathBuf::as_path).collect();
    bot.playground
        .send_album(1, chat, &paths, SendAs::Document, caption)
        .unwrap()
}

/// What the bot said in words that are still there.
fn words(bot: &Bot, chat: i64) -> Vec<String> {
    bot.playground
        .chat(chat)
        .into_iter()
        .filter(|message| message.from_bot && message.media.is_none())
        .map(|message| message.text)
        .collect()
}

fn widths(results: &[Message]) -> Vec<u64> {
    results.iter().map(|message| message.width).collect()
}

fn calls(bot: &Bot, method: &str) -> usize {
    let calls = bot.playground.transcript();
    calls.iter().filter(|call| call.method == method).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_album_has_one_question_one_status_and_comes_back_as_one() {
    let mut bot = Bot::start().await;
    let sent = send(&bot, 1, &[film(1, true), film(2, true), film(3, true)], "");
    let card = bot.until_says(1, "3 files").await;
    assert_eq!((card.reply_to, words(&bot, 1).len()), (Some(sent[0]), 1));
    bot.press(1, "▶️ Play").await;
    let results = bot.until_results(1, 3).await;
    assert_eq!(widths(&results), [176, 192, 208], "in the order in which they came");
    let album = &results[0].album;
    assert!(album.is_some() && results.iter().all(|message| &message.album == album));
    assert!(results.iter().all(|message| message.reply_to == Some(sent[0])));
    assert!(
        results.iter().all(|message| message.text.contains(" → ")),
        "what was done"
    );
    let facts = ffprobe(results[2].path.as_ref().unwrap(), "stream=codec_name");
    assert!(facts.contains("h264") && facts.contains("aac"), "{facts}");
    let summary = bot.until_says(1, "3 files are ready").await;
    assert_eq!((summary.id, words(&bot, 1).len()), (card.id, 1));
    bot.until_clean().await;

    // All of them once more, as something else, without sending them again.
    bot.press(1, "Something else").await;
    let again = bot.until_says(1, "3 files, ").await;
    assert_eq!(again.reply_to, Some(sent[0]));
    bot.press(1, "🎵 Sound").await;
    let results = bot.until_results(1, 6).await;
    assert!(
        results[3..]
            .iter()
            .all(|message| message.media.as_deref() == Some("audio"))
    );
    bot.until_clean().await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_under_an_album_count_for_all_of_it_and_a_wrong_file_is_named() {
    let mut bot = Bot::start().await;
    let sent = send(&bot, 1, &[film(1, true), no_film(1), film(2, true)], "small");
    let results = bot.until_results(1, 2).await;
    assert_eq!(widths(&results), [176, 192]);
    let summary = bot.until_says(1, "2 files are ready").await;
    assert!(summary.text.contains("File 2: This is not a video"), "{}", summary.text);
    assert_eq!(summary.reply_to, Some(sent[0]));
    assert_eq!(words(&bot, 1).len(), 1);
    bot.until_clean().await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_album_of_which_nothing_comes_says_so_once() {
    let mut bot = Bot::start().await;
    send(&bot, 1, &[no_film(1), no_film(2)], "play");
    let summary = bot.until_says(1, "could make nothing").await;
    let named = ["File 1: ", "File 2: "].map(|file| summary.text.matches(file).count());
    assert_eq!(named, [1, 1], "{}", summary.text);
    bot.until_clean().await;
    assert_eq!(words(&bot, 1).len(), 1);
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_in_a_row_share_a_card() {
    let mut bot = Bot::start().await;
    for number in 1..=3 {
        bot.playground
            .send_file_in(1, 1, &film(number, true), SendAs::Video, "")
            .unwrap();
    }
    let card = bot.until_says(1, "3 files").await;
    assert!(card.text.starts_with("3 files, 0"), "{}", card.text);
    bot.press(1, "⚪ Round").await;
    // Round videos are no album's: each comes by itself.
    let results = bot.until_results(1, 3).await;
    assert!(
        results
            .iter()
            .all(|message| message.media.as_deref() == Some("video_note") && message.album.is_none())
    );
    bot.until_says(1, "3 files are ready").await;
    bot.until_clean().await;
    assert_eq!(words(&bot, 1).len(), 1);
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_film_comes_beside_the_album() {
    let mut bot = Bot::start().await;
    send(&bot, 1, &[film(1, true), film(2, false), film(3, true)], "play");
    let mut results = bot.until_results(1, 3).await;
    results.sort_by_key(|message| message.width);
    let in_album: Vec<bool> = results.iter().map(|message| message.album.is_some()).collect();
    assert_eq!(in_album, [true, false, true]);
    bot.until_clean().await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_an_album_never_sends_two() {
    let mut bot = Bot::start().await;
    bot.playground.plan("sendMediaGroup", 1, Fault::LostAnswer);
    send(&bot, 1, &[film(1, true), film(2, true)], "play");
    // It is there, but nobody knows.
    bot.until_results(1, 2).await;
    let summary = bot.until_says(1, "File 1: ").await;
    assert!(summary.text.starts_with("I sent what I made"), "{}", summary.text);
    assert!(summary.text.contains("File 2: "), "{}", summary.text);
    bot.until_clean().await;
    assert_eq!(calls(&bot, "sendmediagroup"), 1);
    assert_eq!(bot.until_results(1, 2).await.len(), 2);
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_album_that_was_surely_not_shown_is_sent_again_and_a_refused_one_as_single_films() {
    let mut bot = Bot::start().await;
    bot.playground.plan("sendMediaGroup", 1, Fault::TooManyRequests(1));
    send(&bot, 1, &[film(1, true), film(2, true)], "play");
    assert!(
        bot.until_results(1, 2)
            .await
            .iter()
            .all(|message| message.album.is_some())
    );
    bot.until_clean().await;
    let refusal = Fault::Refuse(400, "Bad Request: group send failed".to_owned());
    bot.playground.plan("sendMediaGroup", 1, refusal);
    send(&bot, 1, &[film(3, true), film(4, true)], "play");
    let results = bot.until_results(1, 4).await;
    assert!(results[2..].iter().all(|message| message.album.is_none()));
    bot.until_says(1, "2 files are ready").await;
    bot.until_clean().await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_ends_all_of_an_album() {
    let mut bot = Bot::start().await;
    bot.playground.plan("download", 1, Fault::Stall(20_000));
    send(&bot, 1, &[film(1, true), film(2, true), film(3, true)], "play");
    bot.until_says(1, "Downloading").await;
    bot.press(1, "Cancel").await;
    bot.until_says(1, "Cancelled").await;
    bot.until_clean().await;
    let said = words(&bot, 1);
    assert_eq!(said, ["Cancelled."]);
    assert_eq!(
        bot.playground.chat(1).iter().filter(|message| message.from_bot).count(),
        1
    );
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_album_goes_on_after_a_restart_in_the_middle() {
    let mut bot = Bot::start_with(Settings::default()).await;
    bot.playground.plan("download", 1, Fault::Stall(20_000));
    send(&bot, 1, &[film(1, true), film(2, true), film(3, true)], "play");
    bot.until_says(1, "Downloading").await;
    bot.stop().await;
    bot.resume().await;
    let results = bot.until_results(1, 3).await;
    assert_eq!(widths(&results), [176, 192, 208]);
    bot.until_says(1, "3 files are ready").await;
    bot.until_clean().await;
    assert_eq!(calls(&bot, "sendmediagroup"), 1);
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_an_album_is_asked_for_by_a_mention_under_one_of_it() {
    let mut bot = Bot::start().await;
    bot.playground.add_group(GROUP, "Films", &[1, 2]);
    // In privacy mode it would hear of the one film only that names it.
    bot.playground.promote(GROUP, bot.playground.bot_id());
    send(&bot, GROUP, &[film(1, true), film(2, true)], "holiday");
    let name = bot.playground.bot_name();
    send(&bot, GROUP, &[film(3, true), film(4, true)], &format!("@{name} play"));
    let results = bot.until_results(GROUP, 2).await;
    assert_eq!(widths(&results), [208, 224], "what nobody asked for is left alone");
    assert!(results[0].album.is_some());
    bot.until_clean().await;
    assert_eq!(bot.until_results(GROUP, 2).await.len(), 2);
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_album_that_is_not_accepted_is_refused_once() {
    let mut bot = Bot::start_with(Settings {
        files_per_day: Some(1),
        ..Settings::default()
    })
    .await;
    send(
        &bot,
        1,
        &[film(1, true), film(2, true), film(3, true), film(4, true)],
        "play",
    );
    bot.until_results(1, 1).await;
    bot.until_clean().await;
    // The first is made; the others are over the limit, which is said under the first of them.
    let refusals: Vec<String> = words(&bot, 1);
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert!(refusals[0].contains("which is the limit"), "{refusals:?}");
    bot.stop().await;
}
