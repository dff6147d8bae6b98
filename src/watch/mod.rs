//! The door for who watches the process: is it alive, does it take work, what did it do.
//!
//! ```text
//! GET /healthz      200 while poller, lanes and database move, else 503 and which does not       for a supervisor that restarts
//! GET /readyz       200 while new work is taken, else 503 and why not                            for who sends work, and people
//! GET /metrics      counters of this process and gauges of the store, for Prometheus             behind the token
//! GET /             a page for people, which asks for /state.json every two seconds              behind the token
//! ```
//!
//! The token stands in `Authorization: Bearer` or, for a browser, after `?token=`. Without one only this machine is listened
//! to (`config`). Health and readiness need none: probes have no place for it, and they tell nothing of anybody.
//! Absent: names, ids of chats and people, captions; and any way to change something.

mod gpus;
mod health;
mod state;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use prometheus::{Gauge, Opts, Registry};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use self::health::Health;
use crate::courier::Notice;
use crate::job::JobId;
use crate::media;
use crate::metrics::{Organ, metrics};
use crate::store::{Store, Totals};
use crate::workdir::Workdir;

const PAGE: &str = include_str!("page.html");
/// Of Prometheus' text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is watched.
pub struct Watched<S> {
    /// Where jobs are kept.
    pub store: S,
    /// Where files in work lie.
    pub workdir: Workdir,
    /// Below so much free space no source is fetched, bytes.
    pub disk_free_bytes_min: u64,
    /// Conversions at once.
    pub slots: usize,
    /// What of this process moves all the time while it is well.
    pub organs: Vec<Organ>,
    /// The running jobs, each with where it stands.
    pub running: Arc<dyn Fn() -> Vec<(JobId, Option<Notice>)> + Send + Sync>,
    /// Whether the platform answers nobody.
    pub is_away: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Raised once the process is asked to stop.
    pub shutdown: CancellationToken,
    /// Asked for by the page and the metrics.
    pub token: Option<String>,
}

impl<S> std::fmt::Debug for Watched<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched")
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

type Shared<S> = Arc<Watched<S>>;

/// Answers on a listener, or nowhere, until it is dropped.
///
/// # Errors
/// Where the listener cannot be used.
pub async fn serve<S: Store>(listener: Option<std::net::TcpListener>, watched: Arc<Watched<S>>) -> std::io::Result<()> {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    axum::serve(listener, routes(watched)).await
}

/// Tells those who watch another process of the same database how far the jobs of this one are.
pub async fn share<S: Store>(watched: &Watched<S>) -> std::convert::Infallible {
    state::share(watched).await
}

/// What of poller, lanes and database does not move; `None` where all do.
pub async fn fault<S: Store>(watched: &Watched<S>) -> Option<String> {
    let health = health::alive(watched).await;
    (!health.is_well()).then(|| health.to_string())
}

/// Listens; to be called before walls stand, which let nothing listen.
///
/// # Errors
/// Where the address is taken or is none of this machine's.
pub fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    std::net::TcpListener::bind(address)
}

fn routes<S: Store>(watched: Shared<S>) -> Router {
    let guarded = Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/state.json", get(state::state::<S>))
        .route("/metrics", get(text::<S>))
        .layer(from_fn_with_state(Arc::clone(&watched), guard::<S>));
    Router::new()
        .route("/healthz", get(alive::<S>))
        .route("/readyz", get(ready::<S>))
        .merge(guarded)
        .with_state(watched)
}

#[derive(serde::Deserialize)]
struct Asked {
    token: Option<String>,
}

/// Lets nobody through who does not know the token.
async fn guard<S: Store>(
    State(watched): State<Shared<S>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let Some(token) = &watched.token else {
        return next.run(request).await;
    };
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = bearer
        .and_then(|value| value.strip_prefix("Bearer "))
        .or(asked.token.as_deref());
    // Of digests: the time that comparing takes tells nothing of the token.
    if given.is_some_and(|given| Sha256::digest(given) == Sha256::digest(token)) {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, "the token is missing or wrong\n").into_response()
}

fn told(what: &Health) -> Response {
    let status = if what.is_well() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, format!("{what}\n")).into_response()
}

async fn alive<S: Store>(State(watched): State<Shared<S>>) -> Response {
    told(&health::alive(&watched).await)
}

async fn ready<S: Store>(State(watched): State<Shared<S>>) -> Response {
    told(&health::ready(&watched).await)
}

async fn text<S: Store>(State(watched): State<Shared<S>>) -> Response {
    let totals = match watched.store.totals().await {
        Ok(totals) => totals,
        Err(error) => return (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    };
    match gauges(&watched, &totals).and_then(|gauges| metrics().text(&gauges)) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// How things stand at this moment.
#[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
fn gauges<S>(watched: &Watched<S>, totals: &Totals) -> prometheus::Result<Registry> {
    let registry = Registry::new();
    let gauge = |name: &str, help: &str, value: f64| {
        let gauge = Gauge::with_opts(Opts::new(name, help))?;
        gauge.set(value);
        registry.register(Box::new(gauge))
    };
    gauge("kadr_queued_jobs", "Jobs that wait.", totals.queued as f64)?;
    gauge("kadr_running_jobs", "Jobs that run.", totals.running as f64)?;
    gauge(
        "kadr_next_wait_seconds",
        "How long the job has waited that is next in line.",
        totals.next_waits_s as f64,
    )?;
    gauge(
        "kadr_slots",
        "Conversions that this process may run at once.",
        watched.slots as f64,
    )?;
    gauge(
        "kadr_quarantined_files",
        "Files that are refused because they crashed the process.",
        totals.quarantined as f64,
    )?;
    gauge(
        "kadr_users_today",
        "People who asked for something today (UTC).",
        totals.users as f64,
    )?;
    gauge(
        "kadr_draining",
        "1 while an operator lets no further job start.",
        f64::from(u8::from(totals.draining)),
    )?;
    gauge(
        "kadr_platform_away",
        "1 while the Bot API answers nobody.",
        f64::from(u8::from((watched.is_away)())),
    )?;
    if let Ok(free) = watched.workdir.free_bytes() {
        gauge(
            "kadr_disk_free_bytes",
            "Free space where files in work lie.",
            free as f64,
        )?;
    }
    let memory = media::usage::resident_bytes();
    gauge("kadr_resident_memory_bytes", "Memory of this process.", memory as f64)?;
    fallbacks(&registry)?;
    gpus::gauges(&registry)?;
    let about = Opts::new("kadr_build_info", "1; its labels say what runs.")
        .const_label("version", env!("CARGO_PKG_VERSION"))
        .const_label("ffmpeg", media::device::installed::Ffmpeg::look().release);
    let about = Gauge::with_opts(about)?;
    about.set(1.0);
    registry.register(Box::new(about))?;
    Ok(registry)
}

/// The engine counts these itself.
fn fallbacks(registry: &Registry) -> prometheus::Result<()> {
    let options = Opts::new(
        "kadr_fallbacks_total",
        "Conversions that a device failed, begun again on the next one, by what failed and why.",
    );
    let family = prometheus::IntCounterVec::new(options, &["rung", "cause"])?;
    for ((rung, cause), count) in media::device::fallbacks() {
        family.with_label_values(&[&rung, &cause]).inc_by(count);
    }
    registry.register(Box::new(family))
}
