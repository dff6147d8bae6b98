//! The Bot API's methods, in the real server's words: parameters in, a result or a refusal out, no waiting.

use serde_json::{Value, json};

use super::mode::{self, Server};
use super::params::Params;
use super::world::{BOT_ID, Refusal, World, bad};
use super::{commands, edit, send, webhook, wire};

const ANSWER_CHARS_MAX: usize = 200;
const ACTIONS: [&str; 11] = [
    "typing",
    "upload_photo",
    "record_video",
    "upload_video",
    "record_voice",
    "upload_voice",
    "upload_document",
    "choose_sticker",
    "find_location",
    "record_video_note",
    "upload_video_note",
];

pub(super) fn call(world: &mut World, method: &str, params: &mut Params) -> Result<Value, Refusal> {
    if world.logged_out {
        return Err(Refusal(400, "Logged out".to_owned(), None));
    }
    match method {
        "getme" => Ok(wire::me()),
        "getwebhookinfo" => Ok(webhook::info(world)),
        "deletewebhook" => Ok(webhook::delete(world, params)),
        "setwebhook" => webhook::set(world, params),
        "setmycommands" => commands::set(world, params),
        "getmycommands" => Ok(commands::get(world, params)),
        "deletemycommands" => Ok(commands::delete(world, params)),
        "setmydescription" | "setmyshortdescription" | "setmyname" | "setchatmenubutton" => Ok(json!(true)),
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
        "getchatadministrators" => administrators(world, params),
        "getfile" => get_file(world, &params.text("file_id")),
        "answercallbackquery" => {
            let text = params.text("text");
            if text.chars().count() > ANSWER_CHARS_MAX {
                return Err(bad("MESSAGE_TOO_LONG"));
            }
            world.answer_query(&params.text("callback_query_id"), &text, params.flag("show_alert"))
        }
        "sendchataction" => {
            let action = params.text("action");
            if !ACTIONS.contains(&action.as_str()) {
                return Err(bad("wrong parameter action in request"));
            }
            let chat = chat_id(params)?;
            send::thread(world, chat, params)?;
            world.act(chat, &action)
        }
        "deletemessage" => world.delete_as_bot(chat_id(params)?, params.number("message_id")),
        _ if method.starts_with("edit") => {
            in_time(world, params, 1)?;
            edit::edit(world, method, params)
        }
        _ if method.starts_with("send") => {
            let count = params.object("media").as_array().map_or(1, Vec::len);
            in_time(world, params, count)?;
            send::send(world, method, params)
        }
        _ => Err(Refusal(404, "Not Found: method not found".to_owned(), None)),
    }
}

/// Flood control, where it is on.
fn in_time(world: &mut World, params: &Params, count: usize) -> Result<(), Refusal> {
    let chat = chat_id(params)?;
    let group = world.chats.get(&chat).is_some_and(|chat| chat.title.is_some());
    let taken = world.rates.take(chat, group, count, std::time::Instant::now());
    taken.map_err(|after_s| {
        let words = format!("Too Many Requests: retry after {after_s}");
        Refusal(429, words, Some(after_s))
    })
}

pub(super) fn chat_id(params: &Params) -> Result<i64, Refusal> {
    match params.text("chat_id").as_str() {
        "" => Err(bad("chat_id is empty")),
        text => text.parse().map_err(|_| bad("chat not found")),
    }
}

fn member(world: &mut World, params: &Params) -> Result<Value, Refusal> {
    let user = params.number("user_id");
    let id = chat_id(params)?;
    world.open_chat(id)?;
    if user != BOT_ID && !world.users.contains_key(&user) {
        return Err(bad("invalid user_id specified"));
    }
    Ok(wire::member(world, id, user))
}

fn administrators(world: &mut World, params: &Params) -> Result<Value, Refusal> {
    let id = chat_id(params)?;
    let chat = world.open_chat(id)?;
    if chat.title.is_none() {
        return Err(bad("there are no administrators in the private chat"));
    }
    let mut ids: Vec<i64> = chat.members.clone();
    ids.push(BOT_ID);
    let all = ids.into_iter().map(|user| wire::member(world, id, user));
    let admins = all.filter(|member| matches!(member["status"].as_str(), Some("creator" | "administrator")));
    // The real server leaves out other bots, not the one that asks.
    Ok(Value::Array(admins.collect()))
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
