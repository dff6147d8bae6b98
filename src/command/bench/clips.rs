//! The set of clips that a bench without files is run on, made by the engine: a machine without samples, network or
//! ffmpeg measures on the same bytes of pictures as any other. Drawn clips are no footage: they serve to compare programs
//! and machines, not to judge settings.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::process;
use crate::media::synthetic::{CLIPS, make as make_clip};

/// Makes the set in a folder that is there.
pub(super) fn make(folder: &Path) -> Result<()> {
    for clip in &CLIPS {
        make_clip(clip, &folder.join(clip.name)).with_context(|| format!("make {}", clip.name))?;
    }
    Ok(())
}

/// The same by a process of its own: what encoders leave in memory would be inherited by what is measured.
pub(super) fn made_by_a_process_of_its_own(folder: &Path) -> Result<Vec<PathBuf>> {
    let program = std::env::current_exe().context("find kadr's own program")?;
    let args = ["bench", "--make-clips", &folder.display().to_string()].map(str::to_owned);
    process::output(&program, &args, Path::new("."))?;
    Ok(CLIPS.iter().map(|clip| folder.join(clip.name)).collect())
}
