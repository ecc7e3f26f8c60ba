//! The event stream of all jobs: the newest jobs on connect, then the state and the end of each
//! job, and never the events within a job.

use crate::support::{
    handmade::Handmade,
    raw::{exchange, request},
    server::{Setup, TestServer},
    sse::{Event, EventStream},
    wait::{PATIENCE, eventually},
};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};

const ALL: &str = "/events";

/// A stream that has received its snapshot.
async fn joined(server: &TestServer) -> (EventStream, Event) {
    let mut stream = EventStream::open(server, ALL).await;
    let snapshot = stream.next_event(PATIENCE).await.unwrap();
    assert_eq!(snapshot.name, "snapshot");
    (stream, snapshot)
}

/// All events up to and including the end of this job.
async fn until_end_of(stream: &mut EventStream, job: &str) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let event = stream.next_event(PATIENCE).await.expect("the stream goes on");
        let found = event.name == "end" && event.data["job_id"] == job;
        events.push(event);
        if found {
            return events;
        }
    }
}

fn ids(snapshot: &Event) -> Vec<&str> {
    let rows = snapshot.data["jobs"].as_array().unwrap();
    rows.iter().map(|row| row["job_id"].as_str().unwrap()).collect()
}

/// Breaks if a viewer of all jobs does not see them appear, change and end.
#[tokio::test]
async fn all_jobs_are_reported_from_start_to_end() {
    let server = Setup::new().shell("say completed\n").start().await;
    let first = server.submit("first").await;
    server.finished(&first).await;
    let (mut stream, snapshot) = joined(&server).await;
    assert_eq!(ids(&snapshot), [&first]);
    let row = &snapshot.data["jobs"][0];
    let listed = server.get("/jobs").await.json()["jobs"][0].clone();
    assert_eq!(*row, listed, "the rows are those of the list");
    assert_eq!(snapshot.data["total"], 1);
    assert_eq!(snapshot.data["counts"]["completed"], 1, "{:#}", snapshot.data);
    assert!(stream.retry.is_some());

    for name in ["second", "third"] {
        let job = server.submit(name).await;
        let events = until_end_of(&mut stream, &job).await;
        assert!(events.iter().all(|event| event.data["job_id"] == job), "{events:#?}");
        let (end, reported) = events.split_last().unwrap();
        assert!(reported.iter().all(|event| event.name == "job"), "{reported:#?}");
        let last = &reported.last().unwrap().data;
        assert_eq!(last["status"], "completed");
        for member in ["summary", "elapsed_time_seconds", "completed_at", "git_url", "created_at"] {
            assert!(!last[member].is_null(), "{member} in {last:#}");
        }
        assert_eq!(last["git_url"], format!("https://github.com/acme/{name}.git"));
        assert_eq!(end.data["status"], "completed");
        assert_eq!(end.data["summary"]["completed"], 1);
    }
    let (_, snapshot) = joined(&server).await;
    assert_eq!(ids(&snapshot).last(), Some(&first.as_str()), "newest first");
    assert_eq!(snapshot.data["total"], 3);
}

/// Breaks if a large job sends viewers of all jobs one message per repository.
#[tokio::test]
async fn a_large_job_needs_few_messages() {
    let server = Setup::new().start().await;
    let (mut stream, _) = joined(&server).await;
    let began = Instant::now();
    let job = Handmade::new(&server, 1_000);
    let id = job.id.clone();
    let writer = std::thread::spawn(move || {
        for index in 0..1_000 {
            job.repository(index, "completed", 1000);
        }
        job.master("completed");
    });
    let events = until_end_of(&mut stream, &id).await;
    let took = began.elapsed();
    writer.join().unwrap();
    assert!(events.iter().all(|event| event.name != "repository"), "of no interest here");
    // Two polls a second with one message for the job each, and one for the end.
    let most = 2 * (took.as_secs() + 1) + 4;
    assert!(events.len() as u64 <= most, "{} messages in {took:?}", events.len());
    assert_eq!(events.last().unwrap().data["summary"]["completed"], 1_000);
}

/// Breaks if a viewer that lost its connection misses an end, or gets events again that it has.
#[tokio::test]
async fn the_stream_of_all_resumes_after_its_last_event() {
    let mut server = Setup::new().start().await;
    let (known, other) = (Handmade::new(&server, 1), Handmade::new(&server, 1));
    known.known(&server).await;
    other.known(&server).await;
    let (mut stream, _) = joined(&server).await;
    known.repository(0, "completed", 1000);
    known.master("completed");
    let events = until_end_of(&mut stream, &known.id).await;
    drop(stream);
    let last_but_one = events[events.len() - 2].id.clone();
    let last = events.last().unwrap().id.clone();

    // A job's message and its end have separate ids, so no disconnect between them goes unnoticed.
    let mut stream = EventStream::resume(&server, ALL, &last_but_one).await;
    let event = stream.next_event(PATIENCE).await.unwrap();
    assert_eq!((event.name.as_str(), &event.id), ("end", &last));

    other.repository(0, "failed", 10);
    other.master("failed");
    eventually("the other is over", async || {
        server.progress(&other.id).await["status"] == "failed"
    })
    .await;
    let mut stream = EventStream::resume(&server, ALL, &last).await;
    let events = until_end_of(&mut stream, &other.id).await;
    let again: Vec<_> = events.iter().filter(|event| event.data["job_id"] != other.id).collect();
    assert!(again.is_empty(), "told again: {again:#?}");
    assert_eq!(events.last().unwrap().data["status"], "failed");

    let last = events.last().unwrap().id.clone();
    let (epoch, _) = last.split_once('-').unwrap();
    for odd in ["nonsense", "0-1", &format!("{epoch}-1000000")] {
        let mut stream = EventStream::resume(&server, ALL, odd).await;
        assert_eq!(stream.next_event(PATIENCE).await.unwrap().name, "snapshot", "after {odd}");
    }
    server.kill9().await;
    server.restart().await;
    let mut stream = EventStream::resume(&server, ALL, &last).await;
    let event = stream.next_event(PATIENCE).await.unwrap();
    assert_eq!(event.name, "snapshot", "the id is another server's");
}

/// Breaks if a removed job is shown for ever.
#[tokio::test]
async fn a_removed_job_causes_a_fresh_snapshot() {
    let server = Setup::new().shell("say completed\n").start().await;
    let (gone, stays) = (server.submit("gone").await, server.submit("stays").await);
    server.finished(&gone).await;
    server.finished(&stays).await;
    let (mut stream, snapshot) = joined(&server).await;
    assert_eq!(ids(&snapshot).len(), 2);
    server.delete(&format!("/scan/{gone}")).await.expect(204);
    loop {
        let event = stream.next_event(PATIENCE).await.expect("the stream goes on");
        if event.name == "snapshot" {
            assert_eq!(ids(&event), [&stays]);
            break;
        }
    }
    // A viewer that was disconnected in the meantime must learn of it too.
    let mut stream = EventStream::resume(&server, ALL, &snapshot.id).await;
    let event = stream.next_event(PATIENCE).await.unwrap();
    assert_eq!(event.name, "snapshot");
    assert_eq!(ids(&event), [&stays]);
}

/// Breaks if a job that resumes after its end looks finished to those who saw the end.
#[tokio::test]
async fn a_job_that_resumes_after_its_end_is_reported_again() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 1);
    let (mut stream, _) = joined(&server).await;
    job.repository(0, "failed", 10);
    job.master("failed");
    until_end_of(&mut stream, &job.id).await;
    job.repository(0, "scanning", 10);
    job.master("in_progress");
    let event = stream.next_event(PATIENCE).await.unwrap();
    assert_eq!((event.name.as_str(), &event.data["job_id"]), ("job", &job.id.as_str().into()));
    job.repository(0, "completed", 1000);
    job.master("completed");
    let events = until_end_of(&mut stream, &job.id).await;
    assert_eq!(events.last().unwrap().data["status"], "completed");
}

/// Breaks if a viewer that stops reading slows the others, or never gets the current state again.
#[tokio::test]
async fn a_stalled_viewer_gets_the_newest_state_when_it_resumes() {
    let server = Setup::new().start().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stalled = socket.connect(server.address()).await.unwrap();
    stalled.write_all(&request("GET", ALL)).await.unwrap();
    let (mut stream, _) = joined(&server).await;
    let jobs: Vec<_> = (0..200).map(|_| Handmade::new(&server, 1)).collect();
    for step in 0..10 {
        for job in &jobs {
            job.repository(0, if step % 2 == 0 { "scanning" } else { "pending" }, step);
        }
    }
    for job in &jobs {
        job.repository(0, "completed", 1000);
        job.master("completed");
    }
    let last = &jobs.last().unwrap().id;
    let events = until_end_of(&mut stream, last).await;
    assert_eq!(events.last().unwrap().data["status"], "completed");
    // It does not slow the server, and what it reads ends with the current state.
    assert_eq!(server.progress(last).await["status"], "completed");
    let mut text = String::new();
    let end = format!("\"job_id\":\"{last}\",\"status\":\"completed\",\"summary\"");
    let read = async {
        let mut piece = [0; 4096];
        while !text.contains(&end) {
            let count = stalled.read(&mut piece).await.unwrap();
            assert!(count > 0, "the stream ended");
            text.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("it gets to the newest state");
}

/// Breaks if streams of all jobs are unlimited, or delay a server that stops.
#[tokio::test]
async fn streams_of_all_jobs_are_limited_and_end_with_the_server() {
    let mut server = Setup::new().set("server.max_streams", 2).start().await;
    let (mut first, _) = joined(&server).await;
    let (second, _) = joined(&server).await;
    server.get(ALL).await.expect(503);
    drop(second);
    eventually("a place is free again", async || {
        server.get("/health").await.json()["streams"] == 1
    })
    .await;
    let answer = exchange(server.address(), &request("HEAD", ALL), PATIENCE).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let began = Instant::now();
    assert_eq!(server.terminate().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
    assert!(first.rest(PATIENCE).await.is_empty());
}
