//! One repository of a job: where it stands, and what its scanner said.

use super::{ApiError, reply, state::Api};
use crate::{
    live::LiveJob,
    model::{repository::RepositoryStatus, time},
    store::{layout::JobDir, read},
};
use serde::Deserialize;
use serde_json::json;
use std::{
    io::{self, Read, Seek, SeekFrom},
    sync::Arc,
};
use tokio::task::spawn_blocking;
use warp::{
    http::{HeaderValue, StatusCode, header},
    reply::Response,
};

/// The most lines that `?tail=` gives, and the most bytes that are looked through for them.
const TAIL: (usize, u64) = (100_000, 16 << 20);

/// `?tail=`
#[derive(Debug, Default, Deserialize)]
pub(super) struct Tail {
    tail: Option<i64>,
}

/// Which bytes of a log are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    /// The last lines.
    Lines(usize),
    /// From a byte up to, and with, another.
    Bytes(u64, u64),
}

/// Finds a repository by the texts of a path.
pub(super) fn find(
    api: &Api,
    id: &str,
    index: &str,
) -> Result<(Arc<LiveJob>, RepositoryStatus), ApiError> {
    let job = api.job(id)?;
    let status = index.parse().ok().and_then(|index| job.repository(index));
    let status = status.ok_or(ApiError::Absent("Repository not found"))?;
    Ok((job, status))
}

/// `GET /scan/{id}/repositories/{n}`
pub(super) fn show(api: &Api, id: &str, index: &str) -> Result<Response, ApiError> {
    let (job, status) = find(api, id, index)?;
    Ok(reply::json(&json!({
        "job_id": job.id(),
        "repo_index": status.index,
        "repo_name": status.name,
        "git_url": status.git_url,
        "status": status.word(),
        "attempt": status.attempt,
        "started_at": status.started_at.map(time::format),
        "last_update": status.last_update.map(time::format),
        "completed_at": status.completed_at.map(time::format),
        "progress": status.progress,
        "dependencies_found": status.dependencies_found,
        "error": status.error,
        "failure": status.failure,
    })))
}

/// `GET /scan/{id}/repositories/{n}/log`
pub(super) async fn log(
    api: Api,
    id: String,
    index: String,
    tail: Tail,
    range: Option<HeaderValue>,
) -> Result<Response, ApiError> {
    let (job, status) = find(&api, &id, &index)?;
    let folder = api.jobs.job(job.id());
    let lines = tail.tail.map(|it| usize::try_from(it).unwrap_or(0).min(TAIL.0));
    let range = range.and_then(|it| it.to_str().map(str::to_owned).ok());
    let read = spawn_blocking(move || read_log(&folder, status.index, lines, range.as_deref()));
    match read.await {
        Ok(answer) => answer,
        Err(error) => Err(ApiError::internal("read a log", &error)),
    }
}

fn read_log(
    folder: &JobDir,
    index: u32,
    lines: Option<usize>,
    range: Option<&str>,
) -> Result<Response, ApiError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => ApiError::Absent("Repository has no log"),
        _ => ApiError::internal("read a log", &error),
    };
    let mut file = read::open(&folder.log(index)).map_err(failed)?;
    // A log grows while it is read: what is said of its length has to hold for this answer.
    let length = file.metadata().map_err(failed)?.len();
    let part = match (lines, range.and_then(|it| parse_range(it, length))) {
        (Some(lines), _) => Part::Lines(lines),
        (None, Some(Ok(part))) => part,
        (None, Some(Err(()))) => return Err(ApiError::RangeNotSatisfiable { length }),
        (None, None) => Part::Whole,
    };
    let (first, count) = match part {
        Part::Whole => (0, length),
        Part::Lines(_) => (length.saturating_sub(TAIL.1), length.min(TAIL.1)),
        Part::Bytes(first, last) => (first, last - first + 1),
    };
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(first)).map_err(failed)?;
    file.take(count).read_to_end(&mut bytes).map_err(failed)?;
    if let Part::Lines(lines) = part {
        bytes.drain(..start_of_last_lines(&bytes, lines));
    }
    let mut response = Response::new(bytes.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Part::Bytes(first, last) = part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {first}-{last}/{length}");
        response = reply::with_header(response, header::CONTENT_RANGE, &range);
    }
    Ok(response)
}

/// Reads a Range header (RFC 9110, section 14.2). `None` for one that is to be ignored: of another
/// unit, ill-formed, or with several ranges. `Err` for one that lies outside.
fn parse_range(text: &str, length: u64) -> Option<Result<Part, ()>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first.trim(), last.trim()) {
        ("", suffix) => {
            let suffix: u64 = suffix.parse().ok()?;
            if suffix == 0 {
                return Some(Err(()));
            }
            (length.saturating_sub(suffix), length.checked_sub(1))
        }
        (first, "") => (first.parse().ok()?, length.checked_sub(1)),
        (first, last) => {
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            if last < first {
                return None;
            }
            (first, length.checked_sub(1).map(|end| last.min(end)))
        }
    };
    Some(match range {
        (first, Some(last)) if first <= last => Ok(Part::Bytes(first, last)),
        _ => Err(()),
    })
}

/// Where the last `lines` lines begin; a closing line break ends the last one.
fn start_of_last_lines(bytes: &[u8], lines: usize) -> usize {
    if lines == 0 {
        return bytes.len();
    }
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let breaks = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    breaks.map(|(position, _)| position + 1).nth(lines - 1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_by_the_book() {
        for (text, length, expected) in [
            ("bytes=0-4", 10, Some(Ok(Part::Bytes(0, 4)))),
            ("bytes=5-", 10, Some(Ok(Part::Bytes(5, 9)))),
            ("bytes=-3", 10, Some(Ok(Part::Bytes(7, 9)))),
            ("bytes=-30", 10, Some(Ok(Part::Bytes(0, 9)))),
            ("bytes=8-99", 10, Some(Ok(Part::Bytes(8, 9)))),
            ("bytes=10-", 10, Some(Err(()))),
            ("bytes=0-", 0, Some(Err(()))),
            ("bytes=-0", 10, Some(Err(()))),
            ("bytes=4-2", 10, None),
            ("bytes=0-1,3-4", 10, None),
            ("lines=0-1", 10, None),
            ("bytes=a-b", 10, None),
            ("bytes=99999999999999999999-", 10, None),
        ] {
            assert_eq!(parse_range(text, length), expected, "{text}");
        }
    }

    #[test]
    fn the_last_lines_are_found() {
        for (text, lines, expected) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 1, "c"),
            ("a\nb\n", 9, "a\nb\n"),
            ("a\n", 0, ""),
            ("", 3, ""),
            ("\n\n", 1, "\n"),
        ] {
            let start = start_of_last_lines(text.as_bytes(), lines);
            assert_eq!(&text[start..], expected, "{text:?}");
        }
    }
}
