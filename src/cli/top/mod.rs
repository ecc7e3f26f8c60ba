//! `scanwatch top`: the jobs of a server on a terminal, live.
//!
//! Input: keys, and what the server publishes: its streams, its list of jobs, logs. Output: frames
//! on the terminal, and an exit code. Invariants: the state (`app`) is reduced from inputs without
//! I/O, and drawn (`view`) without changing it; the loop (`run`) alone connects both with the
//! terminal and the server; whatever names, messages and logs contain is drawn as text; memory is
//! bounded whatever the server holds.

mod app;
mod cursor;
mod facts;
mod feed;
mod job;
mod jobs;
mod keyboard;
mod keys;
mod log;
mod messages;
mod run;
mod screens;
mod terminal;
mod view;

use super::{
    Exit,
    client::{AddressArgs, JOB_HELP, JobName, run_with_client_of},
    exit, output,
};
use clap::Args;
use std::time::Duration;

/// How long a stream may be silent before it counts as interrupted; the server sends a comment
/// every 15 s.
const SILENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_TOP)]
pub(super) struct TopArgs {
    #[arg(value_name = "JOB", help = JOB_HELP)]
    job: Option<JobName>,
    #[command(flatten)]
    address: AddressArgs,
}

pub(super) fn run(args: &TopArgs) -> Exit {
    if let Some(obstacle) = terminal::obstacle() {
        output::print_error(obstacle);
        return Exit::Usage;
    }
    run_with_client_of(&args.address, SILENCE, async |client| {
        let job = match &args.job {
            Some(name) => Some(name.resolve(client).await?),
            None => None,
        };
        run::run(client, job).await
    })
}
