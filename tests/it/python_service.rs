//! The folders that the Python service left behind: read unchanged, served like any other job, and
//! removed when they expire.

use crate::support::{
    files,
    server::{Setup, TestServer},
    sse::EventStream,
    wait::{PATIENCE, eventually},
};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

pub(crate) const SINGLE: &str = "0b6f1a52-8f0e-4c57-9d4e-6a1f6f0c2d01";
pub(crate) const GROUP: &str = "1c7e2b63-9a1f-4d68-8e5f-7b2a7a1d3e02";
pub(crate) const FAILED: &str = "2d8f3c74-ab20-4e79-9f60-8c3b8b2e4f03";
pub(crate) const TIMELESS: &str = "3e904d85-bc31-4f8a-8071-9d4c9c3f5004";
pub(crate) const UNFINISHED: &str = "4fa15e96-cd42-409b-9182-ae5dad406105";
const NO_MASTER: &str = "50b26fa7-de53-41ac-82a3-bf6ebe517206";
const HALF_A_MASTER: &str = "61c370b8-ef64-42bd-93b4-c07fcf628307";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/python-service")
}

/// Copies the folders of the Python service into a jobs folder.
pub(crate) fn lay(setup: &Setup) {
    for file in files::below(&fixtures()) {
        let below = file.strip_prefix(fixtures()).unwrap();
        let place = setup.jobs().join(below);
        if below.components().count() == 2 {
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::copy(&file, &place).unwrap();
        }
    }
}

/// The content of a job's folder, byte by byte.
fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let read =
        |path: PathBuf| (path.strip_prefix(folder).unwrap().into(), fs::read(&path).unwrap());
    files::below(folder).into_iter().map(read).collect()
}

async fn json(server: &TestServer, path: &str) -> Value {
    server.get(path).await.expect(200).json()
}

/// Breaks if a job of the Python service can no longer be viewed as before.
#[tokio::test]
async fn python_jobs_are_served_unchanged() {
    let setup = Setup::new().set("jobs.retention_hours", 1_000_000);
    lay(&setup);
    let server = setup.start().await;

    let single = server.progress(SINGLE).await;
    assert_eq!(single["status"], "completed");
    assert_eq!(single["completed_repositories"], json!(["api"]));
    assert_eq!(single["elapsed_time_seconds"], 242);
    assert_eq!(single["repositories"][0]["progress"]["total_files"], 412);
    assert_eq!(single["warnings"], json!([]));

    let group = server.progress(GROUP).await;
    assert_eq!(group["status"], "completed_with_errors");
    assert_eq!(group["completed_at"], "2024-03-01T09:04:02.118Z");
    assert_eq!(group["elapsed_time_seconds"], 242);
    assert_eq!(
        (&group["summary"]["completed"], &group["summary"]["failed"]),
        (&2.into(), &2.into())
    );
    assert_eq!(group["failed_repositories"][0]["error"], "Process exited with code 128");
    assert_eq!(group["failed_repositories"][1]["status"], "timeout");

    let failed = server.progress(FAILED).await;
    assert_eq!((&failed["status"], &failed["completed_at"]), (&json!("failed"), &Value::Null));
    assert_eq!(failed["failed_repositories"][0]["error"], "Clone failed");
    let timeless = server.progress(TIMELESS).await;
    assert_eq!(timeless["status"], "completed");
    assert_eq!(timeless["summary"]["completed"], 2);
    assert!(timeless["warnings"].as_array().unwrap().len() >= 4, "{timeless:#}");

    let unfinished = server.progress(UNFINISHED).await;
    assert_eq!(unfinished["status"], "in_progress");
    assert_eq!(unfinished["pending_repositories"], json!(["now-c"]));
    let message = &unfinished["repositories"][1]["progress"]["message"];
    assert_eq!(message, "Extracting: 1,500 / 12,000 files");
    for job in [NO_MASTER, HALF_A_MASTER] {
        let document = server.progress(job).await;
        assert_eq!(
            (&document["status"], &document["summary"]["completed"]),
            (&json!("processing"), &json!(1))
        );
    }

    let rows = json(&server, "/jobs").await;
    assert_eq!(rows["total"], 7, "{rows:#}");
    for (job, status) in [(SINGLE, "completed"), (FAILED, "failed"), (UNFINISHED, "running")] {
        assert_eq!(json(&server, &format!("/jobs/{job}")).await["status"], status);
    }
    let results = json(&server, &format!("/jobs/{GROUP}/results")).await;
    assert_eq!((&results["total_projects"], &results["successful_scans"]), (&4.into(), &2.into()));
    assert_eq!(results["failed_projects"][1]["error"], "Process killed after 3600 seconds timeout");
    let results = json(&server, &format!("/jobs/{SINGLE}/results")).await;
    assert_eq!(results["git_url"], "https://github.com/acme/api.git");
    server.get(&format!("/jobs/{UNFINISHED}/results")).await.expect(400);
    json(&server, &format!("/jobs/{UNFINISHED}/partial")).await;

    let mut stream = EventStream::open(&server, &format!("/scan/{GROUP}/events")).await;
    let events = stream.rest(PATIENCE).await;
    let names: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["snapshot", "end"]);
    assert_eq!(events[1].data["status"], "completed_with_errors");
    for job in [SINGLE, GROUP, FAILED, TIMELESS, UNFINISHED, NO_MASTER, HALF_A_MASTER] {
        assert_eq!(content(&server.job_folder(job)), content(&fixtures().join(job)), "{job}");
    }
    // A job that nothing will ever finish is removed on request.
    server.delete(&format!("/scan/{UNFINISHED}")).await.expect(204);
    server.get(&format!("/scan/{UNFINISHED}")).await.expect(404);
}

/// Breaks if folders of the Python service pile up for ever, or if one is removed that may be
/// running, or whose end is unknown.
#[tokio::test]
async fn only_finished_python_jobs_expire() {
    let setup = Setup::new().set("jobs.cleanup_interval_secs", 1);
    lay(&setup);
    let jobs = setup.jobs();
    let server = setup.start().await;
    for job in [SINGLE, GROUP, FAILED] {
        eventually("it is removed", async || !jobs.join(job).exists()).await;
        server.get(&format!("/scan/{job}")).await.expect(404);
    }
    // It names no time, so the time of its last write counts: it was copied here just now.
    assert!(jobs.join(TIMELESS).exists());
    let master = File::open(jobs.join(TIMELESS).join("master.json")).unwrap();
    master.set_modified(SystemTime::now() - Duration::from_hours(25)).unwrap();
    eventually("it is removed too", async || !jobs.join(TIMELESS).exists()).await;
    for job in [UNFINISHED, NO_MASTER, HALF_A_MASTER] {
        assert_eq!(content(&jobs.join(job)), content(&fixtures().join(job)), "{job}");
    }
}
