//! `scanwatch pause`, `resume` and `bump`: change the turns of unfinished jobs.

use super::{
    Exit,
    client::{ClientError, JOB_HELP, JobName, ServerArgs, run_with_client},
    exit, output,
};
use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_REQUESTS)]
pub(super) struct TurnArgs {
    #[arg(required = true, value_name = "JOB", help = JOB_HELP)]
    jobs: Vec<JobName>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Sends `verb` (`pause`, `resume` or `bump`) for each job.
pub(super) fn run(args: &TurnArgs, verb: &str) -> Exit {
    run_with_client(&args.server, async |client| {
        let mut exit = Exit::Done;
        for job in JobName::resolve_all(&args.jobs, client).await? {
            match client.post(&format!("/scan/{job}/{verb}"), None).await {
                Ok(answer) if args.server.json => output::write(&answer.line())?,
                Ok(answer) => {
                    let state = answer.value["status"].as_str().unwrap_or_default();
                    let paused = if answer.value["paused"] == true { "  paused" } else { "" };
                    let state = output::printable(state);
                    output::write(format!("{job}  {state}{paused}\n").as_bytes())?;
                }
                // The server does not know the route; a 404 with "Job not found" would name the job.
                Err(error @ ClientError::Refused { status: 404 | 405, .. })
                    if !error.is_unknown_job() =>
                {
                    return Err(ClientError::Settings(format!(
                        "the server at {} is too old: it does not support {verb}",
                        client.server()
                    )));
                }
                // An unknown or finished job does not affect the others.
                Err(error @ ClientError::Refused { status: 404 | 409, .. }) => {
                    output::print_error(&format!("{job}: {}", error.message_with_hint()));
                    exit = exit.max(error.exit());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(exit)
    })
}
