//! Flags > environment > `kadr.toml` > defaults -> the options structs of the floors below. Read once, checked once.

mod access;
mod print;
mod role;
mod rooms;
mod token;
mod watch;
mod webhook;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use self::access::access;
pub use self::role::Role;
use self::token::token;
pub use self::watch::Watch;
use crate::media::{Choice, Confine, Isolation, Limits, Machine};
use crate::store::{Database, QueueLimits};
use crate::telegram::{
    self,
    access::Access,
    local::{Folder, Shared},
    pulse::Pulse,
    throttle::Throttle,
    turns::Turns,
    webhook::Webhook,
};
use crate::worker;

/// What is fetched for a question, bytes: as much as the cloud Bot API hands out.
const LOOK_BYTES_MAX: u64 = 20 << 20;
/// How often files without a job and rows past their day are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
const KEEP_DAYS: u32 = 30;
const KEEP_DAYS_MAX: u32 = 3650;

/// The cloud Bot API.
pub const API_URL: &str = "https://api.telegram.org";
const FILE_NAME: &str = "kadr.toml";
const WORK_DIR: &str = "data/work";
const LOG_DIR: &str = "logs";

/// What can be set; everything is optional here, for the sources are laid over each other.
#[derive(Clone, Debug, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Token of the bot, from @BotFather; prefer the file or the environment: a flag shows in process lists
    #[arg(long, env = "TELEGRAM_BOT_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// File that holds the token
    #[arg(long, env = "TELEGRAM_BOT_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Base of the Bot API server
    #[arg(long, env = "TELEGRAM_API_URL", value_name = "URL")]
    pub api_url: Option<String>,
    /// Folder of a local Bot API server's files, as kadr sees it: files up to 2000 MB, read from its disk
    #[arg(long, env = "KADR_API_LOCAL_ROOT", value_name = "DIR")]
    pub api_local_root: Option<PathBuf>,
    /// The same folder as that server sees it, where its path is another
    #[arg(long, env = "KADR_API_LOCAL_ROOT_THERE", value_name = "DIR")]
    pub api_local_root_there: Option<PathBuf>,
    /// The work folder as that server sees it: results are handed over by name instead of being sent
    #[arg(long, env = "KADR_API_LOCAL_WORK_THERE", value_name = "DIR")]
    pub api_local_work_there: Option<PathBuf>,
    /// Remove a source from that server's disk once kadr has it: true or false
    #[arg(long, env = "KADR_API_LOCAL_DELETE", value_name = "BOOL")]
    pub api_local_delete: Option<bool>,
    /// People who may use the operators' commands: their ids, with commas between
    #[arg(long, env = "KADR_ADMINS", value_name = "IDS")]
    pub admins: Option<String>,
    /// Who is served: ids of people, of chats, or CHAT|TOPIC, with commas between; everybody where it is not set
    #[arg(long, env = "KADR_ALLOWED", value_name = "IDS")]
    pub allowed: Option<String>,
    /// What this process does: all, or chat or worker beside others that share a PostgreSQL database
    #[arg(long, env = "KADR_ROLE", value_name = "ROLE")]
    pub role: Option<Role>,
    /// Database: sqlite:PATH, or postgres://USER:PASSWORD@HOST/NAME for several processes
    #[arg(long, env = "KADR_DATABASE", value_name = "URL")]
    pub database: Option<String>,
    /// Folder for files in work
    #[arg(long, env = "KADR_WORK_DIR", value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
    /// Folder for bot.log and error.log
    #[arg(long, env = "KADR_LOG_DIR", value_name = "DIR")]
    pub log_dir: Option<PathBuf>,
    /// How the log is written: text or json
    #[arg(long, env = "KADR_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Conversions at once, or `auto`: as many as keep the devices busy
    #[arg(long, env = "KADR_JOBS", value_name = "N|auto")]
    pub jobs: Option<Jobs>,
    /// Devices that may convert: auto, cpu, cuda or cuda:N
    #[arg(long, env = "KADR_DEVICE", value_name = "DEVICE")]
    pub device: Option<String>,
    /// A conversion that takes longer is given up, seconds
    #[arg(long, env = "CONVERSION_TIMEOUT", value_name = "SECONDS")]
    pub conversion_timeout_s: Option<u64>,
    /// Waiting files of one user
    #[arg(long, env = "KADR_QUEUE_PER_USER", value_name = "N")]
    pub queue_per_user: Option<u32>,
    /// Files of one user on one day (UTC); 0 for no limit
    #[arg(long, env = "KADR_FILES_PER_DAY", value_name = "N")]
    pub files_per_day: Option<u32>,
    /// Waiting files in all
    #[arg(long, env = "KADR_QUEUE_TOTAL", value_name = "N")]
    pub queue_total: Option<u32>,
    /// Largest file to fetch from the Bot API server, bytes; its own limit otherwise
    #[arg(long, env = "KADR_FETCH_MAX", value_name = "BYTES")]
    pub fetch_max_bytes: Option<u64>,
    /// Largest result to send to the Bot API server, bytes; its own limit otherwise
    #[arg(long, env = "KADR_SEND_MAX", value_name = "BYTES")]
    pub send_max_bytes: Option<u64>,
    /// Fetch and look at files up to this size before their choice is made; 0 looks at none (default 20 MiB)
    #[arg(long, env = "KADR_LOOK_MAX", value_name = "BYTES")]
    pub look_max_bytes: Option<u64>,
    /// Longest video, seconds
    #[arg(long, env = "KADR_DURATION_MAX", value_name = "SECONDS")]
    pub duration_max_s: Option<u64>,
    /// Largest picture to decode, pixels
    #[arg(long, env = "KADR_PIXELS_MAX", value_name = "PIXELS")]
    pub pixels_max: Option<u64>,
    /// No file is fetched with less free disk space, bytes
    #[arg(long, env = "KADR_DISK_FREE_MIN", value_name = "BYTES")]
    pub disk_free_min_bytes: Option<u64>,
    /// Copy the database beside itself every so many hours, 24 copies are kept; 0 makes none
    #[arg(long, env = "KADR_BACKUP_HOURS", value_name = "HOURS")]
    pub backup_hours: Option<u64>,
    /// Rows of jobs that are over are kept for so many days
    #[arg(long, env = "KADR_KEEP_DAYS", value_name = "DAYS")]
    pub keep_days: Option<u32>,
    /// Running jobs get so long to end at shutdown, seconds
    #[arg(long, env = "KADR_GRACE", value_name = "SECONDS")]
    pub grace_s: Option<u64>,
    /// Close what kadr does not need, files, TCP and system calls: auto, off, or require
    #[arg(long, env = "KADR_CONFINE", value_name = "MODE")]
    pub confine: Option<Confine>,
    /// Where strangers' files are read: thread, or process for a process of its own for each
    #[arg(long, env = "KADR_ISOLATION", value_name = "MODE")]
    pub isolation: Option<Isolation>,
    /// Serve a page, metrics and health checks on this address, such as 127.0.0.1:9464; nothing where it is not set
    #[arg(long, env = "KADR_WATCH", value_name = "ADDRESS")]
    pub watch: Option<String>,
    /// Secret for that page and the metrics; it must be set where others than this machine reach the address
    #[arg(long, env = "KADR_WATCH_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub watch_token: Option<String>,
    /// Have Telegram send updates to this address, such as https://bot.example.org/kadr, instead of asking for them
    #[arg(long, env = "KADR_WEBHOOK_URL", hide_env_values = true, value_name = "URL")]
    pub webhook_url: Option<String>,
    /// Where they arrive on this machine, passed on by a TLS proxy (default 127.0.0.1:8443)
    #[arg(long, env = "KADR_WEBHOOK_LISTEN", value_name = "ADDRESS")]
    pub webhook_listen: Option<String>,
    /// What proves that Telegram sends them: 1 to 256 of A-Z a-z 0-9 _ -; a random one at each start where it is not set
    #[arg(long, env = "KADR_WEBHOOK_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub webhook_secret: Option<String>,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// NDJSON: an object a line, with the job that it is about under `span`.
    Json,
}

impl LogFormat {
    /// As it is set.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// How many conversions run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "toml::Value")]
pub enum Jobs {
    /// As many as keep the devices busy.
    Auto,
    /// So many.
    Number(usize),
}

impl FromStr for Jobs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let number = text
            .parse()
            .map_err(|_| format!("jobs is `{text}` (allowed 1 to 64, or auto)"))?;
        Ok(Self::Number(number))
    }
}

impl TryFrom<toml::Value> for Jobs {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, Self::Error> {
        match value {
            toml::Value::String(text) => text.parse(),
            other => other.to_string().parse(),
        }
    }
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ConfigError {
    /// Which one, with its value.
    pub what: String,
    /// What to do.
    pub hint: String,
}

fn wrong(what: impl Into<String>, hint: impl Into<String>) -> ConfigError {
    ConfigError {
        what: what.into(),
        hint: hint.into(),
    }
}

/// Every setting, decided.
#[derive(Clone)]
pub struct Config {
    /// The bot's token.
    pub token: String,
    /// Base of the Bot API server.
    pub api_url: String,
    /// What is shared with a server of one's own.
    pub shared: Option<Shared>,
    /// Who is served.
    pub access: Access,
    /// How fast messages go out.
    pub throttle: Arc<Throttle>,
    /// Shared by all who change a chat's questions.
    pub turns: Arc<Turns>,
    /// Shared by all who call the platform.
    pub pulse: Arc<Pulse>,
    /// The largest file that is fetched, bytes.
    pub fetch_bytes_max: u64,
    /// The largest result that is sent, bytes.
    pub send_bytes_max: u64,
    /// The largest file that is looked at for a question, bytes.
    pub look_bytes_max: u64,
    /// What this process does.
    pub role: Role,
    /// Where the work is written down.
    pub database: Database,
    /// How often the database is copied; `None` never.
    pub backup_every: Option<Duration>,
    /// Scratch space.
    pub work_dir: PathBuf,
    /// Logs.
    pub log_dir: PathBuf,
    /// How they are written.
    pub log_format: LogFormat,
    /// The worker's share.
    pub worker: worker::Options,
    /// The queue's share.
    pub queue: QueueLimits,
    /// Where strangers' files are read; whoever starts the worker gives it its nursery.
    pub isolation: Isolation,
    /// Where it can be watched.
    pub watch: Option<Watch>,
    /// Where updates are sent to; whoever listened before walls stood adds its listener.
    pub webhook: Option<Webhook>,
}

impl Config {
    /// Lays flags and environment over the file, and the file over the defaults.
    ///
    /// # Errors
    /// [`ConfigError`] with the value and a hint.
    pub fn read(given: Settings, file: Option<&Path>) -> Result<Self, ConfigError> {
        let file = read_file(file)?;
        let token = token(&given, &file)?;
        let database = role::database(&given, &file)?;
        let role = role::role(&given, &file, &database)?;
        // Who only answers chats proves no devices.
        let device = if role.works() { None } else { Some("cpu") };
        let machine = machine(device.or(given.device.as_deref().or(file.device.as_deref())))?;
        let jobs_max = jobs_max(&given, &file, &machine)?;
        let time_limit = time_limit(&given, &file)?;
        let api_url = given.api_url.clone().or(file.api_url.clone());
        let api_url = api_url.unwrap_or_else(|| API_URL.to_owned());
        let work_dir = given.work_dir.clone().or(file.work_dir.clone());
        let work_dir = work_dir.unwrap_or_else(|| PathBuf::from(WORK_DIR));
        let access = access(&given, &file)?;
        let limits = limits(&given, &file);
        let shared = shared(&given, &file, &api_url, &work_dir)?;
        let (fetch_bytes_max, send_bytes_max) = sizes(&given, &file, &api_url, shared.is_some())?;
        Ok(Self {
            watch: watch::read(&given, &file)?,
            webhook: webhook::read(&given, &file)?,
            token,
            api_url,
            shared,
            access,
            fetch_bytes_max,
            send_bytes_max,
            look_bytes_max: given.look_max_bytes.or(file.look_max_bytes).unwrap_or(LOOK_BYTES_MAX),
            throttle: Arc::default(),
            turns: Arc::default(),
            pulse: Arc::default(),
            role,
            database,
            backup_every: backup_every(&given, &file),
            work_dir,
            log_format: given.log_format.or(file.log_format).unwrap_or_default(),
            log_dir: given.log_dir.or(file.log_dir).unwrap_or_else(|| PathBuf::from(LOG_DIR)),
            worker: worker::Options {
                jobs_max,
                time_limit,
                nursery: None,
                limits,
                machine: Arc::new(machine),
                running_per_user_max: 1,
                attempts_max: 5,
                grace: Duration::from_secs(given.grace_s.or(file.grace_s).unwrap_or(25)),
                disk_free_bytes_min: given
                    .disk_free_min_bytes
                    .or(file.disk_free_min_bytes)
                    .unwrap_or(2 << 30),
                sweep_every: SWEEP_EVERY,
                takes_jobs: role.works(),
                keep_days: keep_days(given.keep_days.or(file.keep_days))?,
            },
            queue: QueueLimits {
                per_user_max: given.queue_per_user.or(file.queue_per_user).unwrap_or(5),
                total_max: given.queue_total.or(file.queue_total).unwrap_or(1000),
                per_day_max: given.files_per_day.or(file.files_per_day).filter(|files| *files > 0),
            },
            isolation: given.isolation.or(file.isolation).unwrap_or_default(),
        })
    }

    /// The Bot API server that a bot of these settings would talk to; none where nothing of a bot is set.
    ///
    /// # Errors
    /// [`ConfigError`] where the file does not read.
    pub fn api_url(given: &Settings, file: Option<&Path>) -> Result<Option<String>, ConfigError> {
        let file = read_file(file)?;
        let asked = [given, &file]
            .iter()
            .any(|settings| settings.token.is_some() || settings.token_file.is_some() || settings.api_url.is_some());
        let url = given.api_url.as_ref().or(file.api_url.as_ref());
        Ok(asked.then(|| url.cloned().unwrap_or_else(|| API_URL.to_owned())))
    }

    /// Where strangers' files are read: known before walls stand.
    ///
    /// # Errors
    /// [`ConfigError`] where the file does not read.
    pub fn isolation(given: &Settings, file: Option<&Path>) -> Result<Isolation, ConfigError> {
        Ok(given.isolation.or(read_file(file)?.isolation).unwrap_or_default())
    }

    /// The bot's token alone, for what needs no engine.
    ///
    /// # Errors
    /// [`ConfigError`] with a hint.
    pub fn token(given: &Settings, file: Option<&Path>) -> Result<String, ConfigError> {
        token(given, &read_file(file)?)
    }

    /// Telegram's share.
    #[must_use]
    pub fn telegram(&self) -> telegram::Options {
        telegram::Options {
            token: self.token.clone(),
            api_url: self.api_url.clone(),
            limits: self.queue,
            shared: self.shared.clone(),
            access: self.access.clone(),
            throttle: Arc::clone(&self.throttle),
            turns: Arc::clone(&self.turns),
            pulse: Arc::clone(&self.pulse),
            fetch_bytes_max: self.fetch_bytes_max,
            send_bytes_max: self.send_bytes_max,
            look_bytes_max: self.look_bytes_max,
            webhook: self.webhook.clone(),
        }
    }
}

fn backup_every(given: &Settings, file: &Settings) -> Option<Duration> {
    match given.backup_hours.or(file.backup_hours).unwrap_or(1) {
        0 => None,
        hours => Some(Duration::from_secs(hours.saturating_mul(3600))),
    }
}

/// Proves the devices that may work; where a GPU must, it has to be there.
fn machine(device: Option<&str>) -> Result<Machine, ConfigError> {
    let choice: Choice = device
        .unwrap_or("auto")
        .parse()
        .map_err(|what: String| wrong(what, "`auto` uses a GPU where one serves"))?;
    let machine = Machine::new(choice);
    match machine.lacking() {
        None => Ok(machine),
        Some(fault) => Err(wrong(
            format!("device {choice} cannot be used: {}", fault.sentence()),
            fault.hint(),
        )),
    }
}

/// What a file may ask of the engine.
fn limits(given: &Settings, file: &Settings) -> Limits {
    let defaults = Limits::default();
    let duration_max = given.duration_max_s.or(file.duration_max_s).map(Duration::from_secs);
    Limits {
        duration_max: duration_max.unwrap_or(defaults.duration_max),
        pixels_max: given.pixels_max.or(file.pixels_max).unwrap_or(defaults.pixels_max),
        confine: given.confine.or(file.confine).unwrap_or_default(),
        ..defaults
    }
}

/// A named file must be there; `kadr.toml` in this folder may.
fn read_file(file: Option<&Path>) -> Result<Settings, ConfigError> {
    let path = file.unwrap_or(Path::new(FILE_NAME));
    if file.is_none() && !path.exists() {
        return Ok(Settings::default());
    }
    let text = std::fs::read_to_string(path).map_err(|error| {
        wrong(
            format!("`{}` does not read: {error}", path.display()),
            "check the path given with `--config`",
        )
    })?;
    toml::from_str(&text).map_err(|error| {
        wrong(
            format!("`{}`: {}", path.display(), error.message()),
            "`kadr serve --print-config` prints every key",
        )
    })
}

/// A folder that is shared with a Bot API server of one's own, where one is named.
fn shared(given: &Settings, file: &Settings, api_url: &str, work_dir: &Path) -> Result<Option<Shared>, ConfigError> {
    let one = |get: fn(&Settings) -> &Option<PathBuf>| get(given).clone().or_else(|| get(file).clone());
    let root_there = one(|settings| &settings.api_local_root_there);
    let work_there = one(|settings| &settings.api_local_work_there);
    let delete = given.api_local_delete.or(file.api_local_delete);
    let Some(root) = one(|settings| &settings.api_local_root) else {
        if root_there.is_some() || work_there.is_some() || delete.is_some() {
            return Err(wrong(
                "the folder of the local Bot API server is not set",
                "set KADR_API_LOCAL_ROOT to the folder of its files, as kadr sees it",
            ));
        }
        return Ok(None);
    };
    if api_url == API_URL {
        return Err(wrong(
            format!("a local server's folder is set, and its address is {API_URL}"),
            "set TELEGRAM_API_URL to the local Bot API server, such as http://127.0.0.1:8081",
        ));
    }
    if !root.is_absolute() || !root.is_dir() {
        return Err(wrong(
            format!("`{}` is no absolute path of a folder", root.display()),
            "KADR_API_LOCAL_ROOT is the folder of the local Bot API server's files, as kadr sees it",
        ));
    }
    for there in [&root_there, &work_there].into_iter().flatten() {
        if !there.is_absolute() {
            return Err(wrong(
                format!("`{}` is no absolute path", there.display()),
                "name the folder as the local Bot API server sees it",
            ));
        }
    }
    Ok(Some(Shared {
        files: Folder {
            there: root_there.unwrap_or_else(|| root.clone()),
            here: root,
        },
        delete: delete.unwrap_or(false),
        results: work_there.map(|there| Folder {
            here: work_dir.to_owned(),
            there,
        }),
    }))
}

/// The largest file to fetch and to send: by default what the server takes, and never more. Of a server that is neither
/// the cloud nor shares its disk nobody knows whether it runs with `--local`: its default is the cloud's.
fn sizes(given: &Settings, file: &Settings, api_url: &str, local: bool) -> Result<(u64, u64), ConfigError> {
    let cloud = (telegram::FETCH_BYTES_MAX, telegram::SEND_BYTES_MAX);
    let own = (telegram::LOCAL_BYTES_MAX, telegram::LOCAL_BYTES_MAX);
    let allowed = if api_url == API_URL { cloud } else { own };
    let default = if local { own } else { cloud };
    let one = |name: &str, wanted: Option<u64>, default: u64, allowed: u64| match wanted {
        Some(0) => Err(wrong(
            format!("the largest file to {name} is 0 bytes (allowed 1 to {allowed})"),
            "leave it out for what the Bot API server takes",
        )),
        Some(wanted) if wanted > allowed => Err(wrong(
            format!("the largest file to {name} is {wanted} bytes (allowed 1 to {allowed})"),
            "more than 20 MB to fetch and 50 MB to send needs a Bot API server of one's own, never more than 2000 MB",
        )),
        wanted => Ok(wanted.unwrap_or(default)),
    };
    let fetch = given.fetch_max_bytes.or(file.fetch_max_bytes);
    let send = given.send_max_bytes.or(file.send_max_bytes);
    Ok((
        one("fetch", fetch, default.0, allowed.0)?,
        one("send", send, default.1, allowed.1)?,
    ))
}

fn jobs_max(given: &Settings, file: &Settings, machine: &Machine) -> Result<usize, ConfigError> {
    let jobs_max = match given.jobs.or(file.jobs).unwrap_or(Jobs::Number(3)) {
        Jobs::Auto => machine.jobs_at_once(),
        Jobs::Number(number) => number,
    };
    if (1..=64).contains(&jobs_max) {
        return Ok(jobs_max);
    }
    Err(wrong(
        format!("jobs is {jobs_max} (allowed 1 to 64)"),
        "3 suits most machines",
    ))
}

fn time_limit(given: &Settings, file: &Settings) -> Result<Duration, ConfigError> {
    match given.conversion_timeout_s.or(file.conversion_timeout_s).unwrap_or(300) {
        0 => Err(wrong(
            "conversion timeout is 0 s (allowed 1 or more)",
            "the default is 300",
        )),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

fn keep_days(asked: Option<u32>) -> Result<u32, ConfigError> {
    let days = asked.unwrap_or(KEEP_DAYS);
    if (1..=KEEP_DAYS_MAX).contains(&days) {
        return Ok(days);
    }
    Err(wrong(
        format!("rows are kept for {days} days (allowed 1 to {KEEP_DAYS_MAX})"),
        "`/forget_me` forgets a person at once",
    ))
}
