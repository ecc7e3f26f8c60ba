//! The forms of good answers. Errors are in `error`.

use super::ApiError;
use crate::live::{PIECE, Reader};
use bytes::Bytes;
use serde::Serialize;
use warp::{
    http::{HeaderValue, StatusCode, header},
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

/// A document that is JSON already, in pieces that are shared with its other readers. A small one
/// is copied.
pub(super) fn json_pieces(reader: Reader) -> Response {
    let length = reader.length();
    if length <= PIECE {
        return match reader.gather() {
            Ok(bytes) => json_bytes(bytes),
            Err(error) => ApiError::internal("send a document", &error).into_response(),
        };
    }
    let mut response = warp::reply::stream(reader).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
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
