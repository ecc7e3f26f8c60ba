//! The job arguments of the commands.
//!
//! Input: a job as the user names it: its id, a beginning or an end of its id, or `latest`. Output:
//! the id. Invariants: an exact id always wins; a text that fits several jobs is an error that
//! names them, so no command reaches a job that the user did not mean; a complete UUID costs no
//! request.

use super::{super::output::printable, error::ClientError, http::Client};
use crate::model::{InvalidJobId, JobId};
use serde::Deserialize;
use std::str::FromStr;

/// Names the newest job.
const LATEST: &str = "latest";
/// The length of a UUID as text: such a name is an id.
const UUID_CHARS: usize = 36;
/// How many jobs an error names.
const SHOWN: usize = 5;

/// Explains a job argument in the help of a command.
pub(in crate::cli) const JOB_HELP: &str = "A job: its id, a beginning or an end of it that no other \
    job has, or `latest`";

/// A job as the user names it.
#[derive(Debug, Clone)]
pub(in crate::cli) struct JobName(JobId);

#[derive(Deserialize)]
struct Page {
    jobs: Vec<Row>,
    total: usize,
}

#[derive(Deserialize)]
struct Row {
    job_id: JobId,
}

impl FromStr for JobName {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, InvalidJobId> {
        text.parse().map(Self)
    }
}

impl JobName {
    /// Asks the server for the job with this name. If no job has it, the name counts as an id, so
    /// that the request of the command results in the server's error.
    pub(in crate::cli) async fn resolve(&self, client: &Client) -> Result<JobId, ClientError> {
        let name = self.0.as_str();
        if name.len() >= UUID_CHARS {
            return Ok(self.0.clone());
        }
        match among(client, "", name).await? {
            Found::One(id) => Ok(id),
            Found::Unknown => Ok(self.0.clone()),
            Found::None if name == LATEST => newest(client).await,
            // Archived jobs are not in the list of jobs.
            Found::None => match among(client, "&archived=true", name).await? {
                Found::One(id) => Ok(id),
                Found::None | Found::Unknown => Ok(self.0.clone()),
            },
        }
    }

    /// Resolves several names; a name that fits several jobs is an error for all.
    pub(in crate::cli) async fn resolve_all(
        names: &[Self],
        client: &Client,
    ) -> Result<Vec<JobId>, ClientError> {
        let mut ids = Vec::with_capacity(names.len());
        for name in names {
            ids.push(name.resolve(client).await?);
        }
        Ok(ids)
    }
}

/// What a list of jobs has under a name.
enum Found {
    One(JobId),
    None,
    /// The server does not answer, or does not know the parameters.
    Unknown,
}

/// Looks a name up in the list of jobs with this further parameter.
async fn among(client: &Client, parameter: &str, name: &str) -> Result<Found, ClientError> {
    // Whatever prevents the look-up, the request of the command reports it, and commands that wait
    // reconnect.
    let answer = client.get(&format!("/jobs?per_page={SHOWN}&job={name}{parameter}")).await;
    let Ok(page) = answer.and_then(|document| document.read::<Page>()) else {
        return Ok(Found::Unknown);
    };
    let fits = |id: &&JobId| id.as_str().starts_with(name) || id.as_str().ends_with(name);
    let found: Vec<&JobId> = page.jobs.iter().map(|row| &row.job_id).filter(fits).collect();
    if let Some(id) = found.iter().find(|id| id.as_str() == name) {
        return Ok(Found::One((*id).clone()));
    }
    match found.as_slice() {
        // A server that does not know the parameter returns other jobs.
        _ if found.len() < page.jobs.len() => Ok(Found::Unknown),
        [] => Ok(Found::None),
        [id] if page.total == 1 => Ok(Found::One((*id).clone())),
        several => {
            let ids: Vec<_> = several.iter().map(|id| printable(id.as_str())).collect();
            let more = if page.total > several.len() { ", …" } else { "" };
            Err(ClientError::Settings(format!(
                "`{name}` names {} jobs: {}{more}; use more characters of the id",
                page.total,
                ids.join(", "),
            )))
        }
    }
}

async fn newest(client: &Client) -> Result<JobId, ClientError> {
    let page: Page = client.get("/jobs?per_page=1").await?.read()?;
    page.jobs.into_iter().next().map(|row| row.job_id).ok_or_else(|| {
        ClientError::Settings(format!("the server at {} has no jobs", client.server()))
    })
}
