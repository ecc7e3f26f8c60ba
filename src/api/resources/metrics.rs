//! `/metrics`: the state and the counters of all components, for Prometheus.
//!
//! Input: the state of the other components. Output: the text format 0.0.4.
//!
//! Invariants: gauges are read from the cache at the time of the request, or from the kernel on a
//! thread of the pool `checks`; labels have a bounded
//! number of values; the name of every family contains its unit.

mod agents;
mod archive;

use super::degraded;
use crate::api::{
    connections::request_metrics::{OTHER, Requests},
    routing::{
        operation::{Answer, Operation},
        route::{Access, Call, Route},
        template::Template,
    },
    state::Api,
};
use crate::{
    measure::{Kind, Text},
    model::{JobState, time::Timestamp},
    store::space::{Free, Obstacle},
    supervisor::SlotReason,
    sys::{self, OwnResources},
};
use std::sync::Arc;
use warp::{
    Filter,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    reply::Response,
};

const METRICS: Template<0> = Template::new("/metrics", []);

/// The routes of this file.
pub(crate) fn routes() -> Vec<Route> {
    let gives = Operation::new("getMetrics", "Metrics for Prometheus").answers(
        StatusCode::OK,
        Answer::text(Text::MEDIA_TYPE, "The text exposition format, version 0.0.4."),
    );
    vec![Route::get(&METRICS, Access::Read, gives, |call, _| {
        call.then(async |call: Call<0>| {
            let mut response = Response::new(text(&call.api).await.into());
            let media_type = HeaderValue::from_static(Text::MEDIA_TYPE);
            response.headers_mut().insert(CONTENT_TYPE, media_type);
            response
        })
    })]
}

async fn text(api: &Api) -> String {
    let space = Arc::clone(&api.space);
    let asked = api.read_pools.checks.run(move || Facts {
        free: space.free(),
        obstacle: space.obstacle(),
        process: sys::own_resources(),
    });
    let facts = asked.await.unwrap_or_default();
    let mut text = Text::default();
    process(&mut text, api);
    resources(&mut text, &facts);
    service(&mut text, api, facts.obstacle.as_ref());
    jobs(&mut text, api);
    scans(&mut text, api);
    agents::agents(&mut text, api);
    schedules(&mut text, api);
    watcher(&mut text, api);
    request_metrics(&mut text, api);
    webhooks(&mut text, api);
    archive::archive(&mut text, api);
    text.finish()
}

/// What only the disk and the kernel know.
#[derive(Debug, Default)]
struct Facts {
    free: Option<Free>,
    obstacle: Option<Obstacle>,
    process: OwnResources,
}

/// The process and the disk. What cannot be determined is absent.
fn resources(text: &mut Text, facts: &Facts) {
    let OwnResources { resident_bytes, open_files, max_open_files } = facts.process;
    let free = facts.free;
    for (name, help, value) in [
        (
            "process_resident_memory_bytes",
            "Resident memory of the server, in bytes.",
            resident_bytes,
        ),
        ("process_open_fds", "Open file descriptors of the server.", open_files),
        ("process_max_fds", "The limit of open file descriptors.", max_open_files),
        (
            "scanwatch_jobs_disk_free_bytes",
            "Free bytes on the disk of the jobs folder, for an unprivileged process.",
            free.map(|free| free.bytes),
        ),
        (
            "scanwatch_jobs_disk_free_inodes",
            "Free inodes on the disk of the jobs folder.",
            free.and_then(|free| free.inodes),
        ),
    ] {
        if let Some(value) = value {
            text.single(name, Kind::Gauge, help, value);
        }
    }
}

/// Why the service is degraded.
fn service(text: &mut Text, api: &Api, obstacle: Option<&Obstacle>) {
    let problems = degraded::problems(api, obstacle);
    text.family(
        "scanwatch_degraded",
        Kind::Gauge,
        "1 if the service is degraded for this reason, as /health explains it.",
    );
    for reason in degraded::REASONS {
        let is_one = problems.iter().any(|(known, _)| *known == reason);
        text.sample(&[("reason", reason)], u8::from(is_one));
    }
}

fn process(text: &mut Text, api: &Api) {
    text.family("scanwatch_build_info", Kind::Gauge, "The version of the program; always 1.");
    text.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.family(
        "scanwatch_confinement_info",
        Kind::Gauge,
        "How stray processes of scanners are found; always 1.",
    );
    text.sample(&[("by", api.isolation.confinement().as_str())], 1);
    if let Some(test) = api.isolation.self_test() {
        text.single(
            "scanwatch_sandbox_landlock_abi",
            Kind::Gauge,
            "The Landlock ABI version of the sandbox; 0 without Landlock.",
            test.landlock_abi,
        );
        text.single(
            "scanwatch_sandbox_seccomp",
            Kind::Gauge,
            "1 if seccomp filters the system calls of scanners, else 0.",
            u8::from(test.seccomp),
        );
        text.family(
            "scanwatch_sandbox_attempts",
            Kind::Gauge,
            "Attempts of the sandbox self-test to escape, by outcome.",
        );
        for (outcome, count) in [("refused", test.refused()), ("possible", test.possible().count())]
        {
            text.sample(&[("outcome", outcome)], count);
        }
    }
    text.single(
        "process_start_time_seconds",
        Kind::Gauge,
        "When the server started, in Unix seconds.",
        unix_seconds(api.started_at),
    );
    if let Some(not_after) = api.tls.as_ref().and_then(|tls| tls.not_after()) {
        text.single(
            "scanwatch_tls_certificate_not_after_seconds",
            Kind::Gauge,
            "When the current certificate expires, in Unix seconds.",
            unix_seconds(not_after),
        );
    }
}

fn jobs(text: &mut Text, api: &Api) {
    let counts = api.live.counts();
    let all = &counts.repositories;
    text.family("scanwatch_jobs", Kind::Gauge, "Known jobs, by state.");
    for state in JobState::ALL {
        text.sample(&[("state", state.as_str())], counts.jobs(state));
    }
    text.family("scanwatch_repositories", Kind::Gauge, "Repositories of known jobs, by state.");
    for (state, count) in [
        ("pending", all.pending),
        ("in_progress", all.in_progress),
        ("completed", all.completed),
        ("failed", all.failed),
    ] {
        text.sample(&[("state", state)], count);
    }
    text.family(
        "scanwatch_eta_error_ratio",
        Kind::Histogram,
        "Errors of the estimated time left at a percentage of a job, divided by the time it really took.",
    );
    for (at, errors) in api.live.estimate_errors() {
        text.histogram(&[("at", at)], errors);
    }
    let name = "scanwatch_reused_repositories";
    text.family(name, Kind::Gauge, "Completed repositories with the result of an earlier scan.");
    text.sample(&[], all.reused);
}

fn scans(text: &mut Text, api: &Api) {
    let (running, queued) = api.supervisor.load();
    let limits = api.supervisor.limits();
    text.single("scanwatch_running_scanners", Kind::Gauge, "Running scanners.", running);
    text.single(
        "scanwatch_max_running_scanners",
        Kind::Gauge,
        "The limit of concurrently running scanners.",
        limits.ceiling,
    );
    text.single(
        "scanwatch_scanner_slots",
        Kind::Gauge,
        "How many scanners may run at once now: fewer than the limit under pressure.",
        limits.slots,
    );
    text.family(
        "scanwatch_scanner_slots_limited",
        Kind::Gauge,
        "1 if fewer scanners may run than the limit allows for this reason.",
    );
    for reason in SlotReason::ALL {
        let is_this = limits.reason == Some(reason);
        text.sample(&[("reason", reason.as_str())], u8::from(is_this));
    }
    text.single(
        "scanwatch_throttled_hosts",
        Kind::Gauge,
        "Hosts that are contacted by fewer scans at once, because they refused some.",
        limits.throttled_hosts,
    );
    text.single("scanwatch_queued_repositories", Kind::Gauge, "Queued repositories.", queued);
    text.single(
        "scanwatch_oldest_queued_job_age_seconds",
        Kind::Gauge,
        "How long the oldest job has waited for its first scan; 0 if none waits.",
        api.supervisor.oldest_wait().as_secs_f64(),
    );
    text.family(
        "scanwatch_failures_total",
        Kind::Counter,
        "Repositories that failed for good, by cause; retried attempts are not counted.",
    );
    for (cause, count) in api.supervisor.scan_metrics().failures_by_cause() {
        text.sample(&[("cause", cause)], count);
    }
    text.family(
        "scanwatch_scan_duration_seconds",
        Kind::Histogram,
        "Run time of scanners, by outcome; interrupted scanners are restarted.",
    );
    for (outcome, durations) in api.supervisor.scan_metrics().by_outcome() {
        text.histogram(&[("outcome", outcome)], durations);
    }
    text.family(
        "scanwatch_retries_total",
        Kind::Counter,
        "Requested retries of repositories, by cause of the failure.",
    );
    for (cause, count) in api.supervisor.scan_metrics().retries_by_cause() {
        text.sample(&[("cause", cause)], count);
    }
}

fn schedules(text: &mut Text, api: &Api) {
    let published = api.schedules.published();
    text.single("scanwatch_schedules", Kind::Gauge, "Schedules.", published.schedules.len());
    text.family(
        "scanwatch_schedule_runs_total",
        Kind::Counter,
        "Runs of schedules, by what became of them.",
    );
    for (outcome, count) in api.schedules.outcomes() {
        text.sample(&[("outcome", outcome)], count);
    }
}

fn watcher(text: &mut Text, api: &Api) {
    let health = api.live.health();
    text.family(
        "scanwatch_watcher_lag_seconds",
        Kind::Histogram,
        "Delay from the change of a status file until it is in the cache.",
    );
    text.histogram(&[], api.live.lag());
    for (name, help, count) in [
        (
            "scanwatch_watcher_resyncs_total",
            "Resyncs of the cache with the jobs folder.",
            health.resyncs,
        ),
        (
            "scanwatch_watcher_overflows_total",
            "Overflows of the inotify queue, each followed by a resync.",
            health.overflows,
        ),
        ("scanwatch_watcher_panics_total", "Restarts of the watcher after a panic.", health.panics),
        (
            "scanwatch_status_file_failures_total",
            "Failed reads of status files, including half-written ones.",
            health.failed_reads,
        ),
    ] {
        text.single(name, Kind::Counter, help, count);
    }
    text.single(
        "scanwatch_unreadable_files",
        Kind::Gauge,
        "Invalid status files at the last resync.",
        health.unreadable_files,
    );
    text.single(
        "scanwatch_watcher_notified",
        Kind::Gauge,
        "1 if the watcher receives inotify events, 0 if it polls.",
        u8::from(health.notified),
    );
    text.single(
        "scanwatch_watcher_polled_jobs",
        Kind::Gauge,
        "Jobs that are polled because inotify watches ran out.",
        health.polled_jobs,
    );
}

fn request_metrics(text: &mut Text, api: &Api) {
    let (open, served, refused) = api.request_metrics.connections();
    text.single("scanwatch_open_streams", Kind::Gauge, "Open event streams.", api.open_streams());
    text.single("scanwatch_open_connections", Kind::Gauge, "Open connections.", open);
    text.family(
        "scanwatch_connections_total",
        Kind::Counter,
        "Connections, by whether they were served or refused at the limit.",
    );
    text.sample(&[("outcome", "served")], served);
    text.sample(&[("outcome", "refused")], refused);
    text.family(
        "scanwatch_http_requests_total",
        Kind::Counter,
        "Answered requests, by the template of their path.",
    );
    for Requests { route, method, status, count } in api.request_metrics.requests() {
        let status = status.map_or_else(|| OTHER.to_owned(), |status| status.to_string());
        text.sample(&[("route", route), ("method", method), ("status", &status)], count);
    }
    text.family(
        "scanwatch_http_request_duration_seconds",
        Kind::Histogram,
        "Time until the answer started, by the template of the path.",
    );
    for (route, durations) in api.request_metrics.durations() {
        text.histogram(&[("route", route)], durations);
    }
}

/// Absent without webhooks.
fn webhooks(text: &mut Text, api: &Api) {
    let all = api.webhooks.counts();
    if all.is_empty() {
        return;
    }
    text.family(
        "scanwatch_webhook_deliveries_total",
        Kind::Counter,
        "Attempts to deliver: accepted (delivered), to be repeated (retried), given up (failed); and deliveries \
         that were removed unsent (lost).",
    );
    for webhook in &all {
        for (outcome, count) in webhook.outcomes {
            text.sample(&[("webhook", &webhook.name), ("outcome", outcome)], count);
        }
    }
    text.family("scanwatch_webhook_pending", Kind::Gauge, "Deliveries that wait.");
    for webhook in &all {
        text.sample(&[("webhook", &webhook.name)], webhook.pending);
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of our time are exact in an f64")]
fn unix_seconds(at: Timestamp) -> f64 {
    at.timestamp_millis() as f64 / 1000.0
}
