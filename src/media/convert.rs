//! The whole way of one file: probe, plan, transcode down the ladder, verify, rename.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::confine::{Confined, Openings, alone};
use super::control::{Control, processor_time};
use super::device::diagnosis::diagnose;
use super::device::{self, Caps, Cause, Context, Seat};
use super::error::{MediaError, Refusal};
use super::ffi::{Device, Pass, log};
use super::forecast::expected_s;
use super::info::MediaInfo;
use super::limits::Limits;
use super::look::Look;
use super::plan::{AIM, Plan, RATE_BPS_MAX, Rate, plan};
use super::preset::{Container, VideoCodec};
use super::probe::{Unread, open_file, probe_and};
use super::recipe::Recipe;
use super::report::{Fallback, Report};
use super::segment;
use super::sheet;
use super::transcode::{PassOf, Tally, transcode};
use super::verify::{Verdict, verify};

/// Attempts at a size before the last word.
const ATTEMPTS_MAX: u32 = 5;
/// Where progress stands after the first pass, which encodes faster than the second, and after the second; every
/// further attempt takes half of the rest. Millionths.
const FIRST_PASS_PPM: u64 = 350_000;
const SECOND_PASS_PPM: u64 = 900_000;
/// A result that keeps its size, and how it came to be.
type Sized = (tempfile::NamedTempFile, Plan, Tally, Verdict);

/// A file under its final name, and how it came to be.
struct Done {
    way: Plan,
    tally: Tally,
    verdict: Verdict,
    /// Times that it was encoded, not counting a first pass.
    attempts: u32,
    segments: u32,
}

/// Converts `input` to `output`: never leaves a partial file under the final name, nor beside it.
///
/// # Errors
/// See [`MediaError`]. [`MediaError::Device`] and [`MediaError::Unfit`] make the next way of the plan be tried; they
/// come out only where there is none.
pub fn convert(
    input: &Path,
    output: &Path,
    recipe: &Recipe,
    caps: &Caps,
    limits: &Limits,
    control: &Control,
) -> Result<Report, MediaError> {
    let (began, cpu_began) = (Instant::now(), processor_time());
    let (info, unread) = probe_and(input, limits, control, |unread, _, _| Ok(unread))?;
    let unread = Mutex::new(Some(unread));
    let mut ways = plan(&info, recipe, caps)?;
    let mut last = None;
    let (mut not_copied, mut fallbacks) = (None, Vec::new());
    while !ways.is_empty() {
        let (way, seat) = next(&mut ways, control)?;
        tracing::info!(plan = %way, "plan");
        control.gauge().restart();
        let rung = way.rung;
        match on_rung(way, seat.as_ref(), (input, output), (&info, &unread), limits, control) {
            Ok(done) => {
                let mut report = report(input, output, &info, done);
                report.reasons.extend(not_copied);
                report.fallbacks = fallbacks;
                report.wall_s = began.elapsed().as_secs_f64();
                report.cpu_s = processor_time().saturating_sub(cpu_began).as_secs_f64();
                report.first_packet_s = control.gauge().first_packet().map(|time| time.as_secs_f64());
                report.encode_cores_busy = control.gauge().encode_cores_busy();
                let since = |span: (Instant, Instant)| {
                    [span.0, span.1].map(|at| at.saturating_duration_since(began).as_secs_f64())
                };
                report.encoded_s = control.gauge().encoded().map(since);
                report.encoder_full_s = control.gauge().encoder_full().map(since);
                return Ok(report);
            }
            Err(MediaError::Unfit(why)) => {
                tracing::warn!(why, "not copied after all");
                not_copied = Some(format!("not copied: {why}"));
                last = Some(MediaError::Unfit(why));
            }
            Err(MediaError::Device { device, cause, what }) => {
                let fallback = Fallback {
                    rung: rung.name(),
                    gpu: rung.gpu().unwrap_or_default(),
                    cause: cause.map_or("unknown", Cause::name).to_owned(),
                    said: what.clone(),
                };
                tracing::warn!(
                    rung = fallback.rung,
                    cause = fallback.cause,
                    said = fallback.said,
                    "falling back"
                );
                device::count(&fallback);
                fallbacks.push(fallback);
                last = Some(MediaError::Device { device, cause, what });
            }
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or(MediaError::Engine {
        doing: "plan",
        what: "no way was offered".to_owned(),
    }))
}

/// Takes the best way off the list; of GPUs that are equally good, the one that is least loaded now.
fn next(ways: &mut Vec<Plan>, control: &Control) -> Result<(Plan, Option<Seat>), MediaError> {
    let best = std::mem::discriminant(&ways[0].rung);
    let alike = ways.iter().take_while(|way| std::mem::discriminant(&way.rung) == best);
    let gpus: Vec<u32> = alike.filter_map(|way| way.rung.gpu()).collect();
    if gpus.is_empty() {
        return Ok((ways.remove(0), None));
    }
    let seat = device::take(&gpus, control)?;
    let index = gpus.iter().position(|&gpu| gpu == seat.gpu()).unwrap_or(0);
    Ok((ways.remove(index), Some(seat)))
}

/// One way, with a seat on its GPU where one takes part. What fails there is the device's fault until the next way shows
/// that it was the file's.
fn on_rung(
    way: Plan,
    seat: Option<&Seat>,
    (input, output): (&Path, &Path),
    (info, unread): (&MediaInfo, &Mutex<Option<Unread>>),
    limits: &Limits,
    control: &Control,
) -> Result<Done, MediaError> {
    let context = seat.map(Seat::context).transpose()?;
    let mark = log::mark();
    let name = way.rung.to_string();
    let attempt = Attempt {
        input,
        output,
        info,
        unread,
        seat,
        device: context.as_ref().map(Context::device),
        limits,
        control,
    };
    let outcome = attempt.run(way);
    let Some(context) = context else { return outcome };
    outcome.map_err(|error| {
        let what = match error {
            MediaError::Engine { doing, what } => format!("{doing}: {what}"),
            MediaError::Unverified(what) => what,
            MediaError::Refused(Refusal::Damaged { .. }) => error.to_string(),
            other => return other,
        };
        let cause = diagnose(&log::since(mark));
        // What a card cannot do leaves its context whole; after anything else nobody knows.
        if !cause.is_some_and(Cause::lasts) {
            context.retire();
        }
        MediaError::Device {
            device: name,
            cause,
            what,
        }
    })
}

/// One way of one file, as often as its size needs.
struct Attempt<'a> {
    input: &'a Path,
    output: &'a Path,
    info: &'a MediaInfo,
    /// The input as the probe left it, for who reads it first.
    unread: &'a Mutex<Option<Unread>>,
    seat: Option<&'a Seat>,
    device: Option<&'a Device>,
    limits: &'a Limits,
    control: &'a Control,
}

impl Attempt<'_> {
    fn run(&self, mut way: Plan) -> Result<Done, MediaError> {
        let Some(size_max) = way.contract.size_bytes_max else {
            return self.once(way);
        };
        let Some(Rate::Bits { .. }) = way.encode().map(|encode| encode.rate) else {
            // A copy that turns out larger than the source was.
            return self.once(way).and_then(|done| {
                if done.verdict.size_bytes > size_max {
                    return Err(MediaError::Unfit(format!(
                        "{} bytes are more than {size_max}",
                        done.verdict.size_bytes
                    )));
                }
                Ok(done)
            });
        };
        let statistics = tempfile::tempdir_in(self.folder()).map_err(|source| io("create a folder", source))?;
        let file = statistics.path().join("passes");
        self.control.gauge().pass_until(FIRST_PASS_PPM);
        self.first_pass(&way, &file)?;
        let share_min = way.contract.size_share_min;
        let mut best: Option<Sized> = None;
        let mut smallest = u64::MAX;
        let (mut attempts, mut until_ppm) = (0, SECOND_PASS_PPM);
        for attempt in 1..=ATTEMPTS_MAX {
            attempts = attempt;
            self.control.gauge().pass_until(until_ppm);
            until_ppm = u64::midpoint(until_ppm, 1_000_000);
            let (part, tally, verdict) = self.write(&way, Some(&file))?;
            let (size, rate_bps) = (verdict.size_bytes, way.rate_bps());
            tracing::info!(attempt, size, size_max, rate_bps, "measured");
            let next_bps = next_rate(rate_bps, &tally, size, size_max).min(RATE_BPS_MAX);
            // More bits that do not make a larger file are spent on nothing.
            let at_most = rate_bps >= RATE_BPS_MAX;
            let saturated = size < size_max && (at_most || next_bps / 4 > tally_rate(&tally, &verdict));
            let enough = size <= size_max && (share(size, size_max) >= share_min || saturated);
            smallest = smallest.min(size);
            if size <= size_max && best.as_ref().is_none_or(|(.., best)| best.size_bytes < size) {
                best = Some((part, way.clone(), tally, verdict));
            }
            if enough {
                break;
            }
            way.set_rate(next_bps);
        }
        match best {
            Some((part, way, tally, verdict)) => {
                self.keep(part)?;
                Ok(Done {
                    way,
                    tally,
                    verdict,
                    attempts,
                    segments: 1,
                })
            }
            None => Err(Refusal::SizeUnreachable {
                size_bytes: size_max,
                size_bytes_min: smallest,
                duration_s: way.duration_us(self.info).map_or(0, i64::unsigned_abs) / 1_000_000,
                duration_s_max: 0,
            }
            .into()),
        }
    }

    fn once(&self, mut way: Plan) -> Result<Done, MediaError> {
        if let Some(wanted) = segment::workers(&way, self.info, self.limits) {
            // Each segment has a decoder and an encoder of its own on the GPU.
            let seats = self.seat.map(|seat| seat.more(wanted - 1));
            let workers = seats
                .as_ref()
                .map_or(wanted, |more| 1 + u32::try_from(more.len()).unwrap_or(0));
            match self.split(&way, workers) {
                Ok((part, tally, verdict, segments)) => {
                    self.keep(part)?;
                    return Ok(Done {
                        way,
                        tally,
                        verdict,
                        attempts: 1,
                        segments,
                    });
                }
                Err(stopped @ (MediaError::Canceled | MediaError::TimeLimit { .. })) => return Err(stopped),
                // Whatever it was, one engine has yet to fail.
                Err(why) => {
                    tracing::info!(%why, "not split");
                    way.reasons.push(format!("not split: {why}"));
                }
            }
        }
        let (tally, verdict) = if way.contract.container == Container::Jpeg {
            let verdict = sheet::draw(&way, self.info, self.unread()?, self.output, self.limits, self.control)?;
            (Tally::default(), verdict)
        } else {
            let (part, tally, verdict) = self.write(&way, None)?;
            self.keep(part)?;
            (tally, verdict)
        };
        Ok(Done {
            way,
            tally,
            verdict,
            attempts: 1,
            segments: 1,
        })
    }

    fn open(&self) -> Result<File, MediaError> {
        open_file(self.input, self.limits).map(|(file, _)| file)
    }

    fn unread(&self) -> Result<Unread, MediaError> {
        let kept = self.unread.lock().unwrap_or_else(PoisonError::into_inner).take();
        kept.map_or_else(|| self.open().map(Unread::File), Ok)
    }

    fn folder(&self) -> &Path {
        folder_of(self.output)
    }

    /// A file that is removed on every early return; only `keep` makes it stay.
    fn part(&self) -> Result<tempfile::NamedTempFile, MediaError> {
        temporary(self.folder())
    }

    fn first_pass(&self, way: &Plan, statistics: &Path) -> Result<(), MediaError> {
        if !way.encode().is_some_and(|encode| encode.codec == VideoCodec::H264) {
            return Ok(());
        }
        let pass = PassOf {
            pass: Pass::First,
            statistics,
        };
        let part = self.part()?;
        let writer = part.reopen().map_err(|source| io("create the output", source))?;
        let passed = transcode(
            (way, self.info),
            (self.unread()?, writer),
            (Some(pass), self.device),
            self.limits,
            self.control,
            |_, _| Ok(()),
        )
        .map(drop);
        // The encoder writes its statistics itself: of a full disk it says only that something failed, and of what did not
        // fit at the very end nothing.
        match passed {
            Ok(()) | Err(MediaError::Engine { .. }) => room_in(folder_of(statistics)).and(passed),
            stopped => stopped,
        }
    }

    fn write(
        &self,
        way: &Plan,
        statistics: Option<&Path>,
    ) -> Result<(tempfile::NamedTempFile, Tally, Verdict), MediaError> {
        let part = self.part()?;
        let writer = part.reopen().map_err(|source| io("create the output", source))?;
        let pass = statistics.map(|statistics| PassOf {
            pass: Pass::Second,
            statistics,
        });
        let (tally, verdict) = transcode(
            (way, self.info),
            (self.unread()?, writer),
            (pass, self.device),
            self.limits,
            self.control,
            |tally, confined| self.settle(part.as_file(), way, tally, confined),
        )?;
        self.control.check()?;
        Ok((part, tally, verdict))
    }

    /// As [`Attempt::write`], by so many encoders at once.
    fn split(&self, way: &Plan, workers: u32) -> Result<(tempfile::NamedTempFile, Tally, Verdict, u32), MediaError> {
        let part = self.part()?;
        let writer = part.reopen().map_err(|source| io("create the output", source))?;
        let work = segment::Work {
            plan: way,
            info: self.info,
            open: &|| self.open(),
            folder: self.folder(),
            device: self.device,
            limits: self.limits,
            control: self.control,
        };
        let (tally, segments) = segment::transcode(&work, workers, writer)?;
        let verdict = alone(self.limits.confine, Openings::default(), |confined| {
            self.settle(part.as_file(), way, &tally, confined)
        })?;
        self.control.check()?;
        Ok((part, tally, verdict, segments))
    }

    /// Verifies an output while it goes to the disk.
    fn settle(&self, output: &File, way: &Plan, tally: &Tally, confined: &Confined) -> Result<Verdict, MediaError> {
        let again = output.try_clone().map_err(|source| io("re-read the output", source))?;
        std::thread::scope(|scope| {
            let synced = scope.spawn(|| output.sync_all());
            let verdict = verify(again, (way, self.info), tally, self.limits, self.control, confined)?;
            let synced = synced.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            synced.map_err(|source| io("write the output", source))?;
            Ok(verdict)
        })
    }

    fn keep(&self, part: tempfile::NamedTempFile) -> Result<(), MediaError> {
        keep(part, self.output)
    }
}

fn folder_of(output: &Path) -> &Path {
    or_here(output.parent().unwrap_or(Path::new("")))
}

fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    }
}

/// A file in this folder that is removed when it is dropped; only [`keep`] makes it stay.
pub(super) fn temporary(folder: &Path) -> Result<tempfile::NamedTempFile, MediaError> {
    tempfile::Builder::new()
        .prefix(&own_prefix())
        .suffix(PART)
        .tempfile_in(or_here(folder))
        .map_err(|source| io("create the output", source))
}

const PART: &str = ".part";

fn own_prefix() -> String {
    format!(".kadr-{}-", std::process::id())
}

/// Removes what this process has begun to write beside `output`: for a program that ends while an engine is still in it.
pub fn sweep(output: &Path) {
    let prefix = own_prefix();
    for entry in std::fs::read_dir(folder_of(output)).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(PART) {
            // It ends anyway.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Gives a temporary file its final name, in one step.
pub(super) fn keep(part: tempfile::NamedTempFile, output: &Path) -> Result<(), MediaError> {
    make_readable(part.as_file());
    part.persist(output)
        .map_err(|error| io("rename the output", error.error))?;
    // The name must survive a power cut as well as the bytes do.
    if let Ok(folder) = File::open(folder_of(output)) {
        let _ = folder.sync_all();
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(size: u64, size_max: u64) -> f64 {
    size as f64 / size_max as f64
}

/// The rate that would have met the size, as measured: what is not video stays what it was.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes and rates are far below 2^53"
)]
fn next_rate(rate_bps: u64, tally: &Tally, size: u64, size_max: u64) -> u64 {
    let video = tally.video_bytes.load(Relaxed).max(1) as f64;
    let other = size as f64 - video;
    let wanted = (size_max as f64 * AIM - other).max(size_max as f64 * 0.02);
    // A step of ten at most: short clips answer unevenly.
    let factor = (wanted / video).clamp(0.1, 10.0);
    ((rate_bps as f64 * factor) as u64).max(1_000)
}

/// Bits a second that the video really took.
fn tally_rate(tally: &Tally, verdict: &Verdict) -> u64 {
    let duration_us = verdict.duration_us.max(1).unsigned_abs();
    tally.video_bytes.load(Relaxed).saturating_mul(8_000_000) / duration_us
}

/// A full disk is an error of its own.
pub(super) fn io(doing: &'static str, source: std::io::Error) -> MediaError {
    match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => MediaError::DiskFull,
        _ => MediaError::Io { doing, source },
    }
}

/// Whether one more block can be written there.
fn room_in(folder: &Path) -> Result<(), MediaError> {
    let block = tempfile::tempfile_in(folder).and_then(|mut file| file.write_all(&[0; 4096]));
    block.map_err(|source| io("write the encoder's statistics", source))
}

/// A temporary file is private; the result is a file like any other.
fn make_readable(file: &File) {
    use std::os::unix::fs::PermissionsExt;
    let _ = file.set_permissions(std::fs::Permissions::from_mode(0o644));
}

fn report(input: &Path, output: &Path, info: &MediaInfo, done: Done) -> Report {
    let Done {
        way,
        tally,
        verdict,
        attempts,
        segments,
    } = done;
    #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
    let duration_s = verdict.duration_us as f64 / 1e6;
    if tally.clamped.load(Relaxed) > 0 {
        tracing::debug!(count = tally.clamped.load(Relaxed), "time stamps were put in order");
    }
    Report {
        expected_s: expected_s(&way, info),
        input: input.to_owned(),
        output: output.to_owned(),
        mode: way.mode(),
        device: way.rung.to_string(),
        video: way.video_action(),
        audio: way.audio_action(),
        warnings: verdict
            .warnings
            .into_iter()
            .chain(way.warnings.iter().cloned())
            .collect(),
        reasons: way.reasons,
        attempts,
        segments,
        fallbacks: Vec::new(),
        frames: verdict.frames,
        duration_s,
        width: verdict.width,
        height: verdict.height,
        wall_s: 0.0,
        cpu_s: 0.0,
        first_packet_s: None,
        encode_cores_busy: None,
        encoded_s: None,
        encoder_full_s: None,
        in_bytes: info.size_bytes,
        out_bytes: verdict.size_bytes,
        look: Some(Look::from(info)),
    }
}
