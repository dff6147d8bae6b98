//! What this machine can do: the CPU always, GPUs as far as each capability was proven by opening it.
//!
//! ```text
//! fleet      one context a GPU for the whole process, its seats, and when what was proven is doubted
//! prove      decode, filter, encode: each tried once
//! open       NVENC, with as much as the card takes
//! nvenc      what it is asked for          (pure)
//! diagnosis  libav's lines -> the cause    (pure)
//! nvml       what NVIDIA's management library tells: names, memory, load
//! installed  what of FFmpeg and the driver is there by name
//! ```
//!
//! [`plan`](super::plan::plan) sees a [`Caps`] alone; contexts never leave this module but in a seat's [`Context`].

pub mod diagnosis;
mod fleet;
pub mod installed;
pub(in crate::media) mod nvenc;
pub mod nvml;
pub(in crate::media) mod open;
pub(in crate::media) mod prove;
mod seats;

use std::fmt;
use std::str::FromStr;

pub use self::diagnosis::Cause;
pub(in crate::media) use self::fleet::{Context, Seat, count, take};
pub use self::fleet::{Machine, fallbacks};
use super::ffi;
use super::preset::{AudioCodec, VideoCodec};

/// What [`plan`](super::plan::plan) may choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Caps {
    /// One entry a GPU, the least loaded first.
    pub gpus: Vec<Gpu>,
    /// Why there is none, where CUDA was looked for.
    pub no_gpu: Option<Fault>,
    /// Encoders of this FFmpeg that run on the CPU.
    pub software: Software,
}

impl Caps {
    /// This machine, GPUs included: proves them, which takes about a second each where there are any.
    #[must_use]
    pub fn detect() -> Self {
        Machine::new(Choice::Auto).caps()
    }

    /// Codecs dear to a CPU that a GPU of these encodes, as wishes name them.
    #[must_use]
    pub fn spared(&self) -> Vec<&'static str> {
        [("hevc", VideoCodec::Hevc), ("av1", VideoCodec::Av1)]
            .into_iter()
            .filter(|(_, codec)| self.gpus.iter().any(|gpu| gpu.encodes(*codec)))
            .map(|(name, _)| name)
            .collect()
    }

    /// What it converts on, in a word or two for people.
    #[must_use]
    pub fn devices(&self) -> String {
        if self.gpus.is_empty() {
            return "CPU".to_owned();
        }
        let names: Vec<&str> = self.gpus.iter().map(|gpu| gpu.name.as_str()).collect();
        names.join(", ")
    }

    /// This machine without GPUs.
    #[must_use]
    pub fn without_gpus() -> Self {
        ffi::init();
        let has = |codec| ffi::has_encoder(software_encoder(codec));
        Self {
            gpus: Vec::new(),
            no_gpu: None,
            software: Software {
                h264: has(VideoCodec::H264),
                hevc: has(VideoCodec::Hevc),
                av1: has(VideoCodec::Av1),
                vp9: has(VideoCodec::Vp9),
                opus: ffi::has_encoder(audio_encoder(AudioCodec::Opus)),
            },
        }
    }
}

/// Which devices may work, as people write it: `auto`, `cpu`, `cuda`, `cuda:N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// GPUs where they serve, else the CPU.
    #[default]
    Auto,
    /// The CPU alone.
    Cpu,
    /// GPUs must serve; one of them, by its CUDA ordinal, where it is said.
    Cuda(Option<u32>),
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => write!(f, "auto"),
            Self::Cpu => write!(f, "cpu"),
            Self::Cuda(None) => write!(f, "cuda"),
            Self::Cuda(Some(gpu)) => write!(f, "cuda:{gpu}"),
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(None)),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok())
                .map(|number| Self::Cuda(Some(number)))
                .ok_or_else(|| format!("device is `{text}` (allowed: auto, cpu, cuda, cuda:N)")),
        }
    }
}

/// Which codecs this FFmpeg encodes on the CPU. AAC is its own and always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Software {
    /// libx264.
    pub h264: bool,
    /// libx265.
    pub hevc: bool,
    /// SVT-AV1.
    pub av1: bool,
    /// libvpx.
    pub vp9: bool,
    /// libopus.
    pub opus: bool,
}

impl Default for Software {
    /// A full FFmpeg, as distributions build it.
    fn default() -> Self {
        Self {
            h264: true,
            hevc: true,
            av1: true,
            vp9: true,
            opus: true,
        }
    }
}

impl Software {
    /// Whether video of this codec can be written.
    #[must_use]
    pub fn video(&self, codec: VideoCodec) -> bool {
        match codec {
            VideoCodec::H264 => self.h264,
            VideoCodec::Hevc => self.hevc,
            VideoCodec::Av1 => self.av1,
            VideoCodec::Vp9 => self.vp9,
        }
    }

    /// Whether sound of this codec can be written.
    #[must_use]
    pub fn audio(&self, codec: AudioCodec) -> bool {
        match codec {
            AudioCodec::Aac => true,
            AudioCodec::Opus => self.opus,
        }
    }
}

/// libav's name of the encoder that runs on the CPU.
pub(super) fn software_encoder(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H264 => "libx264",
        VideoCodec::Hevc => "libx265",
        VideoCodec::Av1 => "libsvtav1",
        VideoCodec::Vp9 => "libvpx-vp9",
    }
}

/// libav's name of the encoder.
pub(super) fn audio_encoder(codec: AudioCodec) -> &'static str {
    match codec {
        AudioCodec::Aac => "aac",
        AudioCodec::Opus => "libopus",
    }
}

/// One GPU: decode, filter and encode are three separate facts, each proven by opening it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Gpu {
    /// CUDA ordinal: `cuda:N`.
    pub index: u32,
    /// As the driver names it.
    pub name: String,
    /// Its encoding engines, where its name is known: one film is encoded by one of them unless it is split.
    pub encode_engines: Option<u32>,
    /// What NVDEC decodes, one entry a codec and depth that was tried.
    pub decode: Vec<Decode>,
    /// Which filters run on it.
    pub filter: Result<Filters, Fault>,
    /// What NVENC encodes, one entry a codec that this FFmpeg knows.
    pub encode: Vec<(VideoCodec, Result<(), Fault>)>,
}

impl Gpu {
    /// Whether NVDEC decodes 4:2:0 pictures of this codec and depth.
    #[must_use]
    pub fn decodes(&self, codec: &str, bits: u8) -> bool {
        self.decode
            .iter()
            .any(|one| one.codec == codec && one.bits == bits && one.outcome.is_ok())
    }

    /// All that it was tried with and does not do.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        let decode = self.decode.iter().filter_map(|one| one.outcome.as_ref().err());
        let encode = self.encode.iter().filter_map(|(_, outcome)| outcome.as_ref().err());
        decode.chain(self.filter.as_ref().err()).chain(encode)
    }

    /// The same GPU with nothing that works.
    fn failing(&self, fault: &Fault) -> Self {
        let mut gpu = self.clone();
        gpu.filter = Err(fault.clone());
        for one in &mut gpu.decode {
            one.outcome = Err(fault.clone());
        }
        for (_, outcome) in &mut gpu.encode {
            *outcome = Err(fault.clone());
        }
        gpu
    }

    /// Whether NVENC writes this codec.
    #[must_use]
    pub fn encodes(&self, codec: VideoCodec) -> bool {
        self.encode
            .iter()
            .any(|(one, outcome)| *one == codec && outcome.is_ok())
    }
}

/// libav's; a name of its own, or serde would want to borrow it from the text that is read.
type Name = &'static str;

/// A codec that NVDEC was tried with.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Decode {
    /// libav's name.
    #[serde(deserialize_with = "prove::codec")]
    pub codec: Name,
    /// Bits a sample.
    pub bits: u8,
    /// Whether a frame came out of it.
    pub outcome: Result<(), Fault>,
}

/// The CUDA filters that this FFmpeg has and that run; scaling is the one that must.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Filters {
    /// `bwdif_cuda` (FFmpeg 6.1), else `yadif_cuda`.
    #[serde(deserialize_with = "prove::deinterlacer")]
    pub deinterlace: Option<Name>,
    /// `transpose_cuda` (FFmpeg 9).
    pub transpose: bool,
}

/// Why something of a GPU cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fault {
    /// What is behind it, where libav's lines say. Not for other processes: they plan by whether, not by why.
    #[serde(skip)]
    pub cause: Option<Cause>,
    /// libav's last word.
    pub said: String,
}

impl Fault {
    /// One sentence: what is wrong.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self.cause {
            Some(cause) => cause.sentence(),
            None => format!("it failed for an unknown reason ({})", self.said),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self.cause {
            Some(cause) => cause.hint(),
            None => "`kadr doctor` tries each part of each GPU".to_owned(),
        }
    }
}
