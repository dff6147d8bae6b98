//! A muxer over a file that we created: write errors are kept, the trailer is checked, the file is synced.

use std::ffi::{c_char, c_int};
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};

use ffmpeg_next::ffi;

use super::av::{AvError, Options, c_string, check};
use super::data::{Packet, StreamParams};
use super::io::Io;
use crate::media::info::Rational;
use crate::media::preset::Container;

/// Packets in, a file out.
pub(crate) struct Output {
    context: NonNull<ffi::AVFormatContext>,
    options: &'static [(&'static str, &'static str)],
    /// Boxed: the muxer's second pass reads through it, by the address in `opaque`.
    io: Box<Io>,
    /// A reader that the muxer opened for its second pass and has not closed yet.
    readers: Vec<Io>,
}

// SAFETY: used by one thread at a time.
unsafe impl Send for Output {}

impl Output {
    /// The muxer is chosen by the contract, never by a file name.
    pub(crate) fn create(file: File, container: Container) -> Result<Self, AvError> {
        let (muxer, options): (&str, &'static [(&'static str, &'static str)]) = match container {
            Container::Mp4 => ("mp4", &[("movflags", "+faststart")]),
            Container::M4a => ("ipod", &[("movflags", "+faststart")]),
            Container::Ogg => ("ogg", &[]),
            Container::WebM => ("webm", &[]),
            Container::Jpeg => ("image2pipe", &[]),
        };
        let io = Box::new(Io::writer(file)?);
        let name = c_string(muxer);
        let mut context = ptr::null_mut();
        // SAFETY: a terminated name; no file name.
        check(unsafe {
            ffi::avformat_alloc_output_context2(&raw mut context, ptr::null(), name.as_ptr(), ptr::null())
        })?;
        let Some(mut context) = NonNull::new(context) else {
            return Err(AvError::NO_MEMORY);
        };
        // SAFETY: just allocated, ours alone.
        let raw = unsafe { context.as_mut() };
        raw.pb = io.context.as_ptr();
        raw.flags |= ffi::AVFMT_FLAG_CUSTOM_IO | ffi::AVFMT_FLAG_BITEXACT;
        raw.io_open = Some(on_open);
        raw.io_close2 = Some(on_close);
        Ok(Self {
            context,
            options,
            io,
            readers: Vec::new(),
        })
    }

    /// Adds a stream and returns its index. A copied one keeps its display matrix; `tag` names the codec's flavour.
    pub(crate) fn add(&mut self, params: &StreamParams, copied: bool, tag: Option<[u8; 4]>) -> Result<usize, AvError> {
        // SAFETY: valid context; allocates or returns null.
        let stream = unsafe { ffi::avformat_new_stream(self.context.as_ptr(), ptr::null()) };
        let Some(mut stream) = NonNull::new(stream) else {
            return Err(AvError::NO_MEMORY);
        };
        // SAFETY: just made, ours alone.
        let raw = unsafe { stream.as_mut() };
        // SAFETY: both valid.
        check(unsafe { ffi::avcodec_parameters_copy(raw.codecpar, params.raw.as_ptr()) })?;
        // SAFETY: valid; the source container's tag means nothing to this muxer.
        unsafe { (*raw.codecpar).codec_tag = tag.map_or(0, u32::from_le_bytes) };
        if copied {
            set_display_matrix(raw, params.matrix.as_ref())?;
        }
        raw.time_base = params.time_base.into();
        raw.avg_frame_rate = params.frame_rate.into();
        Ok(raw.index as usize)
    }

    pub(crate) fn write_header(&mut self) -> Result<(), AvError> {
        // The address is taken here, where self no longer moves until the trailer: see `on_open`.
        // SAFETY: valid context.
        unsafe { self.context.as_mut() }.opaque = ptr::from_mut(self).cast();
        let pairs: Vec<(&str, String)> = self
            .options
            .iter()
            .map(|&(key, value)| (key, value.to_owned()))
            .collect();
        let mut options = Options::new(&pairs);
        // SAFETY: valid context, our dictionary.
        check(unsafe { ffi::avformat_write_header(self.context.as_ptr(), &raw mut options.0) })?;
        match options.leftover() {
            Some(_) => Err(AvError(ffi::AVERROR_OPTION_NOT_FOUND)),
            None => Ok(()),
        }
    }

    /// The time base that the muxer chose for a stream.
    pub(crate) fn time_base(&self, index: usize) -> Rational {
        // SAFETY: valid context; the index came from `add`.
        unsafe { (**self.context.as_ref().streams.add(index)).time_base }.into()
    }

    pub(crate) fn write(&mut self, packet: &mut Packet) -> Result<(), AvError> {
        // SAFETY: both valid; the call takes the packet's references.
        check(unsafe { ffi::av_interleaved_write_frame(self.context.as_ptr(), packet.0.as_ptr()) })?;
        Ok(())
    }

    pub(crate) fn write_trailer(&mut self) -> Result<(), AvError> {
        // SAFETY: refreshed, for self may have moved since the header.
        unsafe { self.context.as_mut() }.opaque = ptr::from_mut(self).cast();
        // SAFETY: valid context, header written.
        check(unsafe { ffi::av_write_trailer(self.context.as_ptr()) }).map(drop)
    }

    /// The I/O error behind a failed call.
    pub(crate) fn take_io_error(&mut self) -> Option<io::Error> {
        self.io.take_error()
    }

    /// Hands all of it to the file.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.io.flush()
    }

    /// Hands all of it to the file, and that to the disk.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.io.flush()?;
        self.io.sync()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: owned; custom I/O is left to us, and `io` is dropped after this.
        unsafe { ffi::avformat_free_context(self.context.as_ptr()) };
    }
}

/// `+faststart` reads its own output back: hands out a second reader of the same file, and of no other.
unsafe extern "C" fn on_open(
    context: *mut ffi::AVFormatContext,
    io: *mut *mut ffi::AVIOContext,
    _url: *const c_char,
    flags: c_int,
    _options: *mut *mut ffi::AVDictionary,
) -> c_int {
    catch_unwind(AssertUnwindSafe(|| {
        if flags & ffi::AVIO_FLAG_WRITE as c_int != 0 {
            return -13;
        }
        // SAFETY: set to the Output right before the call that leads here, on the same thread. Only the fields
        // `io` and `readers` are touched, which the running call does not hold.
        let output = unsafe { &mut *(*context).opaque.cast::<Output>() };
        match output.io.second_reader() {
            Ok(reader) => {
                // SAFETY: libav gives a place for the pointer.
                unsafe { *io = reader.context.as_ptr() };
                output.readers.push(reader);
                0
            }
            Err(error) => error.0,
        }
    }))
    .unwrap_or(-5)
}

/// Readers are freed with the Output, not by libav, whose default would take them for its own.
unsafe extern "C" fn on_close(_context: *mut ffi::AVFormatContext, _io: *mut ffi::AVIOContext) -> c_int {
    0
}

#[cfg(not(coded_side_data))]
fn set_display_matrix(stream: &mut ffi::AVStream, matrix: Option<&[i32; 9]>) -> Result<(), AvError> {
    let Some(matrix) = matrix else { return Ok(()) };
    // SAFETY: allocates 36 bytes that the stream owns, or returns null.
    let data =
        unsafe { ffi::av_stream_new_side_data(stream, ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX, 36) };
    if data.is_null() {
        return Err(AvError::NO_MEMORY);
    }
    // SAFETY: 36 bytes on both sides, no overlap.
    unsafe { ptr::copy_nonoverlapping(matrix.as_ptr().cast::<u8>(), data, 36) };
    Ok(())
}

/// From FFmpeg 7 on the matrix is part of the copied parameters.
#[cfg(coded_side_data)]
#[expect(clippy::unnecessary_wraps, reason = "the same signature as for older libraries")]
fn set_display_matrix(_stream: &mut ffi::AVStream, _matrix: Option<&[i32; 9]>) -> Result<(), AvError> {
    Ok(())
}
