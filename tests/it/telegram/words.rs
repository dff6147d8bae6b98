//! The words: both languages say everything, and say it right.

use std::collections::BTreeSet;

use kadr::courier::Notice;
use kadr::job::{Announced, Lang, Outlook, Parcel, ParcelKind, Reason, Seen, Source, Wish};
use kadr::media::forecast::Forecast;
use kadr::media::look::{Picture, Sound};
use kadr::media::report::Action;
use kadr::media::{Look, Progress, Refusal, Warning};
use kadr::telegram::text::{self, Value};
use kadr::telegram::wish::Fault;
use kadr::telegram::{info, looks};

fn keys(language: &str) -> BTreeSet<String> {
    let path = format!(
        "{}/src/telegram/locales/{language}/main.ftl",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter_map(|line| line.split_once(" =").map(|(key, _)| key.to_owned()))
        .collect()
}

#[test]
fn both_languages_have_the_same_keys() {
    assert!(keys("en").len() > 40);
    assert_eq!(keys("en"), keys("ru"));
}

#[test]
fn russian_plurals_are_right() {
    let stopped = |count: u64| text::tell(Lang::Ru, "cancel-all", &[("count", count.into())]);
    assert_eq!(
        [1, 2, 5, 11, 21].map(stopped),
        [
            "Остановлен 1 файл.",
            "Остановлено 2 файла.",
            "Остановлено 5 файлов.",
            "Остановлено 11 файлов.",
            "Остановлен 21 файл."
        ]
    );
}

#[test]
fn the_language_follows_the_code_of_telegram() {
    for (code, lang) in [
        (Some("ru"), Lang::Ru),
        (Some("uk-UA"), Lang::Ru),
        (Some("de"), Lang::En),
        (None, Lang::En),
    ] {
        assert_eq!(text::lang_of(code), lang, "{code:?}");
    }
}

fn reasons() -> Vec<Reason> {
    let (size_bytes, limit_bytes) = ((20 << 20) + 1, 20 << 20);
    let mut reasons = vec![
        Reason::TooLargeToFetch {
            size_bytes,
            limit_bytes,
        },
        Reason::TooLargeToFetch {
            size_bytes: 0,
            limit_bytes,
        },
        Reason::TooLargeToSend {
            size_bytes: 73_400_320,
            limit_bytes: 50_000_000,
        },
        Reason::SourceGone,
        Reason::TimeLimit { limit_s: 300 },
        Reason::Network,
        Reason::Unconfirmed,
        Reason::DiskFull,
        Reason::Quarantined,
        Reason::Internal,
    ];
    reasons.extend(refusals().into_iter().map(|why| Reason::Refused { why }));
    reasons
}

/// One of each.
fn refusals() -> Vec<Refusal> {
    let (size_bytes, limit_bytes) = ((20 << 20) + 1, 20 << 20);
    vec![
        Refusal::NotMedia,
        Refusal::NoStream {
            wanted: "audio".to_owned(),
        },
        Refusal::NoStream {
            wanted: "video".to_owned(),
        },
        Refusal::Unsupported {
            what: "wmv3".to_owned(),
        },
        Refusal::Encrypted,
        Refusal::Incomplete,
        Refusal::NoEncoder {
            codec: "AV1".to_owned(),
        },
        Refusal::CutOutside {
            from_s: 75,
            duration_s: 60,
        },
        Refusal::SizeUnreachable {
            size_bytes: 1_000_000,
            size_bytes_min: 35_000_000,
            duration_s: 5400,
            duration_s_max: 150,
        },
        Refusal::Damaged {
            decoded_percent: 31,
            percent_min: 50,
        },
        Refusal::TooLong {
            duration_s: 14_401,
            limit_s: 14_400,
        },
        Refusal::TooManyPixels {
            width: 7680,
            height: 4320,
            limit_px: 4096 * 2176,
        },
        Refusal::TooManyStreams { limit: 16 },
        Refusal::TooManyFrames {
            frames: 600_000,
            limit: 164_000,
        },
        Refusal::TooLarge {
            size_bytes,
            limit_bytes,
        },
        Refusal::OverLimit {
            what: "[mov @ 0x55] av_malloc failed".to_owned(),
        },
    ]
}

fn notices() -> Vec<Notice> {
    let converting = |done_us, elapsed_s| Notice::Converting {
        progress: Progress {
            done_us,
            total_us: 60_000_000,
            frames: 1,
            out_bytes: 1,
            ..Progress::default()
        },
        elapsed_s,
    };
    let mut notices = vec![
        Notice::Queued { position: 3 },
        Notice::Fetching {
            done_bytes: 1 << 20,
            total_bytes: 0,
        },
        Notice::Fetching {
            done_bytes: 5 << 20,
            total_bytes: 13_000_000,
        },
        converting(0, 0.5),
        converting(34_200_000, 10.7),
        converting(60_000_000, 18.0),
        Notice::Sending {
            done_bytes: 4_000_000,
            total_bytes: 4_000_000,
        },
        Notice::Paused,
        Notice::Canceled,
    ];
    notices.extend(reasons().into_iter().map(|reason| Notice::Failed { reason }));
    let batch = |files, failed, now: Option<Notice>| Notice::Batch {
        files,
        done: 1,
        failed,
        now: now.map(Box::new),
    };
    notices.push(batch(2, 0, Some(converting(34_200_000, 10.7))));
    notices.push(batch(5, 2, None));
    for results in [0, 1, 3, 5] {
        notices.push(Notice::BatchOver {
            results: (0..results).map(|_| result(640, true, true)).collect(),
            failures: match results {
                3 => Vec::new(),
                _ => vec![(2, Reason::Network), (10, Reason::SourceGone)],
            },
        });
    }
    notices.push(Notice::BatchOver {
        results: Vec::new(),
        failures: vec![(1, Reason::Unconfirmed), (2, Reason::Unconfirmed)],
    });
    notices
}

fn result(width: u32, video_copied: bool, audio_copied: bool) -> Parcel {
    Parcel {
        kind: if width == 0 {
            ParcelKind::Audio
        } else {
            ParcelKind::Video
        },
        width,
        height: width,
        duration_s: 8.0,
        in_bytes: 13_000_000,
        out_bytes: 40_000,
        video_copied,
        audio_copied,
        silent: false,
        wall_s: 72.4,
        warnings: if audio_copied {
            vec![]
        } else {
            vec![
                Warning::Damaged {
                    lost_percent: 12,
                    frames_lost: 30,
                    decode_errors: 4,
                },
                Warning::SilentTrack,
            ]
        },
        file_id: None,
        look: None,
    }
}

fn captions(lang: Lang) -> Vec<String> {
    let mut captions = Vec::new();
    for (width, video_copied, audio_copied) in [
        (640, true, true),
        (640, true, false),
        (640, false, true),
        (640, false, false),
        (0, true, true),
        (0, true, false),
    ] {
        captions.push(text::caption(lang, &result(width, video_copied, audio_copied)));
    }
    captions
}

/// Every way to go, and times from short to long.
fn outlooks() -> Vec<(Wish, Outlook)> {
    use Action::{Copy, Encode, None as Nothing};
    let makes = |video, audio, about_s| Outlook::Makes(Forecast { video, audio, about_s });
    let no_sound = Refusal::NoStream {
        wanted: "audio".to_owned(),
    };
    let no_encoder = Refusal::NoEncoder {
        codec: "AV1".to_owned(),
    };
    [
        ("play", makes(Copy, Copy, 0.3)),
        ("small", makes(Encode, Copy, 7.7)),
        ("audio", Outlook::Refuses(no_sound)),
        ("note", makes(Encode, Encode, 43.0)),
        ("gif", makes(Encode, Nothing, 59.0)),
        ("best", makes(Copy, Encode, 1.2)),
        ("voice", makes(Nothing, Encode, 200.0)),
        ("sheet", makes(Encode, Nothing, 4000.0)),
        ("av1", Outlook::Refuses(no_encoder)),
    ]
    .map(|(words, outlook)| (words.parse().unwrap(), outlook))
    .to_vec()
}

/// What /info says of a file: announced only, and looked into.
fn infos(lang: Lang) -> Vec<String> {
    let source = Source {
        file_id: "F".to_owned(),
        file_unique_id: "U".to_owned(),
        size_bytes: Some(13_000_000),
        announced: Announced {
            duration_s: 75,
            width: 1080,
            height: 1920,
        },
    };
    let sound = |title: &str, channels, language: Option<&str>| Sound {
        title: title.to_owned(),
        channels,
        sample_rate: 44_100,
        language: language.map(str::to_owned),
    };
    let film = Look {
        container: "Matroska".to_owned(),
        duration_s: Some(75.4),
        picture: Some(Picture {
            title: "HEVC Main 10".to_owned(),
            width: 1080,
            height: 1920,
            fps: 29.97,
            bits: 10,
            hdr: true,
            interlaced: true,
        }),
        sounds: vec![
            sound("AAC-LC", 2, Some("rus")),
            sound("Opus", 1, None),
            sound("AC-3", 6, None),
        ],
        subtitles: 2,
    };
    let nothing = Look {
        container: "GIF".to_owned(),
        duration_s: None,
        picture: None,
        sounds: vec![],
        subtitles: 0,
    };
    let mut words = [None, Some(&film), Some(&nothing)]
        .map(|look| info::words(lang, &source, look))
        .to_vec();
    for look in [film, nothing] {
        for more in [false, true] {
            let outlooks = outlooks();
            let look = look.clone();
            words.push(looks::words(lang, &source, &Seen { look, outlooks }, more));
        }
    }
    words
}

/// Everything that a reader of this language can be told, with its key or its cause.
fn everything(lang: Lang, language: &str) -> String {
    let mut lines = Vec::new();
    for notice in notices() {
        let name = match &notice {
            Notice::BatchOver { results, failures } => format!("BatchOver: {} results, {failures:?}", results.len()),
            notice => format!("{notice:?}"),
        };
        lines.push(format!("{name}\n{}", text::notice(lang, &notice)));
    }
    for caption in captions(lang) {
        lines.push(format!("caption\n{caption}"));
    }
    for info in infos(lang) {
        lines.push(format!("info\n{info}"));
    }
    let values = |count: u64| -> Vec<(&'static str, Value)> {
        let mut values: Vec<(&'static str, Value)> = [
            "limit", "position", "count", "percent", "min", "hours", "attempt", "files", "done", "lost",
        ]
        .map(|name| (name, count.into()))
        .to_vec();
        values.extend(
            [
                "preset",
                "size",
                "bar",
                "speed",
                "left",
                "job",
                "default",
                "language",
                "before",
                "after",
                "took",
                "what",
                "wanted",
                "value",
                "width",
                "height",
                "given",
                "about",
                "id",
                "user",
                "version",
                "running",
                "queued",
                "succeeded",
                "failed",
                "canceled",
                "users",
                "quarantined",
                "facts",
                "number",
                "reason",
                "button",
                "time",
            ]
            .map(|name| (name, format!("‹{name}›").into())),
        );
        values
    };
    for key in keys(language) {
        for count in [1, 3, 5] {
            let line = format!("{key}\n{}", text::tell(lang, &key, &values(count)));
            if lines.last() != Some(&line) {
                lines.push(line);
            }
        }
    }
    lines.join("\n\n")
}

#[test]
fn every_word_in_english() {
    let words = everything(Lang::En, "en");
    assert!(!words.contains("{ $") && !words.contains("Unknown"), "{words}");
    insta::assert_snapshot!("words_en", words);
}

#[test]
fn every_word_in_russian() {
    let words = everything(Lang::Ru, "ru");
    assert!(!words.contains("{ $") && !words.contains("Unknown"), "{words}");
    insta::assert_snapshot!("words_ru", words);
}

#[test]
fn no_message_lets_the_engine_speak() {
    for lang in [Lang::En, Lang::Ru] {
        for notice in notices() {
            let words = text::notice(lang, &notice);
            assert!(!words.contains("malloc") && !words.contains('@'), "{words}");
        }
    }
}

#[test]
fn a_size_over_the_limit_never_reads_as_the_limit() {
    let reason = Reason::TooLargeToFetch {
        size_bytes: (20 << 20) + 1,
        limit_bytes: 20 << 20,
    };
    assert!(text::reason(Lang::En, &reason).contains("20.1 MB"));
    assert!(text::reason(Lang::Ru, &reason).contains("20,1 МБ"));
}

#[test]
fn every_fault_of_a_wish_says_what_was_given_and_what_is_allowed() {
    for fault in Fault::EACH {
        for (lang, said) in [(Lang::En, "such as"), (Lang::Ru, "например")] {
            let words = text::fault(lang, fault, "xyz".to_owned());
            assert!(words.contains("xyz"), "{words}");
            assert!(words.contains(said) || fault == Fault::Word, "{words}");
        }
    }
}

#[test]
fn every_preset_has_a_button_in_both_languages() {
    let wishes = [
        "play",
        "small",
        "fit:25M",
        "best",
        "hevc",
        "av1",
        "audio",
        "voice",
        "note",
        "gif",
        "sticker",
        "sheet",
        "play file",
    ];
    for wish in wishes {
        let wish: Wish = wish.parse().unwrap();
        for words in [text::wish(Lang::En, wish), text::wish(Lang::Ru, wish)] {
            assert!(!words.contains("button-") && !words.contains("Unknown"), "{words}");
        }
    }
}
