//! How far one PostgreSQL database carries: the journal under as many workers as there are, and what follows from it for hosts.
//! `ci/growth` starts a server, builds and judges it.
//!
//! ```text
//! measured   workers that convert nothing take jobs through all their calls as fast as the database lets them: jobs a second
//! simulated  hosts whose conversions take as long as those that were measured (a file of seconds, one a line), before a
//!            database that does so many jobs a second: what they do together, and how long a file waits
//! stdout     NDJSON, a line each
//! ```

mod support;

use std::collections::BinaryHeap;
use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kadr::job::Phase;
use kadr::store::{Journal, Outcome, Store};
use serde_json::{Value, json};

use self::support::{CLAIM, ENGINE, QUEUE, parcel, request};

type Outcomes<T> = Result<T, Box<dyn Error + Send + Sync>>;

const WORKERS: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// So long each number of workers is measured.
const MEASURED: Duration = Duration::from_secs(6);
const HOSTS: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
/// Conversions at once of a simulated host: seconds are measured with the whole host to one conversion.
const SLOTS: usize = 1;
/// Files of one simulation, after as many that only fill it.
const FILES: usize = 20_000;
/// Of what the hosts could do, so much comes.
const LOAD: f64 = 0.8;
/// Waiting jobs of the measurement, and the people who sent them.
const WAITING: usize = 200;
const PEOPLE: usize = 5000;
/// One worker: all calls of a job but its conversion, and a new job for each that it ends.
async fn work(store: Journal, number: Arc<AtomicUsize>, until: Instant) -> Outcomes<(usize, Vec<Duration>)> {
    let (mut done, mut claims) = (0, Vec::new());
    while Instant::now() < until {
        let began = Instant::now();
        let Some(claim) = store.claim(CLAIM).await? else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        claims.push(began.elapsed());
        store.cancel_requests().await?;
        store.advance(claim.fence, Phase::Fetch, None).await?;
        store.advance(claim.fence, Phase::Convert, None).await?;
        store.advance(claim.fence, Phase::Deliver, Some(parcel())).await?;
        store.record_send_intent(claim.job.id).await?;
        let file_id = Some("sent".to_owned());
        store
            .finish(claim.fence, Outcome::Succeeded { file_id }, ENGINE)
            .await?;
        done += 1;
        let next = number.fetch_add(1, Ordering::Relaxed);
        store
            .enqueue(i64::try_from(next)?, request(next, PEOPLE), QUEUE, ENGINE)
            .await?;
    }
    Ok((done, claims))
}

async fn measure(url: &str, workers: usize, number: &Arc<AtomicUsize>) -> Outcomes<Value> {
    let folder = tempfile::tempdir()?;
    let mut stores = Vec::new();
    for worker in 0..workers {
        stores.push(Journal::on_server(url, &folder.path().join(format!("w{worker}"))).await?);
    }
    let until = Instant::now() + MEASURED;
    let tasks: Vec<_> = stores
        .iter()
        .map(|store| tokio::spawn(work(store.clone(), Arc::clone(number), until)))
        .collect();
    let (mut done, mut claims) = (0, Vec::new());
    for task in tasks {
        let (of_one, times) = task.await??;
        done += of_one;
        claims.extend(times);
    }
    for store in &stores {
        store.end_cleanly().await?;
    }
    claims.sort();
    let at = |share: usize| claims[(claims.len() * share / 100).min(claims.len() - 1)].as_secs_f64() * 1e3;
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = done as f64 / MEASURED.as_secs_f64();
    Ok(json!({
        "type": "measured",
        "workers": workers,
        "jobs_per_s": rate,
        "claim_median_ms": at(50),
        "claim_p99_ms": at(99),
    }))
}

/// splitmix64.
struct Draws(u64);

impl Draws {
    /// Uniform in 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a draw")]
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A moment that orders as its number does.
#[derive(Clone, Copy, PartialEq)]
struct At(f64);

impl Eq for At {}

impl PartialOrd for At {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for At {
    /// The earliest is the greatest: a heap gives it first.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.0.total_cmp(&self.0)
    }
}

/// Files come by chance (exponential gaps) at `LOAD` of what the slots can do; each waits for the database, one after the
/// other, and then for a slot.
#[expect(clippy::cast_precision_loss, reason = "rates for people")]
fn simulate(hosts: usize, services_s: &[f64], database_per_s: f64) -> Value {
    let mut draws = Draws(hosts as u64);
    let mean_s = services_s.iter().sum::<f64>() / services_s.len() as f64;
    let slots = hosts * SLOTS;
    let offered_per_s = LOAD * slots as f64 / mean_s;
    let mut free: BinaryHeap<At> = (0..slots).map(|_| At(0.0)).collect();
    let (mut now, mut database_free, mut last) = (0.0, 0.0_f64, 0.0_f64);
    let mut began = 0.0;
    let mut waits = Vec::with_capacity(FILES);
    for file in 0..2 * FILES {
        now += -(1.0 - draws.share()).ln() / offered_per_s;
        database_free = database_free.max(now) + 1.0 / database_per_s;
        let At(slot) = free.pop().unwrap_or(At(0.0));
        let start = slot.max(database_free);
        let at = draws.next() % services_s.len() as u64;
        let end = start + services_s[usize::try_from(at).unwrap_or(0)];
        free.push(At(end));
        if file == FILES {
            began = last;
        }
        if file >= FILES {
            waits.push(start - now);
        }
        last = last.max(end);
    }
    waits.sort_by(f64::total_cmp);
    json!({
        "type": "simulated",
        "hosts": hosts,
        "slots": slots,
        "offered_per_s": offered_per_s,
        "done_per_s": FILES as f64 / (last - began),
        "database_busy": (offered_per_s / database_per_s).min(1.0),
        "wait_median_s": waits[FILES / 2],
        "wait_p99_s": waits[FILES * 99 / 100],
    })
}

#[tokio::main]
async fn main() -> Outcomes<()> {
    let url = std::env::var("KADR_TEST_POSTGRES")?;
    let services = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let services = std::fs::read_to_string(services.ok_or("a file of seconds is missing")?)?;
    let services_s: Vec<f64> = services.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let mut out = std::io::stdout();
    let folder = tempfile::tempdir()?;
    let store = Journal::on_server(&url, folder.path()).await?;
    let number = Arc::new(AtomicUsize::new(1));
    for _ in 0..WAITING {
        let next = number.fetch_add(1, Ordering::Relaxed);
        store
            .enqueue(i64::try_from(next)?, request(next, PEOPLE), QUEUE, ENGINE)
            .await?;
    }
    let mut most = 0.0_f64;
    for workers in WORKERS {
        let line = measure(&url, workers, &number).await?;
        most = most.max(line["jobs_per_s"].as_f64().unwrap_or(0.0));
        writeln!(out, "{line}")?;
    }
    for hosts in HOSTS {
        writeln!(out, "{}", simulate(hosts, &services_s, most))?;
    }
    Ok(())
}
