//! Shims that are alive but stopped: the server enforces the limits of their scans itself.

use crate::support::{
    files, processes,
    server::{Setup, TestServer},
    wait::{PATIENCE, eventually, until},
};
use rustix::process::Signal;
use serde_json::Value;
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// A scanner that stops its shim, unless its repository is called `next`; it records each run.
const STOPPING: &str = r#"
echo "$SCANWATCH_REPO_NAME $attempt $PPID" >> "$dir/runs"
say scanning
[ "$SCANWATCH_REPO_NAME" = next ] && { say completed; exit; }
kill -STOP "$PPID"
echo > "$dir/stopped.part"; mv "$dir/stopped.part" "$dir/stopped"
exec sleep 999
"#;

fn setup(timeout_secs: u64) -> Setup {
    Setup::new()
        .shell(STOPPING)
        .set("scanner.max_concurrent_processes", 1)
        .set("scanner.kill_grace_secs", 1)
        .set("scanner.subprocess_timeout_secs", timeout_secs)
}

fn runs(server: &TestServer) -> Vec<String> {
    files::text(&server.file("runs")).lines().map(str::to_owned).collect()
}

async fn problems(server: &TestServer) -> String {
    server.get("/health").await.expect(200).json()["problems"].to_string()
}

async fn is_named(server: &TestServer, job: &str) {
    eventually("/health names the scan that stands still", async || {
        let problems = problems(server).await;
        problems.contains("scans are suspended") && problems.contains(&format!("{job}/0"))
    })
    .await;
}

/// The attempt ended once, with this name, and nothing of it is left.
async fn check(server: &TestServer, job: &str, (status, kind): (&str, &str)) -> Value {
    let document = server.finished(job).await;
    let file = server.status_file(job, 0);
    assert_eq!(
        (&file["status"], &file["failure"]["kind"]),
        (&status.into(), &kind.into()),
        "{file:#}"
    );
    let detail = file["failure"]["detail"].as_str().unwrap();
    assert!(detail.contains("its shim did not react"), "{detail}");
    assert_eq!(file["attempt"], 1, "{file:#}");
    eventually("/health is well again", async || {
        !problems(server).await.contains("scans are suspended")
    })
    .await;
    document
}

/// Breaks if a scanner that stops its shim has neither a deadline nor a final state, if its slot is
/// lost, or if that is not reported.
#[tokio::test]
async fn a_scanner_that_stops_its_shim_still_has_its_deadline() {
    let server = setup(6).start().await;
    let job = server.submit("still").await;
    let next = server.submit("next").await;
    is_named(&server, &job).await;
    check(&server, &job, ("timeout", "timeout")).await;
    assert_eq!(server.finished(&next).await["status"], "completed");
    let ran = runs(&server);
    assert_eq!(ran.len(), 2, "no attempt that nobody asked for: {ran:?}");
    server.no_process_left(Duration::from_secs(10)).await;
}

/// Breaks if a scan whose shim is stopped cannot be cancelled, or its job cannot be removed.
#[tokio::test]
async fn a_scan_with_a_stopped_shim_can_be_cancelled_and_removed() {
    let server = setup(600).start().await;
    let job = server.submit("cancelled").await;
    server.note("stopped").await;
    server.post_nothing(&format!("/scan/{job}/cancel")).await.expect(200);
    check(&server, &job, ("cancelled", "cancelled")).await;

    std::fs::remove_file(server.file("stopped")).unwrap();
    let removed = server.submit("removed").await;
    server.note("stopped").await;
    server.delete(&format!("/scan/{removed}")).await.expect(204);
    server.no_process_left(Duration::from_secs(10)).await;
    let next = server.submit("next").await;
    assert_eq!(server.finished(&next).await["status"], "completed");
}

/// Breaks if the next server adopts a stopped shim and waits for it for ever.
#[tokio::test]
async fn a_stopped_shim_is_adopted_with_its_limits() {
    let mut server = setup(600).start().await;
    let job = server.submit("adopted").await;
    server.note("stopped").await;
    server.kill9().await;
    server.restart().await;
    is_named(&server, &job).await;
    server.post_nothing(&format!("/scan/{job}/cancel")).await.expect(200);
    check(&server, &job, ("cancelled", "cancelled")).await;
    server.no_process_left(Duration::from_secs(10)).await;

    // Its time counts from its start, not from its adoption.
    std::fs::remove_file(server.file("stopped")).unwrap();
    let late = server.submit("late").await;
    server.note("stopped").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    server.kill9().await;
    server.set_variable("SCANWATCH_SCANNER__SUBPROCESS_TIMEOUT_SECS", 3);
    let began = Instant::now();
    server.restart().await;
    check(&server, &late, ("timeout", "timeout")).await;
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    assert_eq!(runs(&server).len(), 2);
}

/// Breaks if a stop leaves a stopped shim behind, or counts it as a death.
#[tokio::test]
async fn a_stop_kills_a_stopped_shim_and_counts_no_death() {
    let mut server = setup(600).start().await;
    let job = server.submit("stopped").await;
    server.note("stopped").await;
    assert_eq!(server.terminate().await, Some(0));
    let left: Vec<_> = server.processes().into_iter().map(processes::describe).collect();
    assert!(left.is_empty(), "left behind: {left:#?}");
    let file = server.status_file(&job, 0);
    assert_eq!(
        (&file["status"], &file["failure"]["kind"]),
        (&"interrupted".into(), &"interrupted".into())
    );
    let record = files::json(&server.job_folder(&job).join("locks/repo_0.attempt.json")).unwrap();
    assert_eq!(record["interruptions"], 0, "{record:#}");
}

/// The shims that a server has started.
fn shims(server: &TestServer) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap().flatten();
    let children = |task: &Path| files::text(&task.join("children"));
    let text: String = tasks.map(|entry| children(&entry.path())).collect();
    let numbers = text.split_ascii_whitespace().filter_map(|number| number.parse().ok());
    numbers
        .filter(|pid| files::text(Path::new(&format!("/proc/{pid}/cmdline"))).contains("\0shim\0"))
        .collect()
}

/// Breaks if a shim that was stopped before it took its attempt, or before it read its order, keeps
/// its slot for ever.
#[tokio::test]
async fn a_shim_stopped_before_it_started_is_killed_too() {
    let server = setup(4).start().await;
    let job = until(PATIENCE, "a shim is stopped before it began", async || {
        let job = server.submit("next").await;
        let begun = Instant::now();
        let shim = loop {
            if let Some(shim) = shims(&server).pop() {
                break shim;
            }
            if begun.elapsed() > Duration::from_secs(2) {
                return None;
            }
        };
        server.signal(shim, Signal::STOP);
        let record = server.job_folder(&job).join("locks/repo_0.attempt.json");
        tokio::time::sleep(Duration::from_millis(100)).await;
        if record.exists() || shims(&server).is_empty() {
            server.signal(shim, Signal::CONT);
            server.finished(&job).await;
            return None;
        }
        Some(job)
    })
    .await;
    let ran = runs(&server).len();
    is_named(&server, &job).await;
    check(&server, &job, ("timeout", "timeout")).await;
    assert_eq!(runs(&server).len(), ran, "it never began");
    let next = server.submit("next").await;
    assert_eq!(server.finished(&next).await["status"], "completed");
    server.no_process_left(Duration::from_secs(10)).await;
}
