//! Decoding times for packets of NVENC. Pure.
//!
//! libav's wrapper takes so many ticks off the time of the oldest frame as frames may be reordered, which is right only
//! where a tick is a frame. On the finer clocks of kadr a reordered frame would be decoded after it is shown, and no
//! muxer takes that. So the times are made here: a packet is decoded when the frame that stands so many places before it
//! is shown.

use std::collections::VecDeque;

/// Decoding times as packets come; frames are told as they are sent.
pub(super) struct Decoding {
    /// Presentation times of frames that were sent and have given no decoding time yet, ascending.
    sent: VecDeque<i64>,
    /// Frames that the first packets are ahead.
    ahead: usize,
    /// Of the first frame.
    first: Option<i64>,
    /// Between frames, for the packets that come before any frame is shown.
    step: i64,
}

impl Decoding {
    pub(super) fn new(reorder_max: usize, step: i64) -> Self {
        Self {
            sent: VecDeque::new(),
            ahead: reorder_max,
            first: None,
            step: step.max(1),
        }
    }

    pub(super) fn sent(&mut self, pts: i64) {
        self.first.get_or_insert(pts);
        self.sent.push_back(pts);
    }

    /// For the next packet.
    pub(super) fn next(&mut self) -> Option<i64> {
        if self.ahead == 0 {
            return self.sent.pop_front();
        }
        let first = self.first?;
        let before = i64::try_from(self.ahead).unwrap_or(0) * self.step;
        self.ahead -= 1;
        Some(first - before)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Decoding;

    #[test]
    fn no_packet_is_decoded_after_it_is_shown() {
        // I P B b b of a pyramid, unevenly spaced as films are.
        let shown = [0, 40, 83, 120, 200, 240, 281, 320];
        let order = [0, 4, 2, 1, 3, 7, 5, 6];
        let mut decoding = Decoding::new(3, 40);
        for pts in shown {
            decoding.sent(pts);
        }
        let times: Vec<i64> = order.iter().map_while(|_| decoding.next()).collect();
        assert_eq!(times, [-120, -80, -40, 0, 40, 83, 120, 200]);
        assert!(order.iter().zip(&times).all(|(&place, &dts)| dts <= shown[place]));
    }

    #[test]
    fn without_reordering_frames_are_decoded_when_they_are_shown() {
        let mut decoding = Decoding::new(0, 40);
        for pts in [7, 30, 90] {
            decoding.sent(pts);
            assert_eq!(decoding.next(), Some(pts));
        }
        assert_eq!(decoding.next(), None);
    }

    proptest! {
        #[test]
        fn times_ascend(gaps in prop::collection::vec(1_i64..100, 1..40), ahead in 0_usize..5) {
            let mut decoding = Decoding::new(ahead, 10);
            let mut pts = 0;
            for gap in &gaps {
                pts += gap;
                decoding.sent(pts);
            }
            let times: Vec<i64> = gaps.iter().map_while(|_| decoding.next()).collect();
            prop_assert_eq!(times.len(), gaps.len());
            prop_assert!(times.is_sorted_by(|one, next| one < next));
        }
    }
}
