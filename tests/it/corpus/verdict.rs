//! From one conversion to one verdict, by what the sample's row expects.

use std::path::Path;

use super::facts::Facts;
use super::judge::judge;
use super::source::Source;
use super::tools::{Run, Tool};

/// What the row of a sample promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Play,
    Refuse,
    /// The contract or a clean refusal.
    Either,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Plays,
    Refused,
    Wrong(Vec<String>),
}

impl Expect {
    pub(crate) fn of(word: &str) -> Self {
        match word {
            "play" => Self::Play,
            "refuse" => Self::Refuse,
            "either" => Self::Either,
            other => panic!("unknown expectation `{other}` (known: play, refuse, either)"),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Play => "play",
            Self::Refuse => "refuse",
            Self::Either => "either",
        }
    }
}

/// `left` are files that the tool left beside the output.
pub(crate) fn verdict(expect: Expect, tool: Tool, run: &Run, input: &Path, output: &Path, left: &[String]) -> Verdict {
    let mut wrong: Vec<String> = left.iter().map(|name| format!("left behind: {name}")).collect();
    // `timeout` ends with 124, or is killed with the tool that did not heed it.
    if matches!(run.code, Some(124 | 137) | None) {
        wrong.push("time limit reached".to_owned());
        return Verdict::Wrong(wrong);
    }
    let made = output.exists();
    if run.code == Some(0) && made {
        if expect == Expect::Refuse {
            if tool == Tool::Kadr || Facts::of(output).is_ok() {
                wrong.push("converted, a refusal was wanted".to_owned());
                return Verdict::Wrong(wrong);
            }
            return done(wrong, Verdict::Refused);
        }
        match Source::of(input) {
            Some(source) => {
                wrong.extend(judge(&source, output));
                wrong.extend(unsaid_damage(&source, tool, run, output));
            }
            None => wrong.push("converted, though ffprobe does not open the source".to_owned()),
        }
        return done(wrong, Verdict::Plays);
    }
    wrong.extend(match tool {
        Tool::Kadr => unclean_refusal(run, made),
        // Other tools have no exit code for a refusal: they fail and leave nothing that opens.
        Tool::Cli | Tool::HandBrake => (made && Facts::of(output).is_ok())
            .then(|| "failed, but left a file that opens".to_owned())
            .into_iter()
            .collect(),
    });
    if expect == Expect::Play {
        wrong.insert(0, format!("refused: {}", last_words(&run.stderr)));
    }
    done(wrong, Verdict::Refused)
}

fn done(wrong: Vec<String>, right: Verdict) -> Verdict {
    if wrong.is_empty() { right } else { Verdict::Wrong(wrong) }
}

/// Exit code 3, one line and a hint, no file.
fn unclean_refusal(run: &Run, made: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    if run.code != Some(3) {
        wrong.push(format!("exit code is {:?}, a refusal has 3", run.code));
    }
    let lines: Vec<&str> = run.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    let clean = matches!(lines[..], [error, hint] if error.starts_with("error: ") && hint.starts_with("hint: "));
    if !clean {
        wrong.push(format!(
            "stderr has {} lines, an `error:` and a `hint:` are wanted",
            lines.len()
        ));
    }
    if made {
        wrong.push("a refusal left an output".to_owned());
    }
    wrong
}

/// Frames that a damaged source lost are said in the report.
fn unsaid_damage(source: &Source, tool: Tool, run: &Run, output: &Path) -> Option<String> {
    if tool != Tool::Kadr || !source.is_damaged() {
        return None;
    }
    let packets = source.video.as_ref()?.stream.packets;
    let facts = Facts::of(output).ok()?;
    let got = facts.of_kind("video").first()?.packets;
    let warnings = run.report.as_ref()?["warnings"].as_array().map_or(0, |warnings| {
        warnings
            .iter()
            .filter(|warning| warning["warning"] == "damaged")
            .count()
    });
    (got < packets && warnings == 0).then(|| format!("{got} frames of {packets} packets, and no warning of damage"))
}

pub(crate) fn last_words(stderr: &str) -> String {
    let said = stderr.lines().rfind(|line| line.starts_with("error: "));
    let last = said.or_else(|| stderr.lines().rfind(|line| !line.trim().is_empty()));
    last.unwrap_or("no words").trim().chars().take(120).collect()
}
