//! File -> MediaInfo, under every safety limit. Refuses what cannot become a video that plays.

use std::fs::File;
use std::path::Path;

use super::confine::{Confined, Openings, alone};
use super::control::Control;
use super::error::{MediaError, Refusal};
use super::ffi::{self, AvError, Decoder, FrameShape, Input, Packet, Patience, PixelFacts, StreamFacts};
use super::info::{Audio, Colour, Kind, MediaInfo, Orientation, Rational, Stream, Video, choose_audio};
use super::layers::{self, Layer};
use super::limits::Limits;
use super::sniff;
use super::structure;
use super::timeline::Timeline;

/// Packets that are looked at for the first one of the video stream.
const FIRST_PACKETS_MAX: usize = 400;
/// Packets of the video stream that are decoded for its first picture.
const FIRST_PICTURE_PACKETS_MAX: u32 = 40;
/// Codecs whose size and format libav always takes from the pictures' own headers.
const TOLD_BY_PICTURES: [&str; 2] = ["h264", "hevc"];
/// Below this rate a duration is a lie of the header (fragmented files): even silence in black takes more.
const BIT_RATE_BELIEVABLE_BPS: u64 = 500;

/// Reads what a file is.
///
/// # Errors
/// [`MediaError::Refused`] with the reason where it is not a video kadr takes.
pub fn probe(input: &Path, limits: &Limits, control: &Control) -> Result<MediaInfo, MediaError> {
    probe_and(input, limits, control, |_, _, _| Ok(())).map(|(info, ())| info)
}

/// What is read from its start: as the probe has opened it, or the file.
pub(super) enum Unread {
    Opened(Box<Input>),
    File(File),
}

impl Unread {
    /// A demuxer of it.
    pub(super) fn open(
        self,
        info: &MediaInfo,
        limits: &Limits,
        control: &Control,
        confined: &Confined,
    ) -> Result<Input, AvError> {
        match self {
            Self::Opened(input) => Ok(*input),
            Self::File(file) => Input::open_patiently(file, patience(info), limits, control, confined),
        }
    }
}

/// As [`probe`], and goes on with the file behind the same walls.
pub(super) fn probe_and<T: Send>(
    input: &Path,
    limits: &Limits,
    control: &Control,
    go_on: impl FnOnce(Unread, &MediaInfo, &Confined) -> Result<T, MediaError> + Send,
) -> Result<(MediaInfo, T), MediaError> {
    ffi::init();
    let (file, size_bytes) = open_file(input, limits)?;
    alone(limits.confine, Openings::default(), move |confined| {
        let (info, unread) = probe_file(file, size_bytes, limits, control, confined)?;
        let more = go_on(unread, &info, confined)?;
        Ok((info, more))
    })
}

/// As [`probe`], of an open file and behind walls that stand.
pub(super) fn probe_file(
    mut file: File,
    size_bytes: u64,
    limits: &Limits,
    control: &Control,
    confined: &Confined,
) -> Result<(MediaInfo, Unread), MediaError> {
    if Layer::Structure.stands() {
        let walked = structure::check(&mut file, limits)?;
        tracing::debug!(
            boxes = walked.boxes,
            bytes = walked.bytes_read,
            "the structure is sound"
        );
    }
    let (info, opened) = probe_opened(&file, size_bytes, limits, control, confined)?;
    let unread = match opened.if_at_the_start() {
        Some(opened) => Unread::Opened(Box::new(opened)),
        None => Unread::File(file),
    };
    Ok((info, unread))
}

fn probe_opened(
    file: &File,
    size_bytes: u64,
    limits: &Limits,
    control: &Control,
    confined: &Confined,
) -> Result<(MediaInfo, Input), MediaError> {
    let again = |doing: &'static str| file.try_clone().map_err(|source| MediaError::Io { doing, source });
    let (mut info, opened) = match probe_with(
        again("open the input")?,
        size_bytes,
        Patience::Usual,
        limits,
        control,
        confined,
    ) {
        // Broadcasts and discs may bring their pictures late.
        Ok((info, _)) if info.discontinuous && info.video.is_none() && is_large(size_bytes) => probe_with(
            again("open the input")?,
            size_bytes,
            Patience::Long,
            limits,
            control,
            confined,
        )?,
        Err(MediaError::Refused(Refusal::NotMedia)) => return Err(sniff::why(file).into()),
        outcome => outcome?,
    };
    if info.duration_us.is_none() {
        info.duration_us = measure(again("open the input")?, &info, limits, control, confined)?;
        check_limits(&info, limits)?;
    }
    control.check()?;
    Ok((info, opened))
}

/// How far the file was looked into: a second opening must find the same streams.
pub(super) fn patience(info: &MediaInfo) -> Patience {
    if info.late_streams {
        Patience::Long
    } else {
        Patience::Usual
    }
}

fn is_large(size_bytes: u64) -> bool {
    size_bytes > 5_000_000
}

fn probe_with(
    file: File,
    size_bytes: u64,
    patience: Patience,
    limits: &Limits,
    control: &Control,
    confined: &Confined,
) -> Result<(MediaInfo, Input), MediaError> {
    let mut demuxer =
        Input::open_patiently(file, patience, limits, control, confined).map_err(|error| refuse(error, control))?;
    let mut info = read_info(&mut demuxer, size_bytes, limits)?;
    info.late_streams = patience == Patience::Long;
    Ok((info, demuxer))
}

/// Reads to the end where the header does not say a length that can be believed; decodes nothing.
fn measure(
    file: File,
    info: &MediaInfo,
    limits: &Limits,
    control: &Control,
    confined: &Confined,
) -> Result<Option<i64>, MediaError> {
    let mut demuxer = Input::open_patiently(file, patience(info), limits, control, confined)
        .map_err(|error| refuse(error, control))?;
    let wanted: Vec<usize> = [info.video, info.audio].into_iter().flatten().collect();
    demuxer.keep_only(&wanted);
    let bases: Vec<Rational> = (0..demuxer.stream_count())
        .map(|index| demuxer.facts(index).time_base)
        .collect();
    let (mut first_us, mut end_us) = (i64::MAX, i64::MIN);
    let mut timeline = info.discontinuous.then(Timeline::default);
    let mut packets_left = limits.packets_max(u64::MAX);
    // A damaged tail ends the measure as it ends the conversion.
    while let Ok(Some(packet)) = demuxer.read() {
        control.check()?;
        packets_left = packets_left.checked_sub(1).ok_or_else(|| Refusal::OverLimit {
            what: "more packets than the longest film has".to_owned(),
        })?;
        let (Some(time), Some(base)) = (packet.pts().or(packet.dts()), bases.get(packet.stream())) else {
            continue;
        };
        let (mut time_us, duration_us) = (
            base.rescale(time, Rational::MICROS),
            base.rescale(packet.duration(), Rational::MICROS),
        );
        if let (Some(timeline), Some(dts)) = (&mut timeline, packet.dts()) {
            time_us += timeline.place(packet.stream(), base.rescale(dts, Rational::MICROS), duration_us);
        }
        first_us = first_us.min(time_us);
        end_us = end_us.max(time_us.saturating_add(duration_us.max(0)));
    }
    Ok((end_us > first_us).then(|| end_us - first_us))
}

/// Opens an input and checks its size.
pub(super) fn open_file(input: &Path, limits: &Limits) -> Result<(File, u64), MediaError> {
    let io = |source| MediaError::Io {
        doing: "open the input",
        source,
    };
    let file = File::open(input).map_err(io)?;
    layers::opened(input, &file);
    let size_bytes = file.metadata().map_err(io)?.len();
    if size_bytes == 0 {
        return Err(Refusal::NotMedia.into());
    }
    match limits.size_bytes_max {
        Some(limit_bytes) if size_bytes > limit_bytes => Err(Refusal::TooLarge {
            size_bytes,
            limit_bytes,
        }
        .into()),
        _ => Ok((file, size_bytes)),
    }
}

/// Why the opener gave up, in the words of a refusal.
pub(super) fn refuse(error: AvError, control: &Control) -> MediaError {
    if let Err(stopped) = control.check() {
        return stopped;
    }
    match error {
        AvError::NO_MEMORY => Refusal::OverLimit {
            what: "an index or a stream count larger than kadr accepts".to_owned(),
        }
        .into(),
        _ => Refusal::NotMedia.into(),
    }
}

fn read_info(demuxer: &mut Input, size_bytes: u64, limits: &Limits) -> Result<MediaInfo, MediaError> {
    let facts: Vec<StreamFacts> = (0..demuxer.stream_count()).map(|index| demuxer.facts(index)).collect();
    if let Some(one) = facts
        .iter()
        .find(|one| matches!(one.tag.as_str(), "encv" | "enca" | "drmi" | "drms"))
    {
        tracing::debug!(tag = one.tag, "encrypted");
        return Err(Refusal::Encrypted.into());
    }
    if facts.len() > limits.streams_max as usize {
        return Err(Refusal::TooManyStreams {
            limit: limits.streams_max,
        }
        .into());
    }
    let mut streams: Vec<Stream> = facts
        .iter()
        .enumerate()
        .map(|(index, facts)| stream_of(index, facts))
        .collect();
    let video = choose_video(&streams);
    let audio = choose_audio(&streams, None);
    if video.is_none() && audio.is_none() {
        let undecodable = streams
            .iter()
            .find(|stream| matches!(stream.kind, Kind::Video(_) | Kind::Audio(_)));
        return Err(match undecodable {
            Some(stream) => Refusal::Unsupported {
                what: stream.codec.clone(),
            }
            .into(),
            None => Refusal::NotMedia.into(),
        });
    }
    // A video that cannot be decoded beside sound that can: the user asked for the video.
    if video.is_none()
        && let Some(stream) = streams
            .iter()
            .find(|stream| matches!(&stream.kind, Kind::Video(v) if v.width > 0))
    {
        return Err(Refusal::Unsupported {
            what: stream.codec.clone(),
        }
        .into());
    }
    look_at_first_packets(demuxer, [video, audio], &mut streams, limits)?;
    forget_uncounted_frames(demuxer, &mut streams);
    let info = MediaInfo {
        container: demuxer.format_name(),
        size_bytes,
        duration_us: demuxer.duration_us().filter(|&us| believable(us, size_bytes)),
        discontinuous: demuxer.is_discontinuous(),
        late_streams: false,
        streams,
        video,
        audio,
    };
    check_limits(&info, limits)?;
    Ok(info)
}

/// Only MP4's sample tables count frames; AVI's header may name a number that nobody wrote.
fn forget_uncounted_frames(demuxer: &Input, streams: &mut [Stream]) {
    if demuxer.format_name().starts_with("mov") {
        return;
    }
    for stream in streams {
        if let Kind::Video(video) = &mut stream.kind {
            video.frames = 0;
        }
    }
}

fn believable(duration_us: i64, size_bytes: u64) -> bool {
    let duration_s = u64::try_from(duration_us / 1_000_000).unwrap_or(0).max(1);
    size_bytes.saturating_mul(8) / duration_s >= BIT_RATE_BELIEVABLE_BPS
}

fn check_limits(info: &MediaInfo, limits: &Limits) -> Result<(), Refusal> {
    if let Some(duration_us) = info.duration_us {
        let (duration_s, limit_s) = (duration_us.unsigned_abs() / 1_000_000, limits.duration_max.as_secs());
        if duration_s > limit_s {
            return Err(Refusal::TooLong { duration_s, limit_s });
        }
    }
    if let Some(video) = info.video() {
        if u64::from(video.width) * u64::from(video.height) > limits.pixels_max {
            return Err(Refusal::TooManyPixels {
                width: video.width,
                height: video.height,
                limit_px: limits.pixels_max,
            });
        }
        // Profile 5 has no base layer in a colour space that anything but Dolby's own mapping understands.
        if video.dolby_vision == Some(5) {
            return Err(Refusal::Unsupported {
                what: "Dolby Vision profile 5".to_owned(),
            });
        }
    }
    Ok(())
}

/// A track with less than this share of the frames of the fullest one is a still beside a film, per cent.
const STILL_PERCENT_MAX: u64 = 10;

/// The default picture that is neither a cover nor the still of a motion photo; the largest of several.
fn choose_video(streams: &[Stream]) -> Option<usize> {
    let usable = streams
        .iter()
        .filter(|stream| stream.decodable)
        .filter_map(|stream| match &stream.kind {
            Kind::Video(video) if video.width > 0 && video.height > 0 => Some((video, stream)),
            _ => None,
        });
    let fullest = usable.clone().map(|(video, _)| video.frames).max().unwrap_or(0);
    usable
        .filter(|(video, _)| video.frames == 0 || video.frames * 100 > fullest * STILL_PERCENT_MAX)
        .max_by_key(|(video, stream)| {
            let pixels = u64::from(video.width) * u64::from(video.height);
            (stream.default, pixels, std::cmp::Reverse(stream.index))
        })
        .map(|(_, stream)| stream.index)
}

fn stream_of(index: usize, facts: &StreamFacts) -> Stream {
    let kind = match facts.kind {
        "video" if facts.attached_picture => Kind::Cover,
        "video" => Kind::Video(video_of(facts)),
        "audio" => Kind::Audio(Audio {
            codec: facts.codec.clone(),
            profile: facts.profile_name.clone(),
            sample_rate: facts.sample_rate,
            channels: facts.channels,
            bit_rate_bps: facts.bit_rate_bps,
        }),
        "subtitle" => Kind::Subtitle,
        _ => Kind::Data,
    };
    // A codec that this libav has no name for is at least known by its container's mark.
    let codec = if facts.codec == "none" && !facts.tag.is_empty() {
        facts.tag.clone()
    } else {
        facts.codec.clone()
    };
    Stream {
        index,
        codec,
        kind,
        default: facts.default,
        decodable: facts.decodable,
        language: facts.language.clone(),
        start_us: facts
            .start
            .map_or(0, |start| facts.time_base.rescale(start, Rational::MICROS)),
    }
}

fn video_of(facts: &StreamFacts) -> Video {
    let pixel = ffi::pixel_facts(facts.format).unwrap_or(PixelFacts {
        bits: 8,
        ..PixelFacts::default()
    });
    Video {
        codec: facts.codec.clone(),
        profile: facts.profile_name.clone(),
        level: facts.level,
        width: facts.width,
        height: facts.height,
        sar: facts.sar,
        orientation: facts
            .display_matrix
            .as_ref()
            .map(Orientation::of_matrix)
            .unwrap_or_default(),
        fps: believable_fps(facts.frame_rate.value(), facts.real_frame_rate.value()),
        pixel_format: facts.format_name.clone(),
        bits: pixel.bits,
        chroma_420: pixel.chroma_420,
        alpha: pixel.alpha || facts.alpha_side_stream,
        alpha_side_stream: facts.alpha_side_stream,
        rgb: pixel.rgb,
        colour: Colour {
            matrix: facts.matrix,
            transfer: facts.transfer,
            primaries: facts.primaries,
            full_range: facts.full_range || pixel.jpeg_range,
        },
        colour_range_said: facts.range_said || pixel.jpeg_range,
        // libav: 0 unknown, 1 progressive, 2..=5 the field orders.
        maybe_interlaced: facts.field_order != 1,
        interlaced: facts.field_order > 1,
        peak_nits: facts.peak_nits,
        dolby_vision: facts.dolby_vision_profile,
        frames: facts.frames,
        starts_on_key: false,
        has_pts: false,
    }
}

/// libav estimates twice: by the average and by the common tick. Either may be a time base in disguise (1000 fps in
/// FLV, 57600 in screen captures), so the lower one is believed.
fn believable_fps(average: f64, real: f64) -> f64 {
    match (average > 0.0, real > 0.0) {
        (true, true) => average.min(real),
        (true, false) => average,
        _ => real,
    }
}

/// What the first packets of the chosen streams say: whether the video could open a file of its own, and whether
/// anything is encrypted.
fn look_at_first_packets(
    demuxer: &mut Input,
    chosen: [Option<usize>; 2],
    streams: &mut [Stream],
    limits: &Limits,
) -> Result<(), Refusal> {
    let [video, _] = chosen;
    let mut waiting: Vec<usize> = chosen.into_iter().flatten().collect();
    let told = |index: &usize| {
        streams
            .get(*index)
            .is_some_and(|stream| TOLD_BY_PICTURES.contains(&&*stream.codec))
    };
    let mut eye = video
        .filter(|index| !told(index))
        .and_then(|index| Eye::open(demuxer, index, limits));
    for _ in 0..FIRST_PACKETS_MAX {
        let Some(packet) = demuxer.look() else { break };
        let index = packet.stream();
        if let (Some(opened), true) = (&mut eye, Some(index) == video)
            && let Some(shape) = opened.look(packet)
        {
            eye = None;
            if let Some(Kind::Video(found)) = streams.get_mut(index).map(|stream| &mut stream.kind) {
                believe(found, &shape);
            }
        }
        if !waiting.contains(&index) {
            if waiting.is_empty() && eye.is_none() {
                break;
            }
            continue;
        }
        if packet.is_encrypted() {
            return Err(Refusal::Encrypted);
        }
        waiting.retain(|&one| one != index);
        if let (true, Some(Kind::Video(found))) = (
            Some(index) == video,
            streams.get_mut(index).map(|stream| &mut stream.kind),
        ) {
            found.starts_on_key = packet.is_key() && !packet.is_discard();
            found.has_pts = packet.pts().is_some();
        }
        if waiting.is_empty() && eye.is_none() {
            break;
        }
    }
    Ok(())
}

/// Decodes up to the first picture: what it is, whatever the container says.
struct Eye {
    decoder: Decoder,
    packets_left: u32,
}

impl Eye {
    fn open(demuxer: &Input, index: usize, limits: &Limits) -> Option<Self> {
        let params = demuxer.params(index).ok()?;
        let decoder = Decoder::open(&params, limits, 1, false).ok()?;
        Some(Self {
            decoder,
            packets_left: FIRST_PICTURE_PACKETS_MAX,
        })
    }

    /// `None` while there is no picture; a shape without a size once hope is given up.
    fn look(&mut self, packet: &Packet) -> Option<FrameShape> {
        self.packets_left = self.packets_left.saturating_sub(1);
        let given_up = (self.packets_left == 0).then(FrameShape::default);
        // Faults are counted by the conversion, not here.
        let _ = self.decoder.send(Some(packet));
        self.decoder.receive().map(|frame| frame.shape()).ok().or(given_up)
    }
}

/// The size of real pictures counts: it decides the shape of the output.
fn believe(video: &mut Video, shape: &FrameShape) {
    let (Ok(width), Ok(height)) = (u32::try_from(shape.width), u32::try_from(shape.height)) else {
        return;
    };
    if width > 0 && height > 0 && (width, height) != (video.width, video.height) {
        tracing::debug!(width, height, "pictures have another size than their header says");
        (video.width, video.height) = (width, height);
    }
}
