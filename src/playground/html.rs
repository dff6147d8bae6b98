//! `parse_mode=HTML`: text with tags -> plain text and entities with UTF-16 offsets, as the Bot API describes them.
//!
//! Absent: Markdown; its text is kept as it came.

use serde_json::{Value, json};

/// Plain text and its entities, or what is wrong with it in the server's words.
pub(super) fn parse(html: &str) -> Result<(String, Vec<Value>), String> {
    let (mut text, mut entities, mut open) = (String::new(), Vec::new(), Vec::<(String, usize, Option<String>)>::new());
    let mut rest = html;
    while let Some(first) = rest.chars().next() {
        let at = html.len() - rest.len();
        if first == '<' {
            let end = rest
                .find('>')
                .ok_or_else(|| format!("can't parse entities: Unclosed start tag at byte offset {at}"))?;
            tag(&rest[1..end], at, &text, &mut open, &mut entities)?;
            rest = &rest[end + 1..];
        } else if let Some((plain, length)) = reference(rest) {
            text.push(plain);
            rest = &rest[length..];
        } else {
            text.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    match open.pop() {
        Some((name, ..)) => Err(format!(
            "can't parse entities: Can't find end tag corresponding to start tag \"{name}\""
        )),
        None => Ok((text, entities)),
    }
}

fn tag(
    inside: &str,
    at: usize,
    text: &str,
    open: &mut Vec<(String, usize, Option<String>)>,
    entities: &mut Vec<Value>,
) -> Result<(), String> {
    let here = text.encode_utf16().count();
    if let Some(name) = inside.strip_prefix('/') {
        let Some((started, offset, url)) = open.pop().filter(|(started, ..)| started == name.trim()) else {
            return Err(format!("can't parse entities: Unexpected end tag at byte offset {at}"));
        };
        let mut entity = json!({ "type": kind(&started), "offset": offset, "length": here - offset });
        if let Some(url) = url {
            entity["url"] = json!(url);
        }
        if here > offset {
            entities.push(entity);
        }
        return Ok(());
    }
    let (name, attributes) = inside.split_once(' ').unwrap_or((inside, ""));
    if kind(name).is_empty() {
        return Err(format!(
            "can't parse entities: Unsupported start tag \"{name}\" at byte offset {at}"
        ));
    }
    let url = attributes
        .split_once("href=")
        .map(|(_, url)| url.trim_matches(['"', '\'', ' ']).to_owned());
    open.push((name.to_owned(), here, url));
    Ok(())
}

fn kind(name: &str) -> &'static str {
    match name {
        "b" | "strong" => "bold",
        "i" | "em" => "italic",
        "u" | "ins" => "underline",
        "s" | "strike" | "del" => "strikethrough",
        "code" => "code",
        "pre" => "pre",
        "a" => "text_link",
        "tg-spoiler" | "span" => "spoiler",
        "blockquote" => "blockquote",
        _ => "",
    }
}

/// The four named references of the Bot API and decimal ones; any other `&` stands for itself.
fn reference(text: &str) -> Option<(char, usize)> {
    let name = text.strip_prefix('&')?.split_once(';')?.0;
    let plain = match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        _ => char::from_u32(name.strip_prefix('#')?.parse().ok()?)?,
    };
    Some((plain, name.len() + 2))
}
