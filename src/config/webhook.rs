//! Whether updates are asked for or sent to an address of ours, and that the platform can take that address.
//!
//! Nothing said here quotes the URL or the secret: what is wrong with them is told in words.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use reqwest::Url;

use super::{API_URL, Config, ConfigError, Settings, read_file, wrong};
use crate::telegram::webhook::Webhook;

/// Behind a proxy on the same machine; the port is one of the platform's, so that it may also be the outer one.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8443);
/// Of the cloud Bot API (telegram-bot-api, `WebhookActor.cpp`).
const PORTS: [u16; 4] = [443, 80, 88, 8443];
/// Of `setWebhook`.
const SECRET_LETTERS_MAX: usize = 256;

impl Config {
    /// Where updates arrive, alone: listened on before walls stand.
    ///
    /// # Errors
    /// [`ConfigError`] with a hint.
    pub fn webhook(given: &Settings, path: Option<&Path>) -> Result<Option<SocketAddr>, ConfigError> {
        Ok(read(given, &read_file(path)?)?.map(|webhook| webhook.listen))
    }
}

pub(super) fn read(given: &Settings, file: &Settings) -> Result<Option<Webhook>, ConfigError> {
    let one = |get: fn(&Settings) -> &Option<String>| {
        let set = get(given).as_deref().or(get(file).as_deref());
        set.filter(|text| !text.is_empty())
    };
    let Some(text) = one(|settings| &settings.webhook_url) else {
        return Ok(None);
    };
    let is_cloud = one(|settings| &settings.api_url).is_none_or(|api_url| api_url == API_URL);
    let secret = one(|settings| &settings.webhook_secret);
    secret.map(check_secret).transpose()?;
    Ok(Some(Webhook {
        url: url(text, is_cloud)?,
        listen: one(|settings| &settings.webhook_listen).map_or(Ok(LISTEN), address)?,
        secret: secret.map(str::to_owned),
        listener: None,
    }))
}

fn address(text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| {
        wrong(
            format!("webhook_listen is `{text}`, which is no address with a port"),
            "such as 127.0.0.1:8443 behind a proxy on this machine, or 0.0.0.0:8443 in a container",
        )
    })
}

/// As the Bot API server would judge it, but at once.
fn url(text: &str, is_cloud: bool) -> Result<Url, ConfigError> {
    let malformed = || {
        wrong(
            "the webhook URL is malformed (https://HOST/PATH expected)",
            "such as https://bot.example.org/kadr, where a TLS proxy passes on to `--webhook-listen`",
        )
    };
    let url = Url::parse(text).map_err(|_| malformed())?;
    match url.scheme() {
        "https" => {}
        "http" if !is_cloud => {}
        "http" => {
            return Err(wrong(
                "the webhook URL begins with http (allowed https; http with a Bot API server of one's own)",
                "put a TLS proxy before kadr, or set TELEGRAM_API_URL to a server of one's own",
            ));
        }
        _ => return Err(malformed()),
    }
    if !url.has_host() {
        return Err(malformed());
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(wrong(
            "the webhook URL holds a user name, a password or a fragment (allowed host, port, path and query)",
            "KADR_WEBHOOK_SECRET is what proves that Telegram sends",
        ));
    }
    let port = url.port_or_known_default().unwrap_or_default();
    if is_cloud && !PORTS.contains(&port) {
        return Err(wrong(
            format!("the webhook URL has port {port} (allowed 443, 80, 88 or 8443)"),
            "the cloud Bot API sends to no other; the proxy may pass on to any that `--webhook-listen` names",
        ));
    }
    Ok(url)
}

fn check_secret(secret: &str) -> Result<(), ConfigError> {
    let hint = "`openssl rand -hex 32` makes one; without KADR_WEBHOOK_SECRET kadr makes one at each start";
    let letters = secret.chars().count();
    if letters > SECRET_LETTERS_MAX {
        return Err(wrong(
            format!("the webhook secret has {letters} characters (allowed 1 to {SECRET_LETTERS_MAX})"),
            hint,
        ));
    }
    if secret
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    {
        return Ok(());
    }
    Err(wrong(
        "the webhook secret holds other characters than A-Z, a-z, 0-9, _ and -",
        hint,
    ))
}

#[cfg(test)]
mod tests {
    use super::{Settings, read};

    fn settings(url: &str) -> Settings {
        Settings {
            webhook_url: Some(url.to_owned()),
            ..Settings::default()
        }
    }

    #[track_caller]
    fn check_url(url: &str, api_url: Option<&str>, expected: Result<&str, &str>) {
        let file = Settings {
            api_url: api_url.map(str::to_owned),
            ..Settings::default()
        };
        let read = read(&settings(url), &file);
        let found = read.map(|webhook| webhook.map(|webhook| webhook.url.to_string()));
        let found = found.map_err(|error| error.what);
        assert_eq!(found, expected.map(|url| Some(url.to_owned())).map_err(str::to_owned));
    }

    #[test]
    fn a_url_that_the_platform_would_refuse_is_refused_in_words_that_do_not_quote_it() {
        let malformed = Err("the webhook URL is malformed (https://HOST/PATH expected)");
        let plain = Err("the webhook URL begins with http (allowed https; http with a Bot API server of one's own)");
        let own = Some("http://127.0.0.1:8081");
        check_url("https://bot.example.org", None, Ok("https://bot.example.org/"));
        check_url(
            "https://bot.example.org:8443/a?b=c",
            None,
            Ok("https://bot.example.org:8443/a?b=c"),
        );
        check_url("bot.example.org/kadr", None, malformed);
        check_url("ftp://bot.example.org/kadr", own, malformed);
        check_url("https://", None, malformed);
        check_url("http://bot.example.org/kadr", None, plain);
        check_url("http://bot.example.org/kadr", Some("https://api.telegram.org"), plain);
        check_url("http://127.0.0.1:9000/kadr", own, Ok("http://127.0.0.1:9000/kadr"));
        check_url(
            "https://bot.example.org:9000/kadr",
            None,
            Err("the webhook URL has port 9000 (allowed 443, 80, 88 or 8443)"),
        );
        for more in [
            "https://anna@h.example/",
            "https://anna:pass@h.example/",
            "https://h.example/#a",
        ] {
            check_url(
                more,
                None,
                Err("the webhook URL holds a user name, a password or a fragment (allowed host, port, path and query)"),
            );
        }
    }

    #[test]
    fn a_secret_has_the_letters_that_a_header_may_have() {
        let secret = |secret: &str| {
            let given = Settings {
                webhook_secret: Some(secret.to_owned()),
                ..settings("https://bot.example.org/kadr")
            };
            let read = read(&given, &Settings::default());
            read.map(|webhook| webhook.and_then(|webhook| webhook.secret))
                .map_err(|error| error.what)
        };
        assert_eq!(secret("aZ09_-"), Ok(Some("aZ09_-".to_owned())));
        assert_eq!(secret(&"a".repeat(256)), Ok(Some("a".repeat(256))));
        assert_eq!(
            secret(&"a".repeat(257)),
            Err("the webhook secret has 257 characters (allowed 1 to 256)".to_owned())
        );
        for wrong in ["a b", "a+b", "секрет", "a\n"] {
            assert_eq!(
                secret(wrong),
                Err("the webhook secret holds other characters than A-Z, a-z, 0-9, _ and -".to_owned())
            );
        }
        assert_eq!(secret(""), Ok(None), "empty is not set: one is made");
    }

    #[test]
    fn without_a_url_updates_are_asked_for_and_with_one_loopback_is_listened_on() {
        let none = Settings::default();
        assert!(matches!(read(&none, &none), Ok(None)));
        let empty = settings("");
        assert!(matches!(read(&empty, &none), Ok(None)));
        let url = settings("https://bot.example.org/kadr");
        let listen = |given: &Settings, file: &Settings| {
            let webhook = read(given, file).map_err(|error| error.what)?;
            Ok(webhook.expect("a webhook").listen.to_string())
        };
        assert_eq!(listen(&url, &none), Ok("127.0.0.1:8443".to_owned()));
        let file = Settings {
            webhook_listen: Some("0.0.0.0:9000".to_owned()),
            ..none
        };
        assert_eq!(listen(&url, &file), Ok("0.0.0.0:9000".to_owned()));
        let wrong = Settings {
            webhook_listen: Some("8443".to_owned()),
            ..url
        };
        assert_eq!(
            listen(&wrong, &file),
            Err::<String, _>("webhook_listen is `8443`, which is no address with a port".to_owned())
        );
    }
}
