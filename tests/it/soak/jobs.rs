//! Many jobs in one process, of every kind, a tenth cancelled and a tenth that cannot be converted. Looked at from
//! outside, between the jobs: memory, open descriptors and threads.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Crowd, Kind, Served, Stands, asked_for, say};

/// Beyond the first samples: caches fill.
const WARM: usize = 50;
/// Jobs from one look at the process to the next.
const STEP: usize = 50;
const OPEN_MAX: usize = 8;
/// What a job may leave in memory, bytes.
const SLOPE_MAX: f64 = 1024.0;
/// Freed memory waits two seconds for the next job; then it is not the process's any more.
const GIVEN_BACK: Duration = Duration::from_secs(4);
/// By how much a process at rest may differ from one at rest after fewer jobs, bytes.
const AT_REST_MAX: u64 = 32 << 20;
/// Longest wait until pools have let go of what they do not use.
const SETTLED: Duration = Duration::from_secs(120);
/// Of twenty jobs two fail, and two are cancelled.
const KINDS: [Kind; 20] = [
    Kind::Note,
    Kind::Remux,
    Kind::Voice,
    Kind::Long,
    Kind::Known,
    Kind::Remux,
    Kind::Wrong,
    Kind::Note,
    Kind::Voice,
    Kind::Remux,
    Kind::Known,
    Kind::Note,
    Kind::Long,
    Kind::Album,
    Kind::Remux,
    Kind::Wrong,
    Kind::Voice,
    Kind::Known,
    Kind::Remux,
    Kind::Note,
];

/// The process between two jobs.
#[derive(Debug, Clone, Copy)]
struct Sample {
    jobs: usize,
    resident_bytes: u64,
    descriptors: usize,
    threads: usize,
}

fn sample(bot: &Served, jobs: usize) -> Sample {
    let process = PathBuf::from(format!("/proc/{}", bot.id()));
    let status = std::fs::read_to_string(process.join("status")).unwrap();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    Sample {
        jobs,
        resident_bytes: of("VmRSS:") * 1024,
        descriptors: std::fs::read_dir(process.join("fd")).unwrap().count(),
        threads: usize::try_from(of("Threads:")).unwrap(),
    }
}

/// Bytes a job, by least squares.
fn slope(samples: &[Sample]) -> f64 {
    let count = samples.len() as f64;
    let mean = |of: &dyn Fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (jobs, bytes) = (mean(&|s| s.jobs as f64), mean(&|s| s.resident_bytes as f64));
    let along: f64 = samples
        .iter()
        .map(|s| (s.jobs as f64 - jobs) * (s.resident_bytes as f64 - bytes))
        .sum();
    let across: f64 = samples.iter().map(|s| (s.jobs as f64 - jobs).powi(2)).sum();
    if across > 0.0 { along / across } else { 0.0 }
}

/// Presses Cancel on what takes long, once it is being converted.
fn cancel(crowd: &Crowd) {
    for asked in crowd.open.iter().map(|at| &crowd.asked[*at]) {
        if asked.kind != Kind::Long {
            continue;
        }
        for message in crowd.playground.chat(asked.chat) {
            let of_it = message.reply_to == asked.messages.first().copied() && message.text.contains("Converting");
            let button = message
                .buttons
                .iter()
                .flatten()
                .find(|(_, data)| data.starts_with("x:"));
            if let (true, Some((_, data))) = (of_it, button) {
                let _pressed = crowd.playground.press_on(asked.chat, asked.chat, message.id, data);
            }
        }
    }
}

/// Plays so many more jobs, to their ends, and waits until the process has nothing that it keeps for the next one.
async fn play(crowd: &mut Crowd, more: usize) {
    let until = crowd.asked.len() + more;
    let mut moved = Instant::now();
    loop {
        let before = crowd.open.len();
        let open = crowd.look();
        if open < before {
            moved = Instant::now();
        }
        assert!(
            moved.elapsed() < Duration::from_secs(120),
            "nothing ends any more, {open} jobs are open"
        );
        if crowd.asked.len() == until && open == 0 {
            tokio::time::sleep(GIVEN_BACK).await;
            return;
        }
        if crowd.asked.len() < until && open < OPEN_MAX {
            crowd.send(KINDS[crowd.asked.len() % KINDS.len()]);
        }
        cancel(crowd);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_takes_no_more_after_many_jobs_than_after_some() {
    let asked = asked_for("jobs");
    let full = asked.is_some();
    let (jobs, time_max) = asked.unwrap_or((60, Duration::from_secs(600)));
    let began = Instant::now();
    let mut crowd = Crowd::new(2).await;
    let mut bot = crowd.serve(&[]);
    assert!(crowd.until_it_answers(&mut bot).await, "it does not answer");
    play(&mut crowd, if full { WARM } else { 20 }).await;
    let mut samples = vec![sample(&bot, crowd.asked.len())];
    while crowd.asked.len() < jobs && began.elapsed() < time_max {
        let step = STEP.min(jobs - crowd.asked.len());
        play(&mut crowd, step).await;
        samples.push(sample(&bot, crowd.asked.len()));
        if full {
            say(&format!("{:?}", samples[samples.len() - 1]));
        }
    }
    let (first, began) = (samples[0], Instant::now());
    let last = loop {
        let now = sample(&bot, crowd.asked.len());
        if (now.descriptors <= first.descriptors && now.threads <= first.threads) || began.elapsed() > SETTLED {
            break now;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    bot.kill().unwrap();
    bot.wait().unwrap();

    let all = crowd.all();
    let stood = crowd.standings(&all);
    let of = |kind: &dyn Fn(Kind) -> bool, how: &Stands| {
        let both = all.iter().zip(&stood);
        both.filter(|(at, stands)| kind(crowd.asked[**at].kind) && *stands == how)
            .count()
    };
    let ordinary = |kind| !matches!(kind, Kind::Wrong | Kind::Long);
    let rest = stood.len() - all.iter().filter(|at| !ordinary(crowd.asked[**at].kind)).count();
    let (delivered, cancelled) = (
        of(&ordinary, &Stands::Delivered),
        of(&|kind| kind == Kind::Long, &Stands::Told),
    );
    let failed = of(&|kind| kind == Kind::Wrong, &Stands::Told);
    let slope = slope(&samples);
    let held = last.descriptors <= first.descriptors
        && last.threads <= first.threads
        && last.resident_bytes <= first.resident_bytes + AT_REST_MAX;
    // What so few jobs leave says nothing of what many leave: that is for `ci/soak`.
    let ok = delivered == rest && held && (!full || (slope < SLOPE_MAX && crowd.asked.len() == jobs));
    let line = format!(
        "soak jobs: {}, {} jobs, {delivered} of {rest} delivered, {cancelled} cancelled, {failed} failed; {slope:.0} bytes a job \
         stay in memory (allowed {SLOPE_MAX:.0}), {} -> {} MiB, descriptors {} -> {}, threads {} -> {}",
        if ok { "ok" } else { "fell short" },
        crowd.asked.len(),
        first.resident_bytes >> 20,
        last.resident_bytes >> 20,
        first.descriptors,
        last.descriptors,
        first.threads,
        last.threads,
    );
    if full || !ok {
        crowd.print_open();
        say(&line);
    }
    assert!(ok, "{line}");
}
