//! Answers that do not change as long as the program runs: bytes come in once, with their media
//! type, and go out again and again, or a 304.

use super::{
    etag::IfNoneMatch,
    operation::{Answer, Operation},
    reply,
};
use bytes::Bytes;
use uuid::Uuid;
use warp::{
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG},
    },
    reply::Response,
};

/// Bytes and their tag.
#[derive(Debug)]
pub(super) struct Fixed {
    media_type: &'static str,
    bytes: Bytes,
    etag: String,
}

impl Fixed {
    pub(super) fn new(media_type: &'static str, bytes: Bytes) -> Self {
        let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, &bytes);
        Self { media_type, bytes, etag: format!("\"{}\"", digest.simple()) }
    }

    /// The bytes, or that the client has them.
    pub(super) fn answer(&self, seen: &IfNoneMatch) -> Response {
        let response = if seen.has(&self.etag) {
            reply::empty(StatusCode::NOT_MODIFIED)
        } else {
            let mut response = Response::new(self.bytes.clone().into());
            let media_type = HeaderValue::from_static(self.media_type);
            response.headers_mut().insert(CONTENT_TYPE, media_type);
            response
        };
        let response = reply::with_header(response, ETAG, &self.etag);
        // To be kept, but asked for each time: the next version of the program has another.
        reply::with_header(response, CACHE_CONTROL, "private, no-cache")
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
