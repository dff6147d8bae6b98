//! People and the whole: who may use the bot, who wants to be forgotten, how the work stands.

use sqlx::{AnyConnection, Row};

use super::queue::cancel;
use super::rows::{DAY_S, indexed, now, parse};
use crate::job::{Job, JobId, Reason, UserId};
use crate::store::{CancelAnswer, Day, Failure, Hour, Result, Standing, Totals};

pub(super) async fn forget(connection: &mut AnyConnection, user: UserId) -> Result<Vec<Job>> {
    let alive: Vec<i64> = sqlx::query("SELECT id FROM jobs WHERE person = $1 AND status IN ('queued', 'running')")
        .bind(user.0)
        .fetch_all(&mut *connection)
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect();
    let mut canceled = Vec::new();
    for id in alive {
        if let CancelAnswer::Canceled(job) = cancel(&mut *connection, JobId(id), Some(user)).await? {
            canceled.push(job);
        }
    }
    for sql in [
        "DELETE FROM jobs WHERE person = $1 AND status NOT IN ('queued', 'running')",
        "UPDATE jobs SET forgotten = 1 WHERE person = $1",
        "DELETE FROM settings WHERE person = $1",
        "DELETE FROM dialogues WHERE person = $1",
        "DELETE FROM questions WHERE person = $1",
        "DELETE FROM handed WHERE person = $1",
    ] {
        sqlx::query(sql).bind(user.0).execute(&mut *connection).await?;
    }
    Ok(canceled)
}

pub(super) async fn standing(connection: &mut AnyConnection, user: UserId) -> Result<Option<Standing>> {
    let row = sqlx::query("SELECT banned FROM people WHERE person = $1")
        .bind(user.0)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| {
        if row.get::<i64, _>(0) != 0 {
            Standing::Banned
        } else {
            Standing::Allowed
        }
    }))
}

pub(super) async fn set_standing(
    connection: &mut AnyConnection,
    user: UserId,
    standing: Option<Standing>,
) -> Result<()> {
    let query = match standing {
        None => sqlx::query("DELETE FROM people WHERE person = $1").bind(user.0),
        Some(standing) => sqlx::query(
            "INSERT INTO people (person, banned) VALUES ($1, $2) ON CONFLICT (person) DO UPDATE SET banned = excluded.banned",
        )
        .bind(user.0)
        .bind(i64::from(standing == Standing::Banned)),
    };
    query.execute(connection).await?;
    Ok(())
}

pub(super) async fn totals(connection: &mut AnyConnection) -> Result<Totals> {
    let mut totals = Totals::default();
    let rows = sqlx::query(
        "SELECT status, COUNT(*) FROM jobs WHERE ended > $1 OR status = 'running' GROUP BY status \
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
    let line = indexed(connection, "jobs_line");
    let row = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT (SELECT COUNT(*) FROM quarantine WHERE until > $1), (SELECT COUNT(*) FROM days WHERE day = $1 / $2), \
         (SELECT COUNT(*) FROM drain), COALESCE($1 - (SELECT created FROM jobs{line} WHERE status = 'queued' \
         AND cached = 0 AND phase != 'deliver' ORDER BY turn, id LIMIT 1), 0)"
    )))
    .bind(now())
    .bind(DAY_S)
    .fetch_one(connection)
    .await?;
    totals.quarantined = row.get::<i64, _>(0).unsigned_abs();
    totals.users = row.get::<i64, _>(1).unsigned_abs();
    totals.draining = row.get::<i64, _>(2) > 0;
    totals.next_waits_s = u64::try_from(row.get::<i64, _>(3)).unwrap_or(0);
    Ok(totals)
}

/// Failures that are shown.
const FAILURES_MAX: i64 = 20;
const HOUR_S: i64 = 3600;

pub(super) async fn day(connection: &mut AnyConnection) -> Result<Day> {
    let mut day = Day::default();
    let rows = sqlx::query(
        "SELECT ended / $1 AS hour, CASE WHEN status = 'succeeded' THEN 1 ELSE 0 END AS good, COUNT(*) FROM jobs \
         WHERE ended > $2 AND status != 'canceled' GROUP BY 1, 2 ORDER BY 1",
    )
    .bind(HOUR_S)
    .bind(now() - DAY_S)
    .fetch_all(&mut *connection)
    .await?;
    for row in rows {
        let from_s = row.get::<i64, _>(0) * HOUR_S;
        if day.hours.last().is_none_or(|hour| hour.from_s != from_s) {
            day.hours.push(Hour {
                from_s,
                succeeded: 0,
                failed: 0,
            });
        }
        if let Some(hour) = day.hours.last_mut() {
            let count = row.get::<i64, _>(2).unsigned_abs();
            *(if row.get::<i64, _>(1) == 1 {
                &mut hour.succeeded
            } else {
                &mut hour.failed
            }) = count;
        }
    }
    let rows = sqlx::query(
        "SELECT id, reason, ended FROM jobs WHERE ended > $1 AND status NOT IN ('succeeded', 'canceled') \
         ORDER BY ended DESC, id DESC LIMIT $2",
    )
    .bind(now() - DAY_S)
    .bind(FAILURES_MAX)
    .fetch_all(connection)
    .await?;
    for row in rows {
        let reason: Option<Reason> = row.get::<Option<String>, _>(1).map(|text| parse(&text)).transpose()?;
        day.failures.push(Failure {
            job: row.get(0),
            reason: reason.as_ref().map_or("", Reason::kind),
            at_s: row.get(2),
        });
    }
    Ok(day)
}

pub(super) async fn set_draining(connection: &mut AnyConnection, draining: bool) -> Result<()> {
    let query = if draining {
        sqlx::query("INSERT INTO drain SELECT $1 WHERE NOT EXISTS (SELECT 1 FROM drain)").bind(now())
    } else {
        sqlx::query("DELETE FROM drain")
    };
    query.execute(connection).await?;
    Ok(())
}

pub(super) async fn lift_quarantine(connection: &mut AnyConnection) -> Result<u64> {
    sqlx::query("DELETE FROM suspects").execute(&mut *connection).await?;
    let lifted = sqlx::query("DELETE FROM quarantine WHERE until > $1")
        .bind(now())
        .execute(connection)
        .await?;
    Ok(lifted.rows_affected())
}
