//! The forms of good answers. Errors are in `error`.

use super::{ApiError, coding::Coding, guard};
use crate::live::Sent;
use bytes::Bytes;
use serde::Serialize;
use warp::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    reply::{Reply, Response},
};

/// A value as JSON.
pub(super) fn json(value: &impl Serialize) -> Response {
    // Values of ours have text keys and finite numbers: nothing that JSON cannot say.
    json_bytes(serde_json::to_vec(value).unwrap_or_default().into())
}

/// A document that is JSON already.
pub(super) fn json_bytes(bytes: Bytes) -> Response {
    let mut response = Response::new(bytes.into());
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// A document that the client keeps, and asks for each time: that is what its tag is for.
pub(super) fn kept(sent: Sent, of_kind: &HeaderMap, tag: &Bytes, coding: Coding) -> Response {
    let (mut response, length) = match sent {
        Sent::Whole(bytes) => (Response::new(bytes.into()), None),
        Sent::Pieces(reader) => {
            let length = reader.length();
            (warp::reply::stream(reader).into_response(), Some(length))
        }
    };
    let headers = response.headers_mut();
    headers.clone_from(of_kind);
    insert_tag(headers, tag);
    headers.extend(length.map(|length| (header::CONTENT_LENGTH, HeaderValue::from(length))));
    if coding == Coding::Gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// The client has the document with this tag.
pub(super) fn not_modified(of_kind: &HeaderMap, tag: &Bytes) -> Response {
    let mut response = empty(StatusCode::NOT_MODIFIED);
    let headers = response.headers_mut();
    headers.clone_from(of_kind);
    headers.remove(header::CONTENT_TYPE);
    insert_tag(headers, tag);
    response
}

/// The headers of all documents of one kind that are [`kept`], to be made once; the tag is put in its
/// place.
pub(super) fn headers_of_kept(media_type: &'static str) -> HeaderMap {
    let mut response = Response::default();
    for (name, value) in [
        (header::CONTENT_TYPE, media_type),
        (header::ETAG, "\"\""),
        (header::CACHE_CONTROL, "private, no-cache"),
        (header::VARY, "accept-encoding"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    std::mem::take(guard::secured(response).headers_mut())
}

fn insert_tag(headers: &mut HeaderMap, tag: &Bytes) {
    if let Ok(tag) = HeaderValue::from_maybe_shared(tag.clone()) {
        headers.insert(header::ETAG, tag);
    }
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// The same answer with one more header; a value that is none is left out.
pub(super) fn with_header(
    mut response: Response,
    name: header::HeaderName,
    value: &str,
) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// An answer of either kind as one type.
pub(super) fn finish(result: Result<Response, ApiError>) -> Response {
    result.unwrap_or_else(Reply::into_response)
}
