//! Walls around what reads strangers' files: Landlock for files and TCP, seccomp for system calls.
//!
//! ```text
//! alone    a thread of its own for each piece of a job that runs libav     no file by name, no socket, no program
//! process  the whole of `kadr serve`, before its first thread               libraries and /etc to read, own folders to write
//! engine   all of an engine's process, where there is one for each piece of work: as `alone`, and no other process in reach
//! trial    the walls of `process` on a thread that ends                     for `kadr doctor`
//! calls    the filter of system calls
//! ```
//!
//! Walls are inherited by the threads that a thread starts, and stay for as long as it lives: none is ever put around a
//! thread that somebody else will use again. A thread is walled in, not a process: code execution in one reaches the
//! memory of all, and the walls of `process` are what holds it. Nothing is believed: behind each wall a canary that has to be
//! refused is tried.
//! Absent: UDP in `process`, which names are resolved by; paths of Unix sockets; any wall inside FFmpeg's own code.

mod calls;
mod process;

use std::fmt;
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::net::UdpSocket;
use std::path::Path;
use std::str::FromStr;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, path_beneath_rules,
};

use self::calls::{Scope, Sockets};
pub use self::process::{Rooms, process, trial};
use super::error::MediaError;
use super::layers::{self, Layer};

/// The first with the rights that matter here (`ioctl` on devices); older kernels close what they know.
const FILES: ABI = ABI::V5;
/// The first that closes TCP (Linux 6.7).
const TCP: ABI = ABI::V4;
const TAKEN_AWAY: &str = "taken away by a test";
/// Readable by everybody, and by no rule of ours.
const CANARY: &str = "/";
/// Encoders count processors and take their random numbers from a file; the C library asks how to give memory back.
const HARMLESS: [&str; 7] = [
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/proc/cpuinfo",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
    "/dev/urandom",
    "/dev/null",
];
/// Where a conversion finds how much processor time it took.
const OWN_TIMES: &str = "/proc/self/stat";
/// What the driver of a GPU reads: its libraries are loaded anew for each decoder and encoder.
const DRIVER_READS: [&str; 8] = [
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/nvidia",
    "/etc/OpenCL",
    "/proc",
    "/sys",
];
/// What it writes: device files, shared memory, and the names of its threads (without them: error 304).
const DRIVER_WRITES: [&str; 2] = ["/dev", "/proc"];

/// Whether walls are put up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Confine {
    /// None.
    Off,
    /// As far as the kernel can.
    #[default]
    Auto,
    /// All of them, or nothing is done.
    Require,
}

impl fmt::Display for Confine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Auto => "auto",
            Self::Require => "require",
        })
    }
}

impl FromStr for Confine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            "auto" => Ok(Self::Auto),
            "require" => Ok(Self::Require),
            _ => Err(format!("confine is `{text}` (allowed: off, auto, require)")),
        }
    }
}

impl TryFrom<String> for Confine {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Confine> for String {
    fn from(confine: Confine) -> Self {
        confine.to_string()
    }
}

/// Which walls stand, each seen to hold; or why one does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walls {
    /// Landlock's ABI in this kernel; 0 for none.
    pub abi: i32,
    /// Files.
    pub files: Result<(), String>,
    /// TCP.
    pub tcp: Result<(), String>,
    /// System calls.
    pub calls: Result<(), String>,
}

impl Walls {
    /// What is missing, in words.
    #[must_use]
    pub fn lacking(&self) -> Option<String> {
        let words: Vec<String> = self
            .each()
            .filter_map(|(name, wall)| wall.as_ref().err().map(|why| format!("{name} ({why})")))
            .collect();
        (!words.is_empty()).then(|| words.join(", "))
    }

    /// What stands, in words.
    #[must_use]
    pub fn standing(&self) -> String {
        let words: Vec<&str> = self
            .each()
            .filter_map(|(name, wall)| wall.is_ok().then_some(name))
            .collect();
        if words.is_empty() {
            "nothing".to_owned()
        } else {
            words.join(", ")
        }
    }

    fn each(&self) -> impl Iterator<Item = (&'static str, &Result<(), String>)> {
        [
            ("files", &self.files),
            ("TCP", &self.tcp),
            ("system calls", &self.calls),
        ]
        .into_iter()
    }
}

/// What a piece of a job opens by name all the same.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Openings<'a> {
    /// A file to read.
    pub(super) file: Option<&'a Path>,
    /// A folder of its own, to write and read.
    pub(super) folder: Option<&'a Path>,
    /// It works on a GPU.
    pub(super) gpu: bool,
}

/// Shown by who opens a stranger's file: this thread is walled in, or was not to be. It stays on its thread.
#[derive(Debug)]
pub(super) struct Confined(PhantomData<*const ()>);

impl Confined {
    /// For files that came with kadr.
    pub(super) fn not_for_own_files() -> Self {
        Self(PhantomData)
    }
}

/// Does a piece of a job on a thread of its own, with walls around it and around all threads that it starts.
pub(super) fn alone<T: Send>(
    confine: Confine,
    openings: Openings<'_>,
    work: impl FnOnce(&Confined) -> Result<T, MediaError> + Send,
) -> Result<T, MediaError> {
    let engine = |what: String| MediaError::Engine {
        doing: "confine the job",
        what,
    };
    let span = tracing::Span::current();
    std::thread::scope(|scope| {
        let body = move || {
            let _entered = span.entered();
            let lacking = match confine {
                Confine::Off => None,
                Confine::Auto | Confine::Require => around_job(openings, Scope::Thread).lacking(),
            };
            match lacking {
                Some(lacking) if confine == Confine::Require => Err(engine(format!("open: {lacking}"))),
                lacking => {
                    if let Some(lacking) = lacking {
                        tracing::debug!(lacking, "confined in part");
                    }
                    work(&Confined(PhantomData))
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("confined".to_owned())
            .spawn_scoped(scope, body)
            .map_err(|error| engine(error.to_string()))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Walls around this process, for good: to be called before its second thread. What [`alone`] opens in it has to be open here.
pub(super) fn engine(openings: Openings<'_>) -> Walls {
    around_job(openings, Scope::Engine)
}

/// Walls around this thread, for good.
fn around_job(openings: Openings<'_>, scope: Scope) -> Walls {
    let sockets = if openings.gpu { Sockets::Unix } else { Sockets::None };
    let standing = |layer: Layer| layer.stands().then_some(()).ok_or_else(|| TAKEN_AWAY.to_owned());
    let closed = |rules: Rules| {
        let mut rules = rules
            .read(HARMLESS)?
            .read(openings.file)?
            .read(layers::names())?
            .write(openings.folder)?;
        if scope == Scope::Engine {
            rules = rules.read([OWN_TIMES])?;
        }
        if openings.gpu {
            // Where the loader finds libraries beside those of the system.
            let folders = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
            rules = rules
                .read(DRIVER_READS)?
                .read(std::env::split_paths(&folders))?
                .write(DRIVER_WRITES)?;
        }
        Ok(rules)
    };
    let landlock = standing(Layer::Landlock).and_then(|()| restrict(&[], closed));
    let calls = standing(Layer::Seccomp)
        .and_then(|()| calls::deny(sockets, scope))
        .and_then(|()| refused(UdpSocket::bind("127.0.0.1:0"), "a socket was opened"));
    let (abi, files, _) = landlock_walls(&landlock);
    Walls {
        abi,
        files,
        // No socket, no TCP: an old Landlock that does not know it leaves no gap.
        tcp: calls.clone(),
        calls,
    }
}

/// Landlock's walls as the kernel reports them, the one around files as it was seen to hold.
fn landlock_walls(status: &Result<RestrictionStatus, String>) -> (i32, Result<(), String>, Result<(), String>) {
    let status = match status {
        Ok(status) => status,
        Err(why) => return (0, Err(why.clone()), Err(why.clone())),
    };
    let (abi, effective) = match status.landlock {
        LandlockStatus::Available {
            effective_abi,
            kernel_abi,
        } => (kernel_abi.unwrap_or(effective_abi as i32), effective_abi),
        LandlockStatus::NotEnabled => return missing("Landlock is not enabled in this kernel"),
        LandlockStatus::NotImplemented => return missing("this kernel has no Landlock"),
    };
    if status.ruleset == RulesetStatus::NotEnforced {
        return missing("Landlock was not enforced");
    }
    let files = refused(File::open(CANARY), "a file outside was opened");
    let tcp = if effective >= TCP {
        Ok(())
    } else {
        Err(format!("Landlock has ABI {abi}, at least {} needed", TCP as i32))
    };
    (abi, files, tcp)
}

fn missing(why: &str) -> (i32, Result<(), String>, Result<(), String>) {
    (0, Err(why.to_owned()), Err(why.to_owned()))
}

/// What a canary has to meet.
fn refused<T>(tried: io::Result<T>, otherwise: &str) -> Result<(), String> {
    match tried {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(format!("{otherwise}, with `{error}`")),
        Ok(_) => Err(otherwise.to_owned()),
    }
}

/// Rules in the making.
struct Rules(landlock::RulesetCreated);

impl Rules {
    fn read<P: AsRef<Path>>(self, paths: impl IntoIterator<Item = P>) -> Result<Self, RulesetError> {
        self.allow(paths, AccessFs::ReadFile | AccessFs::ReadDir)
    }

    fn write<P: AsRef<Path>>(self, paths: impl IntoIterator<Item = P>) -> Result<Self, RulesetError> {
        self.allow(paths, AccessFs::from_all(FILES) & !AccessFs::Execute)
    }

    /// What is not there is left out: a rule for nothing must not cost the others.
    fn allow<P: AsRef<Path>>(
        self,
        paths: impl IntoIterator<Item = P>,
        access: BitFlags<AccessFs>,
    ) -> Result<Self, RulesetError> {
        self.0.add_rules(path_beneath_rules(paths, access)).map(Self)
    }
}

/// Puts Landlock around this thread; TCP connects to these ports alone, and nothing listens.
fn restrict(
    ports: &[u16],
    rules: impl FnOnce(Rules) -> Result<Rules, RulesetError>,
) -> Result<RestrictionStatus, String> {
    let build = || {
        let created = Ruleset::default()
            .handle_access(AccessFs::from_all(FILES))?
            .handle_access(AccessNet::from_all(TCP))?
            .create()?;
        let ports = ports
            .iter()
            .map(|&port| Ok::<_, RulesetError>(NetPort::new(port, AccessNet::ConnectTcp)));
        let created = created.add_rules(ports)?;
        rules(Rules(created))?.0.restrict_self()
    };
    build().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use rustix::process::{Pid, Resource, Rlimit, getpid, getppid, prlimit, test_kill_process};

    use super::{Confine, Openings, Scope, Walls, alone, around_job};

    #[test]
    fn walls_say_what_stands_and_what_does_not() {
        let walls = Walls {
            abi: 3,
            files: Ok(()),
            tcp: Err("why".to_owned()),
            calls: Ok(()),
        };
        assert_eq!(walls.standing(), "files, system calls");
        assert_eq!(walls.lacking().as_deref(), Some("TCP (why)"));
    }

    #[test]
    fn an_engine_reaches_no_process_but_its_own() {
        let parent = getppid().expect("tests have a parent");
        let no_limit = || Rlimit {
            current: None,
            maximum: None,
        };
        let reaches = |pid: Pid| test_kill_process(pid).is_ok();
        assert!(reaches(parent), "before, it may");
        // On a thread of its own, for walls stay.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let walls = around_job(Openings::default(), Scope::Engine);
                assert_eq!(walls.calls, Ok(()));
                assert!(reaches(getpid()) && !reaches(parent));
                let refused = prlimit(Some(parent), Resource::Core, no_limit());
                assert_eq!(refused.err(), Some(rustix::io::Errno::PERM));
                let pair = std::thread::spawn(|| 7).join();
                assert_eq!(pair.ok(), Some(7), "threads are its own");
            });
        });
    }

    #[test]
    fn a_panic_in_a_job_comes_out_of_its_thread() {
        let outcome = std::panic::catch_unwind(|| {
            let _ = alone::<()>(Confine::Auto, Openings::default(), |_| panic!("of the job"));
        });
        let panic = outcome.expect_err("it panics");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"of the job"));
    }
}
