//! Packets -> frames. One bad picture must not cost the rest of the film: errors are counted, not raised.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender};

use super::{Halt, Job, Stage, engine, receive};
use crate::media::ffi::{AvError, Decoder, Frame, Packet, StreamParams};

pub(super) fn decode(
    job: &Job<'_>,
    params: &StreamParams,
    video: bool,
    from: &Receiver<Packet>,
    to: &SyncSender<Frame>,
) -> Stage {
    let alpha = video && job.plan.encode().is_some_and(|encode| encode.picture.alpha_side_stream);
    let threads = if video { job.threads } else { 1 };
    let mut decoder = Decoder::open(params, job.limits, threads, alpha).map_err(engine("open the decoder"))?;
    while let Some(packet) = receive(job, from)? {
        loop {
            match decoder.send(Some(&packet)) {
                Ok(()) => break,
                Err(AvError::AGAIN) => forward(job, &mut decoder, video, to)?,
                Err(_) => {
                    job.tally.decode_errors.fetch_add(1, Relaxed);
                    break;
                }
            }
        }
        forward(job, &mut decoder, video, to)?;
    }
    // A decoder that refuses to flush has nothing left to give.
    if decoder.send(None).is_ok() {
        forward(job, &mut decoder, video, to)?;
    }
    Ok(())
}

fn forward(job: &Job<'_>, decoder: &mut Decoder, video: bool, to: &SyncSender<Frame>) -> Stage {
    loop {
        match decoder.receive() {
            Ok(frame) => {
                if video {
                    job.tally.video_decoded.fetch_add(1, Relaxed);
                    job.tally
                        .decode_errors
                        .fetch_add(u64::from(frame.is_corrupt()), Relaxed);
                }
                to.send(frame).map_err(|_| Halt::Hungup)?;
            }
            Err(AvError::AGAIN | AvError::EOF) => return Ok(()),
            Err(_) => {
                job.tally.decode_errors.fetch_add(1, Relaxed);
                return Ok(());
            }
        }
    }
}
