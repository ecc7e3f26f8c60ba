//! The results of a job: `/jobs/{id}/results` when it is finished, `/jobs/{id}/partial` before.
//!
//! Input: the id of a job. Output: the results document, or all packages as CSV.
//!
//! Invariants: the document is generated while it is sent, so that memory is bounded; an answer
//! whose job is removed meanwhile is aborted.

mod generated;

use super::{
    csv::{self, Format},
    produced_body::{Cancellation, Terms, produced, unread},
    scan::JOB_ID,
};
use crate::api::{
    answers::{
        error::ApiError,
        reply::{self, finish},
    },
    requests::header::header,
    routing::{
        operation::{Answer, Operation},
        route::{Access, Call, Route},
        template::Template,
    },
};
use crate::{
    live::LiveJob,
    model::{
        JobId, RepoState,
        master::ScanType,
        progress::JobFacts,
        state::COARSE_STATES,
        time::{self, Timestamp},
    },
};
use generated::{GeneratedResults, Kind, Subject};
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
    /// Empty, like that of a repository below, where no file names it.
    git_url: String,
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
    /// What is missing in this document, if anything.
    warnings: Vec<String>,
    /// The files of the job were removed after the retention time, and these are its archived results; absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    archived: bool,
}

/// The results of one repository of a group.
#[derive(Debug, Serialize, JsonSchema)]
struct ProjectResult {
    project_name: Option<String>,
    git_url: String,
    dependencies: BTreeMap<String, bool>,
    infrastructure_usage: BTreeMap<String, bool>,
    /// `unknown`: it is completed, but its folder contains no results.
    #[schemars(extend("enum" = ["success", "failed", "unknown"]))]
    status: &'static str,
    error: Option<String>,
}

/// A repository of a group whose scan did not complete.
#[derive(Debug, Serialize, JsonSchema)]
struct FailedProject {
    project_name: Option<String>,
    git_url: String,
    error: String,
}

/// The results of a running job so far.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PartialResults")]
struct SoFar {
    job_id: JobId,
    #[schemars(extend("enum" = COARSE_STATES))]
    status: &'static str,
    #[schemars(range(max = 100))]
    progress: u8,
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
pub(crate) fn routes() -> Vec<Route> {
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
                .header("Content-Disposition", "A file name for the download.")
                .header("Scanwatch-Archived", "Whether the job is archived: `true` or `false`."),
        )
        .refuses(StatusCode::BAD_REQUEST, "The job is not completed, or the format is unknown.")
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many results are being read.");
    let gives_some = Operation::new("getPartialResults", "The results of a running job so far")
        .answers(StatusCode::OK, Answer::json::<SoFar>("The results of its finished repositories."))
        .refuses(StatusCode::BAD_REQUEST, "The job is not running.")
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many results are being read.");
    vec![
        Route::get(&RESULTS, Access::Read, gives, |call, _| {
            call.and(warp::query()).and(header("accept")).then(
                async |call: Call<1>, asked, accept: Option<_>| {
                    finish(results(call, asked, accept).await)
                },
            )
        }),
        Route::get(&PARTIAL, Access::Read, gives_some, |call, _| {
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
    let job = call.api.job_or_archived(id).await?;
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
    let job = call.api.live_job(id).await?;
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
    let reading = api.read_pools.open(&call.user, call.peer)?;
    let (cancellation, guard) = Cancellation::of(api, &job);
    let id = facts.id.clone();
    let results = Arc::clone(&api.results);
    let root = api.config.get().server.public_url.clone();
    let subject = Subject { job, facts, group, repositories, root };
    let found = GeneratedResults::new(results, subject, kind, cancellation);
    let terms = Terms::new(api, &api.read_pools.results, &call.user).with(guard, reading);
    let response = produced(terms, found, "application/json").await;
    response.map_err(|error| error.unwrap_or_else(|| unread(api, &id)))
}

/// Jobs of the Python service have no type; more than one repository means a group.
pub(crate) fn is_group(job: &LiveJob, facts: &JobFacts) -> bool {
    match job.scan_type() {
        Some(scan_type) => scan_type == ScanType::Group,
        None => facts.summary.total_repositories > 1,
    }
}
