//! (MediaInfo, Preset, Caps) -> ways to do it, best first. Pure.

use super::{Caps, MediaInfo, Preset};

/// One way to make the output.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Why it is this way, in words.
    pub reasons: Vec<String>,
}

/// The ways, best first, the CPU last, never empty.
#[must_use]
pub fn plan(_info: &MediaInfo, _preset: Preset, _caps: &Caps) -> Vec<Plan> {
    vec![]
}
