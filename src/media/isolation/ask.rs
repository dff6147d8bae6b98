//! The bot's side of one engine: its work goes there, its answer comes back, and it is gone before anyone looks at what it
//! made.

use std::io::ErrorKind::{BrokenPipe, ConnectionReset, Interrupted, TimedOut, WouldBlock};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::nursery::Nursery;
use super::wire::{Envelope, Fate, LINE_BYTES_MAX, Line, fault, line_of, read_line};
use crate::media::confine::Confine;
use crate::media::control::Control;
use crate::media::error::MediaError;

/// How often it is looked whether the work is still wanted: far below the 200 ms within which a cancel kills.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// What an engine gets to end by itself after its answer.
const END_MAX: Duration = Duration::from_millis(500);
/// What the nursery gets to tell of an end.
const FATE_MAX: Duration = Duration::from_secs(10);
/// Work is one line: an engine that does not even read it within this is broken.
const TELL_MAX: Duration = Duration::from_secs(30);
/// What an engine may say in all: five lines a second for four hours are 12 MB.
const BYTES_MAX: usize = 64 << 20;
const LOG_LINES_MAX: u32 = 1_000;
const LOG_CHARS_MAX: usize = 2_000;

/// What a piece of work may touch, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct Errand<'a> {
    /// The stranger's file, to read.
    pub source: &'a Path,
    /// A folder of its own, to write and read; all that lies in it may be lost.
    pub folder: Option<&'a Path>,
    /// It works on a GPU: the driver's files are open to it.
    pub gpu: bool,
    /// Whether it is walled in.
    pub confine: Confine,
    /// Its deadline, as the control of the caller has it.
    pub limit: Duration,
}

impl Nursery {
    /// Has a piece of work done in a process of its own. Blocks until that process is gone: then nothing changes any more
    /// in the errand's folder. Progress comes to the control's gauge; a control that says stop kills within 200 ms.
    ///
    /// # Errors
    /// [`MediaError::Crashed`] where a signal ended it that was not ours; [`MediaError::NotStarted`] where there was no room
    /// for it, [`MediaError::Orphaned`] where the nursery is gone; [`MediaError::Engine`] where it could not be understood;
    /// else what it says, and what [`Control::check`] says meanwhile.
    pub fn ask<W: Serialize, A: DeserializeOwned>(
        &self,
        errand: &Errand<'_>,
        work: &W,
        control: &Control,
    ) -> Result<A, MediaError> {
        let envelope = Envelope {
            source: errand.source.to_owned(),
            folder: errand.folder.map(Path::to_owned),
            gpu: errand.gpu,
            confine: errand.confine,
            limit: errand.limit,
            work,
        };
        let line = line_of(&envelope).map_err(|error| fault(error.to_string()))?;
        let (mut engine, leash) = self.engine().map_err(|error| match error.kind() {
            BrokenPipe | ConnectionReset => MediaError::Orphaned,
            _ => MediaError::NotStarted(error.to_string()),
        })?;
        let told = engine
            .set_write_timeout(Some(TELL_MAX))
            .and_then(|()| engine.set_read_timeout(Some(LOOK_EVERY)))
            .and_then(|()| engine.write_all(&line));
        // Who is gone before it was told is judged by its end.
        let heard = match told {
            Ok(()) => listen(&mut Lines::new(&engine), control),
            Err(error) if error.kind() == BrokenPipe => Ok(None),
            Err(error) => Err(fault(error.to_string())),
        };
        let ended = end(&leash, heard.is_ok()).map_err(|error| fault(format!("its end is unknown: {error}")))?;
        // The kernel ended it with the nursery: that is no crash.
        let (fate, killed) = ended.ok_or(MediaError::Orphaned)?;
        match (heard?, fate) {
            (_, Fate::Killed(signal)) if !killed => Err(MediaError::Crashed { signal }),
            (Some(answer), _) => answer,
            (None, Fate::NotStarted(why)) => Err(MediaError::NotStarted(why)),
            (None, fate) => Err(fault(format!("it ended without an answer: {fate:?}"))),
        }
    }
}

/// Listens to the end: `None` where there was no answer.
fn listen<A: DeserializeOwned>(
    lines: &mut Lines<'_>,
    control: &Control,
) -> Result<Option<Result<A, MediaError>>, MediaError> {
    let mut logged = 0;
    loop {
        control.check()?;
        let line = match lines.next() {
            Heard::Line(line) => line,
            Heard::Nothing => continue,
            Heard::End => return Ok(None),
            Heard::TooMuch => return Err(fault("it says too much")),
        };
        let line = serde_json::from_slice(&line).map_err(|_| fault("it says what is not known"))?;
        match line {
            Line::Progress(progress) => control.gauge().set(progress),
            Line::Log { level, text } => {
                logged += 1;
                if logged <= LOG_LINES_MAX {
                    log(&level, &text);
                }
            }
            Line::Answer(answer) => return Ok(Some(Ok(answer))),
            Line::Failure(failure) => return Ok(Some(Err(failure.into()))),
        }
    }
}

/// As the bot's own; what could pass for another line, or move a terminal's cursor, is written out.
fn log(level: &str, text: &str) {
    let text: String = text.chars().take(LOG_CHARS_MAX).collect();
    let text: String = text
        .chars()
        .flat_map(|c| match c {
            c if c.is_control() => c.escape_default().collect::<Vec<_>>(),
            c => vec![c],
        })
        .collect();
    match level {
        "ERROR" => tracing::error!("{text}"),
        "WARN" => tracing::warn!("{text}"),
        "INFO" => tracing::info!("{text}"),
        _ => tracing::debug!("{text}"),
    }
}

/// Waits for the end of an engine, which may come by itself or not; and whether it was killed here. `None` where the nursery
/// ended first.
fn end(leash: &UnixStream, by_itself: bool) -> io::Result<Option<(Fate, bool)>> {
    let mut reader = BufReader::new(leash);
    let mut killed = false;
    if by_itself {
        leash.set_read_timeout(Some(END_MAX))?;
        if reader.fill_buf().is_err() {
            killed = true;
        }
    } else {
        killed = true;
    }
    if killed {
        leash.shutdown(Shutdown::Write)?;
    }
    leash.set_read_timeout(Some(FATE_MAX))?;
    let Some(line) = read_line(&mut reader)? else {
        return Ok(None);
    };
    Ok(Some((serde_json::from_slice(&line)?, killed)))
}

enum Heard {
    Line(Vec<u8>),
    Nothing,
    End,
    TooMuch,
}

/// Lines as they come, none of them waited for longer than the socket does.
struct Lines<'a> {
    from: &'a UnixStream,
    held: Vec<u8>,
    in_all: usize,
}

impl<'a> Lines<'a> {
    fn new(from: &'a UnixStream) -> Self {
        Self {
            from,
            held: Vec::new(),
            in_all: 0,
        }
    }

    fn next(&mut self) -> Heard {
        if let Some(at) = self.held.iter().position(|&byte| byte == b'\n') {
            let rest = self.held.split_off(at + 1);
            let mut line = std::mem::replace(&mut self.held, rest);
            line.pop();
            return Heard::Line(line);
        }
        if self.held.len() > LINE_BYTES_MAX || self.in_all > BYTES_MAX {
            return Heard::TooMuch;
        }
        let mut bytes = [0; 16 << 10];
        match self.from.read(&mut bytes) {
            Ok(0) => Heard::End,
            Ok(count) => {
                self.in_all += count;
                self.held.extend_from_slice(&bytes[..count]);
                Heard::Nothing
            }
            Err(error) if matches!(error.kind(), WouldBlock | TimedOut | Interrupted) => Heard::Nothing,
            Err(_) => Heard::End,
        }
    }
}
