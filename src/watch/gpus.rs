//! How busy the GPUs are, as the driver's management library (NVML) tells it at each scrape; nothing where there is none.

use prometheus::{GaugeVec, Opts, Registry};

use crate::media::device::nvml::{self, GpuFacts};

type Read = fn(&GpuFacts) -> Option<f64>;

#[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
const GAUGES: [(&str, &str, Read); 6] = [
    (
        "kadr_gpu_encoder_sessions",
        "Open sessions of NVENC, of all processes.",
        |gpu| gpu.encoder_sessions.map(f64::from),
    ),
    ("kadr_gpu_encoder_ratio", "Load of the encoders, 0 to 1.", |gpu| {
        gpu.encoder_percent.map(|percent| f64::from(percent) / 100.0)
    }),
    ("kadr_gpu_decoder_ratio", "Load of the decoders, 0 to 1.", |gpu| {
        gpu.decoder_percent.map(|percent| f64::from(percent) / 100.0)
    }),
    ("kadr_gpu_ratio", "Load of the cores, 0 to 1.", |gpu| {
        gpu.gpu_percent.map(|percent| f64::from(percent) / 100.0)
    }),
    (
        "kadr_gpu_memory_used_bytes",
        "Memory in use, by all processes.",
        |gpu| gpu.memory_used_bytes.map(|bytes| bytes as f64),
    ),
    ("kadr_gpu_memory_bytes", "Memory.", |gpu| {
        gpu.memory_bytes.map(|bytes| bytes as f64)
    }),
];

/// Adds a gauge a GPU for each fact that is told.
pub(super) fn gauges(registry: &Registry) -> prometheus::Result<()> {
    let Ok(facts) = nvml::facts() else {
        return Ok(());
    };
    for (name, help, read) in GAUGES {
        let family = GaugeVec::new(Opts::new(name, help), &["gpu", "name"])?;
        for gpu in &facts.gpus {
            if let Some(value) = read(gpu) {
                family
                    .with_label_values(&[gpu.index.to_string().as_str(), gpu.name.as_str()])
                    .set(value);
            }
        }
        registry.register(Box::new(family))?;
    }
    Ok(())
}
