//! The store under a long queue: what enqueue, claim and finish take with 100 to 100,000 jobs waiting, and how many
//! updates a second it writes down. `ci/bench load` builds and judges it; its folder is a temporary one where it is run.
//!
//! ```text
//! a store a length   jobs of up to 10,000 people are enqueued
//! then by turns      rounds of: enqueue, claim, deliver, finish, so that a slow second is one for all
//! stdout             NDJSON, a line a length and one for the inbox
//! ```

mod support;

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use kadr::job::Phase;
use kadr::store::{Enqueued, InboxUpdate, Journal, Outcome, Store};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::support::{CLAIM, ENGINE, QUEUE, parcel, request};

type Outcomes<T> = Result<T, Box<dyn Error>>;

const LENGTHS: [usize; 4] = [100, 1_000, 10_000, 100_000];
const PEOPLE_MAX: usize = 10_000;
/// The slowest hundredth are 40 then; of 1,000 rounds they are 10, and a ratio of two such moved between 1.2 and 1.6.
const ROUNDS: usize = 4_000;
/// As one answer of the platform brings them.
const UPDATES: usize = 100;

/// One operation's times.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    async fn take<T>(&mut self, work: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let done = work.await;
        self.0.push(began.elapsed());
        done
    }

    fn figures(&mut self) -> Value {
        self.0.sort();
        let at = |share: usize| self.0[(self.0.len() * share / 100).min(self.0.len() - 1)].as_secs_f64() * 1e3;
        json!({ "median_ms": at(50), "p99_ms": at(99) })
    }
}

async fn add(store: &Journal, number: usize, people: usize) -> Outcomes<()> {
    let update = i64::try_from(number)? + 1;
    match store.enqueue(update, request(number, people), QUEUE, ENGINE).await? {
        Enqueued::New { .. } => Ok(()),
        other => Err(format!("not accepted: {other:?}").into()),
    }
}

/// A store in which so many are waiting.
struct Queue {
    waiting: usize,
    people: usize,
    filled_s: f64,
    store: Journal,
    enqueue: Times,
    claim: Times,
    finish: Times,
    _folder: TempDir,
}

impl Queue {
    async fn filled(waiting: usize) -> Outcomes<Self> {
        let folder = tempfile::tempdir_in(".")?;
        let store = Journal::in_file(&folder.path().join("kadr.db")).await?;
        let people = waiting.min(PEOPLE_MAX);
        let began = Instant::now();
        for number in 0..waiting {
            add(&store, number, people).await?;
        }
        Ok(Self {
            waiting,
            people,
            filled_s: began.elapsed().as_secs_f64(),
            store,
            enqueue: Times::default(),
            claim: Times::default(),
            finish: Times::default(),
            _folder: folder,
        })
    }

    async fn round(&mut self, round: usize) -> Outcomes<()> {
        let store = &self.store;
        self.enqueue.take(add(store, self.waiting + round, self.people)).await?;
        let claimed = self.claim.take(store.claim(CLAIM)).await?.ok_or("nothing is waiting")?;
        let fence = claimed.fence;
        store.advance(fence, Phase::Deliver, Some(parcel())).await?;
        let outcome = Outcome::Succeeded {
            file_id: Some(format!("sent-{round}")),
        };
        self.finish.take(store.finish(fence, outcome, ENGINE)).await?;
        Ok(())
    }

    fn figures(&mut self) -> Value {
        json!({
            "type": "queue",
            "waiting": self.waiting,
            "people": self.people,
            "filled_s": self.filled_s,
            "enqueue": self.enqueue.figures(),
            "claim": self.claim.figures(),
            "finish": self.finish.figures(),
        })
    }
}

async fn inbox() -> Outcomes<Value> {
    let folder = tempfile::tempdir_in(".")?;
    let store = Journal::in_file(&folder.path().join("kadr.db")).await?;
    let payload = serde_json::to_string(&request(1, 1))?;
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(3) {
        let updates: Vec<InboxUpdate> = (count..count + UPDATES)
            .map(|number| {
                Ok(InboxUpdate {
                    update_id: i64::try_from(number)?,
                    payload: payload.clone(),
                })
            })
            .collect::<Outcomes<_>>()?;
        for update in store.record_updates(updates).await? {
            store.mark_handled(update.update_id).await?;
        }
        count += UPDATES;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = count as f64 / began.elapsed().as_secs_f64();
    Ok(json!({ "type": "inbox", "updates": count, "updates_per_s": rate }))
}

#[tokio::main]
async fn main() -> Outcomes<()> {
    let longest = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let mut out = std::io::stdout();
    let mut queues = Vec::new();
    for waiting in LENGTHS
        .into_iter()
        .filter(|length| longest.is_none_or(|longest| *length <= longest))
    {
        queues.push(Queue::filled(waiting).await?);
    }
    // What filling left to write is no part of what follows.
    rustix::fs::sync();
    for round in 0..ROUNDS {
        for queue in &mut queues {
            queue.round(round).await?;
        }
    }
    for queue in &mut queues {
        writeln!(out, "{}", queue.figures())?;
    }
    writeln!(out, "{}", inbox().await?)?;
    Ok(())
}
