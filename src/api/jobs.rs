//! `/jobs`: the jobs that are known, as rows.

use super::{
    ApiError,
    operation::{Answer, Operation},
    paging::{Page, Place},
    reply::{self, finish},
    route::{Call, Route, Scope},
    scan::JOB_ID,
    state::Api,
    template::Template,
};
use crate::model::{
    job_row::{JobRow, ListedJob},
    progress::JobFacts,
    state::COARSE_STATES,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use warp::{Filter, http::StatusCode, reply::Response};

/// Rows of a page of jobs where nobody says how many, and at most.
const JOBS_PER_PAGE: (usize, usize) = (20, 100);

const JOBS: Template<0> = Template::new("/jobs", []);
const JOB: Template<1> = Template::new("/jobs/{id}", [JOB_ID]);

/// The parameters of the list of jobs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Listing {
    /// Which page, from 1; a smaller number is the first.
    page: Option<i64>,
    /// Rows of a page; a number out of range is brought into it.
    per_page: Option<i64>,
    /// Jobs in this state alone.
    #[schemars(extend("enum" = COARSE_STATES))]
    status: Option<String>,
}

/// A page of jobs.
#[derive(Debug, Serialize, JsonSchema)]
struct JobsPage<'a> {
    jobs: Vec<ListedJob<'a>>,
    #[serde(flatten)]
    place: Place,
}

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    let lists = Operation::new("listJobs", "All jobs, newest first")
        .about("20 on a page where `per_page` is absent, at most 100.")
        .query::<Listing>()
        .answers(StatusCode::OK, Answer::json::<JobsPage<'_>>("One page of them."))
        .refuses(StatusCode::BAD_REQUEST, "There is no such state.");
    let shows = Operation::new("getJob", "One job in a line")
        .answers(StatusCode::OK, Answer::json::<JobRow<'_>>("The line."));
    vec![
        Route::get(&JOBS, Scope::Read, lists, |call, _| {
            call.and(warp::query()).map(|call: Call<0>, listing| finish(list(&call.api, &listing)))
        }),
        Route::get(&JOB, Scope::Read, shows, |call, _| {
            call.map(|Call { api, path: [id], .. }| finish(row(&api, &id)))
        }),
    ]
}

/// `GET /jobs`: newest first.
fn list(api: &Api, listing: &Listing) -> Result<Response, ApiError> {
    let wanted = listing.status.as_deref();
    if wanted.is_some_and(|state| !COARSE_STATES.contains(&state)) {
        let detail = format!("Invalid status filter. Must be one of: {}", COARSE_STATES.join(", "));
        return Err(ApiError::bad_request(detail));
    }
    let (default, most) = JOBS_PER_PAGE;
    let page = Page::new(listing.page, listing.per_page, default, most);
    // Copied, so that nobody waits while they are written as JSON.
    let copy = |facts: &JobFacts, error: Option<&str>| (facts.clone(), error.map(str::to_owned));
    let (rows, total) = api.live.page(wanted, page.range(), copy);
    let rows = rows.iter().map(|(facts, error)| ListedJob::of(facts, error.as_deref()));
    Ok(reply::json(&JobsPage { jobs: rows.collect(), place: page.place(total) }))
}

/// `GET /jobs/{id}`
fn row(api: &Api, id: &str) -> Result<Response, ApiError> {
    Ok(reply::json(&JobRow::of(&api.job(id)?.facts())))
}
