//! The status file as far as the shim writes it: `starting` before the scanner, and the end that
//! the scanner did not write itself.
//!
//! Invariants: whatever a scanner of any kind has written (name, progress, fields that
//! scanwatch does not know) stays; and what is final is on the disk before the shim exits.

use super::{
    verdict::{Verdict, Written, judge},
    watch::Ending,
};
use crate::{
    model::{
        Failure, RepoState,
        attempt::Unsettled,
        redact::Redactor,
        repository::{RepositoryStatus, StatusPatch, has_all_of_an_end, raw_object},
        retry,
        task::ShimTask,
        time::Timestamp,
    },
    store::{
        StoreError,
        atomic::{self, Durability},
        layout::JobDir,
        read::{self, Signature},
        reserve::{self, Reserve},
    },
};
use chrono::Utc;
use serde_json::{Map, Value, json};
use std::{
    cell::{Cell, RefCell},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// How often a final write is tried, a second apart: a full disk may get room again.
const TRIES: usize = 30;

pub(super) struct Settler<'a> {
    task: &'a ShimTask,
    job: &'a JobDir,
    status: PathBuf,
    result: PathBuf,
    redactor: Redactor,
    started_at: Timestamp,
    /// The status file as the shim itself wrote it last.
    own: RefCell<Option<Signature>>,
    stderr: RefCell<String>,
    /// A flush has failed: what the scanner wrote may not be on the disk, whatever the next says.
    unflushed: Cell<bool>,
    /// For the first and the final state, should the disk be full.
    reserves: RefCell<Vec<Reserve>>,
}

impl<'a> Settler<'a> {
    pub(super) fn new(task: &'a ShimTask, job: &'a JobDir, reserves: Vec<Reserve>) -> Self {
        Self {
            task,
            job,
            status: job.status(task.scan.repo_index),
            result: job.result(task.scan.repo_index),
            redactor: Redactor::of_login(task.scan.credentials.as_ref()),
            started_at: Utc::now(),
            own: RefCell::new(None),
            stderr: RefCell::new(String::new()),
            unflushed: Cell::new(false),
            reserves: RefCell::new(reserves),
        }
    }

    /// Begins the status file anew: nothing of an earlier attempt stays.
    pub(super) fn write_starting(&self) -> Result<(), StoreError> {
        // A result of an earlier attempt is none of this one's.
        match std::fs::remove_file(&self.result) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::at("remove", &self.result)(error));
            }
            _ => {}
        }
        let mut value = self.patch("starting", None).apply(None);
        value["pid"] = std::process::id().into();
        self.write(&value, Durability::Eventual)
    }

    /// The end of what the scanner wrote to stderr.
    pub(super) fn keep_stderr(&self, tail: String) {
        *self.stderr.borrow_mut() = tail;
    }

    /// Tells one content of the status file from the next.
    pub(super) fn signature(&self) -> Option<Signature> {
        Signature::at(&self.status)
    }

    /// Writes the end of the attempt, or makes the scanner's own one durable.
    ///
    /// # Errors
    /// How it ended, where the disk refuses to keep that for longer than this process waits.
    pub(super) fn settle(&self, ending: &Ending) -> Result<(), Unsettled> {
        let mut tries = 0;
        loop {
            let (written, bytes) = self.written();
            let problem = self.problem_of_result();
            let limits = (self.task.timeout_secs, self.task.stall_timeout_secs);
            let verdict = judge(ending, written, problem.as_deref(), limits);
            let before = bytes.as_deref().and_then(raw_object);
            let unsettled = match &verdict {
                Verdict::Stands | Verdict::CompletedUnseen => Unsettled::Completed,
                Verdict::Ends(_, failure) | Verdict::Interrupted(failure) => {
                    Unsettled::Failed(failure.kind)
                }
            };
            match self.carry_out(verdict, before) {
                Ok(()) => return Ok(()),
                Err(_) if tries >= TRIES => return Err(unsettled),
                Err(_) => tries += 1,
            }
            thread::sleep(Duration::from_secs(1));
        }
    }

    fn carry_out(
        &self,
        verdict: Verdict,
        before: Option<Map<String, Value>>,
    ) -> Result<(), StoreError> {
        match verdict {
            Verdict::Stands => self.let_stand(before),
            Verdict::CompletedUnseen => {
                let mut value = self.patch("completed", None).apply(before);
                if !self.result.exists() {
                    value["warnings"] =
                        json!(["The scanner wrote neither a status nor a result file"]);
                }
                value["message"] = "Completed".into();
                self.flush_result()?;
                self.write(&value, Durability::Flushed)
            }
            Verdict::Ends(state, failure) => {
                let value =
                    self.patch(state.as_str(), Some(&self.redacted(&failure))).apply(before);
                self.write(&value, Durability::Flushed)
            }
            Verdict::Interrupted(failure) => {
                let value = self.patch("interrupted", Some(&failure)).apply(before);
                self.write(&value, Durability::Flushed)
            }
        }
    }

    /// Keeps the scanner's own final state, filled up with what every status has, and flushed.
    fn let_stand(&self, before: Option<Map<String, Value>>) -> Result<(), StoreError> {
        self.flush_result()?;
        let Some(before) = before else {
            return self.make_durable(&self.status);
        };
        let word = before.get("status").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !has_all_of_an_end(&before) || self.counts_tries(RepoState::parse(&word)) {
            let value = self.patch(&word, None).apply(Some(before));
            return self.write(&value, Durability::Flushed);
        }
        self.make_durable(&self.status)
    }

    /// Whether an end in this state is one of several tries, which its error is to say.
    fn counts_tries(&self, end: RepoState) -> bool {
        self.task.retries > 0 && matches!(end, RepoState::Failed | RepoState::TimedOut)
    }

    fn flush_result(&self) -> Result<(), StoreError> {
        if self.result.is_file() { self.make_durable(&self.result) } else { Ok(()) }
    }

    /// Flushes what the scanner wrote. After a flush that failed it is written anew: by then it has
    /// been read again, and makes sense.
    fn make_durable(&self, path: &Path) -> Result<(), StoreError> {
        if self.unflushed.get() {
            return atomic::rewrite(self.job.staging(), path);
        }
        atomic::flush(path).inspect_err(|_| self.unflushed.set(true))
    }

    fn written(&self) -> (Written, Option<Vec<u8>>) {
        let Ok((bytes, signature)) = read::whole(&self.status, read::STATUS_CAP) else {
            return (Written::Unreadable, None);
        };
        let written = if Some(signature) == *self.own.borrow() {
            Written::Nothing
        } else {
            match RepositoryStatus::parse(self.task.scan.repo_index, &bytes) {
                Ok((status, _)) => Written::State(status.state),
                Err(_) => Written::Unreadable,
            }
        };
        (written, Some(bytes))
    }

    /// What is wrong with the result file, if there is one and something is.
    fn problem_of_result(&self) -> Option<String> {
        let cap = self.task.scan.limits.max_result_bytes;
        read::problem_of_json(&self.result, cap, "[limits] max_result_bytes")
    }

    fn patch<'b>(&'b self, word: &'b str, failure: Option<&'b Failure>) -> StatusPatch<'b> {
        StatusPatch {
            index: self.task.scan.repo_index,
            name: &self.task.scan.repo_name,
            git_url: &self.task.scan.git_url,
            attempt: self.task.scan.attempt,
            word,
            now: Utc::now(),
            started_at: Some(self.started_at),
            failure,
        }
    }

    fn redacted(&self, failure: &Failure) -> Failure {
        Failure { detail: self.redactor.redact(&failure.detail).into_owned(), ..failure.clone() }
    }

    fn write(&self, value: &Value, durability: Durability) -> Result<(), StoreError> {
        let mut value = value.clone();
        let stderr = self.stderr.borrow();
        let ended = value["status"].as_str().map(RepoState::parse);
        if ended.is_some_and(RepoState::is_failure) && !stderr.is_empty() {
            value["stderr"] = stderr.as_str().into();
        }
        if ended.is_some_and(|it| self.counts_tries(it)) {
            retry::note_tries(&mut value, self.task.retries + 1);
        }
        self.put(value, durability)?;
        *self.own.borrow_mut() = self.signature();
        Ok(())
    }

    /// Puts a status into its place; on a disk that is full, into the space that was set aside.
    fn put(&self, value: Value, durability: Durability) -> Result<(), StoreError> {
        match self.job.write_status(self.task.scan.repo_index, &value, durability) {
            Err(error) if reserve::is_full(&error) => {
                let mut reserves = self.reserves.borrow_mut();
                let Some(reserve) = reserves.last_mut() else { return Err(error) };
                reserve.replace(&self.status, &fitting(value))?;
                // It is the status now.
                reserves.pop();
                Ok(())
            }
            other => other,
        }
    }
}

/// A status as text that fits into the space that was set aside: of one that is larger, what a scanner
/// has added goes.
fn fitting(mut value: Value) -> Vec<u8> {
    const SMALL: usize = 512;
    let text = |value: &Value| format!("{value:#}\n").into_bytes();
    let whole = text(&value);
    if whole.len() <= reserve::SIZE {
        return whole;
    }
    if let Some(map) = value.as_object_mut() {
        map.retain(|key, value| {
            matches!(key.as_str(), "git_url" | "failure" | "error_message")
                || value.as_str().is_some_and(|it| it.len() <= SMALL)
                || !(value.is_string() || value.is_array() || value.is_object())
        });
    }
    let text = text(&value);
    // A hundred thousand numbers of a scanner's own: then its figures go, too.
    if text.len() <= reserve::SIZE { text } else { minimal(&value) }
}

fn minimal(value: &Value) -> Vec<u8> {
    let keys = ["status", "attempt", "failure", "completed_at", "repo_name", "repo_index", "pid"];
    let map: Map<_, _> =
        keys.iter().filter_map(|key| Some(((*key).to_owned(), value.get(*key)?.clone()))).collect();
    format!("{:#}\n", Value::Object(map)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_scanner_has_added_the_final_state_fits() {
        let mut value = json!({
            "status": "failed", "attempt": 2, "repo_name": "r", "current_file": 7,
            "failure": { "kind": "limit", "detail": "why" },
        });
        assert_eq!(raw_object(&fitting(value.clone())).unwrap()["current_file"], 7);
        value["errors"] = json!(vec!["x".repeat(99); 10_000]);
        let fits = fitting(value.clone());
        assert!(fits.len() <= reserve::SIZE);
        let kept = raw_object(&fits).unwrap();
        assert_eq!((&kept["failure"]["kind"], &kept["current_file"]), (&json!("limit"), &json!(7)));
        for number in 0..100_000 {
            value[format!("own_{number}")] = number.into();
        }
        let fits = fitting(value);
        assert!(fits.len() <= reserve::SIZE);
        assert_eq!(raw_object(&fits).unwrap()["failure"]["detail"], "why");
    }
}
