//! The log of one repository's scanner: whole, its last lines, a range of its bytes, or all that
//! is still to come.

use super::{
    ApiError,
    auth::User,
    header, log_follow,
    operation::{Answer, Operation},
    reply::{self, finish},
    repository::{INDEX, find},
    route::{Call, Route, Scope},
    scan::JOB_ID,
    state::Api,
    streamed::streamed,
    template::Template,
};
use crate::store::{layout::JobDir, read};
use futures_util::StreamExt;
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};
use tokio::task::spawn_blocking;
use warp::{
    Filter,
    http::{
        HeaderValue, StatusCode,
        header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE},
    },
    reply::Response,
};

/// The most lines that `?tail=` gives, and the most bytes that are looked through for them.
const TAIL: (usize, u64) = (100_000, 16 << 20);

const LOG: Template<2> = Template::new("/scan/{id}/repositories/{n}/log", [JOB_ID, INDEX]);
const MEDIA_TYPE: &str = "text/plain; charset=utf-8";
const NO_LOG: ApiError = ApiError::Absent("Repository has no log");

/// The parameters of a log.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Tail {
    /// So many of its last lines alone.
    tail: Option<u64>,
    /// Whether to go on with what is written from now on.
    follow: Option<bool>,
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

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    vec![Route::get(&LOG, Scope::Read, reads(), |call, _| {
        call.and(warp::query()).and(header("range")).then(
            async |Call { api, path: [id, index], user }: Call<2>, tail: Tail, range| {
                finish(match tail.follow {
                    Some(true) => follow(api, id, index, user, tail).await,
                    Some(false) | None => log(api, id, index, tail, range).await,
                })
            },
        )
    })]
}

fn reads() -> Operation {
    Operation::new("getRepositoryLog", "What a scanner has written")
        .about(
            "Its standard output and error, in whole lines, with secrets masked. With \
             `follow=true` the answer goes on as the log grows, until the repository is over; it \
             ends as well when the log is begun anew, for another attempt.",
        )
        .query::<Tail>()
        .header("Range", "One range of bytes; `tail` goes before it, several ranges are ignored.")
        .answers(
            StatusCode::OK,
            Answer::text(MEDIA_TYPE, "The log.")
                .header("Accept-Ranges", "`bytes`; `none` of a log that is followed."),
        )
        .answers(
            StatusCode::PARTIAL_CONTENT,
            Answer::text(MEDIA_TYPE, "The range that was asked for.")
                .header("Accept-Ranges", "Always `bytes`.")
                .header("Content-Range", "Which bytes these are, and of how many."),
        )
        .refuses(StatusCode::RANGE_NOT_SATISFIABLE, "The log has no such bytes.")
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many streams or connections are open.")
}

impl Tail {
    fn lines(&self) -> Option<usize> {
        self.tail.map(|it| usize::try_from(it).map_or(TAIL.0, |it| it.min(TAIL.0)))
    }
}

/// `GET /scan/{id}/repositories/{n}/log?follow=true`; a Range would have no end, and is ignored.
async fn follow(
    api: Api,
    id: String,
    index: String,
    user: User,
    tail: Tail,
) -> Result<Response, ApiError> {
    let (job, status) = find(&api, &id, &index)?;
    if status.state.is_final() {
        let log = api.jobs.job(job.id()).log(status.index);
        let exists = spawn_blocking(move || log.exists()).await;
        if !exists.map_err(|error| ApiError::internal("look for a log", &error))? {
            return Err(NO_LOG);
        }
    }
    let lines = tail.lines();
    let start = move |file: &mut File| match lines {
        Some(lines) => Ok(last_lines(file, lines)?.0),
        None => Ok(0),
    };
    let place = api.stream_place(&user)?;
    let pieces = log_follow::follow(&api, job, &status, Box::new(start), place);
    // A log that grows is read for as long as its reader may.
    let mut response = streamed(pieces.take_until(Box::pin(user.revoked())), MEDIA_TYPE);
    response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("none"));
    Ok(response)
}

/// `GET /scan/{id}/repositories/{n}/log`
async fn log(
    api: Api,
    id: String,
    index: String,
    tail: Tail,
    range: Option<HeaderValue>,
) -> Result<Response, ApiError> {
    let (job, status) = find(&api, &id, &index)?;
    let folder = api.jobs.job(job.id());
    let lines = tail.lines();
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
        io::ErrorKind::NotFound => NO_LOG,
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
    let bytes = match part {
        Part::Whole => bytes_of(&mut file, 0, length),
        Part::Lines(lines) => last_lines(&mut file, lines).map(|(_, bytes)| bytes),
        Part::Bytes(first, last) => bytes_of(&mut file, first, last - first + 1),
    };
    let bytes = bytes.map_err(failed)?;
    let mut response = Response::new(bytes.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Part::Bytes(first, last) = part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {first}-{last}/{length}");
        response = reply::with_header(response, CONTENT_RANGE, &range);
    }
    Ok(response)
}

fn bytes_of(file: &mut File, first: u64, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(first))?;
    file.take(count).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The last lines of a log, and where they begin.
fn last_lines(file: &mut File, lines: usize) -> io::Result<(u64, Vec<u8>)> {
    let length = file.metadata()?.len();
    let first = length.saturating_sub(TAIL.1);
    let mut bytes = bytes_of(file, first, length - first)?;
    let start = start_of_last_lines(&bytes, lines);
    bytes.drain(..start);
    Ok((first + start as u64, bytes))
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
