//! Programs on a machine whose NVIDIA driver is the fake one (`tests/fake_driver`): **control flow only**, no figure of it
//! says anything about a card.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const NAMES: [&str; 5] = [
    "libcuda.so.1",
    "libnvidia-encode.so.1",
    "libnvcuvid.so.1",
    "libnvidia-ml.so.1",
    "libnvidia-ml.so",
];

/// A folder with the driver's libraries, and what shall go wrong with it.
pub(crate) struct FakeDriver {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl FakeDriver {
    /// A card that is well: it encodes H.264, decodes nothing, and copies; its kernels do nothing.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let library = library();
        for name in NAMES {
            symlink(&library, folder.path().join(name)).unwrap();
        }
        Self {
            folder,
            variables: Vec::new(),
        }
    }

    /// For `LD_LIBRARY_PATH`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Takes one of the libraries away, as a container without it has it. A real driver on this machine would be found then.
    pub(crate) fn without(self, name: &str) -> Self {
        std::fs::remove_file(self.folder().join(name)).unwrap();
        self
    }

    /// A fault or a property; the table is in the header of `tests/fake_driver/src/lib.rs`.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A program on that machine.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let mut path = self.folder().as_os_str().to_owned();
        if let Some(outer) = std::env::var_os("LD_LIBRARY_PATH") {
            path.push(":");
            path.push(outer);
        }
        command
            .env("LD_LIBRARY_PATH", path)
            .env("FAKE_REPORT", self.report())
            .env_remove("CUDA_VISIBLE_DEVICES")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    fn report(&self) -> PathBuf {
        self.folder().join("report.jsonl")
    }

    /// What each process that used the driver said when it ended, in that order: `live`, `peak` and `total`.
    pub(crate) fn reports(&self) -> Vec<Value> {
        let lines = std::fs::read_to_string(self.report()).unwrap_or_default();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A number of the last process's report, such as `/peak/contexts`.
    pub(crate) fn count(&self, pointer: &str) -> i64 {
        let reports = self.reports();
        let last = reports.last().expect("a process used the fake driver and ended");
        last.pointer(pointer).and_then(Value::as_i64).expect("it is counted")
    }

    /// Everything that was asked of the driver was given back, by every process.
    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        for report in self.reports() {
            let live = report["live"].as_object().unwrap();
            let left: Vec<_> = live.iter().filter(|(_, count)| count.as_i64() != Some(0)).collect();
            assert!(left.is_empty(), "left behind in the fake driver: {left:?}");
            assert_eq!(
                report["total"]["orphans"], 0,
                "left behind in a context of the fake driver: {report}"
            );
        }
    }
}

/// Cargo puts it beside the test binary, because it is a dependency of the tests.
fn library() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let library = tests.with_file_name("libfake_driver.so");
    assert!(library.exists(), "cargo built the fake driver as {}", library.display());
    library
}
