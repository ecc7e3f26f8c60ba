//! `scanwatch diff`: compares the packages of two jobs of the same URL.
//!
//! Input: the earlier and the later job. Output: a line for each package that was added, removed or changed, and what
//! could not be compared. Invariants: no more than a page is in memory.

use super::{
    Exit,
    client::{JobName, Paged, ServerArgs, each_page, run_with_client},
    exit,
    output::{self, printable},
    table,
};
use clap::{Args, ValueEnum, builder::PossibleValue};
use serde::Deserialize;

const HEADINGS: [&str; 6] = ["REPOSITORY", "CHANGE", "ECOSYSTEM", "PACKAGE", "BEFORE", "AFTER"];

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_REQUESTS)]
pub(super) struct DiffArgs {
    /// The earlier job: its id, a beginning or an end of it that no other job has.
    #[arg(value_name = "EARLIER")]
    before: JobName,
    /// The later job, or `latest`.
    #[arg(value_name = "LATER")]
    after: JobName,
    /// Only changes of this kind.
    #[arg(long, value_enum)]
    change: Option<Change>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Change {
    Added,
    Removed,
    /// Packages with other versions.
    Changed,
}

#[derive(Deserialize)]
struct Page {
    changes: Vec<Row>,
    total_pages: u64,
    added: u64,
    removed: u64,
    changed: u64,
    repositories_compared: u64,
    repositories_added: u64,
    repositories_removed: u64,
    repositories_missing: u64,
}

impl Paged for Page {
    fn pages(&self) -> u64 {
        self.total_pages
    }
}

#[derive(Deserialize)]
struct Row {
    repo_name: String,
    ecosystem: String,
    name: String,
    change: String,
    before: Vec<String>,
    after: Vec<String>,
}

pub(super) fn run(args: &DiffArgs) -> Exit {
    run_with_client(&args.server, async |client| {
        let (before, after) =
            (args.before.resolve(client).await?, args.after.resolve(client).await?);
        let change = args.change.and_then(|change| change.to_possible_value());
        let parameters = [
            ("with", Some(before.as_str())),
            ("change", change.as_ref().map(PossibleValue::get_name)),
        ];
        let path = format!("/scan/{after}/diff");
        let last = each_page(client, &path, &parameters, |document, page: &Page, is_first| {
            if args.server.json {
                return Ok(output::write(&document.line())?);
            }
            let headings = (is_first && !page.changes.is_empty()).then_some(HEADINGS);
            let rows = page.changes.iter().map(Row::cells).collect();
            Ok(output::write(table::columns(headings, rows).as_bytes())?)
        });
        let last = last.await?;
        if !args.server.json {
            report(&last);
        }
        Ok(Exit::Done)
    })
}

/// Prints how much has changed, and in how many repositories.
fn report(page: &Page) {
    let counts = [
        (page.repositories_added, "new"),
        (page.repositories_removed, "gone"),
        (page.repositories_missing, "not completed in both jobs, and not compared"),
    ];
    let others = counts.iter().filter(|(count, _)| *count > 0);
    let others: Vec<_> = others.map(|(count, what)| format!("; {count} {what}")).collect();
    let Page { added, removed, changed, repositories_compared, .. } = page;
    output::print_message(&format!(
        "{added} packages added, {removed} removed, {changed} changed in {repositories_compared} \
         repositories{}",
        others.concat(),
    ));
}

impl Row {
    fn cells(&self) -> [String; HEADINGS.len()] {
        let versions = |versions: &[String]| match versions {
            [] => "-".to_owned(),
            some => printable(&some.join(", ")),
        };
        [
            printable(&self.repo_name),
            printable(&self.change),
            printable(&self.ecosystem),
            printable(&self.name),
            versions(&self.before),
            versions(&self.after),
        ]
    }
}
