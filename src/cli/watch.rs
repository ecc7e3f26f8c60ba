//! `scanwatch watch`: follows jobs of a server until they are finished.

use super::{
    Exit,
    client::{ServerArgs, Wait, WaitArgs, run_with_client},
    exit,
};
use crate::model::JobId;
use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_WAITING)]
pub(super) struct WatchArgs {
    /// The jobs to follow. With --json: their events, one per line.
    #[arg(required = true, value_name = "JOB")]
    jobs: Vec<JobId>,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    waiting: WaitArgs,
}

pub(super) fn run(args: &WatchArgs) -> Exit {
    run_with_client(&args.server, async |client| {
        let json = args.server.json;
        Wait { client, jobs: &args.jobs, accepted: false, args: &args.waiting, json }.run().await
    })
}
