//! Updates that are asked for: long polls, each with the offset that acknowledges what is on disk.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::api::Api;
use super::errors::CallError;
use super::pulse::Patience;
use super::{ALLOWED_UPDATES, BACK_OFF, LOGGED_OUT, Lanes, Rival, insist, numbered, rest_of, take};
use crate::metrics::{Organ, moved};
use crate::store::{InboxUpdate, Store};

const POLL_S: u64 = 25;

/// Takes updates until `shutdown`. The offset moves only past what is on disk.
pub(super) async fn listen<S: Store>(
    api: &Api,
    store: &S,
    lanes: &mut Lanes<S>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    leave_webhook(api, shutdown).await?;
    let (mut offset, mut patience) = (0, Patience::default());
    while !shutdown.is_cancelled() {
        moved(Organ::Poller);
        let body = json!({
            "offset": offset,
            "timeout": POLL_S,
            "allowed_updates": ALLOWED_UPDATES,
        });
        let polled = tokio::select! {
            polled = api.call("getUpdates", &body, POLL_S + 10) => polled,
            () = shutdown.cancelled() => return Ok(()),
        };
        let updates = match polled {
            Ok(Value::Array(updates)) => updates,
            Ok(_) => continue,
            Err(error) if error.is_webhook_set() => return Err(Rival::SetWebhook.into()),
            Err(CallError::Refused { code: 409, .. }) => return Err(Rival::Polls.into()),
            Err(CallError::Refused { code: 401, .. }) => anyhow::bail!("Telegram no longer knows this token"),
            Err(error) if error.is_logged_out() => anyhow::bail!(LOGGED_OUT),
            Err(error) => {
                let (rest, is_told) = patience.failed(Instant::now());
                if is_told {
                    tracing::warn!(?error, "no updates; it is tried on, and told every 10 minutes");
                }
                if !rested(rest_of(&error, rest), shutdown).await {
                    return Ok(());
                }
                continue;
            }
        };
        if let Some(silent) = patience.succeeded(Instant::now()) {
            tracing::info!(silent_s = silent.as_secs(), "updates come again");
        }
        let updates: Vec<InboxUpdate> = updates.iter().filter_map(numbered).collect();
        let Some(last) = updates.iter().map(|update| update.update_id).max() else {
            continue;
        };
        match take(store, lanes, updates).await {
            Ok(()) => offset = last + 1,
            Err(_) => tokio::time::sleep(BACK_OFF).await,
        }
    }
    Ok(())
}

/// Whether the rest is over, and not cut short by `shutdown`.
async fn rested(rest: Duration, shutdown: &CancellationToken) -> bool {
    tokio::select! {
        () = tokio::time::sleep(rest) => true,
        () = shutdown.cancelled() => false,
    }
}

/// Removes a webhook that is set: as long as it is, updates cannot be asked for. What waits at the platform stays.
async fn leave_webhook(api: &Api, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let Some(info) = insist(api, "getWebhookInfo", &json!({}), shutdown, |words| words).await? else {
        return Ok(());
    };
    if info["url"].as_str().is_none_or(str::is_empty) {
        return Ok(());
    }
    let body = json!({ "drop_pending_updates": false });
    let left = insist(api, "deleteWebhook", &body, shutdown, |words| words).await?;
    if left.is_some() {
        let pending = info["pending_update_count"].as_u64().unwrap_or_default();
        tracing::info!(pending, "a webhook was set; it is removed, for this bot polls");
    }
    Ok(())
}
