//! Results of files that came together: one album where the platform makes albums of them, else one message each.
//!
//! A message of words cannot become an album, so all of it is sent, at most once: the intent of an album stands at the job
//! of each of its items, for their ends are recorded one by one. Absent: the status message, which the worker turns into the
//! summary.

use serde_json::{Value, json};

use super::api::Part;
use super::delivery::{CallFailed, TelegramCourier};
use super::errors::{CallError, classify};
use super::fetch::pass_on;
use super::keyboard::reply_to;
use super::parcel::{file_id_of, kind_name, media_fields, parts_of};
use crate::courier::{CourierError, Item, Meter, Receipt};
use crate::crash::point;
use crate::job::{Parcel, ParcelKind, Reason};
use crate::store::Store;

/// Items of an album: at least and at most.
const ALBUM_MIN: usize = 2;
const ALBUM_MAX: usize = 10;
/// Turns that an album takes of its chat's share: the platform counts its messages, up to a burst.
const TURNS_MAX: usize = 5;
/// Tries of an album that was refused before it had any effect.
const SENDS_MAX: u32 = 3;

type Answer = Result<Receipt, CourierError>;

/// What an album may mix; `None` for what it does not take. A film without sound is an animation to the platform.
fn family(parcel: &Parcel) -> Option<ParcelKind> {
    match parcel.kind {
        ParcelKind::Video if parcel.silent => None,
        ParcelKind::Video | ParcelKind::Photo => Some(ParcelKind::Video),
        ParcelKind::Document => Some(ParcelKind::Document),
        ParcelKind::Audio => Some(ParcelKind::Audio),
        ParcelKind::Animation | ParcelKind::Note | ParcelKind::Voice | ParcelKind::Sticker => None,
    }
}

/// Which results go out together, by their places; what an album does not take is alone.
fn rows(parcels: &[&Parcel]) -> Vec<Vec<usize>> {
    let mut rows: Vec<(Option<ParcelKind>, Vec<usize>)> = Vec::new();
    for (place, parcel) in parcels.iter().enumerate() {
        let family = family(parcel);
        let open = rows
            .iter_mut()
            .find(|(kind, row)| family.is_some() && *kind == family && row.len() < ALBUM_MAX);
        match open {
            Some((_, row)) => row.push(place),
            None => rows.push((family, vec![place])),
        }
    }
    rows.into_iter().map(|(_, row)| row).collect()
}

impl<S: Store> TelegramCourier<S> {
    /// Sends the results of a batch; an answer for each, in their order.
    pub(super) async fn send_batch(&self, items: &[Item<'_>], meter: &Meter) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = items.iter().map(|item| self.too_large(item).map(Err)).collect();
        let fitting: Vec<usize> = (0..items.len()).filter(|place| answers[*place].is_none()).collect();
        let parcels: Vec<&Parcel> = fitting.iter().map(|place| items[*place].parcel).collect();
        for row in rows(&parcels) {
            let places: Vec<usize> = row.into_iter().map(|place| fitting[place]).collect();
            let of_row: Vec<Item<'_>> = places.iter().map(|place| items[*place]).collect();
            for (place, answer) in places.into_iter().zip(self.send_row(&of_row, meter).await) {
                answers[place] = Some(answer);
            }
            meter.mark();
        }
        let unsent = || Err(CourierError::Hopeless(Reason::Internal));
        answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(unsent))
            .collect()
    }

    fn too_large(&self, item: &Item<'_>) -> Option<CourierError> {
        let over = item.files.is_some() && item.parcel.out_bytes > self.send_bytes_max;
        over.then_some(CourierError::Hopeless(Reason::TooLargeToSend {
            size_bytes: item.parcel.out_bytes,
            limit_bytes: self.send_bytes_max,
        }))
    }

    async fn send_row(&self, row: &[Item<'_>], meter: &Meter) -> Vec<Answer> {
        if row.len() >= ALBUM_MIN {
            match self.send_album_once(row, meter).await {
                Ok(Some(receipts)) => return receipts.into_iter().map(Ok).collect(),
                // One of them may have been sent before: each for itself, and that one not again.
                Ok(None) => {}
                // It wants no album of these, and showed nothing: each for itself.
                Err(CallFailed::Call(error)) if error.is_surely_undone() && error.wait().is_none() => {
                    tracing::warn!(?error, "no album of these; each is sent alone");
                    meter.reset();
                }
                Err(failed) => {
                    let error = match failed {
                        CallFailed::Known(error) => error,
                        CallFailed::Call(error) => classify(error),
                    };
                    return row.iter().map(|_| Err(error.clone())).collect();
                }
            }
        }
        let mut answers = Vec::new();
        for item in row {
            answers.push(self.send_alone(item, meter).await);
            meter.mark();
        }
        answers
    }

    async fn send_alone(&self, item: &Item<'_>, meter: &Meter) -> Answer {
        let Item { job, parcel, files } = *item;
        let sent = match self.send_anew(job, parcel, files, meter).await {
            // Its receiver wants neither voice messages nor round videos.
            Err(CallFailed::Call(error)) if error.is_voice_forbidden() => {
                let kind = match parcel.kind {
                    ParcelKind::Note => ParcelKind::Video,
                    _ => ParcelKind::Document,
                };
                let plain = Parcel { kind, ..parcel.clone() };
                self.send_anew(job, &plain, files, meter).await
            }
            sent => sent,
        };
        sent.map(|message| receipt(&message, parcel))
            .map_err(|failed| self.explain(failed, parcel))
    }

    /// `None` where one of them was sent before, or perhaps was.
    async fn send_album_once(&self, row: &[Item<'_>], meter: &Meter) -> Result<Option<Vec<Receipt>>, CallFailed> {
        let jobs = row.iter().map(|item| item.job.id).collect();
        let intended = self.store.record_send_intents(jobs).await;
        if !intended.map_err(|error| CallFailed::of_store(&error))? {
            return Ok(None);
        }
        point("album-intended");
        let mut attempt = 1;
        let outcome = loop {
            meter.reset();
            let error = match self.send_album(row, meter).await {
                Ok(messages) => break Ok(messages),
                Err(error) => error,
            };
            if row.iter().any(|item| self.streams_instead(&error, item.files)) {
                continue;
            }
            match error.wait() {
                Some(wait) if attempt < SENDS_MAX && error.is_surely_undone() => tokio::time::sleep(wait).await,
                _ => break Err(error),
            }
            attempt += 1;
        };
        if let Err(error) = &outcome {
            for item in row {
                self.withdraw_if_undone(item.job, error).await;
            }
        }
        let messages = outcome?;
        point("album-sent");
        let of = |(place, item): (usize, &Item<'_>)| receipt(&messages[place], item.parcel);
        Ok(Some(row.iter().enumerate().map(of).collect()))
    }

    async fn send_album(&self, row: &[Item<'_>], meter: &Meter) -> Result<Value, CallError> {
        let mut media = Vec::new();
        let mut parts: Vec<Part<'_>> = Vec::new();
        for (place, item) in row.iter().enumerate() {
            let Item { job, parcel, files } = *item;
            let mut fields = media_fields(job, parcel);
            fields["type"] = json!(kind_name(parcel.kind));
            let address = self.address(files);
            let mut own = parts_of(files, address.is_none(), meter);
            for part in &mut own {
                part.name = format!("{}{place}", part.name).into();
            }
            let name = parcel.file_id.clone().or(address);
            fields["media"] = json!(name.unwrap_or_else(|| format!("attach://media{place}")));
            if own.iter().any(|part| part.name.starts_with("thumbnail")) {
                fields["thumbnail"] = json!(format!("attach://thumbnail{place}"));
            }
            media.push(fields);
            parts.extend(own);
        }
        let origin = &row[0].job.request.origin;
        let fields = vec![
            ("chat_id", origin.chat.0.to_string()),
            ("reply_parameters", reply_to(origin.message).to_string()),
            ("media", json!(media).to_string()),
        ];
        let bytes = row.iter().map(|item| item.parcel.out_bytes).sum();
        self.api.turns(origin.chat.0, row.len().min(TURNS_MAX) - 1).await;
        self.api.upload("sendMediaGroup", fields, &parts, pass_on(bytes)).await
    }
}

fn receipt(message: &Value, parcel: &Parcel) -> Receipt {
    Receipt {
        file_id: file_id_of(message)
            .or_else(|| parcel.file_id.clone())
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::{ParcelKind, rows};
    use crate::job::Parcel;

    fn parcel(kind: ParcelKind, silent: bool) -> Parcel {
        Parcel {
            kind,
            width: 64,
            height: 48,
            duration_s: 1.0,
            in_bytes: 2,
            out_bytes: 1,
            video_copied: false,
            audio_copied: false,
            silent,
            wall_s: 0.1,
            warnings: Vec::new(),
            file_id: None,
            look: None,
        }
    }

    #[test]
    fn films_and_photos_mix_and_all_else_stays_among_its_own() {
        use ParcelKind::{Audio, Document, Note, Photo, Video};
        let kinds = [Video, Note, Photo, Audio, Video, Document, Audio];
        let parcels: Vec<Parcel> = kinds.map(|kind| parcel(kind, false)).into();
        let rows = rows(&parcels.iter().collect::<Vec<_>>());
        assert_eq!(rows, [vec![0, 2, 4], vec![1], vec![3, 6], vec![5]]);
    }

    #[test]
    fn a_film_without_sound_is_alone_and_ten_fill_an_album() {
        let silent = parcel(ParcelKind::Video, true);
        let film = parcel(ParcelKind::Video, false);
        let parcels: Vec<&Parcel> = std::iter::once(&silent).chain(std::iter::repeat_n(&film, 12)).collect();
        let lengths: Vec<usize> = rows(&parcels).iter().map(Vec::len).collect();
        assert_eq!(lengths, [1, 10, 2]);
    }
}
