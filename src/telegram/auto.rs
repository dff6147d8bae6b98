//! What becomes of every file of a chat without asking: `/auto`, and files in groups that nobody asked anything of.

use serde_json::json;

use super::dialogue::{Handled, HandlerError, Settings, Talk};
use super::intake::Auto;
use super::text;
use super::wish::Reading;
use crate::job::{Source, UserId};
use crate::store::{Store, StoreError};

impl<S: Store> Talk<'_, S> {
    /// A file in a group that nobody asked for: only where the chat wants all of its files converted,
    /// and where this person chose beforehand what the next file becomes.
    pub(super) async fn overheard(&self, source: Source) -> Handled {
        if self.dialogue().await?.waiting().is_some() {
            return self.file(source, Reading::Other).await;
        }
        let settings = self.desk.store.settings(self.of_chat()).await?;
        let settings: Settings = settings
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        let Some(wish) = settings.default else { return Ok(()) };
        let message = self.sender.message;
        let answer = self.ask(source, message, wish).await?;
        self.answer(answer, message, None).await
    }

    /// Decided by the chat's admins, or by the person where there is nobody else.
    pub(super) async fn auto(&self, auto: Auto) -> Handled {
        let default = match auto {
            Auto::Unsaid => return self.say(&text::say(self.lang, "auto-what"), None).await.map(drop),
            Auto::Off => None,
            Auto::Wish(wish) => Some(wish),
        };
        if !self.may_decide().await? {
            return self.say(&text::say(self.lang, "auto-admins"), None).await.map(drop);
        }
        let (whose, settings) = if self.sender.group {
            let language = None;
            (self.of_chat(), Settings { default, language })
        } else {
            let settings = Settings {
                default,
                ..self.settings
            };
            (self.sender.user, settings)
        };
        let text = serde_json::to_string(&settings).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        self.desk.store.set_settings(whose, text).await?;
        let words = match default {
            None => text::say(self.lang, "auto-off"),
            Some(wish) => text::tell(self.lang, "auto-on", &[("preset", text::wish(self.lang, wish).into())]),
        };
        self.say(&words, None).await.map(drop)
    }

    /// Settings of a chat lie beside those of people: groups have numbers below zero.
    fn of_chat(&self) -> UserId {
        UserId(self.sender.chat.0)
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
