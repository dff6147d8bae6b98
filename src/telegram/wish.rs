//! Words of a caption or after /convert -> what is wanted: `note`, `fit 25`, `720p без звука`, `обрезать 0:10-0:40`. Pure.
//!
//! A caption is somebody's own text as a rule, so it counts only where its first word is one of ours; from then on every
//! word must be. The engine's own spelling (`fit:25M`) is understood as well.

use crate::job::Wish;

/// What was found in the words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Nothing for us.
    Other,
    /// This is wanted.
    Wish(Wish),
    /// It began like a wish, and here it could not be followed.
    Wrong {
        /// The words at fault.
        given: String,
    },
}

/// Words that stand alone: ours, and the recipe's.
const ALONE: [(&str, &str); 31] = [
    ("play", "play"),
    ("видео", "play"),
    ("small", "small"),
    ("smaller", "small"),
    ("меньше", "small"),
    ("сжать", "small"),
    ("best", "best"),
    ("лучше", "best"),
    ("hevc", "hevc"),
    ("h265", "hevc"),
    ("av1", "av1"),
    ("audio", "audio"),
    ("sound", "audio"),
    ("звук", "audio"),
    ("аудио", "audio"),
    ("voice", "voice"),
    ("голос", "voice"),
    ("голосовое", "voice"),
    ("note", "note"),
    ("round", "note"),
    ("кружок", "note"),
    ("gif", "gif"),
    ("гиф", "gif"),
    ("гифка", "gif"),
    ("sticker", "sticker"),
    ("стикер", "sticker"),
    ("sheet", "sheet"),
    ("кадры", "sheet"),
    ("mute", "mute"),
    ("silent", "mute"),
    ("немое", "mute"),
];
/// Words that a value follows.
const WITH_VALUE: [(&str, &str); 11] = [
    ("fit", "fit"),
    ("до", "fit"),
    ("trim", "trim"),
    ("cut", "trim"),
    ("обрезать", "trim"),
    ("rotate", "rotate"),
    ("повернуть", "rotate"),
    ("track", "track"),
    ("дорожка", "track"),
    ("height", "height"),
    ("fps", "fps"),
];
const AS_FILE: [&str; 4] = ["file", "файл", "файлом", "document"];
/// After a number of `fit`: megabytes it is anyway.
const MEGABYTES: [&str; 3] = ["mb", "мб", "m"];

fn of(table: &[(&'static str, &'static str)], word: &str) -> Option<&'static str> {
    table.iter().find(|(ours, _)| *ours == word).map(|(_, recipe)| *recipe)
}

/// Reads what was written.
#[must_use]
pub fn read(text: &str) -> Reading {
    let lower = text.to_lowercase();
    let trimmed = lower
        .split_whitespace()
        .map(|word| word.trim_matches(|letter: char| matches!(letter, ',' | ';' | '!' | '"')))
        .filter(|word| !word.is_empty());
    let words: Vec<&str> = trimmed.collect();
    let mut wish = Wish::default();
    let mut at = 0;
    while at < words.len() {
        match take(&mut wish, &words[at..]) {
            Ok(taken) => at += taken,
            // Not even the first word is ours: it is not meant for us.
            Err(0) if at == 0 => return Reading::Other,
            Err(wrong) => {
                let to = (at + wrong.max(1)).min(words.len());
                return Reading::Wrong {
                    given: words[at..to].join(" "),
                };
            }
        }
    }
    if at == 0 { Reading::Other } else { Reading::Wish(wish) }
}

/// How many words were used up; an error says how many are at fault, 0 where the first is unknown.
fn take(wish: &mut Wish, words: &[&str]) -> Result<usize, usize> {
    let [first, rest @ ..] = words else { return Ok(0) };
    if AS_FILE.contains(first) {
        wish.as_file = true;
        return Ok(1);
    }
    if (*first, rest.first()) == ("без", Some(&"звука")) {
        wish.recipe.mute = true;
        return Ok(2);
    }
    if let Some(word) = of(&ALONE, first) {
        return wish.recipe.read(word).map(|()| 1).map_err(|_| 1);
    }
    if let Some(word) = of(&WITH_VALUE, first) {
        let value = rest.first().ok_or(1_usize)?;
        let value = value.replace("мб", "mb");
        wish.recipe.read(&format!("{word}:{value}")).map_err(|_| 2_usize)?;
        let unit = word == "fit" && rest.get(1).is_some_and(|unit| MEGABYTES.contains(unit));
        return Ok(if unit { 3 } else { 2 });
    }
    for (ending, word) in [("fps", "fps"), ("p", "height")] {
        let number = first.strip_suffix(ending).filter(|number| !number.is_empty());
        if let Some(number) = number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
            return wish.recipe.read(&format!("{word}:{number}")).map(|()| 1).map_err(|_| 1);
        }
    }
    // A value that is wrong is a mistake; a word that is none of the recipe's is just a word.
    let known = first
        .split_once(':')
        .is_some_and(|(word, _)| of(&WITH_VALUE, word).is_some());
    wish.recipe.read(first).map(|()| 1).map_err(|_| usize::from(known))
}
