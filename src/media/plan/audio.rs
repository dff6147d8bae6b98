//! Which sound, and whether it is copied. Pure.

use super::{AudioWay, Draft};
use crate::media::error::Refusal;
use crate::media::info::{Audio, Kind, MediaInfo};
use crate::media::preset::{AudioCodec, AudioTerms, Preset};
use crate::media::recipe::Recipe;

/// The track that was asked for; else the default one, the one in the person's language, the one with most channels,
/// the first.
pub(super) fn choose<'a>(info: &'a MediaInfo, recipe: &Recipe) -> Result<Option<(usize, &'a Audio)>, Refusal> {
    let tracks = info.streams.iter().filter_map(|stream| match &stream.kind {
        Kind::Audio(audio) => Some((stream, audio)),
        _ => None,
    });
    if let Some(number) = recipe.audio_track {
        let usable = tracks
            .clone()
            .nth(number.saturating_sub(1) as usize)
            .filter(|(stream, audio)| stream.decodable && audio.sample_rate > 0 && audio.channels > 0);
        return match usable {
            Some((stream, audio)) => Ok(Some((stream.index, audio))),
            None => Err(Refusal::NoStream {
                wanted: format!("usable audio track {number} (of {})", tracks.count()),
            }),
        };
    }
    let language = recipe.language.map(|language| language.to_string());
    Ok(tracks
        .filter(|(stream, audio)| stream.decodable && audio.sample_rate > 0 && audio.channels > 0)
        .max_by_key(|(stream, audio)| {
            let wanted = language.is_some() && stream.language == language;
            (stream.default, wanted, audio.channels, std::cmp::Reverse(stream.index))
        })
        .map(|(stream, audio)| (stream.index, audio)))
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
