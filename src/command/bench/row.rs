//! What a bench says: one header, then a row for each piece of work and program. The schema is told in docs/bench.md;
//! readers ignore keys that they do not know, and a change of meaning raises [`SCHEMA`].

use serde::{Deserialize, Serialize};

use crate::media::packets::Same;
use crate::media::score::Score;

/// Version of the lines.
pub(super) const SCHEMA: u32 = 1;

/// Where, when and with what it was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "header")]
pub(super) struct Header {
    pub(super) schema: u32,
    pub(super) kadr: String,
    /// FFmpeg's libraries that kadr runs on.
    pub(super) libraries: String,
    /// UTC, `2026-11-26T19:20:00Z`.
    pub(super) date: String,
    pub(super) command: String,
    pub(super) host: Host,
    pub(super) gpus: Vec<Gpu>,
    pub(super) peers: Vec<PeerFacts>,
    pub(super) rounds: u32,
    pub(super) warm_up: u32,
    /// Of decoder, filters and encoder, each; 0 for as many as libav finds right.
    pub(super) threads: u32,
    /// A build without optimisations says nothing about speed.
    pub(super) optimised: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Host {
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) memory_bytes: Option<u64>,
    pub(super) kernel: String,
    /// Processes that ran or waited in the last minute, before the first measurement: well below 1 on an idle machine.
    pub(super) load: Option<f64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Gpu {
    pub(super) name: String,
    pub(super) driver: Option<String>,
    pub(super) memory_bytes: Option<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PeerFacts {
    /// As rows name it.
    pub(super) name: String,
    pub(super) program: String,
    pub(super) version: String,
}

/// One piece of work by one program.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename = "row")]
pub(super) struct Row {
    pub(super) clip: String,
    pub(super) preset: String,
    /// `copy`, `partial`, `cpu`, `hybrid` or `nvenc`.
    pub(super) rung: String,
    /// So many of the same at once.
    pub(super) jobs: u32,
    /// Who did it: `kadr`, or a name of the header's peers.
    pub(super) by: String,
    /// What a peer was told; empty for kadr.
    pub(super) arguments: Vec<String>,
    /// From the start of the processes to the end of the last.
    pub(super) wall_s: Option<Spread>,
    /// Of all processes.
    pub(super) cpu_s: Option<Spread>,
    /// Video a second, times all jobs.
    pub(super) speed_x: Option<f64>,
    pub(super) fps: Option<f64>,
    /// Millions of output pixels a second, times all jobs.
    pub(super) mpx_s: Option<f64>,
    /// Processor time over time: 2 on two cores that never waited.
    pub(super) cores_busy: Option<f64>,
    /// kadr's own, from the first picture at the encoder to its last packet, median; only of one job.
    #[serde(default)]
    pub(super) encode_cores_busy: Option<f64>,
    /// Cores of the machine that stood idle meanwhile, median.
    #[serde(default)]
    pub(super) encode_cores_idle: Option<f64>,
    /// The largest of the rounds, all processes together; null where it cannot be told from the bench's own.
    pub(super) memory_bytes_max: Option<u64>,
    /// Above what was in use before; null without a GPU.
    pub(super) gpu_memory_bytes_max: Option<u64>,
    pub(super) gpu_encoder_percent_max: Option<u32>,
    pub(super) gpu_decoder_percent_max: Option<u32>,
    /// From the start of the process to the first packet in the output, median.
    pub(super) first_packet_s: Option<f64>,
    /// Of the single jobs, all rounds; only where several run at once.
    pub(super) job_p95_s: Option<f64>,
    pub(super) in_bytes: u64,
    pub(super) out_bytes: u64,
    pub(super) frames: u64,
    pub(super) duration_s: f64,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) quality: Option<Score>,
    pub(super) vmaf: Option<f64>,
    pub(super) vmaf_neg: Option<f64>,
    /// SHA-256 over the digests of the video packets.
    pub(super) packets_sha256: Option<String>,
    /// A peer's packets against kadr's.
    pub(super) same_packets: Option<Same>,
    /// kadr's time over this peer's, round by round, median; below 1 kadr is faster.
    pub(super) wall_ratio: Option<f64>,
    pub(super) cpu_ratio: Option<f64>,
    pub(super) memory_ratio: Option<f64>,
    /// Why something above is missing.
    pub(super) note: Option<String>,
}

impl Row {
    /// What it is a measurement of, whoever did it.
    pub(super) fn work(&self) -> (&str, &str, &str, u32) {
        (&self.clip, &self.preset, &self.rung, self.jobs)
    }
}

/// Middle and spread of the rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    /// Median of the distances from the median, times 1.4826: a standard deviation where they are spread normally.
    pub(super) mad: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    /// In the order of the rounds.
    pub(super) each: Vec<f64>,
}

impl Spread {
    /// `None` of nothing.
    pub(super) fn of(each: &[f64]) -> Option<Self> {
        let median = median(each)?;
        let distances: Vec<f64> = each.iter().map(|value| (value - median).abs()).collect();
        Some(Self {
            median,
            mad: 1.4826 * self::median(&distances)?,
            min: each.iter().copied().fold(f64::INFINITY, f64::min),
            max: each.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            each: each.to_vec(),
        })
    }
}

/// `None` of nothing.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The value that so many of a hundred are not above, by the nearest rank.
pub(super) fn percentile(values: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// The median of the quotients, round by round: what slows a whole round slows both.
pub(super) fn ratio(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    let quotients = ours.iter().zip(theirs).filter(|(_, theirs)| **theirs > 0.0);
    median(&quotients.map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_not_moved_by_one_bad_round() {
        let spread = Spread::of(&[1.0, 1.1, 0.9, 1.0, 9.0]).unwrap();
        assert!((spread.median - 1.0).abs() < 1e-9 && (spread.mad - 0.14826).abs() < 1e-9);
        assert_eq!((spread.min, spread.max), (0.9, 9.0));
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
        assert_eq!((Spread::of(&[]), median(&[])), (None, None));
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(percentile(&values, 95), Some(19.0));
        assert_eq!(percentile(&[3.0], 95), Some(3.0));
        assert_eq!(percentile(&[], 95), None);
    }

    #[test]
    fn a_slow_round_for_both_leaves_the_ratio() {
        assert_eq!(ratio(&[1.0, 5.0, 1.0], &[2.0, 10.0, 2.0]), Some(0.5));
        assert_eq!(ratio(&[], &[]), None);
    }
}
