//! The chat side on the playground, where a network misbehaves, fingers are quick and strangers press.

use std::time::Duration;

use kadr::config::Settings;
use kadr::courier::{Courier, CourierError, Files, Meter, Notice};
use kadr::job::{ChatId, Job, Lang, MessageId, Origin, Parcel, ParcelKind, Reason, Request, Source, UserId};
use kadr::media::Preset;
use kadr::playground::{Fault, Message, Playground, SendAs};
use kadr::store::Journal;
use kadr::store::{Enqueued, InboxUpdate, QueueLimits, Store};
use kadr::telegram::delivery::TelegramCourier;
use serde_json::json;

use crate::support::bot::{Bot, playground_in};
use crate::support::{long_clip, playable_mkv, shipped_clip};

pub(crate) fn of_bot(chat: &[Message]) -> Vec<&Message> {
    chat.iter().filter(|message| message.from_bot).collect()
}

fn calls(playground: &Playground, method: &str) -> usize {
    playground
        .transcript()
        .iter()
        .filter(|call| call.method == method && call.status == 200)
        .count()
}

async fn default_to_play(bot: &Bot, user: i64) {
    bot.playground.send_text(user, "/settings");
    bot.press(user, "d:play").await;
    bot.until(user, |chat| {
        chat.iter()
            .any(|message| message.from_bot && message.text.contains("▶️"))
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_status_message_is_still_the_only_one() {
    let mut bot = Bot::start().await;
    default_to_play(&bot, 1).await;
    bot.playground.plan("sendmessage", 1, Fault::Stall(2500));
    bot.playground.send_file(1, &playable_mkv(), SendAs::Document).unwrap();
    bot.until_results(1, 1).await;
    bot.until_clean().await;
    bot.stop().await;
    let chat = bot.playground.chat(1);
    assert_eq!(of_bot(&chat).len(), 2, "the settings and the result: {chat:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_limit_delays_the_question_and_loses_no_file() {
    let mut bot = Bot::start().await;
    bot.playground.plan("sendmessage", 1, Fault::TooManyRequests(1));
    bot.playground.send_file(1, &playable_mkv(), SendAs::Document).unwrap();
    bot.press(1, "c:play").await;
    bot.until_results(1, 1).await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_limit_stops_the_progress_and_not_the_job() {
    let mut bot = Bot::start().await;
    bot.playground.send_file(1, &long_clip(), SendAs::Document).unwrap();
    bot.press(1, "c:play").await;
    bot.until_says(1, "Converting").await;
    let edits_after_the_flood = || {
        let calls = bot.playground.transcript();
        let flood = calls.iter().position(|call| call.status == 429)?;
        let after = calls[flood + 1..].iter();
        Some(after.filter(|call| call.method == "editmessagetext").count())
    };
    bot.playground.plan("editmessagetext", 1, Fault::TooManyRequests(30));
    while edits_after_the_flood().is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Long enough for another edit, if one were allowed.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(edits_after_the_flood(), Some(0));
    assert_eq!(bot.files_in_work(), 1, "the job goes on");
    bot.press(1, "Cancel").await;
    bot.until_says(1, "Cancelled").await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_pressed_twice_makes_one_job() {
    let mut bot = Bot::start().await;
    bot.playground.send_file(1, &playable_mkv(), SendAs::Document).unwrap();
    bot.press(1, "c:play").await;
    let _ = bot.playground.press(1, "c:play");
    let _ = bot.playground.press(1, "c:play");
    bot.until_results(1, 1).await;
    bot.until_clean().await;
    bot.stop().await;
    let chat = bot.playground.chat(1);
    assert_eq!(of_bot(&chat).len(), 1, "{chat:#?}");
    assert_eq!(calls(&bot.playground, "editmessagemedia"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_waits_while_another_preset_is_chosen_for_the_next_file() {
    let mut bot = Bot::start().await;
    bot.playground.send_file(1, &playable_mkv(), SendAs::Document).unwrap();
    bot.until_says(1, "What should I make").await;
    bot.playground.send_text(1, "/start");
    bot.press(1, "n:audio").await;
    bot.until_says(1, "Now send the file").await;
    bot.press(1, "c:play").await;
    let first = bot.until_results(1, 1).await.remove(0);
    assert_eq!(first.media.as_deref(), Some("video"));
    bot.playground.send_file(1, &shipped_clip(), SendAs::Video).unwrap();
    // The choice for the next file still holds.
    let results = bot.until_results(1, 2).await;
    assert_eq!(results[1].media.as_deref(), Some("audio"));
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_leaves_the_buttons_for_later() {
    let mut bot = Bot::start_with(Settings {
        jobs: Some(kadr::config::Jobs::Number(1)),
        queue_per_user: Some(1),
        ..Settings::default()
    })
    .await;
    bot.playground.send_file(1, &long_clip(), SendAs::Document).unwrap();
    bot.press(1, "c:play").await;
    bot.until_says(1, "Converting").await;
    bot.playground.send_file(1, &shipped_clip(), SendAs::Document).unwrap();
    bot.press(1, "c:play").await;
    bot.until_says(1, "In the queue").await;
    bot.playground.send_file(1, &playable_mkv(), SendAs::Document).unwrap();
    bot.press(1, "c:play").await;
    bot.until(1, |_| {
        (calls(&bot.playground, "answercallbackquery") == 3).then_some(())
    })
    .await;
    let card = bot.until_says(1, "What should I make").await;
    assert_eq!(card.buttons[0].len(), 3, "the question stays: {card:?}");
    bot.playground.send_text(1, "/cancel");
    bot.until_says(1, "2 files stopped").await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_forgets_an_open_question() {
    let mut bot = Bot::start().await;
    bot.playground.send_file(2, &playable_mkv(), SendAs::Document).unwrap();
    bot.until_says(2, "Что из него сделать").await;
    bot.playground.send_text(2, "/cancel");
    bot.until_says(2, "Забыли").await;
    let card = bot.until_says(2, "Отменено").await;
    assert!(card.buttons.is_empty(), "{card:?}");
    bot.stop().await;
}

async fn store_of(bot: &Bot) -> Journal {
    Journal::in_file(&bot.folder.path().join("kadr.db")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_press_in_a_group_ends_nothing() {
    const GROUP: i64 = -50;
    let mut bot = Bot::start().await;
    bot.playground.add_group(GROUP, "films", &[1, 2]);
    bot.playground
        .send_file_in(1, GROUP, &long_clip(), SendAs::Document, "@kadr_bot")
        .unwrap();
    let card = bot.until_says(GROUP, "What should I make").await;
    let pressed = |user, label: &str| bot.playground.press_on(user, GROUP, card.id, label);
    let answered = |count| {
        let bot = &bot;
        bot.until(GROUP, move |_| {
            (calls(&bot.playground, "answercallbackquery") == count).then_some(())
        })
    };
    assert!(pressed(2, "c:play"));
    answered(1).await;
    assert_eq!(of_bot(&bot.playground.chat(GROUP)).len(), 1, "no job for a stranger");
    assert!(pressed(1, "c:play"));
    bot.until_says(GROUP, "Converting").await;
    assert!(pressed(2, "x:1"));
    answered(3).await;
    let words = "Это может только тот, кто прислал файл.".to_owned();
    assert_eq!(bot.playground.toasts(), [(2, words.clone()), (2, words)]);
    assert_eq!(bot.files_in_work(), 1, "the job goes on");
    assert!(pressed(1, "x:1"));
    bot.until_says(GROUP, "Cancelled").await;
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_that_do_not_read_are_passed_over() {
    let mut bot = Bot::start().await;
    bot.stop().await;
    let store = store_of(&bot).await;
    let strange = [
        json!({ "update_id": 1_000_001, "message": { "nonsense": true } }),
        json!({ "update_id": 1_000_002, "chat_boost": {} }),
        json!({ "update_id": 1_000_003 }),
    ];
    let strange = strange
        .map(|update| InboxUpdate {
            update_id: update["update_id"].as_i64().unwrap(),
            payload: update.to_string(),
        })
        .to_vec();
    store.record_updates(strange).await.unwrap();
    drop(store);
    bot.resume().await;
    bot.playground.send_text(1, "/help");
    bot.until_says(1, "up to 20 MB").await;
    bot.stop().await;
    assert_eq!(store_of(&bot).await.unhandled_updates().await.unwrap(), []);
}

/// A courier driven by hand, and a job that the store knows.
struct Hand {
    playground: Playground,
    store: Journal,
    courier: TelegramCourier<Journal>,
    job: Job,
    folder: tempfile::TempDir,
}

async fn hand() -> Hand {
    let folder = tempfile::tempdir().unwrap();
    let playground = playground_in(folder.path()).await;
    let store = Journal::in_file(&folder.path().join("kadr.db")).await.unwrap();
    let limits = QueueLimits {
        per_user_max: 5,
        total_max: 5,
        per_day_max: None,
    };
    let courier = TelegramCourier::new(
        &kadr::telegram::Options {
            token: playground.token().to_owned(),
            api_url: playground.api_url(),
            limits,
            shared: None,
            access: kadr::telegram::access::Access::default(),
            throttle: std::sync::Arc::default(),
            turns: std::sync::Arc::default(),
            pulse: std::sync::Arc::default(),
            fetch_bytes_max: kadr::telegram::FETCH_BYTES_MAX,
            send_bytes_max: kadr::telegram::SEND_BYTES_MAX,
            look_bytes_max: 0,
            webhook: None,
        },
        store.clone(),
    )
    .unwrap();
    let request = Request {
        origin: Origin {
            chat: ChatId(1),
            user: UserId(1),
            message: MessageId(1),
            group: false,
            lang: Lang::En,
        },
        source: Source {
            file_id: "nowhere".to_owned(),
            file_unique_id: "U".to_owned(),
            size_bytes: None,
            announced: kadr::job::Announced::default(),
        },
        wish: Preset::Play.into(),
        batch: None,
    };
    let Enqueued::New { job, .. } = store.enqueue(1, request, limits, "e").await.unwrap() else {
        panic!("a new job");
    };
    Hand {
        playground,
        store,
        courier,
        job,
        folder,
    }
}

fn parcel(file_id: Option<&str>) -> Parcel {
    Parcel {
        kind: ParcelKind::Video,
        width: 640,
        height: 480,
        duration_s: 8.0,
        in_bytes: 1000,
        out_bytes: 1000,
        video_copied: true,
        audio_copied: true,
        silent: false,
        wall_s: 1.0,
        warnings: vec![],
        file_id: file_id.map(str::to_owned),
        look: None,
    }
}

/// A local server says the same of both.
#[tokio::test]
async fn a_file_that_is_unavailable_is_asked_for_again_and_then_it_is_gone() {
    let hand = hand().await;
    let into = hand.folder.path().join("source");
    let gone = "Bad Request: wrong file_id or the file is temporarily unavailable";
    hand.playground.plan("getfile", 4, Fault::Refuse(400, gone.to_owned()));
    for attempt in 1..=4 {
        let source = &hand.job.request.source;
        let meter = Meter::default();
        let error = hand.courier.fetch(source, attempt, &into, &meter).await.unwrap_err();
        match attempt {
            1..=3 => assert!(matches!(error, CourierError::Transient { .. }), "{attempt}: {error}"),
            _ => assert!(matches!(error, CourierError::Hopeless(Reason::SourceGone)), "{error}"),
        }
    }
}

impl Hand {
    async fn deliver(&self) -> Result<String, CourierError> {
        let media = self.folder.path().join("result.mp4");
        std::fs::write(&media, [7; 1000]).unwrap();
        let files = Files {
            media: &media,
            thumbnail: None,
        };
        let meter = Meter::default();
        let receipt = self
            .courier
            .deliver(&self.job, &parcel(None), Some(files), &meter)
            .await?;
        assert_eq!(meter.read(), 1000, "the bytes of the last try are counted");
        Ok(receipt.file_id)
    }

    fn videos(&self) -> usize {
        let chat = self.playground.chat(1);
        chat.iter().filter(|message| message.media.is_some()).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_word_outlasts_a_flood_limit_with_its_button() {
    let hand = hand().await;
    hand.playground.plan("sendmessage", 1, Fault::TooManyRequests(1));
    let notice = Notice::Failed {
        reason: Reason::Network,
    };
    hand.courier.notify(&hand.job, notice).await.unwrap();
    let chat = hand.playground.chat(1);
    assert_eq!(of_bot(&chat).len(), 1, "{chat:#?}");
    assert_eq!(chat[0].buttons[0][0].1, format!("r:{}", hand.job.id.0));
    let recorded = hand.store.job(hand.job.id).await.unwrap().unwrap().status_message;
    assert_eq!(recorded, Some(MessageId(chat[0].id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_makes_a_status_message_where_no_handler_did() {
    let hand = hand().await;
    let place = |position| hand.courier.notify(&hand.job, Notice::Queued { position });
    place(3).await.unwrap();
    assert_eq!(hand.playground.chat(1).len(), 0, "the handler is given its time");
    tokio::time::sleep(Duration::from_millis(5100)).await;
    place(2).await.unwrap();
    place(1).await.unwrap();
    let chat = hand.playground.chat(1);
    assert_eq!(of_bot(&chat).len(), 1, "{chat:#?}");
    assert!(chat[0].text.contains("#2"), "the second edit came too soon: {chat:#?}");
    assert_eq!(chat[0].buttons[0][0].1, format!("x:{}", hand.job.id.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_send_is_never_sent_again() {
    let hand = hand().await;
    hand.playground.plan("sendvideo", 1, Fault::LostAnswer);
    let first = hand.deliver().await.unwrap_err();
    assert!(matches!(first, CourierError::Transient { .. }), "{first}");
    let second = hand.deliver().await.unwrap_err();
    assert!(
        matches!(second, CourierError::Hopeless(Reason::Unconfirmed)),
        "{second}"
    );
    assert_eq!(hand.videos(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_refused_for_its_hurry_is_sent_later() {
    let hand = hand().await;
    hand.playground.plan("sendvideo", 1, Fault::TooManyRequests(1));
    assert!(!hand.deliver().await.unwrap().is_empty());
    assert_eq!(hand.videos(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_file_that_is_gone_says_so() {
    let hand = hand().await;
    let status = hand.store.set_status_message(hand.job.id, MessageId(1)).await;
    status.unwrap();
    hand.courier.notify(&hand.job, Notice::Canceled).await.unwrap();
    let outcome = hand
        .courier
        .deliver(&hand.job, &parcel(Some("forgotten")), None, &Meter::default())
        .await;
    assert!(matches!(outcome, Err(CourierError::StaleFileId)), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_gone_is_tried_again_and_no_error_names_the_token() {
    let hand = hand().await;
    let into = hand.folder.path().join("source");
    let error = hand
        .courier
        .fetch(&hand.job.request.source, 1, &into, &Meter::default())
        .await
        .unwrap_err();
    assert!(matches!(error, CourierError::Transient { .. }), "{error}");
    hand.playground.plan("getfile", 1, Fault::LostAnswer);
    let lost = hand
        .courier
        .fetch(&hand.job.request.source, 1, &into, &Meter::default())
        .await
        .unwrap_err();
    for error in [error, lost] {
        let words = format!("{error} {error:?}");
        assert!(
            !words.contains(hand.playground.token()) && !words.contains("http://"),
            "{words}"
        );
    }
}
