//! A result as the fields and parts of a call: what the server, and every client, must be told of it. Pure.

use serde_json::{Value, json};

use super::api::Part;
use super::{keyboard, text};
use crate::courier::{Files, Meter, Notice};
use crate::job::{Job, Parcel, ParcelKind, Wish};
use crate::media::Preset;

/// The platform files a soundless video as an animation, and a sound file without tags as a document.
pub(super) fn file_id_of(message: &Value) -> Option<String> {
    let kinds = [
        "video",
        "animation",
        "audio",
        "document",
        "video_note",
        "voice",
        "sticker",
    ];
    let of_kind = kinds.iter().find_map(|kind| message[kind]["file_id"].as_str());
    // Of a photo there are several sizes, the largest last.
    let of_photo = || message["photo"].as_array()?.last()?["file_id"].as_str();
    of_kind.or_else(of_photo).map(str::to_owned)
}

/// The keyboard under a result: something else of the same source.
pub(super) fn redo(job: &Job) -> String {
    json!(keyboard::redo(job.request.origin.lang, job.id)).to_string()
}

/// The parameter that holds the file, and the type of media in an edit.
pub(super) fn kind_name(kind: ParcelKind) -> &'static str {
    match kind {
        ParcelKind::Video => "video",
        ParcelKind::Animation => "animation",
        ParcelKind::Note => "video_note",
        ParcelKind::Audio => "audio",
        ParcelKind::Voice => "voice",
        ParcelKind::Sticker => "sticker",
        ParcelKind::Photo => "photo",
        ParcelKind::Document => "document",
    }
}

pub(super) fn method(kind: ParcelKind) -> &'static str {
    match kind {
        ParcelKind::Video => "sendVideo",
        ParcelKind::Animation => "sendAnimation",
        ParcelKind::Note => "sendVideoNote",
        ParcelKind::Audio => "sendAudio",
        ParcelKind::Voice => "sendVoice",
        ParcelKind::Sticker => "sendSticker",
        ParcelKind::Photo => "sendPhoto",
        ParcelKind::Document => "sendDocument",
    }
}

/// Whether a message of words can become it.
pub(super) fn is_edited_into(kind: ParcelKind) -> bool {
    !matches!(kind, ParcelKind::Note | ParcelKind::Voice | ParcelKind::Sticker)
}

/// What every client must be told: servers do not look into files above about 10 MB.
#[expect(clippy::cast_possible_truncation, reason = "at most four hours")]
pub(super) fn media_fields(job: &Job, parcel: &Parcel) -> Value {
    let mut fields = json!({});
    if is_edited_into(parcel.kind) {
        fields["caption"] = json!(text::caption(job.request.origin.lang, parcel));
    }
    match parcel.kind {
        ParcelKind::Photo | ParcelKind::Sticker => return fields,
        ParcelKind::Document => {
            fields["disable_content_type_detection"] = json!(true);
            return fields;
        }
        ParcelKind::Video | ParcelKind::Animation => {
            fields["width"] = json!(parcel.width);
            fields["height"] = json!(parcel.height);
        }
        ParcelKind::Note => fields["length"] = json!(parcel.width),
        ParcelKind::Audio | ParcelKind::Voice => {}
    }
    fields["duration"] = json!(parcel.duration_s.round() as i64);
    if parcel.kind == ParcelKind::Video {
        fields["supports_streaming"] = json!(true);
    }
    fields
}

/// What is streamed: the thumbnail, and the media itself where it has no other way.
pub(super) fn parts_of<'a>(files: Option<Files<'a>>, with_media: bool, meter: &Meter) -> Vec<Part<'a>> {
    let Some(Files { media, thumbnail }) = files else {
        return Vec::new();
    };
    let file_name = match media.extension().and_then(|extension| extension.to_str()) {
        Some("m4a") => "audio.m4a",
        Some("ogg") => "voice.ogg",
        Some("webm") => "sticker.webm",
        Some("jpg") => "sheet.jpg",
        _ => "video.mp4",
    };
    let mut parts = Vec::new();
    if with_media {
        parts.push(Part {
            name: "media".into(),
            path: media,
            file_name,
            meter: Some(meter.clone()),
        });
    }
    if let Some(path) = thumbnail {
        parts.push(Part {
            name: "thumbnail".into(),
            path,
            file_name: "thumbnail.jpg",
            meter: None,
        });
    }
    parts
}

/// What a chat shows while a job is in work; nothing while it waits.
pub(super) fn action(notice: &Notice, wish: Wish) -> Option<&'static str> {
    let making = match notice {
        Notice::Converting { .. } => true,
        Notice::Fetching { .. } | Notice::Sending { .. } => false,
        Notice::Batch { now: Some(now), .. } => return action(now, wish),
        _ => return None,
    };
    Some(match (wish.recipe.preset, making) {
        _ if wish.as_file => "upload_document",
        (Preset::Audio | Preset::Voice, true) => "record_voice",
        (Preset::Audio | Preset::Voice, false) => "upload_voice",
        (Preset::Note, true) => "record_video_note",
        (Preset::Note, false) => "upload_video_note",
        (Preset::Sheet, _) => "upload_photo",
        (Preset::Sticker, _) => "choose_sticker",
        (_, true) => "record_video",
        (_, false) => "upload_video",
    })
}
