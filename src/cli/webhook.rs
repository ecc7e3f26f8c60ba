//! `scanwatch webhook`: shows the webhooks of a server and their deliveries, sends deliveries again, and tries webhooks.

use super::{
    Exit,
    client::{Client, ClientError, ServerArgs, run_with_client},
    exit,
    output::{self, printable},
};
use clap::{Args, Subcommand, ValueEnum};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// What is escaped in a part of a path. The server compares paths as they are sent.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

#[derive(Debug, Subcommand)]
pub(super) enum WebhookCommand {
    /// List the webhooks of the server's settings, and how they work.
    #[command(after_help = exit::CODES_OF_REQUESTS)]
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// List the deliveries of a webhook, newest first.
    Deliveries(DeliveriesArgs),
    /// Send deliveries again, in whatever state they are.
    Redeliver(RedeliverArgs),
    /// Send a test event to a webhook, and print the answer of its target.
    #[command(after_help = exit::CODES_OF_REQUESTS)]
    Test {
        /// The name of the webhook.
        name: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_REQUESTS)]
pub(super) struct DeliveriesArgs {
    /// The name of the webhook.
    name: String,
    /// List only deliveries in this state.
    #[arg(long, value_enum)]
    state: Option<State>,
    /// The page to print; the first is 1.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    page: u64,
    /// Deliveries per page, up to 100.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    per_page: u64,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_REQUESTS)]
pub(super) struct RedeliverArgs {
    /// The name of the webhook.
    name: String,
    /// The ids of deliveries.
    #[arg(required_unless_present = "failed", value_name = "ID")]
    ids: Vec<String>,
    /// All deliveries that were given up.
    #[arg(long, conflicts_with = "ids")]
    failed: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    /// Sent now or later.
    Pending,
    /// Given up after all attempts.
    Failed,
    /// Accepted by the target: the last 100.
    Delivered,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
        }
    }
}

pub(super) fn run(command: &WebhookCommand) -> Exit {
    match command {
        WebhookCommand::List { server } => list(server),
        WebhookCommand::Deliveries(args) => deliveries(args),
        WebhookCommand::Redeliver(args) => redeliver(args),
        WebhookCommand::Test { name, server } => test(name, server),
    }
}

fn list(server: &ServerArgs) -> Exit {
    run_with_client(server, async |client| {
        let document = client.get("/webhooks").await?;
        if server.json {
            output::write(&document.line())?;
            return Ok(Exit::Done);
        }
        let rows = document.value["webhooks"].as_array().cloned().unwrap_or_default();
        if rows.is_empty() {
            output::print_message("no webhooks; name them in the server's settings: [[webhooks]]");
            return Ok(Exit::Done);
        }
        let mut text = line(["NAME", "STATE", "PENDING", "FAILED", "LOST", "TARGET"]);
        for row in &rows {
            let state = match row {
                row if row["disabled"] == true => "disabled",
                row if row["failures"].as_u64() > Some(0) => "failing",
                _ => "ok",
            };
            let mut target = shown(&row["target"]);
            let error = &row["last_failure"]["error"];
            if state != "ok" && error.is_string() {
                target = format!("{target}  ({})", shown(error));
            }
            text.push_str(&line([
                &shown(&row["name"]),
                state,
                &shown(&row["pending"]),
                &shown(&row["failed"]),
                &shown(&row["lost"]),
                &target,
            ]));
        }
        output::write(text.as_bytes())?;
        Ok(Exit::Done)
    })
}

fn line([name, state, pending, failed, lost, target]: [&str; 6]) -> String {
    format!("{name:20}  {state:8}  {pending:>7}  {failed:>6}  {lost:>6}  {target}\n")
}

fn deliveries(args: &DeliveriesArgs) -> Exit {
    run_with_client(&args.server, async |client| {
        let state = args.state.map(|state| format!("&state={}", state.as_str()));
        let path = format!(
            "/webhooks/{}/deliveries?page={}&per_page={}{}",
            encoded(&args.name),
            args.page,
            args.per_page,
            state.unwrap_or_default()
        );
        let document = client.get(&path).await?;
        if args.server.json {
            output::write(&document.line())?;
            return Ok(Exit::Done);
        }
        let rows = document.value["deliveries"].as_array().cloned().unwrap_or_default();
        let mut text = String::new();
        if !rows.is_empty() {
            text.push_str(&delivery(["ID", "STATE", "EVENT", "TRIES", "CREATED", "JOB"]));
        }
        for row in &rows {
            let payload = &row["payload"];
            let mut job = shown(&payload["data"]["job_id"]);
            if let Some(index) = payload["data"]["repo_index"].as_u64() {
                job = format!("{job} {index}");
            }
            let error = &row["last_attempt"]["error"];
            if error.is_string() {
                job = format!("{job}  ({})", shown(error));
            }
            text.push_str(&delivery([
                &shown(&row["id"]),
                &shown(&row["state"]),
                &shown(&payload["type"]),
                &shown(&row["attempts"]),
                &shown(&row["created_at"]),
                &job,
            ]));
        }
        output::write(text.as_bytes())?;
        let (total, pages) = (&document.value["total"], &document.value["total_pages"]);
        if rows.is_empty() {
            output::print_message("no deliveries on this page");
        } else if total.as_u64() > Some(rows.len() as u64) {
            let count = rows.len();
            let text = format!("{count} of {total} deliveries; use --page 1 to {pages}");
            output::print_message(&text);
        }
        Ok(Exit::Done)
    })
}

fn delivery([id, state, event, tries, created, job]: [&str; 6]) -> String {
    format!("{id:36}  {state:9}  {event:19}  {tries:>5}  {created:24}  {job}\n")
}

fn redeliver(args: &RedeliverArgs) -> Exit {
    run_with_client(&args.server, async |client| {
        let ids = if args.failed { failed(client, &args.name).await? } else { args.ids.clone() };
        if ids.is_empty() {
            output::print_message("no delivery was given up");
        }
        let mut exit = Exit::Done;
        for id in ids {
            let name = encoded(&args.name);
            let path = format!("/webhooks/{name}/deliveries/{}/redeliver", encoded(&id));
            match client.post(&path, None).await {
                Ok(answer) if args.server.json => output::write(&answer.line())?,
                Ok(answer) => {
                    let state = shown(&answer.value["state"]);
                    output::write(format!("{}  {state}\n", printable(&id)).as_bytes())?;
                }
                // An unknown delivery does not affect the others.
                Err(error @ ClientError::Refused { status: 404, .. }) => {
                    output::print_error(&format!(
                        "{}: {}",
                        printable(&id),
                        error.message_with_hint()
                    ));
                    exit = exit.max(error.exit());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(exit)
    })
}

/// The ids of all deliveries that were given up.
async fn failed(client: &Client, name: &str) -> Result<Vec<String>, ClientError> {
    let mut ids = Vec::new();
    for page in 1_u64.. {
        let name = encoded(name);
        let path = format!("/webhooks/{name}/deliveries?state=failed&per_page=100&page={page}");
        let document = client.get(&path).await?;
        let rows = document.value["deliveries"].as_array().cloned().unwrap_or_default();
        ids.extend(rows.iter().filter_map(|row| row["id"].as_str().map(str::to_owned)));
        if document.value["total_pages"].as_u64().is_none_or(|pages| page >= pages) {
            break;
        }
    }
    Ok(ids)
}

fn test(name: &str, server: &ServerArgs) -> Exit {
    run_with_client(server, async |client| {
        let path = format!("/webhooks/{}/test", encoded(name));
        let answer = client.post(&path, None).await?;
        let outcome = &answer.value;
        let is_good = outcome["ok"] == true;
        if server.json {
            output::write(&answer.line())?;
        } else if is_good {
            let (status, time) = (&outcome["status"], &outcome["duration_ms"]);
            output::write(format!("ok  {status}  {time} ms\n").as_bytes())?;
        } else {
            let mut text = shown(&outcome["error"]);
            if outcome["answer"].is_string() {
                text = format!("{text}: {}", shown(&outcome["answer"]));
            }
            output::print_error(&text);
        }
        Ok(if is_good { Exit::Done } else { Exit::Failed })
    })
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}
