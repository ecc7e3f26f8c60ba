//! `scanwatch packages`: finds packages in all repositories of a job.
//!
//! Input: a job, and what is searched. Output: a line for each package, page by page. Invariants: no more
//! than a page is in memory; repositories that cannot be searched are counted, and packages without a version
//! too, so that an empty answer is not taken for "nobody uses it".

use super::{
    Exit,
    client::{JOB_HELP, JobName, Paged, ServerArgs, each_page, run_with_client},
    exit,
    output::{self, printable},
    results::archived,
    table,
};
use crate::model::scan_result::Package;
use clap::Args;
use serde::Deserialize;

const HEADINGS: [&str; 5] = ["REPOSITORY", "PACKAGE", "VERSION", "ECOSYSTEM", "DECLARED IN"];

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_REQUESTS)]
pub(super) struct PackagesArgs {
    #[arg(value_name = "JOB", help = JOB_HELP)]
    job: JobName,
    /// Only packages with exactly this name.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Only packages whose name contains this text; the case of letters does not matter.
    #[arg(long, value_name = "TEXT")]
    fragment: Option<String>,
    /// Only packages with a version in this range, in the order of their ecosystem, such as
    /// ">=4.0.0,<4.17.21" or "<1.5 || >=2.0,<2.3".
    #[arg(long, value_name = "RANGE")]
    range: Option<String>,
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
    /// Older servers do not send these two.
    #[serde(default)]
    repositories_found: Option<u64>,
    #[serde(default)]
    without_version: u64,
    #[serde(default)]
    archived: bool,
}

impl Paged for Page {
    fn pages(&self) -> u64 {
        self.total_pages
    }
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
        let parameters = [
            ("name", args.name.as_deref()),
            ("fragment", args.fragment.as_deref()),
            ("range", args.range.as_deref()),
            ("ecosystem", args.ecosystem.as_deref()),
        ];
        let path = format!("/scan/{job}/packages");
        let last = each_page(client, &path, &parameters, |document, page: &Page, is_first| {
            if args.server.json {
                return Ok(output::write(&document.line())?);
            }
            let headings = (is_first && !page.packages.is_empty()).then_some(HEADINGS);
            let rows = page.packages.iter().map(Found::cells).collect();
            Ok(output::write(table::columns(headings, rows).as_bytes())?)
        });
        let last = last.await?;
        if !args.server.json {
            if last.archived {
                output::print_message(&archived(&job));
            }
            report(args, &last);
        }
        Ok(Exit::Done)
    })
}

/// Prints how many packages were found, and how many repositories were searched.
fn report(args: &PackagesArgs, page: &Page) {
    let name = args.name.as_ref().map(|name| format!(" named `{}`", printable(name)));
    let fragment =
        args.fragment.as_ref().map(|text| format!(" with `{}` in the name", printable(text)));
    let range = args.range.as_ref().map(|range| format!(" in {}", printable(range)));
    let users = page.repositories_found.map(|count| format!("{count} of "));
    let [name, fragment, range, users] =
        [name, fragment, range, users].map(Option::unwrap_or_default);
    let missing = match page.repositories_missing {
        0 => String::new(),
        count => format!("; {count} more are not finished or failed, and were not searched"),
    };
    let unknown = match page.without_version {
        0 => String::new(),
        count => format!("; {count} further packages have no exact version to compare"),
    };
    let packages = if page.total == 1 { "package" } else { "packages" };
    output::print_message(&format!(
        "{} {packages}{name}{fragment}{range} in {users}{} repositories{missing}{unknown}",
        page.total, page.repositories_searched,
    ));
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
