//! `scanwatch schedules`: lists, stores, removes and runs the schedules of a server.

use super::{
    Exit,
    client::{Client, ClientError, Document, ServerArgs, format_duration, run_with_client},
    exit,
    output::{self, printable},
    scan_options::ScanOptionsArgs,
    submit, table,
};
use crate::model::time;
use chrono::{Local, TimeDelta, Utc};
use clap::{Args, Subcommand, ValueEnum};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_REQUESTS, args_conflicts_with_subcommands = true)]
pub(super) struct SchedulesArgs {
    #[command(subcommand)]
    command: Option<SchedulesCommand>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum SchedulesCommand {
    /// List the schedules with their next and last runs (the default).
    #[command(after_help = exit::CODES_OF_REQUESTS)]
    List(ListArgs),
    /// Store a schedule: scan a URL at the times of a cron pattern. One with the same name is replaced.
    #[command(after_help = exit::CODES_OF_REQUESTS)]
    Add(Box<AddArgs>),
    /// Remove schedules; their jobs stay.
    #[command(after_help = exit::CODES_OF_REQUESTS)]
    Remove(NamesArgs),
    /// Run schedules now.
    #[command(after_help = exit::CODES_OF_REQUESTS)]
    Run(NamesArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
struct NamesArgs {
    /// The names of schedules.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
struct AddArgs {
    /// The name of the schedule: 1 to 64 of A-Z a-z 0-9 . _ -
    #[arg(value_name = "NAME")]
    name: String,
    /// The URL of a repository or a group.
    #[arg(value_name = "URL")]
    url: String,
    /// When it is scanned: minute, hour, day, month and weekday, such as "30 2 * * 1-5".
    #[arg(long, value_name = "PATTERN")]
    cron: String,
    /// The time zone of the pattern, such as Europe/Berlin.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    timezone: String,
    /// Start each run up to this many seconds later.
    #[arg(long = "jitter", value_name = "SECONDS", default_value_t = 0)]
    jitter_secs: u64,
    /// What happens to a run while the job of the run before is not finished.
    #[arg(long, value_enum, default_value = "skip")]
    overlap: OverlapChoice,
    /// Do not make up for runs that were missed while the server did not run.
    #[arg(long)]
    no_catch_up: bool,
    /// Store the schedule without running it.
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    scan_options: ScanOptionsArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OverlapChoice {
    /// It is skipped.
    Skip,
    /// It waits; at most one does.
    Queue,
}

#[derive(Deserialize)]
struct List {
    schedules: Vec<Row>,
    #[serde(default)]
    problems: Vec<Problem>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    cron: String,
    timezone: String,
    git_url: String,
    enabled: bool,
    next_run: Option<String>,
    last_run: Option<String>,
    last_job: Option<String>,
    last_job_status: Option<String>,
    last_result: Option<String>,
    last_reason: Option<String>,
}

#[derive(Deserialize)]
struct Problem {
    name: String,
    problem: String,
}

const HEADINGS: [&str; 6] = ["SCHEDULE", "PATTERN", "NEXT RUN", "LAST RUN", "LAST JOB", "URL"];

pub(super) fn run(args: &SchedulesArgs) -> Exit {
    match &args.command {
        None => list(&args.list),
        Some(SchedulesCommand::List(args)) => list(args),
        Some(SchedulesCommand::Add(args)) => add(args),
        Some(SchedulesCommand::Remove(args)) => each(args, &async |client: &Client, name: &str| {
            client.delete(&format!("/schedules/{name}")).await?;
            Ok((json!({ "name": name, "status": "removed" }), "removed".to_owned()))
        }),
        Some(SchedulesCommand::Run(args)) => each(args, &async |client: &Client, name: &str| {
            let path = format!("/schedules/{name}/run");
            let started = client.post(&path, None).await?.value;
            let job = printable(started["job_id"].as_str().unwrap_or_default());
            let text = match started["waits_for"].as_str() {
                Some(before) => format!("{job}  waits for {}", printable(before)),
                None => job,
            };
            Ok((started, text))
        }),
    }
}

fn list(args: &ListArgs) -> Exit {
    run_with_client(&args.server, async |client| {
        let document = client.get("/schedules").await?;
        if args.server.json {
            output::write(&document.line())?;
            return Ok(Exit::Done);
        }
        let List { schedules, problems } = document.read()?;
        if schedules.is_empty() {
            output::print_message(
                "no schedules; to store one: scanwatch schedules add NAME --cron PATTERN URL",
            );
        } else {
            let rows = schedules.iter().map(row).collect();
            output::write(table::columns(Some(HEADINGS), rows).as_bytes())?;
        }
        for Problem { name, problem } in problems {
            output::print_error(&format!("{}: {}", printable(&name), printable(&problem)));
        }
        Ok(Exit::Done)
    })
}

fn add(args: &AddArgs) -> Exit {
    run_with_client(&args.server, async |client| {
        let mut body = submit::request(&args.scan_options, &args.url);
        body["cron"] = args.cron.clone().into();
        body["timezone"] = args.timezone.clone().into();
        body["jitter_secs"] = args.jitter_secs.into();
        body["overlap"] = match args.overlap {
            OverlapChoice::Skip => "skip".into(),
            OverlapChoice::Queue => "queue".into(),
        };
        body["catch_up"] = (!args.no_catch_up).into();
        body["enabled"] = (!args.disabled).into();
        let path = format!("/schedules/{}", segment(&args.name));
        let document: Document = client.put(&path, &body).await?;
        if args.server.json {
            output::write(&document.line())?;
        } else {
            let row: Row = document.read()?;
            let line = format!("{}  next run {}\n", printable(&row.name), next(&row));
            output::write(line.as_bytes())?;
        }
        Ok(Exit::Done)
    })
}

/// Sends a request for each name; what concerns one schedule does not affect the others.
fn each(
    args: &NamesArgs,
    request: &impl AsyncFn(&Client, &str) -> Result<(Value, String), ClientError>,
) -> Exit {
    run_with_client(&args.server, async |client| {
        let mut exit = Exit::Done;
        for name in &args.names {
            match request(client, &segment(name)).await {
                Ok((document, _)) if args.server.json => {
                    output::write(format!("{document}\n").as_bytes())?;
                }
                Ok((_, text)) => {
                    output::write(format!("{}  {text}\n", printable(name)).as_bytes())?;
                }
                Err(error @ ClientError::Refused { status: 400 | 404 | 409, .. }) => {
                    let message = error.message_with_hint();
                    output::print_error(&format!("{}: {message}", printable(name)));
                    exit = exit.max(error.exit());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(exit)
    })
}

/// A name as a segment of a path.
fn segment(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        // The other characters of names.
        .replace("%2E", ".")
        .replace("%5F", "_")
        .replace("%2D", "-")
}

fn row(row: &Row) -> [String; 6] {
    let last = match (row.last_result.as_deref(), row.last_run.as_deref()) {
        (Some("skipped" | "failed"), _) => {
            let reason = row.last_reason.as_deref().unwrap_or_default();
            format!("{}: {}", row.last_result.as_deref().unwrap_or_default(), reason)
        }
        (_, Some(at)) => local(at),
        _ => "-".to_owned(),
    };
    let job = match (&row.last_job, &row.last_job_status) {
        (Some(job), Some(status)) => format!("{job} {status}"),
        (Some(job), None) => job.clone(),
        (None, _) => "-".to_owned(),
    };
    [
        printable(&row.name),
        printable(&format!("{} {}", row.cron, row.timezone)),
        next(row),
        printable(&last),
        printable(&job),
        printable(&row.git_url),
    ]
}

/// The next run in the time zone of the user, and how far away it is.
fn next(row: &Row) -> String {
    let Some(at) = &row.next_run else {
        return if row.enabled { "-" } else { "off" }.to_owned();
    };
    let away = time::of_text(at).map(|at| at - Utc::now()).filter(|away| *away > TimeDelta::zero());
    match away.and_then(|away| away.to_std().ok()) {
        Some(away) => format!("{} (in {})", local(at), format_duration(away)),
        None => format!("{} (now)", local(at)),
    }
}

/// A time in the time zone of the user.
fn local(at: &str) -> String {
    match time::of_text(at) {
        Some(at) => at.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string(),
        None => printable(at),
    }
}
