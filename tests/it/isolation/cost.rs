//! What a process for each piece of work costs against a thread.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use kadr::media::isolation::{Errand, Nursery};
use kadr::media::{Confine, Control};

use super::nursery;
use crate::support::bot::WAIT;
use crate::support::{playable_mkv, shipped_clip};

/// One conversion: until its first packet was written, and until it was over with its thumbnail.
fn timed(nursery: Option<&Nursery>, source: &Path) -> (Duration, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let order = serde_json::json!({
        "source": source,
        "what": {"Convert": {
            "wish": "play",
            "output": folder.path().join("output.mp4"),
            "thumbnail": folder.path().join("thumbnail.jpg"),
        }},
        "caps": kadr::media::Caps::without_gpus(),
        "limits": kadr::media::Limits::default(),
    });
    let errand = Errand {
        source,
        folder: Some(folder.path()),
        gpu: false,
        confine: Confine::Auto,
        limit: WAIT * 10,
    };
    let control = Control::new(None);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            while control.gauge().read().out_bytes == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            began.elapsed()
        });
        match nursery {
            Some(nursery) => drop(nursery.ask::<_, serde_json::Value>(&errand, &order, &control).unwrap()),
            None => drop(kadr::worker::work(serde_json::from_value(order).unwrap(), &control).unwrap()),
        }
        let whole = began.elapsed();
        assert!(folder.path().join("thumbnail.jpg").exists());
        (first.join().unwrap(), whole)
    })
}

/// `ci/isolation` shows it; `KADR_ISOLATION_RUNS` says how often each is done, in turns.
#[test]
#[ignore = "a measurement"]
fn what_a_process_costs() {
    let runs: usize = std::env::var("KADR_ISOLATION_RUNS").map_or(3, |runs| runs.parse().unwrap());
    let (nursery, mut worst) = (nursery(), Duration::ZERO);
    for (name, source) in [("copied", playable_mkv()), ("encoded", shipped_clip())] {
        let mut threads = (Vec::new(), Vec::new());
        let mut processes = (Vec::new(), Vec::new());
        for _ in 0..runs {
            for (into, nursery) in [(&mut threads, None), (&mut processes, Some(&*nursery))] {
                let (first, whole) = timed(nursery, &source);
                into.0.push(first);
                into.1.push(whole);
            }
        }
        let median = |mut times: Vec<Duration>| {
            times.sort_unstable();
            times[times.len() / 2]
        };
        let (first, whole) = (median(threads.0), median(threads.1));
        let (first_apart, whole_apart) = (median(processes.0), median(processes.1));
        worst = worst.max(whole_apart.saturating_sub(whole));
        let line = format!(
            "{name}: first packet {} ms on a thread, {} ms in a process; whole {} ms, {} ms (medians of {runs})\n",
            first.as_millis(),
            first_apart.as_millis(),
            whole.as_millis(),
            whole_apart.as_millis(),
        );
        // Past the test harness, which would keep it to itself.
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    assert!(worst < Duration::from_secs(1), "a process costs {worst:?} (limit 1 s)");
}
