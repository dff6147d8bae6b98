//! The bot's commands, by scope and language: `setMyCommands` and its kin.

use serde_json::{Value, json};

use super::params::Params;
use super::world::{Refusal, World, bad};

const COMMANDS_MAX: usize = 100;
const COMMAND_CHARS_MAX: usize = 32;
const DESCRIPTION_CHARS_MAX: usize = 256;

fn key(params: &Params) -> (String, String) {
    let scope = params.object("scope");
    let kind = scope["type"].as_str().unwrap_or("default");
    let of = |name: &str| scope[name].as_i64().map(|id| format!(":{id}")).unwrap_or_default();
    (
        format!("{kind}{}{}", of("chat_id"), of("user_id")),
        params.text("language_code"),
    )
}

pub(super) fn set(world: &mut World, params: &Params) -> Result<Value, Refusal> {
    let Value::Array(commands) = params.object("commands") else {
        return Err(bad("can't parse commands: expected an Array of BotCommand"));
    };
    if commands.len() > COMMANDS_MAX {
        return Err(bad("BOT_COMMANDS_TOO_MUCH"));
    }
    for one in &commands {
        let name = one["command"].as_str().unwrap_or_default().trim_start_matches('/');
        let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
        if !(1..=COMMAND_CHARS_MAX).contains(&name.len()) || !name.chars().all(fits) {
            return Err(bad("BOT_COMMAND_INVALID"));
        }
        let description = one["description"].as_str().unwrap_or_default().chars().count();
        if !(1..=DESCRIPTION_CHARS_MAX).contains(&description) {
            return Err(bad("BOT_COMMAND_DESCRIPTION_INVALID"));
        }
    }
    world.commands.insert(key(params), Value::Array(commands));
    Ok(json!(true))
}

pub(super) fn get(world: &World, params: &Params) -> Value {
    world.commands.get(&key(params)).cloned().unwrap_or_else(|| json!([]))
}

pub(super) fn delete(world: &mut World, params: &Params) -> Value {
    world.commands.remove(&key(params));
    json!(true)
}

/// The commands that a person sees in a chat: the nearest scope first, in it her own language first.
pub(super) fn shown(world: &World, language_code: &str, group: bool) -> Value {
    let near = if group { "all_group_chats" } else { "all_private_chats" };
    for scope in [near, "default"] {
        for language in [language_code, ""] {
            if let Some(commands) = world.commands.get(&(scope.to_owned(), language.to_owned())) {
                return commands.clone();
            }
        }
    }
    json!([])
}
