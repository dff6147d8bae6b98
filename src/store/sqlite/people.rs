//! People and the whole: who may use the bot, who wants to be forgotten, how the work stands.

use sqlx::{Row, SqliteConnection};

use super::queue::cancel;
use super::rows::{DAY_S, now, write};
use crate::job::{Job, JobId, UserId};
use crate::store::{CancelAnswer, Result, Standing, Totals};

pub(super) async fn forget(connection: &mut SqliteConnection, user: UserId) -> Result<Vec<Job>> {
    let mut transaction = write(connection).await?;
    let alive: Vec<i64> = sqlx::query("SELECT id FROM jobs WHERE user = ? AND status IN ('queued', 'running')")
        .bind(user.0)
        .fetch_all(&mut *transaction)
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect();
    let mut canceled = Vec::new();
    for id in alive {
        if let CancelAnswer::Canceled(job) = cancel(&mut transaction, JobId(id), Some(user)).await? {
            canceled.push(job);
        }
    }
    for sql in [
        "DELETE FROM jobs WHERE user = ? AND status NOT IN ('queued', 'running')",
        "UPDATE jobs SET forgotten = 1 WHERE user = ?",
        "DELETE FROM settings WHERE user = ?",
        "DELETE FROM dialogues WHERE user = ?",
        "DELETE FROM questions WHERE user = ?",
    ] {
        sqlx::query(sql).bind(user.0).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(canceled)
}

pub(super) async fn standing(connection: &mut SqliteConnection, user: UserId) -> Result<Option<Standing>> {
    let row = sqlx::query("SELECT banned FROM people WHERE user = ?")
        .bind(user.0)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| {
        if row.get::<bool, _>(0) {
            Standing::Banned
        } else {
            Standing::Allowed
        }
    }))
}

pub(super) async fn set_standing(
    connection: &mut SqliteConnection,
    user: UserId,
    standing: Option<Standing>,
) -> Result<()> {
    let query = match standing {
        None => sqlx::query("DELETE FROM people WHERE user = ?").bind(user.0),
        Some(standing) => sqlx::query("INSERT OR REPLACE INTO people VALUES (?, ?)")
            .bind(user.0)
            .bind(standing == Standing::Banned),
    };
    query.execute(connection).await?;
    Ok(())
}

pub(super) async fn totals(connection: &mut SqliteConnection) -> Result<Totals> {
    let mut totals = Totals::default();
    let rows = sqlx::query(
        "SELECT status, COUNT(*) FROM jobs WHERE ended > ? OR status = 'running' GROUP BY status \
         UNION ALL SELECT 'queued', count FROM waiting",
    )
    .bind(now() - DAY_S)
    .fetch_all(&mut *connection)
    .await?;
    for row in rows {
        let count = row.get::<i64, _>(1).unsigned_abs();
        match row.get::<String, _>(0).as_str() {
            "queued" => totals.queued = count,
            "running" => totals.running = count,
            "succeeded" => totals.succeeded = count,
            "canceled" => totals.canceled = count,
            _ => totals.failed += count,
        }
    }
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM quarantine WHERE until > ?1), (SELECT COUNT(*) FROM days WHERE day = ?1 / ?2), \
         EXISTS (SELECT 1 FROM drain), COALESCE(?1 - (SELECT created FROM jobs INDEXED BY jobs_line WHERE status = 'queued' \
         AND cached = 0 AND phase != 'deliver' ORDER BY turn, id LIMIT 1), 0)",
    )
    .bind(now())
    .bind(DAY_S)
    .fetch_one(connection)
    .await?;
    totals.quarantined = row.get::<i64, _>(0).unsigned_abs();
    totals.users = row.get::<i64, _>(1).unsigned_abs();
    totals.draining = row.get(2);
    totals.next_waits_s = u64::try_from(row.get::<i64, _>(3)).unwrap_or(0);
    Ok(totals)
}

pub(super) async fn set_draining(connection: &mut SqliteConnection, draining: bool) -> Result<()> {
    let query = if draining {
        sqlx::query("INSERT INTO drain SELECT ? WHERE NOT EXISTS (SELECT 1 FROM drain)").bind(now())
    } else {
        sqlx::query("DELETE FROM drain")
    };
    query.execute(connection).await?;
    Ok(())
}

pub(super) async fn lift_quarantine(connection: &mut SqliteConnection) -> Result<u64> {
    sqlx::query("DELETE FROM suspects").execute(&mut *connection).await?;
    let lifted = sqlx::query("DELETE FROM quarantine WHERE until > ?")
        .bind(now())
        .execute(connection)
        .await?;
    Ok(lifted.rows_affected())
}
