//! Bills of materials: `/scan/{id}/sbom` of a job, `/scan/{id}/repositories/{n}/sbom` of one
//! repository of it.
//!
//! What must stay true: one document is made at a time, of results whose size is bounded, so that
//! the memory is; a group's document has every repository that completed, and says which ones did
//! not.

use super::{
    ApiError,
    operation::{Answer, Operation},
    reply::{self, finish},
    repository::{INDEX, find},
    results::is_group,
    route::{Call, Route, Scope},
    scan::JOB_ID,
    state::Api,
    template::Template,
};
use crate::{
    model::{JobId, RepoState, repository::RepositoryStatus},
    sbom::{self, Subject},
};
use bytes::Bytes;
use chrono::Utc;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::task::spawn_blocking;
use warp::{
    Filter,
    http::{StatusCode, header::CONTENT_DISPOSITION},
    reply::Response,
};

const OF_A_JOB: Template<1> = Template::new("/scan/{id}/sbom", [JOB_ID]);
const OF_A_REPOSITORY: Template<2> =
    Template::new("/scan/{id}/repositories/{n}/sbom", [JOB_ID, INDEX]);

/// The formats of `?format=`; the first is meant where there is none.
const FORMATS: [&str; 2] = ["cyclonedx", "spdx"];

/// The result files of one document may have so many bytes together. In memory it is a few times
/// as much.
const MOST_BYTES: u64 = 128 << 20;

/// The parameters.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Formatted {
    /// Which kind of document; CycloneDX where it is absent.
    #[schemars(extend("enum" = FORMATS))]
    format: Option<String>,
}

#[derive(Debug, Clone, Copy)]
enum Format {
    CycloneDx,
    Spdx,
}

impl Format {
    fn asked(by: &Formatted) -> Result<Self, ApiError> {
        match by.format.as_deref() {
            None | Some("cyclonedx") => Ok(Self::CycloneDx),
            Some("spdx") => Ok(Self::Spdx),
            Some(_) => {
                let formats = FORMATS.join(", ");
                Err(ApiError::bad_request(format!("Invalid format. Must be one of: {formats}")))
            }
        }
    }

    /// How files of this kind end.
    fn ending(self) -> &'static str {
        match self {
            Self::CycloneDx => "cdx.json",
            Self::Spdx => "spdx.json",
        }
    }
}

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    let describe = |id, summary, about, refusal| {
        Operation::new(id, summary)
            .about(about)
            .query::<Formatted>()
            .answers(
                StatusCode::OK,
                Answer::json::<Map<String, Value>>("CycloneDX 1.6, or SPDX 2.3.")
                    .header("Content-Disposition", "A name to save it under."),
            )
            .refuses(StatusCode::BAD_REQUEST, refusal)
    };
    let of_a_job = describe(
        "getSbom",
        "The bill of materials of a job",
        "Of a group: of all its repositories that completed, together; the others are named, with the \
         reason.",
        "The job is not completed, its results are too large for one document, or there is no such \
         format.",
    );
    let of_a_repository = describe(
        "getRepositorySbom",
        "The bill of materials of one repository",
        "What its lock files say of what requires what is in it.",
        "The repository is not completed, its result is too large, or there is no such format.",
    );
    vec![
        Route::get(&OF_A_JOB, Scope::Read, of_a_job, |call, _| {
            call.and(warp::query()).then(async |call: Call<1>, asked| {
                let [id] = call.path;
                finish(of_job(call.api, id, asked).await)
            })
        }),
        Route::get(&OF_A_REPOSITORY, Scope::Read, of_a_repository, |call, _| {
            call.and(warp::query()).then(async |call: Call<2>, asked| {
                let [id, index] = call.path;
                finish(of_repository(call.api, id, index, asked).await)
            })
        }),
    ]
}

/// `GET /scan/{id}/sbom`
async fn of_job(api: Api, id: String, asked: Formatted) -> Result<Response, ApiError> {
    let job = api.job(&id)?;
    let format = Format::asked(&asked)?;
    let facts = job.facts();
    let (repositories, missing): (Vec<_>, Vec<_>) =
        job.repositories().into_iter().partition(|it| it.state == RepoState::Completed);
    if !facts.state.is_final() || repositories.is_empty() {
        return Err(ApiError::bad_request("Job not completed"));
    }
    let group = is_group(&job, &facts).then(|| (facts.url.clone().unwrap_or_default(), missing));
    let name = format!("scanwatch-{}.{}", facts.id, format.ending());
    document(api, facts.id, repositories, group, format, &name).await
}

/// `GET /scan/{id}/repositories/{n}/sbom`
async fn of_repository(
    api: Api,
    id: String,
    index: String,
    asked: Formatted,
) -> Result<Response, ApiError> {
    let (job, status) = find(&api, &id, &index)?;
    let format = Format::asked(&asked)?;
    if status.state != RepoState::Completed {
        return Err(ApiError::bad_request("Repository not completed"));
    }
    let name = format!("scanwatch-{}-{}.{}", job.id(), status.index, format.ending());
    document(api, job.id().clone(), vec![status], None, format, &name).await
}

async fn document(
    api: Api,
    id: JobId,
    repositories: Vec<RepositoryStatus>,
    group: Option<(String, Vec<RepositoryStatus>)>,
    format: Format,
    file_name: &str,
) -> Result<Response, ApiError> {
    let made = spawn_blocking(move || {
        api.results.with_all(&id, &repositories, MOST_BYTES, |results| {
            let results: Vec<_> = results.iter().collect();
            let subject = match &group {
                Some((name, missing)) => Subject::Group { name, missing },
                None => Subject::Repository,
            };
            let document = match format {
                Format::CycloneDx => sbom::cyclonedx(subject, &results, Utc::now()),
                Format::Spdx => sbom::spdx(subject, &results, Utc::now()),
            };
            Bytes::from(document.to_string())
        })
    });
    let made = made.await.map_err(|error| ApiError::internal("make a document", &error))?;
    let Some(bytes) = made else {
        return Err(ApiError::bad_request(format!(
            "The results are too large for one document: more than {MOST_BYTES} bytes. Ask for \
             those of single repositories, or for the packages as CSV"
        )));
    };
    let disposition = format!("attachment; filename=\"{file_name}\"");
    Ok(reply::with_header(reply::json_bytes(bytes), CONTENT_DISPOSITION, &disposition))
}
