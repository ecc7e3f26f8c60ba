//! The results of a job: `/jobs/{id}/results` when it is finished, `/jobs/{id}/partial` before.
//!
//! Input: the id of a job. Output: the results document, or all packages as CSV.
//!
//! Invariants: the document is generated while it is sent, so that memory is bounded; an answer
//! whose job is removed meanwhile is aborted.

use super::{
    ApiError,
    csv::{self, Format},
    header,
    operation::{Answer, Operation},
    produced_body::{Cancellation, PIECE, Producer, Terms, around, produced, unread},
    reply::{self, finish},
    route::{Call, Route, Scope},
    scan::JOB_ID,
    stream_body::Aborted,
    template::Template,
};
use crate::{
    live::{LiveJob, Results},
    model::{
        JobId, RepoState,
        master::ScanType,
        progress::JobFacts,
        repository::RepositoryStatus,
        state::COARSE_STATES,
        time::{self, Timestamp},
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use warp::{
    Filter,
    http::{HeaderValue, StatusCode, header::VARY},
    reply::Response,
};

const RESULTS: Template<1> = Template::new("/jobs/{id}/results", [JOB_ID]);
const PARTIAL: Template<1> = Template::new("/jobs/{id}/partial", [JOB_ID]);

/// The results of a job. The members about a group are null for a single repository.
#[derive(Debug, Serialize, JsonSchema)]
struct ResultsDocument {
    git_url: Option<String>,
    #[schemars(extend("enum" = ["group", "repository"]))]
    scan_type: &'static str,
    total_projects: Option<u64>,
    successful_scans: Option<u64>,
    failed_scans: Option<u64>,
    project_results: Option<Vec<ProjectResult>>,
    failed_projects: Option<Vec<FailedProject>>,
    // The totals follow the lists, because these are sent while they are read.
    /// For each category, whether something of it is used.
    dependencies: BTreeMap<String, bool>,
    infrastructure_usage: BTreeMap<String, bool>,
    /// The number of packages of all repositories.
    packages_total: u64,
    /// The path of the packages.
    packages_url: String,
}

/// The results of one repository of a group.
#[derive(Debug, Serialize, JsonSchema)]
struct ProjectResult {
    project_name: Option<String>,
    git_url: Option<String>,
    dependencies: BTreeMap<String, bool>,
    infrastructure_usage: BTreeMap<String, bool>,
    #[schemars(extend("enum" = ["success", "failed"]))]
    status: &'static str,
    error: Option<String>,
}

/// A repository of a group whose scan did not complete.
#[derive(Debug, Serialize, JsonSchema)]
struct FailedProject {
    project_name: Option<String>,
    git_url: Option<String>,
    error: String,
}

/// The results of a running job so far.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PartialResults")]
struct SoFar {
    job_id: JobId,
    #[schemars(extend("enum" = COARSE_STATES))]
    status: &'static str,
    progress: f64,
    partial_results: ResultsDocument,
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    last_updated: Option<Timestamp>,
}

/// The parameters of results.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Formatted {
    /// The format of the answer; if absent, `Accept` decides.
    #[schemars(extend("enum" = csv::FORMATS))]
    format: Option<String>,
}

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    let gives = Operation::new("getResults", "The results of a job")
        .about(
            "Available for a finished group, even if some of its repositories failed, and for a \
             completed repository. CSV contains a row for each package of each completed \
             repository.",
        )
        .query::<Formatted>()
        .header("Accept", "`text/csv` for CSV, if `format` is absent.")
        .answers(StatusCode::OK, Answer::json::<ResultsDocument>("The results document."))
        .answers(
            StatusCode::OK,
            Answer::text(csv::MEDIA_TYPE, "The packages, after a header line.")
                .header("Content-Disposition", "A file name for the download."),
        )
        .refuses(StatusCode::BAD_REQUEST, "The job is not completed, or the format is unknown.")
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many results are being read.");
    let gives_some = Operation::new("getPartialResults", "The results of a running job so far")
        .answers(StatusCode::OK, Answer::json::<SoFar>("The results of its finished repositories."))
        .refuses(StatusCode::BAD_REQUEST, "The job is not running.")
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many results are being read.");
    vec![
        Route::get(&RESULTS, Scope::Read, gives, |call, _| {
            call.and(warp::query()).and(header("accept")).then(
                async |call: Call<1>, asked, accept: Option<_>| {
                    finish(results(call, asked, accept).await)
                },
            )
        }),
        Route::get(&PARTIAL, Scope::Read, gives_some, |call, _| {
            call.then(async |call: Call<1>| finish(partial(call).await))
        }),
    ]
}

/// `GET /jobs/{id}/results`
async fn results(
    call: Call<1>,
    asked: Formatted,
    accept: Option<HeaderValue>,
) -> Result<Response, ApiError> {
    let [id] = &call.path;
    let job = call.api.job(id)?;
    let format = Format::asked(asked.format.as_deref(), accept.as_ref())?;
    let facts = job.facts();
    let group = is_group(&job, &facts);
    let all = job.with_repositories(|all| {
        all.map(|repository| (repository.index, repository.state)).collect::<Vec<_>>()
    });
    let completed = |(_, state): &&(u32, RepoState)| *state == RepoState::Completed;
    if !facts.state.is_final() || !group && !all.iter().any(|repository| completed(&repository)) {
        return Err(ApiError::bad_request("Job not completed"));
    }
    match format {
        Format::Json => {
            let numbers = all.into_iter().map(|(index, _)| index).collect();
            let response = found(&call, job, facts, group, numbers, Kind::Results).await?;
            Ok(reply::with_header(response, VARY, "accept"))
        }
        Format::Csv => {
            let numbers = all.iter().filter(completed).map(|(index, _)| *index).collect();
            let name = format!("scanwatch-{}.csv", facts.id);
            csv::answer(&call, &job, numbers, &name).await
        }
    }
}

/// `GET /jobs/{id}/partial`: the results of finished repositories.
async fn partial(call: Call<1>) -> Result<Response, ApiError> {
    let [id] = &call.path;
    let job = call.api.job(id)?;
    let facts = job.facts();
    let status = facts.state.coarse();
    if status != "running" {
        let detail = format!("Job is not currently running. Current status: {status}");
        return Err(ApiError::bad_request(detail));
    }
    let group = is_group(&job, &facts);
    let (finished, last_updated) = job.with_repositories(|all| {
        let (mut finished, mut last_updated) = (Vec::new(), None);
        for repository in all {
            last_updated = last_updated.max(repository.last_update);
            if repository.state.is_final() {
                finished.push(repository.index);
            }
        }
        (finished, last_updated)
    });
    found(&call, job, facts, group, finished, Kind::SoFar(last_updated)).await
}

/// Which answer it is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Results,
    /// The results of a running job, with the time of its last update.
    SoFar(Option<Timestamp>),
}

/// The results document of these repositories.
async fn found(
    call: &Call<1>,
    job: Arc<LiveJob>,
    facts: JobFacts,
    group: bool,
    repositories: Vec<u32>,
    kind: Kind,
) -> Result<Response, ApiError> {
    let api = &call.api;
    let reading = api.read_pools.open(call)?;
    let (cancellation, guard) = Cancellation::of(api, &job);
    let id = facts.id.clone();
    let found = Found {
        results: Arc::clone(&api.results),
        job,
        facts,
        group,
        repositories,
        kind,
        cancellation,
        next: Some(Next::Begin),
        commas: false,
        dependencies: BTreeMap::new(),
        infrastructure_usage: BTreeMap::new(),
        packages_total: 0,
    };
    let terms = Terms::new(api, &api.read_pools.results, &call.user).with(guard, reading);
    let response = produced(terms, found, "application/json").await;
    response.map_err(|error| error.unwrap_or_else(|| unread(api, &id)))
}

/// Jobs of the Python service have no type; more than one repository means a group.
pub(super) fn is_group(job: &LiveJob, facts: &JobFacts) -> bool {
    match job.scan_type() {
        Some(scan_type) => scan_type == ScanType::Group,
        None => facts.summary.total_repositories > 1,
    }
}

/// A results document that is generated while it is sent.
struct Found {
    results: Arc<Results>,
    job: Arc<LiveJob>,
    facts: JobFacts,
    group: bool,
    repositories: Vec<u32>,
    kind: Kind,
    cancellation: Cancellation,
    next: Option<Next>,
    /// Whether an item of the list has been written.
    commas: bool,
    /// The totals of the repositories up to here.
    dependencies: BTreeMap<String, bool>,
    infrastructure_usage: BTreeMap<String, bool>,
    packages_total: u64,
}

/// What is to be written next.
#[derive(Debug, Clone, Copy)]
enum Next {
    Begin,
    /// The project of the repository at this index in the list.
    Project(usize),
    Failed(usize),
}

impl Producer for Found {
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

impl Found {
    fn write(&mut self, next: Next, piece: &mut Vec<u8>) -> Result<Option<Next>, Aborted> {
        match next {
            Next::Begin => {
                if self.group {
                    let [begin, _, _] = self.frame();
                    piece.extend_from_slice(begin.as_bytes());
                }
                Ok(Some(Next::Project(0)))
            }
            Next::Project(at) => {
                if let Some(index) = self.repositories.get(at) {
                    self.project(*index, piece)?;
                    return Ok(Some(Next::Project(at + 1)));
                }
                if self.group {
                    let [_, between, _] = self.frame();
                    piece.extend_from_slice(between.as_bytes());
                    self.commas = false;
                    return Ok(Some(Next::Failed(0)));
                }
                piece.extend_from_slice(self.text().as_bytes());
                Ok(None)
            }
            Next::Failed(at) => {
                let Some(index) = self.repositories.get(at) else {
                    let [_, _, end] = self.frame();
                    piece.extend_from_slice(end.as_bytes());
                    return Ok(None);
                };
                let status = self.job.repository(*index).ok_or(Aborted)?;
                if status.state != RepoState::Completed {
                    let error = error_of(&status);
                    let (project_name, git_url) = (status.name, status.git_url);
                    self.item(&FailedProject { project_name, git_url, error }, piece)?;
                }
                Ok(Some(Next::Failed(at + 1)))
            }
        }
    }

    /// Adds the results of a repository to the totals, and writes them for a group.
    fn project(&mut self, index: u32, piece: &mut Vec<u8>) -> Result<(), Aborted> {
        let status = self.job.repository(index).ok_or(Aborted)?;
        let success = status.state == RepoState::Completed;
        let summary = if success {
            let is_wanted = || !self.cancellation.is_cancelled();
            let summary = self.results.summary(&self.facts.id, index, &is_wanted);
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
        if !self.group {
            return Ok(());
        }
        let project = ProjectResult {
            error: (!success).then(|| error_of(&status)),
            project_name: status.name,
            git_url: status.git_url,
            dependencies: summary.categories.clone(),
            infrastructure_usage: summary.infrastructure_usage.clone(),
            status: if success { "success" } else { "failed" },
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
                job_id: self.facts.id.clone(),
                status: "running",
                progress: self.facts.percentage(),
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

    /// The document with the totals up to here, without the items of its lists.
    fn document(&self) -> ResultsDocument {
        let Self { facts, group, .. } = self;
        let packages_url = match self.repositories.as_slice() {
            [only] if !group => format!("/scan/{}/repositories/{only}/packages", facts.id),
            _ => format!("/scan/{}/repositories", facts.id),
        };
        ResultsDocument {
            git_url: facts.url.as_deref().map(str::to_owned),
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
        }
    }
}

fn error_of(status: &RepositoryStatus) -> String {
    status.error.clone().unwrap_or_else(|| "Not scanned".to_owned())
}
