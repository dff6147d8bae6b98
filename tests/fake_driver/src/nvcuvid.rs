//! `libnvcuvid.so.1`: refuses every codec, or takes pictures without looking at them and hands out grey ones of the right
//! size. The grey is another one for each picture, so that a test can tell them apart.
//!
//! What all of it relies on: the caller passes pointers as the interface says, null or to memory of its own.

use std::collections::HashMap;
use std::ffi::{c_int, c_uint, c_void};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::caller::{Record, hand};
use crate::codes::{Code, INVALID_HANDLE, INVALID_VALUE, OUT_OF_MEMORY, UNKNOWN, code};
use crate::device::{ALIGNMENT, current, device};
use crate::faults::{Nvdec, faults};
use crate::live::{self, Kind};

const HEVC: u32 = 8;
const VP9: u32 = 10;
const AV1: u32 = 11;
const CHROMA_420: u32 = 1;
const WIDTH_MIN: u16 = 48;
const HEIGHT_MIN: u16 = 16;
/// A decoder keeps no more pictures than this.
const SURFACES_MAX: u64 = 32;

struct Decoder {
    width: usize,
    height: usize,
    sixteen_bits: bool,
    /// Three whole planes instead of luma and a plane of half the size.
    full_chroma: bool,
    /// Luma of each surface.
    grey: HashMap<c_int, u8>,
}

static DECODERS: LazyLock<Mutex<HashMap<u64, Decoder>>> = LazyLock::new(Mutex::default);

fn decoders() -> MutexGuard<'static, HashMap<u64, Decoder>> {
    DECODERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn supported(codec: u32, chroma: u32, depth: u32) -> bool {
    let deep = matches!(codec, HEVC | VP9 | AV1) && depth <= 4;
    faults().nvdec != Nvdec::Refuse && codec <= AV1 && chroma == CHROMA_420 && (depth == 0 || deep)
}

/// `CUVIDDECODECAPS`: codec, chroma and depth go in; from 24 on come the answers.
#[unsafe(no_mangle)]
extern "C" fn cuvidGetDecoderCaps(caps: *mut c_void) -> Code {
    // SAFETY: the caller lends a CUVIDDECODECAPS.
    let Some(caps) = (unsafe { Record::at(caps) }) else {
        return INVALID_VALUE;
    };
    let supported = supported(caps.get(0), caps.get(4), caps.get(8));
    caps.set(24, u8::from(supported));
    // One engine; NV12, and P016 for more bits.
    caps.set(25, u8::from(supported));
    caps.set::<u16>(26, if supported { 0b11 } else { 0 });
    let size = if supported { faults().nvdec_width_max } else { 0 };
    caps.set(28, size);
    caps.set(32, size);
    caps.set(36, size * size / 256);
    caps.set(40, WIDTH_MIN);
    caps.set(42, HEIGHT_MIN);
    0
}

/// `CUVIDDECODECREATEINFO`: surfaces at 16, codec at 24, chroma at 28, depth at 40, output format at 88, target at 96.
#[unsafe(no_mangle)]
extern "C" fn cuvidCreateDecoder(place: *mut u64, info: *mut c_void) -> Code {
    // SAFETY: the caller lends a CUVIDDECODECREATEINFO.
    let Some(info) = (unsafe { Record::at(info) }) else {
        return INVALID_VALUE;
    };
    let wanted = supported(info.get(24), info.get(28), info.get::<u64>(40) as u32);
    if !wanted || info.get::<u64>(16) > SURFACES_MAX || faults().nvdec == Nvdec::FailCreate {
        return INVALID_VALUE;
    }
    if let Err(code) = device().healthy(current()) {
        return code;
    }
    let format: u32 = info.get(88);
    let decoder = Decoder {
        width: info.get(96),
        height: info.get(104),
        sixteen_bits: format & 1 == 1,
        full_chroma: format >= 2,
        grey: HashMap::new(),
    };
    let handle = device().handle();
    decoders().insert(handle, decoder);
    live::born(Kind::Decoder);
    code(hand!(place, handle))
}

#[unsafe(no_mangle)]
extern "C" fn cuvidDestroyDecoder(decoder: u64) -> Code {
    if decoders().remove(&decoder).is_none() {
        return INVALID_HANDLE;
    }
    live::died(Kind::Decoder);
    0
}

/// `CUVIDPICPARAMS`: the surface is at 8.
#[unsafe(no_mangle)]
extern "C" fn cuvidDecodePicture(decoder: u64, picture: *mut c_void) -> Code {
    // SAFETY: the caller lends a CUVIDPICPARAMS.
    let Some(picture) = (unsafe { Record::at(picture) }) else {
        return INVALID_VALUE;
    };
    if let Err(code) = device().healthy(current()) {
        return code;
    }
    let mut decoders = decoders();
    let Some(decoder) = decoders.get_mut(&decoder) else {
        return INVALID_HANDLE;
    };
    let number = live::born(Kind::DecodedPicture);
    if matches!(faults().nvdec, Nvdec::FailAt(nth) if nth.strikes(number)) {
        return UNKNOWN;
    }
    decoder.grey.insert(picture.get(8), grey(number));
    0
}

/// From nearly black to nearly white and round again.
fn grey(number: u64) -> u8 {
    (32 + (number - 1) * 7 % 192) as u8
}

#[unsafe(no_mangle)]
extern "C" fn cuvidMapVideoFrame64(
    decoder: u64,
    surface: c_int,
    place: *mut u64,
    pitch: *mut c_uint,
    _processing: *mut c_void,
) -> Code {
    let decoders = decoders();
    let Some(decoder) = decoders.get(&decoder) else {
        return INVALID_HANDLE;
    };
    let luma = decoder.grey.get(&surface).copied().unwrap_or(128);
    let sample = 1 + usize::from(decoder.sixteen_bits);
    let row = (decoder.width * sample).next_multiple_of(ALIGNMENT);
    let chroma_rows = if decoder.full_chroma {
        decoder.height * 2
    } else {
        decoder.height.div_ceil(2)
    };
    let size = row * (decoder.height + chroma_rows);
    let mut device = device();
    let mapped = device.allocate(current(), size).and_then(|address| {
        let bytes = device.bytes(address, size)?;
        let (luma_bytes, chroma_bytes) = bytes.split_at_mut(row * decoder.height);
        fill(luma_bytes, luma, sample);
        fill(chroma_bytes, 128, sample);
        Ok(address)
    });
    code(mapped.and_then(|address| {
        live::born(Kind::DecoderFrame);
        hand!(pitch, c_uint::try_from(row).map_err(|_| OUT_OF_MEMORY)?)?;
        hand!(place, address)
    }))
}

/// Samples of 16 bits have their value in the upper byte.
fn fill(bytes: &mut [u8], value: u8, sample: usize) {
    if sample == 1 {
        bytes.fill(value);
        return;
    }
    for pair in bytes.chunks_exact_mut(2) {
        pair.copy_from_slice(&[0, value]);
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuvidUnmapVideoFrame64(_decoder: u64, address: u64) -> Code {
    let freed = device().free(address);
    if freed.is_ok() {
        live::died(Kind::DecoderFrame);
    }
    code(freed)
}

/// `CUVIDGETDECODESTATUS`: 2 is well.
#[unsafe(no_mangle)]
extern "C" fn cuvidGetDecodeStatus(_decoder: u64, _surface: c_int, status: *mut c_uint) -> Code {
    code(hand!(status, 2))
}

#[unsafe(no_mangle)]
extern "C" fn cuvidCtxLockCreate(lock: *mut u64, _context: u64) -> Code {
    let handle = device().handle();
    code(hand!(lock, handle))
}

#[unsafe(no_mangle)]
extern "C" fn cuvidCtxLockDestroy(_lock: u64) -> Code {
    0
}

#[unsafe(no_mangle)]
extern "C" fn cuvidCtxLock(_lock: u64, _flags: c_uint) -> Code {
    0
}

#[unsafe(no_mangle)]
extern "C" fn cuvidCtxUnlock(_lock: u64, _flags: c_uint) -> Code {
    0
}
