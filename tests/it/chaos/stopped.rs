//! Processes that are stopped instead of killed, and ends that must be reported correctly and at
//! once: in the file and on the stream.

use super::victims::{self, Target};
use crate::support::{
    files,
    forge::{Behaviour, Forge},
    processes::{self, Process},
    server::{Setup, TestServer},
    sse::EventStream,
    wait::{PATIENCE, until},
};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long it may take to report an end, once it can be known.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How often a busy machine may be late with it.
const TRIES: usize = 5;

/// A scanner in the middle of its work, with a grandchild that leads its own session; it sends
/// heartbeats until it is asked to exit.
const HALF_WAY: &str = r#"
setsid sleep 999 &
echo $! > "$dir/stray"
while [ ! -e "$dir/exit" ]; do
    say scanning '"total_files": 40, "current_file": 10'
    echo $$ > "$dir/scanner.part"; mv "$dir/scanner.part" "$dir/scanner"
    sleep 0.1
done
exit 3
"#;

/// The processes of this kind of a job, once one exists.
async fn one_of(server: &TestServer, target: Target) -> Process {
    until(PATIENCE, &format!("there is a process of the kind {target:?}"), async || {
        victims::all_of(&server.setup().jobs(), target).pop()
    })
    .await
}

/// Reads a stream until a repository has failed; returns what was reported.
async fn failure_on(stream: &mut EventStream) -> Value {
    loop {
        let event = stream.next_event(PATIENCE).await.expect("the stream goes on");
        if event.name == "repository" && !event.data["failure"].is_null() {
            return event.data;
        }
    }
}

/// What the stream reported is in the file, with the name and the progress; and no process of the
/// scan is left.
async fn check(server: &TestServer, job: &str, reported: &Value, status: &str, kind: &str) {
    let stray: u32 = files::text(&server.file("stray")).trim().parse().unwrap();
    // Whoever reports the end has ensured that before.
    assert!(!processes::lives(stray), "{}", processes::describe(stray));
    let file = server.status_file(job, 0);
    assert_eq!(
        (&reported["status"], &file["status"]),
        (&json!(status), &json!(status)),
        "{file:#}"
    );
    assert_eq!(
        (&reported["failure"]["kind"], &reported["failure"]),
        (&json!(kind), &file["failure"])
    );
    assert_eq!((&reported["repo_name"], &file["repo_name"]), (&json!("widget"), &json!("widget")));
    assert_eq!((&file["total_files"], &file["current_file"]), (&json!(40), &json!(10)), "{file:#}");
    assert_eq!(reported["progress"]["percentage"], 25.0, "{reported:#}");
    server.no_process_left(Duration::from_secs(2)).await;
}

/// Breaks if an exit or a death is reported late, with a wrong cause, or without what was known
/// before; or if any process outlives it.
#[tokio::test]
async fn each_end_is_reported_at_once_with_its_cause() {
    let server = Setup::new().shell(HALF_WAY).start().await;
    let ends = [None, Some(Signal::KILL), Some(Signal::SEGV), Some(Signal::TERM)];
    for signal in ends {
        let mut took = Vec::new();
        while took.iter().all(|time| *time >= AT_ONCE) && took.len() < TRIES {
            let job = server.submit("widget").await;
            let mut stream = EventStream::open(&server, &format!("/scan/{job}/events")).await;
            let scanner: u32 = server.note("scanner").await.parse().unwrap();
            server.working(&job).await;
            let begun = Instant::now();
            match signal {
                Some(signal) => server.signal(scanner, signal),
                None => files::write(&server.file("exit"), ""),
            }
            let reported = failure_on(&mut stream).await;
            took.push(begun.elapsed());
            let kind = if signal.is_some() { "signal" } else { "exit" };
            check(&server, &job, &reported, "failed", kind).await;
            let number = signal.map_or(json!(null), |signal| json!(signal.as_raw()));
            assert_eq!(reported["failure"]["signal"], number, "{reported:#}");
            for name in ["scanner", "exit", "stray"] {
                let _ = std::fs::remove_file(server.file(name));
            }
        }
        assert!(took.iter().any(|time| *time < AT_ONCE), "{signal:?} was told after {took:?}");
    }
}

/// Breaks if a scanner that is stopped (by an operator, by a debugger) is waited for until its
/// deadline, reported as anything but stalled, or cannot be killed because it is stopped.
#[tokio::test]
async fn a_stopped_scanner_is_reported_stalled_and_killed() {
    let server = Setup::new()
        .shell(HALF_WAY)
        .set("scanner.update_interval_secs", 1)
        .set("scanner.stall_timeout_secs", 2)
        .set("scanner.kill_grace_secs", 1)
        .start()
        .await;
    let job = server.submit("widget").await;
    let mut stream = EventStream::open(&server, &format!("/scan/{job}/events")).await;
    server.note("scanner").await;
    server.working(&job).await;
    let begun = Instant::now();
    assert!(one_of(&server, Target::Scanner).await.stop());
    let reported = failure_on(&mut stream).await;
    // Two seconds of silence, a second of grace, and the time until a tick.
    assert!(begun.elapsed() > Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    check(&server, &job, &reported, "failed", "stalled").await;
}

/// Breaks if a stopped git makes its scanner look dead, holds it beyond its deadline, or is left
/// behind.
#[tokio::test]
async fn a_stopped_git_ends_at_the_deadline_of_its_scan() {
    let forge = Forge::start();
    forge.group(&["solo/widget"]);
    forge.behave_at("solo/widget", Behaviour::StallAfter(200));
    let forges = format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base());
    let server = Setup::new()
        .set("forges", forges)
        .set("scanner.update_interval_secs", 1)
        .set("scanner.stall_timeout_secs", 3)
        .set("scanner.subprocess_timeout_secs", 6)
        .set("scanner.kill_grace_secs", 1)
        .start()
        .await;
    let job = server.submit_with(&json!({ "git_url": forge.url("solo/widget") })).await;
    let mut stream = EventStream::open(&server, &format!("/scan/{job}/events")).await;
    server.working(&job).await;
    until(PATIENCE, "git asks for the pack", async || {
        forge.seen().iter().any(|request| request.method == "POST").then_some(())
    })
    .await;
    assert!(one_of(&server, Target::Git).await.stop());
    let first = server.status_file(&job, 0)["last_update"].clone();
    until(PATIENCE, "the scanner gives a sign of life all the same", async || {
        (server.status_file(&job, 0)["last_update"] != first).then_some(())
    })
    .await;
    let reported = failure_on(&mut stream).await;
    assert_eq!(
        (&reported["status"], &reported["failure"]["kind"]),
        (&json!("timeout"), &json!("timeout"))
    );
    let file = server.status_file(&job, 0);
    assert_eq!((&reported["failure"], &file["repo_name"]), (&file["failure"], &json!("widget")));
    server.no_process_left(Duration::from_secs(2)).await;
}

/// Breaks if a server, or a shim, that pauses for a while (a suspended machine, a debugger) counts
/// its own pause as silence of its scanners, or as time they used.
#[tokio::test]
async fn a_paused_server_or_shim_causes_no_timeout() {
    let server = Setup::new()
        .shell(
            // Rarely, so that what its shim has seen last is mostly old.
            "steps=2; case $SCANWATCH_REPO_NAME in steady-[012]) steps=6;; esac\n\
             while [ $steps -gt 0 ]; do say scanning; sleep 1.8; steps=$((steps - 1)); done\n\
             say completed\n\
             echo \"$SCANWATCH_JOB_ID\" >> \"$dir/done\"\n",
        )
        .set("scanner.update_interval_secs", 1)
        .set("scanner.stall_timeout_secs", 3)
        .set("scanner.subprocess_timeout_secs", 60)
        .start()
        .await;
    let mut jobs = Vec::new();
    let mut streams = Vec::new();
    for number in 0..5 {
        let job = server.submit(&format!("steady-{number}")).await;
        streams.push(EventStream::open(&server, &format!("/scan/{job}/events")).await);
        server.working(&job).await;
        jobs.push(job);
    }
    let shims = victims::all_of(&server.setup().jobs(), Target::Shim);
    assert_eq!(shims.len(), jobs.len());
    // All but the last as well: their scanners go on, and one of them ends unobserved.
    let stopped: Vec<&Process> =
        shims.iter().filter(|shim| jobs[..4].iter().any(|job| shim.words.contains(job))).collect();
    assert!(stopped.iter().all(|shim| shim.stop()) && stopped.len() == 4);
    assert!(server.process().stop());
    let begun = Instant::now();
    until(PATIENCE, "all scanners but three are done", async || {
        (files::text(&server.file("done")).lines().count() == jobs.len() - 3).then_some(())
    })
    .await;
    // Longer than any of them may be silent.
    tokio::time::sleep(Duration::from_secs(5).saturating_sub(begun.elapsed())).await;
    for shim in stopped {
        shim.signal(Signal::CONT);
    }
    server.process().signal(Signal::CONT);
    for (job, mut stream) in jobs.iter().zip(streams) {
        let document = server.finished(job).await;
        assert_eq!(document["status"], "completed", "{document:#}");
        assert_eq!(server.status_file(job, 0)["attempt"], 1);
        let events = stream.rest(PATIENCE).await;
        let last = events.last().unwrap();
        assert_eq!((last.name.as_str(), &last.data["status"]), ("end", &json!("completed")));
    }
    server.no_process_left(Duration::from_secs(5)).await;
}
