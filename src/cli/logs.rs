//! `scanwatch logs`: prints the log of a repository's scanner.
//!
//! Input: a job and, if it has several repositories, one of them. Output: the log as the server
//! sends it, piece by piece. Invariants: the size of the log does not matter.

use super::{
    Exit,
    client::{Client, ClientError, JOB_HELP, JobName, ServerArgs, run_with_client},
    exit,
    output::{self, printable},
};
use crate::model::JobId;
use clap::Args;
use serde::Deserialize;

/// The maximum number of repositories that the server returns per page.
const PER_PAGE: u32 = 1_000;
/// How many repositories an error names.
const SHOWN: usize = 10;

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_REQUESTS)]
pub(super) struct LogsArgs {
    #[arg(value_name = "JOB", help = JOB_HELP)]
    job: JobName,
    /// The repository: its name, the last part of its name, or its number. May be omitted if the
    /// job has one repository.
    #[arg(value_name = "REPOSITORY")]
    repository: Option<String>,
    /// Continue with lines that are written later, until the scanner ends.
    #[arg(long, short)]
    follow: bool,
    /// Print only this many of the last lines.
    #[arg(long, value_name = "LINES")]
    tail: Option<u64>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Deserialize)]
struct Page {
    repositories: Vec<Repository>,
    total: usize,
    total_pages: u32,
}

#[derive(Deserialize)]
struct Repository {
    repo_index: u32,
    repo_name: Option<String>,
    status: String,
}

pub(super) fn run(args: &LogsArgs) -> Exit {
    run_with_client(&args.server, async |client| {
        let job = args.job.resolve(client).await?;
        let index = repository(client, &job, args.repository.as_deref()).await?;
        let mut query = Vec::new();
        query.extend(args.follow.then(|| "follow=true".to_owned()));
        query.extend(args.tail.map(|lines| format!("tail={lines}")));
        let path = format!("/scan/{job}/repositories/{index}/log?{}", query.join("&"));
        client.download(&path, "text/plain", args.follow, output::write).await?;
        Ok(Exit::Done)
    })
}

/// Determines the number of the repository.
async fn repository(client: &Client, job: &JobId, name: Option<&str>) -> Result<u32, ClientError> {
    if let Some(index) = name.and_then(|name| name.parse().ok()) {
        return Ok(index);
    }
    let (mut number, mut seen, mut ends) = (1, Vec::new(), Vec::new());
    loop {
        let path = format!("/scan/{job}/repositories?page={number}&per_page={PER_PAGE}");
        let page: Page = client.get(&path).await?.read()?;
        let repositories = page.repositories;
        match name {
            Some(name) => {
                for repository in &repositories {
                    let own = repository.repo_name.as_deref().unwrap_or_default();
                    if own == name {
                        return Ok(repository.repo_index);
                    }
                    if own.rsplit('/').next() == Some(name) {
                        ends.push(repository.repo_index);
                    }
                }
            }
            None => match repositories.as_slice() {
                [only] if page.total == 1 => return Ok(only.repo_index),
                several => seen.extend(several.iter().map(Repository::describe).take(SHOWN)),
            },
        }
        if name.is_none() || number >= page.total_pages {
            return match (name, ends.as_slice()) {
                (_, [index]) => Ok(*index),
                (None, _) if page.total == 0 => Err(ClientError::Settings(format!(
                    "job {job} has no repository yet; scanwatch status {job} shows its state"
                ))),
                (None, _) => Err(ClientError::Settings(format!(
                    "job {job} has {} repositories; name one, such as: scanwatch logs {job} \
                     REPOSITORY, where REPOSITORY is one of {}{}",
                    page.total,
                    seen.join(", "),
                    if page.total > seen.len() { ", …" } else { "" },
                ))),
                (Some(name), []) => Err(ClientError::Settings(format!(
                    "job {job} has no repository `{}`; scanwatch status {job} --json lists them",
                    printable(name)
                ))),
                (Some(name), several) => Err(ClientError::Settings(format!(
                    "`{}` is the name of {} repositories of job {job}; use one of the numbers {}",
                    printable(name),
                    several.len(),
                    several.iter().take(SHOWN).map(u32::to_string).collect::<Vec<_>>().join(", "),
                ))),
            };
        }
        number += 1;
    }
}

impl Repository {
    fn describe(&self) -> String {
        let name = self.repo_name.as_deref().map_or_else(|| self.repo_index.to_string(), printable);
        match self.status.as_str() {
            "failed" | "timeout" => format!("{name} ({})", self.status),
            _ => name,
        }
    }
}
