//! Filtered frames -> packets. The encoder is opened from the first frame: only it knows the real format.

use super::decoding::Decoding;
use super::queue::Sender;
use super::stage::Next;
use super::{Filtered, Halt, Job, Stage, ToMux, engine};
use crate::media::device::{audio_encoder, open, software_encoder};
use crate::media::error::MediaError;
use crate::media::ffi::{AudioTarget, AvError, Encoder, VideoTarget};
use crate::media::info::Rational;
use crate::media::plan::{Alpha, AudioWay, Rate, VideoEncode};
use crate::media::preset::VideoCodec;

/// Full scale is 1, and players cut what is above it. Damaged sound decodes to millions, over which libavcodec's AAC encoder
/// searches for ever.
const LOUDEST: f32 = 4.0;

/// Pictures that x264 may have decided on before its frame threads come to them. Of its own accord it takes as many as there are
/// B-frames and one, and then the threads stand idle while it decides on the next: of both cores' time over 55 s at 720p 3.6 % were
/// idle so, and 2.5 % since. Each costs the memory of a picture; what more and fewer gave stands in `docs/bench.md`.
const DECIDED_AHEAD: u32 = 12;

/// The encoder of a stream, once its first frame has come.
pub(super) struct Encode<'a> {
    job: &'a Job<'a>,
    /// The stream of the input.
    index: usize,
    way: Way<'a>,
    opened: Option<Opened>,
    to: Sender<ToMux>,
}

enum Way<'a> {
    Picture(&'a VideoEncode),
    Sound(AudioTarget),
}

/// An encoder at work.
struct Opened {
    encoder: Encoder,
    base: Rational,
    /// How long a packet lasts that does not say it.
    step: i64,
    /// Where the encoder's own decoding times are of no use.
    decoding: Option<Decoding>,
    /// Whether there was a packet.
    gave: bool,
}

impl<'a> Encode<'a> {
    /// `None` where the plan encodes no picture.
    pub(super) fn picture(job: &'a Job<'_>, index: usize, to: Sender<ToMux>) -> Option<Self> {
        job.plan
            .encode()
            .map(|way| Self::new(job, index, Way::Picture(way), to))
    }

    /// `None` where the plan encodes no sound.
    pub(super) fn sound(job: &'a Job<'_>, index: usize, to: Sender<ToMux>) -> Option<Self> {
        let Some((
            _,
            AudioWay::Encode {
                codec, bit_rate_bps, ..
            },
        )) = &job.plan.audio
        else {
            return None;
        };
        let target = AudioTarget {
            codec: audio_encoder(*codec),
            bit_rate_bps: *bit_rate_bps,
        };
        Some(Self::new(job, index, Way::Sound(target), to))
    }

    fn new(job: &'a Job<'a>, index: usize, way: Way<'a>, to: Sender<ToMux>) -> Self {
        Self {
            job,
            index,
            way,
            opened: None,
            to,
        }
    }

    fn open(&self, Filtered { frame, time_base }: &Filtered) -> Result<Opened, Halt> {
        let (mut encoder, frame_rate, step) = match &self.way {
            Way::Picture(way) => {
                let encoder = if self.job.plan.rung.encodes_on_gpu() {
                    open::encoder(way, frame, *time_base).map_err(engine("open NVENC"))?
                } else {
                    let target = video_target(self.job, way)?;
                    Encoder::open_video(&target, frame, *time_base, way.picture.colour.full_range)
                        .map_err(engine("open the video encoder"))?
                };
                let frame_duration = Rational {
                    num: way.frame_rate.den,
                    den: way.frame_rate.num.max(1),
                };
                let step = frame_duration.rescale(1, *time_base).max(1);
                (encoder, Some(way.frame_rate), step)
            }
            Way::Sound(target) => {
                let mut encoder = Encoder::open_audio(target, &frame.shape(), *time_base)
                    .map_err(engine("open the audio encoder"))?;
                let step = i64::from(encoder.frame_samples());
                (encoder, None, step)
            }
        };
        let mut params = encoder
            .params(*time_base)
            .map_err(engine("read the encoder's parameters"))?;
        if let Some(rate) = frame_rate {
            params.frame_rate = rate;
        }
        self.to
            .send_urgent(ToMux::Ready(self.index, params))
            .map_err(|_| Halt::Hungup)?;
        let by_nvenc = frame_rate.is_some() && self.job.plan.rung.encodes_on_gpu();
        let decoding = by_nvenc.then(|| Decoding::new(encoder.reorder_max(), step));
        Ok(Opened {
            encoder,
            base: *time_base,
            step,
            decoding,
            gave: false,
        })
    }
}

impl Next<Filtered> for Encode<'_> {
    fn take(&mut self, mut filtered: Filtered) -> Stage {
        filtered.frame.forget_picture_type();
        filtered.frame.tame_samples(LOUDEST).map_err(engine("encode"))?;
        let opened = match &mut self.opened {
            Some(opened) => opened,
            None => {
                if matches!(self.way, Way::Picture(_)) {
                    self.job.control.encoder_began();
                }
                let opened = self.open(&filtered)?;
                self.opened.insert(opened)
            }
        };
        let Filtered { mut frame, time_base } = filtered;
        if time_base != opened.base {
            frame.set_pts(frame.pts().map(|pts| time_base.rescale(pts, opened.base)));
        }
        if let (Some(decoding), Some(pts)) = (&mut opened.decoding, frame.pts()) {
            decoding.sent(pts);
        }
        opened.encoder.send(Some(&frame)).map_err(engine("encode"))?;
        forward(opened, self.index, &self.to)?;
        if opened.gave && matches!(self.way, Way::Picture(_)) {
            self.job.control.encoder_gave();
        }
        Ok(())
    }

    fn end(&mut self) -> Stage {
        if matches!(self.way, Way::Picture(_)) {
            self.job.control.encoder_fed();
        }
        if let Some(opened) = &mut self.opened {
            opened.encoder.send(None).map_err(engine("end the encoder"))?;
            forward(opened, self.index, &self.to)?;
        }
        if matches!(self.way, Way::Picture(_)) {
            self.job.control.encoder_ended();
        }
        self.to.send_urgent(ToMux::End(self.index)).map_err(|_| Halt::Hungup)
    }
}

fn forward(opened: &mut Opened, index: usize, to: &Sender<ToMux>) -> Stage {
    loop {
        match opened.encoder.receive() {
            Ok(mut packet) => {
                // Older x264 wrappers say no duration, and the last frame would last no time at all.
                packet.default_duration(opened.step);
                if let Some(decoding) = &mut opened.decoding {
                    packet.set_times(packet.pts(), decoding.next());
                }
                let packet = ToMux::Packet(index, packet);
                let first = !std::mem::replace(&mut opened.gave, true);
                let sent = if first { to.send_urgent(packet) } else { to.send(packet) };
                sent.map_err(|_| Halt::Hungup)?;
            }
            Err(AvError::AGAIN | AvError::EOF) => return Ok(()),
            Err(error) => return Err(Halt::Failed(engine("encode")(error))),
        }
    }
}

fn video_target(job: &Job<'_>, way: &VideoEncode) -> Result<VideoTarget, MediaError> {
    let colour = way.picture.colour;
    let mut options = options(way);
    let two_passes = way.codec == VideoCodec::H264;
    let pass = job.pass.filter(|_| two_passes);
    if let Some(of) = pass {
        let path = of.statistics.to_str().ok_or_else(|| MediaError::Engine {
            doing: "place the encoder's statistics",
            what: "the path of the output folder is not UTF-8".to_owned(),
        })?;
        options.push(("stats", path.to_owned()));
    }
    Ok(VideoTarget {
        codec: software_encoder(way.codec),
        options,
        bit_rate_bps: match way.rate {
            Rate::Bits { bps } => Some(bps),
            Rate::Quality { .. } => None,
        },
        pass: pass.map(|of| of.pass),
        frame_rate: way.frame_rate,
        gop: way.gop,
        threads: job.threads.encoder,
        matrix: colour.matrix,
        transfer: colour.transfer,
        primaries: colour.primaries,
    })
}

/// The options of each encoder, in its own words.
pub(in crate::media) fn options(way: &VideoEncode) -> Vec<(&'static str, String)> {
    let mut options: Vec<(&'static str, String)> = match way.codec {
        VideoCodec::H264 => vec![
            ("preset", way.speed.to_owned()),
            ("profile", "high".to_owned()),
            ("x264-params", format!("sync-lookahead={DECIDED_AHEAD}")),
        ],
        // x265 writes to stderr by itself unless it is told not to.
        VideoCodec::Hevc => vec![
            ("preset", way.speed.to_owned()),
            ("x265-params", "log-level=none:open-gop=0".to_owned()),
        ],
        VideoCodec::Av1 => vec![("preset", way.speed.to_owned())],
        VideoCodec::Vp9 => vec![
            ("deadline", way.speed.to_owned()),
            ("cpu-used", "3".to_owned()),
            ("row-mt", "1".to_owned()),
        ],
    };
    if way.codec == VideoCodec::Vp9 && way.picture.alpha == Alpha::Kept {
        // libvpx has no hidden reference frames beside an alpha plane.
        options.push(("auto-alt-ref", "0".to_owned()));
    }
    if let Rate::Quality { crf } = way.rate {
        options.push(("crf", crf.to_string()));
    }
    options
}

#[cfg(test)]
mod tests {
    use super::options;
    use crate::media::device::prove::plain;
    use crate::media::device::{nvenc, software_encoder};
    use crate::media::ffi;
    use crate::media::plan::{Rate, VideoEncode};
    use crate::media::preset::VideoCodec;

    const CODECS: [VideoCodec; 4] = [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1, VideoCodec::Vp9];

    fn way(codec: VideoCodec, rate: Rate, speed: &'static str) -> VideoEncode {
        VideoEncode {
            rate,
            speed,
            ..plain(codec)
        }
    }

    fn refused(encoder: &str, options: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
        options
            .into_iter()
            .filter(|(option, value)| !ffi::takes_option(encoder, option, value))
            .collect()
    }

    #[test]
    fn every_option_stands_in_the_own_table_of_its_encoder_on_the_cpu() {
        let mut tried = 0;
        for codec in CODECS
            .into_iter()
            .filter(|&codec| ffi::has_encoder(software_encoder(codec)))
        {
            let speed = match codec {
                VideoCodec::Av1 => "9",
                VideoCodec::Vp9 => "good",
                VideoCodec::H264 | VideoCodec::Hevc => "veryfast",
            };
            let options = options(&way(codec, Rate::Quality { crf: 21 }, speed));
            assert_eq!(refused(software_encoder(codec), options), []);
            tried += 1;
        }
        assert!(tried > 0);
    }

    #[test]
    fn every_option_stands_in_the_own_table_of_its_encoder_on_the_gpu() {
        for codec in CODECS {
            let Some(encoder) = nvenc::encoder(codec).filter(|name| ffi::has_encoder(name)) else {
                continue;
            };
            for rate in [Rate::Quality { crf: 24 }, Rate::Bits { bps: 1_000_000 }] {
                for speed in ["p4", "p5", "p7"] {
                    let sets = nvenc::option_sets(&way(codec, rate, speed));
                    for options in sets {
                        assert_eq!(refused(encoder, options), [], "{encoder}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_option_that_nobody_knows_is_refused() {
        assert!(!ffi::takes_option("mjpeg", "no-such-option", "1"));
        assert!(!ffi::takes_option("mjpeg", "qmin", "much"));
        assert!(!ffi::takes_option("no-such-encoder", "qmin", "2"));
    }
}
