//! Planned machines, examined without a driver: each fault of the table by its cause, and the shapes of machine that there
//! are.

use std::fmt::Write;
use std::time::Duration;

use kadr::command::doctor::examine::{ApiAnswer, Environment};
use kadr::command::doctor::{Examination, Inputs, examine, render};
use kadr::media::confine::Walls;
use kadr::media::device::diagnosis::{Api, Side};
use kadr::media::device::installed::{FILTERS, Ffmpeg, LIBRARIES};
use kadr::media::device::nvml::{Engines, Facts, GpuFacts};
use kadr::media::device::{Cause, Decode, Fault, Filters, Gpu, Software};
use kadr::media::preset::VideoCodec;
use kadr::media::{Caps, Choice};

fn fault(cause: Cause) -> Fault {
    Fault {
        cause: Some(cause),
        said: "External library error".to_owned(),
    }
}

/// A GPU that does everything.
fn gpu(index: u32, name: &str) -> Gpu {
    let decode = [("h264", 8), ("hevc", 8), ("hevc", 10), ("vp9", 8), ("av1", 8)];
    Gpu {
        index,
        name: name.to_owned(),
        encode_engines: None,
        decode: decode
            .into_iter()
            .map(|(codec, bits)| Decode {
                codec,
                bits,
                outcome: Ok(()),
            })
            .collect(),
        filter: Ok(Filters {
            deinterlace: Some("bwdif_cuda"),
            transpose: false,
        }),
        encode: [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1]
            .into_iter()
            .map(|codec| (codec, Ok(())))
            .collect(),
    }
}

fn facts(index: u32, name: &str) -> GpuFacts {
    GpuFacts {
        index,
        name: name.to_owned(),
        uuid: Some(format!("GPU-{index}")),
        pci_bus_id: Some(format!("00000000:0{index}:00.0")),
        memory_bytes: Some(24 << 30),
        memory_used_bytes: Some(1 << 30),
        gpu_percent: Some(3),
        encoder_percent: Some(0),
        decoder_percent: Some(0),
        encoder_sessions: Some(0),
        encoder_left_percent: Some(100),
        compute: Some((8, 9)),
        mig: None,
        engines: Engines::of(name),
    }
}

/// A machine where everything is there and well, with these GPUs.
fn machine(gpus: Vec<Gpu>) -> Inputs {
    let all = |names: &[&'static str]| names.iter().map(|&name| (name, true)).collect();
    Inputs {
        wanted: Choice::Auto,
        built_with: "libavcodec 62.28.102".to_owned(),
        ffmpeg: Ffmpeg {
            release: "8.1.2".to_owned(),
            running: "FFmpeg 8.1.2 (libavcodec 62.28.102)".to_owned(),
            configuration: "--enable-gpl --enable-libx264 --enable-cuda-llvm".to_owned(),
            software: all(&["libx264", "libx265", "libsvtav1", "libvpx-vp9", "aac", "libopus"]),
            nvenc: all(&["h264_nvenc", "hevc_nvenc", "av1_nvenc"]),
            filters: all(&FILTERS),
        },
        libraries: LIBRARIES.map(|(name, _)| (name, Ok(()))).to_vec(),
        nodes: ["/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm"]
            .map(|node| (node, true))
            .to_vec(),
        environment: Environment::default(),
        nvml: Ok(Facts {
            driver: Some("570.86.15".to_owned()),
            cuda: Some((12, 8)),
            gpus: gpus.iter().map(|gpu| facts(gpu.index, &gpu.name)).collect(),
        }),
        caps: Caps {
            gpus,
            no_gpu: None,
            software: Software::default(),
        },
        walls: Walls {
            abi: 7,
            files: Ok(()),
            tcp: Ok(()),
            calls: Ok(()),
        },
        api: None,
    }
}

fn without(cause: Cause) -> Inputs {
    let mut inputs = machine(Vec::new());
    inputs.caps.no_gpu = Some(fault(cause));
    inputs
}

fn words(inputs: &Inputs) -> String {
    render::words(&examine(inputs)).join("\n")
}

/// What is not as it should be, and the verdict.
fn matters(inputs: &Inputs) -> String {
    let Examination { findings, verdict, .. } = examine(inputs);
    let mut words = String::new();
    for finding in findings
        .iter()
        .filter(|finding| finding.mark != kadr::command::doctor::examine::Mark::Ok)
    {
        let _ = writeln!(words, "{:?} {}: {}", finding.mark, finding.what, finding.found);
        let _ = writeln!(
            words,
            "  cause {:?}, hint: {}",
            finding.cause,
            finding.hint.as_deref().unwrap_or("-")
        );
    }
    let _ = writeln!(
        words,
        "{:?} verdict ({}): {}",
        verdict.mark, verdict.device, verdict.found
    );
    words + "\n"
}

const L4: &str = "NVIDIA L4";

#[test]
fn a_gpu_that_does_everything() {
    insta::assert_snapshot!("everything", words(&machine(vec![gpu(0, L4), gpu(1, L4)])));
}

#[test]
fn every_fault_of_a_whole_gpu_is_told_with_its_cause() {
    let causes = [
        Cause::NoDriver,
        Cause::NoDevice,
        Cause::DeviceUnreachable,
        Cause::DriverMismatch,
        Cause::CompatLibrary,
        Cause::FabricNotReady,
        Cause::StubLibrary,
        Cause::Sandboxed,
        Cause::MemoryFull,
        Cause::DeviceBusy,
        Cause::Cuda {
            error: "CUDA_ERROR_INVALID_DEVICE",
        },
    ];
    let told: String = causes.iter().map(|&cause| matters(&without(cause))).collect();
    insta::assert_snapshot!("no_gpu", told);
}

#[test]
fn every_fault_of_the_encoder_is_told_with_its_cause() {
    let causes = [
        Cause::NoEncodeLibrary,
        Cause::NoEncoder,
        Cause::SessionLimit,
        Cause::ApiMismatch,
        Cause::DriverTooOld {
            required: Api { major: 13, minor: 1 },
            found: Api { major: 12, minor: 1 },
        },
        Cause::EncodeTooLarge {
            side: Side::Width,
            pixels: 7680,
            pixels_max: 4096,
        },
        Cause::EncodeTooSmall,
        Cause::TenBitEncode,
        Cause::EncodeOption { option: "temporal AQ" },
        Cause::EncodeSettings,
        Cause::MemoryFull,
        Cause::FellOver,
        Cause::Refused,
    ];
    let told: String = causes
        .iter()
        .map(|&cause| {
            let mut gpu = gpu(0, L4);
            for (_, outcome) in &mut gpu.encode {
                *outcome = Err(fault(cause));
            }
            matters(&machine(vec![gpu]))
        })
        .collect();
    insta::assert_snapshot!("no_encoder", told);
}

#[test]
fn every_fault_of_the_decoder_and_the_filters_is_told_with_its_cause() {
    let decoder = [
        Cause::NoDecodeLibrary,
        Cause::DecodeUnsupported,
        Cause::DecodeSize {
            side: Side::Height,
            pixels: 128,
            pixels_min: 144,
            pixels_max: 4096,
        },
        Cause::DecodeRefused,
        Cause::NoSurface,
        Cause::NoFramePool,
    ];
    let filters = [Cause::PtxTooNew, Cause::FrameFormat, Cause::MemoryFull];
    let mut told: String = decoder
        .iter()
        .map(|&cause| {
            let mut gpu = gpu(0, L4);
            for one in &mut gpu.decode {
                one.outcome = Err(fault(cause));
            }
            matters(&machine(vec![gpu]))
        })
        .collect();
    told.extend(filters.iter().map(|&cause| {
        let mut gpu = gpu(0, L4);
        gpu.filter = Err(fault(cause));
        matters(&machine(vec![gpu]))
    }));
    insta::assert_snapshot!("no_decoder", told);
}

/// It decodes, filters, and has nothing to encode with.
#[test]
fn a_data_centre_gpu_without_nvenc_decodes() {
    let name = "NVIDIA H100 80GB HBM3";
    let mut h100 = gpu(0, name);
    for (_, outcome) in &mut h100.encode {
        *outcome = Err(fault(Cause::NoEncoder));
    }
    insta::assert_snapshot!("no_nvenc", words(&machine(vec![h100])));
}

/// No fault: older GPUs do less.
#[test]
fn a_gpu_that_lacks_a_codec_is_well() {
    let mut old = gpu(0, "Tesla T4");
    old.encode[2].1 = Err(fault(Cause::EncodeCodec));
    old.decode[4].outcome = Err(fault(Cause::DecodeUnsupported));
    insta::assert_snapshot!("older_gpu", words(&machine(vec![old])));
}

#[test]
fn a_fault_without_a_known_cause_says_what_libav_said() {
    let mut inputs = machine(Vec::new());
    inputs.caps.no_gpu = Some(Fault {
        cause: None,
        said: "Operation not permitted".to_owned(),
    });
    let told = matters(&inputs);
    assert!(
        told.contains("it failed for an unknown reason (Operation not permitted)"),
        "{told}"
    );
}

#[test]
fn surroundings_that_keep_a_gpu_away_are_named() {
    let mut inputs = without(Cause::NoDevice);
    inputs.environment.in_container = true;
    let mut told = String::new();
    for variables in [
        vec![
            ("NVIDIA_DRIVER_CAPABILITIES", "compute,utility"),
            ("NVIDIA_VISIBLE_DEVICES", "all"),
        ],
        vec![("NVIDIA_VISIBLE_DEVICES", "all")],
        vec![
            ("NVIDIA_VISIBLE_DEVICES", "none"),
            ("NVIDIA_DRIVER_CAPABILITIES", "all"),
        ],
        vec![("CUDA_VISIBLE_DEVICES", "")],
        vec![("LD_LIBRARY_PATH", "/opt/lib:/usr/local/cuda/lib64/stubs")],
        vec![("LD_LIBRARY_PATH", "/usr/local/cuda/compat/")],
    ] {
        inputs.environment.variables = variables
            .iter()
            .map(|&(name, value)| (name, value.to_owned()))
            .collect();
        let found = examine(&inputs)
            .findings
            .into_iter()
            .filter(|finding| finding.what == "environment");
        for finding in found {
            let _ = writeln!(
                told,
                "{:?}: {}\n  {}",
                finding.mark,
                finding.found,
                finding.hint.unwrap_or_default()
            );
        }
    }
    insta::assert_snapshot!("environment", told);
}

#[test]
fn libraries_and_device_files_that_are_missing_are_named() {
    let mut inputs = without(Cause::NoDevice);
    inputs.nodes[2].1 = false;
    inputs.libraries[1].1 =
        Err("libnvidia-encode.so.1: cannot open shared object file: No such file or directory".to_owned());
    inputs.libraries[2].1 = Err("libnvcuvid.so.1: wrong ELF class: ELFCLASS32".to_owned());
    inputs.nvml = Err("libnvidia-ml.so.1 does not load".to_owned());
    inputs.wanted = Choice::Cuda(None);
    insta::assert_snapshot!("missing_parts", matters(&inputs));
}

#[test]
fn an_ffmpeg_that_is_open_to_a_known_attack_is_named() {
    for (release, open) in [
        ("5.1.9-0+deb12u1", true),
        ("5.1.10", false),
        ("n6.0", true),
        ("6.1.1-3ubuntu5", true),
        ("6.1.6", false),
        ("7.0.2", true),
        ("7.1.5", false),
        ("8.0", true),
        ("8.1.2-2", false),
        ("9.0.2", false),
        ("N-118000-g0123abc", false),
        ("", false),
    ] {
        let mut inputs = machine(vec![gpu(0, L4)]);
        inputs.ffmpeg.release = release.to_owned();
        assert_eq!(matters(&inputs).contains("CVE-2026-8461"), open, "{release}");
    }
}

#[test]
fn what_stays_open_is_named_with_its_reason() {
    let mut inputs = machine(vec![gpu(0, L4)]);
    inputs.walls.abi = 3;
    inputs.walls.tcp = Err("Landlock has ABI 3, at least 4 needed".to_owned());
    insta::assert_snapshot!("open", matters(&inputs));
}

#[test]
fn nothing_is_promised_where_no_film_can_be_written() {
    let mut inputs = without(Cause::NoDriver);
    inputs.caps.software.h264 = false;
    inputs.ffmpeg.software[0].1 = false;
    let verdict = examine(&inputs).verdict;
    assert!(!verdict.serves);
    assert_eq!(
        verdict.found,
        "nothing can be converted: H.264 cannot be encoded on this machine"
    );
}

#[test]
fn a_gpu_that_is_asked_for_must_serve() {
    let serves = |gpus, wanted| {
        let mut inputs = machine(gpus);
        inputs.wanted = wanted;
        examine(&inputs).verdict.serves
    };
    assert!(serves(vec![gpu(0, L4)], Choice::Cuda(None)));
    assert!(serves(vec![gpu(1, L4)], Choice::Cuda(Some(1))));
    assert!(!serves(vec![gpu(0, L4)], Choice::Cuda(Some(1))));
    assert!(!serves(Vec::new(), Choice::Cuda(None)));
    assert!(serves(Vec::new(), Choice::Auto));
}

#[test]
fn the_bot_api_is_said_to_answer_or_not() {
    let mut inputs = machine(vec![gpu(0, L4)]);
    inputs.api = Some(ApiAnswer {
        origin: "https://api.example".to_owned(),
        outcome: Ok((302, Duration::from_millis(120))),
    });
    assert!(words(&inputs).contains("ok    Bot API: https://api.example answers (302 after 120 ms)"));
    inputs.api = Some(ApiAnswer {
        origin: "https://api.example".to_owned(),
        outcome: Err("no answer within 3 s".to_owned()),
    });
    assert!(words(&inputs).contains("warn  Bot API: https://api.example cannot be reached: no answer within 3 s"));
}
