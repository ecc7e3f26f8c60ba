//! `/scan/{id}/repositories`: the repositories of a job in pages, those included that have not
//! been begun, and in a list of their own those that the plan leaves out.
//!
//! What must stay true: a row is what the repository's own path answers; a job of ten thousand
//! repositories costs a page, not ten thousand rows.

use super::{
    ApiError,
    etag::{IfNoneMatch, if_none_match},
    operation::{Answer, Operation},
    paging::{Page, Place},
    reply::{self, finish},
    repository::RepositoryAnswer,
    route::{Call, Route, Scope},
    scan::JOB_ID,
    state::Api,
    template::Template,
};
use crate::{
    live::LiveJob,
    model::{
        RepoState,
        plan::{Plan, PlannedRepository},
        repository::RepositoryStatus,
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use tokio::task::spawn_blocking;
use warp::{
    Filter,
    http::{StatusCode, header},
    reply::Response,
};

/// Rows of a page where nobody says how many, and at most.
const PER_PAGE: (usize, usize) = (100, 1_000);

/// The most rows that are made up for a job whose total is all that is known of them.
const MOST_UNNAMED: u64 = 100_000;

/// The words of the filter: the counts of a job's summary, those that are left out, and states.
const FILTERS: [&str; 13] = [
    "pending",
    "working",
    "completed",
    "failed",
    "skipped",
    "starting",
    "downloading",
    "extracting",
    "cloning",
    "scanning",
    "analyzing",
    "timeout",
    "cancelled",
];

const REPOSITORIES: Template<1> = Template::new("/scan/{id}/repositories", [JOB_ID]);

/// The parameters of the list.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Listing {
    /// Which page, from 1; a smaller number is the first.
    page: Option<i64>,
    /// Rows of a page; a number out of range is brought into it.
    per_page: Option<i64>,
    /// Repositories in this state alone. `failed` are all that count as failed, `working` all that
    /// are being scanned; `skipped` are those that the plan leaves out.
    #[schemars(extend("enum" = FILTERS))]
    status: Option<String>,
}

/// A page of a job's repositories.
#[derive(Debug, Serialize, JsonSchema)]
struct RepositoriesPage<'a> {
    /// In order of their numbers.
    repositories: Vec<RepositoryAnswer<'a>>,
    /// Those that are left out: empty but for `?status=skipped`, which pages through them.
    skipped: Vec<SkippedRepository<'a>>,
    /// How many are left out. They do not count in the job.
    skipped_total: usize,
    #[serde(flatten)]
    place: Place,
}

/// A repository that is not scanned.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
struct SkippedRepository<'a> {
    repo_name: &'a str,
    git_url: &'a str,
    /// Why it is left out.
    reason: &'a str,
}

/// A repository of the job, with its state by reference or as a copy.
#[derive(Debug, Clone, Copy)]
enum Row<'a, S> {
    Begun(S),
    /// Its number, and its line in the plan.
    Waiting(u32, Option<&'a PlannedRepository>),
}

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    let lists = Operation::new("listRepositories", "The repositories of a job")
        .about(
            "In order of their numbers, those included that have not been begun. 100 on a page \
             where `per_page` is absent, at most 1,000.",
        )
        .query::<Listing>()
        .header("If-None-Match", "The `ETag` of the page that the client has.")
        .answers(
            StatusCode::OK,
            Answer::json::<RepositoriesPage<'_>>("One page of them.")
                .header("ETag", "The version of the job."),
        )
        .answers(
            StatusCode::NOT_MODIFIED,
            Answer::empty("The client has the newest version.")
                .header("ETag", "The version of the job."),
        )
        .refuses(StatusCode::BAD_REQUEST, "There is no such state.");
    vec![Route::get(&REPOSITORIES, Scope::Read, lists, |call, _| {
        call.and(warp::query()).and(if_none_match()).then(
            async |call: Call<1>, listing, seen: IfNoneMatch| {
                let [id] = call.path;
                finish(list(call.api, id, listing, seen).await)
            },
        )
    })]
}

/// `GET /scan/{id}/repositories`
async fn list(
    api: Api,
    id: String,
    listing: Listing,
    seen: IfNoneMatch,
) -> Result<Response, ApiError> {
    let job = api.job(&id)?;
    let wanted = listing.status.as_deref();
    if wanted.is_some_and(|it| !FILTERS.contains(&it)) {
        let detail = format!("Invalid status filter. Must be one of: {}", FILTERS.join(", "));
        return Err(ApiError::bad_request(detail));
    }
    let plan = plan(&api, &job).await?;
    let plan = plan.as_deref();
    // Asked for before the rows: they are of this version or newer, so that nothing newer is ever
    // taken for known. A plan gets longer without a version of its own.
    let planned = plan.map_or(0, |it| it.repositories.len());
    let etag = format!("W/\"{}-{planned}\"", job.event_id());
    if seen.has(&etag) {
        let response = reply::empty(StatusCode::NOT_MODIFIED);
        return Ok(reply::with_header(response, header::ETAG, &etag));
    }
    let (default, most) = PER_PAGE;
    let page = Page::new(listing.page, listing.per_page, default, most);
    let left_out = skipped(plan);
    let skipped_total = left_out.len();
    let (rows, skipped, total) = if wanted == Some("skipped") {
        (Vec::new(), left_out.as_slice(), skipped_total)
    } else {
        let (rows, total) = rows(&job, plan, wanted, page);
        (rows, &[][..], total)
    };
    let answers = rows.iter().map(|row| match row {
        Row::Begun(status) => RepositoryAnswer::of(job.id(), status),
        Row::Waiting(index, planned) => RepositoryAnswer::planned(job.id(), *index, *planned),
    });
    let response = reply::json(&RepositoriesPage {
        repositories: answers.collect(),
        skipped: page.of(skipped).copied().collect(),
        skipped_total,
        place: page.place(total),
    });
    let response = reply::with_header(response, header::ETAG, &etag);
    Ok(reply::with_header(response, header::CACHE_CONTROL, "private, no-cache"))
}

/// The plan of a job, if it has one.
pub(super) async fn plan(api: &Api, job: &LiveJob) -> Result<Option<Arc<Plan>>, ApiError> {
    let (plans, id) = (Arc::clone(&api.plans), job.id().clone());
    let read = spawn_blocking(move || plans.get(&id)).await;
    read.map_err(|error| ApiError::internal("read a plan", &error))
}

/// All repositories of the job by number, as planned; of another program's job nothing is known
/// but how many there are.
pub(super) fn planned<'a>(
    job: &LiveJob,
    plan: Option<&'a Plan>,
) -> BTreeMap<u32, Option<&'a PlannedRepository>> {
    if let Some(plan) = plan {
        return plan.counted().map(|(index, it)| (index, Some(it))).collect();
    }
    let total = job.facts().summary.total_repositories.min(MOST_UNNAMED);
    (0..u32::try_from(total).unwrap_or(0)).map(|index| (index, None)).collect()
}

/// The rows of a page, and how many there are on all.
fn rows<'a>(
    job: &LiveJob,
    plan: Option<&'a Plan>,
    wanted: Option<&str>,
    page: Page,
) -> (Vec<Row<'a, RepositoryStatus>>, usize) {
    let mut waiting = planned(job, plan);
    job.with_repositories(|begun| {
        let mut all: Vec<(u32, Row<'a, &RepositoryStatus>)> = Vec::new();
        for status in begun {
            waiting.remove(&status.index);
            if wanted.is_none_or(|word| is_in(status.state, word)) {
                all.push((status.index, Row::Begun(status)));
            }
        }
        if wanted.is_none_or(|word| is_in(RepoState::Pending, word)) {
            all.extend(waiting.iter().map(|(index, it)| (*index, Row::Waiting(*index, *it))));
            all.sort_by_key(|(index, _)| *index);
        }
        let rows = page.of(&all).map(|(_, row)| match *row {
            Row::Begun(status) => Row::Begun(status.clone()),
            Row::Waiting(index, planned) => Row::Waiting(index, planned),
        });
        (rows.collect(), all.len())
    })
}

/// Whether a repository in this state is one that the filter's word means.
fn is_in(state: RepoState, word: &str) -> bool {
    match word {
        "pending" => state == RepoState::Pending,
        "working" => state.is_working(),
        "failed" => state.is_failure(),
        word => state.as_str() == word,
    }
}

/// What the plan leaves out, and why.
fn skipped(plan: Option<&Plan>) -> Vec<SkippedRepository<'_>> {
    let planned = plan.map_or(&[][..], |it| &it.repositories);
    planned
        .iter()
        .filter_map(|it| {
            let reason = it.skipped.as_deref()?;
            Some(SkippedRepository { repo_name: &it.repo_name, git_url: &it.git_url, reason })
        })
        .collect()
}
