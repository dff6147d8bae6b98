//! Messages as the Bot API takes them, and every keyboard under them. Pure.

use serde_json::{Value, json};
use teloxide::types::{InlineKeyboardButton, InlineKeyboardMarkup};

use super::intake::Press;
use super::text;
use crate::job::{JobId, Lang, MessageId, Wish};
use crate::media::{Preset, Recipe};

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

/// What is offered first, and what behind "more", row by row.
const FIRST: [&[&str]; 2] = [&["play", "small", "audio"], &["note", "gif"]];
const MORE: [&[&str]; 4] = [
    &["fit:10M", "fit:25M", "fit:50M"],
    &["best", "voice", "sticker"],
    &["sheet", "hevc", "av1"],
    &["play file"],
];

/// Whether there is a button for it: whatever a changed client sends, only what is offered can be pressed.
pub(super) fn offers(wish: Wish) -> bool {
    let mut words = FIRST.iter().chain(&MORE).flat_map(|row| row.iter());
    words.any(|words| words.parse() == Ok(wish))
}

/// Everything that a card offers.
pub(super) fn offered() -> Vec<Wish> {
    [false, true].into_iter().flat_map(shown).collect()
}

/// What a card offers at first, or behind "more".
pub(super) fn shown(more: bool) -> Vec<Wish> {
    let rows: &[&[&str]] = if more { &MORE } else { &FIRST };
    rows.iter()
        .flat_map(|row| row.iter())
        .filter_map(|words| words.parse().ok())
        .collect()
}

fn rows(lang: Lang, rows: &[&[&str]], press: impl Fn(Wish) -> Press) -> Vec<Vec<InlineKeyboardButton>> {
    let wishes = |row: &&[&str]| -> Vec<Wish> { row.iter().filter_map(|words| words.parse().ok()).collect() };
    rows.iter()
        .map(wishes)
        .map(|row| {
            row.into_iter()
                .map(|wish| button(text::wish(lang, wish), &press(wish)))
                .collect()
        })
        .collect()
}

/// What the next file shall become.
pub(super) fn next(lang: Lang) -> InlineKeyboardMarkup {
    InlineKeyboardMarkup::new(rows(lang, &FIRST, Press::Next))
}

/// What the file of a card shall become; `more` shows the rest.
pub(super) fn choices(lang: Lang, more: bool) -> InlineKeyboardMarkup {
    let mut all = rows(lang, if more { &MORE } else { &FIRST }, Press::Choose);
    let key = if more { "button-back" } else { "button-more" };
    let turn = button(text::say(lang, key), &Press::More(!more));
    match all.last_mut() {
        Some(last) => last.push(turn),
        None => all.push(vec![turn]),
    }
    InlineKeyboardMarkup::new(all)
}

/// Under a result.
pub(super) fn redo(lang: Lang, job: JobId) -> InlineKeyboardMarkup {
    InlineKeyboardMarkup::new([[button(text::say(lang, "button-redo"), &Press::Redo(job))]])
}

pub(super) fn cancel(lang: Lang, job: JobId) -> InlineKeyboardMarkup {
    InlineKeyboardMarkup::new([[button(text::say(lang, "button-cancel"), &Press::Cancel(job))]])
}

pub(super) fn retry(lang: Lang, job: JobId) -> InlineKeyboardMarkup {
    InlineKeyboardMarkup::new([[button(text::say(lang, "button-retry"), &Press::Retry(job))]])
}

/// Under the word that a result is too large: the best that fits.
pub(super) fn fit(lang: Lang, job: JobId, limit_bytes: u64) -> InlineKeyboardMarkup {
    let words = text::wish(lang, fitting(Wish::default(), limit_bytes));
    InlineKeyboardMarkup::new([[button(words, &Press::Fit(job))]])
}

/// The same wish in whole megabytes below a limit.
pub(super) fn fitting(wish: Wish, limit_bytes: u64) -> Wish {
    let size_bytes = limit_bytes / 1_000_000 * 1_000_000;
    Wish {
        recipe: Recipe {
            preset: Preset::Fit { size_bytes },
            ..wish.recipe
        },
        ..wish
    }
}

pub(super) fn settings(lang: Lang) -> InlineKeyboardMarkup {
    let mut all = vec![vec![button(text::say(lang, "settings-ask"), &Press::Default(None))]];
    all.extend(rows(lang, &FIRST, |wish| Press::Default(Some(wish))));
    let languages = [
        ("settings-auto", None),
        ("settings-en", Some(Lang::En)),
        ("settings-ru", Some(Lang::Ru)),
    ]
    .map(|(key, language)| button(text::say(lang, key), &Press::Language(language)));
    all.push(languages.to_vec());
    InlineKeyboardMarkup::new(all)
}
