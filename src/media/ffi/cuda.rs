//! A CUDA context of libav's, and what of it decoders, filters and encoders hold on to.

use std::ptr::{self, NonNull};

use ffmpeg_next::ffi;

use super::av::{AvError, c_string, check};

/// One context on one GPU. All that work there share it by reference; it goes when the last of them does.
///
/// It is a context of its own, not the device's primary one: after an error that sticks a primary context stays broken
/// for as long as anybody in the process holds it, and a new one could not be had while old jobs end.
pub(crate) struct Device(NonNull<ffi::AVBufferRef>);

// SAFETY: libav's buffer references are counted atomically, and a device context is made for use by several threads.
unsafe impl Send for Device {}
// SAFETY: as above; a shared reference only makes further references.
unsafe impl Sync for Device {}

impl Device {
    /// Makes a context on the GPU with this CUDA ordinal: 100 ms and more, and drivers have crashed when two were made
    /// at once, so the caller makes one at a time.
    pub(crate) fn open(gpu: u32) -> Result<Self, AvError> {
        let ordinal = c_string(&gpu.to_string());
        let mut raw = ptr::null_mut();
        // SAFETY: the string outlives the call; on failure the pointer stays null.
        check(unsafe {
            ffi::av_hwdevice_ctx_create(
                &raw mut raw,
                ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_CUDA,
                ordinal.as_ptr(),
                ptr::null_mut(),
                0,
            )
        })?;
        NonNull::new(raw).map(Self).ok_or(AvError::NO_MEMORY)
    }

    /// Another reference to the same context.
    pub(crate) fn share(&self) -> Result<Self, AvError> {
        NonNull::new(self.reference()?).map(Self).ok_or(AvError::NO_MEMORY)
    }

    /// A counted reference for a field of libav's, which frees it with its owner.
    pub(super) fn reference(&self) -> Result<*mut ffi::AVBufferRef, AvError> {
        // SAFETY: valid while self lives.
        let raw = unsafe { ffi::av_buffer_ref(self.0.as_ptr()) };
        if raw.is_null() {
            return Err(AvError::NO_MEMORY);
        }
        Ok(raw)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let mut raw = self.0.as_ptr();
        // SAFETY: owned.
        unsafe { ffi::av_buffer_unref(&raw mut raw) };
    }
}

/// What a decoder is told of the formats it may give: surfaces of the GPU as long as libav offers them, else memory.
/// libav offers them only while NVDEC has not refused.
pub(super) unsafe extern "C" fn prefer_surfaces(
    _context: *mut ffi::AVCodecContext,
    formats: *const ffi::AVPixelFormat,
) -> ffi::AVPixelFormat {
    let none = ffi::AVPixelFormat::AV_PIX_FMT_NONE;
    let mut in_memory = none;
    let mut at = formats;
    loop {
        // SAFETY: libav ends its list with AV_PIX_FMT_NONE, and this loop does not go beyond it.
        let format = unsafe { *at };
        if format == none {
            return in_memory;
        }
        if format == ffi::AVPixelFormat::AV_PIX_FMT_CUDA {
            return format;
        }
        // SAFETY: a format of libav's own; returns a static descriptor or null.
        let descriptor = unsafe { ffi::av_pix_fmt_desc_get(format).as_ref() };
        let hardware = descriptor.is_some_and(|one| one.flags & u64::from(ffi::AV_PIX_FMT_FLAG_HWACCEL as u32) != 0);
        if in_memory == none && !hardware {
            in_memory = format;
        }
        // SAFETY: the end was not reached yet.
        at = unsafe { at.add(1) };
    }
}
