//! Return codes, dictionaries, start-up and versions.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::Once;
use std::{fmt, ptr};

use ffmpeg_next::ffi;

/// Largest block that libav may allocate: stops index bombs, and is more than twice a 4K 10-bit 4:4:4 frame.
const ALLOC_BYTES_MAX: usize = 128 << 20;

/// A negative return code of libav.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AvError(pub(crate) c_int);

impl AvError {
    pub(crate) const EOF: Self = Self(ffi::AVERROR_EOF);
    pub(crate) const AGAIN: Self = Self(-(libc_eagain()));
    pub(crate) const NO_MEMORY: Self = Self(-12);
    pub(crate) const NOT_SUPPORTED: Self = Self(-95);
    pub(crate) const EXIT: Self = Self(ffi::AVERROR_EXIT);
}

/// `EAGAIN` on Linux.
const fn libc_eagain() -> c_int {
    11
}

impl fmt::Display for AvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0 as c_char; 128];
        // SAFETY: the buffer is as long as said and stays valid; av_strerror always terminates it.
        unsafe { ffi::av_strerror(self.0, text.as_mut_ptr(), text.len()) };
        // SAFETY: terminated, see above.
        let text = unsafe { CStr::from_ptr(text.as_ptr()) };
        f.write_str(&text.to_string_lossy())
    }
}

impl std::error::Error for AvError {}

/// The one place where a C code becomes a `Result`.
pub(super) fn check(code: c_int) -> Result<c_int, AvError> {
    if code < 0 { Err(AvError(code)) } else { Ok(code) }
}

/// A C string from text of ours, which holds no NUL.
pub(super) fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}

/// Text of libav's, or nothing for a null pointer.
pub(super) fn text_of(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: libav's strings are NUL-terminated, and this one is copied before libav runs again.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

/// Options for one call of libav; what the call did not take is left in it.
pub(super) struct Options(pub(super) *mut ffi::AVDictionary);

impl Options {
    pub(super) fn new(pairs: &[(&str, String)]) -> Self {
        let mut options = Self(ptr::null_mut());
        for (key, value) in pairs {
            options.set(key, value);
        }
        options
    }

    pub(super) fn set(&mut self, key: &str, value: &str) {
        let (key, value) = (c_string(key), c_string(value));
        // SAFETY: both strings live through the call, which copies them.
        unsafe { ffi::av_dict_set(&raw mut self.0, key.as_ptr(), value.as_ptr(), 0) };
    }

    /// The name of an option that the call did not know: a mistyped limit must not pass in silence.
    pub(super) fn leftover(&self) -> Option<String> {
        // SAFETY: the dictionary is ours or null, and an empty key with this flag walks any entry.
        let entry = unsafe { ffi::av_dict_get(self.0, c"".as_ptr(), ptr::null(), ffi::AV_DICT_IGNORE_SUFFIX) };
        // SAFETY: a found entry is valid until the dictionary changes.
        (!entry.is_null()).then(|| text_of(unsafe { (*entry).key }))
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: owned; sets the pointer to null.
        unsafe { ffi::av_dict_free(&raw mut self.0) };
    }
}

/// Sets libav's process-wide limit and takes its log away from stderr; idempotent. libav's lines carry file names and
/// metadata of strangers, so none is printed: errors travel by return code.
pub(crate) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: called once, before any other use of libav by this process.
        unsafe { ffi::av_max_alloc(ALLOC_BYTES_MAX) };
        super::log::listen();
        hush_svt();
        tidy_heap();
        super::pages::give_back_start();
    });
}

/// SVT-AV1 writes to stderr by itself and takes no option against it but a variable of the environment.
fn hush_svt() {
    let alone = std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1);
    if alone {
        // SAFETY: the environment may be changed while no other thread can read it, and there is no other thread.
        unsafe { std::env::set_var("SVT_LOG", "1") };
    }
}

/// Arenas at most: what is free in one is of no use to another.
#[cfg(target_env = "gnu")]
const ARENAS_MAX: i32 = 1;
/// From this size on memory is mapped by itself, and the kernel clears it anew each time; bytes, the most that glibc allows.
/// Pictures are smaller: they lie in the arena, and one job takes over the pages of another.
#[cfg(target_env = "gnu")]
const MAPPED_BYTES_MIN: i32 = 32 << 20;
/// So much that is free at the end of the arena stays there until [`shrink`], bytes.
#[cfg(target_env = "gnu")]
const KEPT_BYTES: i32 = 1 << 30;

/// Has freed memory stay, for the next job: to get pages from the kernel takes up to 7 % of the time of a short one.
fn tidy_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets numbers of the allocator, under its own lock.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS_MAX);
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
    }
}

/// Gives freed memory back to the system, also what lies between pieces in use.
pub(crate) fn shrink() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes the arenas' own locks; nothing that is in use is touched.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// How much of the allocator's memory is free, bytes; 0 where it does not say.
pub(crate) fn freed_bytes() -> usize {
    #[cfg(target_env = "gnu")]
    // SAFETY: reads the arenas under their own locks.
    return unsafe { libc::mallinfo2() }.fordblks;
    #[cfg(not(target_env = "gnu"))]
    0
}

/// The libraries that this process runs on.
pub(crate) fn versions() -> String {
    // SAFETY: these functions only return constants.
    let versions = unsafe {
        [
            ("libavcodec", ffi::avcodec_version()),
            ("libavformat", ffi::avformat_version()),
            ("libavutil", ffi::avutil_version()),
            ("libavfilter", ffi::avfilter_version()),
        ]
    };
    let release = release();
    let list = versions.map(|(name, v)| format!("{name} {}.{}.{}", v >> 16, (v >> 8) & 255, v & 255));
    format!("FFmpeg {release} ({})", list.join(", "))
}

/// FFmpeg's own version, as whoever built it wrote it: `5.1.9-0+deb12u1`, `8.1.2`, `N-118000-g123abc`.
pub(crate) fn release() -> String {
    // SAFETY: returns a constant string.
    text_of(unsafe { ffi::av_version_info() })
}

/// What FFmpeg was configured with.
pub(crate) fn configuration() -> String {
    // SAFETY: returns a constant string.
    text_of(unsafe { ffi::avcodec_configuration() })
}

/// The opaque pointer of a callback.
pub(super) fn opaque<T>(value: &T) -> *mut c_void {
    ptr::from_ref(value).cast_mut().cast()
}
