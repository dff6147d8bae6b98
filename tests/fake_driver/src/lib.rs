//! A fake NVIDIA driver: **control flow only**.
//!
//! One shared object that stands in for `libcuda.so.1`, `libnvidia-encode.so.1`, `libnvcuvid.so.1` and
//! `libnvidia-ml.so.1`. FFmpeg loads those by name when it runs, so a folder in `LD_LIBRARY_PATH` that holds this object
//! under the four names makes unmodified FFmpeg walk its real NVENC, NVDEC and CUDA code paths on a machine without a card.
//! The names must be links to one file, not copies: the loader then sees one object, and so the encoder finds the contexts
//! and the memory that CUDA's side handed out. A name that is left out gives the `Cannot load …` messages.
//!
//! Who sends what to whom: `cuda` and `memory` take contexts, blocks and copies, and keep them in `device`; `nvenc` takes
//! pictures from that memory or from its own input buffers, keeps them in `session` and hands them to `h264`, which writes
//! them down uncompressed (I_PCM), so that what comes back can be compared pixel by pixel; `nvcuvid` refuses, or hands out
//! grey pictures; `nvml` answers questions. `faults` says what shall go wrong and is read once, at the first call; `live`
//! counts what is alive.
//!
//! What is absent: speed, compression, rate control, B pictures (every picture is an IDR picture, one in, one out), decoding,
//! CUDA kernels (a launch does nothing, so what `scale_cuda` returns has the right size and is mid-grey), HEVC and AV1,
//! 4:4:4 and RGB input, 10 bits (cut to 8). Device memory is host memory under addresses that no process has, so that a
//! program that reads through a device pointer crashes as it would on a card. A stream's level is the one that its size and
//! rate ask for, although I_PCM takes more bits than any level allows.
//!
//! It was written from the interface headers that FFmpeg ships (11.1 and 12.1; 13 was read) and keeps to fields whose place
//! is the same in all of them. **No figure that comes out of it says anything about a card.**
//!
//! | variable | what it does |
//! |---|---|
//! | `FAKE_CUDA_INIT=100` | `cuInit` fails with this code (100, 999, 803, 804, 802, 34, …) |
//! | `FAKE_CUDA_DEVICES=1` | devices present; 0 is allowed |
//! | `FAKE_CUDA_NAME=…` | name of each device |
//! | `FAKE_CUDA_CAPABILITY=8.9` | compute capability |
//! | `FAKE_CUDA_CTX_CREATE=2` | creating or retaining a context fails with this code |
//! | `FAKE_CUDA_MODULE_LOAD=222` | loading a kernel fails with this code |
//! | `FAKE_CUDA_MEM_MAX=8589934592` | bytes of memory of a device; one more fails with 2 |
//! | `FAKE_CUDA_FRESH=128` | what each byte of fresh memory holds, and so a picture that a kernel should have written: all but 128 is a colour |
//! | `FAKE_CUDA_FAIL_AT=n` | the n-th copy, memset or launch of the process fails, and so does all that is then asked of its context, until that is destroyed; `n+` means that every later one, in any context, fails too |
//! | `FAKE_CUDA_FAIL_CODE=700` | with this code |
//! | `FAKE_NVENC_API=13.0` | newest encoder interface that the driver offers |
//! | `FAKE_NVENC_OPEN=10` | opening a session fails with this code (1, 2, 10, 15, 21, …) |
//! | `FAKE_NVENC_SESSIONS=n` | one session more than n at once in this process fails with 10 |
//! | `FAKE_NVENC_INIT=8` | initialising an encoder fails with this code (8, 12, …) |
//! | `FAKE_NVENC_BITSTREAM=10` | creating an output buffer fails with this code |
//! | `FAKE_NVENC_FAIL_AT=n` | the n-th picture of the process, over all sessions, fails with 20, and its session is dead from then on; `n+` means that every later one, in any session, fails too |
//! | `FAKE_NVENC_SLEEP_MS=n` | each picture takes at least so long: for tests that must catch a job at work |
//! | `FAKE_NVENC_CAPS=…` | `name=value`s with commas between: `codecs` (`h264+hevc+av1`; none is `none`), `width_max`, `height_max` (4096), `width_min` (145), `height_min` (49), `bframes` (4), `bref` (2), `lookahead`, `temporal_aq`, `weighted`, `yuv444`, `lossless`, `ten_bit` (0), `refs`, `engines` |
//! | `FAKE_NVDEC=refuse` | `refuse`: no codec is supported; `grey`: grey pictures of the right size come out, of another grey each; `fail_create`: supported, but a decoder cannot be created; `fail_at:n` or `fail_at:n+`: the n-th picture of the process fails with 999 |
//! | `FAKE_NVDEC_WIDTH_MAX=4096` | widest and highest picture that decoders say they take |
//! | `FAKE_NVML_INIT=18` | `nvmlInit` fails with this code (9 driver not loaded, 18 versions differ, …) |
//! | `FAKE_DRIVER_VERSION=570.86.15` | as NVML tells it |
//! | `FAKE_REPORT=PATH` | at exit (not when killed), a line of JSON is added to this file: `live`, `peak` and `total` of each kind of thing, and `orphans` (things that were left in a context when it was destroyed) |
//!
//! A value that cannot be read ends the process: a test must not pass because its fault was misspelt.

mod caller;
mod codes;
mod cuda;
mod device;
mod faults;
mod h264;
mod live;
mod memory;
mod nvcuvid;
mod nvenc;
mod nvml;
mod session;
mod settings;
mod stubs;
