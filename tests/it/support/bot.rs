//! The real bot on a playground, in this process: what a user sees and what lies on the disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kadr::config::{Config, Settings};
use kadr::job::{Job, JobId, Phase, Status};
use kadr::media::Isolation;
use kadr::playground::{Message, Options, Playground, Server};
use kadr::store::Journal;
use kadr::store::Store;
use kadr::telegram::{self, delivery::TelegramCourier, pulse::Pulse};
use kadr::workdir::Workdir;
use kadr::worker::Worker;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Generous: a test waits for an event, never for a time.
pub(crate) const WAIT: Duration = Duration::from_secs(60);

/// A playground with Anna (user 1, English), that keeps its files in this folder.
pub(crate) async fn playground_in(folder: &Path) -> Playground {
    let options = Options {
        port: 0,
        data_dir: folder.join("telegram"),
    };
    let playground = Playground::start(options).await.unwrap();
    playground.add_user(1, "Anna", "en");
    playground
}

pub(crate) struct Bot {
    pub(crate) playground: Playground,
    pub(crate) folder: tempfile::TempDir,
    /// As it starts the next time.
    pub(crate) settings: Settings,
    /// After so much silence the platform is away; `None` as in earnest.
    pub(crate) away_after: Option<Duration>,
    /// Opened beforehand for the webhook.
    pub(crate) listener: Option<Arc<std::net::TcpListener>>,
    running: Option<(CancellationToken, JoinHandle<()>)>,
    /// Of the running bot.
    store: Option<Journal>,
}

impl Bot {
    /// Users 1 (English), 2 (Russian) and 3, and the bot running.
    pub(crate) async fn start() -> Self {
        Self::start_with(Settings::default()).await
    }

    pub(crate) async fn start_with(settings: Settings) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), settings, false).await
    }

    /// In a folder that the settings speak of; `local` makes the playground a server of one's own. So does a webhook, for
    /// the cloud's sends to no address of this machine.
    pub(crate) async fn start_in(folder: tempfile::TempDir, settings: Settings, local: bool) -> Self {
        let playground = playground_in(folder.path()).await;
        if local {
            playground.set_server(Server::Local);
        } else if settings.webhook_url.is_some() {
            playground.set_server(Server::Web);
        }
        playground.add_user(2, "Борис", "ru");
        playground.add_user(3, "Chen", "en");
        let mut bot = Self {
            playground,
            folder,
            settings,
            away_after: None,
            listener: None,
            running: None,
            store: None,
        };
        bot.resume().await;
        bot
    }

    /// Starts the bot, on the data that is there.
    pub(crate) async fn resume(&mut self) {
        let settings = Settings {
            token: Some(self.playground.token().to_owned()),
            api_url: Some(self.playground.api_url()),
            database: Some(format!("sqlite:{}", self.folder.path().join("kadr.db").display())),
            work_dir: Some(self.work_dir()),
            disk_free_min_bytes: Some(self.settings.disk_free_min_bytes.unwrap_or(1)),
            // A look takes the faults that a test plans for its job; the tests of looks want them.
            look_max_bytes: Some(self.settings.look_max_bytes.unwrap_or(0)),
            grace_s: Some(self.settings.grace_s.unwrap_or(0)),
            ..self.settings.clone()
        };
        let mut config = Config::read(settings, None).unwrap();
        if let Some(away_after) = self.away_after {
            config.pulse = Arc::new(Pulse::new(away_after));
        }
        if config.isolation == Isolation::Process {
            config.worker.nursery = Some(crate::isolation::nursery());
        }
        if let Some(webhook) = &mut config.webhook {
            webhook.listener.clone_from(&self.listener);
        }
        let store = Journal::open(&config.database).await.unwrap();
        let courier = std::sync::Arc::new(TelegramCourier::new(&config.telegram(), store.clone()).unwrap());
        let workdir = Workdir::open(&config.work_dir).unwrap();
        let worker = Worker::new(store.clone(), courier, workdir, config.worker.clone());
        self.store = Some(store.clone());
        let stop = CancellationToken::new();
        let (worker_stop, listener_stop) = (stop.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let (worked, listened) = tokio::join!(
                worker.run(worker_stop),
                telegram::run(config.telegram(), store, listener_stop)
            );
            worked.unwrap();
            listened.unwrap();
        });
        self.running = Some((stop, task));
    }

    /// Stops as SIGTERM does.
    pub(crate) async fn stop(&mut self) {
        let (stop, task) = self.running.take().expect("the bot runs");
        self.store = None;
        stop.cancel();
        task.await.unwrap();
    }

    /// A job as the running bot has it.
    pub(crate) async fn job(&self, id: JobId) -> Job {
        let store = self.store.as_ref().expect("the bot runs");
        store.job(id).await.unwrap().expect("the job is known")
    }

    /// Waits until a job is back in the queue, to go on at this phase.
    pub(crate) async fn until_queued_in(&self, id: JobId, phase: Phase) {
        for _ in 0..600 {
            let job = self.job(id).await;
            if (job.status, job.phase) == (Status::Queued, phase) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it did not go back to the queue: {:#?}", self.job(id).await);
    }

    /// Waits until a call was refused.
    pub(crate) async fn until_refused(&self, method: &str, status: u16) {
        for _ in 0..600 {
            let calls = self.playground.transcript();
            if calls.iter().any(|call| call.method == method && call.status == status) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{method} was never refused with {status}");
    }

    /// Whether a job has files.
    pub(crate) fn has_files(&self, id: JobId) -> bool {
        self.work_dir().join(id.to_string()).exists()
    }

    pub(crate) fn work_dir(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Files in work; media of ended jobs must not be among them.
    pub(crate) fn files_in_work(&self) -> usize {
        std::fs::read_dir(self.work_dir()).map_or(0, Iterator::count)
    }

    pub(crate) async fn until<T>(&self, user: i64, done: impl FnMut(&[Message]) -> Option<T>) -> T {
        match self.playground.wait(user, WAIT, done).await {
            Some(value) => value,
            None => panic!("it did not happen; the chat is {:#?}", self.playground.chat(user)),
        }
    }

    /// Waits for a message of the bot's with these words.
    pub(crate) async fn until_says(&self, user: i64, words: &str) -> Message {
        self.until(user, |chat| {
            chat.iter()
                .find(|message| message.from_bot && message.text.contains(words))
                .cloned()
        })
        .await
    }

    /// Waits for so many results and returns them.
    pub(crate) async fn until_results(&self, user: i64, count: usize) -> Vec<Message> {
        self.until(user, |chat| {
            let results: Vec<Message> = chat
                .iter()
                .filter(|message| message.from_bot && message.media.is_some())
                .cloned()
                .collect();
            (results.len() >= count).then_some(results)
        })
        .await
    }

    /// Presses a button as soon as it is there.
    pub(crate) async fn press(&self, user: i64, button: &str) {
        self.until(user, |_| self.playground.press(user, button).then_some(()))
            .await;
    }

    /// Waits until nothing is left in the scratch space.
    pub(crate) async fn until_clean(&self) {
        for _ in 0..600 {
            if self.files_in_work() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{} folders are left in the scratch space", self.files_in_work());
    }
}
