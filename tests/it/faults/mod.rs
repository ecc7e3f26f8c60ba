//! Faults of the machine: each is really caused, and then the test checks that nothing was lost.
//!
//! The table of docs/reliability.md says which fault is caused where, and how.

mod away;
mod bursts;
mod clock;
mod disk;
mod disk_space;
mod exhausted;
mod flushes;
mod kinds;
mod many;
mod numbers;
mod odd;
mod paused;
mod stop;
mod unwatched;
mod upgrade;

use crate::support::{
    files, namespace, processes,
    server::{Answer, Setup, TestServer},
    wait::eventually,
};
use serde_json::{Value, json};
use std::time::Duration;

/// A scan that takes until it is released, and records that it runs.
const WAITING: &str = r#"
echo "$SCANWATCH_REPO_NAME $attempt" >> "$dir/runs"
say scanning
while [ ! -e "$dir/go" ]; do sleep 0.05; done
until say completed; do sleep 0.1; done
"#;

/// Which scans have run, each with its attempt.
fn runs(server: &TestServer) -> Vec<String> {
    files::text(&server.file("runs")).lines().map(str::to_owned).collect()
}

async fn runs_now(server: &TestServer, scan: &str) {
    eventually(&format!("{scan} runs"), async || runs(server).iter().any(|run| run == scan)).await;
}

/// Releases the waiting scans.
fn go(server: &TestServer) {
    files::write(&server.file("go"), "");
}

/// What `/health` reports.
async fn health(server: &TestServer) -> Value {
    server.get("/health").await.expect(200).json()
}

/// Waits until `/health` reports a problem with this text.
async fn reports_problem(server: &TestServer, words: &str) {
    eventually(&format!("/health says: {words}"), async || {
        let health = health(server).await;
        health["status"] == "degraded" && health["problems"].to_string().contains(words)
    })
    .await;
}

/// Waits until `/health` reports no problem.
async fn is_healthy(server: &TestServer) {
    eventually("/health says that all is well", async || {
        health(server).await["status"] == "healthy"
    })
    .await;
}

/// Submits a job that cannot be accepted; returns the reason from the answer.
async fn refusal(server: &TestServer) -> String {
    let answer = submission(server, "refused").await.expect(503);
    assert_eq!(answer.header("retry-after"), Some("30"));
    let place = server.folder().display().to_string();
    assert!(!answer.text.contains(&place), "where lies what is nobody's business: {}", answer.text);
    answer.json()["detail"].as_str().unwrap().to_owned()
}

async fn submission(server: &TestServer, name: &str) -> Answer {
    let url = format!("https://github.com/acme/{name}.git");
    server.post("/scan", &json!({ "git_url": url })).await
}

/// Checks for a while that the server does not spin: it sleeps at least four fifths of the time.
async fn does_not_spin(server: &TestServer) {
    let (begin, watched) = (processes::cpu_time(server.pid()), Duration::from_secs(1));
    tokio::time::sleep(watched).await;
    let used = processes::cpu_time(server.pid()).saturating_sub(begin);
    assert!(used < watched / 5, "{used:?} of {watched:?} were used");
}

/// How many folders the server watches: the jobs folder, and those of unfinished jobs.
fn watches(server: &TestServer) -> usize {
    let entries = std::fs::read_dir(format!("/proc/{}/fdinfo", server.pid())).unwrap().flatten();
    let texts: String = entries.map(|entry| files::text(&entry.path())).collect();
    texts.lines().filter(|line| line.starts_with("inotify ")).count()
}

/// What has been left in `.staging`.
fn left_in_staging(server: &TestServer) -> Vec<String> {
    let entries = std::fs::read_dir(server.setup().jobs().join(".staging")).unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Has the server run as an otherwise unused, unprivileged user; `None`, with the reason printed,
/// where this user may not do that.
fn as_another_user(setup: Setup) -> Option<Setup> {
    let user = (60_000 + std::process::id() % 5_000).to_string();
    let switch = ["--reuid", &user, "--regid", &user, "--clear-groups"];
    let binary = env!("CARGO_BIN_EXE_scanwatch");
    if !namespace::can("setpriv", &[&switch[..], &[binary, "--version"]].concat()) {
        return None;
    }
    let folder = setup.folder().display().to_string();
    namespace::run("chown", &["-R", &format!("{user}:{user}"), &folder]);
    Some(setup.launched_by(&[&["setpriv"][..], &switch].concat()))
}
