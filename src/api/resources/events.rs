//! `/scan/{id}/events` and `/events`: the changes of one job, and of all, as server-sent events
//! (WHATWG HTML, section 9.2).
//!
//! Input: a job or none, and the last event id of the client. Output: a stream of events.
//!
//! Invariants: a stream ends when its user is revoked and when the server stops; the number of
//! streams is limited.

use super::scan::JOB_ID;
use crate::api::{
    answers::{
        error::ApiError,
        reply::{self, finish},
        stream_body::{Aborted, streamed},
    },
    auth::User,
    requests::header::header,
    routing::{
        operation::{Answer, Operation},
        route::{Access, Call, Route},
        template::Template,
    },
    state::{Api, StreamSlot},
};
use crate::live::{Ending, EventId, Follower, events};
use futures_util::TryStreamExt;
use warp::{
    Filter,
    http::{HeaderValue, StatusCode},
    reply::Response,
};

const EVENTS: Template<1> = Template::new("/scan/{id}/events", [JOB_ID]);
const ALL_EVENTS: Template<0> = Template::new("/events", []);

/// The routes of this file.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get(&EVENTS, Access::Read, streams(), |call, _| {
            call.and(header("last-event-id")).map(|call: Call<1>, last: Option<_>| {
                finish(job(&call.api, &call.path[0], &call.user, last.as_ref()))
            })
        }),
        Route::get(&ALL_EVENTS, Access::Read, streams_all(), |call, _| {
            call.and(header("last-event-id")).map(|call: Call<0>, last: Option<_>| {
                finish(all_jobs(&call.api, &call.user, last.as_ref()))
            })
        }),
    ]
}

fn streams() -> Operation {
    Operation::new("streamScan", "Follow a job as server-sent events")
        .about(
            "The stream starts with `snapshot` (the progress document), continues with \
             `repository` and `job` for each change, and closes after `end`. A client that \
             reconnects with the id of an event gets the events after it, without gaps or \
             repeats. A slow client gets fewer, newer events, but every final state. Comments \
             keep an idle connection open.",
        )
        .header("Last-Event-ID", "The id of the last event that the client received.")
        .answers(StatusCode::OK, Answer::text("text/event-stream", "The events."))
        .answers(StatusCode::NO_CONTENT, Answer::empty("The client has already received the end."))
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many streams or connections are open.")
}

fn streams_all() -> Operation {
    Operation::new("streamJobs", "Follow all jobs as server-sent events")
        .about(
            "The stream starts with `snapshot`: `jobs`, the newest 100 as rows of the list of \
             jobs, `total`, and `counts` of all jobs by state. Then it sends `job` and `end` of \
             every job, as the stream of the job does, at most twice a second. A later snapshot, \
             after a job was removed, replaces everything that the client shows. A job that is \
             restarted after its `end` is sent as `job` again. This stream does not end by itself.",
        )
        .header("Last-Event-ID", "The id of the last event that the client received.")
        .answers(StatusCode::OK, Answer::text("text/event-stream", "The events."))
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many streams or connections are open.")
}

/// `GET /scan/{id}/events`
fn job(api: &Api, id: &str, user: &User, last: Option<&HeaderValue>) -> Result<Response, ApiError> {
    let job = api.job(id)?;
    let slot = api.stream_slot(user)?;
    let follower = job.follow(event_id(last), end(api, user), slot);
    if follower.is_over() {
        // The client has the end. An EventSource does not reconnect after a 204.
        return Ok(reply::empty(StatusCode::NO_CONTENT));
    }
    Ok(stream(follower))
}

/// `GET /events`
fn all_jobs(api: &Api, user: &User, last: Option<&HeaderValue>) -> Result<Response, ApiError> {
    let slot = api.stream_slot(user)?;
    let follower = api.live.follow(event_id(last), end(api, user), slot);
    Ok(stream(follower))
}

fn event_id(last: Option<&HeaderValue>) -> Option<EventId> {
    last.and_then(|value| value.to_str().ok()).and_then(EventId::parse)
}

/// Waits until the server stops or the user is revoked.
fn end(api: &Api, user: &User) -> impl Future<Output = Ending> + Send + 'static {
    let (shutdown, revoked) = (api.shutdown.clone(), user.revoked());
    async move {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Ending::Shutdown,
            () = revoked => Ending::Revoked,
        }
    }
}

fn stream(follower: Follower<StreamSlot>) -> Response {
    streamed(events(follower).map_err(|_| Aborted), "text/event-stream")
}
