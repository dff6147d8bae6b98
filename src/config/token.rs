//! Where the token comes from, and that it is one. A file that holds it is for kadr's eyes.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{ConfigError, Settings, wrong};

/// Mounted for one container alone, and by some engines with mode 0444.
const SECRETS: &str = "/run/secrets";

/// A file that holds the token and nothing else.
fn read_token(path: &Path) -> Result<String, ConfigError> {
    let unread = |error: std::io::Error| {
        wrong(
            format!("token file `{}` does not read: {error}", path.display()),
            "check the path",
        )
    };
    let mode = std::fs::metadata(path).map_err(unread)?.permissions().mode() & 0o7777;
    if mode & 0o007 != 0 && !path.starts_with(SECRETS) {
        return Err(wrong(
            format!(
                "token file `{}` is open to everybody: mode {mode:04o} (allowed 0640 or less)",
                path.display()
            ),
            "`chmod 600` it; of a secret in a container set the mode where it is mounted",
        ));
    }
    std::fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .map_err(unread)
}

pub(super) fn token(given: &Settings, file: &Settings) -> Result<String, ConfigError> {
    let token = match (&given.token, &given.token_file, &file.token, &file.token_file) {
        (Some(token), ..) => token.clone(),
        (None, Some(path), ..) => read_token(path)?,
        (None, None, Some(token), _) => token.clone(),
        (None, None, None, Some(path)) => read_token(path)?,
        (None, None, None, None) => {
            return Err(wrong(
                "no bot token is set",
                "set TELEGRAM_BOT_TOKEN; @BotFather gives one, `kadr demo` needs none",
            ));
        }
    };
    let well_formed = token.split_once(':').is_some_and(|(id, secret)| {
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()) && secret.len() >= 20
    });
    if well_formed {
        Ok(token)
    } else {
        Err(wrong(
            "the bot token is malformed (123456:ABC… expected)",
            "copy it from @BotFather again",
        ))
    }
}
