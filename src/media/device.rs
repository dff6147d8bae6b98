//! What this machine can do. The CPU always can; GPUs are added here, each capability proven by opening it.

use super::ffi;
use super::preset::{AudioCodec, VideoCodec};

/// What [`plan`](super::plan::plan) may choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// One entry a GPU, in CUDA order.
    pub gpus: Vec<Gpu>,
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

/// One GPU: decode, filter and encode are three separate facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// CUDA ordinal: `cuda:N`.
    pub index: u32,
    /// As NVML names it.
    pub name: String,
    /// Codecs that NVDEC decodes, by libav's name.
    pub decodes: Vec<String>,
    /// Whether CUDA filters run.
    pub filters: bool,
    /// Codecs that NVENC encodes, by libav's name.
    pub encodes: Vec<String>,
}
