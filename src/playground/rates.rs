//! Flood control: how many messages and edits a chat takes.
//!
//! Told by the FAQ for bots: about one message a second in a chat, short bursts allowed; 20 a minute in a group; about 30 a
//! second in all. Sends and edits share it, answers to buttons are free. How long a burst may be is not told: 5 here.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

const BURST: f64 = 5.0;
const PER_S: f64 = 1.0;
const GROUP_MAX: usize = 20;
const GROUP_WINDOW: Duration = Duration::from_secs(60);
const ALL_MAX: usize = 30;
const ALL_WINDOW: Duration = Duration::from_secs(1);

/// What was sent lately; counts only while it is on.
#[derive(Debug, Default)]
pub(super) struct Rates {
    pub(super) on: bool,
    lanes: HashMap<i64, Lane>,
    all: VecDeque<Instant>,
}

#[derive(Debug)]
struct Lane {
    tokens: f64,
    filled: Instant,
    sent: VecDeque<Instant>,
    /// Refuses all until then.
    shut_until: Instant,
}

impl Rates {
    /// Takes so many messages at once for a chat, or says after how many seconds to come again.
    pub(super) fn take(&mut self, chat: i64, group: bool, count: usize, now: Instant) -> Result<(), u64> {
        if !self.on {
            return Ok(());
        }
        let lane = self.lanes.entry(chat).or_insert_with(|| Lane {
            tokens: BURST,
            filled: now,
            sent: VecDeque::new(),
            shut_until: now,
        });
        forget(&mut lane.sent, GROUP_WINDOW, now);
        forget(&mut self.all, ALL_WINDOW, now);
        let elapsed_s = now.duration_since(lane.filled).as_secs_f64();
        lane.tokens = (lane.tokens + elapsed_s * PER_S).min(BURST);
        lane.filled = now;
        let cost = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let wait = if now < lane.shut_until {
            lane.shut_until.duration_since(now)
        } else if group && lane.sent.len() + count > GROUP_MAX {
            let first = lane.sent.front().copied().unwrap_or(now);
            GROUP_WINDOW.saturating_sub(now.duration_since(first))
        } else if !group && lane.tokens < cost.min(BURST) {
            Duration::from_secs_f64((cost.min(BURST) - lane.tokens) / PER_S)
        } else if self.all.len() + count > ALL_MAX {
            ALL_WINDOW
        } else {
            lane.tokens -= cost;
            for _ in 0..count {
                lane.sent.push_back(now);
                self.all.push_back(now);
            }
            return Ok(());
        };
        let after_s = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        if now >= lane.shut_until {
            lane.shut_until = now + Duration::from_secs(after_s);
        }
        Err(after_s.max(1))
    }
}

fn forget(sent: &mut VecDeque<Instant>, window: Duration, now: Instant) {
    while sent.front().is_some_and(|first| now.duration_since(*first) >= window) {
        sent.pop_front();
    }
}
