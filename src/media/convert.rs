//! The whole way of one file: probe, plan, transcode down the ladder, verify, rename.

use std::path::Path;

use super::{Caps, Control, Limits, MediaError, Preset, Report};

/// Converts `input` to `output`: never leaves a partial file under the final name.
///
/// # Errors
/// See [`MediaError`].
pub fn convert(
    _input: &Path,
    _output: &Path,
    _preset: Preset,
    _caps: &Caps,
    _limits: &Limits,
    _control: &Control,
) -> Result<Report, MediaError> {
    Err(MediaError::Engine {
        doing: "convert",
        what: "not built yet".to_owned(),
    })
}
