//! A JPEG for the chat: at most 320 pixels a side and under 200 kB, as the Bot API asks.

use std::path::Path;

use super::{Control, MediaError};

/// Writes a thumbnail of an output that was already verified.
///
/// # Errors
/// See [`MediaError`]; a caller may go on without a thumbnail.
pub fn thumbnail(_video: &Path, _jpeg: &Path, _control: &Control) -> Result<(), MediaError> {
    Err(MediaError::Engine {
        doing: "thumbnail",
        what: "not built yet".to_owned(),
    })
}
