//! The errors of the API.
//!
//! Input: an error by its name, with details. Output: an `application/problem+json` answer (RFC
//! 9457).
//!
//! Invariants: this is the only file that assigns status codes to errors; `detail` is the text of
//! the contract, and `hint` says what the client or the operator can do; a cause that only the
//! operator may see is logged under the incident id that the answer contains.

use super::{field_error::FieldError, security_headers::secured};
use crate::api::{log_limit::LineLimit, scope::Scope};
use crate::{model::git_url::Refusal, store::chain};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use std::{borrow::Cow, error::Error, fmt::Write as _, sync::Arc};
use tracing::error;
use uuid::Uuid;
use warp::{
    Reply,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{
            ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_RANGE, CONTENT_TYPE, HeaderName,
            RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
        },
    },
    reply::Response,
};

/// The challenge that asks for credentials.
const CHALLENGE: &str = "Basic realm=\"scanwatch\", charset=\"UTF-8\"";

/// Why a request is refused. The text of the error is the `detail` of the answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The request is invalid as a whole, or a policy refuses it.
    #[error("{detail}")]
    BadRequest { detail: Cow<'static, str>, hint: Option<Cow<'static, str>> },
    /// The request violates HTTP; the text names the rule.
    #[error("Malformed request: {0}")]
    Malformed(&'static str),
    /// The transfer coding of the body is not supported.
    #[error("The request body's transfer coding is not supported")]
    UnknownTransferCoding,
    /// There are no usable credentials.
    #[error("Not authenticated")]
    NotAuthenticated,
    /// The credentials are wrong.
    #[error("Invalid credentials")]
    InvalidCredentials,
    /// The credentials are right, but their scope is insufficient.
    #[error("This request needs a token with the scope {0}")]
    MissingScope(Scope),
    /// A page of another site made the browser send the request.
    #[error("Cross-site request refused: {0}")]
    CrossSite(Cow<'static, str>),
    /// There is no job with this id, or the id is ill-formed.
    #[error("Job not found")]
    JobNotFound,
    /// The job was removed after the retention time, and its results are archived.
    #[error("Job not found")]
    JobArchived,
    /// A part of an existing job does not exist; the text names the part.
    #[error("{0}")]
    Absent(&'static str),
    /// No route has this path.
    #[error("Not Found")]
    RouteNotFound,
    /// The path exists, but not for this method.
    #[error("Method Not Allowed")]
    MethodNotAllowed { allow: Option<Arc<str>> },
    /// The body did not arrive in time.
    #[error("The request body took too long to arrive")]
    BodyTimeout,
    /// The request contradicts the state of the resource.
    #[error("{detail}")]
    Conflict { detail: Cow<'static, str>, hint: Option<Cow<'static, str>> },
    /// The body needs a `Content-Length`.
    #[error("A Content-Length header is required")]
    LengthRequired,
    /// The body is longer than this many bytes.
    #[error("The request body is too large")]
    PayloadTooLarge { limit: Option<u64> },
    /// The media type of the body is not supported.
    #[error("The Content-Type of the request body is not JSON")]
    UnsupportedMediaType,
    /// The body is compressed or otherwise encoded.
    #[error("The request body has a Content-Encoding, which is not supported")]
    UnsupportedEncoding,
    /// The requested range is outside of the content, which has this many bytes.
    #[error("The requested range cannot be served")]
    RangeNotSatisfiable { length: u64 },
    /// The path serves only `WebSocket`s, and the request is not one to open a `WebSocket`.
    #[error("This path serves only WebSocket connections")]
    UpgradeRequired,
    /// The request names another host.
    #[error("This server does not answer for the host of this request")]
    UnknownHost,
    /// The body is of the wrong shape.
    #[error("The request body is of the wrong shape")]
    Validation { errors: Vec<FieldError>, hint: Option<Cow<'static, str>> },
    /// A limit is reached; the client may retry after this many seconds.
    #[error("{detail}")]
    TooManyRequests { detail: Cow<'static, str>, retry_after: u64 },
    /// Another server, which the answer needs, failed.
    #[error("{detail}")]
    BadGateway { detail: Cow<'static, str> },
    /// The server cannot answer now.
    #[error("{detail}")]
    Unavailable { detail: Cow<'static, str>, retry_after: Option<u64> },
    /// An internal error: the log contains the cause under this incident.
    #[error("Internal Server Error")]
    Internal { incident: Uuid },
}

/// The body of an error (RFC 9457).
#[derive(Debug, Serialize, JsonSchema)]
pub struct Problem<'a> {
    detail: Detail<'a>,
    /// Always `about:blank`: the status is the kind of the problem.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The phrase of the status.
    title: &'static str,
    status: u16,
    /// How to resolve the problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<Cow<'static, str>>,
    /// The incident id under which the server's log contains the cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
}

/// What is wrong: a text, or a list of the invalid members of the body.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
enum Detail<'a> {
    Text(String),
    Errors(&'a [FieldError]),
}

impl ApiError {
    /// A 400 without a hint.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::BadRequest { detail: detail.into(), hint: None }
    }

    /// A body of the wrong shape.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        Self::Validation { errors, hint: None }
    }

    /// An internal error, whose cause is logged here, once. Beyond the limit incidents are only
    /// counted, so that a client that provokes the same error cannot fill the log.
    pub fn internal(what: &'static str, cause: &dyn Error) -> Self {
        static LINES: LineLimit = LineLimit::new(50);
        let incident = Uuid::now_v7();
        if let Some(suppressed) = LINES.pass() {
            error!(%incident, error = chain(cause), suppressed, "cannot {what}");
        }
        Self::Internal { incident }
    }

    /// The refusal of a `git_url`.
    pub fn refused_url(refusal: &Refusal, input: Value) -> Self {
        let hint = Some(Cow::Borrowed(refusal.hint()));
        if refusal.is_malformed() {
            let message = format!("Value error, {refusal}");
            let ctx = json!({ "error": refusal.to_string() });
            let error = FieldError::new("value_error", vec!["git_url".into()], message, input);
            let error = error.with_ctx(ctx);
            return Self::Validation { errors: vec![error], hint };
        }
        Self::BadRequest { detail: refusal.to_string().into(), hint }
    }

    /// The answer as the bytes of HTTP/1.1, for a connection that hyper does not serve.
    pub(crate) fn to_http1(&self) -> Vec<u8> {
        let status = self.status();
        let body = self.problem();
        let mut head = format!(
            "HTTP/1.1 {} {}\r\ncontent-length: {}\r\nconnection: close\r\n",
            status.as_u16(),
            title(status),
            body.len()
        );
        for (name, value) in secured(self.to_response()).headers() {
            if let Ok(value) = value.to_str() {
                // Writing to a String cannot fail.
                let _ = write!(head, "{name}: {value}\r\n");
            }
        }
        head.push_str("\r\n");
        [head.as_bytes(), &body].concat()
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest { .. } | Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::UnknownTransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::NotAuthenticated | Self::InvalidCredentials => StatusCode::UNAUTHORIZED,
            Self::MissingScope(_) | Self::CrossSite(_) => StatusCode::FORBIDDEN,
            Self::JobNotFound | Self::JobArchived | Self::Absent(_) | Self::RouteNotFound => {
                StatusCode::NOT_FOUND
            }
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::LengthRequired => StatusCode::LENGTH_REQUIRED,
            Self::PayloadTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType | Self::UnsupportedEncoding => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::UnknownHost => StatusCode::MISDIRECTED_REQUEST,
            Self::Validation { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::BadGateway { .. } => StatusCode::BAD_GATEWAY,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// How to resolve the problem.
    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::BadRequest { hint, .. }
            | Self::Conflict { hint, .. }
            | Self::Validation { hint, .. } => hint.clone(),
            Self::NotAuthenticated => {
                Some("send user and password by Basic authentication, or a token by Bearer".into())
            }
            Self::InvalidCredentials => {
                Some("use a user and password, or a token, that the operator configured".into())
            }
            Self::MissingScope(_) => {
                Some("ask the operator for such a token: `scanwatch token new`".into())
            }
            Self::CrossSite(_) => {
                Some("configure a proxy in front of the server to keep the Host header".into())
            }
            Self::PayloadTooLarge { limit } => {
                limit.map(|limit| format!("send at most {limit} bytes").into())
            }
            Self::UnsupportedMediaType => Some("send Content-Type: application/json".into()),
            Self::UnsupportedEncoding => Some("send the body uncompressed".into()),
            Self::UnknownTransferCoding => {
                Some("send a Content-Length, or only Transfer-Encoding: chunked".into())
            }
            Self::UpgradeRequired => Some(
                "open a WebSocket, version 13, over HTTP/1.1; …/events sends the same messages \
                 as server-sent events"
                    .into(),
            ),
            Self::UnknownHost => Some(
                "a server without credentials answers only to localhost and IP addresses: use \
                 one of them, or set API_USERNAME and API_PASSWORD"
                    .into(),
            ),
            Self::JobArchived => Some(
                "the job was removed after the retention time, and its results are archived: /jobs/{id}/results, \
                 /scan/{id}/packages and /scan/{id}/sbom answer, and so does /scan/{id}?archived=true"
                    .into(),
            ),
            Self::TooManyRequests { retry_after, .. }
            | Self::Unavailable { retry_after: Some(retry_after), .. } => {
                Some(format!("try again in {retry_after} s").into())
            }
            Self::Internal { .. } => {
                Some("the log of the server contains the cause under this instance".into())
            }
            Self::Malformed(_)
            | Self::JobNotFound
            | Self::Absent(_)
            | Self::RouteNotFound
            | Self::MethodNotAllowed { .. }
            | Self::BodyTimeout
            | Self::LengthRequired
            | Self::BadGateway { .. }
            | Self::RangeNotSatisfiable { .. }
            | Self::Unavailable { retry_after: None, .. } => None,
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let special: Option<(HeaderName, HeaderValue)> = match self {
            Self::NotAuthenticated | Self::InvalidCredentials => {
                Some((WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE)))
            }
            Self::MethodNotAllowed { allow: Some(allow) } => {
                HeaderValue::from_str(allow).ok().map(|value| (ALLOW, value))
            }
            // The start of the next request is unknown, so the connection cannot be reused.
            Self::BodyTimeout | Self::Malformed(_) | Self::UnknownTransferCoding => {
                Some((CONNECTION, HeaderValue::from_static("close")))
            }
            Self::UnsupportedEncoding => {
                Some((ACCEPT_ENCODING, HeaderValue::from_static("identity")))
            }
            Self::RangeNotSatisfiable { length } => {
                HeaderValue::try_from(format!("bytes */{length}"))
                    .ok()
                    .map(|value| (CONTENT_RANGE, value))
            }
            Self::TooManyRequests { retry_after, .. }
            | Self::Unavailable { retry_after: Some(retry_after), .. } => {
                Some((RETRY_AFTER, HeaderValue::from(*retry_after)))
            }
            _ => None,
        };
        headers.extend(special);
        if let Self::UpgradeRequired = self {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        }
        headers
    }

    /// The body: the contract's `detail`, and the members of RFC 9457.
    fn problem(&self) -> Vec<u8> {
        let status = self.status();
        let problem = Problem {
            detail: match self {
                Self::Validation { errors, .. } => Detail::Errors(errors),
                other => Detail::Text(other.to_string()),
            },
            kind: "about:blank",
            title: title(status),
            status: status.as_u16(),
            hint: self.hint(),
            instance: match self {
                Self::Internal { incident } => Some(incident.urn().to_string()),
                _ => None,
            },
        };
        // Serialization cannot fail: the keys are texts and the numbers are integers.
        serde_json::to_vec(&problem).unwrap_or_default()
    }

    /// The answer, without consuming the error.
    pub fn to_response(&self) -> Response {
        let mut response = Response::new(self.problem().into());
        *response.status_mut() = self.status();
        *response.headers_mut() = self.headers();
        response
    }
}

impl Reply for ApiError {
    fn into_response(self) -> Response {
        self.to_response()
    }
}

impl warp::reject::Reject for ApiError {}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::refused_url(&refusal, Value::Null)
    }
}

/// `about:blank` requires that the title is the reason phrase of the status.
fn title(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Error")
}

#[cfg(test)]
mod tests;
