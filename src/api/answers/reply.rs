//! Builds successful answers; `error` builds the others.
//!
//! Input: a value, a document with its entity tag, or a status. Output: an answer. Invariants: an
//! answer with an entity tag has to be revalidated by the client each time.

use super::security_headers::secured;
use super::{content_coding::Coding, error::ApiError};
use crate::live::Sent;
use bytes::Bytes;
use serde::Serialize;
use warp::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    reply::{Reply, Response},
};

/// A value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Response {
    // Serialization cannot fail: all keys are texts and all numbers finite.
    json_bytes(serde_json::to_vec(value).unwrap_or_default().into())
}

/// A document that is already serialized as JSON.
pub(crate) fn json_bytes(bytes: Bytes) -> Response {
    let mut response = Response::new(bytes.into());
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// A document that the client may store and has to revalidate by its entity tag.
pub(crate) fn cacheable(sent: Sent, common: &HeaderMap, tag: &Bytes, coding: Coding) -> Response {
    let (mut response, length) = match sent {
        Sent::Whole(bytes) => (Response::new(bytes.into()), None),
        Sent::Pieces(reader) => {
            let length = reader.length();
            (warp::reply::stream(reader).into_response(), Some(length))
        }
    };
    let headers = response.headers_mut();
    headers.clone_from(common);
    insert_tag(headers, tag);
    headers.extend(length.map(|length| (header::CONTENT_LENGTH, HeaderValue::from(length))));
    if coding == Coding::Gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// A 304: the client already has the document with this tag.
pub(crate) fn not_modified(common: &HeaderMap, tag: &Bytes) -> Response {
    let mut response = empty(StatusCode::NOT_MODIFIED);
    let headers = response.headers_mut();
    headers.clone_from(common);
    headers.remove(header::CONTENT_TYPE);
    insert_tag(headers, tag);
    response
}

/// The common headers of all [`cacheable`] documents of one kind, built once; the tag is inserted
/// later.
pub(crate) fn cacheable_headers(media_type: &'static str) -> HeaderMap {
    let mut response = Response::default();
    for (name, value) in [
        (header::CONTENT_TYPE, media_type),
        (header::ETAG, "\"\""),
        (header::CACHE_CONTROL, "private, no-cache"),
        (header::VARY, "accept-encoding"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    std::mem::take(secured(response).headers_mut())
}

fn insert_tag(headers: &mut HeaderMap, tag: &Bytes) {
    if let Ok(tag) = HeaderValue::from_maybe_shared(tag.clone()) {
        headers.insert(header::ETAG, tag);
    }
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// Adds a header to an answer; an invalid value is ignored.
pub(crate) fn with_header(
    mut response: Response,
    name: header::HeaderName,
    value: &str,
) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// The answer of a handler: its response, or that of its error.
pub(crate) fn finish(result: Result<Response, ApiError>) -> Response {
    result.unwrap_or_else(Reply::into_response)
}
