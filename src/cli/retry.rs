//! `scanwatch retry`: has the failed repositories of a job scanned again.

use super::{
    Exit,
    client::{ClientError, ServerArgs, ask},
    exit, output,
};
use crate::model::JobId;
use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_ASKING)]
pub(super) struct RetryArgs {
    /// The job, which must be over.
    #[arg(value_name = "JOB")]
    job: JobId,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &RetryArgs) -> Exit {
    let job = &args.job;
    ask(&args.server, async |client| {
        let answer = client.post(&format!("/scan/{job}/retry"), None).await;
        let answer = answer.map_err(|error| match error {
            // It is the path that is unknown, not the job.
            ClientError::Refused { status: 404 | 405, .. } if !error.is_unknown_job() => {
                ClientError::Settings(format!("{} is too old for retry", client.server()))
            }
            other => other,
        })?;
        if args.server.json {
            output::write(&answer.line())?;
        } else {
            let state = answer.value["status"].as_str().unwrap_or_default();
            output::write(format!("{job}  {}\n", output::printable(state)).as_bytes())?;
            output::say(&format!("follow it by: scanwatch watch {job}"));
        }
        Ok(Exit::Done)
    })
}
