//! A bit stream filter on copied packets: H.264 that does not say its colour is made to say it.

use std::ptr::{self, NonNull};

use ffmpeg_next::ffi;

use super::av::{AvError, c_string, check};
use super::data::{Packet, StreamParams};
use crate::media::info::Colour;

/// Packets in, the same packets out, with colour and range written into their parameter sets.
pub(crate) struct ColourTagger {
    context: NonNull<ffi::AVBSFContext>,
}

// SAFETY: used by one thread at a time.
unsafe impl Send for ColourTagger {}

impl ColourTagger {
    /// For H.264 packets of a stream with these parameters.
    pub(crate) fn open(params: &StreamParams, colour: Colour) -> Result<Self, AvError> {
        // SAFETY: a constant name; returns a static filter or null.
        let filter = unsafe { ffi::av_bsf_get_by_name(c"h264_metadata".as_ptr()) };
        if filter.is_null() {
            return Err(AvError(ffi::AVERROR_BSF_NOT_FOUND));
        }
        let mut context = ptr::null_mut();
        // SAFETY: a static filter and a place for the context.
        check(unsafe { ffi::av_bsf_alloc(filter, &raw mut context) })?;
        let tagger = Self {
            context: NonNull::new(context).ok_or(AvError::NO_MEMORY)?,
        };
        // SAFETY: just allocated, ours alone.
        let raw = unsafe { &mut *tagger.context.as_ptr() };
        // SAFETY: both valid.
        check(unsafe { ffi::avcodec_parameters_copy(raw.par_in, params.raw.as_ptr()) })?;
        raw.time_base_in = params.time_base.into();
        for (key, value) in [
            ("colour_primaries", colour.primaries),
            ("transfer_characteristics", colour.transfer),
            ("matrix_coefficients", colour.matrix),
            ("video_full_range_flag", i32::from(colour.full_range)),
        ] {
            let (key, value) = (c_string(key), c_string(&value.to_string()));
            // SAFETY: the filter's own options; both strings live through the call.
            check(unsafe { ffi::av_opt_set(raw.priv_data, key.as_ptr(), value.as_ptr(), 0) })?;
        }
        // SAFETY: complete.
        check(unsafe { ffi::av_bsf_init(tagger.context.as_ptr()) })?;
        Ok(tagger)
    }

    /// The stream's parameters behind the filter.
    pub(crate) fn params(&self, before: &StreamParams) -> Result<StreamParams, AvError> {
        // SAFETY: an initialised filter.
        let par_out = unsafe { self.context.as_ref() }.par_out;
        let mut params = StreamParams::copy_of(par_out, before.time_base)?;
        params.matrix = before.matrix;
        params.frame_rate = before.frame_rate;
        Ok(params)
    }

    /// This filter gives one packet for each.
    pub(crate) fn pass(&mut self, packet: Packet) -> Result<Packet, AvError> {
        // SAFETY: both valid; the filter takes the packet's references and leaves an empty packet.
        check(unsafe { ffi::av_bsf_send_packet(self.context.as_ptr(), packet.0.as_ptr()) })?;
        // SAFETY: as above; the packet is filled anew.
        check(unsafe { ffi::av_bsf_receive_packet(self.context.as_ptr(), packet.0.as_ptr()) })?;
        Ok(packet)
    }
}

impl Drop for ColourTagger {
    fn drop(&mut self) {
        let mut context = self.context.as_ptr();
        // SAFETY: owned.
        unsafe { ffi::av_bsf_free(&raw mut context) };
    }
}
