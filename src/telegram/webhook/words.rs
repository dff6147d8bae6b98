//! What the platform says of a webhook: what is new of it, and without what the log must not hold. Pure: the clock is an
//! argument.

use std::time::{Duration, Instant};

use reqwest::Url;
use serde_json::Value;

const INSTEAD: &str = "(hidden)";
/// The same words are told again after this.
const TOLD_EVERY: Duration = Duration::from_secs(600);

/// What must not be in a line of the log, longest first.
pub(super) struct Private(Vec<String>);

impl Private {
    pub(super) fn of(url: &Url, secret: &str) -> Self {
        let mut words = vec![url.to_string(), secret.to_owned()];
        words.extend(url.host_str().map(str::to_owned));
        // A path that is `/` says nothing, and stands in many words.
        words.extend(
            [url.path()]
                .iter()
                .filter(|path| path.len() > 1)
                .map(|path| (*path).to_owned()),
        );
        words.retain(|word| !word.is_empty());
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        Self(words)
    }

    pub(super) fn hidden(&self, words: &str) -> String {
        let hide = |words: String, private: &String| words.replace(private, INSTEAD);
        self.0.iter().fold(words.to_owned(), hide)
    }
}

/// The platform's last complaint, as far as it was told.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Of the last complaint, Unix seconds; `None` before the first look.
    seen_s: Option<i64>,
    told: Option<(String, Instant)>,
}

impl News {
    /// What to tell of a `WebhookInfo`. Complaints from before the first look are of the time when nothing listened.
    pub(super) fn read(&mut self, info: &Value, now: Instant) -> Option<String> {
        let at_s = info["last_error_date"].as_i64().unwrap_or_default();
        let before_s = self.seen_s.replace(at_s)?;
        let words = info["last_error_message"].as_str().unwrap_or_default();
        let told_lately = self
            .told
            .as_ref()
            .is_some_and(|(told, at)| told == words && now.saturating_duration_since(*at) < TOLD_EVERY);
        if at_s <= before_s || told_lately {
            return None;
        }
        self.told = Some((words.to_owned(), now));
        Some(words.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use reqwest::Url;
    use serde_json::json;

    use super::{News, Private, TOLD_EVERY};

    #[test]
    fn neither_url_nor_secret_is_in_what_is_told() {
        let url = Url::parse("https://bot.example.org/deep/path").expect("a URL");
        let private = Private::of(&url, "open-sesame");
        let words = "https://bot.example.org/deep/path said open-sesame: no host bot.example.org, POST /deep/path, 404";
        assert_eq!(
            private.hidden(words),
            "(hidden) said (hidden): no host (hidden), POST (hidden), 404"
        );
        let root = Private::of(&Url::parse("https://h.example/").expect("a URL"), "s");
        assert_eq!(root.hidden("1/2 of h.example"), "1/2 of (hidden)");
    }

    #[test]
    fn a_complaint_is_told_once_and_the_same_again_after_ten_minutes() {
        let (mut news, now) = (News::default(), Instant::now());
        let info = |at: i64, words: &str| json!({ "url": "x", "last_error_date": at, "last_error_message": words });
        assert_eq!(news.read(&info(5, "refused"), now), None, "of before the start");
        assert_eq!(news.read(&info(5, "refused"), now), None);
        assert_eq!(news.read(&info(6, "refused"), now).as_deref(), Some("refused"));
        assert_eq!(news.read(&info(7, "refused"), now), None, "told");
        assert_eq!(news.read(&info(8, "timed out"), now).as_deref(), Some("timed out"));
        let later = now + TOLD_EVERY + Duration::from_secs(1);
        assert_eq!(news.read(&info(8, "timed out"), later), None, "none is new");
        assert_eq!(news.read(&info(9, "timed out"), later).as_deref(), Some("timed out"));
        // None yet.
        let mut news = News::default();
        assert_eq!(news.read(&json!({ "url": "x" }), now), None);
        assert_eq!(news.read(&info(1, "refused"), now).as_deref(), Some("refused"));
    }
}
