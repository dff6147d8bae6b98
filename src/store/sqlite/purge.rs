//! What is past its day goes, and what was deleted goes from the disk as well. Results stay: they say nothing of who asked.

use sqlx::{Connection, SqliteConnection};

use super::rows::{DAY_S, now};
use super::{inbox, looks, queue};
use crate::store::Result;

pub(super) async fn purge(connection: &mut SqliteConnection, keep_days: u32) -> Result<u64> {
    let mut transaction = connection.begin().await?;
    inbox::forget_handled(&mut transaction).await?;
    queue::forget_sources(&mut transaction).await?;
    looks::forget_old(&mut transaction).await?;
    for sql in [
        "DELETE FROM quarantine WHERE until < ?",
        "DELETE FROM suspects WHERE until < ?",
    ] {
        sqlx::query(sql).bind(now()).execute(&mut *transaction).await?;
    }
    sqlx::query("DELETE FROM days WHERE day < ?")
        .bind(now() / DAY_S)
        .execute(&mut *transaction)
        .await?;
    let jobs = sqlx::query("DELETE FROM jobs WHERE ended < ? AND status NOT IN ('queued', 'running')")
        .bind(now() - i64::from(keep_days) * DAY_S)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
    transaction.commit().await?;
    // Pages as they were before stand in the log until it is written over.
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(connection)
        .await?;
    Ok(jobs)
}
