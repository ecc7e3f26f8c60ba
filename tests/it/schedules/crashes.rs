//! A server that is killed neither loses a run nor runs it twice.

use super::{
    EACH_SECOND, URL, YEARLY, folder, jobs, lay, put, quick, schedule, shown, shown_when, state,
};
use crate::support::{
    files as disk,
    wait::{PATIENCE, eventually, until},
};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

/// The definition and the state of a server that was killed after it had recorded a run.
fn recorded(job: &str) -> (Value, Value) {
    let mut state = state(YEARLY, Utc::now());
    state["pending"] = json!({
        "due": Utc::now().to_rfc3339(), "job_id": job, "cause": "due", "waits_for": null, "reason": null,
    });
    (json!({ "cron": YEARLY, "git_url": URL }), state)
}

/// Fails if a run that was recorded, and whose job was not created, is lost.
#[tokio::test]
async fn a_recorded_run_is_created_with_its_id() {
    let setup = quick();
    let job = "0198c0de-7f1a-7000-8000-000000000001";
    let (definition, state) = recorded(job);
    lay(&setup, "nightly", &definition, Some(&state));
    let server = setup.start().await;
    let done = shown_when(&server, "nightly", "it has run", |shown| shown["runs"] == 1).await;
    assert_eq!((&done["last_job"], &done["pending"]), (&json!(job), &json!(null)));
    assert_eq!(server.finished(job).await["status"], "completed");
    assert_eq!(jobs(server.setup()), [job]);
}

/// Fails if a run whose job was created, and that was not recorded as done, is run again.
#[tokio::test]
async fn a_run_whose_job_exists_is_done() {
    let setup = quick();
    let job = setup.write_group(1);
    let (definition, state) = recorded(&job);
    lay(&setup, "nightly", &definition, Some(&state));
    let server = setup.start().await;
    let done = shown_when(&server, "nightly", "it is done", |shown| shown["runs"] == 1).await;
    assert_eq!((&done["last_job"], &done["pending"]), (&json!(job), &json!(null)));
    server.finished(&job).await;
    assert_eq!(jobs(server.setup()), [job]);
    assert!(!server.setup().log().contains("cannot start yet"), "{}", server.setup().log());
}

/// Fails if a server that is killed at any moment of a run loses it or runs it twice.
#[tokio::test]
async fn killed_servers_account_for_every_run_once() {
    let mut server = quick().at_a_fixed_port().start().await;
    put(&server, "often", &schedule(EACH_SECOND)).await.expect(201);
    let file = folder(server.setup()).join("often.state.json");
    let mut recorded = BTreeSet::new();
    let (mut before, mut after) = (0, 0);
    for round in 0..8_u64 {
        let known = jobs(server.setup()).len();
        // Half of the rounds: as soon as a run is recorded. The others: as soon as its job exists.
        let pending = || {
            disk::json(&file)
                .and_then(|state| state["pending"]["job_id"].as_str().map(str::to_owned))
        };
        let began = std::time::Instant::now();
        loop {
            if round % 2 == 0 && pending().is_some()
                || round % 2 == 1 && jobs(server.setup()).len() > known
            {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "no run begins");
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        server.kill9().await;
        if let Some(job) = pending() {
            if jobs(server.setup()).contains(&job) {
                after += 1;
            } else {
                before += 1;
            }
            recorded.insert(job);
        }
        server.restart().await;
    }
    eventually("every recorded run has its job", async || {
        let jobs = jobs(server.setup());
        recorded.iter().all(|job| jobs.contains(job))
    })
    .await;
    // Nothing more begins.
    let mut off = schedule(EACH_SECOND);
    off["enabled"] = json!(false);
    put(&server, "often", &off).await.expect(200);
    let end =
        shown_when(&server, "often", "nothing is pending", |shown| shown["pending"].is_null())
            .await;
    let jobs = jobs(server.setup());
    assert_eq!(end["runs"].as_u64(), Some(jobs.len() as u64), "{before} {after} {jobs:?} {end:#}");
    // The ids begin with the times: no two runs of one second.
    let times: BTreeSet<_> = jobs.iter().map(|job| job[..13].to_owned()).collect();
    assert_eq!(times.len(), jobs.len(), "{jobs:?}");
    assert!(before + after >= 1, "no server was killed during a run");
}

/// Fails if runs that were missed are all made up for, or none, or if `catch_up = false` is ignored.
#[tokio::test]
async fn missed_runs_are_made_up_for_once() {
    let setup = quick();
    let hourly = "0 * * * *";
    let handled = Utc::now() - TimeDelta::days(3);
    let definition = json!({ "cron": hourly, "git_url": URL });
    lay(&setup, "missed", &definition, Some(&state(hourly, handled)));
    let mut without = definition.clone();
    without["catch_up"] = json!(false);
    lay(&setup, "without", &without, Some(&state(hourly, handled)));
    let mut off = definition.clone();
    off["enabled"] = json!(false);
    let mut off_state = state(hourly, handled);
    off_state["rule"] = json!(format!("{hourly} UTC (off)"));
    lay(&setup, "off", &off, Some(&off_state));
    // Its pattern was changed while the server did not run: its times begin now.
    lay(&setup, "changed", &definition, Some(&state("30 * * * *", handled)));
    let mut server = setup.at_a_fixed_port().start().await;
    let missed = shown_when(&server, "missed", "it has run", |shown| shown["runs"] == 1).await;
    server.finished(missed["last_job"].as_str().unwrap()).await;
    let late = Utc::now().timestamp() % 3600 > 60;
    let without = until(PATIENCE, "it is decided", async || {
        let shown = shown(&server, "without").await;
        Some(shown).filter(|shown| !shown["last_result"].is_null())
    })
    .await;
    if late {
        assert_eq!((&without["runs"], &without["skipped_runs"]), (&json!(0), &json!(1)));
        assert!(without["last_reason"].as_str().unwrap().contains("catch_up"), "{without:#}");
    }
    server.kill9().await;
    server.restart().await;
    for (name, runs) in [("missed", 1), ("off", 0), ("changed", 0)] {
        assert_eq!(shown(&server, name).await["runs"], runs, "{name}");
    }
}
