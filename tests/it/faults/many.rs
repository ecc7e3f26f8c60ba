//! A jobs folder with a thousand jobs and one of thousands of repositories: a start takes seconds.
//!
//! `SCANWATCH_ROUNDS=1000 cargo nextest run --release --locked faults::many` is the measurement.

use crate::support::{files, processes, rounds::rounds, server::Setup};
use scanwatch::{
    model::{JobId, attempt::AttemptRecord},
    store::{attempt, layout::JobsDir},
};
use serde_json::json;
use std::{
    fs,
    time::{Duration, Instant},
};

/// The time limit of a start, in an optimised build.
const IN_TIME: Duration = Duration::from_secs(3);

/// Writes a job of five repositories that ended this morning.
fn write_finished(setup: &Setup) {
    let id = JobId::generate().to_string();
    let folder = setup.jobs().join(&id);
    fs::create_dir_all(folder.join("locks")).unwrap();
    let now = chrono::Utc::now().to_rfc3339();
    let names: Vec<_> = (0..5).map(|number| format!("part-{number}")).collect();
    let master = json!({
        "schema": 1, "job_id": id, "scan_type": "group", "group_url": "https://gitlab.com/acme",
        "status": "completed", "total_repositories": 5, "started_at": now, "completed_at": now,
        "completed_repositories": names,
    });
    files::write(&folder.join("master.json"), master.to_string());
    let row =
        |name: &String| json!({ "repo_name": name, "git_url": "https://gitlab.com/acme/x.git" });
    let rows: Vec<_> = names.iter().map(row).collect();
    let plan = json!({ "schema": 1, "complete": true, "repositories": rows });
    files::write(&folder.join("repositories.json"), plan.to_string());
    for (index, name) in names.iter().enumerate() {
        write_status(&folder, index, name);
    }
}

fn write_status(folder: &std::path::Path, index: usize, name: &str) {
    let now = chrono::Utc::now().to_rfc3339();
    let status = json!({
        "schema": 1, "repo_index": index, "repo_name": name, "status": "completed", "attempt": 1,
        "started_at": now, "last_update": now, "completed_at": now, "total_files": 9,
        "current_file": 9, "percentage": 100.0,
    });
    files::write(&folder.join(format!("repo_{index}.json")), status.to_string());
}

/// Breaks if a start slows with each repository that was ever scanned, or keeps more of it in
/// memory than it needs.
#[tokio::test]
async fn a_start_with_many_jobs_takes_seconds_and_little_memory() {
    let jobs = rounds(50);
    let large = usize::try_from(jobs).unwrap() * 2;
    let setup = Setup::new().shell("say completed\n");
    let group = setup.write_group(large);
    let folder = JobsDir::new(&setup.jobs()).unwrap().job(&group.parse().unwrap());
    // All but the last are done, each in an attempt of its own.
    let started_at = chrono::Utc::now();
    let record = AttemptRecord {
        schema: 1,
        attempt: 1,
        interruptions: 0,
        retries: 0,
        alone: false,
        started_at,
        remote: None,
    };
    for index in 0..large - 1 {
        attempt::write(&folder, u32::try_from(index).unwrap(), &record).unwrap();
        write_status(folder.path(), index, &format!("part-{index}"));
    }
    for _ in 0..jobs {
        write_finished(&setup);
    }
    let began = Instant::now();
    let server = setup.start().await;
    let took = began.elapsed();
    assert_eq!(server.get("/jobs").await.expect(200).json()["total"], jobs + 1);
    let resident = processes::resident_bytes(server.pid());
    #[expect(clippy::print_stderr, reason = "the figures that docs/reliability.md gives")]
    {
        eprintln!(
            "{jobs} jobs, and one of {large} repositories: ready after {took:?}, {} MiB resident",
            resident >> 20
        );
    }
    assert!(resident < 200 << 20, "{} MiB", resident >> 20);
    assert!(cfg!(debug_assertions) || took < IN_TIME, "ready after {took:?}");
    let document = server.finished(&group).await;
    assert_eq!(document["summary"]["completed"], large, "{:#}", document["summary"]);
}
