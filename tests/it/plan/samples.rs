//! What each preset would do with each sample, as `kadr probe` says it: one snapshot to be read.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use kadr::media::{Caps, Control, Limits, Preset, plan, probe};

/// The samples beside the repository; other folders and other FFmpegs have other plans.
fn samples() -> Result<PathBuf, &'static str> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples");
    if std::env::var_os("KADR_SAMPLES").is_some() {
        Err("the reviewed plans are of the usual samples, KADR_SAMPLES names others")
    } else if !kadr::media::versions().starts_with("FFmpeg 5.1") {
        Err("the reviewed plans are of FFmpeg 5.1")
    } else if !folder.is_dir() {
        Err("there are no samples beside the repository")
    } else {
        Ok(folder)
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
    let folder = match samples() {
        Ok(folder) => folder,
        Err(why) => {
            writeln!(std::io::stderr(), "skipped: {why}").unwrap();
            return;
        }
    };
    let names = files(&folder);
    assert!(!names.is_empty(), "no file in {}", folder.display());
    let plans: String = names.iter().map(|name| words(&folder, name) + "\n").collect();
    insta::assert_snapshot!("plans", plans);
}
