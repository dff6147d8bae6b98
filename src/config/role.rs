//! What this process does of a bot's work, and where the work is written down.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Config, ConfigError, Settings, WORK_DIR, read_file, wrong};
use crate::store::Database;

/// What a process does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum Role {
    /// Answers chats and converts.
    #[default]
    All,
    /// Answers chats, as long as no other process does.
    Chat,
    /// Converts and delivers.
    Worker,
}

impl Role {
    /// Whether it answers chats.
    #[must_use]
    pub fn chats(self) -> bool {
        self != Self::Worker
    }

    /// Whether it converts.
    #[must_use]
    pub fn works(self) -> bool {
        self != Self::Chat
    }

    /// Its word in the settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Chat => "chat",
            Self::Worker => "worker",
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::All, Self::Chat, Self::Worker]
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or_else(|| format!("`{text}` is none of all, chat and worker"))
    }
}

impl TryFrom<String> for Role {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl Config {
    /// The database alone, for what needs neither token nor engine.
    ///
    /// # Errors
    /// [`ConfigError`] with the value and a hint.
    pub fn database(given: &Settings, file: Option<&Path>) -> Result<Database, ConfigError> {
        database(given, &read_file(file)?)
    }

    /// The database's address as it may be shown.
    #[must_use]
    pub(super) fn shown(database: &Database) -> String {
        match database {
            Database::Sqlite(path) => format!("sqlite:{}", path.display()),
            Database::Postgres { url, .. } => without_password(url),
        }
    }
}

/// The word between the name of a user and the host is nobody's business; nor is what follows a `?`, which may hold it too.
fn without_password(url: &str) -> String {
    let address = url.split_once('?').map_or(url, |(address, _)| address);
    let Some((scheme, rest)) = address.split_once("://") else {
        return "postgres://(hidden)".to_owned();
    };
    match rest.rsplit_once('@') {
        Some((login, host)) => {
            let user = login.split_once(':').map_or(login, |(user, _)| user);
            format!("{scheme}://{user}:(hidden)@{host}")
        }
        None => address.to_owned(),
    }
}

pub(super) fn role(given: &Settings, file: &Settings, database: &Database) -> Result<Role, ConfigError> {
    let role = given.role.or(file.role).unwrap_or_default();
    match database {
        Database::Sqlite(path) if role != Role::All => Err(wrong(
            format!(
                "a process of the role `{}` shares its database with others, and `sqlite:{}` is of one process",
                role.name(),
                path.display()
            ),
            "name a PostgreSQL database with `--database postgres://USER:PASSWORD@HOST/NAME`",
        )),
        _ => Ok(role),
    }
}

pub(super) fn database(given: &Settings, file: &Settings) -> Result<Database, ConfigError> {
    let database = given.database.as_deref().or(file.database.as_deref());
    let database = database.unwrap_or("sqlite:data/kadr.db");
    if let Some(path) = database.strip_prefix("sqlite:") {
        return Ok(Database::Sqlite(PathBuf::from(path)));
    }
    if database.starts_with("postgres://") || database.starts_with("postgresql://") {
        if reqwest::Url::parse(database).is_err() {
            return Err(wrong(
                format!("database `{}` is no address", without_password(database)),
                "such as `postgres://USER:PASSWORD@HOST/NAME`",
            ));
        }
        let place = given.work_dir.clone().or_else(|| file.work_dir.clone());
        return Ok(Database::Postgres {
            url: database.to_owned(),
            place: place.unwrap_or_else(|| PathBuf::from(WORK_DIR)),
        });
    }
    Err(wrong(
        format!("database `{database}` is not known"),
        "use `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST/NAME`",
    ))
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::{Role, Settings, database, role, without_password};

    #[test]
    fn a_password_is_shown_to_nobody() {
        assert_eq!(
            without_password("postgres://kadr:s3cr@t@db:5433/kadr?password=s3cret"),
            "postgres://kadr:(hidden)@db:5433/kadr"
        );
        assert_eq!(without_password("postgresql://db/kadr"), "postgresql://db/kadr");
    }

    #[test]
    fn a_file_has_no_workers_of_its_own() {
        let settings = Settings {
            role: Some(Role::Worker),
            ..Settings::default()
        };
        let nothing = Settings::default();
        let file = database(&settings, &nothing).unwrap();
        assert!(role(&settings, &nothing, &file).is_err());
        let settings = Settings {
            database: Some("postgres://db/kadr".to_owned()),
            ..settings
        };
        let server = database(&settings, &nothing).unwrap();
        assert_eq!(role(&settings, &nothing, &server).unwrap(), Role::Worker);
    }
}
