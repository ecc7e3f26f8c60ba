//! `/scan`: submit, follow, cancel, retry and remove a scan.
//!
//! Input: requests to `/scan` and `/scan/{id}`. Output: accepted jobs, the progress document with
//! its `ETag`, and commands to the supervisor.
//!
//! Invariants: a job or a command is durable before its answer is sent; a progress document that
//! the client already has is answered by 304 without a body.

mod dry_run;
mod operations;
mod refusals;
mod removal;
mod turns;

use crate::api::{
    answers::{
        content_coding::{Coding, gzip_fast},
        error::ApiError,
        reply::{self, finish},
    },
    requests::{
        body::json_body,
        members::{Between, Body as _, UpTo, body},
        validation::Validation,
    },
    routing::{
        operation::schema_of,
        route::{Access, Call, Route},
        template::{PathParameter, Template},
    },
    state::Api,
};
use crate::{
    intake::ScanRequest,
    model::{
        FailureKind, JobId, JobState,
        filters::{Filters, MOST_DAYS, MOST_MEGABYTES, Visibility},
        master::Options,
        progress::Lists,
        retry::MAX_RETRIES,
        time::{self, Timestamp},
    },
    supervisor::{Cancelled, Retried},
};
pub(crate) use refusals::{refused, stopping, unstorable};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, LazyLock};
use warp::{
    Filter,
    http::{HeaderMap, header},
    reply::Response,
};

/// `Retry-After`, in seconds, when the queue is full.
pub(crate) const QUEUE_RETRY_SECS: u64 = 30;

/// The `{id}` of all paths.
pub(crate) const JOB_ID: PathParameter = PathParameter {
    name: "id",
    about: "The job id, as the answer to the submission contains it.",
    schema: schema_of::<JobId>,
};

/// The headers of the progress document.
static DOCUMENT: LazyLock<HeaderMap> =
    LazyLock::new(|| reply::cacheable_headers("application/json"));

const SCANS: Template<0> = Template::new("/scan", []);
const SCAN: Template<1> = Template::new("/scan/{id}", [JOB_ID]);
const CANCEL: Template<1> = Template::new("/scan/{id}/cancel", [JOB_ID]);
const RETRY: Template<1> = Template::new("/scan/{id}/retry", [JOB_ID]);

/// The parameters of the progress document.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct View {
    /// `summary` omits the lists of repositories.
    #[schemars(extend("enum" = ["full", "summary"]))]
    view: Option<String>,
    /// Whether an archived job is shown too; by default it is not found.
    archived: Option<bool>,
}

/// The parameters of a retry.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct Retry {
    /// Retry only the repositories that failed for this cause, the `kind` of their `failure`.
    kind: Option<FailureKind>,
    /// The same as `kind`.
    cause: Option<FailureKind>,
}

body! {
    /// What to scan.
    #[derive(Debug, JsonSchema)]
    #[schemars(rename = "ScanSubmission", extend("additionalProperties" = true))]
    pub(crate) struct Submission {
        /// A repository (`https://host/path.git`, `git@host:path.git`), or a group, an organization
        /// or a user of a forge (`https://gitlab.com/group/subgroup`). The URL must not contain
        /// credentials.
        "git_url" => pub(crate) git_url: String,
        /// The branch, tag or commit; the default branch if absent.
        #[schemars(length(min = 1))]
        "ref" => reference: Option<String>,
        /// Whether to search source files for imports too.
        "deep" => deep: Option<bool>,
        /// Whether to read committed archives (jar, wheel, nupkg) and programs of Go and Rust too.
        "archives" => archives: Option<bool>,
        /// For a group: whether to scan its subgroups too; the default is true.
        "include_subgroups" => include_subgroups: Option<bool>,
        /// For a group: scan only repositories whose path below the group matches one of these
        /// patterns.
        #[schemars(length(max = 100), inner(length(min = 1, max = 200)))]
        "include" => include: Option<Vec<String>>,
        /// For a group: skip repositories whose path below the group matches one of these patterns.
        #[schemars(length(max = 100), inner(length(min = 1, max = 200)))]
        "exclude" => exclude: Option<Vec<String>>,
        /// For a group: whether to skip archived repositories.
        "skip_archived" => skip_archived: Option<bool>,
        /// For a group: whether to skip forks.
        "skip_forks" => skip_forks: Option<bool>,
        /// For a group: whether to skip empty repositories; those of a GitLab are always skipped.
        "skip_empty" => skip_empty: Option<bool>,
        /// For a group of a GitLab: whether to scan projects that other groups share with it too.
        "include_shared" => include_shared: Option<bool>,
        /// For a group: scan only repositories with one of these topics; letter case is ignored.
        #[schemars(length(max = 100), inner(length(min = 1, max = 200)))]
        "topics" => topics: Option<Vec<String>>,
        /// For a group: scan only repositories with one of these visibilities.
        "visibility" => visibility: Option<Vec<Visibility>>,
        /// For a group: skip repositories without activity for this many days.
        "active_within_days" => active_within_days: Option<Between<1, MOST_DAYS>>,
        /// For a group: skip repositories larger than this many megabytes (10^6 bytes), according to the
        /// forge.
        "max_size_mb" => max_size_mb: Option<Between<1, MOST_MEGABYTES>>,
        /// Paths within a repository that are not read: at most 100 patterns of 200 characters. A pattern
        /// without a slash excludes every file and folder of that name (`testdata`), one with a slash a path
        /// from the root (`docs/*`). Excluded files count as skipped, and bills of materials are marked as
        /// incomplete.
        #[schemars(length(max = 100), inner(length(min = 1, max = 200)))]
        "exclude_paths" => exclude_paths: Option<Vec<String>>,
        /// How often to retry a repository that failed for a temporary cause: the network, a
        /// server, or a scanner that crashed or timed out. The default is 0.
        "retries" => retries: Option<UpTo<MAX_RETRIES>>,
        /// Whether to scan every repository, even if nothing has changed since an earlier scan
        /// with the same options; by default its result is reused then.
        "force" => force: Option<bool>,
    }
}

impl Submission {
    /// Which repositories of a group are scanned.
    fn filters(&self) -> Filters {
        Filters {
            skip_archived: self.skip_archived.unwrap_or(false),
            skip_forks: self.skip_forks.unwrap_or(false),
            skip_empty: self.skip_empty.unwrap_or(false),
            include_shared: self.include_shared.unwrap_or(false),
            topics: self.topics.clone().unwrap_or_default(),
            visibility: self.visibility.clone().unwrap_or_default(),
            active_within_days: self.active_within_days.map(|Between(days)| days),
            max_size_mb: self.max_size_mb.map(|Between(size)| size),
        }
    }
}

/// The parameters of a submission.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct Submit {
    /// Only list what would be scanned, and what not and why: nothing is stored or queued.
    dry_run: Option<bool>,
}

/// An accepted job.
#[derive(Debug, Serialize, JsonSchema)]
struct Accepted {
    job_id: JobId,
    /// Always `pending`.
    status: &'static str,
    #[serde(with = "time")]
    #[schemars(with = "Timestamp")]
    created_at: Timestamp,
}

/// The state of a job after a command.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "JobOutcome")]
struct Outcome {
    job_id: JobId,
    status: JobState,
}

/// The state of a job after a request about its turns.
#[derive(Debug, Serialize, JsonSchema)]
struct TurnOutcome {
    job_id: JobId,
    status: JobState,
    /// Whether nothing more of the job is started until it is resumed.
    paused: bool,
}

/// The routes of this file, the most frequent first.
pub(crate) fn routes() -> Vec<Route> {
    let mut routes = vec![
        Route::get(&SCAN, Access::Read, operations::follows(), |call, _| {
            call.and(warp::query())
                .then(async |call: Call<1>, view| finish(progress(&call, &view).await))
        }),
        Route::post(&SCANS, Access::Write, operations::submits(), |call, context| {
            call.and(warp::query())
                .and(json_body(context.api.config.get().server.max_body_bytes))
                .then(async |call: Call<0>, how, body| finish(submit(call, &how, body).await))
        }),
        Route::delete(&SCAN, Access::Admin, operations::removes(), |call, _| {
            call.then(async |Call { api, path: [id], .. }| finish(removal::remove(api, id).await))
        }),
        Route::post(&CANCEL, Access::Write, operations::cancels(), |call, _| {
            call.then(async |Call { api, path: [id], .. }| finish(cancel(api, id).await))
        }),
        Route::post(&RETRY, Access::Write, operations::retries(), |call, _| {
            call.and(warp::query()).then(async |Call { api, path: [id], .. }, only| {
                finish(retry(api, id, &only).await)
            })
        }),
    ];
    routes.extend(turns::routes());
    routes
}

/// `POST /scan`
async fn submit(call: Call<0>, how: &Submit, body: Validation) -> Result<Response, ApiError> {
    let Call { api, user, .. } = &call;
    let sent = Submission::read(body)?;
    let request = ScanRequest {
        url: sent.git_url.clone(),
        options: options_of(&sent),
        submitted_by: user.name().map(str::to_owned),
        run: None,
    };
    if how.dry_run == Some(true) {
        return dry_run::list(api, user, &request, sent).await;
    }
    let accepted = api.intake.accept(request).await.map_err(|error| refused(&error, sent))?;
    // Ensures that a GET after this answer finds the job.
    api.nudger.nudge(&accepted.job_id).await;
    let location = format!("{}/scan/{}", api.config.get().server.public_url, accepted.job_id);
    let answer =
        Accepted { job_id: accepted.job_id, status: "pending", created_at: accepted.created_at };
    Ok(reply::with_header(reply::json(&answer), header::LOCATION, &location))
}

/// The options of a submission.
pub(crate) fn options_of(sent: &Submission) -> Options {
    Options {
        reference: sent.reference.clone(),
        deep: sent.deep.unwrap_or(false),
        archives: sent.archives.unwrap_or(false),
        include_subgroups: sent.include_subgroups.unwrap_or(true),
        include: sent.include.clone().unwrap_or_default(),
        exclude: sent.exclude.clone().unwrap_or_default(),
        filters: sent.filters(),
        exclude_paths: sent.exclude_paths.clone().unwrap_or_default(),
        no_ignore: false,
        retries: sent.retries.map_or(0, |UpTo(retries)| retries),
        force: sent.force.unwrap_or(false),
    }
}

/// `GET /scan/{id}`
async fn progress(call: &Call<1>, view: &View) -> Result<Response, ApiError> {
    let (api, [id]) = (&call.api, &call.path);
    let job = match view.archived {
        Some(true) => api.job_or_archived(id).await?,
        _ => api.live_job(id).await?,
    };
    let lists = match view.view.as_deref() {
        Some("summary") => Lists::Omitted,
        None | Some("full") => Lists::Whole,
        Some(_) => {
            return Err(ApiError::bad_request("Invalid view. Must be one of: full, summary"));
        }
    };
    let body = job.body(lists);
    if call.if_none_match.matches(body.tag()) {
        return Ok(reply::not_modified(&DOCUMENT, body.tag()));
    }
    let coding = call.coding.of(body.length());
    let sent = match coding {
        Coding::Identity => body.sent(),
        Coding::Gzip => body.compressed(gzip_fast),
    };
    Ok(reply::cacheable(sent, &DOCUMENT, body.tag(), coding))
}

/// `POST /scan/{id}/cancel`
async fn cancel(api: Api, id: String) -> Result<Response, ApiError> {
    let job = api.live_job(&id).await?;
    if !job.facts().state.is_final() {
        writable(&api).await?;
    }
    let cancelled = api.supervisor.cancel(job.id()).await;
    let is_read = api.nudger.nudge(job.id()).await;
    let facts = job.facts();
    match cancelled {
        Cancelled::NotRunning if !facts.state.is_final() && !is_read => {
            return Err(ApiError::Unavailable {
                detail: "The files of the job could not be read in time; its state is unknown"
                    .into(),
                retry_after: Some(5),
            });
        }
        Cancelled::NotRunning if !facts.state.is_final() => {
            return Err(ApiError::Conflict {
                detail: "The job cannot be cancelled here, because another program runs it".into(),
                hint: Some("Cancel it with the program that runs it".into()),
            });
        }
        Cancelled::Stopped if !facts.state.is_final() => return Err(stopping()),
        Cancelled::Unwritten(error) => {
            return Err(unstorable(
                "The job is stopped, but its state cannot be stored yet",
                &error,
            ));
        }
        Cancelled::Done | Cancelled::NotRunning | Cancelled::Stopped => {}
    }
    // The request is durable, even if the cache has not re-read the job yet.
    let is_known = is_read || facts.state.is_final();
    let status = if is_known { facts.state } else { JobState::Cancelled };
    Ok(reply::json(&Outcome { job_id: facts.id, status }))
}

/// `POST /scan/{id}/retry`
async fn retry(api: Api, id: String, only: &Retry) -> Result<Response, ApiError> {
    let job = api.live_job(&id).await?;
    let conflict = |detail: &'static str, hint: &'static str| ApiError::Conflict {
        detail: detail.into(),
        hint: Some(hint.into()),
    };
    let cause = match (only.kind, only.cause) {
        (Some(kind), Some(cause)) if kind != cause => {
            return Err(ApiError::bad_request("kind and cause differ: send one of them"));
        }
        (kind, cause) => kind.or(cause),
    };
    match api.supervisor.retry(job.id(), cause).await {
        Retried::GoesOn => {}
        Retried::Running => {
            return Err(conflict(
                "The job is not finished yet",
                "Wait until it finishes, or cancel it first",
            ));
        }
        Retried::NothingFailed => {
            return Err(conflict(
                "The job has no failed repository that can be retried",
                "Submit its URL again to scan everything",
            ));
        }
        Retried::NotOurs => {
            return Err(conflict(
                "The job cannot be retried here, because another program runs it",
                "Submit its URL to scan it here",
            ));
        }
        Retried::Gone => return Err(ApiError::JobNotFound),
        Retried::Stopped => return Err(stopping()),
        Retried::Failed(error) => return Err(unstorable("The job cannot be stored", &error)),
    }
    let is_read = api.nudger.nudge(job.id()).await;
    let facts = job.facts();
    // The job is restarted, even if the cache has not re-read it yet.
    let status = if is_read { facts.state } else { JobState::InProgress };
    Ok(reply::json(&Outcome { job_id: facts.id, status }))
}

/// Refuses a command before it has any effect, while nothing can be written.
async fn writable(api: &Api) -> Result<(), ApiError> {
    let space = Arc::clone(&api.space);
    match api.read_pools.checks.run(move || space.obstacle()).await {
        Ok(Some(obstacle)) if obstacle.forbids_all() => Err(ApiError::Unavailable {
            detail: format!("The job cannot be changed: {obstacle}").into(),
            retry_after: Some(QUEUE_RETRY_SECS),
        }),
        _ => Ok(()),
    }
}
