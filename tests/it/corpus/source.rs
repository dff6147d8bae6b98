//! The truth about a source: which streams a viewer means, and what ffmpeg decodes of them.

use std::path::{Path, PathBuf};

use super::decode::{self, Frames, JUMP_US, Request, SIDE, Sound};
use super::facts::{Facts, Stream};

/// A track with fewer packets than this share of the fullest one is a still beside a film, per cent.
const STILL_PERCENT: u64 = 10;

/// A source with everything that an output is held against.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) facts: Facts,
    pub(crate) video: Option<VideoTruth>,
    pub(crate) audio: Option<AudioTruth>,
}

pub(crate) struct VideoTruth {
    pub(crate) stream: Stream,
    /// With times made continuous.
    pub(crate) frames: Frames,
    /// Numbers of the frames that come out differently from one decode to the next: what a decoder invents where the
    /// source is damaged depends on how its threads ran.
    pub(crate) invented: Vec<usize>,
    /// By the reference tone map, where the source has high dynamic range.
    pub(crate) tone_mapped: Option<Frames>,
}

pub(crate) struct AudioTruth {
    pub(crate) stream: Stream,
    pub(crate) sound: Sound,
}

impl Source {
    /// `None` where ffprobe opens nothing.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let facts = Facts::of(path).ok()?;
        let jumps = facts.format == "mpegts";
        let video = films(&facts).into_iter().find_map(|mut stream| {
            let mut frames = decode::frames(&request(path, &stream, true));
            if frames.pts_us.is_empty() {
                return None;
            }
            if let Some((wide, high)) = frames.aspect {
                // Some decoders know the shape of a pixel where the container does not.
                stream.sar = (wide * u64::from(stream.height), high * u64::from(stream.width));
            }
            if jumps {
                make_continuous(&mut frames.pts_us);
            }
            if facts.format == "avi" {
                rebase(&mut frames.pts_us, &stream);
            }
            let invented = if frames.errors.is_empty() {
                Vec::new()
            } else {
                invented(path, &stream, &frames)
            };
            let tone_mapped = stream.is_hdr().then(|| decode::frames(&tone_map(path, &stream)));
            Some(VideoTruth {
                stream,
                frames,
                invented,
                tone_mapped,
            })
        });
        let audio = sounds(&facts).into_iter().find_map(|stream| {
            let sound = decode::sound(path, stream.index, jumps, true);
            (!sound.levels.is_empty()).then_some(AudioTruth { stream, sound })
        });
        Some(Self {
            path: path.to_owned(),
            facts,
            video,
            audio,
        })
    }

    /// Whether ffmpeg itself could not read all of it.
    pub(crate) fn is_damaged(&self) -> bool {
        let of_video = self.video.as_ref().map(|video| &video.frames.errors);
        let of_audio = self.audio.as_ref().map(|audio| &audio.sound.errors);
        of_video.into_iter().chain(of_audio).any(|errors| !errors.is_empty())
    }

    /// The start that both streams share, microseconds.
    pub(crate) fn start_us(&self) -> i64 {
        let video = self.video.as_ref().map(|video| video.frames.pts_us[0]);
        let audio = self.audio.as_ref().map(|audio| audio.sound.start_us);
        video.into_iter().chain(audio).min().unwrap_or(0)
    }
}

impl VideoTruth {
    /// Time from one frame to the next as a rule, microseconds.
    pub(crate) fn frame_us(&self) -> i64 {
        median_step(&self.frames.pts_us)
    }

    /// Mean over the whole film, frames a second.
    pub(crate) fn fps(&self) -> f64 {
        fps(&self.frames.pts_us)
    }
}

/// Median distance of two frames, microseconds; 40 ms where there is but one frame.
pub(crate) fn median_step(pts_us: &[i64]) -> i64 {
    let mut steps: Vec<i64> = pts_us.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).copied().unwrap_or(40_000).max(1)
}

pub(crate) fn fps(pts_us: &[i64]) -> f64 {
    match (pts_us.first(), pts_us.last()) {
        (Some(first), Some(last)) if last > first => (pts_us.len() - 1) as f64 * 1e6 / (last - first) as f64,
        _ => 0.0,
    }
}

/// Video streams in the order in which a viewer means them: no cover art, no still beside a film, the default one, the
/// largest.
fn films(facts: &Facts) -> Vec<Stream> {
    let mut films: Vec<Stream> = facts
        .of_kind("video")
        .into_iter()
        .filter(|stream| !stream.attached_pic)
        .cloned()
        .collect();
    let fullest = films.iter().map(|stream| stream.packets).max().unwrap_or(0);
    films.retain(|stream| stream.packets * 100 >= fullest * STILL_PERCENT && stream.packets > 0);
    films.sort_by_key(|stream| {
        let pixels = u64::from(stream.width) * u64::from(stream.height);
        (!stream.is_default, std::cmp::Reverse(pixels), stream.index)
    });
    films
}

/// Audio streams in the order in which a listener means them: the default one, the most channels.
fn sounds(facts: &Facts) -> Vec<Stream> {
    let mut sounds: Vec<Stream> = facts.of_kind("audio").into_iter().cloned().collect();
    sounds.retain(|stream| !stream.codec.is_empty());
    sounds.sort_by_key(|stream| (!stream.is_default, std::cmp::Reverse(stream.channels), stream.index));
    sounds
}

/// The decode whose pictures are in the file's own YCbCr or RGB.
pub(crate) fn request<'a>(path: &'a Path, stream: &Stream, keep: bool) -> Request<'a> {
    let range = if stream.is_full_range() { "pc" } else { "tv" };
    let (matrix, format) = match stream.matrix.as_str() {
        _ if stream.is_rgb() => ("", "rgb24"),
        "bt709" => ("bt709", "yuv444p"),
        _ => ("smpte170m", "yuv444p"),
    };
    let format = if stream.pixel_format.starts_with("yuvj") {
        "yuvj444p"
    } else {
        format
    };
    let size = format!("scale={SIDE}:{SIDE}:flags=area+accurate_rnd+full_chroma_int+full_chroma_inp");
    let side_alpha = stream.tag("alpha_mode") == Some("1") || stream.tag("ALPHA_MODE") == Some("1");
    let decoder = match stream.codec.as_str() {
        "vp9" if side_alpha => vec![format!("-c:{}", stream.index), "libvpx-vp9".to_owned()],
        "vp8" if side_alpha => vec![format!("-c:{}", stream.index), "libvpx".to_owned()],
        _ => Vec::new(),
    };
    let chain = if side_alpha || stream.has_alpha() {
        // Composited on black, which is what premultiplying is; then back to YCbCr where the tags speak of that.
        let to_rgb = if stream.is_rgb() {
            "format=gbrap".to_owned()
        } else {
            format!(
                "scale=in_color_matrix={}:in_range={range},format=gbrap",
                own_matrix(stream)
            )
        };
        let back = if stream.is_rgb() {
            "format=rgb24".to_owned()
        } else {
            format!(
                "scale=out_color_matrix={}:out_range={range},format=yuv444p",
                own_matrix(stream)
            )
        };
        format!("{to_rgb},premultiply=inplace=1,{size},format=gbrp,{back}")
    } else if stream.is_rgb() {
        format!("{size},format=rgb24")
    } else {
        // The same matrix and range on both sides: numbers pass as they are.
        format!(
            "{size}:in_color_matrix={matrix}:out_color_matrix={matrix}:in_range={range}:out_range={range},format={format}"
        )
    };
    // Two fields of different moments are no picture.
    let fields = if stream.is_interlaced() {
        "bwdif=mode=send_frame:deint=interlaced,"
    } else {
        ""
    };
    Request {
        path,
        stream: stream.index,
        decoder,
        chain: format!("{fields}{chain}"),
        keep,
    }
}

fn invented(path: &Path, stream: &Stream, frames: &Frames) -> Vec<usize> {
    let again = ["1", "3", "4"].map(|threads| {
        let mut request = request(path, stream, true);
        request.decoder.extend(["-threads".to_owned(), threads.to_owned()]);
        decode::frames(&request)
    });
    (0..frames.pts_us.len())
        .filter(|&at| again.iter().any(|again| again.picture(at) != frames.picture(at)))
        .collect()
}

/// The matrix that `readings` assumes too, by ffmpeg's name.
fn own_matrix(stream: &Stream) -> &'static str {
    match super::colour::readings(stream)[0].weights {
        Some(weights) if weights == super::colour::BT709 => "bt709",
        _ => "smpte170m",
    }
}

/// FFmpeg's own recipe for SDR from PQ and HLG: linear light at 100 cd/m², BT.709 primaries, Hable's curve.
fn tone_map<'a>(path: &'a Path, stream: &Stream) -> Request<'a> {
    let transfer = &stream.transfer;
    Request {
        path,
        stream: stream.index,
        decoder: Vec::new(),
        chain: format!(
            "scale={SIDE}:{SIDE}:flags=area+accurate_rnd:in_color_matrix=bt2020:in_range=tv,format=gbrp16le,\
             zscale=tin={transfer}:pin=bt2020:min=gbr:rin=pc:t=linear:npl=100,format=gbrpf32le,\
             zscale=p=bt709,tonemap=hable:desat=0,zscale=t=bt709:r=pc,format=gbrp,format=rgb24"
        ),
        keep: true,
    }
}

/// A clock that jumps goes on by one frame instead.
fn make_continuous(pts_us: &mut [i64]) {
    let step = median_step(pts_us);
    let mut shift = 0;
    for at in 1..pts_us.len() {
        let now = pts_us[at] + shift;
        let delta = now - pts_us[at - 1];
        if !(0..JUMP_US).contains(&delta) {
            shift += step - delta;
        }
        pts_us[at] += shift;
    }
}

/// AVI has no presentation times and ffmpeg's guess is late by the reordering: the first frame is where the stream starts.
fn rebase(pts_us: &mut [i64], stream: &Stream) {
    #[expect(clippy::cast_possible_truncation, reason = "seconds of a clip")]
    let start_us = (stream.start_s.unwrap_or(0.0) * 1e6) as i64;
    let late = pts_us[0] - start_us;
    for pts in pts_us.iter_mut() {
        *pts -= late;
    }
}
