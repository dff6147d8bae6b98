//! libav's lines -> what is wrong with the GPU, and what to do. Pure.
//!
//! ```text
//! lines    libav's log lines -> Cause
//! driver   which driver is new enough for what
//! ```
//!
//! A [`Cause`] says its sentence to whoever runs kadr, its name to metrics and JSON, and to the fleet whether it is worth
//! trying again. Absent: any line of libav's in any of these; lines carry names and metadata of strangers.

pub mod driver;
mod lines;

use std::fmt;

pub use self::driver::Api;
pub use self::lines::diagnose;

/// What keeps a GPU, or a part of it, from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// No `libcuda.so.1`.
    NoDriver,
    /// No `libnvidia-encode.so.1`.
    NoEncodeLibrary,
    /// No `libnvcuvid.so.1`.
    NoDecodeLibrary,
    /// The driver's library is there, no GPU is.
    NoDevice,
    /// The driver's library does not reach its kernel module.
    DeviceUnreachable,
    /// Library and kernel module are of different releases.
    DriverMismatch,
    /// CUDA's compatibility library on a GPU that it is not made for.
    CompatLibrary,
    /// The fabric manager of an HGX machine does not run.
    FabricNotReady,
    /// The toolkit's stand-in for `libcuda.so.1` was loaded.
    StubLibrary,
    /// The operating system forbids what CUDA does at its start.
    Sandboxed,
    /// No GPU memory is left.
    MemoryFull,
    /// Another process has the GPU for itself.
    DeviceBusy,
    /// The driver's encoder interface is older than this FFmpeg's.
    DriverTooOld {
        /// What this FFmpeg asks for.
        required: Api,
        /// What the driver has.
        found: Api,
    },
    /// Driver and FFmpeg do not agree on the encoder interface.
    ApiMismatch,
    /// The GPU has no NVENC.
    NoEncoder,
    /// The driver opens no further encoder session.
    SessionLimit,
    /// NVENC does not encode 10 bits in this codec.
    TenBitEncode,
    /// The picture is larger than NVENC takes in this codec.
    EncodeTooLarge {
        /// Which side.
        side: Side,
        /// How long it is, pixels.
        pixels: u32,
        /// How long it may be, pixels.
        pixels_max: u32,
    },
    /// The picture is smaller than NVENC takes.
    EncodeTooSmall,
    /// NVENC does not encode this codec.
    EncodeCodec,
    /// NVENC does not have this option.
    EncodeOption {
        /// In the field's words.
        option: &'static str,
    },
    /// NVENC does not take these settings together.
    EncodeSettings,
    /// The GPU stopped working while it ran.
    FellOver,
    /// NVDEC does not decode this codec, profile or depth.
    DecodeUnsupported,
    /// NVDEC does not decode pictures of this size.
    DecodeSize {
        /// Which side.
        side: Side,
        /// How long it is, pixels.
        pixels: u32,
        /// How long it must be, pixels.
        pixels_min: u32,
        /// How long it may be, pixels.
        pixels_max: u32,
    },
    /// NVDEC refused, and did not say why.
    DecodeRefused,
    /// All surfaces of the decoder are held.
    NoSurface,
    /// A filter graph was built for other frames than those that came.
    FrameFormat,
    /// A decoder was offered surfaces and given none.
    NoFramePool,
    /// The driver does not load this FFmpeg's filters.
    PtxTooNew,
    /// CUDA failed with an error that is no cause of its own here.
    Cuda {
        /// CUDA's name of it.
        error: &'static str,
    },
    /// The GPU was refused, and no line says why.
    Refused,
}

/// A side of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// From left to right.
    Width,
    /// From top to bottom.
    Height,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Width => "width",
            Self::Height => "height",
        })
    }
}

impl Cause {
    /// For metrics and JSON; does not change between releases.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoDriver => "no_driver",
            Self::NoEncodeLibrary => "no_encode_library",
            Self::NoDecodeLibrary => "no_decode_library",
            Self::NoDevice => "no_device",
            Self::DeviceUnreachable => "device_unreachable",
            Self::DriverMismatch => "driver_mismatch",
            Self::CompatLibrary => "compat_library",
            Self::FabricNotReady => "fabric_not_ready",
            Self::StubLibrary => "stub_library",
            Self::Sandboxed => "sandboxed",
            Self::MemoryFull => "memory_full",
            Self::DeviceBusy => "device_busy",
            Self::DriverTooOld { .. } => "driver_too_old",
            Self::ApiMismatch => "api_mismatch",
            Self::NoEncoder => "no_encoder",
            Self::SessionLimit => "session_limit",
            Self::TenBitEncode => "ten_bit_encode",
            Self::EncodeTooLarge { .. } => "encode_too_large",
            Self::EncodeTooSmall => "encode_too_small",
            Self::EncodeCodec => "encode_codec",
            Self::EncodeOption { .. } => "encode_option",
            Self::EncodeSettings => "encode_settings",
            Self::FellOver => "fell_over",
            Self::DecodeUnsupported => "decode_unsupported",
            Self::DecodeSize { .. } => "decode_size",
            Self::DecodeRefused => "decode_refused",
            Self::NoSurface => "no_surface",
            Self::FrameFormat => "frame_format",
            Self::NoFramePool => "no_frame_pool",
            Self::PtxTooNew => "ptx_too_new",
            Self::Cuda { .. } => "cuda",
            Self::Refused => "refused",
        }
    }

    /// Whether it holds until something is changed: on the machine, or in what is asked of the GPU. What does not last may
    /// be gone at the next try: a session ends, memory is freed, a module or a service is loaded late, a GPU comes back.
    #[must_use]
    pub fn lasts(self) -> bool {
        match self {
            Self::NoDriver
            | Self::NoEncodeLibrary
            | Self::NoDecodeLibrary
            | Self::NoDevice
            | Self::DriverMismatch
            | Self::CompatLibrary
            | Self::StubLibrary
            | Self::Sandboxed
            | Self::DriverTooOld { .. }
            | Self::ApiMismatch
            | Self::NoEncoder
            | Self::TenBitEncode
            | Self::EncodeTooLarge { .. }
            | Self::EncodeTooSmall
            | Self::EncodeCodec
            | Self::EncodeOption { .. }
            | Self::EncodeSettings
            | Self::DecodeUnsupported
            | Self::DecodeSize { .. }
            | Self::FrameFormat
            | Self::NoFramePool
            | Self::PtxTooNew => true,
            Self::DeviceUnreachable
            | Self::FabricNotReady
            | Self::MemoryFull
            | Self::DeviceBusy
            | Self::SessionLimit
            | Self::FellOver
            | Self::DecodeRefused
            | Self::NoSurface
            | Self::Cuda { .. }
            | Self::Refused => false,
        }
    }

    /// Whether the GPU is healthy and simply is not made for what was asked of it.
    #[must_use]
    pub fn is_by_design(self) -> bool {
        matches!(
            self,
            Self::NoEncoder
                | Self::TenBitEncode
                | Self::EncodeTooLarge { .. }
                | Self::EncodeTooSmall
                | Self::EncodeCodec
                | Self::EncodeOption { .. }
                | Self::DecodeUnsupported
                | Self::DecodeSize { .. }
        )
    }

    /// One sentence: what is wrong.
    #[must_use]
    pub fn sentence(self) -> String {
        match self {
            Self::NoDriver => "the NVIDIA driver is not installed here, or not in this container",
            Self::NoEncodeLibrary => "the driver's encoder library libnvidia-encode.so.1 is missing",
            Self::NoDecodeLibrary => "the driver's decoder library libnvcuvid.so.1 is missing",
            Self::NoDevice => "the NVIDIA driver is installed, but there is no GPU that it may use",
            Self::DeviceUnreachable => "the NVIDIA driver does not reach its kernel module nvidia-uvm",
            Self::DriverMismatch => "the driver's libraries and its kernel module are of different releases",
            Self::CompatLibrary => "CUDA's compatibility library was loaded, and it does not serve this GPU",
            Self::FabricNotReady => "the GPUs of this machine wait for the NVIDIA fabric manager",
            Self::StubLibrary => "the CUDA toolkit's stub was loaded in place of the NVIDIA driver",
            Self::Sandboxed => "the operating system forbids what CUDA does at its start",
            Self::MemoryFull => "the GPU's memory is full",
            Self::DeviceBusy => "another process has the GPU for itself",
            Self::DriverTooOld { required, found } => {
                return format!("the NVIDIA driver is too old: it has NVENC API {found}, this FFmpeg needs {required}");
            }
            Self::ApiMismatch => "the NVIDIA driver and this FFmpeg do not agree on the version of NVENC",
            Self::NoEncoder => "this GPU has no encoder (NVENC)",
            Self::SessionLimit => {
                "no further encoder session opens: the driver's limit is reached, or the GPU's memory is full"
            }
            Self::TenBitEncode => "this GPU does not encode 10 bits in this codec",
            Self::EncodeTooLarge {
                side,
                pixels,
                pixels_max,
            } => {
                return format!(
                    "this GPU does not encode pictures of {side} {pixels} in this codec (limit {pixels_max})"
                );
            }
            Self::EncodeTooSmall => "the picture is smaller than this GPU encodes",
            Self::EncodeCodec => "this GPU does not encode this codec",
            Self::EncodeOption { option } => return format!("this GPU's encoder does not do {option}"),
            Self::EncodeSettings => "this GPU's encoder does not take these settings together",
            Self::FellOver => "the GPU stopped working while it encoded",
            Self::DecodeUnsupported => "this GPU does not decode this codec, profile or depth",
            Self::DecodeSize {
                side,
                pixels,
                pixels_min,
                pixels_max,
            } => {
                return format!(
                    "this GPU does not decode pictures of {side} {pixels} (allowed {pixels_min} to {pixels_max})"
                );
            }
            Self::DecodeRefused => "this GPU's decoder refused, without a reason",
            Self::NoSurface => "the GPU's decoder ran out of surfaces",
            Self::FrameFormat => "frames came in another memory than the filters were made for",
            Self::NoFramePool => "the decoder was offered surfaces of the GPU, but given none",
            Self::PtxTooNew => "the NVIDIA driver is too old for the GPU filters of this FFmpeg",
            Self::Cuda { error } => return format!("CUDA failed with {error}"),
            Self::Refused => "the GPU was refused, without a reason",
        }
        .to_owned()
    }

    /// What the operator does about it.
    #[must_use]
    pub fn hint(self) -> String {
        match self {
            Self::NoDriver => "install the NVIDIA driver; in a container: `--gpus all`",
            Self::NoEncodeLibrary => {
                "in a container: `NVIDIA_DRIVER_CAPABILITIES=compute,video,utility`; on Debian: install libnvidia-encode1"
            }
            Self::NoDecodeLibrary => {
                "in a container: `NVIDIA_DRIVER_CAPABILITIES=compute,video,utility`; on Debian: install libnvcuvid1"
            }
            Self::NoDevice => {
                "pass the devices into the container, nvidia-uvm too (`--gpus all`); CUDA_VISIBLE_DEVICES must not be empty"
            }
            Self::DeviceUnreachable => "run `nvidia-modprobe -u -c=0` on the host; restart the container if it had the GPU before",
            Self::DriverMismatch => "reboot after an upgrade of the driver; keep libcuda out of the image",
            Self::CompatLibrary => "remove /usr/local/cuda/compat from the image or from LD_LIBRARY_PATH",
            Self::FabricNotReady => "start the service nvidia-fabricmanager on the host",
            Self::StubLibrary => "remove the folder `stubs` of the CUDA toolkit from LD_LIBRARY_PATH",
            Self::Sandboxed => "allow CUDA to write to /proc/self/task/*/comm, or run without the sandbox",
            Self::MemoryFull => "run fewer jobs at once, or end other programs that use the GPU",
            Self::DeviceBusy => "end that process, or share the GPU again with `nvidia-smi -c 0`",
            Self::DriverTooOld { required, .. } => {
                return match driver::release_for(required) {
                    Some(release) => format!("upgrade the NVIDIA driver to {release} or newer"),
                    None => "upgrade the NVIDIA driver to its newest release".to_owned(),
                };
            }
            Self::ApiMismatch | Self::PtxTooNew => "upgrade the NVIDIA driver",
            Self::NoEncoder => "nothing is broken: the GPU decodes and scales, the CPU encodes; another GPU would encode too",
            Self::SessionLimit => "run fewer jobs at once; newer drivers allow more sessions on GeForce cards (3, 5, 8, 12)",
            Self::TenBitEncode => "encode 8 bits, or HEVC",
            Self::EncodeTooLarge { .. } => "choose a smaller height, or the preset `hevc`",
            Self::EncodeTooSmall => "nothing is broken: the CPU encodes small pictures",
            Self::EncodeCodec => "nothing is broken: the CPU encodes this codec",
            Self::EncodeOption { .. } => "nothing is broken: the encoder runs without that option",
            Self::EncodeSettings => "please report this with the output of `kadr doctor --json`",
            Self::FellOver => "look for `Xid` in the kernel's log; the job was done without the GPU",
            Self::DecodeUnsupported | Self::DecodeSize { .. } => "nothing is broken: the CPU decodes what the GPU does not",
            Self::DecodeRefused => "nothing to do where files still play: the CPU decodes them",
            Self::NoSurface | Self::FrameFormat | Self::NoFramePool => {
                "this is a fault of kadr's: please report it with the output of `kadr doctor --json`"
            }
            Self::Cuda { .. } => "look for `Xid` in the kernel's log, and try `nvidia-smi`",
            Self::Refused => "try `nvidia-smi`; a newer driver may say why",
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests;
