//! How stages are put together: each takes what the one before it made and hands on what it makes, to a queue or to the
//! next stage itself. A queue costs changes of threads and a place for what lies in it; it pays where both sides have
//! work enough for a core of their own.

use std::time::Duration;

use super::queue::{Received, Receiver, Sender};
use super::{Halt, Job, Stage};

const LOOK_AT_CONTROL: Duration = Duration::from_millis(100);

/// A stage, or the queue to the thread that it runs on.
pub(super) trait Next<T> {
    fn take(&mut self, item: T) -> Stage;

    /// Nothing follows. Not called where the line was stopped.
    fn end(&mut self) -> Stage;
}

/// The queue ends where its sender is dropped.
impl<T> Next<T> for Sender<T> {
    fn take(&mut self, item: T) -> Stage {
        self.send(item).map_err(|_| Halt::Hungup)
    }

    fn end(&mut self) -> Stage {
        Ok(())
    }
}

/// Feeds a stage from a queue to its end.
pub(super) fn drive<T>(job: &Job<'_>, from: &Receiver<T>, mut stage: impl Next<T>) -> Stage {
    while let Some(item) = receive(job, from)? {
        stage.take(item)?;
    }
    stage.end()
}

/// Receives with an eye on the control; `None` when the sender is gone.
pub(super) fn receive<T>(job: &Job<'_>, from: &Receiver<T>) -> Result<Option<T>, Halt> {
    loop {
        job.control.check()?;
        match from.receive(LOOK_AT_CONTROL) {
            Received::Item(item) => return Ok(Some(item)),
            Received::Ended => return Ok(None),
            Received::Nothing => {}
        }
    }
}
