//! Jobs that are enough for the store: nobody fetches or converts them.

use kadr::job::{Announced, ChatId, Lang, MessageId, Origin, Parcel, ParcelKind, Request, Source, UserId};
use kadr::media::Preset;
use kadr::store::{ClaimLimits, QueueLimits};

pub(crate) const ENGINE: &str = "bench";
pub(crate) const QUEUE: QueueLimits = QueueLimits {
    per_user_max: 1_000_000,
    total_max: 1_000_000,
    per_day_max: None,
};
pub(crate) const CLAIM: ClaimLimits = ClaimLimits {
    running_per_user_max: 1,
    deliver_only: false,
};

/// Of one of so many people.
pub(crate) fn request(number: usize, people: usize) -> Request {
    // Not in order: a queue of people who come one after another would be sorted already.
    let user = i64::try_from(number * 7919 % people).unwrap_or(0) + 1;
    Request {
        origin: Origin {
            chat: ChatId(user),
            user: UserId(user),
            message: MessageId(1),
            group: false,
            lang: Lang::En,
        },
        source: Source {
            file_id: format!("file-{number}"),
            file_unique_id: format!("unique-{number}"),
            size_bytes: Some(1_000_000),
            announced: Announced::default(),
        },
        wish: Preset::Play.into(),
        batch: None,
    }
}

/// What came of it.
pub(crate) fn parcel() -> Parcel {
    Parcel {
        kind: ParcelKind::Video,
        width: 1280,
        height: 720,
        duration_s: 10.0,
        in_bytes: 2_000_000,
        out_bytes: 1_000_000,
        video_copied: false,
        audio_copied: true,
        silent: false,
        wall_s: 1.0,
        warnings: Vec::new(),
        file_id: None,
        look: None,
    }
}
