//! The courier to Telegram: fetches sources, edits status messages, delivers results.
//!
//! Delivery edits the status message into the result, so repeating it after a lost answer cannot show it twice. Only
//! where that message is gone a new one is sent, at most once: its intent is recorded first.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use teloxide::types::InlineKeyboardMarkup;

use super::api::{Api, CallError, Part, classify, is_message_gone, is_not_modified};
use super::dialogue::{cancel_keyboard, message_body, retry_keyboard};
use super::{FETCH_BYTES_MAX, Options, SEND_BYTES_MAX, text};
use crate::courier::{Courier, CourierError, Files, Meter, Notice, Receipt};
use crate::job::{Job, JobId, MessageId, Parcel, ParcelKind, Reason};
use crate::store::Store;

const CALL_S: u64 = 10;
/// Edits of one message: sends and edits share the chat's limit of about one a second, groups' of 20 a minute.
const PACE_PRIVATE: Duration = Duration::from_secs(3);
const PACE_GROUP: Duration = Duration::from_secs(6);
/// Getting a file ready may take the server a while.
const GET_FILE_S: u64 = 60;

/// The courier to Telegram.
#[derive(Debug)]
pub struct TelegramCourier<S> {
    api: Api,
    store: S,
    pace: Mutex<HashMap<JobId, Pace>>,
}

/// When a job's message was last edited, with what, and until when Telegram wants silence.
#[derive(Debug)]
struct Pace {
    words: String,
    quiet_until: Instant,
}

impl<S: Store> TelegramCourier<S> {
    /// A courier for one bot.
    ///
    /// # Errors
    /// Where no HTTP client can be made.
    pub fn new(options: &Options, store: S) -> anyhow::Result<Self> {
        Ok(Self {
            api: Api::new(&options.api_url, &options.token)?,
            store,
            pace: Mutex::default(),
        })
    }

    /// Whether an edit is due: the words are new, and the message had its rest.
    fn is_due(&self, job: &Job, words: &str, last: bool) -> bool {
        let mut paces = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if last {
            paces.remove(&job.id);
            return true;
        }
        let rest = if job.request.origin.group {
            PACE_GROUP
        } else {
            PACE_PRIVATE
        };
        let now = Instant::now();
        match paces.get(&job.id) {
            Some(pace) if pace.words == words || now < pace.quiet_until => false,
            _ => {
                paces.insert(
                    job.id,
                    Pace {
                        words: words.to_owned(),
                        quiet_until: now + rest,
                    },
                );
                true
            }
        }
    }

    fn keep_quiet(&self, job: JobId, seconds: u64) {
        if let Some(pace) = self.pace.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&job) {
            pace.quiet_until = Instant::now() + Duration::from_secs(seconds);
        }
    }

    /// The number of the status message as it is now: the handler may have sent it after the claim.
    async fn status_message(&self, job: &Job) -> Option<MessageId> {
        match self.store.job(job.id).await {
            Ok(Some(job)) => job.status_message,
            _ => job.status_message,
        }
    }

    async fn show(&self, job: &Job, words: &str, keyboard: Option<InlineKeyboardMarkup>) -> Result<(), CallError> {
        let mut body = message_body(job.request.origin.chat.0, words, keyboard);
        if let Some(message) = self.status_message(job).await {
            body["message_id"] = json!(message.0);
            return match self.api.call("editMessageText", &body, CALL_S).await {
                Err(error) if !is_not_modified(&error) => Err(error),
                _ => Ok(()),
            };
        }
        let sent = self.api.call("sendMessage", &body, CALL_S).await?;
        if let Some(message) = sent["message_id"].as_i64()
            && let Err(error) = self.store.set_status_message(job.id, MessageId(message)).await
        {
            tracing::warn!(%error, "the status message was not recorded");
        }
        Ok(())
    }

    /// Edits the status message into the result.
    async fn edit_into(
        &self,
        job: &Job,
        message: MessageId,
        parcel: &Parcel,
        files: Option<Files<'_>>,
        meter: &Meter,
    ) -> Result<Value, CallError> {
        let mut media = media_fields(job, parcel);
        media["type"] = json!(kind_name(parcel.kind));
        media["media"] = json!(parcel.file_id.clone().unwrap_or_else(|| "attach://media".to_owned()));
        let parts = parts_of(files, parcel.kind, meter);
        if parts.iter().any(|part| part.name == "thumbnail") {
            media["thumbnail"] = json!("attach://thumbnail");
        }
        let fields = vec![
            ("chat_id", job.request.origin.chat.0.to_string()),
            ("message_id", message.0.to_string()),
            ("media", media.to_string()),
        ];
        self.api.upload("editMessageMedia", fields, &parts).await
    }

    /// Sends the result as a message of its own: only where there is nothing to edit, and at most once.
    async fn send_anew(
        &self,
        job: &Job,
        parcel: &Parcel,
        files: Option<Files<'_>>,
        meter: &Meter,
    ) -> Result<Value, CourierError> {
        match self.store.record_send_intent(job.id).await {
            Ok(true) => {}
            Ok(false) => return Err(CourierError::Hopeless(Reason::Network)),
            Err(error) => {
                return Err(CourierError::Transient {
                    after_s: None,
                    what: error.to_string(),
                });
            }
        }
        let name = kind_name(parcel.kind);
        let mut fields: Vec<(&'static str, String)> = vec![("chat_id", job.request.origin.chat.0.to_string())];
        if let Value::Object(values) = media_fields(job, parcel) {
            for key in ["caption", "width", "height", "duration", "supports_streaming"] {
                if let Some(value) = values.get(key) {
                    fields.push((key, value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
                }
            }
        }
        let mut parts = parts_of(files, parcel.kind, meter);
        match &parcel.file_id {
            Some(file_id) => fields.push((name, file_id.clone())),
            None => {
                if let Some(part) = parts.iter_mut().find(|part| part.name == "media") {
                    part.name = name;
                }
            }
        }
        let method = match parcel.kind {
            ParcelKind::Video => "sendVideo",
            ParcelKind::Audio => "sendAudio",
        };
        self.api.upload(method, fields, &parts).await.map_err(classify)
    }
}

impl<S: Store> Courier for TelegramCourier<S> {
    async fn fetch(&self, job: &Job, into: &Path, meter: &Meter) -> Result<u64, CourierError> {
        let body = json!({ "file_id": job.request.source.file_id });
        let file = match self.api.call("getFile", &body, GET_FILE_S).await.map_err(classify) {
            Ok(file) => file,
            Err(CourierError::StaleFileId) => return Err(CourierError::Hopeless(Reason::SourceGone)),
            Err(CourierError::Hopeless(Reason::TooLargeToFetch { .. })) => {
                return Err(CourierError::Hopeless(Reason::TooLargeToFetch {
                    size_bytes: job.request.source.size_bytes.unwrap_or(0),
                    limit_bytes: FETCH_BYTES_MAX,
                }));
            }
            Err(error) => return Err(error),
        };
        let Some(file_path) = file["file_path"].as_str() else {
            return Err(CourierError::Transient {
                after_s: None,
                what: "getFile named no path".to_owned(),
            });
        };
        meter.reset();
        self.api.download(file_path, into, meter).await.map_err(classify)
    }

    async fn notify(&self, job: &Job, notice: Notice) -> Result<(), CourierError> {
        let lang = job.request.origin.lang;
        let words = text::notice(lang, &notice);
        let (last, keyboard) = match &notice {
            Notice::Failed { reason } if reason.may_retry() => (true, Some(retry_keyboard(lang, job.id))),
            Notice::Failed { .. } | Notice::Canceled => (true, None),
            // Nobody would tell it later: the process is about to end.
            Notice::Paused => (true, Some(cancel_keyboard(lang, job.id))),
            _ => (false, Some(cancel_keyboard(lang, job.id))),
        };
        if !self.is_due(job, &words, last) {
            return Ok(());
        }
        match self.show(job, &words, keyboard).await.map_err(classify) {
            Err(CourierError::Transient {
                after_s: Some(after_s), ..
            }) if last => {
                tokio::time::sleep(Duration::from_secs(after_s.min(60))).await;
                self.show(job, &words, None).await.map_err(classify)
            }
            Err(CourierError::Transient {
                after_s: Some(after_s),
                what,
            }) => {
                self.keep_quiet(job.id, after_s);
                Err(CourierError::Transient {
                    after_s: Some(after_s),
                    what,
                })
            }
            outcome => outcome,
        }
    }

    async fn deliver(
        &self,
        job: &Job,
        parcel: &Parcel,
        files: Option<Files<'_>>,
        meter: &Meter,
    ) -> Result<Receipt, CourierError> {
        if files.is_some() && parcel.out_bytes > SEND_BYTES_MAX {
            return Err(CourierError::Hopeless(Reason::TooLargeToSend {
                size_bytes: parcel.out_bytes,
                limit_bytes: SEND_BYTES_MAX,
            }));
        }
        let message = match self.status_message(job).await {
            Some(message) => match self.edit_into(job, message, parcel, files, meter).await {
                Ok(message) => message,
                // A repeated edit: the first one arrived, only its answer was lost.
                Err(error) if is_not_modified(&error) => Value::Null,
                Err(error) if is_message_gone(&error) => {
                    meter.reset();
                    self.send_anew(job, parcel, files, meter).await?
                }
                Err(error) => return Err(classify(error)),
            },
            None => self.send_anew(job, parcel, files, meter).await?,
        };
        self.pace.lock().unwrap_or_else(PoisonError::into_inner).remove(&job.id);
        let known = message[kind_name(parcel.kind)]["file_id"].as_str().map(str::to_owned);
        Ok(Receipt {
            file_id: known.or_else(|| parcel.file_id.clone()).unwrap_or_default(),
        })
    }
}

fn kind_name(kind: ParcelKind) -> &'static str {
    match kind {
        ParcelKind::Video => "video",
        ParcelKind::Audio => "audio",
    }
}

/// What every client must be told: servers do not look into files above about 10 MB.
#[expect(clippy::cast_possible_truncation, reason = "at most four hours")]
fn media_fields(job: &Job, parcel: &Parcel) -> Value {
    let mut fields = json!({
        "caption": text::caption(job.request.origin.lang, parcel),
        "duration": parcel.duration_s.round() as i64,
    });
    if parcel.kind == ParcelKind::Video {
        fields["width"] = json!(parcel.width);
        fields["height"] = json!(parcel.height);
        fields["supports_streaming"] = json!(true);
    }
    fields
}

fn parts_of<'a>(files: Option<Files<'a>>, kind: ParcelKind, meter: &Meter) -> Vec<Part<'a>> {
    let Some(Files { media, thumbnail }) = files else {
        return Vec::new();
    };
    let file_name = match kind {
        ParcelKind::Video => "video.mp4",
        ParcelKind::Audio => "audio.m4a",
    };
    let mut parts = vec![Part {
        name: "media",
        path: media,
        file_name,
        meter: Some(meter.clone()),
    }];
    if let Some(path) = thumbnail {
        parts.push(Part {
            name: "thumbnail",
            path,
            file_name: "thumbnail.jpg",
            meter: None,
        });
    }
    parts
}
