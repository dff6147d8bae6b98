//! `kadr probe`: what files are, and what each preset would do with them and why.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;

use super::{Exit, check_inputs, print_failure, print_json, print_line};
use crate::media::{self, Caps, Control, Limits, MediaInfo, Preset};

/// Arguments of `kadr probe`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files to look at
    #[arg(required = true, value_name = "IN")]
    inputs: Vec<PathBuf>,
    /// Print NDJSON instead of words
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<Exit> {
    check_inputs(&args.inputs)?;
    let caps = Caps::detect();
    let mut exit = Exit::Done;
    for input in &args.inputs {
        match media::probe(input, &Limits::default(), &Control::new(None)) {
            Ok(info) if args.json => print_json(&as_json(input, &info, &caps)?)?,
            Ok(info) => print_words(input, &info, &caps)?,
            Err(error) => {
                print_failure(input, &error, args.json)?;
                exit = Exit::of(&error);
            }
        }
    }
    Ok(exit)
}

/// What a preset would do, or why it cannot.
fn verdict(info: &MediaInfo, preset: Preset, caps: &Caps) -> String {
    match media::plan(info, &preset.into(), caps) {
        Ok(ways) => ways.first().map(ToString::to_string).unwrap_or_default(),
        Err(refusal) => format!("refused: {refusal}"),
    }
}

fn as_json(input: &Path, info: &MediaInfo, caps: &Caps) -> Result<serde_json::Value> {
    let mut line = serde_json::to_value(info)?;
    line["type"] = json!("probe");
    line["input"] = json!(input);
    line["plans"] = Preset::EACH
        .iter()
        .map(|&preset| (preset.to_string(), json!(verdict(info, preset, caps))))
        .collect();
    Ok(line)
}

fn print_words(input: &Path, info: &MediaInfo, caps: &Caps) -> Result<()> {
    print_line(&format!("{}: {info}", input.display()))?;
    for preset in Preset::EACH {
        print_line(&format!("{preset}: {}", verdict(info, preset, caps)))?;
    }
    Ok(())
}
