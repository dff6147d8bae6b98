//! Logs of the service: everything in `bot.log`, errors in `error.log`, both on stderr too. Panics are among them; tokens
//! are not.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Context, Result};
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, filter::LevelFilter, fmt};

use super::secrets::{Hiding, watch_panics};
use crate::config::LogFormat;

/// Writers that must live as long as there is something to log.
#[derive(Debug)]
pub(super) struct Guards(
    #[expect(dead_code, reason = "held for their Drop, which flushes")]
    Vec<tracing_appender::non_blocking::WorkerGuard>,
);

/// What is logged, by `KADR_LOG`.
pub(super) fn filter() -> EnvFilter {
    EnvFilter::try_from_env("KADR_LOG").unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"))
}

/// Starts logging into a folder.
pub(super) fn start(folder: &Path, format: LogFormat) -> Result<Guards> {
    std::fs::create_dir_all(folder).with_context(|| format!("make the log folder `{}`", folder.display()))?;
    let (all, all_guard) = tracing_appender::non_blocking(tracing_appender::rolling::never(folder, "bot.log"));
    let (errors, errors_guard) = tracing_appender::non_blocking(tracing_appender::rolling::never(folder, "error.log"));
    // The plain ones first: a span's fields are formatted once, by the first layer, and colours are none of a file's.
    tracing_subscriber::registry()
        .with(written(format, Hiding(all), false).with_filter(filter()))
        .with(written(format, Hiding(errors), false).with_filter(LevelFilter::ERROR))
        .with(written(format, Hiding(std::io::stderr), true).with_filter(filter()))
        .try_init()
        .context("start the log")?;
    watch_panics();
    Ok(Guards(vec![all_guard, errors_guard]))
}

/// A layer that writes there; stderr may be a terminal.
fn written<S, W>(format: LogFormat, writer: W, stderr: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = fmt::layer()
        .with_writer(writer)
        .with_ansi(stderr && std::io::stderr().is_terminal())
        // It would complain on stderr, and panic where that is what cannot be written.
        .log_internal_errors(!stderr)
        .with_target(!stderr || format == LogFormat::Json);
    match format {
        LogFormat::Text => layer.boxed(),
        // The job is the one span that there is.
        LogFormat::Json => layer.json().flatten_event(true).with_span_list(false).boxed(),
    }
}
