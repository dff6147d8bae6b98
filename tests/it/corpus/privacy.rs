//! Nothing that the source says of its maker, place or time may be said by the output.

use std::path::Path;

use super::facts::Facts;
use super::source::Source;

/// Tags that an MP4 has of its own.
const OWN_TAGS: [&str; 7] = [
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
    "language",
    "handler_name",
    "vendor_id",
];
/// Handler names that say nothing; Android writes the first two, FFmpeg adds an r.
const OWN_HANDLERS: [&str; 5] = ["VideoHandle", "SoundHandle", "VideoHandler", "SoundHandler", ""];
/// Shorter texts may stand in a file by chance.
const TEXT_BYTES_MIN: usize = 6;
/// Only the head of a large file is searched: moov comes first.
const SEARCHED_BYTES_MAX: usize = 64 << 20;

pub(crate) fn judge(source: &Source, facts: &Facts, path: &Path) -> Vec<String> {
    let from = all_tags(&source.facts);
    let mut wrong = Vec::new();
    for (key, value) in all_tags(facts) {
        let lower = key.to_ascii_lowercase();
        let the_sources = from
            .iter()
            .any(|(name, was)| name.eq_ignore_ascii_case(&key) && *was == value);
        let own = match lower.as_str() {
            // The time of the conversion is not the source's.
            "creation_time" => !the_sources,
            "handler_name" => OWN_HANDLERS.contains(&value.as_str()) || !the_sources,
            "encoder" => value.starts_with("Lav") || !the_sources,
            _ => OWN_TAGS.contains(&lower.as_str()),
        };
        if !own {
            wrong.push(format!("metadata kept: {key}={}", short(&value)));
        }
    }
    let bytes = std::fs::read(path).unwrap_or_default();
    let bytes = &bytes[..bytes.len().min(SEARCHED_BYTES_MAX)];
    for (key, value) in &from {
        let lower = key.to_ascii_lowercase();
        let technical = OWN_TAGS.contains(&lower.as_str()) || value.len() < TEXT_BYTES_MIN || is_number(value);
        if !technical && contains(bytes, value.as_bytes()) {
            wrong.push(format!("the source's {key} stands in the file: {}", short(value)));
        }
    }
    wrong.sort();
    wrong.dedup();
    wrong
}

/// Of the file, its streams and its chapters.
fn all_tags(facts: &Facts) -> Vec<(String, String)> {
    let streams = facts.streams.iter().flat_map(|stream| &stream.tags);
    let chapters = facts.chapters.iter().flatten();
    facts.tags.iter().chain(streams).chain(chapters).cloned().collect()
}

/// Durations, counts and rates tell nobody's secret.
fn is_number(value: &str) -> bool {
    value
        .chars()
        .all(|letter| letter.is_ascii_digit() || ".:/ ".contains(letter))
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    let Some((&first, rest)) = wanted.split_first() else {
        return false;
    };
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == first);
    starts.into_iter().any(|(at, _)| bytes[at + 1..].starts_with(rest))
}

fn short(value: &str) -> String {
    value.lines().next().unwrap_or_default().chars().take(40).collect()
}
