//! A platform that is away: jobs in every phase and a request that has no answer yet wait for it, and nothing is lost.
//!
//! In the check an outage lasts seconds and counts as one after a second; in earnest after 40 s. What a day of it costs the
//! log is proven where the waits are made (`telegram::pulse`), and counted in the log by `ci/faults outage`.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kadr::config::{Config, Jobs, Settings};
use kadr::job::{JobId, Phase, Status};
use kadr::playground::{Fault, SendAs};
use kadr::telegram::{self, pulse::Pulse};
use tokio_util::sync::CancellationToken;

use super::{Served, ask, has_result, lines, until};
use crate::support::bot::{Bot, WAIT, playground_in};
use crate::support::{clip, playable_mkv, shipped_clip};

/// Everything fails.
fn begin(bot: &Bot) {
    bot.playground.plan("*", u32::MAX, Fault::Reset);
}

async fn patient(jobs: usize) -> Bot {
    let mut bot = Bot::start_with(Settings {
        jobs: Some(Jobs::Number(jobs)),
        ..Settings::default()
    })
    .await;
    bot.stop().await;
    bot.away_after = Some(Duration::from_secs(1));
    bot.resume().await;
    bot
}

fn middling() -> std::path::PathBuf {
    clip(
        "outage-720.mpg",
        "-f lavfi -i testsrc2=s=1280x720:r=25:d=20 -c:v mpeg2video -q:v 31",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_costs_no_job_its_tries_and_all_goes_on_after_it() {
    let mut bot = patient(1).await;
    // One that converts when the platform goes, and has a result that nobody takes; one that waits behind it.
    ask(&bot.playground, 1, &middling(), "play");
    bot.until_says(1, "Converting").await;
    ask(&bot.playground, 2, &playable_mkv(), "play");
    bot.until_says(2, "№1").await;
    // And one whose question never got out: polls work a moment longer than answers.
    bot.playground.plan("sendmessage", u32::MAX, Fault::Reset);
    bot.playground.send_file(3, &shipped_clip(), SendAs::Document).unwrap();
    bot.until_refused("sendmessage", 0).await;
    begin(&bot);
    let began = Instant::now();
    bot.until_queued_in(JobId(1), Phase::Deliver).await;
    // Many times what five tries would have taken: 2, 5, 15 and 45 s between them are cut short by nothing here.
    while began.elapsed() < Duration::from_secs(12) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let job = bot.job(JobId(1)).await;
    assert!(job.attempt <= 2, "{job:#?}");
    assert_eq!(bot.job(JobId(2)).await.status, Status::Queued);
    bot.playground.clear_faults();
    let back = Instant::now();
    bot.until_results(1, 1).await;
    bot.until_results(2, 1).await;
    bot.press(3, "c:play").await;
    bot.until_results(3, 1).await;
    assert!(back.elapsed() < Duration::from_secs(60), "{:?}", back.elapsed());
    for user in 1..=3 {
        assert_eq!(bot.playground.counts(user).media, 1, "{:#?}", bot.playground.chat(user));
    }
    bot.until_clean().await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_word_that_met_an_outage_is_said_after_it_without_a_restart() {
    let mut bot = patient(1).await;
    let words = bot.folder.path().join("words.mp4");
    std::fs::write(&words, "this is no video at all\n").unwrap();
    bot.playground.plan("download", 1, Fault::Slow(20));
    ask(&bot.playground, 1, &words, "play");
    bot.until_says(1, "Downloading").await;
    // The file is here in a second, and what becomes of it cannot be told any more.
    bot.playground.plan("editmessagetext", u32::MAX, Fault::Reset);
    bot.playground.plan("getupdates", u32::MAX, Fault::Reset);
    for _ in 0..600 {
        if bot.job(JobId(1)).await.status == Status::Failed {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(bot.job(JobId(1)).await.status, Status::Failed);
    // Longer than a word is tried at once.
    tokio::time::sleep(Duration::from_secs(3)).await;
    bot.playground.clear_faults();
    bot.until_says(1, "not a video").await;
    bot.stop().await;
}

/// `ci/faults outage [MINUTES]`: the bot as it is, a platform that is away for so long, and how much the log says of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_minutes_is_short_in_the_log_and_over_within_a_minute() {
    let Ok(minutes) = std::env::var("KADR_OUTAGE") else {
        return;
    };
    let minutes: u64 = minutes.parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    playground.add_user(2, "Boris", "en");
    let mut bot = Served::start(&playground, folder.path(), &[("KADR_JOBS", "1")]);
    for (user, file) in [(1, middling()), (2, playable_mkv())] {
        ask(&playground, user, &file, "play");
    }
    until(&playground, 1, "the conversion", super::says("Converting")).await;
    playground.plan("*", u32::MAX, Fault::Reset);
    let all = || lines(folder.path(), "bot.log", "");
    tokio::time::sleep(Duration::from_secs(120)).await;
    let first = all();
    tokio::time::sleep(Duration::from_secs(60 * minutes.saturating_sub(2))).await;
    let rest = all() - first;
    assert!(bot.is_alive());
    playground.clear_faults();
    let back = Instant::now();
    // It was converted when the platform went, and has only waited.
    until(&playground, 1, "the video", has_result).await;
    let took = back.elapsed();
    until(&playground, 2, "the video", has_result).await;
    assert_eq!([1, 2].map(|user| playground.counts(user).media), [1, 1]);
    let a_day = rest * 1440 / usize::try_from(minutes.saturating_sub(2).max(1)).unwrap();
    let right = took < Duration::from_secs(60) && first < 60 && a_day < 1000;
    let line = format!(
        "faults: {}, an outage of {minutes} min: {first} lines of log in the first 2 min, {rest} in the rest (a day of it: \
         {a_day}), 2 of 2 jobs delivered once, the first {:.0} s after its end",
        if right { "ok" } else { "fell short" },
        took.as_secs_f64()
    );
    writeln!(std::io::stderr(), "{line}").unwrap();
    assert!(right, "{line}");
}

async fn meets(done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < WAIT, "it did not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_answers_no_chats_learns_that_an_outage_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    let settings = Settings {
        token: Some(playground.token().to_owned()),
        api_url: Some(playground.api_url()),
        ..Settings::default()
    };
    let mut config = Config::read(settings, None).unwrap();
    config.pulse = Arc::new(Pulse::new(Duration::from_millis(1)));
    let stop = CancellationToken::new();
    let options = config.telegram();
    let probing = tokio::spawn({
        let stop = stop.clone();
        async move { telegram::probe(&options, &stop).await }
    });
    meets(|| playground.count("getme") == 1).await;
    // A call of a job that nobody answered, and no job after it.
    config.pulse.missed(Instant::now());
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(config.pulse.is_away(Instant::now()));
    meets(|| !config.pulse.is_away(Instant::now())).await;
    stop.cancel();
    probing.await.unwrap().unwrap();
    let refused = Config::read(
        Settings {
            token: Some("1000002:another-token-of-no-value-000000000".to_owned()),
            api_url: Some(playground.api_url()),
            ..Settings::default()
        },
        None,
    );
    let refused = telegram::probe(&refused.unwrap().telegram(), &CancellationToken::new()).await;
    assert!(refused.unwrap_err().to_string().contains("does not know this token"));
}
