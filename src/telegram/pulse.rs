//! Whether the platform answers at all, and how often it is asked while it does not. Pure: the clock is an argument.
//!
//! A call that fails says little; one that fails while nothing else is answered either says that the platform is away. Then
//! the worker claims nothing and no job loses a try. The listener's poll is the probe, or its
//! question after the webhook, or, in a process that does not answer the chats, `telegram::probe`; the first answer ends the outage.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A poll is answered within 25 s: so long without any answer, and it is no single call that fails.
const AWAY_AFTER: Duration = Duration::from_secs(40);
/// Waits of the listener: the first, doubled each time, and the longest.
const REST: Duration = Duration::from_secs(2);
const REST_MAX: Duration = Duration::from_secs(30);
/// From one line of the log about an outage to the next.
const TOLD_EVERY: Duration = Duration::from_secs(600);

/// Shared by all who call the platform.
#[derive(Debug)]
pub struct Pulse {
    away_after: Duration,
    silent_since: Mutex<Option<Instant>>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new(AWAY_AFTER)
    }
}

impl Pulse {
    /// The platform is away after so much silence.
    #[must_use]
    pub fn new(away_after: Duration) -> Self {
        Self {
            away_after,
            silent_since: Mutex::default(),
        }
    }

    /// The platform answered, whatever it said.
    pub fn answered(&self) {
        *self.silent_since() = None;
    }

    /// A call was not answered.
    pub fn missed(&self, now: Instant) {
        self.silent_since().get_or_insert(now);
    }

    /// Whether nothing was answered for so long that the platform must be away.
    pub fn is_away(&self, now: Instant) -> bool {
        self.silent_since()
            .is_some_and(|since| now.saturating_duration_since(since) >= self.away_after)
    }

    /// Whether the last call was not answered.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.silent_since().is_some()
    }

    fn silent_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.silent_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The listener's patience: a row of polls that failed.
#[derive(Debug, Default)]
pub struct Patience {
    row: Option<Row>,
}

#[derive(Debug)]
struct Row {
    since: Instant,
    told: Instant,
    rest: Duration,
}

impl Patience {
    /// How long to wait after another failure, and whether the log hears of it.
    pub fn failed(&mut self, now: Instant) -> (Duration, bool) {
        let Some(row) = &mut self.row else {
            self.row = Some(Row {
                since: now,
                told: now,
                rest: REST,
            });
            return (REST, true);
        };
        row.rest = (row.rest * 2).min(REST_MAX);
        let is_told = now.saturating_duration_since(row.told) >= TOLD_EVERY;
        if is_told {
            row.told = now;
        }
        (row.rest, is_told)
    }

    /// How long nothing came before this answer, where polls had failed.
    pub fn succeeded(&mut self, now: Instant) -> Option<Duration> {
        self.row.take().map(|row| now.saturating_duration_since(row.since))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{AWAY_AFTER, Patience, Pulse, REST, REST_MAX};

    #[test]
    fn one_call_that_fails_is_no_outage_and_one_answer_ends_it() {
        let (pulse, now) = (Pulse::default(), Instant::now());
        assert!(
            !pulse.is_away(now + Duration::from_secs(3600)) && !pulse.is_silent(),
            "idle is not away"
        );
        pulse.missed(now);
        assert!(!pulse.is_away(now + AWAY_AFTER / 2));
        // Later failures do not push the begin away.
        pulse.missed(now + AWAY_AFTER / 2);
        assert!(pulse.is_away(now + AWAY_AFTER));
        pulse.answered();
        assert!(!pulse.is_away(now + AWAY_AFTER * 2));
    }

    #[test]
    fn a_day_of_outage_is_asked_about_within_half_a_minute_and_told_every_ten() {
        let (mut patience, began) = (Patience::default(), Instant::now());
        let day = Duration::from_secs(24 * 3600);
        let (mut now, mut lines, mut polls, mut rests) = (began, 0, 0, Vec::new());
        while now - began < day {
            // Refused at once: the hardest on the log, for a time limit takes longer.
            let (rest, is_told) = patience.failed(now);
            lines += u32::from(is_told);
            polls += 1;
            rests.push(rest);
            now += rest;
        }
        assert_eq!(rests[..5], [2, 4, 8, 16, 30].map(Duration::from_secs));
        assert!(rests.iter().all(|rest| (REST..=REST_MAX).contains(rest)));
        assert_eq!((lines, polls), (144, 2883));
        let away = patience.succeeded(now).expect("there was an outage");
        assert!(away >= day && away < day + REST_MAX, "{away:?}");
        assert_eq!(patience.succeeded(now), None);
        // The next one begins anew.
        assert_eq!(patience.failed(now), (REST, true));
    }
}
