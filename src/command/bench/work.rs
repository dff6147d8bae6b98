//! What is measured: files × presets × rungs × jobs, each piece with its plan, and how kadr and its peers are told to do it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::{NamedTempFile, TempDir};

use super::process::{self, Sample};
use crate::media::arguments::{self, Peer};
use crate::media::plan::{Plan, Rung};
use crate::media::report::Action;
use crate::media::{self, Caps, Control, Limits, MediaInfo, Recipe};

/// How much of the work is done where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum RungName {
    /// All streams copied
    Copy,
    /// The picture copied, the sound encoded
    Partial,
    /// Encoded on the CPU
    Cpu,
    /// Decoded on a GPU, encoded on the CPU
    Hybrid,
    /// Encoded by NVENC
    Nvenc,
}

impl RungName {
    fn of(plan: &Plan) -> Self {
        match (plan.video_action(), plan.rung) {
            (Action::Encode, Rung::Cuda { .. } | Rung::Upload { .. }) => Self::Nvenc,
            (Action::Encode, Rung::Hybrid { .. }) => Self::Hybrid,
            (Action::Encode, _) => Self::Cpu,
            _ if plan.audio_action() == Action::Encode => Self::Partial,
            _ => Self::Copy,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Partial => "partial",
            Self::Cpu => "cpu",
            Self::Hybrid => "hybrid",
            Self::Nvenc => "nvenc",
        }
    }
}

/// One piece of work.
pub(super) struct Work {
    pub(super) clip: String,
    pub(super) source: PathBuf,
    pub(super) recipe: Recipe,
    pub(super) rung: RungName,
    pub(super) jobs: u32,
    pub(super) plan: Plan,
    pub(super) info: MediaInfo,
    /// `cpu` or `auto`.
    device: &'static str,
    threads: u32,
    folder: TempDir,
    table: Option<NamedTempFile>,
}

/// Who does it.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    Kadr,
    Ffmpeg { name: String, program: PathBuf, major: u32 },
    HandBrake { program: PathBuf },
}

impl Subject {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Kadr => "kadr",
            Self::Ffmpeg { name, .. } => name,
            Self::HandBrake { .. } => "handbrake",
        }
    }
}

/// What is asked for.
pub(super) struct Wanted<'a> {
    pub(super) recipes: &'a [Recipe],
    pub(super) rungs: &'a [RungName],
    pub(super) jobs: &'a [u32],
    pub(super) threads: u32,
    /// Of this machine, GPUs as they were allowed.
    pub(super) caps: &'a Caps,
}

/// All pieces of work for one file; those whose rung is not wanted, or which the plan refuses, are left out.
pub(super) fn of_file(source: &Path, wanted: &Wanted<'_>) -> Result<Vec<Work>> {
    let source = source.canonicalize().context("find the file")?;
    let info = media::probe(&source, &Limits::default(), &Control::new(None))?;
    let by_cpu = Caps::without_gpus();
    let mut devices = vec![("cpu", &by_cpu)];
    if !wanted.caps.gpus.is_empty() {
        devices.push(("auto", wanted.caps));
    }
    let mut all: Vec<Work> = Vec::new();
    for recipe in wanted.recipes {
        let mut seen = Vec::new();
        for &(device, caps) in &devices {
            let Some(plan) = first_way(&info, recipe, caps)? else {
                continue;
            };
            let rung = RungName::of(&plan);
            // What is copied is the same on every device.
            if seen.contains(&rung) || !wanted.rungs.contains(&rung) {
                continue;
            }
            seen.push(rung);
            for &jobs in wanted.jobs {
                let folder = tempfile::Builder::new().prefix("kadr-bench-").tempdir()?;
                all.push(Work {
                    clip: source.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                    source: source.clone(),
                    recipe: *recipe,
                    rung,
                    jobs,
                    table: arguments::table(&plan)?,
                    plan: plan.clone(),
                    info: info.clone(),
                    device,
                    threads: wanted.threads,
                    folder,
                });
            }
        }
    }
    Ok(all)
}

/// The best way; `None` where the recipe does not fit the file.
fn first_way(info: &MediaInfo, recipe: &Recipe, caps: &Caps) -> Result<Option<Plan>> {
    match media::plan(info, recipe, caps) {
        Ok(ways) => Ok(ways.into_iter().next()),
        Err(media::Refusal::NoStream { .. }) => Ok(None),
        Err(refusal) => Err(refusal.into()),
    }
}

impl Work {
    /// Its name in progress and errors.
    pub(super) fn title(&self) -> String {
        format!("{} · {} · {} · {}", self.clip, self.recipe, self.rung.name(), self.jobs)
    }

    /// Links to the source, a name a job: kadr wants each output to have its own.
    pub(super) fn prepare(&self) -> Result<()> {
        process::warm(&self.source)?;
        let extension = self.source.extension().unwrap_or_default().to_string_lossy();
        for job in 0..self.jobs {
            symlink(&self.source, self.folder.path().join(format!("in{job}.{extension}")))?;
        }
        Ok(())
    }

    fn input(&self, job: u32) -> String {
        let extension = self.source.extension().unwrap_or_default().to_string_lossy();
        self.folder
            .path()
            .join(format!("in{job}.{extension}"))
            .display()
            .to_string()
    }

    /// What a subject makes of a job.
    pub(super) fn output(&self, subject: &Subject, job: u32) -> PathBuf {
        let extension = self.recipe.preset.extension();
        let folder = self.folder.path().join(subject.name());
        folder.join(format!("in{job}.{extension}"))
    }

    /// What a subject is told for each job.
    ///
    /// # Errors
    /// Why it cannot be told, in words.
    pub(super) fn arguments(&self, subject: &Subject) -> Result<Vec<Vec<String>>, &'static str> {
        let output = |job| self.output(subject, job).display().to_string();
        match subject {
            Subject::Kadr => Ok(vec![self.kadr_arguments()]),
            Subject::Ffmpeg { major, .. } => {
                let peer = Peer {
                    major: *major,
                    threads: self.threads,
                    cores: media::cores(),
                    table: self.table.as_ref().map(NamedTempFile::path),
                };
                let one = |job| arguments::arguments(&self.plan, &self.info, peer, (&self.input(job), &output(job)));
                (0..self.jobs).map(one).collect()
            }
            Subject::HandBrake { .. } => {
                let one = |job| arguments::handbrake(&self.plan, (&self.input(job), &output(job)));
                (0..self.jobs).map(one).collect()
            }
        }
    }

    fn kadr_arguments(&self) -> Vec<String> {
        let mut args: Vec<String> = vec!["convert".to_owned()];
        args.extend((0..self.jobs).map(|job| self.input(job)));
        let folder = self.folder.path().join("kadr");
        let options = [
            ("--out-dir", folder.display().to_string()),
            ("--preset", self.recipe.preset.to_string()),
            ("--device", self.device.to_owned()),
            ("--jobs", self.jobs.to_string()),
        ];
        args.extend(
            options
                .into_iter()
                .flat_map(|(option, value)| [option.to_owned(), value]),
        );
        // A recipe's words are the options' names: `height:480`, `mute`.
        for word in self.recipe.to_string().split_whitespace().skip(1) {
            let (option, value) = word.split_once(':').unwrap_or((word, ""));
            args.push(format!("--{option}"));
            args.extend((!value.is_empty()).then(|| value.to_owned()));
        }
        if self.threads > 0 {
            args.extend(["--threads".to_owned(), self.threads.to_string()]);
        }
        args.extend(["--json", "--force"].map(str::to_owned));
        args
    }

    /// Runs it once. `watch` asks a peer for its first packet.
    pub(super) fn run(&self, subject: &Subject, watch: bool) -> Result<Sample> {
        let folder = self.folder.path();
        fs::create_dir_all(folder.join(subject.name()))?;
        let args = self.arguments(subject).map_err(anyhow::Error::msg)?;
        let gpus = matches!(self.rung, RungName::Hybrid | RungName::Nvenc);
        match subject {
            Subject::Kadr => process::kadr(&args.concat(), folder, gpus),
            Subject::Ffmpeg { program, .. } => process::peer(program, &args, folder, gpus, watch && self.jobs == 1),
            Subject::HandBrake { program } => process::peer(program, &args, folder, gpus, false),
        }
    }
}
