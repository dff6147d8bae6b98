//! Tells a supervisor how the service is, by the protocol of systemd (`sd_notify(3)`): ready once updates are asked for or sent, alive
//! while `/healthz` would say so, stopping once it was asked to. Silent where nobody supervises (`NOTIFY_SOCKET`).

use std::convert::Infallible;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::metrics::rested;
use crate::store::Store;
use crate::watch::{Watched, fault};

/// How often it is looked whether the start is over.
const START_POLL: Duration = Duration::from_millis(100);
/// Where the supervisor waits for no sign of life.
const REST: Duration = Duration::from_secs(60);

/// Tells until it is dropped.
pub(super) async fn tell<S: Store>(watched: &Watched<S>) -> Infallible {
    while watched.organs.iter().any(|organ| rested(*organ).is_none()) {
        tokio::time::sleep(START_POLL).await;
    }
    say(NotifyState::Ready);
    // The crate asks for WATCHDOG_PID as well, which supervisors other than systemd leave out.
    let within_us = std::env::var("WATCHDOG_USEC")
        .ok()
        .and_then(|us| us.parse::<u64>().ok());
    let rest = within_us.map_or(REST, |us| Duration::from_micros(us / 2));
    let alive = async {
        loop {
            match fault(watched).await {
                None => say(NotifyState::Watchdog),
                Some(why) => tracing::error!(why, "no sign of life for the supervisor"),
            }
            tokio::time::sleep(rest).await;
        }
    };
    let stopping = async {
        watched.shutdown.cancelled().await;
        say(NotifyState::Stopping);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        never = alive => never,
        () = stopping => std::future::pending().await,
    }
}

fn say(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(false, &[state]) {
        tracing::warn!(%error, "the supervisor was not told");
    }
}
