//! Packets -> frames. One bad picture must not cost the rest of the film: errors are counted, not raised.

use std::sync::atomic::Ordering::Relaxed;

use super::stage::Next;
use super::{Halt, Job, Stage, engine};
use crate::media::error::MediaError;
use crate::media::ffi::{AvError, Decoder, Frame, FrameShape, Packet, StreamParams};

/// The decoder of a stream, and where its frames go.
pub(super) struct Decode<'a, N> {
    job: &'a Job<'a>,
    video: bool,
    on_gpu: bool,
    /// Or why nothing of the stream decodes.
    decoder: Result<Decoder, AvError>,
    next: N,
}

impl<'a, N: Next<Frame>> Decode<'a, N> {
    pub(super) fn open(job: &'a Job<'_>, params: &StreamParams, video: bool, next: N) -> Result<Self, MediaError> {
        let alpha = video && job.plan.encode().is_some_and(|encode| encode.picture.alpha_side_stream);
        let threads = if video { job.threads.decoder } else { 1 };
        let device = job.device_if(video && job.plan.rung.decodes_on_gpu());
        let decoder = match device {
            Some(device) => {
                Ok(Decoder::open_on(device, params, job.limits).map_err(engine("open the decoder on the GPU"))?)
            }
            None => match Decoder::open(params, job.limits, threads, alpha) {
                // Its tables stand in the headers, and those are damaged: a stream of which nothing decodes.
                Err(error) if error != AvError::NO_MEMORY => Err(error),
                opened => Ok(opened.map_err(engine("open the decoder"))?),
            },
        };
        Ok(Self {
            job,
            video,
            on_gpu: device.is_some(),
            decoder,
            next,
        })
    }

    /// Hands on what the decoder has ready.
    fn forward(&mut self) -> Stage {
        let tally = self.job.tally;
        let Ok(decoder) = &mut self.decoder else { return Ok(()) };
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
                    self.next.take(frame)?;
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

impl<N: Next<Frame>> Next<Packet> for Decode<'_, N> {
    fn take(&mut self, packet: Packet) -> Stage {
        loop {
            let sent = match &mut self.decoder {
                Ok(decoder) => decoder.send(Some(&packet)),
                Err(error) => Err(*error),
            };
            match sent {
                Ok(()) => break,
                Err(AvError::AGAIN) => self.forward()?,
                Err(error) => {
                    self.fault(error)?;
                    break;
                }
            }
        }
        self.forward()
    }

    fn end(&mut self) -> Stage {
        // A decoder that refuses to flush has nothing left to give.
        if self.decoder.as_mut().is_ok_and(|decoder| decoder.send(None).is_ok()) {
            self.forward()?;
        }
        self.next.end()
    }
}

fn pixels_of(shape: &FrameShape) -> u64 {
    let side = |side| u64::try_from(side).unwrap_or(0);
    side(shape.width) * side(shape.height)
}
