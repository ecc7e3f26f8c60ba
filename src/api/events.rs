//! `/scan/{id}/events`: a job's changes as server-sent events (WHATWG HTML, section 9.2).

use super::{
    ApiError,
    auth::User,
    header,
    operation::{Answer, Operation},
    reply::{self, finish},
    route::{Call, Route, Scope},
    scan::JOB_ID,
    state::Api,
    template::Template,
};
use crate::live::{EventId, job_stream};
use futures_util::StreamExt;
use warp::{
    Filter, Reply,
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    reply::Response,
};

const EVENTS: Template<1> = Template::new("/scan/{id}/events", [JOB_ID]);

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    vec![Route::get(&EVENTS, Scope::Read, streams(), |call, _| {
        call.and(header("last-event-id")).map(|call: Call<1>, last: Option<_>| {
            finish(job(&call.api, &call.path[0], &call.user, last.as_ref()))
        })
    })]
}

fn streams() -> Operation {
    Operation::new("streamScan", "Follow a job as server-sent events")
        .about(
            "`snapshot` (the progress document) on joining; then `repository` and `job` for what \
             changes, and `end`, after which the stream closes. A reconnect with the id of an \
             event goes on after it, without gap or repeat. A slow reader gets fewer, newer \
             events; a final state is never left out. A comment keeps a quiet line open.",
        )
        .header("Last-Event-ID", "The id of the last event that the client has.")
        .answers(StatusCode::OK, Answer::text("text/event-stream", "The events."))
        .answers(StatusCode::NO_CONTENT, Answer::empty("The client has seen the end."))
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many streams or connections are open.")
}

/// `GET /scan/{id}/events`
fn job(api: &Api, id: &str, user: &User, last: Option<&HeaderValue>) -> Result<Response, ApiError> {
    let job = api.job(id)?;
    let place = api.stream_place(user)?;
    let last = last.and_then(|it| it.to_str().ok()).and_then(EventId::parse);
    let Some(stream) = job_stream(job, last, api.shutdown.clone(), place) else {
        // The end was seen: an EventSource that is told so does not come back.
        return Ok(reply::empty(StatusCode::NO_CONTENT));
    };
    let stream = stream.take_until(Box::pin(user.revoked()));
    let mut response = warp::reply::stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    // Proxies of the nginx kind would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}
