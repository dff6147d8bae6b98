//! The chat side without a chat: what an update wants, what an error means, what may go out when, and every word.

mod asked;
mod chat;
mod panics;
mod words;

use std::time::{Duration, Instant};

use kadr::courier::CourierError;
use kadr::job::{
    Announced, ChatId, Job, JobId, Lang, MessageId, Origin, Phase, Reason, Request, Source, Status, UserId, Wish,
};
use kadr::media::Preset;
use kadr::telegram::errors::{CallError, classify};
use kadr::telegram::intake::{Command, Intake, Press, Sender, read};
use kadr::telegram::pace::Pace;
use kadr::telegram::wish::{Fault, Reading};
use serde_json::{Value, json};

const LIMIT: u64 = 20 << 20;

fn update(chat_kind: &str, message: &Value) -> Value {
    let mut whole = json!({
        "message_id": 5, "date": 1,
        "chat": { "id": if chat_kind == "private" { 7 } else { -9 }, "type": chat_kind, "title": "t", "first_name": "A" },
        "from": { "id": 7, "is_bot": false, "first_name": "A", "language_code": "ru" },
    });
    for (key, value) in message.as_object().unwrap() {
        whole[key] = value.clone();
    }
    json!({ "update_id": 1, "message": whole })
}

fn reading(update: &Value) -> Option<(Sender, Intake)> {
    read(&serde_json::from_str(&update.to_string()).unwrap(), "kadr_bot", LIMIT)
}

#[track_caller]
fn wants(chat_kind: &str, message: impl std::borrow::Borrow<Value>) -> Intake {
    reading(&update(chat_kind, message.borrow()))
        .expect("the update has a sender")
        .1
}

fn file(mime: &str, size: u64) -> Value {
    json!({ "file_id": "F", "file_unique_id": "U", "file_size": size, "mime_type": mime })
}

fn taken(size: u64) -> Intake {
    asked(size, Reading::Other)
}

fn asked(size: u64, said: Reading) -> Intake {
    let source = Source {
        file_id: "F".to_owned(),
        file_unique_id: "U".to_owned(),
        size_bytes: Some(size),
        announced: Announced::default(),
    };
    Intake::File(source, said)
}

fn with(mut value: Value, more: &Value) -> Value {
    for (key, field) in more.as_object().unwrap() {
        value[key] = field.clone();
    }
    value
}

#[test]
fn every_kind_of_file_is_taken() {
    let picture = json!({ "width": 640, "height": 480, "duration": 8 });
    let video = with(file("video/mp4", 9), &picture);
    let note = with(file("video/mp4", 9), &json!({ "length": 240, "duration": 8 }));
    let sound = with(file("audio/mpeg", 9), &json!({ "duration": 8 }));
    for (message, announced) in [
        (json!({ "video": video }), (8, 640, 480)),
        (
            json!({ "animation": video, "document": file("video/mp4", 9) }),
            (8, 640, 480),
        ),
        (json!({ "video_note": note }), (8, 240, 240)),
        (json!({ "audio": sound }), (8, 0, 0)),
        (json!({ "voice": sound }), (8, 0, 0)),
        (json!({ "document": file("video/x-matroska", 9) }), (0, 0, 0)),
        (json!({ "document": file("application/octet-stream", 9) }), (0, 0, 0)),
        (json!({ "document": file("image/gif", 9) }), (0, 0, 0)),
    ] {
        let (duration_s, width, height) = announced;
        let Intake::File(mut source, said) = wants("private", message.clone()) else {
            panic!("{message}")
        };
        let announced = Announced {
            duration_s,
            width,
            height,
        };
        assert_eq!(source.announced, announced, "{message}");
        source.announced = Announced::default();
        assert_eq!(Intake::File(source, said), taken(9), "{message}");
    }
}

#[test]
fn a_forwarded_file_is_taken_as_any_other() {
    let message = json!({
        "document": file("video/mp4", 9),
        "forward_origin": { "type": "hidden_user", "date": 1, "sender_user_name": "B" },
    });
    assert_eq!(wants("private", message), taken(9));
}

#[test]
fn what_is_surely_no_media_is_told_in_private_and_passed_over_in_groups() {
    for mime in ["application/pdf", "text/plain", "application/zip", "image/png"] {
        let message = json!({ "document": file(mime, 9) });
        assert_eq!(wants("private", message.clone()), Intake::NotMedia, "{mime}");
        assert_eq!(wants("group", message), Intake::Ignore, "{mime}");
    }
}

#[test]
fn the_limit_is_inclusive() {
    let message = |size| json!({ "document": file("video/mp4", size) });
    assert_eq!(wants("private", message(LIMIT)), taken(LIMIT));
    assert_eq!(
        wants("private", message(LIMIT + 1)),
        Intake::TooLarge { size_bytes: LIMIT + 1 }
    );
}

#[test]
fn commands_are_for_the_bot_that_they_name() {
    let text = |text: &str| json!({ "text": text });
    for (words, command) in [
        ("/start", Command::Start),
        ("/help@kadr_bot", Command::Help),
        ("/cancel@KADR_bot", Command::Cancel(None)),
        ("/cancel 17", Command::Cancel(Some(JobId(17)))),
        ("/cancel j17 please", Command::Cancel(Some(JobId(17)))),
        ("/cancel soon", Command::Cancel(Some(JobId(0)))),
        ("/info", Command::Info),
        ("/again", Command::Again),
        ("/forget_me", Command::ForgetMe),
        ("/ban 5", Command::Ban(Some(UserId(5)))),
        ("/ban", Command::Ban(None)),
        ("/drain off", Command::Drain(false)),
        ("/quarantine lift", Command::Quarantine { lift: true }),
        ("/convert note", Command::Convert),
        ("/queue please", Command::Queue),
        ("/settings", Command::Settings),
    ] {
        assert_eq!(wants("group", text(words)), Intake::Command(command), "{words}");
    }
    assert_eq!(wants("group", text("/help@other_bot")), Intake::Ignore);
    assert_eq!(wants("group", text("good morning")), Intake::Ignore);
    assert_eq!(wants("private", text("good morning")), Intake::Words);
}

#[test]
fn a_caption_chooses_where_it_begins_with_a_word_of_ours() {
    let said = |words: &str| match wants("private", json!({ "document": file("video/mp4", 5), "caption": words })) {
        Intake::File(_, said) => said,
        other => panic!("{other:?}"),
    };
    for (words, wish) in [
        ("note", "note"),
        ("Кружок", "note"),
        ("fit 25", "fit:25M"),
        ("до 10 мб", "fit:10M"),
        ("fit 800k mute", "fit:800k mute"),
        ("trim 0:10-0:40", "play trim:0:10-0:40"),
        ("720p, без звука", "play height:720 mute"),
        ("gif 15fps обрезать 5-9", "gif fps:15 trim:0:05-0:09"),
        ("rotate 90 track 2 файлом", "play track:2 rotate:90 file"),
        ("fit:25M", "fit:25M"),
        ("до 7,5 МБ", "fit:7500k"),
        ("обрезать 0:10 – 0:40 720р", "play height:720 trim:0:10-0:40"),
        ("cut 1:30— gif", "gif trim:1:30-"),
        ("«кружок»", "note"),
        ("/convert note", "note"),
        ("/convert@kadr_bot до 10", "fit:10M"),
    ] {
        assert_eq!(said(words), Reading::Wish(wish.parse().unwrap()), "{words}");
    }
    for words in ["", "Our holidays, note the cat", "my cat: part 2", "2024", "/convert"] {
        assert_eq!(said(words), Reading::Other, "{words}");
    }
    for (words, given, fault) in [
        ("до", "до", Fault::Size),
        ("fit 0", "fit 0", Fault::Size),
        ("fit:0", "fit:0", Fault::Size),
        ("trim 5-1", "trim 5-1", Fault::Trim),
        ("обрезать завтра", "обрезать завтра", Fault::Trim),
        ("note loudly", "loudly", Fault::Word),
        ("gif 15fps 9000p", "9000p", Fault::Height),
        ("note 999fps", "999fps", Fault::Rate),
        ("rotate", "rotate", Fault::Turn),
        ("rotate 45", "rotate 45", Fault::Turn),
        ("дорожка 0", "дорожка 0", Fault::Track),
    ] {
        let given = given.to_owned();
        assert_eq!(said(words), Reading::Wrong { given, fault }, "{words}");
    }
}

#[test]
fn words_that_answer_a_file_are_about_that_file() {
    let answer = |text: &str| {
        let answered = json!({ "message_id": 3, "date": 1, "chat": { "id": -9, "type": "group", "title": "g" },
            "from": { "id": 8, "is_bot": false, "first_name": "B" }, "document": file("video/mp4", 5) });
        let update = update("group", &json!({ "text": text, "reply_to_message": answered }));
        reading(&update).unwrap()
    };
    for (text, said) in [
        ("/convert", Reading::Other),
        ("/convert@kadr_bot note", Reading::Wish(Preset::Note.into())),
        ("@kadr_bot, gif", Reading::Wish(Preset::Gif.into())),
        ("please @Kadr_Bot", Reading::Other),
        (
            "/convert nonsense",
            Reading::Wrong {
                given: "nonsense".to_owned(),
                fault: Fault::Word,
            },
        ),
    ] {
        let (sender, intake) = answer(text);
        assert_eq!(intake, asked(5, said), "{text}");
        assert_eq!(sender.message, MessageId(3), "the answer goes to the file");
    }
    for text in [
        "/convert@other_bot note",
        "what a film",
        "/queue",
        "@kadr_bot2 note",
        "anna@kadr_bot note",
        "/info",
    ] {
        assert!(!matches!(answer(text).1, Intake::File(..)), "{text}");
    }
    assert!(matches!(answer("/info@kadr_bot").1, Intake::Info(source) if source.file_id == "F"));
    assert_eq!(answer("/info@other_bot").1, Intake::Ignore);
}

#[test]
fn service_messages_are_passed_over() {
    assert_eq!(wants("group", json!({ "new_chat_title": "t" })), Intake::Ignore);
    assert_eq!(wants("private", json!({ "delete_chat_photo": true })), Intake::Ignore);
}

#[test]
fn a_channel_post_is_nobodys_wish() {
    let post = json!({ "update_id": 1, "channel_post": {
        "message_id": 5, "date": 1, "chat": { "id": -5, "type": "channel", "title": "c" }, "text": "/start" } });
    assert_eq!(reading(&post), None);
}

#[test]
fn every_button_reads_back_and_fits_the_wire() {
    let mut presses = vec![
        Press::Cancel(JobId(i64::MAX)),
        Press::Retry(JobId(1)),
        Press::Default(None),
        Press::Language(None),
        Press::Language(Some(Lang::En)),
        Press::Language(Some(Lang::Ru)),
    ];
    presses.extend([Press::More(true), Press::More(false), Press::Redo(JobId(7))]);
    for wish in ["play", "small", "note", "fit:25M", "sticker", "av1", "play file"] {
        let wish: Wish = wish.parse().unwrap();
        presses.extend([Press::Next(wish), Press::Choose(wish), Press::Default(Some(wish))]);
    }
    for press in presses {
        let data = press.data();
        assert!((1..=64).contains(&data.len()), "{data}");
        assert_eq!(pressed(&data), Some(press), "{data}");
    }
    for stranger in [
        "",
        "x",
        "x:",
        "x:no",
        "c:4k",
        "l:de",
        "q:1",
        "c:fit:26M",
        "n:play trim:0:01-0:02",
    ] {
        assert_eq!(pressed(stranger), None, "{stranger}");
    }
}

fn pressed(data: &str) -> Option<Press> {
    let mut update = update("private", &json!({ "text": "card" }));
    let message = update["message"].take();
    let query = json!({ "id": "q", "chat_instance": "c", "data": data, "message": message, "from": message["from"] });
    match reading(&json!({ "update_id": 1, "callback_query": query }))?.1 {
        Intake::Press { press, .. } => press,
        other => panic!("{other:?}"),
    }
}

fn refused(code: u16, words: &str) -> CallError {
    CallError::Refused {
        code,
        description: words.to_owned(),
        retry_after_s: (code == 429).then_some(17),
    }
}

/// What the worker would do.
fn verdict(error: CallError) -> String {
    match classify(error) {
        CourierError::Transient { after_s, .. } => format!("again after {after_s:?}"),
        CourierError::Unreachable { .. } => "nobody there".to_owned(),
        CourierError::StaleFileId => "stale".to_owned(),
        CourierError::Hopeless(reason) => match reason {
            Reason::TooLargeToSend { .. } => "too large to send".to_owned(),
            Reason::TooLargeToFetch { .. } => "too large to fetch".to_owned(),
            Reason::SourceGone => "source gone".to_owned(),
            Reason::DiskFull => "disk full".to_owned(),
            Reason::Internal => "ours".to_owned(),
            other => panic!("{other:?}"),
        },
    }
}

#[test]
fn errors_are_sorted_by_what_must_be_done() {
    for (code, words, expected) in [
        (429, "Too Many Requests: retry after 17", "again after Some(17)"),
        (500, "Internal Server Error", "again after None"),
        (502, "no description", "again after None"),
        (413, "Request Entity Too Large", "too large to send"),
        (403, "Forbidden: bot was blocked by the user", "nobody there"),
        (403, "Forbidden: user is deactivated", "nobody there"),
        (403, "Forbidden: bot was kicked from the group chat", "nobody there"),
        (400, "Bad Request: chat not found", "nobody there"),
        (
            400,
            "Bad Request: not enough rights to send videos to the chat",
            "nobody there",
        ),
        (
            400,
            "Bad Request: group chat was upgraded to a supergroup chat",
            "nobody there",
        ),
        (400, "Bad Request: file is too big", "too large to fetch"),
        (400, "Bad Request: wrong file identifier/HTTP URL specified", "stale"),
        (
            400,
            "Bad Request: wrong remote file identifier specified: Wrong padding",
            "stale",
        ),
        (
            400,
            "Bad Request: wrong file_id or the file is temporarily unavailable",
            "again after None",
        ),
        (400, "Bad Request: MESSAGE_EMPTY", "ours"),
    ] {
        assert_eq!(verdict(refused(code, words)), expected, "{code} {words}");
    }
    let disk = |kind: std::io::ErrorKind| verdict(CallError::Disk(kind.into()));
    assert_eq!(disk(std::io::ErrorKind::StorageFull), "disk full");
    assert_eq!(disk(std::io::ErrorKind::Interrupted), "again after None");
    assert_eq!(verdict(CallError::Lost("reset".to_owned())), "again after None");
}

#[test]
fn only_a_send_without_effect_may_be_sent_again() {
    assert!(refused(429, "Too Many Requests: retry after 17").is_surely_undone());
    assert!(CallError::Unsent("refused".to_owned()).is_surely_undone());
    assert!(!refused(500, "Internal Server Error").is_surely_undone());
    assert!(!CallError::Lost("reset".to_owned()).is_surely_undone());
}

#[test]
fn edits_tell_done_from_gone() {
    let same =
        "Bad Request: message is not modified: specified new message content and reply markup are exactly the same";
    assert!(refused(400, same).is_not_modified());
    assert!(refused(400, "Bad Request: message to edit not found").is_message_gone());
    assert!(!refused(400, same).is_message_gone());
    assert!(!refused(403, "Forbidden: bot was blocked by the user").is_message_gone());
}

fn job(id: i64, chat: i64, group: bool) -> Job {
    let origin = Origin {
        chat: ChatId(chat),
        user: UserId(7),
        message: MessageId(5),
        group,
        lang: Lang::En,
    };
    let source = Source {
        file_id: "F".to_owned(),
        file_unique_id: "U".to_owned(),
        size_bytes: None,
        announced: Announced::default(),
    };
    Job {
        id: JobId(id),
        request: Request {
            origin,
            source,
            wish: Preset::Play.into(),
            batch: None,
        },
        status: Status::Running,
        phase: Phase::Fetch,
        attempt: 1,
        blame: 0,
        status_message: None,
        parcel: None,
        reason: None,
        batch: None,
    }
}

/// A minute of eager words, one every 100 ms: how many went out?
fn edits_in_a_minute(group: bool, jobs: i64) -> usize {
    let mut pace = Pace::default();
    let start = Instant::now();
    let mut edits = 0;
    for tick in 0..600_u64 {
        let now = start + Duration::from_millis(tick * 100);
        for id in 0..jobs {
            let job = job(id, 7, group);
            let words = format!("{tick} %");
            if pace.is_due(&job, &words, now) {
                pace.note(&job, &words, now);
                edits += 1;
            }
        }
    }
    edits
}

#[test]
fn edits_keep_the_limits_of_a_chat() {
    assert_eq!(edits_in_a_minute(false, 1), 20);
    assert_eq!(edits_in_a_minute(true, 1), 10);
    assert!(edits_in_a_minute(false, 9) <= 60);
    assert!(edits_in_a_minute(true, 9) <= 20, "groups take 20 messages a minute");
}

#[test]
fn equal_words_are_not_sent_twice_unless_they_were_lost() {
    let (mut pace, start, job) = (Pace::default(), Instant::now(), job(1, 7, false));
    pace.note(&job, "57 %", start);
    let later = start + Duration::from_secs(10);
    assert!(!pace.is_due(&job, "57 %", later));
    assert!(pace.is_due(&job, "58 %", later));
    pace.missed(&job);
    assert!(pace.is_due(&job, "57 %", later));
}

#[test]
fn a_flood_answer_silences_the_chat_and_no_other() {
    let (mut pace, start) = (Pace::default(), Instant::now());
    pace.silence(ChatId(7), Duration::from_secs(30), start);
    let soon = start + Duration::from_secs(29);
    assert!(!pace.is_due(&job(1, 7, false), "57 %", soon));
    assert!(!pace.is_due(&job(2, 7, false), "12 %", soon));
    assert!(pace.is_due(&job(3, 8, false), "57 %", soon));
    assert!(pace.is_due(&job(1, 7, false), "57 %", start + Duration::from_secs(30)));
}

#[test]
fn an_action_is_shown_again_when_clients_forget_it() {
    let (mut pace, now) = (Pace::default(), Instant::now());
    let after = |ms| now + Duration::from_millis(ms);
    let shown = [0, 1000, 4400, 4600].map(|ms| pace.takes_action(ChatId(1), after(ms)));
    assert_eq!(shown, [true, false, false, true]);
    assert!(pace.takes_action(ChatId(2), after(1000)), "another chat has its own");
    pace.silence(ChatId(1), Duration::from_secs(60), after(5000));
    assert!(
        !pace.takes_action(ChatId(1), after(20_000)),
        "a flood answer silences it"
    );
}
