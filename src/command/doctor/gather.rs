//! The effects of `kadr doctor`: everything that is looked at or tried, nothing decided.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::examine::{ApiAnswer, Environment, Inputs};
use crate::config::{API_URL, Config, ConfigError, Settings};
use crate::media::confine;
use crate::media::device::installed::{self, Ffmpeg};
use crate::media::device::nvml;
use crate::media::{Choice, Machine};

const ANSWER_WAIT: Duration = Duration::from_secs(3);
const NODES: [&str; 3] = ["/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm"];
/// What the NVIDIA container toolkit, CUDA and the loader go by.
const VARIABLES: [&str; 4] = [
    "NVIDIA_DRIVER_CAPABILITIES",
    "NVIDIA_VISIBLE_DEVICES",
    "CUDA_VISIBLE_DEVICES",
    "LD_LIBRARY_PATH",
];
const COMPAT: &str = "/usr/local/cuda/compat";

/// The Bot API server to ask, where one is to be asked.
pub(super) fn api_url(
    flag: Option<String>,
    config: Option<&Path>,
    online: bool,
) -> Result<Option<String>, ConfigError> {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let settings = Settings {
        // Whether there is one is all that is asked of it.
        token: is_set("TELEGRAM_BOT_TOKEN").then(String::new),
        token_file: std::env::var_os("TELEGRAM_BOT_TOKEN_FILE").map(Into::into),
        api_url: flag,
        ..Settings::default()
    };
    let url = Config::api_url(&settings, config)?;
    Ok(url.or_else(|| online.then(|| API_URL.to_owned())))
}

/// Looks at the machine. Devices that are not wanted are not touched.
pub(super) fn inputs(wanted: Choice, api_url: Option<&str>) -> Result<Inputs> {
    let gpus = wanted != Choice::Cpu;
    Ok(Inputs {
        wanted,
        built_with: env!("KADR_BUILT_WITH").to_owned(),
        ffmpeg: Ffmpeg::look(),
        libraries: if gpus { installed::libraries() } else { Vec::new() },
        nodes: NODES.map(|node| (node, Path::new(node).exists())).to_vec(),
        environment: environment(),
        nvml: if gpus {
            nvml::facts()
        } else {
            Err("not asked".to_owned())
        },
        caps: Machine::new(wanted).caps(),
        walls: confine::trial(),
        api: api_url.map(ask).transpose()?,
    })
}

fn environment() -> Environment {
    let variables: BTreeMap<&'static str, String> = VARIABLES
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?.to_string_lossy().into_owned())))
        .collect();
    let marked = ["/.dockerenv", "/run/.containerenv"]
        .iter()
        .any(|path| Path::new(path).exists());
    Environment {
        variables,
        in_container: marked || std::env::var_os("container").is_some(),
        has_compat: Path::new(COMPAT).exists(),
    }
}

/// One request without a token; any answer will do. Of the address only scheme and host are kept: a proxy's address may
/// hold a password.
fn ask(url: &str) -> Result<ApiAnswer> {
    let Ok(url) = reqwest::Url::parse(url) else {
        return Ok(ApiAnswer {
            origin: "the Bot API".to_owned(),
            outcome: Err("its address is no URL".to_owned()),
        });
    };
    let origin = url.origin().ascii_serialization();
    let client = reqwest::Client::builder()
        .timeout(ANSWER_WAIT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .context("make an HTTP client")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the async runtime")?;
    let began = Instant::now();
    let answer = runtime.block_on(async { client.get(&origin).send().await });
    let outcome = match answer {
        Ok(response) => Ok((response.status().as_u16(), began.elapsed())),
        Err(error) if error.is_timeout() => Err(format!("no answer within {} s", ANSWER_WAIT.as_secs())),
        Err(error) if error.is_connect() => Err("no connection".to_owned()),
        Err(error) => Err(error.without_url().to_string()),
    };
    Ok(ApiAnswer { origin, outcome })
}
