//! `DELETE /scan/{id}`. Input: the id of a job, which may be archived. Output: nothing of the job is left. Invariant: the
//! answer is sent once that is durable.

use super::{unstorable, writable};
use crate::{
    api::{
        answers::{error::ApiError, reply},
        state::Api,
    },
    model::JobId,
    supervisor::RemoveError,
};
use warp::{http::StatusCode, reply::Response};

/// `DELETE /scan/{id}`
pub(super) async fn remove(api: Api, id: String) -> Result<Response, ApiError> {
    match api.live_job(&id).await {
        Ok(_) | Err(ApiError::JobArchived) => {}
        Err(error) => return Err(error),
    }
    writable(&api).await?;
    let id: JobId = id.parse().map_err(|_| ApiError::JobNotFound)?;
    if let Some(archive) = &api.archive {
        // Noted first: whatever happens to this request, the job does not come back from there.
        let noted = archive.remove(&id).await;
        noted.map_err(|error| unstorable("The job cannot be removed", &error))?;
    }
    let removed = api.supervisor.remove(&id).await;
    api.archived.forget(&id);
    api.nudger.nudge(&id).await;
    removed.map_err(|error| match error {
        RemoveError::Stopped => {
            ApiError::Unavailable { detail: error.to_string().into(), retry_after: None }
        }
        RemoveError::Store(error) => unstorable("The job cannot be removed", &error),
    })?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
