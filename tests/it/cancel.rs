//! Cancel pressed in every phase: the job is over, its files are gone, and its slot serves the next one.

use std::time::{Duration, Instant};

use kadr::config::Settings;
use kadr::job::{JobId, Phase, Status};
use kadr::media::Isolation;
use kadr::playground::{Fault, SendAs};

use crate::support::bot::Bot;
use crate::support::{long_clip, playable_mkv, shipped_clip};

/// Generous beside the half second that is promised, for the machine is busy with other tests; far below the stalls.
const BOUND: Duration = Duration::from_secs(5);
const STALL: Fault = Fault::Stall(60_000);

/// A bot with one slot.
async fn narrow() -> Bot {
    narrow_with(Isolation::Thread).await
}

async fn narrow_with(isolation: Isolation) -> Bot {
    Bot::start_with(Settings {
        jobs: Some(kadr::config::Jobs::Number(1)),
        isolation: Some(isolation),
        ..Settings::default()
    })
    .await
}

/// Asks for a video and answers the job, as its button names it.
async fn ask(bot: &Bot, user: i64, file: &std::path::Path) -> JobId {
    bot.playground.send_file(user, file, SendAs::Document).unwrap();
    bot.press(user, "c:play").await;
    bot.until(user, |chat| {
        let newest = chat.iter().rfind(|message| message.from_bot)?;
        let mut buttons = newest.buttons.iter().flatten();
        buttons.find_map(|(_, data)| data.strip_prefix("x:")?.parse().ok().map(JobId))
    })
    .await
}

/// Presses Cancel and waits until the job is over, without files, and `next` was claimed.
async fn cancel(bot: &Bot, user: i64, job: JobId, next: Option<JobId>) {
    let began = Instant::now();
    assert!(bot.playground.press(user, &format!("x:{}", job.0)), "there is a button");
    loop {
        let over = bot.job(job).await.status == Status::Canceled;
        let served = match next {
            Some(next) => bot.job(next).await.status != Status::Queued,
            None => true,
        };
        let files = bot.has_files(job);
        if over && served && !files {
            return;
        }
        assert!(
            began.elapsed() < BOUND,
            "over: {over}, the next one served: {served}, files left: {files}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Cancels the one job that has the slot while another waits for it.
async fn cancel_while(bot: &mut Bot, job: JobId, words: &str) {
    bot.until_says(1, words).await;
    let next = ask(bot, 2, &playable_mkv()).await;
    assert_eq!(bot.job(next).await.status, Status::Queued, "the slot is taken");
    cancel(bot, 1, job, Some(next)).await;
    let last = bot.until_says(1, "Cancelled.").await;
    assert!(last.buttons.is_empty() && last.media.is_none(), "{last:?}");
    bot.until_results(2, 1).await;
    bot.until_clean().await;
    bot.stop().await;
}

/// A server of one's own answers only when it has the whole file.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_gets_the_file_ready_it_frees_the_slot() {
    let mut bot = narrow().await;
    bot.playground.plan("getFile", 1, STALL);
    let job = ask(&bot, 1, &shipped_clip()).await;
    cancel_while(&mut bot, job, "Downloading").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_downloading_it_frees_the_slot_and_the_files() {
    let mut bot = narrow().await;
    bot.playground.plan("download", 1, STALL);
    let job = ask(&bot, 1, &shipped_clip()).await;
    cancel_while(&mut bot, job, "Downloading").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_converting_it_frees_the_slot_and_the_files() {
    for isolation in [Isolation::Thread, Isolation::Process] {
        let mut bot = narrow_with(isolation).await;
        let job = ask(&bot, 1, &long_clip()).await;
        cancel_while(&mut bot, job, "Converting").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_sending_it_frees_the_slot_and_the_files() {
    let mut bot = narrow().await;
    bot.playground.plan("editmessagemedia", 1, STALL);
    let job = ask(&bot, 1, &shipped_clip()).await;
    cancel_while(&mut bot, job, "Sending").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_queued_it_frees_the_place() {
    let mut bot = narrow().await;
    bot.playground.plan("download", 1, STALL);
    let running = ask(&bot, 1, &shipped_clip()).await;
    let waiting = ask(&bot, 2, &shipped_clip()).await;
    let behind = ask(&bot, 3, &playable_mkv()).await;
    bot.until_says(3, "In the queue: #2").await;
    cancel(&bot, 2, waiting, None).await;
    let last = bot.until_says(2, "Отменено.").await;
    assert!(last.buttons.is_empty(), "{last:?}");
    bot.until_says(3, "In the queue: #1").await;
    cancel(&bot, 1, running, Some(behind)).await;
    bot.until_results(3, 1).await;
    bot.until_clean().await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_waits_for_another_try_it_leaves_no_files() {
    let mut bot = narrow().await;
    bot.playground.plan("editmessagemedia", 1, Fault::TooManyRequests(600));
    let job = ask(&bot, 1, &playable_mkv()).await;
    bot.until_queued_in(job, Phase::Deliver).await;
    assert!(bot.has_files(job), "what was made is kept for the next try");
    cancel(&bot, 1, job, None).await;
    bot.until_says(1, "Cancelled.").await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_overtakes_an_answer_that_a_flood_limit_holds_up() {
    let bot = narrow().await;
    bot.playground.plan("download", 1, STALL);
    let job = ask(&bot, 1, &shipped_clip()).await;
    bot.until_says(1, "Downloading").await;
    bot.playground.plan("sendmessage", 1, Fault::TooManyRequests(60));
    bot.playground.send_text(1, "/help");
    bot.until_refused("sendmessage", 429).await;
    cancel(&bot, 1, job, None).await;
    bot.until_says(1, "Cancelled.").await;
}
