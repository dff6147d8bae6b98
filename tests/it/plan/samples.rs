//! What each preset would do with each sample, as `kadr probe` says it: one snapshot to be read.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use kadr::media::{Caps, Control, Limits, Preset, plan, probe};

/// Where the samples are: `KADR_SAMPLES`, or the folder beside the repository.
fn samples() -> PathBuf {
    match std::env::var_os("KADR_SAMPLES") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples"),
    }
}

/// Files below a folder, by names relative to it, in order.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_none_or(|extension| extension != "tsv") {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The file and its plans; the machine is one with every encoder.
fn words(folder: &Path, name: &str) -> String {
    let mut text = format!("{name}: ");
    let info = match probe(&folder.join(name), &Limits::default(), &Control::new(None)) {
        Ok(info) => info,
        Err(error) => return text + &format!("refused: {error}\n"),
    };
    writeln!(text, "{info}").unwrap();
    for preset in Preset::EACH {
        match plan(&info, &preset.into(), &Caps::default()) {
            Ok(ways) => writeln!(text, "    {preset}: {}", ways[0]).unwrap(),
            Err(refusal) => writeln!(text, "    {preset}: refused: {refusal}").unwrap(),
        }
    }
    text
}

#[test]
fn the_plans_of_all_samples_are_as_reviewed() {
    let folder = samples();
    if !folder.is_dir() {
        let mut stderr = std::io::stderr();
        writeln!(stderr, "skipped: no samples in {} (set KADR_SAMPLES)", folder.display()).unwrap();
        return;
    }
    let names = files(&folder);
    assert!(!names.is_empty(), "no file in {}", folder.display());
    let plans: String = names.iter().map(|name| words(&folder, name) + "\n").collect();
    insta::assert_snapshot!("plans", plans);
}
