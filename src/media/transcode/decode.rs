//! Packets -> frames. One bad picture must not cost the rest of the film: errors are counted, not raised.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender};

use super::{Halt, Job, Stage, engine, receive};
use crate::media::error::MediaError;
use crate::media::ffi::{AvError, Decoder, Frame, FrameShape, Packet, StreamParams};

pub(super) fn decode(
    job: &Job<'_>,
    params: &StreamParams,
    video: bool,
    from: &Receiver<Packet>,
    to: &SyncSender<Frame>,
) -> Stage {
    let alpha = video && job.plan.encode().is_some_and(|encode| encode.picture.alpha_side_stream);
    let threads = if video { job.threads } else { 1 };
    let device = job.device_if(video && job.plan.rung.decodes_on_gpu());
    let line = Line {
        job,
        video,
        on_gpu: device.is_some(),
        to,
    };
    let opened = match device {
        Some(device) => Decoder::open_on(device, params, job.limits).map_err(engine("open the decoder on the GPU")),
        None => match Decoder::open(params, job.limits, threads, alpha) {
            // Its tables stand in the headers, and those are damaged: a stream of which nothing decodes.
            Err(error) if error != AvError::NO_MEMORY => return line.skip(from, error),
            opened => opened.map_err(engine("open the decoder")),
        },
    };
    let mut decoder = opened?;
    while let Some(packet) = receive(job, from)? {
        loop {
            match decoder.send(Some(&packet)) {
                Ok(()) => break,
                Err(AvError::AGAIN) => line.forward(&mut decoder)?,
                Err(error) => {
                    line.fault(error)?;
                    break;
                }
            }
        }
        line.forward(&mut decoder)?;
    }
    // A decoder that refuses to flush has nothing left to give.
    if decoder.send(None).is_ok() {
        line.forward(&mut decoder)?;
    }
    Ok(())
}

/// Where frames go, and what a fault means.
struct Line<'a> {
    job: &'a Job<'a>,
    video: bool,
    on_gpu: bool,
    to: &'a SyncSender<Frame>,
}

impl Line<'_> {
    /// Takes the whole stream and gives nothing.
    fn skip(&self, from: &Receiver<Packet>, error: AvError) -> Stage {
        while receive(self.job, from)?.is_some() {
            self.fault(error)?;
        }
        Ok(())
    }

    fn forward(&self, decoder: &mut Decoder) -> Stage {
        let tally = self.job.tally;
        loop {
            match decoder.receive() {
                Ok(frame) => {
                    if self.on_gpu && frame.shape().pool.is_none() {
                        return Err(Halt::Failed(MediaError::Engine {
                            doing: "decode on the GPU",
                            what: "NVDEC refused the stream".to_owned(),
                        }));
                    }
                    if self.video {
                        self.job.budget.picture(self.job, pixels_of(&frame.shape()))?;
                        tally.video_decoded.fetch_add(1, Relaxed);
                        tally.decode_errors.fetch_add(u64::from(frame.is_corrupt()), Relaxed);
                    }
                    self.to.send(frame).map_err(|_| Halt::Hungup)?;
                }
                Err(AvError::AGAIN | AvError::EOF) => return Ok(()),
                Err(error) => return self.fault(error),
            }
        }
    }

    /// On a GPU nobody knows whether the source or the device is at fault, so the next way finds out: going on in mid-film
    /// would lose pictures.
    fn fault(&self, error: AvError) -> Stage {
        self.job.tally.decode_errors.fetch_add(1, Relaxed);
        if self.on_gpu {
            return Err(Halt::Failed(engine("decode on the GPU")(error)));
        }
        Ok(())
    }
}

fn pixels_of(shape: &FrameShape) -> u64 {
    let side = |side| u64::try_from(side).unwrap_or(0);
    side(shape.width) * side(shape.height)
}
