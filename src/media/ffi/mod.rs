//! The fence: the only `unsafe`, one file a concept of libav.
//!
//! Every handle here owns one libav object through `NonNull` and frees it on drop; C return codes become
//! [`AvError`] once, in [`check`]. Callbacks that libav calls are private, touch only the object that their opaque
//! pointer names, and never unwind. Nothing outside sees a raw pointer.
//!
//! Why the handles are `Send`: each object is used by one thread at a time (they are moved, never shared), and libav
//! keeps no thread-local state for them.

#![allow(unsafe_code, reason = "this is the one module that talks to C")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::borrow_as_ptr,
    reason = "C integers of libav: ranges are stated where they could matter"
)]

mod av;
mod bsf;
mod codec;
mod cuda;
mod data;
mod dl;
pub(super) mod fatal;
mod graph;
mod input;
mod io;
pub(super) mod log;
mod output;
mod pages;
mod raw;
mod schedule;
mod signals;
mod usage;

pub(super) use self::av::{AvError, configuration, freed_bytes, init, release, shrink, versions};
pub(super) use self::bsf::ColourTagger;
pub(super) use self::codec::{AudioTarget, Decoder, Encoder, Pass, VideoTarget, has_encoder, takes_option};
pub(super) use self::cuda::Device;
pub(super) use self::data::{Frame, FrameShape, Packet, PixelFacts, StreamParams, pixel_facts};
pub(super) use self::dl::can_load;
pub(super) use self::graph::{Graph, Source, has_filter};
pub(super) use self::input::{Input, Patience, StreamFacts};
pub(super) use self::output::Output;
pub(super) use self::raw::Plane;
pub(super) use self::schedule::take_long_turns;
pub(super) use self::signals::ignore_stops;
pub(super) use self::usage::wait;
