//! `kadr demo`: the real bot on a local stand-in of the Bot API, in a browser or for one scripted conversation.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio_util::sync::CancellationToken;

use super::serve::{run_until_signals, serve};
use super::{Exit, UsageError, check_inputs, engine, logs, print_line};
use crate::config::{Config, LogFormat, Settings};
use crate::playground::{Message, Options, Playground, SendAs, Server};
use crate::telegram::LOCAL_BYTES_MAX;

/// The people of the playground.
const USERS: [(i64, &str, &str); 3] = [(101, "Anna", "en"), (102, "Борис", "ru"), (103, "Chen", "en")];
/// The group that they and the bot share.
const GROUP: (i64, &str) = (-1001, "Film club");
const ANSWER_WAIT: Duration = Duration::from_secs(20);
/// A bot of another process must start first.
const ANSWER_WAIT_APART: Duration = Duration::from_secs(120);
const RESULT_WAIT: Duration = Duration::from_secs(600);

/// Arguments of `kadr demo`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Port of the chat page on this machine; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8090)]
    port: u16,
    /// As a Bot API server of one's own, with files up to 2000 MB: all over its disk, or with results streamed, or behind a
    /// web server that hands out its files, so that all is streamed
    #[arg(long, value_name = "BY", num_args = 0..=1, default_missing_value = "disk")]
    local: Option<By>,
    /// Run the stand-in alone and say how another kadr reaches it
    #[arg(long)]
    no_bot: bool,
    /// Folder for the demo's data
    #[arg(long, value_name = "DIR", default_value = "demo")]
    dir: PathBuf,
    /// Send this file, wait for the result, print the conversation and stop
    #[arg(long, value_name = "FILE", requires = "out")]
    send: Option<PathBuf>,
    /// The button to press after sending: its label or its callback data
    #[arg(long, value_name = "BUTTON", default_value = "c:play")]
    press: String,
    /// Where the result of `--send` goes
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// How files pass between kadr and a server of one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    /// Both ways over its disk
    Disk,
    /// Sources from its disk, results over HTTP
    Stream,
    /// Both ways over HTTP
    Web,
}

pub(super) fn run(args: Args) -> Result<Exit> {
    if let Some(file) = &args.send {
        check_inputs(std::slice::from_ref(file))?;
    }
    let _guards = logs::start(&args.dir.join("logs"), LogFormat::Text)?;
    let shutdown = CancellationToken::new();
    run_until_signals(&shutdown, demo(args, shutdown.clone()))
}

async fn demo(args: Args, shutdown: CancellationToken) -> Result<Exit> {
    let port = if args.send.is_some() { 0 } else { args.port };
    let playground = Playground::start(Options {
        port,
        data_dir: args.dir.join("telegram"),
    })
    .await
    .map_err(|error| {
        UsageError::new(
            format!("port {port} cannot be used: {error}"),
            "choose another with `--port`",
        )
    })?;
    for (id, name, language) in USERS {
        playground.add_user(id, name, language);
    }
    playground.add_group(GROUP.0, GROUP.1, &USERS.map(|(id, ..)| id));
    playground.set_server(match args.local {
        None => Server::Cloud,
        Some(By::Disk | By::Stream) => Server::Local,
        Some(By::Web) => Server::Web,
    });
    let settings = settings(&args, &playground)?;
    let bot = if args.no_bot {
        print_line(&invitation(&settings))?;
        None
    } else {
        let mut config = Config::read(settings, None).map_err(UsageError::from)?;
        config.worker.nursery = engine::nursery(config.isolation)?;
        let shutdown = shutdown.clone();
        Some(tokio::spawn(async move { serve(&config, None, shutdown).await }))
    };
    let exit = match (&args.send, &args.out) {
        (Some(file), Some(out)) => {
            let wait = if args.no_bot { ANSWER_WAIT_APART } else { ANSWER_WAIT };
            let sent = converse(&playground, file, &args.press, out, wait).await;
            shutdown.cancel();
            sent?
        }
        _ => {
            print_line(&format!(
                "open {} in a browser; ctrl-c ends the demo",
                playground.page_url()
            ))?;
            shutdown.cancelled().await;
            Exit::Done
        }
    };
    if let Some(bot) = bot {
        bot.await.context("the bot broke")??;
    }
    Ok(exit)
}

/// What a bot of this playground is told.
fn settings(args: &Args, playground: &Playground) -> Result<Settings> {
    let dir = std::path::absolute(&args.dir).context("find the demo's folder")?;
    let on_disk = matches!(args.local, Some(By::Disk | By::Stream));
    let web = args.local == Some(By::Web);
    Ok(Settings {
        token: Some(playground.token().to_owned()),
        api_url: Some(playground.api_url()),
        api_local_root: on_disk.then(|| dir.join("telegram")),
        api_local_work_there: (args.local == Some(By::Disk)).then(|| dir.join("work")),
        fetch_max_bytes: web.then_some(LOCAL_BYTES_MAX),
        send_max_bytes: web.then_some(LOCAL_BYTES_MAX),
        database: Some(format!("sqlite:{}", dir.join("kadr.db").display())),
        work_dir: Some(dir.join("work")),
        disk_free_min_bytes: Some(256 << 20),
        backup_hours: Some(0),
        ..Settings::default()
    })
}

/// The same for another process, as variables of its environment; an empty line ends them.
fn invitation(settings: &Settings) -> String {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let variables = [
        ("TELEGRAM_BOT_TOKEN", settings.token.clone()),
        ("TELEGRAM_API_URL", settings.api_url.clone()),
        ("KADR_API_LOCAL_ROOT", path(&settings.api_local_root)),
        ("KADR_API_LOCAL_WORK_THERE", path(&settings.api_local_work_there)),
        ("KADR_FETCH_MAX", number(settings.fetch_max_bytes)),
        ("KADR_SEND_MAX", number(settings.send_max_bytes)),
        ("KADR_DATABASE", settings.database.clone()),
        ("KADR_WORK_DIR", path(&settings.work_dir)),
        ("KADR_DISK_FREE_MIN", number(settings.disk_free_min_bytes)),
    ];
    let lines: Vec<String> = variables
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value?)))
        .collect();
    lines.join("\n") + "\n"
}

/// One conversation without a browser.
async fn converse(
    playground: &Playground,
    file: &Path,
    press: &str,
    out: &Path,
    answer_wait: Duration,
) -> Result<Exit> {
    let user = USERS[0].0;
    playground.send_file(user, file, SendAs::Document)?;
    let card = |chat: &[Message]| chat.iter().rev().find(|message| message.from_bot).cloned();
    let Some(asked) = playground.wait(user, answer_wait, card).await else {
        bail!("the bot did not answer")
    };
    if !asked.buttons.is_empty() && !playground.press(user, press) {
        let known: Vec<String> = asked
            .buttons
            .iter()
            .flatten()
            .map(|(label, data)| format!("{label} ({data})"))
            .collect();
        return Err(UsageError::new(
            format!("there is no button `{press}`"),
            format!("the buttons are: {}", known.join(", ")),
        )
        .into());
    }
    // Over when the bot's message holds a file, or has nothing left to cancel.
    let over = |chat: &[Message]| {
        let last = chat.iter().rev().find(|message| message.from_bot)?;
        let waiting = last
            .buttons
            .iter()
            .flatten()
            .any(|(_, data)| data.starts_with("c:") || data.starts_with("x:"));
        (last.media.is_some() || !waiting).then(|| last.clone())
    };
    let answer = playground.wait(user, RESULT_WAIT, over).await;
    for message in playground.chat(user) {
        print_line(&transcript_line(&message))?;
    }
    let Some(answer) = answer else {
        bail!("there was no result within {} s", RESULT_WAIT.as_secs())
    };
    let Some(path) = answer.path else {
        return Ok(Exit::Refused);
    };
    std::fs::create_dir_all(out).with_context(|| format!("make `{}`", out.display()))?;
    let extension = if answer.media.as_deref() == Some("audio") {
        "m4a"
    } else {
        "mp4"
    };
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let result = out.join(format!("{stem}.{extension}"));
    std::fs::copy(&path, &result).with_context(|| format!("write `{}`", result.display()))?;
    print_line(&format!("result: {}", result.display()))?;
    Ok(Exit::Done)
}

fn transcript_line(message: &Message) -> String {
    let who = if message.from_bot { "kadr" } else { "Anna" };
    let media = message
        .media
        .as_ref()
        .map_or_else(String::new, |kind| match &message.name {
            Some(name) => format!("[{kind} {name}, {} bytes] ", message.size),
            None => format!(
                "[{kind} {}x{}, {} s, {} bytes] ",
                message.width, message.height, message.duration, message.size
            ),
        });
    let buttons: Vec<String> = message
        .buttons
        .iter()
        .flatten()
        .map(|(label, _)| format!("[{label}]"))
        .collect();
    let edits = if message.edits > 0 {
        format!(" (edited {} times)", message.edits)
    } else {
        String::new()
    };
    format!(
        "{who}: {media}{}{edits} {}",
        message.text.replace('\n', " / "),
        buttons.join(" ")
    )
    .trim_end()
    .to_owned()
}
