//! One repository of a job: its state, and the packages that were found in it.
//!
//! Input: the id of a job, and the number of a repository. Output: the repository, or a page of
//! its packages, or all of them as CSV.
//!
//! Invariants: packages are read from the result file while they are sent, so that memory is
//! bounded.

use super::{
    csv::{self, Format},
    planned::planned,
    produced_body::{Cancellation, PIECE, Producer, Terms, around, produced, unread},
    scan::JOB_ID,
};
use crate::api::{
    answers::{
        error::ApiError,
        reply::{self, finish},
        stream_body::Aborted,
    },
    requests::{
        header::header,
        paging::{Page, PagePosition},
    },
    routing::{
        operation::{Answer, Operation, schema_of},
        route::{Access, Call, Route},
        template::{PathParameter, Template},
    },
    state::Api,
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

/// The default and the maximum size of a page of packages.
const PACKAGES_PER_PAGE: (usize, usize) = (100, 1_000);

/// The `{n}` of a repository's paths.
pub(crate) const INDEX: PathParameter = PathParameter {
    name: "n",
    about: "The repository's number in its job, from 0: its `repo_index`.",
    schema: schema_of::<u32>,
};

const REPOSITORY: Template<2> = Template::new("/scan/{id}/repositories/{n}", [JOB_ID, INDEX]);
const PACKAGES: Template<2> =
    Template::new("/scan/{id}/repositories/{n}/packages", [JOB_ID, INDEX]);

/// The state of a repository.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Repository")]
pub(crate) struct RepositoryAnswer<'a> {
    job_id: &'a JobId,
    repo_index: u32,
    repo_name: Option<&'a str>,
    git_url: Option<&'a str>,
    /// A working state, `completed`, `failed`, `timeout` or `cancelled`; any other value means
    /// pending.
    status: &'a str,
    /// The number of the current attempt.
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
    /// The reason of the failure as text.
    error: Option<&'a str>,
    failure: Option<&'a Failure>,
    /// The job whose scan produced the result, if the repository was not scanned again because
    /// nothing that the result depends on has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reused_from: Option<&'a JobId>,
    /// When the scanner asked the forge for the commit.
    #[serde(skip_serializing_if = "Option::is_none", with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    checked_at: Option<Timestamp>,
}

/// A page of packages.
#[derive(Debug, Serialize, JsonSchema)]
struct PackagesPage {
    packages: Vec<Package>,
    #[serde(flatten)]
    place: PagePosition,
    /// The files of the job were removed after the retention time, and its results are archived; absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    archived: bool,
}

/// The parameters of packages.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct PackagesQuery {
    /// The page, from 1; a smaller number means 1.
    page: Option<i64>,
    /// The size of a page; a number out of range is clamped.
    per_page: Option<i64>,
    /// The format of the answer; if absent, `Accept` decides.
    #[schemars(extend("enum" = csv::FORMATS))]
    format: Option<String>,
}

/// The routes of this file.
pub(crate) fn routes() -> Vec<Route> {
    let shows = Operation::new("getRepository", "The state of one repository of a job").answers(
        StatusCode::OK,
        Answer::json::<RepositoryAnswer<'_>>("The state of the repository."),
    );
    let lists = Operation::new("listPackages", "The packages that were found in a repository")
        .about("A page has 100 packages by default, at most 1,000. CSV contains all packages.")
        .query::<PackagesQuery>()
        .header("Accept", "`text/csv` for CSV, if `format` is absent.")
        .answers(StatusCode::OK, Answer::json::<PackagesPage>("A page of packages, sorted."))
        .answers(
            StatusCode::OK,
            Answer::text(csv::MEDIA_TYPE, "All packages, after a header line.")
                .header("Content-Disposition", "A file name for the download.")
                .header("Scanwatch-Archived", "Whether the job is archived: `true` or `false`."),
        )
        .refuses(
            StatusCode::BAD_REQUEST,
            "The repository is not completed, or the format is unknown.",
        )
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many results are being read.");
    vec![
        Route::get(&REPOSITORY, Access::Read, shows, |call, _| {
            call.then(async |Call { api, path: [id, index], .. }| {
                finish(show(api, id, index).await)
            })
        }),
        Route::get(&PACKAGES, Access::Read, lists, |call, _| {
            call.and(warp::query()).and(header("accept")).then(
                async |call: Call<2>, query, accept: Option<_>| {
                    finish(packages(call, query, accept).await)
                },
            )
        }),
    ]
}

/// Finds a repository by the parameters of a path, also of an archived job.
pub(crate) async fn find(
    api: &Api,
    id: &str,
    index: &str,
) -> Result<(Arc<LiveJob>, RepositoryStatus), ApiError> {
    let job = api.job_or_archived(id).await?;
    let status = index.parse().ok().and_then(|index| job.repository(index));
    let status = status.ok_or(ApiError::Absent("Repository not found"))?;
    Ok((job, status))
}

impl<'a> RepositoryAnswer<'a> {
    /// The answer for a repository with a status file.
    pub(crate) fn of(job_id: &'a JobId, status: &'a RepositoryStatus) -> Self {
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
            reused_from: status.reused_from.as_ref(),
            checked_at: status.checked_at,
        }
    }

    /// The answer for a repository that is not started yet, from the plan if there is one.
    pub(crate) fn planned(
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
            reused_from: None,
            checked_at: None,
        }
    }
}

/// `GET /scan/{id}/repositories/{n}`
async fn show(api: Api, id: String, index: String) -> Result<Response, ApiError> {
    let job = api.job_or_archived(&id).await?;
    let absent = || ApiError::Absent("Repository not found");
    let index: u32 = index.parse().map_err(|_| absent())?;
    if let Some(status) = job.repository(index) {
        return Ok(reply::json(&RepositoryAnswer::of(job.id(), &status)));
    }
    let plans = Arc::clone(&api.plans);
    let shown = api.read_pools.files.run(move || {
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
    let (job, status) = find(api, id, index).await?;
    let format = Format::asked(query.format.as_deref(), accept.as_ref())?;
    if status.state != RepoState::Completed {
        return Err(ApiError::bad_request("Repository not completed"));
    }
    let (id, index) = (job.id(), status.index);
    if format == Format::Csv {
        let name = format!("scanwatch-{id}-{index}.csv");
        return csv::answer(&call, &job, vec![index], &name).await;
    }
    let reading = api.read_pools.open(&call.user, call.peer)?;
    let (cancellation, guard) = Cancellation::of(api, &job);
    let (default, most) = PACKAGES_PER_PAGE;
    let packages = Packages {
        results: Arc::clone(&api.results),
        id: id.clone(),
        index,
        archived: job.is_archived(),
        cancellation,
        page: Page::new(query.page, query.per_page, default, most),
        begun: None,
    };
    let terms = Terms::new(api, &api.read_pools.results, &call.user).with(guard, reading);
    let response = produced(terms, packages, "application/json").await;
    let response = response.map_err(|error| error.unwrap_or_else(|| unread(api, id)))?;
    Ok(reply::with_header(response, VARY, "accept"))
}

/// A page of packages that is read while it is sent.
struct Packages {
    results: Arc<Results>,
    id: JobId,
    index: u32,
    archived: bool,
    cancellation: Cancellation,
    page: Page,
    begun: Option<Begun>,
}

/// A page whose start is sent.
struct Begun {
    file: Option<ResultFile>,
    /// The offsets of the packages that are still to be sent.
    places: std::vec::IntoIter<u64>,
    /// The text after them.
    end: String,
    commas: bool,
}

impl Producer for Packages {
    fn produce(&mut self, piece: &mut Vec<u8>) -> Result<bool, Aborted> {
        if self.begun.is_none() {
            let (head, rest) = self.begin()?;
            piece.extend_from_slice(head.as_bytes());
            self.begun = Some(rest);
        }
        let Some(begun) = &mut self.begun else { return Err(Aborted) };
        // Checked after reading: the missing files of a removed job would look like an empty
        // result.
        if self.cancellation.is_cancelled() {
            return Err(Aborted);
        }
        while piece.len() < PIECE {
            let Some((place, file)) = begun.places.next().zip(begun.file.as_mut()) else {
                piece.extend_from_slice(begun.end.as_bytes());
                return Ok(false);
            };
            let text = file.package(place).map_err(|_| Aborted)?;
            // Parsed and serialized again, which drops unknown members.
            let package: Package = serde_json::from_slice(text).map_err(|_| Aborted)?;
            if std::mem::replace(&mut begun.commas, true) {
                piece.push(b',');
            }
            serde_json::to_writer(&mut *piece, &package).map_err(|_| Aborted)?;
        }
        Ok(true)
    }
}

impl Packages {
    fn begin(&self) -> Result<(String, Begun), Aborted> {
        let is_wanted = || !self.cancellation.is_cancelled();
        let summary = self.results.summary(&self.id, self.index, &is_wanted);
        let summary = summary.map_err(|_| Aborted)?;
        let (mut file, mut places, mut total) = (None, Vec::new(), 0);
        if summary.is_sound {
            total = usize::try_from(summary.packages_total).unwrap_or(usize::MAX);
            file = self.results.open(&self.id, self.index).map_err(|_| Aborted)?;
        }
        if let Some(file) = &mut file {
            let range = self.page.range();
            let mut number = 0;
            let read = file.read(&[], &mut |part| {
                let Part::Package(place, _) = part else { return Ok(()) };
                if number >= range.end || number % 1024 == 0 && self.cancellation.is_cancelled() {
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
                Err(Unread::Invalid | Unread::Io(_)) => return Err(Aborted),
            }
        }
        let page = PackagesPage {
            packages: Vec::new(),
            place: self.page.place(total),
            archived: self.archived,
        };
        // Serialization cannot fail: the keys are texts and the numbers are integers.
        let page = serde_json::to_string(&page).unwrap_or_default();
        let [begin, end] = around("packages", &page);
        Ok((begin, Begun { file, places: places.into_iter(), end, commas: false }))
    }
}
