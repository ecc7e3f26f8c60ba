//! `/scan/{id}/repositories`: the repositories of a job in pages.
//!
//! Input: a page and a state. Output: rows of repositories, including those that are not started
//! yet, or rows of skipped repositories; and the `ETag` of the list.
//!
//! Invariants: a row equals the answer of the repository's own path; a page of a job with ten
//! thousand repositories costs a page, not ten thousand rows.

use super::{
    planned::planned,
    produced_body::{PIECE, Producer, Terms, around, produced, unread},
    repository::RepositoryAnswer,
    scan::JOB_ID,
};
use crate::api::{
    answers::{
        error::ApiError,
        reply::{self, finish},
        stream_body::Aborted,
    },
    requests::paging::{Page, PagePosition},
    routing::{
        operation::{Answer, Operation},
        route::{Access, Call, Route},
        template::Template,
    },
};
use crate::{
    live::{LiveJob, Plans},
    model::{
        RepoState,
        plan::{Plan, SkipCounts, SkipKind},
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use warp::{
    Filter,
    http::{StatusCode, header},
    reply::Response,
};

/// The default and the maximum size of a page.
const PER_PAGE: (usize, usize) = (100, 1_000);

/// The values of the filter: the counts of a job's summary, `skipped`, and states.
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
    /// The page, from 1; a smaller number means 1.
    page: Option<i64>,
    /// The size of a page; a number out of range is clamped.
    per_page: Option<i64>,
    /// List only repositories in this state. `failed` selects all that count as failed, `working`
    /// all that are being scanned, `skipped` those that the plan excludes.
    #[schemars(extend("enum" = FILTERS))]
    status: Option<String>,
}

/// A page of a job's repositories.
#[derive(Debug, Serialize, JsonSchema)]
struct RepositoriesPage<'a> {
    /// In order of their numbers.
    repositories: Vec<RepositoryAnswer<'a>>,
    /// Skipped repositories: empty unless `?status=skipped`, which pages through them.
    skipped: Vec<SkippedRepository<'a>>,
    /// The number of skipped repositories. The counts of the job do not include them.
    skipped_total: usize,
    /// How many of them are skipped for each kind of reason; kinds without any are absent.
    skipped_by_reason: SkipCounts,
    #[serde(flatten)]
    place: PagePosition,
}

/// A repository that is not scanned.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
struct SkippedRepository<'a> {
    repo_name: &'a str,
    git_url: &'a str,
    /// Why the repository is skipped.
    reason: &'a str,
    /// The kind of this reason.
    kind: Option<SkipKind>,
}

/// The routes of this file.
pub(crate) fn routes() -> Vec<Route> {
    let lists = Operation::new("listRepositories", "The repositories of a job")
        .about(
            "Sorted by number, including repositories that are not started yet. A page has 100 \
             repositories by default, at most 1,000.",
        )
        .query::<Listing>()
        .header("If-None-Match", "The `ETag` of the page that the client already has.")
        .answers(
            StatusCode::OK,
            Answer::json::<RepositoriesPage<'_>>("A page of repositories.")
                .header("ETag", "The version of the job."),
        )
        .answers(
            StatusCode::NOT_MODIFIED,
            Answer::empty("The client already has the current version.")
                .header("ETag", "The version of the job."),
        )
        .refuses(StatusCode::BAD_REQUEST, "The state is unknown.");
    vec![Route::get(&REPOSITORIES, Access::Read, lists, |call, _| {
        call.and(warp::query())
            .then(async |call: Call<1>, listing| finish(list(call, listing).await))
    })]
}

/// `GET /scan/{id}/repositories`
async fn list(call: Call<1>, listing: Listing) -> Result<Response, ApiError> {
    let (api, [id], if_none_match) = (&call.api, &call.path, call.if_none_match);
    let job = api.job_or_archived(id).await?;
    let wanted = listing.status;
    if wanted.as_ref().is_some_and(|state| !FILTERS.contains(&state.as_str())) {
        let detail = format!("Invalid status filter. Must be one of: {}", FILTERS.join(", "));
        return Err(ApiError::bad_request(detail));
    }
    let (plans, of) = (Arc::clone(&api.plans), Arc::clone(&job));
    let (default, most) = PER_PAGE;
    let page = Page::new(listing.page, listing.per_page, default, most);
    let selected = api.read_pools.files.run(move || {
        let plan = plans.get(of.id());
        let plan = plan.as_deref();
        // Read before the rows: these are of this version or newer, so a client never misses a
        // change. A plan grows without a version of its own, so its length is a part of the tag.
        let planned = plan.map_or(0, |plan| plan.repositories.len());
        let etag = format!("W/\"{}-{planned}\"", of.event_id());
        if if_none_match.matches(etag.as_bytes()) {
            return (etag, None);
        }
        (etag, Some(Rows::select(plans, of, plan, wanted.as_deref(), page)))
    });
    let (etag, rows) = selected.await?;
    let response = match rows {
        None => reply::empty(StatusCode::NOT_MODIFIED),
        Some(rows) => {
            let terms = Terms::new(api, &api.read_pools.files, &call.user);
            let response = produced(terms, rows, "application/json").await;
            let response =
                response.map_err(|error| error.unwrap_or_else(|| unread(api, job.id())))?;
            reply::with_header(response, header::CACHE_CONTROL, "private, no-cache")
        }
    };
    Ok(reply::with_header(response, header::ETAG, &etag))
}

/// The rows of a page, which are generated while they are sent.
struct Rows {
    plans: Arc<Plans>,
    job: Arc<LiveJob>,
    list: List,
    begin: String,
    end: String,
    commas: bool,
}

/// What is still to be sent.
enum List {
    /// The numbers of repositories.
    Repositories(std::vec::IntoIter<u32>),
    /// The indexes of skipped repositories in the plan.
    Skipped(std::vec::IntoIter<usize>),
}

impl Rows {
    fn select(
        plans: Arc<Plans>,
        job: Arc<LiveJob>,
        plan: Option<&Plan>,
        wanted: Option<&str>,
        page: Page,
    ) -> Self {
        let repositories = plan.map_or(&[][..], |plan| &plan.repositories);
        let skipped =
            repositories.iter().enumerate().filter(|(_, repository)| repository.skipped.is_some());
        let skipped: Vec<usize> = skipped.map(|(place, _)| place).collect();
        let (list, name, total) = if wanted == Some("skipped") {
            let rows: Vec<usize> = page.of(&skipped).copied().collect();
            (List::Skipped(rows.into_iter()), "skipped", skipped.len())
        } else {
            let all = numbers(&job, plan, wanted);
            let rows: Vec<u32> = page.of(&all).copied().collect();
            (List::Repositories(rows.into_iter()), "repositories", all.len())
        };
        let answer = RepositoriesPage {
            repositories: Vec::new(),
            skipped: Vec::new(),
            skipped_total: skipped.len(),
            skipped_by_reason: plan.map(Plan::skipped_by_reason).unwrap_or_default(),
            place: page.place(total),
        };
        // Serialization cannot fail: the keys are texts and the numbers are integers.
        let answer = serde_json::to_string(&answer).unwrap_or_default();
        let [begin, end] = around(name, &answer);
        Self { plans, job, list, begin, end, commas: false }
    }

    fn write(&mut self, row: &impl Serialize, piece: &mut Vec<u8>) -> Result<(), Aborted> {
        if std::mem::replace(&mut self.commas, true) {
            piece.push(b',');
        }
        serde_json::to_writer(piece, row).map_err(|_| Aborted)
    }
}

impl Producer for Rows {
    fn produce(&mut self, piece: &mut Vec<u8>) -> Result<bool, Aborted> {
        piece.extend_from_slice(std::mem::take(&mut self.begin).as_bytes());
        // Fetched again for each piece, so that a slow client keeps no plan in memory.
        let plan = self.plans.get(self.job.id());
        let job = Arc::clone(&self.job);
        let mut planned_rows = None;
        while piece.len() < PIECE {
            match &mut self.list {
                List::Repositories(rows) => {
                    let Some(index) = rows.next() else { break };
                    if let Some(status) = job.repository(index) {
                        self.write(&RepositoryAnswer::of(job.id(), &status), piece)?;
                        continue;
                    }
                    let all = planned_rows.get_or_insert_with(|| planned(&job, plan.as_deref()));
                    let row = all.get(&index).copied().ok_or(Aborted)?;
                    self.write(&RepositoryAnswer::planned(job.id(), index, row), piece)?;
                }
                List::Skipped(rows) => {
                    let Some(place) = rows.next() else { break };
                    let row = plan.as_ref().and_then(|plan| plan.repositories.get(place));
                    let row = row.ok_or(Aborted)?;
                    let reason = row.skipped.as_deref().unwrap_or_default();
                    let (repo_name, git_url) = (&row.repo_name, &row.git_url);
                    let kind = row.skip_kind();
                    self.write(&SkippedRepository { repo_name, git_url, reason, kind }, piece)?;
                }
            }
        }
        if piece.len() >= PIECE {
            return Ok(true);
        }
        piece.extend_from_slice(self.end.as_bytes());
        Ok(false)
    }
}

/// The numbers of all selected repositories, in order.
fn numbers(job: &LiveJob, plan: Option<&Plan>, wanted: Option<&str>) -> Vec<u32> {
    let mut waiting = planned(job, plan);
    let mut all = Vec::new();
    job.with_repositories(|begun| {
        for status in begun {
            waiting.remove(&status.index);
            if wanted.is_none_or(|word| is_in(status.state, word)) {
                all.push(status.index);
            }
        }
    });
    if wanted.is_none_or(|word| is_in(RepoState::Pending, word)) {
        all.extend(waiting.into_keys());
        all.sort_unstable();
    }
    all
}

/// Whether the filter selects repositories in this state.
fn is_in(state: RepoState, word: &str) -> bool {
    match word {
        "pending" => state == RepoState::Pending,
        "working" => state.is_working(),
        "failed" => state.is_failure(),
        word => state.as_str() == word,
    }
}
