//! A server that is killed while it archives a job leaves the job's files or its record, and never neither.

use super::{blobs, expire_stopped, finished_group, gone, record, scanner, start_with};
use crate::support::{
    files,
    forge::program,
    server::TestServer,
    wait::{PATIENCE, eventually, until},
};
use serde_json::Value;
use std::{fs, path::Path, time::Duration};

/// The results of a job, wherever they are.
async fn results(server: &TestServer, job: &str) -> Value {
    let mut value = server.get(&format!("/jobs/{job}/results")).await.expect(200).json();
    value.as_object_mut().unwrap().remove("archived");
    value
}

/// Copies a folder with all its files.
fn copy(from: &Path, to: &Path) {
    let copied = program("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// Fails if a kill at any moment of the archiving costs a job its results, or leaves half a record.
#[tokio::test]
async fn a_server_that_is_killed_while_it_archives_loses_nothing() {
    let (mut server, job) = finished_group(scanner(), 150).await;
    let before = results(&server, &job).await;
    server.terminate().await;
    let folder = server.job_folder(&job);
    let mut kills = 0;
    // What was there at the kills: files of the job, blobs, the record.
    let mut seen = Vec::new();
    server.set_variable("SCANWATCH_JOBS__RETENTION_HOURS", 0);
    while folder.exists() {
        server.start_and_kill(Duration::from_millis(250 + kills * 8)).await;
        kills += 1;
        let state = (folder.exists(), !blobs(&server).is_empty(), record(&server, &job).exists());
        assert!(state.0 || state.2, "neither files nor a record: {state:?}");
        seen.push(state);
        assert!(kills < 200, "never archived: {seen:?}");
    }
    start_with(&mut server, 24).await;
    assert_eq!(results(&server, &job).await, before, "{seen:?}");
    server.delete(&format!("/scan/{job}")).await.expect(204);
    eventually("nothing of it stays", async || blobs(&server).is_empty()).await;
}

/// Fails if a job whose files stayed behind its record is served from the record, is archived twice, or cannot be deleted.
#[tokio::test]
async fn files_beside_a_record_take_precedence_and_are_archived_again() {
    let (mut server, job) = finished_group(scanner(), 4).await;
    let before = results(&server, &job).await;
    server.terminate().await;
    let folder = server.job_folder(&job);
    let aside = server.file("aside");
    copy(&folder, &aside);
    expire_stopped(&mut server, &[&job]).await;
    let expected = blobs(&server).len();

    // As if the server had been killed between the record and the removal.
    server.terminate().await;
    copy(&aside, &folder);
    server.restart().await;
    let document = server.progress(&job).await;
    assert!(document.get("archived").is_none(), "{document:#}");
    let found = server.get(&format!("/jobs/{job}/results")).await.expect(200).json();
    assert!(found.get("archived").is_none(), "{found:#}");
    assert_eq!(server.get("/jobs?archived=true").await.json()["total"], 0);
    assert_eq!(server.get("/jobs").await.json()["total"], 1);

    // As if it had been killed between the blobs and the record.
    server.terminate().await;
    fs::remove_file(record(&server, &job)).unwrap();
    expire_stopped(&mut server, &[&job]).await;
    assert_eq!(results(&server, &job).await, before);
    assert_eq!(blobs(&server).len(), expected);

    // A delete removes both, whichever is there.
    server.terminate().await;
    copy(&aside, &folder);
    server.restart().await;
    server.delete(&format!("/scan/{job}")).await.expect(204);
    assert!(!folder.exists() && !record(&server, &job).exists());
    server.terminate().await;
    server.restart().await;
    server.get(&format!("/jobs/{job}/results")).await.expect(404);
}

/// Fails if what a crash left in the archive stays for ever, or a later archiving uses a torn file.
#[tokio::test]
async fn what_a_crash_left_in_the_archive_is_replaced_or_removed() {
    let (mut server, job) = finished_group(scanner(), 3).await;
    let before = results(&server, &job).await;
    server.terminate().await;
    let aside = server.file("aside");
    copy(&server.job_folder(&job), &aside);
    expire_stopped(&mut server, &[&job]).await;
    server.terminate().await;
    fs::remove_file(record(&server, &job)).unwrap();
    let torn = blobs(&server);
    for blob in &torn {
        files::replace(blob, "torn");
    }
    copy(&aside, &server.job_folder(&job));
    expire_stopped(&mut server, &[&job]).await;
    assert_eq!(results(&server, &job).await, before);
    server.terminate().await;
    fs::remove_file(record(&server, &job)).unwrap();
    server.restart().await;
    eventually("files without a record are removed", async || blobs(&server).is_empty()).await;
}

/// Fails if answers while a job is being archived are mixed or wrong: each is the whole result, or an error.
#[tokio::test]
async fn answers_during_the_archiving_are_whole_or_none() {
    let (mut server, job) = finished_group(scanner(), 60).await;
    let before = results(&server, &job).await;
    server.terminate().await;
    start_with(&mut server, 0).await;
    let path = format!("/jobs/{job}/results");
    let archived = until(PATIENCE, "the job is archived", async || {
        let Ok(answer) = server.try_send(server.request(reqwest::Method::GET, &path)).await else {
            // Aborted: the files were removed while they were read.
            return None;
        };
        assert!(matches!(answer.status, 200 | 503), "{} {}", answer.status, answer.text);
        let mut value = answer.json();
        let is_archived = value["archived"] == true;
        value.as_object_mut().unwrap().remove("archived");
        if answer.status == 200 {
            assert_eq!(value, before);
        }
        is_archived.then_some(())
    });
    archived.await;
    gone(&server, &job).await;
}
