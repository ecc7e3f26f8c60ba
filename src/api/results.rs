//! What a job has found: `/jobs/{id}/results` at its end, `/jobs/{id}/partial` before.

use super::{
    ApiError,
    csv::{self, Format},
    header,
    operation::{Answer, Operation},
    reply::{self, finish},
    route::{Call, Route, Scope},
    scan::JOB_ID,
    state::Api,
    template::Template,
};
use crate::{
    live::{LiveJob, ResultSummary},
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
use tokio::task::spawn_blocking;
use warp::{
    Filter,
    http::{HeaderValue, StatusCode, header::VARY},
    reply::Response,
};

const RESULTS: Template<1> = Template::new("/jobs/{id}/results", [JOB_ID]);
const PARTIAL: Template<1> = Template::new("/jobs/{id}/partial", [JOB_ID]);

/// What was found. The members that are about a group are null for a single repository.
#[derive(Debug, Serialize, JsonSchema)]
struct ResultsDocument {
    git_url: Option<String>,
    /// For each category whether something of it is used.
    dependencies: BTreeMap<String, bool>,
    infrastructure_usage: BTreeMap<String, bool>,
    #[schemars(extend("enum" = ["group", "repository"]))]
    scan_type: &'static str,
    total_projects: Option<u64>,
    successful_scans: Option<u64>,
    failed_scans: Option<u64>,
    project_results: Option<Vec<ProjectResult>>,
    failed_projects: Option<Vec<FailedProject>>,
    /// Packages of all repositories.
    packages_total: u64,
    /// Where the packages themselves are.
    packages_url: String,
}

/// What was found in one repository of a group.
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

/// A repository of a group that was not scanned to its end.
#[derive(Debug, Serialize, JsonSchema)]
struct FailedProject {
    project_name: Option<String>,
    git_url: Option<String>,
    error: String,
}

/// What was found so far.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PartialResults")]
struct SoFar<'a> {
    job_id: &'a JobId,
    #[schemars(extend("enum" = COARSE_STATES))]
    status: &'a str,
    progress: f64,
    partial_results: ResultsDocument,
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    last_updated: Option<Timestamp>,
}

/// The parameters of results.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Formatted {
    /// As which kind of document; `Accept` decides where it is absent.
    #[schemars(extend("enum" = csv::FORMATS))]
    format: Option<String>,
}

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    let gives = Operation::new("getResults", "What a job has found")
        .about(
            "Of a finished group, also where some have failed, and of a completed repository. As \
             CSV: a row for each package of each completed repository.",
        )
        .query::<Formatted>()
        .header("Accept", "`text/csv` for CSV, where no `format` is given.")
        .answers(StatusCode::OK, Answer::json::<ResultsDocument>("The results document."))
        .answers(
            StatusCode::OK,
            Answer::text(csv::MEDIA_TYPE, "The packages, below a line of headings.")
                .header("Content-Disposition", "A name to save it under."),
        )
        .refuses(StatusCode::BAD_REQUEST, "The job is not completed, or there is no such format.");
    let gives_some = Operation::new("getPartialResults", "What a running job has found so far")
        .answers(
            StatusCode::OK,
            Answer::json::<SoFar<'_>>("What its finished repositories have found."),
        )
        .refuses(StatusCode::BAD_REQUEST, "The job is not running.");
    vec![
        Route::get(&RESULTS, Scope::Read, gives, |call, _| {
            call.and(warp::query()).and(header("accept")).then(
                async |call: Call<1>, asked, accept: Option<_>| {
                    let [id] = call.path;
                    finish(results(call.api, id, asked, accept).await)
                },
            )
        }),
        Route::get(&PARTIAL, Scope::Read, gives_some, |call, _| {
            call.then(async |Call { api, path: [id], .. }| finish(partial(api, id).await))
        }),
    ]
}

/// `GET /jobs/{id}/results`
async fn results(
    api: Api,
    id: String,
    asked: Formatted,
    accept: Option<HeaderValue>,
) -> Result<Response, ApiError> {
    let job = api.job(&id)?;
    let format = Format::asked(asked.format.as_deref(), accept.as_ref())?;
    let facts = job.facts();
    let group = is_group(&job, &facts);
    let repositories = job.repositories();
    let completed = repositories.iter().any(|it| it.state == RepoState::Completed);
    if !facts.state.is_final() || !group && !completed {
        return Err(ApiError::bad_request("Job not completed"));
    }
    match format {
        Format::Json => {
            let response = reply::json(&found(api, facts, group, repositories).await?);
            Ok(reply::with_header(response, VARY, "accept"))
        }
        Format::Csv => {
            let name = format!("scanwatch-{}.csv", facts.id);
            Ok(csv::answer(api, facts.id, repositories, &name))
        }
    }
}

/// `GET /jobs/{id}/partial`: what the repositories that are over have found so far.
async fn partial(api: Api, id: String) -> Result<Response, ApiError> {
    let job = api.job(&id)?;
    let facts = job.facts();
    let status = facts.state.coarse();
    if status != "running" {
        let detail = format!("Job is not currently running. Current status: {status}");
        return Err(ApiError::bad_request(detail));
    }
    let group = is_group(&job, &facts);
    let repositories = job.repositories();
    let last_updated = repositories.iter().filter_map(|it| it.last_update).max();
    let over = repositories.into_iter().filter(|it| it.state.is_final()).collect();
    let progress = facts.percentage();
    let results = found(api, facts, group, over).await?;
    Ok(reply::json(&SoFar {
        job_id: job.id(),
        status,
        progress,
        partial_results: results,
        last_updated,
    }))
}

/// The results document of these repositories.
async fn found(
    api: Api,
    facts: JobFacts,
    group: bool,
    repositories: Vec<RepositoryStatus>,
) -> Result<ResultsDocument, ApiError> {
    let document = spawn_blocking(move || {
        let summaries = repositories
            .iter()
            .map(|it| match it.state {
                RepoState::Completed => api.results.summary(&facts.id, it.index),
                _ => Arc::default(),
            })
            .collect::<Vec<_>>();
        document(&facts, group, &repositories, &summaries)
    });
    document.await.map_err(|error| ApiError::internal("read results", &error))
}

/// The Python service's jobs do not say what they are; more than one repository is a group.
pub(super) fn is_group(job: &LiveJob, facts: &JobFacts) -> bool {
    match job.scan_type() {
        Some(scan_type) => scan_type == ScanType::Group,
        None => facts.summary.total_repositories > 1,
    }
}

fn document(
    facts: &JobFacts,
    group: bool,
    repositories: &[RepositoryStatus],
    summaries: &[Arc<ResultSummary>],
) -> ResultsDocument {
    let any = |select: fn(&ResultSummary) -> &BTreeMap<String, bool>| {
        let mut found: BTreeMap<String, bool> = BTreeMap::new();
        for (name, is_there) in summaries.iter().flat_map(|it| select(it)) {
            *found.entry(name.clone()).or_default() |= is_there;
        }
        found
    };
    let failed = || {
        let failed = repositories.iter().filter(|it| it.state != RepoState::Completed);
        failed
            .map(|it| FailedProject {
                project_name: it.name.clone(),
                git_url: it.git_url.clone(),
                error: error_of(it),
            })
            .collect()
    };
    let projects = || {
        let projects = repositories.iter().zip(summaries);
        projects
            .map(|(it, summary)| {
                let success = it.state == RepoState::Completed;
                ProjectResult {
                    project_name: it.name.clone(),
                    git_url: it.git_url.clone(),
                    dependencies: summary.categories.clone(),
                    infrastructure_usage: summary.infrastructure_usage.clone(),
                    status: if success { "success" } else { "failed" },
                    error: (!success).then(|| error_of(it)),
                }
            })
            .collect()
    };
    let packages_url = match repositories {
        [only] if !group => format!("/scan/{}/repositories/{}/packages", facts.id, only.index),
        _ => format!("/scan/{}/repositories", facts.id),
    };
    ResultsDocument {
        git_url: facts.url.clone(),
        dependencies: any(|it| &it.categories),
        infrastructure_usage: any(|it| &it.infrastructure_usage),
        scan_type: if group { "group" } else { "repository" },
        total_projects: group.then_some(facts.summary.total_repositories),
        successful_scans: group.then_some(facts.summary.completed),
        failed_scans: group.then_some(facts.summary.failed),
        project_results: group.then(projects),
        failed_projects: group.then(failed),
        packages_total: summaries.iter().map(|it| it.packages_total).sum(),
        packages_url,
    }
}

fn error_of(status: &RepositoryStatus) -> String {
    status.error.clone().unwrap_or_else(|| "Not scanned".to_owned())
}
