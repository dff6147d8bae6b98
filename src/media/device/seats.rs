//! How many jobs a GPU takes at once, from what is known of it. Pure.

use super::nvml::GpuFacts;

/// Where nothing is known: two jobs keep one encoding engine busy, one waiting in memory while the other encodes.
const SEATS: u32 = 2;
/// Jobs that keep one engine busy.
const JOBS_AN_ENGINE: u32 = 2;
/// Memory that a job is reckoned with: some 80 surfaces of 1080p (3 MiB each) in NVDEC, filters and NVENC's look-ahead,
/// and as much again for contexts and 4K sources. Reckoned, not measured on a card.
const BYTES_A_JOB: u64 = 512 << 20;

/// At least one: a GPU that has room for none fails its proof, or the job, and the next way is taken.
///
/// Sessions that other programs hold are not told beforehand; one too many fails to open, and that job goes another way.
pub(super) fn seats(facts: Option<&GpuFacts>) -> u32 {
    let Some(facts) = facts else { return SEATS };
    let by_engines = facts
        .engines
        .map_or(SEATS, |engines| match (engines.nvenc, engines.nvdec) {
            // A GPU that only decodes is busy by its decoders.
            (0, decoders) => decoders.unwrap_or(1) * JOBS_AN_ENGINE,
            (encoders, _) => encoders * JOBS_AN_ENGINE,
        });
    let by_memory = match (facts.memory_bytes, facts.memory_used_bytes) {
        (Some(bytes), used) => {
            let free = bytes.saturating_sub(used.unwrap_or(0));
            u32::try_from(free / BYTES_A_JOB).unwrap_or(u32::MAX)
        }
        (None, _) => u32::MAX,
    };
    by_engines.min(by_memory).max(1)
}

#[cfg(test)]
mod tests {
    use super::seats;
    use crate::media::device::nvml::{Engines, GpuFacts};

    fn gpu(name: &str, free_gib: u64) -> GpuFacts {
        GpuFacts {
            engines: Engines::of(name),
            memory_bytes: Some(24 << 30),
            memory_used_bytes: Some((24 - free_gib) << 30),
            ..GpuFacts::default()
        }
    }

    #[test]
    fn engines_decide_while_there_is_memory() {
        assert_eq!(seats(Some(&gpu("NVIDIA L40S", 20))), 6);
        assert_eq!(seats(Some(&gpu("NVIDIA H100 80GB HBM3", 20))), 14);
        assert_eq!(seats(Some(&gpu("NVIDIA L40S", 1))), 2);
    }

    #[test]
    fn one_is_always_taken() {
        assert_eq!(seats(Some(&gpu("NVIDIA L40S", 0))), 1);
        assert_eq!(seats(Some(&gpu("a GPU of tomorrow", 20))), 2);
        assert_eq!(seats(None), 2);
    }
}
