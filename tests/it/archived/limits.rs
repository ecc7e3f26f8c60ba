//! How long archived jobs stay, and what happens if they cannot be archived.

use super::{blobs, expire, finished_group, gone, record, scanner, start_with};
use crate::support::{
    files,
    server::{Setup, TestServer},
    wait::eventually,
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

async fn reasons(server: &TestServer) -> Vec<String> {
    let health = server.get("/health").await.expect(200).json();
    let causes = health["causes"].as_array().unwrap();
    causes.iter().map(|cause| cause["reason"].as_str().unwrap().to_owned()).collect()
}

/// Puts a file in the place of the folder of archived results, so that nothing can be archived.
fn put_in_the_way(server: &TestServer) -> PathBuf {
    let path = server.setup().jobs().join(".results/blobs");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    files::write(&path, "no folder");
    path
}

/// Fails if results are kept although the settings forbid it, or archived ones stay when the settings change.
#[tokio::test]
async fn without_a_retention_time_nothing_is_archived_and_what_is_expires() {
    let (mut server, job) = finished_group(scanner(), 2).await;
    expire(&mut server, &[&job]).await;
    server.get(&format!("/jobs/{job}/results")).await.expect(200);
    server.terminate().await;
    server.set("jobs.results_retention_hours", 0);
    start_with(&mut server, 0).await;
    eventually("the archived job expires", async || !record(&server, &job).exists()).await;
    server.get(&format!("/jobs/{job}/results")).await.expect(404);
    eventually("its files are removed", async || blobs(&server).is_empty()).await;
    let next = server.submit("next").await;
    gone(&server, &next).await;
    assert!(!record(&server, &next).exists());
    server.get(&format!("/jobs/{next}/results")).await.expect(404);
}

/// Fails if results that are kept for more than a lifetime cannot be read any more.
#[tokio::test]
async fn results_can_be_kept_for_ever() {
    let setup = scanner().set("jobs.results_retention_hours", 10_000_000_000_i64);
    let (mut server, job) = finished_group(setup, 2).await;
    expire(&mut server, &[&job]).await;
    server.get(&format!("/jobs/{job}/results")).await.expect(200);
    let list = server.get("/jobs?archived=true").await.expect(200).json();
    assert_eq!(list["jobs"][0]["job_id"], job.as_str(), "{list:#}");
    let log = server.setup().log();
    assert!(!log.contains("cannot clean up"), "{log}");
}

/// Fails if a job that cannot be archived loses its files, if nobody learns why, or if it is not tried again.
#[tokio::test]
async fn a_job_that_cannot_be_archived_stays_until_it_can() {
    let (mut server, job) = finished_group(scanner(), 2).await;
    server.terminate().await;
    let in_the_way = put_in_the_way(&server);
    start_with(&mut server, 0).await;
    eventually("the problem is reported", async || {
        reasons(&server).await.contains(&"archive".to_owned())
    })
    .await;
    assert!(server.job_folder(&job).exists());
    server.get(&format!("/jobs/{job}/results")).await.expect(200);
    assert!(server.setup().log().contains("cannot archive or remove an expired job"));
    fs::remove_file(&in_the_way).unwrap();
    gone(&server, &job).await;
    server.get(&format!("/jobs/{job}/results")).await.expect(200);
    eventually("the problem is resolved", async || {
        !reasons(&server).await.contains(&"archive".to_owned())
    })
    .await;
}

/// Fails if a problem of a clean-up lasts until the next regular one, which may be an hour away.
#[tokio::test]
async fn a_clean_up_that_failed_is_repeated_soon() {
    let (mut server, job) = finished_group(scanner(), 2).await;
    server.terminate().await;
    server.set_variable("SCANWATCH_JOBS__CLEANUP_INTERVAL_SECS", 3600);
    let in_the_way = put_in_the_way(&server);
    start_with(&mut server, 0).await;
    eventually("the problem is reported", async || {
        reasons(&server).await.contains(&"archive".to_owned())
    })
    .await;
    fs::remove_file(&in_the_way).unwrap();
    gone(&server, &job).await;
    eventually("the problem is resolved", async || {
        !reasons(&server).await.contains(&"archive".to_owned())
    })
    .await;
}

/// Fails if expired jobs that cannot be archived keep a full disk full.
#[tokio::test]
async fn a_full_disk_is_freed_even_if_a_job_cannot_be_archived() {
    let (mut server, job) = finished_group(scanner(), 2).await;
    server.terminate().await;
    put_in_the_way(&server);
    server.set("jobs.min_free_bytes", 1_u64 << 50);
    start_with(&mut server, 0).await;
    gone(&server, &job).await;
    server.get(&format!("/jobs/{job}/results")).await.expect(404);
    assert!(server.setup().log().contains("are removed without being archived"));
}

/// Fails if the results of a job of the Python service, which are in its status files, end with its files.
#[tokio::test]
async fn a_job_of_the_python_service_is_archived_with_its_results() {
    let setup = Setup::new().set("jobs.retention_hours", 1).set("jobs.cleanup_interval_secs", 1);
    let folder = setup.jobs().join("python-1");
    fs::create_dir_all(&folder).unwrap();
    let ended = chrono::Utc::now() - chrono::TimeDelta::hours(2);
    let master = json!({
        "job_id": "python-1", "group_url": "https://gitlab.com/acme/app.git", "total_repositories": 1,
        "status": "completed", "completed_at": ended.to_rfc3339(),
    });
    files::write(&folder.join("master.json"), master.to_string());
    let status = json!({
        "repo_name": "app", "status": "completed",
        "scan_result": { "categorized_dependencies": { "Web": true }, "dependencies": ["flask"] },
    });
    files::write(&folder.join("repo_0.json"), status.to_string());
    let server = setup.start().await;
    gone(&server, "python-1").await;
    let results = server.get("/jobs/python-1/results").await.expect(200).json();
    assert_eq!(
        (&results["archived"], &results["dependencies"]),
        (&json!(true), &json!({ "Web": true }))
    );
    let packages: Value = server.get("/scan/python-1/packages?name=flask").await.expect(200).json();
    assert_eq!(packages["total"], 1, "{packages:#}");
}

/// Fails if one damaged record stops the server or other archived jobs, or is not reported.
#[tokio::test]
async fn a_damaged_record_affects_only_its_job() {
    let setup = scanner();
    let other = setup.write_group(2);
    let (mut server, job) = finished_group(setup, 2).await;
    server.finished(&other).await;
    expire(&mut server, &[&job, &other]).await;
    let path = record(&server, &job);
    let text = files::text(&path);
    files::replace(&path, &text[..text.len() / 2]);
    server.get(&format!("/jobs/{job}/results")).await.expect(500);
    server.get(&format!("/jobs/{other}/results")).await.expect(200);
    server.terminate().await;
    server.restart().await;
    eventually("the problem is reported", async || {
        reasons(&server).await.contains(&"archive".to_owned())
    })
    .await;
    server.get(&format!("/jobs/{other}/results")).await.expect(200);
    // The delete of the damaged one works, and resolves the problem.
    server.delete(&format!("/scan/{job}")).await.expect(204);
    eventually("the problem is resolved", async || reasons(&server).await.is_empty()).await;
}
