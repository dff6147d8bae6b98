//! What goes wrong outside of kadr: the network at every call, a platform that is away, a clock that is set, a process that
//! is killed or crashes, files that cannot be opened. The disk that is full has a module of its own.

mod clock;
mod crash;
mod files;
mod network;
mod outage;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kadr::playground::{Message, Playground, SendAs};

use crate::support::bot::WAIT;

/// `kadr serve` as an operator runs it; killed when dropped.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Served {
    fn start(playground: &Playground, folder: &Path, more: &[(&str, &str)]) -> Self {
        Self::start_with(playground, folder, more, Stdio::null())
    }

    fn start_with(playground: &Playground, folder: &Path, more: &[(&str, &str)], stderr: Stdio) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_kadr"))
            .arg("serve")
            .current_dir(folder)
            .env("TELEGRAM_BOT_TOKEN", playground.token())
            .env("TELEGRAM_API_URL", playground.api_url())
            .env("KADR_DISK_FREE_MIN", "1")
            .env("KADR_GRACE", "0")
            .env("KADR_DEVICE", "cpu")
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        Self(child)
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Sends a signal by its name.
    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.0.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits until it has ended.
    async fn ended(&mut self) -> std::process::ExitStatus {
        for _ in 0..600 {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it does not end");
    }
}

/// Lines of a log that hold these words.
fn lines(folder: &Path, log: &str, words: &str) -> usize {
    let text = std::fs::read_to_string(folder.join("logs").join(log)).unwrap_or_default();
    text.lines().filter(|line| line.contains(words)).count()
}

async fn until<T>(playground: &Playground, user: i64, what: &str, done: impl FnMut(&[Message]) -> Option<T>) -> T {
    match playground.wait(user, WAIT, done).await {
        Some(value) => value,
        None => panic!("never came: {what}; the chat is {:#?}", playground.chat(user)),
    }
}

fn says(words: &'static str) -> impl FnMut(&[Message]) -> Option<Message> {
    move |chat| chat.iter().find(|m| m.from_bot && m.text.contains(words)).cloned()
}

fn has_result(chat: &[Message]) -> Option<Message> {
    chat.iter().find(|m| m.from_bot && m.media.is_some()).cloned()
}

/// Sends a file that says itself what it shall become.
fn ask(playground: &Playground, user: i64, file: &Path, words: &str) {
    playground
        .send_file_in(user, user, file, SendAs::Document, words)
        .unwrap();
}
