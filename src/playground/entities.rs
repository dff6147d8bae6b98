//! What the server finds in plain words by itself: commands, mentions, links. Offsets count UTF-16 units.

use serde_json::{Value, json};

const COMMAND_CHARS_MAX: usize = 64;
const NAME_CHARS: std::ops::RangeInclusive<usize> = 3..=32;

/// The entities of a text, in order.
pub(super) fn found(text: &str) -> Vec<Value> {
    let (mut entities, mut offset, mut before) = (Vec::new(), 0, None);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let starts = before.is_none_or(|before: char| !before.is_alphanumeric() && !"_/@<>".contains(before));
        let hit = if starts { hit(rest) } else { None };
        let length = hit.map_or(first.len_utf8(), |(_, length)| length);
        let units = rest[..length].encode_utf16().count();
        if let Some((kind, _)) = hit {
            entities.push(json!({ "type": kind, "offset": offset, "length": units }));
        }
        before = rest[..length].chars().next_back();
        offset += units;
        rest = &rest[length..];
    }
    entities
}

/// Adds what is found outside of the entities that are there already.
pub(super) fn added(text: &str, mut given: Vec<Value>) -> Vec<Value> {
    let span = |entity: &Value| {
        let from = entity["offset"].as_u64().unwrap_or(0);
        (from, from + entity["length"].as_u64().unwrap_or(0))
    };
    let closed: Vec<(u64, u64)> = given
        .iter()
        .filter(|entity| {
            !matches!(
                entity["type"].as_str(),
                Some("bold" | "italic" | "underline" | "strikethrough")
            )
        })
        .map(span)
        .collect();
    let free = |entity: &Value| {
        let (from, to) = span(entity);
        closed.iter().all(|(start, end)| to <= *start || from >= *end)
    };
    given.extend(found(text).into_iter().filter(free));
    given
}

/// Kind and bytes of an entity that starts here.
fn hit(text: &str) -> Option<(&'static str, usize)> {
    let word = |text: &str| {
        text.find(|one: char| !one.is_ascii_alphanumeric() && one != '_')
            .unwrap_or(text.len())
    };
    if let Some(rest) = text.strip_prefix('/') {
        let name = word(rest);
        let mut length = 1 + name;
        if !(1..=COMMAND_CHARS_MAX).contains(&name) || rest[name..].starts_with('/') {
            return None;
        }
        if let Some(bot) = rest[name..].strip_prefix('@')
            && NAME_CHARS.contains(&word(bot))
        {
            length += 1 + word(bot);
        }
        return Some(("bot_command", length));
    }
    if let Some(name) = text.strip_prefix('@') {
        return NAME_CHARS.contains(&word(name)).then(|| ("mention", 1 + word(name)));
    }
    let scheme = ["https://", "http://"]
        .into_iter()
        .find(|scheme| text.starts_with(scheme))?;
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let length = text[..end].trim_end_matches(['.', ',', '!', '?', ')', ';', ':']).len();
    (length > scheme.len()).then_some(("url", length))
}
