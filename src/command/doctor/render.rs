//! An examination as lines: words for people, NDJSON for programs. Pure.

use serde_json::{Value, json};

use super::examine::{Examination, Inputs, Mark};
use super::ladder::{self, Ladder};

/// One line a finding, its hint on a line of its own the first time that it is given, then the ladders, then the verdict.
#[must_use]
pub fn words(examination: &Examination) -> Vec<String> {
    let Examination {
        findings,
        ladders,
        verdict,
    } = examination;
    let mut lines = Vec::new();
    for finding in findings {
        lines.push(format!(
            "{:<4}  {}: {}",
            mark(finding.mark),
            finding.what,
            finding.found
        ));
        push_hint(&mut lines, finding.hint.as_deref());
    }
    lines.push(String::new());
    lines.push("an everyday film (1920x1080, H.264 or HEVC, AAC) would go:".to_owned());
    for (presets, ways) in grouped(ladders) {
        lines.push(format!("      {presets}: {ways}"));
    }
    lines.push(String::new());
    lines.push(format!("verdict: {}", verdict.found));
    push_hint(&mut lines, verdict.hint.as_deref());
    lines
}

fn push_hint(lines: &mut Vec<String>, hint: Option<&str>) {
    let line = hint.map(|hint| format!("      hint: {hint}"));
    lines.extend(line.filter(|line| !lines.contains(line)));
}

fn mark(mark: Mark) -> &'static str {
    match mark {
        Mark::Ok => "ok",
        Mark::Warn => "warn",
        Mark::Bad => "bad",
    }
}

/// Presets that go the same ways, on one line.
fn grouped(ladders: &[Ladder]) -> Vec<(String, String)> {
    let mut groups: Vec<(String, String)> = Vec::new();
    for Ladder { preset, rungs } in ladders {
        let ways = match rungs {
            Ok(rungs) => ladder::words(rungs),
            Err(why) => format!("not here: {why}"),
        };
        match groups.iter_mut().find(|(_, known)| *known == ways) {
            Some((presets, _)) => *presets = format!("{presets}, {preset}"),
            None => groups.push((preset.to_string(), ways)),
        }
    }
    groups
}

/// One object a line: `ffmpeg`, `gpu` (as NVML tells it), `finding`, `ladder`, and `verdict` at the end.
#[must_use]
pub fn json(inputs: &Inputs, examination: &Examination) -> Vec<String> {
    let ffmpeg = &inputs.ffmpeg;
    let mut lines = vec![json!({
        "type": "ffmpeg",
        "release": ffmpeg.release,
        "running": ffmpeg.running,
        "built_with": inputs.built_with,
        "configuration": ffmpeg.configuration,
    })];
    let facts = inputs
        .nvml
        .as_ref()
        .map(|facts| facts.gpus.as_slice())
        .unwrap_or_default();
    lines.extend(facts.iter().map(|gpu| typed("gpu", &json!(gpu))));
    lines.extend(
        examination
            .findings
            .iter()
            .map(|finding| typed("finding", &json!(finding))),
    );
    lines.extend(examination.ladders.iter().map(|Ladder { preset, rungs }| {
        json!({
            "type": "ladder",
            "preset": preset.to_string(),
            "rungs": rungs.as_ref().ok().map(|rungs| rungs.iter().map(ToString::to_string).collect::<Vec<_>>()),
            "refused": rungs.as_ref().err(),
        })
    }));
    lines.push(typed("verdict", &json!(examination.verdict)));
    lines.iter().map(ToString::to_string).collect()
}

fn typed(kind: &str, object: &Value) -> Value {
    let mut object = object.clone();
    object["type"] = json!(kind);
    object
}
