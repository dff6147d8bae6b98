//! The safe opener: a demuxer over one file that we opened, with every limit that libav has.
//!
//! No name reaches libav, `protocol_whitelist=none` makes every nested open fail, the formats and codecs are lists of
//! ours, and an option that libav did not take is an error: a mistyped limit must not pass in silence. Who opens shows
//! that its thread is walled in: a nested open that gets past all of it meets the kernel.

use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_int, c_void};
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::panic::catch_unwind;
use std::ptr::{self, NonNull};

use ffmpeg_next::ffi;

use super::av::{AvError, Options, check, opaque, text_of};
use super::data::{Packet, StreamParams};
use super::io::Io;
use crate::media::Control;
use crate::media::confine::Confined;
use crate::media::info::Rational;
use crate::media::layers::{Layer, name_of};
use crate::media::limits::Limits;

/// Demuxers that kadr offers. No playlist, no concat, no image sequence, no text.
const FORMATS: &str = "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,gif,ogg,asf,apng,mp3,aac,wav,flac,amr,ac3,eac3,dts,aiff,caf,dv,ivf,h264,hevc";

/// Decoders that kadr offers, by libav's name. MagicYUV (CVE-2026-8461) and the other 450 are not among them.
pub(super) const DECODERS: &str = "h264,hevc,vp8,vp9,libvpx,libvpx-vp9,libdav1d,libaom-av1,mpeg1video,mpeg2video,mpeg4,\
    msmpeg4v1,msmpeg4v2,msmpeg4,h263,flv,vp6,vp6f,vp6a,wmv1,wmv2,wmv3,vc1,theora,gif,apng,mjpeg,png,prores,dnxhd,dvvideo,\
    cinepak,indeo5,svq1,svq3,rawvideo,ffv1,huffyuv,qtrle,\
    aac,aac_latm,mp1float,mp2float,mp2,mp3float,mp3,ac3,eac3,dca,truehd,opus,libopus,vorbis,flac,alac,\
    wmav1,wmav2,wmapro,amrnb,amrwb,libopencore_amrnb,libopencore_amrwb,adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,adpcm_swf,\
    nellymoser,speex,libspeex,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,\
    pcm_u8,pcm_s8,pcm_alaw,pcm_mulaw,pcm_bluray,pcm_dvd";

/// An opened demuxer.
pub(crate) struct Input {
    context: NonNull<ffi::AVFormatContext>,
    looked_at: LookedAt,
    _io: Io,
    /// What the interrupt callback looks at; boxed, for its address is registered.
    _control: Box<Control>,
}

// SAFETY: used by one thread at a time.
unsafe impl Send for Input {}

/// Packets that were looked at before they are read.
#[derive(Default)]
struct LookedAt {
    packets: VecDeque<Packet>,
    bytes: usize,
    /// They were too many to be kept, or the end was met among them: what is read now is not the file from its start.
    lost: bool,
}

/// As much as libav itself keeps of what it has looked at.
const LOOKED_AT_BYTES_MAX: usize = 5_000_000;

/// How far into a file its streams are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// 5 MB, 5 s.
    Usual,
    /// 50 MB, 30 s: for broadcasts and discs whose streams appear late.
    Long,
}

impl Patience {
    fn bytes(self) -> u32 {
        match self {
            Self::Usual => 5_000_000,
            Self::Long => 50_000_000,
        }
    }

    fn duration_us(self) -> u32 {
        match self {
            Self::Usual => 5_000_000,
            Self::Long => 30_000_000,
        }
    }

    fn packets(self) -> u32 {
        match self {
            Self::Usual => 500,
            Self::Long => 5_000,
        }
    }
}

/// What a container says of one stream.
#[derive(Clone, Debug)]
pub(crate) struct StreamFacts {
    pub(crate) kind: &'static str,
    pub(crate) codec: String,
    pub(crate) profile_name: String,
    pub(crate) level: i32,
    pub(crate) format: i32,
    pub(crate) format_name: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) sar: Rational,
    pub(crate) frame_rate: Rational,
    pub(crate) real_frame_rate: Rational,
    pub(crate) sample_rate: u32,
    pub(crate) channels: u32,
    pub(crate) bit_rate_bps: u64,
    pub(crate) time_base: Rational,
    pub(crate) start: Option<i64>,
    pub(crate) frames: u64,
    pub(crate) attached_picture: bool,
    pub(crate) default: bool,
    pub(crate) full_range: bool,
    pub(crate) range_said: bool,
    pub(crate) language: Option<String>,
    pub(crate) matrix: i32,
    pub(crate) transfer: i32,
    pub(crate) primaries: i32,
    pub(crate) field_order: i32,
    pub(crate) decodable: bool,
    pub(crate) alpha_side_stream: bool,
    pub(crate) display_matrix: Option<[i32; 9]>,
    pub(crate) peak_nits: Option<u32>,
    pub(crate) dolby_vision_profile: Option<u8>,
    pub(crate) tag: String,
}

impl Input {
    /// Opens and probes.
    pub(crate) fn open(file: File, limits: &Limits, control: &Control, confined: &Confined) -> Result<Self, AvError> {
        Self::open_patiently(file, Patience::Usual, limits, control, confined)
    }

    /// As [`Input::open`], looking so far into the file for its streams.
    pub(crate) fn open_patiently(
        file: File,
        patience: Patience,
        limits: &Limits,
        control: &Control,
        confined: &Confined,
    ) -> Result<Self, AvError> {
        let input = Self::open_with(file, patience, limits, control, confined)?;
        input.find_stream_info(limits)?;
        Ok(input)
    }

    fn open_with(
        file: File,
        patience: Patience,
        limits: &Limits,
        control: &Control,
        _: &Confined,
    ) -> Result<Self, AvError> {
        // A name comes only from a test that wants to see what stands behind this layer.
        let name = name_of(&file).and_then(|name| CString::new(name.into_os_string().into_vec()).ok());
        let io = Io::reader(file)?;
        let control = Box::new(control.clone());
        // SAFETY: allocates or returns null.
        let context = unsafe { ffi::avformat_alloc_context() };
        let Some(mut owned) = NonNull::new(context) else {
            return Err(AvError::NO_MEMORY);
        };
        // SAFETY: just allocated, ours alone.
        let raw = unsafe { owned.as_mut() };
        if name.is_none() {
            raw.pb = io.context.as_ptr();
            raw.flags |= ffi::AVFMT_FLAG_CUSTOM_IO;
        }
        raw.interrupt_callback.callback = Some(on_interrupt);
        raw.interrupt_callback.opaque = opaque(&*control);
        let mut options = open_options(patience, limits);
        let mut context = owned.as_ptr();
        let name = name.as_ref().map_or(ptr::null(), |name| name.as_ptr());
        // SAFETY: the name is terminated and lives through the call, or is null; on failure libav frees the context and nulls
        // the pointer, and the custom I/O stays ours.
        check(unsafe { ffi::avformat_open_input(&raw mut context, name, ptr::null(), &raw mut options.0) })?;
        let input = Self {
            context: owned,
            looked_at: LookedAt::default(),
            _io: io,
            _control: control,
        };
        if options.leftover().is_some() && Layer::References.stands() {
            return Err(AvError(ffi::AVERROR_OPTION_NOT_FOUND));
        }
        Ok(input)
    }

    /// Probes streams with limits of their own: `max_pixels` exists only per codec.
    fn find_stream_info(&self, limits: &Limits) -> Result<(), AvError> {
        let per_stream: Vec<Options> = (0..self.stream_count()).map(|_| codec_options(limits, 1)).collect();
        let mut raw: Vec<*mut ffi::AVDictionary> = per_stream.iter().map(|options| options.0).collect();
        // SAFETY: one dictionary a stream, as the call asks.
        let code = unsafe { ffi::avformat_find_stream_info(self.context.as_ptr(), raw.as_mut_ptr()) };
        // libav may have replaced the dictionaries: the new pointers are the ones to free.
        for (mut options, now) in per_stream.into_iter().zip(raw) {
            let _ = std::mem::replace(&mut options.0, now);
        }
        check(code).map(drop)
    }

    fn raw(&self) -> &ffi::AVFormatContext {
        // SAFETY: valid while self lives.
        unsafe { self.context.as_ref() }
    }

    pub(crate) fn stream_count(&self) -> usize {
        self.raw().nb_streams as usize
    }

    fn stream(&self, index: usize) -> &ffi::AVStream {
        assert!(index < self.stream_count(), "stream {index} of {}", self.stream_count());
        // SAFETY: in range, checked above; libav keeps the pointers valid while the context lives.
        unsafe { &**self.raw().streams.add(index) }
    }

    pub(crate) fn format_name(&self) -> String {
        // SAFETY: set by a successful open.
        text_of(unsafe { (*self.raw().iformat).name })
    }

    /// Whether times may jump in the middle, as in broadcasts and on discs.
    pub(crate) fn is_discontinuous(&self) -> bool {
        // SAFETY: set by a successful open.
        unsafe { (*self.raw().iformat).flags & ffi::AVFMT_TS_DISCONT as c_int != 0 }
    }

    /// Goes to the last key frame at or before a time, microseconds on the container's own clock.
    pub(crate) fn seek(&mut self, time_us: i64) -> Result<(), AvError> {
        // SAFETY: valid context; stream -1 means the clock of microseconds.
        check(unsafe { ffi::av_seek_frame(self.context.as_ptr(), -1, time_us, ffi::AVSEEK_FLAG_BACKWARD as c_int) })?;
        self.looked_at.packets.clear();
        Ok(())
    }

    /// Microseconds, where the container says so.
    pub(crate) fn duration_us(&self) -> Option<i64> {
        Some(self.raw().duration).filter(|&duration| duration > 0)
    }

    pub(crate) fn params(&self, index: usize) -> Result<StreamParams, AvError> {
        let stream = self.stream(index);
        let mut params = StreamParams::copy_of(stream.codecpar, stream.time_base.into())?;
        params.matrix = display_matrix(stream);
        params.frame_rate = stream.avg_frame_rate.into();
        Ok(params)
    }

    /// Leaves out every stream but the given ones: no parser and no memory is spent on them.
    pub(crate) fn keep_only(&mut self, wanted: &[usize]) {
        for index in 0..self.stream_count() {
            // SAFETY: in range, and self is exclusively borrowed.
            let stream = unsafe { &mut **self.context.as_ref().streams.add(index) };
            stream.discard = if wanted.contains(&index) {
                ffi::AVDiscard::AVDISCARD_DEFAULT
            } else {
                ffi::AVDiscard::AVDISCARD_ALL
            };
        }
    }

    /// Looks at the next packet, which is still to be read; `None` where there is no other.
    pub(crate) fn look(&mut self) -> Option<&Packet> {
        let looked_at = &mut self.looked_at;
        if looked_at.bytes > LOOKED_AT_BYTES_MAX {
            looked_at.packets.clear();
            looked_at.lost = true;
        }
        let Ok(Some(packet)) = self.read_on() else {
            self.looked_at.lost = true;
            return None;
        };
        let looked_at = &mut self.looked_at;
        looked_at.bytes += packet.bytes().len();
        looked_at.packets.push_back(packet);
        looked_at.packets.back()
    }

    /// Itself, where reading would begin with the first packet all the same.
    pub(crate) fn if_at_the_start(self) -> Option<Self> {
        (!self.looked_at.lost).then_some(self)
    }

    /// The next packet of a stream that is kept; `None` at the end.
    pub(crate) fn read(&mut self) -> Result<Option<Packet>, AvError> {
        while let Some(packet) = self.looked_at.packets.pop_front() {
            if self.stream(packet.stream()).discard != ffi::AVDiscard::AVDISCARD_ALL {
                return Ok(Some(packet));
            }
        }
        self.read_on()
    }

    fn read_on(&mut self) -> Result<Option<Packet>, AvError> {
        let packet = Packet::new()?;
        // SAFETY: both valid.
        match check(unsafe { ffi::av_read_frame(self.context.as_ptr(), packet.0.as_ptr()) }) {
            Ok(_) => Ok(Some(packet)),
            Err(AvError::EOF) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn facts(&self, index: usize) -> StreamFacts {
        let stream = self.stream(index);
        // SAFETY: every stream has parameters.
        let params = unsafe { &*stream.codecpar };
        let video = params.codec_type == ffi::AVMediaType::AVMEDIA_TYPE_VIDEO;
        StreamFacts {
            kind: kind_of(params.codec_type),
            // SAFETY: returns a constant string for any id.
            codec: text_of(unsafe { ffi::avcodec_get_name(params.codec_id) }),
            // SAFETY: returns a constant string or null.
            profile_name: text_of(unsafe { ffi::avcodec_profile_name(params.codec_id, params.profile) }),
            level: params.level,
            format: params.format,
            format_name: format_name(video, params.format),
            width: u32::try_from(params.width).unwrap_or(0),
            height: u32::try_from(params.height).unwrap_or(0),
            // The container knows better than the codec.
            sar: Rational::from(if stream.sample_aspect_ratio.num > 0 {
                stream.sample_aspect_ratio
            } else {
                params.sample_aspect_ratio
            }),
            frame_rate: stream.avg_frame_rate.into(),
            real_frame_rate: stream.r_frame_rate.into(),
            sample_rate: u32::try_from(params.sample_rate).unwrap_or(0),
            channels: u32::try_from(params.ch_layout.nb_channels).unwrap_or(0),
            bit_rate_bps: u64::try_from(params.bit_rate).unwrap_or(0),
            time_base: stream.time_base.into(),
            start: (stream.start_time != ffi::AV_NOPTS_VALUE).then_some(stream.start_time),
            frames: u64::try_from(stream.nb_frames).unwrap_or(0),
            attached_picture: stream.disposition & ffi::AV_DISPOSITION_ATTACHED_PIC as c_int != 0,
            default: stream.disposition & ffi::AV_DISPOSITION_DEFAULT as c_int != 0,
            full_range: params.color_range == ffi::AVColorRange::AVCOL_RANGE_JPEG,
            range_said: params.color_range != ffi::AVColorRange::AVCOL_RANGE_UNSPECIFIED,
            language: tag_of(stream, c"language").filter(|code| code != "und"),
            matrix: params.color_space as i32,
            transfer: params.color_trc as i32,
            primaries: params.color_primaries as i32,
            field_order: params.field_order as i32,
            decodable: decoder_name(params.codec_id).is_some(),
            alpha_side_stream: has_alpha_side_stream(stream),
            display_matrix: display_matrix(stream),
            peak_nits: peak_nits(stream),
            dolby_vision_profile: dolby_vision_profile(stream),
            tag: tag_text(params.codec_tag),
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        let mut context = self.context.as_ptr();
        // SAFETY: owned; with custom I/O libav leaves `pb` to us, and `_io` is dropped after this.
        unsafe { ffi::avformat_close_input(&raw mut context) };
    }
}

/// Limits and lists that a demuxer must be opened with.
fn open_options(patience: Patience, limits: &Limits) -> Options {
    let mut options = Options::new(&[
        ("max_streams", limits.streams_max.to_string()),
        ("probesize", patience.bytes().to_string()),
        ("formatprobesize", "1048576".to_owned()),
        ("analyzeduration", patience.duration_us().to_string()),
        ("max_probe_packets", patience.packets().to_string()),
        ("skip_estimate_duration_from_pts", "0".to_owned()),
    ]);
    for (layer, list, allowed) in [
        (Layer::Protocols, "protocol_whitelist", "none"),
        (Layer::Formats, "format_whitelist", FORMATS),
        (Layer::Codecs, "codec_whitelist", DECODERS),
    ] {
        if layer.stands() {
            options.set(list, allowed);
        }
    }
    // libav's own defaults close both.
    if !Layer::References.stands() {
        options.set("enable_drefs", "1");
        options.set("use_absolute_path", "1");
    }
    options
}

/// Limits that a decoder must be opened with, while probing and for the real run.
pub(super) fn codec_options(limits: &Limits, threads: u32) -> Options {
    let mut options = Options::new(&[
        ("max_pixels", limits.pixels_max.to_string()),
        ("threads", threads.to_string()),
    ]);
    if Layer::Codecs.stands() {
        options.set("codec_whitelist", DECODERS);
    }
    options
}

/// The decoder that kadr would use for a codec, if it offers one.
pub(super) fn decoder_name(id: ffi::AVCodecID) -> Option<String> {
    // SAFETY: returns a static codec or null.
    let codec = unsafe { ffi::avcodec_find_decoder(id) };
    if codec.is_null() {
        return None;
    }
    // SAFETY: static.
    let name = text_of(unsafe { (*codec).name });
    let offered = DECODERS.split(',').any(|offered| offered.trim() == name);
    (offered || !Layer::Codecs.stands()).then_some(name)
}

unsafe extern "C" fn on_interrupt(opaque: *mut c_void) -> c_int {
    catch_unwind(|| {
        // SAFETY: registered in `open`, and outlives the context.
        let control = unsafe { &*opaque.cast::<Control>() };
        c_int::from(control.check().is_err())
    })
    .unwrap_or(1)
}

fn kind_of(kind: ffi::AVMediaType) -> &'static str {
    match kind {
        ffi::AVMediaType::AVMEDIA_TYPE_VIDEO => "video",
        ffi::AVMediaType::AVMEDIA_TYPE_AUDIO => "audio",
        ffi::AVMediaType::AVMEDIA_TYPE_SUBTITLE => "subtitle",
        ffi::AVMediaType::AVMEDIA_TYPE_ATTACHMENT => "attachment",
        _ => "data",
    }
}

fn format_name(video: bool, format: i32) -> String {
    if video {
        // SAFETY: the function takes any integer; the enum is its C type.
        text_of(unsafe { ffi::av_get_pix_fmt_name(std::mem::transmute::<i32, ffi::AVPixelFormat>(format)) })
    } else {
        // SAFETY: as above.
        text_of(unsafe { ffi::av_get_sample_fmt_name(std::mem::transmute::<i32, ffi::AVSampleFormat>(format)) })
    }
}

fn tag_text(tag: u32) -> String {
    tag.to_le_bytes()
        .iter()
        .filter(|byte| byte.is_ascii_graphic())
        .map(|&byte| byte as char)
        .collect()
}

/// WebM keeps VP8/VP9 alpha in a second bit stream, announced by a tag.
fn has_alpha_side_stream(stream: &ffi::AVStream) -> bool {
    tag_of(stream, c"alpha_mode").is_some_and(|value| value == "1")
}

/// A tag of the container's.
fn tag_of(stream: &ffi::AVStream, key: &CStr) -> Option<String> {
    // SAFETY: the dictionary may be null, which the call accepts.
    let entry = unsafe { ffi::av_dict_get(stream.metadata, key.as_ptr(), ptr::null(), 0) };
    // SAFETY: a found entry is valid until the dictionary changes.
    (!entry.is_null()).then(|| text_of(unsafe { (*entry).value }))
}

#[cfg(not(coded_side_data))]
fn side_data(stream: &ffi::AVStream, kind: ffi::AVPacketSideDataType) -> Option<&[u8]> {
    let mut size = 0;
    // SAFETY: valid stream; the size is written where something was found.
    let data = unsafe { ffi::av_stream_get_side_data(stream, kind, &raw mut size) };
    // SAFETY: libav owns `size` bytes there while the stream lives.
    (!data.is_null()).then(|| unsafe { std::slice::from_raw_parts(data, size) })
}

#[cfg(coded_side_data)]
fn side_data(stream: &ffi::AVStream, kind: ffi::AVPacketSideDataType) -> Option<&[u8]> {
    // SAFETY: every stream has parameters.
    let params = unsafe { &*stream.codecpar };
    // SAFETY: pointer and count belong together.
    let entry = unsafe { ffi::av_packet_side_data_get(params.coded_side_data, params.nb_coded_side_data, kind) };
    // SAFETY: a found entry is valid while the parameters live.
    (!entry.is_null()).then(|| unsafe { std::slice::from_raw_parts((*entry).data, (*entry).size) })
}

fn display_matrix(stream: &ffi::AVStream) -> Option<[i32; 9]> {
    let data = side_data(stream, ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX)?;
    let mut matrix = [0; 9];
    for (cell, bytes) in matrix.iter_mut().zip(data.chunks_exact(4)) {
        *cell = i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    Some(matrix)
}

/// MaxCLL (`AVContentLightMetadata`: two integers, the first is it), else the mastering display's brightest light
/// (`AVMasteringDisplayMetadata`: ten rationals, the last is it, and whether it was set at the very end).
fn peak_nits(stream: &ffi::AVStream) -> Option<u32> {
    let int = |data: &[u8], at: usize| {
        let bytes = data.get(at..at + 4)?;
        Some(i32::from_ne_bytes(bytes.try_into().ok()?))
    };
    let light = side_data(stream, ffi::AVPacketSideDataType::AV_PKT_DATA_CONTENT_LIGHT_LEVEL);
    let mastering = side_data(
        stream,
        ffi::AVPacketSideDataType::AV_PKT_DATA_MASTERING_DISPLAY_METADATA,
    );
    let of_content = light.and_then(|data| int(data, 0)).filter(|&nits| nits > 0);
    let of_display = mastering.and_then(|data| {
        let (num, den, set) = (int(data, 72)?, int(data, 76)?, int(data, 84)?);
        (set != 0 && den > 0).then(|| num / den)
    });
    of_content
        .or(of_display)
        .and_then(|nits| u32::try_from(nits).ok())
        .filter(|&nits| nits > 0)
}

/// The profile is the third byte of the configuration record as libav keeps it.
fn dolby_vision_profile(stream: &ffi::AVStream) -> Option<u8> {
    side_data(stream, ffi::AVPacketSideDataType::AV_PKT_DATA_DOVI_CONF)?
        .get(2)
        .copied()
}
