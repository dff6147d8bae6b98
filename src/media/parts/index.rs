//! Every packet of a finished file, none decoded -> the places where it may be cut, and what lies before each.
//!
//! A place to cut at is a key frame with everything before it shown before it and everything after it shown after it: of
//! H.264 an IDR picture. A key frame of an open GOP, which pictures from before it lean over, is no such place; the GOPs
//! stay together.

use crate::media::control::Control;
use crate::media::error::{MediaError, Refusal};
use crate::media::ffi::{AvError, Input, Packet, StreamParams};
use crate::media::info::{MediaInfo, Rational};
use crate::media::nal::Header;
use crate::media::transcode::engine;

/// More than 4 h at 120 frames a second with sound, the limits' defaults; 32 bytes are kept of each.
const PACKETS_MAX: usize = 3_000_000;
/// Samples of one packet of AAC-LC; each is decoded with the help of the one before.
const AAC_SAMPLES: i64 = 1024;

/// One packet, as far as it matters. Times are in the stream's base.
#[derive(Clone, Copy)]
struct Seen {
    pts: i64,
    bytes: u64,
    /// Nothing before it is needed from here on, as far as the packet itself tells.
    anew: bool,
}

/// One stream.
pub(super) struct Track {
    pub(super) stream: usize,
    pub(super) base: Rational,
    pub(super) params: StreamParams,
    packets: Vec<Seen>,
}

/// The streams of a file.
pub(super) struct Index {
    pub(super) video: Option<Track>,
    pub(super) audio: Option<Track>,
}

/// A place where the file may be cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Packets of the pictures and of the sound before it.
    pub(super) video: usize,
    pub(super) audio: usize,
    /// What becomes zero, in the base of each stream. That of the sound is the start of its packet where the sound goes on
    /// over the cut: at most half a packet away, 12 ms at 44.1 kHz.
    pub(super) video_zero: i64,
    pub(super) audio_zero: i64,
    /// The packet of sound before it is needed to decode the first one.
    pub(super) leans: bool,
    /// Bytes of the packets before it.
    pub(super) bytes: u64,
}

impl Track {
    /// One packet of sound.
    pub(super) fn step(&self) -> i64 {
        let rate = self.params.sample_rate();
        Rational { num: 1, den: rate }.rescale(AAC_SAMPLES, self.base)
    }

    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }
}

/// Reads the file to its end.
pub(super) fn index(mut demuxer: Input, info: &MediaInfo, control: &Control) -> Result<Index, MediaError> {
    let track = |stream: usize| -> Result<Track, MediaError> {
        let params = demuxer.params(stream).map_err(engine("read the stream's parameters"))?;
        Ok(Track {
            stream,
            base: params.time_base,
            params,
            packets: Vec::new(),
        })
    };
    let mut video = info.video.map(track).transpose()?;
    let mut audio = info.audio.map(track).transpose()?;
    let header = video.as_ref().and_then(|video| {
        let params = &video.params;
        params.is_h264().then(|| Header::of(params.extradata()))
    });
    let mut count = 0;
    while let Some(packet) = demuxer.read().map_err(|error| unreadable(error, control))? {
        control.check()?;
        let tracks = [&mut video, &mut audio];
        let Some(track) = tracks
            .into_iter()
            .flatten()
            .find(|track| track.stream == packet.stream())
        else {
            continue;
        };
        track.packets.push(look(&packet, header.as_ref())?);
        count += 1;
        if count > PACKETS_MAX {
            return Err(Refusal::OverLimit {
                what: format!("more than {PACKETS_MAX} packets"),
            }
            .into());
        }
    }
    Ok(Index { video, audio })
}

pub(super) fn unreadable(error: AvError, control: &Control) -> MediaError {
    control.check().err().unwrap_or_else(|| engine("read the file")(error))
}

fn look(packet: &Packet, header: Option<&Header>) -> Result<Seen, MediaError> {
    let unfit = |what: &str| Refusal::Unsupported { what: what.to_owned() };
    let pts = packet.pts().ok_or_else(|| unfit("packets without a time"))?;
    Ok(Seen {
        pts,
        bytes: packet.size(),
        anew: packet.is_key() && header.is_none_or(|header| header.starts_anew(packet.bytes())),
    })
}

impl Index {
    pub(super) fn packets(&self) -> u64 {
        let tracks = [&self.video, &self.audio];
        tracks.into_iter().flatten().map(|track| track.len() as u64).sum()
    }

    /// All places, the start and the end among them.
    pub(super) fn places(&self) -> Vec<Place> {
        let sizes = |track: &Option<Track>| -> Vec<u64> {
            let packets = track.as_ref().map_or(&[][..], |track| &track.packets);
            let ends = packets.iter().scan(0, |at, seen| {
                *at += seen.bytes;
                Some(*at)
            });
            std::iter::once(0).chain(ends).collect()
        };
        let (video_bytes, audio_bytes) = (sizes(&self.video), sizes(&self.audio));
        let mut places = vec![Place {
            video: 0,
            audio: 0,
            video_zero: 0,
            audio_zero: 0,
            leans: false,
            bytes: 0,
        }];
        places.extend(match &self.video {
            Some(video) => anew(&video.packets)
                .into_iter()
                .map(|place| self.place(video, place))
                .collect::<Vec<_>>(),
            None => self.places_in_sound(),
        });
        let end = (video_bytes.len() - 1, audio_bytes.len() - 1);
        places.push(Place {
            video: end.0,
            audio: end.1,
            ..places[0]
        });
        for place in &mut places {
            place.bytes = video_bytes[place.video] + audio_bytes[place.audio];
        }
        places
    }

    fn place(&self, video: &Track, at: usize) -> Place {
        let video_zero = video.packets[at].pts;
        let mut place = Place {
            video: at,
            audio: 0,
            video_zero,
            audio_zero: 0,
            leans: false,
            bytes: 0,
        };
        if let Some(audio) = &self.audio {
            let (zero, step) = (video.base.rescale(video_zero, audio.base), audio.step());
            place.audio = audio.packets.partition_point(|seen| seen.pts + step / 2 < zero);
            let first = audio.packets.get(place.audio).map(|seen| seen.pts);
            // Where there is no sound at the cut, what follows keeps its distance.
            let near = first.filter(|first| (first - zero).abs() <= step / 2 + 1);
            place.audio_zero = near.unwrap_or(zero);
            place.leans = near.is_some() && place.audio > 0;
        }
        place
    }

    /// Every packet but the first.
    fn places_in_sound(&self) -> Vec<Place> {
        let packets = self.audio.as_ref().map_or(&[][..], |audio| &audio.packets);
        let places = packets.iter().enumerate().filter(|(_, seen)| seen.pts > 0);
        places
            .map(|(at, seen)| Place {
                video: 0,
                audio: at,
                video_zero: 0,
                audio_zero: seen.pts,
                leans: at > 0,
                bytes: 0,
            })
            .filter(|place| place.audio > 0)
            .collect()
    }
}

/// Packets but the first that begin anew: all before them is shown before, all after them after.
fn anew(packets: &[Seen]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut earliest = i64::MAX;
    for (place, seen) in packets.iter().enumerate().skip(1).rev() {
        if seen.anew && seen.pts < earliest {
            places.push(place);
        }
        earliest = earliest.min(seen.pts);
    }
    places.reverse();
    let mut latest = i64::MIN;
    let mut read = 0;
    places.retain(|&place| {
        let before = packets[read..place].iter().map(|seen| seen.pts).max();
        latest = latest.max(before.unwrap_or(i64::MIN));
        read = place;
        packets[place].pts > latest
    });
    places
}

#[cfg(test)]
mod tests {
    use super::{Seen, anew};

    #[track_caller]
    fn check(packets: &[(i64, bool)], expected: &[usize]) {
        let packets: Vec<Seen> = packets
            .iter()
            .map(|&(pts, anew)| Seen { pts, bytes: 1, anew })
            .collect();
        assert_eq!(anew(&packets), expected);
    }

    #[test]
    fn a_closed_gop_is_a_place_to_cut_at() {
        check(
            &[(0, true), (2, false), (1, false), (3, true), (5, false), (4, false)],
            &[3],
        );
    }

    #[test]
    fn a_key_frame_that_pictures_lean_over_is_none() {
        check(
            &[(0, true), (1, false), (4, true), (2, false), (3, false), (5, true)],
            &[5],
        );
        check(&[(0, true), (5, false), (4, true), (6, true)], &[3]);
    }
}
