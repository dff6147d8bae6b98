//! Clips out of nothing: drawn and sounded from a seed, the same on every machine but for what encoders make of it.
//!
//! Pictures have what encoders care for: a gradient that drifts, a square that moves, and grain. Absent: any claim to be like
//! footage.

use std::fs::File;
use std::path::Path;

use super::error::MediaError;
use super::ffi::{self, AudioTarget, AvError, Encoder, Frame, Output, Packet, VideoTarget};
use super::info::{Colour, Rational};
use super::preset::Container;
use super::transcode::engine;

/// What is made.
#[derive(Clone, Copy, Debug)]
pub struct Clip {
    /// File name.
    pub name: &'static str,
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// Frames a second.
    pub fps: i32,
    /// Seconds.
    pub duration_s: u32,
    /// libav's name of the picture's encoder.
    video: &'static str,
    /// libav's name of the sound's encoder.
    audio: &'static str,
}

/// One for each way that a file goes: copied, its sound encoded, its picture encoded small and large.
pub const CLIPS: [Clip; 4] = [
    clip("copy_720p.mp4", (1280, 720), 30, "libx264", "aac"),
    clip("sound_720p.mp4", (1280, 720), 30, "libx264", "ac3"),
    clip("encode_480p.mp4", (854, 480), 30, "mpeg4", "aac"),
    clip("encode_1080p.mp4", (1920, 1080), 25, "mpeg4", "aac"),
];

/// So small and short that codecs take next to nothing: one that is copied, one that is encoded.
pub const TINY: [Clip; 2] = [
    tiny(clip("tiny_copy.mp4", (64, 64), 25, "libx264", "aac")),
    tiny(clip("tiny_encode.mp4", (64, 64), 25, "mpeg4", "aac")),
];

const fn tiny(clip: Clip) -> Clip {
    Clip { duration_s: 1, ..clip }
}

const fn clip(
    name: &'static str,
    (width, height): (u32, u32),
    fps: i32,
    video: &'static str,
    audio: &'static str,
) -> Clip {
    Clip {
        name,
        width,
        height,
        fps,
        duration_s: 6,
        video,
        audio,
    }
}

const SAMPLE_RATE: i32 = 48_000;
const SEED: u32 = 0x6b61_6472;

/// Writes a clip.
///
/// # Errors
/// [`MediaError::Engine`] where this FFmpeg lacks one of its encoders, [`MediaError::Io`] where the file cannot be written.
pub fn make(clip: &Clip, path: &Path) -> Result<(), MediaError> {
    ffi::init();
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .map_err(|source| super::convert::io("create the clip", source))?;
    let mut pictures = pictures(clip)?;
    let mut sound = sound(clip)?;
    let mut output = Output::create(file, Container::Mp4).map_err(engine("open the muxer"))?;
    let mut tracks = Vec::new();
    for stream in [&pictures, &sound] {
        let mut params = stream
            .encoder
            .params(stream.base)
            .map_err(engine("read the encoder's parameters"))?;
        params.frame_rate = stream.rate;
        tracks.push(output.add(&params, false, None).map_err(engine("add a stream"))?);
    }
    output.write_header().map_err(engine("write the clip"))?;
    let mut paint = Paint::new(clip);
    for second in 0..i64::from(clip.duration_s) {
        for number in second * i64::from(clip.fps)..(second + 1) * i64::from(clip.fps) {
            let frame = paint.picture(clip, number).map_err(engine("draw"))?;
            pictures.encode(Some(&frame), &mut output, tracks[0])?;
        }
        while sound.at < (second + 1) * i64::from(SAMPLE_RATE) {
            let frame = tone(sound.samples, sound.at).map_err(engine("sound"))?;
            sound.at += i64::from(sound.samples);
            sound.encode(Some(&frame), &mut output, tracks[1])?;
        }
    }
    pictures.encode(None, &mut output, tracks[0])?;
    sound.encode(None, &mut output, tracks[1])?;
    output.write_trailer().map_err(engine("write the clip"))
}

/// An encoder on its way.
struct Stream {
    encoder: Encoder,
    base: Rational,
    rate: Rational,
    /// Samples in a frame, and those that were sent.
    samples: i32,
    at: i64,
}

impl Stream {
    fn encode(&mut self, frame: Option<&Frame>, output: &mut Output, track: usize) -> Result<(), MediaError> {
        self.encoder.send(frame).map_err(engine("encode the clip"))?;
        loop {
            let mut packet: Packet = match self.encoder.receive() {
                Ok(packet) => packet,
                Err(AvError::AGAIN | AvError::EOF) => return Ok(()),
                Err(error) => return Err(engine("encode the clip")(error)),
            };
            packet.default_duration(1);
            packet.set_stream(track);
            packet.rescale(self.base, output.time_base(track));
            output.write(&mut packet).map_err(engine("write the clip"))?;
        }
    }
}

fn pictures(clip: &Clip) -> Result<Stream, MediaError> {
    let colour = Colour::BT709;
    let x264 = [("preset", "veryfast"), ("profile", "high"), ("crf", "23")];
    let options = x264.iter().filter(|_| clip.video == "libx264");
    let target = VideoTarget {
        codec: clip.video,
        options: options.map(|&(option, value)| (option, value.to_owned())).collect(),
        bit_rate_bps: (clip.video != "libx264").then_some(8_000_000),
        pass: None,
        frame_rate: rate(clip),
        gop: 60,
        // As many threads as the machine has would give other bytes on another one.
        threads: 1,
        matrix: colour.matrix,
        transfer: colour.transfer,
        primaries: colour.primaries,
    };
    let base = Rational { num: 1, den: clip.fps };
    let like = Frame::picture(clip.width, clip.height).map_err(engine("draw"))?;
    let encoder = Encoder::open_video(&target, &like, base, false).map_err(engine("open the video encoder"))?;
    Ok(Stream {
        encoder,
        base,
        rate: rate(clip),
        samples: 0,
        at: 0,
    })
}

fn sound(clip: &Clip) -> Result<Stream, MediaError> {
    let target = AudioTarget {
        codec: clip.audio,
        bit_rate_bps: 128_000,
    };
    let base = Rational {
        num: 1,
        den: SAMPLE_RATE,
    };
    let like = Frame::sound(1024, SAMPLE_RATE, 2).map_err(engine("sound"))?;
    let mut encoder = Encoder::open_audio(&target, &like.shape(), base).map_err(engine("open the audio encoder"))?;
    let samples = i32::try_from(encoder.frame_samples()).unwrap_or(1024).max(1);
    Ok(Stream {
        encoder,
        base,
        rate: Rational { num: 0, den: 1 },
        samples,
        at: 0,
    })
}

fn rate(clip: &Clip) -> Rational {
    Rational { num: clip.fps, den: 1 }
}

/// Marsaglia's xorshift, 2003.
fn next(random: &mut u32) -> u32 {
    *random ^= *random << 13;
    *random ^= *random >> 17;
    *random ^= *random << 5;
    *random
}

/// How far the gradient goes before it begins anew, columns.
const PERIOD: usize = 1536;

/// Lines that pictures are put together from: a machine that is slow at drawing would wait for its clips.
struct Paint {
    /// The gradient from any column on, and the pattern of the square on it, each with grain in eight ways.
    gradient: Vec<Vec<u8>>,
    square: Vec<Vec<u8>>,
    random: u32,
}

impl Paint {
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are what is wanted")]
    fn new(clip: &Clip) -> Self {
        let mut random = SEED;
        let mut lines = |value: &dyn Fn(usize) -> u8| -> Vec<Vec<u8>> {
            let mut line = || {
                let samples = 0..clip.width as usize + PERIOD;
                samples.map(|x| value(x) + (next(&mut random) & 7) as u8).collect()
            };
            (0..8).map(|_| line()).collect()
        };
        let gradient = lines(&|x| 40 + (x / 12 % 128) as u8);
        let square = lines(&|x| 96 + (x / 8 % 2) as u8 * 96);
        Self {
            gradient,
            square,
            random,
        }
    }

    fn picture(&mut self, clip: &Clip, number: i64) -> Result<Frame, AvError> {
        let mut frame = Frame::picture(clip.width, clip.height)?;
        frame.set_pts(Some(number));
        let time = usize::try_from(number).unwrap_or(0);
        let edge = clip.height as usize / 4;
        let (span_x, span_y) = (clip.width as usize - edge, clip.height as usize - edge);
        // Back and forth at two speeds.
        let to_and_fro = |at: usize, span: usize| {
            if (at / span).is_multiple_of(2) {
                at % span
            } else {
                span - at % span
            }
        };
        let (left, top) = (to_and_fro(time * 7, span_x), to_and_fro(time * 5, span_y));
        frame.fill(|plane, y, line| {
            if plane > 0 {
                line.fill(if plane == 1 { 112 } else { 144 });
                return;
            }
            let grain = next(&mut self.random) as usize % 8;
            let from = (y + 2 * time) % PERIOD;
            let width = line.len();
            line.copy_from_slice(&self.gradient[grain][from..from + width]);
            if (top..top + edge).contains(&y) {
                let from = y / 8 % 2 * 8;
                line[left..left + edge].copy_from_slice(&self.square[grain][from..from + edge]);
            }
        });
        Ok(frame)
    }
}

/// Two notes, one a side.
fn tone(samples: i32, from: i64) -> Result<Frame, AvError> {
    let mut frame = Frame::sound(samples, SAMPLE_RATE, 2)?;
    frame.set_pts(Some(from));
    frame.fill_sound(|channel, sample| {
        #[expect(clippy::cast_precision_loss, reason = "some hundred thousand")]
        let at_s = (from + i64::try_from(sample).unwrap_or(0)) as f32 / SAMPLE_RATE as f32;
        let hertz = if channel == 0 { 220.0 } else { 330.0 };
        0.2 * (at_s * hertz * std::f32::consts::TAU).sin()
    });
    Ok(frame)
}
