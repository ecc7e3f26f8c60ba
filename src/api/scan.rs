//! `/scan`: submit, follow, cancel, remove.

use super::{
    ApiError,
    auth::User,
    etag::IfNoneMatch,
    reply,
    state::Api,
    validation::{FieldError, Validation},
};
use crate::{
    intake::{IntakeError, ScanRequest},
    model::{JobId, master::Options, progress::Lists, time},
    supervisor::{Cancelled, RemoveError},
};
use chrono::Utc;
use serde::Deserialize;
use serde_json::json;
use warp::{
    http::{StatusCode, header},
    reply::Response,
};

/// Seconds after which a client that met a full queue may ask again.
const QUEUE_RETRY_SECS: u64 = 30;

/// `?view=summary`
#[derive(Debug, Default, Deserialize)]
pub(super) struct View {
    view: Option<String>,
}

/// `POST /scan`
pub(super) async fn submit(
    api: Api,
    user: User,
    mut body: Validation,
) -> Result<Response, ApiError> {
    let url = body.required_text("git_url");
    let reference = body.text("ref");
    let deep = body.flag("deep").unwrap_or(false);
    body.finish()?;
    let options = Options { reference: reference.clone(), deep };
    let request = ScanRequest { url: url.clone(), options, submitted_by: user.0 };
    let accepted = api
        .intake
        .accept(request)
        .await
        .map_err(|error| refused(&error, url.into(), reference.into()))?;
    // A GET that follows finds the job.
    api.nudger.nudge(&accepted.job_id).await;
    let answer = json!({
        "job_id": accepted.job_id,
        "status": "pending",
        "created_at": time::format(accepted.created_at),
    });
    let location = format!("/scan/{}", accepted.job_id);
    Ok(reply::with_header(reply::json(&answer), header::LOCATION, &location))
}

/// `GET /scan/{id}`
pub(super) fn progress(
    api: &Api,
    id: &str,
    view: &View,
    seen: &IfNoneMatch,
) -> Result<Response, ApiError> {
    let job = api.job(id)?;
    let (lists, mark) = match view.view.as_deref() {
        Some("summary") => (Lists::LeftOut, "s"),
        None | Some("full") => (Lists::Whole, ""),
        Some(_) => {
            return Err(ApiError::bad_request("Invalid view. Must be one of: full, summary"));
        }
    };
    let body = job.body(lists);
    let etag = format!("W/\"{}{mark}\"", body.id());
    let response = if seen.has(&etag) {
        reply::empty(StatusCode::NOT_MODIFIED)
    } else {
        reply::json_bytes(body.bytes(Utc::now()))
    };
    let response = reply::with_header(response, header::ETAG, &etag);
    // To be kept, but asked for each time: that is what the entity tag is for.
    Ok(reply::with_header(response, header::CACHE_CONTROL, "private, no-cache"))
}

/// `POST /scan/{id}/cancel`
pub(super) async fn cancel(api: Api, id: String) -> Result<Response, ApiError> {
    let job = api.job(&id)?;
    let cancelled = api.supervisor.cancel(job.id()).await;
    api.nudger.nudge(job.id()).await;
    let facts = job.facts();
    if cancelled == Cancelled::NotRunning && !facts.state.is_final() {
        return Err(ApiError::Conflict {
            detail: "The job is not run by this server, so it cannot be cancelled here".into(),
            hint: None,
        });
    }
    Ok(reply::json(&json!({ "job_id": facts.id, "status": facts.state })))
}

/// `DELETE /scan/{id}`
pub(super) async fn remove(api: Api, id: String) -> Result<Response, ApiError> {
    let job = api.job(&id)?;
    let id: &JobId = job.id();
    let removed = api.supervisor.remove(id).await;
    api.nudger.nudge(id).await;
    removed.map_err(|error| match error {
        RemoveError::Stopped => {
            ApiError::Unavailable { detail: error.to_string().into(), retry_after: None }
        }
        RemoveError::Store(error) => ApiError::internal("remove a job", &error),
    })?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

fn refused(error: &IntakeError, url: serde_json::Value, reference: serde_json::Value) -> ApiError {
    match error {
        IntakeError::Refused(refusal) => ApiError::refused_url(refusal, url),
        IntakeError::NotScannable(what) => ApiError::BadRequest {
            detail: what.to_string().into(),
            hint: Some(what.way_out().into()),
        },
        IntakeError::Reference(why) => {
            let message = format!("Value error, not the name of a branch, tag or commit: {why}");
            ApiError::invalid(vec![FieldError::new(
                "value_error",
                vec!["ref".into()],
                message,
                reference,
            )])
        }
        IntakeError::QueueFull(_) => ApiError::TooManyRequests {
            detail: error.to_string().into(),
            retry_after: QUEUE_RETRY_SECS,
        },
        IntakeError::Store(cause) => {
            tracing::error!(error = crate::store::chain(cause), "cannot store a job");
            ApiError::Unavailable {
                detail: "The job cannot be stored: the server's disk is full, read-only or broken"
                    .into(),
                retry_after: Some(QUEUE_RETRY_SECS),
            }
        }
    }
}
