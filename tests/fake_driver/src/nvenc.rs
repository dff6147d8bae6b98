//! `libnvidia-encode.so.1`: the function list and what stands in it. Sessions and their pictures are in `session`.
//!
//! What all of it relies on: the caller passes structures of the interface, version 11.1 to 13.1. The offsets here are the
//! same in all of them; what lies further back in a structure is not touched.

use std::ffi::{c_char, c_int, c_void};
use std::time::Duration;

use crate::caller::{Guid, Record, give};
use crate::codes::nvenc::{
    GENERIC, INVALID_CALL, INVALID_PARAM, INVALID_PTR, INVALID_VERSION, NOT_ENOUGH_BUFFER, RESOURCE_NOT_MAPPED,
    RESOURCE_NOT_REGISTERED, UNIMPLEMENTED, UNSUPPORTED_PARAM,
};
use crate::codes::{Code, code};
use crate::device::{ALIGNMENT, device};
use crate::faults::faults;
use crate::h264;
use crate::live::{self, Kind};
use crate::session::{self, Bitstream, Input, Layout, Place};
use crate::settings::{H264, capability, codecs, fill_preset, sequence};

const DEVICE_TYPE_CUDA: u32 = 1;
const RESOURCE_TYPE_CUDA: u32 = 1;
const PICTURE_FLAG_EOS: u32 = 8;
const PICTURE_IDR: u32 = 3;

/// Slots of `NV_ENCODE_API_FUNCTION_LIST` behind its version and a reserved word.
const SLOTS: usize = 43;

/// A structure that the caller lends.
fn lent(pointer: *mut c_void) -> Result<Record, Code> {
    // SAFETY: the caller passes a structure of the interface, and offsets here lie inside every version of it.
    unsafe { Record::at(pointer) }.ok_or(INVALID_PTR)
}

/// Writes a result.
fn out<T>(place: *mut T, value: T) -> Result<(), Code> {
    // SAFETY: a place for a result is null or the caller's to be written to.
    if unsafe { give(place, value) } {
        Ok(())
    } else {
        Err(INVALID_PTR)
    }
}

#[unsafe(no_mangle)]
extern "C" fn NvEncodeAPIGetMaxSupportedVersion(version: *mut u32) -> Code {
    live::awake();
    let (major, minor) = faults().nvenc_api;
    code(out(version, major << 4 | minor))
}

#[unsafe(no_mangle)]
extern "C" fn NvEncodeAPICreateInstance(list: *mut c_void) -> Code {
    code(lent(list).map(|list| {
        for slot in 0..SLOTS {
            list.set(8 + slot * size_of::<usize>(), function(slot) as *mut c_void);
        }
    }))
}

/// The functions in the order of the list.
fn function(slot: usize) -> *const () {
    match slot {
        1 => guid_count as *const (),
        4 => guids as *const (),
        7 => caps as *const (),
        8 => preset_count as *const (),
        10 => preset_config as *const (),
        11 => initialize as *const (),
        12 => create_input as *const (),
        13 => destroy_input as *const (),
        14 => create_bitstream as *const (),
        15 => destroy_bitstream as *const (),
        16 => encode as *const (),
        17 => lock_bitstream as *const (),
        18 | 20 => unlock as *const (),
        19 => lock_input as *const (),
        22 => sequence_parameters as *const (),
        25 => map as *const (),
        26 => unmap as *const (),
        27 => destroy as *const (),
        29 => open as *const (),
        30 => register as *const (),
        31 => unregister as *const (),
        32 => reconfigure as *const (),
        33 => std::ptr::null(),
        37 => last_error as *const (),
        38 => set_streams as *const (),
        39 => preset_config_ex as *const (),
        _ => unimplemented as *const (),
    }
}

/// Arguments are left where the caller put them: the C calling conventions let a function take fewer than it is given.
extern "C" fn unimplemented() -> Code {
    UNIMPLEMENTED
}

/// Device type at 4, device at 8, version of the interface at 24.
extern "C" fn open(parameters: *mut c_void, place: *mut u64) -> Code {
    code(lent(parameters).and_then(|parameters| {
        if let Some(code) = faults().nvenc_open {
            return Err(code);
        }
        let version: u32 = parameters.get(24);
        if (version & 0xff, version >> 24) > faults().nvenc_api {
            return Err(INVALID_VERSION);
        }
        if parameters.get::<u32>(4) != DEVICE_TYPE_CUDA {
            return Err(crate::codes::nvenc::INVALID_DEVICE);
        }
        out(place, session::open(parameters.get(8))?)
    }))
}

extern "C" fn destroy(session: u64) -> Code {
    code(session::close(session))
}

/// Valid until the next failure of the session.
extern "C" fn last_error(session: u64) -> *const c_char {
    session::with(session, |session| Ok(session.words.as_ptr())).unwrap_or(c"".as_ptr())
}

extern "C" fn guid_count(_session: u64, count: *mut u32) -> Code {
    code(out(count, codecs().len() as u32))
}

extern "C" fn guids(_session: u64, place: *mut Guid, length: u32, count: *mut u32) -> Code {
    let codecs: Vec<Guid> = codecs().into_iter().take(length as usize).collect();
    for (index, guid) in codecs.iter().enumerate() {
        // The place takes `length` of them.
        if let Err(code) = out(place.wrapping_add(index), *guid) {
            return code;
        }
    }
    code(out(count, codecs.len() as u32))
}

extern "C" fn preset_count(_session: u64, _codec: Guid, count: *mut u32) -> Code {
    code(out(count, 7))
}

/// The question is at 4, a number of `NV_ENC_CAPS`.
extern "C" fn caps(_session: u64, codec: Guid, question: *mut c_void, answer: *mut c_int) -> Code {
    code(lent(question).and_then(|question| {
        if !codecs().contains(&codec) {
            return Err(INVALID_PARAM);
        }
        out(answer, capability(question.get(4)) as c_int)
    }))
}

extern "C" fn preset_config(_session: u64, _codec: Guid, _preset: Guid, preset: *mut c_void) -> Code {
    code(lent(preset).map(fill_preset))
}

extern "C" fn preset_config_ex(_session: u64, _codec: Guid, _preset: Guid, _tuning: u32, preset: *mut c_void) -> Code {
    code(lent(preset).map(fill_preset))
}

/// `NV_ENC_INITIALIZE_PARAMS`: codec at 4, width at 36, display aspect at 44, rate at 52, configuration at 88.
extern "C" fn initialize(session: u64, parameters: *mut c_void) -> Code {
    code(lent(parameters).and_then(|parameters| {
        session::with(session, |session| {
            if let Some(code) = faults().nvenc_init {
                return session.refuse(code, "the fake driver was told to");
            }
            if parameters.get::<Guid>(4) != H264 {
                return session.refuse(UNSUPPORTED_PARAM, "the fake driver writes H.264 only");
            }
            let sequence = sequence(parameters);
            let caps = &faults().caps;
            if sequence.width < caps.width_min || sequence.height < caps.height_min {
                return session.refuse(INVALID_PARAM, "Frame Dimension less than the minimum supported value.");
            }
            if sequence.width > caps.width_max || sequence.height > caps.height_max {
                return session.refuse(
                    INVALID_PARAM,
                    "Frame Dimension greater than the maximum supported value.",
                );
            }
            // Bit 7 of the first word of the codec's part: no parameter sets in the stream.
            let config = parameters.through(88);
            session.in_band = config.is_none_or(|config| config.get::<u32>(168) & 1 << 7 == 0);
            session.sequence = Some(sequence);
            Ok(())
        })
    }))
}

/// `NV_ENC_RECONFIGURE_PARAMS` changes rates and aspect; pictures stay as they are.
extern "C" fn reconfigure(session: u64, _parameters: *mut c_void) -> Code {
    code(session::with(session, |session| session.sequence().map(|_| ())))
}

extern "C" fn set_streams(_session: u64, _input: *mut c_void, _output: *mut c_void) -> Code {
    0
}

/// Room at 4, buffer at 16, place for the length at 24.
extern "C" fn sequence_parameters(session: u64, payload: *mut c_void) -> Code {
    code(lent(payload).and_then(|payload| {
        let sets = session::with(session, |session| session.sequence().map(h264::parameter_sets))?;
        if payload.get::<u32>(4) < sets.len() as u32 {
            return Err(NOT_ENOUGH_BUFFER);
        }
        let buffer = payload.get::<*mut c_void>(16).cast::<u8>();
        for (index, byte) in sets.iter().enumerate() {
            out(buffer.wrapping_add(index), *byte)?;
        }
        out(payload.get::<*mut u32>(24), sets.len() as u32)
    }))
}

/// Width at 4, height at 8, format at 16; the handle goes to 24.
extern "C" fn create_input(session: u64, request: *mut c_void) -> Code {
    code(lent(request).and_then(|request| {
        let format: u32 = request.get(16);
        let sample = if format == 0x1_0000 { 2 } else { 1 };
        let pitch = (request.get::<u32>(4) as usize * sample).next_multiple_of(ALIGNMENT);
        let layout = Layout {
            format,
            height: request.get::<u32>(8) as usize,
            pitch,
        };
        if !layout.known() {
            return Err(INVALID_PARAM);
        }
        session::with(session, |session| {
            let handle = device().handle();
            let place = Place::Own(vec![0; layout.size()]);
            session.inputs.insert(handle, Input { layout, place });
            live::born(Kind::InputBuffer);
            request.set(24, handle);
            Ok(())
        })
    }))
}

extern "C" fn destroy_input(session: u64, input: u64) -> Code {
    code(session::with(session, |session| {
        session.inputs.remove(&input).ok_or(INVALID_PARAM)?;
        live::died(Kind::InputBuffer);
        Ok(())
    }))
}

/// The handle is at 8; the address goes to 16, the pitch to 24. The buffer stays where it is while the session lives.
extern "C" fn lock_input(session: u64, request: *mut c_void) -> Code {
    code(lent(request).and_then(|request| {
        session::with(session, |session| {
            let input = session.inputs.get_mut(&request.get(8)).ok_or(INVALID_PARAM)?;
            let Place::Own(bytes) = &mut input.place else {
                return Err(INVALID_CALL);
            };
            request.set(16, bytes.as_mut_ptr().cast::<c_void>());
            request.set(24, input.layout.pitch as u32);
            Ok(())
        })
    }))
}

extern "C" fn unlock(session: u64, _buffer: u64) -> Code {
    code(session::with(session, |_| Ok(())))
}

/// The handle goes to 16.
extern "C" fn create_bitstream(session: u64, request: *mut c_void) -> Code {
    code(lent(request).and_then(|request| {
        session::with(session, |session| {
            if let Some(code) = faults().bitstream {
                return session.refuse(code, "the fake driver was told to");
            }
            let handle = device().handle();
            session.bitstreams.insert(handle, Bitstream::default());
            live::born(Kind::Bitstream);
            request.set(16, handle);
            Ok(())
        })
    }))
}

extern "C" fn destroy_bitstream(session: u64, bitstream: u64) -> Code {
    code(session::with(session, |session| {
        session.bitstreams.remove(&bitstream).ok_or(INVALID_PARAM)?;
        live::died(Kind::Bitstream);
        Ok(())
    }))
}

/// Type at 4, size at 8, pitch at 16, address at 24, format at 40; the handle goes to 32.
extern "C" fn register(session: u64, request: *mut c_void) -> Code {
    code(lent(request).and_then(|request| {
        let layout = Layout {
            format: request.get(40),
            height: request.get::<u32>(12) as usize,
            pitch: request.get::<u32>(16) as usize,
        };
        session::with(session, |session| {
            if request.get::<u32>(4) != RESOURCE_TYPE_CUDA || !layout.known() {
                return session.refuse(INVALID_PARAM, "the fake driver takes 4:2:0 in CUDA memory only");
            }
            let handle = device().handle();
            let place = Place::Device(request.get(24));
            session.resources.insert(handle, Input { layout, place });
            live::born(Kind::Resource);
            request.set(32, handle);
            Ok(())
        })
    }))
}

extern "C" fn unregister(session: u64, resource: u64) -> Code {
    code(session::with(session, |session| {
        session.resources.remove(&resource).ok_or(RESOURCE_NOT_REGISTERED)?;
        live::died(Kind::Resource);
        Ok(())
    }))
}

/// The resource is at 16; the mapping goes to 24, its format to 32.
extern "C" fn map(session: u64, request: *mut c_void) -> Code {
    code(lent(request).and_then(|request| {
        session::with(session, |session| {
            let resource: u64 = request.get(16);
            let format = session
                .resources
                .get(&resource)
                .ok_or(RESOURCE_NOT_REGISTERED)?
                .layout
                .format;
            let handle = device().handle();
            session.mappings.insert(handle, resource);
            live::born(Kind::Mapping);
            request.set(24, handle);
            request.set(32, format);
            Ok(())
        })
    }))
}

extern "C" fn unmap(session: u64, mapping: u64) -> Code {
    code(session::with(session, |session| {
        session.mappings.remove(&mapping).ok_or(RESOURCE_NOT_MAPPED)?;
        live::died(Kind::Mapping);
        Ok(())
    }))
}

/// Flags at 16, time at 24, duration at 32, input at 40, output at 48.
extern "C" fn encode(session: u64, parameters: *mut c_void) -> Code {
    code(lent(parameters).and_then(|parameters| {
        if parameters.get::<u32>(16) & PICTURE_FLAG_EOS != 0 {
            // Nothing is held back, so there is nothing to flush.
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(faults().sleep_ms));
        session::with(session, |session| {
            session.encode(
                parameters.get(40),
                parameters.get(48),
                parameters.get(24),
                parameters.get(32),
            )
        })
    }))
}

/// The handle is at 8; number, length, time, duration, address, type, structure and quantiser go to 24, 36 to 72.
extern "C" fn lock_bitstream(session: u64, request: *mut c_void) -> Code {
    code(lent(request).and_then(|request| {
        session::with(session, |session| {
            let bitstream = session.bitstreams.get_mut(&request.get(8)).ok_or(INVALID_PARAM)?;
            if bitstream.bytes.is_empty() {
                return session.refuse(GENERIC, "nothing was written to this buffer");
            }
            request.set(24, bitstream.number as u32);
            request.set(36, bitstream.bytes.len() as u32);
            request.set(40, bitstream.time);
            request.set(48, bitstream.duration);
            request.set(56, bitstream.bytes.as_mut_ptr().cast::<c_void>());
            request.set(64, PICTURE_IDR);
            request.set(68, 1u32);
            request.set(72, 1u32);
            Ok(())
        })
    }))
}
