//! `scanwatch cancel`: ends jobs.

use super::{
    Exit,
    client::{ClientError, ServerArgs, ask},
    exit, output,
};
use crate::model::JobId;
use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_ASKING)]
pub(super) struct CancelArgs {
    /// The jobs to end. One that is over already stays as it is.
    #[arg(required = true, value_name = "JOB")]
    jobs: Vec<JobId>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &CancelArgs) -> Exit {
    ask(&args.server, async |client| {
        let mut exit = Exit::Done;
        for job in &args.jobs {
            match client.post(&format!("/scan/{job}/cancel"), None).await {
                Ok(answer) if args.server.json => output::write(&answer.line())?,
                Ok(answer) => {
                    let state = answer.value["status"].as_str().unwrap_or_default();
                    output::write(format!("{job}  {}\n", output::printable(state)).as_bytes())?;
                }
                // One that is not there costs only itself.
                Err(error @ ClientError::Refused { status: 404 | 409, .. }) => {
                    output::complain(&format!("{job}: {}", error.spoken()));
                    exit = exit.max(error.exit());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(exit)
    })
}
