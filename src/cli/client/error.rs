//! What can go wrong between a command and a server, and what the command's exit code makes of it.

use super::super::{Exit, output};
use crate::model::JobId;
use rustls::{CertificateError, InvalidMessage};
use serde_json::Value;
use std::{error::Error, io, time::Duration};

/// Why a command did not get what it wanted.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum ClientError {
    /// What this command was told makes no sense, before anybody is asked.
    #[error("{0}")]
    Settings(String),
    #[error("cannot reach the server at {server}: {}", root(.source))]
    Unreachable { server: String, source: reqwest::Error },
    /// There is no telling whether it is the server that was meant.
    #[error("the server at {server} is not trusted: {reason}")]
    Untrusted { server: String, reason: String, hint: &'static str },
    /// The stream of events ended without an end of the job.
    #[error("the server closed the stream")]
    StreamClosed,
    #[error("the server at {server} does not answer")]
    Silent { server: String },
    #[error("{server} does not answer as scanwatch does: {what}")]
    Foreign { server: String, what: String },
    /// The server says that the request was wrong.
    #[error("{detail}")]
    Refused { status: u16, detail: String, hint: Option<String> },
    /// The server says that it cannot, now.
    #[error("the server does not serve this now ({status}): {detail}")]
    Unavailable { status: u16, detail: String, hint: Option<String> },
    #[error("job {0} is gone: it was removed, by somebody or because its time was over")]
    Gone(JobId),
    #[error("gave up after {}: {why}", super::spoken(*.patience))]
    GaveUp { patience: Duration, why: String },
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

impl ClientError {
    /// The answer of a server that said no.
    pub(super) fn of_answer(
        server: &str,
        status: u16,
        location: Option<&str>,
        body: &[u8],
    ) -> Self {
        let problem: Option<Value> = serde_json::from_slice(body).ok();
        let member = |name: &str| problem.as_ref().and_then(|it| it.get(name));
        let detail = member("detail").map(spoken_detail);
        let hint = member("hint").and_then(Value::as_str).map(str::to_owned);
        let foreign = |what: String| Self::Foreign { server: server.to_owned(), what };
        match (status, detail) {
            (300..=399, _) => foreign(match location {
                Some(location) => {
                    format!("it leads to {location}; if that is it, name it by --server")
                }
                None => format!("its answer is {status}"),
            }),
            // A proxy in front of the server may ask for credentials too, in its own words.
            (401, detail) => Self::Refused {
                status,
                detail: detail.unwrap_or_else(|| "Not authenticated".to_owned()),
                hint: Some(
                    "credentials are taken from API_USERNAME and API_PASSWORD, or SCANWATCH_TOKEN"
                        .to_owned(),
                ),
            },
            (408 | 429 | 500..=599, detail) => Self::Unavailable {
                status,
                detail: detail.unwrap_or_else(|| "no reason is given".to_owned()),
                hint,
            },
            (_, Some(detail)) => Self::Refused { status, detail, hint },
            (_, None) => foreign(format!("its answer is {status}, without a reason")),
        }
    }

    /// What TLS says of the server, where that is not to be got over by trying again.
    pub(super) fn of_tls(server: &str, error: &rustls::Error) -> Option<Self> {
        use CertificateError as Certificate;
        let server = server.to_owned();
        let (reason, hint) = match error {
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                let what = "it does not speak TLS; if it is meant, ask it by http://".to_owned();
                return Some(Self::Foreign { server, what });
            }
            rustls::Error::InvalidCertificate(certificate) => match certificate {
                // The latter of an authority with the name of one that is trusted, and another key.
                Certificate::UnknownIssuer | Certificate::BadSignature => (
                    "nobody whom this machine trusts vouches for its certificate".to_owned(),
                    "name the authority that does by --ca-file FILE or SCANNER_CA_FILE",
                ),
                Certificate::Expired | Certificate::ExpiredContext { .. } => (
                    "its certificate has expired".to_owned(),
                    "its operator has to renew it; or this machine's clock is wrong",
                ),
                Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => (
                    "its certificate is not valid yet".to_owned(),
                    "this machine's clock may be wrong",
                ),
                Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => (
                    "its certificate is for another name".to_owned(),
                    "name the server by --server as its certificate does",
                ),
                other => (
                    format!("its certificate cannot be used: {other}"),
                    "its operator has to look at it; an authority's own certificate is none for a \
                     server",
                ),
            },
            _ => return None,
        };
        Some(Self::Untrusted { server, reason, hint })
    }

    /// Whether it can be otherwise in a moment.
    pub(super) fn passes(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::StreamClosed
                | Self::Silent { .. }
                | Self::Unavailable { .. }
        )
    }

    /// Whether nobody reads what is written any more: no reason to complain.
    pub(in crate::cli) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Whether the server does not know the job.
    pub(in crate::cli) fn is_unknown_job(&self) -> bool {
        matches!(self, Self::Refused { status: 404, detail, .. } if detail == "Job not found")
    }

    /// The exit code that this leads to.
    pub(in crate::cli) fn exit(&self) -> Exit {
        match self {
            error if error.is_closed_pipe() => Exit::Done,
            Self::Settings(_) | Self::Refused { .. } | Self::Output(_) => Exit::Usage,
            Self::Gone(_) => Exit::Failed,
            Self::Unreachable { .. }
            | Self::StreamClosed
            | Self::Silent { .. }
            | Self::Foreign { .. }
            | Self::Untrusted { .. }
            | Self::Unavailable { .. }
            | Self::GaveUp { .. } => Exit::Unreachable,
        }
    }

    /// What happened, and the way out where there is one.
    pub(in crate::cli) fn spoken(&self) -> String {
        let text = output::printable(&self.to_string());
        match self {
            Self::Refused { hint: Some(hint), .. } | Self::Unavailable { hint: Some(hint), .. } => {
                format!("{text}; {}", output::printable(hint))
            }
            Self::Untrusted { hint, .. } => format!("{text}; {hint}"),
            _ => text,
        }
    }

    /// Says it on standard error; the exit code.
    pub(in crate::cli) fn tell(&self) -> Exit {
        if !self.is_closed_pipe() {
            output::complain(&self.spoken());
        }
        self.exit()
    }
}

/// The cause at the bottom: what is above it says that a request failed.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// A `detail` as text: the fields of a body that was wrong are told one by one.
fn spoken_detail(detail: &Value) -> String {
    let field = |it: &Value| {
        let place = it["loc"].as_array().and_then(|it| it.last()?.as_str());
        match (place, it["msg"].as_str()) {
            (Some(place), Some(message)) => format!("{place}: {message}"),
            (None, Some(message)) => message.to_owned(),
            _ => it.to_string(),
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
        let error = ClientError::of_answer("http://s", status, Some("http://t/"), body.as_bytes());
        assert_eq!((error.exit(), error.spoken()), (exit, expected.to_owned()));
    }

    #[test]
    fn an_answer_that_says_no_is_told_with_its_way_out() {
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
            "Not authenticated; credentials are taken from API_USERNAME and API_PASSWORD, or \
             SCANWATCH_TOKEN",
        );
        check(
            502,
            "<html>",
            Exit::Unreachable,
            "the server does not serve this now (502): no reason is given",
        );
        check(
            404,
            "<html>",
            Exit::Unreachable,
            "http://s does not answer as scanwatch does: its answer is 404, without a reason",
        );
        check(
            302,
            "",
            Exit::Unreachable,
            "http://s does not answer as scanwatch does: it leads to http://t/; if that is it, \
             name it by --server",
        );
        check(400, r#"{"detail": "\u001b[31m"}"#, Exit::Usage, "\\u{1b}[31m");
    }
}
