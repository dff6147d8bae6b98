//! The pictures of an output against the source's: upright, in the right colours, in the right order, each of them.

use super::colour::{self, Reading};
use super::decode::{Frames, SIDE};
use super::facts::Stream;
use super::judge::reading;
use super::source::{Source, VideoTruth};

/// Pairs of frames that are compared, spread over the film.
const PAIRS_MAX: usize = 300;
/// Mean distance of two pictures, of 255: what an encoder costs lies under it.
const DISTANCE_MAX: f32 = 3.0;
/// The same of the worst frame.
const WORST_MAX: f32 = 16.0;
/// A smaller picture has too few samples of colour to be compared, pixels.
const SIDE_MIN: u32 = 16;
/// Mean signed error of red, green or blue over the film, of 255: a wrong matrix shows here.
const BIAS_MAX: f64 = 3.0;
/// Contrast of red, green or blue: a wrong range changes it by 0.14 or more.
const GAIN_MAX: f64 = 0.06;
/// Variance below which a channel is flat.
const SPREAD_MIN: f64 = 16.0;
/// How far the mean luma of a tone-mapped film may lie from the reference's, as a factor, beside a fixed slack.
const LUMA_FACTOR: f32 = 1.6;
const LUMA_SLACK: f32 = 12.0;

pub(crate) fn judge(source: &Source, truth: &VideoTruth, stream: &Stream, frames: &Frames) -> Vec<String> {
    let mut pairs = pairs(source, truth, frames);
    if pairs.is_empty() {
        return vec!["no picture to compare".to_owned()];
    }
    pairs.retain(|(from, _)| truth.invented.binary_search(from).is_err());
    if pairs.is_empty() {
        return Vec::new();
    }
    let out = |at: usize| colour::upright(frames, at, reading(stream), stream.matrix_display);
    if let Some(reference) = &truth.tone_mapped {
        return tone(truth, reference, &pairs, out);
    }
    if truth.stream.width.min(truth.stream.height) < SIDE_MIN {
        return Vec::new();
    }
    let readings = colour::readings(&truth.stream);
    let answers: Vec<Vec<String>> = readings
        .iter()
        .map(|&reading| same(truth, reading, &pairs, out))
        .collect();
    let mut wrong = answers.into_iter().min_by_key(Vec::len).unwrap_or_default();
    wrong.extend(order(truth, readings[0], &pairs, out));
    wrong
}

/// Which frame of the source belongs to which of the output: by number where all are there, else by time.
fn pairs(source: &Source, truth: &VideoTruth, frames: &Frames) -> Vec<(usize, usize)> {
    let (from, to) = (&truth.frames.pts_us, &frames.pts_us);
    if from.is_empty() || to.is_empty() {
        return Vec::new();
    }
    let step = (to.len() / PAIRS_MAX).max(1);
    let common = source.start_us();
    (0..to.len())
        .step_by(step)
        .map(|at| {
            if from.len() == to.len() {
                return (at, at);
            }
            let when = to[at] + common;
            let nearest = from.iter().enumerate().min_by_key(|(_, pts)| (**pts - when).abs());
            (nearest.map_or(0, |(index, _)| index), at)
        })
        .collect()
}

/// The pictures are the source's.
fn same(
    truth: &VideoTruth,
    reading: Reading,
    pairs: &[(usize, usize)],
    out: impl Fn(usize) -> Option<Vec<f32>>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut worst, mut sum, mut count) = ((0.0_f32, 0), 0.0, 0);
    let mut channels = [Line::default(); 3];
    for &(from, to) in pairs {
        let source = colour::upright(&truth.frames, from, reading, truth.stream.matrix_display);
        let (Some(one), Some(other)) = (source, out(to)) else {
            continue;
        };
        let apart = distance(&one, &other);
        if apart > worst.0 {
            worst = (apart, to);
        }
        sum += apart;
        for (place, (&was, &is)) in one.iter().zip(&other).enumerate() {
            channels[place % 3].add(was, is);
        }
        count += 1;
    }
    let mean = sum / count.max(1) as f32;
    // Colours outside of BT.709 are cut off, which is not the same before and after a picture is made small.
    let limit = if reading.wide { 2.0 * DISTANCE_MAX } else { DISTANCE_MAX };
    if mean > limit || worst.0 > WORST_MAX {
        wrong.push(format!(
            "pictures differ by {mean:.1} of 255 (limit {limit}), frame {} by {:.1} (limit {WORST_MAX})",
            worst.1, worst.0
        ));
    }
    let (bias, gain) = (channels.map(Line::bias), channels.map(Line::gain));
    if bias.iter().any(|error| error.abs() > BIAS_MAX) {
        let [red, green, blue] = bias;
        wrong.push(format!(
            "colours are off by {red:+.1} {green:+.1} {blue:+.1} of 255 in red, green, blue (limit {BIAS_MAX})"
        ));
    }
    if gain.iter().any(|gain| (gain - 1.0).abs() > GAIN_MAX) {
        let [red, green, blue] = gain;
        wrong.push(format!(
            "contrast is {red:.2} {green:.2} {blue:.2} of the source's in red, green, blue (1 within {GAIN_MAX})"
        ));
    }
    wrong
}

/// A straight line through (source, output) values: its slope is the gain of contrast, which a wrong range changes.
#[derive(Clone, Copy, Default)]
struct Line {
    count: f64,
    was: f64,
    is: f64,
    squares: f64,
    products: f64,
}

impl Line {
    fn add(&mut self, was: f32, is: f32) {
        let (was, is) = (f64::from(was), f64::from(is));
        self.count += 1.0;
        self.was += was;
        self.is += is;
        self.squares += was * was;
        self.products += was * is;
    }

    fn bias(self) -> f64 {
        (self.is - self.was) / self.count.max(1.0)
    }

    /// 1 where the source is flat.
    fn gain(self) -> f64 {
        let spread = self.squares - self.was * self.was / self.count.max(1.0);
        if spread < self.count * SPREAD_MIN {
            return 1.0;
        }
        (self.products - self.was * self.is / self.count) / spread
    }
}

/// Where something moves, a frame is more like its own than like its neighbours.
fn order(
    truth: &VideoTruth,
    reading: Reading,
    pairs: &[(usize, usize)],
    out: impl Fn(usize) -> Option<Vec<f32>>,
) -> Option<String> {
    let (mut own, mut before, mut after, mut count) = (0.0, 0.0, 0.0, 0);
    for &(from, to) in pairs {
        let source = |at: usize| colour::upright(&truth.frames, at, reading, truth.stream.matrix_display);
        let neighbours = (
            from.checked_sub(1).and_then(source),
            source(from),
            source(from + 1),
            out(to),
        );
        if let (Some(last), Some(this), Some(next), Some(other)) = neighbours {
            own += distance(&this, &other);
            before += distance(&last, &other);
            after += distance(&next, &other);
            count += 1;
        }
    }
    let nearer = before.min(after);
    (count > 0 && own > nearer * 1.2 && own - nearer > 0.2 * count as f32)
        .then(|| "frames are one off: they look more like their neighbours'".to_owned())
}

/// High dynamic range: the picture of the reference tone map, its brightness in a band, and its colours as vivid. Which
/// tone map is best is a matter of taste; that untouched values look washed out is not.
fn tone(
    truth: &VideoTruth,
    reference: &Frames,
    pairs: &[(usize, usize)],
    out: impl Fn(usize) -> Option<Vec<f32>>,
) -> Vec<String> {
    let rgb = Reading {
        weights: None,
        full_range: true,
        wide: false,
    };
    let untouched = Reading {
        wide: false,
        ..colour::readings(&truth.stream)[0]
    };
    let (mut lumas, mut vivid, mut likeness, mut count) = ([0.0_f32; 2], [0.0_f32; 3], 0.0_f32, 0.0_f32);
    for &(from, to) in pairs {
        let matrix = truth.stream.matrix_display;
        let wanted = colour::upright(reference, from, rgb, matrix);
        let naive = colour::upright(&truth.frames, from, untouched, matrix);
        let (Some(wanted), Some(naive), Some(got)) = (wanted, naive, out(to)) else {
            continue;
        };
        lumas[0] += mean_luma(&wanted);
        lumas[1] += mean_luma(&got);
        for (sum, picture) in vivid.iter_mut().zip([&wanted, &naive, &got]) {
            *sum += vividness(picture);
        }
        likeness += correlation(&wanted, &got);
        count += 1.0;
    }
    let count = count.max(1.0);
    let ([wanted, got], likeness) = (lumas.map(|sum| sum / count), likeness / count);
    let mut wrong = Vec::new();
    if got > wanted * LUMA_FACTOR + LUMA_SLACK || got < wanted / LUMA_FACTOR - LUMA_SLACK {
        wrong.push(format!("mean luma is {got:.0}, the reference tone map's {wanted:.0}"));
    }
    let [reference, untouched, got] = vivid.map(|sum| sum / count);
    let least = untouched + (reference - untouched) * 0.5;
    if reference > untouched && got < least {
        wrong.push(format!(
            "washed out: colours {got:.1} of 255 strong, at least {least:.1} wanted (untouched {untouched:.1}, reference \
             tone map {reference:.1})"
        ));
    }
    if likeness < 0.9 {
        wrong.push(format!(
            "pictures are not the source's: correlation {likeness:.2} (at least 0.90)"
        ));
    }
    wrong
}

fn distance(one: &[f32], other: &[f32]) -> f32 {
    let sum: f32 = one.iter().zip(other).map(|(a, b)| (a - b).abs()).sum();
    sum / one.len() as f32
}

/// How far the colours are from grey: the mean of the strongest part less the weakest.
fn vividness(picture: &[f32]) -> f32 {
    let spread = |pixel: &[f32]| {
        let strongest = pixel.iter().copied().fold(f32::MIN, f32::max);
        strongest - pixel.iter().copied().fold(f32::MAX, f32::min)
    };
    picture.chunks_exact(3).map(spread).sum::<f32>() / (SIDE * SIDE) as f32
}

fn luma(pixel: &[f32]) -> f32 {
    0.2126 * pixel[0] + 0.7152 * pixel[1] + 0.0722 * pixel[2]
}

fn mean_luma(picture: &[f32]) -> f32 {
    picture.chunks_exact(3).map(luma).sum::<f32>() / (SIDE * SIDE) as f32
}

/// Of the lumas of two pictures; 1 where either is flat.
fn correlation(one: &[f32], other: &[f32]) -> f32 {
    let (one, other): (Vec<f32>, Vec<f32>) = (
        one.chunks_exact(3).map(luma).collect(),
        other.chunks_exact(3).map(luma).collect(),
    );
    correlate(&one, &other).unwrap_or(1.0)
}

/// Pearson's coefficient; `None` where either is flat.
pub(crate) fn correlate(one: &[f32], other: &[f32]) -> Option<f32> {
    let count = one.len().min(other.len()) as f32;
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len().max(1) as f32;
    let (mean_one, mean_other) = (mean(one), mean(other));
    let (mut both, mut of_one, mut of_other) = (0.0, 0.0, 0.0);
    for (a, b) in one.iter().zip(other) {
        both += (a - mean_one) * (b - mean_other);
        of_one += (a - mean_one).powi(2);
        of_other += (b - mean_other).powi(2);
    }
    let spread = (of_one * of_other).sqrt();
    (count > 0.0 && spread > 1e-9 * count).then(|| both / spread)
}
