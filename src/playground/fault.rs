//! What goes wrong on purpose: which fault, for which method, how often.

use serde::Deserialize;

/// Faults that wait at the same time; more are refused by dropping the oldest.
const PLANNED_MAX: usize = 1000;

/// Something that goes wrong on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// 429 with `retry_after`, seconds.
    TooManyRequests(u64),
    /// 500.
    ServerError,
    /// 502 with a page of HTML: what stands before the server speaks for it.
    BadGateway,
    /// A refusal: HTTP status and description.
    Refuse(u16, String),
    /// 409, as if another program polled with the same token.
    Conflict,
    /// 404.
    NotFound,
    /// The connection breaks before the call takes effect.
    Reset,
    /// The call takes effect, then the connection breaks.
    LostAnswer,
    /// The call takes effect, then the connection breaks in the middle of the answer.
    CutAnswer,
    /// The call takes effect, and its answer comes so late, milliseconds.
    LateAnswer(u64),
    /// The call waits so long before it is read, milliseconds; a download pauses in the middle.
    Stall(u64),
    /// A body comes this slowly, bytes a second: a download's on its way out, an upload's on its way in.
    Slow(u64),
    /// Downloads: the connection breaks after so many bytes.
    ShortRead(u64),
}

#[derive(Debug)]
struct Planned {
    /// Lower case; `*` for all, `download` for files.
    method: String,
    times_left: u32,
    /// 0 to 1.
    chance: f64,
    fault: Fault,
}

/// The faults that are still due.
#[derive(Debug, Default)]
pub(super) struct Faults {
    planned: Vec<Planned>,
    draws: u64,
}

impl Faults {
    pub(super) fn plan(&mut self, method: &str, times: u32, chance: f64, fault: Fault) {
        if self.planned.len() >= PLANNED_MAX {
            self.planned.remove(0);
        }
        self.planned.push(Planned {
            method: method.to_lowercase(),
            times_left: times.max(1),
            chance: chance.clamp(0.0, 1.0),
            fault,
        });
    }

    pub(super) fn left(&self) -> u32 {
        let left = self.planned.iter().map(|planned| planned.times_left);
        left.fold(0, u32::saturating_add)
    }

    pub(super) fn clear(&mut self) {
        self.planned.clear();
    }

    /// The fault that is due for a call, if one is.
    pub(super) fn due(&mut self, method: &str) -> Option<Fault> {
        for at in 0..self.planned.len() {
            let named = self.planned[at].method == method || self.planned[at].method == "*";
            if !named || (self.planned[at].chance < 1.0 && self.draw() >= self.planned[at].chance) {
                continue;
            }
            self.planned[at].times_left -= 1;
            let fault = self.planned[at].fault.clone();
            if self.planned[at].times_left == 0 {
                self.planned.remove(at);
            }
            return Some(fault);
        }
        None
    }

    /// 0 to 1, the same series in every run (splitmix64): a failure that chance found is found again.
    fn draw(&mut self) -> f64 {
        self.draws = self.draws.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.draws;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bits = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(0);
        f64::from(bits) / f64::from(u32::MAX)
    }
}
