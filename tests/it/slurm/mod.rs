//! Scans in a Slurm cluster: a real server and a real cluster on this machine, whatever dies or hangs between them.

mod faults;
mod moves;
mod scans;
mod starts;

use crate::support::{
    files,
    server::{Setup, TestServer},
    slurm::Cluster,
    wait::{PATIENCE, eventually, until},
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// A scanner that leaves a line, and waits until the test lets it go on.
const HELD: &str = r#"
echo "$SCANWATCH_REPO_NAME $attempt" >> "$dir/runs"
say scanning
while [ ! -e "$dir/go" ]; do sleep 0.05; done
echo "$SCANWATCH_REPO_NAME $attempt" >> "$dir/ends"
say completed
"#;

/// A server whose scans run in a cluster.
fn of_cluster(cluster: &Cluster, setup: Setup) -> Setup {
    with_slurm(cluster, setup).set("engine.kind", json!("slurm"))
}

/// A server that can reach a cluster.
fn with_slurm(cluster: &Cluster, setup: Setup) -> Setup {
    setup
        .variable("SLURM_CONF", cluster.conf().display())
        .set("slurm.poll_interval_secs", 1)
        .set("slurm.lost_after_secs", 2)
        .set("watch.poll_interval_ms", 200)
}

/// The status of a repository of a job.
async fn status_of(server: &TestServer, job: &str, index: u32) -> Value {
    let answer = server.get(&format!("/scan/{job}/repositories/{index}")).await;
    if answer.status == 200 { answer.json() } else { Value::Null }
}

/// Waits until an attempt of the only repository of a job is being scanned.
async fn is_scanned(server: &TestServer, job: &str, attempt: u64) {
    eventually(&format!("attempt {attempt} of {job} is scanned"), async || {
        let (status, record) = (status_of(server, job, 0).await, record(server, job));
        // The server writes the record of an attempt before a node has begun it.
        let has_begun = record.get("remote").is_none_or(|remote| remote["agent"].is_string());
        status["status"] == "scanning" && record["attempt"] == attempt && has_begun
    })
    .await;
}

/// Waits until the only repository of a job is in a final state; returns its status.
async fn is_final(server: &TestServer, job: &str) -> Value {
    until(PATIENCE, &format!("{job} is finished"), async || {
        let status = status_of(server, job, 0).await;
        let word = status["status"].as_str().unwrap_or_default();
        ["completed", "failed", "timeout", "cancelled"].contains(&word).then_some(status)
    })
    .await
}

/// The record of the last attempt of the only repository of a job.
fn record(server: &TestServer, job: &str) -> Value {
    files::json(&server.job_folder(job).join("locks/repo_0.attempt.json")).unwrap_or_default()
}

/// The lines that scanners have left.
fn lines(server: &TestServer, name: &str) -> Vec<String> {
    files::text(&server.file(name)).lines().map(str::to_owned).collect()
}

/// The files through which server and nodes agree.
fn shared(server: &TestServer) -> Vec<PathBuf> {
    files::below(&server.setup().jobs().join(".slurm"))
}

/// Waits until /health has this reason, or has none.
async fn is_degraded(server: &TestServer, reason: Option<&str>) {
    eventually(&format!("the server is degraded because of {reason:?}"), async || {
        let health = server.get("/health").await.expect(200).json();
        let causes = health["causes"].as_array().unwrap().clone();
        match reason {
            Some(reason) => causes.iter().any(|cause| cause["reason"] == reason),
            None => causes.is_empty(),
        }
    })
    .await;
}
