//! `scanwatch limits`: prints how many scans may run at once on a server, and changes it.

use super::{
    Exit,
    client::{ServerArgs, run_with_client},
    exit,
    output::{self, printable},
};
use clap::Args;
use serde::Deserialize;
use serde_json::json;
use std::fmt::Write;

#[derive(Debug, Args)]
#[command(after_help = exit::CODES_OF_REQUESTS)]
pub(super) struct LimitsArgs {
    /// Let at most N scans run at once, until the server is restarted or reads its settings again
    /// (SIGHUP). Running scans continue.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=256))]
    max: Option<u64>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Deserialize)]
struct Limits {
    max_concurrent_processes: u64,
    source: String,
    slots: u64,
    limited_by: Option<String>,
    running: u64,
    queued: u64,
    #[serde(default)]
    hosts: Vec<HostLimit>,
}

#[derive(Deserialize)]
struct HostLimit {
    origin: String,
    scans: u64,
    not_before: Option<String>,
}

pub(super) fn run(args: &LimitsArgs) -> Exit {
    run_with_client(&args.server, async |client| {
        let document = match args.max {
            None => client.get("/admin/limits").await?,
            Some(most) => {
                client.put("/admin/limits", &json!({ "max_concurrent_processes": most })).await?
            }
        };
        let limits: Limits = document.read()?;
        if args.server.json {
            output::write(&document.line())?;
            return Ok(Exit::Done);
        }
        let mut text = format!(
            "at most {} scans at once (from {}); {} slots in use, {} running, {} queued\n",
            limits.max_concurrent_processes,
            match limits.source.as_str() {
                "settings" => "the settings",
                "request" => "a request, until the next start or SIGHUP",
                other => other,
            },
            limits.slots,
            limits.running,
            limits.queued,
        );
        // Writing to a `String` cannot fail.
        if let Some(limited_by) = &limits.limited_by {
            let _ = writeln!(text, "  {}", printable(limited_by));
        }
        for host in &limits.hosts {
            let _ = write!(
                text,
                "  {} throttles: {} scans at once",
                printable(&host.origin),
                host.scans
            );
            if let Some(not_before) = &host.not_before {
                let _ = write!(text, ", not before {}", printable(not_before));
            }
            text.push('\n');
        }
        output::write(text.as_bytes())?;
        Ok(Exit::Done)
    })
}
