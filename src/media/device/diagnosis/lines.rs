//! libav's log lines -> cause. Each reader knows the lines of one part of libav, as FFmpeg 5.1 to 9 word them, and no line
//! is known to two readers.
//!
//! A failure is told several times over: the call that failed, what was given up for it, and what failed for that. So the
//! line that says most wins, and among equals the newest.

use super::{Api, Cause, Side};

type Reader = fn(&str) -> Option<Cause>;

pub(super) const READERS: [Reader; 8] = [
    libraries,
    cuda,
    nvenc_calls,
    nvenc_limits,
    nvenc_options,
    nvdec,
    frames,
    wrappers,
];

/// The cause that these lines of libav's tell, the newest last.
#[must_use]
pub fn diagnose(lines: &[String]) -> Option<Cause> {
    whole(lines)
        .iter()
        .filter_map(|line| READERS.iter().find_map(|read| read(line)))
        .max_by_key(|cause| weight(*cause))
}

/// libav logs a CUDA error in pieces: the call, then an arrow and the error.
fn whole(lines: &[String]) -> Vec<String> {
    let mut whole: Vec<String> = Vec::new();
    for line in lines {
        match whole.last_mut() {
            Some(last) if line.trim_start().starts_with("->") => last.push_str(line),
            _ => whole.push(line.clone()),
        }
    }
    whole
}

/// How much a cause says.
fn weight(cause: Cause) -> u32 {
    match cause {
        Cause::Refused => 0,
        Cause::DecodeRefused => 1,
        Cause::Cuda { .. } => 2,
        _ => 3,
    }
}

fn has_any(line: &str, texts: &[&str]) -> bool {
    texts.iter().any(|text| line.contains(text))
}

/// What is loaded by name when a device is first used.
fn libraries(line: &str) -> Option<Cause> {
    if has_any(line, &["Cannot load libcuda.so.1", "Could not dynamically load CUDA"]) {
        Some(Cause::NoDriver)
    } else if line.contains("Cannot load libnvidia-encode.so.1") {
        Some(Cause::NoEncodeLibrary)
    } else if has_any(line, &["Cannot load libnvcuvid.so.1", "Failed loading nvcuvid."]) {
        Some(Cause::NoDecodeLibrary)
    } else {
        None
    }
}

/// `CALL failed -> CUDA_ERROR_NAME: words`.
fn cuda(line: &str) -> Option<Cause> {
    if line.contains("No CUDA capable devices found") {
        return Some(Cause::NoDevice);
    }
    let (call, error) = line.split_once("-> CUDA_ERROR_")?;
    let end = error.find(|letter: char| !letter.is_ascii_uppercase() && !letter.is_ascii_digit() && letter != '_');
    let cause = match &error[..end.unwrap_or(error.len())] {
        "NO_DEVICE" => Cause::NoDevice,
        "UNKNOWN" if call.contains("cuInit") => Cause::DeviceUnreachable,
        "OPERATING_SYSTEM" if call.contains("cuInit") => Cause::Sandboxed,
        "SYSTEM_DRIVER_MISMATCH" => Cause::DriverMismatch,
        "COMPAT_NOT_SUPPORTED_ON_DEVICE" => Cause::CompatLibrary,
        "SYSTEM_NOT_READY" => Cause::FabricNotReady,
        "STUB_LIBRARY" => Cause::StubLibrary,
        "OUT_OF_MEMORY" => Cause::MemoryFull,
        "DEVICE_UNAVAILABLE" => Cause::DeviceBusy,
        "UNSUPPORTED_PTX_VERSION" => Cause::PtxTooNew,
        "INVALID_VALUE" if call.contains("cuvidCreateDecoder") => Cause::DecodeRefused,
        name => Cause::Cuda { error: known(name) },
    };
    Some(cause)
}

/// CUDA's errors that are met while frames are worked on. A name is said only if it is one of these, so that no text of a
/// log line leaves this module.
fn known(name: &str) -> &'static str {
    const NAMES: [&str; 24] = [
        "CUDA_ERROR_CONTEXT_IS_DESTROYED",
        "CUDA_ERROR_DEINITIALIZED",
        "CUDA_ERROR_ECC_UNCORRECTABLE",
        "CUDA_ERROR_HARDWARE_STACK_ERROR",
        "CUDA_ERROR_ILLEGAL_ADDRESS",
        "CUDA_ERROR_ILLEGAL_INSTRUCTION",
        "CUDA_ERROR_INVALID_CONTEXT",
        "CUDA_ERROR_INVALID_DEVICE",
        "CUDA_ERROR_INVALID_HANDLE",
        "CUDA_ERROR_INVALID_PTX",
        "CUDA_ERROR_INVALID_VALUE",
        "CUDA_ERROR_JIT_COMPILER_NOT_FOUND",
        "CUDA_ERROR_LAUNCH_FAILED",
        "CUDA_ERROR_LAUNCH_TIMEOUT",
        "CUDA_ERROR_MAP_FAILED",
        "CUDA_ERROR_MISALIGNED_ADDRESS",
        "CUDA_ERROR_NOT_FOUND",
        "CUDA_ERROR_NOT_INITIALIZED",
        "CUDA_ERROR_NOT_PERMITTED",
        "CUDA_ERROR_NOT_SUPPORTED",
        "CUDA_ERROR_NO_BINARY_FOR_GPU",
        "CUDA_ERROR_OPERATING_SYSTEM",
        "CUDA_ERROR_UNKNOWN",
        "CUDA_ERROR_UNMAP_FAILED",
    ];
    NAMES
        .into_iter()
        .find(|known| known.strip_prefix("CUDA_ERROR_") == Some(name))
        .unwrap_or("an unusual error")
}

/// `CALL failed: words (code): details`.
fn nvenc_calls(line: &str) -> Option<Cause> {
    if line.contains("Frame Dimension less than the minimum supported value") {
        return Some(Cause::EncodeTooSmall);
    }
    let says = |words: &str| line.contains(&format!(": {words} ("));
    let opening = line.contains("OpenEncodeSessionEx failed");
    if opening && (says("unsupported device") || says("no encode device")) {
        Some(Cause::NoEncoder)
    } else if opening && (says("out of memory") || says("incompatible client key")) {
        Some(Cause::SessionLimit)
    } else if says("out of memory") {
        Some(Cause::MemoryFull)
    } else if says("invalid version") {
        Some(Cause::ApiMismatch)
    } else if says("generic error") {
        Some(Cause::FellOver)
    } else if line.contains("InitializeEncoder failed") && (says("invalid param") || says("unsupported param")) {
        Some(Cause::EncodeSettings)
    } else {
        None
    }
}

/// What NVENC says of itself before it is opened.
fn nvenc_limits(line: &str) -> Option<Cause> {
    if let Some((_, versions)) = line.split_once("Driver does not support the required nvenc API version.") {
        let api = |label: &str| {
            let (_, after) = versions.split_once(label)?;
            let numbers = numbers(after);
            Some(Api {
                major: *numbers.first()?,
                minor: *numbers.get(1)?,
            })
        };
        return Some(match (api("Required:"), api("Found:")) {
            (Some(required), Some(found)) => Cause::DriverTooOld { required, found },
            _ => Cause::ApiMismatch,
        });
    }
    if line.contains("10 bit encode not supported") {
        return Some(Cause::TenBitEncode);
    }
    if line.contains("Codec not supported") {
        return Some(Cause::EncodeCodec);
    }
    let (side, label) = [(Side::Width, "Width "), (Side::Height, "Height ")]
        .into_iter()
        .find(|(_, label)| line.contains(label) && line.contains(" exceeds "))?;
    let (_, after) = line.split_once(label)?;
    match numbers(after)[..] {
        [pixels, pixels_max] => Some(Cause::EncodeTooLarge {
            side,
            pixels,
            pixels_max,
        }),
        _ => None,
    }
}

/// Options that NVENC refuses one by one; what is left out here falls to the line that wraps them.
fn nvenc_options(line: &str) -> Option<Cause> {
    const OPTIONS: [(&str, &str); 15] = [
        ("Max B-frames ", "so many B-frames"),
        ("B frames as references are not supported", "B-frames as references"),
        ("Each B frame as reference is not supported", "B-frames as references"),
        ("B frame reference mode is not supported", "B-frames as references"),
        ("RC lookahead not supported", "lookahead"),
        ("Lookahead level not supported", "this level of lookahead"),
        ("Temporal AQ not supported", "temporal AQ"),
        ("Weighted Prediction not supported", "weighted prediction"),
        ("Temporal filtering not supported", "temporal filtering"),
        (
            "Multiple reference frames are not supported",
            "multiple reference frames",
        ),
        ("CABAC entropy coding not supported", "CABAC"),
        ("Interlaced encoding is not supported", "interlaced pictures"),
        ("Lossless encoding not supported", "lossless encoding"),
        ("YUV444P not supported", "4:4:4 pictures"),
        ("YUV422P not supported", "4:2:2 pictures"),
    ];
    OPTIONS
        .iter()
        .find(|(text, _)| line.contains(text))
        .map(|&(_, option)| Cause::EncodeOption { option })
}

fn nvdec(line: &str) -> Option<Cause> {
    if line.contains("No decoder surfaces left") {
        return Some(Cause::NoSurface);
    }
    let unsupported = ["Codec ", "Bit depth "]
        .iter()
        .any(|subject| line.split_once(subject).is_some_and(|(_, rest)| is_not_supported(rest)));
    let lacking = [
        "Hardware is lacking required capabilities",
        "Unsupported bit depth",
        "Unsupported chroma format",
        "Unsupported codec ID",
        "Video macroblock count ",
    ];
    if unsupported || has_any(line, &lacking) {
        return Some(Cause::DecodeUnsupported);
    }
    let (before, after) = line.split_once(" not within range")?;
    let (side, label) = [(Side::Width, "ideo width "), (Side::Height, "ideo height ")]
        .into_iter()
        .find(|(_, label)| before.contains(label))?;
    let (_, own) = before.split_once(label)?;
    match (&numbers(own)[..], &numbers(after)[..]) {
        (&[pixels], &[pixels_min, pixels_max]) => Some(Cause::DecodeSize {
            side,
            pixels,
            pixels_min,
            pixels_max,
        }),
        _ => Some(Cause::DecodeUnsupported),
    }
}

/// `h264_cuvid is not supported.`, since FFmpeg 8 `h264_cuvid is not supported with this chroma format.`
fn is_not_supported(rest: &str) -> bool {
    has_any(
        rest,
        &[" is not supported.", " is not supported with this chroma format."],
    ) || rest.contains(" with this chroma format is not supported.")
}

/// Frames of the GPU where others were expected, and the reverse.
fn frames(line: &str) -> Option<Cause> {
    if has_any(
        line,
        &[
            "Impossible to convert between the formats supported by the filter",
            "Error reinitializing filters!",
        ],
    ) {
        Some(Cause::FrameFormat)
    } else if line.contains("Invalid setup for format cuda: missing configuration") {
        Some(Cause::NoFramePool)
    } else {
        None
    }
}

/// Lines that say only that an earlier one ended it.
fn wrappers(line: &str) -> Option<Cause> {
    if line.contains("Failed setup for format cuda") {
        Some(Cause::DecodeRefused)
    } else if has_any(
        line,
        &[
            "No capable devices found",
            "Provided device doesn't support required NVENC features",
        ],
    ) {
        Some(Cause::Refused)
    } else {
        None
    }
}

/// Runs of digits, those that fit.
fn numbers(text: &str) -> Vec<u32> {
    text.split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}
