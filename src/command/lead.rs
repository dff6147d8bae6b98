//! Answers the chats for as long as it is this process's turn: alone with a database of its own, and with others only while
//! none of them does.
//!
//! ```text
//! store.lead() -> telegram::run -> lost, or stopped
//!      ^------------- lost --------'
//! ```
//!
//! A database or a platform that fails for longer than a call waits ends the process where it is alone, for its supervisor
//! starts it again; beside others it stands by, and its jobs go on.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::metrics::{Organ, moved};
use crate::store::{Journal, Store, StoreError};
use crate::telegram::{self, Rival};

/// How often a process that stands by says that it lives, and how long it rests after a fault.
const STAND_BY: Duration = Duration::from_secs(2);

/// Answers until `shutdown`; `leads` is true meanwhile.
pub(super) async fn answer(
    config: &Config,
    store: Journal,
    leads: &AtomicBool,
    shutdown: &CancellationToken,
) -> Result<()> {
    let options = config.telegram();
    if !config.role.chats() {
        return telegram::probe(&options, shutdown).await;
    }
    while !shutdown.is_cancelled() {
        let lead = tokio::select! {
            // With a database of one's own it is there at once.
            biased;
            lead = store.lead() => lead,
            probed = telegram::probe(&options, shutdown) => return probed,
            never = stand_by() => match never {},
        };
        let stop = shutdown.child_token();
        leads.store(true, Ordering::Relaxed);
        let run = telegram::run(config.telegram(), store.clone(), stop.clone());
        let lost = async {
            lead.lost().cancelled().await;
            stop.cancel();
            std::future::pending::<()>().await;
        };
        let answered = tokio::select! {
            answered = run => answered,
            () = lost => Ok(()),
        };
        leads.store(false, Ordering::Relaxed);
        match answered {
            Err(error) if config.database.file().is_none() && passes(&error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "the chats are not answered; it is tried on"
                );
                drop(lead);
                tokio::select! {
                    () = tokio::time::sleep(STAND_BY) => {}
                    () = shutdown.cancelled() => {}
                }
            }
            answered => answered?,
        }
    }
    Ok(())
}

/// Never ends: who waits for its turn lives.
async fn stand_by() -> Infallible {
    loop {
        moved(Organ::Poller);
        tokio::time::sleep(STAND_BY).await;
    }
}

/// The database was away, or the leader before this one still polls.
fn passes(error: &anyhow::Error) -> bool {
    error.is::<StoreError>() || error.is::<Rival>()
}
