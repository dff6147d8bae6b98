//! A clock that was set back while no process ran: what the last one wrote lies in the future then, and would wait there, or
//! be kept, for as long as the clock was ahead.
//!
//! Absent: a clock that is ahead now. Nothing here can know it: what has its day passes early, and nothing that waits is lost
//! by that.

use sqlx::{AnyConnection, Connection};

use crate::store::Result;
use crate::store::journal::claim::{QUARANTINE_S, WAIT_MAX_S};
use crate::store::journal::rows::{DAY_S, now};

/// Brings every time that lies further ahead than it could to where it would be if it were written now.
pub(super) async fn settle(connection: &mut AnyConnection) -> Result<()> {
    let mut transaction = connection.begin().await?;
    let now = now();
    for (sql, latest) in [
        ("UPDATE jobs SET created = $1 WHERE created > $1", now),
        ("UPDATE jobs SET ended = $1 WHERE ended > $1", now),
        (
            "UPDATE jobs SET not_before = $1 WHERE not_before > $1 AND status = 'queued'",
            now + WAIT_MAX_S,
        ),
        ("UPDATE quarantine SET until = $1 WHERE until > $1", now + QUARANTINE_S),
        ("UPDATE suspects SET until = $1 WHERE until > $1", now + QUARANTINE_S),
        ("UPDATE inbox SET received = $1 WHERE received > $1", now),
        ("UPDATE looks SET at = $1 WHERE at > $1", now),
        ("DELETE FROM days WHERE day > $1", now / DAY_S),
    ] {
        sqlx::query(sql).bind(latest).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}
