//! Pause, resume and bump: what they start and do not start, whatever is killed right after the answer.

use crate::support::{
    files,
    forge::program,
    handmade::Handmade,
    server::{Setup, TestServer},
    sse::EventStream,
    wait::{PATIENCE, eventually, until},
};
use serde_json::{Value, json};
use std::fs;

/// A scanner that records its start, and works until it, or every scanner, is released; a repository
/// whose name begins with `bad` fails.
const HELD: &str = r#"
me="$SCANWATCH_REPO_NAME"
echo "$me $attempt" >> "$dir/starts"
say scanning
while [ ! -e "$dir/go" ] && [ ! -e "$dir/released-$me" ]; do sleep 0.02; done
case $me in bad*) exit 3 ;; esac
say completed
"#;

fn starts(server: &TestServer) -> Vec<String> {
    files::text(&server.file("starts")).lines().map(str::to_owned).collect()
}

async fn started(server: &TestServer, scan: &str) {
    eventually(&format!("{scan} is started"), async || {
        starts(server).iter().any(|start| start == scan)
    })
    .await;
}

fn release(server: &TestServer, name: &str) {
    files::write(&server.file(&format!("released-{name}")), "");
}

async fn send(server: &TestServer, job: &str, verb: &str, status: u16) -> Value {
    server.post_nothing(&format!("/scan/{job}/{verb}")).await.expect(status).json()
}

/// Starts and finishes another job: whatever was to be started before it has been started.
async fn let_the_queue_move(server: &TestServer, name: &str) {
    let job = server.submit(name).await;
    started(server, &format!("{name} 1")).await;
    release(server, name);
    server.finished(&job).await;
}

/// Fails if a paused job starts anything, ends a running scan, is not shown as paused everywhere, or
/// does not continue: also after the server was killed right after the answers.
#[tokio::test]
async fn a_paused_job_starts_nothing_until_it_is_resumed() {
    let setup = Setup::new().shell(HELD).set("scanner.max_concurrent_processes", 2);
    let job = setup.write_group(4);
    let mut server = setup.start().await;
    started(&server, "part-0 1").await;
    started(&server, "part-1 1").await;
    let mut events = EventStream::open(&server, &format!("/scan/{job}/events")).await;
    for _ in 0..2 {
        let answer = send(&server, &job, "pause", 200).await;
        assert_eq!((&answer["job_id"], &answer["paused"]), (&json!(job), &json!(true)));
        assert_eq!(answer["status"], "in_progress", "the states stay");
    }
    let master = files::json(&server.job_folder(&job).join("master.json")).unwrap();
    assert_eq!(master["paused"], true, "{master:#}");
    while let Some(event) = events.next_event(PATIENCE).await {
        if event.name == "job" && event.data["paused"] == true {
            break;
        }
        assert_ne!(event.name, "end");
    }
    server.kill9().await;
    server.restart().await;
    // What runs ends on its own, and its slots are for others.
    release(&server, "part-0");
    release(&server, "part-1");
    eventually("two are completed", async || {
        server.progress(&job).await["summary"]["completed"] == 2
    })
    .await;
    let_the_queue_move(&server, "other").await;
    // Two that are started at once may begin in either order.
    let mut begun = starts(&server);
    begun.sort();
    assert_eq!(begun, ["other 1", "part-0 1", "part-1 1"]);
    let document = server.progress(&job).await;
    assert_eq!((&document["paused"], &document["eta_seconds"]), (&json!(true), &Value::Null));
    assert_eq!(
        (&document["status"], &document["summary"]["pending"]),
        (&json!("in_progress"), &json!(2))
    );
    let rows = server.get("/jobs").await.expect(200).json();
    let row = rows["jobs"].as_array().unwrap().iter().find(|row| row["job_id"] == job).unwrap();
    assert_eq!((&row["paused"], &row["status"]), (&json!(true), &json!("running")), "{row:#}");

    for _ in 0..2 {
        let answer = send(&server, &job, "resume", 200).await;
        assert_eq!(answer["paused"], false, "{answer:#}");
    }
    server.kill9().await;
    server.restart().await;
    files::write(&server.file("go"), "");
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert!(document.get("paused").is_none(), "{document:#}");
    assert_eq!(starts(&server).len(), 5, "{:?}", starts(&server));
}

/// Fails if one of the requests is answered before it is in the job's file.
#[tokio::test]
async fn what_was_answered_survives_a_crash() {
    let setup = Setup::new().shell(HELD).set("scanner.max_concurrent_processes", 1);
    let mut server = setup.start().await;
    server.submit("running").await;
    started(&server, "running 1").await;
    let job = server.submit("waits").await;
    for round in 0..4 {
        for (verb, paused) in [("pause", true), ("bump", true), ("resume", false)] {
            send(&server, &job, verb, 200).await;
            server.kill9().await;
            let master = files::json(&server.job_folder(&job).join("master.json")).unwrap();
            server.restart().await;
            assert_eq!(master["paused"] == true, paused, "{verb}, round {round}: {master:#}");
            assert!(round == 0 || master["bumped_at"].is_string(), "{verb}: {master:#}");
            let document = server.progress(&job).await;
            assert_eq!(document["paused"] == true, paused, "{verb}, round {round}: {document:#}");
        }
    }
    assert_eq!(starts(&server), ["running 1"]);
    files::write(&server.file("go"), "");
    assert_eq!(server.finished(&job).await["status"], "completed");
}

/// Fails if a job that is paused before its first scan has a place in the queue, is started, or cannot
/// be cancelled and removed.
#[tokio::test]
async fn a_paused_job_has_no_place_and_can_be_cancelled_and_removed() {
    let setup = Setup::new().shell(HELD).set("scanner.max_concurrent_processes", 1);
    let server = setup.start().await;
    let running = server.submit("running").await;
    started(&server, "running 1").await;
    let (cancelled, removed) = (server.submit("cancelled").await, server.submit("removed").await);
    let last = server.submit("last").await;
    let place = async |job: &str| {
        let row = server.get(&format!("/jobs/{job}")).await.expect(200).json();
        row["queue_position"].as_u64()
    };
    assert_eq!(place(&last).await, Some(3));
    for job in [&cancelled, &removed] {
        send(&server, job, "pause", 200).await;
        assert_eq!(place(job).await, None);
    }
    assert_eq!(place(&last).await, Some(1));
    release(&server, "running");
    started(&server, "last 1").await;
    release(&server, "last");
    server.finished(&last).await;
    server.finished(&running).await;
    assert_eq!(server.progress(&cancelled).await["status"], "initializing");
    assert_eq!(send(&server, &cancelled, "cancel", 200).await["status"], "cancelled");
    let document = server.finished(&cancelled).await;
    assert!(document.get("paused").is_none(), "{document:#}");
    server.delete(&format!("/scan/{removed}")).await.expect(204);
    assert!(!server.job_folder(&removed).exists());
    assert_eq!(starts(&server), ["running 1", "last 1"]);
    // A retry of a job that was paused once is not paused.
    files::write(&server.file("go"), "");
    server.retried(&cancelled).await;
    assert_eq!(server.finished(&cancelled).await["status"], "completed");
}

/// Fails if a failed repository of a paused job is retried before the job is resumed, or never.
#[tokio::test]
async fn a_paused_job_is_not_retried() {
    let server = Setup::new()
        .shell(HELD)
        .set("scanner.retry_pause_secs", 1)
        .set("scanner.max_concurrent_processes", 2)
        .start()
        .await;
    let url = "https://github.com/acme/bad.git";
    let job = server.submit_with(&json!({ "git_url": url, "retries": 1 })).await;
    started(&server, "bad 1").await;
    send(&server, &job, "pause", 200).await;
    release(&server, "bad");
    let path = server.job_folder(&job).join("repo_0.json");
    let waiting = until(PATIENCE, "it waits for its retry", async || {
        files::json(&path).filter(|status| status["status"] == "pending")
    })
    .await;
    assert_eq!(waiting["attempt"], 2, "{waiting:#}");
    // Longer than its pause.
    let began = std::time::Instant::now();
    let mut number = 0;
    while began.elapsed() < std::time::Duration::from_secs(2) {
        number += 1;
        let_the_queue_move(&server, &format!("other-{number}")).await;
    }
    assert!(!starts(&server).contains(&"bad 2".to_owned()), "{:?}", starts(&server));
    assert_eq!(server.progress(&job).await["paused"], true);
    send(&server, &job, "resume", 200).await;
    started(&server, "bad 2").await;
    assert_eq!(server.finished(&job).await["status"], "failed");
}

/// Fails if a bumped job does not come next, or if its place is lost when the server is killed right
/// after the answer.
#[tokio::test]
async fn a_bumped_job_comes_next() {
    let setup = Setup::new().shell(HELD).set("scanner.max_concurrent_processes", 1);
    let mut server = setup.start().await;
    server.submit("running").await;
    started(&server, "running 1").await;
    for name in ["a", "b"] {
        server.submit(name).await;
    }
    let (next, last) = (server.submit("next").await, server.submit("last").await);
    for job in [&last, &next, &next] {
        let answer = send(&server, job, "bump", 200).await;
        assert_eq!((&answer["status"], &answer["paused"]), (&json!("initializing"), &json!(false)));
    }
    server.kill9().await;
    server.restart().await;
    for (job, place) in [(&next, 1), (&last, 2)] {
        let row = server.get(&format!("/jobs/{job}")).await.expect(200).json();
        assert_eq!(row["queue_position"], place, "{row:#}");
    }
    files::write(&server.file("go"), "");
    for name in ["a", "b"] {
        started(&server, &format!("{name} 1")).await;
    }
    assert_eq!(starts(&server), ["running 1", "next 1", "last 1", "a 1", "b 1"]);
}

/// Fails if a job is changed that is finished, that another program runs, or that does not exist.
#[tokio::test]
async fn what_cannot_be_changed_is_refused() {
    let server = Setup::new().shell(HELD).start().await;
    files::write(&server.file("go"), "");
    let finished = server.submit("finished").await;
    server.finished(&finished).await;
    let foreign = Handmade::new(&server, 2);
    foreign.repository(0, "scanning", 5);
    eventually("the job is known", async || {
        server.get(&format!("/scan/{}", foreign.id)).await.status == 200
    })
    .await;
    let before = fs::read(foreign.folder.join("master.json")).unwrap();
    for verb in ["pause", "resume", "bump"] {
        let answer = send(&server, &finished, verb, 409).await;
        assert_eq!(answer["detail"], "The job is finished", "{answer:#}");
        let answer = send(&server, &foreign.id, verb, 409).await;
        assert!(answer["detail"].as_str().unwrap().contains("another program"), "{answer:#}");
        let answer = send(&server, "0198c0de-7f1a-7000-8000-000000000000", verb, 404).await;
        assert_eq!(answer["detail"], "Job not found");
    }
    assert_eq!(fs::read(foreign.folder.join("master.json")).unwrap(), before);
}

/// Fails if the commands of the client do not name jobs as the others do, or do not send what they
/// name.
#[tokio::test]
async fn the_client_pauses_resumes_and_bumps() {
    let server = Setup::new().shell(HELD).set("scanner.max_concurrent_processes", 1).start().await;
    server.submit("running").await;
    started(&server, "running 1").await;
    let job = server.submit("waits").await;
    let run = |arguments: &[&str]| {
        let mut command = program(env!("CARGO_BIN_EXE_scanwatch"));
        let ran =
            command.args(arguments).env("SCANNER_SERVER_URL", server.url("")).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (ran.status.code(), text(ran.stdout), text(ran.stderr))
    };
    let end = &job[20..];
    let (code, out, err) = run(&["pause", end]);
    assert_eq!((code, out), (Some(0), format!("{job}  initializing  paused\n")), "{err}");
    let (_, out, _) = run(&["status", end]);
    assert!(out.contains(", paused\n"), "{out}");
    let (code, out, _) = run(&["bump", "--json", &job, "latest"]);
    let answers: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, answers.len(), &answers[0]["paused"]), (Some(0), 2, &json!(true)));
    let (code, out, _) = run(&["resume", end]);
    assert_eq!((code, out), (Some(0), format!("{job}  initializing\n")));
    files::write(&server.file("go"), "");
    server.finished(&job).await;
    let (code, _, err) = run(&["pause", end]);
    assert_eq!(code, Some(2));
    assert!(err.contains("The job is finished"), "{err}");
}
