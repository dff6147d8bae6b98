//! The whole way of one file: probe, plan, transcode down the ladder, verify, rename.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::control::Control;
use super::device::Caps;
use super::error::MediaError;
use super::info::MediaInfo;
use super::plan::{Plan, plan};
use super::preset::{Limits, Preset};
use super::probe::{open_file, probe};
use super::report::Report;
use super::transcode::{Tally, transcode};
use super::verify::{Verdict, verify};

/// Converts `input` to `output`: never leaves a partial file under the final name, nor beside it.
///
/// # Errors
/// See [`MediaError`]. Only [`MediaError::Device`] makes the next way of the plan be tried.
pub fn convert(
    input: &Path,
    output: &Path,
    preset: Preset,
    caps: &Caps,
    limits: &Limits,
    control: &Control,
) -> Result<Report, MediaError> {
    let (began, cpu_began_s) = (Instant::now(), cpu_s());
    let info = probe(input, limits, control)?;
    let ways = plan(&info, preset, caps)?;
    let mut last = None;
    for way in &ways {
        tracing::info!(plan = %way, "plan");
        match one_way(input, output, way, &info, limits, control) {
            Ok((tally, verdict)) => {
                let mut report = report(input, output, way, &info, &tally, verdict);
                report.wall_s = began.elapsed().as_secs_f64();
                report.cpu_s = cpu_s() - cpu_began_s;
                return Ok(report);
            }
            Err(MediaError::Device { device, what }) => {
                tracing::warn!(device, what, "the device failed, going on the next way");
                last = Some(MediaError::Device { device, what });
            }
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or(MediaError::Engine {
        doing: "plan",
        what: "no way was offered".to_owned(),
    }))
}

fn one_way(
    input: &Path,
    output: &Path,
    way: &Plan,
    info: &MediaInfo,
    limits: &Limits,
    control: &Control,
) -> Result<(Tally, Verdict), MediaError> {
    let (file, _) = open_file(input, limits)?;
    let folder = match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Removed on every early return; only `persist` makes it stay.
    let part = tempfile::Builder::new()
        .prefix(".kadr-")
        .suffix(".part")
        .tempfile_in(folder)
        .map_err(|source| io("create the output", source))?;
    let writer = File::options()
        .read(true)
        .write(true)
        .open(part.path())
        .map_err(|source| io("create the output", source))?;
    let tally = transcode(way, info, file, writer, limits, control)?;
    let verdict = verify(part.path(), way, info, &tally, limits, control)?;
    control.check()?;
    make_readable(part.as_file());
    part.persist(output)
        .map_err(|error| io("rename the output", error.error))?;
    // The name must survive a power cut as well as the bytes do.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok((tally, verdict))
}

fn io(doing: &'static str, source: std::io::Error) -> MediaError {
    match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => MediaError::DiskFull,
        _ => MediaError::Io { doing, source },
    }
}

/// A temporary file is private; the result is a file like any other.
fn make_readable(file: &File) {
    use std::os::unix::fs::PermissionsExt;
    let _ = file.set_permissions(std::fs::Permissions::from_mode(0o644));
}

fn report(input: &Path, output: &Path, way: &Plan, info: &MediaInfo, tally: &Tally, verdict: Verdict) -> Report {
    #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
    let duration_s = verdict.duration_us as f64 / 1e6;
    if tally.clamped.load(Relaxed) > 0 {
        tracing::debug!(count = tally.clamped.load(Relaxed), "time stamps were put in order");
    }
    Report {
        input: input.to_owned(),
        output: output.to_owned(),
        mode: way.mode(),
        device: way.rung.to_string(),
        video: way.video_action(),
        audio: way.audio_action(),
        reasons: way.reasons.clone(),
        warnings: verdict
            .warnings
            .into_iter()
            .chain(way.warnings.iter().cloned())
            .collect(),
        frames: verdict.frames,
        duration_s,
        width: verdict.width,
        height: verdict.height,
        wall_s: 0.0,
        cpu_s: 0.0,
        in_bytes: info.size_bytes,
        out_bytes: verdict.size_bytes,
    }
}

/// Processor time of this process so far, seconds (`/proc/self/stat`, in ticks of 10 ms).
fn cpu_s() -> f64 {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else {
        return 0.0;
    };
    // The second field is a name in parentheses that may hold spaces; utime and stime are the 12th and 13th after it.
    let Some((_, fields)) = stat.rsplit_once(')') else {
        return 0.0;
    };
    let ticks: u32 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u32>().ok())
        .sum();
    f64::from(ticks) / 100.0
}
