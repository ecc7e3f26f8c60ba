//! `/scan/{id}/repositories`: the repositories of a job in pages, those included that have not
//! been begun, and in a list of their own those that the plan leaves out.
//!
//! What must stay true: a row is what the repository's own path answers; a job of ten thousand
//! repositories costs a page, not ten thousand rows.

use super::{
    ApiError,
    operation::{Answer, Operation},
    paging::{Page, Place},
    produced::{PIECE, Producer, Terms, around, produced, unread},
    reply::{self, finish},
    repository::RepositoryAnswer,
    route::{Call, Route, Scope},
    scan::JOB_ID,
    streamed::BrokenOff,
    template::Template,
};
use crate::{
    live::{LiveJob, Plans},
    model::{
        RepoState,
        plan::{Plan, PlannedRepository},
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
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
        call.and(warp::query())
            .then(async |call: Call<1>, listing| finish(list(call, listing).await))
    })]
}

/// `GET /scan/{id}/repositories`
async fn list(call: Call<1>, listing: Listing) -> Result<Response, ApiError> {
    let (api, [id], seen) = (&call.api, &call.path, call.seen);
    let job = api.job(id)?;
    let wanted = listing.status;
    if wanted.as_ref().is_some_and(|state| !FILTERS.contains(&state.as_str())) {
        let detail = format!("Invalid status filter. Must be one of: {}", FILTERS.join(", "));
        return Err(ApiError::bad_request(detail));
    }
    let (plans, of) = (Arc::clone(&api.plans), Arc::clone(&job));
    let (default, most) = PER_PAGE;
    let page = Page::new(listing.page, listing.per_page, default, most);
    let selected = api.reads.files.run(move || {
        let plan = plans.get(of.id());
        let plan = plan.as_deref();
        // Asked for before the rows: they are of this version or newer, so that nothing newer is ever
        // taken for known. A plan gets longer without a version of its own.
        let planned = plan.map_or(0, |plan| plan.repositories.len());
        let etag = format!("W/\"{}-{planned}\"", of.event_id());
        if seen.has(etag.as_bytes()) {
            return (etag, None);
        }
        (etag, Some(Rows::select(plans, of, plan, wanted.as_deref(), page)))
    });
    let (etag, rows) = selected.await?;
    let response = match rows {
        None => reply::empty(StatusCode::NOT_MODIFIED),
        Some(rows) => {
            let terms = Terms::new(api, &api.reads.files, &call.user);
            let response = produced(terms, rows, "application/json").await;
            let response =
                response.map_err(|error| error.unwrap_or_else(|| unread(api, job.id())))?;
            reply::with_header(response, header::CACHE_CONTROL, "private, no-cache")
        }
    };
    Ok(reply::with_header(response, header::ETAG, &etag))
}

/// All repositories of the job by number, as planned; of another program's job nothing is known
/// but how many there are.
pub(super) fn planned<'a>(
    job: &LiveJob,
    plan: Option<&'a Plan>,
) -> BTreeMap<u32, Option<&'a PlannedRepository>> {
    if let Some(plan) = plan {
        return plan.counted().map(|(index, repository)| (index, Some(repository))).collect();
    }
    let total = job.facts().summary.total_repositories.min(MOST_UNNAMED);
    (0..u32::try_from(total).unwrap_or(0)).map(|index| (index, None)).collect()
}

/// The rows of a page, which are made while they are sent.
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
    /// Repositories, by their numbers.
    Repositories(std::vec::IntoIter<u32>),
    /// Those that are left out, by their places in the plan.
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
            place: page.place(total),
        };
        // It has text keys and whole numbers: nothing that JSON cannot say.
        let answer = serde_json::to_string(&answer).unwrap_or_default();
        let [begin, end] = around(name, &answer);
        Self { plans, job, list, begin, end, commas: false }
    }

    fn write(&mut self, row: &impl Serialize, piece: &mut Vec<u8>) -> Result<(), BrokenOff> {
        if std::mem::replace(&mut self.commas, true) {
            piece.push(b',');
        }
        serde_json::to_writer(piece, row).map_err(|_| BrokenOff)
    }
}

impl Producer for Rows {
    fn produce(&mut self, piece: &mut Vec<u8>) -> Result<bool, BrokenOff> {
        piece.extend_from_slice(std::mem::take(&mut self.begin).as_bytes());
        // Asked for anew for each piece: who reads slowly keeps no plan.
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
                    let row = all.get(&index).copied().ok_or(BrokenOff)?;
                    self.write(&RepositoryAnswer::planned(job.id(), index, row), piece)?;
                }
                List::Skipped(rows) => {
                    let Some(place) = rows.next() else { break };
                    let row = plan.as_ref().and_then(|plan| plan.repositories.get(place));
                    let row = row.ok_or(BrokenOff)?;
                    let reason = row.skipped.as_deref().unwrap_or_default();
                    let (repo_name, git_url) = (&row.repo_name, &row.git_url);
                    self.write(&SkippedRepository { repo_name, git_url, reason }, piece)?;
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

/// The numbers of all repositories that are wanted, in order.
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

/// Whether a repository in this state is one that the filter's word means.
fn is_in(state: RepoState, word: &str) -> bool {
    match word {
        "pending" => state == RepoState::Pending,
        "working" => state.is_working(),
        "failed" => state.is_failure(),
        word => state.as_str() == word,
    }
}
