//! Updates as the platform sent them, and what handlers keep of people: dialogues and settings.

use sqlx::{AnyConnection, Row};

use super::rows::now;
use crate::job::{ChatId, UserId};
use crate::store::{InboxUpdate, Result};

/// Handled updates are remembered twice as long as the platform keeps undelivered ones.
const KEPT_S: i64 = 48 * 3600;

pub(super) async fn record_updates(
    connection: &mut AnyConnection,
    updates: &[InboxUpdate],
) -> Result<Vec<InboxUpdate>> {
    let mut new = Vec::new();
    for update in updates {
        let written =
            sqlx::query("INSERT INTO inbox (update_id, payload, received) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
                .bind(update.update_id)
                .bind(update.payload.clone())
                .bind(now())
                .execute(&mut *connection)
                .await?;
        if written.rows_affected() == 1 {
            new.push(update.clone());
        }
    }
    Ok(new)
}

pub(super) async fn unhandled_updates(connection: &mut AnyConnection) -> Result<Vec<InboxUpdate>> {
    let rows = sqlx::query("SELECT update_id, payload FROM inbox WHERE payload IS NOT NULL ORDER BY update_id")
        .fetch_all(connection)
        .await?;
    Ok(rows
        .iter()
        .map(|row| InboxUpdate {
            update_id: row.get(0),
            payload: row.get(1),
        })
        .collect())
}

pub(super) async fn mark_handled(connection: &mut AnyConnection, update_id: i64) -> Result<()> {
    sqlx::query("UPDATE inbox SET payload = NULL WHERE update_id = $1")
        .bind(update_id)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn forget_handled(connection: &mut AnyConnection) -> Result<()> {
    sqlx::query("DELETE FROM inbox WHERE payload IS NULL AND received < $1")
        .bind(now() - KEPT_S)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn dialogue(connection: &mut AnyConnection, chat: ChatId, user: UserId) -> Result<Option<String>> {
    let row = sqlx::query("SELECT state FROM dialogues WHERE chat = $1 AND person = $2")
        .bind(chat.0)
        .bind(user.0)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| row.get(0)))
}

pub(super) async fn set_dialogue(
    connection: &mut AnyConnection,
    chat: ChatId,
    user: UserId,
    state: Option<&str>,
) -> Result<()> {
    let query = match state {
        Some(state) => sqlx::query(
            "INSERT INTO dialogues (chat, person, state) VALUES ($1, $2, $3) \
             ON CONFLICT (chat, person) DO UPDATE SET state = excluded.state",
        )
        .bind(chat.0)
        .bind(user.0)
        .bind(state.to_owned()),
        None => sqlx::query("DELETE FROM dialogues WHERE chat = $1 AND person = $2")
            .bind(chat.0)
            .bind(user.0),
    };
    query.execute(connection).await?;
    Ok(())
}

pub(super) async fn settings(connection: &mut AnyConnection, user: UserId) -> Result<Option<String>> {
    let row = sqlx::query("SELECT settings FROM settings WHERE person = $1")
        .bind(user.0)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| row.get(0)))
}

pub(super) async fn set_settings(connection: &mut AnyConnection, user: UserId, settings: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO settings (person, settings) VALUES ($1, $2) \
         ON CONFLICT (person) DO UPDATE SET settings = excluded.settings",
    )
    .bind(user.0)
    .bind(settings.to_owned())
    .execute(connection)
    .await?;
    Ok(())
}
