//! What holds of every plan, whatever the file, the recipe and the machine.

use kadr::media::device::{Decode, Fault, Filters, Gpu, Software};
use kadr::media::info::{Audio, Colour, Kind, MediaInfo, Orientation, Rational, Video};
use kadr::media::plan::{Alpha, AudioWay, Plan, Rate, Rung, VideoEncode, VideoWay, plan};
use kadr::media::preset::{AudioCodec, Container, Frame, Preset, VideoCodec};
use kadr::media::recipe::{Language, Trim, Turn};
use kadr::media::report::Action;
use kadr::media::{Caps, Recipe, Refusal};
use proptest::prelude::*;

use super::stream;

fn codecs() -> impl Strategy<Value = (String, String, i32, u8, bool)> {
    let profiles = [
        "Baseline",
        "Main",
        "High",
        "High 10",
        "Main 10",
        "Profile 0",
        "Profile 2",
        "",
    ];
    (
        prop_oneof![3 => Just("h264"), 1 => Just("hevc"), 1 => Just("av1"), 1 => Just("vp9"), 1 => Just("mpeg2video"), 1 => Just("gif")],
        prop::sample::select(profiles.to_vec()),
        prop_oneof![3 => 10..=51, 1 => 52..=62],
        prop_oneof![4 => Just(8_u8), 1 => Just(10)],
        prop::bool::weighted(0.8),
    )
        .prop_map(|(codec, profile, level, bits, chroma)| (codec.to_owned(), profile.to_owned(), level, bits, chroma))
}

fn sizes() -> impl Strategy<Value = (u32, u32, Rational)> {
    let edge = || prop_oneof![1 => 1..=8192_u32, 1 => 1..=600_u32, 6 => prop::sample::select(vec![144, 240, 360, 480, 720, 1080, 1920, 2160, 3840])];
    let sar = prop_oneof![
        3 => Just((1, 1)),
        1 => Just((0, 1)),
        1 => prop::sample::select(vec![(64, 45), (12, 11), (2, 1), (1, 2), (16, 1), (1, 16), (1137, 800)]),
    ];
    (edge(), edge(), sar).prop_map(|(width, height, (num, den))| (width, height, Rational { num, den }))
}

fn orientations() -> impl Strategy<Value = Orientation> {
    use Orientation as O;
    let turned = [
        O::Clockwise,
        O::HalfTurn,
        O::CounterClockwise,
        O::MirrorHorizontal,
        O::MirrorVertical,
        O::Transpose,
        O::AntiTranspose,
    ];
    prop_oneof![2 => Just(O::Upright), 1 => prop::sample::select(turned.to_vec())]
}

fn colours() -> impl Strategy<Value = Colour> {
    let full_range = prop::bool::weighted(0.15);
    let points = prop::sample::select(vec![
        (1, 1, 1),
        (2, 2, 2),
        (6, 6, 6),
        (5, 1, 5),
        (9, 16, 9),
        (9, 18, 9),
        (9, 14, 9),
        (0, 13, 1),
    ]);
    (points, full_range).prop_map(|((matrix, transfer, primaries), full_range)| Colour {
        matrix,
        transfer,
        primaries,
        full_range,
    })
}

fn videos() -> impl Strategy<Value = Video> {
    let rates = prop_oneof![1 => Just(0.0), 3 => prop::sample::select(vec![15.0, 23.976, 25.0, 29.97, 50.0, 59.94]), 1 => 0.1..240.0_f64];
    let flags = (
        prop::bool::weighted(0.15),
        prop::bool::weighted(0.15),
        prop::bool::weighted(0.15),
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.9),
    );
    (codecs(), sizes(), orientations(), colours(), rates, flags).prop_map(
        |((codec, profile, level, bits, chroma_420), (width, height, sar), orientation, colour, fps, flags)| Video {
            codec,
            profile,
            level,
            width,
            height,
            sar,
            orientation,
            fps,
            bits,
            chroma_420,
            colour,
            alpha: flags.0,
            interlaced: flags.1,
            maybe_interlaced: flags.1,
            rgb: flags.2,
            starts_on_key: flags.3,
            has_pts: flags.4,
            ..super::video()
        },
    )
}

/// Any picture, or one that only its shape can keep from being copied, lest copies be rare.
fn pictures() -> impl Strategy<Value = Video> {
    let shaped = (videos(), prop::bool::weighted(0.7)).prop_map(|(drawn, square)| Video {
        width: drawn.width,
        height: drawn.height,
        sar: if square { super::video().sar } else { drawn.sar },
        orientation: drawn.orientation,
        fps: drawn.fps,
        ..super::video()
    });
    prop_oneof![videos(), shaped]
}

fn audios() -> impl Strategy<Value = Audio> {
    let codecs = prop::sample::select(vec![
        ("aac", "LC"),
        ("aac", "HE-AAC"),
        ("mp3", ""),
        ("opus", ""),
        ("pcm_s16le", ""),
        ("dts", "DTS-HD MA"),
    ]);
    let rates = prop::sample::select(vec![
        0, 7_350, 8_000, 11_025, 16_000, 44_100, 48_000, 88_200, 96_000, 192_000,
    ]);
    (codecs, rates, 0..=16_u32).prop_map(|((codec, profile), sample_rate, channels)| Audio {
        codec: codec.to_owned(),
        profile: profile.to_owned(),
        sample_rate,
        channels,
        bit_rate_bps: 0,
    })
}

fn infos() -> impl Strategy<Value = MediaInfo> {
    let containers = prop::sample::select(vec![
        "mov,mp4,m4a,3gp,3g2,mj2",
        "matroska,webm",
        "avi",
        "mpeg",
        "mpegts",
    ]);
    let durations = prop::option::weighted(
        0.9,
        prop_oneof![
            1..=200_000_i64,
            200_000..=100_000_000_i64,
            100_000_000..=14_400_000_000_i64
        ],
    );
    let tracks = prop::collection::vec(
        (audios(), any::<bool>(), prop::option::of(Just("rus".to_owned()))),
        0..4,
    );
    let sizes = prop_oneof![1_000..=10_000_000_u64, 10_000_000..=4_000_000_000_u64];
    (
        prop::option::weighted(0.85, pictures()),
        tracks,
        containers,
        durations,
        sizes,
        prop::bool::weighted(0.2),
    )
        .prop_map(|(video, tracks, container, duration_us, size_bytes, discontinuous)| {
            let mut info = MediaInfo {
                container: container.to_owned(),
                duration_us,
                size_bytes,
                discontinuous,
                streams: Vec::new(),
                video: None,
                audio: None,
                late_streams: false,
            };
            if let Some(video) = video {
                info.streams.push(stream(0, Kind::Video(video)));
                info.video = Some(0);
            }
            for (track, default, language) in tracks {
                let index = info.streams.len();
                info.audio = info.audio.or(Some(index));
                let mut stream = stream(index, Kind::Audio(track));
                (stream.default, stream.language) = (default, language);
                info.streams.push(stream);
            }
            info
        })
}

fn recipes() -> impl Strategy<Value = Recipe> {
    let fit = prop_oneof![10_000..=3_000_000_u64, 3_000_000..=2_000_000_000_u64]
        .prop_map(|size_bytes| Preset::Fit { size_bytes });
    let preset = prop_oneof![3 => prop::sample::select(Preset::EACH.to_vec()), 1 => fit];
    let trim = (0..=20_000_000_i64, prop::option::of(1..=100_000_000_i64)).prop_map(|(from_us, length_us)| Trim {
        from_us,
        to_us: length_us.map(|length_us| from_us + length_us),
    });
    let turns = prop_oneof![3 => Just(Turn::Not), 1 => Just(Turn::Quarter), 1 => Just(Turn::Half), 1 => Just(Turn::ThreeQuarters)];
    (
        preset,
        prop::option::weighted(0.3, 16..=4320_u32),
        prop::option::weighted(0.3, 1..=120_u32),
        prop::option::weighted(0.3, trim),
        prop::option::weighted(0.2, 1..=4_u32),
        any::<bool>(),
        prop::bool::weighted(0.2),
        turns,
    )
        .prop_map(
            |(preset, height_max, fps_max, trim, audio_track, russian, mute, rotate)| Recipe {
                preset,
                height_max,
                fps_max,
                trim,
                audio_track,
                language: Language::new("rus").filter(|_| russian),
                mute,
                rotate,
            },
        )
}

/// A GPU of which each part may work or not.
fn gpu() -> impl Strategy<Value = Gpu> {
    let works = || prop::bool::weighted(0.7);
    let decode = prop::collection::vec(
        (prop::sample::select(vec!["h264", "hevc", "mpeg2video", "vp9"]), works()),
        0..5,
    );
    (decode, works(), works(), (works(), works(), works())).prop_map(|(decode, deinterlaces, filters, encode)| {
        let outcome = |works: bool| {
            works.then_some(()).ok_or(Fault {
                cause: None,
                said: "it does not".to_owned(),
            })
        };
        Gpu {
            index: 0,
            name: "some GPU".to_owned(),
            encode_engines: None,
            decode: decode
                .into_iter()
                .map(|(codec, works)| Decode {
                    codec,
                    bits: 8,
                    outcome: outcome(works),
                })
                .collect(),
            filter: outcome(filters).map(|()| Filters {
                deinterlace: deinterlaces.then_some("yadif_cuda"),
                transpose: false,
            }),
            encode: vec![
                (VideoCodec::H264, outcome(encode.0)),
                (VideoCodec::Hevc, outcome(encode.1)),
                (VideoCodec::Av1, outcome(encode.2)),
            ],
        }
    })
}

/// Each engine only where it was proven, and better ones first.
fn check_rung(video: Option<&Video>, way: &Plan, caps: &Caps) -> Result<(), TestCaseError> {
    let encodes = way.video_action() == Action::Encode || way.audio_action() == Action::Encode;
    prop_assert_eq!(way.rung != Rung::None, encodes);
    let Some(index) = way.rung.gpu() else { return Ok(()) };
    let gpu = caps.gpus.iter().find(|gpu| gpu.index == index).expect("it is there");
    let (Some(encode), Some(video)) = (way.encode(), video) else {
        return Err(TestCaseError::fail("a GPU takes part in nothing"));
    };
    prop_assert!(gpu.filter.is_ok());
    prop_assert!(!way.rung.decodes_on_gpu() || (gpu.decodes(&video.codec, video.bits) && video.chroma_420));
    prop_assert!(!way.rung.encodes_on_gpu() || gpu.encodes(encode.codec));
    prop_assert!(encode.picture.alpha != Alpha::Kept || !way.rung.encodes_on_gpu());
    let by_bits = matches!(encode.rate, Rate::Bits { .. });
    prop_assert!(!(way.rung.encodes_on_gpu() && by_bits));
    Ok(())
}

fn height_of(rung: Rung) -> u32 {
    match rung {
        Rung::None => 0,
        Rung::Cuda { .. } => 1,
        Rung::Upload { .. } => 2,
        Rung::Hybrid { .. } => 3,
        Rung::Cpu => 4,
    }
}

fn caps() -> impl Strategy<Value = Caps> {
    let lacking = (
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.9),
    );
    (lacking, prop::collection::vec(gpu(), 0..3)).prop_map(|((hevc, av1, vp9, opus), gpus)| Caps {
        gpus: gpus
            .into_iter()
            .zip(0..)
            .map(|(gpu, index)| Gpu { index, ..gpu })
            .collect(),
        no_gpu: None,
        software: Software {
            h264: true,
            hevc,
            av1,
            vp9,
            opus,
        },
    })
}

/// As a viewer sees the source, turned as asked: square pixels.
fn shown(video: &Video, recipe: &Recipe) -> (f64, f64) {
    let sar = if video.sar.value() > 0.0 {
        video.sar.value()
    } else {
        1.0
    };
    let (width, height) = (f64::from(video.width) * sar, f64::from(video.height));
    if video.orientation.then(recipe.rotate).swaps_sides() {
        (height, width)
    } else {
        (width, height)
    }
}

fn check_picture(video: &Video, recipe: &Recipe, encode: &VideoEncode) -> Result<(), TestCaseError> {
    let terms = recipe.preset.contract().video.unwrap();
    let picture = &encode.picture;
    let (width, height) = (picture.width, picture.height);
    prop_assert!(
        width >= 2 && height >= 2 && width % 2 == 0 && height % 2 == 0,
        "{width}x{height}"
    );
    prop_assert!(
        picture.scaled.0.is_multiple_of(2) && picture.scaled.1.is_multiple_of(2),
        "{:?}",
        picture.scaled
    );
    let source = shown(video, recipe);
    match terms.frame {
        Frame::Within {
            long_edge_max,
            short_edge_max,
        } => {
            prop_assert!(
                width.max(height) <= long_edge_max && width.min(height) <= short_edge_max,
                "{width}x{height}"
            );
            // The smallest picture that 4:2:0 has is 2x2; sides are rounded to whole pairs.
            let most = |side: f64| side.max(1.0) + 1.0;
            prop_assert!(
                f64::from(width) <= most(source.0) && f64::from(height) <= most(source.1),
                "{width}x{height} of {source:?}"
            );
            if let Some(limit) = recipe.height_max {
                prop_assert!(height <= limit, "{height} lines, asked for {limit}");
            }
        }
        Frame::Square { edge_min, edge_max } => {
            prop_assert!(
                width == height && (edge_min..=edge_max).contains(&width),
                "{width}x{height}"
            );
            prop_assert!(
                picture.scaled.0 >= width && picture.scaled.1 >= height,
                "{:?}",
                picture.scaled
            );
        }
        Frame::LongEdge { edge } => prop_assert_eq!(width.max(height), edge),
    }
    let fps_max = f64::from(recipe.fps_max.unwrap_or(u32::MAX).min(terms.fps_max));
    let fps = encode.frame_rate.value();
    prop_assert!(fps <= fps_max + 0.001, "{fps} fps, the limit is {fps_max}");
    prop_assert!(
        video.fps <= fps_max + 0.5 || picture.fps_max.is_some(),
        "frames are not held to {fps_max}"
    );
    if encode.codec == VideoCodec::H264 {
        let blocks = f64::from(width.div_ceil(16) * height.div_ceil(16));
        prop_assert!(
            blocks <= 36_864.0 && blocks * fps <= 983_040.0,
            "{width}x{height} at {fps} fps is above level 5.1"
        );
    }
    prop_assert!(
        !picture.colour.full_range && !picture.colour.is_hdr() && !picture.colour.is_wide(),
        "{:?}",
        picture.colour
    );
    Ok(())
}

/// The contract of a copy, said once more and independently.
fn check_video_copy(info: &MediaInfo, video: &Video, recipe: &Recipe) -> Result<(), TestCaseError> {
    let contract = recipe.preset.contract();
    let terms = contract.video.unwrap();
    let profile = match terms.codec {
        VideoCodec::H264 => {
            video.codec == "h264" && ["Baseline", "Main", "High"].contains(&&*video.profile) && video.level <= 51
        }
        VideoCodec::Hevc => video.codec == "hevc" && video.profile == "Main",
        VideoCodec::Av1 => video.codec == "av1" && video.profile == "Main",
        VideoCodec::Vp9 => false,
    };
    prop_assert!(profile && video.bits == 8 && video.chroma_420);
    prop_assert!(
        !video.alpha
            && !video.interlaced
            && !video.colour.is_hdr()
            && !video.colour.is_wide()
            && !video.colour.full_range
    );
    prop_assert!(video.width.is_multiple_of(2) && video.height.is_multiple_of(2));
    prop_assert!(video.sar.value() == 0.0 || (video.sar.value() - 1.0).abs() < 1e-9);
    prop_assert!(video.starts_on_key && video.has_pts && !info.is_container(&["avi"]));
    prop_assert!(recipe.trim.is_none() && recipe.rotate == Turn::Not);
    let Frame::Within { long_edge_max, .. } = terms.frame else {
        return Err(TestCaseError::fail("only pictures within edges are copied"));
    };
    prop_assert!(video.width.max(video.height) <= long_edge_max);
    prop_assert!(shown(video, recipe).1 <= f64::from(recipe.height_max.unwrap_or(u32::MAX)));
    prop_assert!(video.fps <= f64::from(recipe.fps_max.unwrap_or(u32::MAX).min(terms.fps_max)) + 0.5);
    prop_assert!(recipe.preset != Preset::Small);
    prop_assert!(contract.size_bytes_max.is_none_or(|limit| info.size_bytes <= limit));
    Ok(())
}

fn check_sound(info: &MediaInfo, recipe: &Recipe, plan: &Plan) -> Result<(), TestCaseError> {
    let Some((index, way)) = &plan.audio else { return Ok(()) };
    let terms = recipe.preset.contract().audio.unwrap();
    let Kind::Audio(audio) = &info.streams[*index].kind else {
        return Err(TestCaseError::fail("sound is not an audio stream"));
    };
    prop_assert!(!recipe.mute);
    match way {
        AudioWay::Copy => {
            let named = match terms.codec {
                AudioCodec::Aac => {
                    audio.codec == "aac" && audio.profile == "LC" && (8_000..=48_000).contains(&audio.sample_rate)
                }
                AudioCodec::Opus => audio.codec == "opus",
            };
            prop_assert!(named && audio.channels <= terms.channels_max && plan.cut.is_none());
        }
        AudioWay::Encode {
            codec,
            sample_rate,
            channels,
            bit_rate_bps,
        } => {
            prop_assert_eq!(*codec, terms.codec);
            prop_assert!([44_100, 48_000].contains(sample_rate) && (1..=terms.channels_max).contains(channels));
            prop_assert!((16_000..=320_000).contains(bit_rate_bps), "{bit_rate_bps}");
        }
    }
    Ok(())
}

/// What is planned for a size stays below it.
fn check_size(info: &MediaInfo, recipe: &Recipe, plan: &Plan) -> Result<(), TestCaseError> {
    let (Preset::Fit { size_bytes }, Some(encode), Some(duration_us)) =
        (recipe.preset, plan.encode(), plan.duration_us(info))
    else {
        return Ok(());
    };
    let Rate::Bits { bps } = encode.rate else {
        return Err(TestCaseError::fail("a size is not met by a quality"));
    };
    let sound_bps = match &plan.audio {
        Some((_, AudioWay::Encode { bit_rate_bps, .. })) => *bit_rate_bps,
        _ => 0,
    };
    let bytes = u128::from(bps + sound_bps) * u128::from(duration_us.unsigned_abs()) / 8_000_000;
    prop_assert!(bytes <= u128::from(size_bytes), "{bytes} planned of {size_bytes}");
    Ok(())
}

fn check_refusal(info: &MediaInfo, recipe: &Recipe, caps: &Caps, refusal: &Refusal) -> Result<(), TestCaseError> {
    match refusal {
        Refusal::NoStream { .. } => {}
        Refusal::NoEncoder { .. } => prop_assert_ne!(caps, &Caps::default()),
        Refusal::CutOutside { .. } => prop_assert!(recipe.trim.unwrap().from_us >= info.duration_us.unwrap()),
        Refusal::SizeUnreachable {
            size_bytes,
            size_bytes_min,
            ..
        } => {
            prop_assert!(
                size_bytes_min > size_bytes,
                "{size_bytes_min} is offered instead of {size_bytes}"
            );
            let offered = Recipe {
                preset: Preset::Fit {
                    size_bytes: *size_bytes_min,
                },
                ..*recipe
            };
            prop_assert!(
                plan(info, &offered, caps).is_ok(),
                "what is offered is refused: {offered}"
            );
        }
        other => return Err(TestCaseError::fail(format!("{other:?} is no refusal of a plan"))),
    }
    Ok(())
}

fn check(info: &MediaInfo, recipe: &Recipe, caps: &Caps) -> Result<(), TestCaseError> {
    let ways = match plan(info, recipe, caps) {
        Ok(ways) => ways,
        Err(refusal) => return check_refusal(info, recipe, caps, &refusal),
    };
    let Some(last) = ways.last() else {
        return Err(TestCaseError::fail("no way at all"));
    };
    let copying = |plan: &Plan| plan.video_action() == Action::Copy;
    prop_assert!(
        !copying(last) || matches!(recipe.preset, Preset::Fit { .. }),
        "a copy may fail and nothing follows"
    );
    let converting: Vec<u32> = ways
        .iter()
        .filter(|way| way.video_action() != Action::Copy)
        .map(|way| height_of(way.rung))
        .collect();
    prop_assert!(converting.is_sorted(), "{converting:?}");
    let on_cpu = ways.iter().filter(|way| way.rung == Rung::Cpu && !copying(way)).count();
    prop_assert!(on_cpu <= 1, "the CPU is offered once");
    if let Some(terms) = last.contract.video
        && last.video_action() == Action::Encode
        && caps.software.video(terms.codec)
    {
        prop_assert_eq!(last.rung, Rung::Cpu);
    }
    for way in &ways {
        let video = way
            .video
            .as_ref()
            .and_then(|(index, _)| match &info.streams[*index].kind {
                Kind::Video(video) => Some(video),
                _ => None,
            });
        check_rung(video, way, caps)?;
        prop_assert!(!way.reasons.is_empty() && !way.to_string().is_empty());
        prop_assert!(way.video.is_some() || way.audio.is_some());
        if let (Some(max_us), Some(us)) = (way.contract.duration_us_max, way.duration_us(info)) {
            prop_assert!(us <= max_us, "{us} us");
        }
        if let Some((index, video_way)) = &way.video {
            let Kind::Video(video) = &info.streams[*index].kind else {
                return Err(TestCaseError::fail("pictures are not a video stream"));
            };
            match video_way {
                VideoWay::Copy { .. } => check_video_copy(info, video, recipe)?,
                VideoWay::Encode(encode) => check_picture(video, recipe, encode)?,
            }
        }
        prop_assert!(way.contract.container != Container::Jpeg || way.audio.is_none());
        check_sound(info, recipe, way)?;
        check_size(info, recipe, way)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_plan_keeps_its_contract(info in infos(), recipe in recipes(), caps in caps()) {
        check(&info, &recipe, &caps)?;
    }
}
