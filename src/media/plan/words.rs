//! A plan in words: for the log, for `kadr probe` and for the warnings of the report.

use std::fmt;

use super::{AudioWay, Draft, Plan, Rate, Rung, VideoWay};
use crate::media::info::Kind;
use crate::media::preset::{AudioCodec, Container, VideoCodec};
use crate::media::recipe::Trim;
use crate::media::report::Warning;

pub(super) fn codec_name(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H264 => "H.264",
        VideoCodec::Hevc => "HEVC",
        VideoCodec::Av1 => "AV1",
        VideoCodec::Vp9 => "VP9",
    }
}

pub(super) fn audio_codec_name(codec: AudioCodec) -> &'static str {
    match codec {
        AudioCodec::Aac => "AAC-LC",
        AudioCodec::Opus => "Opus",
    }
}

/// What the user should know of any output of this plan.
pub(super) fn warnings(draft: &Draft<'_>, video: Option<&(usize, VideoWay)>, audio_kept: bool) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let contract = &draft.contract;
    let count = |wanted: fn(&Kind) -> bool| draft.info.streams.iter().filter(|one| wanted(&one.kind)).count();
    let mut dropped = |kind: &str, count: usize, kept: bool| {
        let count = u32::try_from(count).unwrap_or(u32::MAX).saturating_sub(u32::from(kept));
        if count > 0 {
            warnings.push(Warning::Dropped {
                kind: kind.to_owned(),
                count,
            });
        }
    };
    if contract.video.is_some() && video.is_some() {
        dropped("video", count(|kind| matches!(kind, Kind::Video(_))), true);
    }
    if contract.audio.is_some() && !draft.recipe.mute {
        dropped("audio", count(|kind| matches!(kind, Kind::Audio(_))), audio_kept);
    }
    if contract.container == Container::Mp4 && contract.audio.is_some() {
        dropped("subtitle", count(|kind| matches!(kind, Kind::Subtitle)), false);
    }
    if let Some((_, VideoWay::Encode(encode))) = video
        && encode.picture.source.is_hdr()
    {
        warnings.push(Warning::ToneMapped);
    }
    if let (Some(Trim { to_us: Some(to_us), .. }), None) = (draft.cut, draft.recipe.trim)
        && draft.info.duration_us.is_none_or(|duration_us| duration_us > to_us)
    {
        warnings.push(Warning::Cut {
            kept_s: to_us.unsigned_abs() / 1_000_000,
        });
    }
    warnings
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reasons.join("; "))?;
        if let Some(encode) = self.encode() {
            let picture = &encode.picture;
            if self.contract.container == Container::Jpeg {
                return Ok(());
            }
            write!(
                f,
                "; to {} {}x{}",
                codec_name(encode.codec),
                picture.width,
                picture.height
            )?;
            match encode.rate {
                Rate::Quality { crf } if self.rung.encodes_on_gpu() => write!(f, " cq {crf}")?,
                Rate::Quality { crf } => write!(f, " crf {crf}")?,
                Rate::Bits { bps } => write!(f, " at {} kbit/s", bps / 1000)?,
            }
            let numbered = encode.codec == VideoCodec::Av1 && !self.rung.encodes_on_gpu();
            let preset = if numbered { "preset " } else { "" };
            write!(f, " {preset}{} on {}", encode.speed, self.rung)?;
            if let Rung::Upload { .. } = self.rung {
                write!(f, ", decoded on the CPU")?;
            }
            if picture.to_bt709 {
                write!(f, ", mapped to BT.709")?;
            }
            if picture.deinterlace {
                write!(f, ", deinterlaced where flagged")?;
            }
            if let Some(fps) = picture.fps_max {
                write!(f, ", at most {fps} fps")?;
            }
        }
        if let Some((
            _,
            AudioWay::Encode {
                codec,
                sample_rate,
                channels,
                bit_rate_bps,
            },
        )) = &self.audio
        {
            write!(
                f,
                "; sound to {} {} kbit/s, {sample_rate} Hz, {}",
                audio_codec_name(*codec),
                bit_rate_bps / 1000,
                if *channels == 1 { "mono" } else { "stereo" }
            )?;
        }
        if let Some(cut) = self.cut {
            #[expect(clippy::cast_precision_loss, reason = "shown with two decimals")]
            let seconds = |us: i64| us as f64 / 1e6;
            write!(f, "; from {:.2} s", seconds(cut.from_us))?;
            if let Some(to_us) = cut.to_us {
                write!(f, " to {:.2} s", seconds(to_us))?;
            }
        }
        Ok(())
    }
}
