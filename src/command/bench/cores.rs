//! How long the cores of the machine stand idle, by the kernel's own count (`/proc/stat`). Processor time of one program says
//! less: what interrupts and other programs take of a core is no time that it stood idle.

use std::fs;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

/// How often the kernel is asked; each time takes it some 10 µs.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What all cores together had stood idle since the machine was started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Look {
    /// When, since the watch began, seconds.
    at_s: f64,
    idle_s: f64,
}

/// Looks until it is told to stop, and once more; nothing where the kernel does not say.
pub(super) fn watch(stop: &AtomicBool, began: Instant) -> Vec<Look> {
    let mut looks = Vec::new();
    loop {
        let last = stop.load(Relaxed);
        let Some(idle_s) = fs::read_to_string("/proc/stat").ok().as_deref().and_then(idle_s) else {
            return Vec::new();
        };
        let at_s = began.elapsed().as_secs_f64();
        looks.push(Look { at_s, idle_s });
        if last {
            return looks;
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Cores that stood idle from one moment to another; `None` where that was not watched.
pub(super) fn idle(looks: &[Look], from_s: f64, to_s: f64) -> Option<f64> {
    let idle_s = at(looks, to_s)? - at(looks, from_s)?;
    (to_s > from_s).then(|| idle_s / (to_s - from_s))
}

/// Between two looks it is taken to have grown evenly.
fn at(looks: &[Look], at_s: f64) -> Option<f64> {
    let next = looks.iter().position(|look| look.at_s >= at_s)?;
    let (before, after) = (looks.get(next.checked_sub(1)?)?, looks[next]);
    let share = (at_s - before.at_s) / (after.at_s - before.at_s);
    Some(before.idle_s + share * (after.idle_s - before.idle_s))
}

/// The fourth and fifth count of the first line: idle, and idle with a disk at work.
fn idle_s(stat: &str) -> Option<f64> {
    let counts = stat.lines().next()?.strip_prefix("cpu ")?;
    let mut counts = counts.split_whitespace().skip(3).map(str::parse::<f64>);
    let ticks = counts.next()?.ok()? + counts.next()?.ok()?;
    #[expect(clippy::cast_precision_loss, reason = "100 or 1000")]
    let ticks_per_s = rustix::param::clock_ticks_per_second() as f64;
    Some(ticks / ticks_per_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_that_of_all_cores_with_and_without_a_disk() {
        let stat = "cpu  100 0 20 3000 45 0 6 0 0 0\ncpu0 50 0 10 1500 20 0 3 0 0 0\nintr 1\n";
        let ticks_per_s = f64::from(u32::try_from(rustix::param::clock_ticks_per_second()).unwrap());
        assert_eq!(idle_s(stat), Some(3045.0 / ticks_per_s));
        assert_eq!(idle_s("intr 1\n"), None);
    }

    #[test]
    fn a_stretch_between_looks_has_its_share_of_them() {
        let looks = [(0.0, 10.0), (1.0, 12.0), (2.0, 12.0), (3.0, 13.0)].map(|(at_s, idle_s)| Look { at_s, idle_s });
        assert_eq!(idle(&looks, 1.0, 2.0), Some(0.0));
        assert_eq!(idle(&looks, 0.5, 1.5), Some(1.0));
        assert_eq!(idle(&looks, 0.5, 3.0), Some(0.8));
        assert_eq!(idle(&looks, 2.0, 3.5), None);
        assert_eq!(idle(&looks, 2.0, 2.0), None);
    }
}
