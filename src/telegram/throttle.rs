//! How fast messages may go out, so that the platform never has to say that it was too fast. Pure but for the clock that it
//! is given.
//!
//! About one message a second in a chat with short bursts, 20 a minute in a group, 30 a second in all (the platform's FAQ for
//! bots); sends and edits share it. Each limit is kept a little short of. A turn is reserved when it is asked for, so that
//! those who wait go in their order.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// From one message to the next in a private chat, and how many may come at once.
const STEP: Duration = Duration::from_millis(1100);
const BURST: u32 = 4;
/// In a group within a minute.
const GROUP_MAX: usize = 18;
const MINUTE: Duration = Duration::from_secs(60);
/// In all within a second.
const ALL_MAX: usize = 25;
const SECOND: Duration = Duration::from_secs(1);
/// Chats that are remembered; idle ones are forgotten first.
const CHATS_MAX: usize = 10_000;

/// Turns for messages.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    chats: HashMap<i64, Chat>,
    all: VecDeque<Instant>,
}

#[derive(Debug)]
struct Chat {
    /// When a private chat is even again.
    even: Instant,
    /// Turns of a group in the last minute, those to come among them.
    turns: VecDeque<Instant>,
}

impl Throttle {
    /// Reserves a turn in a chat and says how long it is until then; groups have numbers below zero.
    pub(super) fn reserve(&self, chat: i64, now: Instant) -> Duration {
        self.look(chat, now, true)
    }

    /// Whether a turn is free right now; it is not taken.
    pub(super) fn is_free(&self, chat: i64, now: Instant) -> bool {
        self.look(chat, now, false).is_zero()
    }

    fn look(&self, chat: i64, now: Instant, take: bool) -> Duration {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { chats, all } = &mut *state;
        if chats.len() >= CHATS_MAX {
            chats.retain(|_, chat| chat.even > now || chat.turns.back().is_some_and(|last| *last + MINUTE > now));
        }
        let lane = chats.entry(chat).or_insert_with(|| Chat {
            even: now,
            turns: VecDeque::new(),
        });
        let own = if chat < 0 {
            keep(&mut lane.turns, MINUTE, now);
            in_window(&lane.turns, GROUP_MAX, MINUTE)
        } else {
            (lane.even + STEP).checked_sub(STEP * BURST)
        };
        keep(all, SECOND, now);
        let turn = [own, in_window(all, ALL_MAX, SECOND)]
            .into_iter()
            .flatten()
            .max()
            .map_or(now, |turn| turn.max(now));
        if !take {
            return turn - now;
        }
        lane.even = lane.even.max(turn) + STEP;
        if chat < 0 {
            lane.turns.push_back(turn);
        }
        let at = all.partition_point(|other| *other <= turn);
        all.insert(at, turn);
        turn - now
    }
}

/// Drops what lies longer ago.
fn keep(turns: &mut VecDeque<Instant>, window: Duration, now: Instant) {
    while turns.front().is_some_and(|first| *first + window <= now) {
        turns.pop_front();
    }
}

/// When so few are left in the window that one more may come.
fn in_window(turns: &VecDeque<Instant>, most: usize, window: Duration) -> Option<Instant> {
    let at = turns.len().checked_sub(most)?;
    turns.get(at).map(|turn| *turn + window)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{BURST, GROUP_MAX, STEP, Throttle};

    #[test]
    fn a_private_chat_has_a_burst_and_then_one_at_a_time() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let waits: Vec<Duration> = (0..BURST + 2).map(|_| throttle.reserve(5, now)).collect();
        assert_eq!(&waits[..BURST as usize], &[Duration::ZERO; BURST as usize]);
        assert_eq!(waits[BURST as usize..], [STEP, STEP * 2]);
        assert_eq!(throttle.reserve(6, now), Duration::ZERO, "another chat has its own");
        assert!(!throttle.is_free(5, now));
        assert!(throttle.is_free(5, now + STEP * 3), "after those who waited");
    }

    #[test]
    fn a_group_gets_no_more_than_its_share_of_a_minute() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for turn in 0..3 * GROUP_MAX {
            let expected = Duration::from_secs(60) * u32::try_from(turn / GROUP_MAX).unwrap();
            assert_eq!(throttle.reserve(-1, now), expected, "{turn}");
        }
    }

    #[test]
    fn all_chats_together_keep_to_the_limit_of_a_second() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let waits: Vec<u64> = (1..=60).map(|chat| throttle.reserve(chat, now).as_secs()).collect();
        assert_eq!([waits[0], waits[24], waits[25], waits[49], waits[50]], [0, 0, 1, 1, 2]);
    }
}
