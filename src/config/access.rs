//! Who is served, and who operates.

use super::{ConfigError, Settings, wrong};
use crate::telegram::access::{Access, Place};

pub(super) fn access(given: &Settings, file: &Settings) -> Result<Access, ConfigError> {
    let list = |text: &Option<String>, other: &Option<String>| -> Result<Vec<Place>, ConfigError> {
        let text = text.clone().or_else(|| other.clone()).unwrap_or_default();
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| {
                item.parse().map_err(|what: String| {
                    wrong(what, "a person learns their id from the bot when they are turned away")
                })
            })
            .collect()
    };
    let admins = list(&given.admins, &file.admins)?;
    let admins = admins.into_iter().map(|place| match place {
        Place::Person(user) => Ok(user),
        Place::Chat(_) | Place::Topic(..) => Err(wrong(
            format!("admin `{place}` is no person"),
            "KADR_ADMINS holds ids of people; KADR_ALLOWED may hold chats",
        )),
    });
    Ok(Access {
        admins: admins.collect::<Result<_, _>>()?,
        allowed: list(&given.allowed, &file.allowed)?,
    })
}
