//! The bot as its users meet it: the real listener, store, worker and courier on the playground.

use kadr::config::Settings;
use kadr::playground::{Fault, SendAs};

use crate::support::bot::Bot;
use crate::support::{clip, decoded_frames, ffprobe, long_clip, playable_mkv, shipped_clip};

#[tokio::test(flavor = "multi_thread")]
async fn a_video_sent_as_a_file_comes_back_playable() {
    let mut bot = Bot::start().await;
    bot.playground.send_file(1, &shipped_clip(), SendAs::Document).unwrap();
    bot.press(1, "▶️ Play").await;
    let result = bot.until_results(1, 1).await.remove(0);
    assert_eq!(
        (result.width, result.height, result.duration, result.thumbnail),
        (640, 480, 8, true)
    );
    let path = result.path.unwrap();
    let facts = ffprobe(&path, "stream=codec_name,pix_fmt");
    assert_eq!(facts, "codec_name=h264|pix_fmt=yuv420p\ncodec_name=aac\n");
    assert_eq!(decoded_frames(&path), 249);
    bot.until_clean().await;
    let chat = bot.playground.chat(1);
    assert_eq!(chat.len(), 2, "the status message became the result: {chat:#?}");
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_pressed_before_the_file_decides() {
    let mut bot = Bot::start().await;
    bot.playground.send_text(2, "/start");
    bot.press(2, "🎵 Звук").await;
    bot.until_says(2, "Теперь пришлите файл").await;
    bot.playground.send_file(2, &shipped_clip(), SendAs::Video).unwrap();
    let result = bot.until_results(2, 1).await.remove(0);
    assert_eq!(result.media.as_deref(), Some("audio"));
    assert_eq!(ffprobe(&result.path.unwrap(), "stream=codec_name"), "codec_name=aac\n");
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn animations_and_round_videos_are_taken_too() {
    let mut bot = Bot::start().await;
    for (send_as, count) in [(SendAs::Animation, 1), (SendAs::VideoNote, 2)] {
        let name = format!("short{count}.webm");
        let seconds = format!("-f lavfi -i testsrc2=s=160x120:r=10:d={count} -c:v libvpx");
        bot.playground.send_file(1, &clip(&name, &seconds), send_as).unwrap();
        bot.press(1, "c:play").await;
        bot.until_results(1, count).await;
    }
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_file_asked_again_comes_from_the_result_cache() {
    let mut bot = Bot::start().await;
    for count in 1..=2 {
        bot.playground.send_file(1, &playable_mkv(), SendAs::Document).unwrap();
        bot.press(1, "c:play").await;
        bot.until_results(1, count).await;
    }
    let downloads = bot
        .playground
        .transcript()
        .iter()
        .filter(|call| call.method == "getfile")
        .count();
    assert_eq!(downloads, 1, "the second answer needs no download");
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_request_is_recognised_and_not_run_twice() {
    let mut bot = Bot::start().await;
    for _ in 0..2 {
        bot.playground.send_file(1, &long_clip(), SendAs::Document).unwrap();
        bot.press(1, "c:play").await;
        bot.until(1, |chat| {
            (!chat.iter().any(|m| m.buttons.iter().flatten().any(|b| b.1 == "c:play"))).then_some(())
        })
        .await;
    }
    bot.until_says(1, "already").await;
    bot.playground.send_text(1, "/cancel");
    bot.until_says(1, "1 file stopped").await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_one_job_a_user_and_so_many_in_all_run_at_once() {
    let mut bot = Bot::start_with(Settings {
        jobs: Some(kadr::config::Jobs::Number(2)),
        ..Settings::default()
    })
    .await;
    for user in [1, 2, 3] {
        // Each a file of their own: the same one would be converted once.
        let own = bot.folder.path().join(format!("own-{user}.mpg"));
        let mut bytes = std::fs::read(long_clip()).unwrap();
        bytes.push(u8::try_from(user).unwrap());
        std::fs::write(&own, bytes).unwrap();
        bot.playground.send_file(user, &own, SendAs::Document).unwrap();
        bot.press(user, "c:play").await;
        bot.until(user, |chat| {
            chat.iter()
                .any(|m| m.buttons.iter().flatten().any(|b| b.1.starts_with("x:")))
                .then_some(())
        })
        .await;
    }
    bot.until(1, |_| (bot.files_in_work() == 2).then_some(())).await;
    bot.until_says(3, "In the queue: #1").await;
    // The user who waits is served as soon as a slot is free.
    bot.playground.send_text(1, "/cancel");
    bot.until_says(1, "Cancelled").await;
    bot.until_says(3, "Converting").await;
    assert_eq!(bot.files_in_work(), 2);
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_the_delivery_shows_one_video() {
    let mut bot = Bot::start().await;
    bot.playground.plan("editmessagemedia", 1, Fault::LostAnswer);
    bot.playground.send_file(1, &playable_mkv(), SendAs::Document).unwrap();
    bot.press(1, "c:play").await;
    bot.until(1, |_| {
        let tried = bot
            .playground
            .transcript()
            .iter()
            .filter(|call| call.method == "editmessagemedia")
            .count();
        (tried == 2).then_some(())
    })
    .await;
    bot.until_clean().await;
    assert_eq!(bot.until_results(1, 1).await.len(), 1);
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_status_message_gives_one_new_message() {
    let mut bot = Bot::start().await;
    bot.playground.plan("download", 1, Fault::Slow(100_000));
    bot.playground.send_file(1, &shipped_clip(), SendAs::Document).unwrap();
    bot.press(1, "c:play").await;
    let status = bot.until_says(1, "Downloading").await;
    bot.playground.delete(1, status.id);
    bot.until_results(1, 1).await;
    bot.until_clean().await;
    let sent = bot
        .playground
        .transcript()
        .iter()
        .filter(|call| call.method == "sendvideo")
        .count();
    assert_eq!(sent, 1);
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_video_gets_one_clear_sentence() {
    let mut bot = Bot::start().await;
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("film.mp4");
    std::fs::write(&text, "this is not a film, whatever its name says\n".repeat(100)).unwrap();
    bot.playground.send_file(1, &text, SendAs::Document).unwrap();
    bot.press(1, "c:play").await;
    let answer = bot.until_says(1, "not a video or a sound file").await;
    assert!(answer.buttons.is_empty(), "nothing to try again: {answer:?}");
    bot.until_clean().await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_over_the_limit_is_refused_before_it_is_fetched() {
    let mut bot = Bot::start().await;
    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("large.mp4");
    std::fs::File::create(&large).unwrap().set_len(21 << 20).unwrap();
    bot.playground.send_file(1, &large, SendAs::Video).unwrap();
    let answer = bot.until_says(1, "21 MB").await;
    assert!(answer.text.contains("up to 20 MB"), "{}", answer.text);
    assert!(bot.playground.transcript().iter().all(|call| call.method != "getfile"));
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_limit_ends_a_job_and_offers_another_try() {
    let mut bot = Bot::start_with(Settings {
        conversion_timeout_s: Some(1),
        ..Settings::default()
    })
    .await;
    bot.playground.send_file(1, &long_clip(), SendAs::Document).unwrap();
    bot.press(1, "c:play").await;
    let answer = bot.until_says(1, "longer than 1 s").await;
    assert_eq!(answer.buttons[0][0].0, "Try again");
    bot.until_clean().await;
    bot.press(1, "Try again").await;
    bot.until(1, |chat| {
        chat.iter()
            .any(|m| m.buttons.iter().flatten().any(|b| b.1.starts_with("x:")))
            .then_some(())
    })
    .await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_the_bot_goes_on() {
    let mut bot = Bot::start_with(Settings {
        disk_free_min_bytes: Some(u64::MAX / 2),
        ..Settings::default()
    })
    .await;
    bot.playground.send_file(1, &shipped_clip(), SendAs::Document).unwrap();
    bot.press(1, "c:play").await;
    bot.until_says(1, "no space left").await;
    bot.until_clean().await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flood_limits_and_server_errors_delay_but_lose_nothing() {
    let mut bot = Bot::start().await;
    bot.playground.plan("getfile", 1, Fault::ServerError);
    bot.playground.plan("editmessagemedia", 1, Fault::TooManyRequests(1));
    bot.playground.send_file(1, &playable_mkv(), SendAs::Document).unwrap();
    bot.press(1, "c:play").await;
    assert_eq!(bot.until_results(1, 1).await.len(), 1);
    bot.until_clean().await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_kept_and_spare_the_question() {
    let mut bot = Bot::start().await;
    bot.playground.send_text(1, "/settings");
    bot.press(1, "d:play").await;
    bot.press(1, "l:ru").await;
    bot.until_says(1, "Новые файлы: ▶️ Видео").await;
    bot.stop().await;
    bot.resume().await;
    bot.playground.send_file(1, &playable_mkv(), SendAs::Document).unwrap();
    let result = bot.until_results(1, 1).await.remove(0);
    assert!(result.text.contains("без потери качества"), "{}", result.text);
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_shows_what_is_going_on_while_a_file_is_in_work() {
    let mut bot = Bot::start().await;
    bot.playground.plan("download", 1, Fault::Slow(150_000));
    bot.playground
        .send_file_in(1, 1, &shipped_clip(), SendAs::Document, "note")
        .unwrap();
    bot.until_results(1, 1).await;
    bot.until_clean().await;
    let calls = bot.playground.transcript();
    let actions: Vec<_> = calls.iter().filter(|call| call.method == "sendchataction").collect();
    assert!(
        !actions.is_empty() && actions.iter().all(|call| call.status == 200),
        "{actions:?}"
    );
    bot.stop().await;
}
