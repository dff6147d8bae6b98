//! SIGTERM at random moments with jobs in flight: it leaves with 0 within the grace time and 2 s, and nothing is lost. A
//! job that is cut short more often than a crash would be forgiven comes to its end all the same: it was not its fault.

use std::process::Command;
use std::time::{Duration, Instant};

use super::{Crowd, Kind, Stands, asked_for, percentile, say};

const GRACE: Duration = Duration::from_secs(1);
/// Beyond the grace time.
const LEAVES_WITHIN: Duration = Duration::from_secs(2);
const JOBS: usize = 8;
const SETTINGS: [(&str, &str); 2] = [("KADR_GRACE", "1"), ("KADR_JOBS", "8")];
const KINDS: [Kind; 4] = [Kind::Long, Kind::Note, Kind::Remux, Kind::Album];

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_is_asked_to_leave_leaves_in_time_and_loses_nothing() {
    let asked = asked_for("term");
    let full = asked.is_some();
    let (terms, time_max) = asked.unwrap_or((3, Duration::from_secs(600)));
    let began = Instant::now();
    let mut crowd = Crowd::new(1).await;
    let (mut leaves, mut wrong, mut in_flight) = (Vec::new(), Vec::new(), 0);
    while leaves.len() < terms && began.elapsed() < time_max {
        while crowd.look() < JOBS {
            crowd.send(KINDS[crowd.asked.len() % KINDS.len()]);
        }
        let mut bot = crowd.serve(&SETTINGS);
        assert!(crowd.until_it_answers(&mut bot).await, "it does not answer");
        let moment = Duration::from_millis(crowd.draw(1500));
        tokio::time::sleep(moment).await;
        in_flight += crowd.look();
        let told = Instant::now();
        let sent = Command::new("kill").args(["-TERM", &bot.id().to_string()]).status();
        assert!(sent.unwrap().success());
        let status = loop {
            if let Some(status) = bot.try_wait().unwrap() {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        leaves.push(told.elapsed());
        if status.code() != Some(0) {
            wrong.push(format!("{status}"));
        }
    }
    crowd.rest(&SETTINGS).await;

    let stood = crowd.standings(&crowd.all());
    let count = |is: fn(&Stands) -> bool| stood.iter().filter(|stands| is(stands)).count();
    let (delivered, twice) = (
        count(|stands| *stands == Stands::Delivered),
        count(|stands| matches!(stands, Stands::Twice(_))),
    );
    let stopped = leaves.len();
    let (median, longest) = (percentile(&mut leaves, 50), percentile(&mut leaves, 100));
    let lost = stood.len() - delivered - twice;
    // How fast is for `ci/soak` on a machine that does nothing else.
    let in_time = stopped == terms && longest <= GRACE + LEAVES_WITHIN;
    let ok = lost == 0 && twice == 0 && wrong.is_empty() && (in_time || !full);
    let line = format!(
        "soak term: {}, {stopped} times asked to leave with {} jobs in flight each: left within {} ms ({} ms median; allowed \
         {} ms), {} not with 0; {} requests: {lost} without their video, {twice} videos twice",
        if ok { "ok" } else { "fell short" },
        in_flight.checked_div(stopped).unwrap_or_default(),
        longest.as_millis(),
        median.as_millis(),
        (GRACE + LEAVES_WITHIN).as_millis(),
        wrong.len(),
        stood.len(),
    );
    if full || !ok {
        crowd.print_open();
        say(&line);
    }
    assert!(ok, "{line}: {wrong:?}");
}
