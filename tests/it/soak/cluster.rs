//! Several processes on one PostgreSQL database: one answers the chats, another stands by for it, three convert. Any of them
//! is killed at any moment, the database too. Every request must come to an end, and no video may come twice.
//!
//! ```text
//! playground <- chat, standby (KADR_ROLE=chat) -> PostgreSQL <- workers (KADR_ROLE=worker), each with folders of its own -> playground
//! ```
//!
//! Played by `ci/cluster` alone, which starts the database.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use kadr::playground::{Fault, Message, SendAs};
use serde_json::Value;

use super::{Crowd, Kind, PEOPLE, Stands, say};
use crate::support::bot::WAIT;
use crate::support::playable_mkv;
use crate::support::served::{Served, serve_on};

const WORKERS: usize = 3;
/// Nothing is sent to a bot that has so much to do.
const OPEN_MAX: usize = 30;
/// Share of calls whose answer is lost.
const FAULTS: f64 = 0.02;
/// Between two kills, milliseconds: at random up to here.
const KILL_REST_MS: u64 = 2000;
/// Of so many kills one is the database's.
const OF_DATABASE: usize = 8;
/// Of the files that can be converted so many must come.
const DELIVERED_MIN: f64 = 0.9;
const REST: Duration = Duration::from_secs(600);
/// Jobs of one measurement, and rounds of it.
const PACE_JOBS: usize = 12;
const PACE_ROUNDS: usize = 3;
const PACE_MIN: f64 = 1.0;
const KINDS: [Kind; 7] = [
    Kind::Remux,
    Kind::Note,
    Kind::Voice,
    Kind::Album,
    Kind::Wrong,
    Kind::Known,
    Kind::Remux,
];

/// What `ci/cluster` asks: `KADR_CLUSTER="JOBS KILLS"`, on the database of `KADR_TEST_POSTGRES`.
fn asked() -> Option<(usize, usize)> {
    let text = std::env::var("KADR_CLUSTER").ok()?;
    let mut words = text.split_whitespace().map(|word| word.parse().unwrap());
    Some((words.next()?, words.next()?))
}

fn database() -> String {
    std::env::var("KADR_TEST_POSTGRES").expect("`ci/cluster` starts a server")
}

/// One process of the bot.
struct Member {
    name: String,
    role: &'static str,
    /// Another build of kadr, for an upgrade that is under way.
    bin: Option<String>,
    process: Served,
}

/// All processes of the bot.
struct Cluster {
    crowd: Crowd,
    members: Vec<Member>,
    kills_of_database: usize,
    look_bytes_max: &'static str,
    jobs: &'static str,
    /// Where the process that answers the chats is watched.
    watch: Option<String>,
}

impl Cluster {
    async fn new(seed: u64) -> Self {
        Self {
            crowd: Crowd::new(seed).await,
            members: Vec::new(),
            kills_of_database: 0,
            look_bytes_max: "0",
            jobs: "2",
            watch: None,
        }
    }

    fn start(&self, name: &str, role: &'static str, bin: Option<&str>) -> Member {
        let folder = self.crowd.folder.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut command = match bin {
            None => serve_on(&self.crowd.playground, &folder),
            Some(bin) => {
                let known = serve_on(&self.crowd.playground, &folder);
                let mut command = Command::new(bin);
                command.arg("serve").current_dir(&folder);
                command.envs(known.get_envs().filter_map(|(name, value)| Some((name, value?))));
                command
            }
        };
        command
            .env("KADR_DATABASE", database())
            .env("KADR_ROLE", role)
            .env("KADR_DEVICE", "cpu")
            .env("KADR_JOBS", self.jobs)
            .env("KADR_QUEUE_PER_USER", "1000")
            .env("KADR_QUEUE_TOTAL", "100000")
            .env("KADR_LOOK_MAX", self.look_bytes_max)
            .env("KADR_GRACE", "1")
            .stderr(
                std::fs::File::options()
                    .create(true)
                    .append(true)
                    .open(folder.join("stderr"))
                    .unwrap(),
            );
        if let (Some(watch), "chat") = (&self.watch, role) {
            command.env("KADR_WATCH", watch);
        }
        Member {
            name: name.to_owned(),
            role,
            bin: bin.map(str::to_owned),
            process: Served::spawn(&mut command),
        }
    }

    fn add(&mut self, name: &str, role: &'static str, bin: Option<&str>) {
        let member = self.start(name, role, bin);
        self.members.push(member);
    }

    /// Kills one at random, or the database in its turn, and starts it again, in the same folder.
    fn kill(&mut self, number: usize) {
        if number % OF_DATABASE == OF_DATABASE / 2 {
            let restart = std::env::var("KADR_TEST_POSTGRES_RESTART").expect("`ci/postgres` names it");
            assert!(
                Command::new(restart).status().unwrap().success(),
                "the database starts again"
            );
            self.kills_of_database += 1;
            return;
        }
        let count = self.members.len() as u64;
        let at = usize::try_from(self.crowd.draw(count)).unwrap();
        let member = self.members.swap_remove(at);
        drop(member.process);
        let again = self.start(&member.name, member.role, member.bin.as_deref());
        self.members.push(again);
    }

    /// Whoever ended by itself is told of, and started again as a supervisor would.
    fn supervise(&mut self) -> usize {
        let mut ended = Vec::new();
        for (at, member) in self.members.iter_mut().enumerate() {
            if let Some(status) = member.process.try_wait().unwrap() {
                say(&format!("{} ended by itself: {status}", member.name));
                ended.push(at);
            }
        }
        for at in ended.iter().rev() {
            let member = self.members.remove(*at);
            let again = self.start(&member.name, member.role, member.bin.as_deref());
            self.members.push(again);
        }
        ended.len()
    }

    /// Waits until everything that was sent came to its end.
    async fn rest(&mut self) -> bool {
        let began = Instant::now();
        while self.crowd.look() > 0 {
            if began.elapsed() > REST {
                return false;
            }
            self.supervise();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        true
    }

    /// How these stand: stuck, twice, and of those that are films how many were delivered.
    fn count(&self) -> (usize, usize, usize, usize) {
        let all = self.crowd.all();
        let stood = self.crowd.standings(&all);
        let of = |is: &dyn Fn(&Stands) -> bool| stood.iter().filter(|one| is(one)).count();
        let films = all
            .iter()
            .filter(|at| self.crowd.asked[**at].kind != Kind::Wrong)
            .count();
        (
            of(&|one| *one == Stands::Open),
            of(&|one| matches!(one, Stands::Twice(_))),
            of(&|one| *one == Stands::Delivered),
            films,
        )
    }

    /// Seconds until so many jobs are done.
    async fn pace(&mut self) -> f64 {
        let began = Instant::now();
        for _ in 0..PACE_JOBS {
            self.crowd.send(Kind::Long);
        }
        assert!(self.rest().await, "{:?}", self.count());
        began.elapsed().as_secs_f64()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs a database server: `ci/cluster`"]
async fn nothing_is_lost_or_sent_twice_whichever_process_dies() {
    let (jobs, kills) = asked().expect("KADR_CLUSTER=\"JOBS KILLS\"");
    let mut cluster = Cluster::new(7).await;
    cluster
        .crowd
        .playground
        .plan_by_chance("*", u32::MAX, FAULTS, Fault::LostAnswer);
    cluster.add("chat", "chat", None);
    cluster.add("standby", "chat", None);
    for number in 0..WORKERS {
        cluster.add(&format!("worker-{number}"), "worker", None);
    }
    let (began, mut killed, mut by_itself) = (Instant::now(), 0, 0);
    let mut next = Instant::now();
    while cluster.crowd.asked.len() < jobs || killed < kills {
        // Files come for as long as somebody is killed, and kills for as long as files come.
        let sent = cluster.crowd.asked.len();
        let due = sent * kills < killed.max(1) * jobs || killed >= kills;
        if sent < jobs && due && (cluster.crowd.open.len() < OPEN_MAX || cluster.crowd.look() < OPEN_MAX) {
            cluster.crowd.send(KINDS[sent % KINDS.len()]);
        }
        if killed < kills && Instant::now() >= next {
            cluster.kill(killed);
            killed += 1;
            next = Instant::now() + Duration::from_millis(cluster.crowd.draw(KILL_REST_MS));
        }
        by_itself += cluster.supervise();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cluster.crowd.playground.clear_faults();
    cluster.rest().await;
    let took_s = began.elapsed().as_secs_f64();
    let (stuck, twice, delivered, films) = cluster.count();
    let early = cluster.crowd.acknowledged_early();
    let ok = stuck == 0 && twice == 0 && early == 0 && delivered as f64 >= DELIVERED_MIN * films as f64;
    let line = format!(
        "cluster: {}, {jobs} jobs by {WORKERS} workers, two chat processes and a database, {killed} kills ({} of the \
         database): {stuck} lost or stuck, {twice} twice, {early} updates confirmed unseen, {delivered} of {films} films \
         delivered, {by_itself} processes ended by themselves, {took_s:.0} s",
        if ok { "ok" } else { "fell short" },
        cluster.kills_of_database,
    );
    if !ok {
        cluster.crowd.print_open();
        for member in &cluster.members {
            let text = std::fs::read_to_string(cluster.crowd.folder.path().join(&member.name).join("stderr"));
            let text = text.unwrap_or_default();
            let tail: Vec<&str> = text.lines().rev().take(30).collect();
            say(&format!("{}: {tail:#?}", member.name));
        }
    }
    say(&line);
    assert!(ok, "{line}");
}

/// How far a worker is with a film stands on the page of the process that answers the chats.
async fn page_shows_how_far(cluster: &mut Cluster, watch: &str) {
    cluster.crowd.send(Kind::Long);
    let began = Instant::now();
    let state = loop {
        let answer = reqwest::get(format!("http://{watch}/state.json")).await.unwrap();
        let state: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        if state["running"][0]["share"].as_f64().is_some_and(|share| share > 0.0) {
            break state;
        }
        assert!(began.elapsed() < WAIT, "{state:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(state["running"][0]["phase"], "convert");
    let roles: Vec<&Value> = state["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|host| &host["role"])
        .collect();
    assert_eq!(roles, ["chat", "worker"]);
    assert!(cluster.rest().await);
}

/// An operator's command, in a process of its own.
fn operator_beside() {
    let kadr = std::env::var_os("KADR_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_kadr").into());
    let listed = Command::new(&kadr)
        .args(["jobs", "list", "--all", "--json", "--database", &database()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&listed.stdout);
    assert!(listed.status.success() && text.contains("\"succeeded\""), "{listed:?}");
    let refused = Command::new(&kadr)
        .args([
            "jobs",
            "list",
            "--database",
            &database().replace("/kadr:kadr@", "/kadr:wrong@"),
        ])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(
        refused.status.code() == Some(1) && words.contains("does not let kadr in") && !words.contains("wrong@"),
        "{words}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs a database server: `ci/cluster`"]
async fn what_a_worker_sees_of_a_file_stands_on_the_card_of_the_chat() {
    let mut cluster = Cluster::new(10).await;
    cluster.look_bytes_max = "1000000";
    // Free a moment ago.
    let watch = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    cluster.watch = Some(watch.clone());
    cluster.add("chat", "chat", None);
    cluster.add("worker", "worker", None);
    let playground = &cluster.crowd.playground;
    let file = cluster.crowd.folder.path().join("film.mkv");
    std::fs::copy(playable_mkv(), &file).unwrap();
    let user = PEOPLE.start;
    playground
        .send_file_in(user, user, &file, SendAs::Document, "")
        .unwrap();
    let looked_at = |chat: &[Message]| {
        let card = chat
            .iter()
            .find(|message| message.from_bot && message.text.contains("H.264"))?;
        Some(card.id)
    };
    let card = playground
        .wait(user, WAIT, looked_at)
        .await
        .expect("the card says what it is");
    assert!(playground.press_on(user, user, card, "c:play"));
    let came = |chat: &[Message]| {
        chat.iter()
            .any(|message| message.from_bot && message.media.is_some())
            .then_some(())
    };
    playground.wait(user, WAIT, came).await.expect("it is delivered");
    page_shows_how_far(&mut cluster, &watch).await;
    operator_beside();
    say("looks: ok, what a worker saw stood on the card, its choice was delivered, and the page showed how far it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs a database server and a quiet machine: `ci/cluster`"]
async fn two_workers_do_no_less_than_one() {
    let mut cluster = Cluster::new(8).await;
    // One conversion keeps two cores busy but for its fetching and sending.
    cluster.jobs = "1";
    cluster.add("chat", "chat", None);
    let mut ratios = Vec::new();
    for round in 0..PACE_ROUNDS {
        let mut took = [0.0, 0.0];
        for (at, workers) in [(round % 2, 1 + round % 2), (1 - round % 2, 2 - round % 2)] {
            for number in 0..workers {
                cluster.add(&format!("pace-{number}"), "worker", None);
            }
            // The first job of a round warms up.
            cluster.crowd.send(Kind::Remux);
            assert!(cluster.rest().await);
            took[at] = cluster.pace().await;
            cluster.members.truncate(1);
        }
        ratios.push(took[0] / took[1]);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[PACE_ROUNDS / 2];
    let line = format!(
        "pace: {}, two workers do {median:.2} times as much as one (rounds {ratios:.2?}, {PACE_JOBS} films each)",
        if median >= PACE_MIN { "ok" } else { "fell short" }
    );
    say(&line);
    assert!(median >= PACE_MIN, "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs a database server and a build of the next version: `ci/cluster upgrade`"]
async fn versions_work_side_by_side_while_hosts_are_upgraded() {
    let next = std::env::var("KADR_BIN_NEXT").expect("`ci/cluster upgrade` builds it");
    let mut cluster = Cluster::new(9).await;
    let (old, new) = (None, Some(next.as_str()));
    for (name, role) in [("chat", "chat"), ("one", "worker"), ("two", "worker")] {
        cluster.add(name, role, old);
    }
    // Worker by worker, then the chat, and all the way back.
    let steps = [
        ("one", new),
        ("two", new),
        ("chat", new),
        ("one", old),
        ("two", old),
        ("chat", old),
    ];
    for (name, bin) in steps {
        for kind in KINDS {
            cluster.crowd.send(kind);
        }
        let at = cluster.members.iter().position(|member| member.name == name).unwrap();
        let mut member = cluster.members.remove(at);
        // As a supervisor stops it: it may finish what it has.
        let id = member.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        member.process.wait().unwrap();
        cluster.add(name, member.role, bin);
        for kind in KINDS {
            cluster.crowd.send(kind);
        }
        assert!(cluster.rest().await);
    }
    let (stuck, twice, delivered, films) = cluster.count();
    let ok = stuck == 0 && twice == 0 && delivered == films;
    let line = format!(
        "upgrade: {}, {} jobs while each of three processes went to the next version and back: {stuck} lost or stuck, {twice} \
         twice, {delivered} of {films} films delivered",
        if ok { "ok" } else { "fell short" },
        cluster.crowd.asked.len()
    );
    if !ok {
        cluster.crowd.print_open();
    }
    say(&line);
    assert!(ok, "{line}");
}
