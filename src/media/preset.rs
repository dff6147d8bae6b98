//! What may be asked of the engine: a preset by name, and the limits that every input is held to.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What the output should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Preset {
    /// MP4 that plays everywhere: H.264 8-bit 4:2:0, AAC-LC stereo, long edge at most 1920, at most 60 fps.
    #[default]
    Play,
    /// As `Play`, but at most 720 lines and about 40 % of the bits.
    Small,
    /// M4A with AAC-LC, copied where the source has it.
    Audio,
}

impl Preset {
    /// Every preset, in the order in which they are offered.
    pub const ALL: [Self; 3] = [Self::Play, Self::Small, Self::Audio];
}

/// A preset name that kadr does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown preset `{given}` (known: play, small, audio)")]
pub struct UnknownPreset {
    /// As it was given.
    pub given: String,
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Play => "play",
            Self::Small => "small",
            Self::Audio => "audio",
        })
    }
}

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "play" => Ok(Self::Play),
            "small" => Ok(Self::Small),
            "audio" => Ok(Self::Audio),
            _ => Err(UnknownPreset { given: text.to_owned() }),
        }
    }
}

impl serde::Serialize for Preset {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Preset {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str> as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What an input may cost before it is refused. Every refusal names the value and the limit.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest input.
    pub duration_max: Duration,
    /// Most pixels a decoded frame may have.
    pub pixels_max: u64,
    /// Highest frame rate that is believed, frames a second.
    pub fps_max: u32,
    /// Most streams a file may have.
    pub streams_max: u32,
    /// Largest input, bytes; `None` for none.
    pub size_bytes_max: Option<u64>,
    /// Most threads that decoders and encoders of one job may use; `None` for one a core.
    pub threads_max: Option<u32>,
}

impl Default for Limits {
    /// The defaults of the service: 4 h, 4096x2176 pixels, 120 fps, 16 streams.
    fn default() -> Self {
        Self {
            duration_max: Duration::from_secs(4 * 3600),
            pixels_max: 4096 * 2176,
            fps_max: 120,
            streams_max: 16,
            size_bytes_max: None,
            threads_max: None,
        }
    }
}
