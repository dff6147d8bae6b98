//! Files that came together: a job joins those of its batch that are on their way, a converted one waits for the others,
//! and all that have a result are claimed at once.
//!
//! Absent: a row for the batch itself. Its number is that of its first job, and it is over when its jobs are.

use sqlx::{AnyConnection, Row};

use super::Me;
use super::claim::fenced;
use super::rows::{COLUMNS, count, job_of, json, parse_text, word};
use crate::job::{BATCH_MAX, ChatId, Job, JobId, Parcel, Phase, Request, UserId, Wish};
use crate::store::{Fence, Result};

/// The files of a batch come as updates of their own: so long after the last one nothing is delivered, or the next
/// would be late for the album. Whole seconds of the clock: one to two.
pub(super) const QUIET_S: i64 = 2;

/// The batch that a request joins: with the same wish, not full, and none of it is being delivered or was.
pub(super) async fn to_join(connection: &mut AnyConnection, request: &Request) -> Result<Option<JobId>> {
    let Some(batch) = &request.batch else { return Ok(None) };
    let row = sqlx::query(
        "SELECT j.batch FROM jobs j WHERE j.batch_key = $1 AND j.chat = $2 AND j.person = $3 AND j.wish = $4 \
         AND j.status IN ('queued', 'running') \
         AND NOT EXISTS (SELECT 1 FROM jobs d WHERE d.batch = j.batch AND d.phase = 'deliver' \
             AND d.status IN ('running', 'succeeded')) \
         AND (SELECT COUNT(*) FROM jobs m WHERE m.batch = j.batch) < $5 ORDER BY j.id DESC LIMIT 1",
    )
    .bind(batch.key.clone())
    .bind(request.origin.chat.0)
    .bind(request.origin.user.0)
    .bind(request.wish.to_string())
    .bind(i64::from(BATCH_MAX))
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| JobId(row.get(0))))
}

/// Makes a new job one of a batch, its own or the one that it joins, and gives it the batch's status message.
pub(super) async fn join(connection: &mut AnyConnection, job: JobId, first: JobId, key: &str) -> Result<()> {
    sqlx::query(
        "UPDATE jobs SET batch = $1, batch_key = $2, \
         status_message = (SELECT status_message FROM jobs WHERE id = $1) WHERE id = $3",
    )
    .bind(first.0)
    .bind(key.to_owned())
    .bind(job.0)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn hold(connection: &mut AnyConnection, fence: Fence, parcel: &Parcel) -> Result<()> {
    let written = sqlx::query(
        "UPDATE jobs SET status = 'queued', boot = NULL, phase = $1, parcel = $2, attempt = attempt - 1, not_before = 0 \
         WHERE id = $3 AND claims = $4 AND boot = $5 AND status = 'running'",
    )
    .bind(word(&Phase::Deliver))
    .bind(json(parcel)?)
    .bind(fence.job.0)
    .bind(i64::from(fence.attempt))
    .bind(fence.boot)
    .execute(connection)
    .await?;
    fenced(written.rows_affected(), fence)
}

/// Claims whatever waits of a batch; the claim of its first is about to be written, and all of it can be delivered.
pub(super) async fn claim_rest(connection: &mut AnyConnection, claimed: &Job, me: &Me) -> Result<Vec<(Job, Fence)>> {
    let (Some(batch), Phase::Deliver) = (claimed.batch, claimed.phase) else {
        return Ok(Vec::new());
    };
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "UPDATE jobs SET status = 'running', claims = claims + 1, attempt = attempt + 1, boot = $1, place = $2 \
         WHERE batch = $3 AND status = 'queued' AND phase = 'deliver' RETURNING {COLUMNS}, claims"
    )))
    .bind(me.boot)
    .bind(me.place.clone())
    .bind(batch.0)
    .fetch_all(connection)
    .await?;
    let mut rest = Vec::new();
    for row in &rows {
        let job = job_of(row)?;
        let fence = Fence {
            job: job.id,
            attempt: count(row.get("claims")),
            boot: me.boot,
        };
        rest.push((job, fence));
    }
    rest.sort_by_key(|(job, _)| job.id);
    Ok(rest)
}

pub(super) async fn members(connection: &mut AnyConnection, first: JobId) -> Result<Vec<Job>> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM jobs WHERE batch = $1 ORDER BY id"
    )))
    .bind(first.0)
    .fetch_all(connection)
    .await?;
    rows.iter().map(job_of).collect()
}

pub(super) async fn wish(
    connection: &mut AnyConnection,
    chat: ChatId,
    user: UserId,
    key: &str,
) -> Result<Option<Wish>> {
    let row = sqlx::query(
        "SELECT wish FROM jobs WHERE batch_key = $1 AND chat = $2 AND person = $3 ORDER BY id DESC LIMIT 1",
    )
    .bind(key.to_owned())
    .bind(chat.0)
    .bind(user.0)
    .fetch_optional(connection)
    .await?;
    row.map(|row| parse_text(row.get("wish"))).transpose()
}
