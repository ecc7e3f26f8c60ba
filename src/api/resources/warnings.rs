//! What a scanner could not read in a repository: the warnings of its result.
//!
//! Input: the id of a job, and the number of a repository. Output: its warnings. Invariant: no more
//! than [`MOST`] of them, and 1 MiB of the file, are in memory.

use super::{
    repository::{INDEX, find},
    scan::JOB_ID,
};
use crate::api::{
    answers::{
        error::ApiError,
        reply::{self, finish},
    },
    routing::{
        operation::{Answer, Operation},
        route::{Access, Call, Route},
        template::Template,
    },
};
use crate::{
    live::Results,
    model::{JobId, RepoState, scan_result::Warning},
    store::result_file::{Part, Unread},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::{io, sync::Arc};
use warp::{Filter, http::StatusCode, reply::Response};

/// How many warnings an answer contains.
const MOST: usize = 1_000;

const WARNINGS: Template<2> =
    Template::new("/scan/{id}/repositories/{n}/warnings", [JOB_ID, INDEX]);

/// The warnings of a repository.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct Warnings {
    /// The first 1,000, in the order of the result.
    warnings: Vec<Warning>,
    /// How many there are; null if they are too large to be read.
    total: Option<usize>,
}

/// The routes of this file.
pub(crate) fn routes() -> Vec<Route> {
    let lists = Operation::new("listWarnings", "What could not be read in a repository")
        .answers(StatusCode::OK, Answer::json::<Warnings>("The warnings of the result."))
        .refuses(StatusCode::BAD_REQUEST, "The repository is not completed.")
        .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many results are being read.");
    vec![Route::get(&WARNINGS, Access::Read, lists, |call, _| {
        call.then(async |call: Call<2>| finish(warnings(call).await))
    })]
}

/// `GET /scan/{id}/repositories/{n}/warnings`
async fn warnings(call: Call<2>) -> Result<Response, ApiError> {
    let (api, [id, index]) = (&call.api, &call.path);
    let (job, status) = find(api, id, index).await?;
    if status.state != RepoState::Completed {
        return Err(ApiError::bad_request("Repository not completed"));
    }
    let reading = api.read_pools.open(&call.user, call.peer)?;
    let (results, id) = (Arc::clone(&api.results), job.id().clone());
    let read = api.read_pools.results.run(move || {
        let read = read(&results, &id, status.index);
        drop(reading);
        read
    });
    let read = read.await?.map_err(|error| ApiError::internal("read a result", &error))?;
    Ok(reply::json(&read))
}

fn read(results: &Results, id: &JobId, index: u32) -> io::Result<Warnings> {
    let mut found = Warnings { warnings: Vec::new(), total: Some(0) };
    let Some(mut file) = results.open(id, index)? else { return Ok(found) };
    let read = file.read(&["warnings"], &mut |part| {
        if let Part::Member(_, text) = part {
            let mut list: Vec<Warning> =
                serde_json::from_slice(text).map_err(|_| Unread::Invalid)?;
            found.total = Some(list.len());
            list.truncate(MOST);
            found.warnings = list;
        }
        Ok(())
    });
    match read {
        Ok(()) => Ok(found),
        Err(Unread::Io(error)) => Err(error),
        Err(Unread::Invalid | Unread::Stopped) => Ok(Warnings::default()),
    }
}
