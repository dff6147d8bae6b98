//! `libcuda.so.1` but for memory (`memory`): devices, contexts, streams and events; kernels load and do nothing.
//!
//! What all of it relies on: the caller passes pointers as the interface says, null or to memory of its own.

use std::ffi::{c_char, c_int, c_uint, c_void};

use crate::caller::{give, give_text, hand};
use crate::codes::{
    Code, INVALID_CONTEXT, INVALID_DEVICE, INVALID_VALUE, NOT_FOUND, NOT_INITIALIZED, code, cuda_words,
};
use crate::device::{ALIGNMENT, current, device, pop, push};
use crate::faults::faults;
use crate::live::{self, Kind};

fn ready() -> Result<(), Code> {
    if device().initialized {
        Ok(())
    } else {
        Err(NOT_INITIALIZED)
    }
}

fn known(ordinal: c_int) -> Result<(), Code> {
    ready()?;
    if (0..faults().devices).contains(&ordinal) {
        Ok(())
    } else {
        Err(INVALID_DEVICE)
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuInit(_flags: c_uint) -> Code {
    live::awake();
    if let Some(code) = faults().cuda_init {
        return code;
    }
    device().initialized = true;
    0
}

#[unsafe(no_mangle)]
extern "C" fn cuDriverGetVersion(version: *mut c_int) -> Code {
    code(hand!(version, 12_080))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetCount(count: *mut c_int) -> Code {
    code(ready().and_then(|()| hand!(count, faults().devices)))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGet(handle: *mut c_int, ordinal: c_int) -> Code {
    code(known(ordinal).and_then(|()| hand!(handle, ordinal)))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetName(name: *mut c_char, length: c_int, ordinal: c_int) -> Code {
    if let Err(code) = known(ordinal) {
        return code;
    }
    // SAFETY: the place takes `length` bytes, as the interface says.
    let given = unsafe { give_text(name, length.max(0) as usize, &faults().name) };
    if given { 0 } else { INVALID_VALUE }
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetUuid(uuid: *mut [u8; 16], ordinal: c_int) -> Code {
    code(known(ordinal).and_then(|()| hand!(uuid, uuid_of(ordinal))))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetUuid_v2(uuid: *mut [u8; 16], ordinal: c_int) -> Code {
    cuDeviceGetUuid(uuid, ordinal)
}

/// The same that NVML tells.
pub(crate) fn uuid_of(ordinal: c_int) -> [u8; 16] {
    let mut uuid = *b"fake driver  gpu";
    uuid[12] = ordinal as u8;
    uuid
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetPCIBusId(place: *mut c_char, length: c_int, ordinal: c_int) -> Code {
    if let Err(code) = known(ordinal) {
        return code;
    }
    // SAFETY: the place takes `length` bytes, as the interface says.
    let given = unsafe { give_text(place, length.max(0) as usize, &format!("0000:{:02x}:00.0", ordinal + 1)) };
    if given { 0 } else { INVALID_VALUE }
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceComputeCapability(major: *mut c_int, minor: *mut c_int, ordinal: c_int) -> Code {
    let (high, low) = faults().capability;
    code(
        known(ordinal)
            .and_then(|()| hand!(major, high as c_int))
            .and_then(|()| hand!(minor, low as c_int)),
    )
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetAttribute(value: *mut c_int, attribute: c_int, ordinal: c_int) -> Code {
    let (major, minor) = faults().capability;
    let answer = match attribute {
        // Threads a block, texture alignment, multiprocessors, PCI bus, compute capability.
        1 => 1024,
        14 => ALIGNMENT as c_int,
        16 => 24,
        33 => ordinal + 1,
        75 => major as c_int,
        76 => minor as c_int,
        _ => 0,
    };
    code(known(ordinal).and_then(|()| hand!(value, answer)))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, ordinal: c_int) -> Code {
    code(known(ordinal).and_then(|()| hand!(bytes, faults().memory_bytes as usize)))
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxCreate_v2(context: *mut u64, _flags: c_uint, ordinal: c_int) -> Code {
    code(known(ordinal).and_then(|()| {
        let handle = device().create_context(ordinal)?;
        push(handle);
        hand!(context, handle)
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxDestroy_v2(context: u64) -> Code {
    code(device().destroy_context(context))
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxPushCurrent_v2(context: u64) -> Code {
    code(device().ordinal(context).map(|_| push(context)))
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxPopCurrent_v2(context: *mut u64) -> Code {
    match pop() {
        Some(popped) => {
            // SAFETY: a place for a result is null or the caller's to be written to; null is allowed here.
            unsafe { give(context, popped) };
            0
        }
        None => INVALID_CONTEXT,
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxGetCurrent(context: *mut u64) -> Code {
    code(hand!(context, current()))
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxGetDevice(ordinal: *mut c_int) -> Code {
    let found = device().ordinal(current());
    code(found.and_then(|found| hand!(ordinal, found)))
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSetLimit(_limit: c_int, _value: usize) -> Code {
    code(device().healthy(current()))
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSynchronize() -> Code {
    code(device().healthy(current()))
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRetain(context: *mut u64, ordinal: c_int) -> Code {
    code(known(ordinal).and_then(|()| {
        let mut device = device();
        let alive = device.primary.get(&ordinal).is_some_and(|primary| primary.users > 0);
        let handle = if alive {
            device.primary[&ordinal].context
        } else {
            device.create_context(ordinal)?
        };
        let primary = device.primary.entry(ordinal).or_default();
        primary.context = handle;
        primary.users += 1;
        hand!(context, handle)
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRelease(ordinal: c_int) -> Code {
    let mut device = device();
    let Some(primary) = device.primary.get_mut(&ordinal).filter(|primary| primary.users > 0) else {
        return INVALID_CONTEXT;
    };
    primary.users -= 1;
    let (context, users) = (primary.context, primary.users);
    if users > 0 {
        0
    } else {
        code(device.destroy_context(context))
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxReset(ordinal: c_int) -> Code {
    let mut device = device();
    let primary = device.primary.remove(&ordinal).filter(|primary| primary.users > 0);
    code(primary.map_or(Ok(()), |primary| device.destroy_context(primary.context)))
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxSetFlags(ordinal: c_int, flags: c_uint) -> Code {
    code(known(ordinal).map(|()| device().primary.entry(ordinal).or_default().flags = flags))
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxGetState(ordinal: c_int, flags: *mut c_uint, active: *mut c_int) -> Code {
    code(known(ordinal).and_then(|()| {
        let mut device = device();
        let primary = device.primary.entry(ordinal).or_default();
        hand!(flags, primary.flags)?;
        hand!(active, c_int::from(primary.users > 0))
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cuGetErrorName(error: Code, place: *mut *const c_char) -> Code {
    let name = cuda_words(error).map_or(std::ptr::null(), |(name, _)| name.as_ptr());
    code(hand!(place, name))
}

#[unsafe(no_mangle)]
extern "C" fn cuGetErrorString(error: Code, place: *mut *const c_char) -> Code {
    let words = cuda_words(error).map_or(std::ptr::null(), |(_, words)| words.as_ptr());
    code(hand!(place, words))
}

/// Makes a handle for something that only counts.
fn make(kind: Kind, place: *mut u64) -> Code {
    let mut device = device();
    if let Err(code) = device.healthy(current()) {
        return code;
    }
    live::born(kind);
    code(hand!(place, device.handle()))
}

fn unmake(kind: Kind) -> Code {
    live::died(kind);
    code(device().healthy(current()))
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamCreate(stream: *mut u64, _flags: c_uint) -> Code {
    make(Kind::Stream, stream)
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamDestroy_v2(_stream: u64) -> Code {
    unmake(Kind::Stream)
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamSynchronize(_stream: u64) -> Code {
    code(device().healthy(current()))
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamQuery(_stream: u64) -> Code {
    code(device().healthy(current()))
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamWaitEvent(_stream: u64, _event: u64, _flags: c_uint) -> Code {
    code(device().healthy(current()))
}

#[unsafe(no_mangle)]
extern "C" fn cuEventCreate(event: *mut u64, _flags: c_uint) -> Code {
    make(Kind::Event, event)
}

#[unsafe(no_mangle)]
extern "C" fn cuEventDestroy_v2(_event: u64) -> Code {
    unmake(Kind::Event)
}

#[unsafe(no_mangle)]
extern "C" fn cuEventSynchronize(_event: u64) -> Code {
    code(device().healthy(current()))
}

#[unsafe(no_mangle)]
extern "C" fn cuEventQuery(_event: u64) -> Code {
    code(device().healthy(current()))
}

#[unsafe(no_mangle)]
extern "C" fn cuEventRecord(_event: u64, _stream: u64) -> Code {
    code(device().healthy(current()))
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleLoadData(module: *mut u64, _image: *const c_void) -> Code {
    faults().module.unwrap_or_else(|| make(Kind::Module, module))
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleUnload(_module: u64) -> Code {
    unmake(Kind::Module)
}

/// Every kernel exists.
#[unsafe(no_mangle)]
extern "C" fn cuModuleGetFunction(function: *mut u64, _module: u64, _name: *const c_char) -> Code {
    let handle = device().handle();
    code(hand!(function, handle))
}

#[unsafe(no_mangle)]
extern "C" fn cuModuleGetGlobal(_: *mut u64, _: *mut usize, _module: u64, _name: *const c_char) -> Code {
    NOT_FOUND
}

#[unsafe(no_mangle)]
extern "C" fn cuTexObjectCreate(
    texture: *mut u64,
    _resource: *const c_void,
    _description: *const c_void,
    _view: *const c_void,
) -> Code {
    make(Kind::Texture, texture)
}

#[unsafe(no_mangle)]
extern "C" fn cuTexObjectDestroy(_texture: u64) -> Code {
    unmake(Kind::Texture)
}

/// Does nothing: the memory that a kernel would have written stays as it is.
#[unsafe(no_mangle)]
extern "C" fn cuLaunchKernel(
    _function: u64,
    _grid: c_uint,
    _grid_y: c_uint,
    _grid_z: c_uint,
    _block: c_uint,
    _block_y: c_uint,
    _block_z: c_uint,
    _shared_bytes: c_uint,
    _stream: u64,
    _parameters: *mut *mut c_void,
    _extra: *mut *mut c_void,
) -> Code {
    live::born(Kind::Launch);
    code(device().operate())
}
