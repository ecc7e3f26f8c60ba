//! Bills of materials: `/scan/{id}/sbom` of a job, `/scan/{id}/repositories/{n}/sbom` of one
//! repository.
//!
//! Input: a job or a repository, and a format. Output: the document, generated while it is sent.
//!
//! Invariants: memory is bounded, by document and by the number of documents that are generated at
//! once; the document of a group contains every completed repository, and names the others with
//! the reason.

use super::{
    findings::FromFiles,
    produced_body::{Cancellation, Terms, document_body, unread},
    repository::{INDEX, find},
    results::is_group,
    scan::JOB_ID,
};
use crate::api::{
    answers::{
        archived::marked,
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
    live::LiveJob,
    model::RepoState,
    sbom::{self, Budget, Document},
};
use chrono::Utc;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use warp::{
    Filter,
    http::{StatusCode, header::CONTENT_DISPOSITION},
    reply::Response,
};

const OF_A_JOB: Template<1> = Template::new("/scan/{id}/sbom", [JOB_ID]);
const OF_A_REPOSITORY: Template<2> =
    Template::new("/scan/{id}/repositories/{n}/sbom", [JOB_ID, INDEX]);

/// The formats of `?format=`; the first is the default.
const FORMATS: [&str; 4] = [
    sbom::Format::NAMED[0].0,
    sbom::Format::NAMED[1].0,
    sbom::Format::NAMED[2].0,
    sbom::Format::NAMED[3].0,
];

/// The parameters.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Formatted {
    /// The format of the document; the default is CycloneDX.
    #[schemars(extend("enum" = FORMATS))]
    format: Option<String>,
}

/// The requested format.
fn format_of(asked: &Formatted) -> Result<sbom::Format, ApiError> {
    let Some(asked) = &asked.format else { return Ok(sbom::Format::CycloneDx) };
    let named = sbom::Format::NAMED.iter().find(|(name, _)| name == asked);
    named.map(|(_, format)| *format).ok_or_else(|| {
        let formats = FORMATS.join(", ");
        ApiError::bad_request(format!("Invalid format. Must be one of: {formats}"))
    })
}

/// The routes of this file.
pub(crate) fn routes() -> Vec<Route> {
    let describe = |id, summary, about, refusal| {
        Operation::new(id, summary)
            .about(about)
            .query::<Formatted>()
            .answers(
                StatusCode::OK,
                Answer::json::<Map<String, Value>>("CycloneDX 1.6 or 1.7, or SPDX 2.3 or 3.0.1.")
                    .header("Content-Disposition", "A file name for the download.")
                    .header(
                        "Scanwatch-Archived",
                        "Whether the job is archived: `true` or `false`.",
                    ),
            )
            .refuses(StatusCode::BAD_REQUEST, refusal)
            .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many results are being read.")
    };
    let of_a_job = describe(
        "getSbom",
        "The bill of materials of a job",
        "For a group: one document for all completed repositories; the others are named with \
         the reason.",
        "The job is not completed, or the format is unknown.",
    );
    let of_a_repository = describe(
        "getRepositorySbom",
        "The bill of materials of one repository",
        "Contains the dependency relations of the lock files.",
        "The repository is not completed, or the format is unknown.",
    );
    vec![
        Route::get(&OF_A_JOB, Access::Read, of_a_job, |call, _| {
            call.and(warp::query())
                .then(async |call: Call<1>, asked| finish(of_job(call, asked).await))
        }),
        Route::get(&OF_A_REPOSITORY, Access::Read, of_a_repository, |call, _| {
            call.and(warp::query())
                .then(async |call: Call<2>, asked| finish(of_repository(call, asked).await))
        }),
    ]
}

/// `GET /scan/{id}/sbom`
async fn of_job(call: Call<1>, asked: Formatted) -> Result<Response, ApiError> {
    let [id] = &call.path;
    let job = call.api.job_or_archived(id).await?;
    let format = format_of(&asked)?;
    let facts = job.facts();
    let (scanned, missing): (Vec<_>, Vec<_>) = job.with_repositories(|all| {
        all.map(|repository| (repository.index, repository.state))
            .partition(|(_, state)| *state == RepoState::Completed)
    });
    if !facts.state.is_final() || scanned.is_empty() {
        return Err(ApiError::bad_request("Job not completed"));
    }
    let numbers =
        |of: Vec<(u32, RepoState)>| of.into_iter().map(|repository| repository.0).collect();
    let group = is_group(&job, &facts).then(|| facts.url.as_deref().unwrap_or_default().to_owned());
    let name = format!("scanwatch-{}.{}", facts.id, format.file_ending());
    document(&call, &job, [numbers(scanned), numbers(missing)], group, format, &name).await
}

/// `GET /scan/{id}/repositories/{n}/sbom`
async fn of_repository(call: Call<2>, asked: Formatted) -> Result<Response, ApiError> {
    let [id, index] = &call.path;
    let (job, status) = find(&call.api, id, index).await?;
    let format = format_of(&asked)?;
    if status.state != RepoState::Completed {
        return Err(ApiError::bad_request("Repository not completed"));
    }
    let name = format!("scanwatch-{}-{}.{}", job.id(), status.index, format.file_ending());
    document(&call, &job, [vec![status.index], Vec::new()], None, format, &name).await
}

async fn document<const N: usize>(
    call: &Call<N>,
    job: &Arc<LiveJob>,
    repositories: [Vec<u32>; 2],
    group: Option<String>,
    format: sbom::Format,
    file_name: &str,
) -> Result<Response, ApiError> {
    let api = &call.api;
    let reading = api.read_pools.open(&call.user, call.peer)?;
    let (cancellation, guard) = Cancellation::of(api, job);
    let is_wanted = Box::new(move || !cancellation.is_cancelled());
    let findings = FromFiles::new(&api.results, job, repositories, is_wanted);
    let document = Document::new(format, group, findings, Utc::now(), Budget::default());
    let terms = Terms::new(api, &api.read_pools.results, &call.user).with(guard, reading);
    let response = document_body(terms, document, "application/json").await;
    let response = response.map_err(|error| error.unwrap_or_else(|| unread(api, job.id())))?;
    let disposition = format!("attachment; filename=\"{file_name}\"");
    let response = reply::with_header(response, CONTENT_DISPOSITION, &disposition);
    Ok(marked(response, job.is_archived()))
}
