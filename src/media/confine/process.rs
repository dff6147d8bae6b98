//! Walls around the whole process: libraries, certificates and the resolver's files to read, own folders to write, and TCP
//! to the ports of the Bot API alone.
//!
//! Landlock walls in one thread and what it starts, so this comes before every other thread. `/etc` is open as a whole:
//! a rule holds for the file that it was made for, and those of the resolver are replaced while kadr runs.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use super::calls::{self, Scope, Sockets};
use super::{DRIVER_READS, DRIVER_WRITES, Walls, landlock_walls, refused, restrict};

/// Beside what the driver of a GPU reads.
const READS: [&str; 5] = [
    "/etc",
    "/lib32",
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/run/resolvconf",
];
/// HTTPS, and names that do not fit a datagram.
const PORTS: [u16; 2] = [443, 53];

/// What a process may touch beside the system's libraries and devices.
#[derive(Clone, Debug, Default)]
pub struct Rooms {
    /// Files and folders to read.
    pub read: Vec<PathBuf>,
    /// Folders to write; they must be there.
    pub write: Vec<PathBuf>,
    /// TCP ports to connect to, beside 443 and 53.
    pub ports: Vec<u16>,
}

/// Walls in this process, for good: to be called before its second thread.
#[must_use]
pub fn process(rooms: &Rooms) -> Walls {
    around(rooms, Scope::Process)
}

/// What [`process`] would give here.
#[must_use]
pub fn trial() -> Walls {
    let tried = std::thread::spawn(|| around(&Rooms::default(), Scope::Thread)).join();
    tried.unwrap_or_else(|_| {
        let why = || Err("the trial panicked".to_owned());
        Walls {
            abi: 0,
            files: why(),
            tcp: why(),
            calls: why(),
        }
    })
}

fn around(rooms: &Rooms, scope: Scope) -> Walls {
    let ports: Vec<u16> = rooms.ports.iter().copied().chain(PORTS).collect();
    let libraries = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    // FFmpeg may lie beside the program.
    let own = std::env::current_exe().ok();
    let own = own.as_ref().and_then(|program| program.parent());
    let landlock = restrict(&ports, |rules| {
        rules
            .read(READS)?
            .read(DRIVER_READS)?
            .read(std::env::split_paths(&libraries))?
            .read(own)?
            .read(&rooms.read)?
            .write(DRIVER_WRITES)?
            .write([std::env::temp_dir()])?
            .write(&rooms.write)
    });
    let before = filters();
    let calls = calls::deny(Sockets::All, scope).and_then(|()| match (before, filters()) {
        (Some(before), Some(after)) if after > before => Ok(()),
        _ => Err("the kernel shows no filter".to_owned()),
    });
    let (abi, files, tcp) = landlock_walls(&landlock);
    Walls {
        abi,
        files,
        tcp: tcp.and_then(|()| knock(&ports)),
        calls,
    }
}

/// Knocks at a port of this machine that is none of ours; nobody needs to be there.
fn knock(ports: &[u16]) -> Result<(), String> {
    let closed = (1..=u16::MAX).find(|port| !ports.contains(port)).unwrap_or(1);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, closed));
    refused(
        TcpStream::connect_timeout(&address, Duration::from_secs(1)),
        "a connection was tried",
    )
}

/// Filters of system calls around this thread, as the kernel counts them (since Linux 5.11).
fn filters() -> Option<u32> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    let count = status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:"))?;
    count.trim().parse().ok()
}
