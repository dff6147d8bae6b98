//! Parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use kadr::command::{self, Cli};

fn main() -> ExitCode {
    let cli = Cli::parse();
    ExitCode::from(command::run(cli))
}
