//! `/scan/{id}/pause`, `/resume` and `/bump`: what users request of the turns of an unfinished job.
//!
//! Input: requests. Output: commands to the supervisor.
//!
//! Invariants: a request is durable before its answer is sent, and may be repeated.

use super::{JOB_ID, TurnOutcome, operations, stopping, unstorable, writable};
use crate::api::{
    answers::{
        error::ApiError,
        reply::{self, finish},
    },
    routing::{
        route::{Access, Call, Route},
        template::Template,
    },
};
use crate::supervisor::{TurnChanged, TurnRequest};
use warp::{Filter, reply::Response};

const PAUSE: Template<1> = Template::new("/scan/{id}/pause", [JOB_ID]);
const RESUME: Template<1> = Template::new("/scan/{id}/resume", [JOB_ID]);
const BUMP: Template<1> = Template::new("/scan/{id}/bump", [JOB_ID]);

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post(&PAUSE, Access::Write, operations::pauses(), |call, _| {
            call.then(async |call| finish(change(call, TurnRequest::Pause).await))
        }),
        Route::post(&RESUME, Access::Write, operations::resumes(), |call, _| {
            call.then(async |call| finish(change(call, TurnRequest::Resume).await))
        }),
        Route::post(&BUMP, Access::Write, operations::bumps(), |call, _| {
            call.then(async |call| finish(change(call, TurnRequest::Bump).await))
        }),
    ]
}

async fn change(call: Call<1>, request: TurnRequest) -> Result<Response, ApiError> {
    let Call { api, path: [id], .. } = call;
    let job = api.live_job(&id).await?;
    if !job.facts().state.is_final() {
        writable(&api).await?;
    }
    let changed = api.supervisor.change_turn(job.id(), request).await;
    let is_read = api.nudger.nudge(job.id()).await;
    let facts = job.facts();
    match changed {
        TurnChanged::Done => {}
        TurnChanged::Unwritten(error) => {
            return Err(unstorable("The request applies, but cannot be stored yet", &error));
        }
        TurnChanged::Stopped => return Err(stopping()),
        TurnChanged::NotRunning if !facts.state.is_final() => return Err(foreign()),
        TurnChanged::Finished | TurnChanged::NotRunning => return Err(finished()),
    }
    // The request is durable, even if the cache has not re-read the job yet.
    let paused = match request {
        TurnRequest::Pause if !is_read => true,
        TurnRequest::Resume if !is_read => false,
        _ => facts.paused,
    };
    Ok(reply::json(&TurnOutcome { job_id: facts.id, status: facts.state, paused }))
}

fn foreign() -> ApiError {
    ApiError::Conflict {
        detail: "The job cannot be changed here, because another program runs it".into(),
        hint: Some("Use the program that runs it".into()),
    }
}

fn finished() -> ApiError {
    ApiError::Conflict {
        detail: "The job is finished".into(),
        hint: Some("Retry its failed repositories, or submit its URL again".into()),
    }
}
