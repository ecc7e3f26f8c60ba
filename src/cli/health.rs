//! `scanwatch health`: prints the health of a server.

use super::{
    Exit,
    client::{ServerArgs, run_with_client},
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
    run_with_client(&args.server, async |client| {
        let document = client.get("/health").await?;
        let health: Health = document.read()?;
        if args.server.json {
            output::write(&document.line())?;
        } else {
            let mut text = format!(
                "{}: scanwatch {} at {}, user {}\n",
                printable(&health.status),
                printable(&health.version),
                client.server(),
                printable(health.user.as_deref().unwrap_or("none (no authentication)")),
            );
            for problem in &health.problems {
                // Writing to a `String` cannot fail.
                let _ = writeln!(text, "  {}", printable(problem));
            }
            output::write(text.as_bytes())?;
        }
        Ok(if health.status == "healthy" { Exit::Done } else { Exit::Failed })
    })
}
