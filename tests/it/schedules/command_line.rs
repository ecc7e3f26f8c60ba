//! `scanwatch schedules`.

use super::{URL, YEARLY, quick, shown};
use crate::support::{forge::program, server::TestServer};
use serde_json::{Value, json};
use std::process::Output;

async fn command(server: &TestServer, arguments: &[&str]) -> Output {
    let mut command = program(env!("CARGO_BIN_EXE_scanwatch"));
    command
        .arg("schedules")
        .args(arguments)
        .env("SCANNER_SERVER_URL", server.url(""))
        .env("TZ", "Asia/Tokyo");
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Fails if a schedule cannot be stored, listed, run and removed from a terminal.
#[tokio::test]
async fn schedules_are_managed_from_a_terminal() {
    let server = quick().start().await;
    let empty = command(&server, &[]).await;
    assert_eq!((empty.status.code(), out(&empty).as_str()), (Some(0), ""));
    let added = command(
        &server,
        &[
            "add",
            "nightly",
            URL,
            "--cron",
            YEARLY,
            "--timezone",
            "Europe/Berlin",
            "--deep",
            "--overlap",
            "queue",
            "--exclude-path",
            "testdata",
            "--no-catch-up",
        ],
    )
    .await;
    assert_eq!(added.status.code(), Some(0), "{added:?}");
    // In the zone of the user: eight hours later than in Berlin.
    assert!(out(&added).contains("-01-01 08:00:00 (in "), "{added:?}");
    let stored = shown(&server, "nightly").await;
    assert_eq!(
        (&stored["deep"], &stored["overlap"], &stored["catch_up"], &stored["exclude_paths"]),
        (&json!(true), &json!("queue"), &json!(false), &json!(["testdata"]))
    );
    let run = command(&server, &["run", "nightly", "unknown"]).await;
    assert_eq!(run.status.code(), Some(2), "{run:?}");
    assert!(
        String::from_utf8_lossy(&run.stderr).contains("unknown: Schedule not found"),
        "{run:?}"
    );
    let job = out(&run).trim().strip_prefix("nightly  ").unwrap().to_owned();
    server.finished(&job).await;
    let listed = out(&command(&server, &["list"]).await);
    for part in
        ["SCHEDULE", "nightly", "0 0 1 1 * Europe/Berlin", "08:00:00 (in", &job, "completed", URL]
    {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    let document: Value = serde_json::from_str(&out(&command(&server, &["--json"]).await)).unwrap();
    assert_eq!(
        (&document["total"], &document["schedules"][0]["last_job"]),
        (&json!(1), &json!(job))
    );
    let refused = command(&server, &["add", "x", URL, "--cron", "0 26 * * *"]).await;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("cron"), "{refused:?}");
    let removed = command(&server, &["remove", "nightly"]).await;
    assert_eq!((removed.status.code(), out(&removed).as_str()), (Some(0), "nightly  removed\n"));
}
