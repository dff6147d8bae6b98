//! The encoded packets of a file's video, as digests: two files with the same ones were made by the same work.
//!
//! Times, the container and codec headers are left out of it: programs may write them otherwise. x264 signs its first
//! packet with its release, in a SEI unit that shows nothing; [`Same::ButForSei`] says that nothing else differs.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::confine::{Openings, alone};
use super::control::Control;
use super::error::{MediaError, Refusal};
use super::ffi::Input;
use super::limits::Limits;
use super::nal::Header;
use super::probe::{open_file, patience, probe, refuse};
use super::transcode::engine;

type Digest = [u8; 32];

/// SHA-256 of each video packet, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VideoPackets {
    payloads: Vec<Digest>,
    /// The same without SEI units; only for H.264.
    pictures: Vec<Digest>,
}

/// How the packets of two files compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Same {
    /// Byte for byte.
    Identical,
    /// Byte for byte but for SEI units, which do not change a picture.
    ButForSei,
    /// Not the same.
    Different,
}

impl VideoPackets {
    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.payloads.len()
    }

    /// One digest over those of all packets, 64 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        self.payloads.iter().for_each(|payload| hash.update(payload));
        format!("{:x}", hash.finalize())
    }

    /// How they compare with another file's.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Same {
        if self.payloads == other.payloads {
            Same::Identical
        } else if !self.pictures.is_empty() && self.pictures == other.pictures {
            Same::ButForSei
        } else {
            Same::Different
        }
    }

    /// The first packet that differs, counted from 0.
    #[must_use]
    pub fn first_difference(&self, other: &Self) -> Option<usize> {
        let both = self.payloads.iter().zip(&other.payloads);
        let length = self.count().min(other.count());
        let differ = both.take_while(|(one, other)| one == other).count();
        (differ < length || self.count() != other.count()).then_some(differ)
    }
}

/// Reads the packets of the video stream that kadr would convert; a file without one has none.
///
/// # Errors
/// See [`MediaError`].
pub fn video_packets(path: &Path, limits: &Limits, control: &Control) -> Result<VideoPackets, MediaError> {
    let info = probe(path, limits, control)?;
    let Some(index) = info.video else {
        return Ok(VideoPackets::default());
    };
    let (file, _) = open_file(path, limits)?;
    alone(limits.confine, Openings::default(), |confined| {
        let mut input = Input::open_patiently(file, patience(&info), limits, control, confined)
            .map_err(|error| refuse(error, control))?;
        input.keep_only(&[index]);
        let params = input.params(index).map_err(engine("read the stream's parameters"))?;
        let header = params.is_h264().then(|| Header::of(params.extradata()));
        let mut packets = VideoPackets::default();
        while let Some(packet) = input.read().map_err(engine("read the packets"))? {
            control.check()?;
            if packet.stream() != index {
                continue;
            }
            packets.payloads.push(Sha256::digest(packet.bytes()).into());
            if let Some(header) = &header {
                let mut hash = Sha256::new();
                header
                    .units_without_sei(packet.bytes())
                    .for_each(|unit| hash.update(unit));
                packets.pictures.push(hash.finalize().into());
            }
        }
        if packets.payloads.is_empty() {
            return Err(Refusal::NotMedia.into());
        }
        Ok(packets)
    })
}

#[cfg(test)]
mod tests {
    use super::{Same, VideoPackets};

    fn packets(payloads: &[u8], pictures: &[u8]) -> VideoPackets {
        let each = |bytes: &[u8]| bytes.iter().map(|&byte| [byte; 32]).collect();
        VideoPackets {
            payloads: each(payloads),
            pictures: each(pictures),
        }
    }

    #[test]
    fn a_signature_is_told_from_another_picture() {
        let ours = packets(&[1, 2, 3], &[4, 2, 3]);
        assert_eq!(ours.compare(&ours), Same::Identical);
        assert_eq!(ours.compare(&packets(&[9, 2, 3], &[4, 2, 3])), Same::ButForSei);
        assert_eq!(ours.compare(&packets(&[1, 2, 9], &[4, 2, 9])), Same::Different);
        // Without H.264 there is nothing that may be left out.
        assert_eq!(packets(&[1], &[]).compare(&packets(&[2], &[])), Same::Different);
    }

    #[test]
    fn the_first_difference_is_found_also_at_the_end() {
        let ours = packets(&[1, 2, 3], &[]);
        assert_eq!(ours.first_difference(&ours), None);
        assert_eq!(ours.first_difference(&packets(&[1, 9, 3], &[])), Some(1));
        assert_eq!(ours.first_difference(&packets(&[1, 2], &[])), Some(2));
    }
}
