//! `/scan`: submit, follow, cancel, scan again, remove.

use super::{
    ApiError,
    auth::User,
    body::json_body,
    coding::{Coding, gzip_fast},
    log_limit::LineLimit,
    operation::{Answer, Operation, schema_of},
    reply::{self, finish},
    route::{Call, Route, Scope},
    state::Api,
    template::{PathParameter, Template},
    validation::{FieldError, Validation},
};
use crate::{
    intake::{IntakeError, ScanRequest},
    model::{
        JobId, JobState,
        master::Options,
        progress::{Lists, ProgressDocument},
        retry::MAX_RETRIES,
        time::{self, Timestamp},
    },
    store::{StoreError, plainly},
    supervisor::{Cancelled, RemoveError, Retried},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};
use warp::{
    Filter,
    http::{HeaderMap, StatusCode, header},
    reply::Response,
};

/// Seconds after which a client that met a full queue may ask again.
const QUEUE_RETRY_SECS: u64 = 30;

/// The `{id}` of all paths.
pub(super) const JOB_ID: PathParameter = PathParameter {
    name: "id",
    about: "The job, by the id that its submission was answered with.",
    schema: schema_of::<JobId>,
};

/// The headers of the progress document.
static DOCUMENT: LazyLock<HeaderMap> = LazyLock::new(|| reply::headers_of_kept("application/json"));

const SCANS: Template<0> = Template::new("/scan", []);
const SCAN: Template<1> = Template::new("/scan/{id}", [JOB_ID]);
const CANCEL: Template<1> = Template::new("/scan/{id}/cancel", [JOB_ID]);
const RETRY: Template<1> = Template::new("/scan/{id}/retry", [JOB_ID]);

/// The parameters of the progress document.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct View {
    /// `summary` leaves the lists of repositories out.
    #[schemars(extend("enum" = ["full", "summary"]))]
    view: Option<String>,
}

/// What is to be scanned.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "ScanSubmission", extend("additionalProperties" = true))]
struct Submission {
    /// A repository (`https://host/path.git`, `git@host:path.git`), or a group, an organisation or
    /// a user of a forge (`https://gitlab.com/group/subgroup`); without credentials.
    git_url: String,
    /// The branch, tag or commit; the default branch if absent.
    #[schemars(rename = "ref", length(min = 1))]
    reference: Option<String>,
    /// Whether source files are to be read for imports too.
    deep: Option<bool>,
    /// Of a group: whether the groups below it are scanned too; they are if absent.
    include_subgroups: Option<bool>,
    /// Of a group: patterns of which a repository's name below the group has to match one.
    include: Option<Vec<String>>,
    /// Of a group: patterns of which it must match none.
    exclude: Option<Vec<String>>,
    /// How often a repository is tried again whose attempt failed for a cause that may pass: a
    /// network, a server, a scanner that crashed or ran out of time. Not at all if absent.
    #[schemars(range(max = MAX_RETRIES))]
    retries: Option<u64>,
}

/// A job that was taken in.
#[derive(Debug, Serialize, JsonSchema)]
struct Accepted {
    job_id: JobId,
    /// Always `pending`.
    status: &'static str,
    #[serde(with = "time")]
    #[schemars(with = "Timestamp")]
    created_at: Timestamp,
}

/// Where a job stands after a wish.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "JobOutcome")]
struct Outcome {
    job_id: JobId,
    status: JobState,
}

/// The routes of this file. The first is the one that is asked most.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(&SCAN, Scope::Read, follows(), |call, _| {
            call.and(warp::query()).map(|call: Call<1>, view| finish(progress(&call, &view)))
        }),
        Route::post(&SCANS, Scope::Write, submits(), |call, door| {
            call.and(json_body(door.api.config.server.max_body_bytes))
                .then(async |call: Call<0>, body| finish(submit(call.api, &call.user, body).await))
        }),
        Route::delete(&SCAN, Scope::Admin, removes(), |call, _| {
            call.then(async |Call { api, path: [id], .. }| finish(remove(api, id).await))
        }),
        Route::post(&CANCEL, Scope::Write, cancels(), |call, _| {
            call.then(async |Call { api, path: [id], .. }| finish(cancel(api, id).await))
        }),
        Route::post(&RETRY, Scope::Write, retries(), |call, _| {
            call.then(async |Call { api, path: [id], .. }| finish(retry(api, id).await))
        }),
    ]
}

fn follows() -> Operation {
    Operation::new("getScan", "Where a job stands: the progress document")
        .about(
            "Send the entity tag of the last answer as `If-None-Match`: nothing new is answered \
             by 304, without a body. The elapsed seconds are no part of the tag. A document of 1 \
             to 256 KiB is sent as gzip where `Accept-Encoding` asks for it.",
        )
        .query::<View>()
        .header("If-None-Match", "The `ETag` of the document that the client has.")
        .answers(
            StatusCode::OK,
            Answer::json::<ProgressDocument<'_>>("The document.")
                .header("ETag", "The version of the document.")
                .header("Cache-Control", "Keep it, but ask each time."),
        )
        .answers(
            StatusCode::NOT_MODIFIED,
            Answer::empty("The client has the newest version.")
                .header("ETag", "The version of the document."),
        )
        .refuses(StatusCode::BAD_REQUEST, "There is no such view.")
}

fn submits() -> Operation {
    Operation::new("submitScan", "Submit a repository or a group")
        .about(
            "The job is on the disk when the answer comes. The URL is checked in the order \
             characters, shape, scheme, userinfo, literal address, port, host; names are resolved \
             by the scanner, which checks every address. Of a group the forge is asked after the \
             answer: until it has told its repositories, their number grows in the progress \
             document; if it does not, the job fails and says why.",
        )
        .body::<Submission>(json!({ "git_url": "https://github.com/owner/name.git" }))
        .answers(
            StatusCode::OK,
            Answer::json::<Accepted>("The job is queued.")
                .header("Location", "Where to follow it.")
                .example(json!({
                    "job_id": "0198c0de-7f1a-7000-8000-000000000000",
                    "status": "pending",
                    "created_at": "2030-01-02T03:04:05.678Z",
                })),
        )
        .refuses(StatusCode::BAD_REQUEST, "A policy refuses the URL; the detail says which rule.")
        .refuses(StatusCode::TOO_MANY_REQUESTS, "The queue is full.")
        .refuses(
            StatusCode::SERVICE_UNAVAILABLE,
            "The disk refuses or is nearly full, or the server is too busy.",
        )
}

fn removes() -> Operation {
    Operation::new("deleteScan", "End a job and remove its files")
        .answers(
            StatusCode::NO_CONTENT,
            Answer::empty("Its scanners are gone and its files removed."),
        )
        .refuses(
            StatusCode::SERVICE_UNAVAILABLE,
            "The server is stopping or too busy, or the disk refuses.",
        )
}

fn cancels() -> Operation {
    Operation::new("cancelScan", "Cancel a job")
        .about("A job that has ended already stays as it is, and its state is answered.")
        .answers(
            StatusCode::OK,
            Answer::json::<Outcome>("The wish is on the disk; its scanners are being ended."),
        )
        .refuses(StatusCode::CONFLICT, "The job is another program's.")
        .refuses(
            StatusCode::SERVICE_UNAVAILABLE,
            "Nothing can be written; or the job is ended, and only that could not be.",
        )
}

fn retries() -> Operation {
    Operation::new("retryScan", "Scan again what failed of a job")
        .about(
            "The repositories that failed, timed out or were cancelled are queued for another \
             attempt, and only those; what was found of the others stays. Of a group whose \
             repositories could not be listed, the forge is asked again. What policy refuses is \
             not tried again.",
        )
        .answers(StatusCode::OK, Answer::json::<Outcome>("The wish is on the disk."))
        .refuses(
            StatusCode::CONFLICT,
            "The job is not over, nothing of it has failed, or it is another program's.",
        )
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "The server is stopping, or the disk refuses.")
}

/// `POST /scan`
async fn submit(api: Api, user: &User, mut body: Validation) -> Result<Response, ApiError> {
    let sent = Submission {
        git_url: body.required_text("git_url"),
        reference: body.text("ref"),
        deep: body.flag("deep"),
        include_subgroups: body.flag("include_subgroups"),
        include: body.texts("include"),
        exclude: body.texts("exclude"),
        retries: body.count("retries", MAX_RETRIES),
    };
    body.finish()?;
    let options = Options {
        reference: sent.reference.clone(),
        deep: sent.deep.unwrap_or(false),
        include_subgroups: sent.include_subgroups.unwrap_or(true),
        include: sent.include.clone().unwrap_or_default(),
        exclude: sent.exclude.clone().unwrap_or_default(),
        retries: sent.retries.unwrap_or(0),
    };
    let request = ScanRequest {
        url: sent.git_url.clone(),
        options,
        submitted_by: user.name().map(str::to_owned),
    };
    let accepted = api.intake.accept(request).await.map_err(|error| refused(&error, sent))?;
    // A GET that follows finds the job.
    api.nudger.nudge(&accepted.job_id).await;
    let location = format!("/scan/{}", accepted.job_id);
    let answer =
        Accepted { job_id: accepted.job_id, status: "pending", created_at: accepted.created_at };
    Ok(reply::with_header(reply::json(&answer), header::LOCATION, &location))
}

/// `GET /scan/{id}`
fn progress(call: &Call<1>, view: &View) -> Result<Response, ApiError> {
    let job = call.api.job(&call.path[0])?;
    let lists = match view.view.as_deref() {
        Some("summary") => Lists::Omitted,
        None | Some("full") => Lists::Whole,
        Some(_) => {
            return Err(ApiError::bad_request("Invalid view. Must be one of: full, summary"));
        }
    };
    let body = job.body(lists);
    if call.seen.has(body.tag()) {
        return Ok(reply::not_modified(&DOCUMENT, body.tag()));
    }
    let coding = call.coding.of(body.length());
    let sent = match coding {
        Coding::Identity => body.sent(),
        Coding::Gzip => body.compressed(gzip_fast),
    };
    Ok(reply::kept(sent, &DOCUMENT, body.tag(), coding))
}

/// `POST /scan/{id}/cancel`
async fn cancel(api: Api, id: String) -> Result<Response, ApiError> {
    let job = api.job(&id)?;
    if !job.facts().state.is_final() {
        writable(&api).await?;
    }
    let cancelled = api.supervisor.cancel(job.id()).await;
    let is_read = api.nudger.nudge(job.id()).await;
    let facts = job.facts();
    match cancelled {
        Cancelled::NotRunning if !facts.state.is_final() && !is_read => {
            return Err(ApiError::Unavailable {
                detail: "The files of the job could not be read in time".into(),
                retry_after: Some(5),
            });
        }
        Cancelled::NotRunning if !facts.state.is_final() => {
            return Err(ApiError::Conflict {
                detail: "The job is not run by this server, so it cannot be cancelled here".into(),
                hint: Some("Cancel it with the program that runs it".into()),
            });
        }
        Cancelled::Stopped if !facts.state.is_final() => return Err(stopping()),
        Cancelled::Unwritten(error) => {
            return Err(unstorable("The job is ended, but that cannot be stored yet", &error));
        }
        Cancelled::Done | Cancelled::NotRunning | Cancelled::Stopped => {}
    }
    // The wish is on the disk, whether or not that has been read again yet.
    let is_known = is_read || facts.state.is_final();
    let status = if is_known { facts.state } else { JobState::Cancelled };
    Ok(reply::json(&Outcome { job_id: facts.id, status }))
}

/// `POST /scan/{id}/retry`
async fn retry(api: Api, id: String) -> Result<Response, ApiError> {
    let job = api.job(&id)?;
    let conflict = |detail: &'static str, hint: &'static str| ApiError::Conflict {
        detail: detail.into(),
        hint: Some(hint.into()),
    };
    match api.supervisor.retry(job.id()).await {
        Retried::GoesOn => {}
        Retried::Running => {
            return Err(conflict(
                "The job is not over yet",
                "Wait for its end, or cancel it first",
            ));
        }
        Retried::NothingFailed => {
            return Err(conflict(
                "Nothing of the job has failed that could be scanned again",
                "Submit its URL anew to scan everything",
            ));
        }
        Retried::NotOurs => {
            return Err(conflict(
                "The job is another program's: it cannot be scanned again here",
                "Submit its URL to scan it here",
            ));
        }
        Retried::Gone => return Err(ApiError::JobNotFound),
        Retried::Stopped => return Err(stopping()),
        Retried::Failed(error) => return Err(unstorable("The job cannot be stored", &error)),
    }
    let is_read = api.nudger.nudge(job.id()).await;
    let facts = job.facts();
    // It goes on, whether or not that has been read again yet.
    let status = if is_read { facts.state } else { JobState::InProgress };
    Ok(reply::json(&Outcome { job_id: facts.id, status }))
}

/// `DELETE /scan/{id}`
async fn remove(api: Api, id: String) -> Result<Response, ApiError> {
    let job = api.job(&id)?;
    writable(&api).await?;
    let id: &JobId = job.id();
    let removed = api.supervisor.remove(id).await;
    api.nudger.nudge(id).await;
    removed.map_err(|error| match error {
        RemoveError::Stopped => {
            ApiError::Unavailable { detail: error.to_string().into(), retry_after: None }
        }
        RemoveError::Store(error) => unstorable("The job cannot be removed", &error),
    })?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// Refuses a wish before anything follows from it, while nothing of it could be written.
async fn writable(api: &Api) -> Result<(), ApiError> {
    let space = Arc::clone(&api.space);
    match api.reads.checks.run(move || space.obstacle()).await {
        Ok(Some(obstacle)) if obstacle.forbids_all() => Err(ApiError::Unavailable {
            detail: format!("Nothing can be changed: {obstacle}").into(),
            retry_after: Some(QUEUE_RETRY_SECS),
        }),
        _ => Ok(()),
    }
}

fn refused(error: &IntakeError, sent: Submission) -> ApiError {
    let invalid = |member: &'static str, message: String, input: Value| {
        ApiError::invalid(vec![FieldError::new("value_error", vec![member.into()], message, input)])
    };
    match error {
        IntakeError::Refused(refusal) => ApiError::refused_url(refusal, sent.git_url.into()),
        IntakeError::NotScannable(what) => {
            ApiError::BadRequest { detail: what.to_string().into(), hint: Some(what.hint().into()) }
        }
        IntakeError::Reference(why) => {
            let message = format!("Value error, not the name of a branch, tag or commit: {why}");
            invalid("ref", message, sent.reference.into())
        }
        IntakeError::Pattern(member, why) => {
            let patterns = if *member == "include" { sent.include } else { sent.exclude };
            invalid(member, format!("Value error, {why}"), patterns.into())
        }
        IntakeError::QueueFull(_) => ApiError::TooManyRequests {
            detail: error.to_string().into(),
            retry_after: QUEUE_RETRY_SECS,
        },
        IntakeError::NoPlace(_) => ApiError::Unavailable {
            detail: error.to_string().into(),
            retry_after: Some(QUEUE_RETRY_SECS),
        },
        IntakeError::Store(cause) => unstorable("The job cannot be stored", cause),
        IntakeError::Stopped => stopping(),
    }
}

fn stopping() -> ApiError {
    ApiError::Unavailable { detail: "The server is stopping".into(), retry_after: None }
}

/// What the disk refuses. Where lies what is for the log alone.
fn unstorable(what: &str, cause: &StoreError) -> ApiError {
    static LINES: LineLimit = LineLimit::new(20);
    if let Some(suppressed) = LINES.pass() {
        tracing::error!(error = crate::store::chain(cause), suppressed, "{what}");
    }
    ApiError::Unavailable {
        detail: format!("{what}: {}", plainly(&cause.source)).into(),
        retry_after: Some(QUEUE_RETRY_SECS),
    }
}
