//! `kill -9` at random moments, and an abort at every named point, while a share of the platform's answers is lost or late.
//! Every request must come to an end, and no video may come twice.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use futures::future::join_all;
use kadr::crash::POINTS;
use kadr::playground::Fault;

use super::{Crowd, Kind, Stands, asked_for, percentile, say};

/// Share of calls whose answer is lost or late.
const FAULTS: f64 = 0.05;
const LATE_MS: u64 = 700;
/// From a start to the next update handled.
const START_MAX: Duration = Duration::from_secs(5);
/// Longest wait for a point to be reached, and how often a bot is started for it.
const POINT_MAX: Duration = Duration::from_secs(25);
const POINT_TRIES: usize = 3;
/// Of the files that can be converted so many must come: a bot that gives everything up loses nothing either.
const DELIVERED_MIN: f64 = 0.5;
/// Bots at once, each on a platform of its own: most of a life is waiting.
const LANES: usize = 4;
/// Random kills to one round of the points.
const KILLS_PER_ROUND: usize = 500;
/// Nothing is sent to a bot that has so much to do.
const OPEN_MAX: usize = 12;
const SIGABRT: i32 = 6;
const KINDS: [Kind; 6] = [
    Kind::Note,
    Kind::Voice,
    Kind::Album,
    Kind::Wrong,
    Kind::Known,
    Kind::Remux,
];
/// Those that stand between a deed and its record: the check dies at these.
const IN_CHECK: [&str; 10] = [
    "recorded",
    "enqueued",
    "announced",
    "fetched",
    "renamed",
    "edited",
    "intended",
    "sent",
    "ended",
    "album-sent",
];

/// What was seen.
#[derive(Default)]
struct Seen {
    random: usize,
    points: usize,
    /// Points that were never reached.
    missed: Vec<&'static str>,
    starts: Vec<Duration>,
    deaf: usize,
}

struct Lane {
    crowd: Crowd,
    seen: Seen,
}

impl Lane {
    async fn new(number: usize) -> Self {
        let crowd = Crowd::new(number as u64).await;
        crowd
            .playground
            .plan_by_chance("*", u32::MAX, FAULTS / 2.0, Fault::LostAnswer);
        crowd
            .playground
            .plan_by_chance("*", u32::MAX, FAULTS / 2.0, Fault::LateAnswer(LATE_MS));
        Self {
            crowd,
            seen: Seen::default(),
        }
    }

    /// Every kind of delivery in its turn.
    fn send(&mut self) {
        self.crowd.send(KINDS[self.crowd.asked.len() % KINDS.len()]);
    }

    async fn kill_at_random(&mut self) {
        if self.crowd.open.len() < OPEN_MAX || self.crowd.look() < OPEN_MAX {
            self.send();
        }
        let began = Instant::now();
        let mut bot = self.crowd.serve(&[]);
        // One in four dies while it starts.
        if self.crowd.draw(4) > 0 {
            let answered = self.crowd.until_it_answers(&mut bot).await;
            self.seen.deaf += usize::from(!answered);
            self.seen.starts.push(began.elapsed());
        }
        let moment = Duration::from_millis(self.crowd.draw(1000));
        tokio::time::sleep(moment).await;
        bot.kill().unwrap();
        bot.wait().unwrap();
        self.seen.random += 1;
    }

    async fn kill_at(&mut self, point: &'static str) {
        for _ in 0..POINT_TRIES {
            if self.dies_at(point).await {
                self.seen.points += 1;
                return;
            }
        }
        self.seen.missed.push(point);
    }

    /// Sends until the bot has died there.
    async fn dies_at(&mut self, point: &'static str) -> bool {
        // What only albums pass is not waited for in their turn.
        let of_albums = point.starts_with("album-") || point.starts_with("batch-");
        let mut bot = self.crowd.serve(&[("KADR_KILL_AT", point)]);
        let began = Instant::now();
        let mut fed = None;
        loop {
            if let Some(status) = bot.try_wait().unwrap() {
                assert_eq!(status.signal(), Some(SIGABRT), "{point}: {status:?}");
                return true;
            }
            if began.elapsed() > POINT_MAX {
                bot.kill().unwrap();
                bot.wait().unwrap();
                return false;
            }
            if fed.is_none_or(|fed: Instant| fed.elapsed() > Duration::from_secs(1)) && self.crowd.look() < OPEN_MAX {
                fed = Some(Instant::now());
                if of_albums {
                    self.crowd.send(Kind::Album);
                } else {
                    self.send();
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Its share of the kills, spread over its rounds of the points.
    async fn play(mut self, kills: usize, rounds: usize, points: &[&'static str], until: Instant) -> Self {
        let stops = rounds * points.len();
        for stop in 0..stops {
            if Instant::now() < until {
                self.kill_at(points[stop % points.len()]).await;
            }
            for _ in (kills * stop / stops)..(kills * (stop + 1) / stops) {
                if Instant::now() < until {
                    self.kill_at_random().await;
                }
            }
        }
        self.crowd.rest(&[]).await;
        self
    }

    /// What was said instead of a video, how often.
    fn count_words(&self, words: &mut BTreeMap<String, usize>) {
        let all = self.crowd.all();
        for (at, how) in all.iter().zip(self.crowd.standings(&all)) {
            let one = &self.crowd.asked[*at];
            if how == Stands::Told && one.kind != Kind::Wrong {
                let chat = self.crowd.playground.chat(one.chat);
                let ours = chat.iter().filter(|m| {
                    m.from_bot && m.media.is_none() && m.reply_to.is_some_and(|to| one.messages.contains(&to))
                });
                for message in ours {
                    *words.entry(message.text.replace('\n', " / ")).or_default() += 1;
                }
            }
        }
    }
}

fn verdict(lanes: &[Lane], full: bool) -> (bool, String) {
    let stood: Vec<(Kind, Stands)> = lanes
        .iter()
        .flat_map(|lane| {
            let all = lane.crowd.all();
            let kinds = all.iter().map(|at| lane.crowd.asked[*at].kind);
            kinds.zip(lane.crowd.standings(&all)).collect::<Vec<_>>()
        })
        .collect();
    let count = |is: &dyn Fn(&(Kind, Stands)) -> bool| stood.iter().filter(|one| is(one)).count();
    let stuck = count(&|(_, stands)| *stands == Stands::Open);
    let twice = count(&|(_, stands)| matches!(stands, Stands::Twice(_)));
    let right = count(&|(kind, _)| *kind != Kind::Wrong);
    let delivered = count(&|(kind, stands)| *kind != Kind::Wrong && *stands == Stands::Delivered);
    let told = count(&|(kind, stands)| *kind != Kind::Wrong && *stands == Stands::Told);
    let early: usize = lanes.iter().map(|lane| lane.crowd.acknowledged_early()).sum();
    let mut starts: Vec<Duration> = lanes.iter().flat_map(|lane| lane.seen.starts.clone()).collect();
    let (median, p99) = (percentile(&mut starts, 50), percentile(&mut starts, 99));
    let missed: Vec<&str> = lanes.iter().flat_map(|lane| lane.seen.missed.clone()).collect();
    let sum = |of: fn(&Seen) -> usize| lanes.iter().map(|lane| of(&lane.seen)).sum::<usize>();
    let kept = stuck == 0 && twice == 0 && early == 0;
    // How fast, and how many of all, is for `ci/soak` on a machine that does nothing else.
    let in_time = missed.is_empty()
        && sum(|seen| seen.deaf) == 0
        && p99 < START_MAX
        && delivered as f64 >= DELIVERED_MIN * right as f64;
    let ok = kept && if full { in_time } else { delivered > 0 };
    let line = format!(
        "soak kill: {}, {} random kills and {} at named points, {} requests: {stuck} lost or stuck, {twice} videos twice, \
         {early} updates confirmed unseen, {delivered} of {right} delivered and {told} told otherwise; {} starts, next \
         update handled within {} ms (p99; {} ms median); points never reached: {missed:?}",
        if ok { "ok" } else { "fell short" },
        sum(|seen| seen.random),
        sum(|seen| seen.points),
        stood.len(),
        starts.len(),
        p99.as_millis(),
        median.as_millis(),
    );
    (ok, line)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_sent_twice_however_the_bot_dies() {
    let asked = asked_for("kill");
    let full = asked.is_some();
    let (kills, time_max) = asked.unwrap_or((6, Duration::from_secs(600)));
    let points: &[&'static str] = if full { &POINTS } else { &IN_CHECK };
    let rounds = kills.div_ceil(KILLS_PER_ROUND);
    let until = Instant::now() + time_max;
    // Short, one lane is enough; a lane without a round would have no kills.
    let lanes = if full { LANES.min(rounds) } else { 1 };
    let played = (0..lanes).map(|number| async move {
        let share = |of: usize| of * (number + 1) / lanes - of * number / lanes;
        let lane = Lane::new(number).await;
        lane.play(share(kills), share(rounds), points, until).await
    });
    let lanes = join_all(played).await;
    let (ok, line) = verdict(&lanes, full);
    if full || !ok {
        let mut words = BTreeMap::new();
        for lane in &lanes {
            lane.crowd.print_open();
            lane.count_words(&mut words);
        }
        for (words, count) in words {
            say(&format!("{count:4} x {words}"));
        }
        say(&line);
    }
    assert!(ok, "{line}");
}
