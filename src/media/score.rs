//! How near an output is to its source: PSNR and SSIM, frame by frame.
//!
//! ```text
//! reference ─ decode ─ as the plan shows it, at its own size ──┐
//! output ──── decode ─ scaled to that size, bicubic ───────────┴─ pairs by time ─ planes over rayon
//! ```
//!
//! The output is scaled to the reference, not the other way: lines that were given up are a loss, and the field counts them
//! as one (Netflix's VMAF compares at the source's size, scaled bicubic). Only where a preset cuts a square out of the
//! picture is the reference scaled and cut like it. The reference is turned upright, deinterlaced and mapped to BT.709 as
//! the plan does it: what is judged is the encoding, not those decisions.
//!
//! Both decode on threads that can open nothing; rayon's threads see only pixels.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rayon::prelude::*;
use tempfile::NamedTempFile;

use super::chain;
use super::confine::{Confined, Openings, alone};
use super::control::Control;
use super::device::Caps;
use super::error::{MediaError, Refusal};
use super::ffi::{self, AvError, Decoder, Frame, FrameShape, Graph, Input, Plane, Source};
use super::info::{MediaInfo, Rational, Video};
use super::limits::Limits;
use super::plan::{Alpha, Picture, plan};
use super::probe::{open_file, patience, probe, refuse};
use super::recipe::Recipe;
use super::transcode::engine;

/// Of equal pictures, dB; a larger number would say nothing more of 8 bits.
pub const PSNR_MAX: f64 = 100.0;

const FRAMES_MAX: usize = 4;
/// Constants of SSIM for sums over 8x8 pixels of 8 bits: (0.01 · 255)² · 64 and (0.03 · 255)² · 64 · 63.
const C1: f64 = 416.0;
const C2: f64 = 235_963.0;

/// How near, on the average of all frames.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Score {
    /// Of luma, dB, from the mean error of all frames; at most [`PSNR_MAX`].
    pub psnr_y: f64,
    /// Of the first chroma plane, dB.
    pub psnr_u: f64,
    /// Of the second chroma plane, dB.
    pub psnr_v: f64,
    /// The three weighted 6:1:1, dB.
    pub psnr: f64,
    /// Of luma, 0 to 1.
    pub ssim_y: f64,
    /// All planes by their area, 0 to 1.
    pub ssim: f64,
    /// Frames that were compared: those of the output.
    pub frames: u64,
    /// The longest time between the frames of a pair, microseconds: above a frame's duration something else was compared.
    pub apart_us_max: i64,
    /// Compared at this width, pixels.
    pub width: u32,
    /// Compared at this height, pixels.
    pub height: u32,
}

/// Compares `output`, which `recipe` made of `reference`.
///
/// # Errors
/// See [`MediaError`]; [`Refusal::NoStream`] where either has no video.
pub fn score(
    reference: &Path,
    output: &Path,
    recipe: &Recipe,
    limits: &Limits,
    control: &Control,
) -> Result<Score, MediaError> {
    let source = Side::open(reference, limits, control)?;
    let made = Side::open(output, limits, control)?;
    let picture = as_shown(&source.info, recipe)?;
    let table = chain::table(&picture)?;
    let size = (picture.width, picture.height);
    let of_source = |first: &FrameShape, shape: &FrameShape| {
        let pixel = ffi::pixel_facts(shape.format).unwrap_or_default();
        chain::video(&picture, table.as_ref().map(NamedTempFile::path), first, shape, pixel)
    };
    let of_made = |_: &FrameShape, _: &FrameShape| {
        format!("scale={}:{}:flags=bicubic:out_range=tv,format=yuv420p", size.0, size.1)
    };
    let (to_source, at_source) = sync_channel(FRAMES_MAX);
    let (to_made, at_made) = sync_channel(FRAMES_MAX);
    let table = table.as_ref().map(NamedTempFile::path);
    thread::scope(|scope| {
        let one = scope.spawn(move || source.feed(&of_source, table, limits, control, &to_source));
        let other = scope.spawn(move || made.feed(&of_made, None, limits, control, &to_made));
        let mut sums = Sums::default();
        let compared = pair_up(&at_source, &at_made, |first, second, apart_us| {
            sums.add(first, second, apart_us)
        });
        drop((at_source, at_made));
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        join(one)?;
        join(other)?;
        compared?;
        control.check()?;
        sums.score(size).ok_or_else(|| {
            Refusal::NoStream {
                wanted: "video".to_owned(),
            }
            .into()
        })
    })
}

/// The picture that the plan makes, at the source's own size.
pub(super) fn as_shown(info: &MediaInfo, recipe: &Recipe) -> Result<Picture, MediaError> {
    let ways = plan(info, recipe, &Caps::without_gpus())?;
    let encode = ways.iter().find_map(super::Plan::encode);
    let (Some(encode), Some(video)) = (encode, info.video()) else {
        return Err(Refusal::NoStream {
            wanted: "video that is encoded".to_owned(),
        }
        .into());
    };
    let mut picture = encode.picture.clone();
    // Frames are found by their time.
    picture.fps_max = None;
    if picture.alpha == Alpha::Kept {
        picture.alpha = Alpha::OnBlack;
    }
    if picture.scaled == (picture.width, picture.height) {
        let (width, height) = own_size(video, &picture);
        (picture.width, picture.height, picture.scaled) = (width, height, (width, height));
    }
    Ok(picture)
}

/// The source's size, upright, with square pixels, even.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are far below 2^31"
)]
fn own_size(video: &Video, picture: &Picture) -> (u32, u32) {
    let sar = if video.sar.value() > 0.0 {
        video.sar.value()
    } else {
        1.0
    };
    let width = (f64::from(video.width) * sar).round() as u32;
    let (width, height) = if picture.orientation.swaps_sides() {
        (video.height, width)
    } else {
        (width, video.height)
    };
    ((width & !1).max(2), (height & !1).max(2))
}

/// A decoded picture and its time since the first one, microseconds.
type Timed = (i64, Frame);

/// One of the two files.
struct Side {
    file: File,
    info: MediaInfo,
}

impl Side {
    fn open(path: &Path, limits: &Limits, control: &Control) -> Result<Self, MediaError> {
        let info = probe(path, limits, control)?;
        let (file, _) = open_file(path, limits)?;
        Ok(Self { file, info })
    }

    /// Decodes all pictures and sends them filtered, until nobody wants more.
    fn feed(
        self,
        chain: &(dyn Fn(&FrameShape, &FrameShape) -> String + Sync),
        table: Option<&Path>,
        limits: &Limits,
        control: &Control,
        to: &SyncSender<Timed>,
    ) -> Result<(), MediaError> {
        let openings = Openings {
            file: table,
            ..Openings::default()
        };
        alone(limits.confine, openings, |confined| {
            self.decode(chain, limits, control, confined, to)
        })
    }

    fn decode(
        self,
        chain: &(dyn Fn(&FrameShape, &FrameShape) -> String + Sync),
        limits: &Limits,
        control: &Control,
        confined: &Confined,
        to: &SyncSender<Timed>,
    ) -> Result<(), MediaError> {
        let (Some(index), Some(video)) = (self.info.video, self.info.video()) else {
            return Ok(());
        };
        let mut input = Input::open_patiently(self.file, patience(&self.info), limits, control, confined)
            .map_err(|error| refuse(error, control))?;
        input.keep_only(&[index]);
        let params = input.params(index).map_err(engine("read the stream's parameters"))?;
        let mut decoder = Decoder::open(
            &params,
            limits,
            limits.threads_max.unwrap_or(0),
            video.alpha_side_stream,
        )
        .map_err(engine("open the decoder"))?;
        let mut filter = Filter {
            chain,
            time_base: params.time_base,
            first: None,
            graph: None,
            zero_us: None,
            to,
        };
        loop {
            control.check()?;
            let packet = input.read().unwrap_or(None);
            if packet.as_ref().is_some_and(|packet| packet.stream() != index) {
                continue;
            }
            // A damaged packet costs its own picture, as it does in the engine.
            let again = decoder.send(packet.as_ref()) == Err(AvError::AGAIN);
            if !filter.take_all(&mut decoder)? {
                return Ok(());
            }
            if again && decoder.send(packet.as_ref()).is_ok() && !filter.take_all(&mut decoder)? {
                return Ok(());
            }
            if packet.is_none() {
                return filter.end();
            }
        }
    }
}

/// Frames of a decoder through a graph, built anew where their shape changes.
struct Filter<'a> {
    chain: &'a (dyn Fn(&FrameShape, &FrameShape) -> String + Sync),
    time_base: Rational,
    first: Option<FrameShape>,
    graph: Option<(FrameShape, Graph)>,
    zero_us: Option<i64>,
    to: &'a SyncSender<Timed>,
}

impl Filter<'_> {
    /// Whether more is wanted.
    fn take_all(&mut self, decoder: &mut Decoder) -> Result<bool, MediaError> {
        while let Ok(mut frame) = decoder.receive() {
            let Some(time) = frame.best_effort().or(frame.pts()) else {
                continue;
            };
            frame.set_pts(Some(self.time_base.rescale(time, Rational::MICROS)));
            let shape = frame.shape();
            if self.graph.as_ref().is_none_or(|(built_for, _)| *built_for != shape) {
                self.end()?;
                let first = self.first.get_or_insert_with(|| shape.clone());
                let source = Source {
                    shape: &shape,
                    time_base: Rational::MICROS,
                    frame_rate: Rational { num: 0, den: 1 },
                };
                let graph = Graph::video(&source, &(self.chain)(first, &shape), 1)
                    .map_err(engine("build the filters of the score"))?;
                self.graph = Some((shape, graph));
            }
            if let Some((_, graph)) = &mut self.graph {
                graph.send(Some(frame)).map_err(engine("filter for the score"))?;
            }
            if !self.pass_on()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn pass_on(&mut self) -> Result<bool, MediaError> {
        let Some((_, graph)) = &mut self.graph else {
            return Ok(true);
        };
        let time_base = graph.time_base();
        loop {
            match graph.receive() {
                Ok(frame) => {
                    let time_us = time_base.rescale(frame.pts().unwrap_or(0), Rational::MICROS);
                    let zero_us = *self.zero_us.get_or_insert(time_us);
                    if self.to.send((time_us - zero_us, frame)).is_err() {
                        return Ok(false);
                    }
                }
                Err(AvError::AGAIN | AvError::EOF) => return Ok(true),
                Err(error) => return Err(engine("filter for the score")(error)),
            }
        }
    }

    fn end(&mut self) -> Result<(), MediaError> {
        if let Some((_, graph)) = &mut self.graph {
            graph.send(None).map_err(engine("filter for the score"))?;
            self.pass_on()?;
        }
        Ok(())
    }
}

/// To each frame of the output the one of the reference that is nearest in time; with its distance, microseconds.
fn pair_up<T>(
    source: &Receiver<(i64, T)>,
    made: &Receiver<(i64, T)>,
    mut both: impl FnMut(&T, &T, i64) -> Result<(), MediaError>,
) -> Result<(), MediaError> {
    let Ok(mut current) = source.recv() else { return Ok(()) };
    let mut next = source.recv().ok();
    for (time_us, frame) in made {
        while let Some(nearer) = next.take_if(|(at_us, _)| (*at_us - time_us).abs() <= (current.0 - time_us).abs()) {
            current = nearer;
            next = source.recv().ok();
        }
        both(&current.1, &frame, (current.0 - time_us).abs())?;
    }
    Ok(())
}

/// Over all pairs of frames.
#[derive(Default)]
struct Sums {
    /// Mean squared errors of each plane.
    errors: [f64; 3],
    ssim: [f64; 3],
    /// Shares of the planes in the picture.
    shares: [f64; 3],
    frames: u64,
    apart_us_max: i64,
}

impl Sums {
    fn add(&mut self, one: &Frame, other: &Frame, apart_us: i64) -> Result<(), MediaError> {
        let planes = |frame: &'_ Frame| [0, 1, 2].map(|index| frame.plane(index).map(|plane| plane.area()));
        let area: usize = planes(one).iter().flatten().sum();
        for index in 0..3 {
            let (Some(one), Some(other)) = (one.plane(index), other.plane(index)) else {
                return Err(engine("compare the pictures")(AvError::NOT_SUPPORTED));
            };
            if (one.width, one.height) != (other.width, other.height) {
                return Err(engine("compare the pictures")(AvError::NOT_SUPPORTED));
            }
            self.errors[index] += mean_squared_error(&one, &other);
            self.ssim[index] += structural_similarity(&one, &other);
            self.shares[index] = as_f64(one.area()) / as_f64(area);
        }
        self.frames += 1;
        self.apart_us_max = self.apart_us_max.max(apart_us);
        Ok(())
    }

    fn score(&self, (width, height): (u32, u32)) -> Option<Score> {
        if self.frames == 0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of frames")]
        let frames = self.frames as f64;
        let [psnr_y, psnr_u, psnr_v] = self.errors.map(|sum| decibel(sum / frames));
        let ssim = self.ssim.map(|sum| sum / frames);
        Some(Score {
            psnr_y,
            psnr_u,
            psnr_v,
            psnr: (6.0 * psnr_y + psnr_u + psnr_v) / 8.0,
            ssim_y: ssim[0],
            ssim: ssim.iter().zip(self.shares).map(|(ssim, share)| ssim * share).sum(),
            frames: self.frames,
            apart_us_max: self.apart_us_max,
            width,
            height,
        })
    }
}

fn decibel(error: f64) -> f64 {
    if error <= 0.0 {
        return PSNR_MAX;
    }
    (10.0 * (255.0 * 255.0 / error).log10()).min(PSNR_MAX)
}

#[expect(clippy::cast_precision_loss, reason = "counts of pixels, far below 2^53")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

fn mean_squared_error(one: &Plane<'_>, other: &Plane<'_>) -> f64 {
    let sum: u64 = (0..one.height)
        .into_par_iter()
        .map(|line| {
            let pixels = one.line(line).iter().zip(other.line(line));
            pixels
                .map(|(&one, &other)| u64::from(one.abs_diff(other)).pow(2))
                .sum::<u64>()
        })
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let sum = sum as f64;
    sum / as_f64(one.area().max(1))
}

/// Sums over 4x4 pixels: of each picture, of both squared, of the product.
type Block = [u32; 4];

/// The mean over blocks of 8x8 pixels, four apart, as x264's and FFmpeg's measure takes it (Wang et al. 2004, without the
/// Gaussian window).
fn structural_similarity(one: &Plane<'_>, other: &Plane<'_>) -> f64 {
    let (columns, rows) = (one.width / 4, one.height / 4);
    if columns < 2 || rows < 2 {
        return 1.0;
    }
    let blocks: Vec<Vec<Block>> = (0..rows)
        .into_par_iter()
        .map(|row| block_row(one, other, row, columns))
        .collect();
    let sums: Vec<f64> = blocks
        .par_windows(2)
        .map(|rows| {
            let at = |column: usize| {
                let four = [
                    rows[0][column],
                    rows[0][column + 1],
                    rows[1][column],
                    rows[1][column + 1],
                ];
                similarity(four.iter().fold([0; 4], |sum, block| {
                    std::array::from_fn(|index| sum[index] + block[index])
                }))
            };
            (0..columns - 1).map(at).sum()
        })
        .collect();
    // In their order: the same files give the same digits.
    sums.iter().sum::<f64>() / as_f64((rows - 1) * (columns - 1))
}

fn block_row(one: &Plane<'_>, other: &Plane<'_>, row: usize, columns: usize) -> Vec<Block> {
    let mut blocks = vec![[0; 4]; columns];
    for line in row * 4..row * 4 + 4 {
        let pairs = one.line(line).chunks_exact(4).zip(other.line(line).chunks_exact(4));
        for (block, (one, other)) in blocks.iter_mut().zip(pairs) {
            for (&one, &other) in one.iter().zip(other) {
                let (one, other) = (u32::from(one), u32::from(other));
                block[0] += one;
                block[1] += other;
                block[2] += one * one + other * other;
                block[3] += one * other;
            }
        }
    }
    blocks
}

fn similarity(sums: Block) -> f64 {
    let [one, other, squares, product] = sums.map(f64::from);
    let variances = squares * 64.0 - one * one - other * other;
    let covariance = product * 64.0 - one * other;
    (2.0 * one * other + C1) * (2.0 * covariance + C2) / ((one * one + other * other + C1) * (variances + C2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pairs of two rows of times.
    fn pairs(source: &[i64], made: &[i64]) -> Vec<(i64, i64)> {
        let queue = |times: &[i64]| {
            let (to, at) = sync_channel(times.len());
            for &time in times {
                to.send((time, time)).unwrap();
            }
            at
        };
        let mut pairs = Vec::new();
        pair_up(&queue(source), &queue(made), |&one, &other, _| {
            pairs.push((one, other));
            Ok(())
        })
        .unwrap();
        pairs
    }

    #[test]
    fn a_frame_is_held_against_the_nearest_in_time() {
        assert_eq!(pairs(&[0, 40, 80], &[0, 40, 80]), [(0, 0), (40, 40), (80, 80)]);
        assert_eq!(
            pairs(&[0, 20, 40, 60, 80], &[0, 41, 79]),
            [(0, 0), (40, 41), (80, 79)],
            "every second was dropped"
        );
        assert_eq!(pairs(&[0, 100], &[0, 40, 60, 100, 140]).last(), Some(&(100, 140)));
        assert_eq!(pairs(&[], &[0]), []);
    }

    #[test]
    fn equal_blocks_are_alike_and_unlike_ones_are_not() {
        let grey = [64 * 128, 64 * 128, 2 * 64 * 128 * 128, 64 * 128 * 128];
        assert!((similarity(grey) - 1.0).abs() < 1e-12);
        let black_and_white = [0, 64 * 255, 64 * 255 * 255, 0];
        assert!(similarity(black_and_white) < 0.001);
    }

    #[test]
    fn decibels_end_where_pictures_are_equal() {
        assert!((decibel(0.0) - PSNR_MAX).abs() < 1e-12);
        assert!((decibel(255.0 * 255.0)).abs() < 1e-12);
        assert!((decibel(1.0) - 48.1308).abs() < 1e-4);
    }
}
