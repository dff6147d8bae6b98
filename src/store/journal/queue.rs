//! Requests on their way in: what is accepted and what is turned away, places, ends of waiting jobs.

use sqlx::{AnyConnection, Row};

use super::rows::{COLUMNS, DAY_S, count, indexed, job_of, json, load, now, parse, scrub, word};
use super::{batch, looks};
use crate::job::{BATCH_MAX, ChatId, Event, Job, JobId, MessageId, Parcel, Phase, Request, Status, UserId};
use crate::media::{Look, Preset};
use crate::store::{CancelAnswer, Enqueued, QueueEntry, QueueLimits, Result, StoreError};

/// Places are counted so far; a job beyond is told how many wait in all.
const PLACES_MAX: u32 = 200;

/// How many waiting jobs will be claimed before this one, itself counted.
async fn position_of(connection: &mut AnyConnection, id: JobId) -> Result<u32> {
    let line = indexed(connection, "jobs_line");
    let row = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT COUNT(*) FROM (SELECT 1 FROM jobs q{line}, jobs j WHERE j.id = $1 AND q.status = 'queued' \
         AND q.cached = 0 AND q.phase != 'deliver' AND (q.turn, q.id) <= (j.turn, j.id) LIMIT $2) AS ahead"
    )))
    .bind(id.0)
    .bind(i64::from(PLACES_MAX))
    .fetch_one(&mut *connection)
    .await?;
    let ahead = count(row.get(0));
    if ahead < PLACES_MAX {
        return Ok(ahead);
    }
    Ok(waiting(connection).await?.max(PLACES_MAX))
}

/// How many jobs wait; SQLite's triggers count, PostgreSQL's view looks.
async fn waiting(connection: &mut AnyConnection) -> Result<u32> {
    let row = sqlx::query("SELECT count FROM waiting").fetch_one(connection).await?;
    Ok(count(row.get(0)))
}

/// The key of a request in `jobs.update_id`: an update may ask for each file of a batch.
fn asked_by(update_id: i64, request: &Request) -> i64 {
    update_id * 16
        + request
            .batch
            .as_ref()
            .map_or(0, |batch| i64::from(batch.place % BATCH_MAX))
}

/// The turn of a new job: after the user's own last, and for who had none in this round or the one before, ahead of all
/// that wait in this one. So a newcomer is next, however many others have waiting, and who comes back at once waits for
/// one job of each.
async fn turn_of(connection: &mut AnyConnection, user: UserId) -> Result<i64> {
    let row = sqlx::query(
        "SELECT COALESCE((SELECT MAX(turn) FROM jobs WHERE person = $1 AND (status = 'queued' OR claims > 0)), 0), \
         COALESCE((SELECT MAX(turn) FROM jobs WHERE claims > 0), 0)",
    )
    .bind(user.0)
    .fetch_one(connection)
    .await?;
    let (own, round): (i64, i64) = (row.get(0), row.get(1));
    Ok((own + 1).max(round - 1))
}

async fn waiting_of(connection: &mut AnyConnection, user: UserId) -> Result<u32> {
    // A batch waits as one.
    let row =
        sqlx::query("SELECT COUNT(DISTINCT COALESCE(batch, id)) FROM jobs WHERE status = 'queued' AND person = $1")
            .bind(user.0)
            .fetch_one(connection)
            .await?;
    Ok(count(row.get(0)))
}

/// Why a request is not accepted, if it is not: quarantine, the same on its way, a full queue.
async fn turn_away(
    connection: &mut AnyConnection,
    request: &Request,
    limits: QueueLimits,
    is_remembered: bool,
    joins: bool,
) -> Result<Option<Enqueued>> {
    let (user, unique_id) = (request.origin.user, &request.source.file_unique_id);
    let quarantined = sqlx::query("SELECT 1 FROM quarantine WHERE unique_id = $1 AND until > $2")
        .bind(unique_id.clone())
        .bind(now())
        .fetch_optional(&mut *connection)
        .await?;
    if quarantined.is_some() {
        return Ok(Some(Enqueued::Quarantined));
    }
    let same = sqlx::query(
        "SELECT id FROM jobs WHERE person = $1 AND chat = $2 AND unique_id = $3 AND wish = $4 \
             AND status IN ('queued', 'running')",
    )
    .bind(user.0)
    .bind(request.origin.chat.0)
    .bind(unique_id.clone())
    .bind(request.wish.to_string())
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(row) = same
        && let Some(job) = load(connection, JobId(row.get(0))).await?
    {
        return Ok(Some(Enqueued::Duplicate { job }));
    }
    if let Some(limit) = limits.per_day_max
        && !is_remembered
        && files_today(connection, user).await? >= limit
    {
        return Ok(Some(Enqueued::DayFull {
            limit,
            wait_s: (DAY_S - now() % DAY_S).unsigned_abs(),
        }));
    }
    if !joins && waiting_of(connection, user).await? >= limits.per_user_max {
        return Ok(Some(Enqueued::UserQueueFull {
            limit: limits.per_user_max,
        }));
    }
    if waiting(connection).await? >= limits.total_max {
        return Ok(Some(Enqueued::QueueFull {
            limit: limits.total_max,
        }));
    }
    Ok(None)
}

async fn files_today(connection: &mut AnyConnection, user: UserId) -> Result<u32> {
    let row = sqlx::query("SELECT files FROM days WHERE person = $1 AND day = $2")
        .bind(user.0)
        .bind(now() / DAY_S)
        .fetch_optional(connection)
        .await?;
    Ok(row.map_or(0, |row| count(row.get(0))))
}

/// Of jobs that ended longer ago than a day nothing is kept that could fetch the file.
pub(super) async fn forget_sources(connection: &mut AnyConnection) -> Result<()> {
    sqlx::query(
        "UPDATE jobs SET request = json_set(request, '$.source.file_id', ''), unique_id = '' \
         WHERE ended < $1 AND unique_id != ''",
    )
    .bind(now() - DAY_S)
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether there is such a job.
pub(super) async fn any_source_past(connection: &mut AnyConnection) -> Result<bool> {
    let row = sqlx::query("SELECT 1 FROM jobs WHERE ended < $1 AND unique_id != '' LIMIT 1")
        .bind(now() - DAY_S)
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// Counts a file of today, and forgets the days before.
async fn count_today(connection: &mut AnyConnection, user: UserId) -> Result<()> {
    let today = now() / DAY_S;
    forget_sources(connection).await?;
    sqlx::query("DELETE FROM days WHERE day < $1")
        .bind(today)
        .execute(&mut *connection)
        .await?;
    sqlx::query("INSERT INTO days (person, day, files) VALUES ($1, $2, 1) ON CONFLICT (person, day) DO UPDATE SET files = days.files + 1")
        .bind(user.0)
        .bind(today)
        .execute(connection)
        .await?;
    Ok(())
}

/// The codec of a wish that costs a CPU many times as much as the default's; empty for any other.
fn codec_of(request: &Request) -> &'static str {
    match request.wish.recipe.preset {
        Preset::Hevc => "hevc",
        Preset::Av1 => "av1",
        _ => "",
    }
}

/// A new job; with a remembered result it only delivers.
async fn insert(
    connection: &mut AnyConnection,
    asked_by: i64,
    request: &Request,
    remembered: Option<&str>,
) -> Result<JobId> {
    let user = request.origin.user;
    let phase = match remembered {
        Some(_) => Phase::Deliver,
        None => {
            count_today(connection, user).await?;
            Phase::Fetch
        }
    };
    let turn = turn_of(connection, user).await?;
    let row = sqlx::query(
        "INSERT INTO jobs (update_id, turn, chat, person, unique_id, wish, request, status, phase, cached, parcel, \
         created, codec, crashes) VALUES ($1, $2, $3, $4, $5, $6, $7, 'queued', $8, $9, $10, $11, $12, \
         COALESCE((SELECT blame FROM suspects WHERE unique_id = $5 AND until > $11), 0)) RETURNING id",
    )
    .bind(asked_by)
    .bind(turn)
    .bind(request.origin.chat.0)
    .bind(user.0)
    .bind(request.source.file_unique_id.clone())
    .bind(request.wish.to_string())
    .bind(json(request)?)
    .bind(word(&phase))
    .bind(i64::from(remembered.is_some()))
    .bind(remembered.map(str::to_owned))
    .bind(now())
    .bind(codec_of(request).to_owned())
    .fetch_one(connection)
    .await?;
    Ok(JobId(row.get(0)))
}

pub(super) async fn enqueue(
    connection: &mut AnyConnection,
    update_id: i64,
    request: &Request,
    limits: QueueLimits,
    engine: &str,
) -> Result<Enqueued> {
    let asked_by = asked_by(update_id, request);
    let before = sqlx::query("SELECT id FROM jobs WHERE update_id = $1")
        .bind(asked_by)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(row) = before
        && let Some(job) = load(&mut *connection, JobId(row.get(0))).await?
    {
        return Ok(Enqueued::Replayed { job });
    }
    let remembered: Option<String> =
        sqlx::query("SELECT parcel FROM results WHERE unique_id = $1 AND wish = $2 AND engine = $3")
            .bind(request.source.file_unique_id.clone())
            .bind(request.wish.to_string())
            .bind(engine.to_owned())
            .fetch_optional(&mut *connection)
            .await?
            .map(|row| row.get(0));
    let joined = batch::to_join(connection, request).await?;
    if let Some(answer) = turn_away(connection, request, limits, remembered.is_some(), joined.is_some()).await? {
        return Ok(answer);
    }
    let id = insert(connection, asked_by, request, remembered.as_deref()).await?;
    if let Some(batch) = &request.batch {
        batch::join(&mut *connection, id, joined.unwrap_or(id), &batch.key).await?;
    }
    let position = position_of(&mut *connection, id).await?;
    let job = load(&mut *connection, id).await?;
    let job = job.ok_or_else(|| StoreError::Corrupt(format!("{id} is gone")))?;
    Ok(if remembered.is_some() {
        Enqueued::Cached { job }
    } else {
        Enqueued::New { job, position }
    })
}

pub(super) async fn set_status_message(connection: &mut AnyConnection, job: JobId, message: MessageId) -> Result<()> {
    sqlx::query("UPDATE jobs SET status_message = $1 WHERE id = $2 OR batch = (SELECT batch FROM jobs WHERE id = $2)")
        .bind(message.0)
        .bind(job.0)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn record_send_intent(connection: &mut AnyConnection, job: JobId) -> Result<bool> {
    let written = sqlx::query("UPDATE jobs SET send_intent = 1 WHERE id = $1 AND send_intent = 0")
        .bind(job.0)
        .execute(connection)
        .await?;
    Ok(written.rows_affected() == 1)
}

pub(super) async fn record_send_intents(connection: &mut AnyConnection, jobs: &[JobId]) -> Result<bool> {
    for job in jobs {
        let row = sqlx::query("SELECT send_intent FROM jobs WHERE id = $1")
            .bind(job.0)
            .fetch_optional(&mut *connection)
            .await?;
        if row.is_none_or(|row| row.get::<i64, _>(0) != 0) {
            return Ok(false);
        }
    }
    for job in jobs {
        record_send_intent(connection, *job).await?;
    }
    Ok(true)
}

pub(super) async fn withdraw_send_intent(connection: &mut AnyConnection, job: JobId) -> Result<()> {
    sqlx::query("UPDATE jobs SET send_intent = 0 WHERE id = $1")
        .bind(job.0)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn job(connection: &mut AnyConnection, job: JobId) -> Result<Option<Job>> {
    load(connection, job).await
}

pub(super) async fn last_job(connection: &mut AnyConnection, chat: ChatId, user: UserId) -> Result<Option<Job>> {
    let row = sqlx::query("SELECT MAX(id) FROM jobs WHERE person = $1 AND chat = $2 AND unique_id != ''")
        .bind(user.0)
        .bind(chat.0)
        .fetch_one(&mut *connection)
        .await?;
    match row.get::<Option<i64>, _>(0) {
        None => Ok(None),
        Some(id) => load(connection, JobId(id)).await,
    }
}

/// The newest result of a file knows what the file was.
pub(super) async fn look(connection: &mut AnyConnection, file_unique_id: &str) -> Result<Option<Look>> {
    let row = sqlx::query("SELECT parcel FROM results WHERE unique_id = $1 ORDER BY at DESC LIMIT 1")
        .bind(file_unique_id.to_owned())
        .fetch_optional(&mut *connection)
        .await?;
    let parcel: Option<Parcel> = row.map(|row| parse(row.get("parcel"))).transpose()?;
    match parcel.and_then(|parcel| parcel.look) {
        Some(look) => Ok(Some(look)),
        None => looks::look(connection, file_unique_id).await,
    }
}

/// Jobs that are not over, of one kind: which index gives them, and what they are.
type Kind = (&'static str, &'static str);
const RUNNING: Kind = ("jobs_running", "status = 'running'");
/// A remembered result has its own lane: nobody waits behind it.
const REMEMBERED: Kind = ("jobs_waiting", "status = 'queued' AND cached = 1");
/// Nor behind one that waits for the others of its batch.
const CONVERTED: Kind = (
    "jobs_converted",
    "status = 'queued' AND cached = 0 AND phase = 'deliver'",
);
const WAITING: Kind = ("jobs_line", "status = 'queued' AND cached = 0 AND phase != 'deliver'");

/// Jobs of one kind, in the order of claiming. The index is named to SQLite.
async fn listed(connection: &mut AnyConnection, index: &str, which: &str, max: u32) -> Result<Vec<Job>> {
    let index = indexed(connection, index);
    let query = format!("SELECT {COLUMNS} FROM jobs{index} WHERE {which} ORDER BY turn, id LIMIT {max}");
    let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(connection).await?;
    rows.iter().map(job_of).collect()
}

pub(super) async fn queue(connection: &mut AnyConnection, waiting_max: u32) -> Result<Vec<QueueEntry>> {
    let mut entries = Vec::new();
    for (index, which) in [RUNNING, REMEMBERED, CONVERTED] {
        let jobs = listed(connection, index, which, u32::MAX).await?;
        entries.extend(jobs.into_iter().map(|job| QueueEntry { job, position: None }));
    }
    let waiting = listed(connection, WAITING.0, WAITING.1, waiting_max).await?;
    entries.extend((1..).zip(waiting).map(|(place, job)| QueueEntry {
        job,
        position: Some(place),
    }));
    Ok(entries)
}

pub(super) async fn queue_of(connection: &mut AnyConnection, user: UserId) -> Result<Vec<QueueEntry>> {
    let mut entries = Vec::new();
    for kind in [RUNNING, REMEMBERED, CONVERTED, WAITING] {
        let index = if kind == RUNNING {
            RUNNING.0
        } else {
            "jobs_waiting_of_user"
        };
        for job in listed(
            connection,
            index,
            &format!("person = {} AND {}", user.0, kind.1),
            u32::MAX,
        )
        .await?
        {
            let position = match kind {
                WAITING => Some(position_of(connection, job.id).await?),
                _ => None,
            };
            entries.push(QueueEntry { job, position });
        }
    }
    Ok(entries)
}

pub(super) async fn open_jobs(connection: &mut AnyConnection) -> Result<Vec<JobId>> {
    let same = indexed(connection, "jobs_same");
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT id FROM jobs{same} WHERE status IN ('queued', 'running')"
    )))
    .fetch_all(connection)
    .await?;
    Ok(rows.iter().map(|row| JobId(row.get(0))).collect())
}

pub(super) async fn cancel(connection: &mut AnyConnection, job: JobId, by: Option<UserId>) -> Result<CancelAnswer> {
    let Some(mut found) = load(&mut *connection, job).await? else {
        return Ok(CancelAnswer::NotYours);
    };
    if by.is_some_and(|user| user != found.request.origin.user) {
        return Ok(CancelAnswer::NotYours);
    }
    if found.status.is_terminal() {
        return Ok(CancelAnswer::AlreadyOver(found));
    }
    let running = found.status == Status::Running;
    if running {
        sqlx::query("UPDATE jobs SET cancel_asked = 1 WHERE id = $1")
            .bind(job.0)
            .execute(&mut *connection)
            .await?;
    } else {
        found.status = found
            .status
            .on(Event::Canceled)
            .map_err(|error| StoreError::Corrupt(error.to_string()))?;
        sqlx::query("UPDATE jobs SET status = $1, parcel = NULL, ended = $2 WHERE id = $3")
            .bind(word(&found.status))
            .bind(now())
            .bind(job.0)
            .execute(&mut *connection)
            .await?;
        scrub(&mut *connection, job).await?;
    }
    Ok(if running {
        CancelAnswer::Asked(found)
    } else {
        CancelAnswer::Canceled(found)
    })
}
