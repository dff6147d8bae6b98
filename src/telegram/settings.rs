//! What is set for a person, or by its admins for a group: `/settings`, `/auto`; and files in groups that nobody asked
//! anything of.

use serde_json::json;

use super::cards::Item;
use super::dialogue::{Handled, HandlerError, Settings, Talk, lang_of, number_of};
use super::intake::Auto;
use super::wish::Reading;
use super::{keyboard, text};
use crate::job::{Lang, Source};
use crate::store::{Store, StoreError};

impl<S: Store> Talk<'_, S> {
    /// A file in a group that nobody asked for: only where the chat wants all of its files converted, where this person
    /// chose beforehand what the next file becomes, and where it came with one that was asked for.
    pub(super) async fn overheard(&self, source: Source) -> Handled {
        let dialogue = self.dialogue().await?;
        let is_chosen = dialogue.waiting().is_some() || self.is_of_asked_album(dialogue.cards()).await?;
        if is_chosen {
            return self.file(source, Reading::Other).await;
        }
        let Some(wish) = self.of_chat.auto else { return Ok(()) };
        let items = [Item {
            message: self.sender.message,
            source,
            update_id: self.update_id,
        }];
        let asked = self.ask_all(&items, wish, self.sender.album.clone()).await?;
        self.answer_all(asked, &items, None).await
    }

    /// Decided by the chat's admins, or by the person where there is nobody else.
    pub(super) async fn auto(&self, auto: Auto) -> Handled {
        let wish = match auto {
            Auto::Unsaid => return self.say(&text::say(self.lang, "auto-what"), None).await.map(drop),
            Auto::Wrong { given, fault } => {
                return self.say(&text::fault(self.lang, fault, given), None).await.map(drop);
            }
            Auto::Off => None,
            Auto::Wish(wish) => Some(wish),
        };
        if !self.may_decide().await? {
            return self.say(&text::say(self.lang, "auto-admins"), None).await.map(drop);
        }
        let settings = if self.sender.group {
            Settings {
                auto: wish,
                ..self.of_chat
            }
        } else {
            Settings {
                default: wish,
                ..self.settings
            }
        };
        self.keep(settings).await?;
        let words = match wish {
            None => text::say(self.lang, "auto-off"),
            Some(wish) => text::tell(self.lang, "auto-on", &[("preset", text::wish(self.lang, wish).into())]),
        };
        self.say(&words, None).await.map(drop)
    }

    /// Of the group in a group, of the person elsewhere.
    fn here(&self) -> Settings {
        if self.sender.group { self.of_chat } else { self.settings }
    }

    async fn keep(&self, settings: Settings) -> Handled {
        let whose = if self.sender.group {
            number_of(self.sender.chat)
        } else {
            self.sender.user
        };
        let text = serde_json::to_string(&settings).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        Ok(self.desk.store.set_settings(whose, text).await?)
    }

    pub(super) async fn show_settings(&self) -> Handled {
        self.say(&self.settings_words(), Some(keyboard::settings(self.lang)))
            .await
            .map(drop)
    }

    /// A press on one of the settings: changes what it says, for whom they are shown.
    pub(super) async fn set(&self, query: &str, change: impl FnOnce(Settings) -> Settings) -> Handled {
        if !self.may_decide().await? {
            self.alert(query, "auto-admins").await;
            return Ok(());
        }
        let settings = change(self.here());
        self.keep(settings).await?;
        self.answer_press(query, None).await;
        let (of_chat, own) = if self.sender.group {
            (settings, self.settings)
        } else {
            (self.of_chat, settings)
        };
        let talk = Talk {
            desk: self.desk,
            sender: self.sender.clone(),
            settings: own,
            of_chat,
            lang: lang_of(&self.sender, of_chat, own),
            update_id: self.update_id,
        };
        let words = talk.settings_words();
        talk.edit(self.sender.message, &words, Some(keyboard::settings(talk.lang)))
            .await
            .map(drop)
    }

    fn settings_words(&self) -> String {
        let settings = self.here();
        let default = match settings.default {
            None => text::say(self.lang, "settings-ask"),
            Some(wish) => text::wish(self.lang, wish),
        };
        let language = text::say(
            self.lang,
            match settings.language {
                None => "settings-auto",
                Some(Lang::En) => "settings-en",
                Some(Lang::Ru) => "settings-ru",
            },
        );
        let values = [("default", default.into()), ("language", language.into())];
        if self.sender.group {
            text::tell(self.lang, "settings-chat", &values)
        } else {
            text::tell(self.lang, "settings", &values)
        }
    }

    async fn may_decide(&self) -> Result<bool, HandlerError> {
        if !self.sender.group || self.is_admin() {
            return Ok(true);
        }
        let body = json!({ "chat_id": self.sender.chat.0, "user_id": self.sender.user.0 });
        let member = self.desk.api.call_patiently("getChatMember", &body).await?;
        Ok(matches!(member["status"].as_str(), Some("creator" | "administrator")))
    }
}
