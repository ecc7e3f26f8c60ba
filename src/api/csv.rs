//! Packages as CSV: whether a request wants it, and the answer, read from the disk repository by
//! repository while it is sent.
//!
//! What must stay true: the packages of one repository at most are in memory for a request,
//! however many it asks for; an answer whose job is removed meanwhile breaks off.

use super::{
    ApiError, reply,
    state::Api,
    streamed::{BrokenOff, Piece, streamed},
};
use crate::{
    model::{JobId, RepoState, repository::RepositoryStatus},
    sbom::csv,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::task::spawn_blocking;
use warp::{
    http::{
        HeaderValue,
        header::{CONTENT_DISPOSITION, VARY},
    },
    reply::Response,
};

/// The media type with its parameters, by RFC 4180 and RFC 7111.
pub(super) const MEDIA_TYPE: &str = "text/csv; charset=utf-8; header=present";

/// The formats of `?format=`.
pub(super) const FORMATS: [&str; 2] = ["json", "csv"];

/// What form an answer is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Csv,
}

impl Format {
    /// What a request asks for: `?format=` goes before `Accept`.
    pub(super) fn asked(
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
            None if accept.and_then(|it| it.to_str().ok()).is_some_and(prefers_csv) => {
                Ok(Self::Csv)
            }
            None => Ok(Self::Json),
        }
    }
}

/// Whether an `Accept` (RFC 9110, section 12.5.1) names CSV, and before JSON.
fn prefers_csv(accept: &str) -> bool {
    let quality = |types: &[&str]| {
        let ranges = accept.split(',').map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|it| it.strip_prefix("q=")?.parse::<f32>().ok());
            (media_type, weight.unwrap_or(1.0))
        });
        let mut found = ranges.filter(|(it, _)| types.contains(&it.as_str()));
        found.next().map_or(0.0, |(_, weight)| weight)
    };
    let csv = quality(&["text/csv"]);
    let json = ["application/json", "application/*", "*/*"].map(|it| quality(&[it]));
    csv > json.into_iter().find(|it| *it > 0.0).unwrap_or(0.0)
}

/// The packages of those of these repositories that are completed, to be saved as a file.
pub(super) fn answer(
    api: Api,
    job: JobId,
    repositories: Vec<RepositoryStatus>,
    file_name: &str,
) -> Response {
    let mut completed = repositories.into_iter().filter(|it| it.state == RepoState::Completed);
    let rows = stream::unfold((api, job), move |(api, job)| {
        let next = completed.next();
        async move {
            let rows = rows(&api, &job, next?).await;
            Some((rows, (api, job)))
        }
    });
    let heading = stream::once(async { Ok(Bytes::from(csv::heading())) });
    let response = streamed(heading.chain(rows), MEDIA_TYPE);
    // A job's id has no character that would need quoting, or mean anything in a path.
    let disposition = format!("attachment; filename=\"{file_name}\"");
    let response = reply::with_header(response, CONTENT_DISPOSITION, &disposition);
    reply::with_header(response, VARY, "accept")
}

/// The rows of one repository.
async fn rows(api: &Api, job: &JobId, status: RepositoryStatus) -> Piece {
    let (results, id) = (api.results.clone(), job.clone());
    let read = spawn_blocking(move || {
        csv::rows(&status.display_name(), &results.packages(&id, status.index))
    });
    let rows = read.await.map_err(|_| BrokenOff)?;
    // Looked for after reading: files are removed when the job is gone from here, or before.
    match api.live.get(job) {
        Some(_) => Ok(rows.into()),
        None => Err(BrokenOff),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_what_is_asked_for_by_name() {
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
