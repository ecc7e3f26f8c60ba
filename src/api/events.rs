//! `/scan/{id}/events`: a job's changes as server-sent events (WHATWG HTML, section 9.2).

use super::{ApiError, auth::User, reply, state::Api};
use crate::live::{EventId, job_stream};
use warp::{
    Reply,
    http::{HeaderValue, StatusCode, header},
    reply::Response,
};

/// `GET /scan/{id}/events`
pub(super) fn job(
    api: &Api,
    id: &str,
    user: &User,
    last: Option<&HeaderValue>,
) -> Result<Response, ApiError> {
    let job = api.job(id)?;
    let place = api.stream_place(user)?;
    let last = last.and_then(|it| it.to_str().ok()).and_then(EventId::parse);
    let Some(stream) = job_stream(job, last, api.shutdown.clone(), place) else {
        // The end was seen: an EventSource that is told so does not come back.
        return Ok(reply::empty(StatusCode::NO_CONTENT));
    };
    let mut response = warp::reply::stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    // Proxies of the nginx kind would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}
