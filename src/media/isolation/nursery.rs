//! The nursery, from both sides: started by the bot, and told by it to execute engines.
//!
//! Each engine has two sockets from the bot: its own, which is its stdin and stdout, and its leash. What comes over the leash,
//! its end included, kills it; how it ended goes back over it.

use std::ffi::OsStr;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::wire::{Fate, line_of};
use crate::media::ffi;

/// This very program, also where its file was replaced since.
const SELF: &str = "/proc/self/exe";
/// A nursery that does not answer for so long at its start is given up.
const START_MAX: Duration = Duration::from_secs(30);
/// What of the environment an engine needs: where libraries lie, which GPUs it may see, how much it logs.
const KEPT: [&str; 2] = ["LD_LIBRARY_PATH", "KADR_LOG"];
const KEPT_PREFIXES: [&str; 2] = ["CUDA_", "NVIDIA_"];
/// The points at which a test lets it die, and the fake driver's settings.
#[cfg(debug_assertions)]
const KEPT_IN_TESTS: [&str; 2] = ["KADR_KILL_", "FAKE_"];
#[cfg(not(debug_assertions))]
const KEPT_IN_TESTS: [&str; 0] = [];

/// The process that executes engines. Ends with the last of these.
#[derive(Debug)]
pub struct Nursery {
    socket: Mutex<UnixStream>,
    process: Child,
    life: UnixStream,
}

impl Nursery {
    /// Starts it: to be called before walls that forbid programs. `program` is kadr, this one where it is `None`.
    ///
    /// # Errors
    /// Where it does not start, or does not answer within 30 s.
    pub fn start(program: Option<&Path>) -> io::Result<Self> {
        let ((mut ours, theirs), (life, their_life)) = (UnixStream::pair()?, UnixStream::pair()?);
        let process = command(program.unwrap_or(Path::new(SELF)), "nursery")
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| is_kept(name)))
            .stdin(OwnedFd::from(theirs))
            .stdout(OwnedFd::from(their_life))
            // What a terminal sends to the bot's group is meant for the bot.
            .process_group(0)
            .spawn()?;
        ours.set_read_timeout(Some(START_MAX))?;
        ours.read_exact(&mut [0])?;
        Ok(Self {
            socket: Mutex::new(ours),
            life,
            process,
        })
    }

    /// Its process, for who looks at it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Says nothing, and ends with it: then no engine can be started any more, for this process's walls forbid another
    /// nursery. Does not block; to be asked for once.
    ///
    /// # Errors
    /// Where no descriptor is left.
    pub fn life(&self) -> io::Result<UnixStream> {
        let life = self.life.try_clone()?;
        life.set_nonblocking(true)?;
        Ok(life)
    }

    /// Has an engine executed; its own socket, and its leash.
    pub(super) fn engine(&self) -> io::Result<(UnixStream, UnixStream)> {
        let ((line, their_line), (leash, their_leash)) = (UnixStream::pair()?, UnixStream::pair()?);
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let descriptors = [their_line.as_fd(), their_leash.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut message = SendAncillaryBuffer::new(&mut space);
        if !message.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("no room for two descriptors"));
        }
        sendmsg(&*socket, &[IoSlice::new(b".")], &mut message, SendFlags::NOSIGNAL)?;
        Ok((line, leash))
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        let socket = self.socket.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = socket.shutdown(std::net::Shutdown::Both);
        let _ = self.process.wait();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one program that kadr starts is kadr, where an operator asked for it"
)]
fn command(program: &Path, name: &str) -> Command {
    let mut command = Command::new(program);
    command.arg0("kadr").arg(name).stderr(Stdio::null());
    command
}

fn is_kept(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let mut prefixes = KEPT_PREFIXES.iter().chain(&KEPT_IN_TESTS);
    KEPT.contains(&name) || prefixes.any(|prefix| name.starts_with(prefix))
}

/// The nursery itself: works until the bot is gone. Its stdin is the socket; its stdout, which nobody else has, says that it
/// lives.
///
/// # Errors
/// Where stdin is no socket.
pub fn nurse() -> io::Result<()> {
    ffi::ignore_stops();
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.write_all(b".")?;
    while let Some((line, leash)) = receive(&socket)? {
        let leash = UnixStream::from(leash);
        // Too many threads or descriptors cost this engine, not those that run.
        if let Err(error) = begin(line, &leash) {
            tell(&leash, &Fate::NotStarted(error.to_string()));
        }
    }
    Ok(())
}

/// A thread of its own, which lives as long as the engine: the kernel ends an engine with the thread that executed it.
fn begin(line: OwnedFd, leash: &UnixStream) -> io::Result<()> {
    let leash = leash.try_clone()?;
    let watch = move || {
        let fate = execute(line, &leash).unwrap_or_else(|error| Fate::NotStarted(error.to_string()));
        tell(&leash, &fate);
    };
    std::thread::Builder::new().spawn(watch).map(drop)
}

/// Where the bot is gone there is nobody to tell.
fn tell(mut leash: &UnixStream, fate: &Fate) {
    let _ = line_of(fate).and_then(|line| leash.write_all(&line));
}

/// The descriptors of the next engine; `None` once the bot is gone.
fn receive(socket: &UnixStream) -> io::Result<Option<(OwnedFd, OwnedFd)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut message = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = loop {
        match recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut message, flags) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut descriptors = message.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect::<Vec<_>>(),
        _ => Vec::new(),
    });
    match (descriptors.next(), descriptors.next()) {
        (Some(line), Some(leash)) => Ok(Some((line, leash))),
        _ => Err(io::Error::other("an engine needs two descriptors")),
    }
}

fn execute(line: OwnedFd, leash: &UnixStream) -> io::Result<Fate> {
    let again = line.try_clone()?;
    let mut engine = command(Path::new(SELF), "engine").stdin(line).stdout(again).spawn()?;
    let asked = || -> io::Result<bool> {
        let ended = pidfd_open(Pid::from_child(&engine), PidfdFlags::empty())?;
        let mut both = [PollFd::new(&ended, PollFlags::IN), PollFd::new(leash, PollFlags::IN)];
        loop {
            match poll(&mut both, None) {
                Err(rustix::io::Errno::INTR) => {}
                other => {
                    other?;
                    return Ok(both[0].revents().is_empty());
                }
            }
        }
    };
    // Who cannot be watched is not left alone.
    if asked().unwrap_or(true) {
        engine.kill()?;
    }
    let status = engine.wait()?;
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => Fate::Exited(code),
        (None, signal) => Fate::Killed(signal.unwrap_or_default()),
    })
}
