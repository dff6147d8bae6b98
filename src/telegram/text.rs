//! Every word that a user reads comes from here: typed values in, a Fluent message in the user's language out.

use std::borrow::Cow;
use std::collections::HashMap;

use fluent_templates::fluent_bundle::FluentValue;
use fluent_templates::{Loader, static_loader};
use unic_langid::{LanguageIdentifier, langid};

use super::wish::Fault;
use crate::courier::Notice;
use crate::job::{Announced, Lang, Parcel, Reason, Source, Wish};
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

/// The button of a wish.
#[must_use]
pub fn wish(lang: Lang, wish: Wish) -> String {
    match wish.recipe.preset {
        Preset::Play if wish.as_file => say(lang, "button-file"),
        Preset::Fit { size_bytes } => {
            let megabytes = decimal_of(lang, size_bytes, 1e6);
            tell(lang, "button-fit", &[("size", megabytes.into())])
        }
        preset => say(lang, &format!("button-{preset}")),
    }
}

/// What a file is, as far as the platform says; `None` where it says nothing.
pub(super) fn about(lang: Lang, source: &Source) -> Option<String> {
    let Announced {
        duration_s,
        width,
        height,
    } = source.announced;
    let mut parts = Vec::new();
    if duration_s > 0 {
        parts.push(clock_of(duration_s.into()));
    }
    if width > 0 && height > 0 {
        parts.push(format!("{width}×{height}"));
    }
    parts.extend(source.size_bytes.map(|size_bytes| size(lang, size_bytes)));
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// A size with its unit.
pub(super) fn size(lang: Lang, size_bytes: u64) -> String {
    tell(lang, "megabytes", &[("size", megabytes(lang, size_bytes).into())])
}

/// Why words cannot be followed: what was given, what is allowed, and an example.
#[must_use]
pub fn fault(lang: Lang, fault: Fault, given: String) -> String {
    let key = match fault {
        Fault::Word => "wish-wrong",
        Fault::Size => "wish-wrong-size",
        Fault::Trim => "wish-wrong-trim",
        Fault::Turn => "wish-wrong-turn",
        Fault::Track => "wish-wrong-track",
        Fault::Height => "wish-wrong-height",
        Fault::Rate => "wish-wrong-rate",
    };
    tell(lang, key, &[("given", given.into())])
}

/// How a job stands.
#[must_use]
pub fn notice(lang: Lang, notice: &Notice) -> String {
    match notice {
        Notice::Queued { position } => tell(lang, "queued", &[("position", (*position).into())]),
        Notice::Fetching {
            done_bytes,
            total_bytes: 0,
        } => tell(
            lang,
            "fetching-unknown",
            &[("size", megabytes(lang, *done_bytes).into())],
        ),
        Notice::Fetching {
            done_bytes,
            total_bytes,
        } => transfer(lang, "fetching", *done_bytes, *total_bytes),
        Notice::Converting { progress, elapsed_s } => converting(lang, *progress, *elapsed_s),
        Notice::Sending {
            done_bytes,
            total_bytes,
        } => transfer(lang, "sending", *done_bytes, *total_bytes),
        Notice::Paused => say(lang, "paused"),
        Notice::Failed { reason } => self::reason(lang, reason),
        Notice::Canceled => say(lang, "canceled"),
        Notice::Batch {
            files,
            done,
            failed,
            now,
        } => {
            let values = [
                ("files", (*files).into()),
                ("done", (*done).into()),
                ("lost", (*failed).into()),
            ];
            let mut lines = vec![tell(lang, "batch", &values)];
            lines.extend(now.iter().map(|now| self::notice(lang, now)));
            lines.join("\n")
        }
        Notice::BatchOver { results, failures } => batch_over(lang, results, failures),
    }
}

/// What became of files that came together: one line for those that were sent, one for each that was not.
fn batch_over(lang: Lang, results: &[Parcel], failures: &[(u32, Reason)]) -> String {
    let mut lines = Vec::new();
    if results.is_empty() {
        let may_be_there = failures.iter().any(|(_, reason)| *reason == Reason::Unconfirmed);
        lines.push(say(
            lang,
            if may_be_there {
                "batch-unconfirmed"
            } else {
                "batch-none"
            },
        ));
    } else {
        let sum = |of: fn(&Parcel) -> u64| megabytes(lang, results.iter().map(of).sum());
        let took_s = results.iter().map(|parcel| parcel.wall_s).sum();
        let values = [
            ("count", Value::Number(results.len() as u64)),
            ("before", sum(|parcel| parcel.in_bytes).into()),
            ("after", sum(|parcel| parcel.out_bytes).into()),
            ("took", clock(took_s).into()),
        ];
        lines.push(tell(lang, "batch-over", &values));
    }
    for (place, reason) in failures {
        let values = [
            ("number", place.to_string().into()),
            ("reason", self::reason(lang, reason).into()),
        ];
        lines.push(tell(lang, "batch-failed", &values));
    }
    lines.join("\n")
}

/// The question about several files.
pub(super) fn files(lang: Lang, count: usize, size_bytes: u64) -> String {
    let values = [
        ("count", Value::Number(count as u64)),
        ("size", megabytes(lang, size_bytes).into()),
    ];
    tell(lang, "choose-files", &values)
}

fn transfer(lang: Lang, key: &str, done_bytes: u64, total_bytes: u64) -> String {
    let percent = percent(done_bytes, total_bytes);
    let values = [
        ("percent", percent.into()),
        ("bar", bar(percent).into()),
        ("size", megabytes(lang, total_bytes).into()),
    ];
    tell(lang, key, &values)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a fraction of one, as per cent"
)]
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn converting(lang: Lang, progress: Progress, elapsed_s: f64) -> String {
    let Some(fraction) = progress.fraction().filter(|fraction| *fraction > 0.0) else {
        return say(lang, "converting-start");
    };
    let percent = (fraction.min(1.0) * 100.0) as u64;
    let speed = progress.done_us as f64 / 1e6 / elapsed_s.max(0.1);
    let left_s = (elapsed_s * (1.0 - fraction) / fraction).clamp(0.0, 86_400.0);
    let values = [
        ("percent", percent.into()),
        ("bar", bar(percent).into()),
        ("speed", decimal(lang, speed).into()),
        ("left", clock(left_s).into()),
    ];
    tell(lang, "converting", &values)
}

fn bar(percent: u64) -> String {
    let full = usize::try_from(percent / 10).unwrap_or(0).min(BAR_CELLS);
    format!("{}{}", "▰".repeat(full), "▱".repeat(BAR_CELLS - full))
}

fn percent(done: u64, total: u64) -> u64 {
    (done.min(total) * 100).checked_div(total).unwrap_or(0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most a day")]
pub(super) fn clock(seconds: f64) -> String {
    clock_of(seconds.round() as u64)
}

/// `0:07`, `12:30`, `4:00:01`.
fn clock_of(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn megapixels(lang: Lang, pixels: u64) -> String {
    decimal(lang, (pixels as f64 / 1e5).ceil() / 10.0)
}

/// Why there is no result.
#[must_use]
pub fn reason(lang: Lang, reason: &Reason) -> String {
    match reason {
        Reason::Refused { why } => refusal(lang, why),
        // Not every message announces a size.
        Reason::TooLargeToFetch {
            size_bytes: 0,
            limit_bytes,
        } => tell(
            lang,
            "too-large-unknown",
            &[("limit", megabytes(lang, *limit_bytes).into())],
        ),
        Reason::TooLargeToFetch {
            size_bytes,
            limit_bytes,
        } => tell(
            lang,
            "too-large",
            &[
                ("size", megabytes_over(lang, *size_bytes).into()),
                ("limit", megabytes(lang, *limit_bytes).into()),
            ],
        ),
        Reason::TooLargeToSend {
            size_bytes,
            limit_bytes,
        } => tell(
            lang,
            "failed-too-large-to-send",
            &[
                ("size", megabytes_over(lang, *size_bytes).into()),
                ("limit", megabytes(lang, *limit_bytes).into()),
            ],
        ),
        Reason::SourceGone => say(lang, "failed-source-gone"),
        Reason::TimeLimit { limit_s } => tell(lang, "failed-time-limit", &[("limit", (*limit_s).into())]),
        Reason::Network => say(lang, "failed-network"),
        Reason::Unconfirmed => say(lang, "failed-unconfirmed"),
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
        Refusal::Incomplete => say(lang, "failed-incomplete"),
        Refusal::NoEncoder { codec } => tell(lang, "failed-no-encoder", &[("what", codec.clone().into())]),
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
        Refusal::OverLimit { what: _ } => say(lang, "failed-over-limit"),
        over => over_limit(lang, over),
    }
}

/// Refusals that name a value and its limit.
fn over_limit(lang: Lang, refusal: &Refusal) -> String {
    match refusal {
        Refusal::CutOutside { from_s, duration_s } => tell(
            lang,
            "failed-cut-outside",
            &[
                ("value", clock_of(*from_s).into()),
                ("limit", clock_of(*duration_s).into()),
            ],
        ),
        Refusal::SizeUnreachable {
            size_bytes,
            size_bytes_min,
            duration_s,
            duration_s_max: _,
        } => tell(
            lang,
            "failed-size-unreachable",
            &[
                ("value", clock_of(*duration_s).into()),
                ("size", megabytes(lang, *size_bytes).into()),
                ("min", megabytes_over(lang, *size_bytes_min).into()),
            ],
        ),
        Refusal::TooLong { duration_s, limit_s } => tell(
            lang,
            "failed-too-long",
            &[
                ("value", clock_of(*duration_s).into()),
                ("limit", clock_of(*limit_s).into()),
            ],
        ),
        Refusal::TooManyPixels {
            width,
            height,
            limit_px,
        } => tell(
            lang,
            "failed-too-many-pixels",
            &[
                ("width", width.to_string().into()),
                ("height", height.to_string().into()),
                ("value", megapixels(lang, u64::from(*width) * u64::from(*height)).into()),
                ("limit", megapixels(lang, *limit_px).into()),
            ],
        ),
        Refusal::TooManyStreams { limit } => tell(lang, "failed-too-many-streams", &[("limit", (*limit).into())]),
        Refusal::TooManyFrames { frames: _, limit } => {
            tell(lang, "failed-too-many-frames", &[("limit", (*limit).into())])
        }
        Refusal::TooLarge {
            size_bytes,
            limit_bytes,
        } => tell(
            lang,
            "failed-too-large",
            &[
                ("size", megabytes_over(lang, *size_bytes).into()),
                ("limit", megabytes(lang, *limit_bytes).into()),
            ],
        ),
        _ => say(lang, "failed-over-limit"),
    }
}

/// One line under a result: before, after, what was done, how long it took.
#[must_use]
pub fn caption(lang: Lang, parcel: &Parcel) -> String {
    let key = match (parcel.video_copied || parcel.width == 0, parcel.audio_copied) {
        (true, true) => "caption-copied",
        (true, false) if parcel.width > 0 => "caption-sound-encoded",
        (false, true) => "caption-picture-encoded",
        (true | false, false) => "caption-encoded",
    };
    let values = [
        ("before", megabytes(lang, parcel.in_bytes).into()),
        ("after", megabytes(lang, parcel.out_bytes).into()),
        ("took", clock(parcel.wall_s).into()),
    ];
    let mut caption = tell(lang, key, &values);
    for warning in &parcel.warnings {
        match warning {
            Warning::Damaged { lost_percent, .. } => {
                let percent = ("percent", u32::from(*lost_percent).into());
                caption.push('\n');
                caption.push_str(&tell(lang, "warning-damaged", &[percent]));
            }
            // The caption is one line; only what is missing is worth a second.
            Warning::SilentTrack => {
                caption.push('\n');
                caption.push_str(&say(lang, "warning-silent-track"));
            }
            Warning::Dropped { .. } | Warning::ToneMapped | Warning::Cut { .. } => {}
        }
    }
    caption
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn decimal_of(lang: Lang, bytes: u64, unit: f64) -> String {
    decimal(lang, bytes as f64 / unit)
}

/// Megabytes as Telegram counts them (2^20).
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn megabytes(lang: Lang, bytes: u64) -> String {
    let megabytes = bytes as f64 / f64::from(1 << 20);
    decimal(lang, if bytes > 0 { megabytes.max(0.1) } else { 0.0 })
}

/// A size over a limit: rounded up, so that it never reads as the limit itself.
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn megabytes_over(lang: Lang, bytes: u64) -> String {
    let tenths = (bytes as f64 / f64::from(1 << 20) * 10.0).ceil();
    decimal(lang, tenths / 10.0)
}

/// Frames a second as people write them: `25`, `23.98`, `29.97`; with a comma in Russian.
pub(super) fn rate(lang: Lang, value: f64) -> String {
    let digits = format!("{value:.2}");
    separated(lang, digits.trim_end_matches('0').trim_end_matches('.'))
}

/// One decimal where it says something: `20`, `20.1`, `0.4`; with a comma in Russian.
pub(super) fn decimal(lang: Lang, value: f64) -> String {
    let digits = format!("{value:.1}");
    separated(lang, digits.strip_suffix(".0").unwrap_or(&digits))
}

fn separated(lang: Lang, digits: &str) -> String {
    match lang {
        Lang::En => digits.to_owned(),
        Lang::Ru => digits.replace('.', ","),
    }
}
