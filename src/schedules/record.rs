//! What a schedule has run: the content of `NAME.state.json`.
//!
//! Input: outcomes of runs. Output: the next content of the file. Invariants: a run is written as pending, with
//! the id of its job, before that job is created; so after a crash the job exists and the run is done, or
//! it does not exist and is created with the same id. The number of listed skips is bounded.

use crate::model::{
    JobId,
    schedule::ScheduleSpec,
    time::{self, Timestamp},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the file's layout.
const SCHEMA: u32 = 1;
/// How many skipped runs are listed.
const LISTED: usize = 10;

/// Why a run starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RunCause")]
pub enum Cause {
    /// Its time has come.
    Due,
    /// It was missed, and is made up for.
    CatchUp,
    /// A user asked for it.
    Manual,
}

/// How the last run ended for the schedule; the state of its job is another matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Its job was created.
    Started,
    /// It was not started: the run before is not finished, it was missed, or the queue was full until the next.
    Skipped,
    /// The submission was refused, as `POST /scan` would refuse it.
    Failed,
}

/// A run that has not started yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PendingRun")]
pub struct Pending {
    /// The time of the pattern, or of the request.
    #[serde(with = "time")]
    #[schemars(with = "Timestamp")]
    pub due: Timestamp,
    /// The id that the job will have.
    pub job_id: JobId,
    pub cause: Cause,
    /// The job of the run before, which is not finished.
    pub waits_for: Option<JobId>,
    /// Why it could not start yet; it is tried again.
    pub reason: Option<String>,
}

/// A run that was skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SkippedRun")]
pub struct Skip {
    /// The time of the pattern.
    #[serde(with = "time")]
    #[schemars(with = "Timestamp")]
    pub due: Timestamp,
    pub reason: String,
}

/// What a schedule has run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    schema: u32,
    /// What `handled` belongs to.
    rule: String,
    /// Every time of the pattern up to this one has been run, skipped, or is pending.
    #[serde(with = "time")]
    pub(super) handled: Timestamp,
    pub(super) pending: Option<Pending>,
    #[serde(flatten)]
    pub(super) history: History,
    /// When the next run starts, for people who read the file.
    #[serde(with = "time::option", default)]
    pub(super) next_run: Option<Timestamp>,
}

/// The runs so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// When the last job was created.
    #[serde(with = "time::option", default)]
    #[schemars(with = "Option<Timestamp>")]
    pub last_run: Option<Timestamp>,
    /// The last job.
    pub last_job: Option<JobId>,
    /// What became of the last run.
    pub last_result: Option<RunOutcome>,
    /// Why it was skipped or failed.
    pub last_reason: Option<String>,
    /// The number of jobs that were created.
    #[serde(default)]
    pub runs: u64,
    /// The number of runs that were skipped.
    #[serde(default)]
    pub skipped_runs: u64,
    /// The last 10 skipped runs, newest first.
    #[serde(default)]
    pub recent_skips: Vec<Skip>,
}

impl Record {
    /// The record of a new schedule.
    pub(super) fn new(spec: &ScheduleSpec, now: Timestamp) -> Self {
        Self {
            schema: SCHEMA,
            rule: spec.rule(),
            handled: now,
            pending: None,
            history: History::default(),
            next_run: None,
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Why the content is no record.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut record: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        record.history.recent_skips.truncate(LISTED);
        Ok(record)
    }

    /// Starts to count from now if the rule has changed. Returns whether it has.
    pub(super) fn follow(&mut self, spec: &ScheduleSpec, now: Timestamp) -> bool {
        let rule = spec.rule();
        if self.rule == rule {
            return false;
        }
        (self.rule, self.handled) = (rule, now);
        true
    }

    /// A run was skipped.
    pub(super) fn skip(&mut self, due: Timestamp, reason: String) {
        let history = &mut self.history;
        history.skipped_runs += 1;
        history.last_result = Some(RunOutcome::Skipped);
        history.last_reason = Some(reason.clone());
        history.recent_skips.insert(0, Skip { due, reason });
        history.recent_skips.truncate(LISTED);
    }

    /// The job of the pending run exists.
    pub(super) fn started(&mut self, created_at: Timestamp) {
        let Some(pending) = self.pending.take() else { return };
        let history = &mut self.history;
        history.runs += 1;
        history.last_run = Some(created_at);
        history.last_job = Some(pending.job_id);
        history.last_result = Some(RunOutcome::Started);
        history.last_reason = None;
    }

    /// The submission of the pending run was refused for good.
    pub(super) fn failed(&mut self, reason: String) {
        self.pending = None;
        self.history.last_result = Some(RunOutcome::Failed);
        self.history.last_reason = Some(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(cron: &str) -> ScheduleSpec {
        let members = json!({ "cron": cron, "git_url": "https://github.com/acme" });
        let serde_json::Value::Object(members) = members else { unreachable!() };
        ScheduleSpec::parse(members).unwrap()
    }

    /// Fails if a record grows with each skipped run, or is another one after a restart.
    #[test]
    fn a_record_is_bounded_and_read_as_it_was_written() {
        let now = time::of_text("2026-01-01T00:00:00Z").unwrap();
        let mut record = Record::new(&spec("0 2 * * *"), now);
        for number in 0..50 {
            record.skip(now, format!("reason {number}"));
        }
        record.pending = Some(Pending {
            due: now,
            job_id: "job".parse().unwrap(),
            cause: Cause::CatchUp,
            waits_for: None,
            reason: None,
        });
        let bytes = serde_json::to_vec(&record).unwrap();
        assert_eq!(Record::parse(&bytes), Ok(record.clone()));
        record.started(now);
        assert_eq!(record.history.recent_skips.len(), LISTED);
        assert_eq!(record.history.recent_skips[0].reason, "reason 49");
        assert_eq!((record.history.runs, record.history.skipped_runs), (1, 50));
        assert!(Record::parse(b"{}").is_err() && Record::parse(b"\xff").is_err());
    }

    /// Fails if the times of a new pattern that lie before the change are made up for.
    #[test]
    fn a_new_pattern_counts_from_its_change() {
        let [then, now] = ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]
            .map(|text| time::of_text(text).unwrap());
        let mut record = Record::new(&spec("0 2 * * *"), then);
        assert!(!record.follow(&spec("0 2 * * *"), now));
        assert_eq!(record.handled, then);
        assert!(record.follow(&spec("* * * * *"), now));
        assert_eq!(record.handled, now);
        let off = ScheduleSpec { enabled: false, ..spec("* * * * *") };
        assert!(record.follow(&off, then));
    }
}
