//! `scanwatch retry`: scans the failed repositories of a job again.

use super::{
    Exit,
    client::{ClientError, JOB_HELP, JobName, ServerArgs, run_with_client},
    exit, output,
};
use crate::model::FailureKind;
use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_REQUESTS)]
pub(super) struct RetryArgs {
    #[arg(value_name = "JOB", help = JOB_HELP)]
    job: JobName,
    /// Only the repositories that failed for this cause, such as clone or timeout.
    #[arg(long, value_name = "CAUSE", value_parser = parse_kind)]
    kind: Option<FailureKind>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &RetryArgs) -> Exit {
    run_with_client(&args.server, async |client| {
        let job = args.job.resolve(client).await?;
        let kind = args.kind.map(|kind| format!("?kind={}", kind.as_str())).unwrap_or_default();
        let answer = client.post(&format!("/scan/{job}/retry{kind}"), None).await;
        let answer = answer.map_err(|error| match error {
            // The server does not know the route; a 404 with "Job not found" would name the job.
            ClientError::Refused { status: 404 | 405, .. } if !error.is_unknown_job() => {
                ClientError::Settings(format!(
                    "the server at {} is too old: it does not support retry",
                    client.server()
                ))
            }
            other => other,
        })?;
        if args.server.json {
            output::write(&answer.line())?;
        } else {
            let state = answer.value["status"].as_str().unwrap_or_default();
            output::write(format!("{job}  {}\n", output::printable(state)).as_bytes())?;
            output::print_message(&format!("to follow it: scanwatch watch {job}"));
        }
        Ok(Exit::Done)
    })
}

/// Parses the cause of a failure.
fn parse_kind(text: &str) -> Result<FailureKind, String> {
    let known = FailureKind::ALL.iter().find(|kind| kind.as_str() == text);
    known.copied().ok_or_else(|| {
        let all: Vec<_> = FailureKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("expected one of {}", all.join(" "))
    })
}
