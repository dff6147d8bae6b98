//! Questions: what shall become of a file, or of several that came together. Each is a card with buttons; which are open is
//! the dialogue, kept in the store.
//!
//! Files come together as an album, which the platform says, or in a row within a second, as when somebody forwards some.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::dialogue::{Handled, HandlerError, Talk};
use super::wish::Reading;
use super::{keyboard, looks, text};
use crate::job::{BATCH_MAX, MessageId, Seen, Source, Wish};
use crate::store::Store;

/// Cards of one person that may wait for a choice.
const CARDS_MAX: usize = 10;
/// From one file to the next in a row: forwarded ones bear the same second, or the next.
const ROW_S: i64 = 1;

/// Where a conversation stands; kept in the store.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum Dialogue {
    /// Nothing is open.
    #[default]
    Idle,
    /// It was chosen what to make, the file is to come.
    WaitingForVideo {
        wish: Wish,
        /// Files that came before and still wait for a choice.
        #[serde(default)]
        cards: Vec<Card>,
    },
    /// Files came, their presets are to be chosen.
    Choosing { cards: Vec<Card> },
}

impl Dialogue {
    pub(super) fn cards(self) -> Vec<Card> {
        match self {
            Self::Idle => Vec::new(),
            Self::WaitingForVideo { cards, .. } | Self::Choosing { cards } => cards,
        }
    }

    /// As it is kept; nothing is kept of nothing.
    pub(super) fn as_text(&self) -> Option<String> {
        match self {
            Self::Idle => None,
            state => serde_json::to_string(state).ok(),
        }
    }

    /// What was chosen for the file to come.
    pub(super) fn waiting(&self) -> Option<Wish> {
        match self {
            Self::WaitingForVideo { wish, .. } => Some(*wish),
            Self::Idle | Self::Choosing { .. } => None,
        }
    }

    /// The same choice for the file to come, with these cards.
    pub(super) fn with(waiting: Option<Wish>, cards: Vec<Card>) -> Self {
        match waiting {
            Some(wish) => Self::WaitingForVideo { wish, cards },
            None if cards.is_empty() => Self::Idle,
            None => Self::Choosing { cards },
        }
    }
}

/// A question about files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Card {
    pub(super) card: MessageId,
    /// In the order in which they came; at least one.
    pub(super) items: Vec<Item>,
    /// What they came as.
    pub(super) came: Came,
    /// Whether the buttons behind "more" are shown.
    #[serde(default)]
    pub(super) more: bool,
    /// Whether it says why some words could not be followed.
    #[serde(default)]
    pub(super) refused: bool,
}

/// A file that waits for a choice.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Item {
    pub(super) message: MessageId,
    pub(super) source: Source,
    /// The update that asked: a second delivery of it asks no second time.
    pub(super) update_id: i64,
}

/// How files came, which says what may join them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Came {
    /// Asked for by its own: nothing joins.
    Alone,
    /// As an album of this name.
    Album(String),
    /// In a row, the last of them at this time: Unix seconds.
    Row(i64),
}

impl Came {
    /// Whether a file that came like this belongs to those.
    fn takes(&self, next: &Self) -> bool {
        match (self, next) {
            (Self::Album(ours), Self::Album(theirs)) => ours == theirs,
            (Self::Row(last_s), Self::Row(next_s)) => (0..=ROW_S).contains(&(next_s - last_s)),
            _ => false,
        }
    }
}

impl Card {
    /// The name of its batch; `None` where there is one file only.
    pub(super) fn batch_key(&self) -> Option<String> {
        let first = self.items.first().filter(|_| self.items.len() > 1)?;
        Some(match &self.came {
            Came::Album(name) => name.clone(),
            // Albums have numbers for names.
            Came::Alone | Came::Row(_) => format!("u{}", first.update_id),
        })
    }
}

impl<S: Store> Talk<'_, S> {
    /// A file: what was said with it, what was chosen before, the default of the settings, or a question.
    pub(super) async fn file(&self, source: Source, said: Reading) -> Handled {
        let item = Item {
            message: self.sender.message,
            source,
            update_id: self.update_id,
        };
        let dialogue = self.dialogue().await?;
        // A reader's own words about one file are about that file.
        let came = match (&self.sender.album, &said) {
            (Some(album), _) => Came::Album(album.clone()),
            (None, Reading::Other) if !self.sender.group => self.sender.date_s.map_or(Came::Alone, Came::Row),
            (None, _) => Came::Alone,
        };
        let refused = match said {
            Reading::Wish(wish) => return self.take(item, wish, came, dialogue).await,
            Reading::Wrong { given, fault } => Some(text::fault(self.lang, fault, given)),
            Reading::Other => match self.wanted(&came, &dialogue).await? {
                Some(wish) => return self.take(item, wish, came, dialogue).await,
                None => None,
            },
        };
        self.question(item, came, refused, dialogue).await
    }

    /// What a file without words becomes: what those of its album became, what was chosen before, the default.
    async fn wanted(&self, came: &Came, dialogue: &Dialogue) -> Result<Option<Wish>, HandlerError> {
        let of_album = match came {
            Came::Album(name) => {
                let (chat, user) = (self.sender.chat, self.sender.user);
                self.desk.store.batch_wish(chat, user, name).await?
            }
            Came::Alone | Came::Row(_) => None,
        };
        Ok(of_album.or(dialogue.waiting()).or(self.default_wish()))
    }

    /// Whether others of its album were asked for, or are asked about.
    pub(super) async fn is_of_asked_album(&self, cards: Vec<Card>) -> Result<bool, HandlerError> {
        let Some(name) = &self.sender.album else {
            return Ok(false);
        };
        let came = Came::Album(name.clone());
        let (chat, user) = (self.sender.chat, self.sender.user);
        Ok(cards.iter().any(|card| card.came.takes(&came))
            || self.desk.store.batch_wish(chat, user, name).await?.is_some())
    }

    /// Does it without a question; what of its album is being asked about goes with it.
    async fn take(&self, item: Item, wish: Wish, came: Came, dialogue: Dialogue) -> Handled {
        let waited = dialogue.waiting();
        let mut cards = dialogue.cards();
        let open = cards
            .iter()
            .position(|card| matches!(came, Came::Album(_)) && card.came.takes(&came));
        let key = match &came {
            Came::Album(name) => Some(name.clone()),
            Came::Alone | Came::Row(_) => None,
        };
        let (mut items, message) = match open {
            None => (Vec::new(), None),
            Some(place) => {
                let card = cards.remove(place);
                (card.items, Some(card.card))
            }
        };
        items.push(item);
        let asked = self.ask_all(&items, wish, key).await?;
        // The choice is used up only when the store has the job: a crash in between asks nothing twice.
        if open.is_some() || waited.is_some() && asked.is_accepted() {
            let still = waited.filter(|_| !asked.is_accepted());
            self.set_dialogue(&Dialogue::with(still, cards)).await?;
        }
        self.answer_all(asked, &items, message).await
    }

    /// Asks, on the card of those that it came with or on one of its own.
    async fn question(&self, item: Item, came: Came, refused: Option<String>, dialogue: Dialogue) -> Handled {
        let waiting = dialogue.waiting();
        let mut cards = dialogue.cards();
        let is_this = |other: &Item| other.message == item.message;
        if let Some(place) = cards.iter().position(|card| card.items.iter().any(is_this)) {
            let replayed = |other: &Item| other.message == item.message && other.update_id == item.update_id;
            if cards[place].items.iter().any(replayed) {
                return Ok(());
            }
            // Asked again, it is asked where its reader looks now.
            if cards[place].items.len() == 1 {
                let old = cards.remove(place);
                let body = json!({ "chat_id": self.sender.chat.0, "message_id": old.card.0 });
                if let Err(error) = self.desk.api.call_patiently("deleteMessage", &body).await {
                    tracing::debug!(?error, "an old question stays");
                }
            }
        }
        let takes = |card: &&mut Card| card.came.takes(&came) && card.items.len() < BATCH_MAX as usize;
        if refused.is_none()
            && let Some(card) = cards.iter_mut().find(takes)
        {
            card.items.push(item);
            card.came = came;
            card.more = false;
            let words = self.about_all(&card.items, None);
            if !self
                .edit(card.card, &words, Some(keyboard::choices(self.lang, false)))
                .await?
            {
                card.card = self.ask_about(card.items[0].message, &words).await?;
            }
            return self.set_dialogue(&Dialogue::with(waiting, cards)).await;
        }
        // Words that cannot be followed lose nobody the file: the buttons are under the refusal.
        let items = vec![item];
        let seen = self.seen(&items).await;
        let is_refused = refused.is_some();
        let words = refused.unwrap_or_else(|| self.about_all(&items, seen.as_ref()));
        let card = self.ask_about(items[0].message, &words).await?;
        let card = Card {
            card,
            items,
            came,
            more: false,
            refused: is_refused,
        };
        cards.push(card.clone());
        self.keep_cards(waiting, cards).await?;
        if seen.is_none() && !is_refused {
            self.want_look(&card).await;
        }
        Ok(())
    }

    /// A question about files that are known.
    pub(super) async fn ask_again(&self, items: Vec<Item>, dialogue: Dialogue) -> Handled {
        let waiting = dialogue.waiting();
        let mut cards = dialogue.cards();
        let seen = self.seen(&items).await;
        let words = self.about_all(&items, seen.as_ref());
        cards.push(Card {
            card: self.ask_about(items[0].message, &words).await?,
            items,
            came: Came::Alone,
            more: false,
            refused: false,
        });
        self.keep_cards(waiting, cards).await
    }

    async fn keep_cards(&self, waiting: Option<Wish>, mut cards: Vec<Card>) -> Handled {
        let excess = cards.len().saturating_sub(CARDS_MAX);
        cards.drain(..excess);
        self.set_dialogue(&Dialogue::with(waiting, cards)).await
    }

    async fn ask_about(&self, message: MessageId, words: &str) -> Result<MessageId, HandlerError> {
        self.reply(message, words, Some(keyboard::choices(self.lang, false)))
            .await
    }

    /// What the files are, as far as it is known, and the question.
    fn about_all(&self, items: &[Item], seen: Option<&Seen>) -> String {
        if let [item] = items {
            if let Some(seen) = seen {
                return looks::words(self.lang, &item.source, seen, false);
            }
            return match text::about(self.lang, &item.source) {
                Some(about) => text::tell(self.lang, "choose-about", &[("about", about.into())]),
                None => text::say(self.lang, "choose"),
            };
        }
        let bytes = items.iter().filter_map(|item| item.source.size_bytes).sum();
        text::files(self.lang, items.len(), bytes)
    }

    pub(super) async fn dialogue(&self) -> Result<Dialogue, HandlerError> {
        let state = self.desk.store.dialogue(self.sender.chat, self.sender.user).await?;
        Ok(state
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default())
    }

    pub(super) async fn set_dialogue(&self, dialogue: &Dialogue) -> Handled {
        let (chat, user) = (self.sender.chat, self.sender.user);
        Ok(self.desk.store.set_dialogue(chat, user, dialogue.as_text()).await?)
    }
}
