//! `/scan/{id}/diff`: what has changed between two jobs of the same URL.
//!
//! Input: the ids of two jobs, a page. Output: the packages that were added, removed or changed in each repository, and
//! which repositories could not be compared.
//!
//! Invariants: repositories are paired by their URL, those without one by their name; the packages of a pair are compared
//! by ecosystem and name, so a package has one row, with all its versions; one pair and a page of rows are in memory; a
//! repository that is completed in one of the jobs alone is not compared, unless the other job does not have it.

use super::{
    packages::{Failure, Indexing, TURN},
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
    live::LiveJob,
    model::{RepoState, ecosystem::AnyEcosystem, version_order},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Instant,
};
use warp::{Filter, http::StatusCode, reply::Response};

/// The default and the maximum size of a page.
const PER_PAGE: (usize, usize) = (100, 1_000);
/// How many of the repositories that were not compared an answer names.
const NAMED: usize = 100;

const DIFF: Template<1> = Template::new("/scan/{id}/diff", [JOB_ID]);

/// The parameters of the comparison.
#[derive(Debug, Deserialize, JsonSchema)]
struct Comparison {
    /// The id of the earlier job.
    with: Option<String>,
    /// Only changes of this kind.
    change: Option<Change>,
    /// The page, from 1; a smaller number means 1.
    page: Option<i64>,
    /// The size of a page; a number out of range is clamped.
    per_page: Option<i64>,
}

/// What has happened to a package since the earlier job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Change {
    Added,
    Removed,
    /// It has other versions.
    Changed,
}

/// A package that differs.
#[derive(Debug, Serialize, JsonSchema)]
struct ChangedPackage {
    /// The name of the repository.
    repo_name: String,
    /// Its number in this job; null if this job does not have it.
    repo_index: Option<u32>,
    #[schemars(with = "String")]
    ecosystem: AnyEcosystem,
    name: String,
    change: Change,
    /// The exact versions in the earlier job, in the order of the ecosystem; empty if there are none.
    before: Vec<String>,
    /// The exact versions in this job.
    after: Vec<String>,
}

/// A page of differences.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct Differences {
    changes: Vec<ChangedPackage>,
    #[serde(flatten)]
    place: Option<PagePosition>,
    /// The number of packages that were added, in all repositories.
    added: u64,
    /// The number of packages that were removed.
    removed: u64,
    /// The number of packages with other versions.
    changed: u64,
    /// The number of repositories that were compared.
    repositories_compared: u64,
    /// The number of repositories of this job that the earlier one does not have; all their packages are added.
    repositories_added: u64,
    /// The number of repositories that only the earlier job has; all their packages are removed.
    repositories_removed: u64,
    /// The number of repositories that were not compared, because they are not completed in both jobs.
    repositories_missing: u64,
    /// Repositories that were not compared, at most 100 of them.
    missing: Vec<Uncompared>,
    /// The files of one of the jobs were removed after the retention time, and its results are archived; absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    archived: bool,
}

/// A repository that was not compared.
#[derive(Debug, Serialize, JsonSchema)]
struct Uncompared {
    repo_name: String,
    /// Its state in the earlier job; null if that job does not have it.
    #[schemars(with = "Option<String>")]
    before: Option<RepoState>,
    /// Its state in this job; null if this job does not have it.
    #[schemars(with = "Option<String>")]
    after: Option<RepoState>,
}

/// The routes of this file.
pub(crate) fn routes() -> Vec<Route> {
    let compares = Operation::new("comparePackages", "What has changed since another job of the same URL")
        .about(
            "Compares the packages of each repository with those of the same repository in an \
             earlier job. Ordered by repository, ecosystem and name. A page has 100 changes by default, \
             at most 1,000; the totals are those of all pages.",
        )
        .query::<Comparison>()
        .answers(StatusCode::OK, Answer::json::<Differences>("A page of changes."))
        .refuses(StatusCode::BAD_REQUEST, "The other job is not named, or is of another URL.")
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many results are being read.");
    vec![Route::get(&DIFF, Access::Read, compares, |call, _| {
        call.and(warp::query()).then(async |call: Call<1>, query| finish(diff(call, query).await))
    })]
}

/// `GET /scan/{id}/diff`
async fn diff(call: Call<1>, query: Comparison) -> Result<Response, ApiError> {
    let (api, [id]) = (&call.api, &call.path);
    let after = api.job_or_archived(id).await?;
    let Some(with) = query.with.filter(|with| !with.is_empty()) else {
        return Err(ApiError::bad_request(
            "The parameter `with` is missing: the id of the earlier job",
        ));
    };
    let before = api.job_or_archived(&with).await?;
    if before.facts().url != after.facts().url {
        return Err(ApiError::BadRequest {
            detail: "The two jobs are of different URLs".into(),
            hint: Some("Compare jobs of the same repository or group.".into()),
        });
    }
    let reading = api.read_pools.open(&call.user, call.peer)?;
    let (cancellation, guard) = Cancellation::of(api, &after);
    let failure = Failure::default();
    let (default, most) = PER_PAGE;
    let comparing = Comparing {
        sides: Some([&before, &after].map(|job| Indexing::of(api, job, &failure))),
        cancellation,
        only: query.change,
        page: Page::new(query.page, query.per_page, default, most),
        pairs: None,
        differences: Differences {
            archived: [&before, &after].iter().any(|job| job.is_archived()),
            ..Differences::default()
        },
        total: 0,
        sent: None,
    };
    let terms = Terms::new(api, &api.read_pools.results, &call.user).with(guard, reading);
    let response = produced(terms, comparing, "application/json").await;
    response.map_err(|error| error.unwrap_or_else(|| failure.take(|| unread(api, after.id()))))
}

/// A comparison that is made before it is sent.
struct Comparing {
    /// Before and after, until they are compared: a client that reads slowly does not keep the indexes in memory.
    sides: Option<[Indexing; 2]>,
    cancellation: Cancellation,
    only: Option<Change>,
    page: Page,
    /// The pairs that remain to be compared; set once both indexes are complete.
    pairs: Option<VecDeque<Pair>>,
    differences: Differences,
    /// The number of rows on all pages.
    total: usize,
    /// The rows that remain to be sent, and the text after them.
    sent: Option<(std::vec::IntoIter<ChangedPackage>, String, bool)>,
}

/// One repository in both jobs.
#[derive(Debug)]
struct Pair {
    name: String,
    before: Option<(u32, RepoState)>,
    after: Option<(u32, RepoState)>,
}

impl Producer for Comparing {
    fn produce(&mut self, piece: &mut Vec<u8>) -> Result<bool, Aborted> {
        let until = Instant::now() + TURN;
        if self.sent.is_none() && !self.compare(until, piece)? {
            return Ok(true);
        }
        let Some((rows, end, commas)) = &mut self.sent else { return Err(Aborted) };
        while piece.len() < PIECE {
            let Some(row) = rows.next() else {
                piece.extend_from_slice(end.as_bytes());
                return Ok(false);
            };
            if std::mem::replace(commas, true) {
                piece.push(b',');
            }
            serde_json::to_writer(&mut *piece, &row).map_err(|_| Aborted)?;
        }
        Ok(true)
    }
}

impl Comparing {
    /// Compares until `until` has passed; returns whether the comparison is complete, whose text then begins.
    fn compare(&mut self, until: Instant, piece: &mut Vec<u8>) -> Result<bool, Aborted> {
        if self.cancellation.is_cancelled() {
            return Err(Aborted);
        }
        let Some(sides) = self.sides.take() else { return Err(Aborted) };
        if !self.compare_sides(&sides, until)? {
            self.sides = Some(sides);
            return Ok(false);
        }
        drop(sides);
        self.differences.place = Some(self.page.place(self.total));
        let rows = std::mem::take(&mut self.differences.changes);
        // Serialization cannot fail: the keys are texts and the numbers are integers.
        let whole = serde_json::to_string(&self.differences).unwrap_or_default();
        let [begin, end] = around("changes", &whole);
        piece.extend_from_slice(begin.as_bytes());
        self.sent = Some((rows.into_iter(), end, false));
        Ok(true)
    }

    /// Compares pairs until `until` has passed; returns whether all are compared.
    fn compare_sides(&mut self, sides: &[Indexing; 2], until: Instant) -> Result<bool, Aborted> {
        if self.pairs.is_none() {
            let [before, after] = sides;
            if !(before.advance(until)? && after.advance(until)?) {
                return Ok(false);
            }
            self.pairs = Some(pairs(&before.job, &after.job));
        }
        while let Some(pair) = self.pairs.as_mut().and_then(VecDeque::pop_front) {
            self.compare_pair(sides, pair);
            if Instant::now() >= until {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn compare_pair(&mut self, [before, after]: &[Indexing; 2], pair: Pair) {
        let mut packages: BTreeMap<(String, String), Versions> = BTreeMap::new();
        let mut ecosystems = HashMap::new();
        let mut is_known = true;
        for (is_after, of, side) in [(false, before, pair.before), (true, after, pair.after)] {
            let Some((index, _)) = side else { continue };
            is_known &= of.index.packages(index, |ecosystem, name, version| {
                let key = (ecosystem.as_str().to_owned(), name.to_owned());
                ecosystems.entry(key.0.clone()).or_insert_with(|| ecosystem.clone());
                packages.entry(key).or_default().add(is_after, version);
            });
        }
        let differences = &mut self.differences;
        if !is_known {
            differences.repositories_missing += 1;
            if differences.missing.len() < NAMED {
                let state = |side: Option<(u32, RepoState)>| side.map(|(_, state)| state);
                let (before, after) = (state(pair.before), state(pair.after));
                differences.missing.push(Uncompared { repo_name: pair.name, before, after });
            }
            return;
        }
        match (pair.before, pair.after) {
            (None, _) => differences.repositories_added += 1,
            (_, None) => differences.repositories_removed += 1,
            _ => differences.repositories_compared += 1,
        }
        let page = self.page.range();
        for ((ecosystem, name), versions) in packages {
            let Some(ecosystem) = ecosystems.get(&ecosystem) else { continue };
            let Some((change, [before, after])) = versions.change(ecosystem) else { continue };
            match change {
                Change::Added => differences.added += 1,
                Change::Removed => differences.removed += 1,
                Change::Changed => differences.changed += 1,
            }
            if self.only.is_some_and(|only| only != change) {
                continue;
            }
            if page.contains(&self.total) {
                differences.changes.push(ChangedPackage {
                    repo_name: pair.name.clone(),
                    repo_index: pair.after.map(|(index, _)| index),
                    ecosystem: ecosystem.clone(),
                    name,
                    change,
                    before,
                    after,
                });
            }
            self.total += 1;
        }
    }
}

/// The versions of one package in a repository, before and after.
#[derive(Debug, Default)]
struct Versions([Option<Vec<String>>; 2]);

impl Versions {
    fn add(&mut self, is_after: bool, version: Option<&str>) {
        let versions = self.0[usize::from(is_after)].get_or_insert_default();
        versions.extend(version.map(str::to_owned));
    }

    /// What has changed, with the versions in their order, each once; `None` if nothing has.
    fn change(self, ecosystem: &AnyEcosystem) -> Option<(Change, [Vec<String>; 2])> {
        let Self([before, after]) = self;
        let kind = match (&before, &after) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            _ => Change::Changed,
        };
        let versions = [before, after].map(|versions| {
            let mut versions = versions.unwrap_or_default();
            versions.sort_by(|x, y| version_order::compare(ecosystem, x, y).then_with(|| x.cmp(y)));
            versions.dedup();
            versions
        });
        let is_equal = kind == Change::Changed && versions[0] == versions[1];
        (!is_equal).then_some((kind, versions))
    }
}

/// The repositories of both jobs: those of the later one in its order, then those that only the earlier one has.
fn pairs(before: &LiveJob, after: &LiveJob) -> VecDeque<Pair> {
    let sides = [before, after].map(|job| {
        job.with_repositories(|all| {
            let side = all.map(|status| {
                let name = status.display_name();
                let key = status.git_url.clone().unwrap_or_else(|| name.clone());
                (key, name, (status.index, status.state))
            });
            side.collect::<Vec<_>>()
        })
    });
    let [before, after] = sides;
    let mut earlier: HashMap<String, VecDeque<usize>> = HashMap::new();
    for (place, (key, ..)) in before.iter().enumerate() {
        earlier.entry(key.clone()).or_default().push_back(place);
    }
    let mut is_paired = vec![false; before.len()];
    let mut pairs: VecDeque<Pair> = after
        .into_iter()
        .map(|(key, name, after)| {
            let place = earlier.get_mut(&key).and_then(VecDeque::pop_front);
            if let Some(place) = place {
                is_paired[place] = true;
            }
            let before = place.map(|place| before[place].2);
            Pair { name, before, after: Some(after) }
        })
        .collect();
    let alone = before.into_iter().zip(is_paired).filter(|(_, is_paired)| !is_paired);
    pairs.extend(alone.map(|((_, name, before), _)| Pair {
        name,
        before: Some(before),
        after: None,
    }));
    pairs
}
