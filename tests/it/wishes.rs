//! What is wanted, said in every way that the chat knows, and what comes back: the kind of message, and its file by ffprobe.

use kadr::config::Settings;
use kadr::playground::{Fault, Message, SendAs};

use crate::support::bot::Bot;
use crate::support::{clip, ffprobe};

/// A second of picture and sound that must be encoded for everything.
fn short() -> std::path::PathBuf {
    clip(
        "wish.mkv",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=1 -f lavfi -i sine=r=48000:d=1 -c:v mpeg4 -q:v 3 -c:a mp3",
    )
}

/// Sends it with a caption; the result is the bot's message that holds a file.
async fn ask(bot: &Bot, user: i64, caption: &str, results: usize) -> Message {
    bot.playground
        .send_file_in(user, user, &short(), SendAs::Document, caption)
        .unwrap();
    bot.until_results(user, results).await.pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_result_goes_by_its_own_method() {
    let mut bot = Bot::start().await;
    for (at, (caption, kind, streams, holds)) in [
        ("play", "video", "h264", "aac"),
        ("note", "video_note", "h264", "width=384"),
        ("gif", "animation", "h264", "width=320"),
        ("audio", "audio", "aac", "sample_rate"),
        ("voice", "voice", "opus", "channels=1"),
        ("sticker", "sticker", "vp9", "width=512"),
        ("sheet", "photo", "mjpeg", "width"),
        ("small file", "document", "h264", "aac"),
    ]
    .into_iter()
    .enumerate()
    {
        let result = ask(&bot, 1, caption, at + 1).await;
        assert_eq!(result.media.as_deref(), Some(kind), "{caption}: {result:?}");
        let facts = ffprobe(
            result.path.as_ref().unwrap(),
            "stream=codec_name,width,channels,sample_rate",
        );
        assert!(facts.contains(streams) && facts.contains(holds), "{caption}: {facts}");
        bot.until_clean().await;
    }
    // What words cannot become is said beside it; nothing still says that it is being sent.
    let chat = bot.playground.chat(1);
    let said = chat
        .iter()
        .filter(|message| message.from_bot && message.media.is_none());
    let said: Vec<&str> = said.map(|message| message.text.as_str()).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said.iter().all(|words| words.contains(" → ")), "{said:?}");
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_video_that_is_not_wanted_comes_as_a_video() {
    let mut bot = Bot::start().await;
    let words = "Bad Request: VOICE_MESSAGES_FORBIDDEN".to_owned();
    bot.playground.plan("sendVideoNote", 1, Fault::Refuse(400, words));
    let result = ask(&bot, 1, "note", 1).await;
    assert_eq!((result.media.as_deref(), result.width), (Some("video"), 384));
    bot.until_clean().await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_has_settings_of_its_own_that_its_admins_decide() {
    const GROUP: i64 = -100;
    let mut bot = Bot::start().await;
    bot.playground.add_group(GROUP, "All", &[1, 2]);
    bot.playground.write(2, GROUP, "/settings", None).unwrap();
    let settings = bot.until_says(GROUP, "Файлы, о которых").await;
    // Only its owner and its admins decide.
    let press = |user, data: &str| assert!(bot.playground.press_on(user, GROUP, settings.id, data));
    press(2, "d:gif");
    bot.until(GROUP, |chat| {
        let calls = bot.playground.transcript();
        let answered = calls.iter().any(|call| call.method == "answercallbackquery");
        let unchanged = chat.iter().any(|message| message.text == settings.text);
        (answered && unchanged).then_some(())
    })
    .await;
    press(1, "d:gif");
    press(1, "l:en");
    bot.until_says(GROUP, "in this chat: 🎞️ GIF").await;
    let sent = bot
        .playground
        .send_file_in(2, GROUP, &short(), SendAs::Document, "")
        .unwrap();
    bot.playground.write(2, GROUP, "/convert", Some(sent)).unwrap();
    let result = bot.until_results(GROUP, 1).await.remove(0);
    assert_eq!(result.media.as_deref(), Some("animation"));
    assert!(result.text.contains("converted in"), "{}", result.text);
    // Elsewhere Boris keeps his own.
    bot.playground.send_text(2, "/settings");
    bot.until_says(2, "Каждый раз спрашивать").await;
    bot.until_clean().await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_sticker_never_sends_two() {
    let mut bot = Bot::start().await;
    bot.playground.plan("sendSticker", 1, Fault::LostAnswer);
    bot.playground
        .send_file_in(1, 1, &short(), SendAs::Document, "sticker")
        .unwrap();
    // Perhaps it came: its requester decides.
    bot.until_says(1, "try again").await;
    assert_eq!(bot.until_results(1, 1).await.len(), 1);
    bot.until_clean().await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caption_that_cannot_be_followed_is_told_and_converts_nothing() {
    let mut bot = Bot::start().await;
    for user in [1, 2] {
        bot.playground
            .send_file_in(user, user, &short(), SendAs::Document, "fit 0")
            .unwrap();
    }
    bot.until_says(1, "I do not understand “fit 0”").await;
    bot.until_says(2, "Не понимаю «fit 0»").await;
    // Other people's words are none of ours.
    bot.playground
        .send_file_in(1, 1, &short(), SendAs::Document, "Our holidays")
        .unwrap();
    bot.until_says(1, "What should I make of it?").await;
    assert_eq!(bot.files_in_work(), 0);
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_choices_are_behind_a_button_and_the_same_source_serves_again() {
    let mut bot = Bot::start().await;
    bot.playground.send_file(1, &short(), SendAs::Document).unwrap();
    bot.press(1, "m:1").await;
    bot.press(1, "m:0").await;
    bot.press(1, "m:1").await;
    bot.press(1, "c:voice").await;
    assert_eq!(bot.until_results(1, 1).await[0].media.as_deref(), Some("voice"));
    // Under what was said beside the voice message.
    bot.press(1, "a:1").await;
    bot.press(1, "c:gif").await;
    assert_eq!(bot.until_results(1, 2).await[1].media.as_deref(), Some("animation"));
    // And under the animation itself, without sending the file again.
    bot.press(1, "a:2").await;
    bot.press(1, "c:audio").await;
    assert_eq!(bot.until_results(1, 3).await[2].media.as_deref(), Some("audio"));
    let sent = bot
        .playground
        .chat(1)
        .iter()
        .filter(|message| !message.from_bot)
        .count();
    assert_eq!(sent, 1);
    bot.playground.send_text(1, "/again");
    let again = bot.until_results(1, 4).await;
    assert_eq!(again[3].media.as_deref(), Some("audio"));
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_an_answer_with_convert_is_what_is_asked() {
    const GROUP: i64 = -100;
    let mut bot = Bot::start().await;
    bot.playground.add_group(GROUP, "Films", &[1, 2]);
    let film = bot
        .playground
        .send_file_in(2, GROUP, &short(), SendAs::Document, "look, note this")
        .unwrap();
    bot.playground.write(1, GROUP, "nice one", Some(film)).unwrap();
    bot.playground.write(1, GROUP, "/convert кружок", Some(film)).unwrap();
    let result = bot
        .until(GROUP, |chat| {
            chat.iter()
                .find(|message| message.media.as_deref() == Some("video_note"))
                .cloned()
        })
        .await;
    assert_eq!(result.reply_to, Some(film));
    bot.playground.write(2, GROUP, "/convert loudly", Some(film)).unwrap();
    bot.until_says(GROUP, "Не понимаю «loudly»").await;
    bot.playground.write(1, GROUP, "/convert", None).unwrap();
    bot.until_says(GROUP, "Answer a file with /convert").await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_wants_to_be_forgotten_is() {
    let mut bot = Bot::start().await;
    ask(&bot, 1, "play", 1).await;
    bot.until_clean().await;
    bot.playground.send_text(1, "/forget_me");
    bot.until_says(1, "Done: your settings").await;
    bot.playground.send_text(1, "/again");
    bot.until_says(1, "There is nothing that I could do again").await;
    bot.press(1, "a:1").await;
    bot.until(1, |_| (!bot.playground.toasts().is_empty()).then_some(()))
        .await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_who_are_let_in_are_served_and_admins_decide() {
    let mut bot = Bot::start_with(Settings {
        admins: Some("3".to_owned()),
        allowed: Some("1,-100".to_owned()),
        ..Settings::default()
    })
    .await;
    bot.playground.send_file(2, &short(), SendAs::Document).unwrap();
    bot.until_says(2, "Этот бот только для приглашённых").await;
    ask(&bot, 1, "play", 1).await;
    bot.playground.send_text(1, "/stats");
    bot.until_says(1, "for those who run the bot").await;
    bot.playground.send_text(3, "/allow 2");
    bot.until_says(3, "2 is served").await;
    ask(&bot, 2, "play", 1).await;
    bot.playground.send_text(3, "/ban 1");
    bot.until_says(3, "1 is no longer served").await;
    bot.playground.send_file(1, &short(), SendAs::Document).unwrap();
    bot.until_says(1, "You cannot use this bot").await;
    bot.playground.send_text(3, "/drain");
    bot.until_says(3, "No further file is started").await;
    bot.playground
        .send_file_in(2, 2, &short(), SendAs::Document, "gif")
        .unwrap();
    bot.until_says(2, "В очереди: №1").await;
    bot.playground.send_text(3, "/jobs");
    bot.until_says(3, "of 2: 🎞️ GIF, #1").await;
    bot.playground.send_text(3, "/stats");
    bot.until_says(3, "waiting: 1").await;
    bot.playground.send_text(3, "/drain off");
    bot.until_results(2, 2).await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_does_not_read_is_told() {
    let base = || Settings {
        token: Some("1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_owned()),
        device: Some("cpu".to_owned()),
        ..Settings::default()
    };
    let error = |settings| kadr::config::Config::read(settings, None).unwrap_err().what;
    let allowed = Settings {
        allowed: Some("1,me".to_owned()),
        ..base()
    };
    assert!(error(allowed).contains("`me` is no person, chat or topic"));
    let admins = Settings {
        admins: Some("-100".to_owned()),
        ..base()
    };
    assert!(error(admins).contains("admin `-100` is no person"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_decides_what_becomes_of_every_file() {
    const GROUP: i64 = -100;
    let mut bot = Bot::start().await;
    bot.playground.add_group(GROUP, "Films", &[1, 2]);
    // The bot sees all files of a group whose admin it is.
    bot.playground.promote(GROUP, bot.playground.bot_id());
    let send = || {
        bot.playground
            .send_file_in(2, GROUP, &short(), SendAs::Document, "")
            .unwrap()
    };
    send();
    bot.playground.write(2, GROUP, "/auto gif", None).unwrap();
    bot.until_says(GROUP, "Это решает только администратор").await;
    bot.playground.write(1, GROUP, "/auto gif", None).unwrap();
    bot.until_says(GROUP, "From now on every file").await;
    let film = send();
    let result = bot.until_results(GROUP, 1).await.remove(0);
    assert_eq!(
        (result.media.as_deref(), result.reply_to),
        (Some("animation"), Some(film))
    );
    bot.playground.write(1, GROUP, "/auto off", None).unwrap();
    bot.until_says(GROUP, "only what I am asked for").await;
    send();
    bot.playground.write(1, GROUP, "/queue", None).unwrap();
    bot.until_says(GROUP, "You have no files in progress").await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_to_send_is_offered_in_the_size_that_fits() {
    let mut bot = Bot::start().await;
    let refusal = Fault::Refuse(413, "Request Entity Too Large".to_owned());
    bot.playground.plan("editMessageMedia", 1, refusal);
    bot.playground
        .send_file_in(1, 1, &short(), SendAs::Document, "play")
        .unwrap();
    bot.until_says(1, "I can send 47.7 MB at most").await;
    bot.press(1, "f:1").await;
    let result = bot.until_results(1, 1).await.remove(0);
    assert!(result.size <= 50_000_000);
    bot.stop().await;
}
