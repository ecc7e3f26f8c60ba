//! Uploads survive crashes, large files and full disks.

use super::{Place, forge, removing, setup};
use crate::support::{
    files,
    s3::{Fault, S3},
    wait::eventually,
};
use serde_json::json;
use std::{collections::HashMap, fs, path::Path};

/// Writes a finished group into a jobs folder, as another program leaves it; the first result has so many bytes more.
pub(super) fn write_finished(jobs: &Path, id: &str, count: u32, padding: usize) {
    let folder = jobs.join(id);
    for name in ["results", "logs"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    let at = chrono::Utc::now().to_rfc3339();
    for index in 0..count {
        let name = format!("part-{index}");
        let status = json!({
            "repo_index": index, "repo_name": name, "status": "completed", "started_at": at, "completed_at": at,
            "last_update": at, "git_url": format!("https://github.com/acme/{name}.git"),
        });
        let padding = "x".repeat(if index == 0 { padding } else { 0 });
        let result = json!({ "schema": 1, "repo_index": index, "repo_name": name, "note": padding, "packages": [
            { "name": format!("package-{index}"), "version": "1.0.0", "ecosystem": "npm", "purl": format!("pkg:npm/package-{index}@1.0.0"),
              "file": "package-lock.json", "direct": true, "scope": "runtime", "source": "lockfile" },
        ], "categories": {}, "infrastructure_usage": {}, "warnings": [] });
        files::write(&folder.join(format!("repo_{index}.json")), status.to_string());
        files::write(&folder.join(format!("results/repo_{index}.json")), result.to_string());
        files::write(&folder.join(format!("logs/repo_{index}.log")), format!("scanned {name}\n"));
    }
    let names: Vec<_> = (0..count).map(|index| format!("part-{index}")).collect();
    let master = json!({
        "job_id": id, "group_url": "https://github.com/acme", "total_repositories": count, "status": "completed",
        "started_at": at, "completed_at": at, "last_aggregation": at, "pending_repositories": [],
        "completed_repositories": names, "failed_repositories": [], "scan_type": "group",
    });
    files::write(&folder.join("master.json"), master.to_string());
}

const ID: &str = "0198a7c4-0000-7000-8000-00000000cafe";

/// Fails if a job is lost that was being uploaded when its server died, or if what was verified is uploaded again.
#[tokio::test]
async fn an_upload_continues_after_kill_9() {
    let (s3, forge) = (S3::start(), forge());
    let setup = removing(setup(&s3, &forge));
    fs::create_dir(setup.jobs()).unwrap();
    write_finished(&setup.jobs(), ID, 200, 0);
    let contents: Vec<_> = (0..200)
        .map(|index| {
            fs::read(setup.jobs().join(format!("{ID}/results/repo_{index}.json"))).unwrap()
        })
        .collect();
    let server = setup.start().await;
    let mut place = Place { s3, forge, server };
    let uploads = |place: &Place| -> HashMap<String, usize> {
        let mut uploads = HashMap::new();
        for seen in place.s3.seen() {
            if let Some(path) = seen.strip_prefix("PUT ")
                && path.contains("/results/")
            {
                *uploads.entry(path.to_owned()).or_default() += 1;
            }
        }
        uploads
    };
    eventually("more than a portion is uploaded", async || uploads(&place).len() > 80).await;
    place.server.kill9().await;
    assert!(uploads(&place).len() < 200, "it was too fast to be interrupted");
    assert!(place.server.job_folder(ID).join("results/repo_199.json").exists());
    place.server.restart().await;
    place.removed(ID).await;
    for (index, content) in contents.iter().enumerate() {
        let stored = place.s3.object(&format!("some/where/files/{ID}/results/{index}.json"));
        assert_eq!(stored.as_ref(), Some(content), "{index}");
    }
    let uploads = uploads(&place);
    assert_eq!(uploads.len(), 200);
    let first =
        (0..64).map(|index| uploads[&format!("/scans/some/where/files/{ID}/results/{index}.json")]);
    assert!(first.max() <= Some(1), "verified results were uploaded again: {uploads:?}");
}

/// Fails if a large result is read into memory as a whole, or arrives changed.
#[tokio::test]
async fn a_large_result_is_uploaded_in_parts() {
    let (s3, forge) = (S3::start(), forge());
    let setup = removing(setup(&s3, &forge));
    fs::create_dir(setup.jobs()).unwrap();
    write_finished(&setup.jobs(), ID, 1, 23 << 20);
    let content = fs::read(setup.jobs().join(format!("{ID}/results/repo_0.json"))).unwrap();
    // One part is lost at first.
    s3.fail(Fault::Status(500), "PUT", "partNumber=2", 5);
    let place = Place { server: setup.start().await, s3, forge };
    place.removed(ID).await;
    let stored = place.s3.object(&format!("some/where/files/{ID}/results/0.json")).unwrap();
    assert!(stored == content, "{} bytes instead of {}", stored.len(), content.len());
    let parts = place.s3.seen().iter().filter(|seen| seen.contains("partNumber=")).count();
    assert!(parts >= 5, "{:?}", place.s3.seen());
}

/// Fails if a job that was scanned again is taken for the one that was archived.
#[tokio::test]
async fn a_job_that_changed_is_archived_again() {
    let place = Place::start().await;
    let setup = place.server.setup();
    write_finished(&setup.jobs(), ID, 1, 0);
    place.archived(ID).await;
    let record = format!("some/where/jobs/{ID}.jsonl");
    let before = place.s3.object(&record).unwrap();
    let path = place.server.job_folder(ID).join("master.json");
    let text = files::text(&path).replace("\"completed\"", "\"completed_with_errors\"");
    files::replace(&path, text);
    eventually("the new state is archived", async || {
        place.s3.object(&record).is_some_and(|now| now != before)
    })
    .await;
    let text = String::from_utf8(place.s3.object(&record).unwrap()).unwrap();
    assert!(text.contains("completed_with_errors"), "{text}");
}

/// Fails if a job is removed here although it could not be noted that it is there, or if that is never tried again.
#[tokio::test]
async fn a_disk_that_refuses_writes_delays_only_the_removal() {
    let (s3, forge) = (S3::start(), forge());
    let setup = removing(setup(&s3, &forge));
    let obstacle = setup.jobs().join(".results/uploads");
    fs::create_dir_all(obstacle.parent().unwrap()).unwrap();
    // No folder can be created there.
    files::write(&obstacle, "");
    let place = Place { server: setup.start().await, s3, forge };
    let job = place.scan().await;
    eventually("/health names it", async || place.health().await["status"] == "degraded").await;
    let problem = place.health().await["problems"][0].to_string();
    assert!(problem.contains("the local disk refused"), "{problem}");
    assert!(place.server.job_folder(&job).join("results/repo_0.json").exists());
    fs::remove_file(&obstacle).unwrap();
    place.removed(&job).await;
    assert!(place.s3.object(&format!("some/where/files/{job}/results/0.json")).is_some());
}
