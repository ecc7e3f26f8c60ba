//! A wall clock that jumps.

use super::{jobs, put, quick, schedule, shown, shown_when};
use crate::{disk::false_clock, support::files as disk};
use serde_json::json;

/// Fails if a clock that is set ahead makes up for more than one run, or one that is set back repeats runs.
#[tokio::test]
async fn a_clock_that_is_set_makes_no_run_twice() {
    let Some(library) = false_clock() else { return };
    let setup = quick()
        .variable("LD_PRELOAD", library)
        .variable("FAKETIME_NO_CACHE", 1)
        .variable("FAKETIME_DONT_FAKE_MONOTONIC", 1);
    let clock = setup.folder().join("clock");
    disk::write(&clock, "+0");
    let server = setup.variable("FAKETIME_TIMESTAMP_FILE", clock.display()).start().await;
    let hourly = format!(
        "{} * * * *",
        (chrono::Utc::now().format("%M").to_string().parse::<u32>().unwrap() + 30) % 60
    );
    put(&server, "hourly", &schedule(&hourly)).await.expect(201);
    assert_eq!(shown(&server, "hourly").await["runs"], 0);

    // Ten hours ahead: noticed without any request.
    disk::replace(&clock, "+36000");
    let ahead = shown_when(&server, "hourly", "it has run", |shown| shown["runs"] == 1).await;
    assert_eq!(jobs(server.setup()).len(), 1);

    // Back: those hours have been handled.
    disk::replace(&clock, "+7200");
    put(&server, "probe", &schedule("* * * * * *")).await.expect(201);
    shown_when(&server, "probe", "other schedules run", |shown| shown["runs"].as_u64() >= Some(2))
        .await;
    let back = shown(&server, "hourly").await;
    assert_eq!((&back["runs"], &back["next_run"]), (&json!(1), &ahead["next_run"]));
}
