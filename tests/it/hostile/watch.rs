//! One hostile file, one process of `kadr`, and everything that it opens.
//!
//! By the kernel's word: `strace` writes each call that opens a file, makes a socket or starts a program; or, where that
//! would take too long, inotify tells of files in the folder of the run. The listener counts who came in either case.

use std::collections::BTreeSet;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::inotify;

use super::corpus::{BESIDE, Hostile, LINK, Lure, all, film};

/// A run that takes longer is ended and counted as one that hangs.
const WALL_MAX: Duration = Duration::from_secs(30);
/// What `kadr` gives itself, seconds.
const TIMEOUT: &str = "8";
/// What every conversion opens, whoever asks for it: libraries, and how the machine is built.
const OWN: [&str; 12] = [
    "/lib/",
    "/lib64/",
    "/usr/lib/",
    "/usr/local/lib/",
    "/etc/ld.so.cache",
    "/sys/",
    "/dev/null",
    "/dev/urandom",
    "/proc/stat",
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/sys/vm/overcommit_memory",
];
/// The same of the process itself.
const OWN_PROCESS: [&str; 6] = ["task", "cgroup", "maps", "mountinfo", "stat", "comm"];

/// How a run is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Every call.
    Calls,
    /// Files of the folder alone.
    Files,
}

/// What a process came to.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Foreign files that it opened.
    pub(super) opened: BTreeSet<String>,
    /// Sockets that it made.
    pub(super) sockets: usize,
    /// Connections and datagrams that reached the listener.
    pub(super) reached: usize,
    /// Programs that it started.
    pub(super) programs: usize,
    /// Foreign files and sockets that it asked for and was not given.
    pub(super) refused: usize,
    /// Not with an exit code of its own, or not at all.
    pub(super) died: Option<String>,
}

/// A folder with a hostile file, what lies beside it, and the lures.
struct Scene {
    folder: tempfile::TempDir,
    hostile: Hostile,
    tcp: TcpListener,
    udp: UdpSocket,
}

impl Scene {
    fn set(index: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        let root = folder.path();
        let lure = Lure {
            file: root.join("canary/canary.ts").to_str().unwrap().to_owned(),
            tcp: tcp.local_addr().unwrap().port(),
            udp: udp.local_addr().unwrap().port(),
        };
        std::fs::create_dir_all(root.join("canary")).unwrap();
        std::fs::create_dir(root.join("out")).unwrap();
        std::fs::write(&lure.file, film()).unwrap();
        for name in BESIDE {
            std::fs::write(root.join(name), film()).unwrap();
        }
        symlink("canary/canary.ts", root.join(LINK)).unwrap();
        let hostile = all(&lure).swap_remove(index);
        for (name, bytes) in &hostile.beside {
            std::fs::write(root.join(name), bytes).unwrap();
        }
        let path = root.join(&hostile.name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &hostile.bytes).unwrap();
        Self {
            folder,
            hostile,
            tcp,
            udp,
        }
    }

    fn command(&self, program: &Path, by: By) -> Command {
        let mut command = match by {
            By::Files => Command::new(program),
            By::Calls => {
                let mut command = Command::new("strace");
                command
                    .args(["-ff", "-qq", "-s", "4096", "-e", "signal=none", "-o", "out/trace", "-e"])
                    .arg("trace=open,openat,openat2,creat,open_by_handle_at,socket,execve,execveat,seccomp")
                    .arg(program);
                command
            }
        };
        command
            .args([
                "convert",
                "--device",
                "cpu",
                "--force",
                "--timeout",
                TIMEOUT,
                "-o",
                "out/out.mp4",
                "--",
            ])
            .arg(&self.hostile.name)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Waits for the end and counts who comes to the listener.
    fn wait(&self, child: &mut Child, seen: &mut Seen) {
        let began = Instant::now();
        let code = loop {
            while self.tcp.accept().is_ok() {
                seen.reached += 1;
            }
            while self.udp.recv(&mut [0; 64]).is_ok() {
                seen.reached += 1;
            }
            match child.try_wait().unwrap() {
                Some(status) => break status.code(),
                None if began.elapsed() > WALL_MAX => {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    seen.died = Some(format!("no end after {WALL_MAX:?}"));
                    return;
                }
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        if code.is_none_or(|code| code >= 100) {
            seen.died = Some(format!("ended with {code:?}"));
        }
    }

    /// Whether a conversion of this file has no reason to open that one.
    fn is_foreign(&self, path: &str) -> bool {
        let absolute = plain(&self.folder.path().join(path));
        let text = absolute.to_string_lossy();
        if let Ok(inside) = absolute.strip_prefix(self.folder.path()) {
            return inside != plain(Path::new(&self.hostile.name)) && !inside.starts_with("out");
        }
        let of_process = text
            .strip_prefix("/proc/")
            .and_then(|rest| rest.split_once('/'))
            .is_some_and(|(_, rest)| OWN_PROCESS.iter().any(|own| rest.starts_with(own)));
        !of_process && !OWN.iter().any(|own| text.starts_with(own)) && text != "/"
    }

    /// The calls of one thread, each as `name("…", …) = …`.
    fn note(&self, calls: &str, seen: &mut Seen) {
        // A thread that has just been walled in tries a socket, to see that it gets none.
        let mut tries_its_wall = false;
        for call in calls.lines() {
            let given = !call.contains(" = -1");
            if call.starts_with("seccomp(SECCOMP_SET_MODE_FILTER") {
                tries_its_wall = true;
            } else if call.starts_with("socket(") {
                seen.sockets += usize::from(given);
                seen.refused += usize::from(!given && !tries_its_wall);
                tries_its_wall = false;
            } else if call.starts_with("execve") {
                seen.programs += usize::from(given);
            } else if (call.starts_with("open") || call.starts_with("creat")) && !call.contains("O_PATH") {
                // A place is no content: rules of walls are made with such.
                let path = call.split('"').nth(1).unwrap_or_default().replace("\\n", "\n");
                if !self.is_foreign(&path) {
                    continue;
                }
                if given {
                    seen.opened.insert(path);
                } else if !call.contains("ENOENT") {
                    seen.refused += 1;
                }
            }
        }
    }

    fn read_trace(&self, seen: &mut Seen) {
        let mut seen_calls = 0;
        for entry in std::fs::read_dir(self.folder.path().join("out")).unwrap() {
            let path = entry.unwrap().path();
            if !path.file_name().unwrap().to_string_lossy().starts_with("trace.") {
                continue;
            }
            let calls = std::fs::read_to_string(path).unwrap();
            self.note(&calls, seen);
            seen_calls += calls.lines().count();
        }
        assert!(seen_calls > 10, "strace saw next to nothing of {}", self.hostile.name);
        // The first is `kadr` itself.
        seen.programs = seen.programs.saturating_sub(1);
    }
}

/// Without `.` and `..`: nothing in a scene is a link to a folder.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
        plain
    })
}

/// Folders of a scene, as deep as they go.
fn folders(root: &Path) -> Vec<PathBuf> {
    let inner = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() && !path.ends_with("out"));
    let mut all: Vec<PathBuf> = inner.flat_map(|folder| folders(&folder)).collect();
    all.push(root.to_owned());
    all
}

/// Gives the `index`th file to `kadr` without some of its layers.
pub(super) fn run(program: &Path, index: usize, without: &str, by: By) -> Seen {
    let scene = Scene::set(index);
    let root = scene.folder.path().to_owned();
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
    let mut places = Vec::new();
    if by == By::Files {
        for folder in folders(&root) {
            let number = inotify::add_watch(&watch, &folder, inotify::WatchFlags::OPEN).unwrap();
            places.push((number, folder));
        }
    }
    let mut seen = Seen::default();
    let mut child = scene
        .command(program, by)
        .env("KADR_TEST_WITHOUT", without)
        .spawn()
        .expect("hint: strace is installed by `ci/install hostile`");
    scene.wait(&mut child, &mut seen);
    match by {
        By::Calls => scene.read_trace(&mut seen),
        By::Files => {
            let mut buffer = [std::mem::MaybeUninit::uninit(); 16_384];
            let mut events = inotify::Reader::new(&watch, &mut buffer);
            while let Ok(event) = events.next() {
                let place = places.iter().find(|(number, _)| *number == event.wd());
                let (Some((_, folder)), Some(name)) = (place, event.file_name()) else {
                    continue;
                };
                let path = folder.join(name.to_str().unwrap());
                if !path.is_dir() && scene.is_foreign(path.to_str().unwrap()) {
                    seen.opened.insert(path.to_string_lossy().into_owned());
                }
            }
        }
    }
    // As seen from the folder, which has another name each time.
    let prefix = format!("{}/", root.display());
    seen.opened = seen.opened.iter().map(|path| path.replace(&prefix, "")).collect();
    seen
}
