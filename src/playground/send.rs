//! The `send…` methods: where a message goes, what it answers, what it holds.

use serde_json::{Value, json};

use super::draft::{album, by_parameters, formatted, from_media, keyboard};
use super::message::Message;
use super::methods::chat_id;
use super::params::Params;
use super::world::{Refusal, World, bad};

pub(super) fn send(world: &mut World, method: &str, params: &mut Params) -> Result<Value, Refusal> {
    let chat = chat_id(params)?;
    world.open_chat(chat)?;
    let reply_to = reply(world, chat, params)?;
    // An answer without a topic goes where the answered message is.
    let thread = match thread(world, chat, params)? {
        None => reply_to.and_then(|id| world.message(chat, id)?.thread),
        thread => thread,
    };
    let kind = match method {
        "sendmessage" => {
            let draft = Message {
                reply_to,
                thread,
                ..text(params)?
            };
            return world.post(chat, draft);
        }
        "sendmediagroup" => {
            let drafts = album(world, params)?;
            let name = world.number().to_string();
            let mut sent = Vec::new();
            for draft in drafts {
                let draft = Message {
                    album: Some(name.clone()),
                    reply_to,
                    thread,
                    ..draft
                };
                sent.push(world.post(chat, draft)?);
            }
            return Ok(Value::Array(sent));
        }
        "sendvideo" => "video",
        "sendanimation" => "animation",
        "sendvideonote" => "video_note",
        "sendaudio" => "audio",
        "sendvoice" => "voice",
        "senddocument" => "document",
        "sendsticker" => "sticker",
        "sendphoto" => "photo",
        _ => return Err(Refusal(404, "Not Found: method not found".to_owned(), None)),
    };
    let media = by_parameters(params, kind);
    let draft = from_media(world, params, kind, &media)?;
    let draft = Message {
        buttons: keyboard(params)?,
        reply_to,
        thread,
        ..draft
    };
    world.post(chat, draft)
}

/// The topic that is named, if one is.
pub(super) fn thread(world: &World, chat: i64, params: &Params) -> Result<Option<i64>, Refusal> {
    let id = params.number("message_thread_id");
    let known = world.chats.get(&chat).is_some_and(|chat| chat.topics.contains_key(&id));
    match id {
        0 => Ok(None),
        _ if known => Ok(Some(id)),
        _ => Err(bad("message thread not found")),
    }
}

/// The message that a new one answers.
fn reply(world: &World, chat: i64, params: &Params) -> Result<Option<i64>, Refusal> {
    let parameters = params.object("reply_parameters");
    let old = params.number("reply_to_message_id");
    let id = parameters["message_id"].as_i64().unwrap_or(old);
    let forgiving =
        parameters["allow_sending_without_reply"] == json!(true) || params.flag("allow_sending_without_reply");
    match (id, world.message(chat, id)) {
        (0, _) => Ok(None),
        (_, Some(_)) => Ok(Some(id)),
        (_, None) if forgiving => Ok(None),
        (_, None) => Err(bad("message to be replied not found")),
    }
}

pub(super) fn text(params: &Params) -> Result<Message, Refusal> {
    let (text, entities) = formatted(
        &params.text("text"),
        &params.text("parse_mode"),
        params.object("entities"),
    )?;
    match text.trim().chars().count() {
        0 => Err(bad("message text is empty")),
        1..=4096 => Ok(Message {
            text,
            entities,
            buttons: keyboard(params)?,
            ..Message::default()
        }),
        _ => Err(bad("message is too long")),
    }
}
