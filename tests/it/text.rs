//! The words: both languages say everything, and say it right.

use std::collections::BTreeSet;

use kadr::job::Lang;
use kadr::telegram::text;

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
