//! `scanwatch results`: what a job has found.
//!
//! Packages are fetched page by page and repository by repository, and written as they come: a
//! group's packages need no more memory than one repository's.

use super::{
    Exit,
    client::{Client, ClientError, ServerArgs, ask},
    exit, output,
    status::describe_failure,
    table,
};
use crate::{
    model::{JobId, JobState, declared::Declared, scan_result::Package},
    sbom::csv,
};
use clap::{Args, ValueEnum};
use serde::Deserialize;

/// Packages of one page: as many as the server gives at once.
const PER_PAGE: usize = 1_000;

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_RESULTS)]
pub(super) struct ResultsArgs {
    /// The job, which must be over.
    #[arg(value_name = "JOB")]
    job: JobId,
    /// The form of the results; --json is the same as --format json.
    #[arg(long, value_enum, default_value_t = Format::Table, conflicts_with = "json")]
    format: Format,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people: a table for each repository.
    Table,
    /// The server's results document.
    Json,
    /// A line per package, over all repositories.
    Csv,
}

/// What is needed of the progress document.
#[derive(Deserialize)]
struct Job {
    status: String,
    #[serde(default)]
    repositories: Vec<Repository>,
    #[serde(default)]
    failed_repositories: Vec<serde_json::Value>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    repo_index: u32,
    repo_name: Option<String>,
    status: String,
}

#[derive(Deserialize)]
struct Page {
    packages: Vec<Package>,
    total_pages: usize,
}

pub(super) fn run(args: &ResultsArgs) -> Exit {
    let format = if args.server.json { Format::Json } else { args.format };
    ask(&args.server, async |client| results(client, &args.job, format).await)
}

async fn results(client: &Client, id: &JobId, format: Format) -> Result<Exit, ClientError> {
    let job: Job = client.get(&format!("/scan/{id}")).await?.read()?;
    if JobState::parse_final(&job.status).is_none() {
        return Err(ClientError::Settings(format!(
            "job {id} is not over ({}); scanwatch watch {id} waits for it",
            output::printable(&job.status)
        )));
    }
    for failed in &job.failed_repositories {
        output::say(&describe_failure(failed));
    }
    if let Some(error) = job.error.as_ref().filter(|_| job.failed_repositories.is_empty()) {
        output::say(&output::printable(error));
    }
    let completed: Vec<_> = job.repositories.iter().filter(|it| it.status == "completed").collect();
    if completed.is_empty() {
        output::complain(&format!("job {id} has no results: no repository completed"));
        return Ok(Exit::Failed);
    }
    match format {
        Format::Json => {
            let document = client.get(&format!("/jobs/{id}/results")).await?;
            output::write(&document.line())?;
        }
        Format::Csv => {
            output::write(csv::heading().as_bytes())?;
            for repository in completed {
                let mut pages = Pages::of(client, id, repository);
                while let Some(packages) = pages.next().await? {
                    let name = repository.name();
                    let rows = packages.iter().map(|it| csv::row(&name, &Declared::of(it)));
                    output::write(rows.collect::<String>().as_bytes())?;
                }
            }
        }
        Format::Table => {
            for (number, repository) in completed.into_iter().enumerate() {
                let (mut pages, mut packages) = (Pages::of(client, id, repository), Vec::new());
                while let Some(more) = pages.next().await? {
                    packages.extend(more);
                }
                let parted = if number == 0 { "" } else { "\n" };
                let name = output::printable(&repository.name());
                let table = table::packages(&packages);
                let text = format!("{parted}{table}{name}: {} packages\n", packages.len());
                output::write(text.as_bytes())?;
            }
        }
    }
    Ok(Exit::Done)
}

impl Repository {
    fn name(&self) -> String {
        self.repo_name.clone().unwrap_or_else(|| format!("Repository {}", self.repo_index))
    }
}

/// One repository's packages, page by page.
struct Pages<'a> {
    client: &'a Client,
    path: String,
    next: usize,
    total: usize,
}

impl<'a> Pages<'a> {
    fn of(client: &'a Client, id: &JobId, repository: &Repository) -> Self {
        let path = format!("/scan/{id}/repositories/{}/packages", repository.repo_index);
        Self { client, path, next: 1, total: 1 }
    }

    /// The next page; `None` behind the last.
    async fn next(&mut self) -> Result<Option<Vec<Package>>, ClientError> {
        if self.next > self.total {
            return Ok(None);
        }
        let path = format!("{}?page={}&per_page={PER_PAGE}", self.path, self.next);
        let page: Page = self.client.get(&path).await?.read()?;
        self.next += 1;
        self.total = page.total_pages;
        Ok(Some(page.packages))
    }
}
