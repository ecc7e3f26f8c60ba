//! `scanwatch jobs`: lists the jobs of a server, newest first.

use super::{
    Exit,
    client::{ClientError, Document, ServerArgs, run_with_client},
    exit,
    output::{self, printable},
};
use clap::{Args, ValueEnum};
use serde::Deserialize;
use std::{collections::HashSet, fmt::Write};

/// The maximum number of jobs that the server returns per page.
const MAX_PER_PAGE: u64 = 100;

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_REQUESTS)]
pub(super) struct JobsArgs {
    /// List only jobs in this state.
    #[arg(long, value_enum)]
    status: Option<State>,
    /// List the archived jobs instead: those whose files were removed after the retention time, and whose
    /// results are kept.
    #[arg(long)]
    archived: bool,
    /// The page to print; the first is 1.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    page: u64,
    /// Jobs per page, up to 100.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    per_page: u64,
    /// Print all pages. With --json: one page per line.
    #[arg(long, conflicts_with_all = ["page", "per_page"])]
    all: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    Pending,
    Running,
    /// Finished, with results.
    Completed,
    /// Finished, without results.
    Failed,
}

#[derive(Deserialize)]
struct Page {
    jobs: Vec<Row>,
    total: u64,
    total_pages: u64,
}

#[derive(Deserialize)]
struct Row {
    job_id: String,
    git_url: Option<String>,
    status: String,
    created_at: Option<String>,
    progress: Option<f64>,
    total_repositories: Option<u64>,
    failed_repositories: Option<u64>,
    error_message: Option<String>,
    #[serde(default)]
    paused: bool,
}

pub(super) fn run(args: &JobsArgs) -> Exit {
    run_with_client(&args.server, async |client| {
        let (mut number, per_page) =
            if args.all { (1, MAX_PER_PAGE) } else { (args.page, args.per_page) };
        let mut seen = HashSet::new();
        loop {
            let state = args.status.map(|state| format!("&status={}", state.as_str()));
            let state = state.unwrap_or_default();
            let archived = if args.archived { "&archived=true" } else { "" };
            let path = format!("/jobs?page={number}&per_page={per_page}{state}{archived}");
            let document = client.get(&path).await?;
            let page: Page = document.read()?;
            print(args, &document, &page, &mut seen)?;
            if !args.all || number >= page.total_pages {
                return Ok(Exit::Done);
            }
            number += 1;
        }
    })
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

fn print(
    args: &JobsArgs,
    document: &Document,
    page: &Page,
    seen: &mut HashSet<String>,
) -> Result<(), ClientError> {
    if args.server.json {
        return Ok(output::write(&document.line())?);
    }
    let mut text = String::new();
    if seen.is_empty() && !page.jobs.is_empty() {
        text.push_str(&line(["JOB", "STATUS", "DONE", "FAILED", "CREATED", "URL"]));
    }
    for row in &page.jobs {
        // If a job was submitted between two requests, the pages have shifted: skip repeated rows.
        if seen.insert(row.job_id.clone()) {
            text.push_str(&describe(row));
        }
    }
    output::write(text.as_bytes())?;
    if page.total == 0 {
        output::print_message(match args.status {
            None if args.archived => "no archived jobs",
            None => "no jobs; to submit one: scanwatch submit URL",
            Some(_) => "no jobs in this state",
        });
    } else if page.jobs.is_empty() {
        let pages = page.total_pages;
        output::print_message(&format!("no jobs on this page; use --page 1 to {pages}"));
    } else if !args.all && page.total > page.jobs.len() as u64 {
        let (shown, total, pages) = (page.jobs.len(), page.total, page.total_pages);
        output::print_message(&format!(
            "{shown} of {total} jobs; use --page 1 to {pages}, or --all, for the others"
        ));
    }
    Ok(())
}

fn describe(row: &Row) -> String {
    let done = row.progress.map_or("-".to_owned(), |percent| format!("{percent:.0}%"));
    let created = printable(row.created_at.as_deref().unwrap_or("-"));
    let mut last = printable(row.git_url.as_deref().unwrap_or("-"));
    if row.paused {
        last.push_str("  (paused)");
    }
    if let Some(error) = &row.error_message {
        // Writing to a `String` cannot fail.
        let _ = write!(last, "  ({})", printable(error));
    }
    let failed = match (row.failed_repositories, row.total_repositories) {
        (Some(failed), Some(total)) => format!("{failed}/{total}"),
        _ => "-".to_owned(),
    };
    line([&printable(&row.job_id), &printable(&row.status), &done, &failed, &created, &last])
}

fn line([job, status, done, failed, created, last]: [&str; 6]) -> String {
    format!("{job:36}  {status:9}  {done:>4}  {failed:>7}  {created:27}  {last}\n")
}
