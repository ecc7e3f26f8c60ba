//! `scanwatch submit`: submits URLs to a server, and waits for the jobs with --wait.

use super::{
    Exit,
    client::{
        Client, ClientError, Document, ServerArgs, Wait, WaitArgs, listen, print_interrupted,
        run_with_client,
    },
    dry_run, exit, output,
    scan_options::ScanOptionsArgs,
    signals::Signals,
};
use crate::model::JobId;
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};
use std::pin::pin;

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_WAITING)]
pub(super) struct SubmitArgs {
    /// URLs of repositories or groups.
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// Wait until every job is finished, and show its progress. With --json: its events, one per
    /// line.
    #[arg(long)]
    wait: bool,
    /// Scan every repository, even if nothing has changed since an earlier scan with the same
    /// options.
    #[arg(long)]
    force: bool,
    /// Only list what would be scanned, and what not and why: no job is created. With --json: one document
    /// for each URL.
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    #[command(flatten)]
    scan_options: ScanOptionsArgs,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    waiting: WaitArgs,
}

#[derive(Deserialize)]
struct Accepted {
    job_id: JobId,
}

pub(super) fn run(args: &SubmitArgs) -> Exit {
    run_with_client(&args.server, async |client| {
        if args.dry_run {
            return list_all(args, client).await;
        }
        // Before the first request: an accepted job never goes without its id being printed.
        let mut signals = listen()?;
        let (jobs, submitted) = submit_all(args, client, &mut signals).await?;
        if submitted == Exit::Interrupted && !jobs.is_empty() {
            print_interrupted(&jobs);
        }
        if submitted == Exit::Interrupted || jobs.is_empty() || !args.wait {
            return Ok(submitted);
        }
        let json = args.server.json;
        let wait = Wait { client, jobs: &jobs, accepted: true, args: &args.waiting, json };
        Ok(wait.run(&mut signals).await?.max(submitted))
    })
}

/// Submits every URL; a refused URL does not affect the others. After a signal, the answer to the
/// current request is still awaited, and no further URL is submitted; a second signal ends that.
async fn submit_all(
    args: &SubmitArgs,
    client: &Client,
    signals: &mut Signals,
) -> Result<(Vec<JobId>, Exit), ClientError> {
    let (mut jobs, mut exit) = (Vec::new(), Exit::Done);
    for url in &args.urls {
        if exit == Exit::Interrupted {
            break;
        }
        let mut answer = pin!(submit(args, client, url));
        let mut submitted = tokio::select! {
            submitted = &mut answer => Some(submitted),
            () = signals.next() => None,
        };
        if submitted.is_none() {
            exit = Exit::Interrupted;
            submitted = tokio::select! {
                submitted = &mut answer => Some(submitted),
                () = signals.next() => None,
            };
        }
        let Some(submitted) = submitted else {
            output::print_error(
                "interrupted before the server has answered; it may have accepted the job: scanwatch jobs",
            );
            break;
        };
        match submitted {
            Ok((job, document)) => {
                report(args, &job, &document)?;
                jobs.push(job);
            }
            Err(error @ ClientError::Refused { status: 400 | 422, .. }) => {
                print_refusal(url, &error);
                exit = exit.max(error.exit());
            }
            // The remaining URLs would fail too; wait for the jobs that were accepted before.
            Err(error) if !jobs.is_empty() => {
                return Ok((jobs, exit.max(error.report())));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((jobs, exit))
}

/// Lists what each URL would scan; one that cannot be listed does not affect the others.
async fn list_all(args: &SubmitArgs, client: &Client) -> Result<Exit, ClientError> {
    let mut exit = Exit::Done;
    for url in &args.urls {
        match client.post_patiently("/scan?dry_run=true", &request(&args.scan_options, url)).await {
            Ok(document) => {
                let listed: dry_run::Listed = document.read()?;
                if args.server.json {
                    output::write(&document.line())?;
                } else {
                    dry_run::print(&listed)?;
                }
                if !listed.is_whole() {
                    exit = exit.max(Exit::Failed);
                }
            }
            Err(error @ ClientError::Refused { status: 400 | 422, .. }) => {
                print_refusal(url, &error);
                exit = exit.max(error.exit());
            }
            // The server answers, and its forge does not.
            Err(ClientError::Unavailable { status: 502, detail, .. }) => {
                output::print_error(&output::printable(&detail));
                exit = exit.max(Exit::Failed);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(exit)
}

fn print_refusal(url: &str, error: &ClientError) {
    // A refused URL may contain a password; `git@host:path` contains none.
    let secret = url.split_once('@').is_some_and(|(before, _)| before.contains(':'));
    let shown = if secret { "***".to_owned() } else { output::printable(url) };
    output::print_error(&format!("`{shown}` is not scanned: {}", error.message_with_hint()));
}

async fn submit(
    args: &SubmitArgs,
    client: &Client,
    url: &str,
) -> Result<(JobId, Document), ClientError> {
    let mut body = request(&args.scan_options, url);
    if args.force {
        body["force"] = true.into();
    }
    let document = client.post("/scan", Some(&body)).await?;
    Ok((document.read::<Accepted>()?.job_id, document))
}

/// The body of the request; options that the user did not set are left to the server.
pub(super) fn request(options: &ScanOptionsArgs, url: &str) -> Value {
    let options = options.options();
    let mut body = json!({ "git_url": url });
    if let Some(reference) = options.reference {
        body["ref"] = reference.into();
    }
    if options.deep {
        body["deep"] = true.into();
    }
    if options.archives {
        body["archives"] = true.into();
    }
    if !options.include_subgroups {
        body["include_subgroups"] = false.into();
    }
    // Filters that are not set have no members.
    if let (Value::Object(body), Ok(Value::Object(filters))) =
        (&mut body, serde_json::to_value(&options.filters))
    {
        body.extend(filters);
    }
    if options.retries > 0 {
        body["retries"] = options.retries.into();
    }
    for (name, patterns) in [
        ("include", options.include),
        ("exclude", options.exclude),
        ("exclude_paths", options.exclude_paths),
    ] {
        if !patterns.is_empty() {
            body[name] = patterns.into();
        }
    }
    body
}

fn report(args: &SubmitArgs, job: &JobId, document: &Document) -> Result<(), ClientError> {
    match (args.server.json, args.wait) {
        // The events contain the job id.
        (true, true) => {}
        (true, false) => output::write(&document.line())?,
        (false, wait) => {
            output::write(format!("{job}\n").as_bytes())?;
            if !wait {
                output::print_message(&format!("submitted; to follow it: scanwatch watch {job}"));
            }
        }
    }
    Ok(())
}
