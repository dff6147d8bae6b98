//! What NVIDIA's management library tells of the GPUs: names, memory, load, sessions, driver. It is loaded by name when it
//! is first asked for; without it everything else works and these facts are absent, with a reason.
//!
//! NVML numbers GPUs by their place on the bus, all of them; CUDA numbers those that it may use, the fastest first unless
//! told otherwise. [`Facts::find`] says how it matched the two. Absent: how many engines a GPU has, which NVML does not
//! tell; [`Engines::of`] knows some names.

use std::sync::OnceLock;

use nvml_wrapper::enum_wrappers::device::EncoderType;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml, cuda_driver_version_major, cuda_driver_version_minor};
use serde::Serialize;

/// What NVML tells of this machine now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Release of the driver.
    pub driver: Option<String>,
    /// Newest CUDA that it serves: major, minor.
    pub cuda: Option<(i32, i32)>,
    /// In NVML's order.
    pub gpus: Vec<GpuFacts>,
}

/// What NVML tells of one GPU. Anything may be absent: the driver is too old for the question, or the GPU is divided (MIG).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GpuFacts {
    /// NVML's number.
    pub index: u32,
    /// As NVIDIA sells it.
    pub name: String,
    /// `GPU-…`.
    pub uuid: Option<String>,
    /// Place on the bus, `00000000:01:00.0`.
    pub pci_bus_id: Option<String>,
    /// Memory, bytes.
    pub memory_bytes: Option<u64>,
    /// Memory in use, bytes.
    pub memory_used_bytes: Option<u64>,
    /// Time that kernels ran in the last moments, percent.
    pub gpu_percent: Option<u32>,
    /// Load of NVENC, percent.
    pub encoder_percent: Option<u32>,
    /// Load of NVDEC, percent.
    pub decoder_percent: Option<u32>,
    /// Encoder sessions of all programs.
    pub encoder_sessions: Option<u32>,
    /// What is left of NVENC for H.264 as the driver reckons, percent.
    pub encoder_left_percent: Option<u32>,
    /// Compute capability: major, minor.
    pub compute: Option<(i32, i32)>,
    /// Whether it is divided into instances.
    pub mig: Option<bool>,
    /// Its engines, where the name is known.
    pub engines: Option<Engines>,
}

/// How many engines a GPU has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Engines {
    /// Encoders.
    pub nvenc: u32,
    /// Decoders, where known.
    pub nvdec: Option<u32>,
    /// Who says so.
    pub source: &'static str,
}

/// How a CUDA ordinal was matched with NVML's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    /// By its place on the bus, or its UUID: certain.
    Identity,
    /// It is the only one, or the only one of its name: certain.
    Name,
    /// By number among several: right where CUDA numbers by the bus (`CUDA_DEVICE_ORDER=PCI_BUS_ID`).
    Index,
}

impl Facts {
    /// The GPU that CUDA calls `index`. `name` and `identity` (its UUID or bus id) are what CUDA told of it, where it did.
    #[must_use]
    pub fn find(&self, index: u32, name: Option<&str>, identity: Option<&str>) -> Option<(&GpuFacts, Matched)> {
        let is_same = |gpu: &&GpuFacts| {
            identity.is_some_and(|identity| {
                gpu.uuid.as_deref() == Some(identity) || gpu.pci_bus_id.as_deref().map(bus_id) == Some(bus_id(identity))
            })
        };
        if let Some(gpu) = self.gpus.iter().find(is_same) {
            return Some((gpu, Matched::Identity));
        }
        let fits = |gpu: &&GpuFacts| name.is_none_or(|name| gpu.name == name);
        let mut fitting = self.gpus.iter().filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => Some((only, Matched::Name)),
            _ => self
                .gpus
                .iter()
                .find(|gpu| gpu.index == index && fits(gpu))
                .map(|gpu| (gpu, Matched::Index)),
        }
    }
}

/// CUDA writes the domain with four digits, NVML with eight.
fn bus_id(text: &str) -> String {
    text.trim_start_matches('0').to_ascii_lowercase()
}

impl Engines {
    /// By NVIDIA's published tables and the notes of NVEnc; no entry is better than a guess.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        const NVIDIA: &str = "NVIDIA's support matrix";
        const NVENC: &str = "NVEnc's list of GPUs";
        // Longer names first: `L40` begins with `L4`.
        const KNOWN: [(&str, u32, Option<u32>, &str); 22] = [
            ("A100", 0, Some(5), NVIDIA),
            ("GH200", 0, Some(7), NVIDIA),
            ("H100", 0, Some(7), NVIDIA),
            ("H200", 0, Some(7), NVIDIA),
            ("GB200", 0, Some(7), NVIDIA),
            ("B200", 0, Some(7), NVIDIA),
            ("L40S", 3, Some(3), NVIDIA),
            ("L40", 3, Some(3), NVIDIA),
            ("L4", 2, Some(4), NVIDIA),
            ("RTX 6000 Ada", 3, Some(3), NVIDIA),
            ("T4G", 1, None, NVENC),
            ("T4", 1, None, NVENC),
            ("GTX 1080", 2, Some(1), NVENC),
            ("RTX 2070", 1, Some(1), NVENC),
            ("RTX 3080", 1, Some(1), NVENC),
            ("RTX 3090", 1, Some(1), NVENC),
            ("RTX 4060 Laptop", 1, Some(1), NVENC),
            ("RTX 4080", 2, Some(1), NVENC),
            ("RTX 5060", 1, Some(1), NVENC),
            ("RTX 5070 Ti", 2, None, NVENC),
            ("RTX 5090", 3, None, NVENC),
            ("GT 1030", 0, None, "Jellyfin's documentation"),
        ];
        let words = |text: &str| -> Vec<String> {
            text.split([' ', '-'])
                .map(str::to_ascii_lowercase)
                .filter(|word| !word.is_empty())
                .collect()
        };
        let name = words(name);
        KNOWN
            .iter()
            .find(|(known, ..)| {
                let known = words(known);
                name.windows(known.len()).any(|window| window == known)
            })
            .map(|&(_, nvenc, nvdec, source)| Self { nvenc, nvdec, source })
    }
}

/// What NVML tells now. The library stays loaded once it was; where it was not there, it is looked for again.
///
/// # Errors
/// Why there is none.
pub fn facts() -> Result<Facts, String> {
    static NVML: OnceLock<Nvml> = OnceLock::new();
    let nvml = match NVML.get() {
        Some(nvml) => nvml,
        None => {
            let nvml = Nvml::init().map_err(|error| reason(&error))?;
            NVML.get_or_init(|| nvml)
        }
    };
    let cuda = nvml.sys_cuda_driver_version().ok();
    let count = nvml.device_count().map_err(|error| reason(&error))?;
    Ok(Facts {
        driver: nvml.sys_driver_version().ok(),
        cuda: cuda.map(|version| (cuda_driver_version_major(version), cuda_driver_version_minor(version))),
        // A GPU that does not answer is lost; the others are told all the same.
        gpus: (0..count)
            .filter_map(|index| nvml.device_by_index(index).ok().map(|device| of(index, &device)))
            .collect(),
    })
}

fn of(index: u32, device: &Device<'_>) -> GpuFacts {
    let memory = device.memory_info().ok();
    let name = device.name().unwrap_or_else(|_| "unknown".to_owned());
    GpuFacts {
        index,
        uuid: device.uuid().ok(),
        pci_bus_id: device.pci_info().ok().map(|pci| pci.bus_id),
        memory_bytes: memory.as_ref().map(|memory| memory.total),
        memory_used_bytes: memory.as_ref().map(|memory| memory.used),
        gpu_percent: device.utilization_rates().ok().map(|rates| rates.gpu),
        encoder_percent: device.encoder_utilization().ok().map(|load| load.utilization),
        decoder_percent: device.decoder_utilization().ok().map(|load| load.utilization),
        encoder_sessions: device.encoder_stats().ok().map(|stats| stats.session_count),
        encoder_left_percent: device.encoder_capacity(EncoderType::H264).ok(),
        compute: device
            .cuda_compute_capability()
            .ok()
            .map(|capability| (capability.major, capability.minor)),
        mig: device.mig_mode().ok().map(|mode| mode.current != 0),
        engines: Engines::of(&name),
        name,
    }
}

fn reason(error: &NvmlError) -> String {
    match error {
        NvmlError::LibloadingError(_) => "libnvidia-ml.so.1 does not load".to_owned(),
        NvmlError::DriverNotLoaded => "the NVIDIA kernel module is not loaded".to_owned(),
        NvmlError::NoPermission => "NVML may not talk to the driver".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Engines, Facts, GpuFacts, Matched};

    fn gpu(index: u32, name: &str, bus: &str) -> GpuFacts {
        GpuFacts {
            index,
            name: name.to_owned(),
            uuid: Some(format!("GPU-{index}")),
            pci_bus_id: Some(bus.to_owned()),
            ..GpuFacts::default()
        }
    }

    #[test]
    fn ordinals_are_matched_by_identity_then_name_then_number() {
        let facts = Facts {
            gpus: vec![
                gpu(0, "NVIDIA L4", "00000000:01:00.0"),
                gpu(1, "NVIDIA L4", "00000000:0A:00.0"),
                gpu(2, "NVIDIA T4", "00000000:3B:00.0"),
            ],
            ..Facts::default()
        };
        let found = |index, name, identity| {
            let found = facts.find(index, name, identity);
            found.map(|(gpu, matched)| (gpu.index, matched))
        };
        let l4 = Some("NVIDIA L4");
        assert_eq!(found(0, l4, Some("0000:0a:00.0")), Some((1, Matched::Identity)));
        assert_eq!(found(0, l4, Some("GPU-1")), Some((1, Matched::Identity)));
        assert_eq!(found(0, Some("NVIDIA T4"), None), Some((2, Matched::Name)));
        assert_eq!(found(1, l4, None), Some((1, Matched::Index)));
        assert_eq!(found(2, None, None), Some((2, Matched::Index)));
        assert_eq!(found(2, l4, None), None);
    }

    #[test]
    fn engines_are_known_by_whole_words_of_the_name() {
        let engines = |name| Engines::of(name).map(|engines| (engines.nvenc, engines.nvdec));
        assert_eq!(engines("NVIDIA H100 80GB HBM3"), Some((0, Some(7))));
        assert_eq!(engines("NVIDIA A100-SXM4-40GB"), Some((0, Some(5))));
        assert_eq!(engines("NVIDIA L4"), Some((2, Some(4))));
        assert_eq!(engines("NVIDIA L40S"), Some((3, Some(3))));
        assert_eq!(engines("NVIDIA GeForce RTX 3080"), Some((1, Some(1))));
        assert_eq!(engines("NVIDIA RTX 6000 Ada Generation"), Some((3, Some(3))));
        assert_eq!(engines("Tesla T4"), Some((1, None)));
        assert_eq!(engines("Fake GPU (control flow only)"), None);
    }
}
