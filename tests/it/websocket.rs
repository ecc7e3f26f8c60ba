//! The `WebSocket` of a job: the messages of its event stream, and a proper close.

use crate::support::{
    files,
    handmade::Handmade,
    processes::resident_bytes,
    raw::{exchange, request},
    server::{Setup, TestServer},
    sse::EventStream,
    wait::{PATIENCE, eventually, within},
    ws::{Frame, WebSocket, upgrade},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn path(job: &str) -> String {
    format!("/scan/{job}/ws")
}

async fn opened(server: &TestServer, job: &Handmade) -> WebSocket {
    let mut socket = WebSocket::open(server.address(), &path(&job.id)).await;
    assert_eq!(socket.message().await["event"], "snapshot");
    socket
}

/// The next message of this name.
async fn next_named(socket: &mut WebSocket, name: &str) -> Value {
    loop {
        let message = socket.message().await;
        if message["event"] == name {
            return message;
        }
    }
}

async fn finish(server: &TestServer, job: &Handmade) {
    job.repository(0, "completed", 1000);
    job.master("completed");
    eventually("the job is over", async || server.progress(&job.id).await["status"] == "completed")
        .await;
}

/// Breaks if a viewer by WebSocket sees less of a scan than one by server-sent events, or in
/// another shape, or gets no close at the end.
#[tokio::test]
async fn a_socket_sends_what_the_event_stream_sends_and_closes() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 1);
    job.known(&server).await;
    let mut socket = opened(&server, &job).await;
    job.repository(0, "scanning", 250);
    let reported = next_named(&mut socket, "repository").await;
    assert_eq!(reported["data"]["progress"]["percentage"], 25.0, "{reported:#}");
    finish(&server, &job).await;
    let (messages, end) = socket.rest().await;
    assert_eq!(messages.last().unwrap()["event"], "end", "{messages:#?}");
    assert_eq!(end, Frame::Close(Some(1000)));

    let events = EventStream::open(&server, &job.stream()).await.rest(PATIENCE).await;
    let mut socket = WebSocket::open(server.address(), &path(&job.id)).await;
    let (messages, end) = socket.rest().await;
    let expected: Vec<Value> = events
        .iter()
        .map(|event| json!({ "event": event.name, "id": event.id, "data": event.data }))
        .collect();
    assert_eq!(messages, expected, "snapshot and end of a job that is over");
    assert_eq!(end, Frame::Close(Some(1000)));

    let last = messages.last().unwrap()["id"].as_str().unwrap();
    let seen = format!("{}?last_event_id={last}", path(&job.id));
    let (messages, end) = WebSocket::open(server.address(), &seen).await.rest().await;
    assert_eq!((messages, end), (vec![], Frame::Close(Some(1000))), "the end was seen");
}

/// Breaks if a viewer that returns misses what happened in the meantime, or gets events again that
/// it has.
#[tokio::test]
async fn a_socket_resumes_after_the_last_message() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 2);
    job.known(&server).await;
    let mut socket = opened(&server, &job).await;
    job.repository(0, "completed", 1000);
    let reported = next_named(&mut socket, "repository").await;
    drop(socket);
    job.repository(1, "failed", 10);
    eventually("the server has read it", async || {
        server.progress(&job.id).await["summary"]["failed"] == 1
    })
    .await;
    let resumed = format!("{}?last_event_id={}", path(&job.id), reported["id"].as_str().unwrap());
    let mut socket = WebSocket::open(server.address(), &resumed).await;
    let reported = next_named(&mut socket, "repository").await;
    assert_eq!(reported["data"]["repo_index"], 1, "{reported:#}");

    let unknown = format!("{}?last_event_id=0-1", path(&job.id));
    let mut socket = WebSocket::open(server.address(), &unknown).await;
    assert_eq!(socket.message().await["event"], "snapshot");
}

/// Breaks if a request that is not a WebSocket upgrade hangs, or is answered without a reason.
#[tokio::test]
async fn a_request_that_is_not_an_upgrade_is_refused() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 1);
    job.known(&server).await;
    let whole = upgrade(&path(&job.id), "Connection: close\r\n");
    let without = |line: &str| {
        let lines = whole.split_inclusive("\r\n").filter(|header| !header.starts_with(line));
        lines.collect::<String>()
    };
    let requests = [
        String::from_utf8(request("GET", &path(&job.id))).unwrap(),
        without("Connection: keep-alive"),
        without("Upgrade:"),
        whole.replace("Version: 13", "Version: 8"),
    ];
    for request in requests {
        let answer = exchange(server.address(), request.as_bytes(), PATIENCE).await.unwrap();
        assert_eq!(answer.status, 426, "{request}{answer:?}");
        assert_eq!(answer.header("upgrade"), Some("websocket"));
        assert_eq!(answer.header("sec-websocket-version"), Some("13"));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let problem: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(problem["status"], 426);
    }
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    for request in [
        without("Sec-WebSocket-Key"),
        whole.replace(key, ""),
        whole.replace(key, "x"),
        whole.replace(key, "dGhlIHNhbXBsZQ=="),
        whole.replace(key, &format!("{key}\r\nSec-WebSocket-Key: {key}")),
    ] {
        let answer = exchange(server.address(), request.as_bytes(), PATIENCE).await.unwrap();
        assert_eq!(answer.status, 400, "{request}{answer:?}");
        assert!(answer.body.contains("Sec-WebSocket-Key"), "{answer:?}");
    }
    let head = exchange(server.address(), &request("HEAD", &path(&job.id)), PATIENCE).await;
    assert_eq!(head.unwrap().status, 426);
    let unknown = WebSocket::with_headers(server.address(), &path("unknown"), "").await;
    assert_eq!(unknown.unwrap_err().status, 404);
}

/// Breaks if the page of another site can open a WebSocket in our user's name and read it.
#[tokio::test]
async fn another_sites_page_opens_no_socket() {
    let server = Setup::new().user("u", "p").start().await;
    let job = Handmade::new(&server, 1);
    let (address, path) = (server.address(), path(&job.id));
    eventually("the job is known", async || server.get(&job.path()).await.status == 200).await;
    let right = "Authorization: Basic dTpw\r\n";
    let own = "Origin: http://127.0.0.1\r\n";
    for (headers, status) in [
        (String::new(), 401),
        (format!("{right}Origin: http://evil.example\r\n"), 403),
        (format!("{right}Origin: null\r\n"), 403),
        (format!("{right}{own}Sec-Fetch-Site: cross-site\r\n"), 403),
    ] {
        let refused = WebSocket::with_headers(address, &path, &headers).await;
        assert_eq!(refused.unwrap_err().status, status, "{headers}");
    }
    for headers in [right.to_owned(), format!("{right}{own}Sec-Fetch-Site: same-origin\r\n")] {
        let mut socket = WebSocket::with_headers(address, &path, &headers).await.unwrap();
        assert_eq!(socket.message().await["event"], "snapshot");
    }
}

/// Breaks if what a client sends does more than it should, or its close is not confirmed.
#[tokio::test]
async fn client_messages_are_ignored_except_close() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 1);
    job.known(&server).await;
    let mut socket = opened(&server, &job).await;
    socket.send_text("{\"event\":\"end\"}").await;
    socket.send_ping(b"there?").await;
    assert_eq!(socket.next().await, Frame::Pong(b"there?".to_vec()));
    socket.send_close(1000).await;
    assert_eq!(socket.next().await, Frame::Close(Some(1000)));
    assert_eq!(socket.next().await, Frame::Ended);

    let frame = |kind: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[kind, 0x80 | length, 0, 0, 0, 0], payload].concat()
    };
    let mut part = vec![frame(0x01, &[b'x'; 100])];
    part.extend(std::iter::repeat_n(frame(0x00, &[b'x'; 100]), 100));
    for (what, bytes, code) in [
        ("a long frame", [&[0x81, 0xfe, 0x20, 0, 0, 0, 0, 0][..], &[b'x'; 8192]].concat(), 1009),
        ("a long message in short frames", part.concat(), 1009),
        ("a frame of 2^63 bytes", vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1009),
        ("a frame without a mask", vec![0x81, 0x01, b'x'], 1002),
        ("an unknown kind", frame(0x83, b""), 1002),
        ("a reserved bit", frame(0xc1, b""), 1002),
        ("a ping in parts", frame(0x09, b""), 1002),
        ("a part of nothing", frame(0x80, b"x"), 1002),
        ("no UTF-8", frame(0x81, b"\xff"), 1007),
    ] {
        let mut socket = opened(&server, &job).await;
        socket.send_raw(&bytes).await;
        assert_eq!(socket.rest().await.1, Frame::Close(Some(code)), "{what}");
    }
    eventually("no place is taken any more", async || {
        server.get("/health").await.json()["streams"] == 0
    })
    .await;
}

/// Breaks if a client can keep the server busy for ever, or fill its memory, by frames that cost it
/// nothing, read or not.
#[tokio::test]
async fn a_flood_of_frames_ends_its_socket() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 1);
    job.known(&server).await;
    // The mask changes nothing: it is zero.
    let ping = [&[0x89, 0xfd, 0, 0, 0, 0][..], &[b'x'; 125]].concat();
    for (what, frame) in [
        ("pings", ping.clone()),
        ("answers to no ping", vec![0x8a, 0x80, 0, 0, 0, 0]),
        ("texts of nothing", vec![0x81, 0x80, 0, 0, 0, 0]),
        ("parts of nothing", vec![0x00, 0x80, 0, 0, 0, 0]),
    ] {
        let before = resident_bytes(server.pid());
        let mut socket = opened(&server, &job).await;
        if what == "parts of nothing" {
            socket.send_raw(&[0x01, 0x80, 0, 0, 0, 0]).await;
        }
        let burst = frame.repeat(8000 / frame.len());
        let mut sent = 0;
        // More than fits into the buffers of both sides, and than is read after a close. Without a
        // limit, all of it is accepted.
        while sent < 16 << 20 && socket.send_raw(&burst).await {
            sent += burst.len();
        }
        assert!(sent < 16 << 20, "{what}: it goes on");
        let growth = resident_bytes(server.pid()).saturating_sub(before);
        assert!(growth < 16 << 20, "{what}: the server has grown by {growth} bytes");
        let log = server.setup().log();
        assert!(log.contains("too many frames"), "{what}: {log}");
    }
    // The same, from a client that reads.
    let mut socket = opened(&server, &job).await;
    assert!(socket.send_raw(&ping.repeat(2100)).await);
    assert_eq!(socket.rest().await.1, Frame::Close(Some(1008)));
    server.get("/livez").await.expect(200);
}

/// Breaks if a client that sends reasonable pings is taken for a flood, or is not answered.
#[tokio::test]
async fn client_pings_are_answered() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 1);
    job.known(&server).await;
    let mut socket = opened(&server, &job).await;
    for number in 0..500_u32 {
        socket.send_ping(&number.to_be_bytes()).await;
        assert_eq!(socket.next().await, Frame::Pong(number.to_be_bytes().to_vec()));
    }
    finish(&server, &job).await;
    let (messages, end) = socket.rest().await;
    assert_eq!(messages.last().unwrap()["event"], "end", "{messages:#?}");
    assert_eq!(end, Frame::Close(Some(1000)));
}

/// Breaks if sockets are unlimited among streams or among connections.
#[tokio::test]
async fn sockets_count_among_streams_and_connections() {
    let server = Setup::new().set("server.max_streams", 1).start().await;
    let job = Handmade::new(&server, 1);
    job.known(&server).await;
    let mut socket = opened(&server, &job).await;
    let refused = WebSocket::with_headers(server.address(), &path(&job.id), "").await;
    assert_eq!(refused.unwrap_err().status, 503);
    server.get(&job.stream()).await.expect(503);
    socket.send_close(1000).await;
    socket.rest().await;
    eventually("its place is free again", async || {
        WebSocket::with_headers(server.address(), &path(&job.id), "").await.is_ok()
    })
    .await;

    let server = Setup::new().set("server.max_connections", 2).start().await;
    let job = Handmade::new(&server, 1);
    job.known(&server).await;
    let socket = opened(&server, &job).await;
    let second = opened(&server, &job).await;
    let full = exchange(server.address(), &request("GET", "/livez"), PATIENCE).await.unwrap();
    assert_eq!(full.status, 503, "an upgraded connection keeps its place");
    drop((socket, second));
    eventually("places are free again", async || {
        let answer = exchange(server.address(), &request("GET", "/livez"), PATIENCE).await;
        answer.is_some_and(|answer| answer.status == 200)
    })
    .await;
}

/// Breaks if messages are buffered endlessly for a viewer that stops reading, or if it never gets
/// the current state.
#[tokio::test]
async fn a_stalled_socket_slows_no_one_and_reaches_the_end() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 20);
    job.known(&server).await;
    let mut stalled = WebSocket::open(server.address(), &path(&job.id)).await;
    let mut reader = opened(&server, &job).await;
    // 3 MB of messages; the kernel's buffers take some of them for the one that does not read.
    for step in 0..600 {
        for index in 0..20 {
            job.repository(index, "scanning", step);
        }
    }
    for index in 0..20 {
        job.repository(index, "completed", 1000);
    }
    job.master("completed");
    let (messages, end) = reader.rest().await;
    assert_eq!(end, Frame::Close(Some(1000)));
    assert_eq!(messages.last().unwrap()["data"]["summary"]["completed"], 20);
    // Longer than a close is waited for: the messages before it must not be cut off.
    let (late, end) = stalled.rest().await;
    assert!(late.len() < 12_000, "{} messages were kept for it", late.len());
    let last = late.last().unwrap();
    assert_eq!((&last["event"], &last["data"]["status"]), (&json!("end"), &json!("completed")));
    assert_eq!(end, Frame::Close(Some(1000)));
}

/// Breaks if an open socket, read or not, keeps a stopping server.
#[tokio::test]
async fn sockets_are_closed_when_the_server_stops() {
    let mut server = Setup::new().start().await;
    let job = Handmade::new(&server, 1_000);
    job.known(&server).await;
    // A snapshot of 8 MB: more than the kernel takes for those that do not read.
    let status = json!({ "status": "scanning", "message": "x".repeat(4_000) }).to_string();
    for index in 0..1_000 {
        files::replace(&job.folder.join(format!("repo_{index}.json")), &status);
    }
    eventually("the server has read them", async || {
        let summary = server.get(&format!("{}?view=summary", job.path())).await.json();
        summary["summary"]["in_progress"] == 1_000
    })
    .await;
    let mut socket = opened(&server, &job).await;
    let mut stalled = Vec::new();
    for _ in 0..3 {
        stalled.push(WebSocket::open(server.address(), &path(&job.id)).await);
    }
    let began = Instant::now();
    assert_eq!(server.terminate().await, Some(0));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    let (messages, end) = socket.rest().await;
    assert!(messages.iter().all(|message| message["event"] != "end"), "the job is not over");
    assert_eq!(end, Frame::Close(Some(1001)));
}

/// Breaks if a proxy closes the connection of a job in which nothing happens for a while.
#[tokio::test]
async fn a_ping_keeps_a_silent_socket_open() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 1);
    job.known(&server).await;
    let mut socket = opened(&server, &job).await;
    // The contract's 15 seconds, and what a busy machine may add.
    within(Duration::from_secs(20), "there is a ping", async || socket.next().await == Frame::Ping)
        .await;
}
