//! Generates a results document piece by piece.
//!
//! Input: the repositories of a job, and their result files. Output: the text of the document.
//!
//! Invariants: the memory for a document does not grow with its number of repositories, but for the names of
//! categories; the totals follow the lists.

use super::{FailedProject, ProjectResult, ResultsDocument, SoFar};
use crate::{
    api::{
        answers::stream_body::Aborted,
        resources::produced_body::{Cancellation, PIECE, Producer, around},
    },
    live::{LiveJob, Results},
    model::{RepoState, progress::JobFacts, repository::RepositoryStatus, time::Timestamp},
};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

/// Which answer it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Results,
    /// The results of a running job, with the time of its last update.
    SoFar(Option<Timestamp>),
}

/// What the document is about.
pub(super) struct Subject {
    pub(super) job: Arc<LiveJob>,
    pub(super) facts: JobFacts,
    pub(super) group: bool,
    /// The numbers of the repositories that it contains.
    pub(super) repositories: Vec<u32>,
    /// The root of this server as clients see it, without a slash at its end.
    pub(super) root: String,
}

/// A results document that is generated while it is sent.
pub(super) struct GeneratedResults {
    results: Arc<Results>,
    subject: Subject,
    kind: Kind,
    cancellation: Cancellation,
    next: Option<Next>,
    /// Whether an item of the list has been written.
    commas: bool,
    /// The totals of the repositories up to here.
    dependencies: BTreeMap<String, bool>,
    infrastructure_usage: BTreeMap<String, bool>,
    packages_total: u64,
    /// Whether another program created the job: then a result may be missing.
    foreign: bool,
    /// The number of completed repositories without results.
    without_results: u64,
}

/// The name of the Python service for development environments; its clients expect it.
const DEVPODS: &str = "devpods";

/// What is to be written next.
#[derive(Debug, Clone, Copy)]
enum Next {
    Begin,
    /// The project of the repository at this index in the list.
    Project(usize),
    Failed(usize),
}

impl Producer for GeneratedResults {
    fn produce(&mut self, piece: &mut Vec<u8>) -> Result<bool, Aborted> {
        while let Some(next) = self.next {
            if piece.len() >= PIECE {
                return Ok(true);
            }
            self.next = self.write(next, piece)?;
            // Checked after reading: the missing files of a removed job would look like an empty
            // result.
            if self.cancellation.is_cancelled() {
                return Err(Aborted);
            }
        }
        Ok(false)
    }
}

impl GeneratedResults {
    pub(super) fn new(
        results: Arc<Results>,
        subject: Subject,
        kind: Kind,
        cancellation: Cancellation,
    ) -> Self {
        Self {
            foreign: subject.job.scan_type().is_none(),
            without_results: 0,
            results,
            subject,
            kind,
            cancellation,
            next: Some(Next::Begin),
            commas: false,
            dependencies: BTreeMap::new(),
            infrastructure_usage: with_devpods(BTreeMap::new()),
            packages_total: 0,
        }
    }

    fn write(&mut self, next: Next, piece: &mut Vec<u8>) -> Result<Option<Next>, Aborted> {
        match next {
            Next::Begin => {
                if self.subject.group {
                    let [begin, _, _] = self.frame();
                    piece.extend_from_slice(begin.as_bytes());
                }
                Ok(Some(Next::Project(0)))
            }
            Next::Project(at) => {
                if let Some(index) = self.subject.repositories.get(at) {
                    self.project(*index, piece)?;
                    return Ok(Some(Next::Project(at + 1)));
                }
                if self.subject.group {
                    let [_, between, _] = self.frame();
                    piece.extend_from_slice(between.as_bytes());
                    self.commas = false;
                    return Ok(Some(Next::Failed(0)));
                }
                piece.extend_from_slice(self.text().as_bytes());
                Ok(None)
            }
            Next::Failed(at) => {
                let Some(index) = self.subject.repositories.get(at) else {
                    let [_, _, end] = self.frame();
                    piece.extend_from_slice(end.as_bytes());
                    return Ok(None);
                };
                let status = self.subject.job.repository(*index).ok_or(Aborted)?;
                if status.state != RepoState::Completed {
                    let error = error_of(&status);
                    let git_url = status.git_url.unwrap_or_default();
                    let project_name = status.name;
                    self.item(&FailedProject { project_name, git_url, error }, piece)?;
                }
                Ok(Some(Next::Failed(at + 1)))
            }
        }
    }

    /// Adds the results of a repository to the totals, and writes them for a group.
    fn project(&mut self, index: u32, piece: &mut Vec<u8>) -> Result<(), Aborted> {
        let status = self.subject.job.repository(index).ok_or(Aborted)?;
        let success = status.state == RepoState::Completed;
        let summary = if success {
            let is_wanted = || !self.cancellation.is_cancelled();
            let summary = self.results.summary(&self.subject.facts.id, index, &is_wanted);
            summary.map_err(|_| Aborted)?
        } else {
            Arc::default()
        };
        for (all, here) in [
            (&mut self.dependencies, &summary.categories),
            (&mut self.infrastructure_usage, &summary.infrastructure_usage),
        ] {
            for (name, is_there) in here {
                match all.get_mut(name) {
                    Some(known) => *known |= is_there,
                    None => drop(all.insert(name.clone(), *is_there)),
                }
            }
        }
        self.packages_total += summary.packages_total;
        let unknown = success && self.foreign && !summary.exists;
        self.without_results += u64::from(unknown);
        if !self.subject.group {
            return Ok(());
        }
        let project = ProjectResult {
            error: (!success).then(|| error_of(&status)),
            project_name: status.name,
            git_url: status.git_url.unwrap_or_default(),
            dependencies: summary.categories.clone(),
            infrastructure_usage: with_devpods(summary.infrastructure_usage.clone()),
            status: match (success, unknown) {
                (_, true) => "unknown",
                (true, _) => "success",
                (false, _) => "failed",
            },
        };
        self.item(&project, piece)
    }

    fn item(&mut self, item: &impl Serialize, piece: &mut Vec<u8>) -> Result<(), Aborted> {
        if std::mem::replace(&mut self.commas, true) {
            piece.push(b',');
        }
        serde_json::to_writer(piece, item).map_err(|_| Aborted)
    }

    /// The whole answer, without the items of its lists.
    fn text(&self) -> String {
        let text = match self.kind {
            Kind::Results => serde_json::to_string(&self.document()),
            Kind::SoFar(last_updated) => serde_json::to_string(&SoFar {
                job_id: self.subject.facts.id.clone(),
                status: "running",
                progress: self.subject.facts.percentage(),
                partial_results: self.document(),
                last_updated,
            }),
        };
        // Serialization cannot fail: all keys are texts and all numbers finite.
        text.unwrap_or_default()
    }

    /// The text before, between and after the two lists of a group's document.
    fn frame(&self) -> [String; 3] {
        let [begin, rest] = around("project_results", &self.text());
        let failed = "\"failed_projects\":[";
        let (between, end) = rest.split_once(failed).unwrap_or((&rest, ""));
        [begin, format!("{between}{failed}"), end.to_owned()]
    }

    fn warnings(&self) -> Vec<String> {
        let missing = match self.without_results {
            0 => return Vec::new(),
            1 => "1 completed repository".to_owned(),
            count => format!("{count} completed repositories"),
        };
        vec![format!(
            "The job's folder contains no results of {missing}: what they use is unknown. Submit the \
             URL again to scan it."
        )]
    }

    /// The document with the totals up to here, without the items of its lists.
    fn document(&self) -> ResultsDocument {
        let Subject { facts, group, repositories, root, .. } = &self.subject;
        let packages_url = match repositories.as_slice() {
            [only] if !group => format!("{root}/scan/{}/repositories/{only}/packages", facts.id),
            _ => format!("{root}/scan/{}/repositories", facts.id),
        };
        ResultsDocument {
            git_url: facts.url.as_deref().unwrap_or_default().to_owned(),
            scan_type: if *group { "group" } else { "repository" },
            total_projects: group.then_some(facts.summary.total_repositories),
            successful_scans: group.then_some(facts.summary.completed),
            failed_scans: group.then_some(facts.summary.failed),
            project_results: group.then(Vec::new),
            failed_projects: group.then(Vec::new),
            dependencies: self.dependencies.clone(),
            infrastructure_usage: self.infrastructure_usage.clone(),
            packages_total: self.packages_total,
            packages_url,
            warnings: self.warnings(),
            archived: facts.archived,
        }
    }
}

fn with_devpods(mut usage: BTreeMap<String, bool>) -> BTreeMap<String, bool> {
    usage.entry(DEVPODS.to_owned()).or_insert(false);
    usage
}

fn error_of(status: &RepositoryStatus) -> String {
    status.error.clone().unwrap_or_else(|| "Not scanned".to_owned())
}
