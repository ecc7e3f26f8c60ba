//! What a command knows of a job that it follows: events come in, news for people go out.
//!
//! What must stay true: pure; what was told once is not told again, however often a snapshot
//! repeats it; members that are missing or odd cost only themselves.

use crate::model::{JobId, JobState, RepoState, repository::RepositoryStatus, state::Summary};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Something to tell.
#[derive(Debug, PartialEq)]
pub(in crate::cli) enum News {
    /// A scanner is at work on a repository.
    Working(RepositoryStatus),
    /// A repository is over, or this try of it.
    Over(RepositoryStatus),
    /// A repository is tried again, and says when and why.
    Waiting(RepositoryStatus),
    /// The counts of the job may have changed.
    Counts,
    /// The job is over.
    Ended(JobState),
}

/// A job, as far as its events have told.
#[derive(Debug)]
pub(in crate::cli) struct JobView {
    pub(in crate::cli) id: JobId,
    /// The URL that was submitted; the id until it is known.
    pub(in crate::cli) title: String,
    pub(in crate::cli) summary: Summary,
    pub(in crate::cli) elapsed_seconds: Option<u64>,
    pub(in crate::cli) eta_seconds: Option<u64>,
    begun: bool,
    /// Those whose end was told, and whether they failed.
    over: HashMap<u32, bool>,
    /// What those said last that wait for their next try.
    waiting: HashMap<u32, String>,
}

impl JobView {
    /// Nothing is known but the id.
    pub(in crate::cli) fn new(id: &JobId) -> Self {
        Self {
            id: id.clone(),
            title: id.to_string(),
            summary: Summary::default(),
            elapsed_seconds: None,
            eta_seconds: None,
            begun: false,
            over: HashMap::new(),
            waiting: HashMap::new(),
        }
    }

    /// Takes in an event; what is new to people.
    pub(in crate::cli) fn apply(&mut self, event: &str, data: &Value) -> Vec<News> {
        match event {
            "snapshot" => self.snapshot(data),
            "repository" => {
                data.as_object().and_then(|it| self.repository(it)).into_iter().collect()
            }
            "job" => {
                self.counts(data);
                vec![News::Counts]
            }
            "end" => {
                self.counts(data);
                let state = data["status"].as_str().and_then(JobState::parse_final);
                vec![News::Counts, News::Ended(state.unwrap_or(JobState::Failed))]
            }
            // Of a newer server.
            _ => Vec::new(),
        }
    }

    fn snapshot(&mut self, data: &Value) -> Vec<News> {
        if let Some(url) = data["group_url"].as_str() {
            url.clone_into(&mut self.title);
        }
        self.counts(data);
        let empty = Vec::new();
        let list = |name: &str| data[name].as_array().unwrap_or(&empty);
        // The reasons stand in a list of their own, in the same order.
        let mut reasons: HashMap<&str, Vec<&Value>> = HashMap::new();
        for row in list("failed_repositories").iter().rev() {
            reasons.entry(row["repo_name"].as_str().unwrap_or_default()).or_default().push(row);
        }
        let mut news = Vec::new();
        for row in list("repositories").iter().filter_map(Value::as_object) {
            let mut row = row.clone();
            let name = row.get("repo_name").and_then(Value::as_str).unwrap_or_default();
            let failed = matches!(
                row.get("status").and_then(Value::as_str),
                Some("failed" | "timeout" | "cancelled")
            );
            if let Some(reason) = reasons.get_mut(name).filter(|_| failed).and_then(Vec::pop) {
                row.insert("error".to_owned(), reason["error"].clone());
                row.insert("failure".to_owned(), reason["failure"].clone());
            }
            news.extend(self.repository(&row));
        }
        // Who joins late wants to know what failed, and is not told what went well meanwhile.
        if !std::mem::replace(&mut self.begun, true) {
            news.retain(|it| !matches!(it, News::Over(status) if !status.state.is_failure()));
        }
        news.push(News::Counts);
        news
    }

    /// Whether a failure was told that explains why the job failed.
    pub(in crate::cli) fn has_told_failure(&self) -> bool {
        self.over.values().any(|failed| *failed)
    }

    fn counts(&mut self, data: &Value) {
        if let Ok(summary) = serde_json::from_value(data["summary"].clone()) {
            self.summary = summary;
        }
        self.elapsed_seconds = data["elapsed_time_seconds"].as_u64().or(self.elapsed_seconds);
        self.eta_seconds = data["eta_seconds"].as_u64();
    }

    fn repository(&mut self, row: &Map<String, Value>) -> Option<News> {
        let status = status_of(row)?;
        let index = status.index;
        if status.state.is_final() {
            let told = self.over.insert(index, status.state.is_failure());
            return told.is_none().then_some(News::Over(status));
        }
        // Begun again, or about to be.
        self.over.remove(&index);
        if status.state.is_working() {
            self.waiting.remove(&index);
            return Some(News::Working(status));
        }
        // What else is pending has nothing to say, or was cut short.
        let message = status.progress.as_ref().and_then(|it| it.message.clone());
        let message = message.filter(|_| status.word() == RepoState::Pending.as_str())?;
        let told = self.waiting.insert(index, message.clone());
        (told.as_deref() != Some(&message)).then_some(News::Waiting(status))
    }
}

/// An event says what a status file says, with the figures one level deeper.
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

    fn told(news: &[News]) -> Vec<String> {
        news.iter()
            .map(|it| match it {
                News::Working(status) => format!("{} {}", status.index, status.word()),
                News::Over(status) => {
                    format!("{} {}: {:?}", status.index, status.word(), status.error.as_deref())
                }
                News::Waiting(status) => {
                    let message = status.progress.as_ref().and_then(|it| it.message.as_deref());
                    format!("{} waits: {}", status.index, message.unwrap_or_default())
                }
                News::Counts => "counts".to_owned(),
                News::Ended(state) => format!("ended {state}"),
            })
            .collect()
    }

    #[test]
    fn what_was_told_is_not_told_again() {
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
            told(&view.apply("snapshot", &snapshot)),
            ["1 failed: Some(\"first\")", "2 timeout: Some(\"second\")", "3 scanning", "counts"]
        );
        assert_eq!((view.title.as_str(), view.summary.failed), ("https://gitlab.com/acme", 2));
        // After an outage: only what is new.
        snapshot["repositories"][3] =
            json!({"repo_index": 3, "repo_name": "d", "status": "completed"});
        assert_eq!(told(&view.apply("snapshot", &snapshot)), ["3 completed: None", "counts"]);
        let again = json!({"repo_index": 1, "status": "cloning"});
        assert_eq!(told(&view.apply("repository", &again)), ["1 cloning"]);
        let failed = json!({"repo_index": 1, "status": "failed", "error": "third"});
        assert_eq!(told(&view.apply("repository", &failed)), ["1 failed: Some(\"third\")"]);
        assert!(view.apply("repository", &failed).is_empty());
        assert!(view.apply("novelty", &json!({})).is_empty());
        let end = json!({"status": "completed_with_errors"});
        assert_eq!(told(&view.apply("end", &end)), ["counts", "ended completed_with_errors"]);
    }

    #[test]
    fn a_repository_that_is_tried_again_is_told_once_for_each_try() {
        let mut view = JobView::new(&"a".parse().unwrap());
        let mut tell = |event: Value| told(&view.apply("repository", &event));
        let failed = json!({"repo_index": 0, "status": "failed", "error": "no luck"});
        let waits = |number: u32| {
            json!({"repo_index": 0, "status": "pending", "attempt": number,
                "progress": {"message": format!("Attempt {number} of 3")}})
        };
        assert_eq!(tell(failed.clone()), ["0 failed: Some(\"no luck\")"]);
        assert_eq!(tell(waits(2)), ["0 waits: Attempt 2 of 3"]);
        assert!(tell(waits(2)).is_empty());
        // A reader that was slow has not seen the second attempt.
        assert_eq!(tell(waits(3)), ["0 waits: Attempt 3 of 3"]);
        assert_eq!(tell(json!({"repo_index": 0, "status": "scanning"})), ["0 scanning"]);
        assert!(tell(json!({"repo_index": 0, "status": "interrupted"})).is_empty());
        assert!(tell(json!({"repo_index": 0, "status": "pending"})).is_empty());
        assert_eq!(tell(failed), ["0 failed: Some(\"no luck\")"]);
        assert!(view.has_told_failure());
        view.apply("repository", &waits(2));
        assert!(!view.has_told_failure(), "it explains nothing any more");
    }

    #[test]
    fn the_figures_of_an_event_are_those_of_its_repository() {
        let row = json!({"repo_index": 3, "status": "scanning", "repo_name": "d",
            "progress": {"total_files": 10, "current_file": 5, "percentage": 50.0}});
        let status = status_of(row.as_object().unwrap()).unwrap();
        assert!((status.fraction() - 0.5).abs() < f64::EPSILON);
    }
}
