//! Packets, frames and stream parameters: what travels between the threads of a job.

use std::ptr::NonNull;

use ffmpeg_next::ffi;

use super::av::{AvError, check};
use crate::media::info::{Colour, Rational};

/// One packet.
pub(crate) struct Packet(pub(super) NonNull<ffi::AVPacket>);

// SAFETY: reference-counted data without thread affinity; a packet is moved, never shared.
unsafe impl Send for Packet {}

impl Packet {
    pub(crate) fn new() -> Result<Self, AvError> {
        // SAFETY: allocates or returns null.
        NonNull::new(unsafe { ffi::av_packet_alloc() })
            .map(Self)
            .ok_or(AvError::NO_MEMORY)
    }

    /// A packet with a copy of these bytes and these of libav's flags.
    pub(crate) fn of(bytes: &[u8], flags: i32) -> Result<Self, AvError> {
        let mut packet = Self::new()?;
        let size = i32::try_from(bytes.len()).map_err(|_| AvError::NO_MEMORY)?;
        // SAFETY: a valid, empty packet; libav allocates `size` bytes that it owns.
        check(unsafe { ffi::av_new_packet(packet.0.as_ptr(), size) })?;
        let raw = packet.raw_mut();
        raw.flags = flags;
        // SAFETY: just allocated with this size, no overlap.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), raw.data, bytes.len()) };
        Ok(packet)
    }

    /// The same packet with other bytes.
    pub(crate) fn with_bytes(&self, bytes: &[u8]) -> Result<Self, AvError> {
        let mut packet = Self::of(bytes, self.flags())?;
        // SAFETY: two valid packets; times, stream, flags and side data are copied.
        check(unsafe { ffi::av_packet_copy_props(packet.raw_mut(), self.raw()) })?;
        Ok(packet)
    }

    pub(crate) fn flags(&self) -> i32 {
        self.raw().flags
    }

    /// What libav says beside the data: its number for the kind, and the bytes.
    pub(crate) fn side_data(&self) -> impl Iterator<Item = (i32, &[u8])> {
        let raw = self.raw();
        (0..raw.side_data_elems as usize).map(|index| {
            // SAFETY: libav keeps `side_data_elems` entries there while the packet lives.
            let side = unsafe { &*raw.side_data.add(index) };
            // SAFETY: each owns `size` bytes.
            let bytes = unsafe { std::slice::from_raw_parts(side.data, side.size) };
            (side.type_ as i32, bytes)
        })
    }

    /// Adds a copy of what [`Packet::side_data`] gave.
    pub(crate) fn add_side_data(&mut self, kind: i32, bytes: &[u8]) -> Result<(), AvError> {
        // SAFETY: the number came from a packet of libav's own.
        let kind = unsafe { std::mem::transmute::<i32, ffi::AVPacketSideDataType>(kind) };
        // SAFETY: a valid packet; libav allocates as many bytes, which the packet owns, or returns null.
        let data = unsafe { ffi::av_packet_new_side_data(self.0.as_ptr(), kind, bytes.len()) };
        if data.is_null() {
            return Err(AvError::NO_MEMORY);
        }
        // SAFETY: just allocated with this size, no overlap.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len()) };
        Ok(())
    }

    fn raw(&self) -> &ffi::AVPacket {
        // SAFETY: valid while self lives.
        unsafe { self.0.as_ref() }
    }

    fn raw_mut(&mut self) -> &mut ffi::AVPacket {
        // SAFETY: valid and exclusively ours while self is borrowed.
        unsafe { self.0.as_mut() }
    }

    pub(crate) fn stream(&self) -> usize {
        self.raw().stream_index as usize
    }

    pub(crate) fn set_stream(&mut self, index: usize) {
        self.raw_mut().stream_index = index as i32;
    }

    pub(crate) fn is_key(&self) -> bool {
        self.raw().flags & ffi::AV_PKT_FLAG_KEY != 0
    }

    pub(crate) fn is_discard(&self) -> bool {
        self.raw().flags & ffi::AV_PKT_FLAG_DISCARD != 0
    }

    pub(crate) fn is_corrupt(&self) -> bool {
        self.raw().flags & ffi::AV_PKT_FLAG_CORRUPT != 0
    }

    pub(crate) fn pts(&self) -> Option<i64> {
        known(self.raw().pts)
    }

    pub(crate) fn dts(&self) -> Option<i64> {
        known(self.raw().dts)
    }

    pub(crate) fn duration(&self) -> i64 {
        self.raw().duration
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        let raw = self.raw();
        if raw.data.is_null() {
            return &[];
        }
        // SAFETY: libav owns `size` bytes there while the packet lives.
        unsafe { std::slice::from_raw_parts(raw.data, raw.size as usize) }
    }

    /// Whether what the packet holds is encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        let kind = ffi::AVPacketSideDataType::AV_PKT_DATA_ENCRYPTION_INFO;
        // SAFETY: valid packet; the size may be left out.
        let data = unsafe { ffi::av_packet_get_side_data(self.0.as_ptr(), kind, std::ptr::null_mut()) };
        !data.is_null()
    }

    /// Whether the packet brings parameters that replace those of the stream.
    pub(crate) fn has_new_parameters(&self) -> bool {
        let kind = ffi::AVPacketSideDataType::AV_PKT_DATA_NEW_EXTRADATA;
        // SAFETY: valid packet; the size may be left out.
        let data = unsafe { ffi::av_packet_get_side_data(self.0.as_ptr(), kind, std::ptr::null_mut()) };
        !data.is_null()
    }

    /// Sets the duration where there is none.
    pub(crate) fn default_duration(&mut self, duration: i64) {
        let raw = self.raw_mut();
        if raw.duration <= 0 {
            raw.duration = duration;
        }
    }

    /// Makes a duration that is longer this long.
    pub(crate) fn limit_duration(&mut self, duration: i64) {
        let raw = self.raw_mut();
        raw.duration = raw.duration.min(duration);
    }

    pub(crate) fn size(&self) -> u64 {
        self.raw().size as u64
    }

    pub(crate) fn set_times(&mut self, pts: Option<i64>, dts: Option<i64>) {
        let raw = self.raw_mut();
        raw.pts = pts.unwrap_or(ffi::AV_NOPTS_VALUE);
        raw.dts = dts.unwrap_or(ffi::AV_NOPTS_VALUE);
        raw.pos = -1;
    }

    pub(crate) fn rescale(&mut self, from: Rational, to: Rational) {
        // SAFETY: valid packet; both time bases have positive denominators (checked by Rational).
        unsafe { ffi::av_packet_rescale_ts(self.0.as_ptr(), from.into(), to.into()) };
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        let mut raw = self.0.as_ptr();
        // SAFETY: owned; unreferences the data and frees.
        unsafe { ffi::av_packet_free(&raw mut raw) };
    }
}

fn known(time: i64) -> Option<i64> {
    (time != ffi::AV_NOPTS_VALUE).then_some(time)
}

/// One decoded picture or block of samples.
pub(crate) struct Frame(pub(super) NonNull<ffi::AVFrame>);

// SAFETY: as for Packet.
unsafe impl Send for Frame {}

/// Which pool of surfaces: an address that is compared and, while a frame of it lives, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pool(usize);

/// What a filter graph is built for; a change of it means a new graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FrameShape {
    /// Of the pixels or samples, wherever they lie.
    pub(crate) format: i32,
    /// The pool of the GPU that a picture lies in; `None` for one in memory.
    pub(crate) pool: Option<Pool>,
    pub(crate) width: i32,
    pub(crate) height: i32,
    pub(crate) sar: (i32, i32),
    pub(crate) sample_rate: i32,
    pub(crate) channels: i32,
    /// Channel layout mask; 0 where only the count is known.
    pub(crate) layout: u64,
    pub(crate) full_range: bool,
    pub(crate) matrix: i32,
    pub(crate) transfer: i32,
    pub(crate) primaries: i32,
}

impl FrameShape {
    /// Sample aspect ratio, 1:1 where none is said.
    pub(super) fn square_or_own(&self) -> (i32, i32) {
        if self.sar.0 > 0 && self.sar.1 > 0 {
            self.sar
        } else {
            (1, 1)
        }
    }
}

impl Frame {
    pub(crate) fn new() -> Result<Self, AvError> {
        // SAFETY: allocates or returns null.
        NonNull::new(unsafe { ffi::av_frame_alloc() })
            .map(Self)
            .ok_or(AvError::NO_MEMORY)
    }

    fn raw(&self) -> &ffi::AVFrame {
        // SAFETY: valid while self lives.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn pts(&self) -> Option<i64> {
        known(self.raw().pts)
    }

    pub(crate) fn set_pts(&mut self, pts: Option<i64>) {
        // SAFETY: valid and exclusively ours.
        unsafe { self.0.as_mut() }.pts = pts.unwrap_or(ffi::AV_NOPTS_VALUE);
    }

    /// The decoder's best guess of the presentation time.
    pub(crate) fn best_effort(&self) -> Option<i64> {
        known(self.raw().best_effort_timestamp)
    }

    /// The source's picture type must not steer the encoder.
    pub(crate) fn forget_picture_type(&mut self) {
        // SAFETY: valid and exclusively ours.
        unsafe { self.0.as_mut() }.pict_type = ffi::AVPictureType::AV_PICTURE_TYPE_NONE;
    }

    pub(crate) fn samples(&self) -> i32 {
        self.raw().nb_samples
    }

    /// Samples of floating point beyond `max`, and those that are no number, are brought within; others are as they were.
    #[expect(clippy::cast_ptr_alignment, reason = "libav aligns planes for its widest vectors")]
    pub(crate) fn tame_samples(&mut self, max: f32) -> Result<(), AvError> {
        let raw = self.raw();
        let (samples, channels) = (
            raw.nb_samples.max(0) as usize,
            raw.ch_layout.nb_channels.max(0) as usize,
        );
        let (planes, length) = match raw.format {
            format if format == ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP as i32 => (channels, samples),
            format if format == ffi::AVSampleFormat::AV_SAMPLE_FMT_FLT as i32 => (1, samples * channels),
            _ => return Ok(()),
        };
        let is_tame = |sample: &f32| sample.abs() <= max;
        let tame = (0..planes).all(|plane| {
            // SAFETY: a frame of this format has `planes` planes, of `length` aligned samples each.
            let all = unsafe { std::slice::from_raw_parts((*raw.extended_data.add(plane)).cast::<f32>(), length) };
            all.iter().all(is_tame)
        });
        if tame {
            return Ok(());
        }
        // SAFETY: valid and exclusively ours; afterwards its samples are nobody else's.
        check(unsafe { ffi::av_frame_make_writable(self.0.as_ptr()) })?;
        for plane in 0..planes {
            // SAFETY: as above, and writable.
            let all =
                unsafe { std::slice::from_raw_parts_mut((*self.raw().extended_data.add(plane)).cast::<f32>(), length) };
            for sample in all.iter_mut().filter(|sample| !is_tame(sample)) {
                *sample = if sample.is_nan() { 0.0 } else { max.copysign(*sample) };
            }
        }
        Ok(())
    }

    pub(crate) fn is_corrupt(&self) -> bool {
        self.raw().flags & ffi::AV_FRAME_FLAG_CORRUPT != 0 || self.raw().decode_error_flags != 0
    }

    /// The field went in FFmpeg 8, the flag came in 6.1.
    #[cfg(coded_side_data)]
    pub(crate) fn is_interlaced(&self) -> bool {
        self.raw().flags & ffi::AV_FRAME_FLAG_INTERLACED != 0
    }

    #[cfg(not(coded_side_data))]
    pub(crate) fn is_interlaced(&self) -> bool {
        self.raw().interlaced_frame != 0
    }

    fn pool(&self) -> Option<Pool> {
        let frames = self.raw().hw_frames_ctx;
        // SAFETY: null, or a reference whose data is the pool.
        (!frames.is_null()).then(|| Pool(unsafe { (*frames).data } as usize))
    }

    /// A counted reference to the pool for a field of libav's, which frees it with its owner; null for a picture in
    /// memory.
    pub(super) fn pool_reference(&self) -> Result<*mut ffi::AVBufferRef, AvError> {
        let frames = self.raw().hw_frames_ctx;
        if frames.is_null() {
            return Ok(frames);
        }
        // SAFETY: not null, and valid while self lives.
        let reference = unsafe { ffi::av_buffer_ref(frames) };
        if reference.is_null() {
            return Err(AvError::NO_MEMORY);
        }
        Ok(reference)
    }

    pub(crate) fn shape(&self) -> FrameShape {
        let raw = self.raw();
        let pool = self.pool();
        let native = raw.ch_layout.order == ffi::AVChannelOrder::AV_CHANNEL_ORDER_NATIVE;
        FrameShape {
            // SAFETY: a pool says the format of its pictures.
            format: pool.map_or(raw.format, |Pool(frames)| unsafe {
                (*(frames as *const ffi::AVHWFramesContext)).sw_format as i32
            }),
            pool,
            width: raw.width,
            height: raw.height,
            sar: (raw.sample_aspect_ratio.num, raw.sample_aspect_ratio.den),
            sample_rate: raw.sample_rate,
            channels: raw.ch_layout.nb_channels,
            // SAFETY: the union holds a mask when the order is native.
            layout: if native { unsafe { raw.ch_layout.u.mask } } else { 0 },
            full_range: raw.color_range == ffi::AVColorRange::AVCOL_RANGE_JPEG,
            matrix: raw.colorspace as i32,
            transfer: raw.color_trc as i32,
            primaries: raw.color_primaries as i32,
        }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        let mut raw = self.0.as_ptr();
        // SAFETY: owned.
        unsafe { ffi::av_frame_free(&raw mut raw) };
    }
}

/// Codec parameters of a stream, copied out of the container or an encoder.
pub(crate) struct StreamParams {
    pub(super) raw: NonNull<ffi::AVCodecParameters>,
    pub(crate) time_base: Rational,
    /// The display matrix, native byte order, as libav keeps it.
    pub(crate) matrix: Option<[i32; 9]>,
    pub(crate) frame_rate: Rational,
}

// SAFETY: plain owned data.
unsafe impl Send for StreamParams {}
// SAFETY: only read through shared references.
unsafe impl Sync for StreamParams {}

impl StreamParams {
    pub(super) fn empty(time_base: Rational) -> Result<Self, AvError> {
        // SAFETY: allocates or returns null.
        let raw = NonNull::new(unsafe { ffi::avcodec_parameters_alloc() }).ok_or(AvError::NO_MEMORY)?;
        Ok(Self {
            raw,
            time_base,
            matrix: None,
            frame_rate: Rational { num: 0, den: 1 },
        })
    }

    pub(crate) fn is_h264(&self) -> bool {
        // SAFETY: valid while self lives.
        unsafe { self.raw.as_ref() }.codec_id == ffi::AVCodecID::AV_CODEC_ID_H264
    }

    pub(crate) fn is_hevc(&self) -> bool {
        // SAFETY: valid while self lives.
        unsafe { self.raw.as_ref() }.codec_id == ffi::AVCodecID::AV_CODEC_ID_HEVC
    }

    pub(crate) fn is_audio(&self) -> bool {
        // SAFETY: valid while self lives.
        unsafe { self.raw.as_ref() }.codec_type == ffi::AVMediaType::AVMEDIA_TYPE_AUDIO
    }

    /// Of sound, Hz; at least 1.
    pub(crate) fn sample_rate(&self) -> i32 {
        // SAFETY: valid while self lives.
        unsafe { self.raw.as_ref() }.sample_rate.max(1)
    }

    /// The codec's own header.
    pub(crate) fn extradata(&self) -> &[u8] {
        // SAFETY: valid while self lives.
        let raw = unsafe { self.raw.as_ref() };
        if raw.extradata.is_null() {
            return &[];
        }
        // SAFETY: libav owns `extradata_size` bytes there while the parameters live.
        unsafe { std::slice::from_raw_parts(raw.extradata, raw.extradata_size as usize) }
    }

    /// Says the colour where the container can.
    pub(crate) fn set_colour(&mut self, colour: Colour) {
        // SAFETY: valid and exclusively ours.
        let raw = unsafe { self.raw.as_mut() };
        raw.color_range = if colour.full_range {
            ffi::AVColorRange::AVCOL_RANGE_JPEG
        } else {
            ffi::AVColorRange::AVCOL_RANGE_MPEG
        };
        // SAFETY: the plan holds only values that libav itself named.
        unsafe {
            raw.color_space = std::mem::transmute::<i32, ffi::AVColorSpace>(colour.matrix);
            raw.color_trc = std::mem::transmute::<i32, ffi::AVColorTransferCharacteristic>(colour.transfer);
            raw.color_primaries = std::mem::transmute::<i32, ffi::AVColorPrimaries>(colour.primaries);
        }
    }

    /// A deep copy.
    pub(crate) fn copy(&self) -> Result<Self, AvError> {
        let mut copy = Self::copy_of(self.raw.as_ptr(), self.time_base)?;
        copy.matrix = self.matrix;
        copy.frame_rate = self.frame_rate;
        Ok(copy)
    }

    pub(super) fn copy_of(source: *const ffi::AVCodecParameters, time_base: Rational) -> Result<Self, AvError> {
        let params = Self::empty(time_base)?;
        // SAFETY: both sides are valid; the copy is deep.
        check(unsafe { ffi::avcodec_parameters_copy(params.raw.as_ptr(), source) })?;
        Ok(params)
    }
}

impl Drop for StreamParams {
    fn drop(&mut self) {
        let mut raw = self.raw.as_ptr();
        // SAFETY: owned.
        unsafe { ffi::avcodec_parameters_free(&raw mut raw) };
    }
}

/// What a pixel format is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct PixelFacts {
    pub(crate) bits: u8,
    pub(crate) chroma_420: bool,
    pub(crate) rgb: bool,
    pub(crate) alpha: bool,
    /// One of the deprecated full-range names (`yuvj420p`).
    pub(crate) jpeg_range: bool,
}

/// Looks a pixel format up; `None` for one that libav does not know.
pub(crate) fn pixel_facts(format: i32) -> Option<PixelFacts> {
    // SAFETY: the function takes any integer; the enum is its C type.
    let format = unsafe { std::mem::transmute::<i32, ffi::AVPixelFormat>(format) };
    // SAFETY: as above; returns a static descriptor or null.
    let descriptor = unsafe { ffi::av_pix_fmt_desc_get(format).as_ref() }?;
    let flag = |flag: u32| descriptor.flags & u64::from(flag) != 0;
    Some(PixelFacts {
        bits: u8::try_from(descriptor.comp[0].depth).unwrap_or(u8::MAX),
        chroma_420: descriptor.nb_components >= 3 && descriptor.log2_chroma_w == 1 && descriptor.log2_chroma_h == 1,
        rgb: flag(ffi::AV_PIX_FMT_FLAG_RGB as u32) || flag(ffi::AV_PIX_FMT_FLAG_PAL as u32),
        alpha: flag(ffi::AV_PIX_FMT_FLAG_ALPHA as u32),
        jpeg_range: super::av::text_of(descriptor.name).starts_with("yuvj"),
    })
}
