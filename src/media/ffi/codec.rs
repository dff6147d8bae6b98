//! Decoders and encoders, opened with every option checked.

use std::ptr::{self, NonNull};

use ffmpeg_next::ffi;

use super::av::{AvError, Options, c_string, check, text_of};
use super::cuda::{Device, prefer_surfaces};
use super::data::{Frame, FrameShape, Packet, StreamParams};
use super::input::{DECODERS, codec_options};
use crate::media::info::Rational;
use crate::media::layers::Layer;
use crate::media::limits::Limits;

struct Context(NonNull<ffi::AVCodecContext>);

// SAFETY: used by one thread at a time; libav's own worker threads are its business.
unsafe impl Send for Context {}

impl Context {
    fn new(codec: *const ffi::AVCodec) -> Result<Self, AvError> {
        // SAFETY: a static codec; allocates or returns null.
        NonNull::new(unsafe { ffi::avcodec_alloc_context3(codec) })
            .map(Self)
            .ok_or(AvError::NO_MEMORY)
    }

    fn raw_mut(&mut self) -> &mut ffi::AVCodecContext {
        // SAFETY: valid and exclusively ours.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let mut raw = self.0.as_ptr();
        // SAFETY: owned.
        unsafe { ffi::avcodec_free_context(&raw mut raw) };
    }
}

/// The decoder that works on GPUs alone; in memory AV1 is another's.
const ON_GPUS_ONLY: &str = "av1";

/// Surfaces that may be on their way to the encoder, beyond those that the stream itself refers to: two queues, the frame
/// in each stage, and the two that a deinterlacer holds.
const SURFACES_AHEAD: i32 = 8;

/// Packets in, frames out.
pub(crate) struct Decoder {
    context: Context,
}

impl Decoder {
    /// Opens the decoder of a stream. `alpha` asks for the one that reads WebM's alpha stream.
    pub(crate) fn open(params: &StreamParams, limits: &Limits, threads: u32, alpha: bool) -> Result<Self, AvError> {
        // SAFETY: valid parameters.
        let id = unsafe { params.raw.as_ref() }.codec_id;
        let by_name = match (alpha, id) {
            (true, ffi::AVCodecID::AV_CODEC_ID_VP9) => Some(c"libvpx-vp9"),
            (true, ffi::AVCodecID::AV_CODEC_ID_VP8) => Some(c"libvpx"),
            _ => None,
        };
        // SAFETY: a constant name; returns a static codec or null.
        let named = by_name.map_or(ptr::null(), |name| unsafe {
            ffi::avcodec_find_decoder_by_name(name.as_ptr())
        });
        let codec = if named.is_null() {
            // SAFETY: returns a static codec or null.
            unsafe { ffi::avcodec_find_decoder(id) }
        } else {
            named
        };
        Self::finish(codec, params, codec_options(limits, threads), None)
    }

    /// Opens the decoder of a stream on a GPU. Where NVDEC refuses the stream, frames come out in memory, or an error for
    /// AV1, whose decoder works on GPUs alone.
    pub(crate) fn open_on(device: &Device, params: &StreamParams, limits: &Limits) -> Result<Self, AvError> {
        // SAFETY: valid parameters.
        let id = unsafe { params.raw.as_ref() }.codec_id;
        let codec = if id == ffi::AVCodecID::AV_CODEC_ID_AV1 {
            // SAFETY: a constant name; returns a static codec or null.
            unsafe { ffi::avcodec_find_decoder_by_name(c"av1".as_ptr()) }
        } else {
            // SAFETY: returns a static codec or null.
            unsafe { ffi::avcodec_find_decoder(id) }
        };
        // Threads would only add surfaces, of which NVDEC has 32.
        let mut options = codec_options(limits, 1);
        options.set("codec_whitelist", &format!("{DECODERS},{ON_GPUS_ONLY}"));
        Self::finish(codec, params, options, Some(device))
    }

    fn finish(
        codec: *const ffi::AVCodec,
        params: &StreamParams,
        mut options: Options,
        device: Option<&Device>,
    ) -> Result<Self, AvError> {
        if codec.is_null() {
            return Err(AvError(ffi::AVERROR_DECODER_NOT_FOUND));
        }
        let mut context = Context::new(codec)?;
        // SAFETY: both valid.
        check(unsafe { ffi::avcodec_parameters_to_context(context.0.as_ptr(), params.raw.as_ptr()) })?;
        let raw = context.raw_mut();
        raw.pkt_timebase = params.time_base.into();
        // Else what is cut off a picture on its left and its top stays where it would not be aligned.
        raw.flags |= ffi::AV_CODEC_FLAG_UNALIGNED as i32;
        if let Some(device) = device {
            raw.hw_device_ctx = device.reference()?;
            raw.get_format = Some(prefer_surfaces);
            raw.extra_hw_frames = SURFACES_AHEAD;
        }
        // SAFETY: valid context, static codec, our dictionary.
        check(unsafe { ffi::avcodec_open2(context.0.as_ptr(), codec, &raw mut options.0) })?;
        if options.leftover().is_some() {
            return Err(AvError(ffi::AVERROR_OPTION_NOT_FOUND));
        }
        // SAFETY: a static codec has a name.
        let name = text_of(unsafe { (*codec).name });
        debug_assert!(
            DECODERS.contains(&name) || !Layer::Codecs.stands(),
            "{name} is not among the offered decoders"
        );
        Ok(Self { context })
    }

    /// `None` tells the decoder that no packet follows.
    pub(crate) fn send(&mut self, packet: Option<&Packet>) -> Result<(), AvError> {
        let packet = packet.map_or(ptr::null(), |packet| packet.0.as_ptr().cast_const());
        // SAFETY: valid context; null is the flush signal.
        check(unsafe { ffi::avcodec_send_packet(self.context.0.as_ptr(), packet) }).map(drop)
    }

    pub(crate) fn receive(&mut self) -> Result<Frame, AvError> {
        let frame = Frame::new()?;
        // SAFETY: both valid.
        check(unsafe { ffi::avcodec_receive_frame(self.context.0.as_ptr(), frame.0.as_ptr()) })?;
        Ok(frame)
    }
}

/// Which pass of two an encoder runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    First,
    Second,
}

/// How to open a video encoder.
#[derive(Clone, Debug)]
pub(crate) struct VideoTarget {
    pub(crate) codec: &'static str,
    pub(crate) options: Vec<(&'static str, String)>,
    /// Bits a second; `None` where the options say a quality.
    pub(crate) bit_rate_bps: Option<u64>,
    pub(crate) pass: Option<Pass>,
    pub(crate) frame_rate: Rational,
    pub(crate) gop: u32,
    pub(crate) threads: u32,
    pub(crate) matrix: i32,
    pub(crate) transfer: i32,
    pub(crate) primaries: i32,
}

/// How to open an audio encoder.
#[derive(Clone, Debug)]
pub(crate) struct AudioTarget {
    pub(crate) codec: &'static str,
    pub(crate) bit_rate_bps: u64,
}

/// Whether this FFmpeg has an encoder of this name.
pub(crate) fn has_encoder(name: &str) -> bool {
    let name = c_string(name);
    // SAFETY: a terminated name; returns a static codec or null.
    !unsafe { ffi::avcodec_find_encoder_by_name(name.as_ptr()) }.is_null()
}

/// Whether an encoder's own table knows this option and takes this value, without opening anything.
pub(crate) fn takes_option(encoder: &str, option: &str, value: &str) -> bool {
    let (encoder, option, value) = (c_string(encoder), c_string(option), c_string(value));
    // SAFETY: a terminated name; returns a static codec or null.
    let codec = unsafe { ffi::avcodec_find_encoder_by_name(encoder.as_ptr()) };
    if codec.is_null() {
        return false;
    }
    let Ok(context) = Context::new(codec) else {
        return false;
    };
    // Generic options lie in the context, an encoder's own in what is private to it.
    #[allow(clippy::unnecessary_cast, reason = "its type differs between FFmpeg's releases")]
    let flags = ffi::AV_OPT_SEARCH_CHILDREN as i32;
    // SAFETY: a context that was allocated for this codec, and terminated strings.
    unsafe { ffi::av_opt_set(context.0.as_ptr().cast(), option.as_ptr(), value.as_ptr(), flags) >= 0 }
}

/// Frames in, packets out.
pub(crate) struct Encoder {
    context: Context,
}

impl Encoder {
    /// Opens for frames like this one. A frame on a GPU is encoded there, in its context.
    pub(crate) fn open_video(
        target: &VideoTarget,
        like: &Frame,
        time_base: Rational,
        full_range: bool,
    ) -> Result<Self, AvError> {
        let shape = like.shape();
        let (codec, mut context) = Self::allocate(target.codec)?;
        let raw = context.raw_mut();
        raw.width = shape.width;
        raw.height = shape.height;
        // SAFETY: the number came from a frame of libav's own.
        raw.pix_fmt = unsafe { std::mem::transmute::<i32, ffi::AVPixelFormat>(shape.format) };
        raw.hw_frames_ctx = like.pool_reference()?;
        if !raw.hw_frames_ctx.is_null() {
            raw.sw_pix_fmt = raw.pix_fmt;
            raw.pix_fmt = ffi::AVPixelFormat::AV_PIX_FMT_CUDA;
        }
        raw.sample_aspect_ratio = ffi::AVRational { num: 1, den: 1 };
        raw.framerate = target.frame_rate.into();
        raw.gop_size = target.gop as i32;
        raw.bit_rate = target.bit_rate_bps.unwrap_or(0) as i64;
        raw.flags |= match target.pass {
            Some(Pass::First) => ffi::AV_CODEC_FLAG_PASS1 as i32,
            Some(Pass::Second) => ffi::AV_CODEC_FLAG_PASS2 as i32,
            None => 0,
        };
        raw.color_range = if full_range {
            ffi::AVColorRange::AVCOL_RANGE_JPEG
        } else {
            ffi::AVColorRange::AVCOL_RANGE_MPEG
        };
        // SAFETY: the plan holds only values that libav itself named.
        unsafe {
            raw.colorspace = std::mem::transmute::<i32, ffi::AVColorSpace>(target.matrix);
            raw.color_trc = std::mem::transmute::<i32, ffi::AVColorTransferCharacteristic>(target.transfer);
            raw.color_primaries = std::mem::transmute::<i32, ffi::AVColorPrimaries>(target.primaries);
        }
        let mut pairs = target.options.clone();
        if raw.hw_frames_ctx.is_null() {
            pairs.push(("threads", target.threads.to_string()));
        }
        Self::finish(codec, context, time_base, &pairs)
    }

    pub(crate) fn open_audio(target: &AudioTarget, shape: &FrameShape, time_base: Rational) -> Result<Self, AvError> {
        let (codec, mut context) = Self::allocate(target.codec)?;
        let raw = context.raw_mut();
        raw.sample_rate = shape.sample_rate;
        // SAFETY: the number came from a frame of libav's own.
        raw.sample_fmt = unsafe { std::mem::transmute::<i32, ffi::AVSampleFormat>(shape.format) };
        raw.bit_rate = target.bit_rate_bps as i64;
        // SAFETY: a valid, empty layout is overwritten.
        unsafe { ffi::av_channel_layout_default(&raw mut raw.ch_layout, shape.channels) };
        Self::finish(codec, context, time_base, &[])
    }

    fn allocate(name: &str) -> Result<(*const ffi::AVCodec, Context), AvError> {
        let name = c_string(name);
        // SAFETY: a terminated name; returns a static codec or null.
        let codec = unsafe { ffi::avcodec_find_encoder_by_name(name.as_ptr()) };
        if codec.is_null() {
            return Err(AvError(ffi::AVERROR_ENCODER_NOT_FOUND));
        }
        Ok((codec, Context::new(codec)?))
    }

    fn finish(
        codec: *const ffi::AVCodec,
        mut context: Context,
        time_base: Rational,
        pairs: &[(&'static str, String)],
    ) -> Result<Self, AvError> {
        let raw = context.raw_mut();
        raw.time_base = time_base.into();
        raw.flags |= (ffi::AV_CODEC_FLAG_GLOBAL_HEADER | ffi::AV_CODEC_FLAG_BITEXACT) as i32;
        let mut options = Options::new(pairs);
        // SAFETY: valid context, static codec, our dictionary.
        check(unsafe { ffi::avcodec_open2(context.0.as_ptr(), codec, &raw mut options.0) })?;
        if options.leftover().is_some() {
            return Err(AvError(ffi::AVERROR_OPTION_NOT_FOUND));
        }
        Ok(Self { context })
    }

    pub(crate) fn params(&self, time_base: Rational) -> Result<StreamParams, AvError> {
        let params = StreamParams::empty(time_base)?;
        // SAFETY: both valid.
        check(unsafe { ffi::avcodec_parameters_from_context(params.raw.as_ptr(), self.context.0.as_ptr()) })?;
        Ok(params)
    }

    /// How many frames may be shown after one that was sent to it later, at most.
    pub(crate) fn reorder_max(&mut self) -> usize {
        usize::try_from(self.context.raw_mut().max_b_frames).unwrap_or(0)
    }

    /// Samples a frame must have; 0 where any number will do.
    pub(crate) fn frame_samples(&mut self) -> u32 {
        self.context.raw_mut().frame_size as u32
    }

    /// `None` tells the encoder that no frame follows.
    pub(crate) fn send(&mut self, frame: Option<&Frame>) -> Result<(), AvError> {
        let frame = frame.map_or(ptr::null(), |frame| frame.0.as_ptr().cast_const());
        // SAFETY: valid context; null is the flush signal.
        check(unsafe { ffi::avcodec_send_frame(self.context.0.as_ptr(), frame) }).map(drop)
    }

    pub(crate) fn receive(&mut self) -> Result<Packet, AvError> {
        let packet = Packet::new()?;
        // SAFETY: both valid.
        check(unsafe { ffi::avcodec_receive_packet(self.context.0.as_ptr(), packet.0.as_ptr()) })?;
        Ok(packet)
    }
}
