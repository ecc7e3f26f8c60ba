//! Which events follow from the state of a job, and from what was recorded about it before. Pure: the clock is an argument.
//!
//! Input: the record of a job, its facts and its repositories. Output: the events that are not recorded yet, and the next
//! record. Invariants: the same state gives no event twice; a state that was passed unseen gives its events with the
//! next one; an attempt that is followed by a retry gives none.

use super::delivery::Event;
use crate::model::{
    JobId, RepoState,
    master::Options,
    progress::JobFacts,
    repository::RepositoryStatus,
    retry::transient_cause,
    time::{self, Timestamp},
    webhook::{Data, EventKind, JobData, Payload, RepositoryData},
};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

/// How long a failure is held back that may be followed by a retry, and a final state that its shim may still complete:
/// both happen at once.
const GRACE: TimeDelta = TimeDelta::seconds(5);

/// What is recorded about a job. Without a record, none of its events is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    schema: u32,
    /// The URL of the job, for the event of its deletion.
    url: Option<String>,
    started: bool,
    /// How often the job was continued after a final state.
    run: u32,
    /// The final state that is recorded.
    finished: Option<String>,
    /// By index: 0, or one more than the attempt whose final state is recorded.
    repositories: Vec<u64>,
}

/// A job as it is now.
pub(super) struct Seen<'a> {
    pub(super) facts: &'a JobFacts,
    /// Its final state has been published.
    pub(super) is_over: bool,
    pub(super) error: Option<&'a str>,
    pub(super) options: &'a Options,
    pub(super) public_url: &'a str,
    pub(super) now: Timestamp,
}

/// What follows from the state of a job.
#[derive(Debug, Default, PartialEq)]
pub(super) struct News {
    pub(super) events: Vec<Event>,
    /// A final state is held back: the job has to be read again, even if it does not change.
    pub(super) is_incomplete: bool,
}

/// Identifies the final state of a job; `None` as long as it has none.
pub(super) fn final_state(facts: &JobFacts, is_over: bool) -> Option<String> {
    is_over.then(|| match facts.completed_at {
        Some(at) => time::format(at),
        None => facts.state.as_str().to_owned(),
    })
}

impl Marker {
    /// The final state that is recorded.
    pub(super) fn finished(&self) -> Option<&str> {
        self.finished.as_deref()
    }

    /// Adds what is not recorded yet, and returns its events. `known`: whether there is a record.
    pub(super) fn advance(
        &mut self,
        known: bool,
        job: &Seen<'_>,
        repositories: &mut dyn Iterator<Item = &RepositoryStatus>,
    ) -> News {
        let mut news = News::default();
        let id = job.facts.id.as_str();
        self.schema = 1;
        self.url = job.facts.url.as_deref().map(str::to_owned);
        if !known {
            let payload = job.payload(EventKind::JobCreated, job.facts.created_at());
            news.events.push(Event::new(&[id, "created"], payload));
        }
        let ended = final_state(job.facts, job.is_over);
        if self.finished.is_some() && self.finished != ended {
            // It goes on, or it went on and has ended again.
            (self.finished, self.started) = (None, false);
            self.run += 1;
        }
        let mut begun = false;
        let mut of_repositories = Vec::new();
        for status in repositories {
            begun |= status.state.is_working() || status.state.is_final();
            match self.repository(job, status, ended.is_some()) {
                Repository::Old => {}
                Repository::New(event) => of_repositories.push(*event),
                Repository::HeldBack => news.is_incomplete = true,
            }
        }
        let run = self.run.to_string();
        if begun && !self.started {
            self.started = true;
            let at = job.facts.started_at.filter(|_| self.run == 0).unwrap_or(job.now);
            let payload = job.payload(EventKind::JobStarted, at);
            news.events.push(Event::new(&[id, "started", &run], payload));
        }
        news.events.append(&mut of_repositories);
        if let Some(ended) = ended
            && self.finished.is_none()
        {
            let at = job.facts.completed_at.unwrap_or(job.now);
            let payload = job.payload(EventKind::JobFinished, at);
            news.events.push(Event::new(&[id, "finished", &run, &ended], payload));
            self.finished = Some(ended);
        }
        news
    }

    /// The event of a job whose folder is gone, unless its final state is recorded.
    pub(super) fn deleted(&self, id: &JobId, now: Timestamp) -> Option<Event> {
        if self.finished.is_some() {
            return None;
        }
        let data = Data::Job(JobData::deleted(id, self.url.clone()));
        let payload = Payload { event: EventKind::JobFinished, timestamp: now, data };
        Some(Event::new(&[id.as_str(), "deleted", &self.run.to_string()], payload))
    }

    fn repository(&mut self, job: &Seen<'_>, status: &RepositoryStatus, over: bool) -> Repository {
        let index = status.index as usize;
        let recorded = self.repositories.get(index).copied().unwrap_or_default();
        if !status.state.is_final() {
            // Without numbers, every attempt has the same one.
            if status.attempt.is_none() && recorded != 0 {
                self.repositories[index] = 0;
            }
            return Repository::Old;
        }
        let number = status.attempt.unwrap_or_default().saturating_add(1);
        if recorded == number {
            return Repository::Old;
        }
        let written_at = status.completed_at.or(status.last_update);
        let is_recent = written_at.is_some_and(|at| job.now - at < GRACE);
        let may_follow = job.options.retries > 0
            && transient_cause(status.state, status.failure.as_ref()).is_some();
        // A scanner of another program may write less than the shim, which completes its final state.
        let is_partial = status.attempt.is_none() || status.git_url.is_none();
        if !over && is_recent && (may_follow || is_partial) {
            return Repository::HeldBack;
        }
        if self.repositories.len() <= index {
            self.repositories.resize(index + 1, 0);
        }
        self.repositories[index] = number;
        Repository::New(Box::new(job.repository(status)))
    }
}

/// What the state of a repository gives.
enum Repository {
    Old,
    New(Box<Event>),
    /// A retry may follow, or its shim completes it.
    HeldBack,
}

impl Seen<'_> {
    fn payload(&self, event: EventKind, timestamp: Timestamp) -> Payload {
        let (facts, summary) = (self.facts, self.facts.summary);
        let data = JobData {
            job_id: facts.id.to_string(),
            git_url: facts.url.as_deref().map(str::to_owned),
            status: facts.state.as_str().to_owned(),
            total_repositories: summary.total_repositories,
            completed: summary.completed,
            failed: summary.failed,
            started_at: facts.started_at,
            completed_at: facts.completed_at,
            error: self.error.map(str::to_owned),
            url: self.url(""),
        };
        Payload { event, timestamp, data: Data::Job(data) }
    }

    fn repository(&self, status: &RepositoryStatus) -> Event {
        let event = if status.state == RepoState::Completed {
            EventKind::RepositoryFinished
        } else {
            EventKind::RepositoryFailed
        };
        let id = self.facts.id.as_str();
        let data = RepositoryData {
            job_id: id.to_owned(),
            repo_index: status.index,
            repo_name: status.display_name(),
            git_url: status.git_url.clone().or_else(|| self.only_url()),
            reference: self.options.reference.clone(),
            status: status.state.as_str().to_owned(),
            attempt: status.attempt,
            dependencies_found: status.dependencies_found,
            started_at: status.started_at,
            completed_at: status.completed_at,
            error: status.error.clone(),
            failure: status.failure.clone().filter(|_| status.state.is_failure()),
            url: self.url(&format!("/repositories/{}", status.index)),
        };
        let timestamp = status.completed_at.or(status.last_update).unwrap_or(self.now);
        let payload = Payload { event, timestamp, data: Data::Repository(data) };
        let index = status.index.to_string();
        let attempt = status.attempt.unwrap_or_default().to_string();
        let at = time::format(timestamp);
        Event::new(&[id, "repository", &index, &attempt, &at], payload)
    }

    /// The URL of the job, if it has one repository.
    fn only_url(&self) -> Option<String> {
        let is_single = self.facts.summary.total_repositories == 1;
        self.facts.url.as_deref().filter(|_| is_single).map(str::to_owned)
    }

    fn url(&self, below: &str) -> Option<String> {
        let url = || format!("{}/scan/{}{below}", self.public_url, self.facts.id);
        (!self.public_url.is_empty()).then(url)
    }
}

#[cfg(test)]
mod tests;
