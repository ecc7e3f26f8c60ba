//! One repository of a job: where it stands, and the packages that were found in it.

use super::{
    ApiError,
    csv::{self, Format},
    header,
    operation::{Answer, Operation, schema_of},
    paging::{Page, Place},
    reply::{self, finish},
    repositories::{plan, planned},
    route::{Call, Route, Scope},
    scan::JOB_ID,
    state::Api,
    template::{PathParameter, Template},
};
use crate::{
    live::LiveJob,
    model::{
        Failure, JobId, RepoState,
        plan::PlannedRepository,
        repository::{Progress, RepositoryStatus},
        scan_result::Package,
        time::{self, Timestamp},
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::task::spawn_blocking;
use warp::{
    Filter,
    http::{HeaderValue, StatusCode, header::VARY},
    reply::Response,
};

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
pub(super) struct RepositoryAnswer<'a> {
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

/// The parameters of packages.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct PackagesQuery {
    /// Which page, from 1; a smaller number is the first.
    page: Option<i64>,
    /// Rows of a page; a number out of range is brought into it.
    per_page: Option<i64>,
    /// As which kind of document; `Accept` decides where it is absent.
    #[schemars(extend("enum" = csv::FORMATS))]
    format: Option<String>,
}

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    let shows = Operation::new("getRepository", "Where one repository of a job stands")
        .answers(StatusCode::OK, Answer::json::<RepositoryAnswer<'_>>("Where it stands."));
    let lists = Operation::new("listPackages", "The packages that were found in a repository")
        .about("100 on a page where `per_page` is absent, at most 1,000. As CSV: all of them.")
        .query::<PackagesQuery>()
        .header("Accept", "`text/csv` for CSV, where no `format` is given.")
        .answers(StatusCode::OK, Answer::json::<PackagesPage<'_>>("One page of them, sorted."))
        .answers(
            StatusCode::OK,
            Answer::text(csv::MEDIA_TYPE, "All of them, below a line of headings.")
                .header("Content-Disposition", "A name to save it under."),
        )
        .refuses(
            StatusCode::BAD_REQUEST,
            "The repository is not completed, or there is no such format.",
        );
    vec![
        Route::get(&REPOSITORY, Scope::Read, shows, |call, _| {
            call.then(async |Call { api, path: [id, index], .. }| {
                finish(show(api, id, index).await)
            })
        }),
        Route::get(&PACKAGES, Scope::Read, lists, |call, _| {
            call.and(warp::query()).and(header("accept")).then(
                async |call: Call<2>, query, accept: Option<_>| {
                    let [id, index] = call.path;
                    finish(packages(call.api, id, index, query, accept).await)
                },
            )
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

impl<'a> RepositoryAnswer<'a> {
    /// What its status file says.
    pub(super) fn of(job_id: &'a JobId, status: &'a RepositoryStatus) -> Self {
        Self {
            job_id,
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
        }
    }

    /// One that has not been begun, so that only the plan knows of it, if there is one.
    pub(super) fn planned(
        job_id: &'a JobId,
        index: u32,
        planned: Option<&'a PlannedRepository>,
    ) -> Self {
        Self {
            job_id,
            repo_index: index,
            repo_name: planned.map(|it| it.repo_name.as_str()),
            git_url: planned.map(|it| it.git_url.as_str()),
            status: RepoState::Pending.as_str(),
            attempt: None,
            started_at: None,
            last_update: None,
            completed_at: None,
            progress: None,
            dependencies_found: None,
            error: None,
            failure: None,
        }
    }
}

/// `GET /scan/{id}/repositories/{n}`
async fn show(api: Api, id: String, index: String) -> Result<Response, ApiError> {
    let job = api.job(&id)?;
    let absent = || ApiError::Absent("Repository not found");
    let index: u32 = index.parse().map_err(|_| absent())?;
    if let Some(status) = job.repository(index) {
        return Ok(reply::json(&RepositoryAnswer::of(job.id(), &status)));
    }
    let plan = plan(&api, &job).await?;
    let planned = planned(&job, plan.as_deref()).remove(&index).ok_or_else(absent)?;
    Ok(reply::json(&RepositoryAnswer::planned(job.id(), index, planned)))
}

/// `GET /scan/{id}/repositories/{n}/packages`
async fn packages(
    api: Api,
    id: String,
    index: String,
    query: PackagesQuery,
    accept: Option<HeaderValue>,
) -> Result<Response, ApiError> {
    let (job, status) = find(&api, &id, &index)?;
    let format = Format::asked(query.format.as_deref(), accept.as_ref())?;
    if status.state != RepoState::Completed {
        return Err(ApiError::bad_request("Repository not completed"));
    }
    let (id, index) = (job.id().clone(), status.index);
    if format == Format::Csv {
        let name = format!("scanwatch-{id}-{index}.csv");
        return Ok(csv::answer(api, id, vec![status], &name));
    }
    let packages = spawn_blocking(move || api.results.packages(&id, index))
        .await
        .map_err(|error| ApiError::internal("read packages", &error))?;
    let (default, most) = PACKAGES_PER_PAGE;
    let page = Page::new(query.page, query.per_page, default, most);
    let place = page.place(packages.len());
    let packages = page.of(&packages).collect();
    let response = reply::json(&PackagesPage { packages, place });
    Ok(reply::with_header(response, VARY, "accept"))
}
