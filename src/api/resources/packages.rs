//! `/scan/{id}/packages`: who uses a package, over all repositories of a job.
//!
//! Input: the id of a job; a name, a part of one, an ecosystem, a range of versions; a page. Output: one page of
//! packages, each with its repository, and which repositories the answer does not speak for.
//!
//! Invariants: the packages are found in the index of the job (`live::PackageIndex`), which is built in steps of
//! [`TURN`], so that other answers get the thread; only the packages of the page are read from result files.

use super::{
    produced_body::{Cancellation, PIECE, Producer, Terms, around, produced, unread},
    scan::JOB_ID,
};
use crate::{
    api::{
        answers::{error::ApiError, reply::finish, stream_body::Aborted},
        requests::paging::{Page, PagePosition},
        routing::{
            operation::{Answer, Operation},
            route::{Access, Call, Route},
            template::Template,
        },
        state::Api,
    },
    live::{
        FoundRow, FoundRows, LiveJob, PackageIndex, PackageIndexes, PackageQuery, Results,
        Unindexed,
    },
    model::{RepoState, scan_result::Package},
    store::result_file::ResultFile,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};
use warp::{Filter, http::StatusCode, reply::Response};

/// The default and the maximum size of a page of packages.
const PER_PAGE: (usize, usize) = (100, 1_000);
/// How long one step takes.
pub(super) const TURN: Duration = Duration::from_millis(50);
/// How many of the repositories that were not searched an answer names.
const NAMED: usize = 100;

const PACKAGES: Template<1> = Template::new("/scan/{id}/packages", [JOB_ID]);

/// A package, and the repository in which it was found.
#[derive(Debug, Serialize, JsonSchema)]
struct FoundPackage<'a> {
    repo_index: u32,
    repo_name: &'a str,
    #[serde(flatten)]
    package: Package,
}

/// A page of the packages of a job.
#[derive(Debug, Serialize, JsonSchema)]
struct FoundPackages<'a> {
    packages: Vec<FoundPackage<'a>>,
    #[serde(flatten)]
    place: PagePosition,
    /// The number of repositories with at least one of the packages.
    repositories_found: u64,
    /// The number of completed repositories, whose packages were searched.
    repositories_searched: u64,
    /// The number of repositories without packages to search: not finished, or failed.
    repositories_missing: u64,
    /// Repositories without packages to search, at most 100 of them.
    missing: Vec<MissingRepository>,
    /// The number of packages that fit but for the range, because they have no exact version.
    without_version: u64,
    /// The number of packages by ecosystem, on all pages.
    by_ecosystem: BTreeMap<String, usize>,
    /// The files of the job were removed after the retention time, and its results are archived; absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    archived: bool,
}

/// A repository whose packages are not known.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct MissingRepository {
    repo_index: u32,
    repo_name: String,
    #[schemars(with = "String")]
    status: RepoState,
}

/// The parameters of the search. Everything that is given has to fit.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Search {
    /// Only packages with exactly this name.
    name: Option<String>,
    /// Only packages whose name contains this text; upper and lower case of a to z are the same.
    fragment: Option<String>,
    /// Only packages of this ecosystem, such as `npm` or `pypi`.
    ecosystem: Option<String>,
    /// Only packages with a version in this range, by the order of their ecosystem, such as `>=4.0.0,<4.17.21` or
    /// `<1.5 || >=2.0,<2.3`. Packages without an exact version are counted in `without_version`.
    range: Option<String>,
    /// The page, from 1; a smaller number means 1.
    page: Option<i64>,
    /// The size of a page; a number out of range is clamped.
    per_page: Option<i64>,
}

/// The routes of this file.
pub(crate) fn routes() -> Vec<Route> {
    let finds = Operation::new("findPackages", "The packages of all repositories of a job")
        .about(
            "Ordered by repository, as the results of each are. Available while the job runs, for \
             the repositories that are completed. A page has 100 packages by default, at most 1,000. \
             The first request builds an index, which is kept for a minute after the last one.",
        )
        .query::<Search>()
        .answers(StatusCode::OK, Answer::json::<FoundPackages<'_>>("A page of packages."))
        .refuses(StatusCode::BAD_REQUEST, "The range is not a range of versions.")
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many results are being read.");
    vec![Route::get(&PACKAGES, Access::Read, finds, |call, _| {
        call.and(warp::query())
            .then(async |call: Call<1>, search| finish(packages(call, search).await))
    })]
}

/// `GET /scan/{id}/packages`
async fn packages(call: Call<1>, search: Search) -> Result<Response, ApiError> {
    let (api, [id]) = (&call.api, &call.path);
    let job = api.job_or_archived(id).await?;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let range = given(search.range).map(|text| text.parse()).transpose();
    let range = range.map_err(|error| ApiError::bad_request(format!("Invalid range: {error}")))?;
    let reading = api.read_pools.open(&call.user, call.peer)?;
    let (cancellation, guard) = Cancellation::of(api, &job);
    let (default, most) = PER_PAGE;
    let failure = Failure::default();
    let pages = Pages {
        index: Some(Indexing::of(api, &job, &failure)),
        job: Arc::clone(&job),
        results: Arc::clone(&api.results),
        cancellation,
        query: PackageQuery {
            name: given(search.name),
            fragment: given(search.fragment),
            ecosystem: given(search.ecosystem),
            range,
        },
        page: Page::new(search.page, search.per_page, default, most),
        found: None,
    };
    let terms = Terms::new(api, &api.read_pools.results, &call.user).with(guard, reading);
    let response = produced(terms, pages, "application/json").await;
    response.map_err(|error| error.unwrap_or_else(|| failure.take(|| unread(api, job.id()))))
}

/// Why an answer was aborted, as far as it is known.
#[derive(Debug, Clone, Default)]
pub(super) struct Failure(Arc<Mutex<Option<ApiError>>>);

impl Failure {
    /// Aborts with this error.
    pub(super) fn set(&self, error: ApiError) -> Aborted {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        Aborted
    }

    pub(super) fn take(&self, otherwise: impl FnOnce() -> ApiError) -> ApiError {
        let error = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        error.unwrap_or_else(otherwise)
    }
}

/// The index of a job, which may not be complete yet.
pub(super) struct Indexing {
    indexes: Arc<PackageIndexes>,
    pub(super) index: Arc<PackageIndex>,
    pub(super) job: Arc<LiveJob>,
    failure: Failure,
}

impl Indexing {
    pub(super) fn of(api: &Api, job: &Arc<LiveJob>, failure: &Failure) -> Self {
        Self {
            indexes: Arc::clone(&api.packages),
            index: api.packages.of(job),
            job: Arc::clone(job),
            failure: failure.clone(),
        }
    }

    /// Extends the index; returns whether it is complete.
    pub(super) fn advance(&self, until: Instant) -> Result<bool, Aborted> {
        let done = self.indexes.advance(&self.job, &self.index, until);
        done.map_err(|error| match error {
            Unindexed::TooLarge => self.failure.set(ApiError::Unavailable {
                detail: format!("The packages cannot be searched now: {error}").into(),
                retry_after: Some(5),
            }),
            Unindexed::Io(_) => Aborted,
        })
    }

    /// The repositories that were searched, those that were not, and some of these by name.
    pub(super) fn coverage(&self) -> (u64, u64, Vec<MissingRepository>) {
        let (searched, missing) = self.index.coverage(&self.job, NAMED);
        let searched = searched as u64;
        let named = missing.into_iter().map(|missing| MissingRepository {
            repo_index: missing.repository,
            repo_name: missing.name,
            status: missing.state,
        });
        let total = self.job.facts().summary.total_repositories;
        (searched, total.saturating_sub(searched), named.collect())
    }
}

/// A page that is read while it is sent.
struct Pages {
    /// Until the rows are found: a client that reads slowly does not keep the index in memory.
    index: Option<Indexing>,
    job: Arc<LiveJob>,
    results: Arc<Results>,
    cancellation: Cancellation,
    query: PackageQuery,
    page: Page,
    /// Set once the index is complete.
    found: Option<Found>,
}

/// The rows of a page, and how far they are sent.
struct Found {
    index: Weak<PackageIndex>,
    rows: std::vec::IntoIter<FoundRow>,
    current: Option<Current>,
    /// The text after the packages.
    end: String,
    commas: bool,
}

/// The repository whose packages are being read.
struct Current {
    repository: u32,
    name: String,
    file: ResultFile,
}

impl Producer for Pages {
    fn produce(&mut self, piece: &mut Vec<u8>) -> Result<bool, Aborted> {
        let until = Instant::now() + TURN;
        let found = if let Some(found) = &mut self.found {
            found
        } else {
            if self.cancellation.is_cancelled() {
                return Err(Aborted);
            }
            let Some(indexing) = &self.index else { return Err(Aborted) };
            if !indexing.advance(until)? {
                return Ok(true);
            }
            let rows = indexing.index.search(&self.query, &self.page.range());
            let [begin, end] = frame(indexing, self.page, &rows);
            piece.extend_from_slice(begin.as_bytes());
            let (index, rows) = (Arc::downgrade(&indexing.index), rows.rows.into_iter());
            self.index = None;
            self.found.insert(Found { index, rows, current: None, end, commas: false })
        };
        while piece.len() < PIECE {
            let Some(row) = found.rows.next() else {
                piece.extend_from_slice(found.end.as_bytes());
                return Ok(false);
            };
            if found.current.as_ref().is_none_or(|current| current.repository != row.repository) {
                if self.cancellation.is_cancelled() {
                    return Err(Aborted);
                }
                found.current = Some(open(&found.index, &self.job, &self.results, &row)?);
            }
            let Some(current) = &mut found.current else { return Err(Aborted) };
            let text = current.file.package(row.place).map_err(|_| Aborted)?;
            // Parsed and serialized again, which drops unknown members.
            let package = serde_json::from_slice(text).map_err(|_| Aborted)?;
            if std::mem::replace(&mut found.commas, true) {
                piece.push(b',');
            }
            let found =
                FoundPackage { repo_index: row.repository, repo_name: &current.name, package };
            serde_json::to_writer(&mut *piece, &found).map_err(|_| Aborted)?;
        }
        Ok(true)
    }
}

/// Opens the result of a row. If it is another one than that of the index, the next request indexes it again.
fn open(
    index: &Weak<PackageIndex>,
    job: &LiveJob,
    results: &Results,
    row: &FoundRow,
) -> Result<Current, Aborted> {
    let status = job.repository(row.repository).ok_or(Aborted)?;
    let file = results.open(job.id(), row.repository).map_err(|_| Aborted)?;
    let Some(file) = file.filter(|file| file.signature() == row.file) else {
        if let Some(index) = index.upgrade() {
            index.invalidate(row.repository);
        }
        return Err(Aborted);
    };
    Ok(Current { repository: row.repository, name: status.display_name(), file })
}

/// The text before and after the packages.
fn frame(index: &Indexing, page: Page, found: &FoundRows) -> [String; 2] {
    let (repositories_searched, repositories_missing, missing) = index.coverage();
    let whole = FoundPackages {
        packages: Vec::new(),
        place: page.place(found.total),
        repositories_found: found.repositories as u64,
        repositories_searched,
        repositories_missing,
        missing,
        without_version: found.without_version as u64,
        by_ecosystem: found.by_ecosystem.clone(),
        archived: index.job.is_archived(),
    };
    // Serialization cannot fail: the keys are texts and the numbers are integers.
    around("packages", &serde_json::to_string(&whole).unwrap_or_default())
}
