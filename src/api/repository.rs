//! One repository of a job: where it stands, and the packages that were found in it.

use super::{
    ApiError,
    operation::{Answer, Operation, schema_of},
    paging::{Page, Paging, Place},
    reply::{self, finish},
    route::{Call, Route, Scope},
    scan::JOB_ID,
    state::Api,
    template::{PathParameter, Template},
};
use crate::{
    live::LiveJob,
    model::{
        Failure, JobId, RepoState,
        repository::{Progress, RepositoryStatus},
        scan_result::Package,
        time::{self, Timestamp},
    },
};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;
use tokio::task::spawn_blocking;
use warp::{Filter, http::StatusCode, reply::Response};

/// Rows of a page of packages where nobody says how many, and at most.
const PACKAGES_PER_PAGE: (usize, usize) = (100, 1_000);

/// The `{n}` of a repository's paths.
pub(super) const INDEX: PathParameter = PathParameter {
    name: "n",
    about: "The repository's number in its job, from 0: its `repo_index`.",
    schema: schema_of::<u32>,
};

const REPOSITORY: Template<2> = Template::new("/scan/{id}/repositories/{n}", [JOB_ID, INDEX]);
const PACKAGES: Template<2> =
    Template::new("/scan/{id}/repositories/{n}/packages", [JOB_ID, INDEX]);

/// Where one repository stands.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Repository")]
struct RepositoryAnswer<'a> {
    job_id: &'a JobId,
    repo_index: u32,
    repo_name: Option<&'a str>,
    git_url: Option<&'a str>,
    /// A working state, `completed`, `failed`, `timeout`, `cancelled`; anything else is pending.
    status: &'a str,
    /// How often it was begun.
    attempt: Option<u64>,
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    started_at: Option<Timestamp>,
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    last_update: Option<Timestamp>,
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    completed_at: Option<Timestamp>,
    progress: Option<&'a Progress>,
    dependencies_found: Option<u64>,
    /// Why it failed, in words.
    error: Option<&'a str>,
    failure: Option<&'a Failure>,
}

/// A page of packages.
#[derive(Debug, Serialize, JsonSchema)]
struct PackagesPage<'a> {
    packages: Vec<&'a Package>,
    #[serde(flatten)]
    place: Place,
}

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    let shows = Operation::new("getRepository", "Where one repository of a job stands")
        .answers(StatusCode::OK, Answer::json::<RepositoryAnswer<'_>>("Where it stands."));
    let lists = Operation::new("listPackages", "The packages that were found in a repository")
        .about("100 on a page where `per_page` is absent, at most 1,000.")
        .query::<Paging>()
        .answers(StatusCode::OK, Answer::json::<PackagesPage<'_>>("One page of them, sorted."))
        .refuses(StatusCode::BAD_REQUEST, "The repository is not completed.");
    vec![
        Route::get(&REPOSITORY, Scope::Read, shows, |call, _| {
            call.map(|Call { api, path: [id, index], .. }| finish(show(&api, &id, &index)))
        }),
        Route::get(&PACKAGES, Scope::Read, lists, |call, _| {
            call.and(warp::query()).then(async |call: Call<2>, paging| {
                let [id, index] = call.path;
                finish(packages(call.api, id, index, paging).await)
            })
        }),
    ]
}

/// Finds a repository by the texts of a path.
pub(super) fn find(
    api: &Api,
    id: &str,
    index: &str,
) -> Result<(Arc<LiveJob>, RepositoryStatus), ApiError> {
    let job = api.job(id)?;
    let status = index.parse().ok().and_then(|index| job.repository(index));
    let status = status.ok_or(ApiError::Absent("Repository not found"))?;
    Ok((job, status))
}

/// `GET /scan/{id}/repositories/{n}`
fn show(api: &Api, id: &str, index: &str) -> Result<Response, ApiError> {
    let (job, status) = find(api, id, index)?;
    Ok(reply::json(&RepositoryAnswer {
        job_id: job.id(),
        repo_index: status.index,
        repo_name: status.name.as_deref(),
        git_url: status.git_url.as_deref(),
        status: status.word(),
        attempt: status.attempt,
        started_at: status.started_at,
        last_update: status.last_update,
        completed_at: status.completed_at,
        progress: status.progress.as_ref(),
        dependencies_found: status.dependencies_found,
        error: status.error.as_deref(),
        failure: status.failure.as_ref(),
    }))
}

/// `GET /scan/{id}/repositories/{n}/packages`
async fn packages(
    api: Api,
    id: String,
    index: String,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (job, status) = find(&api, &id, &index)?;
    if status.state != RepoState::Completed {
        return Err(ApiError::bad_request("Repository not completed"));
    }
    let (id, index) = (job.id().clone(), status.index);
    let packages = spawn_blocking(move || api.results.packages(&id, index))
        .await
        .map_err(|error| ApiError::internal("read packages", &error))?;
    let (default, most) = PACKAGES_PER_PAGE;
    let page = Page::new(paging.page, paging.per_page, default, most);
    let place = page.place(packages.len());
    let packages = page.of(&packages).collect();
    Ok(reply::json(&PackagesPage { packages, place }))
}
