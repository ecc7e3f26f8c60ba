//! `scanwatch rm`: removes jobs and their files from a server.

use super::{
    Exit,
    client::{Client, ClientError, JOB_HELP, JobName, ServerArgs, run_with_client},
    exit, output,
};
use crate::model::{JobId, JobState};
use clap::Args;
use serde_json::json;

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_REQUESTS)]
pub(super) struct RemoveArgs {
    #[arg(required = true, value_name = "JOB", help = JOB_HELP)]
    jobs: Vec<JobName>,
    /// Also remove jobs that are not finished; they are cancelled first.
    #[arg(long, short)]
    force: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &RemoveArgs) -> Exit {
    run_with_client(&args.server, async |client| {
        let mut exit = Exit::Done;
        for job in JobName::resolve_all(&args.jobs, client).await? {
            match remove(client, &job, args.force).await {
                Ok(()) if args.server.json => {
                    let line = json!({ "job_id": job, "status": "removed" });
                    output::write(format!("{line}\n").as_bytes())?;
                }
                Ok(()) => output::write(format!("{job}  removed\n").as_bytes())?,
                // One job does not affect the others.
                Err(
                    error @ (ClientError::Refused { status: 404 | 409, .. }
                    | ClientError::Settings(_)),
                ) => {
                    output::print_error(&format!("{job}: {}", error.message_with_hint()));
                    exit = exit.max(error.exit());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(exit)
    })
}

/// Removes a job; one that is not finished only if `force` is set.
async fn remove(client: &Client, job: &JobId, force: bool) -> Result<(), ClientError> {
    if !force {
        let document = client.get(&format!("/scan/{job}?view=summary&archived=true")).await?;
        let state = document.value["status"].as_str().unwrap_or_default();
        if JobState::parse_final(state).is_none() {
            return Err(ClientError::Settings(format!(
                "not removed, because it is not finished ({}); --force cancels and removes it",
                output::printable(state)
            )));
        }
    }
    client.delete(&format!("/scan/{job}")).await
}
