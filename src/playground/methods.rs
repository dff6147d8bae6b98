//! The Bot API's methods, in the real server's words: parameters in, a result or a refusal out, no waiting.

use serde_json::{Value, json};

use super::draft::{album, by_parameters, captioned, formatted, from_media, keyboard};
use super::message::Message;
use super::mode::{self, Server};
use super::params::Params;
use super::wire;
use super::world::{BOT_ID, Refusal, World, bad};

const ANSWER_CHARS_MAX: usize = 200;
const CREATOR: &str = "creator";

pub(super) fn call(world: &mut World, method: &str, params: &mut Params) -> Result<Value, Refusal> {
    if world.logged_out {
        return Err(Refusal(400, "Logged out".to_owned(), None));
    }
    match method {
        "getme" => Ok(wire::me()),
        "getwebhookinfo" => {
            let pending = world.pending_count();
            Ok(json!({ "url": "", "has_custom_certificate": false, "pending_update_count": pending }))
        }
        "deletewebhook" => {
            if params.flag("drop_pending_updates") {
                world.confirm(i64::MAX);
            }
            Ok(json!(true))
        }
        "setwebhook" => Err(bad("bad webhook: An HTTPS URL must be provided for webhook")),
        "setmycommands" => {
            world.commands = params.object("commands");
            Ok(json!(true))
        }
        "getmycommands" => Ok(world.commands.clone()),
        "deletemycommands" => {
            world.commands = json!([]);
            Ok(json!(true))
        }
        "logout" => {
            world.logged_out = true;
            Ok(json!(true))
        }
        "close" => Ok(json!(true)),
        "getchat" => {
            let chat = chat_id(params)?;
            world.open_chat(chat)?;
            Ok(wire::full_chat(world, chat))
        }
        "getchatmember" => member(world, params),
        "getfile" => get_file(world, &params.text("file_id")),
        "answercallbackquery" => {
            let text = params.text("text");
            if text.chars().count() > ANSWER_CHARS_MAX {
                return Err(bad("MESSAGE_TOO_LONG"));
            }
            world.answer_query(&params.text("callback_query_id"), &text, params.flag("show_alert"))
        }
        "sendchataction" => world.act(chat_id(params)?, &params.text("action")),
        "deletemessage" => {
            let gone = world.delete(chat_id(params)?, params.number("message_id"));
            gone.then_some(json!(true))
                .ok_or_else(|| bad("message to delete not found"))
        }
        _ if method.starts_with("edit") => edit(world, method, params),
        _ if method.starts_with("send") => send(world, method, params),
        _ => Err(Refusal(404, "Not Found: method not found".to_owned(), None)),
    }
}

fn chat_id(params: &Params) -> Result<i64, Refusal> {
    match params.text("chat_id").as_str() {
        "" => Err(bad("chat_id is empty")),
        text => text.parse().map_err(|_| bad("chat not found")),
    }
}

fn member(world: &mut World, params: &Params) -> Result<Value, Refusal> {
    let user = params.number("user_id");
    let id = chat_id(params)?;
    let chat = world.open_chat(id)?;
    let place = chat.members.iter().position(|member| *member == user);
    let status = match place {
        _ if user == BOT_ID || user == id => "member",
        Some(0) => CREATOR,
        Some(_) => "member",
        None => return Err(bad("member not found")),
    };
    let mut member = json!({ "status": status, "user": wire::user(world, user) });
    if status == CREATOR {
        member["is_anonymous"] = json!(false);
    }
    Ok(member)
}

fn get_file(world: &World, file_id: &str) -> Result<Value, Refusal> {
    let stored = world
        .files
        .get(file_id)
        .ok_or_else(|| bad("wrong file_id or the file is temporarily unavailable"))?;
    if world.server.fetch_bytes_max().is_some_and(|most| stored.size > most) {
        return Err(bad("file is too big"));
    }
    let extension = stored
        .name
        .as_deref()
        .and_then(|name| name.rsplit_once('.'))
        .map_or("bin", |(_, last)| last);
    let extension: String = extension.chars().filter(char::is_ascii_alphanumeric).collect();
    let path = if world.server == Server::Local {
        let lost = |_| bad("wrong file_id or the file is temporarily unavailable");
        mode::on_disk(&world.data_dir, file_id, stored, &extension)
            .map_err(lost)?
            .display()
            .to_string()
    } else {
        format!("{}s/{file_id}.{extension}", stored.kind)
    };
    Ok(json!({
        "file_id": file_id,
        "file_unique_id": stored.unique,
        "file_size": stored.size,
        "file_path": path,
    }))
}

fn send(world: &mut World, method: &str, params: &mut Params) -> Result<Value, Refusal> {
    let chat = chat_id(params)?;
    world.open_chat(chat)?;
    let reply_to = reply(world, chat, params)?;
    let kind = match method {
        "sendmessage" => {
            let draft = Message {
                reply_to,
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
        "sendphoto" => "photo",
        _ => return Err(Refusal(404, "Not Found: method not found".to_owned(), None)),
    };
    let media = by_parameters(params, kind);
    let draft = from_media(world, params, kind, &media)?;
    let draft = Message {
        buttons: keyboard(params)?,
        reply_to,
        ..draft
    };
    world.post(chat, draft)
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

fn text(params: &Params) -> Result<Message, Refusal> {
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

fn edit(world: &mut World, method: &str, params: &mut Params) -> Result<Value, Refusal> {
    let chat = chat_id(params)?;
    let id = params.number("message_id");
    if id == 0 {
        return Err(bad("message identifier is not specified"));
    }
    match method {
        "editmessagetext" => {
            let draft = text(params)?;
            world.edit(chat, id, |message| match message.media {
                None => Ok(draft),
                Some(_) => Err(bad("there is no text in the message to edit")),
            })
        }
        "editmessagecaption" => {
            let (text, entities) = captioned(
                &params.text("caption"),
                &params.text("parse_mode"),
                params.object("caption_entities"),
            )?;
            let buttons = keyboard(params)?;
            world.edit(chat, id, |message| match message.media {
                None => Err(bad("there is no caption in the message to edit")),
                Some(_) => Ok(Message {
                    text,
                    entities,
                    buttons,
                    ..message.clone()
                }),
            })
        }
        "editmessagereplymarkup" => {
            let buttons = keyboard(params)?;
            world.edit(chat, id, |message| {
                Ok(Message {
                    buttons,
                    ..message.clone()
                })
            })
        }
        "editmessagemedia" => {
            // Looked at first, so that a refused edit leaves no file behind.
            if world.message(chat, id).is_none() {
                world.open_chat(chat)?;
                return Err(bad("message to edit not found"));
            }
            let media = params.object("media");
            let kind = media["type"].as_str().unwrap_or_default().to_owned();
            if !matches!(kind.as_str(), "video" | "animation" | "audio" | "document" | "photo") {
                return Err(bad("can't parse InputMedia: media type is unsupported"));
            }
            let draft = from_media(world, params, &kind, &media)?;
            let buttons = keyboard(params)?;
            world.edit(chat, id, |_| Ok(Message { buttons, ..draft }))
        }
        _ => Err(Refusal(404, "Not Found: method not found".to_owned(), None)),
    }
}
