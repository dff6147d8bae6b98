//! `libcuda.so.1`, memory: blocks, arrays and copies. A copy takes any mix of the caller's memory and the device's.
//!
//! What all of it relies on: the caller passes pointers as the interface says, null or to memory of its own.

use std::ffi::{c_uint, c_void};

use crate::caller::{Record, hand};
use crate::codes::{Code, INVALID_VALUE, code};
use crate::device::{ALIGNMENT, Device, current, device};
use crate::faults::faults;
use crate::live::{self, Kind};

#[unsafe(no_mangle)]
extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> Code {
    let bytes = faults().memory_bytes;
    let left = bytes.saturating_sub(device().allocated_bytes());
    code(hand!(free, left as usize).and_then(|()| hand!(total, bytes as usize)))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemAlloc_v2(address: *mut u64, size: usize) -> Code {
    let allocated = device().allocate(current(), size);
    code(allocated.and_then(|allocated| hand!(address, allocated)))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemAllocPitch_v2(
    address: *mut u64,
    pitch: *mut usize,
    width: usize,
    height: usize,
    _element: c_uint,
) -> Code {
    let row = width.next_multiple_of(ALIGNMENT);
    let allocated = device().allocate(current(), row.saturating_mul(height));
    code(
        allocated
            .and_then(|allocated| hand!(address, allocated))
            .and_then(|()| hand!(pitch, row)),
    )
}

/// Given back even where the context is broken, so that a test sees who forgets to.
#[unsafe(no_mangle)]
extern "C" fn cuMemFree_v2(address: u64) -> Code {
    let mut device = device();
    code(device.free(address).and_then(|()| device.healthy(current())))
}

/// An array is a block with a pitch. Formats from 0x01 to 0x20: the sizes of a channel, by the interface.
#[unsafe(no_mangle)]
extern "C" fn cuArray3DCreate_v2(array: *mut u64, description: *mut c_void) -> Code {
    // SAFETY: the caller lends a CUDA_ARRAY3D_DESCRIPTOR: three sizes, then format, channels and flags.
    let Some(description) = (unsafe { Record::at(description) }) else {
        return INVALID_VALUE;
    };
    let (width, height, depth) = (description.get(0), description.get(8), description.get::<usize>(16));
    let channel: usize = match description.get::<u32>(24) {
        0x01 | 0x08 => 1,
        0x02 | 0x09 | 0x10 => 2,
        _ => 4,
    };
    let pitch = usize::saturating_mul(width, channel * description.get::<u32>(28) as usize);
    let size = pitch.saturating_mul(usize::max(height, 1)).saturating_mul(depth.max(1));
    let mut device = device();
    code(device.allocate(current(), size).and_then(|address| {
        device.arrays.insert(address, pitch);
        hand!(array, address)
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cuArrayDestroy(array: u64) -> Code {
    cuMemFree_v2(array)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD8Async(address: u64, value: u8, length: usize, _stream: u64) -> Code {
    let mut device = device();
    let done = device
        .operate()
        .and_then(|()| device.bytes(address, length).map(|bytes| bytes.fill(value)));
    code(done)
}

/// One side of a copy.
#[derive(Clone, Copy)]
struct Side {
    address: u64,
    /// Memory of the caller's, not of the device's.
    host: bool,
    pitch: usize,
}

impl Side {
    fn line(address: u64, host: bool) -> Self {
        Self {
            address,
            host,
            pitch: 0,
        }
    }

    /// Half of a `CUDA_MEMCPY2D`, from its first field on.
    fn read(half: Record, device: &Device) -> Self {
        let (x, y): (usize, usize) = (half.get(0), half.get(8));
        let (mut address, mut pitch): (u64, usize) = (half.get(32), half.get(48));
        let mut host = false;
        match half.get::<u32>(16) {
            1 => (address, host) = (half.get(24), true),
            3 => {
                address = half.get(40);
                pitch = device.arrays.get(&address).copied().unwrap_or(0);
            }
            4 => host = !Device::owns(address),
            _ => {}
        }
        let address = address.wrapping_add((y * pitch + x) as u64);
        Self { address, host, pitch }
    }

    fn row(self, row: usize) -> u64 {
        self.address.wrapping_add((row * self.pitch) as u64)
    }
}

fn copy(device: &mut Device, from: Side, to: Side, width: usize, height: usize) -> Result<(), Code> {
    live::born(Kind::Copy);
    device.operate()?;
    let mut line = vec![0; width];
    for row in 0..height {
        if from.host {
            let source = from.row(row) as usize as *const u8;
            if source.is_null() {
                return Err(INVALID_VALUE);
            }
            // SAFETY: the caller lends `height` rows of `width` bytes, `pitch` apart, to be read.
            unsafe { line.as_mut_ptr().copy_from_nonoverlapping(source, width) };
        } else {
            line.copy_from_slice(device.bytes(from.row(row), width)?);
        }
        if to.host {
            let target = to.row(row) as usize as *mut u8;
            if target.is_null() {
                return Err(INVALID_VALUE);
            }
            // SAFETY: the caller lends `height` rows of `width` bytes, `pitch` apart, to be written.
            unsafe { target.copy_from_nonoverlapping(line.as_ptr(), width) };
        } else {
            device.bytes(to.row(row), width)?.copy_from_slice(&line);
        }
    }
    Ok(())
}

fn copy_line(to: Side, from: Side, length: usize) -> Code {
    code(copy(&mut device(), from, to, length, 1))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpy2D_v2(request: *mut c_void) -> Code {
    // SAFETY: the caller lends a CUDA_MEMCPY2D: two halves of 56 bytes, then width and height.
    let Some(request) = (unsafe { Record::at(request) }) else {
        return INVALID_VALUE;
    };
    let mut device = device();
    let from = Side::read(request, &device);
    let to = Side::read(request.within(56), &device);
    code(copy(&mut device, from, to, request.get(112), request.get(120)))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpy2DAsync_v2(request: *mut c_void, _stream: u64) -> Code {
    cuMemcpy2D_v2(request)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpy(to: u64, from: u64, length: usize) -> Code {
    copy_line(
        Side::line(to, !Device::owns(to)),
        Side::line(from, !Device::owns(from)),
        length,
    )
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyAsync(to: u64, from: u64, length: usize, _stream: u64) -> Code {
    cuMemcpy(to, from, length)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyHtoD_v2(to: u64, from: u64, length: usize) -> Code {
    copy_line(Side::line(to, false), Side::line(from, true), length)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyHtoDAsync_v2(to: u64, from: u64, length: usize, _stream: u64) -> Code {
    cuMemcpyHtoD_v2(to, from, length)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoH_v2(to: u64, from: u64, length: usize) -> Code {
    copy_line(Side::line(to, true), Side::line(from, false), length)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoHAsync_v2(to: u64, from: u64, length: usize, _stream: u64) -> Code {
    cuMemcpyDtoH_v2(to, from, length)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoD_v2(to: u64, from: u64, length: usize) -> Code {
    copy_line(Side::line(to, false), Side::line(from, false), length)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, length: usize, _stream: u64) -> Code {
    cuMemcpyDtoD_v2(to, from, length)
}
