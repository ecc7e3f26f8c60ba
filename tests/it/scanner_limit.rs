//! The limit on concurrent scanners, and who gets the next free slot.

use crate::support::{
    files,
    server::Setup,
    wait::{PATIENCE, eventually, until, within},
};
use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

/// A scanner that records how many run beside it, and works until it is released.
const COUNTING: &str = r#"
mkdir -p "$dir/running"
: > "$dir/running/$SCANWATCH_JOB_ID-$SCANWATCH_REPO_INDEX"
echo "$(ls "$dir/running" | wc -l) $SCANWATCH_JOB_ID" >> "$dir/counts"
say scanning
while [ ! -e "$dir/go" ]; do sleep 0.05; done
say completed
rm "$dir/running/$SCANWATCH_JOB_ID-$SCANWATCH_REPO_INDEX"
"#;

/// How many ran, and for which job, each time a scanner started.
fn starts(folder: &Path) -> Vec<(usize, String)> {
    let text = files::text(&folder.join("counts"));
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(count, job)| (count.parse().unwrap(), job.to_owned())).collect()
}

/// Breaks if more scanners run than configured (or fewer, with work waiting), or if the service
/// itself becomes slow while every slot is taken.
#[tokio::test]
async fn twelve_jobs_never_have_more_than_five_scanners_at_once() {
    let server = Setup::new().shell(COUNTING).start().await;
    let mut jobs = Vec::new();
    for number in 0..12 {
        jobs.push(server.submit(&format!("crowd-{number}")).await);
    }
    eventually("five scanners have counted", async || starts(server.folder()).len() == 5).await;
    let asked = Instant::now();
    let waiting = server.submit("one-more").await;
    assert_eq!(server.progress(&waiting).await["status"], "initializing");
    assert!(asked.elapsed() < Duration::from_secs(2), "slow: {:?}", asked.elapsed());
    jobs.push(waiting);

    files::write(&server.file("go"), "");
    for job in &jobs {
        assert_eq!(server.finished(job).await["status"], "completed");
    }
    let starts = starts(server.folder());
    assert_eq!(starts.len(), jobs.len(), "each ran once: {starts:?}");
    assert_eq!(starts.iter().map(|(count, _)| *count).max(), Some(5), "{starts:?}");
}

/// Breaks if the configured limit is not applied.
#[tokio::test]
async fn the_configured_limit_is_applied() {
    let server =
        Setup::new().shell(COUNTING).set("scanner.max_concurrent_processes", 2).start().await;
    let mut jobs = Vec::new();
    for number in 0..5 {
        jobs.push(server.submit(&format!("pair-{number}")).await);
    }
    eventually("two scanners have counted", async || starts(server.folder()).len() == 2).await;
    files::write(&server.file("go"), "");
    for job in &jobs {
        server.finished(job).await;
    }
    let starts = starts(server.folder());
    assert_eq!(starts.iter().map(|(count, _)| *count).max(), Some(2), "{starts:?}");
    let order: Vec<_> = starts.iter().map(|(_, job)| job).collect();
    let first: BTreeSet<_> = order[..2].iter().copied().collect();
    assert_eq!(first, jobs[..2].iter().collect(), "first come, first served");
}

/// Breaks if a job of one repository waits behind every repository of a large job.
///
/// The jobs are on disk before the server starts, as a stopped server leaves them.
#[tokio::test]
async fn a_small_job_does_not_wait_for_a_large_one() {
    let setup = Setup::new().shell(COUNTING).set("scanner.max_concurrent_processes", 1);
    let large = setup.write_group(8);
    let small = setup.write_group(1);
    files::write(&setup.folder().join("go"), "");
    let server = setup.start().await;
    assert_eq!(server.finished(&small).await["status"], "completed");
    assert_eq!(server.finished(&large).await["status"], "completed");
    let starts = starts(server.folder());
    let place = starts.iter().position(|(_, job)| *job == small).unwrap();
    assert!(place <= 2, "the small job came at place {place} of {}: {starts:?}", starts.len());
}

/// Breaks if a slot is lost when its scanner is cancelled or dies.
#[tokio::test]
async fn a_slot_is_freed_however_its_scanner_ended() {
    let server =
        Setup::new().shell(COUNTING).set("scanner.max_concurrent_processes", 1).start().await;
    let cancelled = server.submit("cancelled").await;
    server.working(&cancelled).await;
    let killed = server.submit("killed").await;
    let removed = server.submit("removed").await;
    let last = server.submit("last").await;
    server.post_nothing(&format!("/scan/{cancelled}/cancel")).await.expect(200);
    server.working(&killed).await;
    let scanner = format!("SCANWATCH_JOB_ID={killed}");
    // The status says `starting` an instant before the process exists.
    let pids = until(PATIENCE, "the scanner's process is there", async || {
        Some(crate::support::processes::carrying(std::slice::from_ref(&scanner)))
            .filter(|pids| !pids.is_empty())
    })
    .await;
    for pid in pids {
        server.signal(pid, rustix::process::Signal::KILL);
    }
    server.working(&removed).await;
    server.delete(&format!("/scan/{removed}")).await.expect(204);
    within(Duration::from_secs(20), "the last job has its turn", async || {
        server.progress(&last).await["summary"]["in_progress"] == 1
    })
    .await;
}
