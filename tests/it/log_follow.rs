//! A log that is read while it grows.

use crate::support::{
    files,
    handmade::Handmade,
    raw::{exchange, request},
    server::{Setup, TestServer},
    wait::{PATIENCE, eventually},
};
use reqwest::Method;
use serde_json::json;
use std::{
    fs::OpenOptions,
    io::Write,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// An answer in progress.
struct Following {
    response: reqwest::Response,
    text: String,
}

impl Following {
    async fn of(server: &TestServer, path: &str) -> Self {
        let request = server.request(Method::GET, path);
        let response = timeout(PATIENCE, request.send()).await.unwrap().unwrap();
        assert_eq!(response.status(), 200, "{response:?}");
        let media_type = response.headers()["content-type"].to_str().unwrap();
        assert_eq!(media_type, "text/plain; charset=utf-8");
        Self { response, text: String::new() }
    }

    /// Reads until this was sent.
    async fn until(&mut self, end: &str) {
        while !self.text.contains(end) {
            assert!(self.read().await, "it ended before {end:?}: {:?}", self.text);
        }
    }

    /// Everything until the end.
    async fn rest(mut self) -> String {
        while self.read().await {}
        self.text
    }

    async fn read(&mut self) -> bool {
        let chunk = timeout(PATIENCE, self.response.chunk()).await;
        match chunk.expect("there is more, or an end") {
            Ok(Some(bytes)) => {
                self.text.push_str(&String::from_utf8_lossy(&bytes));
                true
            }
            Ok(None) => false,
            Err(error) => panic!("broken off after {:?}: {error}", self.text),
        }
    }
}

/// A running job whose log the test writes.
async fn handmade(server: &TestServer, log: &str) -> (Handmade, std::path::PathBuf) {
    let job = Handmade::new(server, 1);
    std::fs::create_dir(job.folder.join("logs")).unwrap();
    let path = job.folder.join("logs/repo_0.log");
    files::write(&path, log);
    job.repository(0, "scanning", 1);
    // Before its file is read, the repository is known from the job's plan, and waits.
    eventually("the repository is known to be at work", async || {
        let shown = server.get(&format!("{}/repositories/0", job.path())).await;
        shown.status == 200 && shown.json()["status"] == "scanning"
    })
    .await;
    (job, path)
}

fn append(path: &std::path::Path, text: &str) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn following(job: &Handmade) -> String {
    format!("{}/repositories/0/log?follow=true", job.path())
}

/// Breaks if the last lines of an attempt are lost because its repository is queued again at once,
/// or if the answer never ends when the failure in between was not seen.
#[tokio::test]
async fn a_log_is_followed_to_the_end_of_its_attempt() {
    for mode in ["\"auto\"", "\"poll\""] {
        let server = Setup::new()
            .shell(
                "say scanning; echo first\n\
                 while [ ! -e \"$dir/go\" ]; do sleep 0.05; done\n\
                 echo last; exit 7\n",
            )
            .set("scanner.retry_pause_secs", 600)
            .set("watch.mode", mode)
            .set("watch.poll_interval_ms", 1_000)
            .start()
            .await;
        let body = json!({ "git_url": "https://github.com/acme/talks.git", "retries": 1 });
        let job = server.submit_with(&body).await;
        server.working(&job).await;
        let path = format!("/scan/{job}/repositories/0/log?follow=true");
        let mut whole = Following::of(&server, &path).await;
        whole.until("first\n").await;
        files::write(&server.file("go"), "");
        assert_eq!(whole.rest().await, "first\nlast\n", "{mode}");
        let of_job = server.progress(&job).await;
        assert_eq!(of_job["summary"]["pending"], 1, "{mode}");
    }
}

/// Breaks if lines come late, twice or not at all, or the answer does not end with the scan; the
/// last lines are those that come after the final state.
#[tokio::test]
async fn a_log_is_followed_from_its_beginning_to_its_end() {
    let server = Setup::new()
        .shell(
            "say scanning; echo first\n\
             while [ ! -e \"$dir/go\" ]; do sleep 0.05; done\n\
             echo second\n\
             while [ ! -e \"$dir/end\" ]; do sleep 0.05; done\n\
             say completed; sleep 0.6; echo last >&2\n",
        )
        .start()
        .await;
    let job = server.submit("talks").await;
    server.working(&job).await;
    let path = format!("/scan/{job}/repositories/0/log?follow=true");
    let mut whole = Following::of(&server, &path).await;
    whole.until("first\n").await;
    files::write(&server.file("go"), "");
    whole.until("second\n").await;
    let tail = Following::of(&server, &format!("{path}&tail=1")).await;
    assert_eq!(server.progress(&job).await["status"], "in_progress");
    files::write(&server.file("end"), "");
    assert_eq!(whole.rest().await, "first\nsecond\nlast\n");
    assert_eq!(tail.rest().await, "second\nlast\n");
    let over = server.get(&path).await.expect(200);
    assert_eq!(over.text, "first\nsecond\nlast\n", "of one that is over: all, and the end");
    let plain = server.get(&path.replace("true", "false")).await.expect(200);
    assert_eq!(plain.text, over.text);
    assert_eq!(plain.header("accept-ranges"), Some("bytes"));
}

/// Breaks if lines of two attempts are sent as one log.
#[tokio::test]
async fn a_restarted_log_ends_the_answer() {
    let server = Setup::new().start().await;
    let again = "of the second attempt\n".repeat(9);
    for how in ["truncated", "overwritten", "replaced", "another attempt"] {
        let (job, log) = handmade(&server, "one\n").await;
        let mut stream = Following::of(&server, &following(&job)).await;
        stream.until("one\n").await;
        append(&log, "two\n");
        stream.until("two\n").await;
        match how {
            "truncated" => files::write(&log, "x\n"),
            // In the same file, and longer than what was sent before the next read.
            "overwritten" => files::write(&log, &again),
            "replaced" => files::replace(&log, format!("one\ntwo\n{again}")),
            _ => {
                for attempt in [1, 2] {
                    let status = serde_json::json!({ "status": "scanning", "attempt": attempt });
                    files::replace(&job.folder.join("repo_0.json"), status.to_string());
                    eventually("it is read", async || {
                        let path = format!("{}/repositories/0", job.path());
                        server.get(&path).await.json()["attempt"] == attempt
                    })
                    .await;
                    append(&log, &format!("attempt {attempt}\n"));
                    if attempt == 1 {
                        stream.until("attempt 1\n").await;
                    }
                }
            }
        }
        let text = stream.rest().await;
        let sent = text.strip_prefix("one\ntwo\n").unwrap_or_else(|| panic!("{how}: {text}"));
        let expected = if how == "another attempt" { "attempt 1\n" } else { "" };
        assert_eq!(sent, expected, "{how}");
    }
}

/// Breaks if a large log is sent with gaps, or buffered for a slow reader.
#[tokio::test]
async fn a_large_log_arrives_completely() {
    let server = Setup::new().start().await;
    let lines = |from: u32, to: u32| {
        let line = |n| [format!("line {n} "), "x".repeat(90), "\n".to_owned()];
        (from..to).flat_map(line).collect::<String>()
    };
    let (job, log) = handmade(&server, &lines(0, 30_000)).await;
    let mut stream = Following::of(&server, &following(&job)).await;
    stream.until("line 100 ").await;
    append(&log, &lines(30_000, 40_000));
    stream.until("line 39999 ").await;
    job.repository(0, "completed", 1000);
    assert!(stream.rest().await == lines(0, 40_000), "not the bytes of the file");
}

/// Breaks if a follower is not informed, waits for what cannot come, or if followers are unlimited.
#[tokio::test]
async fn followers_are_limited_and_end_with_the_job_and_the_server() {
    let mut server = Setup::new().set("server.max_streams", 1).start().await;
    let (job, _) = handmade(&server, "one\n").await;
    let path = following(&job);
    let mut stream = Following::of(&server, &path).await;
    stream.until("one\n").await;
    server.get(&path).await.expect(503);
    server.get(&job.stream()).await.expect(503);
    server.delete(&job.path()).await.expect(204);
    assert_eq!(stream.rest().await, "one\n");
    server.get(&path).await.expect(404);
    eventually("its place is free again", async || {
        server.get("/health").await.json()["streams"] == 0
    })
    .await;

    let silent = Handmade::new(&server, 1);
    silent.repository(0, "completed", 1000);
    eventually("there is no log of one that is over", async || {
        server.get(&following(&silent)).await.text.contains("Repository has no log")
    })
    .await;

    let (job, _) = handmade(&server, "one\n").await;
    let path = following(&job);
    let head = exchange(server.address(), &request("HEAD", &path), PATIENCE).await.unwrap();
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    eventually("its place is free again", async || {
        server.get("/health").await.json()["streams"] == 0
    })
    .await;
    let mut stream = Following::of(&server, &path).await;
    stream.until("one\n").await;
    let began = Instant::now();
    assert_eq!(server.terminate().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    assert_eq!(stream.rest().await, "one\n");
}

/// Breaks if a client that continues a download gets the bytes of another attempt after those that it
/// has: `If-Range` has to be obeyed (RFC 9110, section 13.1.5).
#[tokio::test]
async fn a_range_of_another_attempt_is_answered_with_the_whole_log() {
    let server = Setup::new().start().await;
    let (job, log) = handmade(&server, "first attempt\n").await;
    let path = format!("{}/repositories/0/log", job.path());
    let tag = async || server.get(&path).await.expect(200).header("etag").unwrap().to_owned();
    // A log that has just changed has a weak tag, which fits no range.
    eventually("the log is old enough for a strong tag", async || tag().await.starts_with('"'))
        .await;
    let first = tag().await;
    let rest = async |tag: &str| {
        let request = server.request(Method::GET, &path).header("range", "bytes=6-");
        server.send(request.header("if-range", tag)).await
    };
    let answer = rest(&first).await.expect(206);
    assert_eq!((answer.text.as_str(), answer.header("etag")), ("attempt\n", Some(first.as_str())));
    let known = server.request(Method::GET, &path).header("if-none-match", &first);
    server.send(known).await.expect(304);

    // As long as before: only the tag tells the two apart.
    files::write(&log, "SECOND ATTEMPT\n");
    for other in [first.as_str(), "W/\"0\"", "Wed, 21 Oct 2015 07:28:00 GMT"] {
        assert_eq!(rest(other).await.expect(200).text, "SECOND ATTEMPT\n", "{other}");
    }
    append(&log, "and more\n");
    let grown = tag().await;
    assert_ne!(grown.trim_start_matches("W/"), first);
}
