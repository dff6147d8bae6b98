//! The engine from the worker's side: the one door from async to blocking, and its report in the job's words.
//!
//! The engine looks at its deadline and at the cancel flag between packets. A decoder that is inside one packet for ever
//! cannot be stopped from outside, for it is a thread of this process: its job ends in time all the same, and the slot
//! stays taken until the thread comes back or the operator restarts kadr. The log says how many are lost. Where the engine has
//! a process of its own (`isolated`) it is killed, and none is lost.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::{Options, heap, isolated};
use crate::crash::{point, point_soon};
use crate::job::{JobId, Outlook, Parcel, ParcelKind, Reason, Seen, Wish};
use crate::media::{self, Caps, Control, Limits, Look, MediaError, Preset, Recipe, Report, last_words};
use crate::workdir::Scratch;

/// How much lower conversions stand than the chat; 19 is the lowest.
const NICE: i32 = 10;

/// What the engine gets beyond its own time limit before its job goes on without it.
const BEYOND_LIMIT: Duration = Duration::from_secs(2);
/// After a cancel, which it hears within half a second on a machine that is not overrun.
const BEYOND_CANCEL: Duration = Duration::from_secs(10);

/// How many engines were given up and have not come back.
#[derive(Clone, Debug, Default)]
pub(super) struct Lost(Arc<AtomicU64>);

/// One run of the engine: whether it ended or was given up, whichever came first.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    lost: Lost,
    settled: Arc<AtomicBool>,
}

impl Watch {
    pub(super) fn new(lost: &Lost) -> Self {
        Self {
            lost: lost.clone(),
            settled: Arc::default(),
        }
    }

    fn give_up(&self) {
        if !self.settled.swap(true, Relaxed) {
            let lost = self.lost.0.fetch_add(1, Relaxed) + 1;
            tracing::error!(
                lost,
                "the engine does not come back; restart kadr to have its thread and slot again"
            );
        }
    }

    fn ended(&self) {
        if self.settled.swap(true, Relaxed) {
            let lost = self.lost.0.fetch_sub(1, Relaxed) - 1;
            tracing::warn!(lost, "an engine that was given up came back");
        }
    }
}

/// The only holder besides us is the closure of the engine.
pub(super) async fn wait_for_engine(permit: &Arc<OwnedSemaphorePermit>, watch: &Watch) {
    let let_go = async {
        while Arc::strong_count(permit) > 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(BEYOND_CANCEL, let_go).await.is_err() {
        watch.give_up();
    }
}

/// The one door to blocking code, which has `limit` as its own deadline.
async fn in_time<T: Send + 'static>(
    doing: &'static str,
    limit: Duration,
    watch: Watch,
    work: impl FnOnce() -> Result<T, MediaError> + Send + 'static,
) -> Result<T, MediaError> {
    let within = watch.clone();
    let work = move || {
        let in_use = heap::in_use();
        let outcome = work();
        drop(in_use);
        within.ended();
        outcome
    };
    match tokio::time::timeout(limit.saturating_add(BEYOND_LIMIT), tokio::task::spawn_blocking(work)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Err(MediaError::Engine {
            doing,
            what: error.to_string(),
        }),
        Err(_) => {
            watch.give_up();
            Err(MediaError::TimeLimit {
                limit_s: limit.as_secs(),
            })
        }
    }
}

/// The permit rides in the closure: a dropped future does not free the slot while the engine still runs.
pub(super) async fn convert_blocking(
    job: JobId,
    scratch: Scratch,
    recipe: Recipe,
    options: Arc<Options>,
    control: Control,
    permit: Arc<OwnedSemaphorePermit>,
    watch: Watch,
) -> Result<Report, MediaError> {
    let span = tracing::Span::current();
    in_time("convert", options.time_limit, watch, move || {
        // Where the engine has a process of its own, this one does not die of it.
        let _named = options.nursery.is_none().then(|| last_words::name(job.0));
        let report = below_the_chat(|| {
            let _entered = span.entered();
            convert_with_thumbnail(&scratch, &recipe, &options, &control)
        });
        drop(permit);
        report
    })
    .await
}

/// Runs the engine on a thread of its own, which the threads of the engine take after: with every core busy, handlers
/// still answer within milliseconds. A thread of the pool would keep the priority for whatever comes next.
pub(super) fn below_the_chat<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let lowered = || {
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!(%error, "the conversion keeps the priority of the chat");
        }
        work()
    };
    std::thread::scope(|scope| scope.spawn(lowered).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn convert_with_thumbnail(
    scratch: &Scratch,
    recipe: &Recipe,
    options: &Options,
    control: &Control,
) -> Result<Report, MediaError> {
    let machine = &options.machine;
    let report = if let Some(nursery) = &options.nursery {
        let report = isolated::convert(nursery, scratch, recipe, options, control)?;
        report
            .fallbacks
            .iter()
            .for_each(|fallback| machine.doubt_from_elsewhere(fallback));
        report
    } else {
        let files = (&*scratch.source, &*scratch.output, &*scratch.thumbnail);
        let report = make(files, recipe, &machine.caps(), &options.limits, control)?;
        report.fallbacks.iter().for_each(|fallback| machine.doubt(fallback.gpu));
        report
    };
    machine.experience().learn(recipe, &report);
    Ok(report)
}

/// Makes an output and its thumbnail of a source: in this process, or in that of an engine.
pub(super) fn make(
    (source, output, thumbnail): (&Path, &Path, &Path),
    recipe: &Recipe,
    caps: &Caps,
    limits: &Limits,
    control: &Control,
) -> Result<Report, MediaError> {
    point_soon("converting", source);
    let report = media::convert(source, output, recipe, caps, limits, control)?;
    point("renamed");
    if report.width > 0
        && recipe.preset.extension() == "mp4"
        && let Err(error) = media::thumbnail::thumbnail(output, thumbnail, limits.confine, control)
    {
        tracing::warn!(%error, "no thumbnail");
    }
    Ok(report)
}

/// What a file is and what each wish would do with it.
pub(super) async fn look_blocking(
    source: PathBuf,
    wishes: Vec<Wish>,
    options: Arc<Options>,
    limit: Duration,
    watch: Watch,
) -> Result<Seen, MediaError> {
    in_time("look", limit, watch, move || {
        if let Some(nursery) = &options.nursery {
            return isolated::look(nursery, source, wishes, &options, limit);
        }
        let info = media::probe(&source, &options.limits, &Control::new(Some(limit)))?;
        let caps = options.machine.caps();
        let outlook = |wish: &Wish| match media::forecast(&info, &wish.recipe, &caps, options.machine.experience()) {
            Ok(forecast) => Outlook::Makes(forecast),
            Err(why) => Outlook::Refuses(why),
        };
        Ok(Seen {
            outlooks: wishes.iter().map(|wish| (*wish, outlook(wish))).collect(),
            look: Look::from(&info),
        })
    })
    .await
}

/// How a result is sent. AV1 is a file: it does not play within every client.
fn kind_of(wish: Wish, has_picture: bool) -> ParcelKind {
    match wish.recipe.preset {
        _ if wish.as_file => ParcelKind::Document,
        Preset::Voice => ParcelKind::Voice,
        _ if !has_picture => ParcelKind::Audio,
        Preset::Av1 => ParcelKind::Document,
        Preset::Note => ParcelKind::Note,
        Preset::Gif => ParcelKind::Animation,
        Preset::Sticker => ParcelKind::Sticker,
        Preset::Sheet => ParcelKind::Photo,
        Preset::Play | Preset::Small | Preset::Fit { .. } | Preset::Best | Preset::Hevc | Preset::Audio => {
            ParcelKind::Video
        }
    }
}

pub(super) fn parcel_of(report: &Report, wish: Wish) -> Parcel {
    Parcel {
        kind: kind_of(wish, report.width > 0),
        width: report.width,
        height: report.height,
        duration_s: report.duration_s,
        in_bytes: report.in_bytes,
        out_bytes: report.out_bytes,
        video_copied: report.video != media::report::Action::Encode,
        audio_copied: report.audio != media::report::Action::Encode,
        silent: report.audio == media::report::Action::None,
        wall_s: report.wall_s,
        warnings: report.warnings.clone(),
        file_id: None,
        look: report.look.clone(),
    }
}

/// What the user is told of an engine's error.
pub(super) fn reason_of(error: MediaError) -> Reason {
    match error {
        MediaError::Refused(why) => Reason::Refused { why },
        MediaError::TimeLimit { limit_s } => Reason::TimeLimit { limit_s },
        MediaError::DiskFull => Reason::DiskFull,
        MediaError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => Reason::DiskFull,
        MediaError::Canceled
        | MediaError::Device { .. }
        | MediaError::Unfit(_)
        | MediaError::Io { .. }
        | MediaError::Engine { .. }
        | MediaError::Crashed { .. }
        | MediaError::NotStarted(_)
        | MediaError::Orphaned
        | MediaError::Unverified(_) => Reason::Internal,
    }
}
