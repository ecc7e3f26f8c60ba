//! How the service is: `/health` for people who may know, `/livez` and `/readyz` for machines.

use super::{auth::User, reply, state::Api};
use crate::model::time;
use chrono::Utc;
use serde_json::json;
use warp::{http::StatusCode, reply::Response};

/// `GET /health`
pub(super) fn health(api: &Api, user: &User) -> Response {
    let mut problems = api.live.problems(api.config.watch.resync_interval);
    if !api.live.is_ready() {
        problems.push("the jobs folder is being read for the first time".to_owned());
    }
    let watch = api.live.health();
    let (running, queued) = api.supervisor.load();
    reply::json(&json!({
        "status": if problems.is_empty() { "healthy" } else { "degraded" },
        "timestamp": time::format(Utc::now()),
        "version": env!("CARGO_PKG_VERSION"),
        "user": user.0,
        "problems": problems,
        "confinement": api.confinement.as_str(),
        "scanners": { "running": running, "queued": queued },
        "jobs": api.live.len(),
        "streams": api.open_streams(),
        "watch": {
            "mode": if watch.notified { "notify" } else { "poll" },
            "polled_jobs": watch.polled_jobs,
            "resyncs": watch.resyncs,
            "overflows": watch.overflows,
            "unreadable_files": watch.unreadable_files,
            "panics": watch.panics,
        },
    }))
}

/// `GET /livez` and `GET /readyz`: no detail for those who have shown no credentials.
pub(super) fn probe(api: &Api) -> Response {
    if api.live.is_ready() {
        reply::json(&json!({ "status": "ok" }))
    } else {
        let mut response = reply::json(&json!({ "status": "starting" }));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response
    }
}
