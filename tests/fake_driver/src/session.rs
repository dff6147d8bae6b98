//! Encoder sessions: what was opened, registered and mapped in each, and the pictures that were written down in it.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::codes::{Code, nvenc};
use crate::device::device;
use crate::faults::faults;
use crate::h264::{self, Plane, Sequence};
use crate::live::{self, Kind};

/// `NV_ENC_BUFFER_FORMAT`, those that are taken.
const NV12: u32 = 0x1;
const YV12: u32 = 0x10;
const IYUV: u32 = 0x100;
const YUV420_10BIT: u32 = 0x1_0000;

/// How a picture lies in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) format: u32,
    pub(crate) height: usize,
    /// Bytes from one row of luma to the next.
    pub(crate) pitch: usize,
}

impl Layout {
    pub(crate) fn known(self) -> bool {
        matches!(self.format, NV12 | YV12 | IYUV | YUV420_10BIT)
    }

    pub(crate) fn size(self) -> usize {
        self.pitch * (self.height + self.height.div_ceil(2))
    }

    /// Luma, and the two planes of chroma. Of ten bits the upper eight are taken.
    fn planes(self, bytes: &[u8]) -> Option<(Plane<'_>, [Plane<'_>; 2])> {
        let chroma = self.pitch * self.height;
        let half = self.pitch / 2;
        let plane = |from, pitch, step| {
            Some(Plane {
                bytes: bytes.get(from..)?,
                pitch,
                step,
            })
        };
        let (first, second) = (chroma, chroma + half * self.height.div_ceil(2));
        Some(match self.format {
            NV12 => (
                plane(0, self.pitch, 1)?,
                [plane(chroma, self.pitch, 2)?, plane(chroma + 1, self.pitch, 2)?],
            ),
            YV12 => (
                plane(0, self.pitch, 1)?,
                [plane(second, half, 1)?, plane(first, half, 1)?],
            ),
            IYUV => (
                plane(0, self.pitch, 1)?,
                [plane(first, half, 1)?, plane(second, half, 1)?],
            ),
            _ => (
                plane(1, self.pitch, 2)?,
                [plane(chroma + 1, self.pitch, 4)?, plane(chroma + 3, self.pitch, 4)?],
            ),
        })
    }
}

/// A picture that the encoder may read: its own memory, or a place in the device's.
pub(crate) struct Input {
    pub(crate) layout: Layout,
    pub(crate) place: Place,
}

pub(crate) enum Place {
    Own(Vec<u8>),
    Device(u64),
}

#[derive(Default)]
pub(crate) struct Bitstream {
    pub(crate) bytes: Vec<u8>,
    pub(crate) time: u64,
    pub(crate) duration: u64,
    pub(crate) number: u64,
}

pub(crate) struct Session {
    pub(crate) context: u64,
    pub(crate) sequence: Option<Sequence>,
    /// Parameter sets before every picture.
    pub(crate) in_band: bool,
    pub(crate) inputs: HashMap<u64, Input>,
    pub(crate) bitstreams: HashMap<u64, Bitstream>,
    pub(crate) resources: HashMap<u64, Input>,
    /// Mapped resources, by the handle of the mapping.
    pub(crate) mappings: HashMap<u64, u64>,
    pub(crate) words: CString,
    pictures: u64,
    dead: bool,
}

static SESSIONS: LazyLock<Mutex<HashMap<u64, Session>>> = LazyLock::new(Mutex::default);

/// Whoever holds this may ask for `device`, never the other way round.
fn sessions() -> MutexGuard<'static, HashMap<u64, Session>> {
    SESSIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a session in a context; there may be a limit to how many.
pub(crate) fn open(context: u64) -> Result<u64, Code> {
    let mut sessions = sessions();
    if faults().sessions_max.is_some_and(|max| sessions.len() as u64 >= max) {
        return Err(nvenc::OUT_OF_MEMORY);
    }
    let handle = {
        let mut device = device();
        device.healthy(context).map_err(|_| nvenc::INVALID_DEVICE)?;
        device.handle()
    };
    let session = Session {
        context,
        sequence: None,
        in_band: false,
        inputs: HashMap::new(),
        bitstreams: HashMap::new(),
        resources: HashMap::new(),
        mappings: HashMap::new(),
        words: CString::default(),
        pictures: 0,
        dead: false,
    };
    sessions.insert(handle, session);
    live::born(Kind::Session);
    Ok(handle)
}

/// What was left in it is counted as orphans and goes with it.
pub(crate) fn close(handle: u64) -> Result<(), Code> {
    let session = sessions().remove(&handle).ok_or(nvenc::INVALID_DEVICE)?;
    let left = [
        (Kind::InputBuffer, session.inputs.len()),
        (Kind::Bitstream, session.bitstreams.len()),
        (Kind::Resource, session.resources.len()),
        (Kind::Mapping, session.mappings.len()),
    ];
    for (kind, count) in left {
        for _ in 0..count {
            live::died(kind);
            live::born(Kind::Orphan);
        }
    }
    live::died(Kind::Session);
    Ok(())
}

/// Works on an open session.
pub(crate) fn with<T>(handle: u64, work: impl FnOnce(&mut Session) -> Result<T, Code>) -> Result<T, Code> {
    sessions().get_mut(&handle).map_or(Err(nvenc::INVALID_DEVICE), work)
}

/// Width and height of each open session, (0, 0) before it is initialised.
pub(crate) fn sizes() -> Vec<(u32, u32)> {
    let size = |session: &Session| session.sequence.as_ref().map_or((0, 0), |s| (s.width, s.height));
    sessions().values().map(size).collect()
}

impl Session {
    /// Fails with words, which FFmpeg prints behind the code.
    pub(crate) fn refuse<T>(&mut self, code: Code, words: &str) -> Result<T, Code> {
        self.words = CString::new(words).unwrap_or_default();
        Err(code)
    }

    pub(crate) fn sequence(&self) -> Result<&Sequence, Code> {
        self.sequence.as_ref().ok_or(nvenc::NOT_INITIALIZED)
    }

    /// Writes one picture down; `input` is an input buffer or a mapping.
    pub(crate) fn encode(&mut self, input: u64, output: u64, time: u64, duration: u64) -> Result<(), Code> {
        let number = live::born(Kind::EncodedPicture);
        self.dead |= faults().nvenc_at.is_some_and(|nth| nth.strikes(number));
        if self.dead || device().healthy(self.context).is_err() {
            return self.refuse(nvenc::GENERIC, "the fake encoder fell over");
        }
        let sequence = self.sequence()?;
        let source = match self.mappings.get(&input) {
            Some(resource) => self.resources.get(resource).ok_or(nvenc::RESOURCE_NOT_REGISTERED)?,
            None => self.inputs.get(&input).ok_or(nvenc::INVALID_PARAM)?,
        };
        let mut copied = Vec::new();
        let bytes = match &source.place {
            Place::Own(bytes) => bytes,
            Place::Device(address) => {
                let mut device = device();
                let bytes = device
                    .bytes(*address, source.layout.size())
                    .map_err(|_| nvenc::INVALID_PARAM)?;
                copied.extend_from_slice(bytes);
                &copied
            }
        };
        let (luma, chroma) = source.layout.planes(bytes).ok_or(nvenc::INVALID_PARAM)?;
        let mut written = if self.in_band {
            h264::parameter_sets(sequence)
        } else {
            Vec::new()
        };
        written.append(&mut h264::picture(sequence, self.pictures, luma, chroma));
        let number = self.pictures;
        let bitstream = self.bitstreams.get_mut(&output).ok_or(nvenc::INVALID_PARAM)?;
        *bitstream = Bitstream {
            bytes: written,
            time,
            duration,
            number,
        };
        self.pictures += 1;
        Ok(())
    }
}
