//! Pictures and sound of our own making, and a look at the samples of others: what the score reads and the clips of the
//! bench are drawn on.

use ffmpeg_next::ffi;

use super::av::{AvError, check};
use super::data::Frame;

/// The samples of one plane, a byte each.
pub(crate) struct Plane<'a> {
    bytes: &'a [u8],
    stride: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl Plane<'_> {
    /// A line, counted from 0 at the top.
    pub(crate) fn line(&self, index: usize) -> &[u8] {
        &self.bytes[index * self.stride..][..self.width]
    }

    /// Samples.
    pub(crate) fn area(&self) -> usize {
        self.width * self.height
    }
}

/// Where a plane lies: the first byte, bytes from line to line, width and height.
type Place = (*mut u8, usize, usize, usize);

impl Frame {
    /// An 8-bit 4:2:0 picture whose samples are yet to be filled.
    pub(crate) fn picture(width: u32, height: u32) -> Result<Self, AvError> {
        let mut frame = Self::new()?;
        // SAFETY: valid and exclusively ours.
        let raw = unsafe { frame.0.as_mut() };
        raw.format = ffi::AVPixelFormat::AV_PIX_FMT_YUV420P as i32;
        raw.width = width as i32;
        raw.height = height as i32;
        // SAFETY: a frame that says what it is to hold and holds nothing yet.
        check(unsafe { ffi::av_frame_get_buffer(frame.0.as_ptr(), 0) })?;
        frame.fill(|_, _, line| line.fill(0));
        Ok(frame)
    }

    /// Planar floats, silent.
    pub(crate) fn sound(samples: i32, sample_rate: i32, channels: i32) -> Result<Self, AvError> {
        let mut frame = Self::new()?;
        // SAFETY: valid and exclusively ours.
        let raw = unsafe { frame.0.as_mut() };
        raw.format = ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP as i32;
        raw.nb_samples = samples;
        raw.sample_rate = sample_rate;
        // SAFETY: a valid, empty layout is overwritten.
        unsafe { ffi::av_channel_layout_default(&raw mut raw.ch_layout, channels) };
        // SAFETY: as for a picture.
        check(unsafe { ffi::av_frame_get_buffer(frame.0.as_ptr(), 0) })?;
        frame.fill_sound(|_, _| 0.0);
        Ok(frame)
    }

    /// Draws each line of a picture of our own: plane, line, its samples.
    pub(crate) fn fill(&mut self, mut draw: impl FnMut(usize, usize, &mut [u8])) {
        for index in (0..3).filter(|_| self.is_writable()) {
            let Some((data, stride, width, height)) = self.place(index) else {
                continue;
            };
            // SAFETY: as in `plane`, and nobody else has a reference to the buffer.
            let bytes = unsafe { std::slice::from_raw_parts_mut(data, stride * (height - 1) + width) };
            for (y, line) in bytes.chunks_mut(stride).enumerate() {
                draw(index, y, &mut line[..width]);
            }
        }
    }

    /// Gives each sample of a sound of our own its value: channel, sample.
    pub(crate) fn fill_sound(&mut self, mut value: impl FnMut(usize, usize) -> f32) {
        let writable = self.is_writable();
        // SAFETY: valid and exclusively ours.
        let raw = unsafe { self.0.as_mut() };
        let planar = raw.format == ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP as i32;
        let samples = usize::try_from(raw.nb_samples).unwrap_or(0);
        for (channel, data) in raw.data.iter().enumerate() {
            if !writable || !planar || data.is_null() {
                continue;
            }
            // SAFETY: libav keeps `nb_samples` floats in each plane, aligned for them; nobody else has a reference.
            let plane = unsafe { std::slice::from_raw_parts_mut(data.cast::<f32>(), samples) };
            for (sample, place) in plane.iter_mut().enumerate() {
                *place = value(channel, sample);
            }
        }
    }

    /// Whether nobody else, an encoder for one, has a reference to what it holds.
    fn is_writable(&self) -> bool {
        // SAFETY: valid; it only looks at the counts of the references.
        unsafe { ffi::av_frame_is_writable(self.0.as_ptr()) > 0 }
    }

    /// One plane of an 8-bit 4:2:0 picture in memory; `None` for any other.
    pub(crate) fn plane(&self, index: usize) -> Option<Plane<'_>> {
        let (data, stride, width, height) = self.place(index)?;
        // SAFETY: libav keeps `height` lines of at least `width` bytes there, `stride` apart, while the frame lives.
        let bytes = unsafe { std::slice::from_raw_parts(data, stride * (height - 1) + width) };
        Some(Plane {
            bytes,
            stride,
            width,
            height,
        })
    }

    fn place(&self, index: usize) -> Option<Place> {
        // SAFETY: valid while self lives.
        let raw = unsafe { self.0.as_ref() };
        let side = |side: i32| usize::try_from(if index == 0 { side } else { (side + 1) / 2 }).ok();
        let (width, height) = (side(raw.width)?, side(raw.height)?);
        let stride = usize::try_from(*raw.linesize.get(index)?).ok()?;
        let fits = raw.format == ffi::AVPixelFormat::AV_PIX_FMT_YUV420P as i32
            && index < 3
            && !raw.data[index].is_null()
            && width > 0
            && height > 0
            && stride >= width;
        fits.then(|| (raw.data[index], stride, width, height))
    }
}
