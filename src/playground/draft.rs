//! Parameters -> what a message will hold: formatted words, keyboards, files with their thumbnails.

use serde_json::{Value, json};

use super::entities;
use super::files::{self, Stored, Upload};
use super::html;
use super::kinds::judged;
use super::message::Message;
use super::params::Params;
use super::world::{Refusal, World, announced, bad};

const CAPTION_CHARS_MAX: usize = 1024;
const THUMBNAIL_BYTES_MAX: u64 = 200 * 1024 - 1;
const THUMBNAIL_SIDE_MAX: u64 = 320;
/// Larger films are not looked into: what the sender left out stays unknown.
const ANALYSED_BYTES_MAX: u64 = 10 << 20;
const BUTTON_DATA_BYTES_MAX: usize = 64;
const ALBUM_MAX: usize = 10;

/// Text and entities by `parse_mode`, or by the entities given.
pub(super) fn formatted(text: &str, parse_mode: &str, entities: Value) -> Result<(String, Vec<Value>), Refusal> {
    match parse_mode.to_lowercase().as_str() {
        "html" => {
            let (text, entities) = html::parse(text).map_err(|words| bad(&words))?;
            let entities = entities::added(&text, entities);
            Ok((text, entities))
        }
        "" | "markdown" | "markdownv2" => {
            let given = if let Value::Array(given) = entities {
                given
            } else {
                Vec::new()
            };
            Ok((text.to_owned(), entities::added(text, given)))
        }
        _ => Err(bad("unsupported parse_mode")),
    }
}

pub(super) fn captioned(text: &str, parse_mode: &str, entities: Value) -> Result<(String, Vec<Value>), Refusal> {
    let (text, entities) = formatted(text, parse_mode, entities)?;
    if text.chars().count() > CAPTION_CHARS_MAX {
        return Err(bad("message caption is too long"));
    }
    Ok((text, entities))
}

pub(super) fn keyboard(params: &Params) -> Result<Vec<Vec<(String, String)>>, Refusal> {
    let markup = match params.object("reply_markup") {
        Value::Null if params.fields.contains_key("reply_markup") => {
            return Err(bad("object expected as reply markup"));
        }
        markup => markup,
    };
    let mut rows = Vec::new();
    for row in markup["inline_keyboard"].as_array().into_iter().flatten() {
        let mut buttons = Vec::new();
        for button in row.as_array().into_iter().flatten() {
            let word = |name: &str| button[name].as_str().unwrap_or_default().to_owned();
            if word("text").is_empty() {
                return Err(bad(
                    "can't parse inline keyboard button: field \"text\" must be non-empty",
                ));
            }
            let link = !word("url").is_empty();
            if !link && !(1..=BUTTON_DATA_BYTES_MAX).contains(&word("callback_data").len()) {
                return Err(bad("BUTTON_DATA_INVALID"));
            }
            buttons.push((word("text"), word("callback_data")));
        }
        if !buttons.is_empty() {
            rows.push(buttons);
        }
    }
    Ok(rows)
}

/// The parameters of a `send…` method in the shape of an `InputMedia`.
pub(super) fn by_parameters(params: &Params, kind: &str) -> Value {
    let mut media = json!({ "type": kind, "media": params.text(kind) });
    for name in ["width", "height", "duration", "length"] {
        media[name] = json!(params.number(name));
    }
    for name in ["caption", "parse_mode", "thumbnail"] {
        media[name] = json!(params.text(name));
    }
    media["caption_entities"] = params.object("caption_entities");
    media["supports_streaming"] = json!(params.flag("supports_streaming"));
    for name in [kind, "thumbnail"] {
        if params.uploads.contains_key(name) {
            media[if name == kind { "media" } else { name }] = json!(format!("attach://{name}"));
        }
    }
    media
}

pub(super) fn album(world: &mut World, params: &mut Params) -> Result<Vec<Message>, Refusal> {
    let Value::Array(items) = params.object("media") else {
        return Err(bad("can't parse media JSON object"));
    };
    let kind = |item: &Value| item["type"].as_str().unwrap_or_default().to_owned();
    for item in &items {
        let words = match kind(item).as_str() {
            "video" | "photo" | "audio" | "document" => continue,
            "animation" => "type \"animation\" can't be used in sendMediaGroup".to_owned(),
            other => format!("type \"{other}\" is unsupported"),
        };
        return Err(bad(&format!("can't parse InputMedia: {words}")));
    }
    match items.len() {
        0 => return Err(bad("there are no messages to send")),
        // The real server takes one, but its documentation says 2-10: a bot had better keep to that.
        1 => return Err(bad("media must include 2-10 items")),
        2..=ALBUM_MAX => {}
        _ => return Err(bad("too many messages to send as an album")),
    }
    for alone in ["document", "audio"] {
        let of_it = items.iter().filter(|item| kind(item) == alone).count();
        if of_it > 0 && of_it < items.len() {
            return Err(bad(&format!("{alone} can't be mixed with other media types")));
        }
    }
    items
        .iter()
        .map(|item| from_media(world, params, &kind(item), item))
        .collect()
}

/// A message that shows an uploaded file or one that is known by its id.
pub(super) fn from_media(
    world: &mut World,
    params: &mut Params,
    kind: &str,
    media: &Value,
) -> Result<Message, Refusal> {
    let word = |name: &str| media[name].as_str().unwrap_or_default();
    let (text, entities) = captioned(word("caption"), word("parse_mode"), media["caption_entities"].clone())?;
    let reference = word("media");
    let attached = reference.strip_prefix("attach://");
    // What is named on the disk was read before, under its whole name.
    let on_disk = params.uploads.contains_key(reference).then_some(reference);
    let file_id = if let Some(part) = attached.or(on_disk) {
        let upload = params.uploads.remove(part);
        adopt(world, params, upload, kind, media)?
    } else {
        known(world, reference, kind)?
    };
    let draft = world
        .showing(&file_id)
        .ok_or_else(|| bad("wrong file identifier/HTTP URL specified"))?;
    Ok(Message {
        text,
        entities,
        ..draft
    })
}

fn known(world: &World, reference: &str, kind: &str) -> Result<String, Refusal> {
    if reference.starts_with("http://") || reference.starts_with("https://") {
        return Err(bad("failed to get HTTP URL content"));
    }
    let stored = world
        .files
        .get(reference)
        .ok_or_else(|| bad("wrong file identifier/HTTP URL specified"))?;
    // A document stays one whatever the method; only photos and stickers are another sort of thing.
    let apart = |one: &str| (stored.kind == one) != (kind == one);
    if apart("photo") || apart("sticker") {
        return Err(bad("type of file mismatch"));
    }
    Ok(reference.to_owned())
}

fn adopt(
    world: &mut World,
    params: &mut Params,
    upload: Option<Upload>,
    kind: &str,
    media: &Value,
) -> Result<String, Refusal> {
    let disk = |_| Refusal(500, "Internal Server Error".to_owned(), None);
    let thumbnail = thumbnail(world, params, media)?;
    let Some(upload) = upload.filter(|upload| upload.size_bytes > 0) else {
        return Err(bad("file must be non-empty"));
    };
    let kind = judged(kind, &upload)?;
    let number = |name: &str| media[name].as_u64().unwrap_or(0);
    let seen = announced(&upload.path, upload.name.as_deref(), kind);
    let mut stored = Stored {
        supports_streaming: media["supports_streaming"] == json!(true),
        thumbnail,
        ..seen.clone()
    };
    let told = number("width") > 0 || number("duration") > 0 || number("length") > 0;
    if told {
        (stored.width, stored.height) = (number("width").min(10_000), number("height").min(10_000));
        stored.duration = number("duration").min(86_400);
        if kind == "video_note" {
            let length = if number("length") > 0 {
                number("length")
            } else {
                seen.width
            };
            (stored.width, stored.height) = (length, length);
        }
    } else if upload.size_bytes > ANALYSED_BYTES_MAX && matches!(kind, "video" | "animation") {
        (stored.width, stored.height, stored.duration) = (320, 320, 0);
    }
    world.adopt(upload, stored).map_err(disk)
}

/// The real server leaves out a thumbnail that breaks its rules and says nothing.
fn thumbnail(world: &mut World, params: &mut Params, media: &Value) -> Result<Option<String>, Refusal> {
    let name = media["thumbnail"]
        .as_str()
        .and_then(|name| name.strip_prefix("attach://"));
    let Some(upload) = name.and_then(|name| params.uploads.remove(name)) else {
        return Ok(None);
    };
    let fits = |facts: &files::Facts| facts.width.max(facts.height) <= THUMBNAIL_SIDE_MAX;
    let facts = files::jpeg_facts(&upload.path).filter(fits);
    let Some(facts) = facts.filter(|_| upload.size_bytes <= THUMBNAIL_BYTES_MAX) else {
        return Ok(None);
    };
    let stored = Stored {
        width: facts.width,
        height: facts.height,
        ..announced(&upload.path, upload.name.as_deref(), "thumbnail")
    };
    let disk = |_| Refusal(500, "Internal Server Error".to_owned(), None);
    world.adopt(upload, stored).map(Some).map_err(disk)
}
