//! Plans, which are pure: what holds for any file (`properties`), why streams are not copied (`reasons`), and what would
//! be done with each sample (`samples`).

mod properties;
mod reasons;
mod samples;

use kadr::media::MediaInfo;
use kadr::media::info::{Audio, Colour, Kind, Orientation, Rational, Stream, Video};

/// A film that plays everywhere: H.264 High 4.0 at 1280x720 and 25 fps with AAC-LC, 10 s in MP4.
fn film() -> MediaInfo {
    MediaInfo {
        container: "mov,mp4,m4a,3gp,3g2,mj2".to_owned(),
        size_bytes: 3_000_000,
        duration_us: Some(10_000_000),
        discontinuous: false,
        late_streams: false,
        streams: vec![stream(0, Kind::Video(video())), stream(1, Kind::Audio(audio()))],
        video: Some(0),
        audio: Some(1),
    }
}

fn stream(index: usize, kind: Kind) -> Stream {
    Stream {
        index,
        codec: match &kind {
            Kind::Video(video) => video.codec.clone(),
            Kind::Audio(audio) => audio.codec.clone(),
            _ => "other".to_owned(),
        },
        kind,
        default: false,
        decodable: true,
        language: None,
        start_us: 0,
    }
}

fn video() -> Video {
    Video {
        codec: "h264".to_owned(),
        profile: "High".to_owned(),
        level: 40,
        width: 1280,
        height: 720,
        sar: Rational { num: 1, den: 1 },
        orientation: Orientation::Upright,
        fps: 25.0,
        pixel_format: "yuv420p".to_owned(),
        bits: 8,
        chroma_420: true,
        alpha: false,
        alpha_side_stream: false,
        rgb: false,
        colour: Colour::BT709,
        colour_range_said: true,
        maybe_interlaced: false,
        interlaced: false,
        peak_nits: None,
        dolby_vision: None,
        frames: 250,
        starts_on_key: true,
        has_pts: true,
    }
}

fn audio() -> Audio {
    Audio {
        codec: "aac".to_owned(),
        profile: "LC".to_owned(),
        sample_rate: 48_000,
        channels: 2,
        bit_rate_bps: 128_000,
    }
}
