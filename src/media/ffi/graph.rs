//! A filter graph with one source and one sink, built for the frames that really arrived.

use std::ptr::{self, NonNull};

use ffmpeg_next::ffi;

use super::av::{AvError, c_string, check};
use super::cuda::Device;
use super::data::{Frame, FrameShape};
use crate::media::info::Rational;

/// What pictures go into a graph.
pub(crate) struct Source<'a> {
    pub(crate) shape: &'a FrameShape,
    pub(crate) time_base: Rational,
    pub(crate) frame_rate: Rational,
}

impl Source<'_> {
    fn text(&self) -> String {
        let Rational { num, den } = self.time_base;
        let shape = self.shape;
        let (sar_num, sar_den) = shape.square_or_own();
        let rate = if self.frame_rate.num > 0 && self.frame_rate.den > 0 {
            format!(":frame_rate={}/{}", self.frame_rate.num, self.frame_rate.den)
        } else {
            String::new()
        };
        format!(
            "video_size={}x{}:pix_fmt={}:time_base={num}/{den}:pixel_aspect={sar_num}/{sar_den}{rate}{}",
            shape.width,
            shape.height,
            shape.format,
            colour_text(shape)
        )
    }
}

/// From FFmpeg 7 on filters agree on matrix and range when the graph is built: frames that say BT.709 in a graph whose
/// source says nothing come out of `scale` with the colours of BT.601.
#[cfg(coded_side_data)]
fn colour_of(shape: &FrameShape) -> (i32, ffi::AVColorRange) {
    // Those of H.273 that the scaler takes; with another one no graph could be built.
    let matrix = match shape.matrix {
        1 | 4..=7 | 9 => shape.matrix,
        _ => 2,
    };
    let range = if shape.full_range {
        ffi::AVColorRange::AVCOL_RANGE_JPEG
    } else {
        ffi::AVColorRange::AVCOL_RANGE_MPEG
    };
    (matrix, range)
}

#[cfg(coded_side_data)]
fn colour_text(shape: &FrameShape) -> String {
    let (matrix, range) = colour_of(shape);
    format!(":colorspace={matrix}:range={}", range as i32)
}

/// Before it each frame speaks for itself, and the source has no such options.
#[cfg(not(coded_side_data))]
fn colour_text(_shape: &FrameShape) -> String {
    String::new()
}

/// Frames in, frames out. The description is made of typed numbers by the plan; no user's text reaches it.
pub(crate) struct Graph {
    graph: NonNull<ffi::AVFilterGraph>,
    source: NonNull<ffi::AVFilterContext>,
    sink: NonNull<ffi::AVFilterContext>,
}

// SAFETY: used by one thread at a time.
unsafe impl Send for Graph {}

/// Whether this FFmpeg has a filter of this name.
pub(crate) fn has_filter(name: &str) -> bool {
    let name = c_string(name);
    // SAFETY: a terminated name; returns a static filter or null.
    !unsafe { ffi::avfilter_get_by_name(name.as_ptr()) }.is_null()
}

impl Graph {
    pub(crate) fn video(source: &Source<'_>, chain: &str, threads: u32) -> Result<Self, AvError> {
        let mut graph = Self::allocate(threads)?;
        graph.source = graph.add("buffer", "in", &source.text())?;
        graph.finish("buffersink", chain, None)
    }

    /// A graph whose frames lie on a GPU, before the first filter or after the last. `like` is one of those that come.
    pub(crate) fn video_on(
        device: &Device,
        like: &Frame,
        source: &Source<'_>,
        chain: &str,
        threads: u32,
    ) -> Result<Self, AvError> {
        let mut graph = Self::allocate(threads)?;
        graph.source = match source.shape.pool {
            None => graph.add("buffer", "in", &source.text())?,
            Some(_) => graph.add_surfaces(like, source)?,
        };
        graph.finish("buffersink", chain, Some(device))
    }

    /// A source of surfaces must know their pool before it is initialised.
    fn add_surfaces(&mut self, like: &Frame, source: &Source<'_>) -> Result<NonNull<ffi::AVFilterContext>, AvError> {
        // SAFETY: a constant name; returns a static filter or null, which the allocation refuses.
        let filter = unsafe { ffi::avfilter_get_by_name(c"buffer".as_ptr()) };
        // SAFETY: our graph, which owns what is allocated.
        let context = unsafe { ffi::avfilter_graph_alloc_filter(self.graph.as_ptr(), filter, c"in".as_ptr()) };
        let context = NonNull::new(context).ok_or(AvError::NO_MEMORY)?;
        let shape = source.shape;
        // SAFETY: allocates or returns null.
        let mut parameters = NonNull::new(unsafe { ffi::av_buffersrc_parameters_alloc() }).ok_or(AvError::NO_MEMORY)?;
        // SAFETY: just allocated, ours alone.
        let raw = unsafe { parameters.as_mut() };
        raw.format = ffi::AVPixelFormat::AV_PIX_FMT_CUDA as i32;
        raw.width = shape.width;
        raw.height = shape.height;
        raw.time_base = source.time_base.into();
        let (num, den) = shape.square_or_own();
        raw.sample_aspect_ratio = ffi::AVRational { num, den };
        if source.frame_rate.num > 0 && source.frame_rate.den > 0 {
            raw.frame_rate = source.frame_rate.into();
        }
        #[cfg(coded_side_data)]
        {
            let (matrix, range) = colour_of(shape);
            // SAFETY: one of the numbers that the function lets through, all of which libav names.
            raw.color_space = unsafe { std::mem::transmute::<i32, ffi::AVColorSpace>(matrix) };
            raw.color_range = range;
        }
        let outcome = like.pool_reference().and_then(|mut pool| {
            raw.hw_frames_ctx = pool;
            // SAFETY: both valid; the call makes a reference of its own to the pool.
            let code = unsafe { ffi::av_buffersrc_parameters_set(context.as_ptr(), raw) };
            // SAFETY: the reference that was made above.
            unsafe { ffi::av_buffer_unref(&raw mut pool) };
            check(code)
        });
        // SAFETY: allocated by libav for the caller to free.
        unsafe { ffi::av_free(parameters.as_ptr().cast()) };
        outcome?;
        // SAFETY: a context that has all its parameters.
        check(unsafe { ffi::avfilter_init_str(context.as_ptr(), ptr::null()) })?;
        Ok(context)
    }

    pub(crate) fn audio(shape: &FrameShape, time_base: Rational, chain: &str) -> Result<Self, AvError> {
        let Rational { num, den } = time_base;
        let layout = if shape.layout == 0 {
            default_layout(shape.channels)
        } else {
            format!("0x{:x}", shape.layout)
        };
        // SAFETY: the number came from a frame of libav's own.
        let format = unsafe {
            super::av::text_of(ffi::av_get_sample_fmt_name(std::mem::transmute::<
                i32,
                ffi::AVSampleFormat,
            >(shape.format)))
        };
        let source = format!(
            "time_base={num}/{den}:sample_rate={}:sample_fmt={format}:channel_layout={layout}",
            shape.sample_rate
        );
        let mut graph = Self::allocate(1)?;
        graph.source = graph.add("abuffer", "in", &source)?;
        graph.finish("abuffersink", chain, None)
    }

    fn allocate(threads: u32) -> Result<Self, AvError> {
        // SAFETY: allocates or returns null.
        let graph = NonNull::new(unsafe { ffi::avfilter_graph_alloc() }).ok_or(AvError::NO_MEMORY)?;
        // Owned from here on, so that every early return frees it.
        let mut owned = Self {
            graph,
            source: NonNull::dangling(),
            sink: NonNull::dangling(),
        };
        // SAFETY: just allocated, ours alone.
        unsafe { owned.graph.as_mut() }.nb_threads = threads as i32;
        Ok(owned)
    }

    fn finish(mut self, sink: &str, chain: &str, device: Option<&Device>) -> Result<Self, AvError> {
        self.sink = self.add(sink, "out", "")?;
        self.link(chain, device)?;
        // SAFETY: a complete graph.
        check(unsafe { ffi::avfilter_graph_config(self.graph.as_ptr(), ptr::null_mut()) })?;
        Ok(self)
    }

    /// Filters that make surfaces ask where; the others ignore it.
    fn tell_device(&mut self, device: &Device) -> Result<(), AvError> {
        // SAFETY: our graph.
        let graph = unsafe { self.graph.as_ref() };
        for index in 0..graph.nb_filters as usize {
            // SAFETY: in range; the graph keeps its filters while it lives, and this one is not configured yet.
            let filter = unsafe { &mut **graph.filters.add(index) };
            if filter.hw_device_ctx.is_null() {
                filter.hw_device_ctx = device.reference()?;
            }
        }
        Ok(())
    }

    fn add(&mut self, filter: &str, name: &str, args: &str) -> Result<NonNull<ffi::AVFilterContext>, AvError> {
        let (filter, name, args) = (c_string(filter), c_string(name), c_string(args));
        let mut context = ptr::null_mut();
        // SAFETY: the strings outlive the call; a null filter is refused by it.
        check(unsafe {
            ffi::avfilter_graph_create_filter(
                &raw mut context,
                ffi::avfilter_get_by_name(filter.as_ptr()),
                name.as_ptr(),
                args.as_ptr(),
                ptr::null_mut(),
                self.graph.as_ptr(),
            )
        })?;
        NonNull::new(context).ok_or(AvError::NO_MEMORY)
    }

    /// Puts the chain between source and sink. Newer filters want their device before they are initialised.
    #[cfg(filter_segments)]
    fn link(&mut self, chain: &str, device: Option<&Device>) -> Result<(), AvError> {
        let chain = c_string(chain);
        let mut segment = Segment(ptr::null_mut());
        // SAFETY: a terminated string; the segment is freed by its guard.
        check(unsafe {
            ffi::avfilter_graph_segment_parse(self.graph.as_ptr(), chain.as_ptr(), 0, &raw mut segment.0)
        })?;
        // SAFETY: a segment that was parsed.
        check(unsafe { ffi::avfilter_graph_segment_create_filters(segment.0, 0) })?;
        if let Some(device) = device {
            self.tell_device(device)?;
        }
        let (mut inputs, mut outputs) = (OpenPads(ptr::null_mut()), OpenPads(ptr::null_mut()));
        // SAFETY: as above; what stays open is given to the two lists, which their guards free.
        check(unsafe { ffi::avfilter_graph_segment_apply(segment.0, 0, &raw mut inputs.0, &raw mut outputs.0) })?;
        // SAFETY: null, or lists that libav just made.
        let (Some(first), Some(last)) = (unsafe { inputs.0.as_ref() }, unsafe { outputs.0.as_ref() }) else {
            return Err(AvError::NOT_SUPPORTED);
        };
        // SAFETY: initialised filters of this graph, whose pads are open.
        check(unsafe { ffi::avfilter_link(self.source.as_ptr(), 0, first.filter_ctx, first.pad_idx as u32) })?;
        // SAFETY: as above.
        check(unsafe { ffi::avfilter_link(last.filter_ctx, last.pad_idx as u32, self.sink.as_ptr(), 0) }).map(drop)
    }

    /// Puts the chain between source and sink.
    #[cfg(not(filter_segments))]
    fn link(&mut self, chain: &str, device: Option<&Device>) -> Result<(), AvError> {
        // libav names the ends of a chain from the outside: our source is the chain's open *output* list.
        let mut outputs = OpenPads(pad("in", self.source)?);
        let mut inputs = OpenPads(pad("out", self.sink)?);
        let chain = c_string(chain);
        // SAFETY: both lists are ours; the call takes what it links and leaves the rest to be freed.
        check(unsafe {
            ffi::avfilter_graph_parse_ptr(
                self.graph.as_ptr(),
                chain.as_ptr(),
                &raw mut inputs.0,
                &raw mut outputs.0,
                ptr::null_mut(),
            )
        })?;
        match device {
            Some(device) => self.tell_device(device),
            None => Ok(()),
        }
    }

    /// Hands a frame over; `None` ends the stream.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the source takes what the frame holds: it is of no use after"
    )]
    pub(crate) fn send(&mut self, frame: Option<Frame>) -> Result<(), AvError> {
        let raw = frame.as_ref().map_or(ptr::null_mut(), |frame| frame.0.as_ptr());
        // SAFETY: the source takes the frame's references and leaves an empty frame to be dropped.
        check(unsafe { ffi::av_buffersrc_add_frame(self.source.as_ptr(), raw) }).map(drop)
    }

    pub(crate) fn receive(&mut self) -> Result<Frame, AvError> {
        let frame = Frame::new()?;
        // SAFETY: both valid.
        check(unsafe { ffi::av_buffersink_get_frame(self.sink.as_ptr(), frame.0.as_ptr()) })?;
        Ok(frame)
    }

    pub(crate) fn time_base(&self) -> Rational {
        // SAFETY: a configured sink.
        unsafe { ffi::av_buffersink_get_time_base(self.sink.as_ptr()) }.into()
    }

    /// Makes every audio frame but the last have this many samples.
    pub(crate) fn set_frame_samples(&mut self, samples: u32) {
        // SAFETY: a configured sink.
        unsafe { ffi::av_buffersink_set_frame_size(self.sink.as_ptr(), samples) };
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        let mut graph = self.graph.as_ptr();
        // SAFETY: owned; frees the filters too.
        unsafe { ffi::avfilter_graph_free(&raw mut graph) };
    }
}

/// Pads of a chain that nothing is linked to yet.
struct OpenPads(*mut ffi::AVFilterInOut);

impl Drop for OpenPads {
    fn drop(&mut self) {
        // SAFETY: null or a list of ours.
        unsafe { ffi::avfilter_inout_free(&raw mut self.0) };
    }
}

/// A chain whose filters are being made.
#[cfg(filter_segments)]
struct Segment(*mut ffi::AVFilterGraphSegment);

#[cfg(filter_segments)]
impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: null or a segment of ours; its filters belong to the graph.
        unsafe { ffi::avfilter_graph_segment_free(&raw mut self.0) };
    }
}

#[cfg(not(filter_segments))]
fn pad(name: &str, filter: NonNull<ffi::AVFilterContext>) -> Result<*mut ffi::AVFilterInOut, AvError> {
    let name = c_string(name);
    // SAFETY: allocates or returns null.
    let Some(mut pad) = NonNull::new(unsafe { ffi::avfilter_inout_alloc() }) else {
        return Err(AvError::NO_MEMORY);
    };
    // SAFETY: just allocated, ours alone.
    let raw = unsafe { pad.as_mut() };
    // SAFETY: copies a terminated string; freed with the list.
    raw.name = unsafe { ffi::av_strdup(name.as_ptr()) };
    raw.filter_ctx = filter.as_ptr();
    raw.pad_idx = 0;
    raw.next = ptr::null_mut();
    Ok(pad.as_ptr())
}

/// libav's name for the usual layout of so many channels; AVI and WAV often say only the count.
fn default_layout(channels: i32) -> String {
    match channels {
        1 => "mono".to_owned(),
        2 => "stereo".to_owned(),
        3 => "2.1".to_owned(),
        4 => "4.0".to_owned(),
        5 => "5.0".to_owned(),
        6 => "5.1".to_owned(),
        7 => "6.1".to_owned(),
        8 => "7.1".to_owned(),
        other => format!("{other}c"),
    }
}
