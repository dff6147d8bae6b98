//! `kadr manual` and `kadr completions`: what packages put beside the program, made from its own command line.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::CommandFactory;

use super::{Cli, Exit};

/// Arguments of `kadr manual`
#[derive(Debug, clap::Args)]
pub struct ManualArgs {
    /// Folder for the pages: `kadr.1` and one for each command
    dir: PathBuf,
}

/// Arguments of `kadr completions`
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
}

/// A page has room for one line of version.
fn command() -> clap::Command {
    Cli::command().version(env!("CARGO_PKG_VERSION"))
}

pub(super) fn pages(args: &ManualArgs) -> Result<Exit> {
    let dir = &args.dir;
    std::fs::create_dir_all(dir).with_context(|| format!("make the folder `{}`", dir.display()))?;
    clap_mangen::generate_to(command(), dir).with_context(|| format!("write pages into `{}`", dir.display()))?;
    Ok(Exit::Done)
}

pub(super) fn completions(args: &CompletionsArgs) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "kadr", &mut script);
    std::io::stdout().write_all(&script).context("write to stdout")?;
    Ok(Exit::Done)
}
