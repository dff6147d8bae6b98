//! Looks at files that a question is open about: wanted by the chat's side, taken by the worker's, and what was seen; where
//! that is another process, it is handed back, for only the one that answers a chat changes its cards.

use sqlx::{AnyConnection, Row};

use super::rows::{DAY_S, json, now, parse};
use crate::job::{Question, Seen};
use crate::media::{Look, Refusal};
use crate::store::Result;

/// Looks of one person that may wait, and of all.
const PER_USER_MAX: i64 = 3;
const TOTAL_MAX: i64 = 100;

pub(super) async fn want(connection: &mut AnyConnection, question: &Question) -> Result<()> {
    sqlx::query(
        "INSERT INTO questions (person, question) SELECT $1, $2 \
         WHERE (SELECT COUNT(*) FROM questions WHERE person = $1) < $3 AND (SELECT COUNT(*) FROM questions) < $4",
    )
    .bind(question.origin.user.0)
    .bind(json(question)?)
    .bind(PER_USER_MAX)
    .bind(TOTAL_MAX)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn take(connection: &mut AnyConnection) -> Result<Option<Question>> {
    let row = sqlx::query("DELETE FROM questions WHERE id = (SELECT MIN(id) FROM questions) RETURNING question")
        .fetch_optional(connection)
        .await?;
    row.map(|row| parse(row.get("question"))).transpose()
}

/// What a look came to, for the process that has the card.
pub(super) async fn hand(
    connection: &mut AnyConnection,
    question: &Question,
    seen: &std::result::Result<Seen, Refusal>,
) -> Result<()> {
    sqlx::query("INSERT INTO handed (person, question, seen) VALUES ($1, $2, $3)")
        .bind(question.origin.user.0)
        .bind(json(question)?)
        .bind(json(seen)?)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn take_handed(
    connection: &mut AnyConnection,
) -> Result<Option<(Question, std::result::Result<Seen, Refusal>)>> {
    let row = sqlx::query("DELETE FROM handed WHERE id = (SELECT MIN(id) FROM handed) RETURNING question, seen")
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok((parse(row.get("question"))?, parse(row.get("seen"))?)))
        .transpose()
}

pub(super) async fn remember(
    connection: &mut AnyConnection,
    file_unique_id: &str,
    seen: &Seen,
    engine: &str,
) -> Result<()> {
    forget_old(connection).await?;
    sqlx::query(
        "INSERT INTO looks (unique_id, engine, seen, at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (unique_id) DO UPDATE SET engine = excluded.engine, seen = excluded.seen, at = excluded.at",
    )
    .bind(file_unique_id)
    .bind(engine)
    .bind(json(seen)?)
    .bind(now())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn seen(connection: &mut AnyConnection, file_unique_id: &str, engine: &str) -> Result<Option<Seen>> {
    let row = sqlx::query("SELECT seen FROM looks WHERE unique_id = $1 AND engine = $2 AND at >= $3")
        .bind(file_unique_id)
        .bind(engine)
        .bind(now() - DAY_S)
        .fetch_optional(connection)
        .await?;
    row.map(|row| parse(row.get("seen"))).transpose()
}

/// Of any engine: what a file is does not change.
pub(super) async fn look(connection: &mut AnyConnection, file_unique_id: &str) -> Result<Option<Look>> {
    let row = sqlx::query("SELECT seen FROM looks WHERE unique_id = $1 AND at >= $2")
        .bind(file_unique_id)
        .bind(now() - DAY_S)
        .fetch_optional(connection)
        .await?;
    let seen: Option<Seen> = row.map(|row| parse(row.get("seen"))).transpose()?;
    Ok(seen.map(|seen| seen.look))
}

/// At start: nobody waits for a look any more.
pub(super) async fn forget(connection: &mut AnyConnection) -> Result<()> {
    sqlx::query("DELETE FROM questions").execute(&mut *connection).await?;
    sqlx::query("DELETE FROM handed").execute(&mut *connection).await?;
    forget_old(connection).await
}

pub(super) async fn forget_old(connection: &mut AnyConnection) -> Result<()> {
    sqlx::query("DELETE FROM looks WHERE at < $1")
        .bind(now() - DAY_S)
        .execute(connection)
        .await?;
    Ok(())
}
