//! `kadr engine` and `kadr nursery`: the processes of `--isolation process`, and how `kadr serve` comes to them. Nobody
//! calls them by hand: they talk to a socket on stdin.

use std::fmt::{self, Write};
use std::sync::Arc;

use anyhow::{Context, Result};
use tracing::field::{Field, Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::{Exit, logs};
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
