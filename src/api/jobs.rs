//! `/jobs/{id}`, its results, and the packages of a repository.

use super::{ApiError, paging::Page, reply, repository, state::Api};
use crate::{
    live::{LiveJob, ResultSummary},
    model::{RepoState, master::ScanType, progress::JobFacts, repository::RepositoryStatus, time},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};
use tokio::task::spawn_blocking;
use warp::reply::Response;

/// The words of [`JobState::coarse`](crate::model::JobState::coarse).
const COARSE_STATES: [&str; 4] = ["pending", "running", "completed", "failed"];
/// Rows of a page of packages where nobody says how many, and at most.
const PACKAGES_PER_PAGE: (usize, usize) = (100, 1_000);

/// Rows of a page of jobs, likewise.
const JOBS_PER_PAGE: (usize, usize) = (20, 100);

/// `?page=&per_page=`
#[derive(Debug, Default, Deserialize)]
pub(super) struct Paging {
    page: Option<i64>,
    per_page: Option<i64>,
}

/// `?page=&per_page=&status=`
#[derive(Debug, Default, Deserialize)]
pub(super) struct Listing {
    page: Option<i64>,
    per_page: Option<i64>,
    status: Option<String>,
}

/// `GET /jobs`: newest first.
pub(super) fn list(api: &Api, listing: &Listing) -> Result<Response, ApiError> {
    let wanted = listing.status.as_deref();
    if wanted.is_some_and(|it| !COARSE_STATES.contains(&it)) {
        let detail = format!("Invalid status filter. Must be one of: {}", COARSE_STATES.join(", "));
        return Err(ApiError::bad_request(detail));
    }
    let mut jobs: Vec<_> = api.live.all().into_iter().map(|job| (job.facts(), job)).collect();
    jobs.retain(|(facts, _)| wanted.is_none_or(|it| facts.state.coarse() == it));
    // Ids of ours sort by time as well: they part jobs of one instant.
    jobs.sort_by(|(a, _), (b, _)| (b.started_at, &b.id).cmp(&(a.started_at, &a.id)));
    let (default, most) = JOBS_PER_PAGE;
    let page = Page::new(listing.page, listing.per_page, default, most);
    let rows = page.of(&jobs).map(|(facts, job)| {
        let mut row = summary(facts);
        row["git_url"] = facts.url.clone().into();
        row["error_message"] = error_message(facts, job).into();
        row
    });
    Ok(reply::json(&page.answer("jobs", &rows.collect::<Vec<_>>(), jobs.len())))
}

/// `GET /jobs/{id}`
pub(super) fn row(api: &Api, id: &str) -> Result<Response, ApiError> {
    Ok(reply::json(&summary(&api.job(id)?.facts())))
}

fn summary(facts: &JobFacts) -> Value {
    json!({
        "job_id": facts.id,
        "status": facts.state.coarse(),
        "created_at": facts.started_at.map(time::format),
        "completed_at": facts.completed_at.map(time::format),
        "progress": facts.percentage(),
    })
}

/// Why a job failed: its own error, else that of its first failed repository.
fn error_message(facts: &JobFacts, job: &LiveJob) -> Option<String> {
    if facts.state.coarse() != "failed" {
        return None;
    }
    let of_repository = || job.repositories().into_iter().find_map(|it| it.error);
    facts.error.clone().or_else(of_repository)
}

/// `GET /jobs/{id}/results`
pub(super) async fn results(api: Api, id: String) -> Result<Response, ApiError> {
    let job = api.job(&id)?;
    let facts = job.facts();
    let group = is_group(&job, &facts);
    let repositories = job.repositories();
    let completed = repositories.iter().any(|it| it.state == RepoState::Completed);
    if !facts.state.is_final() || !group && !completed {
        return Err(ApiError::bad_request("Job not completed"));
    }
    Ok(reply::json(&found(api, facts, group, repositories).await?))
}

/// `GET /jobs/{id}/partial`: what the repositories that are over have found so far.
pub(super) async fn partial(api: Api, id: String) -> Result<Response, ApiError> {
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
    Ok(reply::json(&json!({
        "job_id": job.id(),
        "status": status,
        "progress": progress,
        "partial_results": results,
        "last_updated": last_updated.map(time::format),
    })))
}

/// The results document of these repositories.
async fn found(
    api: Api,
    facts: JobFacts,
    group: bool,
    repositories: Vec<RepositoryStatus>,
) -> Result<Value, ApiError> {
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

/// `GET /scan/{id}/repositories/{n}/packages`
pub(super) async fn packages(
    api: Api,
    id: String,
    index: String,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (job, status) = repository::find(&api, &id, &index)?;
    if status.state != RepoState::Completed {
        return Err(ApiError::bad_request("Repository not completed"));
    }
    let (id, index) = (job.id().clone(), status.index);
    let packages = spawn_blocking(move || api.results.packages(&id, index))
        .await
        .map_err(|error| ApiError::internal("read packages", &error))?;
    let (default, most) = PACKAGES_PER_PAGE;
    let page = Page::new(paging.page, paging.per_page, default, most);
    let rows: Vec<_> = page.of(&packages).collect();
    Ok(reply::json(&page.answer("packages", &rows, packages.len())))
}

/// The Python service's jobs do not say what they are; more than one repository is a group.
fn is_group(job: &LiveJob, facts: &JobFacts) -> bool {
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
) -> Value {
    let any = |select: fn(&ResultSummary) -> &BTreeMap<String, bool>| {
        let mut found: BTreeMap<String, bool> = BTreeMap::new();
        for (name, is_there) in summaries.iter().flat_map(|it| select(it)) {
            *found.entry(name.clone()).or_default() |= is_there;
        }
        found
    };
    let zipped = || repositories.iter().zip(summaries);
    let failed: Vec<Value> = repositories
        .iter()
        .filter(|it| it.state != RepoState::Completed)
        .map(|it| json!({ "project_name": it.name, "git_url": it.git_url, "error": error_of(it) }))
        .collect();
    let projects: Vec<Value> = zipped()
        .map(|(it, summary)| {
            let success = it.state == RepoState::Completed;
            json!({
                "project_name": it.name,
                "git_url": it.git_url,
                "dependencies": summary.categories,
                "infrastructure_usage": summary.infrastructure_usage,
                "status": if success { "success" } else { "failed" },
                "error": (!success).then(|| error_of(it)),
            })
        })
        .collect();
    let packages_url = match repositories {
        [only] if !group => format!("/scan/{}/repositories/{}/packages", facts.id, only.index),
        _ => format!("/scan/{}/repositories", facts.id),
    };
    json!({
        "git_url": facts.url,
        "dependencies": any(|it| &it.categories),
        "infrastructure_usage": any(|it| &it.infrastructure_usage),
        "scan_type": if group { "group" } else { "repository" },
        "total_projects": group.then_some(facts.summary.total_repositories),
        "successful_scans": group.then_some(facts.summary.completed),
        "failed_scans": group.then_some(facts.summary.failed),
        "project_results": group.then_some(projects),
        "failed_projects": group.then_some(failed),
        "packages_total": summaries.iter().map(|it| it.packages_total).sum::<u64>(),
        "packages_url": packages_url,
    })
}

fn error_of(status: &RepositoryStatus) -> String {
    status.error.clone().unwrap_or_else(|| "Not scanned".to_owned())
}
