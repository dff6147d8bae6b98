//! Every row of the diagnosis table that a driver can produce, produced: what libav says is held word by word, so that the
//! diagnosis can be tested against libav's real messages. Rows that a driver cannot produce are not here: a format that our
//! own callback refused, and the name of a container runtime's missing capability. Nor is it asked what is left behind:
//! ffmpeg, unlike us, leaves its device as it is when it gives up.

use super::{DECODE, FakeDriver, UPLOAD, coded, source};

/// What is asked of ffmpeg.
#[derive(Clone, Copy)]
enum Job {
    /// System memory to the encoder, with these options.
    Encode(&'static str),
    /// The same with a codec of another name.
    Hevc,
    /// A picture of this size.
    Sized(&'static str),
    /// Through device memory.
    Upload(&'static str),
    /// Through device memory and a kernel.
    Scale,
    /// From the card's decoder to its encoder, with these options before the input and filters behind it.
    Decode(&'static str, &'static str),
    /// The decoder that brings its own parser.
    Cuvid,
}

fn run(driver: &FakeDriver, job: Job) -> String {
    let mut command = driver.command("ffmpeg");
    command.args(["-v", "warning", "-nostdin", "-y"]);
    let film = source(320, 240);
    let film = film.to_str().unwrap();
    let coded = coded("h264");
    let coded = coded.to_str().unwrap();
    let line = match job {
        Job::Encode(options) => format!("-i {film} -c:v h264_nvenc {options}"),
        Job::Hevc => format!("-i {film} -c:v hevc_nvenc"),
        Job::Sized(size) => format!("-f lavfi -i color=s={size}:d=1 -pix_fmt nv12 -c:v h264_nvenc"),
        Job::Upload(options) => format!("{UPLOAD} -i {film} -vf format=nv12,hwupload -c:v h264_nvenc {options}"),
        Job::Scale => format!("{UPLOAD} -i {film} -vf format=nv12,hwupload,scale_cuda=160:120 -c:v h264_nvenc"),
        Job::Decode(before, filters) => format!("{DECODE} {before} -i {coded} {filters} -c:v h264_nvenc"),
        Job::Cuvid => format!("-c:v h264_cuvid -i {coded}"),
    };
    let output = command
        .args(line.split_whitespace())
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Faults as `NAME=value`, or `-NAME` for a library that is not there; the job; what ffmpeg then says.
type Row = (&'static str, Job, &'static [&'static str]);

#[track_caller]
fn check(rows: &[Row]) {
    let mut wrong = Vec::new();
    for (faults, job, words) in rows {
        let driver = faults.split_whitespace().fold(FakeDriver::new(), |driver, fault| {
            match (fault.strip_prefix('-'), fault.split_once('=')) {
                (Some(library), _) => driver.without(library),
                (None, Some((name, value))) => driver.env(name, value),
                (None, None) => panic!("`{fault}` is no fault"),
            }
        });
        let said = run(&driver, *job);
        for missing in words.iter().filter(|words| !said.contains(**words)) {
            wrong.push(format!(
                "fake driver: control flow only: {faults} did not say `{missing}` but:\n{said}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_library_that_is_missing_is_named() {
    check(&[
        ("-libcuda.so.1", Job::Encode(""), &["Cannot load libcuda.so.1"]),
        (
            "-libcuda.so.1",
            Job::Upload(""),
            &[
                "Cannot load libcuda.so.1",
                "Could not dynamically load CUDA",
                "Device creation failed: -1",
            ],
        ),
        (
            "-libnvidia-encode.so.1",
            Job::Encode(""),
            &[
                "Cannot load libnvidia-encode.so.1",
                "The minimum required Nvidia driver for nvenc is ",
            ],
        ),
        (
            "-libnvcuvid.so.1",
            Job::Decode("", ""),
            &["Cannot load libnvcuvid.so.1", "Failed loading nvcuvid."],
        ),
    ]);
}

#[test]
fn a_driver_that_does_not_start_says_why() {
    check(&[
        (
            "FAKE_CUDA_INIT=100",
            Job::Encode(""),
            &["cuInit(0) failed -> CUDA_ERROR_NO_DEVICE"],
        ),
        (
            "FAKE_CUDA_INIT=999",
            Job::Upload(""),
            &["cuInit(0) failed -> CUDA_ERROR_UNKNOWN"],
        ),
        (
            "FAKE_CUDA_INIT=803",
            Job::Encode(""),
            &["-> CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"],
        ),
        (
            "FAKE_CUDA_INIT=804",
            Job::Encode(""),
            &["-> CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE"],
        ),
        (
            "FAKE_CUDA_INIT=802",
            Job::Encode(""),
            &["-> CUDA_ERROR_SYSTEM_NOT_READY"],
        ),
        ("FAKE_CUDA_INIT=34", Job::Encode(""), &["-> CUDA_ERROR_STUB_LIBRARY"]),
        (
            "FAKE_CUDA_INIT=304",
            Job::Encode(""),
            &["-> CUDA_ERROR_OPERATING_SYSTEM"],
        ),
        (
            "FAKE_CUDA_DEVICES=0",
            Job::Encode(""),
            &["No CUDA capable devices found"],
        ),
        (
            "FAKE_CUDA_CTX_CREATE=2",
            Job::Encode(""),
            &[
                "cuCtxCreate(",
                "failed -> CUDA_ERROR_OUT_OF_MEMORY",
                "No capable devices found",
            ],
        ),
        (
            "FAKE_CUDA_CTX_CREATE=46",
            Job::Upload(""),
            &["failed -> CUDA_ERROR_DEVICE_UNAVAILABLE", "Device creation failed"],
        ),
        (
            "FAKE_CUDA_CAPABILITY=2.1",
            Job::Encode(""),
            &["No capable devices found"],
        ),
    ]);
}

#[test]
fn a_session_that_does_not_open_says_why() {
    check(&[
        (
            "FAKE_NVENC_API=11.0",
            Job::Encode(""),
            &[
                "Driver does not support the required nvenc API version. Required: ",
                " Found: 11.0",
            ],
        ),
        (
            "FAKE_NVENC_OPEN=1",
            Job::Encode(""),
            &[
                "OpenEncodeSessionEx failed: no encode device (1)",
                "No capable devices found",
            ],
        ),
        (
            "FAKE_NVENC_OPEN=2",
            Job::Upload(""),
            &["OpenEncodeSessionEx failed: unsupported device (2)"],
        ),
        (
            "FAKE_NVENC_OPEN=10",
            Job::Encode(""),
            &["OpenEncodeSessionEx failed: out of memory (10)"],
        ),
        (
            "FAKE_NVENC_SESSIONS=0",
            Job::Encode(""),
            &["OpenEncodeSessionEx failed: out of memory (10)"],
        ),
        (
            "FAKE_NVENC_OPEN=15",
            Job::Encode(""),
            &["OpenEncodeSessionEx failed: invalid version (15)"],
        ),
        (
            "FAKE_NVENC_OPEN=21",
            Job::Encode(""),
            &["OpenEncodeSessionEx failed: incompatible client key (21)"],
        ),
    ]);
}

#[test]
fn a_capability_that_is_missing_is_named() {
    check(&[
        (
            "",
            Job::Encode("-pix_fmt p010le"),
            &["10 bit encode not supported", "No capable devices found"],
        ),
        ("", Job::Sized("7680x240"), &["Width 7680 exceeds 4096"]),
        ("", Job::Sized("240x7680"), &["Height 7680 exceeds 4096"]),
        (
            "",
            Job::Sized("128x40"),
            &["Frame Dimension less than the minimum supported value"],
        ),
        ("", Job::Hevc, &["Codec not supported"]),
        ("FAKE_NVENC_CAPS=codecs=none", Job::Encode(""), &["Codec not supported"]),
        ("", Job::Encode("-bf 6"), &["Max B-frames 6 exceed 4"]),
        (
            "FAKE_NVENC_CAPS=bref=0",
            Job::Encode("-bf 3 -b_ref_mode middle"),
            &["B frames as references are not supported"],
        ),
        (
            "FAKE_NVENC_CAPS=lookahead=0",
            Job::Encode("-rc-lookahead 20"),
            &["RC lookahead not supported"],
        ),
        (
            "FAKE_NVENC_CAPS=temporal_aq=0",
            Job::Encode("-temporal-aq 1"),
            &["Temporal AQ not supported"],
        ),
        (
            "FAKE_NVENC_CAPS=bframes=0",
            Job::Upload("-bf 3"),
            &[
                "Max B-frames 3 exceed 0",
                "Provided device doesn't support required NVENC features",
            ],
        ),
    ]);
}

#[test]
fn an_encoder_that_fails_later_says_where() {
    check(&[
        (
            "FAKE_NVENC_INIT=8",
            Job::Encode(""),
            &["InitializeEncoder failed: invalid param (8)"],
        ),
        (
            "FAKE_NVENC_INIT=12",
            Job::Upload(""),
            &["InitializeEncoder failed: unsupported param (12)"],
        ),
        (
            "FAKE_NVENC_BITSTREAM=10",
            Job::Encode(""),
            &["CreateBitstreamBuffer failed: out of memory (10)"],
        ),
        (
            "FAKE_NVENC_FAIL_AT=1",
            Job::Encode(""),
            &["EncodePicture failed!: generic error (20)"],
        ),
        (
            "FAKE_NVENC_FAIL_AT=13",
            Job::Upload(""),
            &["EncodePicture failed!: generic error (20)"],
        ),
    ]);
}

#[test]
fn a_card_that_runs_out_of_memory_or_falls_over_says_where() {
    check(&[
        (
            "FAKE_CUDA_MEM_MAX=1000",
            Job::Upload(""),
            &["cuMemAlloc(&data, size) failed -> CUDA_ERROR_OUT_OF_MEMORY"],
        ),
        (
            "FAKE_CUDA_MODULE_LOAD=222",
            Job::Scale,
            &["cuModuleLoadData", "failed -> CUDA_ERROR_UNSUPPORTED_PTX_VERSION"],
        ),
        (
            "FAKE_CUDA_FAIL_AT=21",
            Job::Upload(""),
            &["cuMemcpy2DAsync(", "failed -> CUDA_ERROR_ILLEGAL_ADDRESS"],
        ),
        (
            "FAKE_CUDA_FAIL_AT=3 FAKE_CUDA_FAIL_CODE=719",
            Job::Scale,
            &["cuLaunchKernel(", "failed -> CUDA_ERROR_LAUNCH_FAILED"],
        ),
    ]);
}

/// libav asks the caller for another format after this.
const REFUSED: &str = "Failed setup for format cuda: hwaccel initialisation returned error.";

#[test]
fn a_decoder_that_refuses_or_fails_says_why() {
    check(&[
        (
            "",
            Job::Decode("", ""),
            &["Hardware is lacking required capabilities", REFUSED],
        ),
        (
            "",
            Job::Decode("", "-vf scale_cuda=160:120"),
            &[
                "Impossible to convert between the formats supported by the filter",
                "Error reinitializing filters!",
            ],
        ),
        ("", Job::Cuvid, &["Codec h264_cuvid is not supported."]),
        (
            "FAKE_NVDEC=grey FAKE_NVDEC_WIDTH_MAX=256",
            Job::Decode("", ""),
            &["Video width 320 not within range from 48 to 256", REFUSED],
        ),
        (
            "FAKE_NVDEC=fail_create",
            Job::Decode("", ""),
            &["cuvidCreateDecoder(", "failed -> CUDA_ERROR_INVALID_VALUE", REFUSED],
        ),
        (
            "FAKE_NVDEC=grey",
            Job::Decode("-extra_hw_frames 40", ""),
            &[
                "failed -> CUDA_ERROR_INVALID_VALUE",
                "decode surfaces might cause nvdec to fail",
            ],
        ),
        (
            "FAKE_NVDEC=fail_at:5",
            Job::Decode("", ""),
            &["cuvidDecodePicture(", "failed -> CUDA_ERROR_UNKNOWN"],
        ),
        (
            "FAKE_NVDEC=grey",
            Job::Decode("", "-vf reverse"),
            &["No decoder surfaces left"],
        ),
    ]);
}
