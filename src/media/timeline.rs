//! One clock for a file whose times jump: broadcasts and discs start anew in the middle, and 33 bits run over. Pure.
//!
//! As long as decoding times go on, packets keep their times. A jump of any stream moves the whole file, so what is
//! heard stays with what is seen; the jumping packet then follows its predecessor.

use std::collections::HashMap;

/// Further ahead than this is a jump, not a pause (the ffmpeg command's `dts_delta_threshold`), microseconds.
const AHEAD_US_MAX: i64 = 10_000_000;
/// Back by more than this is a jump, not a disorder of the multiplex, microseconds.
const BACK_US_MAX: i64 = 500_000;

/// The offset that all times of a file are moved by, so far.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    offset_us: i64,
    /// Where each stream's next packet is due, after the offset.
    due_us: HashMap<usize, i64>,
    last_us: Option<i64>,
    jumps: u64,
}

impl Timeline {
    /// The offset for a packet with this decoding time and duration, microseconds.
    pub(super) fn place(&mut self, stream: usize, dts_us: i64, duration_us: i64) -> i64 {
        let mut at_us = dts_us + self.offset_us;
        // A stream's first packet may lie seconds before what was multiplexed ahead of it: it has no predecessor yet.
        let own_us = self.due_us.get(&stream).map(|&due_us| (due_us, BACK_US_MAX));
        if let Some((due_us, back_us_max)) = own_us.or(self.last_us.map(|last_us| (last_us, AHEAD_US_MAX))) {
            let ahead_us = at_us - due_us;
            if !(-back_us_max..=AHEAD_US_MAX).contains(&ahead_us) {
                self.offset_us -= ahead_us;
                at_us = due_us;
                self.jumps += 1;
                // The other streams come from the same new beginning: where they were due no longer counts.
                self.due_us.clear();
            }
        }
        self.due_us.insert(stream, at_us + duration_us.max(0));
        self.last_us = Some(at_us);
        self.offset_us
    }

    /// How often the times jumped.
    pub(super) fn jumps(&self) -> u64 {
        self.jumps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME_US: i64 = 40_000;

    #[track_caller]
    fn check(times_us: &[(usize, i64)], placed_us: &[i64], jumps: u64) {
        let mut timeline = Timeline::default();
        let placed: Vec<i64> = times_us
            .iter()
            .map(|&(stream, dts_us)| dts_us + timeline.place(stream, dts_us, FRAME_US))
            .collect();
        assert_eq!(placed, placed_us);
        assert_eq!(timeline.jumps(), jumps);
    }

    #[test]
    fn steady_times_stay_as_they_are() {
        check(
            &[(0, 0), (1, 10), (0, 40_000), (1, 40_010)],
            &[0, 10, 40_000, 40_010],
            0,
        );
    }

    #[test]
    fn a_pause_is_kept() {
        check(&[(0, 0), (0, 3_000_000)], &[0, 3_000_000], 0);
    }

    #[test]
    fn a_second_beginning_follows_the_first() {
        check(
            &[(0, 5_000_000), (1, 5_000_000), (0, 0), (1, 10_000), (0, 40_000)],
            &[5_000_000, 5_000_000, 5_040_000, 5_050_000, 5_080_000],
            1,
        );
    }

    #[test]
    fn sound_that_is_multiplexed_late_is_no_new_beginning() {
        check(
            &[(0, 0), (0, 600_000), (0, 1_200_000), (1, 0), (1, 40_000)],
            &[0, 600_000, 1_200_000, 0, 40_000],
            0,
        );
    }

    #[test]
    fn a_leap_of_a_day_follows_too() {
        let day_us = 86_400_000_000;
        check(
            &[(0, 0), (0, day_us), (0, day_us + FRAME_US)],
            &[0, FRAME_US, 2 * FRAME_US],
            1,
        );
    }
}
