//! `/info`: what a file is, in words. What the platform announced is told as that; what the engine saw, only where it
//! looked: a file that nobody converted yet is not opened for a question.

use super::cards::Item;
use super::dialogue::{Handled, Talk};
use super::text::{self, decimal, say, tell};
use crate::job::{Lang, Source};
use crate::media::Look;
use crate::media::look::{Picture, Sound};
use crate::store::Store;

impl<S: Store> Talk<'_, S> {
    /// Of the file that was answered.
    pub(super) async fn info(&self, source: &Source) -> Handled {
        let look = self.desk.store.look(&source.file_unique_id).await?;
        let words = words(self.lang, source, look.as_ref());
        self.reply(self.sender.message, &words, None).await.map(drop)
    }

    /// Of the newest file that waits for a choice, else of the last one that was asked for here.
    pub(super) async fn info_of_last(&self) -> Handled {
        let card = self.dialogue().await?.cards().pop();
        let (source, message) = match card.and_then(|mut card| card.items.pop()) {
            Some(Item { source, message, .. }) => (source, message),
            None => match self.desk.store.last_job(self.sender.chat, self.sender.user).await? {
                Some(job) => (job.request.source, job.request.origin.message),
                None => return self.say(&say(self.lang, "info-what"), None).await.map(drop),
            },
        };
        let look = self.desk.store.look(&source.file_unique_id).await?;
        let words = words(self.lang, &source, look.as_ref());
        self.reply(message, &words, None).await.map(drop)
    }
}

/// The answer, a fact a line.
#[must_use]
pub fn words(lang: Lang, source: &Source, look: Option<&Look>) -> String {
    let mut lines = Vec::new();
    if let Some(facts) = text::about(lang, source) {
        lines.push(tell(lang, "info-announced", &[("facts", facts.into())]));
    }
    match look {
        None => lines.push(say(lang, "info-unseen")),
        Some(look) => lines.extend(seen(lang, look)),
    }
    lines.join("\n")
}

/// A file in one line: picture, sound, length, size.
pub(super) fn summary(lang: Lang, source: &Source, look: &Look) -> String {
    let mut facts = Vec::new();
    if let Some(picture) = &look.picture {
        facts.push(picture_facts(lang, picture));
    }
    match look.sounds.as_slice() {
        [] => facts.push(say(lang, "info-no-sound")),
        [sound, ..] => facts.push(sound.title.clone()),
    }
    facts.extend(look.duration_s.map(text::clock));
    facts.extend(source.size_bytes.map(|size| text::size(lang, size)));
    facts.join(" · ")
}

fn seen(lang: Lang, look: &Look) -> Vec<String> {
    let Look {
        container,
        duration_s,
        picture,
        sounds,
        subtitles,
    } = look;
    let mut facts = vec![container.clone()];
    facts.extend(duration_s.map(text::clock));
    let mut lines = vec![tell(lang, "info-seen", &[("facts", facts.join(" · ").into())])];
    lines.push(match picture {
        Some(picture) => tell(lang, "info-picture", &[("facts", picture_facts(lang, picture).into())]),
        None => say(lang, "info-no-picture"),
    });
    for (number, sound) in (1_u32..).zip(sounds) {
        let facts = ("facts", sound_facts(lang, sound).into());
        lines.push(tell(
            lang,
            "info-sound",
            &[("number", number.to_string().into()), facts],
        ));
    }
    if sounds.is_empty() {
        lines.push(say(lang, "info-no-sound"));
    }
    if *subtitles > 0 {
        lines.push(tell(lang, "info-subtitles", &[("count", (*subtitles).into())]));
    }
    lines
}

fn picture_facts(lang: Lang, picture: &Picture) -> String {
    let Picture {
        title,
        width,
        height,
        fps,
        bits,
        hdr,
        interlaced,
    } = picture;
    let mut facts = vec![title.clone(), format!("{width}×{height}")];
    if *fps > 0.0 {
        facts.push(tell(lang, "info-fps", &[("value", text::rate(lang, *fps).into())]));
    }
    if *bits > 8 {
        facts.push(tell(lang, "info-bits", &[("count", u32::from(*bits).into())]));
    }
    if *hdr {
        facts.push("HDR".to_owned());
    }
    if *interlaced {
        facts.push(say(lang, "info-interlaced"));
    }
    facts.join(" · ")
}

fn sound_facts(lang: Lang, sound: &Sound) -> String {
    let Sound {
        title,
        channels,
        sample_rate,
        language,
    } = sound;
    let rate = decimal(lang, f64::from(*sample_rate) / 1000.0);
    let mut facts = vec![
        title.clone(),
        tell(lang, "info-channels", &[("count", (*channels).into())]),
        tell(lang, "info-rate", &[("value", rate.into())]),
    ];
    facts.extend(language.clone());
    facts.join(" · ")
}
