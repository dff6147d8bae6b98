//! The engine's process: reads its work, is walled in, works, and answers.
//!
//! One thread until the walls stand, so that they are around all others.

use std::fs::{self, File};
use std::io;
use std::io::{BufReader, Write};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getpid, kill_process, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::{Envelope, Failure, Line, fault, line_of, read_line};
use crate::media::confine::{self, Confine, Openings};
use crate::media::control::{Control, Progress};
use crate::media::error::MediaError;
use crate::media::ffi;

/// How often progress is said, and how often before the first packet is written.
const SAY_EVERY: Duration = Duration::from_millis(200);
const SAY_FIRST: Duration = Duration::from_millis(5);
/// Address space without a GPU, bytes: far more than any conversion maps (threads and allocator reserve by the core), against
/// one that takes all there is.
const SPACE_BYTES: u64 = 8 << 30;
const SPACE_BYTES_A_CORE: u64 = 1 << 30;
/// The kernel's choice among processes when memory is out: this one, not the bot (-1000 to 1000).
const OUT_OF_MEMORY_SCORE: &str = "500";

/// The way to the bot: whole lines. Clones share it.
#[derive(Clone, Debug)]
pub struct Voice(Arc<Mutex<File>>);

impl Voice {
    fn say(&self, line: &impl Serialize) -> io::Result<()> {
        let line = line_of(line)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)
    }

    /// A line for the bot's log, `level` as tracing names it. One that cannot be said is lost.
    pub fn log(&self, level: &str, text: String) {
        let level = level.to_owned();
        let _ = self.say(&Line::<()>::Log { level, text });
    }
}

/// The life of an engine: `begin` gets its voice before there are walls, `work` what the bot wants done.
///
/// # Errors
/// Where the bot cannot be understood or is gone; what goes wrong with the work is its answer.
pub fn engine<W: DeserializeOwned, A: Serialize>(
    begin: impl FnOnce(Voice),
    work: impl FnOnce(W, &Control) -> Result<A, MediaError>,
) -> io::Result<()> {
    ffi::ignore_stops();
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let voice = Voice(Arc::new(Mutex::new(File::from(
        io::stdout().as_fd().try_clone_to_owned()?,
    ))));
    // The bot says one line: what is read ahead is nobody else's. Where it is gone already there is none.
    let line = read_line(&mut BufReader::new(io::stdin().lock()))?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let envelope: Envelope<W> = serde_json::from_slice(&line)?;
    begin(voice.clone());
    let answer = match close(&envelope) {
        Ok(()) => attempt(envelope.work, envelope.limit, &voice, work),
        Err(error) => Err(error),
    };
    voice.say(&match answer {
        Ok(answer) => Line::Answer(answer),
        Err(error) => Line::Failure(Failure::from(error)),
    })
}

/// Puts everything around this process that there is.
fn close<W>(envelope: &Envelope<W>) -> Result<(), MediaError> {
    // Both without effect on what this process may do: where the kernel refuses, it goes on.
    let _ = fs::write("/proc/self/oom_score_adj", OUT_OF_MEMORY_SCORE);
    if let Some(folder) = &envelope.folder {
        let _ = tempfile::env::override_temp_dir(folder);
    }
    let limit = |resource, bytes| {
        setrlimit(
            resource,
            Rlimit {
                current: Some(bytes),
                maximum: Some(bytes),
            },
        )
    };
    let limited = limit(Resource::Core, 0)
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable))
        .and_then(|()| {
            // CUDA reserves address space without measure.
            if envelope.gpu {
                return Ok(());
            }
            limit(Resource::As, SPACE_BYTES + SPACE_BYTES_A_CORE * cores())
        });
    limited.map_err(|error| fault(format!("limit the process: {error}")))?;
    if envelope.confine == Confine::Off {
        return Ok(());
    }
    let walls = confine::engine(Openings {
        file: Some(&envelope.source),
        folder: envelope.folder.as_deref(),
        gpu: envelope.gpu,
    });
    match walls.lacking() {
        Some(lacking) if envelope.confine == Confine::Require => Err(fault(format!("open: {lacking}"))),
        lacking => {
            let (closed, open) = (walls.standing(), lacking.unwrap_or_else(|| "nothing".to_owned()));
            tracing::debug!(closed, open, "the process is confined");
            Ok(())
        }
    }
}

fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

/// Works, and says meanwhile how far it is.
fn attempt<W, A>(
    order: W,
    limit: Duration,
    voice: &Voice,
    work: impl FnOnce(W, &Control) -> Result<A, MediaError>,
) -> Result<A, MediaError> {
    let control = Control::new(Some(limit));
    std::thread::scope(|scope| {
        let (over, at_end) = channel::<()>();
        let (watched, said) = (&control, voice.clone());
        scope.spawn(move || report(watched, &said, &at_end));
        let answer = catch_unwind(AssertUnwindSafe(|| work(order, &control)));
        drop(over);
        answer.unwrap_or_else(|_| Err(fault("it panicked")))
    })
}

fn report(control: &Control, voice: &Voice, at_end: &Receiver<()>) {
    let mut last = Progress::default();
    loop {
        let pause = if last.out_bytes > 0 { SAY_EVERY } else { SAY_FIRST };
        if at_end.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        let now = control.gauge().read();
        if now == last {
            continue;
        }
        last = now;
        if voice.say(&Line::<()>::Progress(now)).is_err() {
            // The bot is gone, and nobody wants the result.
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }
}
