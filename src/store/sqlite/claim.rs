//! Running jobs: claimed, moved on, ended, put back, recovered. Every write is fenced.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::batch::{QUIET_S, claim_rest};
use super::queue::forget_sources;
use super::rows::{COLUMNS, DAY_S, job_of, json, load, now, scrub, word, write};
use crate::job::{BLAME_MAX, BLAME_NAMED, BLAME_UNNAMED, Event, Job, JobId, Parcel, Phase, Reason, Request, Status};
use crate::store::{Claim, ClaimLimits, Fence, Outcome, Result, StoreError};

/// A file that is to blame for crashes is refused for a week.
pub(super) const QUARANTINE_S: i64 = 7 * DAY_S;
/// No job waits longer for its next try, whatever the platform asks for.
pub(super) const WAIT_MAX_S: i64 = 3600;

/// The others of a job's batch.
const OTHERS: &str = "SELECT 1 FROM jobs m WHERE m.batch = jobs.batch AND m.id != jobs.id";

/// A terminal status, checked by the state machine, written only under the fence.
async fn end(connection: &mut SqliteConnection, fence: Fence, event: Event, reason: Option<&Reason>) -> Result<()> {
    let status = Status::Running
        .on(event)
        .map_err(|error| StoreError::Corrupt(error.to_string()))?;
    // A result that became the status message is its own last word; that of a batch says it for all.
    let written = sqlx::query(sqlx::AssertSqlSafe(format!(
        "UPDATE jobs SET status = ?1, reason = ?2, boot = NULL, ended = ?3, \
         owed = CASE WHEN ?1 != 'succeeded' OR EXISTS ({OTHERS}) THEN boot END, \
         parcel = CASE WHEN ?1 = 'succeeded' AND EXISTS ({OTHERS}) THEN parcel END \
         WHERE id = ?4 AND claims = ?5 AND boot = ?6 AND status = 'running'"
    )))
    .bind(word(&status))
    .bind(reason.map(json).transpose()?)
    .bind(now())
    .bind(fence.job.0)
    .bind(fence.attempt)
    .bind(fence.boot)
    .execute(&mut *connection)
    .await?;
    fenced(written.rows_affected(), fence)?;
    sqlx::query("DELETE FROM jobs WHERE id = ? AND forgotten = 1")
        .bind(fence.job.0)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) fn fenced(rows: u64, fence: Fence) -> Result<()> {
    if rows == 1 {
        Ok(())
    } else {
        Err(StoreError::Fenced {
            job: fence.job,
            attempt: fence.attempt,
        })
    }
}

/// The next job of those whose user has so many others running. Fewest running jobs first, then the turn, then age: round
/// robin over users. A suspect runs alone; the others hold back from when it waits, or it would never find the house empty.
/// What is being made for somebody already is not made twice: its result will be there. A result of a batch goes out with
/// the others.
///
/// Users who have nothing running are looked for first and apart: the index gives them in their order, so that a long
/// queue is not sorted for its head.
async fn next(connection: &mut SqliteConnection, limits: ClaimLimits, busy: &str) -> Result<Option<SqliteRow>> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!(
        "WITH alone AS (SELECT id, status FROM jobs WHERE status IN ('queued', 'running') AND cached = 0 \
             AND crashes > 0 AND phase != 'deliver' AND (status = 'running' OR not_before <= ?2)) \
         SELECT j.id, (SELECT COUNT(*) FROM jobs r WHERE r.user = j.user AND r.status = 'running' AND r.cached = 0) \
             AS busy FROM jobs j \
         WHERE j.status = 'queued' AND j.cached = ?1 AND j.not_before <= ?2 AND busy {busy} AND (?1 = 1 OR busy < ?3) \
         AND (?1 = 1 OR NOT EXISTS (SELECT 1 FROM alone) OR (j.crashes > 0 AND j.phase != 'deliver' \
             AND NOT EXISTS (SELECT 1 FROM jobs r WHERE r.status = 'running' AND r.cached = 0))) \
         AND (?1 = 1 OR NOT EXISTS (SELECT 1 FROM jobs s WHERE s.status = 'running' AND s.cached = 0 \
             AND s.unique_id = j.unique_id AND s.wish = j.wish)) \
         AND (j.batch IS NULL OR j.phase != 'deliver' OR NOT EXISTS (SELECT 1 FROM jobs m WHERE m.batch = j.batch \
             AND (m.created BETWEEN ?2 - ?4 + 1 AND ?2 + ?4 OR m.id != j.id AND (m.status = 'running' \
                 OR m.status = 'queued' AND m.phase != 'deliver')))) \
         AND NOT EXISTS (SELECT 1 FROM drain) \
         ORDER BY {} j.turn, j.id LIMIT 1",
        if busy == "= 0" { "" } else { "busy," }
    )))
    .bind(limits.deliver_only)
    .bind(now())
    .bind(limits.running_per_user_max)
    .bind(QUIET_S)
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

pub(super) async fn claim(connection: &mut SqliteConnection, limits: ClaimLimits, boot: i64) -> Result<Option<Claim>> {
    let mut transaction = write(connection).await?;
    let mut row = next(&mut transaction, limits, "= 0").await?;
    if row.is_none() && (limits.deliver_only || limits.running_per_user_max > 1) {
        row = next(&mut transaction, limits, "> 0").await?;
    }
    let Some(row) = row else {
        // A day is a day, also where nobody asks for anything.
        forget_sources(&mut transaction).await?;
        transaction.commit().await?;
        return Ok(None);
    };
    let id = JobId(row.get(0));
    let claims: u32 = sqlx::query(
        "UPDATE jobs SET status = 'running', claims = claims + 1, attempt = attempt + 1, boot = ? WHERE id = ? \
         RETURNING claims",
    )
    .bind(boot)
    .bind(id.0)
    .fetch_one(&mut *transaction)
    .await?
    .get(0);
    let Some(job) = load(&mut transaction, id).await? else {
        return Ok(None);
    };
    let rest = claim_rest(&mut transaction, &job, boot).await?;
    transaction.commit().await?;
    Ok(Some(Claim {
        fence: Fence {
            job: job.id,
            attempt: claims,
            boot,
        },
        suspect: job.blame > 0,
        job,
        rest,
    }))
}

pub(super) async fn advance(
    connection: &mut SqliteConnection,
    fence: Fence,
    phase: Phase,
    parcel: Option<Parcel>,
) -> Result<()> {
    let written = sqlx::query(
        "UPDATE jobs SET phase = ?, parcel = ? WHERE id = ? AND claims = ? AND boot = ? AND status = 'running'",
    )
    .bind(word(&phase))
    .bind(parcel.as_ref().map(json).transpose()?)
    .bind(fence.job.0)
    .bind(fence.attempt)
    .bind(fence.boot)
    .execute(connection)
    .await?;
    fenced(written.rows_affected(), fence)
}

pub(super) async fn finish(
    connection: &mut SqliteConnection,
    fence: Fence,
    outcome: Outcome,
    engine: &str,
) -> Result<()> {
    let mut transaction = write(connection).await?;
    let job = load(&mut transaction, fence.job).await?;
    match &outcome {
        Outcome::Succeeded { .. } => end(&mut transaction, fence, Event::Delivered, None).await?,
        Outcome::Failed { reason } => end(&mut transaction, fence, Event::Failed, Some(reason)).await?,
        Outcome::Canceled => end(&mut transaction, fence, Event::Canceled, None).await?,
    }
    // For a day the source can be asked for once more, by Retry or for something else.
    let keep_source = !matches!(outcome, Outcome::Canceled);
    if let (
        Outcome::Succeeded { file_id: Some(file_id) },
        Some(Job {
            request,
            parcel: Some(parcel),
            ..
        }),
    ) = (outcome, job)
    {
        let parcel = Parcel {
            file_id: Some(file_id),
            ..parcel
        };
        sqlx::query("INSERT OR REPLACE INTO results (unique_id, wish, engine, parcel) VALUES (?, ?, ?, ?)")
            .bind(&request.source.file_unique_id)
            .bind(request.wish.to_string())
            .bind(engine)
            .bind(json(&parcel)?)
            .execute(&mut *transaction)
            .await?;
        // Others wait for the same: they only have to be sent it. Both words of the status are for the index.
        sqlx::query(
            "UPDATE jobs SET cached = 1, phase = ?, parcel = ?, not_before = 0 \
             WHERE status IN ('queued', 'running') AND status = 'queued' AND unique_id = ? AND wish = ?",
        )
        .bind(word(&Phase::Deliver))
        .bind(json(&parcel)?)
        .bind(&request.source.file_unique_id)
        .bind(request.wish.to_string())
        .execute(&mut *transaction)
        .await?;
    }
    if !keep_source {
        scrub(&mut transaction, fence.job).await?;
    }
    transaction.commit().await?;
    Ok(())
}

pub(super) async fn release(
    connection: &mut SqliteConnection,
    fence: Fence,
    phase: Phase,
    not_before_s: u64,
    count: bool,
) -> Result<()> {
    let written = sqlx::query(
        "UPDATE jobs SET status = 'queued', boot = NULL, phase = ?1, not_before = ?2, attempt = attempt - ?3, \
         cached = (cached = 1 AND ?1 = 'deliver'), parcel = CASE WHEN ?1 = 'deliver' THEN parcel END \
         WHERE id = ?4 AND claims = ?5 AND boot = ?6 AND status = 'running'",
    )
    .bind(word(&phase))
    .bind(now() + i64::try_from(not_before_s).unwrap_or(WAIT_MAX_S).min(WAIT_MAX_S))
    .bind(i64::from(!count))
    .bind(fence.job.0)
    .bind(fence.attempt)
    .bind(fence.boot)
    .execute(connection)
    .await?;
    fenced(written.rows_affected(), fence)
}

pub(super) async fn cancel_requests(connection: &mut SqliteConnection, boot: i64) -> Result<Vec<JobId>> {
    let rows = sqlx::query("SELECT id FROM jobs WHERE status = 'running' AND boot = ? AND cancel_asked = 1")
        .bind(boot)
        .fetch_all(connection)
        .await?;
    Ok(rows.iter().map(|row| JobId(row.get(0))).collect())
}

/// `named` are the jobs that the last words of the process before this one named.
pub(super) async fn recover(connection: &mut SqliteConnection, named: &[JobId], boot: i64) -> Result<Vec<Job>> {
    let mut transaction = write(connection).await?;
    for job in named {
        sqlx::query("UPDATE jobs SET crashes = crashes + ? WHERE id = ? AND status = 'running' AND phase = 'convert' AND boot != ?")
            .bind(BLAME_NAMED - BLAME_UNNAMED)
            .bind(job.0)
            .bind(boot)
            .execute(&mut *transaction)
            .await?;
    }
    sqlx::query(
        "UPDATE jobs SET crashes = crashes + (phase = 'convert') * ?, status = 'queued', boot = NULL \
         WHERE status = 'running' AND boot != ?",
    )
    .bind(BLAME_UNNAMED)
    .bind(boot)
    .execute(&mut *transaction)
    .await?;
    let quarantined = quarantine(&mut transaction, boot).await?;
    transaction.commit().await?;
    Ok(quarantined)
}

pub(super) async fn crash(
    connection: &mut SqliteConnection,
    fence: Fence,
    blame: u32,
    not_before_s: u64,
) -> Result<Vec<Job>> {
    let mut transaction = write(connection).await?;
    let written = sqlx::query(
        "UPDATE jobs SET crashes = crashes + ?, status = 'queued', boot = NULL, not_before = ?, parcel = NULL \
         WHERE id = ? AND claims = ? AND boot = ? AND status = 'running' AND phase = 'convert'",
    )
    .bind(blame)
    .bind(now() + i64::try_from(not_before_s).unwrap_or(WAIT_MAX_S).min(WAIT_MAX_S))
    .bind(fence.job.0)
    .bind(fence.attempt)
    .bind(fence.boot)
    .execute(&mut *transaction)
    .await?;
    fenced(written.rows_affected(), fence)?;
    let quarantined = quarantine(&mut transaction, fence.boot).await?;
    transaction.commit().await?;
    Ok(quarantined)
}

pub(super) async fn crash_of_look(
    connection: &mut SqliteConnection,
    file_unique_id: &str,
    blame: u32,
    boot: i64,
) -> Result<Vec<Job>> {
    let mut transaction = write(connection).await?;
    sqlx::query(
        "INSERT INTO suspects (unique_id, blame, until) VALUES (?1, ?2, ?3 + ?4) ON CONFLICT (unique_id) DO UPDATE \
         SET blame = excluded.blame + CASE WHEN until > ?3 THEN blame ELSE 0 END, until = excluded.until",
    )
    .bind(file_unique_id)
    .bind(blame)
    .bind(now())
    .bind(QUARANTINE_S)
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "UPDATE jobs SET crashes = crashes + ? \
         WHERE unique_id = ? AND status = 'queued' AND phase != 'deliver' AND cached = 0",
    )
    .bind(blame)
    .bind(file_unique_id)
    .execute(&mut *transaction)
    .await?;
    sqlx::query("INSERT OR REPLACE INTO quarantine (unique_id, until) SELECT unique_id, until FROM suspects WHERE unique_id = ? AND blame >= ?")
        .bind(file_unique_id)
        .bind(BLAME_MAX)
        .execute(&mut *transaction)
        .await?;
    let quarantined = quarantine(&mut transaction, boot).await?;
    transaction.commit().await?;
    Ok(quarantined)
}

/// Files that crashed an engine, or the process, once too often; and all jobs that wait with them.
async fn quarantine(transaction: &mut SqliteConnection, boot: i64) -> Result<Vec<Job>> {
    sqlx::query(
        "INSERT OR REPLACE INTO quarantine (unique_id, until) \
         SELECT unique_id, ? FROM jobs WHERE status = 'queued' AND crashes >= ?",
    )
    .bind(now() + QUARANTINE_S)
    .bind(BLAME_MAX)
    .execute(&mut *transaction)
    .await?;
    // Others wait with the same file, and it would crash the process again.
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM jobs WHERE status = 'queued' AND cached = 0 \
         AND unique_id IN (SELECT unique_id FROM quarantine WHERE until > ?) ORDER BY id"
    )))
    .bind(now())
    .fetch_all(&mut *transaction)
    .await?;
    let mut quarantined = Vec::new();
    for row in &rows {
        let mut job = job_of(row)?;
        job.status = job
            .status
            .on(Event::Quarantined)
            .map_err(|error| StoreError::Corrupt(error.to_string()))?;
        sqlx::query("UPDATE jobs SET status = ?, reason = ?, ended = ?, owed = ? WHERE id = ?")
            .bind(word(&job.status))
            .bind(json(&Reason::Quarantined)?)
            .bind(now())
            .bind(boot)
            .bind(job.id.0)
            .execute(&mut *transaction)
            .await?;
        scrub(&mut *transaction, job.id).await?;
        quarantined.push(job);
    }
    Ok(quarantined)
}

/// They are this boot's now: taken once only.
pub(super) async fn take_owed(connection: &mut SqliteConnection, boot: i64) -> Result<Vec<Job>> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "UPDATE jobs SET owed = ? WHERE owed IS NOT NULL AND owed != ? RETURNING {COLUMNS}"
    )))
    .bind(boot)
    .bind(boot)
    .fetch_all(connection)
    .await?;
    let mut jobs: Vec<Job> = rows.iter().map(job_of).collect::<Result<_>>()?;
    jobs.sort_by_key(|job| job.id.0);
    Ok(jobs)
}

/// What a batch sent is kept until its last word, which says it.
pub(super) async fn set_told(connection: &mut SqliteConnection, job: JobId, of_all: bool) -> Result<()> {
    sqlx::query(
        "UPDATE jobs SET owed = NULL, parcel = NULL WHERE owed IS NOT NULL \
         AND (id = ?1 OR ?2 AND batch = (SELECT batch FROM jobs WHERE id = ?1))",
    )
    .bind(job.0)
    .bind(of_all)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn forget_result(connection: &mut SqliteConnection, request: &Request, engine: &str) -> Result<()> {
    sqlx::query("DELETE FROM results WHERE unique_id = ? AND wish = ? AND engine = ?")
        .bind(&request.source.file_unique_id)
        .bind(request.wish.to_string())
        .bind(engine)
        .execute(connection)
        .await?;
    Ok(())
}
