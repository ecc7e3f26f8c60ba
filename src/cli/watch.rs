//! `scanwatch watch`: follows jobs of a server until they are finished.

use super::{
    Exit,
    client::{JOB_HELP, JobName, ServerArgs, Wait, WaitArgs, listen, run_with_client},
    exit,
};
use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_WAITING)]
pub(super) struct WatchArgs {
    #[arg(required = true, value_name = "JOB", help = JOB_HELP)]
    jobs: Vec<JobName>,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    waiting: WaitArgs,
}

pub(super) fn run(args: &WatchArgs) -> Exit {
    run_with_client(&args.server, async |client| {
        let (json, jobs) = (args.server.json, JobName::resolve_all(&args.jobs, client).await?);
        let wait = Wait { client, jobs: &jobs, accepted: false, args: &args.waiting, json };
        wait.run(&mut listen()?).await
    })
}
