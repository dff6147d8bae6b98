//! VMAF and VMAF-NEG, by an ffmpeg that has libvmaf. The output is scaled to the source's size, as the score of our own does.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::process;
use super::work::Work;
use crate::media::arguments::shown;

const MODELS: &str = r"version=vmaf_v0.6.1\\:name=vmaf|version=vmaf_v0.6.1neg\\:name=neg";

const ALIKE: &str = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709";

/// Both scores, 0 to 100, means over all frames.
pub(super) fn vmaf(judge: &Path, work: &Work, output: &Path) -> Result<(f64, f64)> {
    let folder = tempfile::tempdir()?;
    let shown = shown(&work.info, &work.recipe)?;
    let (Some(index), size) = (work.info.video, (shown.width, shown.height)) else {
        anyhow::bail!("the source has no video");
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // Where one names its matrix and the other does not, newer libraries would convert between the two.
    let graph = format!(
        "[0:v:0]setpts=PTS-STARTPTS,scale={}:{}:flags=bicubic,format=yuv420p,{ALIKE}[made];\
         [1:{index}]setpts=PTS-STARTPTS,{},{ALIKE}[source];\
         [made][source]libvmaf=n_threads={threads}:log_fmt=json:log_path=vmaf.json:model={MODELS}",
        size.0, size.1, shown.chain
    );
    let source = work.source.display().to_string();
    let args = [
        "-nostdin",
        "-v",
        "error",
        "-noautorotate",
        "-i",
        &output.display().to_string(),
    ];
    let rest = ["-noautorotate", "-i", &source, "-lavfi", &graph, "-f", "null", "-"];
    let args: Vec<String> = args.iter().chain(&rest).map(|&arg| arg.to_owned()).collect();
    process::output(judge, &args, folder.path())?;
    let log = std::fs::read_to_string(folder.path().join("vmaf.json")).context("read what libvmaf wrote")?;
    let log: Value = serde_json::from_str(&log)?;
    let mean = |name: &str| log["pooled_metrics"][name]["mean"].as_f64();
    mean("vmaf").zip(mean("neg")).context("libvmaf gave no mean")
}
