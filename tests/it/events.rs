//! Server-sent events: a stream begins with a complete snapshot, continues with changes, and ends
//! with the job.
//!
//! Most jobs here are files that the test itself writes, as a third-party scanner would: so it is
//! known to the byte what happened, and in which order.

use crate::support::{
    files,
    handmade::Handmade,
    raw::{exchange, request},
    server::Setup,
    sse::{Event, EventStream},
    wait::{PATIENCE, eventually, within},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};

/// The next event of this name; others may come before it, but no second snapshot.
async fn next_named(stream: &mut EventStream, name: &str) -> Event {
    loop {
        let event = stream.next_event(PATIENCE).await;
        let event = event.unwrap_or_else(|| panic!("the stream ended before {name}"));
        if event.name == name {
            return event;
        }
        assert_ne!(event.name, "snapshot", "{event:?}");
    }
}

/// The next `repository` event in this state.
async fn next_state(stream: &mut EventStream, index: u32, status: &str) -> Event {
    loop {
        let event = next_named(stream, "repository").await;
        if event.data["repo_index"] == index && event.data["status"] == status {
            return event;
        }
    }
}

/// Breaks if a viewer does not see a scan from its beginning to its end, in the contract's terms.
#[tokio::test]
async fn a_scan_is_streamed_from_snapshot_to_end() {
    let server = Setup::new()
        .shell(
            "say scanning '\"total_files\": 4, \"current_file\": 1'\n\
             while [ ! -e \"$dir/go\" ]; do sleep 0.05; done\n\
             say completed '\"total_files\": 4, \"current_file\": 4'\n",
        )
        .start()
        .await;
    let job = server.submit("watched").await;
    eventually("the scanner's own status is shown", async || {
        server.progress(&job).await["repositories"][0]["status"] == "scanning"
    })
    .await;
    let mut stream = EventStream::open(&server, &format!("/scan/{job}/events")).await;
    let snapshot = stream.next_event(PATIENCE).await.unwrap();
    assert_eq!(snapshot.name, "snapshot");
    for member in ["job_id", "status", "summary", "repositories", "elapsed_time_seconds"] {
        assert!(!snapshot.data[member].is_null(), "{member} in {:#}", snapshot.data);
    }
    assert_eq!(snapshot.data["job_id"], job);
    assert_eq!(snapshot.data["repositories"][0]["status"], "scanning", "{:#}", snapshot.data);
    assert!(stream.retry.is_some(), "how long to wait before joining again");

    files::write(&server.file("go"), "");
    let events = stream.rest(PATIENCE).await;
    assert!(events.iter().all(|event| !event.id.is_empty()), "each has an id: {events:#?}");
    let known = ["repository", "job", "end", "snapshot"];
    assert!(events.iter().all(|event| known.contains(&event.name.as_str())), "{events:#?}");
    let last =
        |name: &str| events.iter().rfind(|event| event.name == name).map(|event| &event.data);
    let repository = last("repository").unwrap_or_else(|| panic!("{events:#?}"));
    assert_eq!(repository["job_id"], job);
    assert_eq!(repository["repo_index"], 0);
    assert_eq!(repository["repo_name"], "watched");
    assert_eq!(repository["status"], "completed");
    assert_eq!(repository["progress"]["percentage"], 100.0);
    let state = last("job").unwrap_or_else(|| panic!("{events:#?}"));
    assert_eq!(state["job_id"], job);
    assert_eq!(state["status"], "completed", "{state:#}");
    assert_eq!(state["summary"]["completed"], 1, "{state:#}");
    assert!(state["completed_at"].is_string(), "{state:#}");
    let end = events.last().unwrap();
    assert_eq!(end.name, "end", "{events:#?}");
    assert_eq!(end.data["job_id"], job);
    assert_eq!(end.data["status"], "completed");
    assert_eq!(end.data["summary"]["completed"], 1);
}

/// Breaks if a final state that is on disk does not reach a viewer, or comes after the end.
#[tokio::test]
async fn every_final_state_on_disk_arrives_before_the_end() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 60);
    job.read(&server).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(EventStream::open(&server, &job.stream()).await);
    }
    let written = std::thread::spawn(move || {
        let finals = ["completed", "failed", "timeout", "cancelled"];
        let mut written = BTreeMap::new();
        for index in 0..60 {
            for step in 1..8 {
                job.repository(index, "scanning", step * 100);
            }
            let state = finals[index as usize % finals.len()];
            job.repository(index, state, 1000);
            written.insert(u64::from(index), state.to_owned());
        }
        job.master("completed_with_errors");
        written
    });
    let mut seen = Vec::new();
    for stream in &mut streams {
        seen.push(stream.rest(PATIENCE).await);
    }
    let written = written.join().unwrap();
    for events in seen {
        assert_eq!(events.last().unwrap().name, "end");
        assert_eq!(events.last().unwrap().data["status"], "completed_with_errors");
        assert_eq!(last_states(&events), written);
    }
}

/// The last state of each repository, from snapshots and changes.
fn last_states(events: &[Event]) -> BTreeMap<u64, String> {
    let mut states = BTreeMap::new();
    for event in events {
        let rows = match event.name.as_str() {
            "snapshot" => event.data["repositories"].as_array().cloned().unwrap_or_default(),
            "repository" => vec![event.data.clone()],
            _ => Vec::new(),
        };
        for row in rows {
            let state = row["status"].as_str().unwrap().to_owned();
            states.insert(row["repo_index"].as_u64().unwrap(), state);
        }
    }
    states
}

/// Breaks if a viewer that lost its connection misses what happened in the meantime, or gets events
/// again that it has.
#[tokio::test]
async fn a_stream_resumes_after_its_last_event() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 3);
    job.read(&server).await;
    let mut stream = EventStream::open(&server, &job.stream()).await;
    assert_eq!(stream.next_event(PATIENCE).await.unwrap().name, "snapshot");
    job.repository(0, "completed", 1000);
    next_state(&mut stream, 0, "completed").await;
    job.repository(1, "scanning", 100);
    let last = next_state(&mut stream, 1, "scanning").await;
    drop(stream);

    job.repository(1, "scanning", 200);
    job.repository(1, "scanning", 300);
    job.repository(2, "failed", 10);
    eventually("the server has read them", async || {
        let summary = server.progress(&job.id).await["summary"].clone();
        summary["failed"] == 1 && summary["in_progress"] == 1
    })
    .await;
    let mut stream = EventStream::resume(&server, &job.stream(), &last.id).await;
    let mut events = Vec::new();
    loop {
        let event = stream.next_event(PATIENCE).await.unwrap();
        events.push(event);
        let states = last_states(&events);
        if states.len() == 2 && states.get(&2).is_some_and(|state| state == "failed") {
            break;
        }
    }
    let known: Vec<_> = events
        .iter()
        .filter(|event| event.name == "snapshot" || event.data["repo_index"] == 0)
        .collect();
    assert!(known.is_empty(), "told again: {known:#?}");
    let states = last_states(&events);
    assert_eq!(states.get(&1).map(String::as_str), Some("scanning"), "{events:#?}");
}

/// Breaks if an id that this server did not issue, or an earlier one did, leaves a gap.
#[tokio::test]
async fn an_unknown_last_id_gets_a_fresh_snapshot() {
    let mut server = Setup::new().start().await;
    let job = Handmade::new(&server, 2);
    job.read(&server).await;
    let first = EventStream::open(&server, &job.stream()).await.next_event(PATIENCE).await.unwrap();
    let (epoch, _) = first.id.split_once('-').unwrap();
    let future = format!("{epoch}-1000000");
    for id in ["0-1", "nonsense", "-", "18446744073709551616-9", &future] {
        let mut stream = EventStream::resume(&server, &job.stream(), id).await;
        let event = stream.next_event(PATIENCE).await.unwrap();
        assert_eq!(event.name, "snapshot", "after id {id:?}");
    }
    server.kill9().await;
    job.repository(0, "completed", 1000);
    server.restart().await;
    let mut stream = EventStream::resume(&server, &job.stream(), &first.id).await;
    let event = stream.next_event(PATIENCE).await.unwrap();
    assert_eq!(event.name, "snapshot", "the id is another server's");
    assert_eq!(event.data["summary"]["completed"], 1, "{:#}", event.data);
}

/// Breaks if a browser reconnects to a finished job's stream for ever.
#[tokio::test]
async fn after_the_end_there_is_nothing_more() {
    let server = Setup::new().shell("say completed\n").start().await;
    let job = server.submit("over").await;
    server.finished(&job).await;
    let path = format!("/scan/{job}/events");
    let events = EventStream::open(&server, &path).await.rest(PATIENCE).await;
    let names: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["snapshot", "end"]);
    assert_eq!(events[0].data["status"], "completed");
    let last = &events[1].id;
    let request = server.request(reqwest::Method::GET, &path).header("Last-Event-ID", last);
    let answer = server.send(request).await.expect(204);
    assert!(answer.text.is_empty(), "{answer:?}");
}

/// Breaks if an unknown job's stream hangs instead of reporting that the job does not exist.
#[tokio::test]
async fn a_stream_of_an_unknown_job_is_not_found() {
    let server = Setup::new().start().await;
    for id in [uuid::Uuid::now_v7().to_string().as_str(), "nope", ".staging"] {
        let answer = server.get(&format!("/scan/{id}/events")).await.expect(404);
        assert_eq!(answer.json()["detail"], "Job not found", "{id}");
    }
}

/// Breaks if a stream is buffered, compressed or cached on its way.
#[tokio::test]
async fn a_stream_is_neither_cached_nor_compressed() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 1);
    job.read(&server).await;
    let ask = format!(
        "GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip, br\r\n\r\n",
        job.stream()
    );
    job.repository(0, "completed", 1000);
    job.master("completed");
    eventually("the job is over", async || server.progress(&job.id).await["status"] == "completed")
        .await;
    let answer = exchange(server.address(), ask.as_bytes(), PATIENCE).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-encoding"), None);
    let caching = answer.header("cache-control").unwrap_or_default();
    assert!(caching.contains("no-cache") || caching.contains("no-store"), "{answer:?}");
    assert!(answer.body.contains("event: end") || answer.body.contains("event:end"), "{answer:?}");
}

/// Breaks if a viewer that stops reading slows the others or the server, or never gets the current
/// state again.
#[tokio::test]
async fn a_stalled_reader_slows_no_one() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 20);
    job.read(&server).await;
    // Small windows, so that the server's buffers soon fill.
    let mut stalled = Vec::new();
    for _ in 0..5 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut socket = socket.connect(server.address()).await.unwrap();
        socket.write_all(&request("GET", &job.stream())).await.unwrap();
        stalled.push(socket);
    }
    let mut stream = EventStream::open(&server, &job.stream()).await;
    let (id, path) = (job.id.clone(), job.stream());
    let writer = std::thread::spawn(move || {
        for step in 0..150 {
            for index in 0..20 {
                job.repository(index, "scanning", step);
            }
        }
        for index in 0..20 {
            job.repository(index, "completed", 1000);
        }
        job.master("completed");
        Instant::now()
    });
    let events = stream.rest(PATIENCE).await;
    let ended = Instant::now();
    let written = writer.join().unwrap();
    assert_eq!(events.last().unwrap().name, "end", "{path}");
    assert!(last_states(&events).values().all(|state| state == "completed"));
    let lag = ended.saturating_duration_since(written);
    assert!(lag < Duration::from_secs(5), "the end came {lag:?} after it was written");
    assert_eq!(server.progress(&id).await["status"], "completed");

    for mut socket in stalled {
        let mut bytes = Vec::new();
        // The stream ends with its job, so it can be read to its end.
        let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut bytes));
        read.await.expect("a reader that wakes up gets to the end").unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let tail = &text[text.len().saturating_sub(1000)..];
        assert!(tail.contains("event: end") || tail.contains("event:end"), "{tail}");
    }
}

/// Breaks if an open stream keeps a stopping server alive for ever.
#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let mut server = Setup::new().start().await;
    let job = Handmade::new(&server, 1);
    job.read(&server).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = EventStream::open(&server, &job.stream()).await;
        assert_eq!(stream.next_event(PATIENCE).await.unwrap().name, "snapshot");
        streams.push(stream);
    }
    let began = Instant::now();
    assert_eq!(server.terminate().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
    for stream in &mut streams {
        let rest = stream.rest(PATIENCE).await;
        assert!(rest.iter().all(|event| event.name != "end"), "the job is not over: {rest:#?}");
    }
}

/// Breaks if a name from a repository can forge events: one newline in it would be enough.
#[tokio::test]
async fn a_name_cannot_forge_an_event() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 1);
    job.read(&server).await;
    let mut stream = EventStream::open(&server, &job.stream()).await;
    let name = "a\n\nevent: end\ndata: {}\n\n\r\nid: 7\u{2028}\u{1b}[2J";
    let value: Value = json!({ "repo_index": 0, "repo_name": name, "status": "scanning" });
    files::replace(&job.folder.join("repo_0.json"), value.to_string());
    stream.next_event(PATIENCE).await.unwrap();
    let event = next_named(&mut stream, "repository").await;
    assert_eq!(event.data["repo_name"], name);
}

/// Breaks if a proxy closes the connection of a job in which nothing happens for a while.
#[tokio::test]
async fn a_comment_keeps_a_silent_connection_open() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 1);
    job.read(&server).await;
    let mut stream = EventStream::open(&server, &job.stream()).await;
    assert_eq!(stream.next_event(PATIENCE).await.unwrap().name, "snapshot");
    // The contract's 15 seconds, and what a busy machine may add.
    within(Duration::from_secs(20), "there is a comment", async || {
        let silence = Duration::from_millis(500);
        let event = tokio::time::timeout(silence, stream.next_event(PATIENCE)).await;
        assert!(event.is_err(), "nothing happened, but {event:?}");
        !stream.comments.is_empty()
    })
    .await;
}
