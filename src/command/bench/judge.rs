//! From samples and files to rows: medians, packets against packets, pictures against the source.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::Result;

use super::process::Sample;
use super::row::{Row, Spread, median, percentile, ratio};
use super::vmaf::vmaf;
use super::work::{RungName, Subject, Work};
use crate::media::packets::{Same, VideoPackets, video_packets};
use crate::media::score::score;
use crate::media::{Control, Limits};

/// The rounds of one piece of work by one program.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    samples: Vec<Sample>,
    /// A peer's first packet, from the rounds before those that count.
    first_packet_s: Vec<f64>,
    pub(super) failed: Option<String>,
}

impl Measured {
    /// Takes one run in.
    pub(super) fn take(&mut self, run: Result<Sample>, counts: bool) {
        match run {
            Ok(sample) => {
                self.first_packet_s.extend(sample.first_packet_s);
                if counts {
                    self.samples.push(sample);
                }
            }
            Err(error) => self.failed = Some(format!("{error:#}")),
        }
    }

    fn each(&self, of: impl Fn(&Sample) -> f64) -> Vec<f64> {
        self.samples.iter().map(of).collect()
    }

    fn memory_bytes_max(&self) -> Option<u64> {
        let known: Option<Vec<u64>> = self.samples.iter().map(|sample| sample.memory_bytes).collect();
        known?.into_iter().max()
    }

    /// That nothing fell back to another way.
    fn fallback(&self) -> Option<String> {
        let fallbacks = self
            .samples
            .iter()
            .flat_map(|sample| &sample.reports)
            .flat_map(|report| {
                let fallbacks = report["fallbacks"].as_array();
                fallbacks
                    .into_iter()
                    .flatten()
                    .map(|one| format!("fell back: {}", one["cause"]))
            });
        fallbacks.last()
    }
}

/// How much is judged.
pub(super) struct Judging<'a> {
    pub(super) quality: bool,
    pub(super) vmaf: Option<&'a Path>,
    /// What several jobs make is the same as what one makes.
    pub(super) lowest_jobs: u32,
}

impl Judging<'_> {
    pub(super) fn rows(
        &self,
        work: &[Work],
        subjects: &[Subject],
        measured: &[Vec<Measured>],
        canceled: &AtomicBool,
    ) -> Vec<Row> {
        let mut rows = Vec::new();
        for (piece, measured) in work.iter().zip(measured) {
            let ours = subjects.iter().position(|subject| matches!(subject, Subject::Kadr));
            let our_packets = ours.and_then(|at| packets(piece, &subjects[at], &measured[at]));
            let shape = ours.map(|at| Shape::of(&measured[at])).unwrap_or_default();
            for (subject, by) in subjects.iter().zip(measured) {
                let mut row = self.row(piece, subject, by, shape, canceled);
                if let (Subject::Ffmpeg { .. } | Subject::HandBrake { .. }, Some(at)) = (subject, ours) {
                    against(&mut row, &measured[at], by);
                }
                if row.wall_s.is_some() {
                    let of_peer = matches!(subject, Subject::Ffmpeg { .. });
                    let theirs = if of_peer { packets(piece, subject, by) } else { None };
                    compare_packets(&mut row, subject, our_packets.as_ref(), theirs.as_ref());
                }
                rows.push(row);
            }
        }
        rows
    }

    fn row(&self, piece: &Work, subject: &Subject, by: &Measured, shape: Shape, canceled: &AtomicBool) -> Row {
        let (wall, cpu) = (by.each(|sample| sample.wall_s), by.each(|sample| sample.cpu_s));
        let done = by.failed.is_none();
        let wall_s = Spread::of(&wall).filter(|_| done);
        let cpu_s = Spread::of(&cpu).filter(|_| done);
        let jobs = f64::from(piece.jobs);
        let per_s = |amount: f64| Some(amount * jobs / wall_s.as_ref()?.median).filter(|&rate| rate > 0.0);
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
        let (frames, pixels) = (
            shape.frames as f64,
            shape.frames as f64 * f64::from(shape.width) * f64::from(shape.height),
        );
        let output = piece.output(subject, 0);
        let encoding = |of: fn(&Sample) -> Option<f64>| {
            let each: Vec<f64> = by.samples.iter().filter_map(of).collect();
            median(&each).filter(|_| done)
        };
        let gpu = |of: fn(&super::process::GpuLoad) -> Option<u32>| {
            by.samples.iter().filter_map(|sample| of(sample.gpu.as_ref()?)).max()
        };
        let mut row = Row {
            clip: piece.clip.clone(),
            preset: piece.recipe.to_string(),
            rung: piece.rung.name().to_owned(),
            jobs: piece.jobs,
            by: subject.name().to_owned(),
            arguments: match subject {
                Subject::Kadr => Vec::new(),
                _ => piece.arguments(subject).map(|jobs| jobs[0].clone()).unwrap_or_default(),
            },
            speed_x: per_s(shape.duration_s),
            fps: per_s(frames),
            mpx_s: per_s(pixels / 1e6),
            cores_busy: ratio(&cpu, &wall).filter(|_| done),
            encode_cores_busy: encoding(|sample| sample.encode_cores_busy),
            encode_cores_idle: encoding(|sample| sample.encode_cores_idle),
            memory_bytes_max: by.memory_bytes_max().filter(|_| done),
            gpu_memory_bytes_max: by
                .samples
                .iter()
                .filter_map(|sample| Some(sample.gpu?.memory_bytes))
                .max(),
            gpu_encoder_percent_max: gpu(|load| load.encoder_percent),
            gpu_decoder_percent_max: gpu(|load| load.decoder_percent),
            first_packet_s: median(&by.first_packet_s).filter(|_| done),
            in_bytes: piece.info.size_bytes,
            frames: shape.frames,
            duration_s: shape.duration_s,
            width: shape.width,
            height: shape.height,
            note: by.failed.clone().or_else(|| by.fallback()),
            wall_s,
            cpu_s,
            ..Row::default()
        };
        if piece.jobs > 1 && done {
            let all: Vec<f64> = by.samples.iter().flat_map(|sample| sample.jobs_s.clone()).collect();
            row.job_p95_s = percentile(&all, 95);
        }
        if done {
            row.out_bytes = std::fs::metadata(&output).map_or(0, |facts| facts.len());
            if canceled.load(Relaxed) {
                row.note = Some("not judged: the bench was stopped".to_owned());
            } else {
                self.judge(&mut row, piece, &output);
            }
        }
        row
    }

    /// Pictures against the source, where they were encoded.
    fn judge(&self, row: &mut Row, piece: &Work, output: &Path) {
        let encoded = !matches!(piece.rung, RungName::Copy | RungName::Partial);
        if !self.quality || !encoded || piece.jobs != self.lowest_jobs {
            return;
        }
        let control = Control::new(None);
        match score(&piece.source, output, &piece.recipe, &Limits::default(), &control) {
            Ok(score) => row.quality = Some(score),
            Err(error) => row.note = Some(format!("not judged: {error}")),
        }
        let Some(judge) = self.vmaf else { return };
        match vmaf(judge, piece, output) {
            Ok((vmaf, neg)) => (row.vmaf, row.vmaf_neg) = (Some(vmaf), Some(neg)),
            Err(error) => row.note = Some(format!("no VMAF: {error:#}")),
        }
    }
}

/// What kadr's report says of the output; the peers' is of the same plan.
#[derive(Clone, Copy, Default)]
struct Shape {
    frames: u64,
    duration_s: f64,
    width: u32,
    height: u32,
}

impl Shape {
    fn of(measured: &Measured) -> Self {
        let Some(report) = measured.samples.first().and_then(|sample| sample.reports.first()) else {
            return Self::default();
        };
        let side = |name: &str| u32::try_from(report[name].as_u64().unwrap_or(0)).unwrap_or(0);
        Self {
            frames: report["frames"].as_u64().unwrap_or(0),
            duration_s: report["duration_s"].as_f64().unwrap_or(0.0),
            width: side("width"),
            height: side("height"),
        }
    }
}

fn packets(piece: &Work, subject: &Subject, measured: &Measured) -> Option<VideoPackets> {
    if measured.failed.is_some() || measured.samples.is_empty() {
        return None;
    }
    video_packets(&piece.output(subject, 0), &Limits::default(), &Control::new(None)).ok()
}

fn against(row: &mut Row, ours: &Measured, theirs: &Measured) {
    if ours.failed.is_some() || theirs.failed.is_some() {
        return;
    }
    row.wall_ratio = ratio(&ours.each(|one| one.wall_s), &theirs.each(|one| one.wall_s));
    row.cpu_ratio = ratio(&ours.each(|one| one.cpu_s), &theirs.each(|one| one.cpu_s));
    #[expect(clippy::cast_precision_loss, reason = "bytes, far below 2^53")]
    let memory = |measured: &Measured| measured.memory_bytes_max().map(|bytes| bytes as f64);
    row.memory_ratio = memory(ours).zip(memory(theirs)).map(|(ours, theirs)| ours / theirs);
}

fn compare_packets(row: &mut Row, subject: &Subject, ours: Option<&VideoPackets>, theirs: Option<&VideoPackets>) {
    let own = if matches!(subject, Subject::Kadr) { ours } else { theirs };
    row.packets_sha256 = own.filter(|packets| packets.count() > 0).map(VideoPackets::digest);
    let (Some(ours), Some(theirs)) = (ours, theirs) else {
        return;
    };
    let same = theirs.compare(ours);
    row.same_packets = Some(same);
    if same == Same::Different && row.note.is_none() {
        let first = ours.first_difference(theirs).unwrap_or(0);
        let (ours, theirs) = (ours.count(), theirs.count());
        row.note = Some(format!(
            "packet {first} differs ({ours} by kadr, {theirs} by {})",
            row.by
        ));
    }
}
