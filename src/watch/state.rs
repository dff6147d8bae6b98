//! What the page shows.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Shared, Watched, health};
use crate::courier::Notice;
use crate::job::{JobId, Status};
use crate::store::{Host, Store};

/// Jobs of the queue that are listed.
const LISTED_MAX: u32 = 20;
/// As often as the page asks.
const SHARE_EVERY: Duration = Duration::from_secs(2);

pub(super) async fn state<S: Store>(State(watched): State<Shared<S>>) -> Result<Json<Value>, (StatusCode, String)> {
    match read(&watched).await {
        Ok(state) => Ok(Json(state)),
        Err(error) => Err((StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
    }
}

async fn read<S: Store>(watched: &Watched<S>) -> crate::store::Result<Value> {
    let totals = watched.store.totals().await?;
    let queue = watched.store.queue(LISTED_MAX).await?;
    let waiting: Vec<Value> = queue
        .iter()
        .filter_map(|entry| {
            let place = entry.position?;
            let request = &entry.job.request;
            Some(json!({
                "place": place,
                "job": entry.job.id.0,
                "wish": request.wish.to_string(),
                "bytes": request.source.size_bytes,
                "attempt": entry.job.attempt,
            }))
        })
        .collect();
    let hosts = watched.store.hosts().await?;
    // What this process knows comes before what others wrote, and that before what the database knows: the phase.
    let told = hosts
        .iter()
        .map(|host| serde_json::from_str(&host.stand).unwrap_or_default());
    let told: Vec<Value> = std::iter::once(stands(watched)).chain(told).flatten().collect();
    let running: Vec<Value> = queue
        .iter()
        .filter(|entry| entry.job.status == Status::Running)
        .map(|entry| {
            let job = entry.job.id.0;
            let known = told.iter().find(|stand| stand["job"] == job).cloned();
            known.unwrap_or_else(|| json!({ "job": job, "phase": entry.job.phase, "share": null, "elapsed_s": null }))
        })
        .collect();
    let day = watched.store.day().await?;
    let (alive, ready) = (health::alive(watched).await, health::ready(watched).await);
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "alive": alive.to_string(),
        "ready": ready.to_string(),
        "slots": hosts.iter().map(|host| host.slots).sum::<u32>(),
        "hosts": hosts.iter().map(host).collect::<Vec<Value>>(),
        "queued": totals.queued,
        "next_waits_s": totals.next_waits_s,
        "day": {
            "succeeded": totals.succeeded,
            "failed": totals.failed,
            "canceled": totals.canceled,
            "users": totals.users,
        },
        "disk_free_bytes": watched.workdir.free_bytes().ok(),
        "running": running,
        "waiting": waiting,
        "hours": day.hours,
        "failures": day.failures,
    }))
}

/// How far the jobs of this process are.
fn stands<S>(watched: &Watched<S>) -> Vec<Value> {
    let running = (watched.running)();
    running
        .iter()
        .map(|(job, notice)| stand(*job, notice.as_ref()))
        .collect()
}

/// Writes how far the jobs of this process are into a database that others read, until it is dropped.
pub(super) async fn share<S: Store>(watched: &Watched<S>) -> Infallible {
    let mut written = String::new();
    loop {
        tokio::time::sleep(SHARE_EVERY).await;
        let stand = Value::from(stands(watched)).to_string();
        if stand == written {
            continue;
        }
        match watched.store.show_stand(stand.clone()).await {
            Ok(()) => written = stand,
            Err(error) => tracing::debug!(%error, "how far jobs are was not written"),
        }
    }
}

fn host(host: &Host) -> Value {
    json!({
        "name": host.name,
        "role": host.role,
        "version": host.version,
        "device": host.device,
        "slots": host.slots,
        "running": host.running,
        "age_s": host.age_s,
    })
}

/// A running job: what it is at, and how much of that is done, 0 to 1.
fn stand(job: JobId, notice: Option<&Notice>) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    let moved = |done: u64, total: u64| (total > 0).then(|| (done as f64 / total as f64).min(1.0));
    let (phase, share, elapsed_s) = match notice {
        Some(Notice::Fetching {
            done_bytes,
            total_bytes,
        }) => ("fetch", moved(*done_bytes, *total_bytes), None),
        Some(Notice::Converting { progress, elapsed_s }) => ("convert", progress.fraction(), Some(*elapsed_s)),
        Some(Notice::Sending {
            done_bytes,
            total_bytes,
        }) => ("deliver", moved(*done_bytes, *total_bytes), None),
        _ => ("between phases", None, None),
    };
    json!({ "job": job.0, "phase": phase, "share": share, "elapsed_s": elapsed_s })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::stand;
    use crate::courier::Notice;
    use crate::job::JobId;

    #[test]
    fn a_share_is_known_where_the_whole_is() {
        let sending = |total_bytes| Notice::Sending {
            done_bytes: 30,
            total_bytes,
        };
        let half = stand(JobId(7), Some(&sending(60)));
        assert_eq!(
            half,
            json!({ "job": 7, "phase": "deliver", "share": 0.5, "elapsed_s": null })
        );
        assert_eq!(stand(JobId(7), Some(&sending(0)))["share"], json!(null));
        assert_eq!(stand(JobId(7), None)["phase"], json!("between phases"));
    }
}
