//! Which process answers the chats: the one that holds an advisory lock of the server's. The others stand by.
//!
//! The lock belongs to a connection of its own. The leader asks the server for a word every two seconds, and the server ends
//! a connection that is silent for fifteen: so a host that is cut off loses the lock on both sides, itself first.

use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions, Row};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::store::Result;

const ASK_EVERY: Duration = Duration::from_secs(1);
const BEAT: Duration = Duration::from_secs(2);
const BEAT_WAIT: Duration = Duration::from_secs(5);

/// The right to answer the chats; dropped, somebody else has it.
#[derive(Debug)]
pub struct Lead {
    lost: CancellationToken,
    _held: Option<DropGuard>,
}

impl Lead {
    /// Of a database that has one process.
    pub(in crate::store) fn for_good() -> Self {
        Self {
            lost: CancellationToken::new(),
            _held: None,
        }
    }

    /// Cancelled once somebody else may have it.
    #[must_use]
    pub fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }
}

/// Waits for it; `channel` names the tables.
pub(in crate::store) async fn wait(url: &str, channel: &str) -> Lead {
    let mut stands_by = false;
    loop {
        match take(url, channel).await {
            Ok(Some(connection)) => return hold(connection),
            Ok(None) if !stands_by => {
                stands_by = true;
                tracing::info!("another process answers the chats; this one stands by");
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the database does not say who answers the chats"),
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

async fn take(url: &str, channel: &str) -> Result<Option<AnyConnection>> {
    let mut connection = url.parse::<AnyConnectOptions>()?.connect().await?;
    sqlx::raw_sql("SET idle_session_timeout = '15s'; SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 3")
        .execute(&mut connection)
        .await?;
    let row =
        sqlx::query("SELECT CASE WHEN pg_try_advisory_lock(hashtextextended($1 || ' lead', 0)) THEN 1 ELSE 0 END")
            .bind(channel.to_owned())
            .fetch_one(&mut connection)
            .await?;
    Ok((row.get::<i64, _>(0) == 1).then_some(connection))
}

fn hold(mut connection: AnyConnection) -> Lead {
    let (lost, dropped) = (CancellationToken::new(), CancellationToken::new());
    let lead = Lead {
        lost: lost.clone(),
        _held: Some(dropped.clone().drop_guard()),
    };
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(BEAT) => {}
                () = dropped.cancelled() => break,
            }
            let beat = sqlx::query("SELECT 1").execute(&mut connection);
            if !matches!(tokio::time::timeout(BEAT_WAIT, beat).await, Ok(Ok(_))) {
                tracing::warn!("the database is away, and with it the right to answer the chats");
                lost.cancel();
                break;
            }
        }
    });
    lead
}
