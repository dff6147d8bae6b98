//! The `edit…` methods: a message of the bot's as it will be.

use serde_json::Value;

use super::draft::{captioned, from_media, keyboard};
use super::message::Message;
use super::methods::chat_id;
use super::params::Params;
use super::send::text;
use super::world::{Refusal, World, bad};

pub(super) fn edit(world: &mut World, method: &str, params: &mut Params) -> Result<Value, Refusal> {
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
            world.edit(chat, id, |message| match message.media.as_deref() {
                None | Some("sticker" | "video_note") => Err(bad("there is no caption in the message to edit")),
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
            let old = world.message(chat, id).cloned().unwrap_or_default();
            let visual = |kind: &str| matches!(kind, "photo" | "video");
            let same = |old: &str| old == kind || (visual(old) && visual(&kind));
            if old.album.is_some() && !old.media.as_deref().is_some_and(same) {
                return Err(bad("can't change media type in the album"));
            }
            let draft = from_media(world, params, &kind, &media)?;
            let buttons = keyboard(params)?;
            let album = old.album;
            world.edit(chat, id, |_| {
                Ok(Message {
                    buttons,
                    album,
                    ..draft
                })
            })
        }
        _ => Err(Refusal(404, "Not Found: method not found".to_owned(), None)),
    }
}
