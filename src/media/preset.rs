//! What may be asked by name: the presets, each with the contract that its output keeps.
//!
//! [`Preset::contract`] is the one table: `plan` aims at it, `verify` holds the file against it, and the tests judge by
//! it with tools of others. What changes an output within its preset (height, frame rate, trim, …) is a
//! [`Recipe`](super::recipe::Recipe).

use std::fmt;
use std::str::FromStr;

use super::recipe::{parse_size, size_text};

/// What the output should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Preset {
    /// MP4 that plays everywhere: H.264 8-bit 4:2:0, AAC-LC stereo, long edge at most 1920, at most 60 fps.
    #[default]
    Play,
    /// As `Play`, but at most 720 lines and about 40 % of the bits.
    Small,
    /// As `Play`, in 97 to 100 % of this many bytes, never more.
    Fit {
        /// Bytes of the whole file.
        size_bytes: u64,
    },
    /// As `Play`, slower and finer, long edge at most 3840 within level 5.1.
    Best,
    /// As `Play` with HEVC Main, tagged `hvc1`.
    Hevc,
    /// As `Play` with AV1 Main.
    Av1,
    /// M4A with AAC-LC, copied where the source has it.
    Audio,
    /// OGG with Opus, mono: a voice message.
    Voice,
    /// Round video: a square of 384 to 640 pixels cut from the middle, at most 60 s.
    Note,
    /// Silent MP4 animation.
    Gif,
    /// WebM with VP9, 512 pixels on the long edge, at most 3 s, 30 fps and 256 KiB, alpha kept, silent.
    Sticker,
    /// JPEG with 16 pictures from all over the video.
    Sheet,
}

/// The file that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    /// MP4, `moov` before `mdat`.
    Mp4,
    /// MP4 for sound alone, with the brand `M4A `.
    M4a,
    /// Ogg.
    Ogg,
    /// WebM.
    WebM,
    /// One JPEG.
    Jpeg,
}

/// A video codec that outputs have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum VideoCodec {
    /// H.264: Baseline, Main or High, level at most 5.1.
    H264,
    /// HEVC Main.
    Hevc,
    /// AV1 Main.
    Av1,
    /// VP9 profile 0.
    Vp9,
}

/// An audio codec that outputs have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// AAC-LC.
    Aac,
    /// Opus.
    Opus,
}

/// How large a picture may be, upright, with square pixels; always even and, but for the two last, never upscaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Held within these edges.
    Within {
        /// Pixels.
        long_edge_max: u32,
        /// Pixels.
        short_edge_max: u32,
    },
    /// A square cut from the middle.
    Square {
        /// Pixels; smaller sources are scaled up to it.
        edge_min: u32,
        /// Pixels.
        edge_max: u32,
    },
    /// The long edge is exactly this.
    LongEdge {
        /// Pixels.
        edge: u32,
    },
}

/// What the video stream of an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoTerms {
    /// Codec, 8-bit 4:2:0, progressive, BT.709 or the standard range colours of the source, tagged.
    pub codec: VideoCodec,
    /// Size.
    pub frame: Frame,
    /// Frames a second.
    pub fps_max: u32,
    /// Whether transparency is kept; else it is composited on black.
    pub alpha: bool,
    /// Whether a stream of the source that keeps all of this is copied.
    pub copies: bool,
}

/// What the audio stream of an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioTerms {
    /// Codec.
    pub codec: AudioCodec,
    /// Channels.
    pub channels_max: u32,
    /// Bits a second and channel, where it is encoded.
    pub channel_bps: u64,
}

/// What an output is: container, streams, longest duration and largest size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contract {
    /// File format.
    pub container: Container,
    /// Video stream; `None` for none.
    pub video: Option<VideoTerms>,
    /// Audio stream, where the source has one; `None` for none.
    pub audio: Option<AudioTerms>,
    /// Longer sources are cut, microseconds.
    pub duration_us_max: Option<i64>,
    /// Bytes of the whole file.
    pub size_bytes_max: Option<u64>,
    /// A result below this share of `size_bytes_max` is tried again with more bits, 0..=1.
    pub size_share_min: f64,
}

const PLAY_VIDEO: VideoTerms = VideoTerms {
    codec: VideoCodec::H264,
    frame: within(1920, 1920),
    fps_max: 60,
    alpha: false,
    copies: true,
};

const PLAY_AUDIO: AudioTerms = AudioTerms {
    codec: AudioCodec::Aac,
    channels_max: 2,
    channel_bps: 80_000,
};

const PLAY: Contract = Contract {
    container: Container::Mp4,
    video: Some(PLAY_VIDEO),
    audio: Some(PLAY_AUDIO),
    duration_us_max: None,
    size_bytes_max: None,
    size_share_min: 0.0,
};

/// Telegram's limits of video stickers: 3 s, 30 fps, 256 KiB, one side 512 (core.telegram.org/stickers).
const STICKER: Contract = Contract {
    container: Container::WebM,
    video: Some(VideoTerms {
        codec: VideoCodec::Vp9,
        frame: Frame::LongEdge { edge: 512 },
        fps_max: 30,
        alpha: true,
        copies: false,
    }),
    audio: None,
    duration_us_max: Some(3_000_000),
    size_bytes_max: Some(256 << 10),
    // What fits is good; half of it would be a waste of what is allowed.
    size_share_min: 0.5,
};

/// What Telegram takes for a voice message: Opus in Ogg (core.telegram.org/bots/api, sendVoice).
const VOICE: Contract = Contract {
    container: Container::Ogg,
    video: None,
    audio: Some(AudioTerms {
        codec: AudioCodec::Opus,
        channels_max: 1,
        channel_bps: 40_000,
    }),
    duration_us_max: None,
    size_bytes_max: None,
    size_share_min: 0.0,
};

const fn within(long_edge_max: u32, short_edge_max: u32) -> Frame {
    Frame::Within {
        long_edge_max,
        short_edge_max,
    }
}

impl Contract {
    fn with_video(self, terms: VideoTerms) -> Self {
        Self {
            video: Some(terms),
            ..self
        }
    }

    fn with_channel_bps(self, channel_bps: u64) -> Self {
        let audio = self.audio.map(|terms| AudioTerms { channel_bps, ..terms });
        Self { audio, ..self }
    }
}

impl Preset {
    /// One of each, in the order in which they are explained; `fit` with the limit of the cloud Bot API.
    pub const EACH: [Self; 12] = [
        Self::Play,
        Self::Small,
        Self::Fit { size_bytes: 50_000_000 },
        Self::Best,
        Self::Hevc,
        Self::Av1,
        Self::Audio,
        Self::Voice,
        Self::Note,
        Self::Gif,
        Self::Sticker,
        Self::Sheet,
    ];

    /// What the output is.
    #[must_use]
    pub fn contract(self) -> Contract {
        match self {
            Self::Play => PLAY,
            Self::Small => PLAY
                .with_video(VideoTerms {
                    frame: within(1920, 720),
                    copies: false,
                    ..PLAY_VIDEO
                })
                .with_channel_bps(48_000),
            Self::Fit { size_bytes } => Contract {
                size_bytes_max: Some(size_bytes),
                size_share_min: 0.97,
                ..PLAY
            },
            Self::Best => PLAY
                .with_video(VideoTerms {
                    frame: within(3840, 3840),
                    ..PLAY_VIDEO
                })
                .with_channel_bps(112_000),
            Self::Hevc => PLAY.with_video(VideoTerms {
                codec: VideoCodec::Hevc,
                ..PLAY_VIDEO
            }),
            Self::Av1 => PLAY.with_video(VideoTerms {
                codec: VideoCodec::Av1,
                ..PLAY_VIDEO
            }),
            Self::Audio => Contract {
                container: Container::M4a,
                video: None,
                ..PLAY
            },
            Self::Voice => VOICE,
            Self::Note => Contract {
                duration_us_max: Some(60_000_000),
                ..PLAY.with_video(VideoTerms {
                    frame: Frame::Square {
                        edge_min: 384,
                        edge_max: 640,
                    },
                    ..PLAY_VIDEO
                })
            },
            Self::Gif => Contract { audio: None, ..PLAY },
            Self::Sticker => STICKER,
            Self::Sheet => Contract {
                container: Container::Jpeg,
                audio: None,
                ..PLAY
            },
        }
    }

    /// The usual ending of a file's name, without the dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self.contract().container {
            Container::Mp4 => "mp4",
            Container::M4a => "m4a",
            Container::Ogg => "ogg",
            Container::WebM => "webm",
            Container::Jpeg => "jpg",
        }
    }
}

/// A preset that kadr does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown preset `{given}` (known: play, small, fit:SIZE, best, hevc, av1, audio, voice, note, gif, sticker, sheet)"
)]
pub struct UnknownPreset {
    /// As it was given.
    pub given: String,
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Play => "play",
            Self::Small => "small",
            Self::Fit { size_bytes } => return write!(f, "fit:{}", size_text(*size_bytes)),
            Self::Best => "best",
            Self::Hevc => "hevc",
            Self::Av1 => "av1",
            Self::Audio => "audio",
            Self::Voice => "voice",
            Self::Note => "note",
            Self::Gif => "gif",
            Self::Sticker => "sticker",
            Self::Sheet => "sheet",
        })
    }
}

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "play" => Self::Play,
            "small" => Self::Small,
            "best" => Self::Best,
            "hevc" => Self::Hevc,
            "av1" => Self::Av1,
            "audio" => Self::Audio,
            "voice" => Self::Voice,
            "note" => Self::Note,
            "gif" => Self::Gif,
            "sticker" => Self::Sticker,
            "sheet" => Self::Sheet,
            _ => {
                let size_bytes = text.strip_prefix("fit:").and_then(parse_size);
                let size_bytes = size_bytes.ok_or_else(|| UnknownPreset { given: text.to_owned() })?;
                Self::Fit { size_bytes }
            }
        })
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
