//! The OpenAPI descriptions of the routes below `/schedules`.
//!
//! Input: none. Output: an operation for each route. Invariant: every status that a handler answers is
//! listed.

use super::{Definition, List, Run, Shown};
use crate::api::routing::operation::{Answer, Operation};
use serde_json::json;
use warp::http::StatusCode;

pub(super) fn lists() -> Operation {
    Operation::new("listSchedules", "All schedules, with their next and last runs").answers(
        StatusCode::OK,
        Answer::json::<List<'_>>("All schedules, sorted by name; at most 1,000."),
    )
}

pub(super) fn reads() -> Operation {
    Operation::new("getSchedule", "A schedule, with its next and last run")
        .answers(StatusCode::OK, Answer::json::<Shown<'_>>("The schedule."))
}

pub(super) fn stores() -> Operation {
    Operation::new("putSchedule", "Create or replace a schedule")
        .about(
            "The schedule is durable when the answer is sent. The URL is checked as by `POST /scan`. With another \
             pattern or time zone, or when it is switched on, its runs count from now; what it has run stays.",
        )
        .body::<Definition>(json!({
            "cron": "30 2 * * 1-5",
            "timezone": "Europe/Berlin",
            "git_url": "https://github.com/owner/name.git",
        }))
        .answers(
            StatusCode::OK,
            Answer::json::<Shown<'_>>("The schedule was replaced.")
                .header("Location", "The path of the schedule."),
        )
        .answers(
            StatusCode::CREATED,
            Answer::json::<Shown<'_>>("The schedule was created.")
                .header("Location", "The path of the schedule."),
        )
        .refuses(
            StatusCode::BAD_REQUEST,
            "The name is invalid, or a policy refuses the URL; the detail names the rule.",
        )
        .refuses(
            StatusCode::CONFLICT,
            "The settings define the schedule, or there are too many schedules.",
        )
        .refuses(
            StatusCode::SERVICE_UNAVAILABLE,
            "The server is stopping, or the disk is not writable.",
        )
}

pub(super) fn removes() -> Operation {
    Operation::new("deleteSchedule", "Remove a schedule")
        .about("Its jobs stay. A run that has not started is dropped.")
        .answers(StatusCode::NO_CONTENT, Answer::empty("The schedule is removed."))
        .refuses(StatusCode::CONFLICT, "The settings define the schedule.")
        .refuses(
            StatusCode::SERVICE_UNAVAILABLE,
            "The server is stopping, or the disk is not writable.",
        )
}

pub(super) fn runs() -> Operation {
    Operation::new("runSchedule", "Run a schedule now")
        .about("Also a schedule that is switched off. Its next run does not change.")
        .answers(
            StatusCode::OK,
            Answer::json::<Run>("The job is queued.")
                .header("Location", "The path of the progress document."),
        )
        .answers(
            StatusCode::ACCEPTED,
            Answer::json::<Run>("The run waits for the job of the run before (`overlap: queue`).")
                .header("Location", "The path of the progress document, once the job exists."),
        )
        .refuses(StatusCode::BAD_REQUEST, "A policy refuses the URL now.")
        .refuses(
            StatusCode::CONFLICT,
            "The job of the run before is not finished (`overlap: skip`), or another run has not started.",
        )
        .refuses(StatusCode::TOO_MANY_REQUESTS, "The queue is full.")
        .refuses(
            StatusCode::SERVICE_UNAVAILABLE,
            "The server is stopping, or the disk is not writable or nearly full.",
        )
}
