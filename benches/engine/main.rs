//! The engine of agents on other machines: `cargo bench --all-features --bench engine`, or one row of it. Server,
//! nats-server and agents are on this machine and share its processors.
//!
//! `throughput` and `simulation` have agents in this process that speak the protocol and scan nothing
//! (`tests/it/support/simulated_agents.rs`). Their sizes are set by `AGENTS`, `SLOTS`, `JOBS`, `REPOSITORIES` (of a job),
//! `STATUSES` (of a scan, between its begin and its end) and `PAUSE_MS` (before each of them). See docs/performance.md.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

mod agents;
#[path = "../streaming/latencies.rs"]
mod latencies;
mod latency;
#[path = "../services/mod.rs"]
mod services;
mod simulated;
#[path = "../../tests/it/support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::unnecessary_debug_formatting,
    reason = "written for the tests, which use all of it"
)]
mod support;

use rustix::process::{Resource, getrlimit, setrlimit};
use std::{error::Error, pin::Pin};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Measures a row.
type Measure = fn() -> Pin<Box<dyn Future<Output = Outcome<()>>>>;

const ROWS: [(&str, Measure); 4] = [
    ("latency", || Box::pin(latency::measure())),
    ("agents", || Box::pin(agents::measure())),
    ("throughput", || Box::pin(simulated::throughput())),
    ("simulation", || Box::pin(simulated::simulation())),
];

fn main() -> Outcome<()> {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let Some(unknown) = wanted.iter().find(|wanted| ROWS.iter().all(|(row, _)| row != wanted)) {
        let rows = ROWS.map(|(row, _)| row).join(", ");
        return Err(format!("{unknown}: the rows are {rows}").into());
    }
    // An agent has a connection, and a bucket of NATS has open files.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for (row, measure) in ROWS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == row) {
            println!("{row}");
            runtime.block_on(measure())?;
        }
    }
    Ok(())
}

/// The number in an environment variable.
fn number_of<T: std::str::FromStr<Err: Error + Send + Sync + 'static>>(
    variable: &str,
    default: T,
) -> Outcome<T> {
    std::env::var(variable).map_or(Ok(default), |text| Ok(text.parse()?))
}
