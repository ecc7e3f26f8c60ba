//! The errors of commands to jobs, as clients get them.
//!
//! Input: why a submission or a command was refused. Output: the error of the API. Invariant: only the log
//! contains the path of a file.

use super::{QUEUE_RETRY_SECS, Submission};
use crate::{
    api::{
        answers::{error::ApiError, field_error::FieldError},
        log_limit::LineLimit,
    },
    intake::IntakeError,
    store::{StoreError, plainly},
};
use serde_json::Value;

pub(crate) fn refused(error: &IntakeError, sent: Submission) -> ApiError {
    let invalid = |member: &'static str, message: String, input: Value| {
        ApiError::invalid(vec![FieldError::new("value_error", vec![member.into()], message, input)])
    };
    match error {
        IntakeError::Refused(refusal) => ApiError::refused_url(refusal, sent.git_url.into()),
        IntakeError::NotScannable(what) => {
            ApiError::BadRequest { detail: what.to_string().into(), hint: Some(what.hint().into()) }
        }
        IntakeError::Reference(why) => {
            let message =
                format!("Value error, not a valid name of a branch, tag or commit: {why}");
            invalid("ref", message, sent.reference.into())
        }
        IntakeError::Pattern(member, why) => {
            let patterns = match *member {
                "include" => sent.include,
                "exclude" => sent.exclude,
                _ => sent.exclude_paths,
            };
            invalid(member, format!("Value error, {why}"), patterns.into())
        }
        IntakeError::Topics(why) => {
            invalid("topics", format!("Value error, {why}"), sent.topics.into())
        }
        IntakeError::QueueFull(_) => ApiError::TooManyRequests {
            detail: error.to_string().into(),
            retry_after: QUEUE_RETRY_SECS,
        },
        IntakeError::NoPlace(_) => ApiError::Unavailable {
            detail: error.to_string().into(),
            retry_after: Some(QUEUE_RETRY_SECS),
        },
        IntakeError::Store(cause) => unstorable("The job cannot be stored", cause),
        IntakeError::Stopped => stopping(),
    }
}

pub(crate) fn stopping() -> ApiError {
    ApiError::Unavailable { detail: "The server is stopping".into(), retry_after: None }
}

/// The answer to a failed write. Only the log contains the path.
pub(crate) fn unstorable(what: &str, cause: &StoreError) -> ApiError {
    static LINES: LineLimit = LineLimit::new(20);
    if let Some(suppressed) = LINES.pass() {
        tracing::error!(error = crate::store::chain(cause), suppressed, "{what}");
    }
    ApiError::Unavailable {
        detail: format!("{what}: {}", plainly(&cause.source)).into(),
        retry_after: Some(QUEUE_RETRY_SECS),
    }
}
