//! Errors between a command and a server, their messages and their exit codes.

use super::super::{Exit, output};
use crate::model::JobId;
use rustls::{CertificateError, InvalidMessage};
use serde_json::Value;
use std::{error::Error, io, time::Duration};

/// Why a request to the server failed.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum ClientError {
    /// The arguments or the environment are invalid; no request was sent.
    #[error("{0}")]
    Settings(String),
    #[error("cannot reach the server at {server}: {}", root(.source))]
    Unreachable { server: String, source: reqwest::Error },
    /// The certificate does not prove that this is the intended server.
    #[error("the server at {server} is not trusted: {reason}")]
    Untrusted { server: String, reason: String, hint: &'static str },
    /// The event stream ended before the job.
    #[error("the server closed the stream")]
    StreamClosed,
    #[error("the server at {server} does not answer")]
    Silent { server: String },
    #[error("unexpected answer from {server}: {what}")]
    UnexpectedAnswer { server: String, what: String },
    /// The server refused the request.
    #[error("{detail}")]
    Refused { status: u16, detail: String, hint: Option<String> },
    /// The server cannot serve the request at the moment.
    #[error("the server is unavailable ({status}): {detail}")]
    Unavailable { status: u16, detail: String, hint: Option<String> },
    #[error("job {0} no longer exists: it was deleted or has expired")]
    JobRemoved(JobId),
    #[error("gave up after {}: {cause}", super::format_duration(*.timeout))]
    GaveUp { timeout: Duration, cause: String },
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

impl ClientError {
    /// The error for an answer with a status other than success.
    pub(super) fn from_answer(
        server: &str,
        status: u16,
        location: Option<&str>,
        body: &[u8],
    ) -> Self {
        let problem: Option<Value> = serde_json::from_slice(body).ok();
        let member = |name: &str| problem.as_ref().and_then(|problem| problem.get(name));
        let detail = member("detail").map(detail_text);
        let hint = member("hint").and_then(Value::as_str).map(str::to_owned);
        let unexpected = |what: String| Self::UnexpectedAnswer { server: server.to_owned(), what };
        match (status, detail) {
            (300..=399, _) => unexpected(match location {
                Some(location) => {
                    format!("a redirect to {location}; if this is the right server, use --server")
                }
                None => format!("status {status}"),
            }),
            // A proxy may request credentials too, with a body of its own.
            (401, detail) => Self::Refused {
                status,
                detail: detail.unwrap_or_else(|| "Not authenticated".to_owned()),
                hint: Some("set API_USERNAME and API_PASSWORD, or SCANWATCH_TOKEN".to_owned()),
            },
            (408 | 429 | 500..=599, detail) => Self::Unavailable {
                status,
                detail: detail.unwrap_or_else(|| "no reason given".to_owned()),
                hint,
            },
            (_, Some(detail)) => Self::Refused { status, detail, hint },
            (_, None) => unexpected(format!("status {status} without a reason")),
        }
    }

    /// The error for a TLS failure that a retry cannot fix.
    pub(super) fn from_tls(server: &str, error: &rustls::Error) -> Option<Self> {
        use CertificateError as Certificate;
        let server = server.to_owned();
        let (reason, hint) = match error {
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                let what = "it does not speak TLS; if this is the right server, use http://";
                return Some(Self::UnexpectedAnswer { server, what: what.to_owned() });
            }
            rustls::Error::InvalidCertificate(certificate) => match certificate {
                // BadSignature: an authority with the name of a trusted one but another key.
                Certificate::UnknownIssuer | Certificate::BadSignature => (
                    "no trusted certificate authority signed its certificate".to_owned(),
                    "name its certificate authority with --ca-file FILE or SCANNER_CA_FILE",
                ),
                Certificate::Expired | Certificate::ExpiredContext { .. } => (
                    "its certificate has expired".to_owned(),
                    "the operator of the server must renew it, or this machine's clock is wrong",
                ),
                Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                    ("its certificate is not valid yet".to_owned(), "check this machine's clock")
                }
                Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => (
                    "its certificate is for another name".to_owned(),
                    "use a name from the certificate with --server",
                ),
                other => (
                    format!("its certificate cannot be used: {other}"),
                    "the operator of the server must check it; a CA certificate cannot be used as a \
                     server certificate",
                ),
            },
            _ => return None,
        };
        Some(Self::Untrusted { server, reason, hint })
    }

    /// Whether a retry may succeed.
    pub(in crate::cli) fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::StreamClosed
                | Self::Silent { .. }
                | Self::Unavailable { .. }
        )
    }

    /// Whether the reader of standard output has closed the pipe, which is not reported.
    pub(in crate::cli) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Whether the server does not know the job.
    pub(in crate::cli) fn is_unknown_job(&self) -> bool {
        matches!(self, Self::Refused { status: 404, detail, .. } if detail == "Job not found")
    }

    /// The exit code for this error.
    pub(in crate::cli) fn exit(&self) -> Exit {
        match self {
            error if error.is_closed_pipe() => Exit::Done,
            Self::Settings(_) | Self::Refused { .. } | Self::Output(_) => Exit::Usage,
            Self::JobRemoved(_) => Exit::Failed,
            Self::Unreachable { .. }
            | Self::StreamClosed
            | Self::Silent { .. }
            | Self::UnexpectedAnswer { .. }
            | Self::Untrusted { .. }
            | Self::Unavailable { .. }
            | Self::GaveUp { .. } => Exit::Unreachable,
        }
    }

    /// The message, followed by the hint if there is one.
    pub(in crate::cli) fn message_with_hint(&self) -> String {
        let text = output::printable(&self.to_string());
        match self {
            Self::Refused { hint: Some(hint), .. } | Self::Unavailable { hint: Some(hint), .. } => {
                format!("{text}; {}", output::printable(hint))
            }
            Self::Untrusted { hint, .. } => format!("{text}; {hint}"),
            _ => text,
        }
    }

    /// Prints the error on standard error and returns the exit code.
    pub(in crate::cli) fn report(&self) -> Exit {
        if !self.is_closed_pipe() {
            output::print_error(&self.message_with_hint());
        }
        self.exit()
    }
}

/// The innermost cause; the outer errors only say that a request failed.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Renders a `detail` as text; the errors of a request body are listed field by field.
fn detail_text(detail: &Value) -> String {
    let field = |error: &Value| {
        let place = error["loc"].as_array().and_then(|path| path.last()?.as_str());
        match (place, error["msg"].as_str()) {
            (Some(place), Some(message)) => format!("{place}: {message}"),
            (None, Some(message)) => message.to_owned(),
            _ => error.to_string(),
        }
    };
    match detail {
        Value::String(text) => text.clone(),
        Value::Array(fields) => fields.iter().map(field).collect::<Vec<_>>().join("; "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, body: &str, exit: Exit, expected: &str) {
        let error =
            ClientError::from_answer("http://s", status, Some("http://t/"), body.as_bytes());
        assert_eq!((error.exit(), error.message_with_hint()), (exit, expected.to_owned()));
    }

    #[test]
    fn an_error_answer_is_printed_with_its_hint() {
        check(404, r#"{"detail": "Job not found"}"#, Exit::Usage, "Job not found");
        check(400, r#"{"detail": "No", "hint": "do"}"#, Exit::Usage, "No; do");
        check(
            422,
            r#"{"detail": [{"loc": ["body", "git_url"], "msg": "no URL"}, {"msg": "x"}]}"#,
            Exit::Usage,
            "git_url: no URL; x",
        );
        check(
            401,
            "<html>",
            Exit::Usage,
            "Not authenticated; set API_USERNAME and API_PASSWORD, or SCANWATCH_TOKEN",
        );
        check(502, "<html>", Exit::Unreachable, "the server is unavailable (502): no reason given");
        check(
            404,
            "<html>",
            Exit::Unreachable,
            "unexpected answer from http://s: status 404 without a reason",
        );
        check(
            302,
            "",
            Exit::Unreachable,
            "unexpected answer from http://s: a redirect to http://t/; if this is the right \
             server, use --server",
        );
        check(400, r#"{"detail": "\u001b[31m"}"#, Exit::Usage, "\\u{1b}[31m");
    }
}
