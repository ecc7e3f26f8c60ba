//! The files of an attempt that an agent runs: what it reports is checked and written by the one atomic writer.
//!
//! Input: reports of agents. Output: the record of the attempt, its status, its log, its result. Blocks.
//!
//! Invariants: the record precedes everything else of an attempt; what a report states about job, index, attempt and URL
//! is replaced by what the server knows; a final state is written last, once result and log are durable.

use super::objects::Fetched;
use crate::{
    model::{
        Failure, FailureKind, RepoState,
        attempt::AttemptRecord,
        repository::RepositoryStatus,
        status_file::{StatusPatch, raw_object},
    },
    store::{
        StoreError,
        atomic::{self, Durability},
        attempt,
        layout::JobDir,
        read,
    },
    supervisor::{RepoKey, status_files::PlannedRepository},
    wire::status::Kind,
};
use chrono::Utc;
use serde_json::{Map, Value};
use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// The repository of an attempt.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    pub(super) folder: JobDir,
    pub(super) key: RepoKey,
    pub(super) name: String,
    pub(super) git_url: String,
}

impl Repository {
    fn planned(&self) -> PlannedRepository<'_> {
        let Self { folder, key, name, git_url } = self;
        PlannedRepository { folder, key, name, git_url }
    }

    /// Records that an attempt was given to the agents, or that one has begun it.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn record(&self, record: &AttemptRecord) -> Result<(), StoreError> {
        // Only the second record can mark an attempt as remote: no scanner can write it.
        attempt::write_both(&self.folder, self.key.index, record)
    }

    /// Records an attempt that an agent has begun, and removes what earlier ones have left.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn begin(&self, record: &AttemptRecord) -> Result<(), StoreError> {
        self.record(record)?;
        let index = self.key.index;
        remove(&self.folder.result(index))?;
        let log = self.folder.log(index);
        open_log(&log).and_then(|file| file.set_len(0)).map_err(StoreError::at("create", log))
    }

    /// Writes a state that is not final.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn write_progress(
        &self,
        record: &AttemptRecord,
        kind: Kind,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let value = match raw_object(bytes) {
            Some(map) => self.own(record, map),
            None if kind == Kind::Began => self.patch(record, "starting", None).apply(None),
            // A scanner may write anything; the last good state stays.
            None => return Ok(()),
        };
        let state = RepositoryStatus::parse(self.key.index, value.to_string().as_bytes());
        // Results are fetched first: the final report follows.
        if !state.is_ok_and(|(status, _)| status.state.is_working()) {
            return Ok(());
        }
        self.folder.write_status(self.key.index, &value, Durability::Eventual)
    }

    /// Stores what is left of an attempt that has ended, and its last state.
    ///
    /// # Errors
    /// If the disk refuses; the call may be repeated.
    pub(super) fn finish(
        &self,
        record: &AttemptRecord,
        bytes: &[u8],
        files: &mut FinalFiles,
        max_result_bytes: u64,
    ) -> Result<(), StoreError> {
        let index = self.key.index;
        if let Some(log) = &mut files.log {
            self.append_rest(log)?;
        }
        let path = self.folder.result(index);
        let mut problem = std::mem::take(&mut files.problem);
        if let Some(result) = files.result.take() {
            let limit = "[limits] max_result_bytes";
            problem = problem.or(read::problem_of_json(result.path(), max_result_bytes, limit));
            result.persist(&path).map_err(StoreError::at("write", &path))?;
            // Its content is durable already.
            path.parent().map_or(Ok(()), atomic::flush_folder)?;
        }
        let Some(map) = raw_object(bytes) else { return Ok(()) };
        let mut value = self.own(record, map);
        let word = value["status"].as_str().unwrap_or_default().to_owned();
        let is_completed = RepoState::parse(&word) == RepoState::Completed;
        if let Some(problem) = problem.filter(|_| is_completed) {
            let detail = format!("The result file {problem}");
            let failure = Failure::new(FailureKind::Protocol, detail);
            let map = value.as_object().cloned();
            value = self.patch(record, "failed", Some(&failure)).apply(map);
        }
        self.folder.write_status(index, &value, Durability::Flushed)
    }

    /// Appends the part of a fetched log that is not there yet.
    fn append_rest(&self, log: &mut Fetched) -> Result<(), StoreError> {
        let path = self.folder.log(self.key.index);
        let append = || {
            let mut own = open_log(&path)?;
            let length = own.metadata()?.len();
            let mut rest = log.reopen()?;
            if length > rest.metadata()?.len() {
                own.set_len(0)?;
            }
            let length = own.seek(SeekFrom::End(0))?;
            rest.seek(SeekFrom::Start(length))?;
            io::copy(&mut rest, &mut own).map(drop)
        };
        append().map_err(StoreError::at("write", path))
    }

    /// A status with the members that only the server determines.
    fn own(&self, record: &AttemptRecord, mut map: Map<String, Value>) -> Value {
        map.insert("repo_index".to_owned(), self.key.index.into());
        map.insert("git_url".to_owned(), self.git_url.as_str().into());
        map.insert("attempt".to_owned(), record.attempt.into());
        Value::Object(map)
    }

    fn patch<'a>(
        &'a self,
        record: &AttemptRecord,
        word: &'a str,
        failure: Option<&'a Failure>,
    ) -> StatusPatch<'a> {
        let PlannedRepository { key, name, git_url, .. } = self.planned();
        StatusPatch {
            index: key.index,
            name,
            git_url,
            attempt: record.attempt,
            word,
            now: Utc::now(),
            started_at: Some(record.started_at),
            failure,
        }
    }
}

/// What was fetched of an attempt that has ended.
#[derive(Debug, Default)]
pub(super) struct FinalFiles {
    pub(super) result: Option<Fetched>,
    pub(super) log: Option<Fetched>,
    /// Why the result cannot be used.
    pub(super) problem: Option<String>,
}

/// Appends a piece to the log at this offset. Returns whether it fitted there.
///
/// # Errors
/// If the disk refuses.
pub(super) fn append_to_log(path: &Path, offset: u64, bytes: &[u8]) -> io::Result<bool> {
    let mut file = open_log(path)?;
    if file.metadata()?.len() != offset {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(offset))?;
    io::Write::write_all(&mut file, bytes)?;
    Ok(true)
}

fn open_log(path: &Path) -> io::Result<File> {
    use rustix::fs::OFlags;
    // An earlier attempt on this machine may have put anything at this path.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o640).custom_flags(flags);
    let file = options.open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::other("it is not a regular file"))
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::at("remove", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{attempt::RemoteAttempt, master::Master, plan::Plan, time::Timestamp},
        store::layout::JobsDir,
    };

    fn repository(root: &Path) -> (Repository, AttemptRecord) {
        let jobs = JobsDir::new(root).unwrap();
        jobs.create(0o750).unwrap();
        let id = "job".parse().unwrap();
        let folder = jobs.create_job(&id, 0o750, &Master::default(), &Plan::of([])).unwrap();
        let repository = Repository {
            folder,
            key: RepoKey { job: id, index: 3 },
            name: "r".to_owned(),
            git_url: "https://h.example/r.git".to_owned(),
        };
        let record = AttemptRecord {
            schema: 1,
            attempt: 2,
            interruptions: 0,
            retries: 0,
            alone: false,
            started_at: Timestamp::default(),
            remote: Some(RemoteAttempt {
                engine: "nats".to_owned(),
                agent: None,
                delivery: 1,
                element: None,
            }),
        };
        (repository, record)
    }

    fn status(repository: &Repository) -> Value {
        let bytes = std::fs::read(repository.folder.status(3)).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Breaks if an agent can report on another repository, or a result that is not there yet.
    #[test]
    fn a_report_is_written_as_one_of_the_servers_own_attempt() {
        let root = tempfile::tempdir().unwrap();
        let (repository, record) = repository(root.path());
        repository.begin(&record).unwrap();
        repository.write_progress(&record, Kind::Began, b"").unwrap();
        assert_eq!(status(&repository)["status"], "starting");
        let bytes = br#"{"status":"scanning","repo_index":9,"attempt":7,"git_url":"https://other/","own":1}"#;
        repository.write_progress(&record, Kind::Running, bytes).unwrap();
        let now = status(&repository);
        assert_eq!((&now["status"], &now["own"]), (&"scanning".into(), &1.into()));
        assert_eq!((&now["repo_index"], &now["attempt"]), (&3.into(), &2.into()));
        assert_eq!(now["git_url"], "https://h.example/r.git");
        for ignored in [&br#"{"status":"completed"}"#[..], b"{", br#"{"status":"pending"}"#] {
            repository.write_progress(&record, Kind::Running, ignored).unwrap();
            assert_eq!(status(&repository), now);
        }
    }

    #[test]
    fn a_completed_attempt_whose_result_is_damaged_has_failed() {
        let root = tempfile::tempdir().unwrap();
        let (repository, record) = repository(root.path());
        repository.begin(&record).unwrap();
        let bytes = br#"{"status":"completed","completed_at":"2026-01-01T00:00:00Z"}"#;
        let mut files =
            FinalFiles { problem: Some("is damaged".to_owned()), ..FinalFiles::default() };
        repository.finish(&record, bytes, &mut files, 1 << 20).unwrap();
        let now = status(&repository);
        assert_eq!(
            (&now["status"], &now["failure"]["kind"]),
            (&"failed".into(), &"protocol".into())
        );
        repository.finish(&record, bytes, &mut FinalFiles::default(), 1 << 20).unwrap();
        assert_eq!(status(&repository)["status"], "completed");
    }

    #[test]
    fn pieces_of_a_log_are_appended_once() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("log");
        assert!(append_to_log(&path, 0, b"ab").unwrap());
        assert!(!append_to_log(&path, 0, b"ab").unwrap());
        assert!(!append_to_log(&path, 3, b"d").unwrap());
        assert!(append_to_log(&path, 2, b"c").unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
    }
}
