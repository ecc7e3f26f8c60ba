//! Bursts: of updates, of new jobs. `cargo bench --bench watching` measures the same at a larger
//! scale.

use crate::support::{
    handmade::Handmade,
    rounds::rounds,
    server::{Setup, TestServer},
    wait::eventually,
};
use std::thread;

/// Longer than any test waits: nothing is found by comparing.
const NEVER: u32 = 100_000;

/// Waits until each of a job's repositories is at its step.
async fn all_are_at(server: &TestServer, job: &Handmade, steps: &[u32]) {
    eventually("the last state of each file is served", async || {
        let answer = server.get(&job.path()).await;
        if answer.status != 200 {
            return false;
        }
        let document = answer.json();
        let rows = document["repositories"].as_array().cloned().unwrap_or_default();
        let seen = rows.iter().map(|row| row["progress"]["current_file"].as_u64());
        seen.eq(steps.iter().map(|step| Some(u64::from(*step))))
    })
    .await;
}

/// Breaks if the last state of any file of a burst is lost, whether its event came, was merged into
/// another one or fell out of a full queue.
#[tokio::test]
async fn a_burst_of_updates_loses_no_last_state() {
    const JOBS: u32 = 20;
    const REPOSITORIES: u32 = 10;
    let server = Setup::new().notified().set("watch.resync_interval_secs", NEVER).start().await;
    let jobs: Vec<Handmade> = (0..JOBS).map(|_| Handmade::new(&server, REPOSITORIES)).collect();
    for job in &jobs {
        job.known(&server).await;
    }
    let updates = rounds(20_000_u32).max(2 * JOBS * REPOSITORIES);
    let mut last = vec![vec![0; REPOSITORIES as usize]; JOBS as usize];
    thread::scope(|scope| {
        // Two writers, each with jobs of its own.
        for (half, last) in last.chunks_mut(JOBS as usize / 2).enumerate() {
            let jobs = &jobs[half * last.len()..];
            scope.spawn(move || {
                for step in 1..=updates / 2 {
                    let (job, index) = (step % (JOBS / 2), step / JOBS % REPOSITORIES);
                    jobs[job as usize].repository(index, "scanning", step);
                    last[job as usize][index as usize] = step;
                }
            });
        }
    });
    for (job, steps) in jobs.iter().zip(&last) {
        all_are_at(&server, job, steps).await;
    }
}

/// Breaks if a file of many new jobs is missed: of one whose folder is not known yet, or not
/// watched yet.
#[tokio::test]
async fn many_new_jobs_at_once_are_served_completely() {
    const REPOSITORIES: u32 = 8;
    let server = Setup::new().notified().set("watch.resync_interval_secs", NEVER).start().await;
    let jobs: Vec<Handmade> = (0..rounds(200_u32))
        .map(|number| {
            let job = Handmade::new(&server, REPOSITORIES);
            for index in 0..REPOSITORIES {
                job.repository(index, "scanning", number + index);
            }
            job
        })
        .collect();
    for (number, job) in (0..).zip(&jobs) {
        let steps: Vec<u32> = (number..number + REPOSITORIES).collect();
        all_are_at(&server, job, &steps).await;
    }
}
