//! `/jobs`: the list of known jobs.
//!
//! Input: a page, a state, an id or a part of one. Output: rows of jobs, newest first. Invariants: no lock is held
//! while rows are serialized.

use super::scan::JOB_ID;
use crate::api::{
    answers::{
        error::ApiError,
        reply::{self, finish},
    },
    requests::paging::{Page, PagePosition},
    routing::{
        operation::{Answer, Operation},
        route::{Access, Call, Route},
        template::Template,
    },
    state::Api,
};
use crate::model::{
    JobId,
    job_query::JobQuery,
    job_row::{JobRow, ListedJob},
    progress::JobFacts,
    state::COARSE_STATES,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, sync::Arc};
use warp::{Filter, http::StatusCode, reply::Response};

/// The default and the maximum size of a page of jobs.
const JOBS_PER_PAGE: (usize, usize) = (20, 100);

const JOBS: Template<0> = Template::new("/jobs", []);
const JOB: Template<1> = Template::new("/jobs/{id}", [JOB_ID]);

/// The parameters of the list of jobs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Listing {
    /// The page, from 1; a smaller number means 1.
    page: Option<i64>,
    /// The size of a page; a number out of range is clamped.
    per_page: Option<i64>,
    /// List only jobs in this state.
    #[schemars(extend("enum" = COARSE_STATES))]
    status: Option<String>,
    /// List only the job with this id or, if there is none, the jobs whose ids begin or end with
    /// this text.
    job: Option<String>,
    /// List only jobs that fit all of these words, of at most 200 bytes: `status:failed`, `forge:` with a part of the host, `name:`
    /// with a part of the path, and other words, which are parts of the URL or of the id. Case does not matter.
    q: Option<String>,
    /// List the archived jobs instead: those whose files were removed after the retention time, and whose results are kept.
    archived: Option<bool>,
}

/// The parameters of a row.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Shown {
    /// Whether an archived job is shown too; by default it is not found.
    archived: Option<bool>,
}

/// A page of jobs.
#[derive(Debug, Serialize, JsonSchema)]
struct JobsPage<'a> {
    jobs: Vec<ListedJob<'a>>,
    #[serde(flatten)]
    place: PagePosition,
}

/// The routes of this file.
pub(crate) fn routes() -> Vec<Route> {
    let lists = Operation::new("listJobs", "All jobs, newest first")
        .about("A page has 20 jobs by default, at most 100.")
        .query::<Listing>()
        .answers(StatusCode::OK, Answer::json::<JobsPage<'_>>("A page of jobs."))
        .refuses(StatusCode::BAD_REQUEST, "The state is unknown.");
    let shows = Operation::new("getJob", "The row of one job")
        .query::<Shown>()
        .answers(StatusCode::OK, Answer::json::<JobRow<'_>>("The row."));
    vec![
        Route::get(&JOBS, Access::Read, lists, |call, _| {
            call.and(warp::query())
                .then(async |call: Call<0>, listing| finish(list(&call.api, listing).await))
        }),
        Route::get(&JOB, Access::Read, shows, |call, _| {
            call.and(warp::query()).then(async |Call { api, path: [id], .. }: Call<1>, shown| {
                finish(row(&api, &id, &shown).await)
            })
        }),
    ]
}

/// `GET /jobs`: newest first.
async fn list(api: &Api, listing: Listing) -> Result<Response, ApiError> {
    let wanted = listing.status.clone();
    if wanted.as_deref().is_some_and(|state| !COARSE_STATES.contains(&state)) {
        let detail = format!("Invalid status filter. Must be one of: {}", COARSE_STATES.join(", "));
        return Err(ApiError::bad_request(detail));
    }
    let (default, most) = JOBS_PER_PAGE;
    let page = Page::new(listing.page, listing.per_page, default, most);
    // Copied, so that no lock is held during serialization.
    let copy = |facts: &JobFacts, error: Option<&str>| (facts.clone(), error.map(str::to_owned));
    let query = listing.q.as_deref().filter(|text| !text.trim().is_empty()).map(JobQuery::parse);
    let query = query
        .transpose()
        .map_err(|error| ApiError::bad_request(format!("Invalid filter: {error}")))?;
    if listing.archived == Some(true) {
        return archived(api, listing.job, wanted, query, page).await;
    }
    let (rows, total) = match (listing.job, query) {
        (None, None) => api.live.page(wanted.as_deref(), page.range(), copy),
        (Some(text), None) => api.live.page_of_ids(&text, wanted.as_deref(), page.range(), copy),
        (job, Some(query)) => {
            // Every job is visited, which takes its time: not on a thread that serves others.
            let live = Arc::clone(&api.live);
            let fits = move |facts: &JobFacts| {
                let id = facts.id.as_str();
                query.fits(facts)
                    && job.as_ref().is_none_or(|part| id.starts_with(part) || id.ends_with(part))
            };
            let range = page.range();
            let search = move || live.page_of_fitting(fits, wanted.as_deref(), range, copy);
            api.read_pools.checks.run(search).await.unwrap_or_default()
        }
    };
    let places = queue_positions(api, rows.iter().map(|(facts, _)| facts));
    let rows = rows.iter().map(|(facts, error)| {
        ListedJob::of(facts, error.as_deref()).in_queue(places.get(&facts.id).copied())
    });
    Ok(reply::json(&JobsPage { jobs: rows.collect(), place: page.place(total) }))
}

/// `GET /jobs?archived=true`
async fn archived(
    api: &Api,
    job: Option<String>,
    state: Option<String>,
    query: Option<JobQuery>,
    page: Page,
) -> Result<Response, ApiError> {
    let (archived, range) = (Arc::clone(&api.archived), page.range());
    let list = move || {
        archived.page(
            |facts| {
                let id = facts.id.as_str();
                state.as_deref().is_none_or(|state| state == facts.state.coarse())
                    && query.as_ref().is_none_or(|query| query.fits(facts))
                    && job.as_ref().is_none_or(|part| id.starts_with(part) || id.ends_with(part))
            },
            range,
        )
    };
    let listed = api.read_pools.results.run(list).await?;
    let (rows, total) = listed.map_err(|error| ApiError::internal("list archived jobs", &error))?;
    let jobs = rows.iter().map(|(facts, error)| ListedJob::of(facts, error.as_deref())).collect();
    Ok(reply::json(&JobsPage { jobs, place: page.place(total) }))
}

/// `GET /jobs/{id}`
async fn row(api: &Api, id: &str, shown: &Shown) -> Result<Response, ApiError> {
    let job = match shown.archived {
        Some(true) => api.job_or_archived(id).await?,
        _ => api.live_job(id).await?,
    };
    let facts = job.facts();
    let places = queue_positions(api, std::iter::once(&facts));
    Ok(reply::json(&JobRow::of(&facts).in_queue(places.get(&facts.id).copied())))
}

/// The places of the jobs that wait for their first scan; empty if all of these jobs are finished, so that lists of finished
/// jobs cost nothing.
fn queue_positions<'a>(
    api: &Api,
    mut jobs: impl Iterator<Item = &'a JobFacts>,
) -> HashMap<JobId, usize> {
    if !jobs.any(|facts| !facts.state.is_final()) {
        return HashMap::new();
    }
    api.supervisor.waiting_jobs().into_iter().zip(1..).collect()
}
