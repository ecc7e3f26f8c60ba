//! The shim's writes to the status file: `starting` before the scanner runs, and the final state if
//! the scanner did not write one.
//!
//! Input: how the scanner's run ended, and the status file. Output: a durable final state.
//!
//! Invariants: whatever any scanner has written (name, progress, unknown members) is kept; a final
//! state is on the disk before the shim exits.

use super::{
    reuse::{self, Results, Unchanged},
    verdict::{RunEnd, Verdict, Written, judge},
};
use crate::{
    model::{
        Failure, FailureKind, RepoState,
        attempt::UnwrittenEnd,
        redact::Redactor,
        repository::RepositoryStatus,
        retry,
        status_file::{StatusPatch, is_complete_final_status, raw_object},
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
    sys::ChildEnd,
};
use chrono::Utc;
use serde_json::{Map, Value, json};
use std::{
    cell::{Cell, RefCell},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// How often a final write is tried, one second apart: a full disk may get free space again.
const TRIES: usize = 30;

pub(super) struct Finalizer<'a> {
    task: &'a ShimTask,
    job: &'a JobDir,
    results: &'a Results,
    status: PathBuf,
    result: PathBuf,
    redactor: Redactor,
    started_at: Timestamp,
    /// The signature of the status file after the shim's own last write.
    own: RefCell<Option<Signature>>,
    stderr: RefCell<String>,
    /// An fsync has failed: what the scanner wrote may not be on the disk, even if the next fsync
    /// succeeds.
    unflushed: Cell<bool>,
    /// Reserved space for the first and the final state, in case the disk is full.
    reserves: RefCell<Vec<Reserve>>,
}

impl<'a> Finalizer<'a> {
    pub(super) fn new(
        task: &'a ShimTask,
        job: &'a JobDir,
        results: &'a Results,
        reserves: Vec<Reserve>,
    ) -> Self {
        Self {
            task,
            job,
            results,
            status: job.status(task.scan.repo_index),
            result: job.result(task.scan.repo_index),
            redactor: Redactor::of_logins(task.scan.logins()),
            started_at: Utc::now(),
            own: RefCell::new(None),
            stderr: RefCell::new(String::new()),
            unflushed: Cell::new(false),
            reserves: RefCell::new(reserves),
        }
    }

    /// Resets the status file: nothing of an earlier attempt stays.
    pub(super) fn write_starting(&self) -> Result<(), StoreError> {
        // The result of an earlier attempt does not belong to this one.
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

    /// Writes the status of a check that found nothing changed.
    pub(super) fn write_unchanged(&self, status: Map<String, Value>) -> Result<(), StoreError> {
        let mut value = self.patch("analyzing", None).apply(Some(status));
        value["unchanged"] = true.into();
        self.write(&value, Durability::Eventual)
    }

    /// Stores the end of the scanner's stderr.
    pub(super) fn keep_stderr(&self, tail: String) {
        *self.stderr.borrow_mut() = tail;
    }

    /// Identifies the current content of the status file.
    fn signature(&self) -> Option<Signature> {
        Signature::at(&self.status)
    }

    /// Writes the final state of the attempt, or makes the scanner's own final state durable.
    ///
    /// # Errors
    /// How the attempt ended, if the disk refuses the write for longer than the shim retries.
    pub(super) fn finalize(&self, ending: &RunEnd) -> Result<(), UnwrittenEnd> {
        let mut tries = 0;
        loop {
            let (written, bytes) = self.written();
            let problem = self.problem_of_result();
            let limits = (self.task.timeout_secs, self.task.stall_timeout_secs);
            let verdict = judge(ending, written, problem.as_deref(), limits);
            let before = bytes.as_deref().and_then(raw_object);
            if let Some(unchanged) = self.unchanged(ending, before.as_ref()) {
                match self.reuse(&unchanged, before) {
                    Ok(()) => return Ok(()),
                    Err(_) if tries >= TRIES => {
                        return Err(UnwrittenEnd::Failed(FailureKind::Exit));
                    }
                    Err(_) => tries += 1,
                }
                thread::sleep(Duration::from_secs(1));
                continue;
            }
            let unwritten = match &verdict {
                Verdict::Stands | Verdict::CompletedWithoutStatus => UnwrittenEnd::Completed,
                Verdict::Ends(_, failure) | Verdict::Interrupted(failure) => {
                    UnwrittenEnd::Failed(failure.kind)
                }
            };
            match self.carry_out(verdict, before) {
                Ok(()) => return Ok(()),
                Err(_) if tries >= TRIES => return Err(unwritten),
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
            Verdict::CompletedWithoutStatus => {
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

    /// The report that nothing has changed, from a scanner that ended in good order.
    fn unchanged(&self, ending: &RunEnd, status: Option<&Map<String, Value>>) -> Option<Unchanged> {
        let has_ended = *ending == RunEnd::Ended(ChildEnd::Exited(0));
        self.results.unchanged(status.filter(|_| has_ended)?)
    }

    /// Completes a repository with the known result.
    fn reuse(
        &self,
        unchanged: &Unchanged,
        before: Option<Map<String, Value>>,
    ) -> Result<(), StoreError> {
        let checked_at = before.as_ref().map(reuse::checked_at);
        let members = self.results.put(self.job, self.task, unchanged)?;
        let mut value = self.patch("completed", None).apply(before);
        value["checked_at"] = checked_at.into();
        if let Some(map) = value.as_object_mut() {
            map.extend(members);
        }
        self.write(&value, Durability::Flushed)
    }

    /// Keeps the scanner's own final state, completed with the members that every status has, and
    /// fsynced.
    fn let_stand(&self, before: Option<Map<String, Value>>) -> Result<(), StoreError> {
        self.flush_result()?;
        let Some(before) = before else {
            return self.make_durable(&self.status);
        };
        let word = before.get("status").and_then(Value::as_str).unwrap_or_default().to_owned();
        let claims = before.contains_key("reused_from") || before.contains_key("unchanged");
        if claims
            || !is_complete_final_status(&before)
            || self.counts_tries(RepoState::parse(&word))
        {
            let value = self.patch(&word, None).apply(Some(before));
            return self.write(&value, Durability::Flushed);
        }
        self.make_durable(&self.status)
    }

    /// Whether a final state of this kind follows several tries, which its error has to mention.
    fn counts_tries(&self, end: RepoState) -> bool {
        self.task.retries > 0 && matches!(end, RepoState::Failed | RepoState::TimedOut)
    }

    fn flush_result(&self) -> Result<(), StoreError> {
        if self.result.is_file() { self.make_durable(&self.result) } else { Ok(()) }
    }

    /// Fsyncs what the scanner wrote. After a failed fsync the file is rewritten; it has been read
    /// and validated again by then.
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

    /// The problem of the result file, if it exists and is invalid.
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
        if ended.is_some_and(|state| self.counts_tries(state)) {
            retry::note_tries(&mut value, self.task.retries + 1);
        }
        self.put(value, durability)?;
        *self.own.borrow_mut() = self.signature();
        Ok(())
    }

    /// Writes a status; on a full disk, into the reserved space.
    fn put(&self, value: Value, durability: Durability) -> Result<(), StoreError> {
        match self.job.write_status(self.task.scan.repo_index, &value, durability) {
            Err(error) if reserve::is_full(&error) => {
                let mut reserves = self.reserves.borrow_mut();
                let Some(reserve) = reserves.last_mut() else { return Err(error) };
                reserve.replace(&self.status, &fitting(value))?;
                // The reserved file has become the status file.
                reserves.pop();
                Ok(())
            }
            other => other,
        }
    }
}

/// Serializes a status so that it fits into the reserved space: drops a scanner's additional
/// members if it is too large.
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
                || value.as_str().is_some_and(|text| text.len() <= SMALL)
                || !(value.is_string() || value.is_array() || value.is_object())
        });
    }
    let text = text(&value);
    // A custom scanner's own numbers may still be too many: drop the figures, too.
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
    fn a_final_state_fits_into_the_reserved_space_whatever_a_scanner_added() {
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
