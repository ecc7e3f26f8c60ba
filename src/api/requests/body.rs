//! Reads JSON request bodies.
//!
//! Input: the bytes of a request, and a limit. Output: an object whose members [`Validation`]
//! reads; or a 408, 413, 415 or 422.
//!
//! Invariants: memory never exceeds the limit, however the body is framed; a media type is
//! required only if there is a body, and a compressed body is refused; the 422 has the shapes of
//! `FastAPI`, which existing clients parse; unknown members are ignored.

use super::{header::header, validation::Validation};
use crate::api::answers::field_error::FieldError;
use crate::api::{answers::error::ApiError, connections::request_body::BodyError};
use futures_util::{Stream, StreamExt, TryFutureExt};
use serde_json::{Value, json};
use std::{error::Error, pin::pin};
use warp::{Buf, Filter, Rejection, http::HeaderValue, reject};

/// A filter that reads a JSON object of at most `limit` bytes, for routes that need a body.
pub fn json_body(limit: u64) -> impl Filter<Extract = (Validation,), Error = Rejection> + Clone {
    bytes(limit).and_then(async |body: Vec<u8>| {
        if body.is_empty() {
            let error = FieldError::new("missing", vec![], "Field required", Value::Null);
            return Err(reject::custom(ApiError::invalid(vec![error])));
        }
        parse(&body).map_err(reject::custom)
    })
}

/// The whole body; empty if there is none.
fn bytes(limit: u64) -> impl Filter<Extract = (Vec<u8>,), Error = Rejection> + Clone {
    header("content-type")
        .and(header("content-encoding"))
        .map(|media_type, coding| Form { media_type, coding })
        .and(header("content-length"))
        .and(warp::body::stream())
        .and_then(move |form, length, body| read(form, length, body, limit).map_err(reject::custom))
}

/// The form of a body according to its headers.
#[derive(Debug, Default)]
struct Form {
    media_type: Option<HeaderValue>,
    coding: Option<HeaderValue>,
}

impl Form {
    /// Checks that a body of this form is supported.
    fn check(&self) -> Result<(), ApiError> {
        let is_identity =
            |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
        if self.coding.as_ref().is_some_and(|coding| !is_identity(coding)) {
            return Err(ApiError::UnsupportedEncoding);
        }
        if !self.media_type.as_ref().is_some_and(is_json) {
            return Err(ApiError::UnsupportedMediaType);
        }
        Ok(())
    }
}

async fn read(
    form: Form,
    length: Option<HeaderValue>,
    body: impl Stream<Item = Result<impl Buf, warp::Error>>,
    limit: u64,
) -> Result<Vec<u8>, ApiError> {
    let too_large = || ApiError::PayloadTooLarge { limit: Some(limit) };
    // A client that announces too large a body need not send it.
    let announced = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        let mut piece = piece.map_err(|error| failure(&error))?;
        if piece.has_remaining() {
            form.check()?;
        }
        if (bytes.len() + piece.remaining()) as u64 > limit {
            return Err(too_large());
        }
        while piece.has_remaining() {
            let chunk = piece.chunk();
            bytes.extend_from_slice(chunk);
            let length = chunk.len();
            piece.advance(length);
        }
    }
    Ok(bytes)
}

/// Accepts `application/json` and `application/…+json`, with any parameters, as `FastAPI` does. A
/// page of another site can send neither without a CORS preflight.
fn is_json(media_type: &HeaderValue) -> bool {
    let Ok(text) = media_type.to_str() else {
        return false;
    };
    let essence = text.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence
        .strip_prefix("application/")
        .is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}

/// Why a body could not be read: `warp` wraps the error of the connection's body.
fn failure(error: &warp::Error) -> ApiError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref() {
            Some(BodyError::TimedOut) => return ApiError::BodyTimeout,
            Some(BodyError::TooLarge(limit)) => {
                return ApiError::PayloadTooLarge { limit: Some(*limit) };
            }
            Some(BodyError::Connection(_)) => break,
            None => cause = error.source(),
        }
    }
    ApiError::bad_request("The request body ended early")
}

fn parse(bytes: &[u8]) -> Result<Validation, ApiError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let error = match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => return Ok(Validation::new(object)),
        Ok(Value::Null) => FieldError::new("missing", vec![], "Field required", Value::Null),
        Ok(other) => {
            let message = "Input should be a valid dictionary or object to extract fields from";
            FieldError::new("model_attributes_type", vec![], message, other)
        }
        Err(error) => {
            let text = error.to_string();
            let place = format!(" at line {} column {}", error.line(), error.column());
            let text = text.strip_suffix(place.as_str()).unwrap_or(&text);
            let below = vec![offset(bytes, &error).into()];
            FieldError::new("json_invalid", below, "JSON decode error", json!({}))
                .with_ctx(json!({ "error": text }))
        }
    };
    Err(ApiError::invalid(vec![error]))
}

/// The byte offset at which the parser stopped, from its line and column, both counted from 1.
fn offset(bytes: &[u8], error: &serde_json::Error) -> usize {
    if error.is_eof() {
        return bytes.len();
    }
    let lines_before = error.line().saturating_sub(1);
    let start: usize =
        bytes.split_inclusive(|byte| *byte == b'\n').take(lines_before).map(<[u8]>::len).sum();
    (start + error.column().saturating_sub(1)).min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use warp::{Reply, http::Response, hyper::body::Bytes};

    async fn post(media_type: Option<&str>, body: &str) -> Response<Bytes> {
        let route = json_body(64)
            .then(async |mut body: Validation| {
                let url = body.required_text("git_url");
                let reference = body.text("ref");
                let deep = body.flag("deep");
                let retries = body.count("retries", 9);
                let include = body.texts("include");
                match body.finish() {
                    Ok(()) => format!("{url} {reference:?} {deep:?} {retries:?} {include:?}")
                        .into_response(),
                    Err(error) => error.into_response(),
                }
            })
            .recover(super::super::recover::recover);
        let mut request = warp::test::request().method("POST").body(body);
        if let Some(media_type) = media_type {
            request = request.header("content-type", media_type);
        }
        request.reply(&route).await
    }

    async fn refused(body: &str) -> Value {
        let response = post(Some("application/json"), body).await;
        assert_eq!(response.status(), 422, "{body}");
        let mut problem: Value = serde_json::from_slice(response.body()).unwrap();
        problem["detail"].take()
    }

    #[tokio::test]
    async fn a_valid_body_is_read_and_unknown_members_are_ignored() {
        for media_type in
            ["application/json", "Application/JSON; charset=utf-8", "application/a+json"]
        {
            let response = post(Some(media_type), r#"{"git_url":"x","z":[],"deep":true}"#).await;
            assert_eq!(response.body(), "x None Some(true) None None", "{media_type}");
        }
        let body = "\u{feff}{\"git_url\":\"x\",\"ref\":\"r\",\"retries\":2,\"include\":[\"a\"]}";
        let response = post(Some("application/json"), body).await;
        assert_eq!(response.body(), "x Some(\"r\") None Some(2) Some([\"a\"])");
    }

    #[tokio::test]
    async fn a_media_type_is_required_only_with_a_body() {
        for media_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
            assert_eq!(post(media_type, "{}").await.status(), 415, "{media_type:?}");
            assert_eq!(post(media_type, "").await.status(), 422, "{media_type:?}");
        }
    }

    #[tokio::test]
    async fn a_compressed_body_is_refused() {
        let route = json_body(64).map(|_| "read").recover(super::super::recover::recover);
        for (coding, status) in
            [("gzip", 415), ("br", 415), ("gzip, identity", 415), ("", 415), ("Identity", 200)]
        {
            let request = warp::test::request().method("POST").header("content-encoding", coding);
            let request = request.header("content-type", "application/json").body("{}");
            let response = request.reply(&route).await;
            assert_eq!(response.status(), status, "{coding}");
            let accepted = response.headers().get("accept-encoding").map(HeaderValue::as_bytes);
            assert_eq!(accepted == Some(b"identity"), status == 415, "{coding}");
        }
    }

    #[tokio::test]
    async fn the_limit_holds_with_and_without_a_length() {
        let body = format!("{:64}", r#"{"git_url":"x"}"#);
        assert_eq!(post(Some("application/json"), &body).await.status(), 200);
        assert_eq!(post(Some("application/json"), &format!("{body} ")).await.status(), 413);

        let pieces = || futures_util::stream::iter([Ok(&b"{    "[..]), Ok(&b"    }"[..])]);
        let json = || Form {
            media_type: Some(HeaderValue::from_static("application/json")),
            coding: None,
        };
        assert_eq!(read(json(), None, pieces(), 10).await.unwrap().len(), 10);
        let error = read(json(), None, pieces(), 9).await.unwrap_err();
        assert!(matches!(error, ApiError::PayloadTooLarge { limit: Some(9) }));
    }

    #[tokio::test]
    async fn wrong_shapes_are_reported_as_by_pydantic() {
        let missing = json!([{"type": "missing", "loc": ["body"], "msg": "Field required",
                              "input": null}]);
        assert_eq!(refused("").await, missing);
        assert_eq!(refused("null").await, missing);
        assert_eq!(
            refused(r#"{"url":"https://u:t0ken@h/x"}"#).await,
            json!([{"type": "missing", "loc": ["body", "git_url"], "msg": "Field required",
                    "input": {"url": "https://***@h/x"}}])
        );
        assert_eq!(
            refused(r#"{"git_url":7,"deep":"yes"}"#).await,
            json!([{"type": "string_type", "loc": ["body", "git_url"],
                    "msg": "Input should be a valid string", "input": 7},
                   {"type": "bool_type", "loc": ["body", "deep"],
                    "msg": "Input should be a valid boolean", "input": "yes"}])
        );
        assert_eq!(
            refused(r#"{"git_url":"","retries":-1,"include":["a",2]}"#).await,
            json!([{"type": "greater_than_equal", "loc": ["body", "retries"],
                    "msg": "Input should be greater than or equal to 0", "input": -1,
                    "ctx": {"ge": 0}},
                   {"type": "string_type", "loc": ["body", "include", 1],
                    "msg": "Input should be a valid string", "input": 2}])
        );
        assert_eq!(refused("[1]").await[0]["type"], "model_attributes_type");
        assert_eq!(refused(r#"{"git_url":null}"#).await[0]["type"], "string_type");
        assert_eq!(refused(r#"{"git_url":"","retries":10}"#).await[0]["type"], "less_than_equal");
        assert_eq!(refused(r#"{"git_url":"","retries":1.5}"#).await[0]["type"], "int_type");
        assert_eq!(refused(r#"{"git_url":"","include":"a"}"#).await[0]["type"], "list_type");
    }

    #[tokio::test]
    async fn invalid_json_is_reported_with_its_position() {
        assert_eq!(
            refused("{\n \"git_url\": x}").await,
            json!([{"type": "json_invalid", "loc": ["body", 14], "msg": "JSON decode error",
                    "input": {}, "ctx": {"error": "expected value"}}])
        );
        for (body, place) in [("{", 1), ("{}x", 2), ("\u{1}", 0), (&"[".repeat(60), 60)] {
            assert_eq!(refused(body).await[0]["loc"], json!(["body", place]), "{body}");
        }
    }
}
