//! Idle jobs are compacted in memory, and readers cannot tell.

use crate::support::{
    files,
    server::{Setup, TestServer},
    wait::eventually,
};
use reqwest::Method;
use serde_json::json;
use std::{fs, path::Path, time::Duration};

fn name(index: u32) -> String {
    format!("group/subgroup/repository-{index}")
}

/// A finished job of eight repositories.
fn write_job(jobs: &Path, id: &str) {
    let folder = jobs.join(id);
    fs::create_dir_all(&folder).unwrap();
    for index in 0..8 {
        let status = json!({
            "repo_index": index, "repo_name": name(index), "status": "completed",
            "git_url": format!("https://git.example.com/{}.git", name(index)),
            "started_at": "2099-01-02T03:04:05Z", "last_update": "2099-01-02T03:04:06Z",
            "completed_at": "2099-01-02T03:04:06Z", "message": format!("Completed: {index} packages"),
            "stage": "conclude", "stage_index": 5, "stage_total": 5, "total_files": 9,
            "current_file": 9, "current_filename": "package.json", "dependencies_found": index,
        });
        files::write(&folder.join(format!("repo_{index}.json")), status.to_string());
    }
    let master = json!({
        "job_id": id, "group_url": "https://git.example.com/group", "status": "completed",
        "total_repositories": 8, "started_at": "2099-01-02T03:04:05Z",
        "completed_at": "2099-01-02T03:04:07Z",
        "completed_repositories": (0..8).map(name).collect::<Vec<_>>(),
    });
    files::write(&folder.join("master.json"), master.to_string());
}

async fn tag(server: &TestServer, path: &str) -> String {
    server.get(path).await.header("etag").unwrap().to_owned()
}

/// Breaks if a compacted job answers differently from one that was not, or misses a change.
#[tokio::test]
async fn a_compacted_job_is_served_and_resumes() {
    let setup = Setup::new().set("watch.resync_interval_secs", 1);
    write_job(&setup.jobs(), "quiet");
    // A job is idle if it has not changed for a resync interval; the clock that counts cannot be
    // set.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let server = setup.start().await;
    let list = server.get("/jobs").await.json();
    assert_eq!(list["jobs"][0]["job_id"], "quiet", "{list:#}");
    let document = server.progress("quiet").await;
    assert_eq!(document["summary"]["completed"], 8, "{document:#}");
    assert_eq!(document["completed_repositories"][7], name(7));
    assert_eq!(document["repositories"][3]["progress"]["message"], "Completed: 3 packages");
    let before = tag(&server, "/scan/quiet").await;
    let again = server.request(Method::GET, "/scan/quiet").header("If-None-Match", &before);
    assert_eq!(server.send(again).await.status, 304);

    let failed = json!({ "repo_name": name(3), "status": "failed", "error_message": "broken" });
    let path = server.job_folder("quiet").join("repo_3.json");
    files::replace(&path, failed.to_string());
    eventually("the change is known", async || {
        server.progress("quiet").await["summary"]["failed"] == 1
    })
    .await;
    let document = server.progress("quiet").await;
    assert_eq!(document["failed_repositories"][0]["error"], "broken");
    assert_eq!(document["completed_repositories"].as_array().unwrap().len(), 7);
    assert_ne!(tag(&server, "/scan/quiet").await, before);
}
