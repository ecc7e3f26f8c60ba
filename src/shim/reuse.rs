//! The shim's use of the store of results: the known result that it gives to the scanner, the state of a repository that
//! has not changed, and the result that it stores after a scan.
//!
//! Input: the task, and what the scanner wrote. Output: the known result, opened before the scanner starts; the final status of a
//! repository whose result is reused; a stored result.
//!
//! Invariants: a scanner reports `unchanged`, and what is reused is decided here: the result that was opened for this attempt.
//! A status is not final until its result is in place, so an attempt that dies in between is repeated. A failure of the store
//! fails no scan.

use crate::{
    model::{
        RepoState,
        json::count_of,
        redact::Redactor,
        task::{Known, Reuse, ShimTask},
        time,
    },
    store::{
        StoreError, chain,
        layout::{JobDir, JobsDir},
        read,
        results::{Facts, Names, Origin, ResultKey, ResultStore, Stored, is_commit},
    },
};
use chrono::Utc;
use serde_json::{Map, Value};
use std::cell::RefCell;

/// The part of an attempt that concerns the store.
pub(super) struct Results {
    store: ResultStore,
    target: Option<ResultKey>,
    known: RefCell<Option<Stored>>,
    /// The commit that the forge named before the scan of another scanner.
    commit: RefCell<Option<String>>,
}

/// What the scanner reports about a repository that has not changed.
pub(super) struct Unchanged {
    pub(super) commit: String,
    seen: Option<u64>,
}

impl Results {
    /// Opens the known result of a task.
    pub(super) fn of(jobs: &JobsDir, task: &ShimTask) -> Self {
        let store = ResultStore::of(jobs);
        let target = ResultKey::of(task);
        let wanted = target.as_ref().filter(|_| task.reuse == Reuse::Reuse);
        let known = RefCell::new(wanted.and_then(|target| store.open(target)));
        Self { store, target, known, commit: RefCell::new(None) }
    }

    /// Whether the built-in scanner has to learn the commit, because the scanner is another one.
    pub(super) fn needs_check(&self, task: &ShimTask) -> bool {
        self.target.is_some() && !task.command.is_empty()
    }

    /// Notes the commit that a check found.
    pub(super) fn note_commit(&self, status: Option<&Map<String, Value>>) {
        *self.commit.borrow_mut() = status.and_then(commit_in);
    }

    /// Keeps the noted commit only if a check after the scan found the same.
    pub(super) fn confirm_commit(&self, status: Option<&Map<String, Value>>) {
        let after = status.and_then(commit_in);
        let mut commit = self.commit.borrow_mut();
        *commit = commit.take().filter(|before| after.as_ref() == Some(before));
    }

    /// The part of the known result that is sent to the scanner.
    pub(super) fn known(&self) -> Option<Known> {
        let known = self.known.borrow();
        let record = known.as_ref()?.record();
        Some(Known { commit: record.commit.clone(), files_digest: record.files_digest.clone() })
    }

    /// The report of a scanner that nothing has changed, in a status that is not final.
    pub(super) fn unchanged(&self, status: &Map<String, Value>) -> Option<Unchanged> {
        let known = self.known.borrow();
        let record = known.as_ref()?.record();
        let is_working = RepoState::parse(status.get("status")?.as_str()?).is_working();
        if !is_working || status.get("unchanged") != Some(&Value::Bool(true)) {
            return None;
        }
        let commit = commit_in(status).unwrap_or_else(|| record.commit.clone());
        Some(Unchanged { commit, seen: status.get("files_seen").and_then(count_of) })
    }

    /// Writes the known result as the one of this scan. Returns the members of its final status.
    pub(super) fn put(
        &self,
        job: &JobDir,
        task: &ShimTask,
        unchanged: &Unchanged,
    ) -> Result<Map<String, Value>, StoreError> {
        let mut known = self.known.borrow_mut();
        let Some(stored) = known.as_mut() else { return Ok(Map::new()) };
        let redactor = Redactor::of_logins(task.scan.logins());
        let names = Names {
            repo_index: task.scan.repo_index,
            repo_name: &redactor.redact(&task.scan.repo_name),
            git_url: &redactor.redact(&task.scan.git_url),
            commit: &unchanged.commit,
            seen: unchanged.seen,
        };
        stored.write_result(job.staging(), &task.scan.result_file, &names)?;
        let record = stored.record();
        let mut members = Map::new();
        let mut set = |key: &str, value: Value| members.insert(key.to_owned(), value);
        set("reused_from", record.origin.job_id.as_str().into());
        set("commit", unchanged.commit.as_str().into());
        let found = record.facts.dependencies_found;
        set(
            "message",
            match found {
                Some(found) => format!("Unchanged: {found} packages").into(),
                None => "Unchanged".into(),
            },
        );
        if let Some(found) = found {
            set("dependencies_found", found.into());
        }
        if let Some(total) = record.facts.total_files {
            set("total_files", total.into());
            set("current_file", total.into());
            set("percentage", 100.into());
        }
        if let Some(digest) = &record.files_digest {
            set("files_digest", digest.as_str().into());
        }
        Ok(members)
    }

    /// Stores the result of an attempt whose final state is on the disk, or notes that the known one was reused. Returns a line
    /// for the log if something failed.
    pub(super) fn keep(&self, job: &JobDir, task: &ShimTask) -> Option<String> {
        let target = self.target.as_ref()?;
        let index = task.scan.repo_index;
        let (bytes, _) = read::whole(&job.status(index), read::STATUS_CAP).ok()?;
        let status: Map<String, Value> = serde_json::from_slice(&bytes).ok()?;
        let text = |key: &str| status.get(key).and_then(Value::as_str);
        if text("status") != Some(RepoState::Completed.as_str()) {
            return None;
        }
        let known = self.known.borrow();
        let reused = known.as_ref().filter(|_| status.contains_key("reused_from"));
        let facts = Facts {
            dependencies_found: status.get("dependencies_found").and_then(count_of),
            total_files: status.get("total_files").and_then(count_of),
        };
        let origin = match reused {
            Some(stored) if text("commit") == Some(&stored.record().commit) => {
                self.store.note_use(stored);
                return None;
            }
            Some(stored) => stored.record().origin.clone(),
            None => Origin {
                job_id: task.scan.job_id.clone(),
                repo_index: index,
                repo_name: task.scan.repo_name.clone(),
                produced_at: Utc::now(),
            },
        };
        let digest = text("files_digest");
        // The built-in scanner writes no digest for a result that might differ the next time.
        if digest.is_none() && task.command.is_empty() {
            return None;
        }
        let commit = commit_in(&status).or_else(|| self.commit.borrow().clone());
        let result = job.result(index);
        let stored = self.store.store(target, &result, commit.as_deref(), digest, origin, facts);
        let error = stored.err()?;
        Some(format!("the result cannot be stored for reuse: {}", chain(&error)))
    }
}

/// The commit that a status names.
fn commit_in(status: &Map<String, Value>) -> Option<String> {
    let commit = status.get("commit").and_then(Value::as_str)?;
    is_commit(commit).then(|| commit.to_owned())
}

/// The time at which the scanner asked for the commit, or now.
pub(super) fn checked_at(status: &Map<String, Value>) -> String {
    let told = status.get("checked_at").and_then(time::parse);
    time::format(told.unwrap_or_else(Utc::now))
}
