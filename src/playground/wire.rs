//! The state in the shapes of the Bot API's objects; pure.

use serde_json::{Value, json};

use super::message::Message;
use super::world::{BOT_ID, BOT_NAME, World};

pub(super) fn bot() -> Value {
    json!({ "id": BOT_ID, "is_bot": true, "first_name": "kadr", "username": BOT_NAME })
}

pub(super) fn me() -> Value {
    let mut me = bot();
    for (name, value) in [
        ("can_join_groups", true),
        ("can_read_all_group_messages", false),
        ("supports_inline_queries", false),
        ("can_connect_to_business", false),
        ("has_main_web_app", false),
    ] {
        me[name] = json!(value);
    }
    me
}

pub(super) fn user(world: &World, id: i64) -> Value {
    if id == BOT_ID {
        return bot();
    }
    let user = world.users.get(&id);
    json!({
        "id": id,
        "is_bot": false,
        "first_name": user.map_or("?", |user| user.name.as_str()),
        "language_code": user.map_or("en", |user| user.language_code.as_str()),
    })
}

pub(super) fn chat(world: &World, id: i64) -> Value {
    match world.chats.get(&id).and_then(|chat| chat.title.as_ref()) {
        Some(title) => {
            let mut group = json!({ "id": id, "type": "supergroup", "title": title });
            if world.chats.get(&id).is_some_and(|chat| !chat.topics.is_empty()) {
                group["is_forum"] = json!(true);
            }
            group
        }
        None => json!({
            "id": id,
            "type": "private",
            "first_name": world.users.get(&id).map_or("?", |user| user.name.as_str()),
        }),
    }
}

/// `getChat`
pub(super) fn full_chat(world: &World, id: i64) -> Value {
    let mut full = chat(world, id);
    full["accent_color_id"] = json!(0);
    full["max_reaction_count"] = json!(11);
    full["accepted_gift_types"] = json!({
        "unlimited_gifts": false, "limited_gifts": false, "unique_gifts": false, "premium_subscription": false,
    });
    full
}

/// What somebody is in a chat. The first member owns a group.
pub(super) fn member(world: &World, chat_id: i64, id: i64) -> Value {
    let chat = world.chats.get(&chat_id);
    let place = chat.and_then(|chat| chat.members.iter().position(|member| *member == id));
    let admin = chat.is_some_and(|chat| chat.admins.contains(&id));
    let status = match place {
        Some(0) => "creator",
        _ if admin => "administrator",
        None if id != BOT_ID && id != chat_id => "left",
        _ => "member",
    };
    let mut member = json!({ "status": status, "user": user(world, id) });
    if matches!(status, "creator" | "administrator") {
        member["is_anonymous"] = json!(false);
    }
    if status == "administrator" {
        for (right, has) in [
            ("can_be_edited", false),
            ("can_manage_chat", true),
            ("can_delete_messages", true),
            ("can_manage_video_chats", true),
            ("can_restrict_members", true),
            ("can_promote_members", false),
            ("can_change_info", true),
            ("can_invite_users", true),
            ("can_post_stories", false),
            ("can_edit_stories", false),
            ("can_delete_stories", false),
            ("can_pin_messages", true),
            ("can_manage_topics", true),
        ] {
            member[right] = json!(has);
        }
    }
    member
}

/// A message with the one that it answers.
pub(super) fn message(world: &World, chat_id: i64, message: &Message) -> Value {
    let mut json = alone(world, chat_id, message);
    let answered = message.reply_to.and_then(|id| world.message(chat_id, id));
    if let Some(answered) = answered {
        json["reply_to_message"] = alone(world, chat_id, answered);
    } else if let Some(root) = message.thread.and_then(|thread| topic_root(world, chat_id, thread)) {
        json["reply_to_message"] = root;
    }
    json
}

/// In a forum a message that answers nothing answers the one that opened its topic.
fn topic_root(world: &World, chat_id: i64, thread: i64) -> Option<Value> {
    let room = world.chats.get(&chat_id)?;
    Some(json!({
        "message_id": thread, "message_thread_id": thread, "is_topic_message": true, "date": 1,
        "chat": chat(world, chat_id), "from": user(world, *room.members.first()?),
        "forum_topic_created": { "name": room.topics.get(&thread)?, "icon_color": 0x6F_B9_F0 },
    }))
}

fn alone(world: &World, chat_id: i64, message: &Message) -> Value {
    let mut json = json!({
        "message_id": message.id,
        "date": message.date_s,
        "chat": chat(world, chat_id),
        "from": user(world, message.from),
    });
    let words = match &message.media {
        Some(kind) => {
            let media = media(world, kind, message);
            if kind == "animation" {
                json["document"] = media.clone();
            }
            json[kind] = media;
            ("caption", "caption_entities")
        }
        None => ("text", "entities"),
    };
    if !message.text.is_empty() {
        json[words.0] = json!(message.text);
    }
    if !message.entities.is_empty() {
        json[words.1] = json!(message.entities);
    }
    if message.edits > 0 {
        json["edit_date"] = json!(message.date_s);
    }
    if let Some(origin) = message.forwarded_from {
        json["forward_origin"] = json!({ "type": "user", "date": message.date_s, "sender_user": user(world, origin) });
    }
    if let Some(thread) = message.thread {
        json["message_thread_id"] = json!(thread);
        json["is_topic_message"] = json!(true);
    }
    if let Some(album) = &message.album {
        json["media_group_id"] = json!(album);
    }
    if !message.buttons.is_empty() {
        let rows: Vec<Vec<Value>> = message
            .buttons
            .iter()
            .map(|row| {
                row.iter()
                    .map(|(text, data)| json!({ "text": text, "callback_data": data }))
                    .collect()
            })
            .collect();
        json["reply_markup"] = json!({ "inline_keyboard": rows });
    }
    json
}

fn media(world: &World, kind: &str, message: &Message) -> Value {
    let file_id = message.file.as_deref().unwrap_or_default();
    let unique = |file: &str| {
        world
            .files
            .get(file)
            .map_or(String::new(), |stored| stored.unique.clone())
    };
    let mut media = json!({
        "file_id": file_id,
        "file_unique_id": unique(file_id),
        "file_size": message.size,
    });
    if kind == "photo" {
        media["width"] = json!(message.width);
        media["height"] = json!(message.height);
        return json!([media]);
    }
    if kind == "sticker" {
        let film = message.mime.as_deref() == Some("video/webm");
        for (name, value) in [
            ("type", json!("regular")),
            ("is_video", json!(film)),
            ("is_animated", json!(false)),
        ] {
            media[name] = value;
        }
    }
    if matches!(kind, "video" | "animation" | "sticker") {
        media["width"] = json!(message.width);
        media["height"] = json!(message.height);
    }
    if kind == "video_note" {
        media["length"] = json!(message.width.max(1));
    }
    if !matches!(kind, "document" | "sticker") {
        media["duration"] = json!(message.duration);
    }
    if !matches!(kind, "video_note" | "sticker") {
        media["mime_type"] = json!(message.mime);
    }
    if let (Some(name), false) = (&message.name, matches!(kind, "video_note" | "voice" | "sticker")) {
        media["file_name"] = json!(name);
    }
    if let Some(thumbnail) = message
        .thumbnail_file
        .as_deref()
        .and_then(|file| world.files.get_key_value(file))
    {
        media["thumbnail"] = json!({
            "file_id": thumbnail.0,
            "file_unique_id": thumbnail.1.unique,
            "file_size": thumbnail.1.size,
            "width": thumbnail.1.width,
            "height": thumbnail.1.height,
        });
    }
    media
}
