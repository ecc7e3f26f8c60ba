//! `scanwatch cancel`: cancels jobs.

use super::{
    Exit,
    client::{ClientError, JOB_HELP, JobName, ServerArgs, run_with_client},
    exit, output,
};
use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_REQUESTS)]
pub(super) struct CancelArgs {
    #[arg(required = true, value_name = "JOB", help = JOB_HELP)]
    jobs: Vec<JobName>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &CancelArgs) -> Exit {
    run_with_client(&args.server, async |client| {
        let mut exit = Exit::Done;
        for job in JobName::resolve_all(&args.jobs, client).await? {
            match client.post(&format!("/scan/{job}/cancel"), None).await {
                Ok(answer) if args.server.json => output::write(&answer.line())?,
                Ok(answer) => {
                    let state = answer.value["status"].as_str().unwrap_or_default();
                    output::write(format!("{job}  {}\n", output::printable(state)).as_bytes())?;
                }
                // An unknown job does not affect the others.
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
