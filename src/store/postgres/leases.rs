//! Signs of life: each process counts up in its row, and watches the rows of the others.
//!
//! A row that stands still for [`LEASE`], as one watcher saw it without a break, is of a process that is no more: its jobs
//! go back to the queue. The watcher's own clock decides, so clocks of hosts need not agree; and where the database was away
//! for the watcher it starts anew, for nobody can count up in a database that is away. Whoever finds its own row ended was
//! taken for dead: it goes on as a new process, and its late writes meet the fence.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{AnyConnection, Row};
use tokio::sync::watch;

use crate::store::Result;
use crate::store::journal::door::{Door, Kind, call};
use crate::store::journal::{Me, claim, hosts, tick};

const BEAT: Duration = Duration::from_secs(2);
/// Seven beats, so that a pause of a host or a slow disk costs nobody its jobs.
const LEASE: Duration = Duration::from_secs(15);
/// Rows of processes that ended are kept so long, for who looks back.
const KEPT_S: i64 = 30 * 24 * 3600;

/// A row as it was seen to change last.
struct Seen {
    beats: i64,
    since: Instant,
}

/// What a watcher knows of the others. Pure: the clock is an argument.
#[derive(Default)]
struct Others {
    seen: HashMap<i64, Seen>,
    /// When they were looked at last.
    looked: Option<Instant>,
}

impl Others {
    /// Takes in the living and their counts, which were asked for at `asked` and came at `now`; gives those that stood still
    /// for too long. Where the watcher slept, or the answer was late, nobody could count meanwhile: it starts anew.
    fn look(&mut self, living: Vec<(i64, i64)>, asked: Instant, now: Instant) -> Vec<(i64, i64)> {
        let slept = self.looked.is_some_and(|looked| now.duration_since(looked) > BEAT * 3);
        if slept || now.duration_since(asked) > BEAT {
            self.seen.clear();
        }
        self.looked = Some(now);
        self.seen.retain(|id, _| living.iter().any(|(other, _)| other == id));
        let mut dead = Vec::new();
        for (id, beats) in living {
            let seen = self.seen.entry(id).or_insert(Seen { beats, since: now });
            if seen.beats != beats {
                *seen = Seen { beats, since: now };
            } else if now.duration_since(seen.since) > LEASE {
                dead.push((id, beats));
            }
        }
        dead
    }
}

/// Keeps this process's lease, and ends those of the dead.
pub(super) async fn keep(door: Door, me: Arc<Mutex<Me>>, changes: Arc<watch::Sender<u64>>) {
    let mut others = Others::default();
    loop {
        tokio::time::sleep(BEAT).await;
        match round(&door, &me, &mut others).await {
            Ok(true) => tick(&changes),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "no sign of life was written");
                others = Others::default();
            }
        }
    }
}

/// One beat, and one look at the others. Whether jobs went back to the queue.
async fn round(door: &Door, me: &Mutex<Me>, others: &mut Others) -> Result<bool> {
    let asked = Instant::now();
    let Me { boot, place, .. } = me.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let living = call!(door, Kind::Write, false, |c| beat(c, boot))?;
    let Some(living) = living else {
        tracing::warn!("this process was silent for too long; what it had in work is no longer its own");
        let boot = call!(door, Kind::Alone, true, |c| hosts::enter(c, &place))?;
        me.lock().unwrap_or_else(PoisonError::into_inner).boot = boot;
        return Ok(true);
    };
    let dead = others.look(living, asked, Instant::now());
    if dead.is_empty() {
        return Ok(false);
    }
    call!(door, Kind::Alone, true, |c| bury(c, &dead))?;
    Ok(true)
}

/// Counts up, and gives the others that live with their counts; `None` where this process counts as dead.
async fn beat(connection: &mut AnyConnection, boot: i64) -> Result<Option<Vec<(i64, i64)>>> {
    let written = sqlx::query("UPDATE boots SET beats = beats + 1 WHERE id = $1 AND ended = 0")
        .bind(boot)
        .execute(&mut *connection)
        .await?;
    if written.rows_affected() == 0 {
        return Ok(None);
    }
    let rows = sqlx::query("SELECT id, beats FROM boots WHERE ended = 0 AND id != $1")
        .bind(boot)
        .fetch_all(connection)
        .await?;
    Ok(Some(rows.iter().map(|row| (row.get(0), row.get(1))).collect()))
}

/// Ends the leases of those that still stand where they were seen. Who is to be told of a quarantine is told by whoever tells
/// what is owed.
async fn bury(connection: &mut AnyConnection, dead: &[(i64, i64)]) -> Result<()> {
    for (id, beats) in dead {
        let ended = sqlx::query("UPDATE boots SET ended = 1 WHERE id = $1 AND beats = $2 AND ended = 0")
            .bind(*id)
            .bind(*beats)
            .execute(&mut *connection)
            .await?;
        if ended.rows_affected() > 0 {
            tracing::warn!(
                boot = id,
                "a process is silent for too long; its jobs go back to the queue"
            );
        }
    }
    claim::recover(connection, &[], 0).await?;
    sqlx::query(
        "DELETE FROM boots WHERE ended = 1 AND began < $1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE boot = boots.id)",
    )
    .bind(crate::store::journal::rows::now() - KEPT_S)
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{BEAT, LEASE, Others};

    /// Whole beats that a lease outlives.
    const ALIVE: Duration = Duration::from_secs(12);

    /// Looks every beat until so long after `began`, each answer at once.
    fn watch(others: &mut Others, living: &[(i64, i64)], began: Instant, until: Duration) -> Vec<(i64, i64)> {
        let mut now = began;
        loop {
            let dead = others.look(living.to_vec(), now, now);
            if !dead.is_empty() || now >= began + until {
                return dead;
            }
            now += BEAT;
        }
    }

    #[test]
    fn who_stands_still_for_a_lease_is_dead_and_who_counts_is_not() {
        let (mut others, began) = (Others::default(), Instant::now());
        assert_eq!(watch(&mut others, &[(1, 5)], began, ALIVE), []);
        let later = began + ALIVE + BEAT;
        assert_eq!(others.look(vec![(1, 6)], later, later), [], "it counted");
        assert_eq!(watch(&mut others, &[(1, 6)], later + BEAT, LEASE + BEAT), [(1, 6)]);
    }

    #[test]
    fn a_database_that_was_away_or_a_watcher_that_slept_costs_nobody_its_lease() {
        let (mut others, began) = (Others::default(), Instant::now());
        assert_eq!(watch(&mut others, &[(1, 5)], began, ALIVE), []);
        // The call waited for the server; the others waited as well.
        let asked = began + ALIVE + BEAT;
        let came = asked + Duration::from_secs(25);
        assert_eq!(others.look(vec![(1, 5)], asked, came), []);
        assert_eq!(
            watch(&mut others, &[(1, 5)], came + BEAT, ALIVE),
            [],
            "counted from then on"
        );
        let awake = came + Duration::from_secs(600);
        assert_eq!(others.look(vec![(1, 5)], awake, awake), []);
    }
}
