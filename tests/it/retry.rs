//! What failed of a job can be scanned again, and only that: whatever happens in the meantime.

use crate::support::{
    files,
    rounds::rounds,
    server::{Setup, TestServer, is_final},
    sse::EventStream,
    wait::{PATIENCE, within},
};
use serde_json::{Value, json};

/// Part 1 fails until it is fixed, and each run leaves a line; with a `hold`, it waits for `go`.
const MENDABLE: &str = r#"
echo "$SCANWATCH_REPO_INDEX" >> "$dir/runs"
say scanning
while [ -e "$dir/hold" ] && [ ! -e "$dir/go" ]; do sleep 0.05; done
[ "$SCANWATCH_REPO_INDEX" != 1 ] || [ -e "$dir/mended" ] || exit 7
say completed
"#;

async fn with_a_failed_part() -> (TestServer, String) {
    let setup = Setup::new().shell(MENDABLE);
    let job = setup.write_group(3);
    let server = setup.start().await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed_with_errors", "{document:#}");
    (server, job)
}

fn runs(server: &TestServer) -> Vec<String> {
    let mut runs: Vec<_> = files::text(&server.file("runs")).lines().map(str::to_owned).collect();
    runs.sort();
    runs
}

async fn retry(server: &TestServer, job: &str, status: u16) -> Value {
    server.post_nothing(&format!("/scan/{job}/retry")).await.expect(status).json()
}

/// Breaks if a success is scanned again, or a failure is not.
#[tokio::test]
async fn only_failures_are_scanned_again() {
    let (server, job) = with_a_failed_part().await;
    assert_eq!(server.progress(&job).await["failed_repositories"][0]["repo_name"], "part-1");
    files::write(&server.file("mended"), "");
    let answer = retry(&server, &job, 200).await;
    assert_eq!(answer["job_id"], *job);
    assert!(!crate::support::server::is_final(&answer), "{answer:#}");
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(document["failed_repositories"], json!([]));
    assert_eq!(document["summary"]["completed"], 3, "{document:#}");
    assert_eq!(runs(&server), ["0", "1", "1", "2"]);
    let status = server.status_file(&job, 1);
    assert_eq!((&status["attempt"], &status["failure"]), (&json!(2), &Value::Null), "{status:#}");
    assert_eq!(status["errors"].as_array().map(Vec::len).unwrap_or_default(), 0, "{status:#}");
    let master = files::json(&server.job_folder(&job).join("master.json")).unwrap();
    assert_eq!(master["failed_repositories"], json!([]), "{master:#}");
    assert!(master["completed_at"].is_string(), "{master:#}");
}

/// Breaks if a retry is refused as too early although the client has seen the final state.
#[tokio::test]
async fn a_finished_job_can_be_retried_as_soon_as_it_is_seen() {
    let (server, job) = with_a_failed_part().await;
    for round in 0..rounds(40_u32) {
        retry(&server, &job, 200).await;
        let summary = format!("/scan/{job}?view=summary");
        within(PATIENCE, "it is finished again", async || {
            loop {
                // Without a pause, so that the final state is seen as soon as it is published.
                let document = server.get(&summary).await.expect(200).json();
                if is_final(&document) {
                    assert_eq!(
                        document["status"], "completed_with_errors",
                        "{round}: {document:#}"
                    );
                    return true;
                }
            }
        })
        .await;
    }
}

/// Breaks if a job can be retried twice at once, or if a retry with nothing to do looks like one
/// that was done.
#[tokio::test]
async fn a_job_that_runs_or_has_no_failure_is_not_scanned_again() {
    let (server, job) = with_a_failed_part().await;
    files::write(&server.file("hold"), "");
    retry(&server, &job, 200).await;
    let detail = retry(&server, &job, 409).await["detail"].clone();
    assert_eq!(detail, "The job is not finished yet");
    files::write(&server.file("mended"), "");
    files::write(&server.file("go"), "");
    server.finished(&job).await;
    let detail = retry(&server, &job, 409).await["detail"].clone();
    assert!(detail.as_str().unwrap().contains("no failed repository"), "{detail}");
    let unknown = format!("/scan/{}/retry", uuid::Uuid::now_v7());
    server.post_nothing(&unknown).await.expect(404);
}

/// Breaks if a retry is forgotten by a server that dies after it accepted it.
#[tokio::test]
async fn a_retry_outlives_the_server() {
    let (mut server, job) = with_a_failed_part().await;
    files::write(&server.file("hold"), "");
    files::write(&server.file("mended"), "");
    retry(&server, &job, 200).await;
    server.kill9().await;
    files::write(&server.file("go"), "");
    server.restart().await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(runs(&server), ["0", "1", "1", "2"]);
}

/// Breaks if a requested retry is counted as a death of the attempt before.
#[tokio::test]
async fn a_retry_that_did_not_start_waits_for_the_next_server() {
    let setup = Setup::new().shell(MENDABLE).set("scanner.max_concurrent_processes", 1);
    let (job, blocker) = (setup.write_group(2), setup.write_group(1));
    let mut server = setup.start().await;
    server.finished(&job).await;
    server.finished(&blocker).await;
    files::write(&server.file("hold"), "");
    let other = server.submit("takes-the-slot").await;
    server.working(&other).await;
    files::write(&server.file("mended"), "");
    retry(&server, &job, 200).await;
    let waiting = server.status_file(&job, 1);
    assert_eq!((&waiting["status"], &waiting["attempt"]), (&json!("pending"), &json!(2)));
    server.kill9().await;
    files::write(&server.file("go"), "");
    server.restart().await;
    assert_eq!(server.finished(&job).await["status"], "completed");
    let record = server.job_folder(&job).join("locks").join("repo_1.attempt.json");
    let record = files::json(&record).unwrap();
    assert_eq!((&record["attempt"], &record["interruptions"]), (&json!(2), &json!(0)));
}

/// Breaks if a cancelled job cannot be retried, or if a cancel of the retry is lost.
#[tokio::test]
async fn a_cancelled_job_can_be_retried_and_cancelled_again() {
    let setup = Setup::new().shell(MENDABLE);
    let job = setup.write_group(3);
    files::write(&setup.folder().join("hold"), "");
    let server = setup.start().await;
    server.working(&job).await;
    for _ in 0..2 {
        server.post_nothing(&format!("/scan/{job}/cancel")).await.expect(200);
        assert_eq!(server.finished(&job).await["status"], "cancelled");
        server.no_process_left(PATIENCE).await;
        // The files of a cancelled job contain its end a moment before the server has finished with
        // it.
        server.retried(&job).await;
    }
    files::write(&server.file("mended"), "");
    files::write(&server.file("go"), "");
    assert_eq!(server.finished(&job).await["status"], "completed");
}

/// Breaks if a command whose shim died before it took it ends the next attempt, which nobody meant:
/// a cancel that came too early would cancel the retry.
#[tokio::test]
async fn a_command_nobody_took_does_not_affect_the_next_attempt() {
    let setup = Setup::new().shell("say scanning; say completed\n");
    let job = setup.write_group(1);
    let order = setup.jobs().join(&job).join("locks").join("repo_0.order.json");
    files::write(&order, json!({ "attempt": 1, "reason": "cancel" }).to_string());
    let server = setup.start().await;
    assert_eq!(server.finished(&job).await["status"], "completed");
    assert!(!order.exists());
}

/// Breaks if a follower of a retry is sent the end of the previous run.
#[tokio::test]
async fn a_stream_opened_after_a_retry_reports_the_new_end() {
    let (server, job) = with_a_failed_part().await;
    files::write(&server.file("hold"), "");
    files::write(&server.file("mended"), "");
    let path = format!("/scan/{job}/events");
    let before = EventStream::open(&server, &path).await.rest(PATIENCE).await;
    let end = before.last().unwrap();
    assert_eq!(end.name, "end");
    retry(&server, &job, 200).await;
    let mut stream = EventStream::resume(&server, &path, &end.id).await;
    files::write(&server.file("go"), "");
    let events = stream.rest(PATIENCE).await;
    let last = events.last().unwrap();
    assert_eq!((last.name.as_str(), &last.data["status"]), ("end", &json!("completed")));
    let states: Vec<_> = events.iter().filter(|event| event.name == "repository").collect();
    assert!(states.iter().all(|event| event.data["repo_index"] == 1), "{states:#?}");
    assert_eq!(states.last().unwrap().data["status"], "completed");
}
