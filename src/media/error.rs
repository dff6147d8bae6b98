//! How a conversion fails, sorted by what the caller must do: tell the user, stop, try the next way, or report a fault.

use std::io;

use super::device::Cause;

/// Why a conversion did not happen.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The input cannot become a video that plays; trying again will not help.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The caller raised the cancel flag.
    #[error("cancelled")]
    Canceled,
    /// The deadline passed.
    #[error("time limit of {limit_s} s reached")]
    TimeLimit {
        /// The limit, seconds.
        limit_s: u64,
    },
    /// A device failed: the next way of the plan may work.
    #[error("device {device}: {what}")]
    Device {
        /// The device, as in `cuda:0`.
        device: String,
        /// What is behind it, where libav's lines say.
        cause: Option<Cause>,
        /// What it said.
        what: String,
    },
    /// What was read on the way does not fit this way of the plan: the next one will do.
    #[error("{0}")]
    Unfit(String),
    /// No room for the output.
    #[error("disk full while writing the output")]
    DiskFull,
    /// The file system refused.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// libav refused something that it should have accepted: ours to fix.
    #[error("{doing}: {what}")]
    Engine {
        /// What was tried.
        doing: &'static str,
        /// What libav answered.
        what: String,
    },
    /// The process of the engine died: of its file, or for want of memory.
    #[error("the engine's process died of signal {signal}")]
    Crashed {
        /// As the kernel numbers them: 6 for an abort, 9 where memory was out, 11 for an access to none.
        signal: i32,
    },
    /// No process could be had for the engine: nothing that its file did.
    #[error("no process for the engine: {0}")]
    NotStarted(String),
    /// Nobody is there any more who starts engines, and this process may not: it has to end.
    #[error("the process that starts engines is gone")]
    Orphaned,
    /// The output is not what was promised, so it was not kept.
    #[error("output does not verify: {0}")]
    Unverified(String),
}

/// Why an input is refused. The words name the value and the limit; chat has its own words for each.
#[derive(Clone, Debug, PartialEq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[serde(tag = "refusal", rename_all = "snake_case")]
pub enum Refusal {
    /// No demuxer that kadr allows knows it, or it is empty.
    #[error("not a video or audio file")]
    NotMedia,
    /// Nothing in it that the preset could use, such as `audio` asked of a silent file.
    #[error("no {wanted} stream in the file")]
    NoStream {
        /// `video` or `audio`.
        wanted: String,
    },
    /// A codec or format that this build does not decode.
    #[error("unsupported: {what}")]
    Unsupported {
        /// The codec or feature, by libav's name.
        what: String,
    },
    /// The file ends before the index that makes it readable.
    #[error("incomplete: it ends before its index (moov)")]
    Incomplete,
    /// This FFmpeg does not write a codec that the preset needs.
    #[error("{codec} cannot be encoded on this machine")]
    NoEncoder {
        /// The codec, in words.
        codec: String,
    },
    /// The part that was asked for begins after the end.
    #[error("the part begins at {from_s} s (the file has {duration_s} s)")]
    CutOutside {
        /// Seconds.
        from_s: u64,
        /// Seconds.
        duration_s: u64,
    },
    /// No watchable quality fits the size that was asked for.
    #[error(
        "{duration_s} s do not fit {size_bytes} bytes at a watchable quality (at least {size_bytes_min} bytes, or at \
         most {duration_s_max} s)"
    )]
    SizeUnreachable {
        /// Asked for, bytes.
        size_bytes: u64,
        /// The smallest that can be watched, bytes.
        size_bytes_min: u64,
        /// Of the source or its part, seconds.
        duration_s: u64,
        /// What would fit, seconds.
        duration_s_max: u64,
    },
    /// Protected content.
    #[error("encrypted content cannot be converted")]
    Encrypted,
    /// Too little could be decoded.
    #[error("damaged: {decoded_percent} % could be decoded (at least {percent_min} % needed)")]
    Damaged {
        /// What could be decoded.
        decoded_percent: u8,
        /// What is needed.
        percent_min: u8,
    },
    /// Longer than the limit.
    #[error("duration is {duration_s} s (limit {limit_s} s)")]
    TooLong {
        /// Seconds.
        duration_s: u64,
        /// Seconds.
        limit_s: u64,
    },
    /// More pixels a frame than the limit.
    #[error("picture is {width}x{height} (limit {limit_px} pixels)")]
    TooManyPixels {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Pixels a frame.
        limit_px: u64,
    },
    /// More streams than the limit.
    #[error("more than {limit} streams")]
    TooManyStreams {
        /// The limit.
        limit: u32,
    },
    /// More pictures than a video of its length may have.
    #[error("{frames} frames or more for its length (limit {limit})")]
    TooManyFrames {
        /// Claimed by the header, or met while reading.
        frames: u64,
        /// The limit, for this length.
        limit: u64,
    },
    /// More bytes than the limit.
    #[error("size is {size_bytes} bytes (limit {limit_bytes})")]
    TooLarge {
        /// Bytes.
        size_bytes: u64,
        /// Bytes.
        limit_bytes: u64,
    },
    /// Pictures that cannot be cut apart take more than a part may have.
    #[error("{size_bytes} bytes lie between two places where it can be cut (limit {limit_bytes} a part)")]
    PieceTooLarge {
        /// Bytes of the largest such run as a part of its own.
        size_bytes: u64,
        /// Bytes that a part may have.
        limit_bytes: u64,
    },
    /// More parts than the limit.
    #[error("{parts} parts of at most {part_bytes_max} bytes (limit {parts_max} parts)")]
    TooManyParts {
        /// How many it would be.
        parts: u32,
        /// The limit.
        parts_max: u32,
        /// Bytes that a part may have.
        part_bytes_max: u64,
    },
    /// Headers that would make the reader allocate without measure, or more work than the limits allow.
    #[error("over a safety limit: {what}")]
    OverLimit {
        /// Which one, with value and limit.
        what: String,
    },
}
