//! `scanwatch packages`: finds packages in all repositories of a job.
//!
//! Input: a job, a name, and optionally an ecosystem. Output: a line for each package, page by
//! page. A name is required, because the server reads all results for each page. Invariants: no more
//! than a page is in memory; repositories that cannot be searched are
//! counted, so that an empty answer is not taken for "nobody uses it".

use super::{
    Exit,
    client::{Client, ClientError, Document, JOB_HELP, JobName, ServerArgs, run_with_client},
    exit,
    output::{self, printable},
};
use crate::model::{JobId, scan_result::Package};
use clap::Args;
use serde::Deserialize;
use url::form_urlencoded::Serializer;

/// Packages per page: the maximum of the server.
const PER_PAGE: u64 = 1_000;

const HEADINGS: [&str; 5] = ["REPOSITORY", "PACKAGE", "VERSION", "ECOSYSTEM", "DECLARED IN"];

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_REQUESTS)]
pub(super) struct PackagesArgs {
    #[arg(value_name = "JOB", help = JOB_HELP)]
    job: JobName,
    /// The exact name of the packages. `results --format csv` prints the packages of all names.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Only packages of this ecosystem, such as npm or pypi.
    #[arg(long, value_name = "ECOSYSTEM")]
    ecosystem: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Deserialize)]
struct Page {
    packages: Vec<Found>,
    total: u64,
    total_pages: u64,
    repositories_searched: u64,
    repositories_missing: u64,
}

/// A package, and the repository in which it was found.
#[derive(Deserialize)]
struct Found {
    repo_name: String,
    #[serde(flatten)]
    package: Package,
}

pub(super) fn run(args: &PackagesArgs) -> Exit {
    run_with_client(&args.server, async |client| {
        let job = args.job.resolve(client).await?;
        let mut number = 1;
        loop {
            let document = page(client, &job, args, number).await?;
            let page: Page = document.read()?;
            if args.server.json {
                output::write(&document.line())?;
            } else {
                output::write(lines(&page.packages, number == 1).as_bytes())?;
            }
            if number >= page.total_pages {
                report(args, &page);
                return Ok(Exit::Done);
            }
            number += 1;
        }
    })
}

async fn page(
    client: &Client,
    job: &JobId,
    args: &PackagesArgs,
    number: u64,
) -> Result<Document, ClientError> {
    let mut query = Serializer::new(String::new());
    query.append_pair("per_page", &PER_PAGE.to_string());
    query.append_pair("page", &number.to_string());
    query.append_pair("name", &args.name);
    if let Some(ecosystem) = &args.ecosystem {
        query.append_pair("ecosystem", ecosystem);
    }
    client.get(&format!("/scan/{job}/packages?{}", query.finish())).await
}

/// Says how many packages were found, and how many repositories were searched.
fn report(args: &PackagesArgs, page: &Page) {
    if args.server.json {
        return;
    }
    let missing = match page.repositories_missing {
        0 => String::new(),
        count => format!("; {count} more are not finished or failed, and were not searched"),
    };
    output::print_message(&format!(
        "{} packages named `{}` in {} repositories{missing}",
        page.total,
        printable(&args.name),
        page.repositories_searched,
    ));
}

/// Renders a page as aligned columns, with headings on the first page.
fn lines(packages: &[Found], is_first: bool) -> String {
    let headings = HEADINGS.map(str::to_owned);
    let headings = (is_first && !packages.is_empty()).then_some(headings);
    let rows: Vec<_> = headings.into_iter().chain(packages.iter().map(Found::cells)).collect();
    let mut widths = [0; HEADINGS.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; HEADINGS.len()]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}

impl Found {
    fn cells(&self) -> [String; HEADINGS.len()] {
        let Package { name, version, specifier, ecosystem, file, line, .. } = &self.package;
        let version = version.as_ref().or(specifier.as_ref()).map_or("-", String::as_str);
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        [
            printable(&self.repo_name),
            printable(name),
            printable(version),
            ecosystem.as_str().to_owned(),
            format!("{}{line}", printable(file)),
        ]
    }
}
