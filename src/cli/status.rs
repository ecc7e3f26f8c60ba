//! `scanwatch status`: prints the progress of one job.

use super::{
    Exit,
    client::{
        Client, ClientError, JOB_HELP, JobName, ServerArgs, format_duration, report_of, reused,
        run_with_client, skipped,
    },
    exit,
    output::{self, printable},
};
use crate::model::JobId;
use clap::Args;
use serde_json::Value;
use std::{fmt::Write, time::Duration};

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_REQUESTS)]
pub(super) struct StatusArgs {
    #[arg(value_name = "JOB", help = JOB_HELP)]
    job: JobName,
    /// List the repositories of a group that are skipped, and why. With --json: one page per line.
    #[arg(long)]
    skipped: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &StatusArgs) -> Exit {
    run_with_client(&args.server, async |client| {
        let job = args.job.resolve(client).await?;
        if args.skipped {
            return print_skipped(&job, args.server.json, client).await;
        }
        let document = client.get(&format!("/scan/{job}?archived=true")).await?;
        if args.server.json {
            output::write(&document.line())?;
        } else {
            let is_group = document.value["summary"]["total_repositories"] != 1;
            // An older server does not know skipped repositories.
            let skipped =
                if is_group { skipped::count(client, &job).await } else { Ok(String::new()) };
            let skipped = skipped.unwrap_or_default();
            output::write(describe(&document.value, &skipped).as_bytes())?;
        }
        Ok(Exit::Done)
    })
}

async fn print_skipped(job: &JobId, json: bool, client: &Client) -> Result<Exit, ClientError> {
    let mut number = 1;
    loop {
        let (document, page) = skipped::page(client, job, number).await?;
        if json {
            output::write(&document.line())?;
        } else {
            let mut text = String::new();
            for row in &page.skipped {
                // Writing to a `String` cannot fail.
                let _ = writeln!(text, "{}: {}", printable(&row.repo_name), printable(&row.reason));
            }
            output::write(text.as_bytes())?;
            if page.skipped_total == 0 {
                output::print_message("no repository is skipped");
            }
        }
        if number >= page.total_pages {
            return Ok(Exit::Done);
        }
        number += 1;
    }
}

/// Renders the progress document as text.
fn describe(job: &Value, skipped: &str) -> String {
    let mut text = String::new();
    let word = |value: &Value| printable(value.as_str().unwrap_or("-"));
    let count = |name: &str| job["summary"][name].as_u64().unwrap_or(0);
    // Writing to a `String` cannot fail.
    let _ = writeln!(text, "{}  {}", word(&job["job_id"]), word(&job["group_url"]));
    let _ = write!(
        text,
        "{}: {} of {} repositories completed{}, {} failed, {} in progress, {} pending",
        word(&job["status"]),
        count("completed"),
        count("total_repositories"),
        reused(count("reused")),
        count("failed"),
        count("in_progress"),
        count("pending"),
    );
    if !skipped.is_empty() {
        let _ = write!(text, ", {skipped}");
    }
    let time =
        |name: &str| job[name].as_u64().map(|secs| format_duration(Duration::from_secs(secs)));
    if let Some(elapsed) = time("elapsed_time_seconds") {
        let _ = write!(text, ", {elapsed}");
    }
    if let Some(left) = time("eta_seconds") {
        let _ = write!(text, ", about {left} left");
    }
    if job["paused"] == true {
        let _ = write!(text, ", paused");
    }
    if job["archived"] == true {
        let _ = write!(text, ", archived");
    }
    text.push('\n');
    if let Some(report) = report_of(job).filter(|_| job["summary"]["total_repositories"] != 1) {
        let _ = writeln!(text, "  {}", printable(&report));
    }
    if let Some(error) = job["error"].as_str() {
        let _ = writeln!(text, "  {}", printable(error));
    }
    let none = Vec::new();
    let list = |name: &str| job[name].as_array().unwrap_or(&none);
    for repository in list("current_repositories") {
        let message = repository["progress"]["message"].as_str().map(printable);
        let percentage = repository["progress"]["percentage"].as_f64();
        let percentage = percentage.map(|percent| format!(" {percent:.0}%"));
        let _ = writeln!(
            text,
            "  {}: {}{}{}",
            word(&repository["repo_name"]),
            word(&repository["status"]),
            percentage.unwrap_or_default(),
            message.map(|message| format!(", {message}")).unwrap_or_default(),
        );
    }
    for repository in list("repositories") {
        // A repository that waits for its next attempt has a message.
        if let (Some("pending"), Some(message)) =
            (repository["status"].as_str(), repository["progress"]["message"].as_str())
        {
            let _ = writeln!(text, "  {}: {}", word(&repository["repo_name"]), printable(message));
        }
    }
    for repository in list("failed_repositories") {
        let _ = writeln!(text, "  {}", describe_failure(repository));
    }
    for warning in list("warnings") {
        let _ =
            writeln!(text, "  warning: {}: {}", word(&warning["file"]), word(&warning["message"]));
    }
    text
}

/// Renders one row of the list of failed repositories.
pub(super) fn describe_failure(row: &Value) -> String {
    let word = |value: &Value| printable(value.as_str().unwrap_or("-"));
    let kind = row["failure"]["kind"].as_str().map(|kind| format!(" ({})", printable(kind)));
    let status = row["status"].as_str().unwrap_or("failed");
    format!(
        "{}: {}{}: {}",
        word(&row["repo_name"]),
        printable(status),
        kind.unwrap_or_default(),
        word(&row["error"])
    )
}
