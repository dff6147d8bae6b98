//! What a conversion did, for a terminal, a log and a caption alike.

use std::fmt;
use std::path::PathBuf;

use super::look::Look;

/// How the output came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Every stream copied.
    Remux,
    /// One stream copied, another encoded.
    Partial,
    /// Every stream encoded.
    Transcode,
}

/// What happened to one kind of stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Packets copied as they were.
    Copy,
    /// Decoded and encoded.
    Encode,
    /// Not in the output.
    None,
}

impl Action {
    /// As reports say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Encode => "encode",
            Self::None => "none",
        }
    }
}

/// Something the user should know of an output that is otherwise right.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "warning", rename_all = "snake_case")]
pub enum Warning {
    /// Part of the source could not be decoded.
    Damaged {
        /// How much is missing, per cent of the frames or of the duration, at least 1.
        lost_percent: u8,
        /// Video frames that are missing, where they could be counted.
        #[serde(default)]
        frames_lost: u64,
        /// Packets and pictures that a decoder found faults in.
        #[serde(default)]
        decode_errors: u64,
    },
    /// The sound could not be decoded, so the output is silent.
    SilentTrack,
    /// Only the beginning is kept: the preset has a longest duration.
    Cut {
        /// What is kept, seconds.
        kept_s: u64,
    },
    /// Streams of the source that are not in the output.
    Dropped {
        /// `audio`, `subtitle`, `video`, `data` or `attachment`.
        kind: String,
        /// How many.
        count: u32,
    },
    /// High dynamic range was mapped to BT.709.
    ToneMapped,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { lost_percent, .. } => write!(f, "damaged: {lost_percent} % of it could not be decoded"),
            Self::SilentTrack => f.write_str("the sound could not be decoded and is left out"),
            Self::Cut { kept_s } => write!(f, "only the first {kept_s} s are kept"),
            Self::Dropped { kind, count: 1 } => write!(f, "one {kind} stream is left out"),
            Self::Dropped { kind, count } => write!(f, "{count} {kind} streams are left out"),
            Self::ToneMapped => f.write_str("high dynamic range is mapped to BT.709"),
        }
    }
}

/// A way of the plan that failed on a device, so that the next one was taken from the beginning.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fallback {
    /// What was tried: `cuda:0`, `upload:0` or `hybrid:0`.
    pub rung: String,
    /// Its CUDA ordinal.
    pub gpu: u32,
    /// The name of the cause, `unknown` where none is known.
    pub cause: String,
    /// What the engine said.
    pub said: String,
}

/// The account of one conversion. Serialises to the last line of `kadr convert --json`.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Report {
    /// The source.
    pub input: PathBuf,
    /// The result.
    pub output: PathBuf,
    /// How.
    pub mode: Mode,
    /// `none` when nothing was encoded, else `cpu`, `cuda:N` or `hybrid:N`.
    pub device: String,
    /// The video stream.
    pub video: Action,
    /// The audio stream.
    pub audio: Action,
    /// Why, in words: `video copied: H.264 High 4.0, 8-bit 4:2:0`.
    pub reasons: Vec<String>,
    /// What the user should know.
    pub warnings: Vec<Warning>,
    /// Ways that failed on a device before this one.
    #[serde(default)]
    pub fallbacks: Vec<Fallback>,
    /// Times that it was encoded until its size was right; 1 where none was asked for.
    #[serde(default)]
    pub attempts: u32,
    /// Segments that were encoded at once; 1 where it was not split.
    #[serde(default = "one")]
    pub segments: u32,
    /// Video frames in the output.
    pub frames: u64,
    /// Of the output, seconds, from the re-opened file.
    pub duration_s: f64,
    /// Displayed width of the output, pixels; 0 without video.
    pub width: u32,
    /// Displayed height of the output, pixels; 0 without video.
    pub height: u32,
    /// Time taken, seconds.
    pub wall_s: f64,
    /// Processor time taken by the whole process meanwhile, seconds.
    pub cpu_s: f64,
    /// From the request to the first packet in the output, seconds; `None` for a picture.
    #[serde(default)]
    pub first_packet_s: Option<f64>,
    /// Cores that the whole process kept busy from the first picture at the encoder to its last packet; `None` where no
    /// picture was encoded, or in segments.
    #[serde(default)]
    pub encode_cores_busy: Option<f64>,
    /// When that began and ended, seconds from the request.
    #[serde(default)]
    pub encoded_s: Option<[f64; 2]>,
    /// When the encoder gave its first packet and had its last picture, seconds from the request: meanwhile it was full. `None`
    /// where all pictures came first.
    #[serde(default)]
    pub encoder_full_s: Option<[f64; 2]>,
    /// Time that the plan was expected to take, seconds; see [`forecast`](super::forecast).
    #[serde(skip)]
    pub expected_s: f64,
    /// Size of the source, bytes.
    pub in_bytes: u64,
    /// Size of the result, bytes.
    pub out_bytes: u64,
    /// What the source was; not in the line, which `kadr probe` gives in full.
    #[serde(skip)]
    pub look: Option<Look>,
}

fn one() -> u32 {
    1
}
