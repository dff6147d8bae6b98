//! The findings of each GPU: what it is, and what it was proven to decode, filter and encode. Pure.

use super::examine::{Finding, Inputs, Mark};
use crate::media::Caps;
use crate::media::device::diagnosis::driver;
use crate::media::device::nvml::{Facts, GpuFacts, Matched};
use crate::media::device::{Cause, Fault, Gpu};
use crate::media::plan::Rung;
use crate::media::preset::VideoCodec;

/// The driver, then each GPU, or why there is none.
pub(super) fn findings(inputs: &Inputs) -> Vec<Finding> {
    let mut findings = vec![driver(inputs)];
    if let Some(fault) = &inputs.caps.no_gpu {
        findings.push(Finding::new(inputs.lacking(), "GPUs", fault.sentence()).cause(fault.cause, inputs.driver()));
    } else if inputs.caps.gpus.is_empty() {
        findings.push(Finding::new(inputs.lacking(), "GPUs", "none found"));
    }
    for gpu in &inputs.caps.gpus {
        findings.extend(of_gpu(inputs, gpu));
    }
    findings
}

/// What to do about a cause, with the driver's own release where that is the matter.
pub(super) fn hint(cause: Cause, release: Option<&str>) -> String {
    let Cause::DriverTooOld { required, .. } = cause else {
        return cause.hint();
    };
    match release.and_then(|release| driver::too_old(release, required)) {
        Some(words) => format!("{}; {words}", cause.hint()),
        None => cause.hint(),
    }
}

/// Why an everyday film goes this way and no better one.
pub(super) fn why_not(caps: &Caps, best: Rung) -> Option<&Fault> {
    let gpu = match best.gpu() {
        Some(index) => caps.gpus.iter().find(|gpu| gpu.index == index)?,
        None => match caps.gpus.first() {
            Some(gpu) => gpu,
            None => return caps.no_gpu.as_ref(),
        },
    };
    let no_encode = || {
        let h264 = gpu.encode.iter().find(|(codec, _)| *codec == VideoCodec::H264);
        h264.and_then(|(_, outcome)| outcome.as_ref().err())
    };
    let no_decode = || gpu.decode.iter().find_map(|one| one.outcome.as_ref().err());
    let no_filter = || gpu.filter.as_ref().err();
    match best {
        Rung::Cuda { .. } => None,
        Rung::Upload { .. } => no_decode().or_else(no_filter),
        Rung::Hybrid { .. } => no_encode(),
        Rung::Cpu | Rung::None => no_encode().or_else(no_filter).or_else(no_decode),
    }
}

fn driver(inputs: &Inputs) -> Finding {
    match &inputs.nvml {
        Ok(Facts { driver, cuda, .. }) => {
            let driver = driver.as_deref().unwrap_or("of unknown release");
            let cuda = cuda.map_or_else(String::new, |(major, minor)| format!(", up to CUDA {major}.{minor}"));
            Finding::new(Mark::Ok, "NVIDIA driver", format!("{driver}{cuda}"))
        }
        // Facts are nice to have: with GPUs that work, this is all that is missing.
        Err(why) => Finding::new(Mark::Warn, "NVIDIA driver", format!("NVML tells nothing: {why}")),
    }
}

fn of_gpu(inputs: &Inputs, gpu: &Gpu) -> Vec<Finding> {
    let mut findings = vec![what_it_is(inputs, gpu)];
    let decode = gpu.decode.iter().map(|one| {
        let depth = if one.bits > 8 {
            format!(" {}-bit", one.bits)
        } else {
            String::new()
        };
        (format!("{}{depth}", one.codec), one.outcome.as_ref().err())
    });
    findings.push(part(inputs, "decodes", &decode.collect::<Vec<_>>()));
    findings.push(filters(inputs, gpu));
    let encode = gpu.encode.iter().map(|(codec, outcome)| {
        let name = match codec {
            VideoCodec::H264 => "h264",
            VideoCodec::Hevc => "hevc",
            VideoCodec::Av1 => "av1",
            VideoCodec::Vp9 => "vp9",
        };
        (name.to_owned(), outcome.as_ref().err())
    });
    findings.push(part(inputs, "encodes", &encode.collect::<Vec<_>>()));
    if gpu.encode.iter().any(|(_, outcome)| outcome.is_ok()) {
        let limit = driver::session_limit(inputs.driver());
        findings.push(Finding::new(Mark::Ok, "encoder sessions", limit));
    }
    for finding in &mut findings {
        finding.what = format!("GPU {}: {}", gpu.index, finding.what);
        finding.gpu = Some(gpu.index);
    }
    findings
}

fn what_it_is(inputs: &Inputs, gpu: &Gpu) -> Finding {
    // A GPU that CUDA did not name is called by its ordinal.
    let name = Some(gpu.name.as_str()).filter(|name| *name != format!("GPU {}", gpu.index));
    let known = inputs
        .nvml
        .as_ref()
        .ok()
        .and_then(|facts| facts.find(gpu.index, name, None));
    let Some((facts, matched)) = known else {
        return Finding::new(Mark::Ok, "name", &gpu.name);
    };
    let mut found = format!("{}{}", facts.name, facts_words(facts));
    if matched == Matched::Index {
        found.push_str("; NVML's entry was found by number alone");
    }
    if facts.mig == Some(true) {
        return Finding::new(Mark::Warn, "name", found + "; divided into instances (MIG)")
            .hint("an instance may have no engine of its own, and NVML tells less of it");
    }
    Finding::new(Mark::Ok, "name", found)
}

fn facts_words(facts: &GpuFacts) -> String {
    // Empty first, so that what follows the name begins with a comma.
    let mut words = vec![String::new()];
    if let Some((major, minor)) = facts.compute {
        words.push(format!("compute {major}.{minor}"));
    }
    if let Some(engines) = facts.engines {
        let nvdec = engines
            .nvdec
            .map_or_else(String::new, |nvdec| format!(" and {nvdec} NVDEC"));
        words.push(format!("{} NVENC{nvdec} by {}", engines.nvenc, engines.source));
    }
    if let (Some(used), Some(total)) = (facts.memory_used_bytes, facts.memory_bytes) {
        words.push(format!("{} of {} MiB in use", used >> 20, total >> 20));
    }
    let loads = [
        ("GPU", facts.gpu_percent),
        ("encoder", facts.encoder_percent),
        ("decoder", facts.decoder_percent),
    ];
    let loads: Vec<String> = loads
        .iter()
        .filter_map(|(name, load)| load.map(|load| format!("{name} {load} %")))
        .collect();
    if !loads.is_empty() {
        words.push(format!("load: {}", loads.join(", ")));
    }
    if let Some(sessions) = facts.encoder_sessions {
        words.push(format!("{sessions} encoder sessions now"));
    }
    words.join(", ")
}

/// What of a list works, and the rest by what is in its way.
fn part(inputs: &Inputs, what: &str, tried: &[(String, Option<&Fault>)]) -> Finding {
    let works: Vec<&str> = tried
        .iter()
        .filter(|one| one.1.is_none())
        .map(|one| one.0.as_str())
        .collect();
    let mut refused: Vec<(&Fault, Vec<&str>)> = Vec::new();
    for (name, fault) in tried {
        let Some(fault) = fault else { continue };
        match refused
            .iter_mut()
            .find(|(known, _)| known.sentence() == fault.sentence())
        {
            Some((_, names)) => names.push(name),
            None => refused.push((fault, vec![name])),
        }
    }
    let mut found = if works.is_empty() {
        "nothing".to_owned()
    } else {
        works.join(", ")
    };
    for (fault, names) in &refused {
        let list = if works.is_empty() && refused.len() == 1 {
            String::new()
        } else {
            format!("; not {}", names.join(", "))
        };
        found = format!("{found}{list}: {}", fault.sentence());
    }
    // A GPU that works and does less than others is no fault; one that does nothing keeps kadr from a better way.
    let broken = refused
        .iter()
        .find(|(fault, _)| !fault.cause.is_some_and(Cause::is_by_design));
    let mark = match (broken, works.is_empty()) {
        (None, false) => Mark::Ok,
        (None, true) if tried.is_empty() => Mark::Warn,
        _ => inputs.lacking(),
    };
    match broken.or(refused.first()).filter(|_| mark != Mark::Ok) {
        Some((fault, _)) => Finding::new(mark, what, found).cause(fault.cause, inputs.driver()),
        None => Finding::new(mark, what, found),
    }
}

fn filters(inputs: &Inputs, gpu: &Gpu) -> Finding {
    match &gpu.filter {
        Ok(filters) => {
            let deinterlace = filters.deinterlace.map_or("no deinterlacing", |name| name);
            let turning = if filters.transpose {
                "transpose_cuda"
            } else {
                "no turning"
            };
            Finding::new(Mark::Ok, "filters", format!("scale_cuda, {deinterlace}, {turning}"))
        }
        Err(fault) => Finding::new(inputs.lacking(), "filters", fault.sentence()).cause(fault.cause, inputs.driver()),
    }
}
