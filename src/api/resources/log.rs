//! The log of the scanner of one repository: all of it, its last lines, a range of bytes, or a
//! stream that follows it.
//!
//! Input: a log file, which may grow, be restarted or be removed meanwhile. Output: the bytes that
//! it had when it was opened.
//!
//! Invariants: one piece is in memory; an answer that cannot be sent as announced is aborted; an answer
//! never mixes the bytes of two attempts, and neither does a client that sends the entity tag of one answer with
//! its next range (`If-Range`, RFC 9110, section 13.1.5).

use super::{
    log_follow,
    log_position::LogPosition,
    produced_body::{PIECE, Producer, Terms, produced, unread},
    repository::{INDEX, find},
    scan::JOB_ID,
};
use crate::api::{
    answers::{
        error::ApiError,
        reply::{self, finish},
        stream_body::{Aborted, streamed},
    },
    requests::header::header,
    routing::{
        operation::{Answer, Operation},
        route::{Access, Call, Route},
        template::Template,
    },
    state::Api,
};
use crate::{
    live::LiveJob,
    store::read::{self, Signature},
    supervisor::RepoKey,
};
use futures_util::{StreamExt, future, stream};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use warp::{
    Filter,
    http::{
        HeaderValue, StatusCode,
        header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG},
    },
    reply::Response,
};

/// The maximum of `?tail=` in lines, and in bytes that are searched for them.
const TAIL: (usize, u64) = (100_000, 16 << 20);

const LOG: Template<2> = Template::new("/scan/{id}/repositories/{n}/log", [JOB_ID, INDEX]);
/// Two changes within a tick of the clock of the file system may have the same time.
const YOUNG: Duration = Duration::from_millis(20);
const MEDIA_TYPE: &str = "text/plain; charset=utf-8";
const NO_LOG: ApiError = ApiError::Absent("Repository has no log");

/// The parameters of a log.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Tail {
    /// Only this many of the last lines.
    tail: Option<u64>,
    /// Whether to continue with lines that are written later.
    follow: Option<bool>,
}

/// The requested part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    /// The last lines.
    Lines(usize),
    /// From the first byte to the last one, inclusive.
    Bytes(u64, u64),
}

/// The headers about a range.
#[derive(Debug, Default)]
struct RangeHeaders {
    range: Option<HeaderValue>,
    if_range: Option<HeaderValue>,
}

/// The routes of this file.
pub(crate) fn routes() -> Vec<Route> {
    vec![Route::get(&LOG, Access::Read, reads(), |call, _| {
        call.and(warp::query()).and(header("range")).and(header("if-range")).then(
            async |call: Call<2>, tail: Tail, range, if_range| {
                finish(match tail.follow {
                    Some(true) => follow(call, tail).await,
                    Some(false) | None => log(call, tail, RangeHeaders { range, if_range }).await,
                })
            },
        )
    })]
}

fn reads() -> Operation {
    Operation::new("getRepositoryLog", "The log of a scanner")
        .about(
            "Standard output and standard error of the scanner, in whole lines, with secrets \
             masked. With `follow=true` the answer continues while the log grows, until the \
             repository is finished; it also ends when another attempt restarts the log.",
        )
        .query::<Tail>()
        .header(
            "Range",
            "One range of bytes; `tail` takes precedence, and several ranges are ignored.",
        )
        .header(
            "If-Range",
            "An `ETag` of this log: the range is sent only if the log has not changed since; else \
             all of it.",
        )
        .header("If-None-Match", "The `ETag` of the log that the client already has.")
        .answers(
            StatusCode::OK,
            Answer::text(MEDIA_TYPE, "The log.")
                .header("Accept-Ranges", "`bytes`; `none` for a log that is followed.")
                .header("ETag", "The version of the whole log."),
        )
        .answers(
            StatusCode::OK,
            Answer::text(MEDIA_TYPE, "The log as it grows.").header("Accept-Ranges", "`none`"),
        )
        .answers(
            StatusCode::NOT_MODIFIED,
            Answer::empty("The log has not changed.").header("ETag", "The version of the log."),
        )
        .answers(
            StatusCode::PARTIAL_CONTENT,
            Answer::text(MEDIA_TYPE, "The range that was asked for.")
                .header("Accept-Ranges", "Always `bytes`.")
                .header("Content-Range", "The range, and the length of the log.")
                .header("ETag", "The version of the whole log."),
        )
        .refuses(StatusCode::RANGE_NOT_SATISFIABLE, "The log has no such bytes.")
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many streams or connections are open.")
}

impl Tail {
    fn lines(&self) -> Option<usize> {
        self.tail.map(|tail| usize::try_from(tail).map_or(TAIL.0, |tail| tail.min(TAIL.0)))
    }
}

/// `GET /scan/{id}/repositories/{n}/log?follow=true`; a Range is ignored.
async fn follow(call: Call<2>, tail: Tail) -> Result<Response, ApiError> {
    let (job, status) = find(&call.api, &call.path[0], &call.path[1]).await?;
    if job.is_archived() {
        // It does not grow any more.
        return log(call, tail, RangeHeaders::default()).await;
    }
    let Call { api, user, .. } = call;
    if status.state.is_final() {
        let log = api.jobs.job(job.id()).log(status.index);
        if !api.read_pools.files.run(move || log.exists()).await? {
            return Err(NO_LOG);
        }
    }
    let lines = tail.lines();
    let start = move |file: &mut File| match lines {
        Some(lines) => start_of_lines(file, file.metadata()?.len(), lines),
        None => Ok(0),
    };
    let slot = api.stream_slot(&user)?;
    let key = RepoKey { job: job.id().clone(), index: status.index };
    if !status.state.is_final() {
        api.supervisor.agents().refresh_log(&key).await;
    }
    let pieces = log_follow::follow(&api, job, &status, Box::new(start), slot);
    // The log of a scan on another machine grows here while somebody follows it.
    let agents = api.supervisor.agents().clone();
    let growing = async move { agents.follow_log(&key).await };
    let pieces = stream::select(
        pieces.map(Some).chain(stream::iter([None])),
        stream::once(growing).map(|()| None),
    );
    let pieces =
        pieces.take_while(|piece| future::ready(piece.is_some())).filter_map(future::ready);
    // A followed log ends when its user is revoked.
    let mut response = streamed(pieces.take_until(Box::pin(user.revoked())), MEDIA_TYPE);
    response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("none"));
    Ok(response)
}

/// `GET /scan/{id}/repositories/{n}/log`
async fn log(call: Call<2>, tail: Tail, asked: RangeHeaders) -> Result<Response, ApiError> {
    let (api, [id, index]) = (&call.api, &call.path);
    let (job, status) = find(api, id, index).await?;
    let (path, lines) = (log_path(api, &job, status.index), tail.lines());
    if !status.state.is_final() {
        let key = RepoKey { job: job.id().clone(), index: status.index };
        api.supervisor.agents().refresh_log(&key).await;
    }
    let opened = api.read_pools.files.run(move || open(&path()?, lines, &asked));
    let Opened { bytes, part, length, tag } = opened.await??;
    if call.if_none_match.matches(tag.as_bytes()) {
        let response = reply::empty(StatusCode::NOT_MODIFIED);
        return Ok(reply::with_header(response, ETAG, &tag));
    }
    let announced = bytes.end - bytes.position.next();
    let terms = Terms::new(api, &api.read_pools.files, &call.user);
    let response = produced(terms, bytes, MEDIA_TYPE).await;
    let mut response = response.map_err(|error| error.unwrap_or_else(|| unread(api, job.id())))?;
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(announced));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response = reply::with_header(response, ETAG, &tag);
    if let Part::Bytes(first, last) = part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {first}-{last}/{length}");
        response = reply::with_header(response, CONTENT_RANGE, &range);
    }
    Ok(response)
}

/// Finds the log of a repository. The return value blocks.
fn log_path(
    api: &Api,
    job: &LiveJob,
    index: u32,
) -> impl FnOnce() -> Result<PathBuf, ApiError> + Send + use<> {
    let path = api.jobs.job(job.id()).log(index);
    let (archived, id) = (Arc::clone(&api.archived), job.id().clone());
    let is_archived = job.is_archived();
    move || {
        if !is_archived {
            return Ok(path);
        }
        let found = archived.log(&id, index);
        found.map_err(|error| ApiError::internal("read an archived log", &error))?.ok_or(NO_LOG)
    }
}

/// An opened log.
struct Opened {
    bytes: LogBytes,
    /// Which part of the log the bytes are.
    part: Part,
    length: u64,
    /// The entity tag of the whole log.
    tag: String,
}

/// Opens a log, and decides which part of it is sent.
fn open(path: &Path, lines: Option<usize>, asked: &RangeHeaders) -> Result<Opened, ApiError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => NO_LOG,
        _ => ApiError::internal("read a log", &error),
    };
    let file = read::open(path).map_err(failed)?;
    // The log may grow while it is read, so the length is determined once for this answer.
    let facts = file.metadata().map_err(failed)?;
    let (length, tag) = (facts.len(), entity_tag(&Signature::of(&facts), SystemTime::now()));
    // A log that grew or was restarted is another one.
    let same = |tagged: &HeaderValue| tag.starts_with('"') && tagged.as_bytes() == tag.as_bytes();
    let range = asked.range.as_ref().filter(|_| asked.if_range.as_ref().is_none_or(same));
    let range = range.and_then(|value| value.to_str().ok());
    let part = match (lines, range.and_then(|range| parse_range(range, length))) {
        (Some(lines), _) => Part::Lines(lines),
        (None, Some(Ok(part))) => part,
        (None, Some(Err(()))) => return Err(ApiError::RangeNotSatisfiable { length }),
        (None, None) => Part::Whole,
    };
    let (next, end) = match part {
        Part::Whole => (0, length),
        Part::Lines(lines) => (start_of_lines(&file, length, lines).map_err(failed)?, length),
        Part::Bytes(first, last) => (first, last + 1),
    };
    let position = LogPosition::new(&file, next).map_err(failed)?;
    Ok(Opened { bytes: LogBytes { file, position, end }, part, length, tag })
}

/// The entity tag of a log with this signature. It is weak, so that it fits no `If-Range`, if the log
/// was changed so recently that the next change might not change the signature.
fn entity_tag(signature: &Signature, now: SystemTime) -> String {
    let age = now.duration_since(signature.changed_at()).unwrap_or_default();
    let weak = if age < YOUNG { "W/" } else { "" };
    format!("{weak}\"{:016x}\"", signature.number())
}

/// The bytes of a log that are read while they are sent.
struct LogBytes {
    file: File,
    position: LogPosition,
    end: u64,
}

impl Producer for LogBytes {
    fn produce(&mut self, piece: &mut Vec<u8>) -> Result<bool, Aborted> {
        let left = self.end - self.position.next();
        let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        match self.position.read(&self.file, most) {
            Ok(Some(bytes)) if bytes.len() == most => piece.extend(bytes),
            // The next attempt has restarted the log, or it was truncated.
            _ => return Err(Aborted),
        }
        Ok(self.position.next() < self.end)
    }
}

/// The offset of the last lines of a log of this length, which is read backwards, piece by piece. A
/// trailing line break ends the last line.
fn start_of_lines(file: &File, length: u64, lines: usize) -> io::Result<u64> {
    if lines == 0 {
        return Ok(length);
    }
    let first = length.saturating_sub(TAIL.1);
    let mut breaks = 0;
    let mut end = length;
    let mut bytes = vec![0; PIECE];
    while end > first {
        let count = usize::try_from(end - first).unwrap_or(PIECE).min(PIECE);
        let start = end - count as u64;
        let piece = &mut bytes[..count];
        file.read_exact_at(piece, start)?;
        for (position, _) in piece.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let behind = start + position as u64 + 1;
            if behind == length {
                continue;
            }
            breaks += 1;
            if breaks == lines {
                return Ok(behind);
            }
        }
        end = start;
    }
    Ok(first)
}

/// Parses a Range header (RFC 9110, section 14.2). `None` for one that is ignored: of another unit,
/// ill-formed, or with several ranges. `Err` for one outside of the log.
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

#[cfg(test)]
mod tests;
