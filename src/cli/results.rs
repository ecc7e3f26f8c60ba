//! `scanwatch results`: prints the results of a job.
//!
//! Packages are fetched page by page and repository by repository, and written at once, so a
//! group needs no more memory than one of its repositories.

use super::{
    Exit,
    client::{Client, ClientError, JOB_HELP, JobName, ServerArgs, run_with_client},
    exit, output,
    sbom::{self, SbomFormat},
    status::describe_failure,
    table,
};
use crate::{
    model::{JobId, JobState, declared::Declared, scan_result::Package},
    sbom::csv,
};
use clap::{Args, ValueEnum};
use serde::Deserialize;

/// Packages per page: the maximum of the server.
const PER_PAGE: usize = 1_000;

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_RESULTS)]
pub(super) struct ResultsArgs {
    #[arg(value_name = "JOB", help = JOB_HELP)]
    job: JobName,
    /// The output format; --json is the same as --format json.
    #[arg(long, value_enum, default_value_t = Format::Table, conflicts_with = "json")]
    format: Format,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One table per repository.
    Table,
    /// The server's results document.
    Json,
    /// One line per package, over all repositories.
    Csv,
    /// A bill of materials: `CycloneDX` 1.6.
    Cyclonedx,
    /// A bill of materials: `CycloneDX` 1.7.
    #[value(name = "cyclonedx-1.7")]
    Cyclonedx17,
    /// A bill of materials: SPDX 2.3.
    Spdx,
    /// A bill of materials: SPDX 3.0.1.
    #[value(name = "spdx-3.0.1")]
    Spdx3,
}

/// The members of the progress document that this command needs.
#[derive(Deserialize)]
struct Job {
    status: String,
    #[serde(default)]
    repositories: Vec<Repository>,
    #[serde(default)]
    failed_repositories: Vec<serde_json::Value>,
    error: Option<String>,
    #[serde(default)]
    archived: bool,
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
    run_with_client(&args.server, async |client| {
        let job = args.job.resolve(client).await?;
        results(client, &job, format).await
    })
}

async fn results(client: &Client, id: &JobId, format: Format) -> Result<Exit, ClientError> {
    let job: Job = client.get(&format!("/scan/{id}?archived=true")).await?.read()?;
    if JobState::parse_final(&job.status).is_none() {
        return Err(ClientError::Settings(format!(
            "job {id} is not finished ({}); to wait for it: scanwatch watch {id}",
            output::printable(&job.status)
        )));
    }
    if job.archived {
        output::print_message(&archived(id));
    }
    for failed in &job.failed_repositories {
        output::print_message(&describe_failure(failed));
    }
    if let Some(error) = job.error.as_ref().filter(|_| job.failed_repositories.is_empty()) {
        output::print_message(&output::printable(error));
    }
    let completed: Vec<_> =
        job.repositories.iter().filter(|repository| repository.status == "completed").collect();
    if completed.is_empty() {
        output::print_error(&format!("job {id} has no results: no repository completed"));
        return Ok(Exit::Failed);
    }
    match format {
        Format::Json => {
            let document = client.get(&format!("/jobs/{id}/results")).await?;
            output::write(&document.line())?;
        }
        Format::Cyclonedx => sbom::print(client, id, None, SbomFormat::Cyclonedx).await?,
        Format::Cyclonedx17 => sbom::print(client, id, None, SbomFormat::Cyclonedx17).await?,
        Format::Spdx => sbom::print(client, id, None, SbomFormat::Spdx).await?,
        Format::Spdx3 => sbom::print(client, id, None, SbomFormat::Spdx3).await?,
        Format::Csv => {
            output::write(csv::heading().as_bytes())?;
            for repository in completed {
                let mut pages = Pages::of(client, id, repository);
                while let Some(packages) = pages.next().await? {
                    let name = repository.name();
                    let rows =
                        packages.iter().map(|package| csv::row(&name, &Declared::of(package)));
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
                let separator = if number == 0 { "" } else { "\n" };
                let name = output::printable(&repository.name());
                let table = table::packages(&packages, table::Look::of_stdout());
                let text = format!("{separator}{table}{name}: {} packages\n", packages.len());
                output::write(text.as_bytes())?;
            }
        }
    }
    Ok(Exit::Done)
}

/// What is printed beside the results of an archived job.
pub(super) fn archived(id: &JobId) -> String {
    format!(
        "job {id} is archived: its files were removed after the retention time, and its results are kept"
    )
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

    /// The next page; `None` after the last one.
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
