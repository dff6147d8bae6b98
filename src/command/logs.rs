//! Logs of the service: everything in `bot.log`, errors in `error.log`, both on stderr too. Panics are among them; tokens
//! are not.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Context, Result};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, filter::LevelFilter, fmt};

use super::secrets::{Hiding, watch_panics};

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
pub(super) fn start(folder: &Path) -> Result<Guards> {
    std::fs::create_dir_all(folder).with_context(|| format!("make the log folder `{}`", folder.display()))?;
    let (all, all_guard) = tracing_appender::non_blocking(tracing_appender::rolling::never(folder, "bot.log"));
    let (errors, errors_guard) = tracing_appender::non_blocking(tracing_appender::rolling::never(folder, "error.log"));
    tracing_subscriber::registry()
        // The plain ones first: a span's fields are formatted once, by the first layer, and colours are none of a file's.
        .with(
            fmt::layer()
                .with_ansi(false)
                .with_writer(Hiding(all))
                .with_filter(filter()),
        )
        .with(
            fmt::layer()
                .with_ansi(false)
                .with_writer(Hiding(errors))
                .with_filter(LevelFilter::ERROR),
        )
        .with(
            fmt::layer()
                .with_writer(Hiding(std::io::stderr))
                // It would complain on stderr, and panic where that is what cannot be written.
                .log_internal_errors(false)
                .with_ansi(std::io::stderr().is_terminal())
                .with_target(false)
                .with_filter(filter()),
        )
        .try_init()
        .context("start the log")?;
    watch_panics();
    Ok(Guards(vec![all_guard, errors_guard]))
}
