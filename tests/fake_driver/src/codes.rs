//! Result codes of the interfaces and the words that go with them.

use std::ffi::{CStr, c_int};

/// What a function of the driver returns unless all is well.
pub(crate) type Code = c_int;

pub(crate) const INVALID_VALUE: Code = 1;
pub(crate) const OUT_OF_MEMORY: Code = 2;
pub(crate) const NOT_INITIALIZED: Code = 3;
pub(crate) const INVALID_DEVICE: Code = 101;
pub(crate) const INVALID_CONTEXT: Code = 201;
pub(crate) const INVALID_HANDLE: Code = 400;
pub(crate) const NOT_FOUND: Code = 500;
pub(crate) const NOT_SUPPORTED: Code = 801;
pub(crate) const UNKNOWN: Code = 999;

/// As C has it: 0 is well.
pub(crate) fn code(result: Result<(), Code>) -> Code {
    result.err().unwrap_or(0)
}

/// Name and sentence of a CUDA result; the sentences are this driver's own.
pub(crate) fn cuda_words(code: Code) -> Option<(&'static CStr, &'static CStr)> {
    Some(match code {
        0 => (c"CUDA_SUCCESS", c"no error"),
        INVALID_VALUE => (c"CUDA_ERROR_INVALID_VALUE", c"invalid argument"),
        OUT_OF_MEMORY => (c"CUDA_ERROR_OUT_OF_MEMORY", c"out of memory"),
        NOT_INITIALIZED => (c"CUDA_ERROR_NOT_INITIALIZED", c"initialization error"),
        4 => (c"CUDA_ERROR_DEINITIALIZED", c"driver shutting down"),
        34 => (c"CUDA_ERROR_STUB_LIBRARY", c"CUDA driver is a stub library"),
        46 => (
            c"CUDA_ERROR_DEVICE_UNAVAILABLE",
            c"CUDA-capable device(s) is/are busy or unavailable",
        ),
        100 => (c"CUDA_ERROR_NO_DEVICE", c"no CUDA-capable device is detected"),
        INVALID_DEVICE => (c"CUDA_ERROR_INVALID_DEVICE", c"invalid device ordinal"),
        200 => (c"CUDA_ERROR_INVALID_IMAGE", c"device kernel image is invalid"),
        INVALID_CONTEXT => (c"CUDA_ERROR_INVALID_CONTEXT", c"invalid device context"),
        209 => (
            c"CUDA_ERROR_NO_BINARY_FOR_GPU",
            c"no kernel image is available for execution on the device",
        ),
        218 => (c"CUDA_ERROR_INVALID_PTX", c"a PTX JIT compilation failed"),
        222 => (
            c"CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
            c"the provided PTX was compiled with an unsupported toolchain",
        ),
        304 => (
            c"CUDA_ERROR_OPERATING_SYSTEM",
            c"OS call failed or operation not supported on this OS",
        ),
        INVALID_HANDLE => (c"CUDA_ERROR_INVALID_HANDLE", c"invalid resource handle"),
        NOT_FOUND => (c"CUDA_ERROR_NOT_FOUND", c"named symbol not found"),
        700 => (
            c"CUDA_ERROR_ILLEGAL_ADDRESS",
            c"an illegal memory access was encountered",
        ),
        702 => (c"CUDA_ERROR_LAUNCH_TIMEOUT", c"the launch timed out and was terminated"),
        719 => (c"CUDA_ERROR_LAUNCH_FAILED", c"unspecified launch failure"),
        NOT_SUPPORTED => (c"CUDA_ERROR_NOT_SUPPORTED", c"operation not supported"),
        802 => (c"CUDA_ERROR_SYSTEM_NOT_READY", c"system not yet initialized"),
        803 => (
            c"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
            c"system has unsupported display driver / cuda driver combination",
        ),
        804 => (
            c"CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
            c"forward compatibility was attempted on non supported HW",
        ),
        UNKNOWN => (c"CUDA_ERROR_UNKNOWN", c"unknown error"),
        _ => return None,
    })
}

/// Results of the encoder interface.
pub(crate) mod nvenc {
    use super::Code;

    pub(crate) const INVALID_DEVICE: Code = 4;
    pub(crate) const INVALID_PTR: Code = 6;
    pub(crate) const INVALID_PARAM: Code = 8;
    pub(crate) const INVALID_CALL: Code = 9;
    pub(crate) const OUT_OF_MEMORY: Code = 10;
    pub(crate) const NOT_INITIALIZED: Code = 11;
    pub(crate) const UNSUPPORTED_PARAM: Code = 12;
    pub(crate) const NOT_ENOUGH_BUFFER: Code = 14;
    pub(crate) const INVALID_VERSION: Code = 15;
    pub(crate) const GENERIC: Code = 20;
    pub(crate) const UNIMPLEMENTED: Code = 22;
    pub(crate) const RESOURCE_NOT_REGISTERED: Code = 24;
    pub(crate) const RESOURCE_NOT_MAPPED: Code = 25;
}
