//! `scanwatch sbom`: prints the bill of materials of a job of a server.

use super::{
    Exit,
    client::{Client, ClientError, JOB_HELP, JobName, ServerArgs, run_with_client},
    exit, output,
};
use crate::model::JobId;
use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_REQUESTS)]
pub(super) struct SbomArgs {
    #[arg(value_name = "JOB", help = JOB_HELP)]
    job: JobName,
    /// The format of the document.
    #[arg(long, value_enum, default_value_t = SbomFormat::Cyclonedx)]
    format: SbomFormat,
    /// Only this repository, by its number.
    #[arg(long, value_name = "NUMBER")]
    repository: Option<u32>,
    #[command(flatten)]
    server: ServerArgs,
}

/// The formats of a bill of materials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SbomFormat {
    /// `CycloneDX` 1.6.
    Cyclonedx,
    /// `CycloneDX` 1.7.
    #[value(name = "cyclonedx-1.7")]
    Cyclonedx17,
    /// SPDX 2.3.
    Spdx,
    /// SPDX 3.0.1.
    #[value(name = "spdx-3.0.1")]
    Spdx3,
}

pub(super) fn run(args: &SbomArgs) -> Exit {
    run_with_client(&args.server, async |client| {
        let job = args.job.resolve(client).await?;
        print(client, &job, args.repository, args.format).await?;
        Ok(Exit::Done)
    })
}

/// Prints the document of a job, or of one of its repositories, while it arrives.
pub(super) async fn print(
    client: &Client,
    job: &JobId,
    repository: Option<u32>,
    format: SbomFormat,
) -> Result<(), ClientError> {
    let format = format.to_possible_value();
    let format = format.as_ref().map_or("cyclonedx", |value| value.get_name());
    let place = repository.map(|index| format!("/repositories/{index}")).unwrap_or_default();
    let path = format!("/scan/{job}{place}/sbom?format={format}");
    client.download(&path, "application/json", false, output::write).await
}
