//! Where the process can be watched.

use std::net::SocketAddr;
use std::path::Path;

use super::{Config, ConfigError, Settings, read_file, wrong};

/// An address that is listened on, and who may look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Of this machine.
    pub address: SocketAddr,
    /// Asked for on the page and by the metrics; never where only this machine reaches the address.
    pub token: Option<String>,
}

impl Config {
    /// Where the process can be watched, alone: listened on before walls stand.
    ///
    /// # Errors
    /// [`ConfigError`] with the value and a hint.
    pub fn watch(given: &Settings, path: Option<&Path>) -> Result<Option<Watch>, ConfigError> {
        read(given, &read_file(path)?)
    }
}

pub(super) fn read(given: &Settings, file: &Settings) -> Result<Option<Watch>, ConfigError> {
    let token = given.watch_token.clone().or_else(|| file.watch_token.clone());
    let token = token.filter(|token| !token.is_empty());
    let Some(text) = given.watch.as_deref().or(file.watch.as_deref()) else {
        return Ok(None);
    };
    let address: SocketAddr = text.parse().map_err(|_| {
        wrong(
            format!("watch is `{text}`, which is no address with a port"),
            "such as 127.0.0.1:9464, or 0.0.0.0:9464 with KADR_WATCH_TOKEN for other machines",
        )
    })?;
    if !address.ip().is_loopback() && token.is_none() {
        return Err(wrong(
            format!("other machines reach {address}, and no token is set"),
            "set KADR_WATCH_TOKEN, or watch on 127.0.0.1",
        ));
    }
    Ok(Some(Watch { address, token }))
}

#[cfg(test)]
mod tests {
    use super::{Settings, read};

    fn settings(watch: &str, token: Option<&str>) -> Settings {
        Settings {
            watch: Some(watch.to_owned()),
            watch_token: token.map(str::to_owned),
            ..Settings::default()
        }
    }

    #[test]
    fn what_others_reach_needs_a_token() {
        let none = Settings::default();
        assert_eq!(read(&none, &none).ok(), Some(None));
        let own = read(&settings("127.0.0.1:9464", None), &none).expect("this machine alone");
        assert_eq!(own.map(|watch| watch.token), Some(None));
        let error = read(&settings("0.0.0.0:9464", None), &none).expect_err("open to all");
        assert_eq!(error.what, "other machines reach 0.0.0.0:9464, and no token is set");
        let empty = read(&settings("[::]:9464", Some("")), &none);
        assert!(empty.is_err(), "an empty token is none");
        // The token may come from the other source.
        let both = read(&settings("[::]:9464", None), &settings("127.0.0.1:1", Some("secret")));
        assert_eq!(
            both.ok().flatten().and_then(|watch| watch.token).as_deref(),
            Some("secret")
        );
        let error = read(&settings("9464", None), &none).expect_err("no address");
        assert_eq!(error.what, "watch is `9464`, which is no address with a port");
    }
}
