//! `kadr engine` and `kadr nursery`: the processes of `--isolation process`, and how `kadr serve` comes to them. Nobody
//! calls them by hand: they talk to a socket on stdin.

use std::fmt::{self, Write};
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::{Exit, UsageError, logs};
use crate::media::isolation::{self, Isolation, Nursery, Voice};
use crate::worker;

/// The nursery of a bot that wants one: before its walls, and before its second thread.
pub(super) fn nursery(isolation: Isolation) -> Result<Option<Arc<Nursery>>> {
    match isolation {
        Isolation::Thread => Ok(None),
        Isolation::Process => {
            let nursery = Nursery::start(None).context("start the process that starts engines")?;
            Ok(Some(Arc::new(nursery)))
        }
    }
}

/// Watches over the nursery until `shutdown`. Where it ends before, no file can be read any more, and the walls forbid another
/// one: asks all to stop as a signal would, so that jobs go back to the queue, and leaves the rest to who starts kadr again.
pub(super) async fn orphaned(nursery: Option<&Nursery>, shutdown: &CancellationToken) -> Result<()> {
    let Some(nursery) = nursery else { return Ok(()) };
    let gone = async {
        let mut life = nursery.life().and_then(UnixStream::from_std)?;
        life.read(&mut [0]).await
    };
    tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        gone = gone => tracing::error!(?gone, "the process that starts engines is gone: stopping, jobs go on after the next start"),
    }
    shutdown.cancel();
    Err(UsageError::failed(
        "the process that starts engines is gone, and kadr with it",
        "start kadr again, or have a supervisor do it: nothing is lost",
    )
    .into())
}

pub(super) fn nurse() -> Result<Exit> {
    isolation::nurse().context("start engines")?;
    Ok(Exit::Done)
}

pub(super) fn run() -> Result<Exit> {
    isolation::engine(
        |voice| {
            let told = Told(voice).with_filter(logs::filter());
            // A log that is there already is another's: then nothing is told.
            let _ = tracing_subscriber::registry().with(told).try_init();
        },
        worker::work,
    )
    .context("hear from the bot")?;
    Ok(Exit::Done)
}

/// Events go to the bot, which knows the job and has the files.
struct Told(Voice);

impl<S: tracing::Subscriber> Layer<S> for Told {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let mut words = Words::default();
        event.record(&mut words);
        self.0
            .log(event.metadata().level().as_str(), words.message + &words.fields);
    }
}

#[derive(Default)]
struct Words {
    message: String,
    fields: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // A string takes what is written to it.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
