//! `scanwatch jobs`: the jobs of a server, newest first.

use super::{
    Exit,
    client::{ClientError, Document, ServerArgs, ask},
    exit,
    output::{self, printable},
};
use clap::{Args, ValueEnum};
use serde::Deserialize;
use std::{collections::HashSet, fmt::Write};

/// The most jobs that the server gives at once.
const MOST_PER_PAGE: u64 = 100;

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_ASKING)]
pub(super) struct JobsArgs {
    /// Only jobs in this state.
    #[arg(long, value_enum)]
    status: Option<State>,
    /// Which page of them, from 1.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    page: u64,
    /// How many to a page, up to 100.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    per_page: u64,
    /// All pages. With --json: one a line.
    #[arg(long, conflicts_with_all = ["page", "per_page"])]
    all: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    Pending,
    Running,
    /// Over, with results.
    Completed,
    /// Over, without.
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
    error_message: Option<String>,
}

pub(super) fn run(args: &JobsArgs) -> Exit {
    ask(&args.server, async |client| {
        let (mut number, per_page) =
            if args.all { (1, MOST_PER_PAGE) } else { (args.page, args.per_page) };
        let mut seen = HashSet::new();
        loop {
            let state = args.status.map(|it| format!("&status={}", it.word()));
            let state = state.unwrap_or_default();
            let path = format!("/jobs?page={number}&per_page={per_page}{state}");
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
    fn word(self) -> &'static str {
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
        text.push_str(&line(["JOB", "STATUS", "DONE", "CREATED", "URL"]));
    }
    for row in &page.jobs {
        // A job that was submitted meanwhile has moved the others to the next page.
        if seen.insert(row.job_id.clone()) {
            text.push_str(&describe(row));
        }
    }
    output::write(text.as_bytes())?;
    if !args.all && page.total > page.jobs.len() as u64 {
        let (shown, total, pages) = (page.jobs.len(), page.total, page.total_pages);
        output::say(&format!(
            "{shown} of {total} jobs; --page 1 to {pages}, or --all, has the others"
        ));
    }
    Ok(())
}

fn describe(row: &Row) -> String {
    let done = row.progress.map_or("-".to_owned(), |it| format!("{it:.0}%"));
    let created = printable(row.created_at.as_deref().unwrap_or("-"));
    let mut last = printable(row.git_url.as_deref().unwrap_or("-"));
    if let Some(error) = &row.error_message {
        // A `String` takes all that is written to it.
        let _ = write!(last, "  ({})", printable(error));
    }
    line([&printable(&row.job_id), &printable(&row.status), &done, &created, &last])
}

fn line([job, status, done, created, last]: [&str; 5]) -> String {
    format!("{job:36}  {status:9}  {done:>4}  {created:27}  {last}\n")
}
