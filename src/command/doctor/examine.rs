//! What was gathered -> findings, in the order in which an operator works through them, and one verdict. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::super::walls;
use super::gpu;
use super::ladder::{self, Ladder};
use crate::media::confine::Walls;
use crate::media::device::installed::{Ffmpeg, LIBRARIES};
use crate::media::device::nvml::Facts;
use crate::media::device::{Cause, Fault};
use crate::media::plan::Rung;
use crate::media::{Caps, Choice, Preset};

/// The parts that decide what kadr can do; `--json` has all of it.
const TOLD: [&str; 12] = [
    "gpl",
    "nonfree",
    "libx264",
    "libx265",
    "libsvtav1",
    "libvpx",
    "libopus",
    "ffnvcodec",
    "nvenc",
    "nvdec",
    "cuda-llvm",
    "cuda-nvcc",
];

/// Everything that a verdict is made of.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// What must serve.
    pub wanted: Choice,
    /// Versions of the FFmpeg libraries that kadr was built with.
    pub built_with: String,
    /// The FFmpeg that runs.
    pub ffmpeg: Ffmpeg,
    /// Libraries of the driver, and why one does not load.
    pub libraries: Vec<(&'static str, Result<(), String>)>,
    /// Device files, and whether they are there.
    pub nodes: Vec<(&'static str, bool)>,
    /// The process's surroundings.
    pub environment: Environment,
    /// What NVML tells, or why it does not.
    pub nvml: Result<Facts, String>,
    /// What was proven.
    pub caps: Caps,
    /// What can be closed to the process, as tried.
    pub walls: Walls,
    /// The Bot API, where it was asked.
    pub api: Option<ApiAnswer>,
}

/// What bears on GPUs in the surroundings of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Variables that are set.
    pub variables: BTreeMap<&'static str, String>,
    /// Whether this is a container.
    pub in_container: bool,
    /// Whether CUDA's compatibility libraries are here.
    pub has_compat: bool,
}

/// How the Bot API answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiAnswer {
    /// Scheme and host.
    pub origin: String,
    /// HTTP status and how long it took, or why there was none.
    pub outcome: Result<(u16, Duration), String>,
}

/// How a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// As it should be.
    Ok,
    /// kadr works, but not as well as it could.
    Warn,
    /// Something that was asked for does not work.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it stands.
    pub mark: Mark,
    /// What was looked at.
    pub what: String,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The stable name of the cause behind it.
    pub cause: Option<&'static str>,
    /// CUDA ordinal of the GPU that it is about.
    pub gpu: Option<u32>,
}

impl Finding {
    pub(super) fn new(mark: Mark, what: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            mark,
            what: what.into(),
            found: found.into(),
            hint: None,
            cause: None,
            gpu: None,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn cause(mut self, cause: Option<Cause>, driver: Option<&str>) -> Self {
        self.cause = cause.map(Cause::name);
        self.hint = cause.map(|cause| gpu::hint(cause, driver)).or(self.hint);
        self
    }
}

/// What it all comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// How it stands.
    pub mark: Mark,
    /// In one sentence.
    pub found: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The stable name of the cause behind it.
    pub cause: Option<&'static str>,
    /// The best rung for an everyday film: `cuda:N`, `hybrid:N`, `cpu` or `none`.
    pub device: String,
    /// Whether kadr can do what was asked of this machine.
    pub serves: bool,
}

/// The whole of it.
#[derive(Clone, Debug)]
pub struct Examination {
    /// In order.
    pub findings: Vec<Finding>,
    /// One a preset.
    pub ladders: Vec<Ladder>,
    /// At the end.
    pub verdict: Verdict,
}

/// Decides.
#[must_use]
pub fn examine(inputs: &Inputs) -> Examination {
    let mut findings = ffmpeg(&inputs.ffmpeg, &inputs.built_with);
    findings.push(software(inputs));
    findings.push(confinement(&inputs.walls));
    if inputs.wanted != Choice::Cpu {
        findings.extend(ffmpeg_on_gpus(inputs));
        findings.extend(libraries(inputs));
        findings.push(nodes(inputs));
        findings.extend(environment(&inputs.environment));
        findings.extend(gpu::findings(inputs));
    }
    findings.extend(inputs.api.as_ref().map(api));
    let ladders = ladder::ladders(&inputs.caps);
    let verdict = verdict(inputs, &ladders);
    Examination {
        findings,
        ladders,
        verdict,
    }
}

impl Inputs {
    /// How bad it is that something of a GPU does not work.
    pub(super) fn lacking(&self) -> Mark {
        match self.wanted {
            Choice::Cuda(_) => Mark::Bad,
            Choice::Auto | Choice::Cpu => Mark::Warn,
        }
    }

    pub(super) fn driver(&self) -> Option<&str> {
        self.nvml.as_ref().ok().and_then(|facts| facts.driver.as_deref())
    }
}

fn ffmpeg(ffmpeg: &Ffmpeg, built_with: &str) -> Vec<Finding> {
    let running = ffmpeg.running.strip_prefix("FFmpeg ").unwrap_or(&ffmpeg.running);
    let mut findings = vec![
        Finding::new(Mark::Ok, "FFmpeg that runs", running),
        Finding::new(Mark::Ok, "FFmpeg that kadr was built with", built_with),
    ];
    let told: Vec<&str> = TOLD
        .into_iter()
        .filter(|part| {
            let flag = format!("--enable-{part}");
            ffmpeg.configuration.split_whitespace().any(|word| word == flag)
        })
        .collect();
    findings.push(Finding::new(
        Mark::Ok,
        "FFmpeg's configuration",
        if told.is_empty() {
            "says none of the parts that matter here".to_owned()
        } else {
            told.join(", ")
        },
    ));
    if let Some(words) = known_bad(&ffmpeg.release) {
        findings.push(
            Finding::new(Mark::Warn, "FFmpeg's safety", words)
                .hint("upgrade FFmpeg all the same: other programs here use it too"),
        );
    }
    findings
}

/// What an FFmpeg is known to be open to, and what protects here.
#[must_use]
pub fn known_bad(release: &str) -> Option<String> {
    open_to_pixelsmash(release).map(|fixed| {
        format!(
            "{release} may be open to CVE-2026-8461 in MagicYUV (fixed in {fixed}); kadr does not offer MagicYUV, so \
             files sent to it do not reach that code"
        )
    })
}

fn confinement(walls: &Walls) -> Finding {
    let closed = format!(
        "Landlock (ABI {}) and seccomp close to `kadr serve`: {}",
        walls.abi,
        walls.standing()
    );
    match walls.lacking() {
        None => Finding::new(Mark::Ok, "confinement", closed),
        Some(open) => Finding::new(Mark::Warn, "confinement", format!("{closed}; open: {open}")).hint(walls::HINT),
    }
}

/// The release that closed CVE-2026-8461, where this one is older. Distributions also close it without a new number, and
/// builds from git have none: those are not judged.
fn open_to_pixelsmash(release: &str) -> Option<&'static str> {
    const FIXED: [((u32, u32, u32), &str); 4] = [
        ((5, 1, 10), "5.1.10"),
        ((6, 1, 6), "6.1.6"),
        ((7, 1, 5), "7.1.5"),
        ((8, 1, 2), "8.1.2"),
    ];
    let digits = release.strip_prefix('n').unwrap_or(release);
    let end = digits.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let mut parts = digits[..end.unwrap_or(digits.len())].split('.').map(str::parse);
    let major: u32 = parts.next()?.ok()?;
    let minor = parts.next().and_then(Result::ok).unwrap_or(0);
    let patch = parts.next().and_then(Result::ok).unwrap_or(0);
    let release = (major, minor, patch);
    // Branches without a fix of their own are fixed by the next that has one.
    FIXED
        .iter()
        .find(|((fixed_major, fixed_minor, _), _)| (major, minor) <= (*fixed_major, *fixed_minor))
        .filter(|(fixed, _)| release < *fixed)
        .map(|(_, name)| *name)
}

fn software(inputs: &Inputs) -> Finding {
    let list = |wanted: bool| -> Vec<&str> {
        let listed = inputs.ffmpeg.software.iter().filter(|(_, has)| *has == wanted);
        listed.map(|(name, _)| *name).collect()
    };
    let (has, lacks) = (list(true), list(false));
    if lacks.is_empty() {
        return Finding::new(Mark::Ok, "encoders on the CPU", has.join(", "));
    }
    let mark = if lacks.contains(&"libx264") {
        Mark::Bad
    } else {
        Mark::Warn
    };
    Finding::new(
        mark,
        "encoders on the CPU",
        format!("{}; not {}", has.join(", "), lacks.join(", ")),
    )
    .hint("install an FFmpeg with those encoders; presets that do not need them work")
}

fn ffmpeg_on_gpus(inputs: &Inputs) -> [Finding; 2] {
    let finding = |what: &str, parts: &[(&'static str, bool)], needed: &str, hint: &str| {
        let list = |wanted: bool| -> Vec<&str> {
            parts
                .iter()
                .filter(|part| part.1 == wanted)
                .map(|part| part.0)
                .collect()
        };
        let (has, lacks) = (list(true), list(false));
        let found = match (has.is_empty(), lacks.is_empty()) {
            (true, _) => "none".to_owned(),
            (false, true) => has.join(", "),
            (false, false) => format!("{}; not {}", has.join(", "), lacks.join(", ")),
        };
        if has.contains(&needed) {
            Finding::new(Mark::Ok, what, found)
        } else {
            Finding::new(inputs.lacking(), what, found).hint(hint)
        }
    };
    let ffmpeg = &inputs.ffmpeg;
    [
        finding(
            "encoders on a GPU",
            &ffmpeg.nvenc,
            "h264_nvenc",
            "use an FFmpeg that was built with nv-codec-headers",
        ),
        finding(
            "filters on a GPU",
            &ffmpeg.filters,
            "scale_cuda",
            "use an FFmpeg that was built with `--enable-cuda-llvm`",
        ),
    ]
}

fn libraries(inputs: &Inputs) -> Vec<Finding> {
    let has_driver = inputs
        .libraries
        .iter()
        .any(|(name, loaded)| *name == "libcuda.so.1" && loaded.is_ok());
    let purpose = |name: &str| {
        LIBRARIES
            .iter()
            .find(|(known, _)| *known == name)
            .map_or("", |(_, what)| *what)
    };
    inputs
        .libraries
        .iter()
        .map(|(name, loaded)| {
            let what = format!("{name}, {}", purpose(name));
            match loaded {
                Ok(()) => Finding::new(Mark::Ok, what, "loads"),
                Err(words) => {
                    // Without a driver the other three are no news.
                    let cause = match *name {
                        "libcuda.so.1" => Some(Cause::NoDriver),
                        "libnvidia-encode.so.1" if has_driver => Some(Cause::NoEncodeLibrary),
                        "libnvcuvid.so.1" if has_driver => Some(Cause::NoDecodeLibrary),
                        _ => None,
                    };
                    let found = format!("does not load ({})", loader_words(name, words));
                    Finding::new(inputs.lacking(), what, found).cause(cause, None)
                }
            }
        })
        .collect()
}

/// What the loader says of a library, short where it simply is not there.
fn loader_words(name: &str, words: &str) -> String {
    if words.contains("No such file or directory") && words.starts_with(name) {
        "not found".to_owned()
    } else {
        words.to_owned()
    }
}

fn nodes(inputs: &Inputs) -> Finding {
    let list = |wanted: bool| -> Vec<&str> {
        let listed = inputs.nodes.iter().filter(|(_, there)| *there == wanted);
        listed.map(|(name, _)| *name).collect()
    };
    let (there, missing) = (list(true), list(false));
    if missing.is_empty() {
        return Finding::new(Mark::Ok, "device files", there.join(", "));
    }
    let found = if there.is_empty() {
        "none".to_owned()
    } else {
        format!("{}; not {}", there.join(", "), missing.join(", "))
    };
    // A GPU may have another number than 0, and some hosts have other files; where one works, none is missed.
    if !inputs.caps.gpus.is_empty() {
        return Finding::new(Mark::Ok, "device files", found);
    }
    let finding = Finding::new(inputs.lacking(), "device files", found);
    if !there.is_empty() && missing.contains(&"/dev/nvidia-uvm") {
        finding.cause(Some(Cause::DeviceUnreachable), None)
    } else {
        finding
    }
}

fn environment(environment: &Environment) -> Vec<Finding> {
    let variable = |name| environment.variables.get(name).map(String::as_str);
    let mut findings = Vec::new();
    let mut warn =
        |found: String, hint: String| findings.push(Finding::new(Mark::Warn, "environment", found).hint(hint));
    let visible = variable("NVIDIA_VISIBLE_DEVICES");
    let allowed = |capabilities: &str| capabilities.split(',').any(|one| matches!(one.trim(), "video" | "all"));
    match variable("NVIDIA_DRIVER_CAPABILITIES") {
        Some(capabilities) if !allowed(capabilities) => warn(
            format!("NVIDIA_DRIVER_CAPABILITIES is `{capabilities}`, without `video`"),
            Cause::NoEncodeLibrary.hint(),
        ),
        None if environment.in_container && visible.is_some() => warn(
            "NVIDIA_DRIVER_CAPABILITIES is not set, which leaves out `video`".to_owned(),
            Cause::NoEncodeLibrary.hint(),
        ),
        _ => {}
    }
    if let Some(devices @ ("" | "none" | "void")) = visible {
        warn(
            format!("NVIDIA_VISIBLE_DEVICES is `{devices}`: no GPU is passed into this container"),
            "set NVIDIA_VISIBLE_DEVICES=all, or name GPUs".to_owned(),
        );
    }
    if let Some(devices @ ("" | "-1" | "NoDevFiles")) = variable("CUDA_VISIBLE_DEVICES") {
        warn(
            format!("CUDA_VISIBLE_DEVICES is `{devices}`: CUDA shows no GPU"),
            "unset CUDA_VISIBLE_DEVICES, or name GPUs".to_owned(),
        );
    }
    let folders = || variable("LD_LIBRARY_PATH").unwrap_or_default().split(':');
    let last = |folder: &str| {
        folder
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    if let Some(folder) = folders().find(|folder| last(folder) == "stubs") {
        warn(format!("LD_LIBRARY_PATH has `{folder}`"), Cause::StubLibrary.hint());
    }
    if let Some(folder) = folders().find(|folder| last(folder) == "compat") {
        warn(format!("LD_LIBRARY_PATH has `{folder}`"), Cause::CompatLibrary.hint());
    }
    if findings.is_empty() {
        let place = if environment.in_container { "a container; " } else { "" };
        let compat = if environment.has_compat {
            "; /usr/local/cuda/compat is here, but not in LD_LIBRARY_PATH"
        } else {
            ""
        };
        let found = format!("{place}no variable keeps a GPU away{compat}");
        findings.push(Finding::new(Mark::Ok, "environment", found));
    }
    findings
}

fn api(answer: &ApiAnswer) -> Finding {
    let ApiAnswer { origin, outcome } = answer;
    match outcome {
        Ok((status, took)) => Finding::new(
            Mark::Ok,
            "Bot API",
            format!("{origin} answers ({status} after {} ms)", took.as_millis()),
        ),
        Err(why) => Finding::new(Mark::Warn, "Bot API", format!("{origin} cannot be reached: {why}"))
            .hint("check the network, a proxy, or `--api-url`; `kadr convert` works without it"),
    }
}

fn verdict(inputs: &Inputs, ladders: &[Ladder]) -> Verdict {
    let play = ladders.iter().find(|ladder| ladder.preset == Preset::Play);
    let rungs = match play.map(|ladder| &ladder.rungs) {
        Some(Ok(rungs)) => rungs.as_slice(),
        Some(Err(why)) => {
            return Verdict {
                mark: Mark::Bad,
                found: format!("nothing can be converted: {why}"),
                hint: Some("install an FFmpeg with libx264".to_owned()),
                cause: None,
                device: "none".to_owned(),
                serves: false,
            };
        }
        None => &[],
    };
    let best = rungs.first().copied().unwrap_or(Rung::Cpu);
    let fault = gpu::why_not(&inputs.caps, best);
    let because = fault.map_or_else(String::new, |fault| format!(": {}", fault.sentence()));
    let on_gpu = best.gpu().is_some();
    let found = match best {
        Rung::Cuda { gpu } => format!("GPU {gpu} decodes, filters and encodes; the CPU stands by"),
        Rung::Upload { gpu } => format!("GPU {gpu} encodes, the CPU decodes{because}"),
        Rung::Hybrid { gpu } => format!("GPU {gpu} decodes and scales, the CPU encodes{because}"),
        Rung::Cpu | Rung::None if inputs.wanted == Choice::Cpu => "CPU only, as asked".to_owned(),
        Rung::Cpu | Rung::None if because.is_empty() => "CPU only: no GPU was found".to_owned(),
        Rung::Cpu | Rung::None => format!("CPU only{because}"),
    };
    let asked_for = match inputs.wanted {
        Choice::Auto | Choice::Cpu => true,
        Choice::Cuda(None) => on_gpu,
        Choice::Cuda(Some(index)) => rungs.iter().any(|&rung| rung.gpu() == Some(index)),
    };
    let is_best = matches!(best, Rung::Cuda { .. }) || inputs.wanted == Choice::Cpu;
    let cause = fault.and_then(|fault: &Fault| fault.cause);
    Verdict {
        mark: match (asked_for, is_best) {
            (false, _) => Mark::Bad,
            (true, true) => Mark::Ok,
            (true, false) => Mark::Warn,
        },
        found,
        hint: cause.map(|cause| gpu::hint(cause, inputs.driver())),
        cause: cause.map(Cause::name),
        device: best.to_string(),
        serves: asked_for,
    }
}
