//! A start with finished jobs in the jobs folder.

use crate::support::{
    files,
    server::{Setup, TestServer},
    wait::eventually,
};
use serde_json::{Value, json};
use std::path::Path;

/// Longer than any test waits: a change that is found was not found by a resync.
const NEVER: u32 = 100_000;

fn status(index: u32, status: &str) -> Value {
    json!({
        "repo_index": index, "repo_name": format!("part-{index}"), "status": status,
        "started_at": "2099-01-02T03:04:05Z", "last_update": "2099-01-02T03:04:06Z",
        "completed_at": "2099-01-02T03:04:06Z", "total_files": 9, "current_file": 9,
        "error_message": (status == "failed").then_some("broken"),
    })
}

/// A finished job of two repositories.
fn write_job(jobs: &Path, id: &str) {
    let folder = jobs.join(id);
    std::fs::create_dir_all(&folder).unwrap();
    for index in 0..2 {
        let text = status(index, "completed").to_string();
        files::write(&folder.join(format!("repo_{index}.json")), text);
    }
    let master = json!({
        "job_id": id, "group_url": "https://git.example.com/group", "status": "completed",
        "total_repositories": 2, "started_at": "2099-01-02T03:04:05Z",
        "completed_at": "2099-01-02T03:04:07Z",
    });
    files::write(&folder.join("master.json"), master.to_string());
}

async fn failed(server: &TestServer, id: &str) -> Value {
    server.progress(id).await["summary"]["failed"].clone()
}

/// Breaks if a job that was finished shortly before the start, and so is read without a watch, gets
/// none afterwards: no event would report its changes.
#[tokio::test]
async fn a_job_that_was_just_finished_is_watched_after_the_start() {
    let setup = Setup::new().notified().set("watch.resync_interval_secs", NEVER);
    let ids: Vec<String> = (0..100).map(|number| format!("job-{number}")).collect();
    for id in &ids {
        write_job(&setup.jobs(), id);
    }
    let server = setup.start().await;
    // In place, and at once: the server may not have compared these jobs yet.
    for id in &ids {
        let path = server.job_folder(id).join("repo_1.json");
        files::write(&path, status(1, "failed").to_string());
    }
    for id in &ids {
        eventually(&format!("the change of {id} is known"), async || {
            failed(&server, id).await == 1
        })
        .await;
    }
    let path = server.job_folder(&ids[0]).join("repo_0.json");
    files::replace(&path, status(0, "failed").to_string());
    eventually("the next change is known", async || failed(&server, &ids[0]).await == 2).await;
}
