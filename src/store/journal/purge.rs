//! What is past its day goes, and what was deleted goes from the disk as well. Results stay: they say nothing of who asked.

use sqlx::AnyConnection;

use super::rows::{DAY_S, is_file, now};
use super::{inbox, looks, queue};
use crate::store::Result;

pub(super) async fn purge(connection: &mut AnyConnection, keep_days: u32) -> Result<u64> {
    inbox::forget_handled(&mut *connection).await?;
    queue::forget_sources(&mut *connection).await?;
    looks::forget_old(&mut *connection).await?;
    for sql in [
        "DELETE FROM quarantine WHERE until < $1",
        "DELETE FROM suspects WHERE until < $1",
    ] {
        sqlx::query(sql).bind(now()).execute(&mut *connection).await?;
    }
    sqlx::query("DELETE FROM days WHERE day < $1")
        .bind(now() / DAY_S)
        .execute(&mut *connection)
        .await?;
    let jobs = sqlx::query("DELETE FROM jobs WHERE ended < $1 AND status NOT IN ('queued', 'running')")
        .bind(now() - i64::from(keep_days) * DAY_S)
        .execute(&mut *connection)
        .await?
        .rows_affected();
    Ok(jobs)
}

/// Of a file, pages as they were before stand in the log until it is written over. PostgreSQL's log goes by its own rules.
pub(super) async fn wipe(connection: &mut AnyConnection) -> Result<()> {
    if is_file(connection) {
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(connection)
            .await?;
    }
    Ok(())
}
