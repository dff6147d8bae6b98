//! libav's I/O over files that we opened: libav never sees a path.

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use ffmpeg_next::ffi;

use super::av::AvError;

/// Size of libav's I/O buffer. Large reads: one system call for many packets.
const BUFFER_BYTES: usize = 256 << 10;
/// Smaller writes wait for the next, bytes.
const FLUSHED_BYTES_MIN: c_int = 64 << 10;
const WHENCE_SIZE: c_int = ffi::AVSEEK_SIZE as c_int;

/// What the callbacks work on.
pub(super) struct Disk {
    file: File,
    /// Position of a reader, which no other reader of the same file moves.
    own_position: Option<u64>,
    /// The first error, which libav's return code would flatten.
    pub(super) error: Option<io::Error>,
}

/// An AVIOContext over a [`Disk`].
pub(super) struct Io {
    pub(super) context: NonNull<ffi::AVIOContext>,
    disk: NonNull<Disk>,
}

impl Io {
    /// From the file's start, with a position of its own: others may read the same open file.
    pub(super) fn reader(file: File) -> Result<Self, AvError> {
        Self::new(
            Disk {
                file,
                own_position: Some(0),
                error: None,
            },
            false,
        )
    }

    pub(super) fn writer(file: File) -> Result<Self, AvError> {
        Self::new(
            Disk {
                file,
                own_position: None,
                error: None,
            },
            true,
        )
    }

    /// A reader of the file behind a writer.
    pub(super) fn second_reader(&self) -> Result<Self, AvError> {
        let file = self.disk().file.try_clone().map_err(|_| AvError(-24))?;
        Self::reader(file)
    }

    fn new(disk: Disk, write: bool) -> Result<Self, AvError> {
        // SAFETY: plain allocation, freed with the context or right here.
        let buffer = unsafe { ffi::av_malloc(BUFFER_BYTES) };
        if buffer.is_null() {
            return Err(AvError::NO_MEMORY);
        }
        let disk = NonNull::from(Box::leak(Box::new(disk)));
        // SAFETY: buffer and opaque stay valid until Drop frees both after the context.
        let context = unsafe {
            ffi::avio_alloc_context(
                buffer.cast(),
                BUFFER_BYTES as c_int,
                c_int::from(write),
                disk.as_ptr().cast(),
                Some(on_read),
                Some(on_write),
                Some(on_seek),
            )
        };
        let Some(mut context) = NonNull::new(context) else {
            // SAFETY: not handed to anyone.
            unsafe { ffi::av_free(buffer) };
            // SAFETY: as above, leaked a few lines up.
            drop(unsafe { Box::from_raw(disk.as_ptr()) });
            return Err(AvError::NO_MEMORY);
        };
        // Muxers ask for a flush after every packet, which is heeded once so much has come together.
        // SAFETY: just allocated, ours alone.
        unsafe { context.as_mut() }.min_packet_size = FLUSHED_BYTES_MIN;
        Ok(Self { context, disk })
    }

    pub(super) fn disk(&self) -> &Disk {
        // SAFETY: lives until Drop; callbacks run only inside libav calls of the same thread.
        unsafe { self.disk.as_ref() }
    }

    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        // SAFETY: as in `disk`, and self is exclusively borrowed.
        unsafe { self.disk.as_mut() }.error.take()
    }

    /// Empties libav's buffer.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        // SAFETY: valid context.
        unsafe { ffi::avio_flush(self.context.as_ptr()) };
        self.take_error().map_or(Ok(()), Err)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.disk().file.sync_all()
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        // SAFETY: the buffer may have been replaced by libav; the context's pointer is the current one.
        unsafe { ffi::av_freep((&raw mut (*self.context.as_ptr()).buffer).cast()) };
        let mut context = self.context.as_ptr();
        // SAFETY: owned, and no libav object that uses it is left.
        unsafe { ffi::avio_context_free(&raw mut context) };
        // SAFETY: leaked in `new`, freed once here.
        drop(unsafe { Box::from_raw(self.disk.as_ptr()) });
    }
}

/// Runs a callback's body on its disk; a panic becomes an I/O error, for it must not cross C.
fn with_disk(opaque: *mut c_void, body: impl FnOnce(&mut Disk) -> io::Result<i64>) -> i64 {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: opaque is the Disk that `Io::new` registered; libav calls back on the thread that called it.
        let disk = unsafe { &mut *opaque.cast::<Disk>() };
        match body(disk) {
            Ok(value) => value,
            Err(error) => {
                let code = -i64::from(error.raw_os_error().unwrap_or(5));
                disk.error.get_or_insert(error);
                code
            }
        }
    }));
    outcome.unwrap_or(-5)
}

unsafe extern "C" fn on_read(opaque: *mut c_void, buffer: *mut u8, size: c_int) -> c_int {
    let got = with_disk(opaque, |disk| {
        // SAFETY: libav gives a buffer of `size` bytes.
        let buffer = unsafe { std::slice::from_raw_parts_mut(buffer, size as usize) };
        let got = match &mut disk.own_position {
            None => disk.file.read(buffer)?,
            Some(position) => {
                let got = disk.file.read_at(buffer, *position)?;
                *position += got as u64;
                got
            }
        };
        Ok(if got == 0 {
            i64::from(ffi::AVERROR_EOF)
        } else {
            got as i64
        })
    });
    got as c_int
}

/// libav 7 made the buffer const; both signatures take the same pointer.
#[cfg(coded_side_data)]
unsafe extern "C" fn on_write(opaque: *mut c_void, buffer: *const u8, size: c_int) -> c_int {
    write_all(opaque, buffer, size)
}

#[cfg(not(coded_side_data))]
unsafe extern "C" fn on_write(opaque: *mut c_void, buffer: *mut u8, size: c_int) -> c_int {
    write_all(opaque, buffer, size)
}

fn write_all(opaque: *mut c_void, buffer: *const u8, size: c_int) -> c_int {
    let wrote = with_disk(opaque, |disk| {
        // SAFETY: libav gives a buffer of `size` bytes.
        let buffer = unsafe { std::slice::from_raw_parts(buffer, size as usize) };
        disk.file.write_all(buffer)?;
        Ok(i64::from(size))
    });
    wrote as c_int
}

unsafe extern "C" fn on_seek(opaque: *mut c_void, offset: i64, whence: c_int) -> i64 {
    with_disk(opaque, |disk| {
        let length = || disk.file.metadata().map(|metadata| metadata.len() as i64);
        if whence & WHENCE_SIZE != 0 {
            return length();
        }
        let position = match whence & 3 {
            0 => SeekFrom::Start(u64::try_from(offset).map_err(|_| io::Error::from_raw_os_error(22))?),
            1 => SeekFrom::Current(offset),
            _ => SeekFrom::End(offset),
        };
        match (&mut disk.own_position, position) {
            (None, position) => disk.file.seek(position).map(|at| at as i64),
            (Some(own), SeekFrom::Start(at)) => {
                *own = at;
                Ok(at as i64)
            }
            (Some(own), SeekFrom::Current(by)) => {
                *own = own.saturating_add_signed(by);
                Ok(*own as i64)
            }
            (Some(own), SeekFrom::End(by)) => {
                *own = (disk.file.metadata()?.len()).saturating_add_signed(by);
                Ok(*own as i64)
            }
        }
    })
}
