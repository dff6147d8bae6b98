//! `kadr log-out`: ends the bot's session on the cloud Bot API, before a server of one's own takes over.
//!
//! Without it the cloud goes on collecting updates that nobody fetches there. It lets the bot back in after 10 minutes.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Exit, UsageError, print_line};
use crate::config::{API_URL, Config, Settings};
use crate::telegram;

/// Arguments of `kadr log-out`
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: Settings,
    /// Configuration file; `kadr.toml` in this folder is read where there is one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server to leave; `--api-url` is the one that the bot moves to
    #[arg(long, value_name = "URL", default_value = API_URL)]
    from: String,
}

pub(super) fn run(args: Args) -> Result<Exit> {
    let Args { settings, config, from } = args;
    let token = Config::token(&settings, config.as_deref()).map_err(UsageError::from)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the async runtime")?;
    runtime
        .block_on(telegram::log_out(&from, &token))
        .with_context(|| format!("log out of {from}"))?;
    print_line(&format!(
        "logged out of {from}: it lets the bot back in after 10 minutes, another server at once"
    ))?;
    Ok(Exit::Done)
}
