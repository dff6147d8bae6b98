//! The engine in a process that stays, as in the bot: what a job takes where nothing has to be started for it.
//! `ci/bench parity` builds it; `ci/turns.py` starts it and stops it by turns.
//!
//! ```text
//! stdin    a job a line: `{"source":PATH,"output":PATH,"recipe":"small height:360"}`, one after another, until it is closed
//! stdout   its report a line, as the last line of `kadr convert --json`
//! ```
//! An error ends it, with the reason on stderr. There is no GPU, no queue and no time limit.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use kadr::media::{self, Caps, Control, Limits, Recipe};

#[derive(serde::Deserialize)]
struct Job {
    source: PathBuf,
    output: PathBuf,
    recipe: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout();
    for line in io::stdin().lock().lines() {
        let job: Job = serde_json::from_str(&line?)?;
        let recipe: Recipe = job.recipe.parse()?;
        let control = Control::new(None);
        let report = media::convert(
            &job.source,
            &job.output,
            &recipe,
            &Caps::without_gpus(),
            &Limits::default(),
            &control,
        )?;
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    }
    Ok(())
}
