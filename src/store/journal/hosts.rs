//! The processes that share the database: each is one row of `boots`, which says what it can do and whether it lives. With
//! SQLite there is one that lives.

use sqlx::{AnyConnection, Row};

use super::rows::{count, now};
use crate::store::{Host, Presence, Result};

/// Writes a new run of a process down. One that was in the same place before is no more: this one has its lock.
pub(in crate::store) async fn enter(connection: &mut AnyConnection, place: &str) -> Result<i64> {
    sqlx::query("UPDATE boots SET ended = 1 WHERE ended = 0 AND place = $1")
        .bind(place.to_owned())
        .execute(&mut *connection)
        .await?;
    let row = sqlx::query("INSERT INTO boots (began, place) VALUES ($1, $2) RETURNING id")
        .bind(now())
        .bind(place.to_owned())
        .fetch_one(connection)
        .await?;
    Ok(row.get(0))
}

pub(super) async fn end_cleanly(connection: &mut AnyConnection, boot: i64) -> Result<()> {
    sqlx::query("UPDATE boots SET clean = 1, ended = 1 WHERE id = $1")
        .bind(boot)
        .execute(connection)
        .await?;
    Ok(())
}

/// Each codec between commas, so that one is found by `LIKE`.
pub(super) fn encodes(presence: &Presence) -> String {
    let mut words = String::from(",");
    for codec in &presence.encodes {
        words.push_str(codec);
        words.push(',');
    }
    words
}

pub(super) async fn announce(
    connection: &mut AnyConnection,
    boot: i64,
    presence: &Presence,
    encodes: &str,
) -> Result<()> {
    sqlx::query(
        "UPDATE boots SET host = $1, role = $2, version = $3, slots = $4, encodes = $5, device = $6 WHERE id = $7",
    )
    .bind(presence.host.clone())
    .bind(presence.role.to_owned())
    .bind(presence.version.to_owned())
    .bind(i64::try_from(presence.slots).unwrap_or(i64::MAX))
    .bind(encodes.to_owned())
    .bind(presence.device.clone())
    .bind(boot)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn show_stand(connection: &mut AnyConnection, boot: i64, stand: &str) -> Result<()> {
    sqlx::query("UPDATE boots SET stand = $1 WHERE id = $2")
        .bind(stand.to_owned())
        .bind(boot)
        .execute(connection)
        .await?;
    Ok(())
}

/// Those that live, by role.
pub(super) async fn living(connection: &mut AnyConnection) -> Result<Vec<Host>> {
    let rows = sqlx::query(
        "SELECT b.host, b.role, b.version, b.slots, b.device, b.began, b.stand, \
         (SELECT COUNT(*) FROM jobs j WHERE j.status = 'running' AND j.boot = b.id) AS running \
         FROM boots b WHERE b.ended = 0 ORDER BY b.role, b.host, b.id",
    )
    .fetch_all(connection)
    .await?;
    let host = |row: &sqlx::any::AnyRow| Host {
        name: row.get("host"),
        role: row.get("role"),
        version: row.get("version"),
        device: row.get("device"),
        stand: row.get("stand"),
        slots: count(row.get("slots")),
        running: count(row.get("running")),
        age_s: (now() - row.get::<i64, _>("began")).max(0).unsigned_abs(),
    };
    Ok(rows.iter().map(host).collect())
}
