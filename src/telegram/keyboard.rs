//! Messages as the Bot API takes them, and every keyboard under them. Pure.

use serde_json::{Value, json};
use teloxide::types::{InlineKeyboardButton, InlineKeyboardMarkup};

use super::intake::Press;
use super::text;
use crate::job::{JobId, Lang, MessageId};
use crate::media::Preset;

/// The parameters of `sendMessage` and, with a `message_id`, of `editMessageText`.
pub(super) fn message_body(chat: i64, words: &str, keyboard: Option<InlineKeyboardMarkup>) -> Value {
    let mut body = json!({ "chat_id": chat, "text": words });
    if let Some(keyboard) = keyboard {
        body["reply_markup"] = json!(keyboard);
    }
    body
}

/// Says which message is answered: with several files at once nobody could tell else.
pub(super) fn reply_to(message: MessageId) -> Value {
    json!({ "message_id": message.0, "allow_sending_without_reply": true })
}

fn button(words: String, press: &Press) -> InlineKeyboardButton {
    InlineKeyboardButton::callback(words, press.data())
}

pub(super) fn presets(lang: Lang, press: fn(Preset) -> Press) -> InlineKeyboardMarkup {
    InlineKeyboardMarkup::new([Preset::OFFERED.map(|preset| button(text::preset(lang, preset), &press(preset)))])
}

pub(super) fn cancel(lang: Lang, job: JobId) -> InlineKeyboardMarkup {
    InlineKeyboardMarkup::new([[button(text::say(lang, "button-cancel"), &Press::Cancel(job))]])
}

pub(super) fn retry(lang: Lang, job: JobId) -> InlineKeyboardMarkup {
    InlineKeyboardMarkup::new([[button(text::say(lang, "button-retry"), &Press::Retry(job))]])
}

pub(super) fn settings(lang: Lang) -> InlineKeyboardMarkup {
    let mut defaults = vec![button(text::say(lang, "settings-ask"), &Press::Default(None))];
    defaults.extend(Preset::OFFERED.map(|preset| button(text::preset(lang, preset), &Press::Default(Some(preset)))));
    let languages = [
        ("settings-auto", None),
        ("settings-en", Some(Lang::En)),
        ("settings-ru", Some(Lang::Ru)),
    ]
    .map(|(key, language)| button(text::say(lang, key), &Press::Language(language)));
    InlineKeyboardMarkup::new([defaults, languages.to_vec()])
}
