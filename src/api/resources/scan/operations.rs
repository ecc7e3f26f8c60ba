//! The OpenAPI descriptions of the routes below `/scan`.
//!
//! Input: none. Output: an operation for each route. Invariant: every status that a handler answers is
//! listed.

use super::{Accepted, Outcome, Retry, Submission, Submit, TurnOutcome, View};
use crate::{
    api::routing::operation::{Answer, Operation},
    model::{dry_run::DryRun, progress::ProgressDocument},
};
use serde_json::json;
use warp::http::StatusCode;

pub(super) fn follows() -> Operation {
    Operation::new("getScan", "The progress document of a job")
        .about(
            "Send the entity tag of the last answer as `If-None-Match`: if nothing has changed, \
             the answer is 304 without a body. The elapsed seconds do not change the tag. A \
             document of 1 to 256 KiB is sent as gzip if `Accept-Encoding` prefers it.",
        )
        .query::<View>()
        .header("If-None-Match", "The `ETag` of the document that the client already has.")
        .answers(
            StatusCode::OK,
            Answer::json::<ProgressDocument<'_>>("The document.")
                .header("ETag", "The version of the document.")
                .header("Cache-Control", "The client has to revalidate a stored document."),
        )
        .answers(
            StatusCode::NOT_MODIFIED,
            Answer::empty("The client already has the current version.")
                .header("ETag", "The version of the document."),
        )
        .refuses(StatusCode::BAD_REQUEST, "The view is unknown.")
}

pub(super) fn submits() -> Operation {
    Operation::new("submitScan", "Submit a repository or a group")
        .about(
            "The job is durable when the answer is sent. The URL is checked in the order \
             characters, shape, scheme, userinfo, literal address, port, host; the scanner \
             resolves names and checks every address. The repositories of a group are listed \
             after the answer: meanwhile their number grows in the progress document. If \
             nothing can be listed, the job fails with the reason; `discovery_errors` has what else \
             cannot be listed. With `?dry_run=true` nothing is stored or \
             queued: the answer is sent when the list has ended, and reports what would be \
             scanned, and what not and why. Two dry runs are served at once; the work ends when the \
             client disconnects.",
        )
        .query::<Submit>()
        .body::<Submission>(json!({ "git_url": "https://github.com/owner/name.git" }))
        .answers(
            StatusCode::OK,
            Answer::json_of_either::<Accepted, DryRun<'_>>("The job is queued.")
                .header("Location", "The path of the progress document.")
                .example(json!({
                    "job_id": "0198c0de-7f1a-7000-8000-000000000000",
                    "status": "pending",
                    "created_at": "2030-01-02T03:04:05.678Z",
                })),
        )
        .answers(StatusCode::OK, Answer::empty("With `dry_run`: what the submission would scan."))
        .refuses(StatusCode::BAD_REQUEST, "A policy refuses the URL; the detail names the rule.")
        .refuses(StatusCode::TOO_MANY_REQUESTS, "The queue is full.")
        .refuses(
            StatusCode::BAD_GATEWAY,
            "A dry run: the forge cannot list the repositories; the detail has the cause and the remedy.",
        )
        .refuses(
            StatusCode::SERVICE_UNAVAILABLE,
            "The disk is not writable or nearly full, the server is overloaded, or too many dry runs \
             are being served.",
        )
}

pub(super) fn removes() -> Operation {
    Operation::new("deleteScan", "Stop a job and remove its files")
        .answers(
            StatusCode::NO_CONTENT,
            Answer::empty("Its scanners have ended and its files are removed."),
        )
        .refuses(
            StatusCode::SERVICE_UNAVAILABLE,
            "The server is stopping or overloaded, or the disk is not writable.",
        )
}

pub(super) fn cancels() -> Operation {
    Operation::new("cancelScan", "Cancel a job")
        .about("A finished job does not change, and the answer contains its state.")
        .answers(
            StatusCode::OK,
            Answer::json::<Outcome>("The request is durable; the scanners are being stopped."),
        )
        .refuses(StatusCode::CONFLICT, "Another program runs the job.")
        .refuses(
            StatusCode::SERVICE_UNAVAILABLE,
            "The disk is not writable; or the job is stopped, but its state could not be stored.",
        )
}

pub(super) fn retries() -> Operation {
    Operation::new("retryScan", "Retry the failed repositories of a job")
        .about(
            "Only the repositories that failed, timed out or were cancelled are queued for \
             another attempt; the results of the others stay. A group whose repositories could \
             not be listed is listed again. A repository that a policy refuses is not retried.",
        )
        .query::<Retry>()
        .answers(StatusCode::OK, Answer::json::<Outcome>("The request is durable."))
        .refuses(StatusCode::BAD_REQUEST, "`kind` and `cause` differ.")
        .refuses(
            StatusCode::CONFLICT,
            "The job is not finished, nothing of it has failed, or another program runs it.",
        )
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "The server stops, or the disk is not writable.")
}

pub(super) fn pauses() -> Operation {
    of_turns(Operation::new("pauseScan", "Pause a job").about(
        "Running scans end on their own, and nothing more of the job is started, retries included. Its \
         state stays as it is, with `paused: true`. A restart of the server does not resume it. The \
         repositories of a group may still be listed. A paused job can be cancelled and removed.",
    ))
}

pub(super) fn resumes() -> Operation {
    of_turns(
        Operation::new("resumeScan", "Resume a paused job")
            .about("A job that is not paused does not change."),
    )
}

pub(super) fn bumps() -> Operation {
    of_turns(Operation::new("bumpScan", "Put a job before the other jobs of its user").about(
        "The slots of the user go to this job first, until it is finished; the job that was bumped last \
         comes first. Jobs of other users are not affected. Single repositories and groups still \
         alternate.",
    ))
}

fn of_turns(operation: Operation) -> Operation {
    operation
        .answers(StatusCode::OK, Answer::json::<TurnOutcome>("The request is durable."))
        .refuses(StatusCode::CONFLICT, "The job is finished, or another program runs it.")
        .refuses(
            StatusCode::SERVICE_UNAVAILABLE,
            "The server stops; or the disk is not writable; or the request applies, but could not be \
             stored.",
        )
}
