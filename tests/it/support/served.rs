//! `kadr serve` in a process of its own, that does not outlive its test.

use std::ops::{Deref, DerefMut};
use std::process::{Child, Command, Stdio};

use kadr::playground::Playground;

pub(crate) struct Served(Child);

impl Served {
    /// Its stderr goes where the command says.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }
}

impl Deref for Served {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Served {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As an operator runs it, in this folder and on this platform, however little room the disk has.
pub(crate) fn serve_on(playground: &Playground, folder: &std::path::Path) -> Command {
    // `KADR_BIN` names another build; only those with debug assertions die at points.
    let bin = std::env::var_os("KADR_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_kadr").into());
    let mut command = Command::new(bin);
    command
        .arg("serve")
        .current_dir(folder)
        .env("TELEGRAM_BOT_TOKEN", playground.token())
        .env("TELEGRAM_API_URL", playground.api_url())
        .env("KADR_DISK_FREE_MIN", "1")
        .stderr(Stdio::null());
    command
}
