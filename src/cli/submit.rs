//! `scanwatch submit`: hands URLs to a server, and waits for them if told to.

use super::{
    Exit,
    client::{Client, ClientError, Document, ServerArgs, Wait, WaitArgs, ask},
    exit, output,
    wanted::WantedArgs,
};
use crate::model::JobId;
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_WAITING)]
pub(super) struct SubmitArgs {
    /// URLs of repositories or groups.
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// Wait until every job is over, and show its progress. With --json: its events, one a line.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    wanted: WantedArgs,
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
    ask(&args.server, async |client| {
        let (jobs, submitted) = submit_all(args, client).await?;
        if jobs.is_empty() || !args.wait {
            return Ok(submitted);
        }
        let json = args.server.json;
        let wait = Wait { client, jobs: &jobs, accepted: true, args: &args.waiting, json };
        Ok(wait.run().await?.max(submitted))
    })
}

/// Submits every URL; one that is refused costs only itself.
async fn submit_all(args: &SubmitArgs, client: &Client) -> Result<(Vec<JobId>, Exit), ClientError> {
    let (mut jobs, mut exit) = (Vec::new(), Exit::Done);
    for url in &args.urls {
        match submit(args, client, url).await {
            Ok((job, document)) => {
                report(args, &job, &document)?;
                jobs.push(job);
            }
            Err(error @ ClientError::Refused { status: 400 | 422, .. }) => {
                // A URL that is refused may hold a password; git@host:path holds none.
                let secret = url.split_once('@').is_some_and(|(before, _)| before.contains(':'));
                let shown = if secret { "***".to_owned() } else { output::printable(url) };
                output::complain(&format!("`{shown}` is not scanned: {}", error.spoken()));
                exit = exit.max(error.exit());
            }
            // The others would fare no better; what was accepted before goes on, and is waited for.
            Err(error) if !jobs.is_empty() => {
                return Ok((jobs, exit.max(error.tell())));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((jobs, exit))
}

async fn submit(
    args: &SubmitArgs,
    client: &Client,
    url: &str,
) -> Result<(JobId, Document), ClientError> {
    let document = client.post("/scan", Some(&request(args, url))).await?;
    Ok((document.read::<Accepted>()?.job_id, document))
}

/// What is asked for; what the user did not name is left to the server.
fn request(args: &SubmitArgs, url: &str) -> Value {
    let wanted = args.wanted.options();
    let mut body = json!({ "git_url": url });
    if let Some(reference) = wanted.reference {
        body["ref"] = reference.into();
    }
    if wanted.deep {
        body["deep"] = true.into();
    }
    if !wanted.include_subgroups {
        body["include_subgroups"] = false.into();
    }
    if wanted.retries > 0 {
        body["retries"] = wanted.retries.into();
    }
    for (name, patterns) in [("include", wanted.include), ("exclude", wanted.exclude)] {
        if !patterns.is_empty() {
            body[name] = patterns.into();
        }
    }
    body
}

fn report(args: &SubmitArgs, job: &JobId, document: &Document) -> Result<(), ClientError> {
    match (args.server.json, args.wait) {
        // The events say which job they are about.
        (true, true) => {}
        (true, false) => output::write(&document.line())?,
        (false, wait) => {
            output::write(format!("{job}\n").as_bytes())?;
            if !wait {
                output::say(&format!("submitted; follow it by: scanwatch watch {job}"));
            }
        }
    }
    Ok(())
}
