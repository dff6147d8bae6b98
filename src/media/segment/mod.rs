//! One long film over several engines or cores: split at key frames, encoded at once, joined without a seam.
//!
//! ```text
//! scan    every packet is looked at, none decoded: key frames, and each frame's time in the output
//! split   where segments begin, and whether it pays                                     (pure)
//! make    one rayon thread a segment drives demux, decode, filter, encode of its part into a spool; one more the sound
//! order   decoding times of the joined stream                                           (pure)
//! join    the spools, one after another, and the sound beside them, into the one muxer
//! ```
//!
//! The joined stream has the frames, times and header that one encoder would have given; each segment begins with a key
//! frame. Whatever is not as expected (a frame that is missing, a header that differs, any error) is an error here, and the
//! caller starts again with one engine. Absent on purpose: rates that are found in passes, and anything that looks at the
//! frames around one, for a segment does not know its neighbours'.

mod order;
mod scan;
mod split;

use std::fs::File;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

use rayon::ThreadPoolBuilder;

pub use self::split::Split;
use self::split::{obstacle, split, worthwhile};
use super::control::Control;
use super::error::MediaError;
use super::ffi::{Device, StreamParams};
use super::info::{MediaInfo, Rational};
use super::limits::Limits;
use super::plan::Plan;
use super::threads;
use super::transcode::{Feed, Part, Share, Span, Spool, Tally, join, part};

/// What is to be done, and with what.
pub(super) struct Work<'a> {
    pub(super) plan: &'a Plan,
    pub(super) info: &'a MediaInfo,
    /// Opens the input once more: each segment reads for itself.
    pub(super) open: &'a (dyn Fn() -> Result<File, MediaError> + Sync),
    /// Where spools lie.
    pub(super) folder: &'a Path,
    pub(super) device: Option<&'a Device>,
    pub(super) limits: &'a Limits,
    pub(super) control: &'a Control,
}

/// How many segments are to be tried, where one is not better.
pub(super) fn workers(plan: &Plan, info: &MediaInfo, limits: &Limits) -> Option<u32> {
    match limits.split {
        Split::Off | Split::Into(0 | 1) => None,
        Split::Into(workers) => Some(workers),
        Split::Auto => worthwhile(plan, info, plan.encode_engines),
    }
}

/// Runs the plan in segments. Says how many they were.
///
/// # Errors
/// [`MediaError::Unfit`] with the reason where this film cannot be split; any other where a part failed.
pub(super) fn transcode(work: &Work<'_>, workers: u32, output: File) -> Result<(Tally, u32), MediaError> {
    let unfit = |why: &str| MediaError::Unfit(why.to_owned());
    if let Some(why) = obstacle(work.plan, work.info) {
        return Err(unfit(why));
    }
    if workers < 2 {
        return Err(unfit("the GPU has no other seat free"));
    }
    let film = scan::scan(work)?;
    let firsts = split(&film.keys_us(), film.range_us(), workers);
    if firsts.len() < 2 {
        return Err(unfit("too few key frames for segments that are long enough"));
    }
    let spans = film.spans(&firsts).map_err(unfit)?;
    tracing::info!(segments = spans.len(), "split");
    let total_us = work.plan.duration_us(work.info).map_or(0, i64::unsigned_abs);
    work.control.gauge().start(total_us);
    let (pictures, sound) = make(work, &spans, total_us / film.frames().max(1))?;
    if spans
        .iter()
        .any(|span| span.shape.get().is_none() || span.shape.get() != spans[0].shape.get())
    {
        return Err(unfit("pictures change their shape"));
    }
    for (span, (spool, _)) in spans.iter().zip(&pictures) {
        check(span, spool, &pictures[0].0).map_err(unfit)?;
    }
    let sound_errors = sound.as_ref().map_or(0, |(_, tally)| tally.decode_errors.load(Relaxed));
    let spools = pictures.into_iter().map(|(spool, _)| spool).collect();
    let tally = join_all(work, output, spools, sound.map(|(spool, _)| spool))?;
    work.control.gauge().reach(total_us);
    tally.decode_errors.store(sound_errors, Relaxed);
    tally.clamped.fetch_add(film.clamped, Relaxed);
    tally.video_decoded.store(film.frames(), Relaxed);
    // Of a part, what lies around it was not asked for.
    let packets = match work.plan.cut {
        None => film.packets(),
        Some(_) => film.frames(),
    };
    tally.video_packets_in.store(packets, Relaxed);
    Ok((tally, u32::try_from(spans.len()).unwrap_or(u32::MAX)))
}

/// A part that was made.
type Made = (Spool, Tally);

/// All parts at once: the pictures of each segment, and the sound where there is any.
fn make(work: &Work<'_>, spans: &[Span<'_>], step_us: u64) -> Result<(Vec<Made>, Option<Made>), MediaError> {
    let mut shares: Vec<Share<'_>> = spans.iter().map(Share::Pictures).collect();
    if work.plan.audio.is_some() {
        shares.push(Share::Sound);
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(shares.len())
        .thread_name(|index| format!("segment-{index}"))
        .build()
        .map_err(|error| MediaError::Engine {
            doing: "start the threads of the segments",
            what: error.to_string(),
        })?;
    let cores =
        (work.limits.threads_max.unwrap_or_else(threads::cores) / u32::try_from(spans.len()).unwrap_or(1)).max(1);
    // One that fails stops the others, which then say that they were cancelled.
    let control = work.control.part();
    let first_error: Mutex<Option<MediaError>> = Mutex::default();
    let mut made: Vec<Option<Made>> = shares.iter().map(|_| None).collect();
    pool.scope(|scope| {
        for (&share, slot) in shares.iter().zip(&mut made) {
            let (control, first_error) = (&control, &first_error);
            scope.spawn(move |_| match make_one(work, share, cores, step_us, control) {
                Ok(done) => *slot = Some(done),
                Err(error) => {
                    let mut first = first_error.lock().unwrap_or_else(PoisonError::into_inner);
                    first.get_or_insert(error);
                    control.cancel();
                }
            });
        }
    });
    work.control.check()?;
    if let Some(error) = first_error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let mut made: Vec<Made> = made.into_iter().flatten().collect();
    let sound = if made.len() > spans.len() { made.pop() } else { None };
    Ok((made, sound))
}

fn make_one(
    work: &Work<'_>,
    share: Share<'_>,
    cores: u32,
    step_us: u64,
    control: &Control,
) -> Result<Made, MediaError> {
    let job = Part {
        plan: work.plan,
        info: work.info,
        share,
        device: work.device,
        cores,
        limits: work.limits,
        control,
    };
    let pace = match share {
        Share::Pictures(_) => Some((work.control.gauge(), step_us)),
        Share::Sound | Share::All => None,
    };
    part(&job, (work.open)()?, Spool::create(work.folder)?, pace)
}

/// Whether a segment came out as listed, and decodes with the header of the first.
fn check(span: &Span<'_>, spool: &Spool, first: &Spool) -> Result<(), &'static str> {
    let (Some(own), Some(of_first)) = (&spool.params, &first.params) else {
        return Err("a segment gave nothing");
    };
    if spool.pts.len() != span.times.len() {
        return Err("a segment has another number of frames than its source");
    }
    if !spool.begins_with_key {
        return Err("a segment does not begin with a key frame");
    }
    if own.extradata() != of_first.extradata() || own.time_base != of_first.time_base {
        return Err("the headers of the segments differ");
    }
    Ok(())
}

fn join_all(work: &Work<'_>, output: File, spools: Vec<Spool>, sound: Option<Spool>) -> Result<Tally, MediaError> {
    let base = spools.first().map_or(Rational::MICROS, Spool::time_base);
    let reserved = spools.iter().map(|spool| spool.reserved).max().unwrap_or(0);
    let shown: Vec<&[i64]> = spools.iter().map(|spool| spool.pts.as_slice()).collect();
    let decoded = order::decoding_times(&shown, reserved).map_err(|why| MediaError::Unfit(why.to_owned()))?;
    // Bytes and frames were counted when they were made.
    let control = work.control.part();
    join((work.plan, work.info), output, work.limits, &control, |feed| {
        send(work.plan, spools, &decoded, base, sound, feed)
    })
}

/// Video in order, and before each packet the sound that belongs there.
fn send(
    plan: &Plan,
    spools: Vec<Spool>,
    decoded: &[i64],
    base: Rational,
    sound: Option<Spool>,
    feed: &Feed,
) -> Result<(), MediaError> {
    let (Some((video, _)), audio) = (&plan.video, plan.audio.as_ref().map_or(0, |(index, _)| *index)) else {
        return Ok(());
    };
    let has_sound = sound.as_ref().is_some_and(|spool| spool.params.is_some());
    let mut spools = spools.into_iter().peekable();
    if let Some(params) = spools.peek_mut().and_then(|spool| spool.params.take()) {
        feed.ready(*video, params);
    }
    let mut sound = match sound {
        Some(mut spool) if has_sound => {
            let (sound_base, params) = (spool.time_base(), spool.params.take());
            Some(Sound::begin(spool, sound_base, params, audio, feed)?)
        }
        // The muxer waits for every stream, or for its end.
        Some(_) => {
            feed.end(audio);
            None
        }
        None => None,
    };
    let mut times = decoded.iter();
    for spool in spools {
        let mut packets = spool.read()?;
        while let Some(mut packet) = packets.next()? {
            let dts = times.next().copied();
            if let (Some(sound), Some(dts)) = (&mut sound, dts)
                && !sound.send_until(base.rescale(dts, Rational::MICROS), feed)?
            {
                return Ok(());
            }
            packet.set_times(packet.pts(), dts);
            if !feed.packet(*video, packet) {
                return Ok(());
            }
        }
    }
    feed.end(*video);
    if let Some(mut sound) = sound {
        sound.send_until(i64::MAX, feed)?;
        feed.end(audio);
    }
    Ok(())
}

/// The sound on its way into the muxer.
struct Sound {
    packets: super::transcode::Packets,
    next: Option<super::ffi::Packet>,
    base: Rational,
    index: usize,
}

impl Sound {
    fn begin(
        spool: Spool,
        base: Rational,
        params: Option<StreamParams>,
        index: usize,
        feed: &Feed,
    ) -> Result<Self, MediaError> {
        if let Some(params) = params {
            feed.ready(index, params);
        }
        let mut packets = spool.read()?;
        Ok(Self {
            next: packets.next()?,
            packets,
            base,
            index,
        })
    }

    /// Whether there is still a muxer.
    fn send_until(&mut self, until_us: i64, feed: &Feed) -> Result<bool, MediaError> {
        while let Some(packet) = self.next.take() {
            let time = packet.dts().or(packet.pts()).unwrap_or(0);
            if self.base.rescale(time, Rational::MICROS) > until_us {
                self.next = Some(packet);
                break;
            }
            if !feed.packet(self.index, packet) {
                return Ok(false);
            }
            self.next = self.packets.next()?;
        }
        Ok(true)
    }
}
