//! `scanwatch agents`: lists the agents of a server.

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
#[command(after_help = exit::CODES_OF_REQUESTS)]
pub(super) struct AgentsArgs {
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Deserialize)]
struct Engine {
    kind: String,
    waiting_reason: Option<String>,
    agents: Vec<Agent>,
}

#[derive(Deserialize)]
struct Agent {
    name: String,
    state: String,
    problem: Option<String>,
    version: Option<String>,
    #[serde(default)]
    labels: Vec<String>,
    slots: u64,
    running: u64,
    silent_secs: Option<u64>,
}

pub(super) fn run(args: &AgentsArgs) -> Exit {
    run_with_client(&args.server, async |client| {
        let document = client.get("/agents").await?;
        let engine: Engine = document.read()?;
        if args.server.json {
            output::write(&document.line())?;
        } else {
            output::write(table(&engine).as_bytes())?;
        }
        Ok(Exit::Done)
    })
}

fn table(engine: &Engine) -> String {
    let mut text = String::new();
    if engine.kind == "local" {
        text.push_str(
            "scans are processes of the server's machine; see [engine] in its settings\n",
        );
    }
    let mut rows = vec![
        ["AGENT", "STATE", "RUNNING", "SLOTS", "LABELS", "VERSION", "HEARD"].map(str::to_owned),
    ];
    rows.extend(engine.agents.iter().map(|agent| {
        [
            agent.name.clone(),
            agent.state.clone(),
            agent.running.to_string(),
            agent.slots.to_string(),
            agent.labels.join(","),
            agent.version.clone().unwrap_or_default(),
            agent.silent_secs.map_or_else(|| "never".to_owned(), |secs| format!("{secs} s ago")),
        ]
    }));
    if rows.len() > 1 {
        let mut widths = [0; 7];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in &rows {
            let cells = row.iter().zip(widths);
            let line: Vec<_> =
                cells.map(|(cell, width)| format!("{:width$}", printable(cell))).collect();
            let _ = writeln!(text, "{}", line.join("  ").trim_end());
        }
    }
    // Writing to a `String` cannot fail.
    for agent in &engine.agents {
        if let Some(problem) = &agent.problem {
            let _ = writeln!(text, "  {}: {}", printable(&agent.name), printable(problem));
        }
    }
    if let Some(reason) = &engine.waiting_reason {
        let _ = writeln!(text, "queued repositories wait: {}", printable(reason));
    }
    text
}
