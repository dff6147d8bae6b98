//! (MediaInfo, Recipe, Caps) -> ways to do it, best first, each with its reasons. Pure.
//!
//! Copy before convert: each stream that already meets the preset's contract is copied on its own. What can be found
//! out only while running (parameters that change in mid-stream, a copy that is too large) makes the engine take the
//! next way, so a way that copies is followed by one that converts. The CPU way is last and always there. A `Plan` is
//! data; `transcode` does what it says, `verify` holds the output against it.

mod audio;
mod fit;
mod ladder;
mod video;
mod words;

pub(in crate::media) use self::fit::{AIM, RATE_BPS_MAX};
pub(in crate::media) use self::ladder::detour;

use std::fmt;

use super::device::{Caps, Filters};
use super::error::Refusal;
use super::info::{Colour, MediaInfo, Orientation, Rational};
use super::preset::{AudioCodec, Container, Contract, Preset, VideoCodec};
use super::recipe::{Recipe, Trim};
use super::report::{Action, Mode, Warning};

/// Which engine does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// Nothing is decoded.
    None,
    /// Everything on the GPU: NVDEC, CUDA filters, NVENC.
    Cuda {
        /// CUDA ordinal.
        gpu: u32,
    },
    /// Decoded in software, uploaded, NVENC.
    Upload {
        /// CUDA ordinal.
        gpu: u32,
    },
    /// NVDEC and scaling on the GPU, encoded on the CPU.
    Hybrid {
        /// CUDA ordinal.
        gpu: u32,
    },
    /// Everything on the CPU.
    Cpu,
}

impl Rung {
    /// As logs and metrics name it; `Display` names the device.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Upload { gpu } => format!("upload:{gpu}"),
            other => other.to_string(),
        }
    }

    /// The GPU that takes part.
    #[must_use]
    pub fn gpu(self) -> Option<u32> {
        match self {
            Self::Cuda { gpu } | Self::Upload { gpu } | Self::Hybrid { gpu } => Some(gpu),
            Self::None | Self::Cpu => None,
        }
    }

    /// Whether NVDEC decodes.
    #[must_use]
    pub fn decodes_on_gpu(self) -> bool {
        matches!(self, Self::Cuda { .. } | Self::Hybrid { .. })
    }

    /// Whether NVENC encodes.
    #[must_use]
    pub fn encodes_on_gpu(self) -> bool {
        matches!(self, Self::Cuda { .. } | Self::Upload { .. })
    }
}

/// What becomes of transparency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpha {
    /// There is none.
    None,
    /// Composited on black.
    OnBlack,
    /// Kept.
    Kept,
}

/// What happens to the pictures between decoder and encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Upright output size, pixels, even.
    pub width: u32,
    /// Upright output size, pixels, even.
    pub height: u32,
    /// Upright size before the middle is cut out of it, pixels, even; the output size where nothing is cut.
    pub scaled: (u32, u32),
    /// How they are turned, after scaling.
    pub orientation: Orientation,
    /// Deinterlace the frames that are flagged.
    pub deinterlace: bool,
    /// Map high dynamic range, or wide colour, to BT.709.
    pub to_bt709: bool,
    /// Brightest light of the source, cd/m2, where it says so.
    pub peak_nits: Option<u32>,
    /// Transparency.
    pub alpha: Alpha,
    /// Whether that alpha is a second stream, which only one decoder reads.
    pub alpha_side_stream: bool,
    /// Frames a second of the source; 0 where it does not say.
    pub source_fps: f64,
    /// Frames a second are held to this.
    pub fps_max: Option<u32>,
    /// Colour of the source, completed where it was not tagged.
    pub source: Colour,
    /// Colour of the output; its tags.
    pub colour: Colour,
}

/// How bits are spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// As many as this quality takes, on the encoder's own scale.
    Quality {
        /// Constant rate factor.
        crf: u8,
    },
    /// This many, found in two passes where the encoder has them.
    Bits {
        /// Bits a second.
        bps: u64,
    },
}

/// How video is encoded.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoEncode {
    /// The pictures.
    pub picture: Picture,
    /// Codec.
    pub codec: VideoCodec,
    /// Bits.
    pub rate: Rate,
    /// The encoder's speed preset.
    pub speed: &'static str,
    /// Key frames are at most so many frames apart.
    pub gop: u32,
    /// For rate control and the last frame's duration.
    pub frame_rate: Rational,
}

/// What becomes of the video stream.
#[derive(Clone, Debug, PartialEq)]
pub enum VideoWay {
    /// Copied.
    Copy {
        /// Colour that is written into an H.264 stream that does not say its own.
        tags: Option<Colour>,
    },
    /// Encoded.
    Encode(Box<VideoEncode>),
}

/// What becomes of the audio stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioWay {
    /// Copied.
    Copy,
    /// Encoded.
    Encode {
        /// Codec.
        codec: AudioCodec,
        /// Hertz.
        sample_rate: u32,
        /// 1 or 2.
        channels: u32,
        /// Bits a second.
        bit_rate_bps: u64,
    },
}

/// One way to make the output.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What the output is.
    pub contract: Contract,
    /// Which engine.
    pub rung: Rung,
    /// What its GPU filters, where one takes part.
    pub filters: Filters,
    /// The GPU's encoding engines, where one takes part and they are known.
    pub encode_engines: Option<u32>,
    /// Stream of the input and what becomes of it.
    pub video: Option<(usize, VideoWay)>,
    /// Stream of the input and what becomes of it.
    pub audio: Option<(usize, AudioWay)>,
    /// The part of the source that is kept, on its clock from 0.
    pub cut: Option<Trim>,
    /// Why it is this way, in words.
    pub reasons: Vec<String>,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

impl Plan {
    /// How much is copied.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match (self.video_action(), self.audio_action()) {
            (Action::Encode, Action::Copy) | (Action::Copy, Action::Encode) => Mode::Partial,
            (Action::Encode, _) | (_, Action::Encode) => Mode::Transcode,
            _ => Mode::Remux,
        }
    }

    /// What happens to the video stream.
    #[must_use]
    pub fn video_action(&self) -> Action {
        match &self.video {
            None => Action::None,
            Some((_, VideoWay::Copy { .. })) => Action::Copy,
            Some((_, VideoWay::Encode(_))) => Action::Encode,
        }
    }

    /// What happens to the audio stream.
    #[must_use]
    pub fn audio_action(&self) -> Action {
        match &self.audio {
            None => Action::None,
            Some((_, AudioWay::Copy)) => Action::Copy,
            Some((_, AudioWay::Encode { .. })) => Action::Encode,
        }
    }

    /// How video is encoded, where it is.
    #[must_use]
    pub fn encode(&self) -> Option<&VideoEncode> {
        match &self.video {
            Some((_, VideoWay::Encode(encode))) => Some(encode),
            _ => None,
        }
    }

    /// The video's rate, bits a second; 0 where it has none.
    pub(super) fn rate_bps(&self) -> u64 {
        match self.encode().map(|encode| encode.rate) {
            Some(Rate::Bits { bps }) => bps,
            _ => 0,
        }
    }

    /// Sets the video's rate, where it is encoded.
    pub(super) fn set_rate(&mut self, bps: u64) {
        if let Some((_, VideoWay::Encode(encode))) = &mut self.video {
            encode.rate = Rate::Bits { bps };
        }
    }

    /// Length of the part that is kept, microseconds; `None` for all that follows its beginning.
    pub(super) fn kept_us(&self) -> Option<i64> {
        self.cut.and_then(|cut| Some(cut.to_us? - cut.from_us))
    }

    /// Length of the output as far as the source's is known, microseconds.
    #[must_use]
    pub fn duration_us(&self, info: &MediaInfo) -> Option<i64> {
        match self.cut {
            None => info.duration_us,
            Some(cut) => {
                let end_us = [cut.to_us, info.duration_us].into_iter().flatten().min()?;
                Some((end_us - cut.from_us).max(0))
            }
        }
    }
}

/// The ways, best first, the CPU last, never empty.
///
/// # Errors
/// [`Refusal::NoStream`] where the preset wants a stream that the file does not have, [`Refusal::NoEncoder`] where
/// this FFmpeg cannot write its codec, [`Refusal::CutOutside`] where the part lies beyond the end, and
/// [`Refusal::SizeUnreachable`] where no watchable quality fits.
pub fn plan(info: &MediaInfo, recipe: &Recipe, caps: &Caps) -> Result<Vec<Plan>, Refusal> {
    let contract = recipe.preset.contract();
    let cut = cut_of(info, recipe, &contract)?;
    let video = match contract.video {
        Some(_) => info.video.zip(info.video()),
        None => None,
    };
    let audio = match contract.audio {
        Some(_) if !recipe.mute => audio::choose(info, recipe)?,
        _ => None,
    };
    check_streams(recipe, video.is_some(), audio.is_some())?;
    check_encoders(recipe, &contract, (video.is_some(), audio.is_some()), caps)?;

    let draft = Draft {
        info,
        recipe,
        contract,
        cut,
    };
    // An encoder may be there and not for this picture: NVENC has a smallest size.
    let climb = |way: &Plan| match video {
        Some((_, video)) if contract.container != Container::Jpeg => {
            let ways = ladder::climb(way, video, recipe.preset, caps);
            if ways.is_empty() {
                Err(no_encoder(&contract))
            } else {
                Ok(ways)
            }
        }
        _ => Ok(vec![way.clone()]),
    };
    let first = draft.way(video, audio, true)?;
    if first.video_action() != Action::Copy {
        return climb(&first);
    }
    let mut ways = vec![first];
    if let Ok(encoding) = draft.way(video, audio, false) {
        ways.append(&mut climb(&encoding)?);
    }
    Ok(ways)
}

/// What every way of one request shares.
struct Draft<'a> {
    info: &'a MediaInfo,
    recipe: &'a Recipe,
    contract: Contract,
    cut: Option<Trim>,
}

impl Draft<'_> {
    fn way(
        &self,
        video: Option<(usize, &super::info::Video)>,
        audio: Option<(usize, &super::info::Audio)>,
        may_copy: bool,
    ) -> Result<Plan, Refusal> {
        let mut reasons = Vec::new();
        let mut audio_way = audio.map(|(index, audio)| (index, audio::way(self, audio, video.is_some(), &mut reasons)));
        let mut video_reasons = Vec::new();
        let mut video_way = video.map(|(index, video)| (index, video::way(self, video, may_copy, &mut video_reasons)));
        if let (Some((_, VideoWay::Encode(encode))), Preset::Fit { size_bytes }) = (&mut video_way, self.recipe.preset)
        {
            let budget = fit::budget(self, size_bytes, encode, audio.map(|(_, audio)| audio))?;
            budget.apply(encode, &mut audio_way, &mut video_reasons);
        }
        video_reasons.append(&mut reasons);
        let copied = !matches!(video_way, Some((_, VideoWay::Encode(_))))
            && !matches!(audio_way, Some((_, AudioWay::Encode { .. })));
        Ok(Plan {
            contract: self.contract,
            rung: if copied { Rung::None } else { Rung::Cpu },
            filters: Filters::default(),
            encode_engines: None,
            warnings: words::warnings(self, video_way.as_ref(), audio_way.is_some()),
            video: video_way,
            audio: audio_way,
            cut: self.cut,
            reasons: video_reasons,
        })
    }
}

/// The part that is asked for, held to the longest that the preset allows.
fn cut_of(info: &MediaInfo, recipe: &Recipe, contract: &Contract) -> Result<Option<Trim>, Refusal> {
    let mut cut = recipe.trim;
    if let (Some(cut), Some(duration_us)) = (cut, info.duration_us)
        && cut.from_us >= duration_us
    {
        return Err(Refusal::CutOutside {
            from_s: cut.from_us.unsigned_abs() / 1_000_000,
            duration_s: duration_us.unsigned_abs() / 1_000_000,
        });
    }
    if let Some(max_us) = contract.duration_us_max {
        let from_us = cut.map_or(0, |cut| cut.from_us);
        let end_us = [cut.and_then(|cut| cut.to_us), info.duration_us]
            .into_iter()
            .flatten()
            .min();
        if end_us.is_none_or(|end_us| end_us - from_us > max_us) {
            cut = Some(Trim {
                from_us,
                to_us: Some(from_us + max_us),
            });
        }
    }
    Ok(cut)
}

/// A video preset is glad of sound alone where its file may hold it; pictures it cannot do without elsewhere.
fn check_streams(recipe: &Recipe, video: bool, audio: bool) -> Result<(), Refusal> {
    let wanted = match recipe.preset {
        Preset::Audio | Preset::Voice => (!audio).then_some("audio"),
        Preset::Note | Preset::Gif | Preset::Sticker | Preset::Sheet => (!video).then_some("video"),
        Preset::Play | Preset::Small | Preset::Fit { .. } | Preset::Best | Preset::Hevc | Preset::Av1 => {
            (!video && !audio).then_some(if recipe.mute { "video" } else { "video or audio" })
        }
    };
    match wanted {
        None => Ok(()),
        Some(wanted) => Err(Refusal::NoStream {
            wanted: wanted.to_owned(),
        }),
    }
}

/// A copy needs no encoder, but a copy may turn out to be none: the promise is made only where it can be kept.
fn check_encoders(
    recipe: &Recipe,
    contract: &Contract,
    (video, audio): (bool, bool),
    caps: &Caps,
) -> Result<(), Refusal> {
    match contract.audio {
        _ if video && contract.container != Container::Jpeg && !ladder::can_encode(caps, recipe.preset) => {
            Err(no_encoder(contract))
        }
        Some(terms) if audio && !caps.software.audio(terms.codec) => Err(Refusal::NoEncoder {
            codec: words::audio_codec_name(terms.codec).to_owned(),
        }),
        _ => Ok(()),
    }
}

fn no_encoder(contract: &Contract) -> Refusal {
    Refusal::NoEncoder {
        codec: contract
            .video
            .map_or("video", |terms| words::codec_name(terms.codec))
            .to_owned(),
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "none"),
            Self::Cuda { gpu } | Self::Upload { gpu } => write!(f, "cuda:{gpu}"),
            Self::Hybrid { gpu } => write!(f, "hybrid:{gpu}"),
            Self::Cpu => write!(f, "cpu"),
        }
    }
}
