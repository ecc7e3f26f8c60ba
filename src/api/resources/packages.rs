//! `/scan/{id}/packages`: the packages of all repositories of a job, by name and ecosystem.
//!
//! Input: the id of a job, a name, an ecosystem, a page. Output: one page of packages, each with its
//! repository.
//!
//! Invariants: one package and a piece of the answer are in memory, however large the results are; a
//! step ends after [`TURN`], so that other answers get the thread; the totals follow the list,
//! because they are known when all results have been read.

use super::{
    package_file::{PackageFile, PackageOf},
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
    },
    live::{LiveJob, Results},
    model::{RepoState, declared::Declared, scan_result::Package},
    store::result_file::Unread,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use warp::{Filter, http::StatusCode, reply::Response};

/// The default and the maximum size of a page of packages.
const PER_PAGE: (usize, usize) = (100, 1_000);
/// How long one step reads.
const TURN: Duration = Duration::from_millis(50);

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
    /// The number of completed repositories, whose packages were searched.
    repositories_searched: u64,
    /// The number of repositories without packages to search: not finished, or failed.
    repositories_missing: u64,
}

/// The parameters of the search.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Search {
    /// Only packages with exactly this name.
    name: Option<String>,
    /// Only packages of this ecosystem, such as `npm` or `pypi`.
    ecosystem: Option<String>,
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
             the repositories that are completed. A page has 100 packages by default, at most 1,000.",
        )
        .query::<Search>()
        .answers(StatusCode::OK, Answer::json::<FoundPackages<'_>>("A page of packages."))
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many results are being read.");
    vec![Route::get(&PACKAGES, Access::Read, finds, |call, _| {
        call.and(warp::query())
            .then(async |call: Call<1>, search| finish(packages(call, search).await))
    })]
}

/// `GET /scan/{id}/packages`
async fn packages(call: Call<1>, search: Search) -> Result<Response, ApiError> {
    let (api, [id]) = (&call.api, &call.path);
    let job = api.job(id)?;
    let reading = api.read_pools.open(&call.user, call.peer)?;
    let (cancellation, guard) = Cancellation::of(api, &job);
    let completed: Vec<u32> = job.with_repositories(|all| {
        let completed = all.filter(|repository| repository.state == RepoState::Completed);
        completed.map(|repository| repository.index).collect()
    });
    let searched = completed.len() as u64;
    let missing = job.facts().summary.total_repositories.saturating_sub(searched);
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (default, most) = PER_PAGE;
    let pages = Pages {
        results: Arc::clone(&api.results),
        job: Arc::clone(&job),
        cancellation,
        repositories: completed.into_iter(),
        current: None,
        matches: Matches {
            name: given(search.name),
            ecosystem: given(search.ecosystem),
            page: Page::new(search.page, search.per_page, default, most),
            found: 0,
        },
        counts: (searched, missing),
        begun: false,
        commas: false,
    };
    let terms = Terms::new(api, &api.read_pools.results, &call.user).with(guard, reading);
    let response = produced(terms, pages, "application/json").await;
    response.map_err(|error| error.unwrap_or_else(|| unread(api, job.id())))
}

/// A page that is read while it is sent.
struct Pages {
    results: Arc<Results>,
    job: Arc<LiveJob>,
    cancellation: Cancellation,
    repositories: std::vec::IntoIter<u32>,
    current: Option<PackageFile>,
    matches: Matches,
    /// How many repositories are searched, and how many are not.
    counts: (u64, u64),
    begun: bool,
    commas: bool,
}

/// What is looked for, and how much of it was found.
struct Matches {
    name: Option<String>,
    ecosystem: Option<String>,
    page: Page,
    found: usize,
}

impl Producer for Pages {
    fn produce(&mut self, piece: &mut Vec<u8>) -> Result<bool, Aborted> {
        let until = Instant::now() + TURN;
        if !std::mem::replace(&mut self.begun, true) {
            let [begin, _] = self.frame();
            piece.extend_from_slice(begin.as_bytes());
        }
        while piece.len() < PIECE && Instant::now() < until {
            if let Some(current) = &mut self.current {
                if read(current, &mut self.matches, &mut self.commas, piece, until)? {
                    self.current = None;
                }
            } else if let Some(index) = self.repositories.next() {
                let Self { results, job, cancellation, .. } = self;
                self.current = PackageFile::open(results, job, index, cancellation)?;
            } else {
                let [_, end] = self.frame();
                piece.extend_from_slice(end.as_bytes());
                return Ok(false);
            }
            // Checked after reading, because the files of a removed job may be gone.
            if self.cancellation.is_cancelled() {
                return Err(Aborted);
            }
        }
        Ok(true)
    }
}

impl Pages {
    /// The text before and after the packages, with the totals up to here.
    fn frame(&self) -> [String; 2] {
        let (repositories_searched, repositories_missing) = self.counts;
        let whole = FoundPackages {
            packages: Vec::new(),
            place: self.matches.page.place(self.matches.found),
            repositories_searched,
            repositories_missing,
        };
        // Serialization cannot fail: the keys are texts and the numbers are integers.
        around("packages", &serde_json::to_string(&whole).unwrap_or_default())
    }
}

impl Matches {
    fn fit(&self, package: &Declared<'_>) -> bool {
        self.name.as_ref().is_none_or(|name| *name == package.name)
            && self.ecosystem.as_ref().is_none_or(|name| name == package.ecosystem.as_str())
    }

    /// Counts a match; whether it is on the page.
    fn take(&mut self) -> bool {
        let is_on_page = self.page.range().contains(&self.found);
        self.found += 1;
        is_on_page
    }
}

/// Appends packages until the piece is full or the turn is over; returns whether they were the last.
fn read(
    file: &mut PackageFile,
    matches: &mut Matches,
    commas: &mut bool,
    piece: &mut Vec<u8>,
    until: Instant,
) -> Result<bool, Aborted> {
    let mut read = 0_u32;
    file.read(&mut |of: &PackageOf<'_>, text| {
        read += 1;
        let is_over = || read.is_multiple_of(256) && Instant::now() >= until;
        if piece.len() >= PIECE || is_over() {
            return Ok(false);
        }
        let declared = Declared::parse(text).map_err(|_| Unread::Invalid)?;
        if !matches.fit(&declared) || !matches.take() {
            return Ok(true);
        }
        // Parsed and serialized again, which drops unknown members.
        let package = serde_json::from_slice(text).map_err(|_| Unread::Invalid)?;
        if std::mem::replace(commas, true) {
            piece.push(b',');
        }
        let found = FoundPackage { repo_index: of.index, repo_name: of.name, package };
        serde_json::to_writer(&mut *piece, &found).map_err(|_| Unread::Invalid)?;
        Ok(true)
    })
}
