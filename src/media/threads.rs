//! Cores, and how a picture's work divides among its stages -> threads of each. Pure, but for asking how many cores there are.
//!
//! ```text
//! 2 cores, 720p to 720p     decode and filter on one thread, x264 on 4
//! 2 cores, 1080p to 720p    decode on 2, filter beside it, x264 on 4
//! ```
//!
//! A decoder that keeps up is cheaper on one thread: with frame threads it holds a picture and a context for each. But it has to
//! be ahead where the encoder has no work for both cores: with what is just enough on average the encoder waits for it.
//! What libav would choose by itself is one thread a core for everything.

use super::forecast;
use super::info::{MediaInfo, Orientation, Video};
use super::plan::{Alpha, Picture, Plan};
use super::preset::VideoCodec;

/// Of one core, the share of decoding and filtering that is left to one thread; what 0.2 cost stands in `docs/bench.md`.
const ALONE_MAX: f64 = 0.4;

/// Up to so many cores x264 gets two frame threads a core: with one and a half, its own choice, more of them stand idle
/// while one frame waits for rows of another. Each costs the memory of some frames.
const FEW_CORES: u32 = 4;

/// Threads of the stages of one line; 0 for as many as the library finds right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Threads {
    pub(super) decoder: u32,
    pub(super) filters: u32,
    pub(super) encoder: u32,
    /// Whether pictures are filtered on a thread of their own, not on the decoder's.
    pub(super) apart: bool,
}

impl Threads {
    /// As many for each stage: what was asked for, not found.
    pub(super) fn each(threads: u32) -> Self {
        Self {
            decoder: threads,
            filters: threads,
            encoder: threads,
            apart: threads != 1,
        }
    }

    /// For a plan on so many cores.
    pub(super) fn balanced(cores: u32, plan: &Plan, info: &MediaInfo) -> Self {
        let Some(encode) = plan.encode().filter(|_| !plan.rung.encodes_on_gpu()) else {
            return Self::each(0);
        };
        let share = forecast::share_before_encoder(encode, info);
        let filtered = info.video().is_none_or(|video| changes(&encode.picture, video));
        let threads = Self::by_share(cores, share, filtered, encode.codec);
        if plan.rung.decodes_on_gpu() {
            // The card decodes; to bring its pictures into memory takes a thread.
            return Self {
                decoder: 1,
                filters: 0,
                apart: true,
                ..threads
            };
        }
        threads
    }

    /// For a part of a film on its share of the cores: what a library finds right for itself would be all of them.
    pub(super) fn of_part(cores: u32, plan: &Plan, info: &MediaInfo) -> Self {
        let threads = Self::balanced(cores, plan, info);
        let found = |threads| if threads == 0 { cores } else { threads };
        Self {
            decoder: found(threads.decoder),
            filters: found(threads.filters),
            encoder: found(threads.encoder),
            ..threads
        }
    }

    /// Where this share of the work, 0..=1, comes before the encoder, with or without work for the filters.
    fn by_share(cores: u32, share: f64, filtered: bool, codec: VideoCodec) -> Self {
        let encoder = match codec {
            VideoCodec::H264 if cores <= 1 => 1,
            VideoCodec::H264 if cores <= FEW_CORES => cores * 2,
            VideoCodec::H264 => cores * 3 / 2,
            VideoCodec::Hevc | VideoCodec::Av1 | VideoCodec::Vp9 => 0,
        };
        let wanted = f64::from(cores) * share;
        if cores <= 1 || wanted <= ALONE_MAX {
            return Self {
                decoder: 1,
                filters: 1,
                encoder,
                apart: false,
            };
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0.2 and the number of cores"
        )]
        let decoder = (wanted.ceil() as u32 + 1).min(cores);
        Self {
            decoder,
            filters: cores,
            encoder,
            apart: filtered,
        }
    }
}

/// Whether filters have work with the pictures: else they only pass them on, and a thread for that costs two changes of
/// threads a picture.
fn changes(picture: &Picture, video: &Video) -> bool {
    let size = (picture.width, picture.height);
    size != (video.width, video.height)
        || size != picture.scaled
        || picture.orientation != Orientation::default()
        || picture.deinterlace
        || picture.to_bt709
        || picture.alpha != Alpha::None
        || picture.fps_max.is_some()
        || picture.source.full_range
        || video.bits != 8
        || !video.chroma_420
        || video.rgb
}

/// Cores that this process may use.
#[must_use]
pub fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::{Threads, changes};
    use crate::media::device::prove::plain;
    use crate::media::info::{Colour, Orientation, Rational, Video};
    use crate::media::plan::{Alpha, Picture};
    use crate::media::preset::VideoCodec;

    fn of(cores: u32, share: f64) -> (u32, u32, bool) {
        let threads = Threads::by_share(cores, share, true, VideoCodec::H264);
        (threads.decoder, threads.encoder, threads.apart)
    }

    #[test]
    fn a_decoder_that_keeps_up_alone_gets_one_thread() {
        assert_eq!(of(1, 0.9), (1, 1, false));
        assert_eq!(of(1, 0.1), (1, 1, false));
        assert_eq!(of(2, 0.2), (1, 4, false));
    }

    #[test]
    fn a_decoder_that_does_not_gets_what_it_needs_and_no_more_than_there_are_cores() {
        assert_eq!(of(2, 0.21), (2, 4, true));
        assert_eq!(of(2, 0.5), (2, 4, true));
        assert_eq!(of(2, 1.0), (2, 4, true));
        assert_eq!(of(16, 0.1), (3, 24, true));
        assert_eq!(of(16, 0.9), (16, 24, true));
    }

    #[test]
    fn filters_without_work_share_the_decoder_s_thread() {
        let of = |filtered| Threads::by_share(2, 0.5, filtered, VideoCodec::H264);
        assert!(of(true).apart && !of(false).apart);
        assert_eq!((of(false).decoder, of(false).encoder), (2, 4));
    }

    #[test]
    fn filters_have_work_where_anything_of_a_picture_changes() {
        let same = plain(VideoCodec::H264).picture;
        let video = Video {
            codec: "mpeg4".to_owned(),
            profile: String::new(),
            level: 0,
            width: same.width,
            height: same.height,
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
            frames: 0,
            starts_on_key: true,
            has_pts: true,
        };
        assert!(!changes(&same, &video));
        let pictures: [fn(&mut Picture); 8] = [
            |picture| picture.width /= 2,
            |picture| picture.scaled.0 *= 2,
            |picture| picture.orientation = Orientation::Clockwise,
            |picture| picture.deinterlace = true,
            |picture| picture.to_bt709 = true,
            |picture| picture.alpha = Alpha::OnBlack,
            |picture| picture.fps_max = Some(30),
            |picture| picture.source.full_range = true,
        ];
        for change in pictures {
            let mut picture = same.clone();
            change(&mut picture);
            assert!(changes(&picture, &video), "{picture:?}");
        }
        let videos: [fn(&mut Video); 3] = [
            |video| video.bits = 10,
            |video| video.chroma_420 = false,
            |video| video.rgb = true,
        ];
        for change in videos {
            let mut video = video.clone();
            change(&mut video);
            assert!(changes(&same, &video), "{video:?}");
        }
    }

    #[test]
    fn encoders_with_pools_of_their_own_are_left_to_them() {
        for codec in [VideoCodec::Hevc, VideoCodec::Av1, VideoCodec::Vp9] {
            assert_eq!(Threads::by_share(4, 0.1, true, codec).encoder, 0);
        }
    }
}
