//! Large jobs and their followers: what a reader costs that reads nothing, what a large folder
//! costs the others, and what happens to followers whose job is gone.

use crate::support::{
    files,
    h2::{self, H2Connection},
    handmade::Handmade,
    processes::resident,
    raw::request,
    server::{Setup, TestServer},
    sse::EventStream,
    wait::{PATIENCE, eventually, within},
    ws::{Frame, WebSocket},
};
use reqwest::Method;
use serde_json::json;
use std::{
    fs,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// Repositories of a large job.
const MANY: u32 = 10_000;

/// What a reader that reads nothing may cost, in KiB.
const PER_READER: u64 = 64;

/// A folder with all files of a large job, besides the jobs folder.
fn laid_out(server: &TestServer, count: u32) -> Handmade {
    let job = Handmade::beside(server, count);
    for index in 0..count {
        let status = json!({
            "repo_index": index, "repo_name": format!("group/subgroup/repository-{index}"),
            "status": "scanning", "total_files": 1000, "current_file": index % 1000,
            "started_at": "2026-01-02T03:04:05Z", "last_update": "2026-01-02T03:04:05Z",
            "current_filename": format!("src/module/file-{index}.rs"), "message": "reading files",
        });
        files::write(&job.folder.join(format!("repo_{index}.json")), status.to_string());
    }
    job
}

async fn counted(server: &TestServer, job: &Handmade) -> u64 {
    let answer = server.get(&format!("{}?view=summary", job.path())).await;
    if answer.status != 200 {
        return 0;
    }
    answer.json()["summary"]["in_progress"].as_u64().unwrap()
}

async fn all_known(server: &TestServer, job: &Handmade) {
    let what = "all repositories are known";
    within(PATIENCE, what, async || counted(server, job).await == u64::from(MANY)).await;
}

/// Sends a request, and reads only the beginning of the answer.
async fn unread(server: &TestServer, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut line = socket.connect(server.address()).await.unwrap();
    line.write_all(&request("GET", path)).await.unwrap();
    let mut begin = [0; 12];
    timeout(PATIENCE, line.read_exact(&mut begin)).await.unwrap().unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    line
}

/// Sends the same request many times on one connection, and reads none of the answers.
async fn unread_by_http2(server: &TestServer, path: &str, count: u32) -> H2Connection {
    let mut line = H2Connection::open(server.address(), &[(h2::INITIAL_WINDOW, 0)]).await;
    let asked: Vec<u8> = (0..count).flat_map(|number| h2::get(2 * number + 1, path)).collect();
    line.send(&asked).await.unwrap();
    let mut answered = 0;
    while answered < count {
        let frame = line.next().await.expect("the connection stands");
        answered += u32::from(frame.kind == h2::HEADERS);
    }
    line
}

/// Breaks if the server keeps a document, or a part of it that grows with the job, for each client
/// that requests it and does not read it: by either version of HTTP, as an answer or as a stream,
/// of a job that does not change or one that changes all the time.
#[tokio::test]
async fn stalled_readers_share_their_unread_documents() {
    let server = Setup::new()
        .set("server.max_streams", 2000)
        .set("server.max_streams_per_user", 2000)
        .set("server.write_timeout_secs", 120)
        .start()
        .await;
    let mut job = laid_out(&server, MANY);
    job.moved_in(&server);
    all_known(&server, &job).await;
    let whole = server.get(&job.path()).await.expect(200);
    let length = whole.header("content-length").map(str::to_owned);
    assert_eq!(length, Some(whole.text.len().to_string()), "its length is known before it comes");
    assert!(whole.text.len() > 3 << 20, "{}", whole.text.len());
    let mut readers = 0;
    let before = resident(server.pid());
    let within_bounds = |readers: u64, what: &str| {
        let growth = resident(server.pid()).saturating_sub(before);
        let most = readers * PER_READER;
        assert!(growth < most, "{what}: {readers} readers cost {growth} KiB, more than {most}");
    };
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(unread(&server, &job.path()).await);
        held.push(unread(&server, &job.stream()).await);
    }
    readers += 400;
    within_bounds(readers, "HTTP/1");
    let mut lines = Vec::new();
    for _ in 0..4 {
        lines.push(unread_by_http2(&server, &job.path(), 50).await);
        lines.push(unread_by_http2(&server, &job.stream(), 50).await);
    }
    readers += 400;
    within_bounds(readers, "HTTP/2");

    // More come at other moments, each for another state of the job.
    for step in 0..8 {
        for place in 0..50 {
            job.repository(place * (MANY / 50), "scanning", step);
        }
        let last = format!("{}/repositories/{}", job.path(), 49 * (MANY / 50));
        eventually("the last of them is known", async || {
            server.get(&last).await.json()["progress"]["current_file"] == step
        })
        .await;
        held.push(unread(&server, &job.path()).await);
        held.push(unread(&server, &job.stream()).await);
        readers += 2;
    }
    // The limit for what only readers keep alive applies to the whole server.
    within_bounds(readers + 512, "a job that moves");
}

/// Breaks if the folder of one job is read to its end before any other gets a turn, or if the cost
/// per file grows with their number.
#[tokio::test]
async fn reading_a_large_job_does_not_block_others() {
    let server = Setup::new().shell("say completed\n").start().await;
    let small = Handmade::new(&server, 1);
    small.known(&server).await;
    let mut job = laid_out(&server, 2 * MANY);
    let mut stream = EventStream::open(&server, &small.stream()).await;
    stream.next_event(PATIENCE).await.expect("a snapshot");
    let mut longest = Duration::ZERO;
    let began = Instant::now();
    job.moved_in(&server);
    let mut read = 0;
    let mut rounds = 0;
    while read < 2 * u64::from(MANY) {
        let asked = Instant::now();
        let other = server.submit("other").await;
        server.get(&format!("/scan/{other}")).await.expect(200);
        small.repository(0, "scanning", rounds);
        loop {
            let event = stream.next_event(PATIENCE).await.expect("the stream goes on");
            if event.data["progress"]["current_file"] == rounds {
                break;
            }
        }
        longest = longest.max(asked.elapsed());
        rounds += 1;
        read = counted(&server, &job).await;
        assert!(began.elapsed() < PATIENCE, "{read} read in {:?}", began.elapsed());
    }
    let took = began.elapsed();
    // Read to its end in one turn, it would be nearly all of it.
    assert!(longest < Duration::from_secs(1).max(took / 2), "{longest:?} of {took:?}");
}

/// Breaks if followers of a job learn of its removal only from the next comment.
#[tokio::test]
async fn followers_of_a_removed_job_are_informed_at_once() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 1);
    job.repository(0, "scanning", 1);
    fs::create_dir(job.folder.join("logs")).unwrap();
    files::write(&job.folder.join("logs/repo_0.log"), "a line\n");
    job.known(&server).await;
    eventually("its repository is known", async || counted(&server, &job).await == 1).await;
    let mut stream = EventStream::open(&server, &job.stream()).await;
    stream.next_event(PATIENCE).await.expect("a snapshot");
    let mut socket = WebSocket::open(server.address(), &format!("{}/ws", job.path())).await;
    socket.message().await;
    let log = format!("{}/repositories/0/log?follow=true", job.path());
    let mut log = server.request(Method::GET, &log).send().await.unwrap();
    assert_eq!(log.chunk().await.unwrap().unwrap(), "a line\n");

    let removed = Instant::now();
    server.delete(&job.path()).await.expect(204);
    assert!(stream.rest(PATIENCE).await.is_empty());
    assert_eq!(socket.next().await, Frame::Close(Some(1000)));
    assert_eq!(timeout(PATIENCE, log.chunk()).await.unwrap().unwrap(), None);
    // A comment, and a ping, come every 15 seconds.
    assert!(removed.elapsed() < Duration::from_secs(8), "{:?}", removed.elapsed());
}

/// Breaks if a job that is recreated under the same id can be mistaken for the previous one: by its
/// entity tag, that of its list, or the id of an event.
#[tokio::test]
async fn a_recreated_job_has_other_tags() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 1);
    job.repository(0, "scanning", 1);
    eventually("it is known", async || counted(&server, &job).await == 1).await;
    let list = format!("{}/repositories", job.path());
    let mut tags = Vec::new();
    for path in [&job.path(), &list] {
        let tag = server.get(path).await.header("etag").unwrap().to_owned();
        let again = server.request(Method::GET, path).header("If-None-Match", &tag);
        assert_eq!(server.send(again).await.status, 304);
        tags.push((path.clone(), tag));
    }
    let snapshot = EventStream::open(&server, &job.stream()).await.next_event(PATIENCE).await;

    fs::rename(&job.folder, server.file("away")).unwrap();
    eventually("it is gone", async || server.get(&job.path()).await.status == 404).await;
    fs::create_dir(&job.folder).unwrap();
    job.master("in_progress");
    job.repository(0, "scanning", 2);
    eventually("it is known again", async || counted(&server, &job).await == 1).await;
    for (path, tag) in tags {
        let again = server.request(Method::GET, &path).header("If-None-Match", &tag);
        assert_eq!(server.send(again).await.status, 200, "{path}: {tag} is another's");
    }
    let mut stream = EventStream::resume(&server, &job.stream(), &snapshot.unwrap().id).await;
    assert_eq!(stream.next_event(PATIENCE).await.unwrap().name, "snapshot");
}

/// Breaks if a time in milliseconds puts a job above all others for ever, or a wrong number gives
/// it billions of repositories.
#[tokio::test]
async fn impossible_values_are_warned_about_and_left_out() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 1);
    job.known(&server).await;
    let odd = json!({
        "group_url": "https://gitlab.com/acme", "status": "in_progress",
        "total_repositories": 4_294_967_296_u64, "started_at": 1_704_067_200_000_u64,
    });
    files::replace(&job.folder.join("master.json"), odd.to_string());
    job.repository(0, "scanning", 1);
    eventually("it is warned of", async || {
        let document = server.progress(&job.id).await;
        document["warnings"].as_array().unwrap().len() == 2
    })
    .await;
    let document = server.progress(&job.id).await;
    assert_eq!(document["summary"]["total_repositories"], 1, "{document:#}");
    let newer = Handmade::new(&server, 1);
    newer.known(&server).await;
    let rows = server.get("/jobs").await.expect(200).json();
    assert_eq!(rows["jobs"][0]["job_id"], newer.id, "{rows:#}");
}
