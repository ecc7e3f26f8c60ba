//! `/metrics`: what the parts have counted, and how they are now, for Prometheus.
//!
//! What must stay true: gauges are read from the cache when they are asked for; labels have a
//! bounded number of values; every family has its unit in its name.

use super::{
    operation::{Answer, Operation},
    route::{Call, Route, Scope},
    state::Api,
    template::Template,
    traffic::{OTHER, Requests},
};
use crate::{
    measure::{Kind, Text},
    model::{JobState, time::Timestamp},
};
use warp::{
    Filter,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    reply::Response,
};

const METRICS: Template<0> = Template::new("/metrics", []);

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    let gives = Operation::new("getMetrics", "Counts and states, for Prometheus")
        .answers(StatusCode::OK, Answer::text(Text::MEDIA_TYPE, "The text format, version 0.0.4."));
    vec![Route::get(&METRICS, Scope::Read, gives, |call, _| {
        call.map(|call: Call<0>| {
            let mut response = Response::new(text(&call.api).into());
            let media_type = HeaderValue::from_static(Text::MEDIA_TYPE);
            response.headers_mut().insert(CONTENT_TYPE, media_type);
            response
        })
    })]
}

fn text(api: &Api) -> String {
    let mut text = Text::default();
    process(&mut text, api);
    jobs(&mut text, api);
    scans(&mut text, api);
    watcher(&mut text, api);
    traffic(&mut text, api);
    text.finish()
}

fn process(text: &mut Text, api: &Api) {
    text.family("scanwatch_build_info", Kind::Gauge, "The program, by its version; always 1.");
    text.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.family(
        "scanwatch_confinement_info",
        Kind::Gauge,
        "How strays of scanners are caught; always 1.",
    );
    text.sample(&[("by", api.isolation.confinement().as_str())], 1);
    if let Some(test) = api.isolation.self_test() {
        text.single(
            "scanwatch_sandbox_landlock_abi",
            Kind::Gauge,
            "The version of Landlock that scanners are shut in by; 0 without it.",
            test.landlock_abi,
        );
        text.single(
            "scanwatch_sandbox_seccomp",
            Kind::Gauge,
            "Whether the system calls of scanners are filtered: 1 or 0.",
            u8::from(test.seccomp),
        );
        text.family(
            "scanwatch_sandbox_attempts",
            Kind::Gauge,
            "What the self-test of the sandbox tried to do, by outcome.",
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
            "When the certificate that is shown ends, in Unix seconds.",
            unix_seconds(not_after),
        );
    }
}

fn jobs(text: &mut Text, api: &Api) {
    let counts = api.live.counts();
    let all = &counts.repositories;
    text.family("scanwatch_jobs", Kind::Gauge, "Jobs that are known, by state.");
    for state in JobState::ALL {
        text.sample(&[("state", state.as_str())], counts.jobs(state));
    }
    text.family("scanwatch_repositories", Kind::Gauge, "Repositories of these jobs, by state.");
    for (state, count) in [
        ("pending", all.pending),
        ("in_progress", all.in_progress),
        ("completed", all.completed),
        ("failed", all.failed),
    ] {
        text.sample(&[("state", state)], count);
    }
}

fn scans(text: &mut Text, api: &Api) {
    let (running, queued) = api.supervisor.load();
    text.single("scanwatch_running_scanners", Kind::Gauge, "Scanners that run.", running);
    text.single(
        "scanwatch_max_running_scanners",
        Kind::Gauge,
        "How many scanners may run at once.",
        api.config.scanner.max_concurrent_processes,
    );
    text.single(
        "scanwatch_queued_repositories",
        Kind::Gauge,
        "Repositories that wait for a scanner.",
        queued,
    );
    text.family(
        "scanwatch_scan_duration_seconds",
        Kind::Histogram,
        "How long scanners ran, by how they ended; interrupted ones begin again.",
    );
    for (outcome, durations) in api.supervisor.scan_metrics().by_outcome() {
        text.histogram(&[("outcome", outcome)], durations);
    }
    text.family(
        "scanwatch_retries_total",
        Kind::Counter,
        "Repositories that are tried again because that was asked for, by why they failed.",
    );
    for (cause, count) in api.supervisor.scan_metrics().retries_by_cause() {
        text.sample(&[("cause", cause)], count);
    }
}

fn watcher(text: &mut Text, api: &Api) {
    let health = api.live.health();
    text.family(
        "scanwatch_watcher_lag_seconds",
        Kind::Histogram,
        "From the change of a status file to its place in the cache.",
    );
    text.histogram(&[], api.live.lag());
    for (name, help, count) in [
        (
            "scanwatch_watcher_resyncs_total",
            "Comparisons of everything known with the disk.",
            health.resyncs,
        ),
        (
            "scanwatch_watcher_overflows_total",
            "Times at which the kernel lost events, so that everything was looked at again.",
            health.overflows,
        ),
        (
            "scanwatch_watcher_panics_total",
            "Fresh starts of the watcher after a fault of its own.",
            health.panics,
        ),
        (
            "scanwatch_status_file_failures_total",
            "Reads of a status file that could not be understood, half-written ones included.",
            health.failed_reads,
        ),
    ] {
        text.single(name, Kind::Counter, help, count);
    }
    text.single(
        "scanwatch_unreadable_files",
        Kind::Gauge,
        "Status files that could not be understood when all were last compared.",
        health.unreadable_files,
    );
    text.single(
        "scanwatch_watcher_notified",
        Kind::Gauge,
        "1 where the kernel tells of changes, 0 where files are looked at.",
        u8::from(health.notified),
    );
    text.single(
        "scanwatch_watcher_polled_jobs",
        Kind::Gauge,
        "Jobs that are looked at for want of watches.",
        health.polled_jobs,
    );
}

fn traffic(text: &mut Text, api: &Api) {
    let (open, served, refused) = api.traffic.connections();
    text.single("scanwatch_open_streams", Kind::Gauge, "Open event streams.", api.open_streams());
    text.single("scanwatch_open_connections", Kind::Gauge, "Open connections.", open);
    text.family(
        "scanwatch_connections_total",
        Kind::Counter,
        "Connections, by whether there was a place for them.",
    );
    text.sample(&[("outcome", "served")], served);
    text.sample(&[("outcome", "refused")], refused);
    text.family(
        "scanwatch_http_requests_total",
        Kind::Counter,
        "Answered requests, by the template of their path.",
    );
    for Requests { route, method, status, count } in api.traffic.requests() {
        let status = status.map_or_else(|| OTHER.to_owned(), |status| status.to_string());
        text.sample(&[("route", route), ("method", method), ("status", &status)], count);
    }
    text.family(
        "scanwatch_http_request_duration_seconds",
        Kind::Histogram,
        "Until the answer began, by the template of the path.",
    );
    for (route, durations) in api.traffic.durations() {
        text.histogram(&[("route", route)], durations);
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of our time are exact in an f64")]
fn unix_seconds(at: Timestamp) -> f64 {
    at.timestamp_millis() as f64 / 1000.0
}
