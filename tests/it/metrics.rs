//! What Prometheus reads: well-formed, correct, and changing as the server works.

use crate::support::{
    files,
    python::run_script,
    raw,
    server::{Setup, TestServer},
    wait::{PATIENCE, eventually},
};
use reqwest::Method;
use serde_json::Value;

const SCANNER: &str = r#"
case "$SCANWATCH_REPO_NAME" in
bad) exit 3 ;;
slow) say scanning; exec sleep 600 ;;
esac
say completed
"#;

/// Reads the text as Prometheus' own library does, and more strictly: it fails on whatever violates
/// the format or the naming rules. Prints each sample with its value.
const READER: &str = r##"
import json, sys
from prometheus_client.parser import text_string_to_metric_families
text = open(sys.argv[1], encoding="utf-8").read()
assert text.endswith("\n") and "\r" not in text
samples, names = {}, []
for family in text_string_to_metric_families(text):
    assert family.name not in names, f"{family.name} is in two places"
    names.append(family.name)
    assert family.documentation and family.type in ("counter", "gauge", "histogram"), family
    for sample in family.samples:
        labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels.items()))
        key = sample.name + (f"{{{labels}}}" if labels else "")
        assert key not in samples, f"{key} is there twice"
        samples[key] = sample.value
    if family.type == "counter":
        assert all(sample.name.endswith("_total") for sample in family.samples), family.name
    elif family.type == "gauge":
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket")), family.name
    else:
        assert family.name.endswith(("_seconds", "_ratio")), family.name
        series = {}
        for sample in family.samples:
            labels = {key: value for key, value in sample.labels.items() if key != "le"}
            one = series.setdefault(json.dumps(labels, sort_keys=True), {"buckets": []})
            if sample.name.endswith("_bucket"):
                one["buckets"].append((float(sample.labels["le"]), sample.value))
            else:
                one[sample.name.rsplit("_", 1)[1]] = sample.value
        for labels, one in series.items():
            assert one["buckets"] == sorted(one["buckets"]), (family.name, labels)
            counts = [count for _, count in one["buckets"]]
            assert counts == sorted(counts), (family.name, labels)
            assert one["buckets"][-1] == (float("inf"), one["count"]), (family.name, labels)
            assert (one["sum"] > 0) <= (one["count"] > 0), (family.name, labels)
described = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
helped = [line.split()[2] for line in text.splitlines() if line.startswith("# HELP")]
assert described == helped and len(set(described)) == len(described)
print(json.dumps(samples))
"##;

/// All samples, by name and labels.
async fn scrape(server: &TestServer) -> Value {
    let answer = server.get("/metrics").await.expect(200);
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let path = server.file("metrics.txt");
    files::write(&path, &answer.text);
    serde_json::from_str(&run_script(READER, &[&path])).unwrap()
}

#[track_caller]
fn check(samples: &Value, expected: &[(&str, f64)]) {
    for (name, value) in expected {
        assert_eq!(samples[*name].as_f64(), Some(*value), "{name} in {samples:#}");
    }
}

/// Breaks if Prometheus cannot read the text, or a value does not match what happened.
#[tokio::test]
async fn values_move_as_jobs_run() {
    let setup = Setup::new().user("operator", "s3cret").shell(SCANNER);
    let server = setup.set("watch.resync_interval_secs", 1).start().await;
    let before = scrape(&server).await;
    check(
        &before,
        &[
            (concat!("scanwatch_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
            (r#"scanwatch_jobs{state="completed"}"#, 0.0),
            (r#"scanwatch_scan_duration_seconds_count{outcome="completed"}"#, 0.0),
            ("scanwatch_running_scanners", 0.0),
            ("scanwatch_max_running_scanners", 5.0),
            ("scanwatch_oldest_queued_job_age_seconds", 0.0),
            (r#"scanwatch_failures_total{cause="exit"}"#, 0.0),
            (r#"scanwatch_degraded{reason="disk"}"#, 0.0),
        ],
    );
    let started = before["process_start_time_seconds"].as_f64().unwrap();
    #[expect(clippy::cast_precision_loss, reason = "of our time")]
    let now = chrono::Utc::now().timestamp() as f64;
    assert!((now - 120.0..=now + 1.0).contains(&started), "{started}");

    let (good, bad) = (server.submit("good").await, server.submit("bad").await);
    server.finished(&good).await;
    server.finished(&bad).await;
    let slow = server.submit("slow").await;
    server.working(&slow).await;
    files::write(&server.job_folder(&good).join("repo_0.json"), "{ half");
    eventually("the broken file is counted", async || {
        let samples = scrape(&server).await;
        samples["scanwatch_unreadable_files"] == 1.0
            && samples["scanwatch_status_file_failures_total"].as_f64() > Some(0.0)
    })
    .await;
    server.get("/scan/unknown").await.expect(404);
    server.get("/no/such/path").await.expect(404);
    server.send(server.request(Method::PUT, "/jobs")).await.expect(405);
    server.send(server.without_credentials(Method::GET, "/jobs?page=1")).await.expect(401);
    let odd = b"BREW /jobs HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    raw::exchange(server.address(), odd, PATIENCE).await.unwrap();
    let stream = server.request(Method::GET, &format!("/scan/{slow}/events")).send().await.unwrap();

    let now = scrape(&server).await;
    check(
        &now,
        &[
            (r#"scanwatch_jobs{state="completed"}"#, 1.0),
            (r#"scanwatch_jobs{state="failed"}"#, 1.0),
            (r#"scanwatch_jobs{state="in_progress"}"#, 1.0),
            (r#"scanwatch_repositories{state="in_progress"}"#, 1.0),
            (r#"scanwatch_repositories{state="failed"}"#, 1.0),
            (r#"scanwatch_scan_duration_seconds_count{outcome="completed"}"#, 1.0),
            (r#"scanwatch_scan_duration_seconds_count{outcome="failed"}"#, 1.0),
            (r#"scanwatch_scan_duration_seconds_count{outcome="cancelled"}"#, 0.0),
            (r#"scanwatch_failures_total{cause="exit"}"#, 1.0),
            (r#"scanwatch_failures_total{cause="clone"}"#, 0.0),
            ("scanwatch_running_scanners", 1.0),
            ("scanwatch_open_streams", 1.0),
            (r#"scanwatch_http_requests_total{method="POST",route="/scan",status="200"}"#, 3.0),
            (r#"scanwatch_http_requests_total{method="GET",route="unmatched",status="404"}"#, 1.0),
            (r#"scanwatch_http_requests_total{method="PUT",route="/jobs",status="405"}"#, 1.0),
            (r#"scanwatch_http_requests_total{method="GET",route="/jobs",status="401"}"#, 1.0),
            (r#"scanwatch_http_requests_total{method="other",route="/jobs",status="405"}"#, 1.0),
            (r#"scanwatch_http_request_duration_seconds_count{route="/jobs"}"#, 3.0),
        ],
    );
    let at_least = |name: &str, least: f64| {
        assert!(now[name].as_f64().unwrap() >= least, "{name} in {now:#}");
    };
    at_least("scanwatch_watcher_lag_seconds_count", 6.0);
    at_least("scanwatch_watcher_resyncs_total", 2.0);
    at_least("scanwatch_open_connections", 2.0);
    at_least("scanwatch_jobs_disk_free_bytes", 1.0);
    at_least("process_resident_memory_bytes", 1e6);
    at_least("process_open_fds", 10.0);
    at_least("process_max_fds", 100.0);
    at_least(r#"scanwatch_connections_total{outcome="served"}"#, 10.0);
    for name in now.as_object().unwrap().keys() {
        assert!(!name.contains(&good) && !name.contains("/no/such"), "{name} is unbounded");
    }

    drop(stream);
    server.post_nothing(&format!("/scan/{slow}/cancel")).await.expect(200);
    server.finished(&slow).await;
    eventually("stream and scanner are gone", async || {
        let samples = scrape(&server).await;
        samples["scanwatch_open_streams"] == 0.0
            && samples["scanwatch_running_scanners"] == 0.0
            && samples[r#"scanwatch_scan_duration_seconds_count{outcome="cancelled"}"#] == 1.0
    })
    .await;
}

/// Breaks if strangers can read the server's metrics.
#[tokio::test]
async fn metrics_need_credentials() {
    let server = Setup::new().user("operator", "s3cret").start().await;
    server.send(server.without_credentials(Method::GET, "/metrics")).await.expect(401);
}

/// Breaks if no alert can be set on a queue that does not move, or on the reason why the service is
/// degraded.
#[tokio::test]
async fn a_queue_that_waits_and_its_reason_are_measured() {
    let server =
        Setup::new().set("scanner.max_concurrent_processes", 1).shell(SCANNER).start().await;
    let slow = server.submit("slow").await;
    server.working(&slow).await;
    let waits = server.submit("good").await;
    let age = async |server: &TestServer| {
        scrape(server).await["scanwatch_oldest_queued_job_age_seconds"].as_f64().unwrap()
    };
    let first = age(&server).await;
    assert!(first > 0.0, "{first}");
    assert!(age(&server).await > first, "it does not grow");
    server.post_nothing(&format!("/scan/{slow}/cancel")).await.expect(200);
    server.finished(&waits).await;
    check(&scrape(&server).await, &[("scanwatch_oldest_queued_job_age_seconds", 0.0)]);

    let full = Setup::new().set("jobs.min_free_bytes", 9_000_000_000_000_000_u64).start().await;
    let samples = scrape(&full).await;
    let space = (r#"scanwatch_degraded{reason="space"}"#, 1.0);
    check(&samples, &[space, (r#"scanwatch_degraded{reason="settings"}"#, 0.0)]);
    let log = server.setup().log();
    for part in [r#"name="slow""#, r#"name="good""#, "status=completed", "completed=1 failed=0"] {
        assert!(log.contains(part), "{part} is not in the log: {log}");
    }
}
