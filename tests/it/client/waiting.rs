//! `submit --wait` and `watch`: until the end, across restarts, and interrupted.

use super::{Ran, fake::Fake, run, scanwatch, setup, url};
use crate::support::{
    files,
    forge::program,
    processes,
    server::TestServer,
    wait::{PATIENCE, eventually, until},
};
use rustix::process::Signal;
use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Stdio},
};

/// A command that waits in the background, with its output in files.
struct Waiting {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Waiting {
    fn start(server: &TestServer, arguments: &[&str]) -> Self {
        let (out, err) = (server.file("client.out"), server.file("client.err"));
        let mut command = scanwatch(server, arguments);
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        Self { child: command.spawn().unwrap(), out, err }
    }

    /// Waits until the command has printed this text on standard error.
    async fn says(&mut self, text: &str) {
        self.says_times(text, 1).await;
    }

    /// Waits until the command has printed this text so many times.
    async fn says_times(&mut self, text: &str, times: usize) {
        eventually(&format!("the command says {text:?}, {times} times"), async || {
            let err = files::text(&self.err);
            let said = err.matches(text).count() >= times;
            if !said && let Some(status) = self.child.try_wait().unwrap() {
                panic!("ended without a word of {text:?}, {status}: {err}");
            }
            said
        })
        .await;
    }

    /// The id of the submitted job.
    async fn job(&self) -> String {
        until(PATIENCE, "the command prints a job's id", async || {
            files::text(&self.out).lines().next().map(str::to_owned)
        })
        .await
    }

    async fn end(mut self) -> Ran {
        let status =
            until(PATIENCE, "the command ends", async || self.child.try_wait().unwrap()).await;
        Ran { code: status.code(), out: files::text(&self.out), err: files::text(&self.err) }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Breaks if the exit code does not tell a CI job whether everything was scanned, or if failures
/// are not printed.
#[tokio::test]
async fn the_exit_code_tells_whether_all_jobs_completed() {
    let server = setup().start().await;
    let ran = run(&server, &["submit", "--wait", &url("good")]).expect(0);
    assert_eq!(ran.out.lines().count(), 1, "the id: {ran:?}");
    assert!(ran.err.contains("good: completed"), "{ran:?}");
    assert!(!ran.err.contains('\u{1b}'), "no colours where there is no terminal: {ran:?}");

    let ran = run(&server, &["submit", "--wait", &url("good"), &url("bad")]).expect(1);
    assert_eq!(ran.out.lines().count(), 2, "{ran:?}");
    assert!(ran.err.contains("bad: failed (exit): Process exited with code 3"), "{ran:?}");
    assert!(ran.err.contains(&format!("{}: failed", url("bad"))), "{ran:?}");
    // Finished jobs are reported in the same way.
    let jobs: Vec<_> = ran.out.lines().collect();
    run(&server, &["watch", jobs[0]]).expect(0);
    let ran = run(&server, &["watch", jobs[0], jobs[1]]).expect(1);
    assert!(ran.err.contains("bad: failed (exit)"), "{ran:?}");
}

/// Breaks if the repositories of a group are not distinguished, or are not all counted.
#[tokio::test]
async fn a_group_is_followed_to_its_last_repository() {
    let setup = setup();
    let job = setup.write_group(3);
    let server = setup.start().await;
    let mut watch = Waiting::start(&server, &["watch", &job]);
    watch.says("part-2: failed (exit): Process exited with code 3").await;
    files::write(&server.file("go"), "");
    let ran = watch.end().await.expect(1);
    let last = ran.err.lines().last().unwrap();
    assert!(
        last.contains("completed_with_errors, 2 of 3 repositories completed, 1 failed"),
        "{ran:?}"
    );
}

/// Breaks if a program does not get the server's events unchanged.
#[tokio::test]
async fn the_events_are_printed_as_json() {
    let server = setup().start().await;
    let ran = run(&server, &["submit", "--wait", "--json", &url("bad")]).expect(1);
    let events = ran.lines();
    assert_eq!(events[0]["event"], "snapshot");
    assert_eq!(events[0]["data"]["group_url"], url("bad"));
    let end = events.last().unwrap();
    assert_eq!((&end["event"], &end["data"]["status"]), (&"end".into(), &"failed".into()));
    assert!(events.iter().all(|event| event["id"].as_str().is_some_and(|id| id.contains('-'))));
    assert_eq!(ran.err, "");
}

/// Breaks if killing and restarting the server ends the waiting of a CI job.
#[tokio::test]
async fn waiting_continues_after_the_server_is_killed() {
    let mut server = setup().at_a_fixed_port().start().await;
    let mut wait = Waiting::start(&server, &["submit", "--wait", &url("held")]);
    let job = wait.job().await;
    server.working(&job).await;
    wait.says("held: scanning").await;
    server.kill9().await;
    wait.says("the job continues; reconnecting").await;
    server.restart().await;
    wait.says("reconnected to the server").await;
    files::write(&server.file("go"), "");
    let ran = wait.end().await.expect(0);
    assert_eq!(ran.err.matches("; reconnecting").count(), 1, "reported once: {ran:?}");
    assert!(ran.err.contains("held: completed"), "{ran:?}");
}

/// Breaks if a planned restart, which ends scanners and queues their repositories again, ends the
/// waiting; or if one outage is reported once per job.
#[tokio::test]
async fn waiting_continues_after_the_server_is_stopped() {
    let mut server = setup().at_a_fixed_port().start().await;
    let first = server.submit("held").await;
    // Another target of the same name: the same one would wait for the first.
    let body = serde_json::json!({ "git_url": url("held"), "deep": true });
    let second = server.submit_with(&body).await;
    server.working(&first).await;
    server.working(&second).await;
    let mut watch = Waiting::start(&server, &["watch", &first, &second]);
    // Both jobs are being followed.
    watch.says_times("held: scanning", 2).await;
    server.terminate().await;
    watch.says("; reconnecting").await;
    server.restart().await;
    files::write(&server.file("go"), "");
    let ran = watch.end().await.expect(0);
    assert_eq!(ran.err.matches("; reconnecting").count(), 1, "{ran:?}");
    assert_eq!(ran.err.matches("held: completed").count(), 2, "{ran:?}");
}

/// Breaks if a CI job waits forever for a server that stays unreachable.
#[tokio::test]
async fn waiting_for_an_unreachable_server_ends_after_the_timeout() {
    let mut server = setup().start().await;
    let job = server.submit("held").await;
    let mut watch = Waiting::start(&server, &["watch", &job, "--reconnect-timeout", "2s"]);
    watch.says("held: scanning").await;
    server.kill9().await;
    let ran = watch.end().await.expect(4);
    assert!(ran.err.contains("gave up after 2 s: cannot reach the server"), "{ran:?}");
}

/// Breaks if a command waits for a removed job, or believes that a job was removed because a server
/// that has just started does not know its jobs yet.
#[tokio::test]
async fn a_job_that_was_removed_meanwhile_is_reported() {
    let mut server = setup().at_a_fixed_port().start().await;
    let job = server.submit("held").await;
    server.working(&job).await;
    let mut watch = Waiting::start(&server, &["watch", &job]);
    watch.says("held: scanning").await;
    server.terminate().await;
    std::fs::rename(server.job_folder(&job), server.file("taken-away")).unwrap();
    server.restart().await;
    let ran = watch.end().await.expect(1);
    assert!(ran.err.contains(&format!("job {job} no longer exists")), "{ran:?}");
}

/// Breaks if Ctrl-C ends the scan, or if the user is not told how to continue.
#[tokio::test]
async fn an_interrupted_wait_leaves_the_scan_running() {
    let server = setup().start().await;
    let mut wait = Waiting::start(&server, &["submit", "--wait", &url("held")]);
    let job = wait.job().await;
    wait.says("held: scanning").await;
    let marks = [server.url("")];
    processes::signal(wait.child.id(), &marks, Signal::INT);
    let ran = wait.end().await.expect(130);
    assert!(ran.err.contains(&format!("scanwatch watch {job}")), "{ran:?}");
    assert!(ran.err.contains(&format!("scanwatch cancel {job}")), "{ran:?}");
    files::write(&server.file("go"), "");
    assert_eq!(server.finished(&job).await["status"], "completed");
}

/// Breaks if Ctrl-C between the acceptance of a job and its answer loses the job's id.
#[tokio::test]
async fn an_interrupt_while_the_server_answers_still_prints_the_id() {
    let home = tempfile::TempDir::new().unwrap();
    let go = home.path().join("go");
    let body = r#"{"job_id": "accepted", "status": "pending"}"#;
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let waits = go.clone();
    let fake = Fake::saying_after(answer, move || {
        while !waits.exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    });
    for arguments in [&["submit", "--wait"] as &[&str], &["submit"]] {
        let _ = std::fs::remove_file(&go);
        let heads = fake.heads().len();
        let mut command = program(env!("CARGO_BIN_EXE_scanwatch"));
        command.args(arguments).args([&url("good"), &url("other")]);
        command.env("SCANNER_SERVER_URL", fake.url()).env("HOME", home.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        eventually("the request is sent", async || fake.heads().len() > heads).await;
        processes::signal(child.id(), &[home.path().display().to_string()], Signal::INT);
        // The signal is handled before the answer.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        files::write(&go, "");
        let ran = Ran::from(child.wait_with_output().unwrap()).expect(130);
        assert_eq!(ran.out, "accepted\n", "{ran:?}");
        assert!(ran.err.contains("scanwatch watch accepted"), "{ran:?}");
        assert_eq!(fake.heads().len(), heads + 1, "nothing more is submitted");
    }
}
