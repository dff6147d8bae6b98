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
        /// What is wrong with them.
        fault: Fault,
    },
}

/// What a word lacks: decides what the refusal says is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is none of ours.
    Word,
    /// The size of `fit`.
    Size,
    /// The times of `trim`.
    Trim,
    /// The degrees of `rotate`.
    Turn,
    /// The number of `track`.
    Track,
    /// The lines of `height`.
    Height,
    /// The frames of `fps`.
    Rate,
}

impl Fault {
    /// Every fault, for the tests of the words.
    pub const EACH: [Self; 7] = [
        Self::Word,
        Self::Size,
        Self::Trim,
        Self::Turn,
        Self::Track,
        Self::Height,
        Self::Rate,
    ];

    /// Of the value after this word of the recipe.
    fn of(word: &str) -> Self {
        match word {
            "fit" => Self::Size,
            "trim" => Self::Trim,
            "rotate" => Self::Turn,
            "track" => Self::Track,
            "height" => Self::Height,
            "fps" => Self::Rate,
            _ => Self::Word,
        }
    }
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
/// Of somebody's words no more is said back.
const GIVEN_CHARS_MAX: usize = 40;
/// After a number of `fit`: megabytes it is anyway.
const MEGABYTES: [&str; 3] = ["mb", "мб", "m"];

fn of(table: &[(&'static str, &'static str)], word: &str) -> Option<&'static str> {
    table.iter().find(|(ours, _)| *ours == word).map(|(_, recipe)| *recipe)
}

/// Words as they are compared: lower case, without the marks that people put between them, and with the dashes that
/// phones make of a hyphen.
fn words_of(text: &str) -> Vec<String> {
    let plain = text.to_lowercase().replace(['–', '—', '−'], "-");
    let trimmed = plain
        .split_whitespace()
        .map(|word| word.trim_matches(|letter: char| matches!(letter, ',' | ';' | '!' | '"' | '«' | '»')));
    let mut words: Vec<String> = Vec::new();
    for word in trimmed.filter(|word| !word.is_empty()) {
        match words.last_mut() {
            // `0:10 - 0:40`: a dash belongs to the times on both sides of it.
            Some(last) if is_time(last) && word == "-" => last.push('-'),
            Some(last) if last.strip_suffix('-').is_some_and(is_time) && is_time(word) => last.push_str(word),
            _ => words.push(word.to_owned()),
        }
    }
    words
}

fn is_time(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_digit())
        && word
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'))
}

/// Reads what was written.
#[must_use]
pub fn read(text: &str) -> Reading {
    let words = words_of(text);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut wish = Wish::default();
    let mut at = 0;
    while at < words.len() {
        match take(&mut wish, &words[at..]) {
            Ok(taken) => at += taken,
            // Not even the first word is ours: it is not meant for us.
            Err((0, _)) if at == 0 => return Reading::Other,
            Err((wrong, fault)) => {
                let to = (at + wrong.max(1)).min(words.len());
                return Reading::Wrong {
                    given: short(&words[at..to].join(" ")),
                    fault,
                };
            }
        }
    }
    if at == 0 { Reading::Other } else { Reading::Wish(wish) }
}

/// What was meant for us from its first word on, as after a command: there every word counts.
#[must_use]
pub fn read_all(text: &str) -> Reading {
    match read(text) {
        Reading::Other if !words_of(text).is_empty() => Reading::Wrong {
            given: short(text.trim()),
            fault: Fault::Word,
        },
        reading => reading,
    }
}

/// As much of somebody's words as is said back.
fn short(words: &str) -> String {
    words.chars().take(GIVEN_CHARS_MAX).collect()
}

/// How many words were used up; an error says how many are at fault, 0 where the first is unknown, and how.
fn take(wish: &mut Wish, words: &[&str]) -> Result<usize, (usize, Fault)> {
    let [first, rest @ ..] = words else { return Ok(0) };
    if AS_FILE.contains(first) {
        wish.as_file = true;
        return Ok(1);
    }
    if (*first, rest.first()) == ("без", Some(&"звука")) {
        wish.recipe.mute = true;
        return Ok(2);
    }
    let mut read = |words: String| wish.recipe.read(&words);
    if let Some(word) = of(&ALONE, first) {
        return read(word.to_owned()).map(|()| 1).map_err(|_| (1, Fault::Word));
    }
    if let Some(word) = of(&WITH_VALUE, first) {
        let fault = Fault::of(word);
        let value = rest.first().ok_or((1, fault))?;
        let value = match word {
            "fit" => value.replace("мб", "mb").replace(',', "."),
            _ => (*value).to_owned(),
        };
        read(format!("{word}:{value}")).map_err(|_| (2, fault))?;
        let unit = word == "fit" && rest.get(1).is_some_and(|unit| MEGABYTES.contains(unit));
        return Ok(if unit { 3 } else { 2 });
    }
    // The letter after the lines may be a Russian one: it looks the same.
    for (ending, word) in [("fps", "fps"), ("p", "height"), ("р", "height")] {
        let number = first.strip_suffix(ending).filter(|number| !number.is_empty());
        if let Some(number) = number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
            return read(format!("{word}:{number}"))
                .map(|()| 1)
                .map_err(|_| (1, Fault::of(word)));
        }
    }
    // A value that is wrong is a mistake; a word that is none of the recipe's is just a word.
    let known = first.split_once(':').and_then(|(word, _)| of(&WITH_VALUE, word));
    read((*first).to_owned())
        .map(|()| 1)
        .map_err(|_| known.map_or((0, Fault::Word), |word| (1, Fault::of(word))))
}
