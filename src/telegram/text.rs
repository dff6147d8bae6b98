//! Every word that a user reads comes from here: typed values in, a Fluent message in the user's language out.

use std::borrow::Cow;
use std::collections::HashMap;

use fluent_templates::fluent_bundle::FluentValue;
use fluent_templates::{Loader, static_loader};
use unic_langid::{LanguageIdentifier, langid};

use crate::courier::Notice;
use crate::job::{Lang, Parcel, Reason};
use crate::media::{Preset, Progress, Refusal, Warning};

static_loader! {
    static LOCALES = {
        locales: "./src/telegram/locales",
        fallback_language: "en",
        // Telegram shows the isolation marks as boxes on some phones.
        customise: |bundle| bundle.set_use_isolating(false),
    };
}

const BAR_CELLS: usize = 10;

/// The language for a user of this Telegram language code (IETF tag).
#[must_use]
pub fn lang_of(code: Option<&str>) -> Lang {
    match code.unwrap_or_default().split('-').next().unwrap_or_default() {
        "ru" | "be" | "uk" | "kk" => Lang::Ru,
        _ => Lang::En,
    }
}

fn id_of(lang: Lang) -> LanguageIdentifier {
    match lang {
        Lang::En => langid!("en"),
        Lang::Ru => langid!("ru"),
    }
}

/// A message without values.
#[must_use]
pub fn say(lang: Lang, key: &str) -> String {
    LOCALES.lookup(&id_of(lang), key)
}

/// A message with values.
#[must_use]
pub fn tell(lang: Lang, key: &str, values: &[(&'static str, Value)]) -> String {
    let values: HashMap<Cow<'static, str>, FluentValue<'_>> = values
        .iter()
        .map(|(name, value)| {
            let value = match value {
                Value::Number(number) => FluentValue::from(*number),
                Value::Text(text) => FluentValue::from(text.as_str()),
            };
            (Cow::Borrowed(*name), value)
        })
        .collect();
    LOCALES.lookup_with_args(&id_of(lang), key, &values)
}

/// A value of a message.
#[derive(Clone, Debug)]
pub enum Value {
    /// Takes part in plural rules.
    Number(u64),
    /// Shown as it is.
    Text(String),
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// The button of a preset.
#[must_use]
pub fn preset(lang: Lang, preset: Preset) -> String {
    say(lang, &format!("button-{preset}"))
}

/// How a job stands.
#[must_use]
pub fn notice(lang: Lang, notice: &Notice) -> String {
    match notice {
        Notice::Queued { position } => tell(lang, "queued", &[("position", (*position).into())]),
        Notice::Fetching {
            done_bytes,
            total_bytes,
        } => tell(
            lang,
            "fetching",
            &[("percent", percent(*done_bytes, *total_bytes).into())],
        ),
        Notice::Converting { progress, elapsed_s } => converting(lang, *progress, *elapsed_s),
        Notice::Sending {
            done_bytes,
            total_bytes,
        } => tell(
            lang,
            "sending",
            &[("percent", percent(*done_bytes, *total_bytes).into())],
        ),
        Notice::Paused => say(lang, "paused"),
        Notice::Failed { reason } => self::reason(lang, reason),
        Notice::Canceled => say(lang, "canceled"),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of the bar"
)]
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn converting(lang: Lang, progress: Progress, elapsed_s: f64) -> String {
    let Some(fraction) = progress.fraction().filter(|fraction| *fraction > 0.0) else {
        return say(lang, "converting-start");
    };
    let full = (fraction * BAR_CELLS as f64) as usize;
    let bar = format!("\n{}{}", "▰".repeat(full), "▱".repeat(BAR_CELLS - full.min(BAR_CELLS)));
    let speed = progress.done_us as f64 / 1e6 / elapsed_s.max(0.1);
    let left_s = (elapsed_s * (1.0 - fraction) / fraction).min(86_400.0);
    let values = [
        ("percent", ((fraction * 100.0) as u64).into()),
        ("bar", bar.into()),
        ("speed", format!("{speed:.1}").into()),
        ("left", clock(left_s).into()),
    ];
    tell(lang, "converting", &values)
}

fn percent(done: u64, total: u64) -> u64 {
    (done.min(total) * 100).checked_div(total).unwrap_or(0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most a day")]
fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// Why there is no result.
#[must_use]
pub fn reason(lang: Lang, reason: &Reason) -> String {
    match reason {
        Reason::Refused { why } => refusal(lang, why),
        Reason::TooLargeToFetch {
            size_bytes,
            limit_bytes,
        } => tell(
            lang,
            "too-large",
            &[
                ("size", megabytes(*size_bytes).into()),
                ("limit", megabytes(*limit_bytes).into()),
            ],
        ),
        Reason::TooLargeToSend {
            size_bytes,
            limit_bytes,
        } => tell(
            lang,
            "failed-too-large-to-send",
            &[
                ("size", megabytes(*size_bytes).into()),
                ("limit", megabytes(*limit_bytes).into()),
            ],
        ),
        Reason::SourceGone => say(lang, "failed-source-gone"),
        Reason::TimeLimit { limit_s } => tell(lang, "failed-time-limit", &[("limit", (*limit_s).into())]),
        Reason::Network => say(lang, "failed-network"),
        Reason::DiskFull => say(lang, "failed-disk-full"),
        Reason::Quarantined => say(lang, "quarantined"),
        Reason::Internal => say(lang, "failed-internal"),
    }
}

fn refusal(lang: Lang, refusal: &Refusal) -> String {
    match refusal {
        Refusal::NotMedia => say(lang, "failed-not-media"),
        Refusal::NoStream { wanted } => tell(lang, "failed-no-stream", &[("wanted", wanted.clone().into())]),
        Refusal::Unsupported { what } => tell(lang, "failed-unsupported", &[("what", what.clone().into())]),
        Refusal::Encrypted => say(lang, "failed-encrypted"),
        Refusal::Damaged {
            decoded_percent,
            percent_min,
        } => tell(
            lang,
            "failed-damaged",
            &[
                ("percent", u32::from(*decoded_percent).into()),
                ("min", u32::from(*percent_min).into()),
            ],
        ),
        Refusal::TooLong { duration_s, limit_s } => tell(
            lang,
            "failed-too-long",
            &[("value", (duration_s / 60).into()), ("limit", (limit_s / 60).into())],
        ),
        Refusal::TooManyPixels {
            width,
            height,
            limit_px: _,
        } => tell(
            lang,
            "failed-too-many-pixels",
            &[
                ("width", width.to_string().into()),
                ("height", height.to_string().into()),
            ],
        ),
        Refusal::TooManyStreams { limit } => tell(lang, "failed-too-many-streams", &[("limit", (*limit).into())]),
        Refusal::TooLarge {
            size_bytes,
            limit_bytes,
        } => tell(
            lang,
            "failed-too-large",
            &[
                ("size", megabytes(*size_bytes).into()),
                ("limit", megabytes(*limit_bytes).into()),
            ],
        ),
        Refusal::OverLimit { what: _ } => say(lang, "failed-over-limit"),
    }
}

/// One line under a result: before, after, what was done, how long it took.
#[must_use]
pub fn caption(lang: Lang, parcel: &Parcel) -> String {
    let key = match (parcel.video_copied || parcel.width == 0, parcel.audio_copied) {
        (true, true) => "caption-copied",
        (true, false) if parcel.width == 0 => "caption-encoded",
        (true, false) | (false, true) => "caption-partial",
        (false, false) => "caption-encoded",
    };
    let values = [
        ("before", megabytes(parcel.in_bytes).into()),
        ("after", megabytes(parcel.out_bytes).into()),
        ("took", clock(parcel.wall_s).into()),
    ];
    let mut caption = tell(lang, key, &values);
    for warning in &parcel.warnings {
        if let Warning::Damaged { lost_percent } = warning {
            caption.push('\n');
            caption.push_str(&tell(
                lang,
                "warning-damaged",
                &[("percent", u32::from(*lost_percent).into())],
            ));
        }
    }
    caption
}

/// Megabytes as Telegram counts them (2^20), with one decimal below ten.
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn megabytes(bytes: u64) -> String {
    let megabytes = bytes as f64 / f64::from(1 << 20);
    if megabytes < 10.0 {
        format!("{megabytes:.1}")
    } else {
        format!("{megabytes:.0}")
    }
}
