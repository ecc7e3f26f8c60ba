//! `scanwatch health`: how a server is.

use super::{
    Exit,
    client::{ServerArgs, ask},
    exit,
    output::{self, printable},
};
use clap::Args;
use serde::Deserialize;
use std::fmt::Write;

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_HEALTH)]
pub(super) struct HealthArgs {
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Deserialize)]
struct Health {
    status: String,
    version: String,
    user: Option<String>,
    #[serde(default)]
    problems: Vec<String>,
}

pub(super) fn run(args: &HealthArgs) -> Exit {
    ask(&args.server, async |client| {
        let document = client.get("/health").await?;
        let health: Health = document.read()?;
        if args.server.json {
            output::write(&document.line())?;
        } else {
            let mut text = format!(
                "{}: scanwatch {} at {}, for {}\n",
                printable(&health.status),
                printable(&health.version),
                client.server(),
                printable(health.user.as_deref().unwrap_or("everybody on that machine")),
            );
            for problem in &health.problems {
                // A `String` takes all that is written to it.
                let _ = writeln!(text, "  {}", printable(problem));
            }
            output::write(text.as_bytes())?;
        }
        Ok(if health.status == "healthy" { Exit::Done } else { Exit::Failed })
    })
}
