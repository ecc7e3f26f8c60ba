//! The state of the service: `/health` for operators, `/livez` and `/readyz` for probes.
//!
//! Input: the state of the other components. Output: a document with the problems of the service,
//! and the answers to probes.
//!
//! Invariants: the service is degraded exactly if there is a problem; probes, which need no
//! credentials, reveal no detail.

use super::{agents::EngineDocument, degraded, limits::HostLimit};
use crate::api::{
    answers::reply,
    auth::User,
    routing::{
        operation::{Answer, Operation},
        route::{Access, Call, Route},
        template::Template,
    },
    state::Api,
};
use crate::model::{
    self_test::SelfTest,
    time::{self, Timestamp},
};
use chrono::Utc;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;
use warp::{Filter, http::StatusCode, reply::Response};

const HEALTH: Template<0> = Template::new("/health", []);
const LIVEZ: Template<0> = Template::new("/livez", []);
const READYZ: Template<0> = Template::new("/readyz", []);

/// The state of the service.
#[derive(Debug, Serialize, JsonSchema)]
struct Health {
    #[schemars(extend("enum" = ["healthy", "degraded"]))]
    status: &'static str,
    #[serde(with = "time")]
    #[schemars(with = "Timestamp")]
    timestamp: Timestamp,
    version: &'static str,
    /// The user of this request; null on a server without credentials.
    user: Option<String>,
    /// Why the service is degraded.
    problems: Vec<String>,
    /// The same problems, each with its reason and its remedy.
    causes: Vec<Cause>,
    /// How stray processes of scanners are found: by control groups, or one by one.
    #[schemars(extend("enum" = ["cgroup", "group"]))]
    confinement: &'static str,
    sandbox: Sandbox,
    scanners: Scanners,
    /// What runs scans.
    engine: EngineDocument,
    /// The number of known jobs.
    jobs: usize,
    /// The number of open event streams.
    streams: usize,
    watch: Watch,
    disk: Disk,
    /// Null on a server without TLS of its own.
    tls: Option<Certificate>,
}

/// Why the service is degraded, and what to do.
#[derive(Debug, Serialize, JsonSchema)]
struct Cause {
    /// The label of `scanwatch_degraded` in `/metrics`.
    #[schemars(extend("enum" = degraded::REASONS))]
    reason: &'static str,
    problem: String,
    remedy: &'static str,
}

/// The certificate that new connections get.
#[derive(Debug, Serialize, JsonSchema)]
struct Certificate {
    /// When the certificate expires; null if that cannot be determined.
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    not_after: Option<Timestamp>,
}

/// The sandbox of the built-in scanner, as found by its self-test.
#[derive(Debug, Serialize, JsonSchema)]
struct Sandbox {
    /// The setting; `custom` means that the scanner is another program with its own sandbox.
    #[schemars(extend("enum" = ["auto", "require", "off", "custom"]))]
    mode: &'static str,
    /// The Landlock ABI version in use; 0 without Landlock, null if there was no self-test (yet).
    landlock_abi: Option<u8>,
    seccomp: Option<bool>,
    no_new_privs: Option<bool>,
    /// The sandbox features that this kernel lacks.
    missing: Vec<String>,
    /// How many attempts of the self-test to escape were blocked.
    refused: Option<usize>,
    /// The attempts to escape that succeeded.
    possible: Vec<String>,
}

/// Repositories that are being scanned, and that are queued.
#[derive(Debug, Serialize, JsonSchema)]
struct Scanners {
    running: usize,
    queued: usize,
    /// How many may run at once now: fewer than the ceiling under pressure, for example.
    slots: usize,
    /// How many may run at once at most.
    ceiling: usize,
    /// Why fewer may run than the ceiling allows, such as `3 of 8 slots: memory pressure (full avg10 14 %)`;
    /// null if all may.
    limited_by: Option<String>,
    /// How many hosts throttle.
    throttled_hosts: usize,
    /// The hosts that throttle, at most 20 of them.
    hosts: Vec<HostLimit>,
    /// How many scans reached a final state in each minute of the last hour, or since the start of the server if
    /// that is more recent: oldest first; the last minute is the current one.
    finished_per_minute: Vec<u32>,
}

/// The free space of the jobs folder's disk; null if it cannot be determined.
#[derive(Debug, Serialize, JsonSchema)]
struct Disk {
    free_bytes: Option<u64>,
    free_inodes: Option<u64>,
}

/// How the jobs folder is being watched.
#[derive(Debug, Serialize, JsonSchema)]
struct Watch {
    /// `notify` if changes come as inotify events, `poll` if files are polled.
    #[schemars(extend("enum" = ["notify", "poll"]))]
    mode: &'static str,
    polled_jobs: usize,
    resyncs: u64,
    overflows: u64,
    unreadable_files: u64,
    panics: u64,
}

/// The answer to probes.
#[derive(Debug, Serialize, JsonSchema)]
struct Probe {
    #[schemars(extend("enum" = ["ok", "starting"]))]
    status: &'static str,
}

/// The routes of this file.
pub(crate) fn routes() -> Vec<Route> {
    let probes = |id, summary| {
        Operation::new(id, summary)
            .answers(StatusCode::OK, Answer::json::<Probe>("The jobs folder has been read."))
            .answers(
                StatusCode::SERVICE_UNAVAILABLE,
                Answer::json::<Probe>("The jobs folder is being read for the first time."),
            )
    };
    let is_alive = probes("getLivez", "Whether the service is alive");
    let is_ready = probes("getReadyz", "Whether the service is ready to answer");
    let healthy = Operation::new("getHealth", "The state of the service, and its problems")
        .answers(
            StatusCode::OK,
            Answer::json::<Health>("The state; also if the service is degraded."),
        );
    vec![
        Route::get(&HEALTH, Access::Read, healthy, |call, _| {
            call.then(async |call: Call<0>| health(&call.api, &call.user).await)
        }),
        Route::get(&LIVEZ, Access::Public, is_alive, |call, _| {
            call.map(|call: Call<0>| probe(&call.api))
        }),
        Route::get(&READYZ, Access::Public, is_ready, |call, _| {
            call.map(|call: Call<0>| probe(&call.api))
        }),
    ]
}

/// `GET /health`
async fn health(api: &Api, user: &User) -> Response {
    let space = Arc::clone(&api.space);
    let isolation = Arc::clone(&api.isolation);
    let asked = api.read_pools.checks.run(move || {
        isolation.current_confinement();
        (space.free(), space.obstacle())
    });
    let (free, obstacle) = asked.await.unwrap_or_default();
    let problems = degraded::problems(api, obstacle.as_ref());
    let watch = api.live.health();
    let (running, queued) = api.supervisor.load();
    let limits = api.supervisor.limits();
    reply::json(&Health {
        status: if problems.is_empty() { "healthy" } else { "degraded" },
        timestamp: Utc::now(),
        version: env!("CARGO_PKG_VERSION"),
        user: user.name().map(str::to_owned),
        problems: problems.iter().map(|(_, text)| text.clone()).collect(),
        causes: problems
            .into_iter()
            .map(|(reason, problem)| Cause { reason, problem, remedy: degraded::remedy(reason) })
            .collect(),
        confinement: api.isolation.confinement().as_str(),
        sandbox: sandbox(api),
        scanners: Scanners {
            running,
            queued,
            slots: limits.slots,
            ceiling: limits.ceiling,
            limited_by: limits.limited_by,
            throttled_hosts: limits.throttled_hosts,
            hosts: limits.hosts.into_iter().map(HostLimit::from).collect(),
            finished_per_minute: api.supervisor.scan_metrics().finished_per_minute(),
        },
        engine: EngineDocument::of_health(api.supervisor.agents().state()),
        jobs: api.live.len(),
        streams: api.open_streams(),
        watch: Watch {
            mode: if watch.notified { "notify" } else { "poll" },
            polled_jobs: watch.polled_jobs,
            resyncs: watch.resyncs,
            overflows: watch.overflows,
            unreadable_files: watch.unreadable_files,
            panics: watch.panics,
        },
        disk: Disk {
            free_bytes: free.map(|space| space.bytes),
            free_inodes: free.and_then(|space| space.inodes),
        },
        tls: api.tls.as_ref().map(|tls| Certificate { not_after: tls.not_after() }),
    })
}

fn sandbox(api: &Api) -> Sandbox {
    let test = api.isolation.self_test();
    Sandbox {
        mode: api.isolation.sandbox().as_str(),
        landlock_abi: test.map(|result| result.landlock_abi),
        seccomp: test.map(|result| result.seccomp),
        no_new_privs: test.map(|result| result.no_new_privs),
        missing: test.map(|result| result.missing.clone()).unwrap_or_default(),
        refused: test.map(SelfTest::refused),
        possible: test
            .map(|result| result.possible().map(str::to_owned).collect())
            .unwrap_or_default(),
    }
}

/// `GET /livez` and `GET /readyz`: no details, because these routes need no credentials.
fn probe(api: &Api) -> Response {
    if api.live.is_ready() {
        reply::json(&Probe { status: "ok" })
    } else {
        let mut response = reply::json(&Probe { status: "starting" });
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response
    }
}
