//! A preset with what may be changed within it, and its one spelling: `play height:720 trim:0:10-0:40 mute`.
//!
//! The same words serve the command line, a caption in chat and the database. Pure: what a file allows is decided by
//! `plan`.

use std::fmt;
use std::str::FromStr;

use super::preset::Preset;

/// What is wanted of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Recipe {
    /// The kind of output.
    pub preset: Preset,
    /// Lines of the upright output at most, pixels.
    pub height_max: Option<u32>,
    /// Frames a second at most.
    pub fps_max: Option<u32>,
    /// The part that is kept.
    pub trim: Option<Trim>,
    /// Which audio track, counted from 1; `None` lets the plan choose.
    pub audio_track: Option<u32>,
    /// The language that decides between audio tracks none of which is marked as the default.
    pub language: Option<Language>,
    /// Without sound.
    pub mute: bool,
    /// Turned clockwise after standing upright.
    pub rotate: Turn,
}

/// A part of a file, on its own clock from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trim {
    /// Microseconds.
    pub from_us: i64,
    /// Microseconds, beyond `from_us`; `None` for the end of the file.
    pub to_us: Option<i64>,
}

/// Quarter turns clockwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Turn {
    /// None.
    #[default]
    Not,
    /// 90 degrees.
    Quarter,
    /// 180 degrees.
    Half,
    /// 270 degrees.
    ThreeQuarters,
}

/// An ISO 639-2 code of three letters, as containers write it: `rus`, `eng`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Language([u8; 3]);

impl Language {
    /// `None` where it is not three ASCII letters.
    #[must_use]
    pub fn new(code: &str) -> Option<Self> {
        let bytes: [u8; 3] = code.as_bytes().try_into().ok()?;
        bytes
            .iter()
            .all(u8::is_ascii_alphabetic)
            .then(|| Self(bytes.map(|byte| byte.to_ascii_lowercase())))
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| write!(f, "{}", char::from(byte)))
    }
}

impl From<Preset> for Recipe {
    fn from(preset: Preset) -> Self {
        Self {
            preset,
            ..Self::default()
        }
    }
}

/// A word of a recipe that kadr does not know, or a value out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not understood (expected {expected})")]
pub struct UnknownWord {
    /// As it was given.
    pub given: String,
    /// What stands there otherwise.
    pub expected: &'static str,
}

const HEIGHTS: std::ops::RangeInclusive<u32> = 16..=4320;
const RATES: std::ops::RangeInclusive<u32> = 1..=120;

impl FromStr for Recipe {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut recipe = Self::default();
        for word in text.split_whitespace() {
            recipe.read(word)?;
        }
        Ok(recipe)
    }
}

impl Recipe {
    /// Adds one word: a preset, or a modifier such as `height:720`.
    ///
    /// # Errors
    /// [`UnknownWord`] with what is expected instead.
    pub fn read(&mut self, word: &str) -> Result<(), UnknownWord> {
        let not = |expected| UnknownWord {
            given: word.to_owned(),
            expected,
        };
        let number = |value: &str, range: std::ops::RangeInclusive<u32>| {
            value.parse::<u32>().ok().filter(|number| range.contains(number))
        };
        match word.split_once(':') {
            Some(("height", value)) => {
                let height = number(value, HEIGHTS).ok_or_else(|| not("height:LINES, 16 to 4320"))?;
                self.height_max = Some(height);
            }
            Some(("fps", value)) => {
                let fps = number(value, RATES).ok_or_else(|| not("fps:RATE, 1 to 120"))?;
                self.fps_max = Some(fps);
            }
            Some(("track", value)) => {
                let track = number(value, 1..=99).ok_or_else(|| not("track:N, 1 to 99"))?;
                self.audio_track = Some(track);
            }
            Some(("lang", value)) => {
                let language = Language::new(value).ok_or_else(|| not("lang:CODE of three letters"))?;
                self.language = Some(language);
            }
            Some(("trim", value)) => {
                let trim = value.parse().map_err(|()| not("trim:FROM-TO, as in trim:0:10-0:40"))?;
                self.trim = Some(trim);
            }
            Some(("rotate", value)) => {
                self.rotate = value.parse().map_err(|()| not("rotate:90, rotate:180 or rotate:270"))?;
            }
            None if word == "mute" => self.mute = true,
            _ => {
                self.preset = word.parse().map_err(|_| {
                    not("play, small, fit:SIZE, best, hevc, av1, audio, voice, note, gif, sticker, sheet, height:, fps:, \
                         trim:, track:, lang:, rotate: or mute")
                })?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            preset,
            height_max,
            fps_max,
            trim,
            audio_track,
            language,
            mute,
            rotate,
        } = self;
        write!(f, "{preset}")?;
        if let Some(height) = height_max {
            write!(f, " height:{height}")?;
        }
        if let Some(fps) = fps_max {
            write!(f, " fps:{fps}")?;
        }
        if let Some(trim) = trim {
            write!(f, " trim:{trim}")?;
        }
        if let Some(track) = audio_track {
            write!(f, " track:{track}")?;
        }
        if let Some(language) = language {
            write!(f, " lang:{language}")?;
        }
        if *mute {
            write!(f, " mute")?;
        }
        match rotate {
            Turn::Not => Ok(()),
            turn => write!(f, " rotate:{}", turn.degrees()),
        }
    }
}

impl Turn {
    /// Clockwise.
    #[must_use]
    pub fn degrees(self) -> u32 {
        match self {
            Self::Not => 0,
            Self::Quarter => 90,
            Self::Half => 180,
            Self::ThreeQuarters => 270,
        }
    }
}

impl FromStr for Turn {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "0" => Ok(Self::Not),
            "90" => Ok(Self::Quarter),
            "180" => Ok(Self::Half),
            "270" | "-90" => Ok(Self::ThreeQuarters),
            _ => Err(()),
        }
    }
}

impl FromStr for Trim {
    type Err = ();

    /// `FROM-TO`, `FROM-` or `-TO`, each `[[H:]M:]S[.fraction]`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (from, to) = text.split_once('-').ok_or(())?;
        let from_us = if from.is_empty() {
            0
        } else {
            parse_time(from).ok_or(())?
        };
        let to_us = match to {
            "" => None,
            _ => Some(parse_time(to).ok_or(())?),
        };
        if to_us.is_some_and(|to_us| to_us <= from_us) || (from_us == 0 && to_us.is_none()) {
            return Err(());
        }
        Ok(Self { from_us, to_us })
    }
}

impl fmt::Display for Trim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-", time_text(self.from_us))?;
        self.to_us.map_or(Ok(()), |to_us| write!(f, "{}", time_text(to_us)))
    }
}

/// `[[H:]M:]S[.fraction]` in microseconds.
#[expect(clippy::cast_possible_truncation, reason = "held to 100 hours before")]
fn parse_time(text: &str) -> Option<i64> {
    let mut seconds = 0.0_f64;
    let parts: Vec<&str> = text.split(':').collect();
    let (last, whole) = parts.split_last()?;
    if parts.len() > 3 || !last.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    for part in whole {
        seconds = seconds * 60.0 + f64::from(part.parse::<u32>().ok()?);
    }
    seconds = seconds * 60.0 + last.parse::<f64>().ok()?;
    (0.0..=360_000.0)
        .contains(&seconds)
        .then(|| (seconds * 1e6).round() as i64)
}

fn time_text(time_us: i64) -> String {
    let (seconds, fraction_us) = (time_us / 1_000_000, time_us % 1_000_000);
    let mut text = if seconds >= 3600 {
        format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    } else {
        format!("{}:{:02}", seconds / 60, seconds % 60)
    };
    if fraction_us > 0 {
        text.push('.');
        text.push_str(format!("{fraction_us:06}").trim_end_matches('0'));
    }
    text
}

/// Bytes from `25M`, `25MB`, `800k`, `1.5G` (powers of 1000, as Telegram counts) or `25MiB`; a bare number below 10,000
/// is megabytes, as people write it in chat.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let at = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let number: f64 = number.parse().ok()?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" if number < 10_000.0 => 1e6,
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let bytes = number * factor;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between the bounds"
    )]
    (10_000.0..=1e12).contains(&bytes).then(|| bytes.round() as u64)
}

/// The shortest spelling that reads back as the same number.
pub(super) fn size_text(bytes: u64) -> String {
    for (factor, unit) in [(1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")] {
        if bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, spelled: &str) {
        let recipe: Recipe = text.parse().expect(text);
        assert_eq!(recipe.to_string(), spelled);
        assert_eq!(spelled.parse::<Recipe>(), Ok(recipe));
    }

    #[test]
    fn recipes_read_back_as_they_are_spelled() {
        check("", "play");
        check("note", "note");
        check("fit:25", "fit:25M");
        check("fit:1.5MB mute", "fit:1500k mute");
        check("fit:10MiB", "fit:10485760B");
        check("small height:480 fps:30", "small height:480 fps:30");
        check("play trim:10-40.5", "play trim:0:10-0:40.5");
        check("trim:1:02:03-", "play trim:1:02:03-");
        check("trim:-0:05 rotate:-90", "play trim:0:00-0:05 rotate:270");
        check("audio track:2 lang:RUS", "audio track:2 lang:rus");
    }

    #[test]
    fn a_word_that_means_nothing_says_what_is_expected() {
        for wrong in [
            "height:0",
            "height:x",
            "fps:121",
            "trim:5",
            "trim:9-4",
            "trim:a-b",
            "rotate:45",
            "fit:1",
            "fit:",
            "lang:ru",
            "track:0",
            "loud",
            "trim:1:1:1:1-",
        ] {
            let error = wrong.parse::<Recipe>();
            // A bare 1 is a megabyte, which is a size; every other one is not.
            assert_eq!(error.is_err(), wrong != "fit:1", "{wrong}");
        }
    }
}
