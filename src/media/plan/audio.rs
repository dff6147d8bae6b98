//! Which sound, and whether it is copied. Pure.

use super::{AudioWay, Draft};
use crate::media::error::Refusal;
use crate::media::info::{Audio, Kind, MediaInfo, choose_audio};
use crate::media::preset::{AudioCodec, AudioTerms, Preset};
use crate::media::recipe::Recipe;

/// The track that was asked for, else the one that is chosen for this language.
pub(super) fn choose<'a>(info: &'a MediaInfo, recipe: &Recipe) -> Result<Option<(usize, &'a Audio)>, Refusal> {
    let index = match recipe.audio_track {
        None => {
            let language = recipe.language.map(|language| language.to_string());
            choose_audio(&info.streams, language.as_deref())
        }
        Some(number) => {
            let tracks = info
                .streams
                .iter()
                .filter(|stream| matches!(stream.kind, Kind::Audio(_)));
            let usable = tracks
                .clone()
                .nth(number.saturating_sub(1) as usize)
                .filter(|stream| stream.usable_audio().is_some());
            let Some(stream) = usable else {
                return Err(Refusal::NoStream {
                    wanted: format!("usable audio track {number} (of {})", tracks.count()),
                });
            };
            Some(stream.index)
        }
    };
    Ok(index.and_then(|index| Some((index, info.streams.get(index)?.usable_audio()?))))
}

/// Copied where it keeps the contract already, else encoded.
pub(super) fn way(draft: &Draft<'_>, audio: &Audio, with_video: bool, reasons: &mut Vec<String>) -> AudioWay {
    let Some(terms) = draft.contract.audio else {
        return AudioWay::Copy;
    };
    match why_not_copied(draft, audio, terms, with_video) {
        None => {
            reasons.push(format!("audio copied: {} {} Hz", audio.title(), audio.sample_rate));
            AudioWay::Copy
        }
        Some(obstacle) => {
            reasons.push(format!("audio encoded: {obstacle}"));
            encode(audio, terms)
        }
    }
}

fn why_not_copied(draft: &Draft<'_>, audio: &Audio, terms: AudioTerms, with_video: bool) -> Option<String> {
    let fits = match terms.codec {
        // A rate of half the usual may hide HE-AAC, whose second half is signalled in the stream alone.
        AudioCodec::Aac => audio.codec == "aac" && audio.profile == "LC",
        AudioCodec::Opus => audio.codec == "opus",
    };
    if !fits && terms.codec == AudioCodec::Opus {
        Some(format!("a voice message is Opus, this is {}", audio.title()))
    } else if !fits {
        Some(format!("{} does not play everywhere", audio.title()))
    } else if audio.channels > terms.channels_max {
        Some(format!(
            "{} channels are more than {}",
            audio.channels, terms.channels_max
        ))
    } else if terms.codec == AudioCodec::Aac && !(8_000..=48_000).contains(&audio.sample_rate) {
        Some(format!("{} Hz is not within 8000 to 48000 Hz", audio.sample_rate))
    } else if draft.recipe.preset == Preset::Small
        && audio.bit_rate_bps > 2 * terms.channel_bps * u64::from(audio.channels)
    {
        Some(format!(
            "{} kbit/s are much for a smaller file",
            audio.bit_rate_bps / 1000
        ))
    } else if draft.cut.is_some() {
        Some("a part was asked for".to_owned())
    } else if draft
        .contract
        .size_bytes_max
        .is_some_and(|limit| draft.info.size_bytes > limit)
        && with_video
    {
        Some("it has to share the size that was asked for".to_owned())
    } else {
        None
    }
}

fn encode(audio: &Audio, terms: AudioTerms) -> AudioWay {
    let channels = audio.channels.clamp(1, terms.channels_max);
    let sample_rate = match (terms.codec, audio.sample_rate) {
        (AudioCodec::Aac, 44_100 | 22_050 | 11_025 | 88_200 | 176_400) => 44_100,
        _ => 48_000,
    };
    AudioWay::Encode {
        codec: terms.codec,
        sample_rate,
        channels,
        bit_rate_bps: terms.channel_bps * u64::from(channels),
    }
}
