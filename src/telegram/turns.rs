//! Who may change a chat's questions: one at a time, a handler or a look that was taken meanwhile. Without it a late look
//! could write over what a press made of the card.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::job::ChatId;

/// Chats that are remembered; those that nobody waits for are forgotten first.
const CHATS_MAX: usize = 1_000;

/// A lock for each chat.
#[derive(Debug, Default)]
pub struct Turns(Mutex<HashMap<ChatId, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits for the turn in a chat, and keeps it until the guard goes.
    pub(super) async fn take(&self, chat: ChatId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut chats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if chats.len() >= CHATS_MAX {
                chats.retain(|_, lock| Arc::strong_count(lock) > 1);
            }
            Arc::clone(chats.entry(chat).or_default())
        };
        lock.lock_owned().await
    }
}
