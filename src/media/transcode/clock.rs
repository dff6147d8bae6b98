//! A frame's time in the source -> its time in the output, strictly ascending. Pure; keeps what the frames before it said.

use crate::media::info::{MediaInfo, Rational};
use crate::media::plan::{Plan, VideoEncode};

/// Rebases times and keeps them strictly ascending.
#[derive(Clone, Debug)]
pub(in crate::media) struct Clock {
    shift: i64,
    last: Option<i64>,
    /// As the source says it.
    last_raw: Option<i64>,
    step: i64,
    /// Between frames whose times are equal: half a frame, but no less than the contract's frame rate.
    squeezed: i64,
    /// The first frame is to be 0: for streams whose container has no presentation times, or that are alone.
    anchored: bool,
    /// Times that are kept, in the stream's base.
    kept: Option<i64>,
    cut: bool,
}

impl Clock {
    /// `zero_us` is what is 0 in the output, on the source's clock; `time_base` the stream's.
    pub(in crate::media) fn new(
        plan: &Plan,
        info: &MediaInfo,
        encode: &VideoEncode,
        zero_us: i64,
        time_base: Rational,
    ) -> Self {
        // The source's own rate: a cap on the frame rate comes after the clock.
        let fps = info.video().map_or(0.0, |video| video.fps);
        #[expect(clippy::cast_possible_truncation, reason = "a frame lasts less than a day")]
        let frame_us = (1e6
            / if fps > 0.0 {
                fps
            } else {
                encode.frame_rate.value().max(1.0)
            }) as i64;
        let step = Rational::MICROS.rescale(frame_us, time_base).max(1);
        let fastest = Rational { num: 1, den: 60 }.rescale(1, time_base);
        Self {
            shift: Rational::MICROS.rescale(zero_us, time_base),
            last: None,
            last_raw: None,
            step,
            squeezed: (step / 2).max(fastest).max(1),
            anchored: info.video().is_some_and(|video| !video.has_pts)
                || info.is_container(&["avi"])
                || plan.audio.is_none(),
            kept: plan.kept_us().map(|us| Rational::MICROS.rescale(us, time_base)),
            cut: plan.cut.is_some_and(|cut| cut.from_us > 0),
        }
    }

    /// The frame's time and whether it had to be moved; `None` where it lies outside the part that is kept.
    pub(in crate::media) fn place(&mut self, raw: Option<i64>) -> Option<(i64, bool)> {
        if self.cut && raw.is_some_and(|raw| raw < self.shift) {
            return None;
        }
        if let (None, Some(first), true) = (self.last, raw, self.anchored) {
            self.kept = self
                .kept
                .map(|kept| if self.cut { kept - (first - self.shift) } else { kept });
            self.shift = first;
        }
        let guess = self.last.map_or(0, |last| last + self.step);
        let mut pts = raw.map_or(guess, |pts| pts - self.shift);
        // A frame that would outlast the part by more than a tenth of itself is not begun.
        if self.kept.is_some_and(|kept| pts + self.step > kept + self.step / 10) {
            return None;
        }
        let mut clamped = false;
        if let Some(last) = self.last
            && pts <= last
        {
            clamped = true;
            // Frames with one time are spread; a clock that goes back is waited for, lest all that follows be late.
            pts = last + if raw == self.last_raw { self.squeezed } else { 1 };
        }
        self.last = Some(pts);
        self.last_raw = raw;
        Some((pts, clamped))
    }
}
