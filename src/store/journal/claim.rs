//! Running jobs: claimed, moved on, ended, put back, recovered. Every write is fenced.

use sqlx::{AnyConnection, Row};

use super::Me;
use super::batch::{QUIET_S, claim_rest};
use super::queue::{self, forget_sources};
use super::rows::{COLUMNS, DAY_S, count, is_file, job_of, json, load, now, scrub, word};
use crate::job::{BLAME_MAX, BLAME_NAMED, BLAME_UNNAMED, Event, Job, JobId, Parcel, Phase, Reason, Request, Status};
use crate::store::{Claim, ClaimLimits, Fence, Outcome, Result, StoreError};

/// A file that is to blame for crashes is refused for a week.
pub(in crate::store) const QUARANTINE_S: i64 = 7 * DAY_S;
/// No job waits longer for its next try, whatever the platform asks for.
pub(in crate::store) const WAIT_MAX_S: i64 = 3600;

/// A codec that another host encodes on a GPU is left to that host for so long, seconds.
pub(super) const CODEC_WAIT_S: i64 = 60;

/// Jobs that ran in a process that is no more.
const OF_THE_DEAD: &str = "boot NOT IN (SELECT id FROM boots WHERE ended = 0)";

/// The others of a job's batch.
const OTHERS: &str = "SELECT 1 FROM jobs m WHERE m.batch = jobs.batch AND m.id != jobs.id";

/// A terminal status, checked by the state machine, written only under the fence.
async fn end(connection: &mut AnyConnection, fence: Fence, event: Event, reason: Option<&Reason>) -> Result<()> {
    let status = Status::Running
        .on(event)
        .map_err(|error| StoreError::Corrupt(error.to_string()))?;
    // A result that became the status message is its own last word; that of a batch says it for all.
    let written = sqlx::query(sqlx::AssertSqlSafe(format!(
        "UPDATE jobs SET status = $1, reason = $2, boot = NULL, ended = $3, \
         owed = CASE WHEN $1 != 'succeeded' OR EXISTS ({OTHERS}) THEN boot END, \
         parcel = CASE WHEN $1 = 'succeeded' AND EXISTS ({OTHERS}) THEN parcel END \
         WHERE id = $4 AND claims = $5 AND boot = $6 AND status = 'running'"
    )))
    .bind(word(&status))
    .bind(reason.map(json).transpose()?)
    .bind(now())
    .bind(fence.job.0)
    .bind(i64::from(fence.attempt))
    .bind(fence.boot)
    .execute(&mut *connection)
    .await?;
    fenced(written.rows_affected(), fence)?;
    sqlx::query("DELETE FROM jobs WHERE id = $1 AND forgotten = 1")
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
/// the others. What lies on the disk of a host that lives is left to it, and so is, for a while, a codec that only another
/// host encodes on a GPU.
///
/// Users who have nothing running are looked for first and apart: the index gives them in their order, so that a long
/// queue is not sorted for its head.
async fn next(
    connection: &mut AnyConnection,
    limits: ClaimLimits,
    me: &Me,
    idle: bool,
    takes: bool,
) -> Result<Option<JobId>> {
    let running = "FROM jobs r WHERE r.status = 'running' AND r.cached = 0";
    let (busy, order) = if idle {
        (
            format!("NOT EXISTS (SELECT 1 {running} AND r.person = j.person)"),
            String::new(),
        )
    } else {
        let busy = format!("(SELECT COUNT(*) {running} AND r.person = j.person)");
        (format!("{busy} > 0 AND ($1 = 1 OR {busy} < $3)"), format!("{busy},"))
    };
    // Whoever writes to a row now will tick when it is done.
    let lock = if takes && !is_file(connection) {
        " FOR UPDATE OF j SKIP LOCKED"
    } else {
        ""
    };
    let row = sqlx::query(sqlx::AssertSqlSafe(format!(
        "WITH alone AS (SELECT id, status FROM jobs WHERE status IN ('queued', 'running') AND cached = 0 \
             AND crashes > 0 AND phase != 'deliver' AND (status = 'running' OR not_before <= $2)) \
         SELECT j.id FROM jobs j \
         WHERE j.status = 'queued' AND j.cached = $1 AND j.not_before <= $2 AND {busy} AND $3 > 0 \
         AND ($1 = 1 OR NOT EXISTS (SELECT 1 FROM alone) OR (j.crashes > 0 AND j.phase != 'deliver' \
             AND NOT EXISTS (SELECT 1 {running}))) \
         AND ($1 = 1 OR NOT EXISTS (SELECT 1 FROM jobs s WHERE s.status = 'running' AND s.cached = 0 \
             AND s.unique_id = j.unique_id AND s.wish = j.wish)) \
         AND (j.batch IS NULL OR j.phase != 'deliver' OR NOT EXISTS (SELECT 1 FROM jobs m WHERE m.batch = j.batch \
             AND (m.created BETWEEN $2 - $4 + 1 AND $2 + $4 OR m.id != j.id AND (m.status = 'running' \
                 OR m.status = 'queued' AND m.phase != 'deliver')))) \
         AND (j.cached = 1 OR j.phase = 'fetch' OR j.place = $5 \
             OR NOT EXISTS (SELECT 1 FROM boots b WHERE b.ended = 0 AND b.place = j.place)) \
         AND (j.batch IS NULL OR NOT EXISTS (SELECT 1 FROM jobs m, boots b WHERE m.batch = j.batch AND m.place != '' \
             AND m.place != $5 AND m.status IN ('queued', 'running') AND b.ended = 0 AND b.place = m.place)) \
         AND (j.codec = '' OR j.created <= $2 - $7 OR $6 LIKE '%,' || j.codec || ',%' OR NOT EXISTS (SELECT 1 \
             FROM boots b WHERE b.ended = 0 AND b.encodes LIKE '%,' || j.codec || ',%')) \
         AND NOT EXISTS (SELECT 1 FROM drain) \
         ORDER BY {order} j.turn, j.id LIMIT 1{lock}"
    )))
    .bind(i64::from(limits.deliver_only))
    .bind(now())
    .bind(i64::from(limits.running_per_user_max))
    .bind(QUIET_S)
    .bind(me.place.clone())
    .bind(me.encodes.clone())
    .bind(CODEC_WAIT_S)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| JobId(row.get(0))))
}

/// Whether a claim would find anything to do: a job, or a source that is past its day.
pub(super) async fn is_any(connection: &mut AnyConnection, limits: ClaimLimits, me: &Me) -> Result<bool> {
    Ok(candidate(connection, limits, me, false).await?.is_some() || queue::any_source_past(connection).await?)
}

/// Which job would be claimed now.
async fn candidate(connection: &mut AnyConnection, limits: ClaimLimits, me: &Me, takes: bool) -> Result<Option<JobId>> {
    let next_of_idle = next(connection, limits, me, true, takes).await?;
    if next_of_idle.is_none() && (limits.deliver_only || limits.running_per_user_max > 1) {
        return next(connection, limits, me, false, takes).await;
    }
    Ok(next_of_idle)
}

pub(super) async fn claim(connection: &mut AnyConnection, limits: ClaimLimits, me: &Me) -> Result<Option<Claim>> {
    let Some(id) = candidate(connection, limits, me, true).await? else {
        // A day is a day, also where nobody asks for anything.
        forget_sources(connection).await?;
        return Ok(None);
    };
    let claims = sqlx::query(
        "UPDATE jobs SET status = 'running', claims = claims + 1, attempt = attempt + 1, boot = $1, place = $2 \
         WHERE id = $3 RETURNING claims",
    )
    .bind(me.boot)
    .bind(me.place.clone())
    .bind(id.0)
    .fetch_one(&mut *connection)
    .await?
    .get(0);
    let Some(job) = load(connection, id).await? else {
        return Ok(None);
    };
    let rest = claim_rest(connection, &job, me).await?;
    Ok(Some(Claim {
        fence: Fence {
            job: job.id,
            attempt: count(claims),
            boot: me.boot,
        },
        suspect: job.blame > 0,
        job,
        rest,
    }))
}

pub(super) async fn advance(
    connection: &mut AnyConnection,
    fence: Fence,
    phase: Phase,
    parcel: Option<&Parcel>,
) -> Result<()> {
    let written = sqlx::query(
        "UPDATE jobs SET phase = $1, parcel = $2 WHERE id = $3 AND claims = $4 AND boot = $5 AND status = 'running'",
    )
    .bind(word(&phase))
    .bind(parcel.map(json).transpose()?)
    .bind(fence.job.0)
    .bind(i64::from(fence.attempt))
    .bind(fence.boot)
    .execute(connection)
    .await?;
    fenced(written.rows_affected(), fence)
}

pub(super) async fn finish(
    connection: &mut AnyConnection,
    fence: Fence,
    outcome: &Outcome,
    engine: &str,
) -> Result<()> {
    let job = load(&mut *connection, fence.job).await?;
    match outcome {
        Outcome::Succeeded { .. } => end(&mut *connection, fence, Event::Delivered, None).await?,
        Outcome::Failed { reason } => end(&mut *connection, fence, Event::Failed, Some(reason)).await?,
        Outcome::Canceled => end(&mut *connection, fence, Event::Canceled, None).await?,
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
            file_id: Some(file_id.clone()),
            ..parcel
        };
        sqlx::query(
            "INSERT INTO results (unique_id, wish, engine, parcel, at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (unique_id, wish, engine) DO UPDATE SET parcel = excluded.parcel, at = excluded.at",
        )
        .bind(request.source.file_unique_id.clone())
        .bind(request.wish.to_string())
        .bind(engine.to_owned())
        .bind(json(&parcel)?)
        .bind(now())
        .execute(&mut *connection)
        .await?;
        // Others wait for the same: they only have to be sent it. Both words of the status are for the index.
        sqlx::query(
            "UPDATE jobs SET cached = 1, phase = $1, parcel = $2, not_before = 0 \
             WHERE status IN ('queued', 'running') AND status = 'queued' AND unique_id = $3 AND wish = $4",
        )
        .bind(word(&Phase::Deliver))
        .bind(json(&parcel)?)
        .bind(request.source.file_unique_id.clone())
        .bind(request.wish.to_string())
        .execute(&mut *connection)
        .await?;
    }
    if !keep_source {
        scrub(&mut *connection, fence.job).await?;
    }
    Ok(())
}

pub(super) async fn release(
    connection: &mut AnyConnection,
    fence: Fence,
    phase: Phase,
    not_before_s: u64,
    count: bool,
) -> Result<()> {
    let written = sqlx::query(
        "UPDATE jobs SET status = 'queued', boot = NULL, phase = $1, not_before = $2, attempt = attempt - $3, \
         cached = CASE WHEN cached = 1 AND $1 = 'deliver' THEN 1 ELSE 0 END, parcel = CASE WHEN $1 = 'deliver' THEN parcel END \
         WHERE id = $4 AND claims = $5 AND boot = $6 AND status = 'running'",
    )
    .bind(word(&phase))
    .bind(now() + i64::try_from(not_before_s).unwrap_or(WAIT_MAX_S).min(WAIT_MAX_S))
    .bind(i64::from(!count))
    .bind(fence.job.0)
    .bind(i64::from(fence.attempt))
    .bind(fence.boot)
    .execute(connection)
    .await?;
    fenced(written.rows_affected(), fence)
}

pub(super) async fn cancel_requests(connection: &mut AnyConnection, boot: i64) -> Result<Vec<JobId>> {
    let rows = sqlx::query("SELECT id FROM jobs WHERE status = 'running' AND boot = $1 AND cancel_asked = 1")
        .bind(boot)
        .fetch_all(connection)
        .await?;
    Ok(rows.iter().map(|row| JobId(row.get(0))).collect())
}

/// `named` are the jobs that the last words of the process before this one named.
pub(in crate::store) async fn recover(connection: &mut AnyConnection, named: &[JobId], boot: i64) -> Result<Vec<Job>> {
    let more = format!(
        "UPDATE jobs SET crashes = crashes + $1 WHERE id = $2 AND status = 'running' AND phase = 'convert' AND {OF_THE_DEAD}"
    );
    for job in named {
        sqlx::query(sqlx::AssertSqlSafe(more.clone()))
            .bind(i64::from(BLAME_NAMED - BLAME_UNNAMED))
            .bind(job.0)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "UPDATE jobs SET crashes = crashes + CASE WHEN phase = 'convert' THEN $1 ELSE 0 END, status = 'queued', \
         boot = NULL WHERE status = 'running' AND {OF_THE_DEAD}"
    )))
    .bind(i64::from(BLAME_UNNAMED))
    .execute(&mut *connection)
    .await?;
    quarantine(connection, boot).await
}

pub(super) async fn crash(
    connection: &mut AnyConnection,
    fence: Fence,
    blame: u32,
    not_before_s: u64,
) -> Result<Vec<Job>> {
    let written = sqlx::query(
        "UPDATE jobs SET crashes = crashes + $1, status = 'queued', boot = NULL, not_before = $2, parcel = NULL \
         WHERE id = $3 AND claims = $4 AND boot = $5 AND status = 'running' AND phase = 'convert'",
    )
    .bind(i64::from(blame))
    .bind(now() + i64::try_from(not_before_s).unwrap_or(WAIT_MAX_S).min(WAIT_MAX_S))
    .bind(fence.job.0)
    .bind(i64::from(fence.attempt))
    .bind(fence.boot)
    .execute(&mut *connection)
    .await?;
    fenced(written.rows_affected(), fence)?;
    quarantine(connection, fence.boot).await
}

pub(super) async fn crash_of_look(
    connection: &mut AnyConnection,
    file_unique_id: &str,
    blame: u32,
    boot: i64,
) -> Result<Vec<Job>> {
    sqlx::query(
        "INSERT INTO suspects (unique_id, blame, until) VALUES ($1, $2, $3 + $4) ON CONFLICT (unique_id) DO UPDATE \
         SET blame = excluded.blame + CASE WHEN suspects.until > $3 THEN suspects.blame ELSE 0 END, until = excluded.until",
    )
    .bind(file_unique_id.to_owned())
    .bind(i64::from(blame))
    .bind(now())
    .bind(QUARANTINE_S)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE jobs SET crashes = crashes + $1 \
         WHERE unique_id = $2 AND status = 'queued' AND phase != 'deliver' AND cached = 0",
    )
    .bind(i64::from(blame))
    .bind(file_unique_id.to_owned())
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO quarantine (unique_id, until) SELECT unique_id, until FROM suspects WHERE unique_id = $1 AND blame >= $2 \
         ON CONFLICT (unique_id) DO UPDATE SET until = excluded.until",
    )
        .bind(file_unique_id.to_owned())
        .bind(i64::from(BLAME_MAX))
        .execute(&mut *connection)
        .await?;
    quarantine(connection, boot).await
}

/// Files that crashed an engine, or the process, once too often; and all jobs that wait with them.
async fn quarantine(connection: &mut AnyConnection, boot: i64) -> Result<Vec<Job>> {
    sqlx::query(
        "INSERT INTO quarantine (unique_id, until) \
         SELECT DISTINCT unique_id, $1 FROM jobs WHERE status = 'queued' AND crashes >= $2 \
         ON CONFLICT (unique_id) DO UPDATE SET until = excluded.until",
    )
    .bind(now() + QUARANTINE_S)
    .bind(i64::from(BLAME_MAX))
    .execute(&mut *connection)
    .await?;
    // Others wait with the same file, and it would crash the process again.
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM jobs WHERE status = 'queued' AND cached = 0 \
         AND unique_id IN (SELECT unique_id FROM quarantine WHERE until > $1) ORDER BY id"
    )))
    .bind(now())
    .fetch_all(&mut *connection)
    .await?;
    let mut quarantined = Vec::new();
    for row in &rows {
        let mut job = job_of(row)?;
        job.status = job
            .status
            .on(Event::Quarantined)
            .map_err(|error| StoreError::Corrupt(error.to_string()))?;
        sqlx::query("UPDATE jobs SET status = $1, reason = $2, ended = $3, owed = $4 WHERE id = $5")
            .bind(word(&job.status))
            .bind(json(&Reason::Quarantined)?)
            .bind(now())
            .bind(boot)
            .bind(job.id.0)
            .execute(&mut *connection)
            .await?;
        scrub(&mut *connection, job.id).await?;
        quarantined.push(job);
    }
    Ok(quarantined)
}

/// They are this boot's now: taken once only.
pub(super) async fn take_owed(connection: &mut AnyConnection, boot: i64) -> Result<Vec<Job>> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "UPDATE jobs SET owed = $1 WHERE owed IS NOT NULL \
         AND owed NOT IN (SELECT id FROM boots WHERE ended = 0) RETURNING {COLUMNS}"
    )))
    .bind(boot)
    .fetch_all(connection)
    .await?;
    let mut jobs: Vec<Job> = rows.iter().map(job_of).collect::<Result<_>>()?;
    jobs.sort_by_key(|job| job.id.0);
    Ok(jobs)
}

/// What a batch sent is kept until its last word, which says it.
pub(super) async fn set_told(connection: &mut AnyConnection, job: JobId, of_all: bool) -> Result<()> {
    sqlx::query(
        "UPDATE jobs SET owed = NULL, parcel = NULL WHERE owed IS NOT NULL \
         AND (id = $1 OR $2 = 1 AND batch = (SELECT batch FROM jobs WHERE id = $1))",
    )
    .bind(job.0)
    .bind(i64::from(of_all))
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn forget_result(connection: &mut AnyConnection, request: &Request, engine: &str) -> Result<()> {
    sqlx::query("DELETE FROM results WHERE unique_id = $1 AND wish = $2 AND engine = $3")
        .bind(request.source.file_unique_id.clone())
        .bind(request.wish.to_string())
        .bind(engine.to_owned())
        .execute(connection)
        .await?;
    Ok(())
}
