//! What the process may touch, from the settings alone: known before the first thread, so before devices are proven and
//! the token is read.

use std::path::{Path, PathBuf};

use super::{API_URL, Config, ConfigError, FILE_NAME, Settings, read_file, role::database, wrong};
use crate::media::confine::{Confine, Rooms};
use crate::store::Database;

/// What HTTP clients take a proxy from.
const PROXIES: [&str; 6] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
];
/// Where a proxy's address names no port and its scheme has none (SOCKS, RFC 1928).
const SOCKS_PORT: u16 = 1080;
const POSTGRES_PORT: u16 = 5432;

impl Config {
    /// Whether the process is walled in, and what stays open to it. All folders that it writes to are made.
    ///
    /// # Errors
    /// [`ConfigError`] with the value and a hint.
    pub fn rooms(given: &Settings, path: Option<&Path>) -> Result<(Confine, Rooms), ConfigError> {
        let file = read_file(path)?;
        let one = |get: fn(&Settings) -> &Option<PathBuf>| get(given).clone().or_else(|| get(&file).clone());
        let api_url = given.api_url.as_deref().or(file.api_url.as_deref());
        let mut read = vec![path.unwrap_or(Path::new(FILE_NAME)).to_owned()];
        read.extend(one(|settings| &settings.token_file));
        let database = database(given, &file)?;
        let mut write = vec![
            one(|settings| &settings.work_dir).unwrap_or_else(|| PathBuf::from(super::WORK_DIR)),
            one(|settings| &settings.log_dir).unwrap_or_else(|| PathBuf::from(super::LOG_DIR)),
        ];
        write.extend(database.file().map(folder_of));
        for folder in &write {
            std::fs::create_dir_all(folder).map_err(|error| {
                wrong(
                    format!("the folder `{}` cannot be made: {error}", folder.display()),
                    "name a folder that kadr may write to",
                )
            })?;
        }
        write.extend(one(|settings| &settings.api_local_root));
        let proxies = PROXIES.iter().filter_map(|name| std::env::var(name).ok());
        let server = match &database {
            Database::Sqlite(_) => None,
            // The port that is its own where none is named.
            Database::Postgres { url, .. } => {
                Some(port(url).filter(|port| *port != SOCKS_PORT).unwrap_or(POSTGRES_PORT))
            }
        };
        let ports = proxies
            .chain([api_url.unwrap_or(API_URL).to_owned()])
            .filter_map(|url| port(&url))
            .chain(server);
        let rooms = Rooms {
            read,
            write,
            ports: ports.collect(),
        };
        Ok((given.confine.or(file.confine).unwrap_or_default(), rooms))
    }
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The port of an address, which may lack its scheme.
fn port(url: &str) -> Option<u16> {
    let url = if url.contains("://") {
        reqwest::Url::parse(url)
    } else {
        reqwest::Url::parse(&format!("http://{url}"))
    };
    let url = url.ok().filter(reqwest::Url::has_host)?;
    Some(url.port_or_known_default().unwrap_or(SOCKS_PORT))
}

#[cfg(test)]
mod tests {
    use super::port;

    #[test]
    fn the_port_of_an_address_is_said_or_known() {
        assert_eq!(port("http://127.0.0.1:8081"), Some(8081));
        assert_eq!(port("https://api.telegram.org"), Some(443));
        assert_eq!(port("proxy:3128"), Some(3128));
        assert_eq!(port("socks5://user:secret@proxy"), Some(1080));
        assert_eq!(port(""), None);
    }
}
