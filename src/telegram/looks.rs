//! What a file is and what each button would do, on the card that asks about it: at once where it is remembered, else once
//! somebody looked.

use std::time::Duration;

use serde_json::json;

use super::cards::{Card, Dialogue, Item};
use super::delivery::TelegramCourier;
use super::dialogue::Talk;
use super::errors::{CallError, classify};
use super::text::{self, decimal, say, tell};
use super::{info, keyboard};
use crate::courier::CourierError;
use crate::job::{Lang, Origin, Outlook, Question, Reason, Seen, Source};
use crate::media::forecast::Forecast;
use crate::media::report::Action;
use crate::media::{ENGINE_VERSION, Refusal};
use crate::store::{Store, StoreError};

/// How often it is asked whether a chat takes a message.
const FREE_POLL: Duration = Duration::from_millis(50);
/// Tries of the edit, and how long one may take: a press waits for it.
const TRIES_MAX: u32 = 3;
const EDIT_S: u64 = 5;

impl<S: Store> Talk<'_, S> {
    /// What is remembered of the only file of a card.
    pub(super) async fn seen(&self, items: &[Item]) -> Option<Seen> {
        let [item] = items else { return None };
        let store = &self.desk.store;
        store
            .seen(&item.source.file_unique_id, ENGINE_VERSION)
            .await
            .unwrap_or_default()
    }

    /// Wants a look at the only file of a new card. Without one the card says what the platform says, and works as well.
    pub(super) async fn want_look(&self, card: &Card) {
        let [item] = card.items.as_slice() else { return };
        if item
            .source
            .size_bytes
            .is_none_or(|size| size > self.desk.look_bytes_max)
        {
            return;
        }
        let question = Question {
            origin: Origin {
                chat: self.sender.chat,
                user: self.sender.user,
                message: item.message,
                group: self.sender.group,
                lang: self.lang,
            },
            card: card.card,
            source: item.source.clone(),
            wishes: keyboard::offered(),
        };
        if let Err(error) = self.desk.store.want_look(question).await {
            tracing::warn!(%error, "no look at a file");
        }
    }
}

impl<S: Store> TelegramCourier<S> {
    /// A look was taken: the card says so, if it is still there. Nobody presses while it is changed; what the platform
    /// makes us wait for, no press has to wait for.
    pub(super) async fn edit_card(
        &self,
        question: &Question,
        seen: Result<Seen, Refusal>,
    ) -> Result<bool, CourierError> {
        let mut tries = 1;
        loop {
            while !self.api.is_free(question.origin.chat.0) {
                tokio::time::sleep(FREE_POLL).await;
            }
            let error = match self.edit_card_once(question, &seen).await? {
                Ok(was_open) => return Ok(was_open),
                Err(error) => error,
            };
            match error.wait() {
                Some(wait) if tries < TRIES_MAX => tokio::time::sleep(wait).await,
                _ => return Err(classify(error)),
            }
            tries += 1;
        }
    }

    async fn edit_card_once(
        &self,
        question: &Question,
        seen: &Result<Seen, Refusal>,
    ) -> Result<Result<bool, CallError>, CourierError> {
        let Origin { chat, user, lang, .. } = question.origin;
        let _turn = self.turns.take(chat).await;
        let failed = |error: StoreError| CourierError::Transient {
            after_s: None,
            what: error.to_string(),
        };
        let state = self.store.dialogue(chat, user).await.map_err(failed)?;
        let dialogue: Dialogue = state
            .and_then(|state| serde_json::from_str(&state).ok())
            .unwrap_or_default();
        let waiting = dialogue.waiting();
        let mut cards = dialogue.cards();
        let is_it = |card: &Card| card.card == question.card && card.items.len() == 1 && !card.refused;
        let Some(place) = cards.iter().position(is_it) else {
            return Ok(Ok(false));
        };
        let (words, keys) = match seen {
            Ok(seen) => {
                let more = cards[place].more;
                let words = words(lang, &question.source, seen, more);
                (words, Some(keyboard::choices(lang, more)))
            }
            Err(why) => (text::reason(lang, &Reason::Refused { why: why.clone() }), None),
        };
        let mut body = keyboard::message_body(chat.0, &words, keys);
        body["message_id"] = json!(question.card.0);
        match self.api.call("editMessageText", &body, EDIT_S).await {
            Err(error) if !error.is_not_modified() && !error.is_message_gone() => return Ok(Err(error)),
            _ => {}
        }
        if seen.is_err() {
            // It has no buttons any more.
            cards.remove(place);
            let state = Dialogue::with(waiting, cards).as_text();
            self.store.set_dialogue(chat, user, state).await.map_err(failed)?;
        }
        Ok(Ok(true))
    }
}

/// What a card says of a file that was looked at; `more` for the buttons behind "more".
#[must_use]
pub fn words(lang: Lang, source: &Source, seen: &Seen, more: bool) -> String {
    let mut lines = vec![info::summary(lang, source, &seen.look)];
    for wish in keyboard::shown(more) {
        let outlook = seen.outlooks.iter().find(|(of, _)| *of == wish);
        if let Some((_, outlook)) = outlook {
            lines.push(tell(
                lang,
                "outlook",
                &[
                    ("button", text::wish(lang, wish).into()),
                    ("what", what(lang, outlook).into()),
                ],
            ));
        }
    }
    lines.push(say(lang, "choose"));
    lines.join("\n")
}

fn what(lang: Lang, outlook: &Outlook) -> String {
    let Forecast { video, audio, about_s } = match outlook {
        Outlook::Makes(forecast) => *forecast,
        Outlook::Refuses(Refusal::NoStream { wanted }) => {
            return tell(lang, "outlook-no-stream", &[("wanted", wanted.clone().into())]);
        }
        Outlook::Refuses(_) => return say(lang, "outlook-impossible"),
    };
    let key = match (video, audio) {
        (Action::Encode, Action::Encode | Action::None) | (Action::None, Action::Encode) => "outlook-encoded",
        (Action::Encode, Action::Copy) => "outlook-picture",
        (Action::Copy, Action::Encode) => "outlook-sound",
        (Action::Copy | Action::None, Action::Copy | Action::None) => "outlook-copied",
    };
    tell(lang, key, &[("time", about(lang, about_s).into())])
}

/// A time as people guess it: `1 s`, `15 s`, `4 min`, `1.5 h`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most days")]
fn about(lang: Lang, seconds: f64) -> String {
    let seconds = seconds.clamp(1.0, 360_000.0);
    let (key, value) = if seconds < 9.5 {
        ("about-s", decimal(lang, seconds.round()))
    } else if seconds < 57.5 {
        ("about-s", (((seconds / 5.0).round() * 5.0) as u64).to_string())
    } else if seconds < 3570.0 {
        ("about-min", ((seconds / 60.0).round().max(1.0) as u64).to_string())
    } else {
        ("about-h", decimal(lang, seconds / 3600.0))
    };
    tell(lang, key, &[("value", value.into())])
}
