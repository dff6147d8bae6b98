//! From a file id to the source in the job's folder: by the disk of a server of one's own, or over HTTP.
//!
//! `getFile` is asked right before the file is taken: paths and links grow old, so none waits anywhere.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::api::Api;
use super::errors::{CallError, classify};
use super::local::Shared;
use crate::courier::{CourierError, Meter};
use crate::job::{Reason, Source};

/// What moves a file between the server and Telegram before it answers may take so long, and longer by the size: at least
/// so fast, bytes a second, and never longer than this.
const PASS_ON: Duration = Duration::from_secs(60);
const PASS_ON_BYTES_A_S: u64 = 128 << 10;
const PASS_ON_MAX: Duration = Duration::from_secs(2 * 3600);
/// A local server says the same of a file that is gone and of one that it does not have yet: at this try it is gone.
const UNAVAILABLE_TRIES: u32 = 4;

/// How long the server may take to pass a file on: a local one gets a source whole before it answers, and every
/// one sends a result on.
pub(super) fn pass_on(size_bytes: u64) -> Duration {
    (PASS_ON + Duration::from_secs(size_bytes / PASS_ON_BYTES_A_S)).min(PASS_ON_MAX)
}

/// Fetches sources.
#[derive(Debug)]
pub(super) struct Fetcher {
    pub(super) api: Api,
    pub(super) shared: Option<Shared>,
    pub(super) bytes_max: u64,
}

impl Fetcher {
    /// Makes the source ours; gives its size, bytes.
    pub(super) async fn fetch(
        &self,
        source: &Source,
        attempt: u32,
        into: &Path,
        meter: &Meter,
    ) -> Result<u64, CourierError> {
        let file_path = &self.get_file(source, attempt).await?;
        meter.reset();
        if let Some(shared) = &self.shared {
            return shared.take(file_path, into, meter).await;
        }
        match self.api.download(file_path, into, meter).await {
            Err(CallError::Refused { code: 404, .. }) if file_path.starts_with('/') => {
                tracing::error!("the Bot API server keeps its files on its own disk: set KADR_API_LOCAL_ROOT");
                Err(CourierError::Hopeless(Reason::Internal))
            }
            // Links live an hour, and this one is new: the server is between two states.
            Err(CallError::Refused {
                code: 404, description, ..
            }) => Err(CourierError::Transient {
                after_s: None,
                what: description,
            }),
            outcome => outcome.map_err(classify),
        }
    }

    /// The server's path of the source, which is there for an hour.
    async fn get_file(&self, source: &Source, attempt: u32) -> Result<String, CourierError> {
        let too_large = |size_bytes| {
            CourierError::Hopeless(Reason::TooLargeToFetch {
                size_bytes,
                limit_bytes: self.bytes_max,
            })
        };
        let within = pass_on(source.size_bytes.unwrap_or(self.bytes_max));
        let body = json!({ "file_id": source.file_id });
        let file = match self.api.call("getFile", &body, within.as_secs()).await {
            Ok(file) => file,
            Err(error) if error.is_unavailable() && attempt >= UNAVAILABLE_TRIES => {
                return Err(CourierError::Hopeless(Reason::SourceGone));
            }
            Err(error) => {
                return Err(match classify(error) {
                    CourierError::StaleFileId => CourierError::Hopeless(Reason::SourceGone),
                    CourierError::Hopeless(Reason::TooLargeToFetch { .. }) => too_large(source.size_bytes.unwrap_or(0)),
                    error => error,
                });
            }
        };
        match (file["file_path"].as_str(), file["file_size"].as_u64()) {
            // Not every message announces a size.
            (_, Some(size_bytes)) if size_bytes > self.bytes_max => Err(too_large(size_bytes)),
            (Some(path), _) => Ok(path.to_owned()),
            (None, _) => Err(CourierError::Transient {
                after_s: None,
                what: "getFile named no path".to_owned(),
            }),
        }
    }
}
