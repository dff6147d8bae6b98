//! `kadr doctor`: what of this machine serves kadr, what is in the way, and what to do about it.
//!
//! ```text
//! gather   looks and tries          effects: FFmpeg, libraries, devices, environment, NVML, proofs, the Bot API
//! examine  Inputs -> Examination    pure
//! ladder   Caps -> what each preset would take    pure
//! render   Examination -> lines of words, or of NDJSON    pure
//! ```
//!
//! Absent: any change of the machine, and any secret: no token is read, and of the Bot API's address only the host is said.

pub mod examine;
mod gather;
mod gpu;
pub mod ladder;
pub mod render;

use std::path::PathBuf;

use anyhow::Result;

pub use self::examine::{Examination, Inputs, examine};
use super::{Exit, UsageError, print_line};
use crate::media::Choice;

/// Arguments of `kadr doctor`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print NDJSON instead of words
    #[arg(long)]
    json: bool,
    /// What must serve: auto, cpu, cuda or cuda:N; with cuda the exit code is 1 where no GPU does
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: Choice,
    /// Ask the Bot API for an answer even where no bot is configured
    #[arg(long)]
    online: bool,
    /// Base of the Bot API server
    #[arg(long, env = "TELEGRAM_API_URL", value_name = "URL")]
    api_url: Option<String>,
    /// Configuration file; `kadr.toml` in this folder is read where there is one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Exit> {
    let api_url =
        gather::api_url(args.api_url.clone(), args.config.as_deref(), args.online).map_err(UsageError::from)?;
    let inputs = gather::inputs(args.device, api_url.as_deref())?;
    let examination = examine(&inputs);
    let lines = if args.json {
        render::json(&inputs, &examination)
    } else {
        render::words(&examination)
    };
    for line in lines {
        print_line(&line)?;
    }
    Ok(if examination.verdict.serves {
        Exit::Done
    } else {
        Exit::Failed
    })
}
