//! Answers that do not change as long as the program runs.
//!
//! Input: bytes, once, with their media type. Output: the same again and again, compressed for those
//! who want that, or a 304.
//!
//! Invariants: each of the two forms has a strong tag of its own (RFC 9110, section 8.8.3.3).

use super::{
    coding::{self, Coding},
    etag::IfNoneMatch,
    operation::{Answer, Operation},
    reply,
};
use crate::live::Sent;
use bytes::Bytes;
use std::sync::OnceLock;
use uuid::Uuid;
use warp::{
    http::{HeaderMap, StatusCode},
    reply::Response,
};

/// Bytes in both forms.
#[derive(Debug)]
pub(super) struct Fixed {
    headers: HeaderMap,
    plain: Form,
    /// Made when somebody first wants it.
    compressed: OnceLock<Form>,
}

#[derive(Debug)]
struct Form {
    bytes: Bytes,
    tag: Bytes,
}

impl Fixed {
    pub(super) fn new(media_type: &'static str, bytes: Bytes) -> Self {
        let (headers, plain) = (reply::headers_of_kept(media_type), Form::new(bytes));
        Self { headers, plain, compressed: OnceLock::new() }
    }

    /// The bytes, or that the client has them.
    pub(super) fn answer(&self, seen: &IfNoneMatch, coding: Coding) -> Response {
        let plain = &self.plain.bytes;
        let coding = coding.of(plain.len());
        let Form { bytes, tag } = match coding {
            Coding::Identity => &self.plain,
            Coding::Gzip => {
                self.compressed.get_or_init(|| Form::new(coding::gzip_small(plain).into()))
            }
        };
        if seen.has(tag) {
            return reply::not_modified(&self.headers, tag);
        }
        // To be kept, but asked for each time: the next version of the program has another.
        reply::kept(Sent::Whole(bytes.clone()), &self.headers, tag, coding)
    }
}

impl Form {
    fn new(bytes: Bytes) -> Self {
        let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, &bytes);
        Self { bytes, tag: format!("\"{}\"", digest.simple()).into() }
    }
}

/// Says of a route that its answer has an entity tag.
pub(super) fn with_tag(operation: Operation, answer: Answer) -> Operation {
    let version = "Another one for other bytes.";
    operation
        .header("If-None-Match", "The `ETag` of what the client has.")
        .answers(StatusCode::OK, answer.header("ETag", version))
        .answers(
            StatusCode::NOT_MODIFIED,
            Answer::empty("The client has these bytes.").header("ETag", version),
        )
}
