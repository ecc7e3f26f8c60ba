//! Answers that do not change while the program runs, such as the OpenAPI document and `/docs`.
//!
//! Input: bytes, once, with their media type. Output: the same bytes for each request, compressed
//! for clients that prefer that, or a 304.
//!
//! Invariants: each of the two forms has a strong entity tag of its own (RFC 9110, section
//! 8.8.3.3).

use crate::api::{
    answers::{
        content_coding::{self, Coding},
        if_none_match::IfNoneMatch,
        reply,
    },
    routing::operation::{Answer, Operation},
};
use crate::live::Sent;
use bytes::Bytes;
use std::sync::OnceLock;
use uuid::Uuid;
use warp::{
    http::{HeaderMap, StatusCode},
    reply::Response,
};

/// The content in both forms.
#[derive(Debug)]
pub(crate) struct StaticAnswer {
    headers: HeaderMap,
    plain: Form,
    /// Compressed when a client prefers it for the first time.
    compressed: OnceLock<Form>,
}

#[derive(Debug)]
struct Form {
    bytes: Bytes,
    tag: Bytes,
}

impl StaticAnswer {
    pub(crate) fn new(media_type: &'static str, bytes: Bytes) -> Self {
        let (headers, plain) = (reply::cacheable_headers(media_type), Form::new(bytes));
        Self { headers, plain, compressed: OnceLock::new() }
    }

    /// The content, or a 304 if the client already has it.
    pub(crate) fn answer(&self, if_none_match: &IfNoneMatch, coding: Coding) -> Response {
        let plain = &self.plain.bytes;
        let coding = coding.of_unchanging(plain.len());
        let Form { bytes, tag } = match coding {
            Coding::Identity => &self.plain,
            Coding::Gzip => {
                self.compressed.get_or_init(|| Form::new(content_coding::gzip_small(plain).into()))
            }
        };
        if if_none_match.matches(tag) {
            return reply::not_modified(&self.headers, tag);
        }
        // The client has to revalidate: the next version of the program has other content.
        reply::cacheable(Sent::Whole(bytes.clone()), &self.headers, tag, coding)
    }
}

impl Form {
    fn new(bytes: Bytes) -> Self {
        let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, &bytes);
        Self { bytes, tag: format!("\"{}\"", digest.simple()).into() }
    }
}

/// Documents that the answer of a route has an entity tag.
pub(crate) fn with_tag(operation: Operation, answer: Answer) -> Operation {
    let version = "The version of the content.";
    operation
        .header("If-None-Match", "The `ETag` of the content that the client already has.")
        .answers(StatusCode::OK, answer.header("ETag", version))
        .answers(
            StatusCode::NOT_MODIFIED,
            Answer::empty("The client already has the current content.").header("ETag", version),
        )
}
