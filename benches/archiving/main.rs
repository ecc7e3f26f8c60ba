//! Finished jobs in the archive: `cargo bench --all-features --bench archiving`, or one row of it. See docs/performance.md.
//!
//! `upload`: a job of 10,000 repositories goes to object storage (a real S3 server, moto, in Python on the same machine),
//! is removed here, and answers from there. `first-tier`: 20,000 jobs of one repository are removed here and keep
//! answering from `.results`. `REPOSITORIES` and `JOBS` set other sizes.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

mod first_tier;
mod jobs;
#[path = "../streaming/latencies.rs"]
#[expect(dead_code, reason = "another bench compares latencies")]
mod latencies;
#[path = "../../tests/it/support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::unnecessary_debug_formatting,
    reason = "written for the tests, which use all of it"
)]
mod support;
mod upload;

use std::{
    error::Error,
    path::Path,
    time::{Duration, Instant},
};
use support::server::TestServer;
use tokio::time::sleep;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const PACE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_hours(1);

fn main() -> Outcome<()> {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let Some(unknown) =
        wanted.iter().find(|wanted| !["upload", "first-tier"].contains(&wanted.as_str()))
    {
        return Err(format!("{unknown}: the rows are upload and first-tier").into());
    }
    let is_wanted = |row: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == row);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        if is_wanted("upload") {
            upload::measure().await?;
        }
        if is_wanted("first-tier") {
            first_tier::measure().await?;
        }
        Ok(())
    })
}

/// The number in an environment variable.
fn number_of(variable: &str, default: usize) -> Outcome<usize> {
    std::env::var(variable).map_or(Ok(default), |text| Ok(text.parse()?))
}

/// Waits until a path exists, or is gone; returns how long that took.
async fn until(path: &Path, exists: bool) -> Outcome<Duration> {
    let begin = Instant::now();
    while path.exists() != exists {
        if begin.elapsed() > PATIENCE {
            return Err(format!("{} in vain for an hour", path.display()).into());
        }
        sleep(PACE).await;
    }
    Ok(begin.elapsed())
}

/// A figure of `/proc/PID/status` of the server, in bytes.
fn memory(server: &TestServer, name: &str) -> Outcome<u64> {
    let path = format!("/proc/{}/status", server.pid());
    let status = support::files::text(path.as_ref());
    let line = status.lines().find(|line| line.starts_with(name)).ok_or("no such figure")?;
    let kib: u64 = line.split_whitespace().nth(1).ok_or("no figure")?.parse()?;
    Ok(kib << 10)
}

/// Requests a path some times, one after the other, and prints the times of the answers.
async fn ask(server: &TestServer, path: &str, rounds: usize) {
    let mut times = latencies::Latencies::default();
    for _ in 0..rounds {
        let begin = Instant::now();
        server.get(path).await.expect(200);
        times.add(begin.elapsed());
    }
    times.print(path);
}
