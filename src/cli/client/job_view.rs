//! What a command knows about a job that it follows: turns events into updates for the display.
//!
//! Input: events of one job. Output: [`JobUpdate`]s. Invariants: pure; nothing is reported twice,
//! however often snapshots repeat it; a missing or invalid member affects only itself.

use crate::model::{
    JobId, JobState, RepoState, report::Report, repository::RepositoryStatus, state::Summary,
};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// A change to display.
#[derive(Debug, PartialEq)]
pub(in crate::cli) enum JobUpdate {
    /// A repository is being scanned.
    Working(RepositoryStatus),
    /// A repository, or one attempt of it, is finished.
    Finished(RepositoryStatus),
    /// A repository waits for its next attempt; its message has the time and the cause.
    Waiting(RepositoryStatus),
    /// The counts of the job may have changed.
    Counts,
    /// The job is finished.
    JobFinished(JobState),
}

/// The state of a job, according to its events.
#[derive(Debug)]
pub(in crate::cli) struct JobView {
    pub(in crate::cli) id: JobId,
    /// The URL that was submitted; the id until it is known.
    pub(in crate::cli) title: String,
    pub(in crate::cli) summary: Summary,
    pub(in crate::cli) elapsed_seconds: Option<u64>,
    pub(in crate::cli) eta_seconds: Option<u64>,
    /// Nothing more of the job is started until it is resumed.
    pub(in crate::cli) paused: bool,
    /// The report at the end, as one line, if the server sent one.
    pub(in crate::cli) report: Option<String>,
    /// How many entries have been found, while they are being listed.
    pub(in crate::cli) discovered: Option<u64>,
    /// How many errors the listing had.
    pub(in crate::cli) discovery_errors: u64,
    joined: bool,
    /// The repositories whose final state was reported, and whether they failed.
    finished: HashMap<u32, bool>,
    /// The last message of each repository that waits for its next attempt.
    waiting: HashMap<u32, String>,
}

impl JobView {
    /// Creates a view of which only the job id is known.
    pub(in crate::cli) fn new(id: &JobId) -> Self {
        Self {
            id: id.clone(),
            title: id.to_string(),
            summary: Summary::default(),
            elapsed_seconds: None,
            eta_seconds: None,
            paused: false,
            report: None,
            discovered: None,
            discovery_errors: 0,
            joined: false,
            finished: HashMap::new(),
            waiting: HashMap::new(),
        }
    }

    /// Applies an event and returns the changes to display.
    pub(in crate::cli) fn apply(&mut self, event: &str, data: &Value) -> Vec<JobUpdate> {
        match event {
            "snapshot" => self.snapshot(data),
            "repository" => {
                repository_of(data).and_then(|status| self.repository(status)).into_iter().collect()
            }
            "job" => {
                self.counts(data);
                vec![JobUpdate::Counts]
            }
            "end" => {
                self.counts(data);
                let state = data["status"].as_str().and_then(JobState::parse_final);
                vec![JobUpdate::Counts, JobUpdate::JobFinished(state.unwrap_or(JobState::Failed))]
            }
            // An event of a newer server.
            _ => Vec::new(),
        }
    }

    fn snapshot(&mut self, data: &Value) -> Vec<JobUpdate> {
        if let Some(url) = data["group_url"].as_str() {
            url.clone_into(&mut self.title);
        }
        self.counts(data);
        let mut updates = Vec::new();
        for status in repositories_of(data) {
            updates.extend(self.repository(status));
        }
        // The first snapshot reports earlier failures, but not earlier successes.
        if !std::mem::replace(&mut self.joined, true) {
            updates.retain(
                |update| !matches!(update, JobUpdate::Finished(status) if !status.state.is_failure()),
            );
        }
        updates.push(JobUpdate::Counts);
        updates
    }

    /// Whether this is a group of repositories, or not known yet.
    pub(in crate::cli) fn is_group(&self) -> bool {
        self.summary.total_repositories != 1 || self.discovered.is_some()
    }

    /// Whether a reported failure explains why the job failed.
    pub(in crate::cli) fn has_reported_failure(&self) -> bool {
        self.finished.values().any(|failed| *failed)
    }

    fn counts(&mut self, data: &Value) {
        if let Ok(summary) = serde_json::from_value(data["summary"].clone()) {
            self.summary = summary;
        }
        self.elapsed_seconds = data["elapsed_time_seconds"].as_u64().or(self.elapsed_seconds);
        self.eta_seconds = data["eta_seconds"].as_u64();
        self.paused = data["paused"] == true;
        self.report = report_of(data);
        self.discovered = discovered(data);
        self.discovery_errors = data["discovery_errors_total"].as_u64().unwrap_or(0);
    }

    fn repository(&mut self, status: RepositoryStatus) -> Option<JobUpdate> {
        let index = status.index;
        if status.state.is_final() {
            let reported = self.finished.insert(index, status.state.is_failure());
            return reported.is_none().then_some(JobUpdate::Finished(status));
        }
        // The next attempt has started, or will start.
        self.finished.remove(&index);
        if status.state.is_working() {
            self.waiting.remove(&index);
            return Some(JobUpdate::Working(status));
        }
        // Only a waiting retry has a message and the status `pending`; skip queued and interrupted
        // ones.
        let message = status.progress.as_ref().and_then(|progress| progress.message.clone());
        let message = message.filter(|_| status.word() == RepoState::Pending.as_str())?;
        let reported = self.waiting.insert(index, message.clone());
        (reported.as_deref() != Some(&message)).then_some(JobUpdate::Waiting(status))
    }
}

/// The report in a document or event of a finished job, as one line; `None` if its counts say as much.
pub(in crate::cli) fn report_of(data: &Value) -> Option<String> {
    let report: Report = serde_json::from_value(data["report"].clone()).ok()?;
    let has_reasons = !(report.failed.is_empty() && report.skipped.is_empty());
    let report = has_reasons.then_some(report)?;
    let reused = data["summary"]["reused"].as_u64().filter(|count| *count > 0);
    let reused = reused.map(|count| format!(", {count} reused")).unwrap_or_default();
    Some(format!("{report}{reused}"))
}

/// How many entries have been found, according to an event of a job whose repositories are being
/// listed.
pub(in crate::cli) fn discovered(data: &Value) -> Option<u64> {
    let is_listed = data["discovering"] == true;
    is_listed.then(|| data["totals"]["found"].as_u64().unwrap_or(0))
}

/// The repositories of a snapshot, failed ones with their errors.
pub(in crate::cli) fn repositories_of(snapshot: &Value) -> Vec<RepositoryStatus> {
    let empty = Vec::new();
    let list = |name: &str| snapshot[name].as_array().unwrap_or(&empty);
    // The errors are in a separate list, in the same order.
    let mut errors: HashMap<&str, Vec<&Value>> = HashMap::new();
    for row in list("failed_repositories").iter().rev() {
        errors.entry(row["repo_name"].as_str().unwrap_or_default()).or_default().push(row);
    }
    let mut repositories = Vec::new();
    for row in list("repositories").iter().filter_map(Value::as_object) {
        let mut row = row.clone();
        let name = row.get("repo_name").and_then(Value::as_str).unwrap_or_default();
        let failed = matches!(
            row.get("status").and_then(Value::as_str),
            Some("failed" | "timeout" | "cancelled")
        );
        if let Some(error_row) = errors.get_mut(name).filter(|_| failed).and_then(Vec::pop) {
            row.insert("error".to_owned(), error_row["error"].clone());
            row.insert("failure".to_owned(), error_row["failure"].clone());
        }
        repositories.extend(status_of(&row));
    }
    repositories
}

/// The repository of a `repository` event.
pub(in crate::cli) fn repository_of(event: &Value) -> Option<RepositoryStatus> {
    status_of(event.as_object()?)
}

/// Parses a row as a status file; the progress figures of a row are one level deeper.
fn status_of(row: &Map<String, Value>) -> Option<RepositoryStatus> {
    let index = u32::try_from(row.get("repo_index")?.as_u64()?).ok()?;
    let mut flat = row.clone();
    if let Some(Value::Object(figures)) = flat.remove("progress") {
        flat.extend(figures);
    }
    if let Some(error) = flat.remove("error") {
        flat.insert("error_message".to_owned(), error);
    }
    let bytes = serde_json::to_vec(&flat).ok()?;
    RepositoryStatus::parse(index, &bytes).ok().map(|(status, _)| status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn described(updates: &[JobUpdate]) -> Vec<String> {
        updates
            .iter()
            .map(|update| match update {
                JobUpdate::Working(status) => format!("{} {}", status.index, status.word()),
                JobUpdate::Finished(status) => {
                    format!("{} {}: {:?}", status.index, status.word(), status.error.as_deref())
                }
                JobUpdate::Waiting(status) => {
                    let message =
                        status.progress.as_ref().and_then(|progress| progress.message.as_deref());
                    format!("{} waits: {}", status.index, message.unwrap_or_default())
                }
                JobUpdate::Counts => "counts".to_owned(),
                JobUpdate::JobFinished(state) => format!("finished {state}"),
            })
            .collect()
    }

    #[test]
    fn nothing_is_reported_twice() {
        let mut view = JobView::new(&"a".parse().unwrap());
        let mut snapshot = json!({
            "group_url": "https://gitlab.com/acme",
            "summary": {"total_repositories": 4, "completed": 1, "in_progress": 1, "pending": 0, "failed": 2},
            "repositories": [
                {"repo_index": 0, "repo_name": "a", "status": "completed"},
                {"repo_index": 1, "repo_name": "same", "status": "failed"},
                {"repo_index": 2, "repo_name": "same", "status": "timeout"},
                {"repo_index": 3, "repo_name": "d", "status": "scanning",
                 "progress": {"total_files": 10, "current_file": 5, "percentage": 50.0}},
                {"repo_index": 4, "status": "pending"},
                "odd",
            ],
            "failed_repositories": [
                {"repo_name": "same", "error": "first", "status": "failed",
                 "failure": {"kind": "exit", "detail": "first"}},
                {"repo_name": "same", "error": "second", "status": "timeout"},
            ],
        });
        assert_eq!(
            described(&view.apply("snapshot", &snapshot)),
            ["1 failed: Some(\"first\")", "2 timeout: Some(\"second\")", "3 scanning", "counts"]
        );
        assert_eq!((view.title.as_str(), view.summary.failed), ("https://gitlab.com/acme", 2));
        // After an outage, only changes are reported.
        snapshot["repositories"][3] =
            json!({"repo_index": 3, "repo_name": "d", "status": "completed"});
        assert_eq!(described(&view.apply("snapshot", &snapshot)), ["3 completed: None", "counts"]);
        let again = json!({"repo_index": 1, "status": "cloning"});
        assert_eq!(described(&view.apply("repository", &again)), ["1 cloning"]);
        let failed = json!({"repo_index": 1, "status": "failed", "error": "third"});
        assert_eq!(described(&view.apply("repository", &failed)), ["1 failed: Some(\"third\")"]);
        assert!(view.apply("repository", &failed).is_empty());
        assert!(view.apply("novelty", &json!({})).is_empty());
        assert_eq!(view.report, None);
        let end = json!({"status": "completed_with_errors", "summary": {"reused": 3},
            "report": {"completed": 7, "failed": {"clone": 2, "exit": 1}, "skipped": {"empty": 4}}});
        assert_eq!(
            described(&view.apply("end", &end)),
            ["counts", "finished completed_with_errors"]
        );
        let report = "7 completed, 3 failed (2 clone, 1 exit), 4 skipped (4 empty), 3 reused";
        assert_eq!(view.report.as_deref(), Some(report));
    }

    #[test]
    fn each_attempt_of_a_repository_is_reported_once() {
        let mut view = JobView::new(&"a".parse().unwrap());
        let mut apply = |event: Value| described(&view.apply("repository", &event));
        let failed = json!({"repo_index": 0, "status": "failed", "error": "no luck"});
        let waits = |number: u32| {
            json!({"repo_index": 0, "status": "pending", "attempt": number,
                "progress": {"message": format!("Attempt {number} of 3")}})
        };
        assert_eq!(apply(failed.clone()), ["0 failed: Some(\"no luck\")"]);
        assert_eq!(apply(waits(2)), ["0 waits: Attempt 2 of 3"]);
        assert!(apply(waits(2)).is_empty());
        // A slow client has not seen the second attempt.
        assert_eq!(apply(waits(3)), ["0 waits: Attempt 3 of 3"]);
        assert_eq!(apply(json!({"repo_index": 0, "status": "scanning"})), ["0 scanning"]);
        assert!(apply(json!({"repo_index": 0, "status": "interrupted"})).is_empty());
        assert!(apply(json!({"repo_index": 0, "status": "pending"})).is_empty());
        assert_eq!(apply(failed), ["0 failed: Some(\"no luck\")"]);
        assert!(view.has_reported_failure());
        view.apply("repository", &waits(2));
        assert!(!view.has_reported_failure(), "the next attempt is not a failure yet");
    }

    /// Fails if a group of which one repository has been listed is shown as a single repository, or
    /// if the number stays once the list has ended.
    #[test]
    fn a_job_that_is_being_listed_is_a_group() {
        let mut view = JobView::new(&"a".parse().unwrap());
        let mut event = json!({
            "status": "in_progress", "discovering": true, "totals": {"found": 312},
            "summary": {"total_repositories": 1, "completed": 0, "in_progress": 1, "pending": 0, "failed": 0},
        });
        view.apply("job", &event);
        assert_eq!((view.discovered, view.is_group()), (Some(312), true));
        event["discovering"] = json!(false);
        view.apply("job", &event);
        assert_eq!((view.discovered, view.is_group()), (None, false));
    }

    #[test]
    fn the_progress_of_an_event_is_parsed() {
        let row = json!({"repo_index": 3, "status": "scanning", "repo_name": "d",
            "progress": {"total_files": 10, "current_file": 5, "percentage": 50.0}});
        let status = status_of(row.as_object().unwrap()).unwrap();
        assert!((status.fraction() - 0.5).abs() < f64::EPSILON);
    }
}
