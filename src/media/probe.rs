//! File -> MediaInfo, under every safety limit.

use std::path::Path;

use super::{Control, Limits, MediaError, MediaInfo};

/// Reads what a file is.
///
/// # Errors
/// [`MediaError::Refused`] with the reason where it is not a video kadr takes.
pub fn probe(_input: &Path, _limits: &Limits, _control: &Control) -> Result<MediaInfo, MediaError> {
    Err(MediaError::Engine {
        doing: "probe",
        what: "not built yet".to_owned(),
    })
}
