//! What this machine can do. The CPU always can; GPUs are added here, each capability proven by opening it.

/// The devices that [`plan`](super::plan::plan) may choose from, besides the CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// One entry a GPU, in CUDA order.
    pub gpus: Vec<Gpu>,
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
