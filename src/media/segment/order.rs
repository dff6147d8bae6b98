//! Presentation times of all packets, as they stand in the file -> decoding times. Pure.
//!
//! A packet's decoding time is the presentation time of the frame that stands so many places before it in the order of
//! showing as frames wait for each other at most: that is strictly ascending, never after the packet's own presentation
//! time, and what an encoder says that knows the whole film (x264 and x265 do it like this). Each segment's encoder knows
//! only its own beginning, so what it says of its first packets is not used.

/// Decoding times of the segments, one after another. `reserved` is how long encoders let frames wait whether they have to
/// or not, frames.
pub(super) fn decoding_times(segments: &[&[i64]], reserved: usize) -> Result<Vec<i64>, &'static str> {
    let mut shown: Vec<i64> = Vec::new();
    let mut depth = reserved;
    for segment in segments {
        let mut sorted = segment.to_vec();
        sorted.sort_unstable();
        for (position, pts) in segment.iter().enumerate() {
            let place = sorted.partition_point(|other| other < pts);
            depth = depth.max(position.saturating_sub(place));
        }
        shown.append(&mut sorted);
    }
    if !shown.is_sorted_by(|one, next| one < next) {
        return Err("the segments' times overlap");
    }
    let (Some(&first), Some(&waited_for)) = (shown.first(), shown.get(depth)) else {
        return Err("the segments are too short");
    };
    Ok((0..shown.len())
        .map(|position| match position.checked_sub(depth) {
            Some(earlier) => shown[earlier],
            None => shown[position] - (waited_for - first),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::decoding_times;

    #[test]
    fn one_encoder_would_have_said_the_same() {
        // I P B B of two segments, a frame every 10.
        let first = [0, 30, 10, 20, 60, 40, 50];
        let second = [70, 100, 80, 90, 110];
        let whole: Vec<i64> = first.iter().chain(&second).copied().collect();
        let split = decoding_times(&[&first, &second], 2).unwrap();
        assert_eq!(split, decoding_times(&[&whole], 2).unwrap());
        assert_eq!(split[..5], [-20, -10, 0, 10, 20]);
    }

    #[test]
    fn frames_that_never_wait_are_decoded_when_they_are_shown() {
        assert_eq!(decoding_times(&[&[0, 10], &[20, 31]], 0).unwrap(), [0, 10, 20, 31]);
    }

    #[test]
    fn segments_that_overlap_are_refused() {
        assert!(decoding_times(&[&[0, 10], &[10, 20]], 0).is_err());
        assert!(decoding_times(&[&[0, 10]], 5).is_err(), "less than what waits");
    }

    proptest! {
        /// Segments of variable frame rate, each in mini-GOPs that show their first frame last.
        #[test]
        fn decoding_times_ascend_and_never_pass_what_is_shown(
            gaps in prop::collection::vec(1_i64..50, 12..80),
            group in 1_usize..5,
            cut in 4_usize..8,
        ) {
            let shown: Vec<i64> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            let (one, two) = shown.split_at(cut);
            let reorder = |times: &[i64]| -> Vec<i64> {
                let mut out = times[..1].to_vec();
                for group in times[1..].chunks(group) {
                    let (last, others) = group.split_last().unwrap();
                    out.push(*last);
                    out.extend(others);
                }
                out
            };
            let (one, two) = (reorder(one), reorder(two));
            let decoded = decoding_times(&[&one, &two], 0).unwrap();
            prop_assert!(decoded.is_sorted_by(|one, next| one < next));
            prop_assert!(decoded.iter().zip(one.iter().chain(&two)).all(|(dts, pts)| dts <= pts));
        }
    }
}
