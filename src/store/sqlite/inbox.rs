//! Updates as the platform sent them, and what handlers keep of people: dialogues and settings.

use sqlx::{Row, SqliteConnection};

use super::rows::{now, write};
use crate::job::{ChatId, UserId};
use crate::store::{InboxUpdate, Result};

/// Handled updates are remembered twice as long as the platform keeps undelivered ones.
const KEPT_S: i64 = 48 * 3600;

pub(super) async fn record_updates(
    connection: &mut SqliteConnection,
    updates: Vec<InboxUpdate>,
) -> Result<Vec<InboxUpdate>> {
    let mut transaction = write(connection).await?;
    let mut new = Vec::new();
    for update in updates {
        let written =
            sqlx::query("INSERT INTO inbox (update_id, payload, received) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
                .bind(update.update_id)
                .bind(&update.payload)
                .bind(now())
                .execute(&mut *transaction)
                .await?;
        if written.rows_affected() == 1 {
            new.push(update);
        }
    }
    transaction.commit().await?;
    Ok(new)
}

pub(super) async fn unhandled_updates(connection: &mut SqliteConnection) -> Result<Vec<InboxUpdate>> {
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

pub(super) async fn mark_handled(connection: &mut SqliteConnection, update_id: i64) -> Result<()> {
    sqlx::query("UPDATE inbox SET payload = NULL WHERE update_id = ?")
        .bind(update_id)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn forget_handled(connection: &mut SqliteConnection) -> Result<()> {
    sqlx::query("DELETE FROM inbox WHERE payload IS NULL AND received < ?")
        .bind(now() - KEPT_S)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn dialogue(connection: &mut SqliteConnection, chat: ChatId, user: UserId) -> Result<Option<String>> {
    let row = sqlx::query("SELECT state FROM dialogues WHERE chat = ? AND user = ?")
        .bind(chat.0)
        .bind(user.0)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| row.get(0)))
}

pub(super) async fn set_dialogue(
    connection: &mut SqliteConnection,
    chat: ChatId,
    user: UserId,
    state: Option<String>,
) -> Result<()> {
    let query = match &state {
        Some(state) => sqlx::query("INSERT OR REPLACE INTO dialogues (chat, user, state) VALUES (?, ?, ?)")
            .bind(chat.0)
            .bind(user.0)
            .bind(state),
        None => sqlx::query("DELETE FROM dialogues WHERE chat = ? AND user = ?")
            .bind(chat.0)
            .bind(user.0),
    };
    query.execute(connection).await?;
    Ok(())
}

pub(super) async fn settings(connection: &mut SqliteConnection, user: UserId) -> Result<Option<String>> {
    let row = sqlx::query("SELECT settings FROM settings WHERE user = ?")
        .bind(user.0)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| row.get(0)))
}

pub(super) async fn set_settings(connection: &mut SqliteConnection, user: UserId, settings: String) -> Result<()> {
    sqlx::query("INSERT OR REPLACE INTO settings (user, settings) VALUES (?, ?)")
        .bind(user.0)
        .bind(settings)
        .execute(connection)
        .await?;
    Ok(())
}
