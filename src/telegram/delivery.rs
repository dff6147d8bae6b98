//! The courier to Telegram: edits status messages, delivers results.
//!
//! Delivery edits the status message into the result, so repeating it after a lost answer cannot show it twice. Only
//! where that message is gone a new one is sent, at most once: its intent is recorded first.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use teloxide::types::InlineKeyboardMarkup;

use super::api::Api;
use super::errors::{CallError, classify};
use super::fetch::{Fetcher, pass_on};
use super::keyboard::{self, message_body, reply_to};
use super::local::Shared;
use super::pace::{HANDLER_GRACE, Pace};
use super::parcel::{action, file_id_of, is_edited_into, kind_name, media_fields, method, parts_of, redo};
use super::turns::Turns;
use super::{Options, text};
use crate::courier::{Courier, CourierError, Files, Item, Meter, Notice, Receipt};
use crate::crash::point;
use crate::job::{Job, MessageId, Parcel, ParcelKind, Question, Reason, Seen, Source};
use crate::media::{Preset, Refusal};
use crate::store::{Store, StoreError};

const CALL_S: u64 = 10;
/// How often the store is asked whether the handler's status message is there.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Tries of a send that was refused before it had any effect, and the longest wait between two.
const SENDS_MAX: u32 = 3;
const SEND_WAIT_MAX: Duration = Duration::from_secs(60);

/// The courier to Telegram.
#[derive(Debug)]
pub struct TelegramCourier<S> {
    pub(super) api: Api,
    pub(super) store: S,
    pub(super) turns: Arc<Turns>,
    pace: Mutex<Pace>,
    shared: Option<Shared>,
    /// Set once the server could not read what was handed over by name.
    streams: AtomicBool,
    fetcher: Fetcher,
    pub(super) send_bytes_max: u64,
}

impl<S: Store> TelegramCourier<S> {
    /// A courier for one bot.
    ///
    /// # Errors
    /// Where no HTTP client can be made.
    pub fn new(options: &Options, store: S) -> anyhow::Result<Self> {
        let api = Api::of(options)?;
        Ok(Self {
            fetcher: Fetcher {
                api: api.clone(),
                shared: options.shared.clone(),
                bytes_max: options.fetch_bytes_max,
            },
            api,
            store,
            turns: Arc::clone(&options.turns),
            pace: Mutex::default(),
            shared: options.shared.clone(),
            streams: AtomicBool::new(false),
            send_bytes_max: options.send_bytes_max,
        })
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the status message as it is now: the handler may have sent it after the claim.
    async fn status_message(&self, job: &Job) -> Option<MessageId> {
        match self.store.job(job.id).await {
            Ok(Some(job)) => job.status_message,
            _ => job.status_message,
        }
    }

    /// Gives the handler that accepted the job time to send its status message, so that there is one and not two.
    async fn awaited_status_message(&self, job: &Job) -> Option<MessageId> {
        let deadline = Instant::now() + HANDLER_GRACE;
        loop {
            let message = self.status_message(job).await;
            if message.is_some() || Instant::now() >= deadline {
                return message;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What the job says now, and whether it must be said: the last word is never skipped.
    fn words_of(job: &Job, notice: &Notice) -> (String, bool, Option<InlineKeyboardMarkup>) {
        let lang = job.request.origin.lang;
        let (last, keyboard) = match notice {
            Notice::Failed { reason } if reason.may_retry() => (true, Some(keyboard::retry(lang, job.id))),
            Notice::Failed {
                reason: Reason::TooLargeToSend { limit_bytes, .. },
            } if !matches!(job.request.wish.recipe.preset, Preset::Fit { .. }) => {
                (true, Some(keyboard::fit(lang, job.id, *limit_bytes)))
            }
            Notice::Failed { .. } | Notice::Canceled => (true, None),
            Notice::BatchOver { .. } => (true, Some(keyboard::redo(lang, job.head()))),
            // Nobody would tell it later: the process is about to end.
            Notice::Paused => (true, Some(keyboard::cancel(lang, job.head()))),
            Notice::Queued { .. }
            | Notice::Fetching { .. }
            | Notice::Converting { .. }
            | Notice::Sending { .. }
            | Notice::Batch { .. } => (false, Some(keyboard::cancel(lang, job.head()))),
        };
        (text::notice(lang, notice), last, keyboard)
    }

    /// Edits the status message; sends one where there is none, and where its reader deleted it sends the last word.
    async fn show(
        &self,
        job: &Job,
        message: Option<MessageId>,
        mut body: Value,
        patient: bool,
    ) -> Result<(), CallError> {
        if let Some(message) = message {
            body["message_id"] = json!(message.0);
            match self.call("editMessageText", &body, patient).await {
                Err(error) if error.is_message_gone() && patient => {}
                Err(error) if !error.is_not_modified() => return Err(error),
                _ => return Ok(()),
            }
            if let Value::Object(fields) = &mut body {
                fields.remove("message_id");
            }
        }
        body["reply_parameters"] = reply_to(job.request.origin.message);
        let sent = self.call("sendMessage", &body, patient).await?;
        self.remember(job, &sent).await;
        Ok(())
    }

    /// Shows in the chat's title that work is going on. Nobody waits for it, and nothing is lost without it.
    fn act(&self, job: &Job, notice: &Notice) {
        let chat = job.request.origin.chat;
        let Some(action) = action(notice, job.request.wish) else {
            return;
        };
        if self.pace().takes_action(chat, Instant::now()) {
            let api = self.api.clone();
            let body = json!({ "chat_id": chat.0, "action": action });
            tokio::spawn(async move { api.call("sendChatAction", &body, CALL_S).await });
        }
    }

    async fn call(&self, method: &str, body: &Value, patient: bool) -> Result<Value, CallError> {
        if patient {
            self.api.call_patiently(method, body).await
        } else {
            self.api.call(method, body, CALL_S).await
        }
    }

    /// Records a message that was sent as the job's own.
    async fn remember(&self, job: &Job, sent: &Value) {
        // 0 is no message: large groups get their videos later (Bot API 8.0).
        if let Some(message) = sent["message_id"].as_i64().filter(|message| *message != 0)
            && let Err(error) = self.store.set_status_message(job.id, MessageId(message)).await
        {
            tracing::warn!(%error, "the status message was not recorded");
        }
    }

    /// Where a server of one's own reads the result by itself.
    pub(super) fn address(&self, files: Option<Files<'_>>) -> Option<String> {
        let shared = self.shared.as_ref().filter(|_| !self.streams.load(Relaxed))?;
        shared.address(files?.media)
    }

    /// Whether the server could not read what was handed over by name: from then on everything is streamed. Nothing was
    /// done, so the same call may follow at once.
    pub(super) fn streams_instead(&self, error: &CallError, files: Option<Files<'_>>) -> bool {
        let unread = self.address(files).is_some() && error.is_unread();
        if unread {
            self.streams.store(true, Relaxed);
            tracing::error!(
                ?error,
                "the Bot API server does not read results from the disk, they are streamed: check \
                 KADR_API_LOCAL_WORK_THERE, and that both run under one user id"
            );
        }
        unread
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
        let address = self.address(files);
        let parts = parts_of(files, address.is_none(), meter);
        let name = parcel.file_id.clone().or(address);
        media["media"] = json!(name.unwrap_or_else(|| "attach://media".to_owned()));
        if parts.iter().any(|part| part.name == "thumbnail") {
            media["thumbnail"] = json!("attach://thumbnail");
        }
        let fields = vec![
            ("chat_id", job.request.origin.chat.0.to_string()),
            ("message_id", message.0.to_string()),
            ("media", media.to_string()),
            ("reply_markup", redo(job)),
        ];
        let answer_within = pass_on(parcel.out_bytes);
        point("editing");
        let answer = self.api.upload("editMessageMedia", fields, &parts, answer_within).await;
        point("edited");
        answer
    }

    /// The same, streamed where the server cannot read what was handed over by name.
    async fn edit_into_result(
        &self,
        job: &Job,
        message: MessageId,
        parcel: &Parcel,
        files: Option<Files<'_>>,
        meter: &Meter,
    ) -> Result<Value, CallError> {
        match self.edit_into(job, message, parcel, files, meter).await {
            Err(error) if self.streams_instead(&error, files) => {
                self.edit_into(job, message, parcel, files, meter).await
            }
            outcome => outcome,
        }
    }

    /// Sends the result as a message of its own: only where there is nothing to edit, and at most once. Repeated only
    /// after answers that prove that nothing was sent.
    pub(super) async fn send_anew(
        &self,
        job: &Job,
        parcel: &Parcel,
        files: Option<Files<'_>>,
        meter: &Meter,
    ) -> Result<Value, CallFailed> {
        self.intend(job).await?;
        let outcome = self.send_patiently(job, parcel, files, meter).await;
        if let Err(error) = &outcome {
            self.withdraw_if_undone(job, error).await;
        }
        Ok(outcome?)
    }

    /// Records that a message is about to be sent, which is done once only.
    pub(super) async fn intend(&self, job: &Job) -> Result<(), CallFailed> {
        point("intending");
        match self.store.record_send_intent(job.id).await {
            Ok(true) => {
                point("intended");
                Ok(())
            }
            // Perhaps it arrived, perhaps not: its requester decides with the Retry button.
            Ok(false) => Err(CallFailed::Known(CourierError::Hopeless(Reason::Unconfirmed))),
            Err(error) => Err(CallFailed::of_store(&error)),
        }
    }

    /// What surely was not sent may be sent later.
    pub(super) async fn withdraw_if_undone(&self, job: &Job, error: &CallError) {
        if error.is_surely_undone()
            && let Err(error) = self.store.withdraw_send_intent(job.id).await
        {
            tracing::warn!(%error, "the intent to send stays recorded");
        }
    }

    /// Sends, and again after answers that prove that nothing was sent. Its intent is recorded.
    pub(super) async fn send_patiently(
        &self,
        job: &Job,
        parcel: &Parcel,
        files: Option<Files<'_>>,
        meter: &Meter,
    ) -> Result<Value, CallError> {
        let mut attempt = 1;
        loop {
            meter.reset();
            let error = match self.send(job, parcel, files, meter).await {
                Ok(sent) => {
                    point("sent");
                    return Ok(sent);
                }
                Err(error) => error,
            };
            if self.streams_instead(&error, files) {
                continue;
            }
            match error.wait() {
                Some(wait) if attempt < SENDS_MAX && error.is_surely_undone() => {
                    tokio::time::sleep(wait.min(SEND_WAIT_MAX)).await;
                }
                _ => return Err(error),
            }
            attempt += 1;
        }
    }

    /// The message that is sent is the job's own from then on.
    async fn send_instead(
        &self,
        job: &Job,
        parcel: &Parcel,
        files: Option<Files<'_>>,
        meter: &Meter,
    ) -> Result<Value, CallFailed> {
        let sent = self.send_anew(job, parcel, files, meter).await?;
        self.remember(job, &sent).await;
        Ok(sent)
    }

    /// The status message becomes the result; where there is none, the result is sent.
    async fn deliver_in_place(
        &self,
        job: &Job,
        status: Option<MessageId>,
        parcel: &Parcel,
        files: Option<Files<'_>>,
        meter: &Meter,
    ) -> Result<Receipt, CourierError> {
        let sent = match status {
            Some(message) => match self.edit_into_result(job, message, parcel, files, meter).await {
                Ok(message) => Ok(message),
                // A repeated edit: the first one arrived, only its answer was lost.
                Err(error) if error.is_not_modified() => Ok(Value::Null),
                Err(error) if error.is_message_gone() => self.send_instead(job, parcel, files, meter).await,
                Err(error) => Err(error.into()),
            },
            None => self.send_instead(job, parcel, files, meter).await,
        };
        let message = sent.map_err(|failed| self.explain(failed, parcel))?;
        self.pace().forget(job.head());
        Ok(Receipt {
            file_id: file_id_of(&message)
                .or_else(|| parcel.file_id.clone())
                .unwrap_or_default(),
        })
    }

    /// What no message of words can become is sent beside the status message, which then says what was done.
    async fn deliver_beside(
        &self,
        job: &Job,
        status: Option<MessageId>,
        parcel: &Parcel,
        files: Option<Files<'_>>,
        meter: &Meter,
    ) -> Result<Receipt, CourierError> {
        let sent = match self.send_anew(job, parcel, files, meter).await {
            Ok(sent) => sent,
            // Their receiver wants neither voice messages nor round videos.
            Err(CallFailed::Call(error)) if error.is_voice_forbidden() => {
                let kind = match parcel.kind {
                    ParcelKind::Note => ParcelKind::Video,
                    _ => ParcelKind::Document,
                };
                let plain = Parcel { kind, ..parcel.clone() };
                return self.deliver_in_place(job, status, &plain, files, meter).await;
            }
            Err(failed) => return Err(self.explain(failed, parcel)),
        };
        self.pace().forget(job.head());
        if let Some(message) = status {
            let lang = job.request.origin.lang;
            let words = text::caption(lang, parcel);
            let mut body = message_body(job.request.origin.chat.0, &words, Some(keyboard::redo(lang, job.id)));
            body["message_id"] = json!(message.0);
            if let Err(error) = self.api.call_patiently("editMessageText", &body).await
                && !error.is_not_modified()
            {
                tracing::warn!(?error, "the status message still says that it is being sent");
            }
        }
        Ok(Receipt {
            file_id: file_id_of(&sent).or_else(|| parcel.file_id.clone()).unwrap_or_default(),
        })
    }

    pub(super) fn explain(&self, failed: CallFailed, parcel: &Parcel) -> CourierError {
        match failed {
            CallFailed::Known(error) => error,
            CallFailed::Call(error) => match classify(error) {
                CourierError::Hopeless(Reason::TooLargeToSend { .. }) => {
                    CourierError::Hopeless(Reason::TooLargeToSend {
                        size_bytes: parcel.out_bytes,
                        limit_bytes: self.send_bytes_max,
                    })
                }
                error => error,
            },
        }
    }

    async fn send(
        &self,
        job: &Job,
        parcel: &Parcel,
        files: Option<Files<'_>>,
        meter: &Meter,
    ) -> Result<Value, CallError> {
        let name = kind_name(parcel.kind);
        let mut fields: Vec<(&'static str, String)> = vec![
            ("chat_id", job.request.origin.chat.0.to_string()),
            ("reply_parameters", reply_to(job.request.origin.message).to_string()),
            ("reply_markup", redo(job)),
        ];
        if let Value::Object(values) = media_fields(job, parcel) {
            for key in [
                "caption",
                "width",
                "height",
                "length",
                "duration",
                "supports_streaming",
                "disable_content_type_detection",
            ] {
                if let Some(value) = values.get(key) {
                    fields.push((key, value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
                }
            }
        }
        let address = self.address(files);
        let mut parts = parts_of(files, address.is_none(), meter);
        match parcel.file_id.clone().or(address) {
            Some(file) => fields.push((name, file)),
            None => {
                if let Some(part) = parts.iter_mut().find(|part| part.name == "media") {
                    part.name = name.into();
                }
            }
        }
        let answer_within = pass_on(parcel.out_bytes);
        self.api
            .upload(method(parcel.kind), fields, &parts, answer_within)
            .await
    }
}

/// A delivery that failed by a call, or by what we know of the job.
pub(super) enum CallFailed {
    Call(CallError),
    Known(CourierError),
}

impl CallFailed {
    /// Nothing was sent: it may be tried again.
    pub(super) fn of_store(error: &StoreError) -> Self {
        Self::Known(CourierError::Transient {
            after_s: None,
            what: error.to_string(),
        })
    }
}

impl From<CallError> for CallFailed {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl<S: Store> Courier for TelegramCourier<S> {
    fn is_away(&self) -> bool {
        self.api.is_away()
    }

    async fn fetch(&self, source: &Source, attempt: u32, into: &Path, meter: &Meter) -> Result<u64, CourierError> {
        self.fetcher.fetch(source, attempt, into, meter).await
    }

    async fn show_look(&self, question: &Question, seen: Result<Seen, Refusal>) -> Result<bool, CourierError> {
        self.edit_card(question, seen).await
    }

    async fn notify(&self, job: &Job, notice: Notice) -> Result<(), CourierError> {
        let (words, last, keyboard) = Self::words_of(job, &notice);
        let body = message_body(job.request.origin.chat.0, &words, keyboard);
        if last {
            self.pace().forget(job.head());
            let message = self.awaited_status_message(job).await;
            // A shutdown does not wait for Telegram.
            let patient = notice != Notice::Paused;
            return self.show(job, message, body, patient).await.map_err(classify);
        }
        self.act(job, &notice);
        // Progress takes no turn from what must be said.
        let free = self.api.is_free(job.request.origin.chat.0);
        if !free || !self.pace().is_due(job, &words, Instant::now()) {
            return Ok(());
        }
        let message = self.status_message(job).await;
        if message.is_none() && self.pace().is_fresh(job, Instant::now()) {
            return Ok(());
        }
        self.pace().note(job, &words, Instant::now());
        let outcome = self.show(job, message, body, false).await;
        if let Err(error) = &outcome {
            let mut pace = self.pace();
            pace.missed(job);
            if let Some(wait) = error.wait() {
                pace.silence(job.request.origin.chat, wait, Instant::now());
            }
        }
        match outcome {
            // Its reader deleted it: no progress is wanted. The result will come as a message of its own.
            Err(error) if error.is_message_gone() => Ok(()),
            outcome => outcome.map_err(classify),
        }
    }

    async fn deliver(
        &self,
        job: &Job,
        parcel: &Parcel,
        files: Option<Files<'_>>,
        meter: &Meter,
    ) -> Result<Receipt, CourierError> {
        let too_large = CourierError::Hopeless(Reason::TooLargeToSend {
            size_bytes: parcel.out_bytes,
            limit_bytes: self.send_bytes_max,
        });
        if files.is_some() && parcel.out_bytes > self.send_bytes_max {
            return Err(too_large);
        }
        let status = self.awaited_status_message(job).await;
        if is_edited_into(parcel.kind) {
            self.deliver_in_place(job, status, parcel, files, meter).await
        } else {
            self.deliver_beside(job, status, parcel, files, meter).await
        }
    }

    async fn deliver_batch(&self, items: &[Item<'_>], meter: &Meter) -> Vec<Result<Receipt, CourierError>> {
        self.send_batch(items, meter).await
    }
}
