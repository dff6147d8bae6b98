//! Whether a film is split, into how many segments, and where they begin. Pure.

use std::fmt;
use std::str::FromStr;

use crate::media::info::MediaInfo;
use crate::media::plan::{Plan, Rate, Rung};

/// The shortest segment, microseconds: each costs one key frame more, which is held against the two at least that 10 s have
/// anyway (one every 5 s).
const SEGMENT_US_MIN: i64 = 10_000_000;
/// The shortest that is worth a decoder, an encoder and a look at the whole file before it begins, microseconds.
const WORTH_US_MIN: i64 = 60_000_000;

/// Into how many segments a film is split, as people write it: `auto`, `off`, `N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Split {
    /// Where it was shown to be faster.
    #[default]
    Auto,
    /// Never.
    Off,
    /// So many, where the film can be split at all: for tests and measurements.
    Into(u32),
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => write!(f, "auto"),
            Self::Off => write!(f, "off"),
            Self::Into(segments) => write!(f, "{segments}"),
        }
    }
}

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            _ => text
                .parse()
                .ok()
                .filter(|segments| (1..=16).contains(segments))
                .map(Self::Into)
                .ok_or_else(|| format!("segments are `{text}` (allowed: auto, off, 1 to 16)")),
        }
    }
}

/// What keeps this plan from being split at all.
pub(super) fn obstacle(plan: &Plan, info: &MediaInfo) -> Option<&'static str> {
    let Some(encode) = plan.encode() else {
        return Some("no video is encoded");
    };
    if !matches!(encode.rate, Rate::Quality { .. }) {
        Some("its size is planned over the whole film")
    } else if encode.picture.fps_max.is_some() {
        Some("its frame rate is lowered")
    } else if info.video().is_some_and(|video| video.interlaced) {
        Some("deinterlacing looks at the pictures around each one")
    } else if !info.video().is_some_and(|video| video.has_pts) || info.is_container(&["avi"]) {
        Some("its packets do not say when they are shown")
    } else {
        None
    }
}

/// How many segments are faster than one, where any are. `engines` are those of the plan's GPU that encode; unknown counts
/// as one. On the CPU nothing is split: with two busy cores two segments took 0.93 to 1.16 times as long with x264
/// (`ci/segments`), and machines with more cores were not measured.
pub(super) fn worthwhile(plan: &Plan, info: &MediaInfo, engines: Option<u32>) -> Option<u32> {
    if obstacle(plan, info).is_some() {
        return None;
    }
    let fits = u32::try_from(plan.duration_us(info)? / WORTH_US_MIN).ok()?;
    let workers = match plan.rung {
        // One encode cannot fill more than one engine, and frames never leave the GPU.
        Rung::Cuda { .. } => engines?,
        // Decoding on the CPU holds the engines up.
        Rung::Upload { .. } => return None,
        Rung::Hybrid { .. } | Rung::Cpu | Rung::None => return None,
    };
    Some(workers.min(fits)).filter(|&workers| workers >= 2)
}

/// The key frames that segments begin with, by their place among `keys_us`; fewer than two where it cannot be split. What is
/// kept lies between `from_us` and `to_us`.
pub(super) fn split(keys_us: &[i64], (from_us, to_us): (i64, i64), workers: u32) -> Vec<usize> {
    let length_us = to_us.saturating_sub(from_us);
    let workers = i64::from(workers).min(length_us / SEGMENT_US_MIN);
    // The first one begins with the last key frame before what is kept.
    let Some(first) = keys_us.partition_point(|&key_us| key_us <= from_us).checked_sub(1) else {
        return Vec::new();
    };
    let (mut firsts, mut begun_us) = (vec![first], from_us);
    for number in 1..workers {
        let ideal_us = from_us + length_us * number / workers;
        let allowed = (begun_us + SEGMENT_US_MIN)..=(to_us - SEGMENT_US_MIN);
        let nearest = keys_us
            .iter()
            .enumerate()
            .filter(|(_, key_us)| allowed.contains(key_us))
            .min_by_key(|&(_, key_us)| (key_us - ideal_us).abs());
        if let Some((place, &key_us)) = nearest {
            firsts.push(place);
            begun_us = key_us;
        }
    }
    firsts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{SEGMENT_US_MIN, Split, split};

    const S: i64 = 1_000_000;

    #[track_caller]
    fn check(keys_s: &[i64], range_s: (i64, i64), workers: u32, expected: &[usize]) {
        let keys_us: Vec<i64> = keys_s.iter().map(|key_s| key_s * S).collect();
        assert_eq!(split(&keys_us, (range_s.0 * S, range_s.1 * S), workers), expected);
    }

    #[test]
    fn segments_are_about_equally_long() {
        check(&[0, 5, 10, 15, 20, 25, 30, 35], (0, 40), 2, &[0, 4]);
        check(&[0, 5, 10, 15, 20, 25, 30, 35], (0, 40), 4, &[0, 2, 4, 6]);
        check(&[0, 7, 21, 33], (0, 40), 2, &[0, 2]);
    }

    #[test]
    fn too_short_or_too_few_key_frames_give_one() {
        check(&[0, 5, 10], (0, 15), 2, &[0]);
        check(&[0], (0, 3600), 8, &[0]);
        check(&[0, 1], (0, 3600), 8, &[0]);
        check(&[], (0, 3600), 8, &[]);
    }

    #[test]
    fn a_part_begins_with_the_key_frame_before_it() {
        check(&[0, 10, 20, 30, 40, 50], (25, 60), 2, &[2, 4]);
    }

    #[test]
    fn the_words_of_the_command_line_read_back() {
        for text in ["auto", "off", "4"] {
            assert_eq!(text.parse::<Split>().unwrap().to_string(), text);
        }
        for wrong in ["0", "17", "many", ""] {
            assert!(wrong.parse::<Split>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn segments_ascend_begin_at_key_frames_and_are_long_enough(
            gaps_us in prop::collection::vec(1_i64..30 * S, 1..200),
            from_us in 0..100 * S,
            length_us in 0..3000 * S,
            workers in 0_u32..20,
        ) {
            let keys_us: Vec<i64> = gaps_us.iter().scan(-1, |at, gap| { *at += gap; Some(*at) }).collect();
            let to_us = from_us + length_us;
            let firsts = split(&keys_us, (from_us, to_us), workers);
            prop_assert!(firsts.len() <= workers.max(1) as usize);
            prop_assert!(firsts.iter().all(|&first| first < keys_us.len()));
            prop_assert!(firsts.is_sorted_by(|one, next| one < next), "no overlap");
            if let Some(&first) = firsts.first() {
                prop_assert!(keys_us[first] <= from_us, "what is kept is covered");
                let mut begins: Vec<i64> = vec![from_us];
                begins.extend(firsts[1..].iter().map(|&first| keys_us[first]));
                begins.push(to_us);
                let long_enough = begins.windows(2).all(|pair| pair[1] - pair[0] >= SEGMENT_US_MIN);
                prop_assert!(firsts.len() == 1 || long_enough);
            }
        }
    }
}
