//! What this machine can do. The CPU always can; GPUs are added here, each capability proven by opening it.

pub mod diagnosis;
pub mod installed;
pub mod nvml;

pub use self::diagnosis::Cause;

use super::ffi;
use super::preset::{AudioCodec, VideoCodec};

/// What [`plan`](super::plan::plan) may choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// One entry a GPU, the least loaded first.
    pub gpus: Vec<Gpu>,
    /// Why there is none, where CUDA was looked for.
    pub no_gpu: Option<Fault>,
    /// Encoders of this FFmpeg that run on the CPU.
    pub software: Software,
}

impl Caps {
    /// This machine.
    #[must_use]
    pub fn detect() -> Self {
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

/// Which codecs this FFmpeg encodes on the CPU. AAC is its own and always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// CUDA ordinal: `cuda:N`.
    pub index: u32,
    /// As the driver names it.
    pub name: String,
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

    /// Whether NVENC writes this codec.
    #[must_use]
    pub fn encodes(&self, codec: VideoCodec) -> bool {
        self.encode
            .iter()
            .any(|(one, outcome)| *one == codec && outcome.is_ok())
    }
}

/// A codec that NVDEC was tried with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decode {
    /// libav's name.
    pub codec: &'static str,
    /// Bits a sample.
    pub bits: u8,
    /// Whether a frame came out of it.
    pub outcome: Result<(), Fault>,
}

/// The CUDA filters that this FFmpeg has and that run; scaling is the one that must.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// `bwdif_cuda` (FFmpeg 6.1), else `yadif_cuda`.
    pub deinterlace: Option<&'static str>,
    /// `transpose_cuda` (FFmpeg 9).
    pub transpose: bool,
}

/// Why something of a GPU cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is behind it, where libav's lines say.
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
