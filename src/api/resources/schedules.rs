//! `/schedules`: list, store, remove and run schedules.
//!
//! Input: requests to `/schedules` and `/schedules/{name}`. Output: documents of schedules, and commands to the task
//! that runs them.
//!
//! Invariants: a change is durable before its answer; a URL passes the same checks as in `POST /scan`; a schedule of the
//! settings is not changed here.

mod operations;

use super::scan::{self, Submission, options_of};
use crate::{
    api::{
        answers::{
            error::ApiError,
            field_error::FieldError,
            reply::{self, finish},
        },
        requests::{
            body::json_body,
            members::{Body, UpTo, body},
            validation::Validation,
        },
        routing::{
            operation::schema_of,
            route::{Access, Call, Route},
            template::{PathParameter, Template},
        },
        state::Api,
    },
    intake::IntakeError,
    model::{
        JobId, JobState,
        schedule::{
            DEFAULT_TIMEZONE, MAX_JITTER_SECS, Overlap, ScheduleName, ScheduleSpec, SpecError,
        },
        time::{self, Timestamp},
    },
    schedules::{ChangeError, Put, RunError, ScheduleDocument, ScheduleProblem},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::str::FromStr;
use warp::{
    Filter,
    http::{StatusCode, header},
    reply::Response,
};

/// The `{name}` of all paths.
const NAME: PathParameter = PathParameter {
    name: "name",
    about: "The name of the schedule.",
    schema: schema_of::<ScheduleName>,
};

const SCHEDULES: Template<0> = Template::new("/schedules", []);
const SCHEDULE: Template<1> = Template::new("/schedules/{name}", [NAME]);
const RUN: Template<1> = Template::new("/schedules/{name}/run", [NAME]);

body! {
    /// When something is scanned.
    #[derive(Debug, JsonSchema)]
    struct Timing {
        /// A cron pattern: minute, hour, day, month and weekday, such as `30 2 * * 1-5`; with a sixth field in front for
        /// seconds. `L`, `W`, `#` and `@daily` are understood.
        #[schemars(length(min = 1, max = 200))]
        "cron" => cron: String,
        /// The IANA time zone of the pattern, such as `Europe/Berlin`; the default is `UTC`.
        "timezone" => timezone: Option<String>,
        /// Each run is late by a time of up to this many seconds, which differs between schedules, so that many do
        /// not start at once. The default is 0.
        "jitter_secs" => jitter_secs: Option<UpTo<MAX_JITTER_SECS>>,
        /// What happens to a run while the job of the run before is not finished: `skip` (the default), or `queue`:
        /// it starts when that job is finished, and at most one waits.
        #[schemars(extend("enum" = ["skip", "queue", null]))]
        "overlap" => overlap: Option<String>,
        /// Whether runs that were missed while the server did not run are made up for, by one run. The default is
        /// true.
        "catch_up" => catch_up: Option<bool>,
        /// Whether the schedule runs. The default is true.
        "enabled" => enabled: Option<bool>,
    }
}

/// What is scanned when: the members of `POST /scan`, and those of the schedule.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "ScheduleSubmission")]
struct Definition {
    #[schemars(flatten)]
    timing: Timing,
    #[schemars(flatten)]
    scan: Submission,
}

impl Body for Definition {
    fn members(body: &mut Validation) -> Self {
        Self { timing: Timing::members(body), scan: Submission::members(body) }
    }
}

/// A schedule, with the state of its last job.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ListedSchedule")]
struct Shown<'a> {
    #[serde(flatten)]
    schedule: &'a ScheduleDocument,
    /// The state of the last job; null if there is none, or if it was removed.
    last_job_status: Option<JobState>,
}

/// All schedules, sorted by name.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Schedules")]
struct List<'a> {
    schedules: Vec<Shown<'a>>,
    total: usize,
    /// Schedules and files that cannot be used, also in `/health`.
    problems: &'a [ScheduleProblem],
}

/// A run that a user asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ScheduledRun")]
struct Run {
    job_id: JobId,
    /// `pending`: the job is queued; `waiting`: it is created when the job of the run before is finished.
    #[schemars(extend("enum" = ["pending", "waiting"]))]
    status: &'static str,
    /// The job that has to finish first.
    waits_for: Option<JobId>,
    #[serde(with = "time")]
    #[schemars(with = "Timestamp")]
    requested_at: Timestamp,
}

/// The routes of this file.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get(&SCHEDULES, Access::Read, operations::lists(), |call, _| {
            call.map(|call: Call<0>| list(&call.api))
        }),
        Route::get(&SCHEDULE, Access::Read, operations::reads(), |call, _| {
            call.map(|Call { api, path: [name], .. }: Call<1>| finish(read(&api, &name)))
        }),
        Route::put(&SCHEDULE, Access::Admin, operations::stores(), |call, context| {
            call.and(json_body(context.api.config.get().server.max_body_bytes)).then(
                async |Call { api, path: [name], .. }: Call<1>, body| {
                    finish(store(&api, &name, body).await)
                },
            )
        }),
        Route::delete(&SCHEDULE, Access::Admin, operations::removes(), |call, _| {
            call.then(async |Call { api, path: [name], .. }: Call<1>| {
                finish(remove(&api, &name).await)
            })
        }),
        Route::post(&RUN, Access::Admin, operations::runs(), |call, _| {
            call.then(async |Call { api, path: [name], .. }: Call<1>| {
                finish(run(&api, &name).await)
            })
        }),
    ]
}

fn shown<'a>(api: &Api, schedule: &'a ScheduleDocument) -> Shown<'a> {
    let job = schedule.history.last_job.as_ref().and_then(|id| api.live.get(id));
    Shown { schedule, last_job_status: job.map(|job| job.facts().state) }
}

/// `GET /schedules`
fn list(api: &Api) -> Response {
    let published = api.schedules.published();
    let schedules: Vec<_> =
        published.schedules.values().map(|schedule| shown(api, schedule)).collect();
    reply::json(&List { total: schedules.len(), schedules, problems: &published.problems })
}

/// `GET /schedules/{name}`
fn read(api: &Api, name: &str) -> Result<Response, ApiError> {
    let name = known_name(name)?;
    let published = api.schedules.published();
    let schedule = published.schedules.get(&name).ok_or(NOT_FOUND)?;
    Ok(reply::json(&shown(api, schedule)))
}

/// `PUT /schedules/{name}`
async fn store(api: &Api, name: &str, body: Validation) -> Result<Response, ApiError> {
    let name: ScheduleName = name.parse().map_err(|error| ApiError::BadRequest {
        detail: "Invalid name of a schedule".into(),
        hint: Some(format!("{error}").into()),
    })?;
    let Definition { timing, scan } = Definition::read(body)?;
    let spec = ScheduleSpec {
        cron: timing.cron,
        timezone: timing.timezone.unwrap_or_else(|| DEFAULT_TIMEZONE.to_owned()),
        git_url: scan.git_url.trim().to_owned(),
        options: options_of(&scan),
        jitter_secs: timing.jitter_secs.map_or(0, |UpTo(seconds)| seconds),
        overlap: timing.overlap.map_or(Ok(Overlap::default()), |text| {
            Overlap::from_str(&text).map_err(|why| invalid("overlap", why, text.into()))
        })?,
        catch_up: timing.catch_up.unwrap_or(true),
        enabled: timing.enabled.unwrap_or(true),
    };
    let timetable = spec.check().map_err(|SpecError { member, message }| {
        let input = serde_json::to_value(&spec).unwrap_or_default();
        let input = input.get(&member).cloned().unwrap_or_default();
        invalid(&member, &message, input)
    })?;
    api.intake.check(&scan.git_url).map_err(|error| scan::refused(&error, scan))?;
    let put = api.schedules.put(name.clone(), spec, timetable).await.map_err(unchanged)?;
    let mut response = read(api, name.as_str())?;
    if put == Put::Created {
        *response.status_mut() = StatusCode::CREATED;
    }
    let location = format!("{}/schedules/{name}", api.config.get().server.public_url);
    Ok(reply::with_header(response, header::LOCATION, &location))
}

/// `DELETE /schedules/{name}`
async fn remove(api: &Api, name: &str) -> Result<Response, ApiError> {
    api.schedules.remove(known_name(name)?).await.map_err(unchanged)?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `POST /schedules/{name}/run`
async fn run(api: &Api, name: &str) -> Result<Response, ApiError> {
    let started = api.schedules.run(known_name(name)?).await.map_err(not_run)?;
    let location = format!("{}/scan/{}", api.config.get().server.public_url, started.job_id);
    let waits = started.waits_for.is_some();
    let mut response = reply::json(&Run {
        job_id: started.job_id,
        status: if waits { "waiting" } else { "pending" },
        waits_for: started.waits_for,
        requested_at: started.requested_at,
    });
    if waits {
        *response.status_mut() = StatusCode::ACCEPTED;
    }
    Ok(reply::with_header(response, header::LOCATION, &location))
}

const NOT_FOUND: ApiError = ApiError::Absent("Schedule not found");

/// An ill-formed name is treated as an unknown one.
fn known_name(name: &str) -> Result<ScheduleName, ApiError> {
    name.parse().map_err(|_| NOT_FOUND)
}

fn invalid(member: &str, message: &str, input: Value) -> ApiError {
    let message = format!("Value error, {message}");
    ApiError::invalid(vec![FieldError::new("value_error", vec![member.into()], message, input)])
}

fn unchanged(error: ChangeError) -> ApiError {
    let detail = error.to_string().into();
    match error {
        ChangeError::OfSettings(_) => ApiError::Conflict {
            detail,
            hint: Some(
                "Change [[schedules]] in the settings file, and send SIGHUP to the server".into(),
            ),
        },
        ChangeError::Many(_) => ApiError::Conflict {
            detail,
            hint: Some("Remove schedules that are not needed any more".into()),
        },
        ChangeError::NotFound => NOT_FOUND,
        ChangeError::Store(error) => scan::unstorable("The schedule cannot be stored", &error),
        ChangeError::Stopped => scan::stopping(),
    }
}

fn not_run(error: RunError) -> ApiError {
    let detail = error.to_string();
    match error {
        RunError::NotFound => NOT_FOUND,
        RunError::Unfinished(_) => ApiError::Conflict {
            detail: detail.into(),
            hint: Some("Wait until it is finished, or cancel it first".into()),
        },
        RunError::Pending => ApiError::Conflict {
            detail: detail.into(),
            hint: Some(
                "Wait until it has started; `pending` of the schedule has the reason".into(),
            ),
        },
        RunError::Refused(IntakeError::Refused(why)) => {
            ApiError::BadRequest { detail: why.to_string().into(), hint: Some(why.hint().into()) }
        }
        RunError::Refused(IntakeError::QueueFull(_)) => {
            ApiError::TooManyRequests { detail: detail.into(), retry_after: scan::QUEUE_RETRY_SECS }
        }
        RunError::Refused(IntakeError::NoPlace(_)) => ApiError::Unavailable {
            detail: detail.into(),
            retry_after: Some(scan::QUEUE_RETRY_SECS),
        },
        RunError::Refused(IntakeError::Store(error)) | RunError::Store(error) => {
            scan::unstorable("The run cannot be stored", &error)
        }
        RunError::Refused(IntakeError::Stopped) | RunError::Stopped => scan::stopping(),
        // Something in its file that the policy of today refuses.
        RunError::Refused(_) => ApiError::bad_request(detail),
    }
}
