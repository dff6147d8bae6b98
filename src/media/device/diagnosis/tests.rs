//! Every line that the table of causes knows, as FFmpeg words it.

use proptest::prelude::{any, prop, prop_assert, proptest};

use super::lines::READERS;
use super::{Api, Cause, Side, diagnose};

const ROWS: [(&str, Cause); 52] = [
    ("Cannot load libcuda.so.1", Cause::NoDriver),
    ("Could not dynamically load CUDA", Cause::NoDriver),
    ("Cannot load libnvidia-encode.so.1", Cause::NoEncodeLibrary),
    ("Cannot load libnvcuvid.so.1", Cause::NoDecodeLibrary),
    ("Failed loading nvcuvid.", Cause::NoDecodeLibrary),
    (
        "cu->cuInit(0) failed -> CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected",
        Cause::NoDevice,
    ),
    ("No CUDA capable devices found", Cause::NoDevice),
    (
        "cu->cuInit(0) failed -> CUDA_ERROR_UNKNOWN: unknown error",
        Cause::DeviceUnreachable,
    ),
    (
        "cu->cuInit(0) failed -> CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: system has unsupported display driver",
        Cause::DriverMismatch,
    ),
    (
        "cu->cuInit(0) failed -> CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE: forward compatibility",
        Cause::CompatLibrary,
    ),
    (
        "cu->cuInit(0) failed -> CUDA_ERROR_SYSTEM_NOT_READY: system not yet initialized",
        Cause::FabricNotReady,
    ),
    (
        "cu->cuInit(0) failed -> CUDA_ERROR_STUB_LIBRARY: CUDA driver is a stub library",
        Cause::StubLibrary,
    ),
    (
        "cu->cuInit(0) failed -> CUDA_ERROR_OPERATING_SYSTEM: OS call failed",
        Cause::Sandboxed,
    ),
    (
        "cu->cuCtxCreate(&hwctx->cuda_ctx, desired_flags, hwctx->internal->cuda_device) failed -> CUDA_ERROR_OUT_OF_MEMORY: out of memory",
        Cause::MemoryFull,
    ),
    (
        "cu->cuMemAlloc(&data, size) failed -> CUDA_ERROR_OUT_OF_MEMORY: out of memory",
        Cause::MemoryFull,
    ),
    (
        "CreateBitstreamBuffer failed: out of memory (10): (no details)",
        Cause::MemoryFull,
    ),
    (
        "dl_fn->cuda_dl->cuCtxCreate(&ctx->cu_context_internal, 0, cu_device) failed -> CUDA_ERROR_DEVICE_UNAVAILABLE: busy",
        Cause::DeviceBusy,
    ),
    (
        "Driver does not support the required nvenc API version. Required: 12.1 Found: 11.0",
        Cause::DriverTooOld {
            required: Api { major: 12, minor: 1 },
            found: Api { major: 11, minor: 0 },
        },
    ),
    (
        "OpenEncodeSessionEx failed: invalid version (15): (no details)",
        Cause::ApiMismatch,
    ),
    (
        "OpenEncodeSessionEx failed: unsupported device (2): (no details)",
        Cause::NoEncoder,
    ),
    (
        "OpenEncodeSessionEx failed: no encode device (1): (no details)",
        Cause::NoEncoder,
    ),
    (
        "OpenEncodeSessionEx failed: out of memory (10): (no details)",
        Cause::SessionLimit,
    ),
    (
        "OpenEncodeSessionEx failed: incompatible client key (21): (no details)",
        Cause::SessionLimit,
    ),
    ("10 bit encode not supported", Cause::TenBitEncode),
    (
        "Width 7680 exceeds 4096",
        Cause::EncodeTooLarge {
            side: Side::Width,
            pixels: 7680,
            pixels_max: 4096,
        },
    ),
    (
        "Height 4320 exceeds 4096",
        Cause::EncodeTooLarge {
            side: Side::Height,
            pixels: 4320,
            pixels_max: 4096,
        },
    ),
    (
        "InitializeEncoder failed: invalid param (8): Frame Dimension less than the minimum supported value.",
        Cause::EncodeTooSmall,
    ),
    ("Codec not supported", Cause::EncodeCodec),
    ("Max B-frames 6 exceed 4", option("so many B-frames")),
    (
        "B frames as references are not supported",
        option("B-frames as references"),
    ),
    (
        "Each B frame as reference is not supported",
        option("B-frames as references"),
    ),
    (
        "Middle B frame reference mode is not supported",
        option("B-frames as references"),
    ),
    ("RC lookahead not supported", option("lookahead")),
    ("Temporal AQ not supported", option("temporal AQ")),
    ("Weighted Prediction not supported", option("weighted prediction")),
    (
        "InitializeEncoder failed: invalid param (8): (no details)",
        Cause::EncodeSettings,
    ),
    (
        "InitializeEncoder failed: unsupported param (12): (no details)",
        Cause::EncodeSettings,
    ),
    (
        "EncodePicture failed!: generic error (20): (no details)",
        Cause::FellOver,
    ),
    ("Hardware is lacking required capabilities", Cause::DecodeUnsupported),
    (
        "Video width 128 not within range from 144 to 4096",
        Cause::DecodeSize {
            side: Side::Width,
            pixels: 128,
            pixels_min: 144,
            pixels_max: 4096,
        },
    ),
    (
        "Video height 8192 not within range from 144 to 4096",
        Cause::DecodeSize {
            side: Side::Height,
            pixels: 8192,
            pixels_min: 144,
            pixels_max: 4096,
        },
    ),
    ("Codec h264_cuvid is not supported.", Cause::DecodeUnsupported),
    (
        "Codec h264_cuvid is not supported with this chroma format.",
        Cause::DecodeUnsupported,
    ),
    ("Bit depth 10 is not supported.", Cause::DecodeUnsupported),
    (
        "decoder->cvdl->cuvidCreateDecoder(&decoder->decoder, params) failed -> CUDA_ERROR_INVALID_VALUE: invalid argument",
        Cause::DecodeRefused,
    ),
    (
        "Failed setup for format cuda: hwaccel initialisation returned error.",
        Cause::DecodeRefused,
    ),
    ("No decoder surfaces left", Cause::NoSurface),
    (
        "Impossible to convert between the formats supported by the filter 'Parsed_null_0' and the filter 'auto_scale_0'",
        Cause::FrameFormat,
    ),
    (
        "Invalid setup for format cuda: missing configuration",
        Cause::NoFramePool,
    ),
    (
        "cu->cuModuleLoadData(cu_module, data) failed -> CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the provided PTX was compiled with an unsupported toolchain.",
        Cause::PtxTooNew,
    ),
    ("No capable devices found", Cause::Refused),
    (
        "Provided device doesn't support required NVENC features",
        Cause::Refused,
    ),
];

const fn option(option: &'static str) -> Cause {
    Cause::EncodeOption { option }
}

fn told(lines: &[&str]) -> Option<Cause> {
    let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
    diagnose(&lines)
}

#[test]
fn every_row_gives_its_cause_and_to_one_reader_alone() {
    for (line, cause) in ROWS {
        assert_eq!(told(&[line]), Some(cause), "{line}");
        let prefixed = format!("[h264_nvenc @ 0x55d0c0ffee00] {line}\n");
        assert_eq!(told(&[&prefixed]), Some(cause), "{prefixed}");
        let readers = READERS.iter().filter(|read| read(line).is_some()).count();
        assert_eq!(readers, 1, "{line}");
    }
}

#[test]
fn a_line_in_pieces_is_one_line() {
    let pieces = ["cu->cuInit(0) failed", " -> CUDA_ERROR_UNKNOWN: unknown error"];
    assert_eq!(told(&pieces), Some(Cause::DeviceUnreachable));
    assert_eq!(told(&pieces[..1]), None);
    assert_eq!(
        told(&pieces[1..]),
        Some(Cause::Cuda {
            error: "CUDA_ERROR_UNKNOWN"
        })
    );
}

#[test]
fn the_line_that_says_most_wins() {
    let reason = "OpenEncodeSessionEx failed: unsupported device (2): (no details)";
    let wrapper = "No capable devices found";
    assert_eq!(told(&[reason, wrapper]), Some(Cause::NoEncoder));
    assert_eq!(told(&[wrapper, reason]), Some(Cause::NoEncoder));
    let given_up = "Failed setup for format cuda: hwaccel initialisation returned error.";
    let lacking = "Hardware is lacking required capabilities";
    assert_eq!(told(&[lacking, given_up]), Some(Cause::DecodeUnsupported));
    let cuda = "cuMemcpy2D failed -> CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered";
    let encode = "EncodePicture failed!: generic error (20): (no details)";
    assert_eq!(told(&[encode, cuda]), Some(Cause::FellOver));
    assert_eq!(
        told(&[cuda, given_up, wrapper]),
        Some(Cause::Cuda {
            error: "CUDA_ERROR_ILLEGAL_ADDRESS"
        })
    );
}

#[test]
fn among_equals_the_newest_wins() {
    assert_eq!(
        told(&["Temporal AQ not supported", "Codec not supported"]),
        Some(Cause::EncodeCodec)
    );
}

#[test]
fn what_is_not_known_is_not_guessed() {
    for line in [
        "",
        "Using global_quality with nvenc is deprecated. Use qp instead.",
        "The minimum required Nvidia driver for nvenc is 470.57.02 or newer",
        "deprecated pixel format used, make sure you did set range correctly",
        "non-existing PPS 0 referenced",
        "Requested noise shaping dither not available, using Triangular hp dither.",
    ] {
        assert_eq!(told(&[line]), None, "{line}");
    }
}

#[test]
fn words_are_of_one_kind() {
    let mut names = Vec::new();
    for (_, cause) in ROWS {
        for words in [cause.sentence(), cause.hint()] {
            let first = words.chars().next().unwrap();
            assert!(first.is_lowercase() || words.starts_with("CUDA"), "{words}");
            assert!(
                !words.ends_with('.') && !words.contains('\n') && words.len() < 120,
                "{words}"
            );
        }
        assert!(
            cause
                .name()
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "{}",
            cause.name()
        );
        names.push(cause.name());
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 31, "one name a cause, but for `cuda`");
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(lines in any::<Vec<String>>()) {
        let _ = diagnose(&lines);
    }

    /// Pieces of known lines in any order and with any numbers.
    #[test]
    fn pieces_of_known_lines_are_read_without_a_panic(
        row in 0..ROWS.len(),
        cut in any::<prop::sample::Index>(),
        number in any::<u64>(),
        tail in ".*",
    ) {
        let line = ROWS[row].0;
        let at = cut.index(line.len());
        let pieces = [
            format!("{}{number}{tail}", line.get(..at).unwrap_or(line)),
            line.replace(|letter: char| letter.is_ascii_digit(), &number.to_string()),
        ];
        let cause = diagnose(&pieces);
        prop_assert!(cause.is_none_or(|cause| !cause.sentence().is_empty()));
    }
}
