//! What a file is, as far as a plan needs to know. Filled by `probe`, read by everyone; plain data.

use std::fmt;

use ffmpeg_next::ffi::AVRational;
use serde::Serialize;

use super::recipe::Turn;

/// A fraction as libav writes time bases and rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rational {
    /// Numerator.
    pub num: i32,
    /// Denominator.
    pub den: i32,
}

impl Rational {
    /// Microseconds.
    pub const MICROS: Self = Self { num: 1, den: 1_000_000 };

    /// The value, or 0 where it has none.
    #[must_use]
    pub fn value(self) -> f64 {
        if self.num > 0 && self.den > 0 {
            f64::from(self.num) / f64::from(self.den)
        } else {
            0.0
        }
    }

    /// `time` of this time base in another one, rounded to nearest.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "clamped to the range before")]
    pub fn rescale(self, time: i64, to: Self) -> i64 {
        let num = i128::from(time) * i128::from(self.num) * i128::from(to.den);
        let den = i128::from(self.den).max(1) * i128::from(to.num).max(1);
        let half = if num < 0 { -den / 2 } else { den / 2 };
        ((num + half) / den).clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }
}

impl From<AVRational> for Rational {
    fn from(raw: AVRational) -> Self {
        Self {
            num: raw.num,
            den: raw.den,
        }
    }
}

impl From<Rational> for AVRational {
    fn from(rational: Rational) -> Self {
        Self {
            num: rational.num,
            den: rational.den.max(1),
        }
    }
}

/// How the decoded picture must be turned to stand upright.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Orientation {
    /// Not at all.
    #[default]
    Upright,
    /// 90 degrees clockwise.
    Clockwise,
    /// 180 degrees.
    HalfTurn,
    /// 90 degrees counter-clockwise.
    CounterClockwise,
    /// Mirrored left to right.
    MirrorHorizontal,
    /// Mirrored top to bottom.
    MirrorVertical,
    /// Mirrored on the main diagonal.
    Transpose,
    /// Mirrored on the other diagonal.
    AntiTranspose,
}

impl Orientation {
    /// Reads a display matrix (ISO 14496-12 `tkhd`, 16.16 fixed point); odd angles go to the nearest quarter turn.
    #[must_use]
    pub fn of_matrix(matrix: &[i32; 9]) -> Self {
        let (a, b, c, d) = (matrix[0], matrix[1], matrix[3], matrix[4]);
        let (a, b, c, d) = (i64::from(a), i64::from(b), i64::from(c), i64::from(d));
        if a.abs() + d.abs() >= b.abs() + c.abs() {
            match (a < 0, d < 0) {
                (false, false) => Self::Upright,
                (true, true) => Self::HalfTurn,
                (true, false) => Self::MirrorHorizontal,
                (false, true) => Self::MirrorVertical,
            }
        } else {
            match (b < 0, c < 0) {
                (false, true) => Self::Clockwise,
                (true, false) => Self::CounterClockwise,
                (false, false) => Self::Transpose,
                (true, true) => Self::AntiTranspose,
            }
        }
    }

    /// This, and then a turn clockwise.
    #[must_use]
    pub fn then(self, turn: Turn) -> Self {
        let quarter = |orientation: Self| match orientation {
            Self::Upright => Self::Clockwise,
            Self::Clockwise => Self::HalfTurn,
            Self::HalfTurn => Self::CounterClockwise,
            Self::CounterClockwise => Self::Upright,
            Self::MirrorHorizontal => Self::AntiTranspose,
            Self::AntiTranspose => Self::MirrorVertical,
            Self::MirrorVertical => Self::Transpose,
            Self::Transpose => Self::MirrorHorizontal,
        };
        (0..turn.degrees() / 90).fold(self, |orientation, _| quarter(orientation))
    }

    /// Whether width and height change places.
    #[must_use]
    pub fn swaps_sides(self) -> bool {
        matches!(
            self,
            Self::Clockwise | Self::CounterClockwise | Self::Transpose | Self::AntiTranspose
        )
    }
}

/// Colour description by the code points of ITU-T H.273.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Colour {
    /// MatrixCoefficients.
    pub matrix: i32,
    /// TransferCharacteristics.
    pub transfer: i32,
    /// ColourPrimaries.
    pub primaries: i32,
    /// Whether black is 0 and white is 255 rather than 16 and 235.
    pub full_range: bool,
}

impl Colour {
    /// BT.709, limited range.
    pub const BT709: Self = Self {
        matrix: 1,
        transfer: 1,
        primaries: 1,
        full_range: false,
    };
    /// SMPTE ST 2084 (PQ).
    pub const PQ: i32 = 16;
    /// ARIB STD-B67 (HLG).
    pub const HLG: i32 = 18;

    /// Whether the transfer function, and nothing else, says high dynamic range.
    #[must_use]
    pub fn is_hdr(&self) -> bool {
        self.transfer == Self::PQ || self.transfer == Self::HLG
    }

    /// Whether primaries or matrix are of BT.2020.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        self.primaries == 9 || matches!(self.matrix, 9 | 10)
    }
}

/// A video stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Video {
    /// Codec by libav's name.
    pub codec: String,
    /// Profile in words; empty where unknown.
    pub profile: String,
    /// H.264: ten times the level; other codecs have numbers of their own.
    pub level: i32,
    /// Coded size, pixels.
    pub width: u32,
    /// Coded size, pixels.
    pub height: u32,
    /// Sample aspect ratio; 0/1 or 1/1 are square.
    pub sar: Rational,
    /// How it must be turned.
    pub orientation: Orientation,
    /// Frames a second, the believable one of libav's estimates; 0 where unknown.
    pub fps: f64,
    /// Pixel format by libav's name.
    pub pixel_format: String,
    /// Bits a sample.
    pub bits: u8,
    /// Whether chroma is sampled 4:2:0.
    pub chroma_420: bool,
    /// Whether it has an alpha plane or a second stream with one.
    pub alpha: bool,
    /// Whether that alpha is a second stream, as WebM has it.
    pub alpha_side_stream: bool,
    /// RGB or a palette.
    pub rgb: bool,
    /// Colour as tagged; 2 is unspecified.
    pub colour: Colour,
    /// Whether the stream says which range it uses.
    pub colour_range_said: bool,
    /// Whether the container says interlaced, or does not say that it is not.
    pub maybe_interlaced: bool,
    /// Whether it says interlaced.
    pub interlaced: bool,
    /// Brightest light, cd/m2, where the container says so.
    pub peak_nits: Option<u32>,
    /// Dolby Vision profile.
    pub dolby_vision: Option<u8>,
    /// Frames promised by the container; 0 where it does not say.
    pub frames: u64,
    /// Whether the first packet is a key frame that is shown.
    pub starts_on_key: bool,
    /// Whether packets carry presentation times.
    pub has_pts: bool,
}

/// An audio stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Audio {
    /// Codec by libav's name.
    pub codec: String,
    /// Profile in words; empty where unknown.
    pub profile: String,
    /// Hertz.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u32,
    /// Bits a second; 0 where unknown.
    pub bit_rate_bps: u64,
}

/// What a stream holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Kind {
    /// Moving pictures.
    Video(Video),
    /// Sound.
    Audio(Audio),
    /// A still picture that belongs to the file, such as an album cover.
    Cover,
    /// Text or pictures to be shown over the video.
    Subtitle,
    /// Anything else.
    Data,
}

/// One stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stream {
    /// Its number in the file.
    pub index: usize,
    /// Codec by libav's name.
    pub codec: String,
    /// What it holds.
    #[serde(flatten)]
    pub kind: Kind,
    /// Whether the container marks it as the default.
    pub default: bool,
    /// Whether this build offers a decoder.
    pub decodable: bool,
    /// ISO 639-2 code, where the container says one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// First presentation time, microseconds; 0 where unknown.
    pub start_us: i64,
}

/// A probed file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MediaInfo {
    /// The demuxer's names.
    pub container: String,
    /// Bytes.
    pub size_bytes: u64,
    /// Microseconds: what the container says where it can be believed, else measured.
    pub duration_us: Option<i64>,
    /// Whether times may jump in the middle, as in broadcasts and on discs.
    pub discontinuous: bool,
    /// Whether streams were found only by looking far into the file.
    #[serde(skip)]
    pub late_streams: bool,
    /// All streams.
    pub streams: Vec<Stream>,
    /// The video stream to convert, as an index of `streams`.
    pub video: Option<usize>,
    /// The audio stream to convert, as an index of `streams`.
    pub audio: Option<usize>,
}

impl Video {
    /// Codec, profile and, for H.264, level in the words of people: `H.264 High 4.0`.
    #[must_use]
    pub fn title(&self) -> String {
        let codec = codec_title(&self.codec);
        match (self.codec.as_str(), self.profile.as_str()) {
            ("h264", profile) if self.level > 0 => {
                format!("{codec} {profile} {:.1}", f64::from(self.level) / 10.0)
            }
            (_, "") => codec.to_owned(),
            (_, profile) => format!("{codec} {profile}"),
        }
    }
}

impl Audio {
    /// Codec and, for AAC, profile in the words of people: `AAC-LC`.
    #[must_use]
    pub fn title(&self) -> String {
        match (self.codec.as_str(), self.profile.as_str()) {
            ("aac", "LC") => "AAC-LC".to_owned(),
            ("aac", profile) if !profile.is_empty() => format!("AAC {profile}"),
            ("dts", profile) if !profile.is_empty() => profile.to_owned(),
            (codec, _) => codec_title(codec).to_owned(),
        }
    }
}

/// The name that people know a codec by; libav's own where it is that.
fn codec_title(name: &str) -> &str {
    match name {
        "h264" => "H.264",
        "hevc" => "HEVC",
        "av1" => "AV1",
        "vp8" => "VP8",
        "vp9" => "VP9",
        "mpeg1video" => "MPEG-1",
        "mpeg2video" => "MPEG-2",
        "mpeg4" => "MPEG-4",
        "h263" => "H.263",
        "theora" => "Theora",
        "cinepak" => "Cinepak",
        "gif" => "GIF",
        "mjpeg" => "Motion JPEG",
        "prores" => "ProRes",
        "aac" => "AAC",
        "ac3" => "AC-3",
        "eac3" => "E-AC-3",
        "mp2" => "MP2",
        "mp3" => "MP3",
        "opus" => "Opus",
        "vorbis" => "Vorbis",
        "flac" => "FLAC",
        "dts" => "DTS",
        name if name.starts_with("pcm_") => "PCM",
        name => name,
    }
}

impl Stream {
    /// Its sound, where it can be decoded.
    pub(super) fn usable_audio(&self) -> Option<&Audio> {
        match &self.kind {
            Kind::Audio(audio) if self.decodable && audio.sample_rate > 0 && audio.channels > 0 => Some(audio),
            _ => None,
        }
    }
}

/// The default track, the one in the person's language, the one with most channels, the one that was sampled most
/// often, the first.
pub(super) fn choose_audio(streams: &[Stream], language: Option<&str>) -> Option<usize> {
    streams
        .iter()
        .filter_map(|stream| stream.usable_audio().map(|audio| (stream, audio)))
        .max_by_key(|(stream, audio)| {
            let wanted = language.is_some() && stream.language.as_deref() == language;
            let first = std::cmp::Reverse(stream.index);
            (stream.default, wanted, audio.channels, audio.sample_rate, first)
        })
        .map(|(stream, _)| stream.index)
}

impl MediaInfo {
    /// The video stream to convert.
    #[must_use]
    pub fn video(&self) -> Option<&Video> {
        match &self.streams.get(self.video?)?.kind {
            Kind::Video(video) => Some(video),
            _ => None,
        }
    }

    /// The audio stream to convert.
    #[must_use]
    pub fn audio(&self) -> Option<&Audio> {
        match &self.streams.get(self.audio?)?.kind {
            Kind::Audio(audio) => Some(audio),
            _ => None,
        }
    }

    /// Whether the container is one of these, by libav's short names.
    #[must_use]
    pub fn is_container(&self, names: &[&str]) -> bool {
        self.container.split(',').any(|name| names.contains(&name))
    }
}

impl fmt::Display for MediaInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.container)?;
        if let Some(duration_us) = self.duration_us {
            #[expect(clippy::cast_precision_loss, reason = "shown with two decimals")]
            let duration_s = duration_us as f64 / 1e6;
            write!(f, ", {duration_s:.2} s")?;
        }
        write!(f, ", {} bytes", self.size_bytes)?;
        for stream in &self.streams {
            write!(f, "\n#{} {stream}", stream.index)?;
        }
        Ok(())
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Video(video) => {
                write!(
                    f,
                    "video {} {}x{} {} {:.2} fps",
                    video.title(),
                    video.width,
                    video.height,
                    video.pixel_format,
                    video.fps
                )?;
                if video.sar.num > 0 && video.sar.num != video.sar.den {
                    write!(f, " pixels {}:{}", video.sar.num, video.sar.den)?;
                }
                match (video.colour.transfer, video.dolby_vision) {
                    (_, Some(profile)) => write!(f, " Dolby Vision {profile}")?,
                    (Colour::PQ, None) => write!(f, " HDR10")?,
                    (Colour::HLG, None) => write!(f, " HLG")?,
                    _ => {}
                }
                if video.alpha {
                    write!(f, " transparent")?;
                }
                if video.orientation != Orientation::Upright {
                    write!(f, " turned ({:?})", video.orientation)?;
                }
                if video.interlaced {
                    write!(f, " interlaced")?;
                }
            }
            Kind::Audio(audio) => {
                write!(
                    f,
                    "audio {} {} Hz {} ch",
                    audio.title(),
                    audio.sample_rate,
                    audio.channels
                )?;
                if let Some(language) = &self.language {
                    write!(f, " {language}")?;
                }
            }
            Kind::Cover => write!(f, "cover {}", self.codec)?,
            Kind::Subtitle => write!(f, "subtitle {}", self.codec)?,
            Kind::Data => write!(f, "data {}", self.codec)?,
        }
        if matches!(self.kind, Kind::Video(_) | Kind::Audio(_)) && !self.decodable {
            write!(f, " (not decodable here)")?;
        }
        Ok(())
    }
}
