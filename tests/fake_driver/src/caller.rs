//! The caller's memory: structures of the interfaces, read and written by byte offset, because their length differs from
//! version to version while the places of the fields used here do not.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;

/// A value that any bytes make.
pub(crate) trait Plain: Copy {}

impl Plain for u8 {}
impl Plain for u16 {}
impl Plain for u32 {}
impl Plain for i32 {}
impl Plain for u64 {}
impl Plain for usize {}
impl Plain for *mut c_void {}
impl Plain for *mut u32 {}
impl Plain for Guid {}

/// A GUID, passed by value: its bytes in memory order are enough to compare two of them.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Guid(pub(crate) u32, pub(crate) u16, pub(crate) u16, pub(crate) [u8; 8]);

/// A structure that the caller lends for the length of a call.
#[derive(Clone, Copy)]
pub(crate) struct Record(NonNull<u8>);

impl Record {
    /// # Safety
    /// The pointer is null, or points to a structure of the interface that stays the caller's for the length of the call and
    /// holds every offset that is then asked for.
    pub(crate) unsafe fn at(pointer: *mut c_void) -> Option<Self> {
        NonNull::new(pointer.cast()).map(Self)
    }

    pub(crate) fn get<T: Plain>(self, offset: usize) -> T {
        // SAFETY: `at` was promised a structure that holds this offset, and any bytes make a `Plain`.
        unsafe { self.0.as_ptr().add(offset).cast::<T>().read_unaligned() }
    }

    pub(crate) fn set<T: Plain>(self, offset: usize, value: T) {
        // SAFETY: `at` was promised a structure of the caller's that holds this offset.
        unsafe { self.0.as_ptr().add(offset).cast::<T>().write_unaligned(value) }
    }

    /// The structure that lies inside this one.
    pub(crate) fn within(self, offset: usize) -> Self {
        // SAFETY: `at` was promised a structure that holds this offset, so the sum is inside it and not null.
        Self(unsafe { self.0.add(offset) })
    }

    /// The structure that a field points to.
    pub(crate) fn through(self, offset: usize) -> Option<Self> {
        // SAFETY: pointers between structures of the interface are null or point to a structure of the caller's.
        unsafe { Self::at(self.get(offset)) }
    }
}

/// Writes a result of CUDA's.
macro_rules! hand {
    ($place:expr, $value:expr) => {{
        // SAFETY: a place for a result is null or the caller's to be written to.
        if unsafe { $crate::caller::give($place, $value) } {
            Ok(())
        } else {
            Err($crate::codes::INVALID_VALUE)
        }
    }};
}
pub(crate) use hand;

/// Writes a result; says whether there was a place for it.
///
/// # Safety
/// The pointer is null or may be written to.
pub(crate) unsafe fn give<T>(place: *mut T, value: T) -> bool {
    if place.is_null() {
        return false;
    }
    // SAFETY: not null, and so the caller's to be written to.
    unsafe { place.write_unaligned(value) };
    true
}

/// Writes a C string, cut to the place for it.
///
/// # Safety
/// The pointer is null or may be written to for `length` bytes.
pub(crate) unsafe fn give_text(place: *mut c_char, length: usize, text: &str) -> bool {
    if place.is_null() || length == 0 {
        return false;
    }
    let bytes = &text.as_bytes()[..text.len().min(length - 1)];
    // SAFETY: the place takes `length` bytes, and these with their NUL are at most as many.
    unsafe {
        place.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        place.add(bytes.len()).write(0);
    }
    true
}

/// Reads a C string.
///
/// # Safety
/// The pointer is null or points to a string that ends with NUL.
pub(crate) unsafe fn text(place: *const c_char) -> String {
    if place.is_null() {
        return String::new();
    }
    // SAFETY: not null, and so a string that ends with NUL.
    unsafe { CStr::from_ptr(place) }.to_string_lossy().into_owned()
}
