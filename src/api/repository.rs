//! One repository of a job: where it stands, and the packages that were found in it.

use super::{
    ApiError,
    csv::{self, Format},
    header,
    operation::{Answer, Operation, schema_of},
    paging::{Page, Place},
    produced::{Left, PIECE, Producer, Terms, around, produced, unread},
    reply::{self, finish},
    repositories::planned,
    route::{Call, Route, Scope},
    scan::JOB_ID,
    state::Api,
    streamed::BrokenOff,
    template::{PathParameter, Template},
};
use crate::{
    live::{LiveJob, Results},
    model::{
        Failure, JobId, RepoState,
        plan::PlannedRepository,
        repository::{Progress, RepositoryStatus},
        scan_result::Package,
        time::{self, Timestamp},
    },
    store::result_file::{Part, ResultFile, Unread},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
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
struct PackagesPage {
    packages: Vec<Package>,
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
        .answers(StatusCode::OK, Answer::json::<PackagesPage>("One page of them, sorted."))
        .answers(
            StatusCode::OK,
            Answer::text(csv::MEDIA_TYPE, "All of them, below a line of headings.")
                .header("Content-Disposition", "A name to save it under."),
        )
        .refuses(
            StatusCode::BAD_REQUEST,
            "The repository is not completed, or there is no such format.",
        )
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many results are being read.");
    vec![
        Route::get(&REPOSITORY, Scope::Read, shows, |call, _| {
            call.then(async |Call { api, path: [id, index], .. }| {
                finish(show(api, id, index).await)
            })
        }),
        Route::get(&PACKAGES, Scope::Read, lists, |call, _| {
            call.and(warp::query()).and(header("accept")).then(
                async |call: Call<2>, query, accept: Option<_>| {
                    finish(packages(call, query, accept).await)
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
            repo_name: planned.map(|planned| planned.repo_name.as_str()),
            git_url: planned.map(|planned| planned.git_url.as_str()),
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
    let plans = Arc::clone(&api.plans);
    let shown = api.reads.files.run(move || {
        let plan = plans.get(job.id());
        let planned = planned(&job, plan.as_deref()).remove(&index)?;
        Some(reply::json(&RepositoryAnswer::planned(job.id(), index, planned)))
    });
    shown.await?.ok_or_else(absent)
}

/// `GET /scan/{id}/repositories/{n}/packages`
async fn packages(
    call: Call<2>,
    query: PackagesQuery,
    accept: Option<HeaderValue>,
) -> Result<Response, ApiError> {
    let (api, [id, index]) = (&call.api, &call.path);
    let (job, status) = find(api, id, index)?;
    let format = Format::asked(query.format.as_deref(), accept.as_ref())?;
    if status.state != RepoState::Completed {
        return Err(ApiError::bad_request("Repository not completed"));
    }
    let (id, index) = (job.id(), status.index);
    if format == Format::Csv {
        let name = format!("scanwatch-{id}-{index}.csv");
        return csv::answer(&call, &job, vec![index], &name).await;
    }
    let reading = api.reads.open(&call)?;
    let (left, guard) = Left::of(api, &job);
    let (default, most) = PACKAGES_PER_PAGE;
    let packages = Packages {
        results: Arc::clone(&api.results),
        id: id.clone(),
        index,
        left,
        page: Page::new(query.page, query.per_page, default, most),
        begun: None,
    };
    let terms = Terms::new(api, &api.reads.results, &call.user).with(guard, reading);
    let response = produced(terms, packages, "application/json").await;
    let response = response.map_err(|error| error.unwrap_or_else(|| unread(api, id)))?;
    Ok(reply::with_header(response, VARY, "accept"))
}

/// A page of packages that is read while it is sent.
struct Packages {
    results: Arc<Results>,
    id: JobId,
    index: u32,
    left: Left,
    page: Page,
    begun: Option<Begun>,
}

/// A page of which the beginning is sent.
struct Begun {
    file: Option<ResultFile>,
    /// The places of the packages that are still to come.
    places: std::vec::IntoIter<u64>,
    /// What comes behind them.
    end: String,
    commas: bool,
}

impl Producer for Packages {
    fn produce(&mut self, piece: &mut Vec<u8>) -> Result<bool, BrokenOff> {
        if self.begun.is_none() {
            let (head, rest) = self.begin()?;
            piece.extend_from_slice(head.as_bytes());
            self.begun = Some(rest);
        }
        let Some(begun) = &mut self.begun else { return Err(BrokenOff) };
        // After reading: the files of a job that is removed look as if nothing was found.
        if self.left.has_left() {
            return Err(BrokenOff);
        }
        while piece.len() < PIECE {
            let Some((place, file)) = begun.places.next().zip(begun.file.as_mut()) else {
                piece.extend_from_slice(begun.end.as_bytes());
                return Ok(false);
            };
            let text = file.package(place).map_err(|_| BrokenOff)?;
            // Read and written again: what is no member of a package is left out.
            let package: Package = serde_json::from_slice(text).map_err(|_| BrokenOff)?;
            if std::mem::replace(&mut begun.commas, true) {
                piece.push(b',');
            }
            serde_json::to_writer(&mut *piece, &package).map_err(|_| BrokenOff)?;
        }
        Ok(true)
    }
}

impl Packages {
    fn begin(&self) -> Result<(String, Begun), BrokenOff> {
        let is_wanted = || !self.left.has_left();
        let summary = self.results.summary(&self.id, self.index, &is_wanted);
        let summary = summary.map_err(|_| BrokenOff)?;
        let (mut file, mut places, mut total) = (None, Vec::new(), 0);
        if summary.is_sound {
            total = usize::try_from(summary.packages_total).unwrap_or(usize::MAX);
            file = self.results.open(&self.id, self.index).map_err(|_| BrokenOff)?;
        }
        if let Some(file) = &mut file {
            let range = self.page.range();
            let mut number = 0;
            let read = file.read(&[], &mut |part| {
                let Part::Package(place, _) = part else { return Ok(()) };
                if number >= range.end || number % 1024 == 0 && self.left.has_left() {
                    return Err(Unread::Stopped);
                }
                if number >= range.start {
                    places.push(place);
                }
                number += 1;
                Ok(())
            });
            match read {
                Ok(()) | Err(Unread::Stopped) => {}
                Err(Unread::Invalid | Unread::Io(_)) => return Err(BrokenOff),
            }
        }
        let page = PackagesPage { packages: Vec::new(), place: self.page.place(total) };
        // It has text keys and whole numbers: nothing that JSON cannot say.
        let page = serde_json::to_string(&page).unwrap_or_default();
        let [begin, end] = around("packages", &page);
        Ok((begin, Begun { file, places: places.into_iter(), end, commas: false }))
    }
}
