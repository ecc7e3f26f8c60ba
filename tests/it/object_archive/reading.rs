//! Jobs that are only in object storage still answer, and are removed there too.

use super::{Place, crashes::write_finished, forge, removing, setup};
use crate::support::{
    files,
    s3::{Fault, S3},
    server::Setup,
    wait::eventually,
};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime},
};

const ID: &str = "0198a7c4-0000-7000-8000-00000000d00d";

/// What a job answers while it is here and afterwards.
const QUESTIONS: [&str; 6] = [
    "/jobs/JOB/results",
    "/scan/JOB/packages",
    "/scan/JOB/repositories/0/packages",
    "/scan/JOB/sbom",
    "/scan/JOB/repositories/0/log",
    "/jobs/JOB/results?format=csv",
];

impl Place {
    /// The answers of a job, without what says that it is archived, and without times and numbers of documents.
    async fn answers(&self, job: &str) -> Vec<String> {
        let mut answers = Vec::new();
        for question in QUESTIONS {
            let answer = self.server.get(&question.replace("JOB", job)).await.expect(200);
            let text = match serde_json::from_str::<Value>(&answer.text) {
                Ok(Value::Object(mut members)) => {
                    for name in ["archived", "metadata", "serialNumber"] {
                        members.remove(name);
                    }
                    Value::Object(members).to_string()
                }
                _ => answer.text,
            };
            answers.push(text);
        }
        answers
    }

    /// Has everything of a job removed here.
    async fn forgotten(&mut self, job: &str) {
        self.archived(job).await;
        self.server.terminate().await;
        self.server.set("jobs.retention_hours", 0);
        self.server.set("jobs.results_retention_hours", 0);
        self.server.restart().await;
        self.removed(job).await;
        let record = self.server.setup().jobs().join(format!(".results/jobs/{job}.jsonl"));
        eventually("nothing is kept here", async || !record.exists()).await;
    }

    fn of_job(&self, job: &str) -> Vec<String> {
        self.s3.objects().into_iter().filter(|name| name.contains(job)).collect()
    }

    async fn gone(&self, job: &str) {
        eventually("the job is gone in the archive", async || self.of_job(job).is_empty()).await;
    }

    async fn status(&self, job: &str) -> u16 {
        self.server.get(&format!("/jobs/{job}/results")).await.status
    }
}

/// Fails if a job that was removed here answers otherwise than before, or if another server does not answer for it.
#[tokio::test]
async fn a_job_that_was_removed_here_answers_from_the_archive() {
    let mut place = Place::start().await;
    let job = place.scan().await;
    let before = place.answers(&job).await;
    place.forgotten(&job).await;
    // One of the first answers is damaged on its way.
    place.s3.fail(Fault::Corrupted, "GET", "/results/", 1);
    let after = place.answers(&job).await;
    for (question, (before, after)) in QUESTIONS.iter().zip(before.iter().zip(&after)) {
        assert_eq!(before, after, "{question}");
    }
    let results = place.server.get(&format!("/jobs/{job}/results")).await.expect(200).json();
    assert_eq!(results["archived"], true, "{results:#}");
    assert_eq!(place.metric("scanwatch_archive_reads_total").await, 1);
    // A server on a new machine.
    place.server.terminate().await;
    let elsewhere = place.server.file("elsewhere");
    place.server.set_variable("SCANWATCH_JOBS__DIR", elsewhere.display());
    place.server.restart().await;
    assert_eq!(place.answers(&job).await, before);
    // A job that is nowhere costs one question.
    let seen = || place.s3.seen().iter().filter(|seen| seen.contains("0000dead")).count();
    for _ in 0..3 {
        place.server.get("/jobs/0198a7c4-0000-7000-8000-00000000dead/results").await.expect(404);
    }
    assert!(seen() <= 2, "{:?}", place.s3.seen());
}

/// Fails if an answer is made of damaged files, or if a job counts as unknown while nobody can know.
#[tokio::test]
async fn without_the_storage_it_is_unknown_whether_there_is_a_job() {
    let mut place = Place::start().await;
    let job = place.scan().await;
    place.forgotten(&job).await;
    for (fault, part) in [
        (Fault::Corrupted, "/results/"),
        (Fault::Corrupted, "/jobs/"),
        (Fault::Status(500), "/logs/"),
        (Fault::Cut, "/results/"),
    ] {
        place.s3.fail(fault, "GET", part, usize::MAX);
        let answer = place.server.get(&format!("/jobs/{job}/results")).await;
        assert_eq!(answer.status, 503, "{fault:?}: {answer:?}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        let kept = place.server.setup().jobs().join(".results");
        assert!(!kept.join(format!("jobs/{job}.jsonl")).exists(), "{fault:?}");
        assert_eq!(files::below(&kept.join("uploads/fetched")), [] as [&Path; 0], "{fault:?}");
        place.s3.heal();
    }
    place.s3.go_down();
    assert_eq!(place.status(&job).await, 503);
    place.s3.heal();
    assert_eq!(place.status(&job).await, 200);
}

/// Fails if a removed job is found again, here or there, or if a removal is lost because the storage is away.
#[tokio::test]
async fn a_job_is_removed_in_both_places() {
    let mut place = Place::start().await;
    // Here and there.
    let job = place.scan().await;
    place.archived(&job).await;
    place.server.delete(&format!("/scan/{job}")).await.expect(204);
    assert_eq!(place.status(&job).await, 404);
    place.gone(&job).await;
    assert_eq!(place.status(&job).await, 404);
    // Only there.
    let job = place.scan().await;
    place.forgotten(&job).await;
    assert!(!place.of_job(&job).is_empty());
    place.server.delete(&format!("/scan/{job}")).await.expect(204);
    assert_eq!(place.status(&job).await, 404);
    place.gone(&job).await;
    assert_eq!(place.status(&job).await, 404);
    // While the storage is away, and the server dies.
    place.server.terminate().await;
    place.server.set_variable("SCANWATCH_JOBS__RETENTION_HOURS", 99);
    place.server.restart().await;
    let job = place.scan().await;
    place.archived(&job).await;
    place.s3.go_down();
    place.server.delete(&format!("/scan/{job}")).await.expect(204);
    assert_eq!(place.status(&job).await, 404);
    place.server.kill9().await;
    place.server.restart().await;
    assert_eq!(place.status(&job).await, 404);
    assert!(!place.of_job(&job).is_empty());
    place.s3.heal();
    place.gone(&job).await;
    assert_eq!(place.status(&job).await, 404);
}

/// Fails if jobs stay in the archive for longer than the settings say, or if younger ones go.
#[tokio::test]
async fn old_jobs_expire_in_the_archive() {
    let archive = tempfile::tempdir().unwrap();
    let url = format!("\"file://{}\"", archive.path().display());
    let setup = Setup::new().set("archive.url", url).set("archive.retention_days", 2);
    // What is still here does not expire there.
    let setup = removing(setup).set("jobs.results_retention_hours", 0);
    let setup = setup.set("jobs.cleanup_interval_secs", 1);
    fs::create_dir(setup.jobs()).unwrap();
    let young = ID.replace("d00d", "d00e");
    for id in [ID, &young] {
        write_finished(&setup.jobs(), id, 3, 0);
    }
    let mut server = setup.start().await;
    for id in [ID, &young] {
        let folder = server.job_folder(id);
        eventually("the job is removed here", async || !folder.exists()).await;
        assert!(archive.path().join(format!("jobs/{id}.jsonl")).exists());
        assert!(archive.path().join(format!("files/{id}/sbom/2.cdx.json")).exists());
    }
    server.terminate().await;
    let record = archive.path().join(format!("jobs/{ID}.jsonl"));
    let three_days_ago = SystemTime::now() - Duration::from_hours(72);
    File::options().write(true).open(&record).unwrap().set_modified(three_days_ago).unwrap();
    server.restart().await;
    let folder = archive.path().join(format!("files/{ID}"));
    eventually("the old job has expired", async || {
        !record.exists() && files::below(&folder).is_empty()
    })
    .await;
    assert!(archive.path().join(format!("jobs/{young}.jsonl")).exists());
    assert!(archive.path().join(format!("files/{young}/results/2.json")).exists());
}

/// Fails if archived jobs that were here before there was object storage are never uploaded, or go before they are.
#[tokio::test]
async fn jobs_that_were_archived_here_before_are_uploaded_too() {
    let (s3, forge) = (S3::start(), forge());
    let setup = setup(&s3, &forge).variable("SCANWATCH_ARCHIVE__URL", "");
    let mut place = Place { server: setup.start().await, s3, forge };
    let job = place.scan().await;
    place.server.terminate().await;
    place.server.set("jobs.retention_hours", 0);
    place.server.restart().await;
    place.removed(&job).await;
    place.server.terminate().await;
    place.server.set_variable("SCANWATCH_ARCHIVE__URL", "s3://scans/some/where");
    place.server.set_variable("SCANWATCH_JOBS__RESULTS_RETENTION_HOURS", 0);
    place.s3.fail(Fault::Status(500), "PUT", "/results/", usize::MAX);
    place.server.restart().await;
    eventually("an upload fails", async || {
        place.metric("scanwatch_archive_failures_total").await > 0
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let record = place.server.setup().jobs().join(format!(".results/jobs/{job}.jsonl"));
    assert!(record.exists(), "it was removed before it was safe");
    place.s3.heal();
    eventually("it is removed here", async || !record.exists()).await;
    let results = place.server.get(&format!("/jobs/{job}/results")).await.expect(200).json();
    assert_eq!(results["archived"], json!(true));
}
