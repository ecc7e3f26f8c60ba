//! `/admin/limits`: how many scans may run at once.
//!
//! Input: requests, and the limits that the supervisor publishes. Output: the limits with their
//! reasons, and a command to the supervisor.
//!
//! Invariants: a request is in force when it is answered, and until the settings are read again or
//! the server restarts; running scans are not disturbed.

use crate::api::{
    answers::{
        error::ApiError,
        reply::{self, finish},
    },
    requests::{
        body::json_body,
        members::{Between, Body, body},
        validation::Validation,
    },
    routing::{
        operation::{Answer, Operation},
        route::{Access, Call, Route},
        template::Template,
    },
    state::Api,
};
use crate::{
    model::time::{self, Timestamp},
    supervisor::{self, ScanLimits, SlotReason},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use warp::{Filter, http::StatusCode, reply::Response};

const LIMITS: Template<0> = Template::new("/admin/limits", []);

body! {
    /// The limits to set.
    #[derive(Debug, JsonSchema)]
    #[schemars(rename = "LimitsChange", extend("additionalProperties" = true))]
    struct Change {
        /// How many scans may run at once at most.
        "max_concurrent_processes" => max_concurrent_processes: Between<1, 256>,
    }
}

/// How many scans may run at once, and why.
#[derive(Debug, Serialize, JsonSchema)]
struct Limits {
    /// How many scans may run at once at most.
    max_concurrent_processes: usize,
    /// Where this number comes from; a request is in force until the settings are read again or the
    /// server restarts.
    #[schemars(extend("enum" = ["settings", "request"]))]
    source: &'static str,
    /// How many scans may run at once now.
    slots: usize,
    /// Why these are fewer; null if they are not.
    #[schemars(extend("enum" = ["memory", "io", "cpu", "disk", "alone", null]))]
    reason: Option<&'static str>,
    /// The reason as a sentence, such as `3 of 8 slots: memory pressure (full avg10 14 %)`.
    limited_by: Option<String>,
    /// Since when these limits are in force for this reason.
    #[serde(with = "time")]
    #[schemars(with = "Timestamp")]
    since: Timestamp,
    running: usize,
    queued: usize,
    /// How many hosts throttle.
    throttled_hosts: usize,
    /// The hosts that throttle, at most 20 of them.
    hosts: Vec<HostLimit>,
}

/// A host that refused scans because of its rate limit.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct HostLimit {
    /// Scheme, name and port, as in `https://gitlab.com`.
    origin: String,
    /// How many scans may contact it at once.
    scans: usize,
    running: usize,
    /// It is not contacted before this time; null if it may be contacted now.
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    not_before: Option<Timestamp>,
}

impl From<supervisor::HostLimit> for HostLimit {
    fn from(limit: supervisor::HostLimit) -> Self {
        let supervisor::HostLimit { origin, scans, running, not_before } = limit;
        Self { origin, scans, running, not_before }
    }
}

/// The routes of this file.
pub(crate) fn routes() -> Vec<Route> {
    let reads = Operation::new("getLimits", "How many scans may run at once, and why")
        .answers(StatusCode::OK, Answer::json::<Limits>("The limits."));
    let changes = Operation::new("setLimits", "Change how many scans may run at once")
        .about(
            "The change is in force at once, until the server is restarted or reads its settings again \
             (SIGHUP). Scans that run beyond a lowered limit continue.",
        )
        .body::<Change>(json!({ "max_concurrent_processes": 8 }))
        .answers(StatusCode::OK, Answer::json::<Limits>("The limits from now on."))
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "The server is stopping.");
    vec![
        Route::get(&LIMITS, Access::Admin, reads, |call, _| {
            call.map(|call: Call<0>| {
                reply::json(&document(&call.api, call.api.supervisor.limits()))
            })
        }),
        Route::put(&LIMITS, Access::Admin, changes, |call, context| {
            call.and(json_body(context.api.config.get().server.max_body_bytes))
                .then(async |call: Call<0>, body| finish(change(&call.api, body).await))
        }),
    ]
}

/// `PUT /admin/limits`
async fn change(api: &Api, body: Validation) -> Result<Response, ApiError> {
    let Between(most) = Change::read(body)?.max_concurrent_processes;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let limits = api.supervisor.set_ceiling(most).await.ok_or(ApiError::Unavailable {
        detail: "The server is stopping".into(),
        retry_after: None,
    })?;
    Ok(reply::json(&document(api, limits)))
}

fn document(api: &Api, limits: ScanLimits) -> Limits {
    let (running, queued) = api.supervisor.load();
    Limits {
        max_concurrent_processes: limits.ceiling,
        source: limits.source.as_str(),
        slots: limits.slots,
        reason: limits.reason.map(SlotReason::as_str),
        limited_by: limits.limited_by,
        since: limits.since,
        running,
        queued,
        throttled_hosts: limits.throttled_hosts,
        hosts: limits.hosts.into_iter().map(HostLimit::from).collect(),
    }
}
