//! What has to move, and how long it may rest. The judgement is pure; asking is beside it.

use std::fmt;
use std::time::Duration;

use super::Watched;
use crate::metrics::{Organ, rested};
use crate::store::{Store, Totals};

/// The platform may ask for a rest of five minutes; a poll takes half of one.
const POLLER_RESTS_MAX: Duration = Duration::from_secs(360);
/// It looks for work every second.
const LANE_RESTS_MAX: Duration = Duration::from_secs(30);
/// A database that takes longer does not answer.
const STORE_WAIT: Duration = Duration::from_secs(5);

/// What is wrong, in words; nothing where all is well.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Health(Vec<String>);

impl Health {
    pub(super) fn is_well(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("ok"),
            wrong => f.write_str(&wrong.join("\n")),
        }
    }
}

pub(super) async fn alive<S: Store>(watched: &Watched<S>) -> Health {
    // Once asked to stop, neither polls nor claims any more.
    let rests = |organ| {
        let moves = !watched.shutdown.is_cancelled() && watched.organs.contains(&organ);
        rested(organ).filter(|_| moves)
    };
    judge([rests(Organ::Poller), rests(Organ::Lane)], totals(watched).await.err())
}

pub(super) async fn ready<S: Store>(watched: &Watched<S>) -> Health {
    let totals = match totals(watched).await {
        Ok(totals) => totals,
        Err(why) => return Health(vec![why]),
    };
    let free = watched.workdir.free_bytes().unwrap_or(0);
    let mut wrong = Vec::new();
    if watched.shutdown.is_cancelled() {
        wrong.push("stopping".to_owned());
    }
    if watched.organs.iter().any(|organ| rested(*organ).is_none()) {
        wrong.push("starting".to_owned());
    }
    if totals.draining {
        wrong.push("draining: no further job is started".to_owned());
    }
    if (watched.is_away)() {
        wrong.push("the Bot API does not answer".to_owned());
    }
    if free < watched.disk_free_bytes_min {
        wrong.push(format!(
            "{free} bytes of disk are free (at least {})",
            watched.disk_free_bytes_min
        ));
    }
    Health(wrong)
}

async fn totals<S: Store>(watched: &Watched<S>) -> Result<Totals, String> {
    match tokio::time::timeout(STORE_WAIT, watched.store.totals()).await {
        Ok(Ok(totals)) => Ok(totals),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("the database did not answer within {} s", STORE_WAIT.as_secs())),
    }
}

/// By how long the poller and the lane have rested; one that did not move yet is starting.
fn judge([poller, lane]: [Option<Duration>; 2], store: Option<String>) -> Health {
    let mut wrong = Vec::new();
    for (name, rests, rests_max) in [
        ("the poller", poller, POLLER_RESTS_MAX),
        ("the lane of conversions", lane, LANE_RESTS_MAX),
    ] {
        if let Some(rests) = rests.filter(|rests| *rests > rests_max) {
            wrong.push(format!(
                "{name} has not moved for {} s (limit {} s)",
                rests.as_secs(),
                rests_max.as_secs()
            ));
        }
    }
    wrong.extend(store);
    Health(wrong)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::judge;

    #[test]
    fn what_has_not_moved_is_named_with_its_limit() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(judge([None, None], None).to_string(), "ok", "it starts");
        assert_eq!(judge([seconds(360), seconds(30)], None).to_string(), "ok");
        let wrong = judge(
            [seconds(361), seconds(31)],
            Some("the disk of the database is full".to_owned()),
        );
        assert!(!wrong.is_well());
        assert_eq!(
            wrong.to_string(),
            "the poller has not moved for 361 s (limit 360 s)\nthe lane of conversions has not moved for 31 s (limit 30 \
             s)\nthe disk of the database is full"
        );
    }
}
