//! What is installed here for kadr to use: FFmpeg's parts by name, and the libraries of the NVIDIA driver. That something is
//! listed does not say that it works; proofs are elsewhere.

use super::software_encoder;
use crate::media::ffi;
use crate::media::preset::VideoCodec;

/// The libraries of the NVIDIA driver that are loaded by name, and what each is for.
pub const LIBRARIES: [(&str, &str); 4] = [
    ("libcuda.so.1", "the driver itself"),
    ("libnvidia-encode.so.1", "encoding (NVENC)"),
    ("libnvcuvid.so.1", "decoding (NVDEC)"),
    ("libnvidia-ml.so.1", "facts about the GPUs (NVML)"),
];

/// The filters that run on a GPU.
pub const FILTERS: [&str; 5] = [
    "scale_cuda",
    "hwupload_cuda",
    "bwdif_cuda",
    "yadif_cuda",
    "transpose_cuda",
];

/// The FFmpeg that this process runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ffmpeg {
    /// As whoever built it wrote it.
    pub release: String,
    /// Release and the versions of its libraries.
    pub running: String,
    /// What it was configured with.
    pub configuration: String,
    /// Encoders on the CPU, and whether it has them.
    pub software: Vec<(&'static str, bool)>,
    /// Encoders on a GPU, and whether it has them.
    pub nvenc: Vec<(&'static str, bool)>,
    /// Filters on a GPU, and whether it has them.
    pub filters: Vec<(&'static str, bool)>,
}

impl Ffmpeg {
    /// Asks it.
    #[must_use]
    pub fn look() -> Self {
        let encoder = |name| (name, ffi::has_encoder(name));
        let codecs = [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1, VideoCodec::Vp9];
        Self {
            release: ffi::release(),
            running: ffi::versions(),
            configuration: ffi::configuration(),
            software: codecs
                .map(software_encoder)
                .into_iter()
                .chain(["aac", "libopus"])
                .map(encoder)
                .collect(),
            nvenc: ["h264_nvenc", "hevc_nvenc", "av1_nvenc"].map(encoder).to_vec(),
            filters: FILTERS.map(|name| (name, ffi::has_filter(name))).to_vec(),
        }
    }
}

/// Each library of the driver, and why it does not load.
#[must_use]
pub fn libraries() -> Vec<(&'static str, Result<(), String>)> {
    LIBRARIES.map(|(name, _)| (name, ffi::can_load(name))).to_vec()
}
