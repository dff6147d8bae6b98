//! The engine from the worker's side: the one door from async to blocking, and its report in the job's words.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::Options;
use crate::job::{Outlook, Parcel, ParcelKind, Reason, Seen, Wish};
use crate::media::{self, Control, Look, MediaError, Preset, Recipe, Report};
use crate::workdir::Scratch;

/// How much lower conversions stand than the chat; 19 is the lowest.
const NICE: i32 = 10;

/// The only holder besides us is the closure of the engine.
pub(super) async fn wait_for_engine(permit: &Arc<OwnedSemaphorePermit>) {
    while Arc::strong_count(permit) > 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The one door to blocking code. The permit rides in the closure: a dropped future does not free the slot while the
/// engine still runs.
pub(super) async fn convert_blocking(
    scratch: Scratch,
    recipe: Recipe,
    options: Arc<Options>,
    control: Control,
    permit: Arc<OwnedSemaphorePermit>,
) -> Result<Report, MediaError> {
    let span = tracing::Span::current();
    let work = move || {
        let report = below_the_chat(|| {
            let _entered = span.entered();
            convert_with_thumbnail(&scratch, &recipe, &options, &control)
        });
        drop(permit);
        report
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(report) => report,
        Err(error) => Err(MediaError::Engine {
            doing: "convert",
            what: error.to_string(),
        }),
    }
}

/// Runs the engine on a thread of its own, which the threads of the engine take after: with every core busy, handlers
/// still answer within milliseconds. A thread of the pool would keep the priority for whatever comes next.
fn below_the_chat<T: Send>(work: impl FnOnce() -> T + Send) -> T {
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
    let report = media::convert(
        &scratch.source,
        &scratch.output,
        recipe,
        &options.machine.caps(),
        &options.limits,
        control,
    )?;
    for fallback in &report.fallbacks {
        options.machine.doubt(fallback.gpu);
    }
    options.machine.experience().learn(recipe, &report);
    if report.width > 0
        && recipe.preset.extension() == "mp4"
        && let Err(error) =
            media::thumbnail::thumbnail(&scratch.output, &scratch.thumbnail, options.limits.confine, control)
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
    control: Control,
) -> Result<Seen, MediaError> {
    let work = move || {
        let info = media::probe(&source, &options.limits, &control)?;
        let caps = options.machine.caps();
        let outlook = |wish: &Wish| match media::forecast(&info, &wish.recipe, &caps, options.machine.experience()) {
            Ok(forecast) => Outlook::Makes(forecast),
            Err(why) => Outlook::Refuses(why),
        };
        Ok(Seen {
            outlooks: wishes.iter().map(|wish| (*wish, outlook(wish))).collect(),
            look: Look::from(&info),
        })
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(seen) => seen,
        Err(error) => Err(MediaError::Engine {
            doing: "look",
            what: error.to_string(),
        }),
    }
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
        | MediaError::Unverified(_) => Reason::Internal,
    }
}
