//! The store against a model in memory: random sequences, the same answers and the same listing after each step.

use std::cell::RefCell;
use std::path::Path;

use kadr::job::{JobId, Phase, Reason, Status, UserId};
use kadr::store::{CancelAnswer, Claim, Enqueued, Outcome, QueueLimits, Store};
use proptest::prelude::*;
use tempfile::TempDir;

use super::place::empty;
use super::{ENGINE, ONE_EACH, open, request};

const LIMITS: QueueLimits = QueueLimits {
    per_user_max: 3,
    total_max: 6,
    per_day_max: None,
};

#[derive(Clone, Debug)]
enum Step {
    Enqueue { user: i64, file: u8 },
    Claim,
    Convert(usize),
    Fail(usize),
    Release { pick: usize, count: bool },
    Cancel(usize),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_i64, 0..4_u8).prop_map(|(user, file)| Step::Enqueue { user, file }),
        4 => Just(Step::Claim),
        2 => (0..8_usize).prop_map(Step::Convert),
        2 => (0..8_usize).prop_map(Step::Fail),
        1 => (0..8_usize, any::<bool>()).prop_map(|(pick, count)| Step::Release { pick, count }),
        1 => (0..20_usize).prop_map(Step::Cancel),
        1 => Just(Step::Crash),
    ]
}

#[derive(Clone, Debug)]
struct Known {
    id: JobId,
    user: i64,
    file: u8,
    turn: u64,
    claimed: bool,
    status: Status,
    converting: bool,
    suspect: bool,
    crashes: u32,
    attempt: u32,
}

#[derive(Default)]
struct Model {
    jobs: Vec<Known>,
    clock: u64,
    refused: Vec<u8>,
}

impl Model {
    fn with(&self, status: Status) -> impl Iterator<Item = &Known> {
        self.jobs.iter().filter(move |job| job.status == status)
    }

    fn alive(&self) -> impl Iterator<Item = &Known> {
        self.jobs.iter().filter(|job| !job.status.is_terminal())
    }

    fn answer(&self, user: i64, file: u8) -> &'static str {
        let own = self.with(Status::Queued).filter(|job| job.user == user).count();
        if self.alive().any(|job| job.user == user && job.file == file) {
            "duplicate"
        } else if self.refused.contains(&file) {
            "quarantined"
        } else if own >= 3 {
            "user full"
        } else if self.with(Status::Queued).count() >= 6 {
            "full"
        } else {
            "new"
        }
    }

    fn next(&self) -> Option<JobId> {
        if self.with(Status::Running).any(|job| job.suspect) {
            return None;
        }
        let suspects = self.with(Status::Queued).filter(|job| job.suspect);
        if let Some(suspect) = suspects.min_by_key(|job| (job.turn, job.id)) {
            return self.with(Status::Running).next().is_none().then_some(suspect.id);
        }
        // A file that is being made for somebody waits for that result.
        let busy = |user, file| {
            self.with(Status::Running)
                .any(|job| job.user == user || job.file == file)
        };
        self.with(Status::Queued)
            .filter(|job| !busy(job.user, job.file))
            .min_by_key(|job| (job.turn, job.id))
            .map(|job| job.id)
    }

    fn get(&mut self, id: JobId) -> &mut Known {
        self.jobs.iter_mut().find(|job| job.id == id).unwrap()
    }

    fn crash(&mut self) {
        for job in self.jobs.iter_mut().filter(|job| job.status == Status::Running) {
            job.status = Status::Queued;
            if job.converting {
                job.crashes += 1;
                job.suspect = true;
                if job.crashes >= 2 {
                    self.refused.push(job.file);
                }
            }
        }
        for job in self.jobs.iter_mut().filter(|job| job.status == Status::Queued) {
            if self.refused.contains(&job.file) {
                job.status = Status::Quarantined;
            }
        }
    }
}

#[expect(
    clippy::too_many_lines,
    reason = "one arm a step reads better than a function a step"
)]
async fn play(folder: &Path, steps: Vec<Step>) {
    let mut store = open(folder).await;
    let mut model = Model::default();
    let mut claims: Vec<Claim> = Vec::new();
    for (update, step) in (0_i64..).zip(steps) {
        match step {
            Step::Enqueue { user, file } => {
                let expected = model.answer(user, file);
                let answer = store
                    .enqueue(update, request(user, &file.to_string()), LIMITS, ENGINE)
                    .await
                    .unwrap();
                let word = match &answer {
                    Enqueued::New { .. } => "new",
                    Enqueued::Duplicate { .. } => "duplicate",
                    Enqueued::UserQueueFull { .. } => "user full",
                    Enqueued::QueueFull { .. } => "full",
                    Enqueued::Quarantined => "quarantined",
                    other => panic!("{other:?}"),
                };
                assert_eq!(word, expected);
                if let Enqueued::New { job, .. } = answer {
                    let last = model
                        .jobs
                        .iter()
                        .filter(|known| known.user == user && (known.claimed || known.status == Status::Queued))
                        .map(|known| known.turn)
                        .max();
                    let turn = (last.unwrap_or(0) + 1).max(model.clock.saturating_sub(1));
                    let (id, status) = (job.id, Status::Queued);
                    let (converting, suspect, crashes, attempt) = (false, false, 0, 0);
                    model.jobs.push(Known {
                        id,
                        user,
                        file,
                        turn,
                        claimed: false,
                        status,
                        converting,
                        suspect,
                        crashes,
                        attempt,
                    });
                }
            }
            Step::Claim => {
                let claim = store.claim(ONE_EACH).await.unwrap();
                assert_eq!(claim.as_ref().map(|claim| claim.job.id), model.next());
                if let Some(claim) = claim {
                    let job = model.get(claim.job.id);
                    job.status = Status::Running;
                    job.attempt += 1;
                    assert_eq!((claim.suspect, claim.job.attempt), (job.suspect, job.attempt));
                    let turn = job.turn;
                    job.claimed = true;
                    model.clock = model.clock.max(turn);
                    claims.push(claim);
                }
            }
            Step::Convert(pick) if !claims.is_empty() => {
                let claim = &claims[pick % claims.len()];
                store.advance(claim.fence, Phase::Convert, None).await.unwrap();
                model.get(claim.job.id).converting = true;
            }
            Step::Fail(pick) if !claims.is_empty() => {
                let claim = claims.remove(pick % claims.len());
                store
                    .finish(
                        claim.fence,
                        Outcome::Failed {
                            reason: Reason::Internal,
                        },
                        ENGINE,
                    )
                    .await
                    .unwrap();
                model.get(claim.job.id).status = Status::Failed;
            }
            Step::Release { pick, count } if !claims.is_empty() => {
                let claim = claims.remove(pick % claims.len());
                let job = model.get(claim.job.id);
                let phase = if job.converting { Phase::Convert } else { Phase::Fetch };
                store.release(claim.fence, phase, 0, count).await.unwrap();
                job.status = Status::Queued;
                job.attempt -= u32::from(!count);
            }
            Step::Cancel(pick) if !model.jobs.is_empty() => {
                let known = model.jobs[pick % model.jobs.len()].clone();
                let answer = store.cancel(known.id, Some(UserId(known.user))).await.unwrap();
                match known.status {
                    Status::Queued => {
                        assert!(matches!(answer, CancelAnswer::Canceled(_)));
                        model.get(known.id).status = Status::Canceled;
                    }
                    Status::Running => {
                        assert!(matches!(answer, CancelAnswer::Asked(_)));
                        let at = claims.iter().position(|claim| claim.job.id == known.id).unwrap();
                        store
                            .finish(claims.remove(at).fence, Outcome::Canceled, ENGINE)
                            .await
                            .unwrap();
                        model.get(known.id).status = Status::Canceled;
                    }
                    _ => assert!(matches!(answer, CancelAnswer::AlreadyOver(_))),
                }
            }
            Step::Crash => {
                drop(store);
                store = open(folder).await;
                store
                    .recover(claims.iter().map(|claim| claim.job.id).collect())
                    .await
                    .unwrap();
                for claim in claims.drain(..) {
                    assert!(
                        store.finish(claim.fence, Outcome::Canceled, ENGINE).await.is_err(),
                        "fenced"
                    );
                }
                model.crash();
            }
            _ => {}
        }
        let listed = store
            .queue(100)
            .await
            .unwrap()
            .into_iter()
            .map(|entry| (entry.job.id, entry.job.status));
        let mut listed: Vec<_> = listed.collect();
        let mut open = store.open_jobs().await.unwrap();
        open.sort();
        let waiting = listed.iter().filter(|(_, status)| *status == Status::Queued).count();
        assert_eq!(
            store.totals().await.unwrap().queued,
            waiting as u64,
            "counted by triggers"
        );
        listed.sort_by_key(|(id, _)| *id);
        assert_eq!(open, listed.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        assert_eq!(
            listed,
            model.alive().map(|job| (job.id, job.status)).collect::<Vec<_>>()
        );
    }
}

/// How many sequences are played: by `KADR_MODEL_CASES`, else a few.
fn cases() -> u32 {
    std::env::var("KADR_MODEL_CASES").map_or(100, |text| text.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn store_answers_like_its_model(steps in prop::collection::vec(step(), 1..40)) {
        thread_local! { static FOLDER: RefCell<Option<TempDir>> = const { RefCell::new(None) } }
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let folder = match FOLDER.take() {
                Some(folder) => empty(folder).await,
                None => tempfile::tempdir().unwrap(),
            };
            play(folder.path(), steps).await;
            FOLDER.set(Some(folder));
        });
    }
}
