//! What a file is, as far as a plan needs to know.

/// A probed file.
#[derive(Clone, Debug, serde::Serialize)]
pub struct MediaInfo {
    /// The demuxer's short name.
    pub container: String,
}
