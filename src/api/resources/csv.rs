//! Packages as CSV: whether a client asks for it, and the answer.
//!
//! Input: `?format=` or `Accept`, and repositories of a job. Output: rows, read from the disk
//! repository by repository while they are sent.
//!
//! Invariants: a request holds one piece and one package in memory, however many packages it asks
//! for; an answer whose job is removed meanwhile is aborted.

use super::{
    package_file::PackageFile,
    produced_body::{Cancellation, PIECE, Producer, Terms, produced, unread},
};
use crate::api::{
    answers::{archived::marked, error::ApiError, reply, stream_body::Aborted},
    routing::route::Call,
};
use crate::{
    live::{LiveJob, Results},
    model::declared::Declared,
    sbom::csv,
    store::result_file::Unread,
};
use std::sync::Arc;
use warp::{
    http::{
        HeaderValue,
        header::{CONTENT_DISPOSITION, VARY},
    },
    reply::Response,
};

/// The media type with its parameters, by RFC 4180 and RFC 7111.
pub(crate) const MEDIA_TYPE: &str = "text/csv; charset=utf-8; header=present";

/// The formats of `?format=`.
pub(crate) const FORMATS: [&str; 2] = ["json", "csv"];

/// The format of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Csv,
}

impl Format {
    /// The requested format: `?format=` takes precedence over `Accept`.
    pub(crate) fn asked(
        query: Option<&str>,
        accept: Option<&HeaderValue>,
    ) -> Result<Self, ApiError> {
        match query {
            Some("csv") => Ok(Self::Csv),
            Some("json") => Ok(Self::Json),
            Some(_) => {
                let formats = FORMATS.join(", ");
                Err(ApiError::bad_request(format!("Invalid format. Must be one of: {formats}")))
            }
            None if accept.and_then(|value| value.to_str().ok()).is_some_and(prefers_csv) => {
                Ok(Self::Csv)
            }
            None => Ok(Self::Json),
        }
    }
}

/// Whether an `Accept` (RFC 9110, section 12.5.1) names CSV and prefers it to JSON.
fn prefers_csv(accept: &str) -> bool {
    let quality = |types: &[&str]| {
        let ranges = accept.split(',').map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight =
                parts.find_map(|parameter| parameter.strip_prefix("q=")?.parse::<f32>().ok());
            (media_type, weight.unwrap_or(1.0))
        });
        let mut found = ranges.filter(|(name, _)| types.contains(&name.as_str()));
        found.next().map_or(0.0, |(_, weight)| weight)
    };
    let csv = quality(&["text/csv"]);
    let json =
        ["application/json", "application/*", "*/*"].map(|media_type| quality(&[media_type]));
    csv > json.into_iter().find(|weight| *weight > 0.0).unwrap_or(0.0)
}

/// The packages of these completed repositories, as a file to download.
pub(crate) async fn answer<const N: usize>(
    call: &Call<N>,
    job: &Arc<LiveJob>,
    repositories: Vec<u32>,
    file_name: &str,
) -> Result<Response, ApiError> {
    let api = &call.api;
    let reading = api.read_pools.open(&call.user, call.peer)?;
    let (cancellation, guard) = Cancellation::of(api, job);
    let rows = Rows {
        results: Arc::clone(&api.results),
        job: Arc::clone(job),
        cancellation,
        repositories: repositories.into_iter(),
        heading: Some(csv::heading()),
        current: None,
    };
    let terms = Terms::new(api, &api.read_pools.results, &call.user).with(guard, reading);
    let response = produced(terms, rows, MEDIA_TYPE).await;
    let response = response.map_err(|error| error.unwrap_or_else(|| unread(api, job.id())))?;
    // A job id contains no character that needs quoting or has a meaning in a path.
    let disposition = format!("attachment; filename=\"{file_name}\"");
    let response = reply::with_header(response, CONTENT_DISPOSITION, &disposition);
    Ok(marked(reply::with_header(response, VARY, "accept"), job.is_archived()))
}

/// Rows that are read while they are sent.
struct Rows {
    results: Arc<Results>,
    job: Arc<LiveJob>,
    cancellation: Cancellation,
    repositories: std::vec::IntoIter<u32>,
    heading: Option<String>,
    current: Option<PackageFile>,
}

impl Producer for Rows {
    fn produce(&mut self, piece: &mut Vec<u8>) -> Result<bool, Aborted> {
        piece.extend(self.heading.take().map(String::into_bytes).into_iter().flatten());
        let mut more = true;
        while more && piece.len() < PIECE {
            more = match &mut self.current {
                Some(current) => {
                    if read(current, piece)? {
                        self.current = None;
                    }
                    true
                }
                None => match self.repositories.next() {
                    Some(index) => {
                        let Self { results, job, cancellation, .. } = self;
                        self.current = PackageFile::open(results, job, index, cancellation)?;
                        true
                    }
                    None => false,
                },
            };
            // Checked after reading, because the files of a removed job may be gone.
            if self.cancellation.is_cancelled() {
                return Err(Aborted);
            }
        }
        Ok(more)
    }
}

/// Appends rows until the piece is full; returns whether they were the last.
fn read(file: &mut PackageFile, piece: &mut Vec<u8>) -> Result<bool, Aborted> {
    file.read(&mut |name, text| {
        if piece.len() >= PIECE {
            return Ok(false);
        }
        let package = Declared::parse(text).map_err(|_| Unread::Invalid)?;
        piece.extend_from_slice(csv::row(name, &package).as_bytes());
        Ok(true)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_sent_if_it_is_named_and_preferred() {
        for (accept, expected) in [
            ("text/csv", true),
            ("Text/CSV; header=present", true),
            ("text/csv, */*;q=0.1", true),
            ("application/json;q=0.5, text/csv;q=0.9", true),
            ("text/csv, application/json", false),
            ("text/csv;q=0.3, application/*;q=0.4", false),
            ("text/csv;q=0", false),
            ("text/*", false),
            ("*/*", false),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false),
            ("", false),
            (";;,=,q=", false),
        ] {
            assert_eq!(prefers_csv(accept), expected, "{accept}");
        }
        let wants_csv = Some(HeaderValue::from_static("text/csv"));
        let asked = |query| Format::asked(query, wants_csv.as_ref());
        assert_eq!(asked(None).unwrap(), Format::Csv);
        assert_eq!(asked(Some("json")).unwrap(), Format::Json);
        assert!(asked(Some("xml")).is_err());
    }
}
