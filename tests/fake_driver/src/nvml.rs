//! `libnvidia-ml.so.1`: how many cards, which, how full, how many encoder sessions; those of this process only.
//!
//! What all of it relies on: the caller passes pointers as the interface says, null or to memory of its own.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::atomic::{AtomicI64, Ordering};

use crate::caller::{Record, give, give_text, text};
use crate::codes::{Code, code};
use crate::cuda::uuid_of;
use crate::device::device;
use crate::faults::faults;
use crate::live::{self, Kind};
use crate::session;

const UNINITIALIZED: Code = 1;
const INVALID_ARGUMENT: Code = 2;
const NOT_SUPPORTED: Code = 3;
const NOT_FOUND: Code = 6;
const INSUFFICIENT_SIZE: Code = 7;

/// How often it was initialised and not yet shut down.
static USERS: AtomicI64 = AtomicI64::new(0);

fn ready() -> Result<(), Code> {
    if USERS.load(Ordering::Relaxed) > 0 {
        Ok(())
    } else {
        Err(UNINITIALIZED)
    }
}

/// Handles are ordinals plus one.
fn ordinal(handle: usize) -> Result<i32, Code> {
    ready()?;
    let ordinal = i32::try_from(handle).unwrap_or(0) - 1;
    if (0..faults().devices).contains(&ordinal) {
        Ok(ordinal)
    } else {
        Err(INVALID_ARGUMENT)
    }
}

fn out<T>(place: *mut T, value: T) -> Result<(), Code> {
    // SAFETY: a place for a result is null or the caller's to be written to.
    if unsafe { give(place, value) } {
        Ok(())
    } else {
        Err(INVALID_ARGUMENT)
    }
}

fn words(place: *mut c_char, length: c_uint, words: &str) -> Result<(), Code> {
    if words.len() >= length as usize {
        return Err(INSUFFICIENT_SIZE);
    }
    // SAFETY: the place takes `length` bytes, as the interface says.
    if unsafe { give_text(place, length as usize, words) } {
        Ok(())
    } else {
        Err(INVALID_ARGUMENT)
    }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> Code {
    live::awake();
    if let Some(code) = faults().nvml_init {
        return code;
    }
    USERS.fetch_add(1, Ordering::Relaxed);
    0
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInitWithFlags(_flags: c_uint) -> Code {
    nvmlInit_v2()
}

#[unsafe(no_mangle)]
extern "C" fn nvmlShutdown() -> Code {
    code(ready().map(|()| {
        USERS.fetch_sub(1, Ordering::Relaxed);
    }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlErrorString(error: Code) -> *const c_char {
    let words: &CStr = match error {
        0 => c"Success",
        UNINITIALIZED => c"Uninitialized",
        INVALID_ARGUMENT => c"Invalid Argument",
        NOT_SUPPORTED => c"Not Supported",
        4 => c"Insufficient Permissions",
        NOT_FOUND => c"Not Found",
        INSUFFICIENT_SIZE => c"Insufficient Size",
        9 => c"Driver Not Loaded",
        12 => c"Shared Library Not Found",
        13 => c"Function Not Found",
        15 => c"GPU is lost",
        17 => c"Operating System Error",
        18 => c"Driver/library version mismatch",
        _ => c"Unknown Error",
    };
    words.as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetDriverVersion(place: *mut c_char, length: c_uint) -> Code {
    code(ready().and_then(|()| words(place, length, &faults().driver_version)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetNVMLVersion(place: *mut c_char, length: c_uint) -> Code {
    code(ready().and_then(|()| words(place, length, &format!("12.{}", faults().driver_version))))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetCudaDriverVersion_v2(version: *mut c_int) -> Code {
    code(ready().and_then(|()| out(version, 12_080)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> Code {
    code(ready().and_then(|()| out(count, faults().devices.max(0) as c_uint)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, handle: *mut usize) -> Code {
    let wanted = index as usize + 1;
    code(ordinal(wanted).and_then(|_| out(handle, wanted)))
}

/// The handle of the device of which this is true.
fn find(handle: *mut usize, is: impl Fn(i32) -> bool) -> Code {
    code(ready().and_then(|()| {
        let found = (0..faults().devices).find(|ordinal| is(*ordinal)).ok_or(NOT_FOUND)?;
        out(handle, found as usize + 1)
    }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByUUID(uuid: *const c_char, handle: *mut usize) -> Code {
    // SAFETY: the caller passes a string that ends with NUL.
    let uuid = unsafe { text(uuid) };
    find(handle, |ordinal| uuid_text(ordinal) == uuid)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByPciBusId_v2(bus: *const c_char, handle: *mut usize) -> Code {
    // SAFETY: the caller passes a string that ends with NUL.
    let bus = unsafe { text(bus) }.to_lowercase();
    // CUDA writes the domain with four digits, NVML with eight.
    find(handle, |ordinal| {
        bus_text(ordinal).ends_with(bus.trim_start_matches('0'))
    })
}

fn uuid_text(ordinal: i32) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(uuid_of(ordinal)));
    format!(
        "GPU-{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

fn bus_text(ordinal: i32) -> String {
    format!("00000000:{:02x}:00.0", ordinal + 1)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetIndex(handle: usize, index: *mut c_uint) -> Code {
    code(ordinal(handle).and_then(|ordinal| out(index, ordinal as c_uint)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetName(handle: usize, place: *mut c_char, length: c_uint) -> Code {
    code(ordinal(handle).and_then(|_| words(place, length, &faults().name)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetUUID(handle: usize, place: *mut c_char, length: c_uint) -> Code {
    code(ordinal(handle).and_then(|ordinal| words(place, length, &uuid_text(ordinal))))
}

/// `nvmlPciInfo_t`: a short name, five numbers, and the name at 36.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPciInfo_v3(handle: usize, info: *mut c_void) -> Code {
    code(ordinal(handle).and_then(|ordinal| {
        // SAFETY: the caller lends an nvmlPciInfo_t.
        let info = unsafe { Record::at(info) }.ok_or(INVALID_ARGUMENT)?;
        let name = bus_text(ordinal);
        for (start, length, name) in [(0, 16, &name[4..]), (36, 32, &name[..])] {
            for at in 0..length {
                info.set(start + at, name.as_bytes().get(at).copied().unwrap_or(0));
            }
        }
        for (at, number) in [0, ordinal as u32 + 1, 0, 0, 0].into_iter().enumerate() {
            info.set(16 + at * 4, number);
        }
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCudaComputeCapability(handle: usize, major: *mut c_int, minor: *mut c_int) -> Code {
    let (high, low) = faults().capability;
    code(
        ordinal(handle)
            .and_then(|_| out(major, high as c_int))
            .and_then(|()| out(minor, low as c_int)),
    )
}

/// Total, free and used, from these offsets on.
fn memory(handle: usize, info: *mut c_void, offsets: [usize; 3]) -> Code {
    code(ordinal(handle).and_then(|_| {
        // SAFETY: the caller lends an nvmlMemory_t of the version that has these offsets.
        let info = unsafe { Record::at(info) }.ok_or(INVALID_ARGUMENT)?;
        let (total, used) = (faults().memory_bytes, device().allocated_bytes());
        for (offset, bytes) in offsets.into_iter().zip([total, total.saturating_sub(used), used]) {
            info.set(offset, bytes);
        }
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMemoryInfo(handle: usize, info: *mut c_void) -> Code {
    memory(handle, info, [0, 8, 16])
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMemoryInfo_v2(handle: usize, info: *mut c_void) -> Code {
    memory(handle, info, [8, 24, 32])
}

/// Nothing is ever busy: there is nothing to measure.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetUtilizationRates(handle: usize, rates: *mut [c_uint; 2]) -> Code {
    code(ordinal(handle).and_then(|_| out(rates, [0, 0])))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetEncoderUtilization(handle: usize, percent: *mut c_uint, period_us: *mut c_uint) -> Code {
    code(
        ordinal(handle)
            .and_then(|_| out(percent, 0))
            .and_then(|()| out(period_us, 1_000_000)),
    )
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetDecoderUtilization(handle: usize, percent: *mut c_uint, period_us: *mut c_uint) -> Code {
    nvmlDeviceGetEncoderUtilization(handle, percent, period_us)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetEncoderCapacity(handle: usize, _codec: c_uint, percent: *mut c_uint) -> Code {
    code(ordinal(handle).and_then(|_| out(percent, 100)))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetEncoderStats(
    handle: usize,
    sessions: *mut c_uint,
    rate: *mut c_uint,
    latency_us: *mut c_uint,
) -> Code {
    code(ordinal(handle).and_then(|_| {
        out(sessions, live::live(Kind::Session) as c_uint)?;
        out(rate, 0)?;
        out(latency_us, 0)
    }))
}

/// Asked without a place, it says how many there are. A session has eight numbers: id, process, and from the fifth on its size.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetEncoderSessions(handle: usize, count: *mut c_uint, place: *mut [c_uint; 8]) -> Code {
    code(ordinal(handle).and_then(|_| {
        // SAFETY: the caller lends the number of places, and as many places, or none.
        let given = unsafe { Record::at(count.cast()) }.ok_or(INVALID_ARGUMENT)?;
        let sizes = session::sizes();
        let room = given.get::<u32>(0) as usize;
        given.set(0, sizes.len() as u32);
        if place.is_null() {
            return Ok(());
        }
        if room < sizes.len() {
            return Err(INSUFFICIENT_SIZE);
        }
        for (index, (width, height)) in sizes.into_iter().enumerate() {
            let session = [index as u32 + 1, std::process::id(), 0, 0, width, height, 0, 0];
            out(place.wrapping_add(index), session)?;
        }
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMigMode(handle: usize, _current: *mut c_uint, _pending: *mut c_uint) -> Code {
    code(ordinal(handle).and(Err(NOT_SUPPORTED)))
}
