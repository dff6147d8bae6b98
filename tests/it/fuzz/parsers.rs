//! Our own parsers, each fed with bytes of strangers: what they must hold beside not panicking.

use std::io::Cursor;

use kadr::config::Settings;
use kadr::job::Wish;
use kadr::media::recipe::parse_size;
use kadr::media::{Limits, structure};
use kadr::telegram::access::Place;
use kadr::telegram::intake::{self, Auto, Command, Intake};
use kadr::telegram::wish::{self, Reading};
use serde_json::{Value, json};
use teloxide::types::Update;

const ME: &str = "kadr_bot";
const FETCH_BYTES_MAX: u64 = 20_000_000;

/// The walk's documented bounds.
pub(super) fn structure(data: &[u8]) {
    if let Ok(cost) = structure::check(&mut Cursor::new(data), &Limits::default()) {
        assert!(cost.bytes_read <= 256 << 20, "{cost:?}");
        assert!(cost.boxes <= 600_000, "{cost:?}");
    }
}

/// What was understood is understood again from its own spelling; little of the rest is said back.
pub(super) fn words(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for reading in [wish::read(&text), wish::read_all(&text)] {
        holds(&reading);
    }
    if let Ok(wish) = text.parse::<Wish>() {
        is_spelt(&wish);
    }
    let _ = parse_size(&text);
    if let Ok(place) = text.parse::<Place>() {
        assert_eq!(place.to_string().parse(), Ok(place));
    }
}

fn holds(reading: &Reading) {
    match reading {
        Reading::Other => {}
        Reading::Wish(wish) => is_spelt(wish),
        Reading::Wrong { given, .. } => assert!(given.chars().count() <= 40, "{given}"),
    }
}

fn is_spelt(wish: &Wish) {
    assert_eq!(wish.to_string().parse().as_ref(), Ok(wish));
}

/// As it comes; and as words of a text, a caption and a button, which is what a stranger decides in it.
pub(super) fn update(data: &[u8]) {
    if let Ok(update) = serde_json::from_slice(data) {
        read(&update);
    }
    let words = String::from_utf8_lossy(data);
    let (name, kind) = words.split_once('\n').unwrap_or((&words, "video/mp4"));
    let document = json!({
        "file_id": "f", "file_unique_id": "u", "file_size": data.len(), "file_name": name, "mime_type": kind,
    });
    for content in [
        json!({ "text": words }),
        json!({ "caption": words, "document": document }),
        json!({ "text": words, "reply_to_message": message(-5, &json!({ "document": document })) }),
    ] {
        for chat in [7, -5] {
            let update = json!({ "update_id": 1, "message": message(chat, &content) });
            if let Ok(update) = serde_json::from_value(update) {
                read(&update);
            }
        }
    }
    let pressed = json!({
        "update_id": 1,
        "callback_query": {
            "id": "1", "from": person(), "chat_instance": "c", "data": words, "message": message(7, &json!({ "text": "" })),
        },
    });
    if let Ok(update) = serde_json::from_value(pressed) {
        read(&update);
    }
}

fn person() -> Value {
    json!({ "id": 7, "is_bot": false, "first_name": "A" })
}

fn message(chat: i64, content: &Value) -> Value {
    let chat = if chat < 0 {
        json!({ "id": chat, "type": "group", "title": "G" })
    } else {
        json!({ "id": chat, "type": "private", "first_name": "A" })
    };
    let mut message = json!({ "message_id": 2, "date": 1, "chat": chat, "from": person() });
    if let (Some(message), Some(content)) = (message.as_object_mut(), content.as_object()) {
        message.extend(content.clone());
    }
    message
}

fn read(update: &Update) {
    match intake::read(update, ME, FETCH_BYTES_MAX) {
        Some((_, Intake::File(source, reading))) => {
            assert!(
                source.size_bytes.is_none_or(|bytes| bytes <= FETCH_BYTES_MAX),
                "{source:?}"
            );
            holds(&reading);
        }
        Some((_, Intake::Command(Command::Auto(Auto::Wish(wish))))) => is_spelt(&wish),
        Some((_, Intake::Press { press: Some(press), .. })) => {
            let data = press.data();
            assert!(data.len() <= 64, "{data}");
        }
        _ => {}
    }
}

/// A mistake is said, whatever it is.
pub(super) fn settings(data: &[u8]) {
    if let Err(error) = toml::from_str::<Settings>(&String::from_utf8_lossy(data)) {
        assert!(!error.message().is_empty());
    }
}
