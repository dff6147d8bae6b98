//! The machine, the programs and the hour: what a figure means nothing without.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::row::{Gpu, Header, Host, PeerFacts, SCHEMA};
use crate::media;
use crate::media::device::nvml;

pub(super) fn header(peers: Vec<PeerFacts>, rounds: u32, warm_up: u32, threads: u32) -> Header {
    Header {
        schema: SCHEMA,
        kadr: format!("{} ({})", env!("CARGO_PKG_VERSION"), env!("KADR_REVISION")),
        libraries: media::versions(),
        date: utc(SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())),
        command: std::env::args().map(|arg| quoted(&arg)).collect::<Vec<_>>().join(" "),
        host: host(),
        gpus: gpus(),
        peers,
        rounds,
        warm_up,
        threads,
        optimised: !cfg!(debug_assertions),
    }
}

fn host() -> Host {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let cpu = read("/proc/cpuinfo");
    let memory = value(&read("/proc/meminfo"), "MemTotal");
    let kib = memory.and_then(|memory| memory.trim_end_matches(" kB").parse::<u64>().ok());
    Host {
        cpu: value(&cpu, "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: kib.map(|kib| kib * 1024),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        load: read("/proc/loadavg")
            .split(' ')
            .next()
            .and_then(|load| load.parse().ok()),
    }
}

fn gpus() -> Vec<Gpu> {
    let Ok(facts) = nvml::facts() else { return Vec::new() };
    let gpus = facts.gpus.into_iter().map(|gpu| Gpu {
        name: gpu.name,
        driver: facts.driver.clone(),
        memory_bytes: gpu.memory_bytes,
    });
    gpus.collect()
}

/// What a program calls itself: the first line of `-version` or `--version`.
pub(super) fn version(program: &Path, flag: &str) -> anyhow::Result<String> {
    let said = super::process::output(program, &[flag.to_owned()], Path::new("."))?;
    let line = said.lines().map(str::trim).find(|line| !line.is_empty());
    Ok(line.unwrap_or("unknown").to_owned())
}

/// FFmpeg's major release, by its first line: `ffmpeg version 5.1.9-0+deb12u1 …` and `n9.0.2` say it, a build of a
/// revision (`N-119…`) is newer than any release.
pub(super) fn major(version: &str) -> u32 {
    let word = version.split_whitespace().nth(2).unwrap_or_default();
    let digits: String = word
        .trim_start_matches('n')
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap_or(u32::MAX)
}

fn quoted(arg: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,+%@".contains(letter);
    if !arg.is_empty() && arg.chars().all(plain) {
        arg.to_owned()
    } else {
        format!("'{}'", arg.replace('\'', r"'\''"))
    }
}

/// Seconds since 1970 as a date of the Gregorian calendar (Hinnant, `civil_from_days`).
fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::{major, quoted, utc};

    #[test]
    fn a_date_is_right_around_leap_days() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_795_719_000), "2026-11-26T18:50:00Z");
    }

    #[test]
    fn a_release_is_read_as_distributions_write_it() {
        assert_eq!(major("ffmpeg version 5.1.9-0+deb12u1 Copyright (c)"), 5);
        assert_eq!(major("ffmpeg version n9.0.2-1 Copyright (c)"), 9);
        assert_eq!(major("ffmpeg version N-119000-gabc Copyright (c)"), u32::MAX);
    }

    #[test]
    fn a_command_can_be_pasted() {
        assert_eq!(quoted("a.mp4"), "a.mp4");
        assert_eq!(quoted("it's one"), r"'it'\''s one'");
    }
}
