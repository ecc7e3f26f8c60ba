//! Many jobs whose files were removed here, and that keep answering from `.results`.

use crate::{
    Outcome, PACE, PATIENCE, ask, jobs, latencies::Latencies, memory, number_of,
    support::server::Setup,
};
use std::{fs, path::Path, time::Instant};
use tokio::time::sleep;

const JOBS: usize = 20_000;
const ROUNDS: usize = 100;

pub(crate) async fn measure() -> Outcome<()> {
    let count = number_of("JOBS", JOBS)?;
    let setup = Setup::new()
        .set("jobs.retention_hours", 0)
        .set("jobs.results_retention_hours", 1_000_000)
        .set("jobs.cleanup_interval_secs", 1)
        .set("log.level", "\"warn\"");
    let folder = setup.jobs();
    let mut server = setup.start().await;
    let empty = memory(&server, "VmRSS")?;
    server.terminate().await;
    for number in 0..count {
        jobs::write(&folder, &id(number), 1)?;
    }
    let begin = Instant::now();
    server.restart().await;
    let full = memory(&server, "VmRSS")?;
    while left(&folder)? > 0 {
        if begin.elapsed() > PATIENCE {
            return Err("the jobs are not removed within an hour".into());
        }
        sleep(PACE * 10).await;
    }
    println!("{count} jobs archived in {:.1} s", begin.elapsed().as_secs_f64());
    let working = memory(&server, "VmRSS")?;
    server.terminate().await;
    let begin = Instant::now();
    server.restart().await;
    println!("a start with them: {:.2} s", begin.elapsed().as_secs_f64());
    let archived = memory(&server, "VmRSS")?;
    println!(
        "memory: without jobs {} MB, with all jobs in their folders {} MB, after they were archived {} MB, after a restart {} MB: {} bytes for each",
        empty >> 20,
        full >> 20,
        working >> 20,
        archived >> 20,
        archived.saturating_sub(empty) / u64::try_from(count)?,
    );
    Latencies::print_head();
    ask(&server, "/jobs?archived=true&per_page=100", ROUNDS).await;
    ask(&server, &format!("/jobs/{}/results", id(count / 2)), ROUNDS).await;
    ask(&server, &format!("/scan/{}/packages", id(count / 2)), ROUNDS).await;
    Ok(())
}

fn id(number: usize) -> String {
    format!("0198a7c4-0000-7000-8000-{number:012x}")
}

/// How many folders of jobs are left.
fn left(jobs: &Path) -> Outcome<usize> {
    let names = fs::read_dir(jobs)?.flatten().map(|entry| entry.file_name());
    Ok(names.filter(|name| !name.to_string_lossy().starts_with('.')).count())
}
