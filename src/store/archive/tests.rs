//! The archive: what is read back, what is shared, and what the clean-up removes.

use super::*;
use crate::{
    model::{
        master::{Master, ScanType},
        plan::Plan,
        progress::JobFacts,
        state::{JobState, Summary},
        time::Timestamp,
    },
    store::{atomic::Durability, layout::JobDir, trash},
};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use std::{os::unix::fs::MetadataExt, time::Duration};

const DAY: Duration = Duration::from_hours(24);

struct Place {
    _root: tempfile::TempDir,
    jobs: JobsDir,
    archive: Archive,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let jobs = JobsDir::new(&root.path().join("jobs")).unwrap();
        jobs.create(0o750).unwrap();
        Self { archive: Archive::of(&jobs), _root: root, jobs }
    }

    /// A finished job with these results.
    fn job(&self, results: &[&str]) -> (JobId, JobDir) {
        let id = JobId::generate();
        let url = "https://h.example/g";
        let mut master = Master::new(&id, url, Some(ScanType::Group), vec![], Utc::now());
        master.status = Some("completed".to_owned());
        master.submitted_by = Some("ann".to_owned());
        let rows = (0..results.len()).map(|n| (format!("r{n}"), format!("{url}/r{n}.git")));
        let job = self.jobs.create_job(&id, 0o750, &master, &Plan::of(rows)).unwrap();
        for (index, result) in results.iter().enumerate() {
            let index = u32::try_from(index).unwrap();
            let status = json!({ "status": "completed", "repo_index": index });
            job.write_status(index, &status, Durability::Eventual).unwrap();
            self.put(&job.result(index), result);
            self.put(&job.log(index), &format!("log {id} {index}"));
        }
        (id, job)
    }

    fn put(&self, path: &Path, text: &str) {
        atomic::replace(&self.jobs.staging(), path, text.as_bytes(), Durability::Eventual).unwrap();
    }

    fn archived(&self, results: &[&str], ended_ago: Duration) -> JobId {
        let (id, job) = self.job(results);
        self.archive.write(&job, header(&id, ended_ago)).unwrap();
        trash::remove_job(&self.jobs, &id).unwrap();
        id
    }

    fn blobs(&self) -> usize {
        let shards = fs::read_dir(self.archive.blobs()).into_iter().flatten();
        shards.map(|shard| fs::read_dir(shard.unwrap().path()).unwrap().count()).sum()
    }

    fn text(&self, blob: Option<&Blob>) -> String {
        fs::read_to_string(self.archive.blob_path(blob.unwrap())).unwrap()
    }
}

fn header(id: &JobId, ended_ago: Duration) -> ArchiveHeader {
    let facts = JobFacts {
        id: id.clone(),
        url: Some("https://h.example/g".into()),
        state: JobState::Completed,
        summary: Summary { total_repositories: 2, completed: 2, ..Summary::default() },
        skipped: 1,
        discovering: false,
        discovery_errors: 0,
        started_at: None,
        folder_time: Timestamp::default(),
        completed_at: None,
        error: None,
        schedule: None,
        fraction: 1.0,
        paused: false,
        archived: false,
    };
    let ended = Utc::now() - TimeDelta::from_std(ended_ago).unwrap();
    ArchiveHeader::of(&facts, None, [ended, ended + DAY], Utc::now())
}

/// Fails if anything of a job is not what it was, once its folder is gone.
#[test]
fn an_archived_job_is_read_back() {
    let place = Place::new();
    let (id, job) = place.job(&["{\"packages\": [1]}", "{\"packages\": [2]}"]);
    let inode = fs::metadata(job.result(1)).unwrap().ino();
    let master: Value =
        serde_json::from_slice(&fs::read(job.path().join("master.json")).unwrap()).unwrap();
    let plan = fs::read_to_string(job.plan()).unwrap();
    place.archive.write(&job, header(&id, DAY)).unwrap();
    trash::remove_job(&place.jobs, &id).unwrap();
    let mut record = place.archive.read(&id).unwrap().unwrap();
    let header = record.header().clone();
    assert_eq!((header.job, header.user.as_deref()), (id.clone(), Some("ann")));
    assert_eq!((header.repositories, header.skipped), (2, 1));
    assert_eq!(place.text(header.plan.as_ref()), plan);
    assert_eq!(record.master().unwrap().master, master);
    for index in 0..2 {
        let repository = record.repository().unwrap().unwrap();
        assert_eq!((repository.index, &repository.status["status"]), (index, &json!("completed")));
        let result = place.text(repository.result.as_ref());
        assert_eq!(result, format!("{{\"packages\": [{}]}}", index + 1));
        assert_eq!(place.text(repository.log.as_ref()), format!("log {id} {index}"));
        if index == 1 {
            let path = place.archive.blob_path(repository.result.as_ref().unwrap());
            assert_eq!(fs::metadata(path).unwrap().ino(), inode, "it was copied");
        }
    }
    assert_eq!(record.repository().unwrap(), None);
    assert_eq!(place.archive.jobs().unwrap(), std::slice::from_ref(&id));
    assert!(place.archive.remove(&id).unwrap() && !place.archive.remove(&id).unwrap());
    assert!(place.archive.read(&id).unwrap().is_none());
}

/// Fails if the same bytes take space twice, or a blob goes while another job has it.
#[test]
fn blobs_are_shared_and_go_with_the_last_job() {
    let place = Place::new();
    let [first, second] = [0, 1].map(|_| place.archived(&["{\"packages\": []}"], DAY));
    // A result, and a log and a plan of each job.
    assert_eq!(place.blobs(), 4);
    assert_eq!(place.archive.sweep().unwrap(), 0);
    place.archive.remove(&first).unwrap();
    // The plans have the same bytes.
    assert_eq!(place.archive.sweep().unwrap(), 1);
    let mut record = place.archive.read(&second).unwrap().unwrap();
    record.master().unwrap();
    let repository = record.repository().unwrap().unwrap();
    assert_eq!(place.text(repository.result.as_ref()), "{\"packages\": []}");
    place.archive.remove(&second).unwrap();
    place.archive.sweep().unwrap();
    assert_eq!(place.blobs(), 0);
}

/// Fails if the clean-up of many blobs in small memory removes one that is named, or leaves one that is not.
#[test]
fn a_sweep_in_several_passes_removes_what_no_record_names() {
    let place = Place::new();
    let texts: Vec<String> =
        (0..40).map(|number| format!("{{\"packages\": [{number}]}}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let kept = place.archived(&texts[..20], DAY);
    let gone = place.archived(&texts[10..], DAY);
    place.archive.remove(&gone).unwrap();
    let removed = place.archive.sweep_with(3).unwrap();
    // 20 results, 30 logs and a plan that the first job does not have.
    assert_eq!(removed, 51);
    assert_eq!(place.blobs(), 20 + 20 + 1);
    let mut record = place.archive.read(&kept).unwrap().unwrap();
    record.master().unwrap();
    while let Some(repository) = record.repository().unwrap() {
        place.text(repository.result.as_ref());
    }
}

/// Fails if a job expires before its time, without permission, or never.
#[test]
fn records_expire() {
    let place = Place::new();
    let young = place.archived(&["{}"], DAY / 2);
    let old = place.archived(&["{}"], DAY * 2);
    let clean = |may_go: bool| place.archive.remove_expired(DAY, Utc::now(), &|_| may_go).unwrap();
    assert_eq!((clean(false), clean(true), clean(true)), (0, 1, 0));
    assert!(place.archive.read(&old).unwrap().is_none());
    assert!(place.archive.read(&young).unwrap().is_some());
}

/// Fails if a damaged record costs other jobs their blobs, or is served.
#[test]
fn nothing_is_removed_while_a_record_is_unreadable() {
    let place = Place::new();
    let id = place.archived(&["{}"], DAY);
    let path = place.archive.record_path(&id);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for damaged in [
        String::new(),
        text.trim_end().to_owned(),
        text.replace("\"schema\":1", "\"schema\":2"),
        lines[..2].join("\n") + "\n",
        text.replace("\"sha256\":\"", "\"sha256\":\"../"),
    ] {
        place.put(&path, &damaged);
        assert!(place.archive.sweep().is_err(), "{damaged}");
        assert!(place.blobs() > 0);
    }
    place.put(&path, &text);
    assert_eq!(place.archive.sweep().unwrap(), 0);
}

/// Fails if a crash after the blobs were stored leaves them for ever, or if a torn blob is used.
#[test]
fn what_a_crash_leaves_is_removed_or_replaced() {
    let place = Place::new();
    let (id, job) = place.job(&["{\"packages\": [7]}"]);
    let mut blobs = blob::BlobWriter::new(&place.archive);
    let blob = blobs.store(&job.result(0)).unwrap().unwrap();
    blobs.flush().unwrap();
    assert_eq!(place.archive.sweep().unwrap(), 1);
    let path = place.archive.blob_path(&blob);
    place.put(&path, "torn");
    place.archive.write(&job, header(&id, DAY)).unwrap();
    assert_eq!(place.text(Some(&blob)), "{\"packages\": [7]}");
    // The folder is still there: it is archived again.
    place.archive.write(&job, header(&id, DAY)).unwrap();
    assert_eq!(place.archive.sweep().unwrap(), 0);
}

/// Fails if a result of the Python service, which is in the status file, is lost or stored twice.
#[test]
fn a_result_in_a_status_file_becomes_a_blob() {
    let place = Place::new();
    let (id, job) = place.job(&["{}"]);
    fs::remove_file(job.result(0)).unwrap();
    let status = json!({ "status": "completed", "scan_result": { "dependencies": ["flask"] } });
    job.write_status(0, &status, Durability::Eventual).unwrap();
    place.archive.write(&job, header(&id, DAY)).unwrap();
    let mut record = place.archive.read(&id).unwrap().unwrap();
    record.master().unwrap();
    let repository = record.repository().unwrap().unwrap();
    assert_eq!(repository.status, json!({ "status": "completed" }));
    assert!(place.text(repository.result.as_ref()).contains("flask"));
}

/// Fails if a job is archived without all of its files.
#[test]
fn a_refused_write_leaves_no_record() {
    let place = Place::new();
    let (id, job) = place.job(&["{}"]);
    fs::create_dir(&place.archive.root).unwrap();
    place.put(&place.archive.root.join("blobs"), "in the way");
    assert!(place.archive.write(&job, header(&id, DAY)).is_err());
    assert!(place.archive.read(&id).unwrap().is_none());
    assert_eq!(fs::read_dir(place.jobs.staging()).unwrap().count(), 0);
}
