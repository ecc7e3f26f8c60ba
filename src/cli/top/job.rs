//! One job and its repositories.
//!
//! Input: the events of the job. Output: its state, and its repositories in their order.
//! Invariants: pure; the order is computed only when it is needed, so that an event costs the same
//! however large the job is; a missing or invalid member affects only itself.

use super::{
    cursor::Cursor,
    facts::{self, Kind},
    keys::Motion,
};
use crate::{
    cli::client::{discovered, repositories_of, repository_of},
    model::{JobId, RepoState, repository::RepositoryStatus, state::Summary, time::Timestamp},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

/// A repository: its number, or the name of one that has not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RowKey {
    Numbered(u32),
    Planned(Arc<str>),
}

/// The order of the repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Failed ones first, then running ones.
    Attention,
    Name,
    /// The longest scan first.
    Time,
    /// The newest change first.
    Changed,
}

/// A job.
#[derive(Debug)]
pub(super) struct JobDetails {
    pub(super) id: JobId,
    pub(super) url: String,
    /// The state as in events; empty until it is known.
    pub(super) state: String,
    pub(super) summary: Summary,
    /// The elapsed seconds, and when they were received.
    elapsed: Option<(u64, Timestamp)>,
    pub(super) eta_seconds: Option<u64>,
    /// How many entries have been found, while they are being listed.
    pub(super) discovered: Option<u64>,
    pub(super) error: Option<String>,
    pub(super) waiting_for: Option<String>,
    /// Nothing more of the job is started until it is resumed.
    pub(super) paused: bool,
    repositories: BTreeMap<u32, RepositoryStatus>,
    /// The names of repositories that have not started.
    planned: BTreeSet<Arc<str>>,
    pub(super) filter: String,
    pub(super) sort: Order,
    order: Vec<RowKey>,
    is_arranged: bool,
    pub(super) cursor: Cursor<RowKey>,
}

impl Order {
    fn next(self) -> Self {
        match self {
            Self::Attention => Self::Name,
            Self::Name => Self::Time,
            Self::Time => Self::Changed,
            Self::Changed => Self::Attention,
        }
    }

    /// The order, for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Attention => "failed",
            Self::Name => "name",
            Self::Time => "time",
            Self::Changed => "last change",
        }
    }
}

impl JobDetails {
    /// A job of which only this is known.
    pub(super) fn new(id: JobId, url: String, summary: Summary) -> Self {
        Self {
            id,
            url,
            state: String::new(),
            summary,
            elapsed: None,
            eta_seconds: None,
            discovered: None,
            error: None,
            waiting_for: None,
            paused: false,
            repositories: BTreeMap::new(),
            planned: BTreeSet::new(),
            filter: String::new(),
            sort: Order::Attention,
            order: Vec::new(),
            is_arranged: false,
            cursor: Cursor::new(),
        }
    }

    /// Applies an event of the job's stream.
    pub(super) fn apply(&mut self, event: &str, data: &Value, now: Timestamp) {
        match event {
            "snapshot" => {
                if let Some(url) = data["group_url"].as_str() {
                    url.clone_into(&mut self.url);
                }
                self.counts(data, now);
                let rows = repositories_of(data).into_iter();
                self.repositories = rows.map(|row| (row.index, row)).collect();
                let started: HashSet<&str> =
                    self.repositories.values().filter_map(|row| row.name.as_deref()).collect();
                let planned = data["pending_repositories"].as_array().into_iter().flatten();
                let planned = planned.filter_map(Value::as_str);
                self.planned =
                    planned.filter(|name| !started.contains(name)).map(Arc::from).collect();
            }
            "repository" => {
                if let Some(row) = repository_of(data) {
                    if let Some(name) = &row.name {
                        self.planned.remove(name.as_str());
                    }
                    self.repositories.insert(row.index, row);
                }
            }
            "job" | "end" => self.counts(data, now),
            // An event of a newer server.
            _ => return,
        }
        self.is_arranged = false;
    }

    fn counts(&mut self, data: &Value, now: Timestamp) {
        if let Some(state) = data["status"].as_str() {
            state.clone_into(&mut self.state);
        }
        if let Ok(summary) = serde_json::from_value(data["summary"].clone()) {
            self.summary = summary;
        }
        self.elapsed =
            data["elapsed_time_seconds"].as_u64().map(|seconds| (seconds, now)).or(self.elapsed);
        self.eta_seconds = data["eta_seconds"].as_u64();
        self.paused = data["paused"] == true;
        self.discovered = discovered(data);
        // Only the snapshot has these.
        let text = |name: &str| data[name].as_str().map(str::to_owned);
        if data.get("repositories").is_some() {
            (self.error, self.waiting_for) = (text("error"), text("waiting_for"));
        }
    }

    /// Whether the job is finished.
    pub(super) fn is_finished(&self) -> bool {
        facts::is_finished(&self.state)
    }

    /// How long the job has taken, in seconds.
    pub(super) fn elapsed_seconds(&self, now: Timestamp) -> Option<u64> {
        let (seconds, at) = self.elapsed?;
        Some(if self.is_finished() { seconds } else { seconds + facts::seconds_between(at, now) })
    }

    /// Shows only repositories that fit all words of this filter.
    pub(super) fn set_filter(&mut self, filter: &str) {
        filter.trim().clone_into(&mut self.filter);
        self.cursor = Cursor::new();
        self.is_arranged = false;
    }

    /// Changes the order of the repositories.
    pub(super) fn sort_differently(&mut self) {
        self.sort = self.sort.next();
        self.is_arranged = false;
    }

    /// The number of repositories, without regard to the filter.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.repositories.len() + self.planned.len()
    }

    /// The repositories to show, in their order.
    pub(super) fn order(&self) -> &[RowKey] {
        &self.order
    }

    /// A repository; `None` for one that has not started.
    pub(super) fn get(&self, key: &RowKey) -> Option<&RepositoryStatus> {
        match key {
            RowKey::Numbered(index) => self.repositories.get(index),
            RowKey::Planned(_) => None,
        }
    }

    /// A repository with a number.
    pub(super) fn numbered(&self, index: u32) -> Option<&RepositoryStatus> {
        self.repositories.get(&index)
    }

    /// The selected repository; `None` if it has not started.
    pub(super) fn selected(&self) -> Option<&RepositoryStatus> {
        self.get(self.order.get(self.cursor.position())?)
    }

    /// Moves the selection.
    pub(super) fn go(&mut self, motion: Motion, now: Timestamp) {
        self.arrange(now);
        self.cursor.go(motion, &self.order);
    }

    /// Computes the order, if anything changed.
    pub(super) fn arrange(&mut self, now: Timestamp) {
        if std::mem::replace(&mut self.is_arranged, true) {
            return;
        }
        let filter = self.filter.to_lowercase();
        let words: Vec<&str> = filter.split_whitespace().collect();
        let mut numbered: Vec<&RepositoryStatus> = self
            .repositories
            .values()
            .filter(|row| words.iter().all(|word| fits(row, word)))
            .collect();
        match self.sort {
            Order::Attention => numbered.sort_by_key(|row| facts::of_repository(row.state).1),
            Order::Name => numbered.sort_by(|a, b| a.name.cmp(&b.name)),
            Order::Time => {
                numbered.sort_by_key(|row| std::cmp::Reverse(seconds(row, now).unwrap_or(0)));
            }
            Order::Changed => numbered.sort_by_key(|row| std::cmp::Reverse(row.last_update)),
        }
        let planned = self.planned.iter().filter(|name| {
            words.iter().all(|word| match qualified(word) {
                Some(("status", value)) => value == "pending" || value == "waiting",
                Some(_) => false,
                None => name.to_lowercase().contains(word),
            })
        });
        let planned = planned.map(|name| RowKey::Planned(Arc::clone(name)));
        self.order =
            numbered.into_iter().map(|row| RowKey::Numbered(row.index)).chain(planned).collect();
        if self.sort == Order::Attention {
            // What is done needs no attention: it follows what has not started.
            let is_done = |key: &RowKey| match key {
                RowKey::Numbered(index) => self
                    .repositories
                    .get(index)
                    .is_some_and(|row| facts::of_repository(row.state).1 == Kind::Done),
                RowKey::Planned(_) => false,
            };
            self.order.sort_by_key(is_done);
        }
        self.cursor.follow(&self.order);
    }
}

/// How long a repository has been scanned, in seconds.
pub(super) fn seconds(row: &RepositoryStatus, now: Timestamp) -> Option<u64> {
    if row.state == RepoState::Pending {
        return None;
    }
    let end = if row.state.is_final() { row.completed_at.or(row.last_update)? } else { now };
    Some(facts::seconds_between(row.started_at?, end))
}

/// A word of a filter that has a qualifier.
fn qualified(word: &str) -> Option<(&str, &str)> {
    word.split_once(':').filter(|(name, _)| ["status", "cause"].contains(name))
}

fn fits(row: &RepositoryStatus, word: &str) -> bool {
    match qualified(word) {
        Some(("status", value)) => {
            let kind = match facts::of_repository(row.state).1 {
                Kind::Failed => "failed",
                Kind::Running => "running",
                Kind::Waiting => "waiting",
                Kind::Done => "done",
            };
            row.word() == value || kind == value
        }
        Some((_, value)) => {
            row.failure.as_ref().is_some_and(|failure| failure.kind.as_str() == value)
        }
        None => row.name.as_deref().unwrap_or_default().to_lowercase().contains(word),
    }
}

#[cfg(test)]
mod tests;
