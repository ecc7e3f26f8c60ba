//! `/scan/{id}/events` and `/events`: the changes of one job, and of all, as server-sent events
//! (WHATWG HTML, section 9.2).

use super::{
    ApiError,
    auth::User,
    header,
    operation::{Answer, Operation},
    reply::{self, finish},
    route::{Call, Route, Scope},
    scan::JOB_ID,
    state::{Api, StreamPlace},
    streamed::{BrokenOff, streamed},
    template::Template,
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
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(&EVENTS, Scope::Read, streams(), |call, _| {
            call.and(header("last-event-id")).map(|call: Call<1>, last: Option<_>| {
                finish(job(&call.api, &call.path[0], &call.user, last.as_ref()))
            })
        }),
        Route::get(&ALL_EVENTS, Scope::Read, streams_all(), |call, _| {
            call.and(header("last-event-id")).map(|call: Call<0>, last: Option<_>| {
                finish(all_jobs(&call.api, &call.user, last.as_ref()))
            })
        }),
    ]
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

fn streams_all() -> Operation {
    Operation::new("streamJobs", "Follow all jobs as server-sent events")
        .about(
            "`snapshot` on joining: `jobs`, the newest 100 as rows of the list of jobs, `total`, \
             and `counts` of all by state. Then `job` and `end` of every job, as on a job's own \
             stream, at most twice a second. A snapshot may come later too, when a job was \
             removed: it replaces whatever a client shows. A job that goes on after its `end` is \
             told by `job` again. This stream has no end of its own.",
        )
        .header("Last-Event-ID", "The id of the last event that the client has.")
        .answers(StatusCode::OK, Answer::text("text/event-stream", "The events."))
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many streams or connections are open.")
}

/// `GET /scan/{id}/events`
fn job(api: &Api, id: &str, user: &User, last: Option<&HeaderValue>) -> Result<Response, ApiError> {
    let job = api.job(id)?;
    let place = api.stream_place(user)?;
    let follower = job.follow(event_id(last), end(api, user), place);
    if follower.is_over() {
        // The end was seen: an EventSource that is told so does not come back.
        return Ok(reply::empty(StatusCode::NO_CONTENT));
    }
    Ok(stream(follower))
}

/// `GET /events`
fn all_jobs(api: &Api, user: &User, last: Option<&HeaderValue>) -> Result<Response, ApiError> {
    let place = api.stream_place(user)?;
    let follower = api.live.follow(event_id(last), end(api, user), place);
    Ok(stream(follower))
}

fn event_id(last: Option<&HeaderValue>) -> Option<EventId> {
    last.and_then(|value| value.to_str().ok()).and_then(EventId::parse)
}

/// Waits until the server stops, or the user may no more.
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

fn stream(follower: Follower<StreamPlace>) -> Response {
    streamed(events(follower).map_err(|_| BrokenOff), "text/event-stream")
}
