//! Event streams compared with their limits; both are measured alternately within one run:
//!
//! | row | measured | limit |
//! |---|---|---|
//! | `idle` | memory of an idle stream | a bare hyper server whose bodies wait for an event |
//! | `last` | from a change until the last of all streams has its bytes | the same hyper server, which sends the same bytes |
//! | `rename` | from rename(2) to the bytes of a stream | a bare inotify watch, and notify's callback |
//! | `end` | from a final state to the bytes of a stream | a bare writer that flushes the file and its folder |
//!
//! `cargo bench --bench streaming` runs all rows, `cargo bench --bench streaming -- ROW…` some of them. A ratio
//! is more meaningful than either figure. See docs/performance.md.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

mod bare;
mod clients;
mod end;
mod idle;
mod last;
mod latencies;
#[path = "../program/mod.rs"]
mod program;
mod rename;
mod server;

use program::Outcome;
use rustix::process::{Resource, getrlimit, setrlimit};

/// How many streams are open in the rows `idle` and `last`.
const STREAMS: usize = 5_000;

/// Measures a row.
type Measure = fn() -> Outcome<()>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|role| role == bare::ROLE) {
        return bare::serve();
    }
    allow_descriptors()?;
    let rows: [(&str, Measure); 4] = [
        ("idle", idle::measure),
        ("last", last::measure),
        ("rename", rename::measure),
        ("end", end::measure),
    ];
    if let Some(unknown) =
        arguments.iter().find(|wanted| rows.iter().all(|(name, _)| name != wanted))
    {
        return Err(format!("{unknown}: the rows are idle, last, rename and end").into());
    }
    for (name, measure) in rows {
        if arguments.is_empty() || arguments.iter().any(|wanted| wanted == name) {
            measure()?;
        }
    }
    Ok(())
}

/// Servers and clients need a descriptor for each stream.
fn allow_descriptors() -> Outcome<()> {
    let mut limit = getrlimit(Resource::Nofile);
    let needed = STREAMS as u64 + 1_000;
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        return Err(format!("{needed} open files are needed; raise `ulimit -Hn`").into());
    }
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}
